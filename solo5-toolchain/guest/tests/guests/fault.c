/* Does what memory protection forbids; its command line says what. */
#include "support.h"

static const char constant[] = "constant";
/* One instruction, return, in memory that is not executable. */
static unsigned char code_in_data[16] = { 0xc3 };

int solo5_app_main(const struct solo5_start_info *info)
{
    const char *what = info->cmdline;
    say("trying\n");
    if (same(what, "unmapped"))
        *(volatile int *)0x400000000 = 1;
    if (same(what, "zero"))
        *(volatile int *)8 = 1;
    if (same(what, "zero-call"))
        __asm__ volatile("call *%0" : : "r"((uintptr_t)0) : "memory");
    if (same(what, "text"))
        *(volatile char *)(uintptr_t)solo5_app_main = 1;
    if (same(what, "rodata"))
        *(volatile char *)(uintptr_t)constant = 1;
    if (same(what, "data-call"))
        __asm__ volatile("call *%0" : : "r"(code_in_data) : "memory");
    if (same(what, "heap-call")) {
        *(volatile unsigned char *)info->heap_start = 0xc3;
        __asm__ volatile("call *%0" : : "r"(info->heap_start) : "memory");
    }
    if (same(what, "illegal"))
        __asm__ volatile("ud2");
    if (same(what, "dup"))
        __asm__ volatile("syscall" : : "a"(32), "D"(1) : "rcx", "r11", "memory");
    return SUCCESS();
}
