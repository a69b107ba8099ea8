//! More of UDP sockets: peers, shared ports, settings, groups, what is known of a datagram, and
//! datagrams in place.

use core::ffi::{c_int, c_void};
use core::net::{IpAddr, SocketAddr};
use core::ptr;

use mnet::mnet_core::UdpReceived;
use mnet::mnet_core::udp::{GroupChange, UdpOptions, UdpSetting};

use crate::address;
use crate::error::{Error, length, status, value};
use crate::pointer::{self, Out};
use crate::registry::{self, Opened};
use crate::types::{mnet_addr, mnet_fd, mnet_stack};

/// mnet_udp_set(): hops that a datagram to one host may take, 1 to 255. Default 64.
pub const MNET_UDP_TTL: u32 = 1;
/// mnet_udp_set(): differentiated services code point in the upper six bits, ECN field in the lower
/// two; 0 to 255. Default 0.
pub const MNET_UDP_TRAFFIC_CLASS: u32 = 2;
/// mnet_udp_set(): hops that a datagram to a group may take, 0 (it stays on this host) to 255. Default
/// 1: it stays on the link.
pub const MNET_UDP_MULTICAST_TTL: u32 = 3;
/// mnet_udp_set(): the interface that datagrams to groups leave by, counted from 1. 0, the default: that
/// of the socket's address, or of a route, or the first one. A socket that is connected to a group keeps
/// the one that it had then.
pub const MNET_UDP_MULTICAST_INTERFACE: u32 = 4;
/// mnet_udp_set(): whether members on this host hear what the socket sends to a group. Default 1.
pub const MNET_UDP_MULTICAST_LOOP: u32 = 5;
/// mnet_udp_set(): whether broadcasts may be sent. Default 0.
pub const MNET_UDP_BROADCAST: u32 = 6;
/// mnet_udp_set(): memory for datagrams that wait, in bytes, 1 to 1 GiB. Default
/// mnet_config.udp_receive_buffer.
pub const MNET_UDP_RECEIVE_BUFFER: u32 = 7;
/// mnet_udp_set(): whether datagrams leave whole or not at all, and reading tells when the path was too
/// narrow for one (MNET_EMSGSIZE). Default 0.
pub const MNET_UDP_DONT_FRAGMENT: u32 = 8;

/// mnet_group(): hear what anybody sends to the group.
pub const MNET_GROUP_JOIN: u32 = 1;
/// mnet_group(): hear nothing more of it.
pub const MNET_GROUP_LEAVE: u32 = 2;
/// mnet_group(): after MNET_GROUP_JOIN, do not hear this source.
pub const MNET_GROUP_BLOCK: u32 = 3;
/// mnet_group(): hear a source again that was blocked.
pub const MNET_GROUP_UNBLOCK: u32 = 4;
/// mnet_group(): hear only this source, and others that are named so.
pub const MNET_GROUP_JOIN_SOURCE: u32 = 5;
/// mnet_group(): do not hear a source any more that was named so. With the last one the group is left.
pub const MNET_GROUP_LEAVE_SOURCE: u32 = 6;

/// What is known of a datagram. Set size to sizeof(struct mnet_datagram) first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct mnet_datagram {
    /// Size of the structure as the caller knows it.
    pub size: usize,
    /// Received: who sent it. To send: where to; MNET_AF_NONE: the peer.
    pub remote: mnet_addr,
    /// Received: what it was sent to (one of our addresses, a broadcast, a group), with the port of the
    /// socket. To send: the address of ours to send from; MNET_AF_NONE: as the route says.
    pub local: mnet_addr,
    /// Received: the interface that it came by, counted from 1. To send: 0.
    pub interface: u32,
    /// Received: hops that it could still have taken. To send: 0.
    pub hop_limit: u16,
    /// Received: code point (upper six bits) and ECN field (lower two). To send: 0.
    pub traffic_class: u16,
}

impl mnet_datagram {
    fn received(info: &UdpReceived, port: u16, size: usize) -> Self {
        Self {
            size,
            remote: mnet_addr::new(info.remote),
            local: mnet_addr::new(SocketAddr::new(info.destination, port)),
            interface: u32::try_from(info.interface.index() + 1).unwrap_or(0),
            hop_limit: info.hop_limit.into(),
            traffic_class: info.traffic_class.into(),
        }
    }
}

