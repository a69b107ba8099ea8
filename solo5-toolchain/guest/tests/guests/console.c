/* More output than fits anywhere, in one go; then nothing; then a NUL. */
#include "support.h"

static char text[1 << 20];

int solo5_app_main(const struct solo5_start_info *info)
{
    (void)info;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 64 == 63 ? '\n' : (char)('0' + i / 64 % 64);
    solo5_console_write(text, sizeof text);
    solo5_console_write(text, 0);
    solo5_console_write("a\0b\n", 4);
#ifndef HVT
    /* Lost, and nothing else. */
    solo5_console_write((const char *)0x1000, 10);
#endif
    return SUCCESS();
}
