//! A Solo5 for the stack with a device: one network device, "service", a clock that moves when one
//! waits, and whatever else happens meanwhile.
//!
//! All of it belongs to the thread that runs an input.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{CStr, c_char, c_int};
use std::ptr;

/// Sleeps of one call: more than any time limit of ours can need.
const MAX_YIELDS: usize = 200_000;

/// Runs while the stack with the device sleeps; says when it wants to run again.
pub(super) type Meanwhile = Box<dyn FnMut(u64) -> u64>;

#[derive(Default)]
pub(super) struct Host {
    pub(super) now: u64,
    /// Frames that the device has sent, and those on their way to it.
    pub(super) sent: VecDeque<Vec<u8>>,
    pub(super) arriving: VecDeque<Vec<u8>>,
    pub(super) meanwhile: Option<Meanwhile>,
    pub(super) yields: usize,
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::default();
}

/// Never held while anything else is called.
pub(super) fn with<T>(action: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(action)
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> u64 {
    // Time passes for those who only look at the clock (mnet_config.busy_poll_ns).
    with(|host| {
        host.now += 50;
        host.now
    })
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> u64 {
    solo5_clock_monotonic()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_yield(deadline: u64, ready: *mut u64) {
    loop {
        let now = solo5_clock_monotonic();
        let (yields, meanwhile) = with(|host| {
            host.yields += 1;
            (host.yields, host.meanwhile.take())
        });
        assert!(yields < MAX_YIELDS, "a call does not end");
        let next = match meanwhile {
            Some(mut meanwhile) => {
                let next = meanwhile(now);
                with(|host| host.meanwhile = Some(meanwhile));
                next
            }
            None => u64::MAX,
        };
        let arrived = with(|host| !host.arriving.is_empty());
        if arrived || now >= deadline {
            // SAFETY: the caller's place for the answer.
            unsafe { ready.write(u64::from(arrived) << 1) };
            return;
        }
        let wake = deadline.min(next);
        assert_ne!(wake, u64::MAX, "everybody would sleep for ever");
        with(|host| host.now = now.max(wake));
    }
}

#[unsafe(no_mangle)]
extern "C" fn solo5_console_write(_: *const c_char, _: usize) {}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_acquire(
    name: *const c_char,
    handle: *mut u64,
    info: *mut solo5_sys::solo5_net_info,
) -> c_int {
    // SAFETY: the caller's name.
    if unsafe { CStr::from_ptr(name) } != c"service" {
        return 2;
    }
    // SAFETY: the caller's places for the answer.
    unsafe {
        handle.write(1);
        info.write(solo5_sys::solo5_net_info {
            mac_address: [2, 0, 0, 0, 0, 3],
            mtu: 1_500,
        });
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write(_: u64, frame: *const u8, len: usize) -> c_int {
    assert!((14..=1_514).contains(&len), "a frame of {len} bytes");
    // SAFETY: the caller's frame.
    let frame = unsafe { std::slice::from_raw_parts(frame, len) };
    with(|host| host.sent.push_back(frame.to_vec()));
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read(
    _: u64,
    buffer: *mut u8,
    len: usize,
    read: *mut usize,
) -> c_int {
    let Some(frame) = with(|host| host.arriving.pop_front()) else {
        return 1;
    };
    assert!(frame.len() <= len, "too little room for a frame");
    // SAFETY: the caller's buffer, which is large enough, and its place for the length.
    unsafe {
        ptr::copy_nonoverlapping(frame.as_ptr(), buffer, frame.len());
        read.write(frame.len());
    }
    0
}

#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    panic!("solo5_abort was called");
}
