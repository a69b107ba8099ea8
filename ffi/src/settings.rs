//! Settings of TCP connections and listeners, and of how long calls wait.

use core::ffi::c_int;
use core::time::Duration;

use mnet::mnet_core::config::{CongestionAlgorithm, EcnMode, Keepalive, SynCookies};
use mnet::mnet_core::tcp::{TcpSetting, TcpSettings};

use crate::error::{Error, status};
use crate::pointer;
use crate::registry;
use crate::types::{
    MNET_CONGESTION_CUBIC, MNET_CONGESTION_DEFAULT, MNET_CONGESTION_NEW_RENO, MNET_ECN_ACCURATE,
    MNET_ECN_ACTIVE, MNET_ECN_DEFAULT, MNET_ECN_OFF, MNET_ECN_PASSIVE, MNET_NEVER, MNET_READABLE,
    MNET_SYN_COOKIES_ALWAYS, MNET_SYN_COOKIES_DEFAULT, MNET_SYN_COOKIES_OFF,
    MNET_SYN_COOKIES_WHEN_FULL, MNET_WRITABLE, mnet_fd, mnet_tcp_settings,
};

/// A time that 0 leaves as it is.
pub(crate) fn optional(nanos: u64) -> Option<Duration> {
    (nanos != 0).then(|| Duration::from_nanos(nanos))
}

/// A congestion control algorithm; `None`: the default.
pub(crate) fn algorithm(number: u32) -> Result<Option<CongestionAlgorithm>, Error> {
    match number {
        MNET_CONGESTION_DEFAULT => Ok(None),
        MNET_CONGESTION_CUBIC => Ok(Some(CongestionAlgorithm::Cubic)),
        MNET_CONGESTION_NEW_RENO => Ok(Some(CongestionAlgorithm::NewReno)),
        _ => Err(Error::INVALID),
    }
}

/// The number of a congestion control algorithm.
pub(crate) fn algorithm_number(algorithm: CongestionAlgorithm) -> u32 {
    match algorithm {
        CongestionAlgorithm::Cubic => MNET_CONGESTION_CUBIC,
        CongestionAlgorithm::NewReno => MNET_CONGESTION_NEW_RENO,
    }
}

/// Whether to ask for ECN; `None`: the default.
pub(crate) fn ecn_mode(number: u32) -> Result<Option<EcnMode>, Error> {
    match number {
        MNET_ECN_DEFAULT => Ok(None),
        MNET_ECN_OFF => Ok(Some(EcnMode::Off)),
        MNET_ECN_PASSIVE => Ok(Some(EcnMode::Passive)),
        MNET_ECN_ACTIVE => Ok(Some(EcnMode::Active)),
        MNET_ECN_ACCURATE => Ok(Some(EcnMode::Accurate)),
        _ => Err(Error::INVALID),
    }
}

/// When SYNs are answered with cookies; `None`: the default.
pub(crate) fn syn_cookies(number: u32) -> Result<Option<SynCookies>, Error> {
    match number {
        MNET_SYN_COOKIES_DEFAULT => Ok(None),
        MNET_SYN_COOKIES_OFF => Ok(Some(SynCookies::Off)),
        MNET_SYN_COOKIES_WHEN_FULL => Ok(Some(SynCookies::WhenFull)),
        MNET_SYN_COOKIES_ALWAYS => Ok(Some(SynCookies::Always)),
        _ => Err(Error::INVALID),
    }
}

/// A number of retries; `None`: the default.
pub(crate) fn retries(number: u32) -> Result<Option<u8>, Error> {
    let number = u8::try_from(number).map_err(|_| Error::INVALID)?;
    Ok((number != 0).then_some(number))
}

/// Probes of idle connections, where 0 stands for the default of each number.
pub(crate) fn keepalive(idle_ns: u64, interval_ns: u64, count: u32) -> Result<Keepalive, Error> {
    let defaults = Keepalive::default();
    Ok(Keepalive {
        idle: optional(idle_ns).unwrap_or(defaults.idle),
        interval: optional(interval_ns).unwrap_or(defaults.interval),
        count: match count {
            0 => defaults.count,
            count => u8::try_from(count).map_err(|_| Error::INVALID)?,
        },
    })
}

fn set(fd: mnet_fd, setting: TcpSetting) -> c_int {
    status(registry::with_socket(fd, |stack, id| {
        let now = stack.runtime.now();
        stack.runtime.stack_mut().tcp_set(now, id, setting)?;
        stack.send_if_blocking(id);
        Ok(())
    }))
}

