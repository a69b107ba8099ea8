/* Reads a thread-local word without having set the thread pointer. */
#include "support.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    uint64_t word;
    say("reading\n");
    __asm__ volatile("movq %%fs:0x28, %0" : "=r"(word));
    say_number(word);
    return SUCCESS();
}
