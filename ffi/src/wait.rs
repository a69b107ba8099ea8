//! Waiting for many sockets at once: level-triggered and edge-triggered.

use core::ffi::c_int;
use core::task::Poll;
use core::time::Duration;

use mnet::{Event, Instant, Readiness, Runtime, Stack};

use crate::error::{Error, length, status, value};
use crate::pointer;
use crate::registry::{self, Host, Place};
use crate::scheduling::{Hooks, Key, Wait};
use crate::types::{
    MNET_CLOSED, MNET_ERROR, MNET_INVALID, MNET_NETWORK, MNET_READABLE, MNET_WRITABLE, mnet_event,
    mnet_fd, mnet_pollfd, mnet_stack,
};

/// Waits until one of several sockets is ready, as poll() of POSIX does: an entry is reported for
/// as long as its condition lasts. The cost grows with count; for many sockets see mnet_events(). An
/// entry with fd 0 and MNET_NETWORK stands for the network: it is reported while mnet_network_events()
/// has something to tell.
///
/// - stack: the stack that all the sockets belong to.
/// - fds, count: what to wait for, and where the result goes (revents). With count 0 it only lets
///   the stack work for the given time.
/// - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
///
/// Returns how many entries have a revents that is not 0; 0 when the time is over; or
///   MNET_EINVAL   fds is NULL with a count, or an entry asks for something unknown
///   MNET_EBADF    no such stack (a stale socket is reported in its entry: MNET_INVALID)
///   MNET_EBUSY
/// revents of all entries is written unless an error is returned. Sends what is queued and takes in
/// what has arrived, also with timeout 0. BLOCKS for as long as said; a manual stack never does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_poll(
    stack: mnet_stack,
    fds: *mut mnet_pollfd,
    count: usize,
    timeout_ns: i64,
) -> i64 {
    let poll = || {
        let len = pointer::array_len::<mnet_pollfd>(count)?;
        // SAFETY: as the header says: NULL, or `count` entries that may be written.
        let bytes = unsafe { pointer::output(fds.cast(), len) }?;
        let mut entries = Entries {
            first: bytes.as_mut_ptr().cast(),
            count,
        };
        if entries.iter().any(|entry| !can_wait(&entry)) {
            return Err(Error::INVALID);
        }
        let ready = wait(stack, timeout_ns, |runtime, place| {
            let ready = entries.look(runtime.stack(), place);
            (ready > 0).then_some(ready)
        })?;
        Ok(length(ready.unwrap_or(0)))
    };
    value(poll())
}

/// The caller's array, of which nothing is known about the alignment.
struct Entries {
    first: *mut mnet_pollfd,
    count: usize,
}

impl Entries {
    fn iter(&self) -> impl Iterator<Item = mnet_pollfd> {
        // SAFETY: `pointer::output` has checked the array and the caller vouches for it; every
        // bit pattern is an entry.
        (0..self.count).map(|index| unsafe { self.first.add(index).read_unaligned() })
    }

    /// Fills in what is ready, and counts.
    fn look(&mut self, stack: &Stack, place: Place) -> usize {
        let mut ready = 0;
        for index in 0..self.count {
            // SAFETY: as in `iter`; the array may be written, too.
            unsafe {
                let at = self.first.add(index);
                let mut entry = at.read_unaligned();
                entry.revents = revents(stack, place, &entry);
                ready += usize::from(entry.revents != 0);
                at.write_unaligned(entry);
            }
        }
        ready
    }
}

/// Whether what an entry waits for is something that its socket, or the network, can have.
fn can_wait(entry: &mnet_pollfd) -> bool {
    let known = match entry.fd {
        0 => MNET_READABLE | MNET_WRITABLE | MNET_NETWORK,
        _ => MNET_READABLE | MNET_WRITABLE,
    };
    entry.events & !known == 0
}

fn revents(stack: &Stack, place: Place, entry: &mnet_pollfd) -> u32 {
    if entry.fd < 0 {
        return 0;
    }
    if entry.fd == 0 && entry.events == MNET_NETWORK {
        return if stack.has_network_event() {
            MNET_NETWORK
        } else {
            0
        };
    }
    match place.socket(entry.fd).map(|id| stack.readiness(id)) {
        Some(Ok(readiness)) => bits(readiness) & (entry.events | MNET_ERROR | MNET_CLOSED),
        _ => MNET_INVALID,
    }
}

