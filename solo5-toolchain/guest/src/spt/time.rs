//! Clocks, and waiting (solo5-abi section 14.4).

use core::mem::MaybeUninit;
use core::sync::atomic::Ordering::Relaxed;

use solo5_abi::constants::MAX_MANIFEST_ENTRIES;
use solo5_abi::spt::{CLOCK_MONOTONIC, CLOCK_REALTIME};
use solo5_sys::{solo5_handle_set_t, solo5_time_t};

use super::state::{EPOLL_FD, LAST_READING, TIMER_DEADLINE, TIMER_FD};
use super::syscall;
use crate::clock::{nanoseconds, timer_at};

/// `solo5_clock_monotonic`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> solo5_time_t {
    let now = nanoseconds(syscall::clock_gettime(CLOCK_MONOTONIC));
    LAST_READING.store(now, Relaxed);
    now
}

/// `solo5_clock_wall`: see `solo5.h`.
#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> solo5_time_t {
    nanoseconds(syscall::clock_gettime(CLOCK_REALTIME))
}

/// `solo5_yield`: see `solo5.h`.
///
/// One system call when the application knows that the deadline has passed, or waits for the same
/// deadline again; two otherwise.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_yield(deadline: solo5_time_t, ready: *mut solo5_handle_set_t) {
    let wait = deadline > LAST_READING.load(Relaxed);
    // The timer is never read: once it has expired it stays ready until it is set again, so one
    // that is set to the right time is right whether that time is to come or has passed.
    if wait && deadline != TIMER_DEADLINE.load(Relaxed) {
        let result = syscall::timerfd_settime(TIMER_FD.load(Relaxed), &timer_at(deadline));
        assert_eq!(result, 0, "The timer cannot be set");
        TIMER_DEADLINE.store(deadline, Relaxed);
    }

    // Room for each device; entry 0 of the manifest is none, which leaves room for the timer.
    let mut events = [const { MaybeUninit::uninit() }; MAX_MANIFEST_ENTRIES];
    let Some(events) = syscall::epoll_wait(EPOLL_FD.load(Relaxed), &mut events, wait) else {
        panic!("The devices cannot be waited for");
    };
    // The timer's number is no handle.
    let handles = events.iter().map(|event| event.data);
    let set = handles
        .filter(|&handle| handle < MAX_MANIFEST_ENTRIES as u64)
        .fold(0, |set, handle| set | 1 << handle);
    if !ready.is_null() {
        // SAFETY: the caller passes null or a place to write to.
        unsafe { ready.write_unaligned(set) };
    }
}
