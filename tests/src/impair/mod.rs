//! A path that loses, delays, reorders, duplicates, damages, limits and shortens, in user space.
//!
//! What a wide-area network does to packets, between two Ethernet devices of this machine, each
//! direction on its own and repeatable by a seed:
//!
//! - [`Impairment`]: what one direction does, and how to write it (`loss=1%,delay=25ms`);
//! - [`Line`]: the model of one direction; it reads no clock and no device;
//! - [`Forwarder`]: two lines between two devices, in a thread of its own.
//!
//! `mnet-impair` is the same as a program.

mod capture;
mod forwarder;
mod line;
mod packet;
mod settings;

pub use forwarder::{Forwarder, Port, Side};
pub use line::{Line, Stats};
pub use settings::Impairment;
