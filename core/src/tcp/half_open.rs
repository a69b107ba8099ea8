//! Connections that a SYN has asked for and that wait for the acknowledgement of our SYN-ACK:
//! SYN-RECEIVED after LISTEN, in a few bytes each, since anyone can ask (RFC 4987).

use super::ecn::{self, EcnAgreed};
use super::isn::timestamp_clock;
use super::params::{MAX_WINDOW_SCALE, Params, RTO_AFTER_LOST_SYN};
use super::rack::micros;
use super::reply::{DEFAULT_IP_FIELDS, Head, NO_BLOCKS, Reply};
use super::rtt::RttEstimator;
use super::segment::Segment;
use super::seq::SeqNum;
use super::settings::{Profile, ProfileId};
use super::shared::Shared;
use super::state::{Agreed, ChallengeLimit, State, Tcb, Timestamps, seconds};
use super::tick::Tick;
use crate::context::{Context, Outgoing};
use crate::demux::FourTuple;
use crate::time::Instant;
use crate::wire::tcp::{FastOpenCookie, Flags, TcpOptions};
use bitflags::bitflags;
use core::time::Duration;

bitflags! {
    /// What is true of a half-open connection.
    #[derive(Clone, Copy, Debug)]
    struct Marks: u8 {
        /// The SYN-ACK was sent more than once, for whatever reason.
        const REPEATED = 1 << 0;
        /// The peer wants a Fast Open cookie (RFC 7413 §4.1.1).
        const WANTS_COOKIE = 1 << 1;
    }
}

/// A half-open connection.
#[derive(Debug)]
pub(super) struct HalfOpen {
    pub(super) key: FourTuple,
    /// The listener that it came to.
    pub(super) listener: u32,
    iss: SeqNum,
    irs: SeqNum,
    /// The window that the SYN-ACK announces: not scaled (RFC 7323 §2.2).
    rcv_wnd: u16,
    smss: u16,
    mtu: u16,
    /// Of the peer, and of ours; `None` unless both sides scale.
    scales: Option<(u8, u8)>,
    timestamps: Option<Timestamps>,
    sack: bool,
    ecn: EcnAgreed,
    /// SYN-ACKs sent by the timer.
    retries: u8,
    marks: Marks,
    /// When the SYN-ACK was sent last, in microseconds.
    sent_at: u32,
    pub(super) retransmit_at: Tick,
    challenge: ChallengeLimit,
}

/// What the stack chooses for a connection that a peer asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Initial {
    pub(super) iss: SeqNum,
    pub(super) timestamp_offset: u32,
    pub(super) window: u16,
}

/// What to do with a half-open connection after a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, or an answer that is queued already.
    Stay,
    /// Send the SYN-ACK again.
    SendSynAck,
    /// The peer has gone.
    /// RFC 9293 §3.5 (MUST-11: the listener is as before).
    Forget,
    /// It is a connection now; the segment is the first one for it.
    Open,
}

impl HalfOpen {
    /// Answers a SYN that a listener has accepted (RFC 9293 §3.10.7.2, third step).
    pub(super) fn new(
        key: FourTuple,
        listener: u32,
        segment: &Segment,
        initial: &Initial,
        mtu: u16,
        params: &Params,
        now: Instant,
    ) -> Self {
        let Initial {
            iss,
            timestamp_offset: offset,
            window,
        } = *initial;
        let with_timestamps = segment.timestamps.is_some();
        let ours = params.window_scale;
        Self {
            key,
            listener,
            iss,
            irs: segment.seq,
            rcv_wnd: window,
            smss: super::effective_mss(key.local, segment.mss, mtu, with_timestamps),
            mtu,
            scales: segment
                .window_scale
                .map(|theirs| (theirs.min(MAX_WINDOW_SCALE), ours)),
            timestamps: segment.timestamps.map(|(value, _)| Timestamps {
                recent: value,
                recent_at: seconds(now),
                offset,
            }),
            sack: segment.sack_permitted,
            ecn: ecn::agrees_in_listen(params.ecn, segment),
            retries: 0,
            marks: Marks::empty(),
            sent_at: micros(now),
            retransmit_at: Tick::NEVER,
            challenge: ChallengeLimit::default(),
        }
    }

    /// The SYN-ACK; starts its timer. `None` when the pool is empty: then the timer tries again.
    /// `cookie`: where the peer wants one.
    pub(super) fn syn_ack(
        &mut self,
        cx: &mut Context<'_>,
        settings: &Profile,
        cookie: Option<FastOpenCookie>,
    ) -> Option<Outgoing> {
        let mut rtt = RttEstimator::new();
        (0..self.retries).for_each(|_| rtt.back_off());
        self.retransmit_at = Tick::after(cx.now, rtt.rto());
        self.sent_at = micros(cx.now);
        let (ecn, accecn) = self.ecn.answer(self.retries);
        let flags = Flags::SYN | Flags::ACK | ecn;
        let head = Head {
            key: self.key,
            seq: self.iss,
            ack: self.irs + 1,
            flags,
            window: self.rcv_wnd,
            ip: (settings.time_to_live, settings.traffic_class),
        };
        let clock = timestamp_clock(cx.now);
        let options = TcpOptions {
            mss: Some(super::announced_mss(self.key.local, self.mtu)),
            window_scale: self.scales.map(|(_, ours)| ours),
            sack_permitted: self.sack,
            timestamps: self
                .timestamps
                .map(|ts| (clock.wrapping_add(ts.offset), ts.recent)),
            // There is no room for both.
            accecn: accecn.filter(|_| cookie.is_none()),
            fast_open: cookie,
            ..TcpOptions::default()
        };
        head.segment(&options, cx)
    }

