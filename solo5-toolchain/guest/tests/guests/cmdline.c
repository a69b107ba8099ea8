/* Prints its command line between brackets. */
#include "support.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    say("[");
    say(info->cmdline);
    say("]\n");
    return SUCCESS();
}
