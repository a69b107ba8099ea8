//! How an application starts, and how it ends.

use core::ffi::{CStr, c_int};
use core::ptr::{self, NonNull};

use solo5_sys::{solo5_abort, solo5_exit, solo5_start_info};

/// What the application is told when it starts.
#[derive(Clone, Copy, Debug)]
pub struct StartInfo {
    cmdline: &'static CStr,
    heap: NonNull<[u8]>,
}

impl StartInfo {
    /// Takes what `solo5_app_main` was called with.
    ///
    /// `None` when a pointer in it is null, which no bindings do.
    ///
    /// # Safety
    ///
    /// `info` must be the argument of `solo5_app_main`, or point to a structure like it: with a
    /// NUL-terminated command line that stays, unchanged, as long as the program runs.
    #[must_use]
    pub unsafe fn from_raw(info: *const solo5_start_info) -> Option<Self> {
        // SAFETY: the caller passes null or a valid pointer.
        let info = unsafe { info.as_ref() }?;
        let heap = ptr::with_exposed_provenance_mut::<u8>(info.heap_start);
        let heap = NonNull::slice_from_raw_parts(NonNull::new(heap)?, info.heap_size);
        if info.cmdline.is_null() {
            return None;
        }
        // SAFETY: the caller vouches for the string and its lifetime.
        let cmdline = unsafe { CStr::from_ptr(info.cmdline) };
        Some(Self { cmdline, heap })
    }

    /// The command line: the arguments after the image's name, joined with single spaces, without
    /// the `--solo5:` options in front.
    #[must_use]
    pub const fn cmdline(&self) -> &'static CStr {
        self.cmdline
    }

    /// The application's memory: page aligned, readable, writable, zero at start, 512 KiB or more.
    ///
    /// The stack is inside, at the very top, growing down, without a guard page: an allocator must
    /// leave as much of the end alone as the program's stack may need.
    #[must_use]
    pub const fn heap(&self) -> NonNull<[u8]> {
        self.heap
    }
}

/// Ends the unikernel. The low 8 bits of `status` become the exit status of the tender; 255 means
/// that it aborted, 0 is success.
pub fn exit(status: c_int) -> ! {
    // SAFETY: can be called at any time; it does not return.
    unsafe { solo5_exit(status) }
}

/// Ends the unikernel as failed: exit status 255, and a core file where the tender was asked for
/// one.
pub fn abort() -> ! {
    // SAFETY: can be called at any time; it does not return.
    unsafe { solo5_abort() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_info_is_taken_over_as_it_is() {
        let mut memory = [0u8; 64];
        let info = solo5_start_info {
            cmdline: c"--port=7 x".as_ptr(),
            heap_start: memory.as_mut_ptr().expose_provenance(),
            heap_size: memory.len(),
        };
        // SAFETY: the structure is valid and the string static.
        let start = unsafe { StartInfo::from_raw(&raw const info) }.unwrap();
        assert_eq!(start.cmdline(), c"--port=7 x");
        assert_eq!(start.heap().len(), 64);
        assert_eq!(start.heap().cast::<u8>().as_ptr(), memory.as_mut_ptr());
    }

    #[test]
    fn null_pointers_are_refused() {
        let info = solo5_start_info {
            cmdline: ptr::null(),
            heap_start: 0x1000,
            heap_size: 64,
        };
        let no_heap = solo5_start_info {
            cmdline: c"".as_ptr(),
            heap_start: 0,
            ..info
        };
        // SAFETY: null pointers are what the function looks for; the string is static.
        unsafe {
            assert!(StartInfo::from_raw(ptr::null()).is_none());
            assert!(StartInfo::from_raw(&raw const info).is_none());
            assert!(StartInfo::from_raw(&raw const no_heap).is_none());
        }
    }
}
