/*
 * spt_abi.h: what a guest of the spt target finds when it starts, and how it waits for input.
 *
 * A guest is loaded at SPT_GUEST_MIN_BASE or above, into the address space of its tender. Its entry point is called
 * with the address of a struct spt_boot_info as the first argument. It may make only the system calls that the tender's
 * filter lets through; read, write, pread64, pwrite64, clock_gettime, epoll_pwait, timerfd_settime, arch_prctl and
 * exit_group on the descriptors and with the arguments described by the manifest and the boot information.
 */
#ifndef SPT_ABI_H
#define SPT_ABI_H

#include <stdint.h>

/* Version of everything in this header. */
#define SPT_ABI_VERSION 2

/* Lowest address that an image may occupy. */
#define SPT_GUEST_MIN_BASE 0x100000

/* Lowest mapped address, and where the boot information is. Guests use the pointer they are given. */
#define SPT_HOST_MEM_BASE  0x10000
#define SPT_BOOT_INFO_BASE 0x11000

/* Room for the command line in bytes, its NUL included. */
#define SPT_CMDLINE_SIZE 8192

/*
 * Datum of the timer's events in the epoll set; those of a network device carry its index in the manifest. The timer is
 * armed with an absolute time on the monotonic clock and never read.
 */
#define SPT_INTERNAL_TIMERFD 0xfffffffeU

/* Boot information, 40 bytes. */
struct spt_boot_info {
    uint64_t mem_size;   /* end of guest memory; the stack starts 8 bytes below */
    uint64_t kernel_end; /* end of the loaded segments; informational, may leave out .bss */
    const char *cmdline; /* command line, NUL terminated */
    const void *mft;     /* manifest: a struct mft (mft_abi.h) */
    int epollfd;         /* epoll set with every network device and the timer */
    int timerfd;         /* the timer */
};

#endif /* SPT_ABI_H */
