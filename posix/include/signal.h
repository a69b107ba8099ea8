/* Signals: there are none. Programs may say what is to happen if one came. */

#ifndef MNET_POSIX_SIGNAL_H
#define MNET_POSIX_SIGNAL_H

#include <mnet/posix.h>

/* The numbers of Linux on x86-64. */
#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGABRT 6
#define SIGKILL 9
#define SIGUSR1 10
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGCHLD 17
#define SIGSTOP 19

MNET_POSIX_BEGIN

/* What a signal would call. */
typedef void (*sighandler_t)(int);
#define SIG_DFL ((sighandler_t)0)
#define SIG_IGN ((sighandler_t)1)
#define SIG_ERR ((sighandler_t)-1)

/* Keeps what is to be done with a signal, which never comes. Returns what was kept, or SIG_ERR. */
sighandler_t signal(int number, sighandler_t handler) MNET_POSIX_SYMBOL(signal);

MNET_POSIX_END

#endif
