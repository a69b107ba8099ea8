//! The states of a connection and its control block (RFC 9293 §3.3.1, §3.3.2).

use super::autotune::Reading;
use super::congestion::{Congestion, CongestionControl};
use super::ecn::EcnAgreed;
use super::frto::{Doubt, Frto};
use super::params::{CHALLENGE_ACKS_PER_SECOND, PAWS_IDLE_SECONDS, QUICK_ACKS};
use super::pmtu::Path;
use super::prr::Prr;
use super::rack::Rack;
use super::reassembly::QueueId;
use super::rtt::RttEstimator;
use super::send_queue::SendQueue;
use super::seq::SeqNum;
use super::settings::{Profile, ProfileId};
use super::shared::Shared;
use super::tick::Tick;
use crate::context::Context;
use crate::demux::FourTuple;
use crate::log::End;
use crate::pool::FrameQueue;
use crate::socket::Readiness;
use crate::time::Instant;
use crate::wire::tcp::ALIGNED_TIMESTAMPS_LEN;
use bitflags::bitflags;
use core::fmt;

/// The states of RFC 9293 §3.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// No connection, or one that has ended.
    Closed,
    /// Waiting for a connection request.
    Listen,
    /// A SYN was sent.
    SynSent,
    /// A SYN was received and sent, its acknowledgement is missing.
    SynReceived,
    /// Open in both directions.
    Established,
    /// This side has closed; its FIN is not acknowledged yet.
    FinWait1,
    /// This side has closed and the peer knows; the peer's FIN is missing.
    FinWait2,
    /// The peer has closed, this side has not.
    CloseWait,
    /// Both sides have closed at the same time; the acknowledgement of our FIN is missing.
    Closing,
    /// The peer has closed, then this side; the acknowledgement of our FIN is missing.
    LastAck,
    /// Both sides have closed; old segments may still arrive.
    TimeWait,
}

impl State {
    /// The state as the RFC writes it, for example `FIN-WAIT-1`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a connection ended other than by both sides closing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    Reset,
    Refused,
    TimedOut,
    Unreachable,
    /// The local address is not ours any more.
    AddressGone,
}

