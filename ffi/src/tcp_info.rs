//! What a program can learn of TCP connections: one of them, or the list of all.

use core::ffi::{CStr, c_char, c_int};

use mnet::mnet_core::config::CongestionAlgorithm;
use mnet::mnet_core::tcp::{EcnFeedback, State, TcpInfo};

use crate::error::{Error, length, status, value};
use crate::pointer::{self, Out};
use crate::registry;
use crate::settings::{algorithm, algorithm_number, nanos};
use crate::types::{
    MNET_TCP_CLOSE_WAIT, MNET_TCP_CLOSED, MNET_TCP_CLOSING, MNET_TCP_ESTABLISHED,
    MNET_TCP_FIN_WAIT_1, MNET_TCP_FIN_WAIT_2, MNET_TCP_HAS_ACCURATE_ECN, MNET_TCP_HAS_ECN,
    MNET_TCP_HAS_SACK, MNET_TCP_HAS_TIMESTAMPS, MNET_TCP_IN_RECOVERY, MNET_TCP_LAST_ACK,
    MNET_TCP_LISTEN, MNET_TCP_SYN_RECEIVED, MNET_TCP_SYN_SENT, MNET_TCP_TIME_WAIT, mnet_addr,
    mnet_fd, mnet_stack, mnet_tcp_entry, mnet_tcp_info,
};

/// The states with their numbers and names.
static STATES: [(State, u32, &CStr); 11] = [
    (State::Closed, MNET_TCP_CLOSED, c"CLOSED"),
    (State::Listen, MNET_TCP_LISTEN, c"LISTEN"),
    (State::SynSent, MNET_TCP_SYN_SENT, c"SYN-SENT"),
    (State::SynReceived, MNET_TCP_SYN_RECEIVED, c"SYN-RECEIVED"),
    (State::Established, MNET_TCP_ESTABLISHED, c"ESTABLISHED"),
    (State::FinWait1, MNET_TCP_FIN_WAIT_1, c"FIN-WAIT-1"),
    (State::FinWait2, MNET_TCP_FIN_WAIT_2, c"FIN-WAIT-2"),
    (State::CloseWait, MNET_TCP_CLOSE_WAIT, c"CLOSE-WAIT"),
    (State::Closing, MNET_TCP_CLOSING, c"CLOSING"),
    (State::LastAck, MNET_TCP_LAST_ACK, c"LAST-ACK"),
    (State::TimeWait, MNET_TCP_TIME_WAIT, c"TIME-WAIT"),
];

fn number(state: State) -> u32 {
    STATES
        .iter()
        .find(|(candidate, ..)| *candidate == state)
        .map_or(MNET_TCP_CLOSED, |(_, number, _)| *number)
}

/// The name of a state (MNET_TCP_*), as in "FIN-WAIT-1".
///
/// Any number may be passed: "?" for one that is no state. Never NULL; the text is static. Does not
/// block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_tcp_state_name(state: u32) -> *const c_char {
    STATES
        .iter()
        .find(|(_, number, _)| *number == state)
        .map_or(c"?", |(.., name)| name)
        .as_ptr()
}

/// The name of a congestion control algorithm (MNET_CONGESTION_*), as in "cubic".
///
/// Any number may be passed: "?" for one that is no algorithm. Never NULL; the text is static. Does
/// not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_congestion_name(algorithm: u32) -> *const c_char {
    match self::algorithm(algorithm) {
        Ok(Some(CongestionAlgorithm::Cubic)) => c"cubic",
        Ok(Some(CongestionAlgorithm::NewReno)) => c"new-reno",
        _ => c"?",
    }
    .as_ptr()
}

/// What a TCP connection is doing (RFC 9293 section 3.10.6, STATUS).
///
/// - info: receives it.
/// - size: sizeof (struct mnet_tcp_info). A shorter structure of an older version is filled as far as
///   it goes; members that this version does not know become 0.
///
/// Returns 0, MNET_EINVAL (NULL), MNET_EBADF (not a connection) or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_tcp_info(
    fd: mnet_fd,
    info: *mut mnet_tcp_info,
    size: usize,
) -> c_int {
    let read = || {
        if info.is_null() || size > 1 << 16 {
            return Err(Error::INVALID);
        }
        let now = registry::with_socket(fd, |stack, id| {
            Ok(for_c(&stack.runtime.stack().tcp_info(id)?))
        })?;
        // SAFETY: as the header says: `size` bytes that may be written.
        unsafe { pointer::write_sized(info, size, &now) }
    };
    status(read())
}

