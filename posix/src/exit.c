/* The end of a program. */

#include "internal.h"

#include <solo5.h>
#include <stdlib.h>
#include <unistd.h>

/* How long it waits for what is still to be delivered. */
#define LAST_WORDS (5 * SECOND)

/* Ends the program once what it has written is delivered, as it would be under an operating system. */
void exit(int status)
{
    for (int fd = 0; fd < MNET_POSIX_FDS; fd++)
        if (mnet_internal_table[fd].kind != FREE)
            close(fd);
    uint64_t end = mnet_now() + (uint64_t)LAST_WORDS;
    struct mnet_usage usage;
    while (mnet_internal_stack > 0 && mnet_now() < end
           && mnet_usage(mnet_internal_stack, &usage, sizeof usage) == 0 && usage.connections > 0)
        mnet_poll(mnet_internal_stack, NULL, 0, 5 * MILLISECOND);
    if (mnet_internal_stack > 0)
        mnet_poll(mnet_internal_stack, NULL, 0, 0);
    solo5_exit(status & 0xff);
}

void abort(void)
{
    solo5_abort();
}
