/* Text for the console: printf() and its family, without floating-point numbers. */

#include "internal.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct mnet_posix_file {
    int fd;
};

static struct mnet_posix_file files[3] = { { STDIN_FILENO }, { STDOUT_FILENO }, { STDERR_FILENO } };
FILE *const mnet_posix_stdin = &files[0];
FILE *const mnet_posix_stdout = &files[1];
FILE *const mnet_posix_stderr = &files[2];

/* Where text goes: into memory as far as there is room, or, with a file, from there to it when it is full. */
struct output {
    char *bytes;
    size_t size, used, length;
    FILE *file;
    int failed;
};

/* A conversion, from its flags to its precision. */
struct conversion {
    int left, zeros, sign, space, other;
    size_t width;
    /* -1: not given. */
    int precision;
};

static void flush(struct output *output)
{
    if (output->used > 0 && write(output->file->fd, output->bytes, output->used) < 0)
        output->failed = 1;
    output->used = 0;
}

static void put(struct output *output, char letter)
{
    if (output->used == output->size && output->file != NULL)
        flush(output);
    if (output->used < output->size)
        output->bytes[output->used++] = letter;
    output->length++;
}

static void fill(struct output *output, char letter, size_t taken, size_t width)
{
    for (; taken < width; taken++)
        put(output, letter);
}

/* Text between blanks, as wide as the conversion says. */
static void put_text(struct output *output, const struct conversion *how, const char *text, size_t length)
{
    if (!how->left)
        fill(output, ' ', length, how->width);
    for (size_t i = 0; i < length; i++)
        put(output, text[i]);
    if (how->left)
        fill(output, ' ', length, how->width);
}

/* A number: blanks, sign or 0x, zeros, digits, blanks. */
static void put_number(struct output *output, struct conversion how, const char *prefix, uintmax_t number,
                       unsigned base, int capitals)
{
    const char *letters = capitals ? "0123456789ABCDEF" : "0123456789abcdef";
    char digits[24];
    size_t count = 0, zeros, before = strlen(prefix);
    for (; number > 0; number /= base)
        digits[count++] = letters[number % base];
    zeros = count;
    if (how.precision >= 0) {
        if ((size_t)how.precision > zeros)
            zeros = (size_t)how.precision;
    } else if (how.zeros && !how.left && how.width > before + count) {
        zeros = how.width - before;
    }
    if (how.precision < 0 && zeros == 0)
        zeros = 1;
    /* Octal numbers of the other form begin with a zero. */
    if (base == 8 && how.other && zeros == count)
        zeros++;
    if (!how.left)
        fill(output, ' ', before + zeros, how.width);
    for (; *prefix != '\0'; prefix++)
        put(output, *prefix);
    fill(output, '0', count, zeros);
    for (size_t i = count; i > 0; i--)
        put(output, digits[i - 1]);
    if (how.left)
        fill(output, ' ', before + zeros, how.width);
}

/* A number of a format, or the argument that a * stands for. */
static const char *read_number(const char *format, int *number, va_list *arguments)
{
    *number = 0;
    if (*format == '*') {
        *number = va_arg(*arguments, int);
        return format + 1;
    }
    for (; *format >= '0' && *format <= '9'; format++)
        *number = *number < 100000 ? *number * 10 + (*format - '0') : *number;
    return format;
}

static const char *read_flags(const char *format, struct conversion *how)
{
    for (;; format++)
        switch (*format) {
        case '-': how->left = 1; break;
        case '0': how->zeros = 1; break;
        case '+': how->sign = 1; break;
        case ' ': how->space = 1; break;
        case '#': how->other = 1; break;
        default: return format;
        }
}

/* The size of an integer argument: the letters in front of its conversion. */
static const char *read_size(const char *format, size_t *size)
{
    *size = sizeof(int);
    if (format[0] == 'h') {
        *size = format[1] == 'h' ? sizeof(char) : sizeof(short);
        return format + (format[1] == 'h' ? 2 : 1);
    }
    /* On this platform long, long long, intmax_t, size_t and ptrdiff_t are one size. */
    for (; *format == 'l' || *format == 'j' || *format == 'z' || *format == 't'; format++)
        *size = sizeof(long);
    return format;
}

static void put_signed(struct output *output, const struct conversion *how, size_t size, va_list *arguments)
{
    long number = size == sizeof(long) ? va_arg(*arguments, long) : va_arg(*arguments, int);
    if (size == sizeof(char))
        number = (signed char)number;
    else if (size == sizeof(short))
        number = (short)number;
    uintmax_t magnitude = number < 0 ? 0 - (uintmax_t)number : (uintmax_t)number;
    const char *sign = number < 0 ? "-" : how->sign ? "+" : how->space ? " " : "";
    put_number(output, *how, sign, magnitude, 10, 0);
}