/// Makes a TCP connection collect small writes while data is unacknowledged (0, Nagle's algorithm,
/// RFC 9293 section 3.7.4) or send them at once (anything else).
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
///
/// Returns 0, or
///   MNET_EBADF    neither a connection nor a listener
///   MNET_ELIMIT   connections have 256 different combinations of settings already
///   MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_nodelay(fd: mnet_fd, nodelay: c_int) -> c_int {
    set(fd, TcpSetting::NoDelay(nodelay != 0))
}

/// Corks a TCP connection (anything but 0): a segment that is not full is held back until more data
/// fills it, the cork is taken out (0), our direction is shut down, or 200 ms have passed. Stronger
/// than mnet_set_nodelay().
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
///
/// Returns 0, MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_cork(fd: mnet_fd, cork: c_int) -> c_int {
    set(fd, TcpSetting::Cork(cork != 0))
}

/// Probes the peer of a TCP connection when nothing arrives (RFC 9293 section 3.8.4), or stops that.
/// Off by default. A peer that does not answer is gone: MNET_ETIMEDOUT. While data is under way
/// nothing is probed.
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - on: 0: off; the other arguments are ignored.
/// - idle_ns: how long nothing has arrived before the first probe, 1 s to 24 days. 0: 2 hours.
/// - interval_ns: between probes, 1 s to 24 days. 0: 75 s.
/// - count: unanswered probes after which the connection fails, 1 to 255. 0: 9.
///
/// Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_keepalive(
    fd: mnet_fd,
    on: c_int,
    idle_ns: u64,
    interval_ns: u64,
    count: u32,
) -> c_int {
    if on == 0 {
        return set(fd, TcpSetting::Keepalive(None));
    }
    match keepalive(idle_ns, interval_ns, count) {
        Ok(keepalive) => set(fd, TcpSetting::Keepalive(Some(keepalive))),
        Err(error) => error.code(),
    }
}

/// How long the peer of a TCP connection may leave data unacknowledged, a SYN or probes unanswered,
/// before the connection fails with MNET_ETIMEDOUT (RFC 9293 section 3.8.3, RFC 5482; nothing is sent
/// about it).
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - time_ns: 100 ms to 24 days; 0: as the configuration says.
///
/// Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_user_timeout(fd: mnet_fd, time_ns: u64) -> c_int {
    set(fd, TcpSetting::UserTimeout(optional(time_ns)))
}

/// What mnet_close() means for a TCP connection while data is unacknowledged, as SO_LINGER.
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - time_ns: negative, the default: it is delivered in the background. 0: the peer gets a reset,
///   and what was not delivered is lost. Positive, up to 24 days: mnet_close() of a blocking
///   connection waits for at most so long until it is delivered; that of a non-blocking one does not
///   wait.
///
/// Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_linger(fd: mnet_fd, time_ns: i64) -> c_int {
    let time = u64::try_from(time_ns).ok().map(Duration::from_nanos);
    set(fd, TcpSetting::Linger(time))
}

/// How long an acknowledgement of a TCP connection may wait for company (RFC 9293 section 3.8.6.3).
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - time_ns: 0 to 500 ms; 0 acknowledges every batch of frames at once.
///
/// Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_delayed_ack(fd: mnet_fd, time_ns: u64) -> c_int {
    set(fd, TcpSetting::DelayedAck(Duration::from_nanos(time_ns)))
}

/// What governs the rate at which a TCP connection sends. The new algorithm goes on with the window of
/// the old one.
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - algorithm: MNET_CONGESTION_CUBIC (the default) or MNET_CONGESTION_NEW_RENO.
///
/// Returns 0, MNET_EINVAL (unknown), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or MNET_EBUSY.
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_congestion(fd: mnet_fd, algorithm: u32) -> c_int {
    match self::algorithm(algorithm) {
        Ok(Some(algorithm)) => set(fd, TcpSetting::Congestion(algorithm)),
        _ => Error::INVALID.code(),
    }
}

/// The largest receive window of a TCP connection. What the handshake could announce, which follows
/// from tcp_receive_buffer of the configuration, and what the arena can spare bound it further.
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - bytes: 4096 to 2^30.
///
/// Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_receive_buffer(fd: mnet_fd, bytes: usize) -> c_int {
    set(fd, TcpSetting::ReceiveBuffer(bytes))
}

/// Most bytes in the send queue of a TCP connection; what the arena can spare bounds it further.
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - bytes: 4096 to 2^30.
///
/// Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_send_buffer(fd: mnet_fd, bytes: usize) -> c_int {
    set(fd, TcpSetting::SendBuffer(bytes))
}

