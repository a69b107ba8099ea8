//! The Solo5 ABI as both sides of the boundary see it: what an image carries in its ELF notes,
//! what a tender puts into guest memory, and the numbers they agree on.
//!
//! Guest bindings, tenders and `solo5-elftool` share this crate; it does no I/O, allocates nothing
//! and holds no unsafe code. Layouts are asserted at compile time. Only little-endian machines have
//! tenders, so integers are in native order.
//!
//! Models the interfaces of upstream Solo5 0.12.1: hvt ABI 2, spt ABI 2, manifest 1.
//!
//! - [`constants`]: ABI targets and versions, memory layout, limits
//! - [`note`]: the ELF notes of an image
//! - [`manifest`]: the devices that an image declares; [`declare`]: those that code declares
//! - [`boot`]: what an spt guest finds when it starts
//! - [`spt`]: system calls and kernel structures of the spt target
//! - [`extension`]: what this project's images and tenders agree on beyond Solo5
//! - [`hvt`]: hypercalls, boot information and network ring of the hvt target
#![no_std]
#![forbid(unsafe_code)]

pub mod boot;
pub mod constants;
pub mod declare;
pub mod extension;
pub mod hvt;
pub mod manifest;
pub mod note;
pub mod spt;

#[cfg(target_endian = "big")]
compile_error!("the Solo5 ABI is little endian");