bitflags! {
    /// What is true of a connection, and what it has asked for.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct TcbFlags: u64 {
        /// Nagle's algorithm is off.
        const NODELAY = 1 << 0;
        /// Both sides sent timestamps in their SYN.
        const TIMESTAMPS = 1 << 1;
        /// This side has closed: a FIN follows the queued data.
        const FIN_QUEUED = 1 << 2;
        /// The peer's FIN was received in order: no data follows.
        const FIN_RECEIVED = 1 << 3;
        /// A FIN has arrived, but not all data in front of it; `rcv_fin` is its number.
        const FIN_AHEAD = 1 << 4;
        /// A SYN (or SYN-ACK) is due.
        const SEND_SYN = 1 << 5;
        /// An acknowledgement is due with the next batch.
        const ACK_NOW = 1 << 6;
        /// The next segment to be sent again goes whatever the congestion window says.
        const RETRANSMIT = 1 << 7;
        /// A zero-window probe is due.
        const PROBE = 1 << 8;
        /// `rtx_at` is the persist timer's.
        const PERSIST = 1 << 9;
        /// A segment is being timed.
        const TIMING = 1 << 10;
        /// In fast recovery.
        const RECOVERY = 1 << 11;
        /// The first partial acknowledgement of this recovery has arrived.
        const PARTIAL_ACKED = 1 << 12;
        /// Output stopped at the congestion window.
        const CWND_LIMITED = 1 << 13;
        /// The SYN or SYN-ACK was sent more than once.
        const SYN_LOST = 1 << 14;
        /// The user has closed the handle: TCP finishes alone.
        const ORPHAN = 1 << 15;
        /// It waits in a listener's queue for the user.
        const UNACCEPTED = 1 << 16;
        /// A write was refused, wholly or in part: say when there is room.
        const SEND_BLOCKED = 1 << 17;
        /// It was the stack's memory that refused it, not the connection's own limit.
        const STARVED = 1 << 18;
        /// The demultiplexer knows it.
        const IN_DEMUX = 1 << 19;
        /// Request to the owner: there may be something to send.
        const OUTPUT = 1 << 20;
        /// Request to the owner: readiness has grown.
        const EVENT = 1 << 21;
        /// The network says that the peer cannot be reached: the reason to give if it times out.
        const UNREACHABLE = 1 << 22;
        /// Both sides sent SACK-permitted in their SYN (RFC 2018 §2).
        const SACK = 1 << 23;
        /// What a timeout has lost is being repaired.
        const LOSS_RECOVERY = 1 << 24;
        /// A FIN is taken for lost.
        const FIN_LOST = 1 << 25;
        /// `doubt` is about the last reduction.
        const DOUBT = 1 << 26;
        /// `loss_at` is the probe timer's, not the reordering timer's (RFC 8985).
        const TLP_TIMER = 1 << 27;
        /// A loss probe is due.
        const TLP_DUE = 1 << 28;
        /// A loss probe was sent; `tlp_end` is not acknowledged yet.
        const TLP_SENT = 1 << 29;
        /// That probe was no new data.
        const TLP_RETRANSMITTED = 1 << 30;
        /// Segments that are not full are held back.
        const CORK = 1 << 31;
        /// One is; `idle_at` says for how long.
        const CORK_WAIT = 1 << 32;
        /// What is queued goes, full segment or not.
        const PUSH = 1 << 33;
        /// Probes are sent when nothing arrives.
        const KEEPALIVE = 1 << 34;
        /// Such a probe is due.
        const KEEPALIVE_DUE = 1 << 35;
        /// There is a limit of its own to how long it waits for an answer.
        const USER_TIMEOUT = 1 << 36;
        /// A timeout had no cause: the next measurement seeds the estimator anew (RFC 4015 §3.2).
        const SPURIOUS_TIMEOUT = 1 << 37;
        /// ECN was agreed on: marks are echoed (RFC 3168).
        const ECN = 1 << 40;
        /// New data goes in packets that are ECN-capable.
        const ECT = 1 << 41;
        /// A mark was received: ECE in every segment until CWR comes.
        const ECN_ECHO = 1 << 42;
        /// The next new data carries CWR.
        const CWR_DUE = 1 << 43;
        /// The flight shrinks to ssthresh because of a mark, up to `cwr_end`.
        const CWR = 1 << 44;
        /// Marks of what was sent before `cwr_end` ask for no further reduction.
        const ECN_HOLD = 1 << 45;
        /// Output is spread over the round-trip time.
        const PACING = 1 << 46;
        /// Accurate ECN was agreed on: every segment counts marks (RFC 9768).
        const ACCECN = 1 << 51;
        /// The next pure ACK tells the ECN field of the SYN-ACK.
        const ACE_ECHO = 1 << 52;
        /// The peer's next segment may tell the ECN field of our SYN-ACK.
        const ACE_FIRST = 1 << 53;
        /// The segment that is being timed is a full one.
        const FULL_TIMED = 1 << 47;
        /// A full segment has arrived.
        const FULL_ARRIVED = 1 << 48;
        /// A segment of larger size is on its way, to see whether it arrives.
        const MTU_PROBE = 1 << 49;
        /// Such a one is due.
        const MTU_PROBE_DUE = 1 << 54;
        /// It was lost and is being sent again in pieces.
        const MTU_PROBE_LOST = 1 << 55;
        /// A listener has brought it.
        const PASSIVE = 1 << 50;
        /// Until the handshake is complete: it uses Fast Open (RFC 7413).
        const FAST_OPEN = 1 << 58;
        /// This side has closed; its FIN waits until the handshake is complete.
        const FIN_HELD = 1 << 59;
        /// The peer's Fast Open cookie is old: its SYN-ACK brings a new one.
        const NEW_COOKIE = 1 << 60;
    }
}

/// The limit of challenge ACKs (RFC 5961 §7), per connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChallengeLimit {
    second: u32,
    left: u8,
}

impl TcbFlags {
    /// A probe of any kind is due, or another segment that goes before data.
    pub(super) const ANY_PROBE: Self = Self::PROBE
        .union(Self::TLP_DUE)
        .union(Self::KEEPALIVE_DUE)
        .union(Self::MTU_PROBE_DUE)
        .union(Self::ACE_ECHO);
}

