/* The time of day. */

#ifndef MNET_POSIX_SYS_TIME_H
#define MNET_POSIX_SYS_TIME_H

#include <mnet/posix.h>
#include <sys/types.h>

/* A time: seconds and microseconds. */
struct timeval {
    /* Seconds. */
    time_t tv_sec;
    /* Microseconds, below 1,000,000. */
    suseconds_t tv_usec;
};

MNET_POSIX_BEGIN

/* The time of day of the host (UTC). The second argument is ignored. */
int gettimeofday(struct timeval *now, void *zone) MNET_POSIX_SYMBOL(gettimeofday);

MNET_POSIX_END

#endif
