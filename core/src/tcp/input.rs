//! Segment arrival at a connection (RFC 9293 §3.10.7).
//!
//! | step of the RFC | here |
//! |---|---|
//! | §3.10.7.1 CLOSED | `Tcp::receive`: `Segment::reset` |
//! | §3.10.7.2 LISTEN | `Tcp::listener_segment`, `HalfOpen::new` (`passive`) |
//! | §3.10.7.3 SYN-SENT, all steps | `Tcb::syn_sent` |
//! | §3.10.7.4 in SYN-RECEIVED after LISTEN | `HalfOpen::segment_arrives` |
//! | §3.10.7.4 in TIME-WAIT | `TimeWait::segment_arrives` |
//! | §3.10.7.4 first: sequence number; RFC 7323 §5.3 R1 | `Tcb::timestamp_acceptable`, `Tcb::sequence_acceptable` |
//! | all of §3.10.7.4 at once, for what mostly comes | `Tcb::is_predicted`, `Tcb::predicted` |
//! | second: RST; RFC 5961 §3 | `Tcb::reset_arrives` |
//! | third: security | left out: IPsec compartments are not spoken |
//! | fourth: SYN; RFC 5961 §4 | `Tcb::synchronized` |
//! | fifth: ACK; RFC 5961 §5 | `Tcb::acknowledgment`, `Tcb::take_acknowledgment` |
//! | marks, received and echoed (RFC 3168 §6.1, RFC 9768 §3.2) | `Tcb::take_ecn_of_data`, `Tcb::take_echo` |
//! | sixth: URG | urgent data of any length is delivered in line (RFC 6093 §6; MUST-30, MUST-31) |
//! | seventh: text | `Tcb::text` |
//! | eighth: FIN | `Tcb::fin` |
//!
//! Acknowledgements are only noted here (RFC 9293 §3.10.7.4 MUST-58, MUST-59). They are built when
//! the batch of received frames is over (`output`), so a burst of frames that were queued already is
//! acknowledged once. That goes beyond "every second segment" (RFC 9293 §3.8.6.3 SHLD-19) for such
//! bursts only.

use super::accecn::is_not_overtaken;
use super::autotune::Reading;
use super::congestion::Congestion;
use super::isn::timestamp_clock;
use super::params::{ACK_EVERY, OUT_OF_ORDER_SLACK};
use super::pmtu::Path;
use super::rack::micros;
use super::reassembly::{QueueId, push_or_merge, trim_front};
use super::recovery::Arrival;
use super::reply::{Head, NO_BLOCKS, Reply};
use super::scoreboard::{Delivered, Edges, Marks};
use super::segment::Segment;
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{Failure, State, Tcb, TcbFlags, Timestamps, seconds};
use super::tick::Tick;
use crate::context::Context;
use crate::log::Change;
use crate::pool::{Descriptor, Frame};
use crate::time::Instant;
use crate::wire::tcp::Flags;
use core::time::Duration;

impl Tcb {
    /// Takes a segment; `frame` holds its payload, and the segment's data is in order of the
    /// stream. What changed is left in state and flags.
    pub(super) fn segment_arrives(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
        frame: Frame,
    ) {
        if self.is_predicted(segment) {
            return self.predicted(shared, cx, segment, frame);
        }
        let mut frame = Some(frame);
        match self.state {
            State::Closed | State::Listen | State::TimeWait => {}
            State::SynSent => self.syn_sent(shared, cx, segment),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck => self.synchronized(shared, cx, *segment, &mut frame),
        }
        if let Some(frame) = frame {
            cx.pool.free(frame);
        }
    }

