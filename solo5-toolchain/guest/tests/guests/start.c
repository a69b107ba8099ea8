/* Start-of-day contract: heap, stack, thread pointer. */
#include "support.h"

extern char _end[];

int solo5_app_main(const struct solo5_start_info *info)
{
    uintptr_t start = info->heap_start;
    uintptr_t end = start + info->heap_size;
    uintptr_t stack = (uintptr_t)__builtin_frame_address(0);

    EXPECT(start % 4096 == 0);
    EXPECT(start >= (uintptr_t)_end && start - (uintptr_t)_end < 4096);
    EXPECT(info->heap_size >= 512 * 1024);
    EXPECT(end % (1024 * 1024) == 0);
    EXPECT(stack > start && stack < end && end - stack < 4096);
    EXPECT(stack % 16 == 0);

    /* All of it is there, zero, and keeps what is written; up to 64 KiB below the stack. */
    volatile uint64_t *word;
    for (word = (uint64_t *)start; (uintptr_t)word < stack - 65536; word++) {
        if (*word != 0)
            EXPECT(*word == 0);
        *word = (uintptr_t)word;
    }
    for (word = (uint64_t *)start; (uintptr_t)word < stack - 65536; word++)
        if (*word != (uintptr_t)word)
            EXPECT(*word == (uintptr_t)word);

    say("memory is ");
    say_number(end);
    say("\n");
    return SUCCESS();
}
