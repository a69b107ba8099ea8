//! `solo5-spt`: runs an image of the spt target.
//!
//! The program starts at the C library's `main`. Rust's own start-up code would ignore `SIGPIPE` and
//! handle `SIGSEGV`, which the guest, running in this very process, would inherit: its faults must
//! end the process with their own signals.
#![no_main]

use std::ffi::{OsString, c_char, c_int};

/// Opens `/dev/null` for each of the first three descriptors that is closed, so that no file
/// opened later can take its place and receive console output.
fn open_standard_descriptors() {
    for fd in 0..3 {
        if !solo5_tender::tap::is_open(fd) {
            // SAFETY: the path is a C string. The lowest free descriptor is the one that is closed.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    open_standard_descriptors();
    // Collected by the C library's start-up hook, not by Rust's.
    let arguments: Vec<OsString> = std::env::args_os().collect();
    solo5_tender::run::run(&arguments)
}
