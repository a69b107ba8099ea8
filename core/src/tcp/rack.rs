//! RACK-TLP (RFC 8985): a segment is lost when one that was sent some time after it has arrived,
//! and the tail of a flight is probed before the retransmission timer has to fire.
//!
//! Times are microseconds that wrap; they order like sequence numbers.

use super::congestion::CongestionControl;
use super::params::{
    DUP_ACK_THRESHOLD, MIN_RTT_WINDOW, REORDERING_PERSIST, TLP_MARGIN, TLP_MAX_ACK_DELAY,
    TLP_WITHOUT_RTT,
};
use super::scoreboard::{MAX_STEPS, Marks, end_of};
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{Tcb, TcbFlags};
use super::tick::Tick;
use crate::context::Context;
use crate::pool::Descriptor;
use crate::time::Instant;
use core::time::Duration;

/// An instant in microseconds.
#[allow(clippy::cast_possible_truncation, reason = "it wraps")]
pub(super) fn micros(now: Instant) -> u32 {
    (now.as_nanos() / 1_000) as u32
}

/// RACK_sent_after (RFC 8985 §6.2): by time, then by number.
fn sent_after(time: u32, end: SeqNum, other_time: u32, other_end: SeqNum) -> bool {
    let (time, other_time) = (SeqNum::new(time), SeqNum::new(other_time));
    time.after(other_time) || (time == other_time && end.after(other_end))
}

/// The variables of RFC 8985 §5.2 that belong to a connection.
#[derive(Debug)]
pub(super) struct Rack {
    /// RACK.xmit_ts and RACK.end_seq: of the segment sent last of all that have arrived.
    sent_at: u32,
    end: SeqNum,
    /// RACK.rtt: that segment's.
    rtt: u32,
    /// The smallest round-trip time of the last minutes, 0 before there is one, and its age.
    min_rtt: u32,
    min_rtt_at: u32,
    /// RACK.fack: behind the highest segment that has arrived.
    fack: SeqNum,
    /// RACK.dsack_round: when SND.UNA gets there, another duplicate may widen the window.
    dsack_round: SeqNum,
    in_dsack_round: bool,
    /// RACK.reordering_seen.
    reordering_seen: bool,
    /// RACK.reo_wnd_mult and RACK.reo_wnd_persist.
    window_factor: u8,
    window_persist: u8,
}

impl Rack {
    pub(super) fn new(start: SeqNum) -> Self {
        Self {
            sent_at: 0,
            end: start,
            rtt: 0,
            min_rtt: 0,
            min_rtt_at: 0,
            fack: start,
            dsack_round: start,
            in_dsack_round: false,
            reordering_seen: false,
            window_factor: 1,
            window_persist: 0,
        }
    }

    /// The smallest round-trip time, in microseconds; 0 before there is one.
    pub(super) fn min_rtt_micros(&self) -> u32 {
        self.min_rtt
    }

    /// A segment has arrived: steps 1 to 3 of RFC 8985 §6.2. `echo_age` is how long ago the copy
    /// was sent that was acknowledged, in milliseconds, if timestamps say.
    pub(super) fn delivered(&mut self, segment: &Descriptor, now: u32, echo_age: Option<u32>) {
        let end = end_of(segment);
        let retransmitted = Marks::of(segment).contains(Marks::RETRANSMITTED);
        let rtt = now.wrapping_sub(segment.time).max(1);
        // Step 3 is about the order of first copies.
        if end.after(self.fack) {
            self.fack = end;
        } else if end.before(self.fack) && !retransmitted {
            self.reordering_seen = true;
        }
        if retransmitted {
            // Step 2: it may be an earlier copy that has arrived. Clocks are cut to milliseconds.
            let earlier_copy = echo_age.is_some_and(|age| age > rtt / 1_000 + 1);
            if earlier_copy || rtt < self.min_rtt {
                return;
            }
        } else if self.min_rtt == 0
            || rtt <= self.min_rtt
            || now.wrapping_sub(self.min_rtt_at) > MIN_RTT_WINDOW
        {
            (self.min_rtt, self.min_rtt_at) = (rtt, now);
        }
        if self.rtt == 0 || sent_after(segment.time, end, self.sent_at, self.end) {
            self.rtt = rtt;
            (self.sent_at, self.end) = (segment.time, end);
        }
    }

