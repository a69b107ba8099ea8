/* The limits.h of a C library; there is none. */
