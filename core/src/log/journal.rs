//! What leaves no trace in the stack's state, for an observer: a ring of fixed size.

use super::{End, Level};
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

impl Change {
    pub(super) fn level(&self) -> Level {
        match self {
            Self::Opened { .. } | Self::Neighbour { .. } => Level::Debug,
            Self::Ended { how, .. } => match how {
                End::Closed | End::Aborted => Level::Debug,
                End::Reset | End::Refused | End::TimedOut | End::Unreachable | End::AddressGone => {
                    Level::Info
                }
            },
            Self::Conflict { .. } => Level::Warn,
        }
    }
}

/// How many events could not be told, by their level: who would not have heard of them need not
/// hear of that.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Missed([u64; Level::ALL.len()]);

impl Missed {
    pub(super) fn add(&mut self, level: Level) {
        // The levels are numbered from 1.
        self.0[level as usize - 1] += 1;
    }

    /// Those that matter as much as `least`: the level of the most important ones, and how many.
    pub(super) fn down_to(&self, least: Level) -> Option<(Level, u64)> {
        let events = self.0.iter().take(least as usize).sum();
        let mut levels = Level::ALL.into_iter().zip(&self.0);
        let (level, _) = levels.find(|(_, events)| **events > 0)?;
        (events > 0).then_some((level, events))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|events| *events == 0)
    }
}

#[derive(Debug)]
struct Ring {
    changes: VecDeque<(Instant, Change)>,
    missed: Missed,
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
                missed: Missed::default(),
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
            Some(ring) => ring.missed.add(change.level()),
            None => {}
        }
    }

    /// Takes the oldest change.
    pub(crate) fn take(&mut self) -> Option<(Instant, Change)> {
        self.0.as_mut()?.changes.pop_front()
    }

    /// How many changes were too many since this was asked last.
    pub(crate) fn take_missed(&mut self) -> Missed {
        self.0
            .as_mut()
            .map(|ring| core::mem::take(&mut ring.missed))
            .unwrap_or_default()
    }

    /// Whether there is a change to take.
    pub(crate) fn has_changes(&self) -> bool {
        self.0.as_ref().is_some_and(|ring| !ring.changes.is_empty())
    }

    /// Whether changes were too many.
    pub(crate) fn has_missed(&self) -> bool {
        self.0.as_ref().is_some_and(|ring| !ring.missed.is_empty())
    }
}