fn bits(readiness: Readiness) -> u32 {
    [
        (Readiness::READABLE, MNET_READABLE),
        (Readiness::WRITABLE, MNET_WRITABLE),
        (Readiness::ERROR, MNET_ERROR),
        (Readiness::CLOSED, MNET_CLOSED),
    ]
    .into_iter()
    .filter_map(|(flag, bit)| readiness.contains(flag).then_some(bit))
    .sum()
}

/// Waits until the readiness of sockets has grown, and says of which. Each growth is reported
/// once, so act on a socket until it says MNET_EAGAIN. The cost does not depend on how many
/// sockets there are. Of a stack that was opened with MNET_CONFIG_NETWORK_EVENTS it tells as well that
/// the network has changed: an event with MNET_NETWORK and fd 0, before those of sockets unless
/// earlier ones wait, and again until mnet_network_events() was asked.
///
/// - events, max: where the events go, and room for how many (at least 1). Events that find no
///   room wait for the next call.
/// - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
///
/// Returns the number of events; 0 when the time is over; or
///   MNET_EINVAL   events is NULL or max is 0
///   MNET_EBADF    no such stack
///   MNET_EBUSY
/// A socket that was closed after its event was noticed can still be reported; calls on it give
/// MNET_EBADF. Where there are fibers, the events of blocking sockets wake those that wait for them,
/// and only non-blocking sockets are reported. Sends what is queued and takes in what has arrived, also
/// with timeout 0, unless earlier events wait. BLOCKS for as long as said; a manual stack never does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_events(
    stack: mnet_stack,
    events: *mut mnet_event,
    max: usize,
    timeout_ns: i64,
) -> i64 {
    let wait_for_events = || {
        let len = pointer::array_len::<mnet_event>(max)?;
        // SAFETY: as the header says: NULL, or room for `max` events.
        let bytes = unsafe { pointer::output(events.cast(), len) }?;
        if max == 0 {
            return Err(Error::INVALID);
        }
        let first = bytes.as_mut_ptr().cast::<mnet_event>();
        // SAFETY: `pointer::output` has checked the array, places below its length are given, and
        // the caller vouches for it.
        let write = |place: usize, fd, ready| unsafe {
            let reserved = 0;
            let event = mnet_event {
                fd,
                ready,
                reserved,
            };
            first.add(place).write_unaligned(event);
        };
        let drain = |runtime: &mut Runtime<Host>, place: Place, network: bool| {
            let mut count = 0;
            if network && runtime.stack().has_network_event() {
                write(count, 0, MNET_NETWORK);
                count += 1;
            }
            while count < max
                && let Some(Event { socket, readiness }) = runtime.stack_mut().poll_event()
            {
                write(count, place.handle(socket), bits(readiness));
                count += 1;
            }
            (count > 0).then_some(count)
        };
        // Only when the events of one batch are handled is it time for the next batch.
        let (count, network) = registry::with_stack(stack, |stack| {
            let network = stack.network_events;
            stack.route_events();
            // Without the network: what is not taken would keep the stack from its work.
            Ok((drain(&mut stack.runtime, stack.place, false), network))
        })?;
        if let Some(count) = count {
            return Ok(length(count));
        }
        let count = wait(stack, timeout_ns, |runtime, place| {
            drain(runtime, place, network)
        })?;
        Ok(length(count.unwrap_or(0)))
    };
    value(wait_for_events())
}

/// Turns the loop of a stack until `ready` gives something (`Some`) or the time is over (`None`).
/// The stack is entered anew for each turn, so others may use it between two of them.
pub(crate) fn wait<T>(
    stack: mnet_stack,
    timeout_ns: i64,
    mut ready: impl FnMut(&mut Runtime<Host>, Place) -> Option<T>,
) -> Result<Option<T>, Error> {
    let mut until = match u64::try_from(timeout_ns) {
        Ok(0) => Some(Instant::ZERO),
        Ok(_) => None,
        Err(_) => Some(Instant::FAR_FUTURE),
    };
    // With fibers: the first time they and the network are given a chance, without waiting.
    let (mut driven, mut early) = (false, true);
    let mut pause = Wait::new(Key::NETWORK, Instant::ZERO);
    loop {
        let outcome = registry::with_stack(stack, |stack| {
            if stack.manual && stack.fibers.is_none() {
                return Ok(Turn::Done(ready(&mut stack.runtime, stack.place)));
            }
            let until = *until.get_or_insert_with(|| {
                stack.runtime.read_clock() + Duration::from_nanos(timeout_ns.unsigned_abs())
            });
            let place = stack.place;
            if let Some(fibers) = stack.fibers {
                if !driven {
                    return Ok(Turn::Wait(fibers.hooks));
                }
                pause.until = until;
                let early = early && stack.runtime.now() < until;
                return Ok(match ready(&mut stack.runtime, place) {
                    None if early => Turn::Wait(fibers.hooks),
                    result => Turn::Done(result),
                });
            }
            let round = stack.runtime.round(until, |runtime| ready(runtime, place));
            Ok(match round {
                Poll::Ready(result) => Turn::Done(result),
                Poll::Pending => Turn::Again,
            })
        })?;
        match outcome {
            Turn::Done(result) => return Ok(result),
            Turn::Again => {}
            Turn::Wait(hooks) => {
                let more = (hooks.wait)(stack, &mut pause)?;
                early = more || !driven;
                driven = true;
            }
        }
    }
}

