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
//!   form that waits and one that does not (`read`, `try_read`). Those for tasks are in [`aio`].
//! - [`cli`] reads the command line of a unikernel: options of the program, and those of its network.
//!
//! # Four ways to wait
//!
//! - **Tasks** ([`tasks`], [`aio`]): `stream.read(..).await` lets other tasks run meanwhile. One
//!   task for each client is how most services are written, and HTTP, MQTT and other crates for
//!   the traits of `embedded-io-async`, `embedded-nal-async` and `edge-nal` run on these sockets.
//!   [`Net::block_on`] and [`Net::run`] are the loop.
//! - **Blocking**: `stream.read(..)` turns the event loop until there is something to read. The
//!   shortest for a program that does one thing after the other. Inside a task it stops all tasks.
//! - **Readiness**: [`Net::poll`] (level: "which of these can do something?") and
//!   [`Net::next_event`] (edge: "whose readiness grew?", at a cost that does not depend on the
//!   number of sockets). For state machines of your own. Tasks take these events themselves: a
//!   runtime has either tasks or a caller of [`Net::next_event`].
//! - **Driven from outside**: [`Net::step`], and [`Net::step_tasks`] with tasks, do what is due,
//!   never sleep, and say when they want to be called again. For the owner of another event loop,
//!   and for tests in virtual time.
//!
//! # Features
//!
//! | Feature | Default | What it adds |
//! |---|---|---|
//! | `async` | yes | [`tasks`] and [`aio`] |
//! | `embedded-io` | yes | the traits of `embedded-io` for blocking streams, of `embedded-io-async` for those of tasks |
//! | `embedded-nal-async` | | `TcpConnect` and `UdpStack` for [`Net`] |
//! | `edge-nal` | | `TcpBind`, `TcpConnect`, `UdpBind`, `UdpConnect` for [`Net`], and what they give |
//! | `log` | | `Runtime::log_to_crate`: the log of the stack for the crate `log`; without it [`Runtime::set_log`] hands it to a function |
//! | `solo5` | | the platform of a unikernel |
//! | `image` | | the three below: what a unikernel in Rust needs besides |
//! | `rt` | | `#[mnet::main]`, `mnet::manifest!`, `memcpy` and its family |
//! | `panic-handler` | | a panic handler; without it the program has its own |
//! | `allocator` | | a global allocator; likewise |
//! | `tap` | | the platform of a Linux process with a TAP device; needs `std` |
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

#[cfg(feature = "async")]
pub mod aio;
pub mod entropy;
mod error;
pub mod log;
mod net;
mod platform;
mod runtime;
#[cfg(feature = "solo5")]
pub mod solo5;
#[cfg(feature = "tap")]
pub mod tap;
#[cfg(feature = "async")]
pub mod tasks;

#[cfg(feature = "rt")]
#[doc(hidden)]
pub use ::solo5::__rt;
pub use error::{Fault, TcpFailure, UdpFailure};
pub use net::{AnyEvent, ConnectFailure, Net, TcpEntries, TcpListener, TcpStream, UdpSocket};
pub use platform::{Device, NoEntropy, Platform, TransmitError};
pub use runtime::{Interest, LeasePolicy, Runtime, RuntimeCounters, StartError};

#[cfg(feature = "rt")]
pub use ::solo5::manifest;
#[cfg(feature = "rt")]
pub use solo5_macros::mnet_main as main;

pub use mnet_cli::{self as cli, address};
pub use mnet_core;
pub use mnet_core::config::VlanConfig;
pub use mnet_core::config::{
    CongestionAlgorithm, ConnectOptions, EcnMode, Keepalive, ListenOptions, SynCookies, TcpConfig,
};
pub use mnet_core::route::{NextHop, RouteEntry};
pub use mnet_core::tcp::{State, TcpEntry, TcpInfo, TcpSetting, TcpSettings};
pub use mnet_core::{
    Config, Counters, Event, Instant, InterfaceConfig, Readiness, SocketId, Stack,
};
