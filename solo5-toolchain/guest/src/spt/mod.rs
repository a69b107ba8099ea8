//! The bindings for the spt target: a process that may make nine system calls.
//!
//! - `start`: from the entry point to `solo5_app_main`
//! - `state`: what has to be remembered from the boot information
//! - `output`: console, log messages, panics, the end
//! - `io`: devices
//! - `time`: clocks, and waiting
//! - `tls`: thread-local storage
//! - `syscall`: the system calls; the only assembly besides the entry point
//!
//! Descriptors stay out of sight: C code sees handles, and these are looked up at each call.

mod io;
mod output;
mod start;
mod state;
mod syscall;
mod time;
mod tls;

// The compiler calls memcpy and its family; this brings them into the object.
use solo5_mem as _;
