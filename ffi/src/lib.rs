//! The C ABI of mnet: the functions of `include/mnet.h`.
//!
//! The header is generated from this crate (`cargo run -p mnet-codegen -- header`), comments
//! included, so the documentation of every function is written for a C programmer. What each file
//! holds:
//!
//! - `types`: structures and constants of the header; `error`: the error codes and their texts
//! - `stack`: opening, closing and driving a stack; `tcp`, `udp`: sockets; `wait`: polling and
//!   events; `info`: counters, usage, random numbers; `address`: text to addresses and back
//! - `addresses`: the life of our addresses, and changes of the network
//! - `dhcp`: addresses that servers lend
//! - `resolvers`: DNS servers and search domains
//! - `args`: the command line of a unikernel
//! - `fibers`: functions that run beside each other; `channels`: what they hand each other;
//!   `scheduling`: the table by which all other calls reach them
//! - `settings`: what a connection is to do; `tcp_info`: what it does, and which ones there are
//! - `registry`: which stacks are open, and what a handle names; `pointer`: the checks on what
//!   comes from C; `arena`: the memory that callers grant
//!
//! # Rules that hold everywhere
//!
//! - Every argument is checked: NULL, alignment, lengths, handles, padding that must be zero.
//!   What cannot be checked is that memory which a non-NULL pointer designates exists.
//! - Outputs are written only on success.
//! - No call holds a reference into a stack while it calls out, and a stack is entered by one call
//!   at a time (`MNET_EBUSY` otherwise), so it does not matter what a caller does inside the
//!   `solo5_*` functions it supplies.
//! - A panic does not cross the boundary: the library is built to abort, after printing the place.
#![no_std]
// The C contract of each function is its documentation; the header has no "Safety" sections.
#![allow(clippy::missing_safety_doc)]

extern crate alloc;
#[cfg(feature = "freestanding")]
extern crate solo5_mem as _;

pub mod address;
mod addresses;
pub mod arena;
mod args;
pub mod channels;
pub mod datagrams;
mod dhcp;
pub mod error;
pub mod fast_open;
pub mod fibers;
pub mod info;
pub mod interfaces;
mod ipv6;
pub mod log;
pub mod routes;
pub mod settings;
pub mod stack;
pub mod tcp;
pub mod tcp_info;
pub mod types;
pub mod udp;
pub mod wait;

#[cfg(feature = "freestanding")]
mod freestanding;
mod pointer;
mod registry;
mod resolvers;
mod scheduling;

pub use address::*;
pub use addresses::*;
pub use args::*;
pub use channels::*;
pub use datagrams::*;
pub use dhcp::*;
pub use error::*;
pub use fast_open::*;
pub use fibers::*;
pub use info::*;
pub use interfaces::*;
pub use ipv6::*;
pub use log::*;
pub use resolvers::*;
pub use routes::*;
pub use settings::*;
pub use stack::*;
pub use tcp::*;
pub use tcp_info::*;
pub use types::*;
pub use udp::*;
pub use wait::*;
