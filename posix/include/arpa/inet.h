/* Addresses as text. */

#ifndef MNET_POSIX_ARPA_INET_H
#define MNET_POSIX_ARPA_INET_H

#include <netinet/in.h>

MNET_POSIX_BEGIN

/* Reads an address. Returns 1, 0 if the text is none, or -1 for another family. */
int inet_pton(int family, const char *text, void *address) MNET_POSIX_SYMBOL(inet_pton);

/* Writes an address. Returns the text, or NULL: ENOSPC or EAFNOSUPPORT. */
const char *inet_ntop(int family, const void *address, char *text, socklen_t size) MNET_POSIX_SYMBOL(inet_ntop);

/*
 * Reads an IPv4 address of one to four numbers as C writes them; the last one fills what the others leave.
 * Returns 1, or 0 if the text is none.
 */
int inet_aton(const char *text, struct in_addr *address) MNET_POSIX_SYMBOL(inet_aton);

/* The same; INADDR_NONE if the text is none. */
in_addr_t inet_addr(const char *text) MNET_POSIX_SYMBOL(inet_addr);

/* Writes an IPv4 address into memory that the next call uses again. */
char *inet_ntoa(struct in_addr address) MNET_POSIX_SYMBOL(inet_ntoa);

MNET_POSIX_END

#endif
