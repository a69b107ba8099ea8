//! Loss recovery: fast retransmit and fast recovery of NewReno (RFC 5681 §3.2, RFC 6582).
//!
//! This decides what was lost, and how much may be in flight until it is repaired: the window of
//! recovery is inflated and deflated here. At other times the congestion controller's counts.

use super::congestion::{Ack, CongestionControl};
use super::params::DUP_ACK_THRESHOLD;
use super::state::{Tcb, TcbFlags};
use crate::context::Context;
use core::time::Duration;

impl Tcb {
    /// An acknowledgement that says nothing new, while data is on its way.
    pub(super) fn duplicate_ack(&mut self, cx: &mut Context<'_>) {
        cx.counters.tcp_duplicate_acks += 1;
        let smss = self.smss();
        if self.flags.contains(TcbFlags::RECOVERY) {
            self.recovery_window = self.recovery_window.saturating_add(smss);
            self.flags |= TcbFlags::OUTPUT;
            return;
        }
        self.dup_acks = self.dup_acks.saturating_add(1);
        // RFC 6582 §3.2 step 2: not for what was sent before the last loss was detected.
        if self.dup_acks == DUP_ACK_THRESHOLD && !self.snd_una.before(self.recover) {
            cx.counters.tcp_fast_retransmits += 1;
            self.recover = self.snd_max;
            self.congestion
                .on_congestion_event(cx.now, self.flight(), smss);
            self.recovery_window = self.congestion.ssthresh() + u32::from(DUP_ACK_THRESHOLD) * smss;
            self.flags |= TcbFlags::RECOVERY | TcbFlags::RETRANSMIT | TcbFlags::OUTPUT;
            self.flags.remove(TcbFlags::PARTIAL_ACKED);
        }
    }

    /// `acked` bytes were acknowledged of `flight` that were on their way, which measures `rtt`;
    /// SND.UNA has moved.
    ///
    /// Whether the retransmission timer starts over: in recovery, only the first partial
    /// acknowledgement does that (RFC 6582 §3.2 step 3).
    pub(super) fn acked_for_recovery(
        &mut self,
        cx: &mut Context<'_>,
        acked: u32,
        flight: u32,
        rtt: Option<Duration>,
    ) -> bool {
        let smss = self.smss();
        self.dup_acks = 0;
        let mut restart_timer = true;
        if self.flags.contains(TcbFlags::RECOVERY) {
            if self.snd_una.before(self.recover) {
                cx.counters.tcp_partial_acks += 1;
                restart_timer = !self.flags.contains(TcbFlags::PARTIAL_ACKED);
                self.flags |= TcbFlags::PARTIAL_ACKED | TcbFlags::RETRANSMIT;
                self.deflate(acked, smss);
            } else {
                self.flags
                    .remove(TcbFlags::RECOVERY | TcbFlags::PARTIAL_ACKED | TcbFlags::RETRANSMIT);
                // RFC 6582 §3.2 step 3, the first choice: no burst when little is on its way.
                let window = self.flight().max(smss).saturating_add(smss);
                self.congestion.on_recovered(window);
            }
        } else {
            let limited = self.flags.contains(TcbFlags::CWND_LIMITED)
                || (self.cwnd() < self.congestion.ssthresh() && flight >= self.cwnd() / 2);
            self.congestion.on_ack(&Ack {
                now: cx.now,
                acked,
                smss,
                rtt,
                snd_una: self.snd_una,
                snd_nxt: self.snd_nxt,
                limited,
            });
        }
        self.recover = self.recover.latest(self.snd_una);
        restart_timer
    }

    /// A partial acknowledgement: what has left the network may not be sent a second time, except
    /// for one segment (RFC 6582 §3.2 step 3).
    fn deflate(&mut self, acked: u32, smss: u32) {
        let mut window = self.recovery_window.saturating_sub(acked);
        if acked >= smss {
            window += smss;
        }
        self.recovery_window = window.max(smss);
    }

    /// The retransmission timer expired (RFC 5681 §3.1, RFC 6298 §5.4 to §5.6): everything is sent
    /// again, as the window opens.
    pub(super) fn lost_everything(&mut self, cx: &mut Context<'_>) {
        cx.counters.tcp_timeouts += 1;
        let first = self.rtt.backoff() == 0;
        self.congestion
            .on_timeout(cx.now, self.flight(), self.smss(), first);
        self.rtt.back_off();
        self.recover = self.snd_max;
        self.dup_acks = 0;
        let ended =
            TcbFlags::RECOVERY | TcbFlags::PARTIAL_ACKED | TcbFlags::RETRANSMIT | TcbFlags::TIMING;
        self.flags.remove(ended);
        self.snd_nxt = self.snd_una;
        self.send.rewind();
        self.flags |= TcbFlags::OUTPUT;
    }
}
