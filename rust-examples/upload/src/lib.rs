//! Files that are uploaded come back as a zip archive: [`service`] speaks HTTP, [`archive`] writes
//! the archive. `tests/guest.rs` tests them in a guest.
#![no_std]

extern crate alloc;

pub mod archive;
mod meeting;
mod patient;
pub mod service;
