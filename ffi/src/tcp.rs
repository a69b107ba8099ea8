//! TCP: listeners and connections.

use core::ffi::{c_int, c_void};
use core::mem::MaybeUninit;
use core::slice;
use core::time::Duration;

use mnet::mnet_core::ConnectOptions;
use mnet::mnet_core::error::SendError;
use mnet::mnet_core::socket::SocketKind;
use mnet::mnet_core::tcp::{State, TcpSetting};

use crate::address;
use crate::error::{Error, length, status, value};
use crate::pointer::{self, Out};
use crate::registry;
use crate::types::{MNET_NONBLOCK, MNET_SHUT_WR, mnet_addr, mnet_fd, mnet_stack};

/// Data that lies in an arena (from mnet_peek()) is sent through a copy on the stack of this size:
/// one segment, and small enough for stacks without a guard page.
const BOUNCE: usize = 1_536;

/// Listens for TCP connections (RFC 9293 section 3.10.1, passive OPEN).
///
/// - local: our address and port; the address 0.0.0.0 means all of ours.
/// - backlog: how many connections may wait for mnet_accept(), at least 1. Further ones are not
///   answered, so that peers try again.
///
/// Returns the listener, or
///   MNET_EINVAL          local is NULL, its port is 0, or backlog is 0
///   MNET_EADDRNOTAVAIL   not one of our addresses
///   MNET_EADDRINUSE      another listener has this address and port
///   MNET_ELIMIT          max_listeners exist
///   MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_listen(
    stack: mnet_stack,
    local: *const mnet_addr,
    backlog: u32,
) -> mnet_fd {
    let listen = || {
        // SAFETY: as the header says: NULL, or an address.
        let local = unsafe { address::read(local) }?;
        let backlog = usize::try_from(backlog).map_err(|_| Error::INVALID)?;
        registry::with_stack(stack, |stack| {
            let id = stack.runtime.stack_mut().tcp_listen(local, backlog)?;
            Ok(stack.adopt(id))
        })
    };
    value(listen())
}

/// Accepts a connection. It is blocking or non-blocking as the listener is.
///
/// - listener: from mnet_listen().
/// - peer: receives the peer's address; may be NULL.
///
/// Returns the connection, or
///   MNET_EAGAIN   none waits (non-blocking listener): wait for MNET_READABLE
///   MNET_EBADF    not a listener
///   MNET_EINVAL, MNET_EBUSY
/// A blocking listener waits for a connection.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_accept(listener: mnet_fd, peer: *mut mnet_addr) -> mnet_fd {
    let accept = || {
        // SAFETY: as the header says: NULL, or a place for an address.
        let out = unsafe { Out::optional(peer) }?;
        let (fd, peer) = registry::blocking(listener, false, |stack, listener| {
            let nonblocking = stack.is_nonblocking(listener);
            let id = stack.runtime.stack_mut().tcp_accept(listener)?;
            let fd = stack.adopt(id);
            stack.set_nonblocking(id, nonblocking);
            // A connection that has failed since has no peer any more.
            let peer = stack.runtime.stack().remote_addr(id);
            Ok((fd, peer.map(mnet_addr::new).unwrap_or_default()))
        })?;
        out.write(peer);
        Ok(fd)
    };
    value(accept())
}

/// Opens a TCP connection (RFC 9293 section 3.10.1, active OPEN).
///
/// - remote: where to.
/// - local: from which of our addresses and ports; NULL, MNET_AF_NONE or port 0: chosen.
/// - flags: 0, or MNET_NONBLOCK: return at once, with a non-blocking connection that becomes
///   MNET_WRITABLE once it is established; mnet_write() gives the reason if it failed.
///
/// Returns the connection, or
///   MNET_EINVAL          remote is NULL or cannot be connected to; unknown flags
///   MNET_ENETUNREACH     no route
///   MNET_EADDRNOTAVAIL   local is not one of our addresses
///   MNET_EADDRINUSE      this pair of addresses and ports is in use, or no port is free
///   MNET_ELIMIT          max_connections exist
///   MNET_ECONNREFUSED    the peer refused                  (only when waiting)
///   MNET_ETIMEDOUT       the peer did not answer           (only when waiting)
///   MNET_EHOSTUNREACH    the network cannot reach the peer (only when waiting)
///   MNET_EADDRGONE       our address went away             (only when waiting)
///   MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
/// Waits until the connection is established or has failed, unless MNET_NONBLOCK is given or the
/// stack was opened with MNET_CONFIG_NONBLOCKING or MNET_CONFIG_MANUAL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_connect(
    stack: mnet_stack,
    remote: *const mnet_addr,
    local: *const mnet_addr,
    flags: c_int,
) -> mnet_fd {
    // SAFETY: the contract is the same.
    unsafe { mnet_connect_timeout(stack, remote, local, flags, 0) }
}

