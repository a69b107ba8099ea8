//! What can be tested: `tests/guest.rs`.
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::String;

/// What to say to somebody of this name.
#[must_use]
pub fn greeting(name: &str) -> String {
    match name.trim() {
        "" => String::from("Hello from a unikernel!"),
        name => format!("Hello, {name}, from a unikernel!"),
    }
}
