/* What programs print, and read of their arguments: the same here and there. */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

/* What a compiler knows it would warn about, or work out itself. */
static const char *volatile nothing;
static void *volatile nowhere;
static volatile int zero;
static char *volatile address = (char *)0x1234abcd;

static void numbers(void)
{
    static const int some[] = { 0, 1, -1, 9, 10, 4711, INT_MAX, INT_MIN };
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        int n = some[i];
        unsigned u = (unsigned)n;
        printf("%d|%i|%5d|%-5d|%05d|%+d|% d|%.3d|%8.3d|%.0d|%+08d|\n", n, n, n, n, n, n, n, n, n, n, n);
        printf("%u|%x|%X|%o|%#x|%#X|%#o|%08x|%-8x|%#010x|%.0u|%#.0o|\n", u, u, u, u, u, u, u, u, u, u, u, u);
        printf("%hhd|%hd|%hhu|%hx|%*d|%-*d|%*d|%.*d|%.*d|\n", (signed char)n, (short)n, (unsigned char)u,
               (unsigned short)u, 7, n, 7, n, -7, n, 4, n, -1, n);
    }
    printf("%ld|%lld|%lu|%llx|%zu|%zd|%jd|%td|\n", LONG_MIN, LLONG_MAX, ULONG_MAX, ULLONG_MAX, sizeof some,
           (ssize_t)-1, (intmax_t)-5, &some[3] - &some[0]);
}

static void words(void)
{
    char to[8], more[400];
    printf("%s|%7s|%-7s|%.2s|%5.1s|%.*s|%s|%.3s|%c|%3c|%-3c|%%|\n", "text", "text", "text", "text", "text", 3, "text",
           nothing, nothing, 'a', 'b', 'c');
    printf("%p|%12p|%p|\n", (void *)address, (void *)address, nowhere);
    printf("%d %s\n", snprintf(to, sizeof to - (size_t)zero, "%s", "too long for it"), to);
    printf("%d\n", snprintf(more, (size_t)zero, "%d and %s", 12, "no room"));
    printf("%d\n", sprintf(more, "%300d", 1) == 300 ? 1 : 0);
    printf("%s\n", "a line that is longer than what is printed at a time: it comes in pieces, of which none is lost, "
                   "and none comes twice, whatever the size of the buffer that they go through on their way may be, "
                   "and it goes on until it is longer than two hundred and fifty-six bytes, as it is by now, surely");
    puts("puts");
    fputs("fputs\n", stdout);
    putchar('p');
    putc('u', stdout);
    fputc('t', stdout);
    printf("\n");
    printf("%zu\n", fwrite("twice\ntwice\n", 6, 2, stdout));
    fflush(stdout);
    fprintf(stderr, "an error: %d\n", 5);
    errno = ECONNREFUSED;
    perror("perror");
    errno = ERANGE;
    perror("");
}

static void number(const char *text, int base)
{
    char *end = NULL;
    errno = 0;
    long value = strtol(text, &end, base);
    printf("%s, %d: %ld, errno %d, then '%s'\n", text, base, value, errno, end == NULL ? "-" : end);
}

static void reading(void)
{
    char to[8];
    number("42", 10);
    number(" \t-42rest", 10);
    number("+7", 10);
    number("0x1f", 0);
    number("0X1F", 16);
    number("0xg", 16);
    number("017", 0);
    number("09", 0);
    number("zz", 36);
    number("", 10);
    number("-", 10);
    number("no", 10);
    number("9223372036854775807", 10);
    number("9223372036854775808", 10);
    number("-9223372036854775808", 10);
    number("-9223372036854775809x", 10);
    number("99999999999999999999999999", 10);
    printf("%d %d %d\n", atoi("12ab"), atoi(" -3"), atoi("x"));
    printf("%zu %zu\n", strcspn("line\r\n", "\r\n"), strcspn("line", "\r\n"));
    printf("%s %d\n", strrchr("a/b/c", '/'), strrchr("abc", '/') == NULL);
    memset(to, 'x', sizeof to);
    strncpy(to, "abc", 6);
    printf("%s %d %d %c\n", to, to[4], to[5], to[6]);
}

static void handler(int signal_number)
{
    (void)signal_number;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        printf("%d: %s\n", i, argv[i]);
    numbers();
    words();
    reading();
    printf("%d %d %d\n", signal(SIGPIPE, SIG_IGN) == SIG_DFL, signal(SIGPIPE, handler) == SIG_IGN,
           signal(SIGPIPE, SIG_DFL) == handler);
    errno = 0;
    printf("%d %d\n", signal(SIGKILL, SIG_IGN) == SIG_ERR, errno);
    return EXIT_SUCCESS;
}
