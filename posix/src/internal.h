/* What the files of this library share: the table of descriptors. */

#ifndef MNET_POSIX_INTERNAL_H
#define MNET_POSIX_INTERNAL_H

#include <errno.h>
#include <mnet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>

#define MILLISECOND ((int64_t)1000000)
#define SECOND (1000 * MILLISECOND)

/* Shared between these files, not part of what programs see. */
#define INTERNAL __attribute__((visibility("hidden")))

enum kind {
    FREE,
    /* Of a call that waits for what it will be; nobody else has it yet. */
    RESERVED,
    CONSOLE,
    /* A TCP socket that has no handle yet: neither listening nor connected. */
    NEW,
    LISTENER,
    CONNECTION,
    /* A UDP socket; it has a handle once it is bound. */
    DATAGRAMS,
};

/* Options, as they were set. The stack has them once there is a handle. */
struct options {
    int reuse, broadcast, nodelay, cork, keepalive, keep_idle, keep_interval, keep_count;
    int linger_on, linger_seconds, receive_buffer, send_buffer, user_timeout_ms;
    int ttl, tos, multicast_ttl, multicast_loop;
};

struct entry {
    mnet_fd handle;
    struct mnet_addr local, remote;
    struct timeval receive_timeout, send_timeout;
    struct options options;
    /* Which options were set: bits, by the places of their numbers. */
    uint32_t were_set;
    int error;
    uint8_t kind, domain, bound, nonblocking, connecting, unasked, failed, never_was, read_ended;
};

INTERNAL extern mnet_stack mnet_internal_stack;
INTERNAL extern struct entry mnet_internal_table[MNET_POSIX_FDS];

/* Sets errno and returns -1. */
INTERNAL int mnet_internal_fail(int error);
/* The error number for a code of mnet.h. */
INTERNAL int mnet_internal_error(int64_t code);
/* An open descriptor, or NULL with errno set. */
INTERNAL struct entry *mnet_internal_entry(int fd);
/* The same for a socket. */
INTERNAL struct entry *mnet_internal_socket(int fd);
/* Gives a UDP socket a port if it has none. Returns 0, or -1 with errno set. */
INTERNAL int mnet_internal_bound(struct entry *entry);
/* Finds out what has become of a connection that was being made. */
INTERNAL void mnet_internal_progress(struct entry *entry);
/* Why a connection has failed, as an error number; 0: it has not. */
INTERNAL int mnet_internal_failure(const struct entry *entry);
/* Tells the stack what was set of a socket that has got its handle. */
INTERNAL void mnet_internal_apply(struct entry *entry);
/* A time of SO_RCVTIMEO or SO_SNDTIMEO as mnet_set_timeout() takes it; 0: for ever. */
INTERNAL uint64_t mnet_internal_nanoseconds(const struct timeval *time);
/* A socket address as mnet.h has it. Returns 0 or an error number. */
INTERNAL int mnet_internal_to(const struct sockaddr *from, socklen_t length, int domain, struct mnet_addr *to);
/* The reverse; nothing is written to NULL. */
INTERNAL void mnet_internal_from(const struct mnet_addr *from, int domain, struct sockaddr *to, socklen_t *length);

#endif
