//! Bindings that do nothing (solo5-abi section 15.5).
//!
//! Programs that a configure script only links are linked against these. They need no
//! `solo5_app_main`. An image made of them declares no ABI, so that no tender starts it.

use core::ffi::{c_char, c_int};
use core::hint::spin_loop;
use core::panic::PanicInfo;

use solo5_sys::{
    solo5_block_info, solo5_handle_set_t, solo5_handle_t, solo5_net_info, solo5_off_t,
    solo5_result_t, solo5_time_t,
};

use crate::guard;

fn forever() -> ! {
    loop {
        spin_loop();
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    forever()
}

/// What functions with a stack protector put on their stack.
#[allow(non_upper_case_globals, reason = "the compiler's name")]
#[unsafe(no_mangle)]
static __stack_chk_guard: u64 = guard::INITIAL;

#[unsafe(no_mangle)]
extern "C" fn __stack_chk_fail() -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_exit(_: c_int) -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_abort() -> ! {
    forever()
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_monotonic() -> solo5_time_t {
    solo5_time_t::MAX
}

#[unsafe(no_mangle)]
extern "C" fn solo5_clock_wall() -> solo5_time_t {
    solo5_time_t::MAX
}

#[unsafe(no_mangle)]
extern "C" fn solo5_yield(_: solo5_time_t, _: *mut solo5_handle_set_t) {}

#[unsafe(no_mangle)]
extern "C" fn solo5_console_write(_: *const c_char, _: usize) {}

#[unsafe(no_mangle)]
extern "C" fn solo5_net_acquire(
    _: *const c_char,
    _: *mut solo5_handle_t,
    _: *mut solo5_net_info,
) -> solo5_result_t {
    solo5_result_t::SOLO5_R_EUNSPEC
}

#[unsafe(no_mangle)]
extern "C" fn solo5_net_write(_: solo5_handle_t, _: *const u8, _: usize) -> solo5_result_t {
    solo5_result_t::SOLO5_R_EUNSPEC
}

#[unsafe(no_mangle)]
extern "C" fn solo5_net_read(
    _: solo5_handle_t,
    _: *mut u8,
    _: usize,
    _: *mut usize,
) -> solo5_result_t {
    solo5_result_t::SOLO5_R_EUNSPEC
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_acquire(
    _: *const c_char,
    _: *mut solo5_handle_t,
    _: *mut solo5_block_info,
) -> solo5_result_t {
    solo5_result_t::SOLO5_R_EUNSPEC
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_write(
    _: solo5_handle_t,
    _: solo5_off_t,
    _: *const u8,
    _: usize,
) -> solo5_result_t {
    solo5_result_t::SOLO5_R_EUNSPEC
}

#[unsafe(no_mangle)]
extern "C" fn solo5_block_read(
    _: solo5_handle_t,
    _: solo5_off_t,
    _: *mut u8,
    _: usize,
) -> solo5_result_t {
    solo5_result_t::SOLO5_R_EUNSPEC
}

#[unsafe(no_mangle)]
extern "C" fn solo5_tls_size() -> usize {
    0
}

#[unsafe(no_mangle)]
extern "C" fn solo5_tls_tp_offset(_: usize) -> usize {
    0
}

#[unsafe(no_mangle)]
extern "C" fn solo5_tls_init(_: usize) -> solo5_result_t {
    solo5_result_t::SOLO5_R_EUNSPEC
}

#[unsafe(no_mangle)]
extern "C" fn solo5_set_tls_base(_: usize) -> solo5_result_t {
    solo5_result_t::SOLO5_R_EUNSPEC
}
