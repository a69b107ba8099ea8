/* Zeroed data that leaves no room for a heap in 2 MiB, and enough in 8. */
#include "support.h"

static volatile char zeroed[800 * 1024];

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    zeroed[sizeof zeroed - 1] = 1;
    return SUCCESS();
}
