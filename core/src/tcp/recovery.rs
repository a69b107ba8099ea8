//! Loss recovery: what an acknowledgement means for segments that may be lost, and how much may be
//! in flight until they are repaired.
//!
//! | the peer | losses are found by | in flight until repaired |
//! |---|---|---|
//! | speaks SACK | RACK-TLP (RFC 8985, `rack`) on the `scoreboard` | PRR (RFC 9937, `prr`) |
//! | does not | three duplicate acknowledgements (RFC 5681 §3.2) | NewReno (RFC 6582) |
//! | either, after a timeout | RFC 6298 §5, RFC 8985 §6.3 | the controller's window: slow start |
//!
//! Whether the loss was one at all is `frto`'s question. At other times the congestion controller's
//! window counts; how it is reduced is its own matter.

use super::congestion::{Ack, CongestionControl};
use super::frto::Frto;
use super::params::{DUP_ACK_THRESHOLD, LIMITED_TRANSMIT};
use super::prr::Prr;
use super::scoreboard::{Marks, News};
use super::seq::SeqNum;
use super::shared::Shared;
use super::state::{Tcb, TcbFlags};
use super::tick::Tick;
use crate::context::Context;

/// An acknowledgement, after the send queue has taken it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) news: News,
    /// SND.UNA has moved.
    pub(super) advances: bool,
    /// It says nothing new about the order of the stream, while data is on its way (RFC 5681 §2).
    pub(super) duplicate: bool,
    /// It has SACK blocks.
    pub(super) has_blocks: bool,
    /// What it reports to have arrived twice.
    pub(super) twice: Option<(SeqNum, SeqNum)>,
    /// The timestamp that it echoes.
    pub(super) echo: Option<u32>,
    /// What was on its way before it.
    pub(super) flight: u32,
    /// The round-trip time that it measures, in microseconds.
    pub(super) rtt: Option<u32>,
}

impl Tcb {
    /// Bytes in the network as far as one can know (RFC 6675 §4, pipe; RFC 8985 §6.1): sent, and
    /// neither acknowledged in any way nor taken for lost. A FIN does not count.
    pub(super) fn pipe(&self) -> u32 {
        let end = if self.snd_nxt.after(self.send.end) {
            self.send.end
        } else {
            self.snd_nxt
        };
        let board = &self.send.board;
        end.since(self.snd_una)
            .saturating_sub(board.sacked_out.saturating_add(board.lost_out))
    }

    /// What the network carries, as congestion control is to know it when a loss shows: FlightSize
    /// (RFC 5681 §3.1). But the acknowledgements of a batch have emptied the network, and nothing
    /// could be sent for them yet: where cwnd is what limits, it would be full, so cwnd counts.
    /// RFC 9438 §4.6 allows that of a cwnd that does not grow while it is not used.
    pub(super) fn load(&self) -> u32 {
        let flight = self.flight();
        if self.flags.contains(TcbFlags::CWND_LIMITED) {
            flight.max(self.congestion.window())
        } else {
            flight
        }
    }

    /// What may be in flight now: limited transmit lets two duplicates send a segment each
    /// (RFC 3042); with SACK they have left the pipe by themselves.
    pub(super) fn send_window(&self) -> u32 {
        let other = TcbFlags::SACK | TcbFlags::RECOVERY | TcbFlags::LOSS_RECOVERY;
        let limited = if self.flags.intersects(other) {
            0
        } else {
            u32::from(self.dup_acks.min(LIMITED_TRANSMIT))
        };
        self.cwnd().saturating_add(limited * self.smss())
    }

