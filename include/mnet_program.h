/*
 * mnet_program.h: what most programs in C write the same way: text for the console, and how they begin.
 *
 * It is source, compiled into the program, and no part of the library: it uses mnet.h and solo5.h as a program does,
 * and a program may do without it. What is not used costs nothing. GCC and Clang check the arguments of its formats.
 *
 *     int solo5_app_main(const struct solo5_start_info *info)
 *     {
 *         struct mnet_args args;
 *         struct mnet_config config;
 *         if (mnet_program_begin(&args, &config, info) < 0)
 *             return SOLO5_EXIT_FAILURE;
 *         int status = mnet_program_parse(&args, info, "server", "It serves.", NULL, 0);
 *         if (status >= 0)
 *             return status;
 *         mnet_stack stack = mnet_open_args(&config, &args);
 *         if (stack < 0)
 *             return mnet_fail(&args, "cannot open the network", stack);
 *         mnet_print("server: it begins\n");
 *
 * Usable from C99, C11 and later, and from C++.
 */
#ifndef MNET_PROGRAM_H
#define MNET_PROGRAM_H

#include <mnet.h>
#include <solo5.h>
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define MNET_FORMAT(text, first) __attribute__((format(printf, text, first)))
#else
#define MNET_FORMAT(text, first)
#endif

/* What mnet_print() prints at a time; the rest is cut off. */
#define MNET_PRINT_MAX 1024

/* Bytes at the end of the heap that mnet_program_begin() leaves to the program's own stack. */
#define MNET_STACK_RESERVE ((size_t)256 << 10)

/*
 * Most memory that mnet_program_begin() gives to the network: thousands of connections, and windows of a mebibyte for
 * dozens of fast ones.
 */
#define MNET_ARENA_MAX ((size_t)32 << 20)

/* ------------------------------------------------------------------------------------------------------- text --- */

/* Text on its way into a buffer; length counts what does not fit, too. */
struct mnet_format_output {
    char *bytes;
    size_t size;
    size_t length;
};

static inline void mnet_format_put(struct mnet_format_output *output, char byte)
{
    if (output->length + 1 < output->size)
        output->bytes[output->length] = byte;
    output->length++;
}

static inline void mnet_format_number(struct mnet_format_output *output, int negative, unsigned long long number,
                                      unsigned base, char fill, int width)
{
    char digits[24];
    int count = 0;
    do {
        digits[count++] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number > 0);
    /* Zeros come after the sign, spaces before it. */
    if (negative && fill == '0')
        mnet_format_put(output, '-');
    for (int i = count + (negative != 0); i < width; i++)
        mnet_format_put(output, fill);
    if (negative && fill != '0')
        mnet_format_put(output, '-');
    while (count > 0)
        mnet_format_put(output, digits[--count]);
}

/* As mnet_format(), with the arguments in a list. */
static inline size_t mnet_vformat(char *buf, size_t size, const char *format, va_list arguments)
{
    struct mnet_format_output output = { buf, size, 0 };
    for (; *format != '\0'; format++) {
        char fill = ' ';
        int width = 0, precision = -1, longs = 0;
        if (*format != '%') {
            mnet_format_put(&output, *format);
            continue;
        }
        format++;
        if (*format == '0')
            fill = *format++;
        while (*format >= '0' && *format <= '9' && width < 1000)
            width = width * 10 + (*format++ - '0');
        if (format[0] == '.' && format[1] == '*') {
            precision = va_arg(arguments, int);
            format += 2;
        }
        /* On this platform long, long long, size_t and pointers are one size. */
        for (; *format == 'l' || *format == 'z'; format++)
            longs++;
        switch (*format) {
        case 's': {
            const char *text = va_arg(arguments, const char *);
            for (int i = 0; precision < 0 ? text[i] != '\0' : i < precision; i++)
                mnet_format_put(&output, text[i]);
            break;
        }
        case 'c':
            mnet_format_put(&output, (char)va_arg(arguments, int));
            break;
        case 'd':
        case 'i': {
            long long number = longs > 0 ? va_arg(arguments, long long) : va_arg(arguments, int);
            unsigned long long magnitude = (unsigned long long)number;
            if (number < 0)
                magnitude = 0 - magnitude;
            mnet_format_number(&output, number < 0, magnitude, 10, fill, width);
            break;
        }
        case 'u':
        case 'x': {
            unsigned long long number =
                longs > 0 ? va_arg(arguments, unsigned long long) : va_arg(arguments, unsigned);
            mnet_format_number(&output, 0, number, *format == 'u' ? 10 : 16, fill, width);
            break;
        }
        case '%':
            mnet_format_put(&output, '%');
            break;
        default:
            /* Not a conversion of ours: nothing behind it could be trusted. */
            format = "";
        }
        if (*format == '\0')
            break;
    }
    if (size > 0)
        buf[output.length < size ? output.length : size - 1] = '\0';
    return output.length;
}