    /// The SYN-ACK is to bring a Fast Open cookie.
    pub(super) fn offer_cookie(&mut self) {
        self.marks |= Marks::WANTS_COOKIE;
    }

    /// Whether the SYN-ACK brings a Fast Open cookie.
    pub(super) fn wants_cookie(&self) -> bool {
        self.marks.contains(Marks::WANTS_COOKIE)
    }

    /// The retransmission timer: whether to send the SYN-ACK again, or to give up.
    pub(super) fn timer(&mut self, params: &Params) -> Step {
        self.retransmit_at = Tick::NEVER;
        if self.retries >= params.syn_ack_retries {
            return Step::Forget;
        }
        self.retries += 1;
        self.marks |= Marks::REPEATED;
        Step::SendSynAck
    }

    /// A segment arrives (RFC 9293 §3.10.7.4, SYN-RECEIVED).
    pub(super) fn segment_arrives(
        &mut self,
        cx: &mut Context<'_>,
        shared: &mut Shared,
        segment: &Segment,
    ) -> Step {
        let rcv_nxt = self.irs + 1;
        // Our SYN-ACK was lost, or is late.
        if segment
            .flags
            .intersection(Flags::SYN | Flags::ACK | Flags::RST)
            == Flags::SYN
            && segment.seq == self.irs
        {
            if !self.challenge.allow(cx) {
                cx.counters.tcp_challenge_limited += 1;
                return Step::Stay;
            }
            if !self.ecn.repeated(shared.params.ecn, segment) {
                cx.counters.tcp_ecn_conflict += 1;
                shared.replies.push(cx, segment.reset(self.key));
                return Step::Forget;
            }
            self.marks |= Marks::REPEATED;
            return Step::SendSynAck;
        }
        let old_timestamp = match (&self.timestamps, segment.timestamps) {
            (Some(ts), Some((value, _))) => ts.is_old(value, cx.now),
            _ => false,
        };
        let offset = segment.seq.get().wrapping_sub(rcv_nxt.get());
        // The same rule as for connections, so that what opens one is also taken by it.
        let len = segment.seq_len();
        let in_window =
            offset < u32::from(self.rcv_wnd) || (len == 0 && offset == u32::from(self.rcv_wnd));
        if segment.flags.contains(Flags::RST) {
            // RFC 5961 §3.2.
            if offset == 0 {
                cx.counters.tcp_resets_received += 1;
                return Step::Forget;
            }
            if in_window {
                self.challenge_ack(cx, shared);
            } else {
                cx.counters.tcp_out_of_window += 1;
            }
            return Step::Stay;
        }
        if !in_window || old_timestamp {
            if old_timestamp {
                cx.counters.tcp_paws += 1;
            } else {
                cx.counters.tcp_out_of_window += 1;
            }
            self.challenge_ack(cx, shared);
            return Step::Stay;
        }
        if self.timestamps.is_some() && segment.timestamps.is_none() {
            // RFC 7323 §3.2.
            cx.counters.tcp_timestamp_missing += 1;
            return Step::Stay;
        }
        if segment.flags.contains(Flags::SYN) {
            // RFC 5961 §4.2.
            cx.counters.tcp_unexpected_syn += 1;
            self.challenge_ack(cx, shared);
            return Step::Stay;
        }
        if !segment.flags.contains(Flags::ACK) {
            cx.counters.tcp_no_ack += 1;
            return Step::Stay;
        }
        if segment.ack != self.iss + 1 {
            cx.counters.tcp_bad_ack += 1;
            if self.challenge.allow(cx) {
                shared.replies.push(cx, segment.reset(self.key));
            }
            return Step::Stay;
        }
        Step::Open
    }

    fn challenge_ack(&mut self, cx: &mut Context<'_>, shared: &mut Shared) {
        if !self.challenge.allow(cx) {
            cx.counters.tcp_challenge_limited += 1;
            return;
        }
        cx.counters.tcp_challenge_acks += 1;
        let (key, seq, ack) = (self.key, self.iss + 1, self.irs + 1);
        let head = Head {
            key,
            seq,
            ack,
            flags: Flags::ACK | self.ecn.unmarked(),
            window: self.rcv_wnd,
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

    /// The control block of the connection that it becomes: `segment` has acknowledged our SYN.
    pub(super) fn open(
        &self,
        shared: &Shared,
        profile: ProfileId,
        segment: &Segment,
        now: Instant,
    ) -> Tcb {
        let (snd_scale, rcv_scale) = self.scales.unwrap_or((0, 0));
        let agreed = Agreed {
            iss: self.iss,
            irs: self.irs,
            rcv_wnd: u32::from(self.rcv_wnd),
            smss: self.smss,
            mtu: self.mtu,
            snd_scale,
            rcv_scale,
            timestamps: self.timestamps,
            sack: self.sack,
            ecn: self.ecn,
            syn_was_lost: self.marks.contains(Marks::REPEATED),
        };
        let mut tcb = Tcb::new(self.key, &agreed, profile, shared.profiles.get(profile));
        tcb.state = State::Established;
        tcb.take_window(segment);
        tcb.restart_idle_timer(shared, now);
        if !self.marks.contains(Marks::REPEATED) {
            let rtt = micros(now).wrapping_sub(self.sent_at);
            tcb.rtt.sample(Duration::from_micros(u64::from(rtt)));
        } else if self.retries > 0 {
            // Which of them is acknowledged nobody knows (RFC 6298 §3), and what RFC 6298 §5.7
            // says is about the timer: a SYN that came twice alone changes nothing.
            tcb.rtt.syn_was_lost();
            debug_assert_eq!(tcb.rtt.rto(), RTO_AFTER_LOST_SYN);
        }
        tcb
    }
}