    /// Draws the consequences of an acknowledgement. Whether the retransmission timer starts over:
    /// in NewReno's recovery, only the first partial acknowledgement does that (RFC 6582 §3.2
    /// step 3).
    pub(super) fn acknowledged(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        arrival: &Arrival,
    ) -> bool {
        let Arrival {
            news,
            advances,
            duplicate,
            ..
        } = *arrival;
        if duplicate {
            cx.counters.tcp_duplicate_acks += 1;
        }
        if advances {
            self.dup_acks = 0;
            self.rack.advanced(self.snd_una);
            if self
                .flags
                .intersects(TcbFlags::MTU_PROBE | TcbFlags::MTU_PROBE_LOST)
            {
                self.mtu_probe_acknowledged(cx);
            }
        }
        if arrival.twice.is_some() {
            cx.counters.tcp_dsack_received += 1;
            self.rack.duplicate_reported(self.snd_nxt);
        }
        let repetition = duplicate && !arrival.has_blocks;
        self.probe_acknowledged(cx, arrival.flight, repetition, arrival.twice);
        if self.had_no_cause(cx, arrival) {
            let acked = arrival.flight.saturating_sub(self.flight());
            self.undo(cx, acked);
        }
        let found = self.look_for_losses(cx, &news);
        let mut restart_timer = true;
        if self.flags.contains(TcbFlags::RECOVERY) {
            if !self.snd_una.before(self.recover) {
                self.end_recovery();
            } else if self.flags.contains(TcbFlags::SACK) {
                self.reduce_proportionally(news.bytes, advances && !found);
            } else {
                restart_timer = self.new_reno(cx, arrival);
            }
        } else {
            if !self.flags.contains(TcbFlags::LOSS_RECOVERY) {
                if self.flags.contains(TcbFlags::DOUBT) {
                    self.doubt_ends();
                }
            } else if !self.snd_una.before(self.recover) {
                self.flags
                    .remove(TcbFlags::LOSS_RECOVERY | TcbFlags::RETRANSMIT);
                self.frto = Frto::Off;
                self.rack.recovered();
                self.doubt_fades();
            }
            if duplicate && !self.flags.contains(TcbFlags::SACK) {
                self.count_duplicate(cx);
            } else if self.flags.contains(TcbFlags::CWR) {
                self.reduce_proportionally(news.bytes, advances && !found);
            } else if advances && !found {
                // Only what arrives in order opens the window (RFC 5681 §3.1, RFC 3042 §2).
                // After a timeout, what is filled in may bring much along that had arrived before.
                let acked = if self.flags.contains(TcbFlags::LOSS_RECOVERY) {
                    news.bytes
                } else {
                    arrival.flight.saturating_sub(self.flight())
                };
                self.grow(cx, acked, arrival.flight, news.rtt.or(arrival.rtt));
            }
        }
        if self.flags.intersects(TcbFlags::CWR | TcbFlags::ECN_HOLD) {
            // Not before: what echoes a mark does not open the window (RFC 3168 §6.1.2).
            self.ecn_acknowledged();
        }
        if self.flags.contains(TcbFlags::SACK) && self.send.board.lost_out > 0 {
            self.losses_found(shared, cx, news.bytes, news.sacked);
        }
        self.recover = self.recover.latest(self.snd_una);
        if news.bytes > 0 {
            // What has left the network makes room.
            self.flags |= TcbFlags::OUTPUT;
        }
        restart_timer
    }

    /// Whether the acknowledgement shows that the last reduction had no cause.
    fn had_no_cause(&mut self, cx: &mut Context<'_>, arrival: &Arrival) -> bool {
        let Arrival { news, advances, .. } = arrival;
        if self.first_copy_arrived(news, arrival.echo) {
            cx.counters.tcp_spurious_eifel += 1;
            return true;
        }
        if let Some((left, right)) = arrival.twice
            && self.all_was_duplicate(left, right)
        {
            cx.counters.tcp_spurious_dsack += 1;
            return true;
        }
        let tells = *advances || arrival.duplicate || news.sacked > 0;
        if tells
            && self.flags.contains(TcbFlags::LOSS_RECOVERY)
            && self.frto_step(cx, news, *advances)
        {
            cx.counters.tcp_spurious_timeouts += 1;
            return true;
        }
        false
    }

    /// Runs RACK where the acknowledgement can have brought something to light.
    fn look_for_losses(&mut self, cx: &mut Context<'_>, news: &News) -> bool {
        if !self.flags.contains(TcbFlags::SACK) {
            return false;
        }
        if self.send.board.sacked_out > 0 || news.retransmitted {
            return self.detect_losses(cx);
        }
        if !self.flags.contains(TcbFlags::TLP_TIMER) {
            // The reordering timer waited for what has arrived.
            self.loss_at = Tick::NEVER;
        }
        false
    }

