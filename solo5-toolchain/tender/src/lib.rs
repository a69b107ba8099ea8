//! The host side of a Solo5 image: loads it, gives it the devices that its manifest asks for, and
//! runs it. `solo5-spt` becomes the image, behind a system call filter; `solo5-hvt` runs it in a
//! virtual machine, and is behind a filter itself.
//!
//! - [`image`]: reads an ELF file with its Solo5 notes; [`load`] puts its segments into memory.
//!   Both only see an [`image::ImageSource`] and a [`load::GuestMemory`], so tests and fuzzers can
//!   run them on bytes. `solo5-elftool` reads notes through them too.
//! - [`options`]: the grammar of the command line; [`cli`]: what both tenders make of it
//! - [`devices`]: what the manifest declares and what the command line attaches, from [`tap`] and
//!   [`block`]
//! - [`boot`]: what a guest finds; [`filter`]: making system call filters; [`descriptors`]: closing
//!   what nobody needs
//! - [`capture`] and [`stats`]: what is seen of a guest while it runs
//! - [`spt`] and [`hvt`]: the two tenders
//!
//! What comes from an image, a guest, a command line or the host is never trusted: every bad input
//! is an error with a one-line message, and nothing here panics.

pub mod block;
pub mod boot;
pub mod capture;
pub mod cli;
pub mod descriptors;
pub mod devices;
pub mod errno;
pub mod filter;
pub mod hvt;
pub mod image;
pub mod load;
pub mod options;
pub mod spt;
pub mod stats;
pub mod tap;
