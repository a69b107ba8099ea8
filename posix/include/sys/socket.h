/* Sockets. Numbers and structures are those of Linux on x86-64. */

#ifndef MNET_POSIX_SYS_SOCKET_H
#define MNET_POSIX_SYS_SOCKET_H

#include <mnet/posix.h>
#include <sys/time.h>
#include <sys/types.h>

/* An address family. */
#define AF_UNSPEC 0
#define AF_INET 2
#define AF_INET6 10
#define PF_UNSPEC AF_UNSPEC
#define PF_INET AF_INET
#define PF_INET6 AF_INET6

/* A kind of socket, and what may be added to it. */
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_NONBLOCK 04000
#define SOCK_CLOEXEC 02000000

/* An option of any socket: a number, but for SO_LINGER (struct linger) and the two times (struct timeval). */
#define SOL_SOCKET 1
#define SO_REUSEADDR 2
#define SO_TYPE 3
#define SO_ERROR 4
#define SO_BROADCAST 6
#define SO_SNDBUF 7
#define SO_RCVBUF 8
#define SO_KEEPALIVE 9
#define SO_LINGER 13
#define SO_REUSEPORT 15
#define SO_RCVTIMEO 20
#define SO_SNDTIMEO 21
#define SO_ACCEPTCONN 30
#define SO_PROTOCOL 38
#define SO_DOMAIN 39

/* The largest number of connections that wait for accept(). */
#define SOMAXCONN 4096

/* A flag of send() and recv(). */
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_DONTWAIT 0x40
#define MSG_WAITALL 0x100
#define MSG_NOSIGNAL 0x4000

/* What shutdown() ends. */
#define SHUT_RD 0
#define SHUT_WR 1
#define SHUT_RDWR 2

/* An address of any family. */
struct sockaddr {
    /* AF_INET or AF_INET6. */
    sa_family_t sa_family;
    /* The rest, by family. */
    char sa_data[14];
};

/* Room for an address of any family. */
struct sockaddr_storage {
    /* AF_INET or AF_INET6. */
    sa_family_t ss_family;
    /* The rest, by family. */
    char mnet_padding[118];
    unsigned long mnet_align;
};

/* SO_LINGER: whether close() waits, and for how many seconds. */
struct linger {
    /* Whether close() waits. */
    int l_onoff;
    /* How many seconds. */
    int l_linger;
};

MNET_POSIX_BEGIN

/* Makes a socket. Returns its descriptor, or -1. */
int socket(int domain, int type, int protocol) MNET_POSIX_SYMBOL(socket);

/* Gives a socket its address; port 0 takes a free one. Returns 0 or -1. */
int bind(int fd, const struct sockaddr *address, socklen_t length) MNET_POSIX_SYMBOL(bind);

/* Lets a TCP socket take connections, so many of which may wait. Returns 0 or -1. */
int listen(int fd, int backlog) MNET_POSIX_SYMBOL(listen);

/* Takes a connection that waits, or waits for one. Returns its descriptor, or -1. */
int accept(int fd, struct sockaddr *address, socklen_t *length) MNET_POSIX_SYMBOL(accept);

/* The same with SOCK_NONBLOCK for the connection. */
int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) MNET_POSIX_SYMBOL(accept4);

/* Connects to a peer. A socket that does not wait says EINPROGRESS, and becomes writable. Returns 0 or -1. */
int connect(int fd, const struct sockaddr *address, socklen_t length) MNET_POSIX_SYMBOL(connect);

/* Ends a connection in one direction or both. Returns 0 or -1. */
int shutdown(int fd, int how) MNET_POSIX_SYMBOL(shutdown);

/* Sends to the peer. Returns how many bytes were taken, or -1. */
ssize_t send(int fd, const void *buffer, size_t size, int flags) MNET_POSIX_SYMBOL(send);

/* Receives. Returns how many bytes there were, 0 at the end, or -1. */
ssize_t recv(int fd, void *buffer, size_t size, int flags) MNET_POSIX_SYMBOL(recv);

/* Sends a datagram to an address; NULL: to the peer. Returns its length, or -1. */
ssize_t sendto(int fd, const void *buffer, size_t size, int flags, const struct sockaddr *address, socklen_t length)
    MNET_POSIX_SYMBOL(sendto);

/* Receives, and says from where. Returns as recv() does. */
ssize_t recvfrom(int fd, void *buffer, size_t size, int flags, struct sockaddr *address, socklen_t *length)
    MNET_POSIX_SYMBOL(recvfrom);

/* The address of a socket. Returns 0 or -1. */
int getsockname(int fd, struct sockaddr *address, socklen_t *length) MNET_POSIX_SYMBOL(getsockname);

/* The address of the peer. Returns 0 or -1. */
int getpeername(int fd, struct sockaddr *address, socklen_t *length) MNET_POSIX_SYMBOL(getpeername);

/* An option of a socket. Returns 0 or -1. */
int getsockopt(int fd, int level, int option, void *value, socklen_t *length) MNET_POSIX_SYMBOL(getsockopt);

/* Changes an option of a socket. Returns 0 or -1. */
int setsockopt(int fd, int level, int option, const void *value, socklen_t length) MNET_POSIX_SYMBOL(setsockopt);

MNET_POSIX_END

#endif