/// What the network has said of a datagram. Set size to sizeof(struct mnet_udp_error) first.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct mnet_udp_error {
    /// Size of the structure as the caller knows it.
    pub size: usize,
    /// Where the datagram was sent to; MNET_AF_NONE: there was no error.
    pub remote: mnet_addr,
    /// The error, one of MNET_ECONNREFUSED, MNET_EHOSTUNREACH, MNET_EMSGSIZE, MNET_EHOPLIMIT; or 0.
    pub error: c_int,
    /// With MNET_EMSGSIZE: the largest packet that the path carries, in bytes, IP header included.
    pub mtu: u32,
}

/// Copies in an address that may be NULL or none.
///
/// # Safety
/// `place` is NULL or points to an address.
unsafe fn optional(place: *const mnet_addr) -> Result<Option<SocketAddr>, Error> {
    if place.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL; the caller vouches for the rest.
    unsafe { pointer::read(place) }?.optional()
}

/// The size that the caller has put in front of a structure that is to be filled in; 0 for NULL.
///
/// # Safety
/// `place` is NULL or points to a structure that starts with its size.
unsafe fn size_of_out<T>(place: *const T) -> Result<usize, Error> {
    if place.is_null() {
        return Ok(0);
    }
    // SAFETY: not NULL, and it starts with a `usize`.
    let size = unsafe { pointer::read(place.cast::<usize>()) }?;
    if !(size_of::<usize>()..=1 << 16).contains(&size) {
        return Err(Error::INVALID);
    }
    Ok(size)
}

fn local_port(stack: &Opened, id: mnet::SocketId) -> u16 {
    let local = stack.runtime.stack().local_addr(id);
    local.map_or(0, |local| local.port())
}

/// As mnet_udp_bind(), and other sockets that were opened so may have the same address and port: at
/// most 16, and any number that are connected (mnet_udp_connect()). A datagram to a broadcast or a group
/// reaches each of them that wants it; any other the one that is connected to its sender, or else the
/// one that was opened last.
///
/// Returns and errors as mnet_udp_bind(). Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_udp_bind_shared(
    stack: mnet_stack,
    local: *const mnet_addr,
) -> mnet_fd {
    let bind = || {
        // SAFETY: as the header says: NULL, or an address.
        let local = unsafe { address::read(local) }?;
        registry::with_stack(stack, |stack| {
            let options = UdpOptions { reuse: true };
            let id = stack.runtime.stack_mut().udp_bind_with(local, options)?;
            Ok(stack.adopt(id))
        })
    };
    value(bind())
}

/// Connects a UDP socket to a peer: it hears only that peer and errors about what it sends there, and
/// mnet_sendmsg() and mnet_send_commit() without an address go to it. Nothing is sent. What waits from others is dropped.
///
/// - remote: the peer; NULL: none any more, the socket is as it was bound.
///
/// Returns 0, or
///   MNET_ENETUNREACH     no route
///   MNET_EADDRNOTAVAIL   the socket's address is not ours any more
///   MNET_EADDRINUSE      another socket has the same addresses and ports
///   MNET_ELIMIT          too many sockets without a peer share the port
///   MNET_EINVAL, MNET_EBADF, MNET_EAFNOSUPPORT, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_udp_connect(fd: mnet_fd, remote: *const mnet_addr) -> c_int {
    let connect = || {
        // SAFETY: as the header says: NULL, or an address.
        let remote = unsafe { optional(remote) }?;
        registry::with_socket(fd, |stack, id| {
            let now = stack.runtime.now();
            Ok(stack.runtime.stack_mut().udp_connect(now, id, remote)?)
        })
    };
    status(connect())
}