impl ChallengeLimit {
    /// Whether one more may be sent.
    pub(super) fn allow(&mut self, cx: &mut Context<'_>) -> bool {
        // Not 0, so that the first second of all counts too.
        let second = seconds(cx.now).wrapping_add(1);
        if self.second != second {
            let more = cx.rng.u32() % (u32::from(CHALLENGE_ACKS_PER_SECOND) + 1);
            let left = CHALLENGE_ACKS_PER_SECOND + u8::try_from(more).unwrap_or(0);
            *self = Self { second, left };
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

/// Whole seconds of an instant.
#[allow(
    clippy::cast_possible_truncation,
    reason = "136 years of seconds; only differences count"
)]
pub(super) fn seconds(now: Instant) -> u32 {
    (now.as_nanos() / 1_000_000_000) as u32
}

/// The peer's timestamps (RFC 7323 §4.3, §5).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timestamps {
    /// TS.Recent: the latest timestamp of the peer, to be echoed.
    pub(super) recent: u32,
    /// When it was taken, in seconds.
    pub(super) recent_at: u32,
    /// Added to our clock.
    pub(super) offset: u32,
}

impl Timestamps {
    /// PAWS (RFC 7323 §5.3 R1): whether a segment with this timestamp is old.
    pub(super) fn is_old(&self, value: u32, now: Instant) -> bool {
        SeqNum::new(value).before(SeqNum::new(self.recent))
            && seconds(now).wrapping_sub(self.recent_at) < PAWS_IDLE_SECONDS
    }
}

/// What the handshake has agreed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Agreed {
    pub(super) iss: SeqNum,
    pub(super) irs: SeqNum,
    /// The window that our SYN-ACK announced, in bytes.
    pub(super) rcv_wnd: u32,
    /// Payload of a full-sized segment to the peer.
    pub(super) smss: u16,
    pub(super) mtu: u16,
    pub(super) snd_scale: u8,
    pub(super) rcv_scale: u8,
    pub(super) timestamps: Option<Timestamps>,
    pub(super) sack: bool,
    pub(super) ecn: EcnAgreed,
    pub(super) syn_was_lost: bool,
}

/// The transmission control block: all that is known about one connection.
#[derive(Debug)]
pub(super) struct Tcb {
    pub(super) key: FourTuple,
    pub(super) state: State,
    pub(super) failure: Option<Failure>,
    pub(super) flags: TcbFlags,
    pub(super) profile: ProfileId,

    // Send sequence variables. SYN and FIN have numbers too; FIN's is `send.end`.
    pub(super) iss: SeqNum,
    pub(super) snd_una: SeqNum,
    /// The next number to send for the first time.
    pub(super) snd_nxt: SeqNum,
    /// Behind the last number that was ever sent: beyond `snd_nxt` by what probed a closed window.
    pub(super) snd_max: SeqNum,
    /// RFC 9293 §3.1 (REC-1: 32 bits).
    pub(super) snd_wnd: u32,
    pub(super) snd_wl1: SeqNum,
    pub(super) snd_wl2: SeqNum,
    /// The largest window that the peer has announced.
    pub(super) max_snd_wnd: u32,
    /// Behind the last segment that was sent less than full (Minshall's change to Nagle).
    pub(super) snd_sml: SeqNum,
    pub(super) send: SendQueue,
    pub(super) path: Path,
    pub(super) smss: u16,
    pub(super) mtu: u16,
    pub(super) snd_scale: u8,
    /// How often `snd_una` and `rcv_nxt` have come past their initial numbers again.
    pub(super) snd_wraps: u16,
    pub(super) rcv_wraps: u16,
    /// Segments that were sent again.
    pub(super) retransmits: u32,

    // Receive sequence variables.
    pub(super) rcv_scale: u8,
    pub(super) irs: SeqNum,
    pub(super) rcv_nxt: SeqNum,
    /// The right edge of the window that we announced: RCV.NXT + RCV.WND. It never moves back.
    pub(super) rcv_adv: SeqNum,
    /// The part of the announced window that is counted in the stack's budget.
    pub(super) promised: u32,
    /// Last.ACK.sent of RFC 7323 §4.3.
    pub(super) last_ack_sent: SeqNum,
    /// Where a FIN that came early stands.
    pub(super) rcv_fin: SeqNum,
    /// Data in order that the user has not read, in the frames in which it came.
    pub(super) received: FrameQueue,
    /// Bytes in `received`.
    pub(super) unread: u32,
    pub(super) reading: Reading,
    /// Data behind holes.
    pub(super) out_of_order: QueueId,
    /// What has arrived twice and is to be reported; none if empty.
    pub(super) duplicate: (SeqNum, SeqNum),
    pub(super) timestamps: Timestamps,
    pub(super) quick_acks: u8,
    /// Duplicate acknowledgements due, one for each segment out of order (RFC 5681 §3.2).
    pub(super) dup_acks_due: u8,

