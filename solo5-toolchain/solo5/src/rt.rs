//! What stands between the bindings and the function that is marked with `main`, and what
//! `manifest!` is made of.

use core::ffi::c_int;
use core::fmt::Debug;

pub use solo5_abi::declare::{Declaration, note, note_words};
pub use solo5_abi::manifest::{TYPE_BLOCK_BASIC, TYPE_NET_BASIC};
pub use solo5_sys::solo5_start_info;

use crate::println;
use crate::start::{StartInfo, abort};

/// The start: what `solo5_app_main` does.
///
/// # Safety
///
/// Must be called once, with the argument of `solo5_app_main`.
pub unsafe fn start<Arguments, F: Main<Arguments>>(
    info: *const solo5_start_info,
    main: F,
) -> c_int {
    // SAFETY: the caller passes what the bindings gave.
    let Some(start) = (unsafe { StartInfo::from_raw(info) }) else {
        abort();
    };
    #[cfg(feature = "allocator")]
    // SAFETY: nobody has used the heap yet, and from now on it is the allocator's.
    unsafe {
        crate::allocator::take(start.heap())
    };
    call(main, start)
}

/// Calls a function that is marked with `main` or `test`; the exit status.
pub fn call<Arguments, F: Main<Arguments>>(function: F, start: StartInfo) -> c_int {
    function.call(start)
}

/// Functions that can be marked with `main` or `test`. `Arguments` tells the implementations apart.
#[diagnostic::on_unimplemented(
    message = "a unikernel cannot start with this function",
    label = "takes nothing or a `StartInfo`, returns nothing, a `u8`, or a `Result` of these"
)]
pub trait Main<Arguments> {
    /// Calls it; the exit status.
    fn call(self, start: StartInfo) -> c_int;
}

impl<F: FnOnce() -> T, T: Termination> Main<()> for F {
    fn call(self, _: StartInfo) -> c_int {
        self().status()
    }
}

impl<F: FnOnce(StartInfo) -> T, T: Termination> Main<(StartInfo,)> for F {
    fn call(self, start: StartInfo) -> c_int {
        self(start).status()
    }
}

/// What such a function may return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an exit status",
    label = "return nothing, a `u8`, or a `Result` of these"
)]
pub trait Termination {
    /// The exit status: 0 is success.
    fn status(self) -> c_int;
}

impl Termination for () {
    fn status(self) -> c_int {
        0
    }
}

impl Termination for u8 {
    fn status(self) -> c_int {
        self.into()
    }
}

impl<T: Termination, E: Debug> Termination for Result<T, E> {
    fn status(self) -> c_int {
        match self {
            Ok(value) => value.status(),
            Err(error) => {
                println!("Error: {error:?}");
                1
            }
        }
    }
}

/// A way to name the type of what never returns.
pub trait Returns {
    /// What is returned.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

impl Termination for <fn() -> ! as Returns>::Output {
    fn status(self) -> c_int {
        self
    }
}

/// Prints the place and the message, and ends the unikernel with status 255.
#[cfg(feature = "panic-handler")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    crate::print_panic(info);
    abort()
}
