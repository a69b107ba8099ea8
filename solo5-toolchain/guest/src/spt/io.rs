//! Network and block devices (solo5-abi sections 2.2 and 14.5).

use solo5_abi::manifest::DeviceType;
use solo5_abi::spt::EAGAIN;
use solo5_sys::{solo5_handle_t, solo5_off_t, solo5_result_t};

use super::syscall;
use crate::bindings::manifest::devices;

/// What a transfer of exactly `size` bytes means to the caller.
fn all_or_nothing(transferred: i64, size: usize) -> solo5_result_t {
    if usize::try_from(transferred) == Ok(size) {
        solo5_result_t::SOLO5_R_OK
    } else {
        solo5_result_t::SOLO5_R_EUNSPEC
    }
}

/// `solo5_net_write`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_write(
    handle: solo5_handle_t,
    buf: *const u8,
    size: usize,
) -> solo5_result_t {
    let Some(entry) = devices().get(handle, DeviceType::Net) else {
        return solo5_result_t::SOLO5_R_EINVAL;
    };
    // SAFETY: the caller keeps to `solo5.h`.
    let written = unsafe { syscall::write(entry.host_fd, buf, size) };
    all_or_nothing(written, size)
}

/// `solo5_net_read`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_read(
    handle: solo5_handle_t,
    buf: *mut u8,
    size: usize,
    read_size: *mut usize,
) -> solo5_result_t {
    let Some(entry) = devices().get(handle, DeviceType::Net) else {
        return solo5_result_t::SOLO5_R_EINVAL;
    };
    if read_size.is_null() {
        return solo5_result_t::SOLO5_R_EINVAL;
    }
    // SAFETY: the caller keeps to `solo5.h`.
    match unsafe { syscall::read(entry.host_fd, buf, size) } {
        EAGAIN => solo5_result_t::SOLO5_R_AGAIN,
        result => match usize::try_from(result) {
            Ok(len) => {
                // SAFETY: the caller keeps to `solo5.h`.
                unsafe { read_size.write_unaligned(len) };
                solo5_result_t::SOLO5_R_OK
            }
            Err(_) => solo5_result_t::SOLO5_R_EUNSPEC,
        },
    }
}

/// `solo5_block_write`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_write(
    handle: solo5_handle_t,
    offset: solo5_off_t,
    buf: *const u8,
    size: usize,
) -> solo5_result_t {
    // The tender's filter kills a guest that asks for anything else than one whole block.
    let Some(entry) = devices().block(handle, offset, size) else {
        return solo5_result_t::SOLO5_R_EINVAL;
    };
    // SAFETY: the caller keeps to `solo5.h`.
    let written = unsafe { syscall::pwrite(entry.host_fd, buf, size, offset) };
    all_or_nothing(written, size)
}

/// `solo5_block_read`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_read(
    handle: solo5_handle_t,
    offset: solo5_off_t,
    buf: *mut u8,
    size: usize,
) -> solo5_result_t {
    let Some(entry) = devices().block(handle, offset, size) else {
        return solo5_result_t::SOLO5_R_EINVAL;
    };
    // SAFETY: the caller keeps to `solo5.h`.
    let read = unsafe { syscall::pread(entry.host_fd, buf, size, offset) };
    all_or_nothing(read, size)
}