    /// §3.10.7.3. Data and FIN of a SYN segment are left for the peer to repeat.
    fn syn_sent(&mut self, shared: &mut Shared, cx: &mut Context<'_>, segment: &Segment) {
        let acknowledges = segment.flags.contains(Flags::ACK);
        if acknowledges && !self.acknowledges_syn(segment) {
            cx.counters.tcp_bad_ack += 1;
            if !segment.flags.contains(Flags::RST) {
                shared.replies.push(cx, segment.reset(self.key));
            }
            return;
        }
        if segment.flags.contains(Flags::RST) {
            if acknowledges {
                cx.counters.tcp_resets_received += 1;
                self.fail(Failure::Refused);
            }
            return;
        }
        if !segment.flags.contains(Flags::SYN) {
            cx.counters.tcp_no_ack += 1;
            return;
        }
        self.take_syn(shared, cx, segment);
        if acknowledges {
            if self.flags.contains(TcbFlags::FAST_OPEN) {
                let took_data = segment.ack.after(self.iss + 1);
                let cookie = shared.fast_open.arrived;
                let mss = segment.mss.unwrap_or(super::default_mss(self.key.local));
                let remote = self.key.remote;
                shared.fast_open.learned(remote, mss, cookie, took_data);
            }
            self.syn_acknowledged(shared, cx, segment.ack);
            if self.flags.contains(TcbFlags::SYN_LOST) {
                self.rtt.syn_was_lost();
            } else {
                self.rtt.sample_micros(self.since_timed(cx));
            }
            self.snd_wnd = u32::from(segment.window);
            self.max_snd_wnd = self.snd_wnd;
            self.snd_wl1 = segment.seq;
            self.snd_wl2 = segment.ack;
            self.flags |= TcbFlags::ACK_NOW;
            self.established(shared, cx.now);
            if self.flags.contains(TcbFlags::ACCECN) {
                self.take_syn_ace(cx, segment.flags);
            }
        } else {
            // RFC 9293 §3.5 (MUST-10).
            // Simultaneous open: the SYN goes again, with the acknowledgement.
            self.state = State::SynReceived;
            self.flags |= TcbFlags::SEND_SYN;
        }
        self.flags |= TcbFlags::OUTPUT;
    }

    /// Notes what the peer's SYN says, in SYN-SENT.
    fn take_syn(&mut self, shared: &mut Shared, cx: &mut Context<'_>, segment: &Segment) {
        let announced = self.rcv_wnd();
        self.irs = segment.seq;
        self.rcv_nxt = segment.seq + 1;
        self.rcv_adv = self.rcv_nxt + announced;
        self.rcv_fin = self.irs;
        self.last_ack_sent = self.rcv_nxt;
        match segment.window_scale {
            Some(shift) => {
                self.snd_scale = shift.min(super::params::MAX_WINDOW_SCALE);
                self.rcv_scale = shared.params.window_scale;
            }
            None => (self.snd_scale, self.rcv_scale) = (0, 0),
        }
        let offset = self.timestamps.offset;
        if let Some((value, _)) = segment.timestamps {
            self.timestamps = Timestamps {
                recent: value,
                recent_at: seconds(cx.now),
                offset,
            };
            self.flags |= TcbFlags::TIMESTAMPS;
        } else {
            self.flags.remove(TcbFlags::TIMESTAMPS);
        }
        self.flags.set(TcbFlags::SACK, segment.sack_permitted);
        self.take_ecn_of_syn(shared, cx, segment);
        let timestamps = self.flags.contains(TcbFlags::TIMESTAMPS);
        self.smss = super::effective_mss(self.key.local, segment.mss, self.mtu, timestamps);
        let lost = self.flags.contains(TcbFlags::SYN_LOST);
        let algorithm = self.settings(shared).congestion;
        self.congestion = Congestion::new(algorithm, self.smss(), lost);
        self.reading = Reading::new(self.rcv_nxt);
        self.path = Path::new(self.smss, self.snd_una);
    }

    /// SND.WND as the segment says that completes the handshake.
    pub(super) fn take_window(&mut self, segment: &Segment) {
        self.snd_wnd = u32::from(segment.window) << self.snd_scale;
        self.max_snd_wnd = self.snd_wnd;
        self.snd_wl1 = segment.seq;
        self.snd_wl2 = segment.ack;
    }

    /// For whoever keeps a log: the handshake is complete.
    pub(super) fn note_opened(&self, shared: &mut Shared, now: Instant) {
        shared.journal.note(now, || Change::Opened {
            key: self.key,
            passive: self.flags.contains(TcbFlags::PASSIVE),
        });
    }

    /// The handshake is complete that we have begun.
    fn established(&mut self, shared: &mut Shared, now: Instant) {
        self.state = State::Established;
        self.note_opened(shared, now);
        self.retries = 0;
        self.rtx_at = Tick::NEVER;
        self.stalled_since = Tick::NEVER;
        self.flags |= TcbFlags::EVENT | TcbFlags::OUTPUT;
        self.flags
            .remove(TcbFlags::SEND_SYN | TcbFlags::UNREACHABLE);
        self.snd_nxt = self.snd_una;
        self.snd_max = self.snd_una;
        self.recover = self.snd_una;
        self.snd_sml = self.snd_una;
        if self.flags.contains(TcbFlags::FIN_QUEUED) {
            self.state = State::FinWait1;
        }
        self.restart_idle_timer(shared, now);
    }

