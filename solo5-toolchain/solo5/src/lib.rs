//! Safe Rust over the Solo5 API: what a unikernel can ask of the world.
//!
//! - the start: [`StartInfo`] with the command line and the memory
//! - devices, each owned by one value at a time: [`Net`], [`Block`]
//! - time and waiting: [`clock_monotonic`], [`clock_wall`], [`yield_until`]
//! - output: [`Console`]
//! - the end: [`exit`], [`abort`]
//!
//! Every function calls one function of `include/solo5.h`; the bindings object that an image is
//! linked with supplies them. So this crate works in images only: a host program that calls it does
//! not link. Its own tests bring an imitation of the bindings.
//!
//! What the C interface leaves to the caller's care is checked here before the call, so that no
//! use of this crate can reach outside a buffer or offer a host what it does not expect.
//!
//! A unikernel has one thread. Times are nanoseconds, sizes and offsets are bytes.
#![no_std]

#[cfg(test)]
extern crate std;

mod block;
mod console;
mod device;
#[cfg(test)]
mod fake;
mod net;
mod start;
mod time;

pub use block::{Block, BlockError, BlockInfo};
pub use console::Console;
pub use device::{AcquireError, Handle, HandleSet};
pub use net::{Net, NetInfo, ReadError, WriteError};
pub use start::{StartInfo, abort, exit};
pub use time::{clock_monotonic, clock_wall, yield_until};