fn for_c(info: &TcpInfo) -> mnet_tcp_info {
    let flags = [
        (info.timestamps, MNET_TCP_HAS_TIMESTAMPS),
        (info.sack, MNET_TCP_HAS_SACK),
        (info.ecn != EcnFeedback::None, MNET_TCP_HAS_ECN),
        (info.ecn == EcnFeedback::Accurate, MNET_TCP_HAS_ACCURATE_ECN),
        (info.in_recovery, MNET_TCP_IN_RECOVERY),
    ];
    let (snd_scale, rcv_scale) = info.window_scales;
    mnet_tcp_info {
        srtt_ns: nanos(info.srtt),
        rttvar_ns: nanos(info.rttvar),
        min_rtt_ns: nanos(info.min_rtt),
        rto_ns: nanos(info.rto),
        bytes_delivered: info.bytes_delivered,
        bytes_received: info.bytes_received,
        state: number(info.state),
        flags: flags.iter().filter(|(is, _)| *is).map(|(_, bit)| bit).sum(),
        mss: info.mss.into(),
        path_mtu: info.path_mtu.into(),
        congestion: algorithm_number(info.congestion),
        cwnd: info.cwnd,
        ssthresh: info.ssthresh.unwrap_or(u32::MAX),
        snd_wnd: info.snd_wnd,
        rcv_wnd: info.rcv_wnd,
        snd_scale: snd_scale.into(),
        rcv_scale: rcv_scale.into(),
        in_flight: info.in_flight,
        unsent: info.unsent,
        unread: info.unread,
        retransmits: info.retransmits,
        backoff: info.backoff.into(),
    }
}

/// Both ends of a TCP connection.
///
/// - local, remote: receive our address and port, and the peer's; each may be NULL.
///
/// Returns 0, MNET_EBADF (not a connection), MNET_EINVAL or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_peers(
    fd: mnet_fd,
    local: *mut mnet_addr,
    remote: *mut mnet_addr,
) -> c_int {
    let read = || {
        // SAFETY: as the header says: NULL, or a place for an address.
        let out_local = unsafe { Out::optional(local) }?;
        // SAFETY: as above.
        let out_remote = unsafe { Out::optional(remote) }?;
        let (local, remote) = registry::with_socket(fd, |stack, id| {
            let core = stack.runtime.stack();
            Ok((core.local_addr(id)?, core.remote_addr(id)?))
        })?;
        out_local.write(mnet_addr::new(local));
        out_remote.write(mnet_addr::new(remote));
        Ok(())
    };
    status(read())
}

/// Lists what TCP has: listeners, connections, half-open ones, TIME-WAIT. Call it until it returns 0.
///
/// - cursor: where the list goes on; set it to 0 for the beginning, and leave it to the calls then.
/// - entries, max: where the entries go, and room for how many (at least 1).
///
/// Returns how many entries were written, 0 at the end, or
///   MNET_EINVAL   NULL, or max is 0
///   MNET_EBADF    no such stack
///   MNET_EBUSY
/// Does not block. What comes and goes between two calls may be missed; nothing is listed twice.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_tcp_list(
    stack: mnet_stack,
    cursor: *mut u64,
    entries: *mut mnet_tcp_entry,
    max: usize,
) -> i64 {
    let list = || {
        // SAFETY: as the header says: NULL, or a place for a number.
        let out = unsafe { Out::required(cursor) }?;
        // SAFETY: not NULL, so it points to a number.
        let start = unsafe { pointer::read(cursor.cast_const()) }?;
        let len = pointer::array_len::<mnet_tcp_entry>(max)?;
        if len == 0 {
            return Err(Error::INVALID);
        }
        // SAFETY: as the header says: NULL, or `max` entries that may be written.
        let place = unsafe { pointer::output(entries.cast(), len) }?;
        let first = place.as_mut_ptr().cast::<mnet_tcp_entry>();
        let (count, next) = registry::with_stack(stack, |stack| {
            let mut at = usize::try_from(start).unwrap_or(usize::MAX);
            let mut count = 0;
            while count < max
                && let Some((entry, next)) = stack.runtime.stack().tcp_next(at)
            {
                let entry = mnet_tcp_entry {
                    fd: entry.id.map_or(0, |id| stack.place.handle(id)),
                    local: mnet_addr::new(entry.local),
                    remote: entry.remote.map(mnet_addr::new).unwrap_or_default(),
                    state: number(entry.state),
                    reserved: 0,
                };
                // SAFETY: `count` is below `max`, and there are as many entries at `first`.
                unsafe { first.add(count).write_unaligned(entry) };
                count += 1;
                at = next;
            }
            Ok((count, at))
        })?;
        out.write(u64::try_from(next).unwrap_or(u64::MAX));
        Ok(length(count))
    };
    value(list())
}
