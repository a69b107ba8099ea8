//! Networks for guests: what a tender's command line takes for granted.
//!
//! - [`namespace`]: a network of one's own, as root or in a user namespace;
//! - [`tap`]: TAP devices with an address.
//!
//! `cargo solo5` makes what an image needs to run, the tests of whole images and `cargo xtask demo`
//! make what they need. Nothing here outlives the process that made it but a TAP device made with
//! [`tap::Tap::new`] in a network that others are in too.

pub mod namespace;
pub mod tap;
