//! UDP sockets.

use core::ffi::c_void;

use crate::address;
use crate::error::{length, value};
use crate::pointer::{self, Out};
use crate::registry;
use crate::types::{mnet_addr, mnet_fd, mnet_stack};

/// Opens a UDP socket (RFC 768).
///
/// - local: our address and port; the address 0.0.0.0 means all of ours, port 0 takes a free one.
///
/// Returns the socket, or
///   MNET_EADDRNOTAVAIL   not one of our addresses
///   MNET_EADDRINUSE      another socket has this address and port, or no port is free
///   MNET_ELIMIT          max_udp_sockets exist
///   MNET_EINVAL, MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_udp_bind(stack: mnet_stack, local: *const mnet_addr) -> mnet_fd {
    let bind = || {
        // SAFETY: as the header says: NULL, or an address.
        let local = unsafe { address::read(local) }?;
        registry::with_stack(stack, |stack| {
            let id = stack.runtime.stack_mut().udp_bind(local)?;
            Ok(stack.adopt(id))
        })
    };
    value(bind())
}

/// Sends one datagram. It is copied before the call returns. It may have up to 65,507 bytes to an IPv4
/// address and 65,527 to an IPv6 address. What the path does not carry in one packet leaves in fragments
/// (RFC 791, RFC 8200 section 4.5), all of them or none; one lost fragment loses the datagram.
///
/// - buf, len: the payload; 0 bytes make an empty datagram. Must not lie in an arena.
/// - remote: where to.
///
/// Returns len, or
///   MNET_EAGAIN        not as many buffers are free as it takes (non-blocking)
///   MNET_EMSGSIZE      it is longer than a datagram can be, or than the arena has buffers for
///   MNET_ENETUNREACH   no route
///   MNET_EACCES        to a broadcast address: MNET_UDP_BROADCAST of mnet_udp_set() allows that
///   MNET_EISCONN       not the peer that the socket is connected to
///   MNET_EADDRNOTAVAIL the address that the socket is bound to is not ours any more
///   MNET_EINVAL        NULL, or an address that cannot be sent to
///   MNET_EBADF         not a UDP socket
///   MNET_EAFNOSUPPORT, MNET_EBUSY
/// A blocking socket waits for a buffer, and sends before it returns; a non-blocking one queues
/// the datagram for the next call that drives the stack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_sendto(
    fd: mnet_fd,
    buf: *const c_void,
    len: usize,
    remote: *const mnet_addr,
) -> i64 {
    let send = || {
        // SAFETY: as the header says: NULL, or `len` bytes.
        let data = unsafe { pointer::input(buf, len) }?;
        // SAFETY: as the header says: NULL, or an address.
        let remote = unsafe { address::read(remote) }?;
        registry::blocking(fd, true, |stack, id| {
            let now = stack.runtime.now();
            Ok(stack
                .runtime
                .stack_mut()
                .udp_send_to(now, id, data, remote)?)
        })?;
        Ok(length(data.len()))
    };
    value(send())
}

/// Receives one datagram, of up to 65,507 bytes over IPv4 and 65,527 over IPv6; one that came in
/// fragments is whole.
///
/// - buf, len: where the payload goes; what does not fit is cut off. Must not lie in an arena.
/// - remote: receives the sender's address; may be NULL.
///
/// Returns the length of the datagram, which is larger than len if it was cut; 0 is an empty
/// datagram; or
///   MNET_EAGAIN         none waits (non-blocking): wait for MNET_READABLE
///   MNET_ECONNREFUSED   an earlier datagram was answered by "port unreachable" (RFC 1122
///                       section 4.1.3.3)
///   MNET_EHOSTUNREACH   an earlier datagram was answered by "host" or "net unreachable"
///   MNET_EHOPLIMIT      an earlier datagram ran out of hops
///   MNET_EMSGSIZE       an earlier datagram was too large for its path (MNET_UDP_DONT_FRAGMENT)
///   MNET_EBADF          not a UDP socket
///   MNET_EINVAL, MNET_EBUSY
/// A blocking socket waits for a datagram.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_recvfrom(
    fd: mnet_fd,
    buf: *mut c_void,
    len: usize,
    remote: *mut mnet_addr,
) -> i64 {
    let receive = || {
        // SAFETY: as the header says: NULL, or `len` bytes that may be written.
        let buffer = unsafe { pointer::output(buf, len) }?;
        // SAFETY: as the header says: NULL, or a place for an address.
        let out = unsafe { Out::optional(remote) }?;
        let received = registry::blocking(fd, false, |stack, id| {
            let now = stack.runtime.now();
            Ok(stack.runtime.stack_mut().udp_recv_from(now, id, buffer)?)
        })?;
        out.write(mnet_addr::new(received.remote));
        Ok(length(received.datagram_len))
    };
    value(receive())
}
