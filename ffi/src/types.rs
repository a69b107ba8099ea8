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

/// A fiber: always positive. A negative value is an error code. A number is never used twice.
pub type mnet_fiber = i64;

/// A channel: always positive. A negative value is an error code. A number is never used twice.
pub type mnet_channel = i64;

/// Address family: none. All other members are ignored.
pub const MNET_AF_NONE: u16 = 0;
/// Address family: IPv4.
pub const MNET_AF_INET: u16 = 4;
/// Address family: IPv6, where mnet_enable_ipv6() was called.
pub const MNET_AF_INET6: u16 = 6;

/// An IP address and a port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct mnet_addr {
    /// MNET_AF_INET or MNET_AF_INET6; MNET_AF_NONE where an address is optional.
    pub family: u16,
    /// The port in host byte order; 0 where there is none.
    pub port: u16,
    /// The zone of a link-local IPv6 address or group: the number of the interface, as
    /// mnet_add_interface() and mnet_add_vlan() return it; the first one is 1. Where a stack has only
    /// one interface, 0 will do. 0 for other addresses.
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

/// mnet_config.flags: connections have the whole of their buffers at once. Otherwise they get what
/// their path and their program can use, up to that.
pub const MNET_CONFIG_NO_AUTOTUNING: u32 = 16;
/// mnet_config.flags: output is sent as soon as the windows allow. Otherwise it is spread over the
/// round-trip time where that is at least 4 ms.
pub const MNET_CONFIG_NO_PACING: u32 = 32;
/// mnet_config.flags: mnet_events() also tells that addresses, routes, DNS servers or leases have
/// changed, for programs with one loop. Its event says MNET_NETWORK and no socket.
pub const MNET_CONFIG_NETWORK_EVENTS: u32 = 64;
/// mnet_config.flags: the size of segments is learned from ICMP only. Otherwise a path that swallows
/// full segments without a word is found out, and searched for what it carries (RFC 4821).
pub const MNET_CONFIG_NO_MTU_PROBING: u32 = 128;

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
    /// Defaults of new TCP connections from here on. How long nothing has arrived before the peer is
    /// probed, 1 s to 24 days (RFC 9293 section 3.8.4). 0 (the default): never.
    pub tcp_keepalive_idle_ns: u64,
    /// Between such probes, 1 s to 24 days. 0 (the default): 75 s.
    pub tcp_keepalive_interval_ns: u64,
    /// How long data may stay unacknowledged before a connection fails, at least 100 s (RFC 9293
    /// section 3.8.3, R2). 0 (the default): 5 minutes. For less see mnet_set_user_timeout().
    pub tcp_user_timeout_ns: u64,
    /// How long a connection may take to be established, 1 ms to 24 days. 0 (the default): 63 s, in
    /// which the SYN is sent six times.
    pub tcp_connect_timeout_ns: u64,
    /// How long an acknowledgement may wait for company, up to 500 ms. 0 (the default): 40 ms.
    pub tcp_delayed_ack_ns: u64,
    /// Unanswered probes after which a connection fails, 1 to 255. 0 (the default): 9.
    pub tcp_keepalive_count: u32,
    /// MNET_CONGESTION_*. 0 (the default): CUBIC.
    pub tcp_congestion: u32,
    /// The time to live of packets, 1 to 255. 0 (the default): 64.
    pub tcp_ttl: u32,
    /// The differentiated services code point of packets, 0 to 63. Default 0.
    pub tcp_dscp: u32,
    /// MNET_ECN_*: explicit congestion notification (RFC 3168). 0 (the default): where the peer asks.
    pub tcp_ecn: u32,
    /// Most TCP connections that one peer (an IPv4 address, an IPv6 network of 64 bits) may have open
    /// to all listeners together. 0 (the default): no such limit.
    pub max_connections_per_peer: u32,
    /// How long a peer may keep its window closed, answering every probe, without taking a byte of
    /// what waits for it. 0 (the default): for ever, unless the stack is short of connections or
    /// memory (RFC 9293 section 3.8.6.1, RFC 6429).
    pub tcp_zero_window_timeout_ns: u64,
    /// MNET_SYN_COOKIES_*: when SYNs are answered with cookies (RFC 4987). 0 (the default): when
    /// there is no room for one more half-open connection.
    pub tcp_syn_cookies: u32,
    /// How often a SYN of ours is sent again, up to 255. 0 (the default): 5.
    pub tcp_syn_retries: u32,
    /// How often the SYN-ACK of a listener is sent again, up to 255. 0 (the default): 3.
    pub tcp_syn_ack_retries: u32,
    /// Must be 0.
    pub reserved2: u32,
    /// The largest MTU of any interface, those included that are added later: 576 to 65000, not less
    /// than that of the first. 0 (the default): that of the first.
    pub max_mtu: u32,
    /// Most interfaces, those of VLANs included: 1 to 64, some 11 KiB of the arena each, used or not.
    /// 0 (the default): one for each 256 KiB of the arena, but 2 to 8.
    pub max_interfaces: u32,
    /// Bytes at the end of the arena that are for fibers and channels whose memory the caller does not
    /// give (mnet_spawn(), mnet_channel_open()). Default 0.
    pub fiber_memory: usize,
}

