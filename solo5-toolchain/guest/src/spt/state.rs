//! What the bindings remember from start to end.
//!
//! A unikernel has one thread; atomics with relaxed ordering are plain memory accesses that Rust
//! allows in statics.

use core::ptr;
use core::slice;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU64, AtomicUsize, Ordering::Relaxed};

use solo5_abi::boot::SptBootInfo;
use solo5_abi::constants::{MANIFEST_VERSION, MAX_MANIFEST_ENTRIES};
use solo5_abi::manifest::{ManifestEntry, ManifestHeader};

use crate::devices::Devices;

/// The epoll instance with all network devices and the timer in it.
pub(super) static EPOLL_FD: AtomicI32 = AtomicI32::new(-1);
/// The timer that ends a wait.
pub(super) static TIMER_FD: AtomicI32 = AtomicI32::new(-1);
/// What the timer is set to; 0 for never set.
pub(super) static TIMER_DEADLINE: AtomicU64 = AtomicU64::new(0);
/// The last reading of the monotonic clock. Time is at least this.
pub(super) static LAST_READING: AtomicU64 = AtomicU64::new(0);

static ENTRIES: AtomicPtr<ManifestEntry> = AtomicPtr::new(ptr::dangling_mut());
static ENTRY_COUNT: AtomicUsize = AtomicUsize::new(0);

/// Remembers descriptors and manifest.
///
/// # Safety
///
/// `boot` must be what a tender left: its manifest pointer points to a manifest that stays
/// unchanged as long as the program runs.
pub(super) unsafe fn remember(boot: &SptBootInfo) {
    EPOLL_FD.store(boot.epoll_fd, Relaxed);
    TIMER_FD.store(boot.timer_fd, Relaxed);

    let header = usize::try_from(boot.manifest).unwrap_or(0);
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
pub(super) fn devices() -> Devices<'static> {
    // SAFETY: `remember` stored an aligned pointer to this many entries, which stay unchanged;
    // before that the count is zero and the pointer dangling.
    Devices(unsafe { slice::from_raw_parts(ENTRIES.load(Relaxed), ENTRY_COUNT.load(Relaxed)) })
}
