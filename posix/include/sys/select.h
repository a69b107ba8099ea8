/* Waiting for several sockets, in sets. */

#ifndef MNET_POSIX_SYS_SELECT_H
#define MNET_POSIX_SYS_SELECT_H

#include <mnet/posix.h>
#include <sys/time.h>

/* Descriptors of a set. */
#define FD_SETSIZE 1024

/* A set of descriptors. */
typedef struct {
    /* A bit for each. */
    unsigned long fds_bits[FD_SETSIZE / 64];
} fd_set;

/* Empties a set, puts a descriptor in, takes it out, or says whether it is in. */
#define FD_ZERO(set) ((void)__builtin_memset((set), 0, sizeof(fd_set)))
#define FD_SET(fd, set) ((void)((set)->fds_bits[(fd) / 64] |= 1UL << ((fd) % 64)))
#define FD_CLR(fd, set) ((void)((set)->fds_bits[(fd) / 64] &= ~(1UL << ((fd) % 64))))
#define FD_ISSET(fd, set) (((set)->fds_bits[(fd) / 64] >> ((fd) % 64)) & 1)

MNET_POSIX_BEGIN

/* Waits as poll() does, for descriptors in sets; what is not ready is taken out. The time that is left goes where
 * the time was. Returns how many are ready, or -1. */
int select(int count, fd_set *readable, fd_set *writable, fd_set *exceptional, struct timeval *timeout)
    MNET_POSIX_SYMBOL(select);

MNET_POSIX_END

#endif
