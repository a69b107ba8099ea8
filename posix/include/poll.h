/* Waiting for several sockets. */

#ifndef MNET_POSIX_POLL_H
#define MNET_POSIX_POLL_H

#include <mnet/posix.h>

/* What poll() waits for or finds. */
#define POLLIN 0x001
#define POLLPRI 0x002
#define POLLOUT 0x004
#define POLLERR 0x008
#define POLLHUP 0x010
#define POLLNVAL 0x020
#define POLLRDNORM 0x040
#define POLLWRNORM 0x100

/* How many entries. */
typedef unsigned long nfds_t;

/* What is waited for, and what there is. */
struct pollfd {
    /* The descriptor; a negative one is skipped. */
    int fd;
    /* What is waited for. */
    short events;
    /* What there is. */
    short revents;
};

MNET_POSIX_BEGIN

/* Waits until one of at most 256 descriptors is ready, or the time is over; negative: for ever. Returns how many
 * are, or -1. */
int poll(struct pollfd *entries, nfds_t count, int timeout_ms) MNET_POSIX_SYMBOL(poll);

MNET_POSIX_END

#endif
