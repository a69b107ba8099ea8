/* Addresses as text, and text as addresses. */

#include "internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

/* Most results of getaddrinfo() that are not freed. */
#define RESULTS 16

/* A result, and what it points to. */
struct result {
    struct addrinfo info;
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } address;
    char name[64];
    int used;
};

static struct result results[RESULTS];

/* An address without a port. A zone is allowed where the caller says so. */
static int parse(const char *text, int zone, struct mnet_addr *to)
{
    size_t length = strlen(text);
    if (length == 0 || strchr(text, '[') != NULL || (!zone && strchr(text, '%') != NULL))
        return -1;
    if (mnet_addr_parse(text, length, to) != 0)
        return -1;
    if (to->family == MNET_AF_INET && strchr(text, ':') != NULL)
        return -1;
    return 0;
}

int inet_pton(int family, const char *text, void *address)
{
    struct mnet_addr parsed;
    if (family != AF_INET && family != AF_INET6)
        return mnet_internal_fail(EAFNOSUPPORT);
    if (parse(text, 0, &parsed) < 0 || parsed.family != (family == AF_INET ? MNET_AF_INET : MNET_AF_INET6))
        return 0;
    memcpy(address, parsed.ip, family == AF_INET ? 4 : 16);
    return 1;
}

const char *inet_ntop(int family, const void *address, char *text, socklen_t size)
{
    struct mnet_addr from = { .family = family == AF_INET ? MNET_AF_INET : MNET_AF_INET6 };
    if (family != AF_INET && family != AF_INET6) {
        errno = EAFNOSUPPORT;
        return NULL;
    }
    memcpy(from.ip, address, family == AF_INET ? 4 : 16);
    if (mnet_addr_format(&from, text, size) < 0) {
        errno = ENOSPC;
        return NULL;
    }
    return text;
}

/* A number as C writes it, up to 32 bits: decimal, octal or hexadecimal. Returns what is behind it, or NULL. */
static const char *c_number(const char *text, uint32_t *number)
{
    unsigned base = 10, digit;
    uint64_t value = 0;
    if (text[0] == '0' && (text[1] | 32) == 'x')
        base = 16, text += 2;
    else if (text[0] == '0')
        base = 8;
    const char *start = text;
    for (;; text++) {
        unsigned letter = (unsigned char)*text | 32;
        digit = *text >= '0' && *text <= '9' ? (unsigned)(*text - '0') : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : 16;
        if (digit >= base)
            break;
        value = value * base + digit;
        if (value > 0xffffffff)
            return NULL;
    }
    *number = (uint32_t)value;
    return text > start ? text : NULL;
}

int inet_aton(const char *text, struct in_addr *address)
{
    uint32_t whole = 0, number;
    int dots = 0;
    /* One to four numbers: the last one fills what the others leave. Blanks may follow. */
    while ((text = c_number(text, &number)) != NULL && *text == '.') {
        if (number > 255 || dots == 3)
            return 0;
        whole |= number << (24 - 8 * dots++);
        text++;
    }
    if (text == NULL || number > 0xffffffff >> 8 * dots)
        return 0;
    if (*text != '\0' && *text != ' ' && (*text < '\t' || *text > '\r'))
        return 0;
    address->s_addr = htonl(whole | number);
    return 1;
}

in_addr_t inet_addr(const char *text)
{
    struct in_addr address;
    return inet_aton(text, &address) ? address.s_addr : INADDR_NONE;
}

char *inet_ntoa(struct in_addr address)
{
    static char text[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &address, text, sizeof text);
    return text;
}

/* A decimal number up to 65535; -1: it is none. */
static int port_number(const char *text)
{
    int number = 0;
    if (*text == '\0')
        return -1;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        number = number * 10 + (*text - '0');
        if (number > 65535)
            return -1;
    }
    return number;
}

