//! The parts of `solo5-hvt-debug` that need neither a machine nor a connection, so that tests and
//! fuzzers can run them on bytes.
//!
//! - [`packets`]: what a debugger sends, sorted
//! - [`registers`]: a guest's registers, between KVM and the debugger

pub mod packets;
pub mod registers;
