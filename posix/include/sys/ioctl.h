/* ioctl(): whether calls on a descriptor wait, and how much has arrived. */

#ifndef MNET_POSIX_SYS_IOCTL_H
#define MNET_POSIX_SYS_IOCTL_H

#include <mnet/posix.h>

/* A request: how much can be read, or whether calls wait; its argument is an int *. */
#define FIONREAD 0x541B
#define FIONBIO 0x5421

MNET_POSIX_BEGIN

/* Returns 0 or -1. */
int ioctl(int fd, unsigned long request, ...) MNET_POSIX_SYMBOL(ioctl);

MNET_POSIX_END

#endif
