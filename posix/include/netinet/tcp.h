/* Options of TCP. */

#ifndef MNET_POSIX_NETINET_TCP_H
#define MNET_POSIX_NETINET_TCP_H

#include <mnet/posix.h>

/* An option of a TCP socket, at the level IPPROTO_TCP. */
#define TCP_NODELAY 1
#define TCP_MAXSEG 2
#define TCP_CORK 3
#define TCP_KEEPIDLE 4
#define TCP_KEEPINTVL 5
#define TCP_KEEPCNT 6
#define TCP_USER_TIMEOUT 18

#endif