    /// §3.10.7.4.
    fn synchronized(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        mut segment: Segment,
        frame: &mut Option<Frame>,
    ) {
        if self.state == State::SynReceived
            && segment.flags.contains(Flags::SYN | Flags::ACK)
            && segment.seq == self.irs
        {
            // The other half of a simultaneous open: the same SYN again, now with an ACK.
            segment
                .flags
                .remove(Flags::SYN | Flags::ECE | Flags::CWR | Flags::AE);
            // These flags were no count (RFC 9768 §3.2.2).
            segment.flags |= self.unchanged_echo(shared);
            segment.seq += 1;
        }
        if segment.flags.contains(Flags::SYN)
            && !segment.flags.intersects(Flags::RST | Flags::ACK)
            && self.answers_early()
            && segment.seq == self.irs
            && self.challenge.allow(cx)
        {
            // Our SYN-ACK was lost, or is late. Which one will be acknowledged nobody knows.
            self.flags |= TcbFlags::SEND_SYN | TcbFlags::SYN_LOST | TcbFlags::OUTPUT;
            return;
        }
        if segment.flags.contains(Flags::SYN) && !segment.flags.contains(Flags::RST) {
            // Whatever its number and its timestamp (RFC 5961 §4.2): a peer that has forgotten this
            // connection learns of it and resets it.
            cx.counters.tcp_unexpected_syn += 1;
            self.reflect_again(shared, &segment);
            self.challenge_ack(cx);
            return;
        }
        if !self.timestamp_acceptable(cx, &segment)
            || !self.sequence_acceptable(shared, cx, &segment)
        {
            return;
        }
        if segment.flags.contains(Flags::RST) {
            self.reset_arrives(cx, &segment);
            return;
        }
        if !segment.flags.contains(Flags::ACK) {
            cx.counters.tcp_no_ack += 1;
            return;
        }
        if !self.acknowledgment(shared, cx, &segment) {
            return;
        }
        self.update_timestamp(cx, &segment);
        self.take_ecn_of_data(shared, cx, &segment);
        if self.flags.contains(TcbFlags::KEEPALIVE) {
            self.heard(shared, cx.now);
        }
        if segment.len > 0
            && let Some(frame) = frame.take()
        {
            self.text(shared, cx, &mut segment, frame);
        }
        if segment.flags.contains(Flags::FIN) {
            self.fin_arrives(&segment);
        }
    }

    /// RFC 7323 §4.3 (2), §5.5: a timestamp is taken that is not old, or any after 24 days. Not of a
    /// segment whose acknowledgement is refused: one that is forged would make all others old.
    fn update_timestamp(&mut self, cx: &Context<'_>, segment: &Segment) {
        if let Some((value, _)) = segment.timestamps
            && segment.seq.before_or_at(self.last_ack_sent)
            && !self.timestamps.is_old(value, cx.now)
        {
            self.timestamps.recent = value;
            self.timestamps.recent_at = seconds(cx.now);
        }
    }

    /// RFC 7323 §5.3 R1 and §3.2.
    fn timestamp_acceptable(&mut self, cx: &mut Context<'_>, segment: &Segment) -> bool {
        if !self.flags.contains(TcbFlags::TIMESTAMPS) || segment.flags.contains(Flags::RST) {
            return true;
        }
        match segment.timestamps {
            Some((value, _)) if self.timestamps.is_old(value, cx.now) => {
                cx.counters.tcp_paws += 1;
                self.answer_unacceptable(cx, segment);
                false
            }
            Some(_) => true,
            None => {
                cx.counters.tcp_timestamp_missing += 1;
                false
            }
        }
    }

    /// Whether what waits to be sent may go by now, so that the window needs no more probes. A
    /// window that is open by less leaves it to the timer to send all the same
    /// (RFC 9293 §3.8.6.2.1, condition 4).
    fn window_opens(&self, cx: &Context<'_>) -> bool {
        let usable = self
            .snd_wnd
            .saturating_sub(self.snd_nxt.since(self.snd_una));
        let next_may_go = self.send.next.is_none_or(|index| {
            let len = u32::from(cx.pool.descriptor_at(index).len);
            usable >= len || usable >= self.max_snd_wnd / 2
        });
        self.snd_wnd > 0 && (next_may_go || self.send.board.lost_out > 0)
    }

