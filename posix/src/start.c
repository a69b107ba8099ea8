/* Programs that start in main(): a stack as the command line says, arguments, and an orderly end.
   It is linked only into a program that has no solo5_app_main() of its own. */

#include "internal.h"

#include <solo5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The program's own stack lies at the end of the heap. */
#define STACK_RESERVE ((size_t)512 << 10)
#define ARENA_MAX ((size_t)64 << 20)
#define LINE_MAX 4096
#define ARGUMENTS_MAX 64

int main(int argc, char **argv);

static char line[LINE_MAX];
static char *arguments[ARGUMENTS_MAX + 1];

/* Cuts a text at blanks, but not between quotation marks, which it takes away. */
static int split(char *from, char **words, int max)
{
    int count = 0;
    char *to = from;
    while (count < max) {
        while (*from == ' ')
            from++;
        if (*from == '\0')
            break;
        words[count++] = to;
        char quote = '\0';
        for (; *from != '\0' && (quote != '\0' || *from != ' '); from++) {
            if (*from == quote)
                quote = '\0';
            else if (quote == '\0' && (*from == '"' || *from == '\''))
                quote = *from;
            else
                *to++ = *from;
        }
        if (*from != '\0')
            from++;
        *to++ = '\0';
    }
    words[count] = NULL;
    return count;
}

/* What stands behind " -- " is the program's; it is cut off. */
static char *behind_hyphens(char *text)
{
    for (char *at = text; *at != '\0'; at++) {
        int starts = at == text || at[-1] == ' ';
        if (starts && at[0] == '-' && at[1] == '-' && (at[2] == ' ' || at[2] == '\0')) {
            char *rest = at + (at[2] == ' ' ? 3 : 2);
            *at = '\0';
            return rest;
        }
    }
    return text + strlen(text);
}

static void say(const char *text)
{
    solo5_console_write(text, strlen(text));
}

int solo5_app_main(const struct solo5_start_info *info)
{
    struct mnet_args args;
    struct mnet_config config;
    if (mnet_abi_version() != MNET_ABI_VERSION) {
        say("header and library of mnet do not belong together\n");
        return SOLO5_EXIT_FAILURE;
    }
    size_t length = strlen(info->cmdline);
    if (length >= LINE_MAX) {
        say("the command line is too long\n");
        return SOLO5_EXIT_FAILURE;
    }
    memcpy(line, info->cmdline, length + 1);
    char *own = behind_hyphens(line);
    mnet_args_default(&args, sizeof args);
    int begins = mnet_args_parse(&args, line);
    if (begins <= 0)
        return begins == 0 ? SOLO5_EXIT_SUCCESS : SOLO5_EXIT_FAILURE;
    mnet_config_default(&config, sizeof config);
    config.arena = (void *)info->heap_start;
    config.arena_size = info->heap_size > STACK_RESERVE ? info->heap_size - STACK_RESERVE : 0;
    if (config.arena_size > ARENA_MAX)
        config.arena_size = ARENA_MAX;
    config.flags = MNET_CONFIG_ARENA_ZERO;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0) {
        say("cannot open the network: ");
        say(mnet_strerror((int)stack));
        say("\n");
        return SOLO5_EXIT_FAILURE;
    }
    mnet_posix_init(stack);
    /* Until there is an address, where one is to come. */
    if (args.device[0].ipv4 == MNET_ARGS_IPV4_DHCP || args.device[0].ipv4 == MNET_ARGS_IPV4_NONE)
        mnet_wait_address(stack, 0, MNET_AF_NONE, 30 * SECOND, NULL);
    arguments[0] = "unikernel";
    int count = 1 + split(own, arguments + 1, ARGUMENTS_MAX - 1);
    exit(main(count, arguments));
}
