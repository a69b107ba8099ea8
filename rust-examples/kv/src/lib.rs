//! Keys and values that survive: [`disk`] is a block device as the crate ekv wants it, [`service`]
//! serves them over TCP. `tests/guest.rs` tests them in a guest.
#![no_std]

extern crate alloc;

pub mod disk;
pub mod service;
