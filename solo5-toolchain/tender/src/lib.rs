//! The host side of a Solo5 image: `solo5-spt` loads an image, gives it the devices that its
//! manifest asks for, and runs it as this very process behind a system call filter.
//!
//! - [`image`]: reads an ELF file with its Solo5 notes; [`load`] puts its segments into memory.
//!   Both only see an [`image::ImageSource`] and a [`load::GuestMemory`], so tests and fuzzers can
//!   run them on bytes. `solo5-elftool` reads notes through them too.
//! - [`options`]: the grammar of the command line
//! - [`devices`]: what the manifest declares and what the command line attaches, from [`tap`] and
//!   [`block`]
//! - [`memory`], [`sandbox`], [`launch`]: address space, filter and entry of an spt guest
//! - [`run`]: all of it in order
//!
//! What comes from an image, a command line or the host is never trusted: every bad input is an
//! error with a one-line message, and nothing here panics.

pub mod block;
pub mod devices;
pub mod errno;
pub mod image;
pub mod launch;
pub mod load;
pub mod memory;
pub mod options;
pub mod run;
pub mod sandbox;
pub mod tap;
