/*
 * hvt_abi.h: what a guest of the hvt target finds when it starts, and its hypercalls, on x86_64.
 *
 * A guest is loaded at HVT_GUEST_MIN_BASE or above and entered at its entry point, in 64-bit mode with memory mapped
 * one to one, with the address of a struct hvt_boot_info in the first argument register. It makes hypercall N by writing the
 * address of the call's structure, 32 bits wide, to the port HVT_HYPERCALL_PIO_BASE + N. Results are in the structure when
 * the instruction is done. Structures and buffers are below 4 GiB and end before the last byte of guest memory.
 */
#ifndef HVT_ABI_H
#define HVT_ABI_H

#include <stdint.h>

/* Version of everything in this header. The ring was added without a new version: see host_features. */
#define HVT_ABI_VERSION 2

/* Lowest address that an image may occupy. */
#define HVT_GUEST_MIN_BASE 0x100000

/* Where the boot information is. Guests use the pointer they are given. */
#define HVT_BOOT_INFO_BASE 0x10000

/* Room for the command line in bytes, its NUL included. */
#define HVT_CMDLINE_SIZE 8192

/* Bits of host_features. */
#define HVT_FEATURE_RING_IO 1

/*
 * Boot information, 56 bytes, read-only. Tenders before Solo5 0.11 leave out everything from host_features on and have
 * the manifest there: a ring is offered only if host_features says so and net_ring is not zero.
 */
struct hvt_boot_info {
    uint64_t mem_size;       /* size of guest memory; the stack starts 8 bytes below */
    uint64_t kernel_end;     /* end of the loaded segments; informational, may leave out .bss */
    uint64_t cpu_cycle_freq; /* frequency of the time stamp counter in Hz */
    uint64_t cmdline;        /* address of the command line, NUL terminated */
    uint64_t mft;            /* address of the manifest: a struct mft (mft_abi.h) */
    uint32_t host_features;  /* HVT_FEATURE_RING_IO */
    uint32_t guest_features; /* zero */
    uint64_t net_ring;       /* address of the network ring (hvt_ring.h), or 0 */
};

/* Ports of hypercalls, and the hypercalls. */
#define HVT_HYPERCALL_PIO_BASE 0x500

#define HVT_HYPERCALL_WALLTIME    1
#define HVT_HYPERCALL_PUTS        2
#define HVT_HYPERCALL_POLL        3
#define HVT_HYPERCALL_BLOCK_WRITE 4
#define HVT_HYPERCALL_BLOCK_READ  5
#define HVT_HYPERCALL_NET_WRITE   6
#define HVT_HYPERCALL_NET_READ    7
#define HVT_HYPERCALL_HALT        8
#define HVT_HYPERCALL_MAX         9

/* Wall clock. */
struct hvt_hc_walltime {
    uint64_t nsecs; /* out: UTC since 1970 in nanoseconds */
};

/* Console output. */
struct hvt_hc_puts {
    uint64_t data; /* address of the text */
    uint64_t len;
};

/* Waiting for input of network devices. */
struct hvt_hc_poll {
    uint64_t timeout_nsecs; /* from now */
    uint64_t ready_set;     /* out: bit n stands for the device with manifest index n */
    int32_t ret;            /* out: number of bits in ready_set */
    uint32_t padding;
};

/* Reading from and writing to a block device. */
struct hvt_hc_block_io {
    uint64_t handle; /* manifest index */
    uint64_t offset; /* in bytes */
    uint64_t data;   /* address of the buffer */
    uint64_t len;    /* in bytes */
    int32_t ret;     /* out: a solo5_result_t */
    uint32_t padding;
};

/* Receiving and sending a frame. */
struct hvt_hc_net_io {
    uint64_t handle; /* manifest index */
    uint64_t data;   /* address of the buffer */
    uint64_t len;    /* in bytes; out, for a read that succeeds: length of the frame */
    int32_t ret;     /* out: a solo5_result_t */
    uint32_t padding;
};

/* The end. */
struct hvt_hc_halt {
    uint64_t cookie; /* 0, or address of HVT_HALT_COOKIE_MAX bytes that start with a struct hvt_trap_frame */
    int32_t exit_status;
    uint32_t padding;
};

#define HVT_HALT_COOKIE_MAX 512

/* What a trap handler knows. */
struct hvt_trap_frame {
    uint64_t cr2;
    uint64_t ec;
    uint64_t rip;
    uint64_t cs;
    uint64_t rflags;
    uint64_t rsp;
    uint64_t ss;
};

#endif /* HVT_ABI_H */
