/* What the guests of the tests share: output, and ending with a verdict. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <solo5.h>

static inline size_t length_of(const char *text)
{
    size_t length = 0;
    while (text[length] != '\0')
        length++;
    return length;
}

static inline void say(const char *text)
{
    solo5_console_write(text, length_of(text));
}

static inline void say_number(uint64_t number)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    solo5_console_write(digits + at, sizeof digits - at);
}

static inline bool same(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

/* Ends the guest with status 1 and the place, unless the condition holds. */
#define EXPECT(condition)                                                       \
    do {                                                                        \
        if (!(condition)) {                                                     \
            say("FAILURE: line " TEXT(__LINE__) ": " #condition "\n");          \
            solo5_exit(SOLO5_EXIT_FAILURE);                                     \
        }                                                                       \
    } while (0)

/* The last line of a guest that found everything as expected. */
#define SUCCESS() (say("SUCCESS\n"), SOLO5_EXIT_SUCCESS)

#endif
