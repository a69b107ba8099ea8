/* fcntl(): whether calls on a descriptor wait. */

#ifndef MNET_POSIX_FCNTL_H
#define MNET_POSIX_FCNTL_H

#include <mnet/posix.h>

/* A command of fcntl(), or a flag for it. */
#define F_GETFD 1
#define F_SETFD 2
#define F_GETFL 3
#define F_SETFL 4
#define FD_CLOEXEC 1
#define O_RDWR 02
#define O_NONBLOCK 04000

MNET_POSIX_BEGIN

/* F_GETFL and F_SETFL with O_NONBLOCK; F_GETFD and F_SETFD do nothing. Returns the flags, 0, or -1. */
int fcntl(int fd, int command, ...) MNET_POSIX_SYMBOL(fcntl);

MNET_POSIX_END

#endif