/// What comes of one turn of the loop.
enum Turn<T> {
    Done(Option<T>),
    Again,
    /// Others may run, outside of the stack.
    Wait(&'static Hooks),
}

/// Waits for some time; in a fiber, the others run meanwhile.
///
/// - duration_ns: how long at least, in nanoseconds; 0 is mnet_yield(), 2^63 and more: for ever.
///
/// Returns 0, or
///   MNET_EAGAIN      a manual stack, and the caller is no fiber: there is no sleep
///   MNET_ECANCELED   the calling fiber is canceled
///   MNET_EDEADLK     for ever, and no fiber could run again: see mnet_join()
///   MNET_EBADF, MNET_EBUSY
#[unsafe(no_mangle)]
pub extern "C" fn mnet_sleep(stack: mnet_stack, duration_ns: u64) -> c_int {
    let sleep = || {
        let timeout = i64::try_from(duration_ns).unwrap_or(-1);
        let (fibers, until) =
            registry::with_stack(stack, |stack| Ok((stack.fibers, stack.deadline(timeout))))?;
        let Some(fibers) = fibers else {
            wait(stack, timeout, |_, _| None::<()>)?;
            return registry::with_stack(stack, |stack| stack.has_come(until));
        };
        let mut pause = Wait::new(Key::NOTHING, until);
        loop {
            if !(fibers.hooks.wait)(stack, &mut pause)? {
                return registry::with_stack(stack, |stack| stack.has_come(until));
            }
        }
    };
    status(sleep())
}

/// Lets the network, and fibers that are ready, have a turn: sends what is queued, and takes in what
/// has arrived.
///
/// Returns 0, or MNET_ECANCELED (the calling fiber is canceled), MNET_EBADF or MNET_EBUSY. Does not
/// sleep.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_yield(stack: mnet_stack) -> c_int {
    mnet_sleep(stack, 0)
}

impl registry::Opened {
    /// When a call that begins now and may wait for so long gives up.
    pub(crate) fn deadline(&mut self, timeout_ns: i64) -> Instant {
        match u64::try_from(timeout_ns) {
            Ok(0) => Instant::ZERO,
            Ok(time) => self.runtime.read_clock() + Duration::from_nanos(time),
            Err(_) => Instant::FAR_FUTURE,
        }
    }

    fn has_come(&self, until: Instant) -> Result<(), Error> {
        if self.runtime.now() >= until {
            Ok(())
        } else {
            Err(Error::AGAIN)
        }
    }
}

/// The place of a socket in its table: a number below max_connections, max_listeners or
/// max_udp_sockets (see mnet_usage() for the derived ones) that no other open socket of its kind
/// has. For a program that keeps data for each connection in an array of its own.
///
/// Returns the number, or MNET_EBADF. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_index(fd: mnet_fd) -> i64 {
    value(registry::with_socket(fd, |stack, id| {
        stack.runtime.stack().readiness(id)?;
        Ok(length(id.index()))
    }))
}

/// What a socket can do now without waiting: MNET_READABLE, MNET_WRITABLE, MNET_ERROR and
/// MNET_CLOSED combined.
///
/// Returns that (0: nothing), or MNET_EBADF or MNET_EBUSY. Does not block, and does not drive the
/// stack.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_readiness(fd: mnet_fd) -> c_int {
    let readiness = registry::with_socket(fd, |stack, id| {
        let readiness = bits(stack.runtime.stack().readiness(id)?);
        Ok(c_int::try_from(readiness).unwrap_or(0))
    });
    readiness.unwrap_or_else(Error::code)
}
