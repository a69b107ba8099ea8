//! What the bindings of all real targets have in common.
//!
//! A target is a module with these items, reached as `crate::platform`:
//!
//! - `write_console`, `set_thread_pointer`: what output and thread-local storage come down to
//! - `exit` and `abandon`: the end that the application wants, and the one that nobody does
//! - `ABI_NOTE`, `BootInfo`, `prepare` and `start`: what the tender needs to know, what it leaves,
//!   and what to do with processor and devices before the application runs
//!
//! and with the functions of `solo5.h` that are not here: clocks, waiting, input and output.
//!
//! - `start`: from the entry point to `solo5_app_main`
//! - `manifest`: the devices
//! - `output`: console, log messages, panics, the end
//! - `tls`: thread-local storage

pub(crate) mod manifest;
pub(crate) mod output;
pub(crate) mod start;
mod tls;

// The compiler calls memcpy and its family; this brings them into the object.
use solo5_mem as _;