    // Loss and congestion.
    pub(super) dup_acks: u8,
    pub(super) retries: u8,
    /// Unanswered probes of an idle connection, and when the first one was sent.
    pub(super) keepalives: u8,
    pub(super) probed_since: Tick,
    pub(super) rtt: RttEstimator,
    pub(super) congestion: Congestion,
    /// RFC 6582: behind what was sent when the last loss was detected, or, with SACK, repaired.
    pub(super) recover: SeqNum,
    /// How much may be in flight during fast recovery.
    pub(super) recovery_window: u32,
    /// Behind what was sent when the window was last reduced, if the connection uses ECN.
    pub(super) cwr_end: SeqNum,
    /// The place of its counters, if it uses Accurate ECN.
    pub(super) accecn: u32,
    pub(super) prr: Prr,
    pub(super) rack: Rack,
    /// TLP.end_seq of RFC 8985 §7.3.
    pub(super) tlp_end: SeqNum,
    pub(super) frto: Frto,
    pub(super) doubt: Doubt,
    pub(super) timed_seq: SeqNum,
    /// When that was, in microseconds.
    pub(super) timed_at: u32,
    pub(super) last_sent: Tick,
    /// When the next segment is due, and until when output waits for it (`pacing`).
    pub(super) pace_at: u32,
    pub(super) pace_wait: Tick,

    // Deadlines; never when not running.
    /// Retransmission or persist timer.
    pub(super) rtx_at: Tick,
    /// Reordering or loss probe.
    pub(super) loss_at: Tick,
    /// Delayed acknowledgement.
    pub(super) ack_at: Tick,
    /// FIN-WAIT-2 of an orphan; the end of a cork; probes of an idle connection.
    pub(super) idle_at: Tick,
    /// Since when the peer has not acknowledged what was sent.
    pub(super) stalled_since: Tick,

    pub(super) challenge: ChallengeLimit,
    /// When the peer took something last, or there was something to take again.
    pub(super) progress_at: Tick,
    /// The listener that has brought it, and the next one in its queue.
    pub(super) listener: u32,
    pub(super) next_unaccepted: u32,
}

impl Tcb {
    /// A connection whose handshake is as far as `agreed` says; the caller sets state and timers.
    pub(super) fn new(
        key: FourTuple,
        agreed: &Agreed,
        profile: ProfileId,
        settings: &Profile,
    ) -> Self {
        let mut flags = TcbFlags::IN_DEMUX | settings.flags();
        flags.set(TcbFlags::TIMESTAMPS, agreed.timestamps.is_some());
        flags.set(TcbFlags::SACK, agreed.sack);
        flags |= agreed.ecn.tcb_flags();
        let rcv_nxt = agreed.irs + 1;
        let snd_una = agreed.iss + 1;
        Self {
            key,
            state: State::SynReceived,
            failure: None,
            flags,
            profile,
            iss: agreed.iss,
            snd_una,
            snd_nxt: snd_una,
            snd_max: snd_una,
            snd_wnd: 0,
            snd_wl1: agreed.irs,
            snd_wl2: agreed.iss,
            max_snd_wnd: 0,
            snd_sml: snd_una,
            send: SendQueue::new(snd_una),
            smss: agreed.smss,
            path: Path::new(agreed.smss, snd_una),
            mtu: agreed.mtu,
            snd_scale: agreed.snd_scale,
            snd_wraps: 0,
            rcv_wraps: 0,
            retransmits: 0,
            rcv_scale: agreed.rcv_scale,
            irs: agreed.irs,
            rcv_nxt,
            rcv_adv: rcv_nxt + agreed.rcv_wnd,
            promised: 0,
            last_ack_sent: rcv_nxt,
            rcv_fin: agreed.irs,
            received: FrameQueue::default(),
            unread: 0,
            reading: Reading::new(rcv_nxt),
            out_of_order: QueueId::NONE,
            duplicate: (rcv_nxt, rcv_nxt),
            timestamps: agreed.timestamps.unwrap_or_default(),
            quick_acks: QUICK_ACKS,
            dup_acks_due: 0,
            dup_acks: 0,
            retries: 0,
            keepalives: 0,
            probed_since: Tick::NEVER,
            rtt: RttEstimator::new(),
            congestion: Congestion::new(
                settings.congestion,
                u32::from(agreed.smss),
                agreed.syn_was_lost,
            ),
            recover: snd_una,
            recovery_window: 0,
            cwr_end: snd_una,
            accecn: u32::MAX,
            prr: Prr::default(),
            rack: Rack::new(snd_una),
            tlp_end: snd_una,
            frto: Frto::Off,
            doubt: Doubt::new(snd_una),
            timed_seq: snd_una,
            timed_at: 0,
            last_sent: Tick::NEVER,
            pace_at: 0,
            pace_wait: Tick::NEVER,
            rtx_at: Tick::NEVER,
            loss_at: Tick::NEVER,
            ack_at: Tick::NEVER,
            idle_at: Tick::NEVER,
            stalled_since: Tick::NEVER,
            challenge: ChallengeLimit::default(),
            progress_at: Tick::NEVER,
            listener: u32::MAX,
            next_unaccepted: u32::MAX,
        }
    }

