/* Prints the value of the stack protector's guard. */
#include "support.h"

extern uintptr_t __stack_chk_guard;

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    say("guard ");
    say_number(__stack_chk_guard);
    say("\n");
    return SUCCESS();
}
