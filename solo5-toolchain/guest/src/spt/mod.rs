//! The bindings for the spt target: a process that may make nine system calls.
//!
//! - `io`: devices
//! - `time`: clocks, and waiting
//! - `state`: what has to be remembered from the boot information
//! - `syscall`: the system calls; the only assembly besides the entry point
//!
//! Descriptors stay out of sight: C code sees handles, and these are looked up at each call.

mod io;
mod state;
mod syscall;
mod time;

use core::sync::atomic::Ordering::Relaxed;

use solo5_abi::boot::SptBootInfo;
use solo5_abi::constants::{AbiTarget, SPT_ABI_VERSION};
use solo5_abi::note::Abi1Note;
use solo5_abi::spt::EINTR;

pub(crate) use solo5_abi::boot::SptBootInfo as BootInfo;
pub(crate) use syscall::{exit_group as exit, exit_group as abandon};

/// Says what tender the image is for.
pub(crate) const ABI_NOTE: Abi1Note = Abi1Note::new(AbiTarget::Spt, SPT_ABI_VERSION);

/// Nothing has to be prepared.
pub(crate) const fn prepare() {}

/// Remembers descriptors. None of the heap is used.
///
/// # Safety
///
/// `boot` must be what a tender left.
pub(crate) unsafe fn start(boot: &SptBootInfo, _heap_start: usize, _heap_size: usize) -> usize {
    state::EPOLL_FD.store(boot.epoll_fd, Relaxed);
    state::TIMER_FD.store(boot.timer_fd, Relaxed);
    0
}

/// Sets the thread pointer. Whether that worked: `base` must be a canonical user address.
pub(crate) fn set_thread_pointer(base: usize) -> bool {
    syscall::set_fs(base) == 0
}

/// Writes to the console, all of it if that is possible.
///
/// # Safety
///
/// As for a C function that reads `size` bytes at `buf`.
pub(crate) unsafe fn write_console(mut buf: *const u8, size: usize) {
    let mut left = size;
    while left > 0 {
        // SAFETY: the caller vouches for `size` bytes; `left` of them are left at `buf`.
        match unsafe { syscall::write_console(buf, left) } {
            EINTR => {}
            written => match usize::try_from(written) {
                // A pipe may take less than all.
                Ok(written) if (1..=left).contains(&written) => {
                    buf = buf.wrapping_add(written);
                    left -= written;
                }
                // The rest is lost, as documented.
                _ => return,
            },
        }
    }
}
