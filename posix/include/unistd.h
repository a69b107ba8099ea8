/* Reading, writing, closing; sleeping. */

#ifndef MNET_POSIX_UNISTD_H
#define MNET_POSIX_UNISTD_H

#include <mnet/posix.h>
#include <sys/types.h>

/* A descriptor of the console. */
#define STDIN_FILENO 0
#define STDOUT_FILENO 1
#define STDERR_FILENO 2

MNET_POSIX_BEGIN

/* Receives from a socket, as recv(); the console is at its end. */
ssize_t read(int fd, void *buffer, size_t size) MNET_POSIX_SYMBOL(read);

/* Sends to a socket, as send(), or prints on the console. */
ssize_t write(int fd, const void *buffer, size_t size) MNET_POSIX_SYMBOL(write);

/* Closes a socket. What was written is still delivered. Returns 0 or -1. */
int close(int fd) MNET_POSIX_SYMBOL(close);

/* Lets the stack work for so many seconds. Returns 0. */
unsigned int sleep(unsigned int seconds) MNET_POSIX_SYMBOL(sleep);

/* The same in microseconds. */
int usleep(unsigned int microseconds) MNET_POSIX_SYMBOL(usleep);

MNET_POSIX_END

#endif
