/* Text for the console, as small programs print it. There are no files, and nothing is kept back. */

#ifndef MNET_POSIX_STDIO_H
#define MNET_POSIX_STDIO_H

#include <mnet/posix.h>
#include <stdarg.h>

/* "The end", and "it did not work". */
#define EOF (-1)

/* What the formats of this header are checked for, by GCC and Clang. */
#define MNET_POSIX_FORMAT(text, first) __attribute__((format(printf, text, first)))

MNET_POSIX_BEGIN

/* The console, under three names. */
typedef struct mnet_posix_file FILE;
extern FILE *const mnet_posix_stdin;
extern FILE *const mnet_posix_stdout;
extern FILE *const mnet_posix_stderr;
#define stdin mnet_posix_stdin
#define stdout mnet_posix_stdout
#define stderr mnet_posix_stderr

/*
 * As ISO C has them: d i u o x X c s p %, with flags, width, precision, and hh h l ll j z t. There are no
 * floating-point numbers and no %n: where such a conversion stands, the text ends.
 */
int printf(const char *format, ...) MNET_POSIX_SYMBOL(printf) MNET_POSIX_FORMAT(1, 2);
int fprintf(FILE *file, const char *format, ...) MNET_POSIX_SYMBOL(fprintf) MNET_POSIX_FORMAT(2, 3);
int snprintf(char *to, size_t size, const char *format, ...) MNET_POSIX_SYMBOL(snprintf) MNET_POSIX_FORMAT(3, 4);
int sprintf(char *to, const char *format, ...) MNET_POSIX_SYMBOL(sprintf) MNET_POSIX_FORMAT(2, 3);
int vprintf(const char *format, va_list arguments) MNET_POSIX_SYMBOL(vprintf) MNET_POSIX_FORMAT(1, 0);
int vfprintf(FILE *file, const char *format, va_list arguments) MNET_POSIX_SYMBOL(vfprintf) MNET_POSIX_FORMAT(2, 0);
int vsnprintf(char *to, size_t size, const char *format, va_list arguments) MNET_POSIX_SYMBOL(vsnprintf)
    MNET_POSIX_FORMAT(3, 0);

/* As ISO C has them. */
int puts(const char *text) MNET_POSIX_SYMBOL(puts);
int fputs(const char *text, FILE *file) MNET_POSIX_SYMBOL(fputs);
int putchar(int letter) MNET_POSIX_SYMBOL(putchar);
int fputc(int letter, FILE *file) MNET_POSIX_SYMBOL(fputc);
int putc(int letter, FILE *file) MNET_POSIX_SYMBOL(putc);
size_t fwrite(const void *items, size_t size, size_t count, FILE *file) MNET_POSIX_SYMBOL(fwrite);

/* Prints the text of errno, behind words of the program's. */
void perror(const char *words) MNET_POSIX_SYMBOL(perror);

/* Nothing is kept back, so there is nothing to do. Returns 0. */
int fflush(FILE *file) MNET_POSIX_SYMBOL(fflush);

MNET_POSIX_END

#endif
