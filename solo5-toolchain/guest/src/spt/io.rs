//! Network and block devices (solo5-abi sections 2.2 and 14.5).

use core::ffi::{CStr, c_char};

use solo5_abi::manifest::{DeviceType, ManifestEntry};
use solo5_abi::spt::EAGAIN;
use solo5_sys::{solo5_block_info, solo5_handle_t, solo5_net_info, solo5_off_t, solo5_result_t};

use super::state::devices;
use super::syscall;

/// Looks up a device by its C name and stores its handle.
///
/// # Safety
///
/// `name` must be null or NUL terminated, `handle` null or writable.
unsafe fn acquire(
    name: *const c_char,
    handle: *mut solo5_handle_t,
    kind: DeviceType,
) -> Option<&'static ManifestEntry> {
    if name.is_null() || handle.is_null() {
        return None;
    }
    // SAFETY: the caller vouches for the string.
    let name = unsafe { CStr::from_ptr(name) };
    let (found, entry) = devices().find(name.to_bytes(), kind)?;
    // SAFETY: the caller vouches for the place, which C may have left unaligned.
    unsafe { handle.write_unaligned(found) };
    Some(entry)
}

/// What a transfer of exactly `size` bytes means to the caller.
fn all_or_nothing(transferred: i64, size: usize) -> solo5_result_t {
    if usize::try_from(transferred) == Ok(size) {
        solo5_result_t::SOLO5_R_OK
    } else {
        solo5_result_t::SOLO5_R_EUNSPEC
    }
}

/// `solo5_net_acquire`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_net_acquire(
    name: *const c_char,
    handle: *mut solo5_handle_t,
    info: *mut solo5_net_info,
) -> solo5_result_t {
    if info.is_null() {
        return solo5_result_t::SOLO5_R_EINVAL;
    }
    // SAFETY: the caller keeps to `solo5.h`.
    let Some(entry) = (unsafe { acquire(name, handle, DeviceType::Net) }) else {
        return solo5_result_t::SOLO5_R_EINVAL;
    };
    let found = solo5_net_info {
        mac_address: entry.mac(),
        mtu: usize::from(entry.mtu()),
    };
    // SAFETY: the caller keeps to `solo5.h`.
    unsafe { info.write_unaligned(found) };
    solo5_result_t::SOLO5_R_OK
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

/// `solo5_block_acquire`: see `solo5.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn solo5_block_acquire(
    name: *const c_char,
    handle: *mut solo5_handle_t,
    info: *mut solo5_block_info,
) -> solo5_result_t {
    if info.is_null() {
        return solo5_result_t::SOLO5_R_EINVAL;
    }
    // SAFETY: the caller keeps to `solo5.h`.
    let Some(entry) = (unsafe { acquire(name, handle, DeviceType::Block) }) else {
        return solo5_result_t::SOLO5_R_EINVAL;
    };
    let found = solo5_block_info {
        capacity: entry.capacity(),
        block_size: u64::from(entry.block_size()),
    };
    // SAFETY: the caller keeps to `solo5.h`.
    unsafe { info.write_unaligned(found) };
    solo5_result_t::SOLO5_R_OK
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
