/* Something to look at with a debugger: calls, a variable, an exception, a wait. */
#include "support.h"

static volatile int counter = 41;
static volatile double half = 0.5;

__attribute__((noinline)) static int add(int value)
{
    counter += value;
    return counter;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    int first = add(1);
    int second = add(first);
    switch (info->cmdline[0]) {
    case 'f':
        *(volatile int *)8 = second;
        break;
    case 's':
        for (;;)
            counter++;
    case 'w':
        for (;;)
            solo5_yield(solo5_clock_monotonic() + UINT64_C(3600000000000), NULL);
    }
    say("done\n");
    return second == 84 ? 7 : 1;
}