/// Changes a setting of a UDP socket.
///
/// - setting: one of MNET_UDP_*, where the values are explained.
///
/// Returns 0, or MNET_EINVAL (no such setting, or out of range), MNET_EBADF, MNET_EBUSY. Does not
/// block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_udp_set(fd: mnet_fd, setting: u32, value: u64) -> c_int {
    let byte = || u8::try_from(value).map_err(|_| Error::INVALID);
    let on = || match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::INVALID),
    };
    status(registry::with_socket(fd, |stack, id| {
        let setting = match setting {
            MNET_UDP_TTL => UdpSetting::TimeToLive(byte()?),
            MNET_UDP_TRAFFIC_CLASS => UdpSetting::TrafficClass(byte()?),
            MNET_UDP_MULTICAST_TTL => UdpSetting::MulticastTimeToLive(byte()?),
            MNET_UDP_MULTICAST_INTERFACE if value == 0 => UdpSetting::MulticastInterface(None),
            MNET_UDP_MULTICAST_INTERFACE => {
                let number = u32::try_from(value).map_err(|_| Error::INVALID)?;
                UdpSetting::MulticastInterface(Some(stack.interface_of(number)?))
            }
            MNET_UDP_MULTICAST_LOOP => UdpSetting::MulticastLoop(on()?),
            MNET_UDP_BROADCAST => UdpSetting::Broadcast(on()?),
            MNET_UDP_RECEIVE_BUFFER => {
                let bytes = usize::try_from(value).map_err(|_| Error::INVALID)?;
                UdpSetting::ReceiveBuffer(bytes)
            }
            MNET_UDP_DONT_FRAGMENT => UdpSetting::DontFragment(on()?),
            _ => return Err(Error::INVALID),
        };
        let now = stack.runtime.now();
        Ok(stack.runtime.stack_mut().udp_set(now, id, setting)?)
    }))
}

/// Changes what a UDP socket hears of a group (RFC 3678), and tells the routers and switches of the
/// link: IGMP (RFC 3376) or multicast listener discovery (RFC 3810). Only sockets that are bound to all
/// addresses hear groups. Closing a socket ends its memberships.
///
/// - change: one of MNET_GROUP_*.
/// - group: the group; its port is ignored.
/// - source: for the changes that name one, a host of the group's family; NULL for the others.
/// - interface: counted from 1. 0: to join, the one that datagrams to the group leave by; otherwise the
///   one on which the socket is a member.
///
/// Returns 0, or
///   MNET_EADDRINUSE      a member, or the source named, already
///   MNET_EADDRNOTAVAIL   not a member, or the source not named
///   MNET_ELIMIT          too many memberships, sources (16) or groups of the interface (32)
///   MNET_ENODEV          no interface for the group
///   MNET_EINVAL          no group, no such change or interface, a source of the other kind of membership
///   MNET_EBADF, MNET_EAFNOSUPPORT, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_group(
    fd: mnet_fd,
    change: u32,
    group: *const mnet_addr,
    source: *const mnet_addr,
    interface: u32,
) -> c_int {
    let join = || {
        // SAFETY: as the header says: NULL, or an address.
        let group = unsafe { address::read(group) }?.ip();
        // SAFETY: as the header says: NULL, or an address.
        let source = unsafe { optional(source) }?.map(|source| source.ip());
        let change = match (change, source) {
            (MNET_GROUP_JOIN, None) => GroupChange::Join,
            (MNET_GROUP_LEAVE, None) => GroupChange::Leave,
            (MNET_GROUP_BLOCK, Some(source)) => GroupChange::Block(source),
            (MNET_GROUP_UNBLOCK, Some(source)) => GroupChange::Unblock(source),
            (MNET_GROUP_JOIN_SOURCE, Some(source)) => GroupChange::JoinSource(source),
            (MNET_GROUP_LEAVE_SOURCE, Some(source)) => GroupChange::LeaveSource(source),
            _ => return Err(Error::INVALID),
        };
        registry::with_socket(fd, |stack, id| {
            let interface = match interface {
                0 => None,
                number => Some(stack.interface_of(number)?),
            };
            let now = stack.runtime.now();
            let core = stack.runtime.stack_mut();
            core.udp_group(now, id, change, group, interface)?;
            stack.send_if_blocking(id);
            Ok(())
        })
    };
    status(join())
}

