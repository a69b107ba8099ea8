/* Says hello, and what it was told. The smallest unikernel there is: no device, no library. */
#include <solo5.h>

static void say(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    solo5_console_write(text, length);
}

int solo5_app_main(const struct solo5_start_info *info)
{
    say("Hello from a unikernel!\n");
    if (info->cmdline[0] != '\0') {
        say("My command line is: ");
        say(info->cmdline);
        say("\n");
    }
    return SOLO5_EXIT_SUCCESS;
}