    /// Whether some of the segment lies in the window. One that fills a window of size zero is let
    /// through for its acknowledgement; its data is not taken.
    /// RFC 9293 §3.4 (MUST-66).
    fn sequence_acceptable(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) -> bool {
        let len = segment.seq_len();
        let end = segment.seq + len;
        let old = if len == 0 {
            end.before(self.rcv_nxt)
        } else {
            end.before_or_at(self.rcv_nxt)
        };
        let beyond = segment.seq.after(self.rcv_adv)
            || (len > 0 && segment.seq == self.rcv_adv && segment.seq != self.rcv_nxt);
        if !old && !beyond {
            return true;
        }
        if old {
            cx.counters.tcp_old_segment += 1;
            if segment.len > 0 {
                self.arrived_twice(shared, cx, segment.seq, segment.seq + segment.len);
            }
        } else {
            cx.counters.tcp_out_of_window += 1;
        }
        if !segment.flags.contains(Flags::RST) {
            self.answer_unacceptable(cx, segment);
        }
        false
    }

    /// Answers a segment that is not acceptable with an acknowledgement. For one without data
    /// their number is limited, so that two confused hosts do not keep answering each other.
    fn answer_unacceptable(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        if segment.len > 0 || segment.flags.contains(Flags::FIN) || self.challenge.allow(cx) {
            self.flags |= TcbFlags::ACK_NOW | TcbFlags::OUTPUT;
        } else {
            cx.counters.tcp_challenge_limited += 1;
        }
    }

    /// RFC 5961 §3.2, §4.2, §5.2, with the limit of §7.
    fn challenge_ack(&mut self, cx: &mut Context<'_>) {
        if self.challenge.allow(cx) {
            cx.counters.tcp_challenge_acks += 1;
            self.flags |= TcbFlags::ACK_NOW | TcbFlags::OUTPUT;
        } else {
            cx.counters.tcp_challenge_limited += 1;
        }
    }

    /// Second step: only a reset with exactly the next number is believed.
    /// RFC 9293 §3.5 (MUST-11), §3.5.2 (SHLD-2), §3.6 (MUST-12).
    fn reset_arrives(&mut self, cx: &mut Context<'_>, segment: &Segment) {
        if segment.seq != self.rcv_nxt {
            self.challenge_ack(cx);
            return;
        }
        cx.counters.tcp_resets_received += 1;
        match self.state {
            State::SynReceived => self.fail(Failure::Refused),
            // Both sides have closed and all data has arrived: the user lost nothing.
            State::Closing | State::LastAck if !self.snd_una.before(self.send.end) => {
                self.state = State::Closed;
                self.flags |= TcbFlags::EVENT;
            }
            _ => self.fail(Failure::Reset),
        }
    }

