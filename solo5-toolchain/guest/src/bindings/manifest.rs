//! The devices that the tender attached, and how an application gets hold of them.
//!
//! A unikernel has one thread; atomics with relaxed ordering are plain memory accesses that Rust
//! allows in statics.

use core::ffi::{CStr, c_char};
use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed};

use solo5_abi::constants::{MANIFEST_VERSION, MAX_MANIFEST_ENTRIES};
use solo5_abi::manifest::{DeviceType, ManifestEntry, ManifestHeader};
use solo5_sys::{solo5_block_info, solo5_handle_t, solo5_net_info, solo5_result_t};

use crate::devices::Devices;

static ENTRIES: AtomicPtr<ManifestEntry> = AtomicPtr::new(ptr::dangling_mut());
static ENTRY_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Remembers the manifest.
///
/// # Safety
///
/// `manifest` must be what a tender left: the address of a manifest that stays unchanged as long as
/// the program runs.
pub(crate) unsafe fn remember(manifest: u64) {
    let header = usize::try_from(manifest).unwrap_or(0);
    let header = ptr::with_exposed_provenance_mut::<ManifestHeader>(header);
    assert!(
        !header.is_null() && header.cast::<ManifestEntry>().is_aligned(),
        "The manifest is not where a tender puts it"
    );
    // SAFETY: the caller vouches for the pointer, and it is aligned.
    let ManifestHeader { version, entries } = unsafe { header.read() };
    let count = usize::try_from(entries).unwrap_or(usize::MAX);
    assert!(
        version == MANIFEST_VERSION && count <= MAX_MANIFEST_ENTRIES,
        "The manifest is not one of version {MANIFEST_VERSION}"
    );
    // SAFETY: entries follow the header directly, so this is inside the manifest or at its end.
    ENTRIES.store(unsafe { header.add(1) }.cast(), Relaxed);
    ENTRY_COUNT.store(count, Relaxed);
}

/// The devices that the tender attached. None before [`remember`].
pub(crate) fn devices() -> Devices<'static> {
    // SAFETY: `remember` stored an aligned pointer to this many entries, which stay unchanged;
    // before that the count is zero and the pointer dangling.
    Devices(unsafe { slice::from_raw_parts(ENTRIES.load(Relaxed), ENTRY_COUNT.load(Relaxed)) })
}

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
