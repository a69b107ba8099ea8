//! The size of segments that the path carries (RFC 1191, RFC 4821, RFC 8899).
//!
//! | finding | consequence |
//! |---|---|
//! | ICMP says so about a segment on its way, and none of full size has arrived yet | believed at once (RFC 5927 §7.2) |
//! | the same, but segments of full size have arrived | believed when that segment times out, or is lost and only smaller ones have arrived since |
//! | another connection to the same address has learned it | adopted with the next segment |
//! | full segments time out twice in a row, and nobody says why: a black hole | 1024 bytes, then what a packet of 576 holds (RFC 4821 §7.7) |
//! | ten minutes later, or at once after a black hole | a probe of larger size (RFC 4821 §7.3) |
//!
//! What is too large is taken for lost and sent again in pieces, at once. That says nothing of
//! congestion, so no window shrinks; neither does it when a probe is lost (RFC 4821 §7.5). A probe is
//! data of the stream: its loss costs a retransmission. Probes need SACK, which tells that only the
//! probe is missing.

use super::frto::Frto;
use super::params::{BASE_MSS, MTU_RAISE_AFTER, MTU_SEARCH_STEP, SMALLEST_MTU};
use super::scoreboard::{MAX_STEPS, Marks, end_of};
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{Tcb, TcbFlags};
use super::tick::Tick;
use crate::context::{Context, Outgoing};
use crate::ip::PathMtus;
use crate::pool::Descriptor;
use core::time::Duration;

/// What is known of the path. Sizes are payloads of a segment, options not included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    /// What the peer and our interface allow.
    most: u16,
    /// The largest size that is not known to fail.
    search_high: u16,
    /// The size of the probe that is on its way, or was last, and its first number.
    probe_len: u16,
    probe_seq: SeqNum,
    /// An MTU that ICMP has claimed and that is not believed yet; 0: none. Its segment.
    claimed: u16,
    claimed_seq: SeqNum,
    /// When a larger size may be tried.
    raise_at: Tick,
    /// The generation of the path MTUs that was looked at.
    generation: u32,
}

impl Path {
    pub(super) fn new(smss: u16, start: SeqNum) -> Self {
        Self {
            most: smss,
            search_high: smss,
            probe_len: 0,
            probe_seq: start,
            claimed: 0,
            claimed_seq: start,
            raise_at: Tick::NEVER,
            generation: 0,
        }
    }
}

impl Tcb {
    /// The payload of a full segment in a packet of `mtu` bytes.
    fn smss_for(&self, mtu: u16) -> u16 {
        super::announced_mss(self.key.local, mtu) - self.option_bytes()
    }

    /// The largest packet that the path is known to carry: the interface's, unless it was found to
    /// be too large.
    pub(super) fn path_mtu(&self) -> u16 {
        if self.smss >= self.path.most {
            return self.mtu;
        }
        let headers = self.mtu - super::announced_mss(self.key.local, self.mtu);
        self.smss + self.option_bytes() + headers
    }

    /// Whether the path MTUs have changed since this connection looked.
    pub(super) fn path_is_old(&self, mtus: &PathMtus) -> bool {
        self.path.generation != mtus.generation()
    }

    /// Adopts what has been learned about the destination.
    #[cold]
    pub(super) fn look_at_path(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        self.path.generation = shared.path_mtus.generation();
        let learned = shared.path_mtus.get(cx.now, self.key.remote_addr().ip());
        let smss = learned.map_or(self.smss, |mtu| self.smss_for(mtu));
        if smss < self.smss {
            self.path.search_high = self.path.most;
            self.path.raise_at = Tick::after(cx.now, MTU_RAISE_AFTER);
            self.lower_smss(cx, smss);
        }
    }

    /// ICMP says that the packet with the segment at `seq`, which is on its way, is larger than
    /// `mtu`.
    pub(super) fn packet_too_big(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        seq: SeqNum,
        mtu: u16,
    ) {
        if self.smss_for(mtu) >= self.smss {
            // Of a segment that was sent before the size was last lowered.
            cx.counters.tcp_path_mtu_stale += 1;
        } else if self.flags.contains(TcbFlags::FULL_ARRIVED) {
            cx.counters.tcp_path_mtu_doubted += 1;
            // Of a window of segments the first one is missed first.
            let path = &mut self.path;
            if path.claimed != mtu || seq.before(path.claimed_seq) {
                (path.claimed, path.claimed_seq) = (mtu, seq);
            }
        } else {
            self.believe(shared, cx, mtu);
        }
    }

