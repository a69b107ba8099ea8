/* Signals, of which there are none. */

#include "internal.h"

#include <signal.h>

/* Those of Linux but for the real-time ones. */
#define SIGNALS 32

static sighandler_t kept[SIGNALS];

sighandler_t signal(int number, sighandler_t handler)
{
    if (number < 1 || number >= SIGNALS || handler == SIG_ERR || number == SIGKILL || number == SIGSTOP) {
        errno = EINVAL;
        return SIG_ERR;
    }
    sighandler_t before = kept[number];
    kept[number] = handler;
    return before;
}
