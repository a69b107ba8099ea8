// Generated from include/solo5.h by `cargo run -p mnet-codegen -- bindings`.
// Change the header, not this file.

pub const SOLO5_EXIT_SUCCESS: u32 = 0;
pub const SOLO5_EXIT_FAILURE: u32 = 1;
pub const SOLO5_EXIT_ABORT: u32 = 255;
pub const SOLO5_NET_ALEN: u32 = 6;
pub const SOLO5_NET_HLEN: u32 = 14;
/** What the application is told when it starts. Static storage of the bindings: valid until the
 unikernel ends; treat it as read-only.*/
#[repr(C)]
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct solo5_start_info {
    /** The command line: the arguments after the image's name joined with single spaces, NUL
 terminated, without the "--solo5:..." options that the bindings took from its front. Never
 NULL; at most 8191 characters.*/
    pub cmdline: *const ::core::ffi::c_char,
    /** First byte of the application's memory, page aligned. [heap_start, heap_start + heap_size) is
 one readable and writable region, zeroed at start. It belongs to the application, except that
 the stack lives at its very top and grows down, without a guard page: an allocator has to
 stop well below the stack pointer.*/
    pub heap_start: usize,
    /// Size of that region in bytes, stack included; at least 512 KiB.
    pub heap_size: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of solo5_start_info"][::core::mem::size_of::<solo5_start_info>() - 24usize];
    [
        "Alignment of solo5_start_info",
    ][::core::mem::align_of::<solo5_start_info>() - 8usize];
    [
        "Offset of field: solo5_start_info::cmdline",
    ][::core::mem::offset_of!(solo5_start_info, cmdline) - 0usize];
    [
        "Offset of field: solo5_start_info::heap_start",
    ][::core::mem::offset_of!(solo5_start_info, heap_start) - 8usize];
    [
        "Offset of field: solo5_start_info::heap_size",
    ][::core::mem::offset_of!(solo5_start_info, heap_size) - 16usize];
};
impl solo5_result_t {
    /// Done.
    pub const SOLO5_R_OK: solo5_result_t = solo5_result_t(0);
    /// Nothing to do right now; solo5_yield() tells when to try again.
    pub const SOLO5_R_AGAIN: solo5_result_t = solo5_result_t(1);
    /// An argument is wrong (the caller's mistake); nothing was done.
    pub const SOLO5_R_EINVAL: solo5_result_t = solo5_result_t(2);
    /// The host failed in a way that is not specified further.
    pub const SOLO5_R_EUNSPEC: solo5_result_t = solo5_result_t(3);
}
#[repr(transparent)]
/// What fallible functions return. A C enum: 4 bytes.
#[derive(Debug, Copy, Clone, Hash, PartialEq, Eq)]
pub struct solo5_result_t(pub ::core::ffi::c_uint);
/// A time or a point in time, nanoseconds.
pub type solo5_time_t = u64;
/// A device. The first one in the manifest is 1; the largest possible value is 63.
pub type solo5_handle_t = u64;
/// A set of devices: bit n stands for handle n.
pub type solo5_handle_set_t = u64;
/// Properties of a network device. They do not change while the unikernel runs.
#[repr(C)]
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct solo5_net_info {
    /// The Ethernet address that the unikernel should use.
    pub mac_address: [u8; 6usize],
    /// Largest payload of a frame in bytes, Ethernet header not included (usually 1500).
    pub mtu: usize,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of solo5_net_info"][::core::mem::size_of::<solo5_net_info>() - 16usize];
    ["Alignment of solo5_net_info"][::core::mem::align_of::<solo5_net_info>() - 8usize];
    [
        "Offset of field: solo5_net_info::mac_address",
    ][::core::mem::offset_of!(solo5_net_info, mac_address) - 0usize];
    [
        "Offset of field: solo5_net_info::mtu",
    ][::core::mem::offset_of!(solo5_net_info, mtu) - 8usize];
};
/// An offset or a size on a block device, bytes.
pub type solo5_off_t = u64;
/// Properties of a block device. They do not change while the unikernel runs.
#[repr(C)]
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct solo5_block_info {
    /// Size of the device in bytes, a multiple of block_size.
    pub capacity: solo5_off_t,
    /// Unit of transfer in bytes: a power of two, 512 or more.
    pub block_size: solo5_off_t,
}
#[allow(clippy::unnecessary_operation, clippy::identity_op)]
const _: () = {
    ["Size of solo5_block_info"][::core::mem::size_of::<solo5_block_info>() - 16usize];
    [
        "Alignment of solo5_block_info",
    ][::core::mem::align_of::<solo5_block_info>() - 8usize];
    [
        "Offset of field: solo5_block_info::capacity",
    ][::core::mem::offset_of!(solo5_block_info, capacity) - 0usize];
    [
        "Offset of field: solo5_block_info::block_size",
    ][::core::mem::offset_of!(solo5_block_info, block_size) - 8usize];
};
unsafe extern "C" {
    /** Ends the unikernel. The low 8 bits of status become the exit status of the tender. Does not
 return.*/
    pub fn solo5_exit(status: ::core::ffi::c_int) -> !;
    /** Ends the unikernel as failed: exit status SOLO5_EXIT_ABORT, and a core file where the tender was
 asked for one. Does not return.*/
    pub fn solo5_abort() -> !;
    /** Writes size bytes of buf to the console, as they are: no newline is added, NUL is not special.
 Best effort: output that the host does not take is lost, and there is no way to learn about it.
 size may be 0.*/
    pub fn solo5_console_write(buf: *const ::core::ffi::c_char, size: usize);
    /** Nanoseconds since some fixed point before the unikernel started. Never goes back, is not adjusted
 when the host's clock is set. Cannot fail.*/
    pub fn solo5_clock_monotonic() -> solo5_time_t;
    /** Nanoseconds since 1970-01-01 00:00:00 UTC, as the host has it now. May jump in either direction.
 Cannot fail.*/
    pub fn solo5_clock_wall() -> solo5_time_t;
    /** WAITS until solo5_clock_monotonic() >= deadline, or until a network device has a frame to read,
 whichever is first.

 deadline   point on the monotonic clock. One that has passed (0 is always such) makes this a
            poll: it returns at once and still reports which devices are ready.
 ready      may be NULL. Otherwise it is overwritten with the set of devices whose next
            solo5_net_read() will not return SOLO5_R_AGAIN; 0 when there is none. Block devices
            never appear.

 Cannot fail. The host makes progress without it: an application that has work to do need not call
 it.*/
    pub fn solo5_yield(deadline: solo5_time_t, ready: *mut solo5_handle_set_t);
    /** Finds the network device called name: exactly the "name" of an entry of type NET_BASIC in the
 manifest.

 name       NUL terminated.
 handle     receives the handle for the calls below.
 info       receives the properties.

 Returns SOLO5_R_OK, or
   SOLO5_R_EINVAL   the manifest has no network device of this name.
 Acquire a device once. The handle is never released.*/
    pub fn solo5_net_acquire(
        name: *const ::core::ffi::c_char,
        handle: *mut solo5_handle_t,
        info: *mut solo5_net_info,
    ) -> solo5_result_t;
    /** Sends one Ethernet frame.

 buf, size  the complete frame with its Ethernet header and without checksum (FCS); 14 <= size <=
            mtu + 14. The frame has been taken when the call returns; buf can be reused.

 Returns SOLO5_R_OK (the host has the frame; as on any wire it can still be lost), or
   SOLO5_R_EINVAL   handle is not a network device.
   SOLO5_R_EUNSPEC  the host refused the frame: wrong size, interface down, queue full. Nothing
                    was sent.*/
    pub fn solo5_net_write(
        handle: solo5_handle_t,
        buf: *const u8,
        size: usize,
    ) -> solo5_result_t;
    /** Receives one Ethernet frame, if there is one. Does not wait: see solo5_yield().

 buf, size  room for a frame: size >= mtu + 14. A frame that is longer than size is cut.
 read_size  receives the length of the frame, header included.

 Returns SOLO5_R_OK, or
   SOLO5_R_AGAIN    no frame is queued.
   SOLO5_R_EINVAL   handle is not a network device.
   SOLO5_R_EUNSPEC  the host failed (for example: the interface is gone).*/
    pub fn solo5_net_read(
        handle: solo5_handle_t,
        buf: *mut u8,
        size: usize,
        read_size: *mut usize,
    ) -> solo5_result_t;
    /** Finds the block device called name: exactly the "name" of an entry of type BLOCK_BASIC in the
 manifest.

 name       NUL terminated.
 handle     receives the handle for the calls below.
 info       receives the properties.

 Returns SOLO5_R_OK, or
   SOLO5_R_EINVAL   the manifest has no block device of this name.
 Acquire a device once. The handle is never released.*/
    pub fn solo5_block_acquire(
        name: *const ::core::ffi::c_char,
        handle: *mut solo5_handle_t,
        info: *mut solo5_block_info,
    ) -> solo5_result_t;
    /** Writes one block; returns when the host has taken it (which does not mean that it is on stable
 storage).

 offset     where, a multiple of block_size.
 buf, size  what; size must be exactly block_size.

 Returns SOLO5_R_OK, or
   SOLO5_R_EINVAL   handle is not a block device, offset is not a multiple of block_size, size is
                    not block_size, or the block is beyond the capacity. Nothing was written.
   SOLO5_R_EUNSPEC  the host failed. The block's content is undefined.*/
    pub fn solo5_block_write(
        handle: solo5_handle_t,
        offset: solo5_off_t,
        buf: *const u8,
        size: usize,
    ) -> solo5_result_t;
    /** Reads one block.

 offset     from where, a multiple of block_size.
 buf, size  where to; size must be exactly block_size.

 Returns SOLO5_R_OK, or
   SOLO5_R_EINVAL   as for solo5_block_write(). buf was not touched.
   SOLO5_R_EUNSPEC  the host failed. The content of buf is undefined.*/
    pub fn solo5_block_read(
        handle: solo5_handle_t,
        offset: solo5_off_t,
        buf: *mut u8,
        size: usize,
    ) -> solo5_result_t;
    /// Bytes that one TLS block needs. Cannot fail; does not change.
    pub fn solo5_tls_size() -> usize;
    /** The value of the thread pointer that belongs to the TLS block at address tls. Despite the name
 this is an ADDRESS, to be handed to solo5_set_tls_base(), not a distance. Pure arithmetic: the
 memory is not touched.*/
    pub fn solo5_tls_tp_offset(tls: usize) -> usize;
    /** Prepares the TLS block at address tls: copies the initial values of initialised variables and
 stores the pointer to itself that the platform's ABI asks for. The rest is not cleared: hand in
 zeroed memory.

 Returns SOLO5_R_OK, or
   SOLO5_R_EINVAL   tls is 0.*/
    pub fn solo5_tls_init(tls: usize) -> solo5_result_t;
    /** Loads the thread pointer register: from now on thread-local variables are those of the block that
 base (a value of solo5_tls_tp_offset()) belongs to.

 Returns SOLO5_R_OK, or
   SOLO5_R_EINVAL   base is not an address that the processor accepts; the register is unchanged.*/
    pub fn solo5_set_tls_base(base: usize) -> solo5_result_t;
}