    /// RCV.WND: what the peer may send.
    pub(super) fn rcv_wnd(&self) -> u32 {
        self.rcv_adv.since(self.rcv_nxt)
    }

    /// FlightSize of RFC 5681: sent and not acknowledged.
    pub(super) fn flight(&self) -> u32 {
        self.snd_max.since(self.snd_una)
    }

    /// Bytes that the options of every segment take.
    pub(super) fn option_bytes(&self) -> u16 {
        let timestamps = self.flags.contains(TcbFlags::TIMESTAMPS);
        u16::try_from(if timestamps {
            ALIGNED_TIMESTAMPS_LEN
        } else {
            0
        })
        .unwrap_or(0)
    }

    /// SMSS in the width of windows.
    pub(super) fn smss(&self) -> u32 {
        u32::from(self.smss)
    }

    /// cwnd: recovery's own during fast recovery and after a mark, the controller's otherwise.
    pub(super) fn cwnd(&self) -> u32 {
        if self.flags.intersects(TcbFlags::RECOVERY | TcbFlags::CWR) {
            self.recovery_window
        } else {
            self.congestion.window()
        }
    }

    /// Whether our FIN was sent and acknowledged.
    pub(super) fn fin_acknowledged(&self) -> bool {
        self.flags.contains(TcbFlags::FIN_QUEUED) && self.snd_una.after(self.send.end)
    }

    /// Brings the budget's account of what this connection has promised up to date.
    pub(super) fn settle_promise(&mut self, shared: &mut Shared) {
        let promise = if self.flags.contains(TcbFlags::IN_DEMUX) {
            self.rcv_wnd()
        } else {
            0
        };
        let others = shared
            .budget
            .promised
            .saturating_sub(u64::from(self.promised));
        shared.budget.promised = others + u64::from(promise);
        self.promised = promise;
    }

    /// The earliest deadline.
    pub(super) fn deadline(&self, shared: &Shared) -> Tick {
        let earliest = self
            .rtx_at
            .earlier(self.loss_at)
            .earlier(self.ack_at)
            .earlier(self.idle_at)
            .earlier(self.pace_wait);
        if self.flags.contains(TcbFlags::USER_TIMEOUT) {
            earliest.earlier(self.gives_up_at(shared))
        } else {
            earliest
        }
    }

    pub(super) fn stop_timers(&mut self) {
        self.rtx_at = Tick::NEVER;
        self.loss_at = Tick::NEVER;
        self.ack_at = Tick::NEVER;
        self.idle_at = Tick::NEVER;
        self.pace_wait = Tick::NEVER;
        self.stalled_since = Tick::NEVER;
        self.flags.remove(TcbFlags::PERSIST | TcbFlags::TIMING);
    }

