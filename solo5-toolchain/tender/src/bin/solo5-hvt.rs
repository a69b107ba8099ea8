//! `solo5-hvt`: runs an image of the hvt target.
//!
//! The program starts at the C library's `main`. Rust's own start-up code would ignore `SIGPIPE`,
//! which has to end a tender that writes to a closed pipe.
#![no_main]

use std::ffi::{c_char, c_int};

#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    solo5_tender::hvt::run(&solo5_tender::cli::arguments())
}