    fn believe(&mut self, shared: &mut Shared, cx: &mut Context<'_>, mtu: u16) {
        cx.counters.tcp_path_mtu_lowered += 1;
        shared
            .path_mtus
            .lower(cx.now, self.key.remote_addr().ip(), mtu);
        self.look_at_path(shared, cx);
    }

    /// Segments become smaller: what is on its way and too large is lost, but not by congestion.
    fn lower_smss(&mut self, cx: &mut Context<'_>, smss: u16) {
        self.smss = smss;
        self.path.claimed = 0;
        self.flags
            .remove(TcbFlags::FULL_ARRIVED | TcbFlags::FULL_TIMED | TcbFlags::MTU_PROBE);
        let found = self
            .send
            .find_all_lost(cx.pool, |segment| segment.len > smss);
        if !found {
            return;
        }
        if !self.flags.contains(TcbFlags::RECOVERY) {
            self.frto = Frto::Off;
            self.recover = self.snd_max;
            self.flags.remove(TcbFlags::DOUBT);
            self.flags |= TcbFlags::LOSS_RECOVERY;
        }
        self.loss_at = Tick::NEVER;
        self.flags.remove(TcbFlags::TLP_TIMER | TcbFlags::TLP_DUE);
        self.flags |= TcbFlags::RETRANSMIT | TcbFlags::OUTPUT;
        self.start_retransmission_timer(cx.now);
    }

