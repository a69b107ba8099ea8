//! Clocks, and waiting (solo5-abi sections 10.6 and 11).

use core::arch::x86_64::_rdtsc;
use core::cell::Cell;

use solo5_abi::hvt::{Hypercall, Poll, Walltime};
use solo5_sys::{solo5_handle_set_t, solo5_time_t};

use super::hypercall::{call, zero};
use super::io;
use crate::bindings::output::log;
use crate::options::Level;
use crate::tsc::{Reading, Scale};

/// The monotonic clock.
struct Clock {
    scale: Cell<Scale>,
    last: Cell<Reading>,
}

// SAFETY: there is one thread.
unsafe impl Sync for Clock {}

static CLOCK: Clock = Clock {
    scale: Cell::new(Scale { mult: 0, shift: 0 }),
    last: Cell::new(Reading { count: 0, time: 0 }),
};

/// Starts the monotonic clock, made of a counter of this frequency in Hz.
pub(super) fn start(frequency: u64) {
    let scale = Scale::new(frequency);
    CLOCK.scale.set(scale);
    solo5_clock_monotonic();
    let Scale { mult, shift } = scale;
    log(
        Level::Debug,
        format_args!(
            "Solo5: tscclock_init(): tsc_freq={frequency} tsc_mult={mult} tsc_shift={shift}\n"
        ),
    );
}

/// `solo5_clock_monotonic`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> solo5_time_t {
    // SAFETY: every x86-64 has a time stamp counter, and the tender does not forbid to read it.
    let count = unsafe { _rdtsc() };
    let now = CLOCK.last.get().advance(count, CLOCK.scale.get());
    CLOCK.last.set(now);
    now.time
}

/// `solo5_clock_wall`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> solo5_time_t {
    let mut time = Walltime::default();
    // SAFETY: the tender writes to the argument only.
    unsafe { call(Hypercall::Walltime, &mut time) };
    time.nsecs
}

/// Waits for input, at most so many nanoseconds: the devices that have some.
pub(super) fn poll(timeout_nsecs: u64) -> solo5_handle_set_t {
    let mut poll = Poll {
        timeout_nsecs,
        ready_set: zero(),
        ..Poll::default()
    };
    // SAFETY: the tender writes to the argument only.
    unsafe { call(Hypercall::Poll, &mut poll) };
    poll.ready_set
}

/// `solo5_yield`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_yield(deadline: solo5_time_t, ready: *mut solo5_handle_set_t) {
    let mut set;
    loop {
        let now = solo5_clock_monotonic();
        set = io::wait(deadline.saturating_sub(now));
        // The tender's clock is another; it may wake us early.
        if set != 0 || solo5_clock_monotonic() >= deadline {
            break;
        }
    }
    if !ready.is_null() {
        // SAFETY: the caller passes null or a place to write to.
        unsafe { ready.write_unaligned(set) };
    }
}
