//! What a stack knows about itself: counters, usage, and random numbers.

use core::ffi::{CStr, c_char, c_int, c_void};

use mnet::{Counters, RuntimeCounters};

use crate::error::{Error, status};
use crate::pointer::{self, Out};
use crate::registry;
use crate::types::{mnet_stack, mnet_usage};

/// The number of counters: those of the protocols, then those of the event loop.
const COUNT: usize = Counters::COUNT + RuntimeCounters::COUNT;

/// How many counters a stack has. New versions append, and the order may change with the library's
/// version. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_counter_count() -> usize {
    COUNT
}

/// The name of a counter by its index.
const fn name_of(index: usize) -> &'static [u8] {
    if index < Counters::COUNT {
        Counters::NAMES[index].as_bytes()
    } else {
        RuntimeCounters::NAMES[index - Counters::COUNT].as_bytes()
    }
}

/// Bytes of all names, each with a NUL.
const NAMES_SIZE: usize = {
    let (mut size, mut index) = (0, 0);
    while index < COUNT {
        size += name_of(index).len() + 1;
        index += 1;
    }
    assert!(size <= u16::MAX as usize, "STARTS would not hold it");
    size
};

/// The names as C strings, one behind the other, made at compile time.
static NAMES: [u8; NAMES_SIZE] = {
    let (mut names, mut next, mut index) = ([0; NAMES_SIZE], 0, 0);
    while index < COUNT {
        let (name, mut at) = (name_of(index), 0);
        while at < name.len() {
            names[next + at] = name[at];
            at += 1;
        }
        next += name.len() + 1;
        index += 1;
    }
    names
};

/// Where each name starts in [`NAMES`].
static STARTS: [u16; COUNT] = {
    let (mut starts, mut next, mut index) = ([0; COUNT], 0, 0);
    while index < COUNT {
        #[allow(clippy::cast_possible_truncation, reason = "NAMES_SIZE fits")]
        {
            starts[index] = next as u16;
        }
        next += name_of(index).len() + 1;
        index += 1;
    }
    starts
};

/// The name of a counter, as in "ip_bad_checksum".
///
/// - index: 0 to mnet_counter_count() - 1.
///
/// Returns a static text, or NULL if there is no such counter. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_counter_name(index: usize) -> *const c_char {
    STARTS
        .get(index)
        .and_then(|start| NAMES.get(usize::from(*start)..))
        .and_then(|name| CStr::from_bytes_until_nul(name).ok())
        .map_or(core::ptr::null(), CStr::as_ptr)
}

/// The value of a counter: how often it happened since the stack was opened.
///
/// - index: 0 to mnet_counter_count() - 1.
/// - value: receives it.
///
/// Returns 0, or MNET_EINVAL (no such counter, or NULL), MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_counter_value(
    stack: mnet_stack,
    index: usize,
    value: *mut u64,
) -> c_int {
    let read = || {
        // SAFETY: as the header says: NULL, or a place for a number.
        let out = unsafe { Out::required(value) }?;
        let value = registry::with_stack(stack, |stack| {
            let of_protocols = stack.runtime.stack().counters().values();
            let of_event_loop = stack.runtime.counters().values();
            let mut all = of_protocols.iter().chain(&of_event_loop);
            all.nth(index).copied().ok_or(Error::INVALID)
        })?;
        out.write(value);
        Ok(())
    };
    status(read())
}

/// What a stack has in use.
///
/// - usage: receives it.
/// - size: sizeof (struct mnet_usage). A shorter structure of an older version is filled as far as
///   it goes; members that this version does not know become 0.
///
/// Returns 0, or MNET_EINVAL (NULL), MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_usage(
    stack: mnet_stack,
    usage: *mut mnet_usage,
    size: usize,
) -> c_int {
    let read = || {
        if usage.is_null() || size > 1 << 16 {
            return Err(Error::INVALID);
        }
        let now = registry::with_stack(stack, |stack| {
            let fibers = count(stack.living_fibers());
            let core = stack.runtime.stack();
            let (pool, in_use, limits) = (core.pool_frames(), core.usage(), core.limits());
            Ok(mnet_usage {
                frames: count(pool.total),
                frames_free: count(pool.free),
                frames_lowest: count(pool.lowest_free),
                connections: count(in_use.connections),
                orphaned: count(in_use.orphaned),
                max_connections: count(limits.connections),
                half_open: count(in_use.half_open),
                time_wait: count(in_use.time_wait),
                udp_sockets: count(in_use.udp_sockets),
                fibers,
            })
        })?;
        // SAFETY: as the header says: `size` bytes that may be written.
        unsafe { pointer::write_sized(usage, size, &now) }
    };
    status(read())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Fills a buffer with cryptographically strong random numbers, from a generator that was seeded
/// when the stack was opened (ChaCha).
///
/// - buf, len: what to fill.
///
/// Returns 0, or MNET_EINVAL (NULL), MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_random(stack: mnet_stack, buf: *mut c_void, len: usize) -> c_int {
    let fill = || {
        // SAFETY: as the header says: NULL, or `len` bytes that may be written.
        let buffer = unsafe { pointer::output(buf, len) }?;
        registry::with_stack(stack, |stack| {
            stack.runtime.stack_mut().random(buffer);
            Ok(())
        })
    };
    status(fill())
}