    /// A timer has expired without an acknowledgement: what was claimed of a segment that did not
    /// arrive is true (RFC 5927 §7.2). The timer of a loss probe is as good as the other one, and
    /// earlier.
    pub(super) fn claim_is_true_if_late(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> bool {
        let claimed = self.path.claimed;
        let late = claimed != 0 && !self.path.claimed_seq.before(self.snd_una);
        if late {
            self.believe(shared, cx, claimed);
        }
        late
    }

    /// Segments are lost. What was claimed of the first of them is true if of those sent after it
    /// only such have arrived as the claim allows: then it would not arrive either however often it
    /// was sent again, until the timeout for which RFC 5927 §7.2 waits. Where larger ones have
    /// arrived, it was lost for another reason.
    pub(super) fn claim_is_true_if_lost(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> bool {
        if self.path.claimed == 0 {
            return false;
        }
        let claimed = self.path.claimed;
        let believed = self.only_smaller_have_arrived(cx);
        if believed {
            self.believe(shared, cx, claimed);
        }
        believed
    }

    #[cold]
    fn only_smaller_have_arrived(&mut self, cx: &mut Context<'_>) -> bool {
        let fits = self.smss_for(self.path.claimed);
        let Some(first) = self.send.first_lost(cx.pool) else {
            return false;
        };
        let descriptor = cx.pool.descriptor_at(first);
        let seq = self.path.claimed_seq;
        if seq.before(SeqNum::new(descriptor.seq)) || !seq.before(end_of(descriptor)) {
            return false;
        }
        let (mut at, mut steps, mut arrived) = (first, MAX_STEPS, false);
        while let Some(next) = cx.pool.next_in_queue(at)
            && Some(next) != self.send.next
        {
            let descriptor = cx.pool.descriptor_at(next);
            if Marks::of(descriptor).contains(Marks::SACKED) {
                arrived = true;
                if descriptor.len > fits {
                    return false;
                }
            }
            steps -= 1;
            if steps == 0 {
                return false;
            }
            at = next;
        }
        arrived
    }

    /// The retransmission timer has expired: perhaps because segments are too large.
    pub(super) fn size_may_be_the_cause(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        self.flags.remove(TcbFlags::MTU_PROBE);
        if self.claim_is_true_if_late(shared, cx) {
            return;
        }
        self.path.claimed = 0;
        let first = self.send.frames.first();
        let size = first.map_or(0, |first| cx.pool.descriptor_at(first).len);
        let smaller = if size > BASE_MSS {
            BASE_MSS
        } else {
            self.smss_for(SMALLEST_MTU)
        };
        if shared.params.mtu_probing && self.rtt.backoff() >= 2 && size > smaller {
            cx.counters.tcp_black_holes += 1;
            self.path.search_high = self.path.most;
            // It may as well have been an outage: the old size is tried as soon as data flows.
            self.path.raise_at = Tick::moment(cx.now);
            self.lower_smss(cx, smaller);
        }
    }

    /// SND.UNA has moved: what was claimed of a segment that has arrived is not true. Kept, it would
    /// seem to be about what is on its way once numbers have gone half around.
    pub(super) fn claim_is_false_if_arrived(&mut self) {
        if self.path.claimed != 0 && self.path.claimed_seq.before(self.snd_una) {
            self.path.claimed = 0;
        }
    }

    /// A segment has made its round trip: was it a full one, and may a larger one be tried?
    pub(super) fn size_has_arrived(&mut self, shared: &Shared, cx: &Context<'_>) {
        if self.flags.contains(TcbFlags::FULL_TIMED) {
            self.flags.remove(TcbFlags::FULL_TIMED);
            self.flags |= TcbFlags::FULL_ARRIVED;
        }
        if self.smss < self.path.most && shared.params.mtu_probing {
            self.consider_raising(cx);
        }
    }

    #[cold]
    fn consider_raising(&mut self, cx: &Context<'_>) {
        let busy =
            TcbFlags::RECOVERY | TcbFlags::LOSS_RECOVERY | TcbFlags::MTU_PROBE | TcbFlags::PERSIST;
        let board = &self.send.board;
        if self
            .path
            .raise_at
            .is_due_or_farther(cx.now, MTU_RAISE_AFTER)
            && self.flags.contains(TcbFlags::SACK)
            && !self.flags.intersects(busy)
            && board.sacked_out + board.lost_out == 0
        {
            self.flags |= TcbFlags::MTU_PROBE_DUE | TcbFlags::OUTPUT;
        }
    }

    /// Sends a segment that is larger than those before, if there is enough data and room for it
    /// and for segments behind it that tell of its loss (RFC 4821 §7.4).
    #[cold]
    pub(super) fn mtu_probe(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
    ) -> Option<Outgoing> {
        let (low, high) = (self.smss, self.path.search_high);
        if high < low.saturating_add(MTU_SEARCH_STEP) {
            // Found. After a while the path may have changed (RFC 8899 §5.1.1, PMTU_RAISE_TIMER).
            self.path.search_high = self.path.most;
            self.path.raise_at = Tick::after(cx.now, MTU_RAISE_AFTER);
            return None;
        }
        let size = if high == self.path.most {
            high
        } else {
            low + (high - low).div_ceil(2)
        };
        let index = self.send.next?;
        let needed = u32::from(size) + 3 * self.smss();
        let in_flight = self.snd_nxt.since(self.snd_una);
        let enough = self.send.end.since(self.snd_nxt) >= needed;
        let room = self
            .snd_wnd
            .saturating_sub(in_flight)
            .min(self.cwnd().saturating_sub(self.pipe()));
        if !enough || room < u32::from(size) {
            // With the next round trip.
            return None;
        }
        let freed = self.send.fill_from_behind(cx.pool, index, size);
        shared.budget.tx_used -= freed;
        let Descriptor { seq, len, .. } = *cx.pool.descriptor_at(index);
        if len > size {
            if !self.split(shared, cx, index, u32::from(size)) {
                return None;
            }
        } else if len < size {
            self.path.raise_at = Tick::after(cx.now, Duration::from_secs(10));
            return None;
        }
        cx.counters.tcp_mtu_probes += 1;
        self.path.probe_len = size;
        self.path.probe_seq = SeqNum::new(seq);
        self.flags |= TcbFlags::MTU_PROBE;
        self.flags.remove(TcbFlags::MTU_PROBE_LOST);
        Some(self.send_next(shared, cx, index))
    }

    /// SND.UNA has moved while a probe was on its way, or was lost.
    #[cold]
    pub(super) fn mtu_probe_acknowledged(&mut self, cx: &mut Context<'_>) {
        if self
            .snd_una
            .before(self.path.probe_seq + u32::from(self.path.probe_len))
        {
            return;
        }
        if self.flags.contains(TcbFlags::MTU_PROBE) {
            cx.counters.tcp_path_mtu_raised += 1;
            self.smss = self.path.probe_len;
            self.flags.remove(TcbFlags::FULL_TIMED);
            self.flags |= TcbFlags::FULL_ARRIVED;
        }
        self.flags
            .remove(TcbFlags::MTU_PROBE | TcbFlags::MTU_PROBE_LOST);
    }

    /// Whether what is taken for lost is a probe and nothing else: no sign of congestion (RFC 4821
    /// §7.5). With other losses the probe has shown nothing.
    #[cold]
    pub(super) fn only_the_probe_is_lost(&mut self, cx: &mut Context<'_>) -> bool {
        let len = u32::from(self.path.probe_len);
        let first = self.send.first_lost(cx.pool);
        let lost = first.is_some_and(|first| {
            let descriptor = cx.pool.descriptor_at(first);
            let begins = SeqNum::new(descriptor.seq);
            let marks = Marks::of(descriptor);
            !begins.before(self.path.probe_seq)
                && begins.before(self.path.probe_seq + len)
                && !marks.contains(Marks::RETRANSMITTED)
        });
        let only = lost && self.send.board.lost_out <= len;
        if self.flags.contains(TcbFlags::MTU_PROBE) {
            self.flags.remove(TcbFlags::MTU_PROBE);
            if only {
                cx.counters.tcp_mtu_probes_lost += 1;
                self.path.search_high = self.path.probe_len - 1;
                self.flags |= TcbFlags::MTU_PROBE_LOST | TcbFlags::RETRANSMIT;
            }
        } else if !only {
            self.flags.remove(TcbFlags::MTU_PROBE_LOST);
        }
        only
    }

    /// Whether a frame fits a segment, if necessary after it was cut. Fails when the pool is empty.
    pub(super) fn fits_segment(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        index: u32,
    ) -> bool {
        let len = cx.pool.descriptor_at(index).len;
        len <= self.smss || self.split(shared, cx, index, self.smss())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::testing::Bench;

    /// RFC 5927 §7.2: the segment that was said not to pass has arrived, and 3 GiB later a timer
    /// expires.
    #[test]
    fn a_claim_about_a_segment_that_has_arrived_is_never_believed() {
        let mut bench = Bench::new();
        let seq = bench.tcb.snd_una;
        bench.tcb.snd_max = seq + 1_460;
        bench.tcb.flags |= TcbFlags::FULL_ARRIVED;
        bench.with(|tcb, shared, cx| tcb.packet_too_big(shared, cx, seq, 600));
        assert_eq!(bench.counters.tcp_path_mtu_doubted, 1);
        for _ in 0..3 {
            bench.tcb.snd_una += 1 << 30;
            bench.tcb.snd_max = bench.tcb.snd_una;
            bench.with(|tcb, shared, cx| tcb.send_queue_advanced(shared, cx, true));
        }
        assert!(!bench.with(|tcb, shared, cx| tcb.claim_is_true_if_late(shared, cx)));
        assert_eq!(bench.counters.tcp_path_mtu_lowered, 0);
    }

    #[test]
    fn the_path_carries_what_was_found_not_what_the_interface_does() {
        for timestamps in [false, true] {
            let mut bench = Bench::new();
            if timestamps {
                bench.tcb.flags |= TcbFlags::TIMESTAMPS;
                bench.tcb.smss -= bench.tcb.option_bytes();
                bench.tcb.path = Path::new(bench.tcb.smss, bench.tcb.snd_una);
            }
            assert_eq!(bench.tcb.path_mtu(), 1_500);
            let seq = bench.tcb.snd_una;
            bench.with(|tcb, shared, cx| tcb.packet_too_big(shared, cx, seq, 1_280));
            assert_eq!(bench.tcb.path_mtu(), 1_280);
        }
    }
}
