/* Overruns a buffer on the stack. */
#include "support.h"

extern uintptr_t __stack_chk_guard;

__attribute__((noinline)) static void overrun(size_t size)
{
    char buffer[8];
    for (volatile size_t i = 0; i < size; i++)
        ((volatile char *)buffer)[i] = 'x';
    say("the end of the function\n");
}

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    EXPECT((__stack_chk_guard & 0xff00) == 0);
    EXPECT(__stack_chk_guard >> 32 != 0);
    overrun(8);
    overrun(64);
    return SUCCESS();
}
