/* What small programs use of the C library beside sockets. memcpy and its family are in libsolo5_mem.a. */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

size_t strlen(const char *text)
{
    const char *end = text;
    while (*end != '\0')
        end++;
    return (size_t)(end - text);
}

int strcmp(const char *one, const char *other)
{
    while (*one != '\0' && *one == *other)
        one++, other++;
    return (unsigned char)*one - (unsigned char)*other;
}

int strncmp(const char *one, const char *other, size_t size)
{
    for (; size > 0; one++, other++, size--)
        if (*one != *other || *one == '\0')
            return (unsigned char)*one - (unsigned char)*other;
    return 0;
}

char *strchr(const char *text, int letter)
{
    for (;; text++) {
        if (*text == (char)letter)
            return (char *)(uintptr_t)text;
        if (*text == '\0')
            return NULL;
    }
}

char *strrchr(const char *text, int letter)
{
    const char *last = NULL;
    for (;; text++) {
        if (*text == (char)letter)
            last = text;
        if (*text == '\0')
            return (char *)(uintptr_t)last;
    }
}

size_t strcspn(const char *text, const char *letters)
{
    size_t length = 0;
    while (text[length] != '\0' && strchr(letters, text[length]) == NULL)
        length++;
    return length;
}

char *strcpy(char *to, const char *from)
{
    memcpy(to, from, strlen(from) + 1);
    return to;
}

char *strncpy(char *to, const char *from, size_t size)
{
    size_t length = 0;
    for (; length < size && from[length] != '\0'; length++)
        to[length] = from[length];
    memset(to + length, 0, size - length);
    return to;
}

/* The value of a digit; 36: it is none. */
static int digit(char letter)
{
    if (letter >= '0' && letter <= '9')
        return letter - '0';
    letter |= 'a' - 'A';
    return letter >= 'a' && letter <= 'z' ? letter - 'a' + 10 : 36;
}

long strtol(const char *text, char **end, int base)
{
    const char *at = text;
    unsigned long number = 0, limit;
    int negative, some = 0, overflow = 0;
    if (end != NULL)
        *end = (char *)(uintptr_t)text;
    if (base != 0 && (base < 2 || base > 36)) {
        errno = EINVAL;
        return 0;
    }
    while (*at == ' ' || (*at >= '\t' && *at <= '\r'))
        at++;
    negative = *at == '-';
    if (*at == '-' || *at == '+')
        at++;
    if ((base == 0 || base == 16) && at[0] == '0' && (at[1] | ('a' - 'A')) == 'x' && digit(at[2]) < 16) {
        base = 16;
        at += 2;
    } else if (base == 0) {
        base = *at == '0' ? 8 : 10;
    }
    limit = (unsigned long)LONG_MAX + (unsigned long)negative;
    for (; digit(*at) < base; at++, some = 1)
        if (__builtin_mul_overflow(number, (unsigned long)base, &number)
            || __builtin_add_overflow(number, (unsigned long)digit(*at), &number) || number > limit)
            overflow = 1, number = limit;
    if (some && end != NULL)
        *end = (char *)(uintptr_t)at;
    if (overflow) {
        errno = ERANGE;
        return negative ? LONG_MIN : LONG_MAX;
    }
    return (long)(negative ? 0 - number : number);
}

int atoi(const char *text)
{
    return (int)strtol(text, NULL, 10);
}

char *strerror(int error)
{
    switch (error) {
    case 0: return "Success";
    case EBADF: return "Bad file descriptor";
    case EAGAIN: return "Resource temporarily unavailable";
    case ENOMEM: return "Cannot allocate memory";
    case EACCES: return "Permission denied";
    case EFAULT: return "Bad address";
    case EBUSY: return "Device or resource busy";
    case ENODEV: return "No such device";
    case EINVAL: return "Invalid argument";
    case EMFILE: return "Too many open files";
    case ENOTTY: return "Inappropriate ioctl for device";
    case ENOSPC: return "No space left on device";
    case EPIPE: return "Broken pipe";
    case ERANGE: return "Numerical result out of range";
    case EDOM: return "Numerical argument out of domain";
    case EDEADLK: return "Resource deadlock avoided";
    case EPROTO: return "Protocol error";
    case ENOTSOCK: return "Socket operation on non-socket";
    case EDESTADDRREQ: return "Destination address required";
    case EMSGSIZE: return "Message too long";
    case ENOPROTOOPT: return "Protocol not available";
    case EPROTONOSUPPORT: return "Protocol not supported";
    case ESOCKTNOSUPPORT: return "Socket type not supported";
    case EOPNOTSUPP: return "Operation not supported";
    case EAFNOSUPPORT: return "Address family not supported by protocol";
    case EADDRINUSE: return "Address already in use";
    case EADDRNOTAVAIL: return "Cannot assign requested address";
    case ENETDOWN: return "Network is down";
    case ENETUNREACH: return "Network is unreachable";
    case ECONNABORTED: return "Software caused connection abort";
    case ECONNRESET: return "Connection reset by peer";
    case ENOBUFS: return "No buffer space available";
    case EISCONN: return "Transport endpoint is already connected";
    case ENOTCONN: return "Transport endpoint is not connected";
    case ETIMEDOUT: return "Connection timed out";
    case ECONNREFUSED: return "Connection refused";
    case EHOSTUNREACH: return "No route to host";
    case EALREADY: return "Operation already in progress";
    case EINPROGRESS: return "Operation now in progress";
    case ECANCELED: return "Operation canceled";
    default: return "Unknown error";
    }
}
