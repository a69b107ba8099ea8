/* What small programs use of the C library beside sockets. */

#ifndef MNET_POSIX_STDLIB_H
#define MNET_POSIX_STDLIB_H

#include <mnet/posix.h>

/* A status for exit(). */
#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

MNET_POSIX_BEGIN

/* Closes all sockets, waits up to 5 s until what was written has arrived, and ends the program. */
MNET_POSIX_NORETURN void exit(int status) MNET_POSIX_SYMBOL(exit);

/* Ends the program at once, with status 255. */
MNET_POSIX_NORETURN void abort(void) MNET_POSIX_SYMBOL(abort);

/* The number that a text begins with; 0: none. */
int atoi(const char *text) MNET_POSIX_SYMBOL(atoi);

/* As ISO C has it. */
long strtol(const char *text, char **end, int base) MNET_POSIX_SYMBOL(strtol);

MNET_POSIX_END

#endif
