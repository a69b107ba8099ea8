/*
 * BSD sockets over mnet.h, for programs of Solo5 that have no C library: docs/posix.md.
 *
 * This file has what all headers beside it need, and what POSIX has no name for. Link with
 * -lmnet-posix -lmnet.
 */

#ifndef MNET_POSIX_H
#define MNET_POSIX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define MNET_POSIX_BEGIN extern "C" {
#define MNET_POSIX_END }
#define MNET_POSIX_NORETURN [[noreturn]]
#else
#define MNET_POSIX_BEGIN
#define MNET_POSIX_END
#define MNET_POSIX_NORETURN __attribute__((noreturn))
#endif

/*
 * The name of a function in object files. It is not the one in the source, so that a program can have
 * a C library with functions of the same names beside.
 */
#define MNET_POSIX_SYMBOL(name) __asm__("mnet_posix_" #name)

/* How many file descriptors there are, the three of the console included. */
#define MNET_POSIX_FDS 256

MNET_POSIX_BEGIN

/*
 * Says which stack sockets are opened on, for a program with its own solo5_app_main(): a mnet_stack that
 * has a device. A program that starts in main() has one by then.
 */
void mnet_posix_init(int64_t stack);

/*
 * The handle of mnet.h behind a descriptor, for calls that POSIX does not have; -1: there is none, as
 * before bind() or connect().
 */
int64_t mnet_posix_handle(int fd);

MNET_POSIX_END

#endif