    /// Ends the connection with an error for the user. The owner releases the rest.
    pub(super) fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.state = State::Closed;
        self.flags |= TcbFlags::EVENT;
    }

    /// How a connection has ended that is closed or in TIME-WAIT.
    pub(super) fn end(&self) -> End {
        let finished = self.state == State::TimeWait
            || self.flags.contains(TcbFlags::FIN_RECEIVED) && self.snd_una == self.snd_max;
        match self.failure {
            Some(Failure::Reset) => End::Reset,
            Some(Failure::Refused) => End::Refused,
            Some(Failure::TimedOut) => End::TimedOut,
            Some(Failure::Unreachable) => End::Unreachable,
            Some(Failure::AddressGone) => End::AddressGone,
            None if finished => End::Closed,
            None => End::Aborted,
        }
    }

    /// Whether it may send data before the handshake is complete (RFC 7413 §4.2.2).
    pub(super) fn answers_early(&self) -> bool {
        let early = TcbFlags::PASSIVE | TcbFlags::FAST_OPEN;
        self.state == State::SynReceived && self.flags.contains(early)
    }

    /// Whether the user may add to the send queue, leaving memory aside.
    pub(super) fn can_send(&self) -> bool {
        let open = matches!(self.state, State::Established | State::CloseWait);
        let ended = TcbFlags::FIN_QUEUED | TcbFlags::FIN_HELD;
        (open || self.answers_early()) && !self.flags.intersects(ended)
    }

    /// What the user can do without waiting.
    pub(super) fn readiness(&self, shared: &Shared) -> Readiness {
        let mut readiness = Readiness::empty();
        let ended = self.state == State::Closed;
        let no_more_data = self.flags.contains(TcbFlags::FIN_RECEIVED) || ended;
        readiness.set(Readiness::READABLE, self.unread > 0 || no_more_data);
        let ended_by_us = TcbFlags::FIN_QUEUED | TcbFlags::FIN_HELD;
        let shut_down = self.flags.intersects(ended_by_us);
        let room = self.can_send() && self.send_room(shared) > 0;
        readiness.set(Readiness::WRITABLE, room || shut_down || ended);
        readiness.set(Readiness::ERROR, self.failure.is_some());
        readiness.set(Readiness::CLOSED, ended || self.state == State::TimeWait);
        readiness
    }

    /// Bytes that the send queue takes now: the connection's limit and its share of the pool.
    pub(super) fn send_room(&self, shared: &Shared) -> u32 {
        let queued = self.send.bytes(self.snd_una);
        let room = self.send_limit(shared).saturating_sub(queued);
        if shared.budget.may_queue_to_send(self.send.frames.len()) {
            room
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;
    use crate::pool::FramePool;
    use crate::rng::Rng;

    #[test]
    fn states_display_as_in_the_rfc() {
        assert_eq!(
            std::format!("{} {:>9}", State::FinWait1, State::Closed),
            "FIN-WAIT-1    CLOSED"
        );
    }

    #[test]
    fn challenge_acks_are_limited_per_second() {
        let mut limit = ChallengeLimit::default();
        let (mut pool, mut rng) = (FramePool::new(0, 64), Rng::new([1; 32]));
        let mut counters = Counters::default();
        let mut in_second = |second: u64| {
            let now = Instant::from_millis(second * 1_000);
            let mut cx = Context {
                now,
                pool: &mut pool,
                rng: &mut rng,
                counters: &mut counters,
            };
            u8::try_from((0..100).filter(|_| limit.allow(&mut cx)).count()).unwrap()
        };
        let counts: std::vec::Vec<u8> = (0..50).map(&mut in_second).collect();
        let range = CHALLENGE_ACKS_PER_SECOND..=2 * CHALLENGE_ACKS_PER_SECOND;
        assert!(
            counts.iter().all(|count| range.contains(count)),
            "{counts:?}"
        );
        assert!(counts.iter().any(|count| *count != counts[0]), "by chance");
        assert_eq!(in_second(49), 0);
    }

    #[test]
    fn old_timestamps_wrap_and_expire() {
        let recent = Timestamps {
            recent: 5,
            recent_at: 0,
            offset: 0,
        };
        let now = Instant::from_millis(1_000);
        assert!(recent.is_old(4, now) && recent.is_old(u32::MAX, now));
        assert!(!recent.is_old(5, now) && !recent.is_old(6, now));
        let later = Instant::from_millis(u64::from(PAWS_IDLE_SECONDS) * 1_000);
        assert!(!recent.is_old(4, later));
    }

    /// The tables are sized by this (`Limits` counts 768 bytes per connection with its share of
    /// the demultiplexer, the wheel and the lists).
    #[test]
    fn a_control_block_stays_small() {
        assert!(size_of::<Tcb>() <= 536, "{}", size_of::<Tcb>());
    }
}