/// Opens a TCP connection as mnet_connect() does, with a limit to the time that it takes.
///
/// - timeout_ns: 1 ms to 24 days; 0: as the configuration says.
///
/// Returns what mnet_connect() returns. When the time is over it is MNET_ETIMEDOUT, and on a
/// non-blocking connection the next mnet_write() gives that; MNET_EINVAL if the time is out of range.
/// Waits as mnet_connect() does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_connect_timeout(
    stack: mnet_stack,
    remote: *const mnet_addr,
    local: *const mnet_addr,
    flags: c_int,
    timeout_ns: u64,
) -> mnet_fd {
    let opening = Opening {
        flags,
        timeout_ns,
        early_data: None,
    };
    // SAFETY: the contract is the same.
    value(unsafe { connect(stack, remote, local, &opening) }.map(|(fd, _)| fd))
}

/// How a connection is opened.
pub(crate) struct Opening<'a> {
    pub(crate) flags: c_int,
    /// 0: as the configuration says.
    pub(crate) timeout_ns: u64,
    /// With Fast Open: what is sent first.
    pub(crate) early_data: Option<&'a [u8]>,
}

/// Opens a connection; its handle, and how much of the early data was taken.
///
/// # Safety
/// As for [`mnet_connect`].
pub(crate) unsafe fn connect(
    stack: mnet_stack,
    remote: *const mnet_addr,
    local: *const mnet_addr,
    opening: &Opening<'_>,
) -> Result<(mnet_fd, usize), Error> {
    if opening.flags & !MNET_NONBLOCK != 0 {
        return Err(Error::INVALID);
    }
    // SAFETY: as the header says: NULL, or an address.
    let remote = unsafe { address::read(remote) }?;
    let local = if local.is_null() {
        None
    } else {
        // SAFETY: not NULL, so it points to an address; every bit pattern is one.
        unsafe { pointer::read(local) }?.optional()?
    };
    let options = ConnectOptions {
        local,
        fast_open: opening.early_data.is_some(),
        early_data: opening.early_data.unwrap_or_default(),
    };
    let (fd, taken, wait) = registry::with_stack(stack, |stack| {
        let now = stack.runtime.now();
        let core = stack.runtime.stack_mut();
        let (id, taken) = core.tcp_connect_with(now, remote, &options)?;
        if opening.timeout_ns != 0
            && let Err(error) = {
                let time = Some(Duration::from_nanos(opening.timeout_ns));
                core.tcp_set(now, id, TcpSetting::ConnectTimeout(time))
            }
        {
            core.close(now, id)?;
            return Err(error.into());
        }
        let fd = stack.adopt(id);
        if opening.flags & MNET_NONBLOCK != 0 {
            stack.set_nonblocking(id, true);
        }
        Ok((fd, taken, !stack.is_nonblocking(id)))
    })?;
    if wait {
        let outcome = registry::blocking(fd, true, |stack, id| {
            let now = stack.runtime.now();
            // Writing nothing tells apart "not yet", "established" and "failed".
            Ok(stack.runtime.stack_mut().tcp_send(now, id, &[])?)
        });
        if let Err(error) = outcome {
            give_back(fd)?;
            return Err(error);
        }
    }
    Ok((fd, taken))
}

