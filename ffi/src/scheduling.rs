//! Where fibers come in: what a stack that has them does otherwise.
//!
//! The functions of `fibers` are reached through a table that the first `mnet_spawn` or
//! `mnet_channel_open` puts into its stack. No other call names them, so a program without fibers is
//! linked without them, and what it pays is one comparison where a call has to wait.

use core::ffi::c_void;
use core::ptr::NonNull;

use mnet::Instant;

use crate::error::Error;
use crate::registry::Opened;

/// What a call waits for beside time.
///
/// A number that whoever makes it happen names, too: a direction of a socket, or of a channel, or the
/// end of a fiber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) u64);

impl Key {
    /// Nothing: only time passes.
    pub(crate) const NOTHING: Self = Self(0);
    /// Whatever the network brings: looked at after every turn of the loop.
    pub(crate) const NETWORK: Self = Self(u64::MAX);

    /// Whether it is the network that may bring it.
    pub(crate) fn is_of_network(self) -> bool {
        self == Self::NETWORK || (self != Self::NOTHING && self.0 < 1 << 62)
    }

    /// A socket, by its handle: that it can be read, or that it can be written.
    pub(crate) fn socket(fd: i64, writable: bool) -> Self {
        Self::object(fd, writable)
    }

    /// One of two things that happen to what a handle names.
    pub(crate) fn object(handle: i64, second: bool) -> Self {
        Self(handle.cast_unsigned() << 1 | u64::from(second))
    }
}

/// One call's waiting, for all of its attempts.
pub(crate) struct Wait {
    pub(crate) key: Key,
    /// When it gives up.
    pub(crate) until: Instant,
    /// The place among those who wait for the same, once there is one.
    pub(crate) ticket: u64,
}

impl Wait {
    pub(crate) fn new(key: Key, until: Instant) -> Self {
        Self {
            key,
            until,
            ticket: 0,
        }
    }
}

/// The functions of `fibers`. Those with a stack's handle call out and enter the stack themselves.
pub(crate) struct Hooks {
    /// Waits once, then whoever called looks whether it has happened: a fiber lets others run until it
    /// may have, anybody else runs fibers and turns the loop. Whether it is earlier than `until`.
    pub(crate) wait: fn(stack: i64, wait: &mut Wait) -> Result<bool, Error>,
    /// Wakes fibers by the events of their sockets.
    pub(crate) route: fn(&mut Opened),
    /// Wakes all fibers that wait for this.
    pub(crate) wake: fn(&mut Opened, Key),
    /// Runs what is ready, for the owner of another loop that has driven the stack. When it wants to be
    /// called again, or the stack.
    pub(crate) step: fn(stack: i64) -> Result<Option<Instant>, Error>,
    /// How many fibers have not ended.
    pub(crate) living: fn(&Opened) -> usize,
    /// Gives up everything: no fiber lives any more.
    pub(crate) release: fn(&mut Opened),
}

/// The fibers of a stack: their functions, and what those keep.
#[derive(Clone, Copy)]
pub(crate) struct Scheduling {
    pub(crate) hooks: &'static Hooks,
    pub(crate) state: NonNull<c_void>,
}

impl Opened {
    /// Takes note that a socket was closed, or does not make its calls wait any more: who waits for it
    /// has to look.
    pub(crate) fn disturb(&mut self, fd: i64) {
        if let Some(fibers) = self.fibers {
            // Those in mnet_poll() wait for the network: for any of their sockets.
            for key in [Key::socket(fd, false), Key::socket(fd, true), Key::NETWORK] {
                (fibers.hooks.wake)(self, key);
            }
        }
    }

    /// Before events are asked for: those of sockets that fibers wait for are theirs.
    pub(crate) fn route_events(&mut self) {
        if let Some(fibers) = self.fibers {
            (fibers.hooks.route)(self);
        }
    }

    /// How many fibers have not ended.
    pub(crate) fn living_fibers(&self) -> usize {
        self.fibers.map_or(0, |fibers| (fibers.hooks.living)(self))
    }
}
