/* What small programs use of the C library beside sockets. */

#ifndef MNET_POSIX_STRING_H
#define MNET_POSIX_STRING_H

#include <mnet/posix.h>

MNET_POSIX_BEGIN

/* As ISO C has it, and under this name in object files, too: the compiler itself calls it. */
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *one, const void *other, size_t size);

/* As ISO C has it. */
size_t strlen(const char *text) MNET_POSIX_SYMBOL(strlen);
int strcmp(const char *one, const char *other) MNET_POSIX_SYMBOL(strcmp);
int strncmp(const char *one, const char *other, size_t size) MNET_POSIX_SYMBOL(strncmp);
char *strchr(const char *text, int letter) MNET_POSIX_SYMBOL(strchr);
char *strrchr(const char *text, int letter) MNET_POSIX_SYMBOL(strrchr);
size_t strcspn(const char *text, const char *letters) MNET_POSIX_SYMBOL(strcspn);
char *strcpy(char *to, const char *from) MNET_POSIX_SYMBOL(strcpy);
char *strncpy(char *to, const char *from, size_t size) MNET_POSIX_SYMBOL(strncpy);
char *strerror(int error) MNET_POSIX_SYMBOL(strerror);

MNET_POSIX_END

#endif
