//! Keys and values that survive: [`disk`] is a block device as the crate ekv wants it, [`service`]
//! serves them over TCP. `tests/guest.rs` tests them in a guest.
//!
//! The devices of the image are declared here, for the program and its tests alike.
#![no_std]

extern crate alloc;

pub mod disk;
pub mod service;

mnet::manifest! {
    net "service";
    block "storage";
}
