//! A private network for whole images, and the Linux side of a conversation with them.
//!
//! The tests in `tests/images` run real images under real tenders, on TAP devices that nobody else
//! can see, against the Linux kernel's own TCP/IP. This library is what they share with
//! `cargo xtask demo`:
//!
//! - [`namespace`]: a network of one's own, as root or in a user namespace; [`tap`]: TAP devices with
//!   an address (both are the crate `solo5-network`); [`bridge`]: several as one network;
//! - [`impair`]: a path that loses, delays and reorders, and [`path`]: two networks with one
//!   between them;
//! - [`process`]: children that are watched, awaited with a deadline, and never left behind;
//! - [`prefix`]: where the toolchain is installed, and running images with it;
//! - [`clients`]: ping, UDP and TCP echo clients that check every byte;
//! - [`bulk`]: transfers that are measured as they go; [`flood`]: SYNs that nobody means;
//! - [`browser`]: Chromium, for pages and forms;
//! - [`soak`]: clients that come and go at random, for hours;
//! - [`statistics`]: what an image has in use, as it tells itself;
//! - [`recording`]: what a tender has recorded of its guest's frames;
//! - [`packet`] and [`frame`]: raw frames, to say what no kernel would say;
//! - [`transcript`]: the commands that a page of documentation tells its reader to type;
//! - [`boot`]: the time from starting a tender to its image's first SYN-ACK.
//!
//! Nothing here outlives the process: networks vanish with their last thread, children die with
//! the thread that started them.

pub mod boot;
pub mod bridge;
pub mod browser;
pub mod bulk;
pub mod clients;
pub mod flood;
pub mod frame;
pub mod impair;
pub mod packet;
pub mod path;
pub mod prefix;
pub mod process;
pub mod recording;
pub mod soak;
pub mod statistics;
pub mod transcript;

pub use solo5_network::{namespace, tap};
