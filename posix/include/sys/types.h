/* Types that several headers share. */

#ifndef MNET_POSIX_SYS_TYPES_H
#define MNET_POSIX_SYS_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* A type of POSIX. */
typedef long ssize_t;
typedef long time_t;
typedef long suseconds_t;
typedef int pid_t;
typedef unsigned int socklen_t;
typedef unsigned short sa_family_t;
typedef uint16_t in_port_t;
typedef uint32_t in_addr_t;

#endif
