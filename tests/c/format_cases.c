/* Tests of the formats of include/mnet_program.h on Linux, with sanitizers: they are as those of snprintf(). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mnet_program.h>

static char console[2 * MNET_PRINT_MAX];
static size_t console_length;

void solo5_console_write(const char *text, size_t size)
{
    memcpy(console, text, size);
    console_length = size;
}

static int failures;

/* The same text and length as snprintf() has, in a buffer of any size that is not a byte too long. */
#define SAME(...)                                                                             \
    do {                                                                                      \
        for (size_t size = 0; size < 80; size++) {                                            \
            char wanted[80];                                                                  \
            char *got = malloc(size > 0 ? size : 1);                                          \
            int length = snprintf(size > 0 ? wanted : NULL, size, __VA_ARGS__);               \
            if (mnet_format(size > 0 ? got : NULL, size, __VA_ARGS__) != (size_t)length       \
                || (size > 0 && strcmp(got, wanted) != 0)) {                                  \
                failures++;                                                                   \
                printf("line %d, size %zu: %s\n", __LINE__, size, size > 0 ? got : "length"); \
            }                                                                                 \
            free(got);                                                                        \
        }                                                                                     \
    } while (0)

int main(void)
{
    SAME("text");
    SAME("%%, %s and %c", "some", 'x');
    SAME("%s|%s", "", "end");
    SAME("%5d|%05d|%2d|%02d|%d", -5, -5, -123, -123, -1);
    SAME("%.*s|", 3, "abcdef");
    SAME("%d %i %d %d", 0, -1, INT_MIN, INT_MAX);
    SAME("%u %x %u", 0u, 0xbeefu, UINT_MAX);
    SAME("%lu %ld %ld %lx", ULONG_MAX, LONG_MIN, LONG_MAX, ULONG_MAX);
    SAME("%llu %lld %zu %zx", ULLONG_MAX, LLONG_MIN, SIZE_MAX, (size_t)1);
    SAME("%02u:%02u %5u|%3x", 7u, 123u, 42u, 0xau);
    mnet_print("%s%s\n", "two pieces, ", "one write");
    if (console_length != 22 || memcmp(console, "two pieces, one write\n", 22) != 0)
        failures++;
    /* What is too long is cut off, and what has no terminator is not read beyond its length. */
    char *filler = malloc(3 * MNET_PRINT_MAX);
    memset(filler, 'x', 3 * MNET_PRINT_MAX);
    mnet_print("%.*s", 3 * MNET_PRINT_MAX, filler);
    if (console_length != MNET_PRINT_MAX - 1)
        failures++;
    free(filler);
    printf("%d failures\n", failures);
    return failures > 0;
}
