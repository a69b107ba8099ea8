//! Listeners and connections with choices: how many at a time, and Fast Open (RFC 7413).
#![allow(
    non_camel_case_types,
    reason = "the names are C's, as the header has them"
)]

use core::ffi::{c_int, c_void};
use core::mem::offset_of;

use mnet::mnet_core::ListenOptions;

use crate::address;
use crate::error::{Error, value};
use crate::pointer::{self, Out};
use crate::registry;
use crate::tcp::{self, Opening};
use crate::types::{mnet_addr, mnet_fd, mnet_stack};

/// Choices for one listener.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mnet_listen_options {
    /// sizeof (struct mnet_listen_options).
    pub size: usize,
    /// How many connections may wait for mnet_accept(), at least 1.
    pub backlog: u32,
    /// Most connections open at a time that the listener has brought; 0: as many as the stack has room
    /// for. Beyond it SYNs are not answered.
    pub max_connections: u32,
    /// Fast Open (RFC 7413): most connections at a time that have sent data with their SYN, and whose
    /// handshake is not complete. Such data may be read, and answered, before it is, and the network
    /// may bring it twice: only for requests that may be served twice. 0: off.
    pub fast_open: u32,
}

const FIRST_SIZE: usize = offset_of!(mnet_listen_options, fast_open) + size_of::<u32>();

/// Listens for TCP connections as mnet_listen() does, with all choices.
///
/// - local: our address and port; the address 0.0.0.0 means all of ours.
/// - options: what to choose, with its size.
///
/// Returns what mnet_listen() returns. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_listen_with(
    stack: mnet_stack,
    local: *const mnet_addr,
    options: *const mnet_listen_options,
) -> mnet_fd {
    let listen = || {
        // SAFETY: as the header says: NULL, or an address.
        let local = unsafe { address::read(local) }?;
        // SAFETY: as the header says: NULL, or a structure that begins with its size.
        let given = unsafe { pointer::read_sized(options, FIRST_SIZE) }?;
        let count = |count: u32| usize::try_from(count).map_err(|_| Error::INVALID);
        let options = ListenOptions {
            backlog: count(given.backlog)?,
            max_connections: Some(count(given.max_connections)?).filter(|most| *most > 0),
            fast_open: count(given.fast_open)?,
        };
        registry::with_stack(stack, |stack| {
            let id = stack.runtime.stack_mut().tcp_listen_with(local, &options)?;
            Ok(stack.adopt(id))
        })
    };
    value(listen())
}

/// Opens a TCP connection as mnet_connect_timeout() does, with data that is sent first: with the SYN, to
/// a server that has given us a cookie for that before, so that the answer comes a round trip earlier
/// (Fast Open, RFC 7413). To others the SYN asks for a cookie, and the data follows the handshake. Only
/// for data that the server may take twice: a SYN that the network repeats is a request of its own.
///
/// - remote, local, flags, timeout_ns: as for mnet_connect_timeout().
/// - data, len: what is sent first; NULL is allowed with len 0.
/// - taken: receives how many bytes of it were taken: at most what a segment carries. The rest is for
///   mnet_write().
///
/// Returns what mnet_connect() returns, or MNET_EINVAL if taken is NULL. Waits as mnet_connect() does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_connect_early(
    stack: mnet_stack,
    remote: *const mnet_addr,
    local: *const mnet_addr,
    flags: c_int,
    timeout_ns: u64,
    data: *const c_void,
    len: usize,
    taken: *mut usize,
) -> mnet_fd {
    let connect = || {
        // SAFETY: as the header says: NULL, or a place for a number.
        let out = unsafe { Out::required(taken) }?;
        // SAFETY: as the header says: NULL, or `len` bytes that may be read.
        let early_data = unsafe { pointer::input(data, len) }?;
        let opening = Opening {
            flags,
            timeout_ns,
            early_data: Some(early_data),
        };
        // SAFETY: as the header says: NULL, or addresses.
        let (fd, count) = unsafe { tcp::connect(stack, remote, local, &opening) }?;
        out.write(count);
        Ok(fd)
    };
    value(connect())
}