    /// Fifth step. `false`: the segment goes no further.
    /// RFC 9293 §3.10.7.4 (MAY-12).
    fn acknowledgment(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
    ) -> bool {
        let ack = segment.ack;
        if self.state == State::SynReceived {
            if !self.acknowledges_syn(segment) {
                cx.counters.tcp_bad_ack += 1;
                shared.replies.push(cx, segment.reset(self.key));
                return false;
            }
            if self.answers_early() {
                self.established_early(shared, cx, segment);
            } else {
                self.syn_acknowledged(shared, cx, ack);
                self.take_window(segment);
                self.established(shared, cx.now);
            }
        }
        if ack.after(self.snd_max) || ack.before(self.snd_una - self.max_snd_wnd) {
            cx.counters.tcp_bad_ack += 1;
            self.challenge_ack(cx);
            return false;
        }
        let window = u32::from(segment.window) << self.snd_scale;
        // What moves SND.UNA is newer than all before, also if its data was overtaken; an old
        // acknowledgement says nothing of the window (RFC 9293 §3.10.7.4, fifth step).
        let window_is_newer = ack.after(self.snd_una)
            || (ack == self.snd_una
                && (self.snd_wl1.before(segment.seq)
                    || (self.snd_wl1 == segment.seq && self.snd_wl2.before_or_at(ack))));
        let duplicate = ack == self.snd_una
            && segment.seq_len() == 0
            && self.flight() > 0
            && window == self.snd_wnd
            // The answer to a window probe says nothing about losses.
            && !self.flags.contains(TcbFlags::PERSIST);
        if self.flags.intersects(TcbFlags::ECN | TcbFlags::ACCECN)
            && is_not_overtaken(ack, self.snd_una, window_is_newer)
        {
            self.take_echo(shared, cx, segment);
        }
        if duplicate || ack.after(self.snd_una) || !segment.sack_blocks().is_empty() {
            self.take_acknowledgment(shared, cx, segment, duplicate);
        }
        if window_is_newer {
            if window > self.snd_wnd {
                self.flags |= TcbFlags::OUTPUT;
            }
            self.snd_wnd = window;
            self.max_snd_wnd = self.max_snd_wnd.max(window);
            self.snd_wl1 = segment.seq;
            self.snd_wl2 = ack;
        }
        if self.flags.contains(TcbFlags::PERSIST) {
            // The peer lives; a window that lets something go ends the probing.
            self.stalled_since = Tick::moment(cx.now);
            if self.window_opens(cx) {
                self.stop_persist();
                if self.flight() > 0 {
                    self.start_retransmission_timer(cx.now);
                }
            }
        }
        true
    }

    /// Takes what the acknowledgement says of data that was sent, in order or selectively.
    /// `duplicate`: it moves nothing, while data is on its way (RFC 5681 §2).
    fn take_acknowledgment(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &Segment,
        duplicate: bool,
    ) {
        let ack = segment.ack;
        let advances = ack.after(self.snd_una);
        let flight = self.flight();
        let rtt = advances
            .then(|| self.measure_rtt(shared, cx, segment))
            .flatten();
        let echo = segment
            .timestamps
            .map(|(_, echo)| echo)
            .filter(|echo| *echo != 0 && self.flags.contains(TcbFlags::TIMESTAMPS));
        let clock = timestamp_clock(cx.now).wrapping_add(self.timestamps.offset);
        let echo_age = echo.map(|echo| clock.wrapping_sub(echo));
        let first = self.send.frames.first().filter(|_| advances);
        let first_retransmitted = first.is_some_and(|first| {
            let descriptor = cx.pool.descriptor_at(first);
            Marks::of(descriptor).contains(Marks::RETRANSMITTED)
                && self.was_repaired_in_doubt(descriptor.time)
        });
        let mut delivered = Delivered::new(&mut self.rack, micros(cx.now), echo_age, self.recover);
        delivered.news.first_retransmitted = first_retransmitted;
        if advances {
            let laps = u16::from(ack.laps(self.iss, self.snd_una));
            self.snd_wraps = self.snd_wraps.wrapping_add(laps);
            self.snd_una = ack;
            shared.budget.tx_used -= self.send.acknowledge(cx.pool, ack, &mut delivered);
            self.snd_nxt = self.snd_nxt.latest(ack);
            self.snd_sml = self.snd_sml.latest(ack);
        }
        let blocks = if self.flags.contains(TcbFlags::SACK) {
            segment.sack_blocks()
        } else {
            &[]
        };
        let edges = Edges {
            snd_una: self.snd_una,
            snd_nxt: self.snd_nxt,
            snd_max: self.snd_max,
            oldest: self.snd_una - self.max_snd_wnd,
        };
        let twice = self
            .send
            .take_blocks(cx, blocks, ack, &edges, &mut delivered);
        let news = delivered.news;
        let arrival = Arrival {
            news,
            advances,
            duplicate,
            has_blocks: !blocks.is_empty(),
            twice,
            echo,
            flight,
            rtt,
        };
        let restart_timer = self.acknowledged(shared, cx, &arrival);
        if advances {
            self.send_queue_advanced(shared, cx, restart_timer);
        }
        if advances || news.sacked > 0 {
            self.schedule_probe(cx.now);
        }
    }