    /// Segments are lost: they are repaired in the recovery that goes on, or in a new one (RFC 6675
    /// §5, step 4). `delivered` bytes have just arrived, `sacked` of them behind a hole.
    pub(super) fn losses_found(
        &mut self,
        shared: &mut Shared,
        cx: &mut Context<'_>,
        delivered: u32,
        sacked: u32,
    ) {
        self.flags |= TcbFlags::OUTPUT;
        if self.claim_is_true_if_lost(shared, cx) {
            return;
        }
        let repairing = TcbFlags::RECOVERY | TcbFlags::LOSS_RECOVERY;
        if self.flags.intersects(repairing) {
            return;
        }
        let probing = TcbFlags::MTU_PROBE | TcbFlags::MTU_PROBE_LOST;
        if self.flags.intersects(probing) && self.only_the_probe_is_lost(cx) {
            return;
        }
        debug_assert!(sacked <= delivered);
        self.start_recovery(cx);
        let in_flight = self.snd_nxt.since(self.snd_una);
        let known = self.send.board.sacked_out;
        self.prr = Prr::new(in_flight.saturating_add(delivered).saturating_sub(known));
        self.recovery_window = self.pipe();
        self.reduce_proportionally(delivered, false);
        // The fast retransmit goes at once (RFC 9937 §6.2), also if the reordering timer has found
        // the loss.
        self.flags |= TcbFlags::RETRANSMIT;
    }

    fn start_recovery(&mut self, cx: &mut Context<'_>) {
        cx.counters.tcp_fast_retransmits += 1;
        self.recover = self.snd_max;
        // One reduction for each window of data, by a mark or by a loss (RFC 3168 §6.1.2).
        if !self.flags.contains(TcbFlags::CWR) {
            let (load, smss) = (self.load(), self.smss());
            self.congestion.on_congestion_event(cx.now, load, smss);
        }
        self.window_reduced();
        self.start_doubting();
        self.flags |= TcbFlags::RECOVERY;
        self.flags.remove(TcbFlags::PARTIAL_ACKED | TcbFlags::CWR);
    }

    fn reduce_proportionally(&mut self, delivered: u32, safe: bool) {
        let (pipe, ssthresh) = (self.pipe(), self.congestion.ssthresh());
        let smss = self.smss();
        if let Some(window) = self.prr.on_ack(delivered, pipe, ssthresh, safe, smss) {
            self.recovery_window = window;
        }
        self.flags |= TcbFlags::OUTPUT;
    }

    fn end_recovery(&mut self) {
        self.flags
            .remove(TcbFlags::RECOVERY | TcbFlags::PARTIAL_ACKED | TcbFlags::RETRANSMIT);
        self.doubt_fades();
        let window = if self.flags.contains(TcbFlags::SACK) {
            self.rack.recovered();
            u32::MAX
        } else {
            // RFC 6582 §3.2 step 3, the first choice: no burst when little is on its way.
            self.flight().max(self.smss()).saturating_add(self.smss())
        };
        self.congestion.on_recovered(window);
    }

    /// Data was acknowledged while nothing is being repaired, or after a timeout. `flight` is what
    /// was on its way before.
    pub(super) fn grow(&mut self, cx: &Context<'_>, acked: u32, flight: u32, rtt: Option<u32>) {
        let limited = self.flags.contains(TcbFlags::CWND_LIMITED)
            || (self.cwnd() < self.congestion.ssthresh() && flight >= self.cwnd() / 2);
        self.congestion.on_ack(&Ack {
            now: cx.now,
            acked,
            smss: u32::from(self.smss),
            rtt,
            snd_una: self.snd_una,
            snd_nxt: self.snd_nxt,
            limited,
            paced: self.flags.contains(TcbFlags::PACING),
        });
    }

    /// A duplicate acknowledgement of a peer without SACK, outside of fast recovery.
    fn count_duplicate(&mut self, cx: &mut Context<'_>) {
        self.dup_acks = self.dup_acks.saturating_add(1);
        self.flags |= TcbFlags::OUTPUT;
        // RFC 6582 §3.2 step 2: not for what was sent before the last loss was detected.
        if self.dup_acks == DUP_ACK_THRESHOLD && !self.snd_una.before(self.recover) {
            self.start_recovery(cx);
            let inflation = u32::from(DUP_ACK_THRESHOLD) * self.smss();
            self.recovery_window = self.congestion.ssthresh().saturating_add(inflation);
            self.first_is_lost(cx);
        }
    }

