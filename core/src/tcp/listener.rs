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
//!
//! The peer whose cookie comes back to a full backlog takes its connection for open, and sends on. So once that has
//! happened, and as long as cookies are good, acknowledgements that fit no cookie are ignored, not reset.

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
    /// That in which one came back last and found the backlog full.
    pub(super) cookie_ignored: Option<u64>,
    /// Most connections that have sent data with their SYN and are not established.
    pub(super) fast_open_max: usize,
    /// Those that there are.
    pub(super) fast_open: usize,
    /// Those that were reset lately, as of `fast_open_at`.
    fast_open_reset: usize,
    fast_open_at: u32,
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
            cookie_ignored: None,
            fast_open_max: options.fast_open,
            fast_open: 0,
            fast_open_reset: 0,
            fast_open_at: 0,
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

    /// Whether one more connection may start with data. Those that were reset count on for a second
    /// each: a reset is what the victim of a forged SYN sends, and would hide the attack
    /// (RFC 7413 §5.1).
    pub(super) fn may_fast_open(&mut self, second: u32) -> bool {
        let passed = second.wrapping_sub(self.fast_open_at) as usize;
        self.fast_open_reset = self.fast_open_reset.saturating_sub(passed);
        self.fast_open_at = second;
        self.fast_open + self.fast_open_reset < self.fast_open_max
    }

    /// A connection that has started with data is established, or has ended.
    pub(super) fn fast_open_over(&mut self, reset: bool) {
        self.fast_open = self.fast_open.saturating_sub(1);
        if reset {
            self.fast_open_reset += 1;
        }
    }

    /// Whether it may bring one more connection.
    pub(super) fn may_connect(&self) -> bool {
        self.connections < self.max_connections
    }
}