    /// SND.UNA has moved.
    pub(super) fn send_queue_advanced(
        &mut self,
        shared: &Shared,
        cx: &mut Context<'_>,
        restart_timer: bool,
    ) {
        self.rtt.keep_backoff();
        self.retries = 0;
        self.claim_is_false_if_arrived();
        self.progress_at = Tick::moment(cx.now);
        self.flags.remove(TcbFlags::UNREACHABLE);
        self.stop_persist();
        // RFC 6298 §5.2 and §5.3.
        if self.flight() > 0 {
            if restart_timer {
                self.start_retransmission_timer(cx.now);
            }
            self.stalled_since = Tick::moment(cx.now);
        } else {
            self.rtx_at = Tick::NEVER;
            self.stalled_since = Tick::NEVER;
        }
        self.flags |= TcbFlags::OUTPUT;
        if self.flags.contains(TcbFlags::SEND_BLOCKED) && self.has_write_room(shared) {
            self.flags
                .remove(TcbFlags::SEND_BLOCKED | TcbFlags::STARVED);
            self.flags |= TcbFlags::EVENT;
        }
        if self.fin_acknowledged() {
            self.flags.remove(TcbFlags::FIN_LOST);
            match self.state {
                State::FinWait1 => {
                    self.state = State::FinWait2;
                    if self.flags.contains(TcbFlags::ORPHAN) {
                        self.idle_at = Tick::after(cx.now, shared.params.fin_wait_2);
                    }
                }
                State::Closing => {
                    self.state = State::TimeWait;
                    self.flags |= TcbFlags::EVENT;
                }
                State::LastAck => {
                    self.state = State::Closed;
                    self.flags |= TcbFlags::EVENT;
                }
                _ => {}
            }
        }
    }

    /// Whether a writer that was refused has so much room again that waking it pays.
    pub(super) fn has_write_room(&self, shared: &Shared) -> bool {
        let enough = (self.send_limit(shared) / 4).min(8 * self.smss());
        self.send_room(shared) >= enough
            && (self.send.frames.is_empty()
                || shared
                    .budget
                    .may_queue_to_send(self.send.frames.len().saturating_add(2)))
    }

    /// How long ago the timed segment was sent, in microseconds.
    pub(super) fn since_timed(&self, cx: &Context<'_>) -> u32 {
        micros(cx.now).wrapping_sub(self.timed_at)
    }

    /// RFC 6298 §3 and §4, RFC 7323 §4.1. Returns the round-trip time that this acknowledgement
    /// measures, in microseconds, with a timestamp also where the estimator does not need it.
    pub(super) fn measure_rtt(
        &mut self,
        shared: &Shared,
        cx: &Context<'_>,
        segment: &Segment,
    ) -> Option<u32> {
        if self.flags.contains(TcbFlags::TIMING) && !segment.ack.before(self.timed_seq) {
            self.flags.remove(TcbFlags::TIMING);
            let rtt = self.since_timed(cx);
            if self.flags.contains(TcbFlags::SPURIOUS_TIMEOUT) {
                // What is timed was new when the timeout had fired: a timeout stops the timing.
                self.flags.remove(TcbFlags::SPURIOUS_TIMEOUT);
                self.rtt.seed_again(Duration::from_micros(rtt.into()));
            } else {
                self.rtt.sample_micros(rtt);
            }
            self.decide_pacing(shared, rtt);
            self.size_has_arrived(shared, cx);
            return Some(rtt);
        }
        let (_, echo) = segment.timestamps?;
        if echo == 0 || !self.flags.contains(TcbFlags::TIMESTAMPS) {
            return None;
        }
        let now = timestamp_clock(cx.now).wrapping_add(self.timestamps.offset);
        let age = SeqNum::new(now).since(SeqNum::new(echo));
        if age > 120_000 {
            return None;
        }
        let rtt = age.max(1) * 1_000;
        if self.rtt.backoff() > 0 {
            // After a timeout nothing is timed, but the echo tells which copy was acknowledged.
            self.rtt.sample_micros(rtt);
        }
        Some(rtt)
    }

