//! mnet: the network stack of a unikernel, running on a device.
//!
//! The protocols live in [`mnet_core`], which knows neither device nor clock. This crate gives it
//! both:
//!
//! - [`Platform`] and [`Device`] say what a place to run must offer: frames, a clock, a way to
//!   sleep, entropy. Two places are here: a Solo5 unikernel (`solo5`, with the feature of that
//!   name) and a Linux process with a TAP device (`tap`).
//! - [`Runtime`] owns a stack and its devices and moves frames between them. It is the whole event
//!   loop; every style of waiting is a loop around [`Runtime::turn`].
//! - [`Net`] is the runtime behind a handle that can be shared, and [`TcpListener`], [`TcpStream`]
//!   and [`UdpSocket`] are the sockets on it: they close when dropped, and each call comes in a
//!   form that waits and one that does not (`read`, `try_read`).
//!
//! # Three ways to wait
//!
//! - **Blocking**: `stream.read(..)` turns the event loop until there is something to read. No
//!   borrow of the runtime outlives one turn, so a scheduler of tasks can later run another task,
//!   with calls of its own, while one waits.
//! - **Readiness**: [`Net::poll`] (level: "which of these can do something?") and
//!   [`Net::next_event`] (edge: "whose readiness grew?", at a cost that does not depend on the
//!   number of sockets).
//! - **Driven from outside**: [`Net::step`] does what is due, never sleeps, and says when it wants
//!   to be called again.
//!
//! # When frames leave
//!
//! Calls that do not wait only queue; what they queued leaves at the next turn of the loop. That
//! lets an acknowledgement travel with the answer instead of alone, and lets several small writes
//! share a segment. Calls that wait send before they return.
#![no_std]

extern crate alloc;
#[cfg(feature = "tap")]
extern crate std;

pub mod entropy;
mod net;
mod platform;
mod runtime;
#[cfg(feature = "solo5")]
pub mod solo5;
#[cfg(feature = "tap")]
pub mod tap;

pub use net::{ConnectFailure, Net, TcpEntries, TcpListener, TcpStream, UdpSocket};
pub use platform::{Device, NoEntropy, Platform, TransmitError};
pub use runtime::{Interest, Runtime, RuntimeCounters, StartError};

pub use mnet_core;
pub use mnet_core::config::{
    CongestionAlgorithm, EcnMode, Keepalive, ListenOptions, SynCookies, TcpConfig,
};
pub use mnet_core::tcp::{State, TcpEntry, TcpInfo, TcpSetting, TcpSettings};
pub use mnet_core::{
    Config, Counters, Event, Instant, InterfaceConfig, Readiness, SocketId, Stack,
};
