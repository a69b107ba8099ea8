//! `solo5-spt`: runs an image of the spt target.
//!
//! The program starts at the C library's `main`. Rust's own start-up code would ignore `SIGPIPE` and
//! handle `SIGSEGV`, which the guest, running in this very process, would inherit: its faults must
//! end the process with their own signals.
#![no_main]

use std::ffi::{c_char, c_int};

#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    solo5_tender::spt::run(&solo5_tender::cli::arguments())
}
