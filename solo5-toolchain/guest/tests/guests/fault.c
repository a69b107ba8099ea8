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
    if (same(what, "rodata-call"))
        __asm__ volatile("call *%0" : : "r"(constant) : "memory");
    if (same(what, "stack-call")) {
        volatile unsigned char code = 0xc3;
        __asm__ volatile("call *%0" : : "r"(&code) : "memory");
    }
    if (same(what, "beyond"))
        *(volatile char *)(info->heap_start + info->heap_size) = 1;
    if (same(what, "illegal"))
        __asm__ volatile("ud2");
    if (same(what, "dup"))
        __asm__ volatile("syscall" : : "a"(32), "D"(1) : "rcx", "r11", "memory");
    if (same(what, "divide"))
        __asm__ volatile("xorl %%ecx, %%ecx; divl %%ecx" : : "a"(1), "d"(0) : "ecx");
    if (same(what, "breakpoint"))
        __asm__ volatile("int3");
    if (same(what, "halt"))
        __asm__ volatile("hlt");
    if (same(what, "cr3"))
        __asm__ volatile("movq %0, %%cr3" : : "r"((uintptr_t)0));
    if (same(what, "port"))
        __asm__ volatile("outl %0, %1" : : "a"(0), "Nd"((uint16_t)0x80));
#ifdef HVT
    if (same(what, "port-in"))
        __asm__ volatile("inl %1, %0" : "=a"(*(uint32_t *)info->heap_start) : "Nd"((uint16_t)0x500));
    if (same(what, "handler-port"))
        __asm__ volatile("outb %0, %1" : : "a"((uint8_t)0), "Nd"((uint16_t)0xce));
    if (same(what, "call-0"))
        __asm__ volatile("outl %0, %1" : : "a"(0x200000), "Nd"((uint16_t)0x500));
    if (same(what, "net-call"))
        __asm__ volatile("outl %0, %1" : : "a"(0x200000), "Nd"((uint16_t)0x506));
    if (same(what, "doorbell"))
        __asm__ volatile("outl %0, %1" : : "a"(0), "Nd"((uint16_t)0x600));
    if (same(what, "pointer"))
        __asm__ volatile("outl %0, %1" : : "a"(0xfffffff8), "Nd"((uint16_t)0x502));
    /* The tender's index in the ring, as no tender writes it, and then a trap. */
    if (same(what, "ring-trap")) {
        *(volatile uint32_t *)(info->heap_start + info->heap_size + 64) = 0x80000000;
        *(volatile int *)0x400000000 = 1;
    }
    /* The tender must not write for us where we cannot write: the wall clock, and the result of poll. */
    if (same(what, "clock-text"))
        __asm__ volatile("outl %0, %1" : : "a"((uint32_t)(uintptr_t)solo5_app_main),
                         "Nd"((uint16_t)0x501) : "memory");
    if (same(what, "clock-rodata"))
        __asm__ volatile("outl %0, %1" : : "a"((uint32_t)(uintptr_t)constant),
                         "Nd"((uint16_t)0x501) : "memory");
    if (same(what, "poll-boot-info"))
        __asm__ volatile("outl %0, %1" : : "a"(0x10000), "Nd"((uint16_t)0x503) : "memory");
    if (same(what, "monitor"))
        *(volatile char *)0x100000000 = 1;
    if (same(what, "boot-info"))
        *(volatile char *)0x10000 = 1;
    if (same(what, "page-tables"))
        *(volatile char *)0x2000 = 1;
    if (same(what, "stack"))
        for (volatile char *at = (volatile char *)__builtin_frame_address(0);; at -= 4096)
            *at = 1;
#endif
    return SUCCESS();
}