/*
 * Writes text into a buffer as snprintf() does: what does not fit is cut off, and there is a NUL at the end.
 *
 * - buf, size: where the text goes. NULL is allowed with size 0.
 * - format: %s, %.*s (length and text; it need not have a NUL), %c, %d, %i, %u, %x and %%. Numbers may have a width, with
 *   0 in front of it for zeros instead of spaces, and l, ll or z for their size. The text ends where something else
 *   follows a %.
 *
 * Returns the length of the whole text without the NUL, whether it fits or not.
 */
static inline size_t MNET_FORMAT(3, 4) mnet_format(char *buf, size_t size, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t length = mnet_vformat(buf, size, format, arguments);
    va_end(arguments);
    return length;
}

/* Writes text to the console in one piece, MNET_PRINT_MAX - 1 bytes at most; format as for mnet_format(). */
static inline void MNET_FORMAT(1, 2) mnet_print(const char *format, ...)
{
    char text[MNET_PRINT_MAX];
    va_list arguments;
    va_start(arguments, format);
    size_t length = mnet_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    solo5_console_write(text, length < sizeof text ? length : sizeof text - 1);
}

/* ---------------------------------------------------------------------------------------------------- beginning --- */

/*
 * Makes sure that header and library belong together, and fills both structures with their defaults, the heap as the
 * arena: MNET_ARENA_MAX at most, and not the last MNET_STACK_RESERVE bytes of the heap. Nobody else may have used it.
 *
 * Next change what is to be different in args, then call mnet_program_parse() and mnet_open_args().
 *
 * Returns 0, or MNET_EINVAL: they do not belong together, which was printed.
 */
static inline int mnet_program_begin(struct mnet_args *args, struct mnet_config *config,
                                     const struct solo5_start_info *info)
{
    if (mnet_abi_version() != MNET_ABI_VERSION) {
        mnet_print("header and library of mnet do not belong together\n");
        return MNET_EINVAL;
    }
    mnet_args_default(args, sizeof *args);
    mnet_config_default(config, sizeof *config);
    config->arena = (void *)info->heap_start;
    config->arena_size = info->heap_size > MNET_STACK_RESERVE ? info->heap_size - MNET_STACK_RESERVE : 0;
    if (config->arena_size > MNET_ARENA_MAX)
        config->arena_size = MNET_ARENA_MAX;
    config->flags = MNET_CONFIG_ARENA_ZERO;
    return 0;
}

/*
 * Says what the program is and has, and reads its command line.
 *
 * - program, summary: its name, and what it is in a sentence, for messages and --help; summary may be NULL.
 * - options, option_count: what it has beside the options of the network (mnet_args.options); NULL and 0: nothing.
 *
 * Returns a negative number: it is to go on. Otherwise the status to end with: the help was asked for, or what is wrong
 * was printed.
 */
static inline int mnet_program_parse(struct mnet_args *args, const struct solo5_start_info *info, const char *program,
                                     const char *summary, struct mnet_option *options, size_t option_count)
{
    args->program = program;
    args->summary = summary;
    args->options = options;
    args->option_count = option_count;
    args->option_size = sizeof options[0];
    int begins = mnet_args_parse(args, info->cmdline);
    if (begins > 0)
        return -1;
    return begins == 0 ? SOLO5_EXIT_SUCCESS : SOLO5_EXIT_FAILURE;
}

/* Prints "PROGRAM: WHAT: the text of the error". Returns SOLO5_EXIT_FAILURE, to be returned. */
static inline int mnet_fail(const struct mnet_args *args, const char *what, int64_t error)
{
    mnet_print("%s: %s: %s\n", args->program, what, mnet_strerror((int)error));
    return SOLO5_EXIT_FAILURE;
}

/*
 * Where a server listens, as the command line says of its first device: at the IPv4 address that was given, or at all
 * (0.0.0.0) if it finds one itself; and at all addresses of IPv6 (::) if it speaks that.
 *
 * - port: the port of these addresses.
 * - local: receives them, 2 at most.
 *
 * Returns how many there are.
 */
static inline size_t mnet_local_addresses(const struct mnet_args *args, uint64_t port, struct mnet_addr local[2])
{
    const struct mnet_device_args *device = &args->device[0];
    size_t count = 0;
    if (device->ipv4 == MNET_ARGS_IPV4_STATIC)
        local[count++] = device->ipv4_address;
    else if (device->ipv4 != MNET_ARGS_IPV4_NONE)
        mnet_addr_parse("0.0.0.0", 7, &local[count++]);
    if (device->ipv6 != MNET_ARGS_IPV6_NONE)
        mnet_addr_parse("::", 2, &local[count++]);
    for (size_t i = 0; i < count; i++)
        local[i].port = (uint16_t)port;
    return count;
}

#ifdef __cplusplus
}
#endif

#endif /* MNET_PROGRAM_H */
