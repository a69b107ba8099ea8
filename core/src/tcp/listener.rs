//! Listeners: where connections wait for the user.
//!
//! The backlog bounds both kinds that wait, half-open and complete. A SYN that comes when the
//! backlog is full is ignored and counted: the peer tries again.

use super::settings::ProfileId;
use crate::demux::FourTuple;

/// A listener. Complete connections form a list through `Tcb::next_unaccepted`.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) key: FourTuple,
    pub(super) backlog: usize,
    /// The settings of its connections.
    pub(super) profile: ProfileId,
    pub(super) half_open: usize,
    pub(super) complete: usize,
    pub(super) first: u32,
    pub(super) last: u32,
}

/// "None" in a listener's list.
pub(super) const NONE: u32 = u32::MAX;

impl Listener {
    pub(super) fn new(key: FourTuple, backlog: usize) -> Self {
        Self {
            key,
            backlog,
            profile: ProfileId::DEFAULT,
            half_open: 0,
            complete: 0,
            first: NONE,
            last: NONE,
        }
    }

    /// Whether one more connection may wait.
    pub(super) fn has_room(&self) -> bool {
        self.half_open + self.complete < self.backlog
    }
}
