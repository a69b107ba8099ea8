//! The structures and constants of the header, and the version.
//!
//! The names are C's, as the header has them.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int, c_void};

/// The version of the binary interface. It changes when a program that was compiled against an
/// older header would no longer work. Compare it with mnet_abi_version().
pub const MNET_ABI_VERSION: c_int = 0;

/// A stack: always positive. A negative value is an error code. A number is never used twice.
pub type mnet_stack = i64;

/// A socket: always positive. A negative value is an error code. The handle of a socket that was
/// closed, or whose stack was closed, is recognised as stale (MNET_EBADF).
pub type mnet_fd = i64;

/// Address family: none. All other members are ignored.
pub const MNET_AF_NONE: u16 = 0;
/// Address family: IPv4.
pub const MNET_AF_INET: u16 = 4;
/// Address family: IPv6. Not supported yet (MNET_EAFNOSUPPORT).
pub const MNET_AF_INET6: u16 = 6;

/// An IP address and a port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct mnet_addr {
    /// MNET_AF_INET or MNET_AF_INET6; MNET_AF_NONE where an address is optional.
    pub family: u16,
    /// The port in host byte order; 0 where there is none.
    pub port: u16,
    /// The zone of a link-local IPv6 address; 0 otherwise.
    pub zone: u32,
    /// The address in network byte order: 4 bytes for IPv4 (the others are 0), 16 for IPv6.
    pub ip: [u8; 16],
}

/// mnet_config.flags: no device. Frames go in and out by mnet_frame_in() and mnet_frame_out(), and
/// time by mnet_step(). All sockets are non-blocking, and no solo5_* function is called, except for
/// entropy if no seed is given.
pub const MNET_CONFIG_MANUAL: u32 = 1;
/// mnet_config.flags: new sockets are non-blocking.
pub const MNET_CONFIG_NONBLOCKING: u32 = 2;
/// mnet_config.flags: new TCP connections send small writes at once instead of collecting them
/// (Nagle's algorithm off, RFC 9293 section 3.7.4).
pub const MNET_CONFIG_NODELAY: u32 = 4;

/// mnet_config.flags: the arena is all zero, as the heap of Solo5 is at start, and mnet_open() need
/// not clear it, which for a large arena is most of the work. Not true any more once mnet_open() was
/// called with it.
pub const MNET_CONFIG_ARENA_ZERO: u32 = 8;

/// How to open a stack. Fill it with mnet_config_default(), change what is to be different, and
/// pass it to mnet_open(), which copies it: nothing it points to but the arena is used afterwards.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mnet_config {
    /// sizeof (struct mnet_config) as the caller knows it. Set by mnet_config_default().
    pub size: usize,
    /// The memory for the stack: it belongs to the stack from a successful mnet_open() until
    /// mnet_close_stack() has returned. Required. Any alignment. Must not overlap the arena of
    /// another stack.
    pub arena: *mut c_void,
    /// Bytes of the arena. 512 KiB make a small stack; more memory means more connections and
    /// larger windows. The stack never uses more than this.
    pub arena_size: usize,
    /// The name of the network device in the manifest, NUL terminated, at most 67 characters.
    /// Default "service". Ignored by a manual stack.
    pub device: *const c_char,
    /// Our address; the port is ignored. MNET_AF_NONE (the default): no address.
    pub address: mnet_addr,
    /// The default gateway; the port is ignored. MNET_AF_NONE (the default): only the network of
    /// our own address is reachable.
    pub gateway: mnet_addr,
    /// The length of the network's prefix in bits, 1 to 32 for IPv4. Default 24.
    pub prefix_len: u32,
    /// MNET_CONFIG_* combined. Default 0.
    pub flags: u32,
    /// 32 random bytes from which the stack derives all its secrets (initial sequence numbers,
    /// ports, hash keys). NULL (the default): from the processor's random source. Give a seed only
    /// where that is missing, a new one at each start, or in a test.
    pub seed: *const u8,
    /// Bytes of the seed: 32, or 0 with seed NULL.
    pub seed_len: usize,
    /// How long a waiting call looks for frames before it sleeps, in nanoseconds. Default 0. Each
    /// sleep costs some 20 microseconds of latency, looking costs processor time.
    pub busy_poll_ns: u64,
    /// Most TCP connections. 0 (the default): derived from the arena.
    pub max_connections: u32,
    /// Most half-open TCP connections, all listeners together. 0 (the default): derived.
    pub max_half_open: u32,
    /// Most remembered TIME-WAIT states (RFC 9293 section 3.4.1); when full the oldest ends early.
    /// 0 (the default): derived.
    pub max_time_wait: u32,
    /// Most TCP listeners. 0 (the default): 32.
    pub max_listeners: u32,
    /// Most UDP sockets. 0 (the default): 64.
    pub max_udp_sockets: u32,
    /// Largest receive window of a TCP connection in bytes, 4096 to 2^30; what the arena can spare
    /// bounds it further. 0 (the default): 4 MiB.
    pub tcp_receive_buffer: u32,
    /// Most bytes in a TCP connection's send queue, 4096 to 2^30; what the arena can spare bounds
    /// it further. 0 (the default): 4 MiB.
    pub tcp_send_buffer: u32,
    /// Manual stacks only: the MTU, 576 to 65000 bytes without the Ethernet header. 0 (the
    /// default): 1500. Other stacks take the device's.
    pub mtu: u32,
    /// Manual stacks only: our Ethernet address; required. Other stacks take the device's.
    pub hardware_address: [u8; 6],
    /// Must be 0.
    pub reserved: [u8; 2],
    /// Manual stacks only: the time at start, in nanoseconds from an epoch of the caller's choice.
    pub now: u64,
}