    /// A duplicate was reported: losses were declared too early, so wait longer (§6.2 step 4).
    pub(super) fn duplicate_reported(&mut self, snd_nxt: SeqNum) {
        if !self.in_dsack_round {
            self.in_dsack_round = true;
            self.dsack_round = snd_nxt;
            self.window_factor = self.window_factor.saturating_add(1);
            self.window_persist = REORDERING_PERSIST;
        }
    }

    /// Recovery has ended without duplicates: after many, the window narrows (§6.2 step 4).
    pub(super) fn recovered(&mut self) {
        self.window_persist = self.window_persist.saturating_sub(1);
        if self.window_persist == 0 {
            self.window_factor = 1;
        }
    }

    /// SND.UNA has moved.
    pub(super) fn advanced(&mut self, snd_una: SeqNum) {
        if self.in_dsack_round && !snd_una.before(self.dsack_round) {
            self.in_dsack_round = false;
        }
        self.fack = self.fack.latest(snd_una);
    }

    /// The smallest round-trip time of the path in microseconds, when `rtt` was just measured.
    pub(super) fn path_rtt(&self, rtt: u32) -> u32 {
        match self.min_rtt {
            0 => rtt,
            min_rtt => min_rtt.min(rtt),
        }
    }

    /// A new flight starts: what arrived before it is so old that times would not compare.
    pub(super) fn restart(&mut self) {
        self.rtt = 0;
    }

    /// The network has reordered after all: what was taken for lost was late.
    pub(super) fn saw_reordering(&mut self) {
        self.reordering_seen = true;
    }

    /// RACK_update_reo_wnd (§6.2 step 4): how much later a segment may come than one that was sent
    /// after it, in microseconds.
    fn reordering_window(&self, in_recovery: bool, sacked: u32, srtt: u32) -> u32 {
        if !self.reordering_seen && (in_recovery || sacked >= u32::from(DUP_ACK_THRESHOLD)) {
            return 0;
        }
        (u32::from(self.window_factor))
            .saturating_mul(self.min_rtt / 4)
            .min(srtt)
    }

    /// How long to wait for a segment still, in microseconds: `None` if nothing that was sent
    /// after it has arrived; 0 or less if it is lost.
    #[allow(clippy::cast_possible_wrap, reason = "less than 2^31 microseconds")]
    fn remaining(&self, segment: &Descriptor, now: u32, window: u32) -> Option<i32> {
        let later =
            self.rtt != 0 && sent_after(self.sent_at, self.end, segment.time, end_of(segment));
        later.then(|| {
            let deadline = segment.time.wrapping_add(self.rtt.saturating_add(window));
            deadline.wrapping_sub(now) as i32
        })
    }
}

impl Tcb {
    /// RACK_detect_loss (RFC 8985 §6.2 step 5). What is not lost yet but may be soon starts the
    /// reordering timer. Returns whether something was lost.
    pub(super) fn detect_losses(&mut self, cx: &mut Context<'_>) -> bool {
        let now = micros(cx.now);
        let repairing = self
            .flags
            .intersects(TcbFlags::RECOVERY | TcbFlags::LOSS_RECOVERY);
        let sacked = self.send.board.sacked_segments;
        let window = self
            .rack
            .reordering_window(repairing, sacked, self.rtt.srtt_micros());
        let rack = &self.rack;
        let (mut wait, mut lost) = (0, 0);
        let (found, complete) = self.send.find_lost(cx.pool, MAX_STEPS, |segment| {
            match rack.remaining(segment, now, window) {
                Some(remaining) if remaining <= 0 => {
                    lost += 1;
                    Some(true)
                }
                Some(remaining) => {
                    wait = wait.max(remaining);
                    Some(false)
                }
                // Later first copies were sent later still.
                None if Marks::of(segment).contains(Marks::RETRANSMITTED) => Some(false),
                None => None,
            }
        });
        cx.counters.tcp_rack_losses += lost;
        if !complete {
            cx.counters.tcp_scan_limited += 1;
        }
        self.flags.remove(TcbFlags::TLP_TIMER);
        self.loss_at = match u64::try_from(wait) {
            Ok(wait) if wait > 0 => Tick::after(cx.now, Duration::from_micros(wait)),
            _ => Tick::NEVER,
        };
        found
    }

