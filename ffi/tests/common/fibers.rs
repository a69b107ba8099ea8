//! Fibers whose function is a closure.

use std::ffi::c_void;
use std::ptr;

use super::name;
use mnet_ffi::*;

/// Memory of a fiber: what the library needs without optimisation is far more than in an image.
pub(crate) const SIZE: usize = 160 << 10;

type Body = Box<dyn FnOnce() -> usize>;

unsafe extern "C" fn run(arg: *mut c_void) -> *mut c_void {
    let body = unsafe { Box::from_raw(arg.cast::<Body>()) };
    ptr::without_provenance_mut(body())
}

/// A fiber that does nothing.
pub(crate) unsafe extern "C" fn none(arg: *mut c_void) -> *mut c_void {
    arg
}

/// Starts a fiber; what it returns is for `join`.
pub(crate) fn spawn(stack: mnet_stack, body: impl FnOnce() -> usize + 'static) -> mnet_fiber {
    let body: Box<Body> = Box::new(Box::new(body));
    let arg = Box::into_raw(body).cast();
    let fiber = unsafe { mnet_spawn(stack, Some(run), arg, ptr::null_mut(), SIZE) };
    assert!(fiber > 0, "{}", name(fiber));
    fiber
}

/// Starts a fiber that has nothing to say at its end.
pub(crate) fn go(stack: mnet_stack, body: impl FnOnce() + 'static) -> mnet_fiber {
    spawn(stack, move || {
        body();
        0
    })
}

/// Waits for a fiber; what its function returned.
pub(crate) fn join(fiber: mnet_fiber) -> usize {
    let mut result = ptr::null_mut();
    let status = unsafe { mnet_join(fiber, &raw mut result, -1) };
    assert_eq!(status, 0, "{}", name(status.into()));
    result.addr()
}
