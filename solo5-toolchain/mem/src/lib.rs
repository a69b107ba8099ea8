//! `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp` and `strlen` for images without a libc.
//!
//! The compiler emits calls to these functions on its own, so every image needs them; an image has
//! no libc to take them from. The guest bindings and `libmnet.a` each carry a private copy (their
//! linking step makes the symbols local).
//!
//! The functions are ordinary Rust functions here. The C symbols exist only with the feature
//! `symbols`, which images set and host programs must not: their libc has the names already.
//!
//! Two things shape the code. It runs once or twice for each packet, mostly for 1460 bytes and for
//! headers, so sizes around that use 16-byte moves without a set-up cost. And a compiler recognises
//! a loop that copies, fills or searches and replaces it by a call to the very function it stands
//! in; so each loop is assembly, which it leaves alone. Only SSE2 is used, the baseline of x86-64.
//! With the feature `moves-only` nothing but moves is used of it: where ring 0 of a virtual machine
//! is interpreted by software, that is all there may be.
#![no_std]
#![no_builtins]

#[cfg(not(target_arch = "x86_64"))]
compile_error!("solo5-mem is written for x86_64");

mod compare;
mod copy;
mod fill;
#[cfg(not(feature = "moves-only"))]
mod length;
#[cfg(any(test, feature = "moves-only"))]
mod scalar;

pub use compare::{bcmp, memcmp};
pub use copy::{memcpy, memmove};
pub use fill::memset;
#[cfg(not(feature = "moves-only"))]
pub use length::strlen;
#[cfg(feature = "moves-only")]
pub use scalar::strlen;

/// Nothing here panics; a library of its own needs the handler all the same.
#[cfg(feature = "alone")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The C symbols: each hands its arguments on.
#[cfg(feature = "symbols")]
mod symbols {
    use core::ffi::{c_char, c_int, c_void};

    /// C's `memcpy`.
    ///
    /// # Safety
    /// As [`memcpy`](crate::memcpy).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(
        dest: *mut c_void,
        src: *const c_void,
        count: usize,
    ) -> *mut c_void {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { crate::memcpy(dest.cast(), src.cast(), count).cast() }
    }

    /// C's `memmove`.
    ///
    /// # Safety
    /// As [`memmove`](crate::memmove).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(
        dest: *mut c_void,
        src: *const c_void,
        count: usize,
    ) -> *mut c_void {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { crate::memmove(dest.cast(), src.cast(), count).cast() }
    }

    /// C's `memset`.
    ///
    /// # Safety
    /// As [`memset`](crate::memset).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(dest: *mut c_void, value: c_int, count: usize) -> *mut c_void {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { crate::memset(dest.cast(), value, count).cast() }
    }

    /// C's `memcmp`.
    ///
    /// # Safety
    /// As [`memcmp`](crate::memcmp).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(left: *const c_void, right: *const c_void, count: usize) -> c_int {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { crate::memcmp(left.cast(), right.cast(), count) }
    }

    /// `bcmp`, which the compiler calls where only equality matters.
    ///
    /// # Safety
    /// As [`bcmp`](crate::bcmp).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(left: *const c_void, right: *const c_void, count: usize) -> c_int {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { crate::bcmp(left.cast(), right.cast(), count) }
    }

    /// C's `strlen`.
    ///
    /// # Safety
    /// As [`strlen`](crate::strlen).
    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(text: *const c_char) -> usize {
        // SAFETY: the caller's promise is the one asked for.
        unsafe { crate::strlen(text) }
    }
}
