//! TIME-WAIT: what is remembered of a connection after both sides have closed, so that its late
//! segments harm nobody (RFC 9293 §3.6.1, RFC 1337).
//!
//! All entries stay equally long, so they form a queue; when the table is full the oldest ends
//! early.

use super::isn::timestamp_clock;
use super::list::IndexList;
use super::reply::{DEFAULT_IP_FIELDS, Head, NO_BLOCKS, Reply};
use super::segment::Segment;
use super::seq::SeqNum;
use super::shared::Shared;
use super::slab::Slab;
use super::state::{ChallengeLimit, Tcb, TcbFlags, Timestamps};
use super::tick::Tick;
use crate::context::Context;
use crate::demux::FourTuple;
use crate::time::Instant;
use crate::wire::tcp::Flags;

/// A connection in TIME-WAIT.
/// RFC 9293 §3.6.1 (MUST-13).
#[derive(Debug)]
pub(super) struct TimeWait {
    pub(super) key: FourTuple,
    pub(super) snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    /// The window field of its acknowledgements.
    window: u16,
    timestamps: Option<Timestamps>,
    challenge: ChallengeLimit,
    ends_at: Tick,
    /// The control block, if the user still has a handle to it.
    pub(super) owner: Option<u32>,
}

/// What to do after a segment for TIME-WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing more.
    Stay,
    /// The peer's FIN came again: the time starts over.
    Restart,
    /// A SYN that cannot be an old one: TIME-WAIT ends and a listener may have it.
    NewConnection,
}

impl TimeWait {
    pub(super) fn new(tcb: &Tcb, owner: Option<u32>, ends_at: Tick) -> Self {
        Self {
            key: tcb.key,
            snd_nxt: tcb.snd_max,
            rcv_nxt: tcb.rcv_nxt,
            window: u16::try_from(tcb.rcv_wnd() >> tcb.rcv_scale).unwrap_or(u16::MAX),
            timestamps: tcb
                .flags
                .contains(TcbFlags::TIMESTAMPS)
                .then_some(tcb.timestamps),
            challenge: ChallengeLimit::default(),
            ends_at,
            owner,
        }
    }

    /// Queues the acknowledgement of everything.
    pub(super) fn acknowledge(&self, cx: &mut Context<'_>, shared: &mut Shared) {
        let flags = Flags::ACK;
        let head = Head {
            key: self.key,
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags,
            window: self.window,
            ip: DEFAULT_IP_FIELDS,
        };
        let clock = timestamp_clock(cx.now);
        let timestamps = self
            .timestamps
            .map(|ts| (clock.wrapping_add(ts.offset), ts.recent));
        let reply = Reply {
            sack: NO_BLOCKS,
            head,
            timestamps,
            syn: None,
        };
        shared.replies.push(cx, reply);
    }

    /// A segment arrives (RFC 9293 §3.10.7.4, TIME-WAIT).
    pub(super) fn segment_arrives(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        segment: &Segment,
    ) -> Step {
        if segment.flags.contains(Flags::RST) {
            // RFC 1337 §3, fix F1: a reset does not end TIME-WAIT.
            cx.counters.tcp_time_wait_reset += 1;
            return Step::Stay;
        }
        if segment.flags.intersection(Flags::SYN | Flags::ACK) == Flags::SYN
            && self.is_new(segment, cx.now)
        {
            return Step::NewConnection;
        }
        let end = segment.seq + segment.seq_len();
        let is_fin_again = segment.flags.contains(Flags::FIN) && end == self.rcv_nxt;
        // An acknowledgement without data says nothing new; answering it could start a war.
        if segment.seq_len() == 0 && segment.seq == self.rcv_nxt {
            return Step::Stay;
        }
        cx.counters.tcp_time_wait_segment += 1;
        if self.challenge.allow(cx) {
            self.acknowledge(cx, shared);
        } else {
            cx.counters.tcp_challenge_limited += 1;
        }
        if is_fin_again {
            Step::Restart
        } else {
            Step::Stay
        }
    }

    /// Whether a SYN is from a new connection: by its timestamp, or else by its number
    /// (RFC 6191 §2, RFC 9293 §3.6.1 MAY-2, SHLD-4).
    fn is_new(&self, segment: &Segment, now: Instant) -> bool {
        let later_number = segment.seq.after(self.rcv_nxt);
        match (&self.timestamps, segment.timestamps) {
            (Some(ts), Some((value, _))) => {
                let old = ts.is_old(value, now);
                !old && (value != ts.recent || later_number)
            }
            _ => later_number,
        }
    }
}

/// All connections in TIME-WAIT.
#[derive(Debug)]
pub(super) struct TimeWaitTable {
    pub(super) entries: Slab<TimeWait>,
    /// In the order in which they end.
    queue: IndexList,
}

impl TimeWaitTable {
    pub(super) fn new(entries: usize) -> Self {
        Self {
            entries: Slab::new(entries),
            queue: IndexList::new(entries),
        }
    }

    /// The entry that ends first.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.queue.first()
    }

    /// When the first entry ends.
    pub(super) fn next_end(&self) -> Option<Tick> {
        self.entries
            .get(self.queue.first()?)
            .map(|entry| entry.ends_at)
    }

    /// Adds an entry; the caller has made room.
    pub(super) fn insert(&mut self, entry: TimeWait) -> Option<u32> {
        let index = self.entries.insert(entry)?;
        self.queue.push_back(index);
        Some(index)
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<TimeWait> {
        let entry = self.entries.remove(index)?;
        self.queue.remove(index);
        Some(entry)
    }

    /// Starts an entry's time over.
    pub(super) fn restart(&mut self, index: u32, ends_at: Tick) {
        if let Some(entry) = self.entries.get_mut(index) {
            entry.ends_at = ends_at;
            self.queue.remove(index);
            self.queue.push_back(index);
        }
    }
}