/// As mnet_recvfrom(), and says more of the datagram.
///
/// - info: receives what is known of it.
///
/// Returns, errors and waiting as mnet_recvfrom(); MNET_EINVAL also if info is NULL or its size is not
/// set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_recvmsg(
    fd: mnet_fd,
    buf: *mut c_void,
    len: usize,
    info: *mut mnet_datagram,
) -> i64 {
    let receive = || {
        // SAFETY: as the header says: NULL, or `len` bytes that may be written.
        let buffer = unsafe { pointer::output(buf, len) }?;
        // SAFETY: as the header says: NULL, or a structure with its size.
        let size = unsafe { size_of_out(info) }?;
        if size == 0 {
            return Err(Error::INVALID);
        }
        // Before the datagram is taken: afterwards it would be lost.
        pointer::check(info.cast(), size)?;
        let (received, port) = registry::blocking(fd, false, |stack, id| {
            let now = stack.runtime.now();
            let received = stack.runtime.stack_mut().udp_recv_from(now, id, buffer)?;
            Ok((received, local_port(stack, id)))
        })?;
        let out = mnet_datagram::received(&received, port, size);
        // SAFETY: the caller says that there are `size` bytes.
        unsafe { pointer::write_sized(info, size, &out) }?;
        Ok(length(received.datagram_len))
    };
    value(receive())
}

/// As mnet_sendto(), from a chosen address of ours.
///
/// - info: remote and local say where to and from where; the members behind them are 0.
///
/// Returns, errors and waiting as mnet_sendto(); MNET_ENOTCONN if no address is given and there is no
/// peer, MNET_EADDRNOTAVAIL if local is not one of our addresses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_sendmsg(
    fd: mnet_fd,
    buf: *const c_void,
    len: usize,
    info: *const mnet_datagram,
) -> i64 {
    /// The members up to `local`.
    const SMALLEST: usize = size_of::<usize>() + 2 * size_of::<mnet_addr>();
    let send = || {
        // SAFETY: as the header says: NULL, or `len` bytes.
        let data = unsafe { pointer::input(buf, len) }?;
        // SAFETY: as the header says: NULL, or a structure with its size.
        let info = unsafe { pointer::read_sized(info, SMALLEST) }?;
        if (info.interface, info.hop_limit, info.traffic_class) != (0, 0, 0) {
            return Err(Error::INVALID);
        }
        let remote = info.remote.optional()?;
        let source: Option<IpAddr> = info.local.optional()?.map(|local| local.ip());
        registry::blocking(fd, true, |stack, id| {
            let now = stack.runtime.now();
            let core = stack.runtime.stack_mut();
            Ok(core.udp_send_from(now, id, data, remote, source)?)
        })?;
        Ok(length(data.len()))
    };
    value(send())
}

/// Room for a datagram, to be written in place and sent by mnet_send_commit(). The memory belongs to the
/// stack: it may be written until mnet_send_commit() succeeds, mnet_send_cancel() or mnet_close(), and
/// its content is arbitrary at first. A socket has one such room: asking again gives the same, with its
/// content.
///
/// - len: most bytes of the datagram.
/// - data: receives the address of the room.
///
/// Returns 0, or
///   MNET_EAGAIN     no buffer is free (non-blocking)
///   MNET_EMSGSIZE   more than one packet holds
///   MNET_EINVAL, MNET_EBADF, MNET_EBUSY
/// A blocking socket waits for a buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_send_reserve(
    fd: mnet_fd,
    len: usize,
    data: *mut *mut c_void,
) -> c_int {
    let reserve = || {
        // SAFETY: as the header says: NULL, or a place for a pointer.
        let out = unsafe { Out::required(data) }?;
        let start = registry::blocking(fd, true, |stack, id| {
            let now = stack.runtime.now();
            let room = stack.runtime.stack_mut().udp_reserve(now, id, len)?;
            Ok(room.as_mut_ptr().cast::<c_void>())
        })?;
        out.write(start);
        Ok(())
    };
    status(reserve())
}

