/*
 * solo5.h: what a unikernel sees of the world.
 *
 * This is the whole public interface of Solo5: start-up, console, clocks, sleeping, network and
 * block devices, and thread-local storage. The application supplies solo5_app_main(); everything
 * else is supplied by the bindings object (solo5_spt.o, ...) that the linker adds to the image. The
 * interface is binary compatible with upstream Solo5 0.12.
 *
 * Rules that hold for every function, unless its comment says otherwise:
 *
 *   - Times are nanoseconds; sizes, offsets and capacities are bytes.
 *   - A unikernel has one thread of execution. Nothing here is re-entrant, and nothing calls back.
 *   - No function allocates. No function keeps a pointer after it returned.
 *   - Pointers have no alignment requirement of their own. They must not be NULL unless "may be
 *     NULL" is said, and must designate memory of the image or its heap: the bindings cannot check
 *     this, and an access that fails ends the unikernel.
 *   - What an output parameter holds means something only when SOLO5_R_OK was returned.
 *   - Only solo5_yield() waits. Block I/O, console output and frame output are synchronous: they
 *     return when the host has taken the request, which for a disk includes the time the disk
 *     needs.
 *
 * Usable from C99, C11 and later, and from C++.
 */
#ifndef SOLO5_H
#define SOLO5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define SOLO5_NORETURN __attribute__((noreturn))
#else
#define SOLO5_NORETURN
#endif

/* ---------------------------------------------------------------------------- start and end --- */

/*
 * What the application is told when it starts. Static storage of the bindings: valid until the
 * unikernel ends; treat it as read-only.
 */
struct solo5_start_info {
    /*
     * The command line: the arguments after the image's name joined with single spaces, NUL
     * terminated, without the "--solo5:..." options that the bindings took from its front. Never
     * NULL; at most 8191 characters.
     */
    const char *cmdline;
    /*
     * First byte of the application's memory, page aligned. [heap_start, heap_start + heap_size) is
     * one readable and writable region, zeroed at start. It belongs to the application, except that
     * the stack lives at its very top and grows down, without a guard page: an allocator has to
     * stop well below the stack pointer.
     */
    uintptr_t heap_start;
    /* Size of that region in bytes, stack included; at least 512 KiB. */
    size_t heap_size;
};

/*
 * The application. SUPPLIED BY THE APPLICATION, called once by the bindings.
 *
 * Returning is the same as calling solo5_exit() with the returned value.
 */
int solo5_app_main(const struct solo5_start_info *info);

/* Statuses for solo5_exit(). Status 255 and everything above belong to Solo5. */
#define SOLO5_EXIT_SUCCESS 0
#define SOLO5_EXIT_FAILURE 1
#define SOLO5_EXIT_ABORT 255

/*
 * Ends the unikernel. The low 8 bits of status become the exit status of the tender. Does not
 * return.
 */
void solo5_exit(int status) SOLO5_NORETURN;

/*
 * Ends the unikernel as failed: exit status SOLO5_EXIT_ABORT, and a core file where the tender was
 * asked for one. Does not return.
 */
void solo5_abort(void) SOLO5_NORETURN;

/* ---------------------------------------------------------------------------------- results --- */

/* What fallible functions return. A C enum: 4 bytes. */
typedef enum {
    /* Done. */
    SOLO5_R_OK = 0,
    /* Nothing to do right now; solo5_yield() tells when to try again. */
    SOLO5_R_AGAIN = 1,
    /* An argument is wrong (the caller's mistake); nothing was done. */
    SOLO5_R_EINVAL = 2,
    /* The host failed in a way that is not specified further. */
    SOLO5_R_EUNSPEC = 3
} solo5_result_t;

/* ---------------------------------------------------------------------------------- console --- */

/*
 * Writes size bytes of buf to the console, as they are: no newline is added, NUL is not special.
 * Best effort: output that the host does not take is lost, and there is no way to learn about it.
 * size may be 0.
 */
