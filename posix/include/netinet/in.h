/* Addresses of IPv4 and IPv6, as Linux has them. */

#ifndef MNET_POSIX_NETINET_IN_H
#define MNET_POSIX_NETINET_IN_H

#include <sys/socket.h>

/* A protocol, which is also the level of its options. */
#define IPPROTO_IP 0
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_IPV6 41

/* An option of a socket of IPv4. */
#define IP_TOS 1
#define IP_TTL 2
#define IP_MULTICAST_TTL 33
#define IP_MULTICAST_LOOP 34
#define IP_ADD_MEMBERSHIP 35
#define IP_DROP_MEMBERSHIP 36

/* An option of a socket of IPv6. */
#define IPV6_UNICAST_HOPS 16
#define IPV6_MULTICAST_HOPS 18
#define IPV6_MULTICAST_LOOP 19
#define IPV6_JOIN_GROUP 20
#define IPV6_LEAVE_GROUP 21
#define IPV6_ADD_MEMBERSHIP IPV6_JOIN_GROUP
#define IPV6_DROP_MEMBERSHIP IPV6_LEAVE_GROUP
#define IPV6_V6ONLY 26
#define IPV6_TCLASS 67

/* An IPv4 address in host byte order. */
#define INADDR_ANY ((in_addr_t)0)
#define INADDR_LOOPBACK ((in_addr_t)0x7f000001)
#define INADDR_BROADCAST ((in_addr_t)0xffffffff)
#define INADDR_NONE ((in_addr_t)0xffffffff)

/* Room for an address as text, with its NUL. */
#define INET_ADDRSTRLEN 16
#define INET6_ADDRSTRLEN 46

/* An IPv4 address in network byte order. */
struct in_addr {
    /* Its four bytes. */
    in_addr_t s_addr;
};

/* An IPv4 address and port, both in network byte order. */
struct sockaddr_in {
    /* AF_INET. */
    sa_family_t sin_family;
    /* The port. */
    in_port_t sin_port;
    /* The address. */
    struct in_addr sin_addr;
    /* Nothing. */
    unsigned char sin_zero[8];
};

/* An IPv6 address in network byte order. */
struct in6_addr {
    /* Its sixteen bytes: s6_addr. */
    union {
        /* As bytes. */
        uint8_t mnet_bytes[16];
        /* As eight numbers. */
        uint16_t mnet_words[8];
        /* As four. */
        uint32_t mnet_longs[4];
    } mnet_in6;
};

/* The bytes of an IPv6 address, or numbers of two or four bytes each. */
#define s6_addr mnet_in6.mnet_bytes
#define s6_addr16 mnet_in6.mnet_words
#define s6_addr32 mnet_in6.mnet_longs

/* An IPv6 address, port and zone. */
struct sockaddr_in6 {
    /* AF_INET6. */
    sa_family_t sin6_family;
    /* The port. */
    in_port_t sin6_port;
    /* 0. */
    uint32_t sin6_flowinfo;
    /* The address. */
    struct in6_addr sin6_addr;
    /* The number of the interface, for an address of the link. */
    uint32_t sin6_scope_id;
};

/* IP_ADD_MEMBERSHIP: the group, and an address of the interface or INADDR_ANY. */
struct ip_mreq {
    /* The group. */
    struct in_addr imr_multiaddr;
    /* Not looked at. */
    struct in_addr imr_interface;
};

/* IPV6_JOIN_GROUP: the group, and the number of the interface or 0. */
struct ipv6_mreq {
    /* The group. */
    struct in6_addr ipv6mr_multiaddr;
    /* The interface, counted from 1; 0: as routes say. */
    unsigned int ipv6mr_interface;
};

/* An IPv6 address as an initializer. */
#define IN6ADDR_ANY_INIT { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 } } }
#define IN6ADDR_LOOPBACK_INIT { { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 } } }

MNET_POSIX_BEGIN

/* All addresses, and this host. */
extern const struct in6_addr in6addr_any MNET_POSIX_SYMBOL(in6addr_any);
extern const struct in6_addr in6addr_loopback MNET_POSIX_SYMBOL(in6addr_loopback);

/* A number from host to network byte order, or back. */
static inline uint16_t htons(uint16_t number) { return __builtin_bswap16(number); }
static inline uint16_t ntohs(uint16_t number) { return __builtin_bswap16(number); }
static inline uint32_t htonl(uint32_t number) { return __builtin_bswap32(number); }
static inline uint32_t ntohl(uint32_t number) { return __builtin_bswap32(number); }

MNET_POSIX_END

#endif