/// SYN cookies: the default.
pub const MNET_SYN_COOKIES_DEFAULT: u32 = 0;
/// SYN cookies: never; SYNs beyond the limits are ignored.
pub const MNET_SYN_COOKIES_OFF: u32 = 1;
/// SYN cookies: when there is no room for one more half-open connection.
pub const MNET_SYN_COOKIES_WHEN_FULL: u32 = 2;
/// SYN cookies: always.
pub const MNET_SYN_COOKIES_ALWAYS: u32 = 3;

/// Congestion control: the default.
pub const MNET_CONGESTION_DEFAULT: u32 = 0;
/// Congestion control: CUBIC (RFC 9438).
pub const MNET_CONGESTION_CUBIC: u32 = 1;
/// Congestion control: NewReno (RFC 5681).
pub const MNET_CONGESTION_NEW_RENO: u32 = 2;

/// Explicit congestion notification: the default.
pub const MNET_ECN_DEFAULT: u32 = 0;
/// Explicit congestion notification: never.
pub const MNET_ECN_OFF: u32 = 1;
/// Explicit congestion notification: where the peer asks for it.
pub const MNET_ECN_PASSIVE: u32 = 2;
/// Explicit congestion notification: asked for by our SYN, too.
pub const MNET_ECN_ACTIVE: u32 = 3;
/// Explicit congestion notification: as MNET_ECN_ACTIVE, but Accurate ECN (RFC 9768) where the peer
/// knows it.
pub const MNET_ECN_ACCURATE: u32 = 4;

/// The settings of a TCP connection or listener. Members are appended in later versions.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct mnet_tcp_settings {
    /// mnet_set_keepalive(): 0 while that is off.
    pub keepalive_idle_ns: u64,
    /// mnet_set_keepalive(): 0 while that is off.
    pub keepalive_interval_ns: u64,
    /// mnet_set_user_timeout(): 0 where the configuration says.
    pub user_timeout_ns: u64,
    /// mnet_connect_timeout(): 0 where there is none.
    pub connect_timeout_ns: u64,
    /// mnet_set_linger(): -1 where there is none.
    pub linger_ns: i64,
    /// mnet_set_delayed_ack().
    pub delayed_ack_ns: u64,
    /// mnet_set_receive_buffer(), in bytes.
    pub receive_buffer: u64,
    /// mnet_set_send_buffer(), in bytes.
    pub send_buffer: u64,
    /// mnet_set_keepalive(): 0 while that is off.
    pub keepalive_count: u32,
    /// mnet_set_congestion(): MNET_CONGESTION_CUBIC or MNET_CONGESTION_NEW_RENO.
    pub congestion: u32,
    /// mnet_set_ttl().
    pub ttl: u32,
    /// mnet_set_dscp().
    pub dscp: u32,
    /// mnet_set_nodelay(): 0 or 1.
    pub nodelay: u32,
    /// mnet_set_cork(): 0 or 1.
    pub cork: u32,
}

/// State of a TCP connection (RFC 9293 section 3.3.2): none, or it has ended.
pub const MNET_TCP_CLOSED: u32 = 0;
/// State: a listener.
pub const MNET_TCP_LISTEN: u32 = 1;
/// State: a SYN was sent.
pub const MNET_TCP_SYN_SENT: u32 = 2;
/// State: a SYN was received and sent, its acknowledgement is missing.
pub const MNET_TCP_SYN_RECEIVED: u32 = 3;
/// State: open in both directions.
pub const MNET_TCP_ESTABLISHED: u32 = 4;
/// State: this side has closed; its FIN is not acknowledged yet.
pub const MNET_TCP_FIN_WAIT_1: u32 = 5;
/// State: this side has closed and the peer knows; the peer's FIN is missing.
pub const MNET_TCP_FIN_WAIT_2: u32 = 6;
/// State: the peer has closed, this side has not.
pub const MNET_TCP_CLOSE_WAIT: u32 = 7;
/// State: both sides have closed at the same time; the acknowledgement of our FIN is missing.
pub const MNET_TCP_CLOSING: u32 = 8;
/// State: the peer has closed, then this side; the acknowledgement of our FIN is missing.
pub const MNET_TCP_LAST_ACK: u32 = 9;
/// State: both sides have closed; old segments may still arrive.
pub const MNET_TCP_TIME_WAIT: u32 = 10;