/// Ready: a read gives data, the end of the stream or an error; a listener has a connection.
pub const MNET_READABLE: u32 = 1;
/// Ready: a write takes data or gives an error; a connect has completed.
pub const MNET_WRITABLE: u32 = 2;
/// Ready: the connection has failed; reads and writes give the reason. Always reported.
pub const MNET_ERROR: u32 = 4;
/// Ready: both directions have ended. Always reported.
pub const MNET_CLOSED: u32 = 8;
/// mnet_poll() only: the handle is stale or foreign. Always reported.
pub const MNET_INVALID: u32 = 16;

/// One entry of mnet_poll().
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct mnet_pollfd {
    /// The socket. An entry with a negative value is skipped.
    pub fd: mnet_fd,
    /// What is waited for: MNET_READABLE, MNET_WRITABLE or both.
    pub events: u32,
    /// Written by mnet_poll(): what is there.
    pub revents: u32,
}

/// The readiness of a socket has grown.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct mnet_event {
    /// The socket.
    pub fd: mnet_fd,
    /// What it can do now: MNET_READABLE, MNET_WRITABLE, MNET_ERROR, MNET_CLOSED.
    pub ready: u32,
    /// 0.
    pub reserved: u32,
}

/// mnet_connect(): do not wait for the connection to be established, and make it non-blocking.
pub const MNET_NONBLOCK: c_int = 1;

/// mnet_shutdown(): end our direction of the connection.
pub const MNET_SHUT_WR: c_int = 1;

/// "No deadline" where a deadline is given in nanoseconds.
pub const MNET_NEVER: u64 = u64::MAX;

/// What a stack has in use. Members are appended in later versions.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct mnet_usage {
    /// Frames in the pool.
    pub frames: u64,
    /// Frames that are free now.
    pub frames_free: u64,
    /// The fewest frames that were ever free.
    pub frames_lowest: u64,
    /// TCP connections in use, those that finish closing in the background included.
    pub connections: u64,
    /// Those of them that were closed by the program and finish closing in the background.
    pub orphaned: u64,
    /// Most TCP connections.
    pub max_connections: u64,
    /// TCP connections being opened by a peer.
    pub half_open: u64,
    /// TCP connections that are remembered in TIME-WAIT.
    pub time_wait: u64,
    /// UDP sockets.
    pub udp_sockets: u64,
}

/// The version of the library as text, as in "0.1.0". Static, never NULL. Compare it with
/// MNET_VERSION to see whether header and library belong together. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The version of the library as a number: major * 1000000 + minor * 1000 + patch, as in
/// MNET_VERSION_NUMBER. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_version_number() -> c_int {
    const fn number(text: &str) -> c_int {
        match c_int::from_str_radix(text, 10) {
            Ok(number) => number,
            Err(_) => panic!("the package version consists of numbers"),
        }
    }
    const {
        number(env!("CARGO_PKG_VERSION_MAJOR")) * 1_000_000
            + number(env!("CARGO_PKG_VERSION_MINOR")) * 1_000
            + number(env!("CARGO_PKG_VERSION_PATCH"))
    }
}

/// The library's MNET_ABI_VERSION. A program compares it with the constant that it was compiled
/// with, before anything else: if they differ, no other call may be made. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_abi_version() -> c_int {
    MNET_ABI_VERSION
}
