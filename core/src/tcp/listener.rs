//! Listeners: where connections wait for the user, and how many may wait or live.
//!
//! What happens at each limit:
//!
//! | limit | a SYN | the acknowledgement that ends a handshake |
//! |---|---|---|
//! | the backlog is full of complete connections | ignored | ignored: the peer repeats itself |
//! | the backlog is full, some half-open | a cookie, or ignored without cookies | |
//! | the stack's half-open connections | a cookie, or ignored without cookies | |
//! | the listener's connections | ignored | reset |
//! | the peer's connections | ignored | reset |
//! | the stack's connections | ignored, unless there are orphans | the oldest orphan is reset to make room; without one it is ignored |
//!
//! Each has a counter of its own. None takes memory beyond the tables of the start.

use super::list::Ends;
use super::settings::ProfileId;
use crate::config::ListenOptions;
use crate::demux::FourTuple;

/// A listener. Complete connections form a list through `Tcb::next_unaccepted`.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) key: FourTuple,
    pub(super) backlog: usize,
    /// The settings of its connections.
    pub(super) profile: ProfileId,
    max_connections: usize,
    pub(super) half_open: usize,
    /// Its half-open connections.
    pub(super) half_open_list: Ends,
    pub(super) complete: usize,
    pub(super) first: u32,
    pub(super) last: u32,
    /// Connections that it has brought and that have not ended.
    pub(super) connections: usize,
    /// The period in which it sent a cookie last (`SynCookies::period`).
    pub(super) cookie_sent: Option<u64>,
}

/// "None" in a listener's list, and in references to listeners.
pub(super) const NONE: u32 = u32::MAX;

/// Bits of the index in a [`reference`].
const INDEX_BITS: u32 = 20;

/// A listener's index, with as much of its generation as fits: connections outlive listeners.
pub(super) fn reference(index: u32, generation: u32) -> u32 {
    generation << INDEX_BITS | index
}

/// The index in a reference.
pub(super) fn index_of(reference: u32) -> u32 {
    reference & ((1 << INDEX_BITS) - 1)
}

impl Listener {
    pub(super) fn new(key: FourTuple, options: &ListenOptions) -> Self {
        Self {
            key,
            backlog: options.backlog,
            max_connections: options.max_connections.unwrap_or(usize::MAX),
            profile: ProfileId::DEFAULT,
            half_open: 0,
            half_open_list: Ends::EMPTY,
            complete: 0,
            first: NONE,
            last: NONE,
            connections: 0,
            cookie_sent: None,
        }
    }

    /// Whether one more complete connection may wait.
    pub(super) fn has_room(&self) -> bool {
        self.complete < self.backlog
    }

    /// Whether one more half-open connection may wait.
    pub(super) fn has_room_for_half_open(&self) -> bool {
        self.half_open + self.complete < self.backlog
    }

    /// Whether it may bring one more connection.
    pub(super) fn may_connect(&self) -> bool {
        self.connections < self.max_connections
    }
}