/// Reads from a TCP connection: copies what has arrived, up to len bytes.
///
/// - buf, len: where the data goes. Must not lie in an arena. NULL is allowed with len 0.
///
/// Returns the number of bytes, 0 at the end of the stream (or if len is 0), or
///   MNET_EAGAIN       nothing has arrived (non-blocking): wait for MNET_READABLE
///   MNET_ECONNRESET   the peer reset the connection
///   MNET_ECONNREFUSED, MNET_ETIMEDOUT, MNET_EHOSTUNREACH, MNET_EADDRGONE   the connection failed
///   MNET_EBADF        not a connection
///   MNET_EINVAL, MNET_EBUSY
/// A blocking connection waits for data. After an error close the handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_read(fd: mnet_fd, buf: *mut c_void, len: usize) -> i64 {
    let read = || {
        // SAFETY: as the header says: NULL, or `len` bytes that may be written.
        let buffer = unsafe { pointer::output(buf, len) }?;
        let count = registry::blocking(fd, false, |stack, id| {
            let now = stack.runtime.now();
            Ok(stack.runtime.stack_mut().tcp_recv(now, id, buffer)?)
        })?;
        Ok(length(count))
    };
    value(read())
}

/// Shows received data without copying it, and without taking it: mnet_consume() does that.
///
/// - data: receives the address of the data. It may be read, and given to mnet_write(), until the
///   next call on this stack other than mnet_write(). Where fibers share the connection's stack, an
///   mnet_write() that waits lets them make such calls: make its connection non-blocking, or use
///   mnet_read().
///
/// Returns how many bytes there are: not all that have arrived, but those that lie together; 0 at
/// the end of the stream; or an error as mnet_read() does. Waits as mnet_read() does.
///
/// A server that passes data on gets backpressure for free: peek, write, and consume only what
/// the write took. The rest stays in the stack, and the peer's window closes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_peek(fd: mnet_fd, data: *mut *const c_void) -> i64 {
    let peek = || {
        // SAFETY: as the header says: NULL, or a place for a pointer.
        let out = unsafe { Out::required(data) }?;
        let (start, len) = registry::blocking(fd, false, |stack, id| {
            let data = stack.runtime.stack().tcp_recv_slice(id)?;
            Ok((data.as_ptr().cast::<c_void>(), data.len()))
        })?;
        out.write(start);
        Ok(length(len))
    };
    value(peek())
}

/// Takes received data that mnet_peek() has shown.
///
/// - len: how many bytes, at most as many as mnet_peek() has returned.
///
/// Returns 0, or
///   MNET_EINVAL   len is larger than what can be peeked; nothing was taken
///   MNET_EBADF    not a connection
///   MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_consume(fd: mnet_fd, len: usize) -> c_int {
    status(registry::with_socket(fd, |stack, id| {
        let now = stack.runtime.now();
        let core = stack.runtime.stack_mut();
        if len == 0 {
            return Ok(core.readiness(id).map(|_| ())?);
        }
        match core.tcp_recv_slice(id) {
            Ok(data) if len <= data.len() => Ok(core.tcp_consume(now, id, len)?),
            Err(error) if Error::from(error) == Error::BAD_HANDLE => Err(Error::BAD_HANDLE),
            _ => Err(Error::INVALID),
        }
    }))
}

/// Writes to a TCP connection: queues up to len bytes of buf for sending. buf is copied before the
/// call returns.
///
/// - buf, len: the data. May be what mnet_peek() has shown; must not lie in an arena otherwise.
///   NULL is allowed with len 0.
///
/// Returns the number of bytes taken, which on a non-blocking connection may be fewer than len, or
///   MNET_EAGAIN       no room, or not yet connected (non-blocking): wait for MNET_WRITABLE
///   MNET_EPIPE        our direction was shut down
///   MNET_ECONNRESET   the peer reset the connection
///   MNET_ECONNREFUSED, MNET_ETIMEDOUT, MNET_EHOSTUNREACH, MNET_EADDRGONE   the connection failed
///   MNET_EBADF        not a connection
///   MNET_EINVAL, MNET_EBUSY
/// A blocking connection waits until all is queued, and sends before it returns; if the connection
/// fails after a part was taken, the length of that part is returned and the next call gives the
/// error. A non-blocking one queues; the data is sent by the next call that drives the stack
/// (mnet_poll(), mnet_events(), mnet_step(), or any call that waits). After an error close the
/// handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_write(fd: mnet_fd, buf: *const c_void, len: usize) -> i64 {
    // SAFETY: as the header says: NULL, or `len` bytes.
    value(unsafe { write(fd, buf.cast(), len) }.map(length))
}