void solo5_console_write(const char *buf, size_t size);

/* ------------------------------------------------------------------------- time and waiting --- */

/* A time or a point in time, nanoseconds. */
typedef uint64_t solo5_time_t;

/*
 * Nanoseconds since some fixed point before the unikernel started. Never goes back, is not adjusted
 * when the host's clock is set. Cannot fail.
 */
solo5_time_t solo5_clock_monotonic(void);

/*
 * Nanoseconds since 1970-01-01 00:00:00 UTC, as the host has it now. May jump in either direction.
 * Cannot fail.
 */
solo5_time_t solo5_clock_wall(void);

/* A device. The first one in the manifest is 1; the largest possible value is 63. */
typedef uint64_t solo5_handle_t;

/* A set of devices: bit n stands for handle n. */
typedef uint64_t solo5_handle_set_t;

/*
 * WAITS until solo5_clock_monotonic() >= deadline, or until a network device has a frame to read,
 * whichever is first.
 *
 * deadline   point on the monotonic clock. One that has passed (0 is always such) makes this a
 *            poll: it returns at once and still reports which devices are ready.
 * ready      may be NULL. Otherwise it is overwritten with the set of devices whose next
 *            solo5_net_read() will not return SOLO5_R_AGAIN; 0 when there is none. Block devices
 *            never appear.
 *
 * Cannot fail. The host makes progress without it: an application that has work to do need not call
 * it.
 */
void solo5_yield(solo5_time_t deadline, solo5_handle_set_t *ready);

/* -------------------------------------------------------------------------- network devices --- */

/* Bytes of an Ethernet address. */
#define SOLO5_NET_ALEN 6
/* Bytes of an Ethernet header, which the MTU does not count. */
#define SOLO5_NET_HLEN 14

/* Properties of a network device. They do not change while the unikernel runs. */
struct solo5_net_info {
    /* The Ethernet address that the unikernel should use. */
    uint8_t mac_address[SOLO5_NET_ALEN];
    /* Largest payload of a frame in bytes, Ethernet header not included (usually 1500). */
    size_t mtu;
};

/*
 * Finds the network device called name: exactly the "name" of an entry of type NET_BASIC in the
 * manifest.
 *
 * name       NUL terminated.
 * handle     receives the handle for the calls below.
 * info       receives the properties.
 *
 * Returns SOLO5_R_OK, or
 *   SOLO5_R_EINVAL   the manifest has no network device of this name.
 * Acquire a device once. The handle is never released.
 */
solo5_result_t solo5_net_acquire(const char *name, solo5_handle_t *handle,
                                 struct solo5_net_info *info);

/*
 * Sends one Ethernet frame.
 *
 * buf, size  the complete frame with its Ethernet header and without checksum (FCS); 14 <= size <=
 *            mtu + 14. The frame has been taken when the call returns; buf can be reused.
 *
 * Returns SOLO5_R_OK (the host has the frame; as on any wire it can still be lost), or
 *   SOLO5_R_EINVAL   handle is not a network device.
 *   SOLO5_R_EUNSPEC  the host refused the frame: wrong size, interface down, queue full. Nothing
 *                    was sent.
 */
solo5_result_t solo5_net_write(solo5_handle_t handle, const uint8_t *buf, size_t size);

/*
 * Receives one Ethernet frame, if there is one. Does not wait: see solo5_yield().
 *
 * buf, size  room for a frame: size >= mtu + 14. A frame that is longer than size is cut.
 * read_size  receives the length of the frame, header included.
 *
 * Returns SOLO5_R_OK, or
 *   SOLO5_R_AGAIN    no frame is queued.
 *   SOLO5_R_EINVAL   handle is not a network device.
 *   SOLO5_R_EUNSPEC  the host failed (for example: the interface is gone).
 */
solo5_result_t solo5_net_read(solo5_handle_t handle, uint8_t *buf, size_t size, size_t *read_size);

