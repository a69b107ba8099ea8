/* Numeric hosts and services as addresses, and back. No names are resolved. */

#ifndef MNET_POSIX_NETDB_H
#define MNET_POSIX_NETDB_H

#include <netinet/in.h>

/* A flag of getaddrinfo(). */
#define AI_PASSIVE 0x1
#define AI_CANONNAME 0x2
#define AI_NUMERICHOST 0x4
#define AI_V4MAPPED 0x8
#define AI_ALL 0x10
#define AI_ADDRCONFIG 0x20
#define AI_NUMERICSERV 0x400

/* An error of getaddrinfo() or getnameinfo(); gai_strerror() has its text. */
#define EAI_BADFLAGS -1
#define EAI_NONAME -2
#define EAI_AGAIN -3
#define EAI_FAIL -4
#define EAI_FAMILY -6
#define EAI_SOCKTYPE -7
#define EAI_SERVICE -8
#define EAI_ADDRFAMILY -9
#define EAI_MEMORY -10
#define EAI_SYSTEM -11
#define EAI_OVERFLOW -12

/* A flag of getnameinfo(), or room that is enough for what it writes. */
#define NI_NUMERICHOST 1
#define NI_NUMERICSERV 2
#define NI_DGRAM 16
#define NI_MAXHOST 1025
#define NI_MAXSERV 32

/* One of the results of getaddrinfo(). */
struct addrinfo {
    /* AI_*, of hints only. */
    int ai_flags;
    /* AF_INET or AF_INET6. */
    int ai_family;
    /* SOCK_STREAM or SOCK_DGRAM. */
    int ai_socktype;
    /* IPPROTO_TCP or IPPROTO_UDP. */
    int ai_protocol;
    /* Bytes of the address. */
    socklen_t ai_addrlen;
    /* The address. */
    struct sockaddr *ai_addr;
    /* With AI_CANONNAME, what was asked for. */
    char *ai_canonname;
    /* The next result. */
    struct addrinfo *ai_next;
};

MNET_POSIX_BEGIN

/* Addresses for a host and a service, both in numbers. Returns 0, or EAI_*. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **result)
    MNET_POSIX_SYMBOL(getaddrinfo);

/* Gives back what getaddrinfo() has returned. */
void freeaddrinfo(struct addrinfo *result) MNET_POSIX_SYMBOL(freeaddrinfo);

/* The text of an error EAI_*. */
const char *gai_strerror(int code) MNET_POSIX_SYMBOL(gai_strerror);

/* An address as two texts. Returns 0, or EAI_*. */
int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size, char *service,
                socklen_t service_size, int flags) MNET_POSIX_SYMBOL(getnameinfo);

MNET_POSIX_END

#endif
