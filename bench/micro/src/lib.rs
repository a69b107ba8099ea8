//! Work for a stack in one process, with a peer that is forged: what a stack itself spends on a
//! packet, without a kernel, a clock or a second real stack in the count.
//!
//! [`Subject`] is the stack under measurement, [`Operation`] the work. Valgrind's callgrind counts
//! the instructions of [`Subject::measured_turn`]; what a device would do (moving a frame's bytes
//! to or from the kernel) stands in functions named `device_...`, which it leaves out. Both names
//! are patterns on callgrind's command line, so they must not change by themselves.

mod family;
pub mod mnet;
mod neighbour;
pub mod peer;
pub mod scale;
pub mod styles;
pub mod wire;

mod operation;

pub use family::Family;
pub use operation::{Operation, Work};
use wire::Wire;

/// What the server on the stack does with its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Reads everything, in place where the stack lets it.
    Discard,
    /// In each turn, writes as many full segments of data from a buffer of its own.
    Source {
        /// Segments of [`Family::mss`] bytes.
        segments: usize,
    },
    /// Reads what has come and writes it back; closes when the peer has closed.
    Echo,
}

/// A stack with a server on [`Family::server`], as its application and its event loop drive it.
pub trait Subject {
    /// The stack, listening.
    fn new(service: Service, family: Family) -> Self;

    /// One turn of an event loop at `now` (microseconds): takes in every frame of `incoming`, runs
    /// the timers, lets the service act on what has changed, and sends to `outgoing` until nothing
    /// is due.
    ///
    /// Implementations are `#[inline(never)]`, as are their `device_...` functions.
    fn measured_turn(&mut self, now: u64, incoming: &mut Wire, outgoing: &mut Wire);
}