/* Appends a result. Returns 0, or EAI_MEMORY. */
static int append(struct addrinfo ***end, const struct mnet_addr *address, int type, int protocol, const char *name)
{
    for (struct result *result = results; result < results + RESULTS; result++) {
        if (result->used)
            continue;
        int family = address->family == MNET_AF_INET ? AF_INET : AF_INET6;
        socklen_t length = sizeof result->address;
        memset(result, 0, sizeof *result);
        result->used = 1;
        mnet_internal_from(address, family, &result->address.any, &length);
        result->info = (struct addrinfo){ .ai_family = family,
                                          .ai_socktype = type,
                                          .ai_protocol = protocol,
                                          .ai_addrlen = length,
                                          .ai_addr = &result->address.any };
        if (name != NULL) {
            strcpy(result->name, name);
            result->info.ai_canonname = result->name;
        }
        **end = &result->info;
        *end = &result->info.ai_next;
        return 0;
    }
    return EAI_MEMORY;
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    static const struct {
        int type, protocol;
    } kinds[] = { { SOCK_STREAM, IPPROTO_TCP }, { SOCK_DGRAM, IPPROTO_UDP } };
    int flags = hints == NULL ? 0 : hints->ai_flags, family = hints == NULL ? AF_UNSPEC : hints->ai_family;
    int type = hints == NULL ? 0 : hints->ai_socktype, protocol = hints == NULL ? 0 : hints->ai_protocol;
    struct mnet_addr addresses[2] = { { .family = MNET_AF_INET6 }, { .family = MNET_AF_INET } };
    struct addrinfo *first = NULL, **end = &first;
    int count = 2, port = 0, code = EAI_SOCKTYPE;
    if (node == NULL && service == NULL)
        return EAI_NONAME;
    if ((flags & ~(AI_PASSIVE | AI_CANONNAME | AI_NUMERICHOST | AI_V4MAPPED | AI_ALL | AI_ADDRCONFIG | AI_NUMERICSERV)) != 0
        || ((flags & AI_CANONNAME) && node == NULL))
        return EAI_BADFLAGS;
    if (family != AF_UNSPEC && family != AF_INET && family != AF_INET6)
        return EAI_FAMILY;
    if (service != NULL && (port = port_number(service)) < 0)
        return flags & AI_NUMERICSERV ? EAI_NONAME : EAI_SERVICE;
    if (node != NULL) {
        count = 1;
        if (parse(node, 1, &addresses[0]) < 0)
            return EAI_NONAME;
        if (strlen(node) >= sizeof results[0].name)
            return EAI_NONAME;
    } else if (flags & AI_PASSIVE) {
        /* As glibc has them. Many a server binds the first one and no other: in IPv4, which every stack has. */
        addresses[0].family = MNET_AF_INET;
        addresses[1].family = MNET_AF_INET6;
    } else {
        addresses[0].ip[15] = 1;
        memcpy(addresses[1].ip, (const uint8_t[]){ 127, 0, 0, 1 }, 4);
    }
    if (node != NULL && family != AF_UNSPEC && addresses[0].family != (family == AF_INET ? MNET_AF_INET : MNET_AF_INET6))
        return EAI_ADDRFAMILY;
    for (int i = 0; i < count; i++) {
        if (family != AF_UNSPEC && addresses[i].family != (family == AF_INET ? MNET_AF_INET : MNET_AF_INET6))
            continue;
        addresses[i].port = (uint16_t)port;
        for (size_t j = 0; j < 2; j++) {
            if ((type != 0 && type != kinds[j].type) || (protocol != 0 && protocol != kinds[j].protocol))
                continue;
            const char *name = (flags & AI_CANONNAME) && first == NULL ? node : NULL;
            code = append(&end, &addresses[i], kinds[j].type, kinds[j].protocol, name);
            if (code != 0) {
                freeaddrinfo(first);
                return code;
            }
        }
    }
    if (code == 0)
        *result = first;
    return code;
}

void freeaddrinfo(struct addrinfo *result)
{
    while (result != NULL) {
        struct addrinfo *next = result->ai_next;
        /* The result is the first member of what was taken. */
        ((struct result *)(void *)result)->used = 0;
        result = next;
    }
}

const char *gai_strerror(int code)
{
    switch (code) {
    case 0: return "Success";
    case EAI_BADFLAGS: return "Bad value for ai_flags";
    case EAI_NONAME: return "Name or service not known";
    case EAI_FAMILY: return "ai_family not supported";
    case EAI_ADDRFAMILY: return "Address family for hostname not supported";
    case EAI_SOCKTYPE: return "ai_socktype not supported";
    case EAI_SERVICE: return "Servname not supported for ai_socktype";
    case EAI_MEMORY: return "Memory allocation failure";
    case EAI_OVERFLOW: return "Argument buffer too small";
    default: return "Unknown error";
    }
}

int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size, char *service,
                socklen_t service_size, int flags)
{
    struct mnet_addr from;
    char digits[6];
    size_t at = sizeof digits - 1;
    (void)flags;
    if (address == NULL || length < sizeof(sa_family_t)
        || (address->sa_family != AF_INET && address->sa_family != AF_INET6)
        || mnet_internal_to(address, length, address->sa_family, &from) != 0)
        return EAI_FAMILY;
    unsigned port = from.port;
    from.port = 0;
    if (host != NULL && host_size > 0 && mnet_addr_format(&from, host, host_size) < 0)
        return EAI_OVERFLOW;
    if (service == NULL || service_size == 0)
        return 0;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + port % 10);
        port /= 10;
    } while (port != 0);
    if (sizeof digits - at > service_size)
        return EAI_OVERFLOW;
    strcpy(service, digits + at);
    return 0;
}