    /// Seventh step: data.
    fn text(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        segment: &mut Segment,
        frame: Frame,
    ) {
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => {}
            // The peer has said that it sends no more.
            _ => {
                cx.counters.tcp_data_after_fin += 1;
                cx.pool.free(frame);
                return;
            }
        }
        // Cut what was received before and what the window does not cover.
        let old = self.rcv_nxt.since(segment.seq);
        if self.flags.contains(TcbFlags::ORPHAN) && old < segment.len {
            // Nobody will read what is new in it (RFC 9293 §3.6.1 SHLD-3, RFC 2525 §2.17).
            cx.pool.free(frame);
            cx.counters.tcp_data_after_close += 1;
            self.send_reset(shared, cx);
            self.state = State::Closed;
            return;
        }
        self.flags |= TcbFlags::OUTPUT;
        let end = segment.seq + segment.len;
        let excess = end.since(self.rcv_adv);
        if excess > 0 {
            segment.flags.remove(Flags::FIN);
        }
        let Some(len) = segment
            .len
            .checked_sub(old.saturating_add(excess))
            .filter(|len| *len > 0)
        else {
            // Nothing is left: a probe of a window of size zero, or a FIN behind old data.
            if excess > 0 {
                cx.counters.tcp_window_probe += 1;
            }
            cx.pool.free(frame);
            self.flags |= TcbFlags::ACK_NOW;
            return;
        };
        let descriptor = cx.pool.descriptor_mut(&frame);
        descriptor.seq = segment.seq.get();
        trim_front(descriptor, old);
        descriptor.len = u16::try_from(len).unwrap_or(descriptor.len);
        let seq = segment.seq + old;
        if old > 0 {
            self.arrived_twice(shared, cx, segment.seq, seq);
        }
        if seq == self.rcv_nxt {
            self.text_in_order(shared, cx, frame, len);
            if !end.before_or_at(self.rcv_nxt) {
                // It was not kept: neither is what follows.
                segment.flags.remove(Flags::FIN);
            }
        } else {
            self.text_out_of_order(shared, cx, frame);
        }
    }

    #[inline(always)]
    pub(super) fn text_in_order(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        frame: Frame,
        len: u32,
    ) {
        if !shared.budget.may_keep(cx.pool) {
            // Data behind a hole was never acknowledged: it goes first.
            shared.budget.rx_used -= shared.reassembly.clear(&mut self.out_of_order, cx.pool);
            if !shared.budget.may_keep(cx.pool) {
                cx.counters.tcp_receive_memory += 1;
                cx.pool.free(frame);
                self.flags |= TcbFlags::ACK_NOW;
                return;
            }
        }
        let was_empty = self.unread == 0;
        shared.budget.rx_used += push_or_merge(&mut self.received, cx.pool, frame);
        let mut taken = len;
        let before = self.rcv_nxt;
        self.rcv_nxt += len;
        if self.out_of_order != QueueId::NONE {
            let filled = shared.reassembly.take_in_order(
                &mut self.out_of_order,
                cx.pool,
                self.rcv_nxt,
                &mut self.received,
                &mut shared.budget.rx_used,
            );
            self.rcv_nxt += filled;
            taken += filled;
            // A hole was filled, wholly or in part (RFC 5681 §4.2).
            self.flags |= TcbFlags::ACK_NOW;
        }
        self.count_laps(before);
        self.unread += taken;
        if was_empty || self.flags.contains(TcbFlags::FIN_AHEAD) {
            self.flags |= TcbFlags::EVENT;
        }
        self.acknowledge_later(shared, cx, taken);
        if self.flags.contains(TcbFlags::FIN_AHEAD) && self.rcv_nxt == self.rcv_fin {
            self.fin();
        }
    }

    /// Decides whether data in order is acknowledged with this batch or may wait
    /// (RFC 9293 §3.8.6.3, MUST-40, SHLD-18, SHLD-19).
    fn acknowledge_later(&mut self, shared: &Shared, cx: &Context<'_>, taken: u32) {
        let unacknowledged = self.rcv_nxt.since(self.last_ack_sent);
        let full = u32::from(super::announced_mss(self.key.local, self.mtu));
        let segments = if taken >= full { taken / full } else { 1 };
        if self.quick_acks > 0 {
            self.quick_acks = self
                .quick_acks
                .saturating_sub(u8::try_from(segments).unwrap_or(u8::MAX));
            self.flags |= TcbFlags::ACK_NOW;
        }
        // The peer's full segment may be smaller than ours by the options.
        let delay = self.settings(shared).delayed_ack_millis();
        if unacknowledged + 64 >= ACK_EVERY * full || delay == 0 {
            self.flags |= TcbFlags::ACK_NOW;
        } else {
            let later = Tick::after_millis(cx.now, delay);
            self.ack_at = self.ack_at.earlier(later);
        }
    }

    /// RFC 9293 §3.10.7.4 (SHLD-31).
    fn text_out_of_order(&mut self, shared: &mut Shared, cx: &mut Context<'_>, frame: Frame) {
        self.duplicate_ack_due();
        let full = u32::from(super::announced_mss(self.key.local, self.mtu)).max(1);
        let limit = 2 * (self.rcv_wnd() / full) as usize + OUT_OF_ORDER_SLACK;
        if !shared.budget.may_keep_out_of_order(cx.pool)
            || shared.reassembly.frames(self.out_of_order) >= limit
        {
            cx.counters.tcp_out_of_order_memory += 1;
            cx.pool.free(frame);
            return;
        }
        if self.flags.contains(TcbFlags::SACK) {
            let Descriptor { seq, len, .. } = *cx.pool.descriptor(&frame);
            let (start, end) = (SeqNum::new(seq), SeqNum::new(seq) + u32::from(len));
            let duplicate = shared.reassembly.duplicate(self.out_of_order, start, end);
            if let Some((range, (left, right))) = duplicate {
                self.arrived_twice(shared, cx, left, right);
                shared.reassembly.touch(self.out_of_order, range);
            }
        }
        let rx_used = &mut shared.budget.rx_used;
        match shared
            .reassembly
            .insert(&mut self.out_of_order, cx.pool, frame, rx_used)
        {
            Ok(()) => cx.counters.tcp_out_of_order += 1,
            Err(super::reassembly::Refused::Duplicate) => cx.counters.tcp_old_segment += 1,
            Err(super::reassembly::Refused::TooManyRanges) => cx.counters.tcp_too_many_ranges += 1,
        }
    }

    /// Eighth step: the peer sends no more, once everything before is there.
    fn fin_arrives(&mut self, segment: &Segment) {
        match self.state {
            State::Established | State::FinWait1 | State::FinWait2 => {}
            _ => return,
        }
        let fin = segment.seq + segment.len;
        if fin == self.rcv_nxt {
            self.fin();
        } else if fin.after(self.rcv_nxt) {
            self.rcv_fin = fin;
            self.flags |= TcbFlags::FIN_AHEAD | TcbFlags::OUTPUT;
            if segment.len == 0 {
                self.duplicate_ack_due();
            }
        }
    }

    /// A segment has arrived out of order (RFC 5681 §4.2). Its peer counts the acknowledgements,
    /// unless there are SACK blocks to tell: then one for the batch says everything.
    /// RFC 9293 §3.10.7.4 (MAY-13).
    fn duplicate_ack_due(&mut self) {
        if self.flags.contains(TcbFlags::SACK) {
            self.dup_acks_due = 1;
        } else {
            self.dup_acks_due = self.dup_acks_due.saturating_add(1);
        }
    }

    /// RCV.NXT has moved on from `before`.
    fn count_laps(&mut self, before: SeqNum) {
        let laps = u16::from(self.rcv_nxt.laps(self.irs, before));
        self.rcv_wraps = self.rcv_wraps.wrapping_add(laps);
    }

    /// The FIN is next.
    fn fin(&mut self) {
        let before = self.rcv_nxt;
        self.rcv_nxt += 1;
        self.count_laps(before);
        self.rcv_adv = self.rcv_adv.latest(self.rcv_nxt);
        self.flags.remove(TcbFlags::FIN_AHEAD);
        self.flags |=
            TcbFlags::FIN_RECEIVED | TcbFlags::EVENT | TcbFlags::ACK_NOW | TcbFlags::OUTPUT;
        self.state = match self.state {
            State::Established => State::CloseWait,
            State::FinWait1 => State::Closing,
            State::FinWait2 => State::TimeWait,
            other => other,
        };
    }

    /// Queues a reset to the peer that it must believe.
    pub(super) fn send_reset(&self, shared: &mut Shared, cx: &mut Context<'_>) {
        let flags = Flags::RST | Flags::ACK;
        let head = Head {
            key: self.key,
            seq: self.snd_max,
            ack: self.rcv_nxt,
            flags,
            window: 0,
            ip: self.ip_fields(shared),
        };
        let timestamps = self.flags.contains(TcbFlags::TIMESTAMPS).then(|| {
            let clock = timestamp_clock(cx.now).wrapping_add(self.timestamps.offset);
            (clock, self.timestamps.recent)
        });
        let reply = Reply {
            sack: NO_BLOCKS,
            head,
            timestamps,
            syn: None,
        };
        shared.replies.push(cx, reply);
    }
}