/// The time to live of the packets of a TCP connection.
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - hops: 1 to 255.
///
/// Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_ttl(fd: mnet_fd, hops: u32) -> c_int {
    match u8::try_from(hops) {
        Ok(hops) => set(fd, TcpSetting::TimeToLive(hops)),
        Err(_) => Error::INVALID.code(),
    }
}

/// The differentiated services code point of the packets of a TCP connection (RFC 2474 section 3).
///
/// - fd: a connection, or a listener: then it holds for the connections to come.
/// - code_point: 0 to 63.
///
/// Returns 0, MNET_EINVAL (out of range), MNET_EBADF, MNET_ELIMIT (as mnet_set_nodelay()) or
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_dscp(fd: mnet_fd, code_point: u32) -> c_int {
    match u8::try_from(code_point) {
        Ok(code_point) => set(fd, TcpSetting::Dscp(code_point)),
        Err(_) => Error::INVALID.code(),
    }
}

/// How long calls on a blocking socket wait at most. When the time is over they return MNET_EAGAIN,
/// and nothing else has changed; mnet_write() returns the length of what it has got rid of instead, if
/// that is not 0. Every call, and every part that a write gets rid of, starts the time over. A new socket waits for ever; connections do not inherit from their listener.
///
/// - fd: any socket.
/// - which: MNET_READABLE (mnet_accept(), mnet_read(), mnet_peek(), mnet_recvfrom()), MNET_WRITABLE
///   (mnet_write(), mnet_sendto()) or both.
/// - time_ns: rounded up to milliseconds, at most 49 days; 0: for ever.
///
/// Returns 0, or
///   MNET_EINVAL   which is something else, or time_ns is out of range
///   MNET_EBADF    stale or foreign handle
///   MNET_EBUSY
/// Does not block. For the time that connecting takes see mnet_connect_timeout().
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_timeout(fd: mnet_fd, which: u32, time_ns: u64) -> c_int {
    const BOTH: u32 = MNET_READABLE | MNET_WRITABLE;
    let millis = u32::try_from(time_ns.div_ceil(1_000_000));
    let (Ok(millis), 1..=BOTH, 0) = (millis, which, which & !BOTH) else {
        return Error::INVALID.code();
    };
    status(registry::with_socket(fd, |stack, id| {
        stack.runtime.stack().readiness(id)?;
        let timeouts = stack.timeouts_mut(id);
        if which & MNET_READABLE != 0 {
            timeouts.read = millis;
        }
        if which & MNET_WRITABLE != 0 {
            timeouts.write = millis;
        }
        Ok(())
    }))
}

/// All settings of a TCP connection or a listener, as they are now.
///
/// - settings: receives them.
/// - size: sizeof (struct mnet_tcp_settings). A shorter structure of an older version is filled as far
///   as it goes; members that this version does not know become 0.
///
/// Returns 0, MNET_EINVAL (NULL), MNET_EBADF or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_tcp_settings(
    fd: mnet_fd,
    settings: *mut mnet_tcp_settings,
    size: usize,
) -> c_int {
    let read = || {
        if settings.is_null() || size > 1 << 16 {
            return Err(Error::INVALID);
        }
        let now = registry::with_socket(fd, |stack, id| {
            Ok(for_c(&stack.runtime.stack().tcp_settings(id)?))
        })?;
        // SAFETY: as the header says: `size` bytes that may be written.
        unsafe { pointer::write_sized(settings, size, &now) }
    };
    status(read())
}

/// A time in nanoseconds.
pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(MNET_NEVER)
}

/// The settings as C sees them.
fn for_c(settings: &TcpSettings) -> mnet_tcp_settings {
    let keepalive = settings.keepalive;
    let time = |time: Option<Duration>| time.map_or(0, nanos);
    mnet_tcp_settings {
        keepalive_idle_ns: time(keepalive.map(|keepalive| keepalive.idle)),
        keepalive_interval_ns: time(keepalive.map(|keepalive| keepalive.interval)),
        user_timeout_ns: time(settings.user_timeout),
        connect_timeout_ns: time(settings.connect_timeout),
        linger_ns: settings
            .linger
            .map_or(-1, |time| i64::try_from(nanos(time)).unwrap_or(i64::MAX)),
        delayed_ack_ns: nanos(settings.delayed_ack),
        receive_buffer: u64::try_from(settings.receive_buffer).unwrap_or(u64::MAX),
        send_buffer: u64::try_from(settings.send_buffer).unwrap_or(u64::MAX),
        keepalive_count: keepalive.map_or(0, |keepalive| keepalive.count.into()),
        congestion: algorithm_number(settings.congestion),
        ttl: settings.time_to_live.into(),
        dscp: settings.dscp.into(),
        nodelay: settings.nodelay.into(),
        cork: settings.cork.into(),
    }
}
