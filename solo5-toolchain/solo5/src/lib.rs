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
//! A unikernel in Rust has the feature `image`, and starts in the function marked with `main`. (Images
//! only can have it, so this is not compiled here; a test builds what `cargo solo5 new` writes.)
//!
//! ```ignore
//! #![no_std]
//! #![no_main]
//!
//! #[solo5::main]
//! fn main(start: solo5::StartInfo) {
//!     solo5::println!("Hello! My command line is: {:?}", start.cmdline());
//! }
//! ```
//!
//! `solo5::manifest!` declares its devices, if `solo5.toml` does not.
//!
//! The feature brings a panic handler and a global allocator. A program that has its own names the
//! features that it wants instead: `panic-handler`, `allocator`, and `rt` for the rest. With
//! `allocator` the memory of [`StartInfo::heap`] is taken. `cargo solo5 new` writes such a program
//! and `cargo solo5 build` makes an image of it.
//!
//! A unikernel has one thread. Times are nanoseconds, sizes and offsets are bytes.
#![no_std]

#[cfg(feature = "rt")]
extern crate solo5_mem as _;
#[cfg(test)]
extern crate std;

#[cfg(feature = "rt")]
#[doc(hidden)]
#[path = "rt.rs"]
pub mod __rt;
#[cfg(feature = "allocator")]
mod allocator;
mod block;
mod console;
mod device;
#[cfg(test)]
mod fake;
#[cfg(feature = "heap")]
pub mod heap;
#[cfg(feature = "rt")]
mod manifest;
mod net;
mod start;
#[cfg(any(test, feature = "rt"))]
pub mod testing;
mod time;

pub use block::{Block, BlockError, BlockInfo};
pub use console::{Console, print, print_panic};
pub use device::{AcquireError, Handle, HandleSet};
pub use net::{Net, NetInfo, ReadError, WriteError};
#[cfg(feature = "rt")]
pub use solo5_macros::{main, test};
pub use start::{StartInfo, abort, exit};
pub use time::{clock_monotonic, clock_wall, yield_until};