    /// An acknowledgement during fast recovery of a peer without SACK that does not end it.
    fn new_reno(&mut self, cx: &mut Context<'_>, arrival: &Arrival) -> bool {
        let smss = self.smss();
        if arrival.duplicate {
            // A segment has left the network (RFC 5681 §3.2 step 4).
            self.recovery_window = self.recovery_window.saturating_add(smss);
            self.flags |= TcbFlags::OUTPUT;
        }
        if !arrival.advances {
            return false;
        }
        cx.counters.tcp_partial_acks += 1;
        let restart_timer = !self.flags.contains(TcbFlags::PARTIAL_ACKED);
        self.flags |= TcbFlags::PARTIAL_ACKED;
        // What has left the network may not be sent a second time, except for one segment
        // (RFC 6582 §3.2 step 3).
        let acked = arrival.news.bytes;
        let mut window = self.recovery_window.saturating_sub(acked);
        if acked >= smss {
            window += smss;
        }
        self.recovery_window = window.max(smss);
        self.first_is_lost(cx);
        restart_timer
    }

    /// The first segment is to be sent again, whatever the window says.
    fn first_is_lost(&mut self, cx: &mut Context<'_>) {
        match self.first_sent() {
            Some(first) => self.send.mark_lost(cx.pool, first),
            None => self.flags.set(TcbFlags::FIN_LOST, self.fin_is_under_way()),
        }
        self.flags |= TcbFlags::RETRANSMIT | TcbFlags::OUTPUT;
    }

    /// The first frame, if it was sent.
    fn first_sent(&self) -> Option<u32> {
        self.send
            .frames
            .first()
            .filter(|first| self.send.next != Some(*first))
    }

    /// Whether a FIN was sent and is not acknowledged.
    pub(super) fn fin_is_under_way(&self) -> bool {
        self.snd_nxt.after(self.send.end) && !self.snd_una.after(self.send.end)
    }

    /// The retransmission timer expired (RFC 5681 §3.1, RFC 6298 §5.4 to §5.6): what is lost by it
    /// is sent again as the window opens, the first segment at once.
    /// RFC 9293 §3.8.2 (MUST-19).
    pub(super) fn lost_by_timeout(&mut self, cx: &mut Context<'_>) {
        cx.counters.tcp_timeouts += 1;
        let marked = self.flags.contains(TcbFlags::CWR);
        let first_time = self.rtt.backoff() == 0 && !marked;
        let (load, smss) = (self.load(), self.smss());
        self.congestion.on_timeout(cx.now, load, smss, first_time);
        self.window_reduced();
        self.rtt.back_off();
        let first = self.first_sent();
        let reneged = first
            .is_some_and(|first| Marks::of(cx.pool.descriptor_at(first)).contains(Marks::SACKED));
        if reneged {
            // What the peer asks for next, it once said to have (RFC 2018 §8).
            cx.counters.tcp_sack_reneged += 1;
            self.send.reneged(cx.pool);
        } else {
            self.mark_losses_on_timeout(cx);
        }
        // RFC 5682 §3.1 step 1: not if a loss was being repaired already.
        let repairing = TcbFlags::RECOVERY | TcbFlags::LOSS_RECOVERY;
        self.frto = if self.flags.intersects(repairing) || reneged {
            Frto::Off
        } else {
            Frto::Retransmitted
        };
        if !self.flags.contains(TcbFlags::LOSS_RECOVERY) {
            self.start_doubting();
        }
        self.rack.restart();
        self.recover = self.snd_max;
        self.dup_acks = 0;
        self.loss_at = Tick::NEVER;
        let ended = TcbFlags::RECOVERY
            | TcbFlags::CWR
            | TcbFlags::PARTIAL_ACKED
            | TcbFlags::TIMING
            | TcbFlags::TLP_TIMER
            | TcbFlags::TLP_DUE
            | TcbFlags::TLP_SENT
            | TcbFlags::TLP_RETRANSMITTED;
        self.flags.remove(ended);
        self.flags |= TcbFlags::LOSS_RECOVERY | TcbFlags::RETRANSMIT | TcbFlags::OUTPUT;
        self.flags.set(TcbFlags::FIN_LOST, self.fin_is_under_way());
    }
}
