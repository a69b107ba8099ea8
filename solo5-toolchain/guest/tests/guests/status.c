/* Ends in the way that the first letter of its command line says, with the status that follows. */
#include "support.h"

int solo5_app_main(const struct solo5_start_info *info)
{
    const char *text = info->cmdline;
    char how = *text++;
    int sign = *text == '-' ? -1 : 1;
    int status = 0;
    if (*text == '-')
        text++;
    while (*text >= '0' && *text <= '9')
        status = status * 10 + (*text++ - '0');
    status *= sign;
    if (how == 'a')
        solo5_abort();
    if (how == 'e')
        solo5_exit(status);
    return status;
}