    /// RACK_mark_losses_on_RTO (RFC 8985 §6.3): the first segment, and what was sent so long ago
    /// that it should have been acknowledged. Without SACK nobody knows: everything.
    pub(super) fn mark_losses_on_timeout(&mut self, cx: &mut Context<'_>) {
        let now = micros(cx.now);
        let with_sack = self.flags.contains(TcbFlags::SACK);
        let window = self.rack.reordering_window(true, 0, self.rtt.srtt_micros());
        let patience = self.rack.rtt.saturating_add(window);
        let first = self.snd_una;
        // No limit: it happens once for each timeout.
        let _ = self.send.find_all_lost(cx.pool, |segment| {
            let age = now.wrapping_sub(segment.time);
            !with_sack || SeqNum::new(segment.seq) == first || age >= patience
        });
    }

    /// TLP_schedule_probe (RFC 8985 §7.2), if the conditions of §7.1 hold; otherwise no probe.
    pub(super) fn schedule_probe(&mut self, now: Instant) {
        let busy = TcbFlags::RECOVERY
            | TcbFlags::LOSS_RECOVERY
            | TcbFlags::PERSIST
            | TcbFlags::TLP_SENT
            | TcbFlags::TLP_DUE;
        let board = &self.send.board;
        let wanted = self.flags.contains(TcbFlags::SACK)
            // Before the handshake is complete only the SYN-ACK is sent again.
            && !self.answers_early()
            && !self.flags.intersects(busy)
            && board.sacked_out + board.lost_out + board.retrans_out == 0
            && self.flight() > 0
            && self.rtx_at.is_set();
        if !wanted {
            if self.flags.contains(TcbFlags::TLP_TIMER) {
                self.flags.remove(TcbFlags::TLP_TIMER);
                self.loss_at = Tick::NEVER;
            }
            return;
        }
        let mut timeout = match self.rtt.srtt_micros() {
            0 => TLP_WITHOUT_RTT,
            srtt => srtt.saturating_mul(2).saturating_add(TLP_MARGIN),
        };
        if self.flight() < 2 * self.smss() {
            // Less than what a peer acknowledges at once (RFC 9293 §3.8.6.3).
            timeout = timeout.saturating_add(TLP_MAX_ACK_DELAY);
        }
        self.loss_at = Tick::after_micros(now, timeout).earlier(self.rtx_at);
        self.flags |= TcbFlags::TLP_TIMER;
    }

    /// The reordering timer or the probe timer expired.
    pub(super) fn loss_timer_expired(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        self.loss_at = Tick::NEVER;
        if self.flags.contains(TcbFlags::TLP_TIMER) {
            self.flags.remove(TcbFlags::TLP_TIMER);
            if self.flight() > 0 {
                // RFC 8985 §7.3: the retransmission timer starts over behind the probe.
                self.flags |= TcbFlags::TLP_DUE | TcbFlags::OUTPUT;
                self.start_retransmission_timer(cx.now);
            }
            return;
        }
        cx.counters.tcp_reordering_timeouts += 1;
        if self.detect_losses(cx) {
            self.losses_found(shared, cx, 0, 0);
        }
    }