/// mnet_tcp_info.flags: both sides send timestamps (RFC 7323).
pub const MNET_TCP_HAS_TIMESTAMPS: u32 = 1;
/// mnet_tcp_info.flags: both sides understand selective acknowledgements (RFC 2018).
pub const MNET_TCP_HAS_SACK: u32 = 2;
/// mnet_tcp_info.flags: both sides speak explicit congestion notification (RFC 3168).
pub const MNET_TCP_HAS_ECN: u32 = 4;
/// mnet_tcp_info.flags: both sides speak Accurate ECN (RFC 9768); MNET_TCP_HAS_ECN is set too.
pub const MNET_TCP_HAS_ACCURATE_ECN: u32 = 16;
/// mnet_tcp_info.flags: losses are being repaired.
pub const MNET_TCP_IN_RECOVERY: u32 = 8;

/// What a TCP connection is doing. What was not measured yet is 0. Members are appended in later
/// versions.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct mnet_tcp_info {
    /// The smoothed round-trip time (RFC 6298).
    pub srtt_ns: u64,
    /// Its variation.
    pub rttvar_ns: u64,
    /// The smallest round-trip time of the last minutes.
    pub min_rtt_ns: u64,
    /// The retransmission timeout, with its backoff.
    pub rto_ns: u64,
    /// Bytes of data that the peer has acknowledged.
    pub bytes_delivered: u64,
    /// Bytes of data that have arrived in order.
    pub bytes_received: u64,
    /// MNET_TCP_CLOSED to MNET_TCP_TIME_WAIT.
    pub state: u32,
    /// MNET_TCP_HAS_* and MNET_TCP_IN_RECOVERY combined.
    pub flags: u32,
    /// The payload of a full segment, in bytes.
    pub mss: u32,
    /// The largest packet of the path as far as known, in bytes.
    pub path_mtu: u32,
    /// MNET_CONGESTION_*; mnet_congestion_name() has its name.
    pub congestion: u32,
    /// The congestion window, in bytes.
    pub cwnd: u32,
    /// The slow start threshold, in bytes; 2^32 - 1 before the first reduction.
    pub ssthresh: u32,
    /// What the peer lets us send, in bytes.
    pub snd_wnd: u32,
    /// What we let the peer send, in bytes.
    pub rcv_wnd: u32,
    /// The shift count of the peer's windows (RFC 7323).
    pub snd_scale: u32,
    /// The shift count of our windows.
    pub rcv_scale: u32,
    /// Bytes that were sent and are not acknowledged.
    pub in_flight: u32,
    /// Bytes of the send queue that were not sent.
    pub unsent: u32,
    /// Bytes that have arrived and were not read.
    pub unread: u32,
    /// Segments that were sent again.
    pub retransmits: u32,
    /// How often the retransmission timer expired since the last acknowledgement.
    pub backoff: u32,
}

/// An entry of mnet_tcp_list().
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct mnet_tcp_entry {
    /// The handle; 0 where there is none: before a connection is accepted, and after it was closed.
    pub fd: mnet_fd,
    /// Our address and port.
    pub local: mnet_addr,
    /// The peer's; MNET_AF_NONE for a listener.
    pub remote: mnet_addr,
    /// MNET_TCP_CLOSED to MNET_TCP_TIME_WAIT.
    pub state: u32,
    /// 0.
    pub reserved: u32,
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
/// Something has changed in the network: mnet_network_events() says what, and until it is asked this
/// is reported again. Of no socket: fd is 0.
pub const MNET_NETWORK: u32 = 32;

/// One entry of mnet_poll().
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct mnet_pollfd {
    /// The socket; 0 with MNET_NETWORK. An entry with a negative value is skipped.
    pub fd: mnet_fd,
    /// What is waited for: MNET_READABLE, MNET_WRITABLE or both; with fd 0 MNET_NETWORK.
    pub events: u32,
    /// Written by mnet_poll(): what is there.
    pub revents: u32,
}

/// The readiness of a socket has grown, or the network has changed.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct mnet_event {
    /// The socket; 0 with MNET_NETWORK.
    pub fd: mnet_fd,
    /// What it can do now: MNET_READABLE, MNET_WRITABLE, MNET_ERROR, MNET_CLOSED; or MNET_NETWORK.
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
    /// Fibers that have not ended.
    pub fibers: u64,
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