/* ---------------------------------------------------------------------------- block devices --- */

/* An offset or a size on a block device, bytes. */
typedef uint64_t solo5_off_t;

/* Properties of a block device. They do not change while the unikernel runs. */
struct solo5_block_info {
    /* Size of the device in bytes, a multiple of block_size. */
    solo5_off_t capacity;
    /* Unit of transfer in bytes: a power of two, 512 or more. */
    solo5_off_t block_size;
};

/*
 * Finds the block device called name: exactly the "name" of an entry of type BLOCK_BASIC in the
 * manifest.
 *
 * name       NUL terminated.
 * handle     receives the handle for the calls below.
 * info       receives the properties.
 *
 * Returns SOLO5_R_OK, or
 *   SOLO5_R_EINVAL   the manifest has no block device of this name.
 * Acquire a device once. The handle is never released.
 */
solo5_result_t solo5_block_acquire(const char *name, solo5_handle_t *handle,
                                   struct solo5_block_info *info);

/*
 * Writes one block; returns when the host has taken it (which does not mean that it is on stable
 * storage).
 *
 * offset     where, a multiple of block_size.
 * buf, size  what; size must be exactly block_size.
 *
 * Returns SOLO5_R_OK, or
 *   SOLO5_R_EINVAL   handle is not a block device, offset is not a multiple of block_size, size is
 *                    not block_size, or the block is beyond the capacity. Nothing was written.
 *   SOLO5_R_EUNSPEC  the host failed. The block's content is undefined.
 */
solo5_result_t solo5_block_write(solo5_handle_t handle, solo5_off_t offset, const uint8_t *buf,
                                 size_t size);

/*
 * Reads one block.
 *
 * offset     from where, a multiple of block_size.
 * buf, size  where to; size must be exactly block_size.
 *
 * Returns SOLO5_R_OK, or
 *   SOLO5_R_EINVAL   as for solo5_block_write(). buf was not touched.
 *   SOLO5_R_EUNSPEC  the host failed. The content of buf is undefined.
 */
solo5_result_t solo5_block_read(solo5_handle_t handle, solo5_off_t offset, uint8_t *buf,
                                size_t size);

/* --------------------------------------------------------------------- thread-local storage --- */

/*
 * The application that wants thread-local variables (__thread, _Thread_local) makes room for each
 * of its threads:
 *
 *     tls = zeroed memory of solo5_tls_size() bytes, aligned to 16 or to the largest alignment of
 *     such a variable solo5_tls_init(tls)
 *     solo5_set_tls_base(solo5_tls_tp_offset(tls))     and again at each switch between threads
 *
 * Before the first solo5_set_tls_base() an access to a thread-local variable ends the unikernel.
 */

/* Bytes that one TLS block needs. Cannot fail; does not change. */
size_t solo5_tls_size(void);

/*
 * The value of the thread pointer that belongs to the TLS block at address tls. Despite the name
 * this is an ADDRESS, to be handed to solo5_set_tls_base(), not a distance. Pure arithmetic: the
 * memory is not touched.
 */
uintptr_t solo5_tls_tp_offset(uintptr_t tls);

/*
 * Prepares the TLS block at address tls: copies the initial values of initialised variables and
 * stores the pointer to itself that the platform's ABI asks for. The rest is not cleared: hand in
 * zeroed memory.
 *
 * Returns SOLO5_R_OK, or
 *   SOLO5_R_EINVAL   tls is 0.
 */
solo5_result_t solo5_tls_init(uintptr_t tls);

/*
 * Loads the thread pointer register: from now on thread-local variables are those of the block that
 * base (a value of solo5_tls_tp_offset()) belongs to.
 *
 * Returns SOLO5_R_OK, or
 *   SOLO5_R_EINVAL   base is not an address that the processor accepts; the register is unchanged.
 */
solo5_result_t solo5_set_tls_base(uintptr_t base);

#ifdef __cplusplus
}
#endif

#endif /* SOLO5_H */
