//! An imitation of the bindings for this crate's tests: one network device (`service`, handle 1)
//! and one block device (`storage`, handle 2, 8 blocks), and a clock that moves when one waits.

use core::ffi::{CStr, c_char, c_int};
use core::slice;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use std::{process, vec};

use solo5_sys::{
    solo5_block_info, solo5_handle_set_t, solo5_handle_t, solo5_net_info, solo5_off_t,
    solo5_result_t, solo5_time_t,
};

const NET: solo5_handle_t = 1;
const BLOCK: solo5_handle_t = 2;
const BLOCK_SIZE: usize = 512;

#[derive(Default)]
struct State {
    now: u64,
    console: Vec<Vec<u8>>,
    sent: Vec<Vec<u8>>,
    arriving: VecDeque<Vec<u8>>,
    disk: Vec<u8>,
    fails: bool,
    claimed: Option<usize>,
}

/// What the functions below work on.
static STATE: Mutex<Option<State>> = Mutex::new(None);
/// Held by the test that has a [`World`]: ownership of devices is global.
static TURN: Mutex<()> = Mutex::new(());

/// A fresh world for one test; the others wait.
pub(crate) struct World {
    _turn: MutexGuard<'static, ()>,
}

impl World {
    pub(crate) fn new() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = State {
            now: 1000,
            disk: vec![0; 8 * BLOCK_SIZE],
            ..State::default()
        };
        *STATE.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh);
        Self { _turn: turn }
    }

    /// Frames written so far.
    pub(crate) fn sent(&self) -> Vec<Vec<u8>> {
        with(|state| state.sent.clone())
    }

    /// Everything written to the console so far.
    pub(crate) fn console(&self) -> Vec<u8> {
        self.requests().concat()
    }

    /// The same, by the requests that it took.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        with(|state| state.console.clone())
    }

    /// Queues a frame.
    pub(crate) fn arrives(&self, frame: &[u8]) {
        with(|state| state.arriving.push_back(frame.to_vec()));
    }

    /// From now on all I/O fails.
    pub(crate) fn host_fails(&self) {
        with(|state| state.fails = true);
    }

    /// The next read reports a frame of this length.
    pub(crate) fn claims_frame_of(&self, len: usize) {
        with(|state| state.claimed = Some(len));
    }
}

fn with<T>(action: impl FnOnce(&mut State) -> T) -> T {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    action(state.as_mut().expect("the test has made a World"))
}

#[unsafe(no_mangle)]
extern "C" fn solo5_exit(_: c_int) -> ! {
    process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    process::abort()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> solo5_time_t {
    with(|state| state.now)
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> solo5_time_t {
    with(|state| 1_700_000_000_000_000_000 + state.now)
}

#[unsafe(no_mangle)]
extern "C" fn solo5_yield(deadline: solo5_time_t, ready: &mut solo5_handle_set_t) {
    with(|state| {
        *ready = u64::from(!state.arriving.is_empty()) << NET;
        if *ready == 0 {
            state.now = state.now.max(deadline);
        }
    });
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_console_write(buf: *const c_char, size: usize) {
    // SAFETY: this is what the caller promises.
    let bytes = unsafe { slice::from_raw_parts(buf.cast::<u8>(), size) };
    with(|state| state.console.push(bytes.to_vec()));
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_acquire(
    name: *const c_char,
    handle: &mut solo5_handle_t,
    info: &mut solo5_net_info,
) -> solo5_result_t {
    // SAFETY: this is what the caller promises.
    if unsafe { CStr::from_ptr(name) } != c"service" {
        return solo5_result_t::SOLO5_R_EINVAL;
    }
    *handle = NET;
    *info = solo5_net_info {
        mac_address: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
    };
    solo5_result_t::SOLO5_R_OK
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write(
    handle: solo5_handle_t,
    buf: *const u8,
    size: usize,
) -> solo5_result_t {
    assert_eq!(handle, NET);
    // SAFETY: this is what the caller promises.
    let frame = unsafe { slice::from_raw_parts(buf, size) };
    with(|state| {
        if state.fails {
            return solo5_result_t::SOLO5_R_EUNSPEC;
        }
        state.sent.push(frame.to_vec());
        solo5_result_t::SOLO5_R_OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read(
    handle: solo5_handle_t,
    buf: *mut u8,
    size: usize,
    read_size: &mut usize,
) -> solo5_result_t {
    assert_eq!(handle, NET);
    // SAFETY: this is what the caller promises.
    let buffer = unsafe { slice::from_raw_parts_mut(buf, size) };
    with(|state| {
        if state.fails {
            return solo5_result_t::SOLO5_R_EUNSPEC;
        }
        if let Some(claimed) = state.claimed.take() {
            *read_size = claimed;
            return solo5_result_t::SOLO5_R_OK;
        }
        let Some(frame) = state.arriving.pop_front() else {
            return solo5_result_t::SOLO5_R_AGAIN;
        };
        buffer[..frame.len()].copy_from_slice(&frame);
        *read_size = frame.len();
        solo5_result_t::SOLO5_R_OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_acquire(
    name: *const c_char,
    handle: &mut solo5_handle_t,
    info: &mut solo5_block_info,
) -> solo5_result_t {
    // SAFETY: this is what the caller promises.
    if unsafe { CStr::from_ptr(name) } != c"storage" {
        return solo5_result_t::SOLO5_R_EINVAL;
    }
    *handle = BLOCK;
    *info = solo5_block_info {
        capacity: 8 * BLOCK_SIZE as u64,
        block_size: BLOCK_SIZE as u64,
    };
    solo5_result_t::SOLO5_R_OK
}

/// One transfer: refuses everything but exactly one block of the disk.
fn transfer(
    handle: solo5_handle_t,
    offset: solo5_off_t,
    size: usize,
    action: impl FnOnce(&mut [u8]),
) -> solo5_result_t {
    assert_eq!((handle, size), (BLOCK, BLOCK_SIZE));
    with(|state| {
        if state.fails {
            return solo5_result_t::SOLO5_R_EUNSPEC;
        }
        let offset = usize::try_from(offset).expect("the disk is small");
        assert!(offset.is_multiple_of(BLOCK_SIZE));
        action(&mut state.disk[offset..][..size]);
        solo5_result_t::SOLO5_R_OK
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_write(
    handle: solo5_handle_t,
    offset: solo5_off_t,
    buf: *const u8,
    size: usize,
) -> solo5_result_t {
    // SAFETY: this is what the caller promises.
    let data = unsafe { slice::from_raw_parts(buf, size) };
    transfer(handle, offset, size, |block| block.copy_from_slice(data))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_read(
    handle: solo5_handle_t,
    offset: solo5_off_t,
    buf: *mut u8,
    size: usize,
) -> solo5_result_t {
    // SAFETY: this is what the caller promises.
    let buffer = unsafe { slice::from_raw_parts_mut(buf, size) };
    transfer(handle, offset, size, |block| buffer.copy_from_slice(block))
}