/// # Safety
/// `start` is NULL, or `len` bytes there can be read.
unsafe fn write(fd: mnet_fd, start: *const u8, len: usize) -> Result<usize, Error> {
    let send = |data: &[u8]| {
        registry::blocking(fd, true, |stack, id| {
            let now = stack.runtime.now();
            Ok(stack.runtime.stack_mut().tcp_send(now, id, data)?)
        })
    };
    // SAFETY: the caller's promise is the one asked for.
    let outside = match unsafe { pointer::input(start.cast(), len) } {
        Ok(data) => Some(data),
        // The stack may not see its own memory as somebody else's buffer.
        Err(_) if pointer::is_possible(start, len) => None,
        Err(error) => return Err(error),
    };
    let mut done = 0;
    loop {
        let outcome = if let Some(data) = outside {
            send(data.get(done..).unwrap_or_default())
        } else {
            let mut bounce = MaybeUninit::<[u8; BOUNCE]>::uninit();
            let count = (len - done).min(BOUNCE);
            let copy = bounce.as_mut_ptr().cast::<u8>();
            // SAFETY: `done + count` bytes can be read at `start`, and `count` written to the copy
            // on our own stack; no reference into the network stack exists now.
            let data = unsafe {
                start.add(done).copy_to_nonoverlapping(copy, count);
                slice::from_raw_parts(copy, count)
            };
            send(data)
        };
        match outcome {
            Ok(count) => done += count,
            Err(error) if done == 0 => return Err(error),
            // What was taken is reported first; the error comes again.
            Err(_) => return Ok(done),
        }
        if done >= len {
            return Ok(done);
        }
    }
}

/// Ends our direction of a TCP connection: the peer reads the end of the stream after everything
/// that was written (RFC 9293 section 3.10.4, CLOSE). Reading goes on. Doing it again is harmless.
///
/// - how: MNET_SHUT_WR.
///
/// Returns 0, or
///   MNET_EAGAIN   the connection is not established yet
///   MNET_ECONNRESET, MNET_ECONNREFUSED, MNET_ETIMEDOUT, MNET_EHOSTUNREACH, MNET_EADDRGONE   it has
///                 failed
///   MNET_EBADF    not a connection
///   MNET_EINVAL   how is something else
///   MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_shutdown(fd: mnet_fd, how: c_int) -> c_int {
    if how != MNET_SHUT_WR {
        return Error::INVALID.code();
    }
    status(registry::with_socket(fd, |stack, id| {
        let now = stack.runtime.now();
        match stack.runtime.stack_mut().tcp_shutdown(now, id) {
            Ok(()) | Err(SendError::Shutdown) => {}
            Err(error) => return Err(error.into()),
        }
        stack.send_if_blocking(id);
        Ok(())
    }))
}

/// Closes any socket. The handle is stale from now on.
///
/// - fd: the socket; 0 and below are accepted as "none" and harmless.
///
/// A connection goes on in the background until everything that was written is delivered; if data
/// has arrived that was not read, the peer gets a reset instead (RFC 9293 section 3.6, RFC 2525
/// section 2.17). A listener resets the connections that were not accepted.
///
/// Returns 0, or
///   MNET_EBADF    stale or foreign handle
///   MNET_EAGAIN   the time of mnet_set_linger() is over; delivery goes on in the background
///   MNET_ECONNRESET, MNET_ECONNREFUSED, MNET_ETIMEDOUT, MNET_EHOSTUNREACH, MNET_EADDRGONE
///                 the connection failed before everything was delivered (only with
///                 mnet_set_linger())
///   MNET_EBUSY
/// Does not block, unless mnet_set_linger() has given a blocking connection a time: then it waits for
/// at most that long until the peer has acknowledged everything.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_close(fd: mnet_fd) -> c_int {
    if fd <= 0 {
        return 0;
    }
    let lingered = linger(fd);
    status(give_back(fd).and(lingered))
}

