/* Programs that start in main(): a stack as the command line says, arguments, and an orderly end.
   It is linked only into a program that has no solo5_app_main() of its own. */

#include "internal.h"

#include <mnet_program.h>
#include <solo5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Stack beside MNET_STACK_RESERVE. */
#define MORE_STACK ((size_t)256 << 10)
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

int solo5_app_main(const struct solo5_start_info *info)
{
    struct mnet_args args;
    struct mnet_config config;
    if (mnet_program_begin(&args, &config, info) < 0)
        return SOLO5_EXIT_FAILURE;
    /* Programs of Unix are used to more stack than that leaves. */
    config.arena_size -= config.arena_size < MORE_STACK ? config.arena_size : MORE_STACK;
    size_t length = strlen(info->cmdline);
    if (length >= LINE_MAX) {
        mnet_print("the command line is too long\n");
        return SOLO5_EXIT_FAILURE;
    }
    memcpy(line, info->cmdline, length + 1);
    struct solo5_start_info network = *info;
    network.cmdline = line;
    char *own = behind_hyphens(line);
    arguments[0] = "unikernel";
    int status = mnet_program_parse(&args, &network, arguments[0], NULL, NULL, 0);
    if (status == SOLO5_EXIT_FAILURE)
        mnet_print("%s: the arguments of main() stand behind a last --\n", arguments[0]);
    if (status >= 0)
        return status;
    mnet_stack stack = mnet_open_args(&config, &args);
    if (stack < 0)
        return mnet_fail(&args, "cannot open the network", stack);
    mnet_posix_init(stack);
    /* Until there is an address, where one is to come. */
    if (args.device[0].ipv4 == MNET_ARGS_IPV4_DHCP || args.device[0].ipv4 == MNET_ARGS_IPV4_NONE)
        mnet_wait_address(stack, 0, MNET_AF_NONE, 30 * SECOND, NULL);
    int count = 1 + split(own, arguments + 1, ARGUMENTS_MAX - 1);
    exit(main(count, arguments));
}
