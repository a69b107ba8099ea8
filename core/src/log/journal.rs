//! What leaves no trace in the stack's state, for an observer: a ring of fixed size.

use super::End;
use crate::demux::FourTuple;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::net::IpAddr;

/// Changes that wait for an observer; newer ones than those are counted only.
const LEN: usize = 64;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Opened {
        key: FourTuple,
        passive: bool,
    },
    Ended {
        key: FourTuple,
        how: End,
    },
    Conflict {
        interface: u8,
        address: IpAddr,
        hardware: [u8; 6],
    },
    Neighbour {
        interface: u8,
        address: IpAddr,
        hardware: [u8; 6],
    },
}

#[derive(Debug)]
struct Ring {
    changes: VecDeque<(Instant, Change)>,
    missed: u64,
}

/// A ring, once somebody wants to know.
#[derive(Debug, Default)]
pub(crate) struct Journal(Option<Box<Ring>>);

impl Journal {
    /// Begins, or ends and forgets.
    pub(crate) fn keep(&mut self, keep: bool) {
        if keep && self.0.is_none() {
            self.0 = Some(Box::new(Ring {
                changes: VecDeque::with_capacity(LEN),
                missed: 0,
            }));
        } else if !keep {
            self.0 = None;
        }
    }

    /// Notes a change, if somebody wants to know.
    #[inline]
    pub(crate) fn note(&mut self, at: Instant, change: impl FnOnce() -> Change) {
        if self.0.is_some() {
            self.push(at, change());
        }
    }

    #[cold]
    #[inline(never)]
    fn push(&mut self, at: Instant, change: Change) {
        match &mut self.0 {
            Some(ring) if ring.changes.len() < LEN => ring.changes.push_back((at, change)),
            Some(ring) => ring.missed += 1,
            None => {}
        }
    }

    /// Takes the oldest change.
    pub(crate) fn take(&mut self) -> Option<(Instant, Change)> {
        self.0.as_mut()?.changes.pop_front()
    }

    /// How many changes were too many since this was asked last.
    pub(crate) fn take_missed(&mut self) -> u64 {
        self.0
            .as_mut()
            .map_or(0, |ring| core::mem::take(&mut ring.missed))
    }

    /// Whether there is something to take.
    pub(crate) fn has_some(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|ring| !ring.changes.is_empty() || ring.missed > 0)
    }
}