    /// TLP_process_ack (RFC 8985 §7.4.2), for an acknowledgement of SND.UNA that came with `flight`
    /// bytes on their way, may be a mere repetition, without blocks, and may report a duplicate.
    pub(super) fn probe_acknowledged(
        &mut self,
        cx: &mut Context<'_>,
        flight: u32,
        duplicate_ack: bool,
        duplicate: Option<(SeqNum, SeqNum)>,
    ) {
        let ack = self.snd_una;
        if !self.flags.contains(TcbFlags::TLP_SENT) || ack.before(self.tlp_end) {
            return;
        }
        let repaired = if !self.flags.contains(TcbFlags::TLP_RETRANSMITTED)
            || duplicate.is_some_and(|(_, right)| right == self.tlp_end)
            || (duplicate_ack && ack == self.tlp_end)
        {
            false
        } else if ack.after(self.tlp_end) {
            true
        } else {
            return;
        };
        self.flags
            .remove(TcbFlags::TLP_SENT | TcbFlags::TLP_RETRANSMITTED);
        let repairing = TcbFlags::RECOVERY | TcbFlags::LOSS_RECOVERY;
        if repaired && !self.flags.intersects(repairing) {
            // The probe has repaired a loss that nobody saw: that is congestion all the same.
            cx.counters.tcp_tlp_recoveries += 1;
            if !self.flags.contains(TcbFlags::CWR) {
                let smss = self.smss();
                self.congestion.on_congestion_event(cx.now, flight, smss);
                self.congestion.on_recovered(u32::MAX);
            }
            self.window_reduced();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(seq: SeqNum, time: u32, marks: Marks) -> Descriptor {
        Descriptor {
            len: 1_000,
            flags: marks.bits(),
            seq: seq.get(),
            time,
            ..Descriptor::default()
        }
    }

    /// Numbers and microseconds wrap in the middle of every test.
    const START: SeqNum = SeqNum::new(u32::MAX - 1_500);
    const T: u32 = u32::MAX - 10_000;

    #[test]
    fn what_was_sent_before_the_latest_arrival_is_lost_after_its_time() {
        let mut rack = Rack::new(START);
        let first = segment(START, T, Marks::empty());
        let third = segment(START + 2_000, T.wrapping_add(200), Marks::empty());
        let fourth = segment(START + 3_000, T.wrapping_add(300), Marks::empty());
        let now = T.wrapping_add(40_200);
        rack.delivered(&third, now, None);
        assert_eq!(rack.rtt, 40_000);
        // Three segments were reported: no waiting.
        let window = rack.reordering_window(false, 3, 40_000);
        assert_eq!(rack.remaining(&first, now, window), Some(-200));
        assert_eq!(rack.remaining(&fourth, now, window), None);
        // One: a quarter of the smallest round-trip time.
        let window = rack.reordering_window(false, 1, 40_000);
        assert_eq!(rack.remaining(&first, now, window), Some(9_800));
    }

    #[test]
    fn reordering_is_seen_in_first_copies_only_and_widens_the_window() {
        let mut rack = Rack::new(START);
        rack.delivered(
            &segment(START + 1_000, T, Marks::empty()),
            T.wrapping_add(8_000),
            None,
        );
        rack.delivered(
            &segment(START, T, Marks::RETRANSMITTED),
            T.wrapping_add(20_000),
            None,
        );
        assert_eq!(rack.reordering_window(true, 9, 40_000), 0);
        rack.delivered(
            &segment(START, T, Marks::empty()),
            T.wrapping_add(9_000),
            None,
        );
        assert_eq!(rack.reordering_window(true, 9, 40_000), 2_000);
        // A duplicate in each round trip widens it, up to SRTT.
        for round in 1..=30u32 {
            rack.duplicate_reported(START + 5_000 * round);
            rack.duplicate_reported(START + 5_000 * round);
            rack.advanced(START + 5_000 * round);
            let wanted = (2_000 * (round + 1)).min(40_000);
            assert_eq!(rack.reordering_window(true, 9, 40_000), wanted);
        }
        // It narrows after as many recoveries without one.
        (1..REORDERING_PERSIST).for_each(|_| rack.recovered());
        assert_eq!(rack.reordering_window(true, 9, 40_000), 40_000);
        rack.recovered();
        assert_eq!(rack.reordering_window(true, 9, 40_000), 2_000);
    }

    #[test]
    fn an_acknowledgement_that_may_be_of_an_earlier_copy_says_nothing() {
        let mut rack = Rack::new(START);
        rack.delivered(
            &segment(START, T, Marks::empty()),
            T.wrapping_add(8_000),
            None,
        );
        let latest = (rack.sent_at, rack.rtt);
        let again = segment(START + 1_000, T.wrapping_add(9_000), Marks::RETRANSMITTED);
        // Sooner than any round trip, or by the timestamp of the first copy.
        rack.delivered(&again, T.wrapping_add(10_000), None);
        rack.delivered(&again, T.wrapping_add(19_000), Some(19));
        assert_eq!((rack.sent_at, rack.rtt), latest);
        rack.delivered(&again, T.wrapping_add(19_000), Some(11));
        assert_eq!((rack.sent_at, rack.rtt), (T.wrapping_add(9_000), 10_000));
    }

    #[test]
    fn the_smallest_round_trip_time_is_forgotten_after_minutes() {
        let mut rack = Rack::new(START);
        rack.delivered(
            &segment(START, T, Marks::empty()),
            T.wrapping_add(100),
            None,
        );
        let later = T.wrapping_add(MIN_RTT_WINDOW);
        rack.delivered(
            &segment(START, later, Marks::empty()),
            later.wrapping_add(50_000),
            None,
        );
        assert_eq!(rack.min_rtt, 50_000);
    }
}