/// Sends what was written into the room of mnet_send_reserve().
///
/// - len: bytes of the datagram, at most as many as were reserved.
/// - remote: where to; NULL: the peer.
///
/// Returns 0, or MNET_EINVAL (nothing was reserved, or less), MNET_ENOTCONN (no address, and no peer),
/// or an error as mnet_sendto() does; the room is still reserved then. Does not wait. A blocking socket
/// sends before it returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_send_commit(
    fd: mnet_fd,
    len: usize,
    remote: *const mnet_addr,
) -> c_int {
    let commit = || {
        // SAFETY: as the header says: NULL, or an address.
        let remote = unsafe { optional(remote) }?;
        registry::with_socket(fd, |stack, id| {
            let now = stack.runtime.now();
            let core = stack.runtime.stack_mut();
            core.udp_commit(now, id, len, remote)?;
            stack.send_if_blocking(id);
            Ok(())
        })
    };
    status(commit())
}

/// Gives the room of mnet_send_reserve() back; without one nothing happens.
///
/// Returns 0, MNET_EBADF or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_send_cancel(fd: mnet_fd) -> c_int {
    status(registry::with_socket(fd, |stack, id| {
        Ok(stack.runtime.stack_mut().udp_cancel(id)?)
    }))
}

/// Shows the next datagram without copying it, and without taking it: mnet_datagram_consume() does that.
///
/// - data: receives the address of the datagram. It may be read until the next call on this stack.
/// - info: receives what is known of it; may be NULL.
///
/// Returns how many bytes lie together: all of the datagram, unless it came in fragments, which
/// mnet_recvfrom() puts together; or an error, as mnet_recvfrom() does. Waits as that does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_datagram_peek(
    fd: mnet_fd,
    data: *mut *const c_void,
    info: *mut mnet_datagram,
) -> i64 {
    let peek = || {
        // SAFETY: as the header says: NULL, or a place for a pointer.
        let out = unsafe { Out::required(data) }?;
        // SAFETY: as the header says: NULL, or a structure with its size.
        let size = unsafe { size_of_out(info) }?;
        let (start, received, port) = registry::blocking(fd, false, |stack, id| {
            let port = local_port(stack, id);
            let now = stack.runtime.now();
            let datagram = stack.runtime.stack_mut().udp_peek(now, id)?;
            let start = ptr::from_ref(datagram.data).cast::<c_void>();
            Ok((start, datagram.info, port))
        })?;
        if size != 0 {
            let known = mnet_datagram::received(&received, port, size);
            // SAFETY: the caller says that there are `size` bytes.
            unsafe { pointer::write_sized(info, size, &known) }?;
        }
        out.write(start);
        Ok(length(received.len))
    };
    value(peek())
}

/// Takes the datagram that mnet_datagram_peek() has shown.
///
/// Returns 0, MNET_EAGAIN (none waits), MNET_EBADF or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_datagram_consume(fd: mnet_fd) -> c_int {
    status(registry::with_socket(fd, |stack, id| {
        let now = stack.runtime.now();
        Ok(stack.runtime.stack_mut().udp_consume(now, id)?)
    }))
}

/// The error that a UDP socket has heard of last, and which datagram it is about. It stays until another
/// one comes or the socket is connected; reading reports it once.
///
/// Returns 0, MNET_EINVAL (NULL, or the size is not set), MNET_EBADF or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_udp_last_error(fd: mnet_fd, info: *mut mnet_udp_error) -> c_int {
    let ask = || {
        // SAFETY: as the header says: NULL, or a structure with its size.
        let size = unsafe { size_of_out(info) }?;
        if size == 0 {
            return Err(Error::INVALID);
        }
        let error = registry::with_socket(fd, |stack, id| {
            Ok(stack.runtime.stack().udp_last_error(id)?)
        })?;
        let out = error.map_or(
            mnet_udp_error {
                size,
                ..mnet_udp_error::default()
            },
            |error| mnet_udp_error {
                size,
                remote: mnet_addr::new(error.remote),
                error: Error::from(error.error).code(),
                mtu: error.mtu.into(),
            },
        );
        // SAFETY: the caller says that there are `size` bytes.
        unsafe { pointer::write_sized(info, size, &out) }
    };
    status(ask())
}