static void put_unsigned(struct output *output, const struct conversion *how, size_t size, char kind,
                         va_list *arguments)
{
    unsigned long number = size == sizeof(long) ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned);
    unsigned base = kind == 'u' ? 10 : kind == 'o' ? 8 : 16;
    if (size == sizeof(char))
        number = (unsigned char)number;
    else if (size == sizeof(short))
        number = (unsigned short)number;
    const char *prefix = base == 16 && how->other && number != 0 ? (kind == 'X' ? "0X" : "0x") : "";
    put_number(output, *how, prefix, number, base, kind == 'X');
}

static void put_string(struct output *output, const struct conversion *how, const char *text)
{
    size_t length = 0;
    if (text == NULL)
        text = how->precision >= 0 && how->precision < 6 ? "" : "(null)";
    while ((how->precision < 0 || length < (size_t)how->precision) && text[length] != '\0')
        length++;
    put_text(output, how, text, length);
}

/* Nobody else has the list: it is used up as the format says. */
static void put_all(struct output *output, const char *format, va_list *arguments)
{
    for (; *format != '\0'; format++) {
        struct conversion how = { .precision = -1 };
        int number;
        size_t size;
        if (*format != '%') {
            put(output, *format);
            continue;
        }
        format = read_number(read_flags(format + 1, &how), &number, arguments);
        how.left |= number < 0;
        how.width = number < 0 ? 0 - (size_t)number : (size_t)number;
        if (*format == '.') {
            format = read_number(format + 1, &number, arguments);
            how.precision = number < 0 ? -1 : number;
        }
        format = read_size(format, &size);
        switch (*format) {
        case 'd':
        case 'i':
            put_signed(output, &how, size, arguments);
            break;
        case 'u':
        case 'o':
        case 'x':
        case 'X':
            put_unsigned(output, &how, size, *format, arguments);
            break;
        case 'p': {
            uintptr_t address = (uintptr_t)va_arg(*arguments, void *);
            if (address == 0)
                put_text(output, &how, "(nil)", 5);
            else
                put_number(output, how, "0x", address, 16, 0);
            break;
        }
        case 'c': {
            char letter = (char)va_arg(*arguments, int);
            put_text(output, &how, &letter, 1);
            break;
        }
        case 's':
            put_string(output, &how, va_arg(*arguments, const char *));
            break;
        case '%':
            put(output, '%');
            break;
        default:
            /* Not a conversion of ours: nothing behind it could be trusted. */
            return;
        }
    }
}

/* What is too long for the result cannot be said. */
static int length_of(const struct output *output)
{
    return output->failed || output->length > INT_MAX ? EOF : (int)output->length;
}

int vfprintf(FILE *file, const char *format, va_list arguments)
{
    char bytes[256];
    struct output output = { .bytes = bytes, .size = sizeof bytes, .file = file };
    va_list copy;
    va_copy(copy, arguments);
    put_all(&output, format, &copy);
    va_end(copy);
    flush(&output);
    return length_of(&output);
}

int vsnprintf(char *to, size_t size, const char *format, va_list arguments)
{
    struct output output = { .bytes = to, .size = size > 0 ? size - 1 : 0 };
    va_list copy;
    va_copy(copy, arguments);
    put_all(&output, format, &copy);
    va_end(copy);
    if (size > 0)
        to[output.used] = '\0';
    return length_of(&output);
}

int vprintf(const char *format, va_list arguments)
{
    return vfprintf(stdout, format, arguments);
}

int printf(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vfprintf(stdout, format, arguments);
    va_end(arguments);
    return length;
}

int fprintf(FILE *file, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vfprintf(file, format, arguments);
    va_end(arguments);
    return length;
}

int snprintf(char *to, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(to, size, format, arguments);
    va_end(arguments);
    return length;
}

int sprintf(char *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(to, INT_MAX, format, arguments);
    va_end(arguments);
    return length;
}

size_t fwrite(const void *items, size_t size, size_t count, FILE *file)
{
    size_t all;
    if (size == 0 || __builtin_mul_overflow(size, count, &all))
        return 0;
    return write(file->fd, items, all) < 0 ? 0 : count;
}

int fputs(const char *text, FILE *file)
{
    return write(file->fd, text, strlen(text)) < 0 ? EOF : 1;
}

int puts(const char *text)
{
    return printf("%s\n", text) < 0 ? EOF : 1;
}

int fputc(int letter, FILE *file)
{
    char byte = (char)letter;
    return write(file->fd, &byte, 1) < 0 ? EOF : (unsigned char)byte;
}

int putc(int letter, FILE *file)
{
    return fputc(letter, file);
}

int putchar(int letter)
{
    return fputc(letter, stdout);
}

void perror(const char *words)
{
    const char *text = strerror(errno);
    if (words != NULL && *words != '\0')
        fprintf(stderr, "%s: %s\n", words, text);
    else
        fprintf(stderr, "%s\n", text);
}

int fflush(FILE *file)
{
    (void)file;
    return 0;
}