/// Waits until everything that was written is acknowledged, if the user wants that.
fn linger(fd: mnet_fd) -> Result<(), Error> {
    let time = registry::with_socket(fd, |stack, id| {
        let settings = stack.runtime.stack().tcp_settings(id);
        let time = settings.ok().and_then(|settings| settings.linger);
        Ok(time.filter(|time| {
            !time.is_zero() && id.kind() == SocketKind::Connection && !stack.is_nonblocking(id)
        }))
    })?;
    if time.is_none() {
        return Ok(());
    }
    registry::with_socket(fd, |stack, id| {
        let now = stack.runtime.now();
        match stack.runtime.stack_mut().tcp_shutdown(now, id) {
            Ok(()) | Err(SendError::Shutdown) => Ok(()),
            Err(error) => Err(error.into()),
        }
    })?;
    registry::blocking_within(fd, true, time, |stack, id| {
        let now = stack.runtime.now();
        let core = stack.runtime.stack_mut();
        match core.tcp_send(now, id, &[]) {
            Ok(_) | Err(SendError::Shutdown | SendError::WouldBlock) => {}
            Err(error) => return Err(error.into()),
        }
        match core.tcp_state(id)? {
            State::FinWait2 | State::TimeWait | State::Closed => Ok(()),
            _ => Err(Error::AGAIN),
        }
    })
}

fn give_back(fd: mnet_fd) -> Result<(), Error> {
    registry::with_socket(fd, |stack, id| {
        let now = stack.runtime.now();
        stack.runtime.stack_mut().close(now, id)?;
        stack.disturb(fd);
        stack.send_if_blocking(id);
        Ok(())
    })
}

/// Ends a TCP connection at once with a reset (RFC 9293 section 3.10.5). What was not delivered is
/// lost. The handle is stale from now on.
///
/// Returns 0, or
///   MNET_EBADF   not a connection
///   MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_abort(fd: mnet_fd) -> c_int {
    status(registry::with_socket(fd, |stack, id| {
        let now = stack.runtime.now();
        stack.runtime.stack_mut().tcp_abort(now, id)?;
        stack.disturb(fd);
        stack.send_if_blocking(id);
        Ok(())
    }))
}

/// Makes any socket blocking (0) or non-blocking (anything else). On a manual stack calls on a blocking
/// socket wait in fibers only; elsewhere there is nothing to wait for, and they answer MNET_EAGAIN.
///
/// Returns 0, or
///   MNET_EBADF    stale or foreign handle
///   MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_set_nonblocking(fd: mnet_fd, nonblocking: c_int) -> c_int {
    status(registry::with_socket(fd, |stack, id| {
        stack.runtime.stack().readiness(id)?;
        stack.set_nonblocking(id, nonblocking != 0);
        if nonblocking != 0 && stack.fibers.is_some() {
            // Fibers that wait for it hear MNET_EAGAIN, and events are for whoever asks for them.
            stack.runtime.stack_mut().repeat_event(id)?;
            stack.disturb(fd);
        }
        Ok(())
    }))
}

/// Our address and port of any socket.
///
/// - addr: receives them.
///
/// Returns 0, MNET_EBADF, MNET_EINVAL (addr is NULL) or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_sockname(fd: mnet_fd, addr: *mut mnet_addr) -> c_int {
    let name = || {
        // SAFETY: as the header says: NULL, or a place for an address.
        let out = unsafe { Out::required(addr) }?;
        let name = |stack: &mut registry::Opened, id| Ok(stack.runtime.stack().local_addr(id)?);
        out.write(mnet_addr::new(registry::with_socket(fd, name)?));
        Ok(())
    };
    status(name())
}

/// The peer's address and port of a TCP connection.
///
/// - addr: receives them.
///
/// Returns 0, MNET_EBADF, MNET_EINVAL (addr is NULL) or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_peername(fd: mnet_fd, addr: *mut mnet_addr) -> c_int {
    let name = || {
        // SAFETY: as the header says: NULL, or a place for an address.
        let out = unsafe { Out::required(addr) }?;
        let name = |stack: &mut registry::Opened, id| Ok(stack.runtime.stack().remote_addr(id)?);
        out.write(mnet_addr::new(registry::with_socket(fd, name)?));
        Ok(())
    };
    status(name())
}
