//! The C ABI: any sequence of calls with any arguments, on stacks that talk to each other.
//!
//! Three stacks on one cable, two of them driven by calls, one with a device and calls that wait. The
//! input decides which calls come, on what, with which memory. What must hold:
//!
//! - a call returns what its comment in the header allows ([`contract`]);
//! - after an error its outputs are as before, and never is anything written beside them ([`memory`]);
//! - a handle that was closed, invented or changed is refused; none is ever given out twice;
//! - a stack that is inside a call, or a callback, refuses others ([`net`]);
//! - when all sockets are closed no connection, datagram or frame is left, and a stack that is closed
//!   gives its arena back.
//!
//! What an input may not do is what the header forbids and nobody can check: pointers that lead nowhere,
//! and to wait without a limit for what never comes.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header, with memory that a call may use, or with \
              what it must refuse"
)]

mod channels;
pub(crate) mod contract;
mod datagrams;
mod host;
mod memory;
mod net;
mod network;
mod streams;
mod world;

use std::sync::{Mutex, PoisonError};

use memory::Input;
use world::World;

/// Calls a function of the header and checks what it returns.
macro_rules! call {
    ($function:ident($($argument:expr),* $(,)?)) => {{
        #[allow(unused_unsafe, reason = "a few are safe to call")]
        let result = i64::from(unsafe { mnet_ffi::$function($($argument),*) });
        $crate::c_abi::contract::check(stringify!($function), result);
        result
    }};
}
pub(crate) use call;

/// Most operations of an input.
const MAX_OPERATIONS: usize = 200;

/// The library has one table of stacks for the process.
pub(crate) static TURN: Mutex<()> = Mutex::new(());

/// A byte for the world, then operations: a byte says which, those after it are its arguments.
pub fn c_abi(data: &[u8]) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut input = Input(data);
    let mut world = World::new(input.byte());
    for _ in 0..MAX_OPERATIONS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input);
    }
    world.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A committed input reaches what it is named after, or it is of no use.
    #[test]
    fn seeds_reach_connected_states() {
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = |input: &[u8]| {
            let mut input = Input(input);
            let mut world = World::new(input.byte());
            while !input.is_empty() {
                world.step(&mut input);
            }
            let reached = world.reached;
            world.finish();
            reached
        };
        let streams = reached(include_bytes!("../../../corpus/c_abi/streams"));
        assert!(streams.accepted > 0 && streams.read > 0, "{streams:?}");
        let waiting = reached(include_bytes!("../../../corpus/c_abi/waiting"));
        assert!(waiting.waited > 0 && waiting.refused > 0, "{waiting:?}");
        let datagrams = reached(include_bytes!("../../../corpus/c_abi/datagrams"));
        assert!(datagrams.datagrams > 0, "{datagrams:?}");
        let leases = reached(include_bytes!("../../../corpus/c_abi/leases"));
        assert!(leases.leases > 0, "{leases:?}");
    }
}
