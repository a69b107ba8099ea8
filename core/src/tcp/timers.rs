//! A connection's timers: retransmission, persist, reordering and loss probe (`rack`), delayed acknowledgement, FIN-WAIT-2.
//!
//! Deadlines are fields of the control block; the owner keeps one entry per connection in the
//! timing wheel, for the earliest of them.

use super::params::MAX_RTO;
use super::shared::Shared;
use super::state::{Failure, State, Tcb, TcbFlags};
use super::tick::Tick;
use crate::context::Context;
use crate::time::Instant;
use core::time::Duration;

/// Zero-window probes that a connection without a user sends in vain.
const ORPHAN_PROBES: u8 = 8;

impl Tcb {
    /// Does what is due at `cx.now`.
    pub(super) fn timers_expired(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        if self.ack_at.is_due(cx.now) {
            self.ack_at = Tick::NEVER;
            self.flags |= TcbFlags::ACK_NOW | TcbFlags::OUTPUT;
            cx.counters.tcp_delayed_acks += 1;
        }
        if self.close_at.is_due(cx.now) {
            cx.counters.tcp_fin_wait_2_timeouts += 1;
            self.state = State::Closed;
            return;
        }
        if self.loss_at.is_due(cx.now) {
            self.loss_timer_expired(cx);
        }
        if self.rtx_at.is_due(cx.now) {
            self.rtx_at = Tick::NEVER;
            if self.flags.contains(TcbFlags::PERSIST) {
                self.persist_timeout(shared, cx);
            } else {
                self.retransmission_timeout(shared, cx);
            }
        }
    }

    /// Starts the retransmission timer over (RFC 6298 §5).
    pub(super) fn start_retransmission_timer(&mut self, now: Instant) {
        self.rtx_at = Tick::deadline(self.rtt.expiry(now));
        if !self.stalled_since.is_set() {
            self.stalled_since = Tick::moment(now);
        }
    }

    fn retransmission_timeout(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        if matches!(self.state, State::SynSent | State::SynReceived) {
            if self.retries >= shared.params.syn_retries {
                self.time_out(shared, cx);
                return;
            }
            self.retries += 1;
            self.rtt.back_off();
            self.flags |= TcbFlags::SYN_LOST | TcbFlags::SEND_SYN | TcbFlags::OUTPUT;
            self.start_retransmission_timer(cx.now);
            return;
        }
        if self.flight() == 0 {
            return;
        }
        if self.stalled_since.until(cx.now) >= shared.params.user_timeout {
            self.time_out(shared, cx);
            return;
        }
        self.lost_by_timeout(cx);
        if self.snd_wnd == 0 && self.send.board.lost_out > 0 {
            // The peer has taken its window back: what is sent again is a probe. A FIN alone needs
            // no window.
            self.start_persist(cx.now);
            self.flags |= TcbFlags::PROBE;
        } else {
            self.start_retransmission_timer(cx.now);
        }
    }

    /// The peer has not answered for too long: R2 of RFC 9293 §3.8.3.
    fn time_out(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        cx.counters.tcp_timed_out += 1;
        if self.state != State::SynSent {
            self.send_reset(shared, cx);
        }
        let unreachable = self.flags.contains(TcbFlags::UNREACHABLE);
        self.fail(if unreachable {
            Failure::Unreachable
        } else {
            Failure::TimedOut
        });
    }

    /// The window is too small to send: probe it from time to time (RFC 9293 §3.8.6.1).
    pub(super) fn start_persist(&mut self, now: Instant) {
        self.flags |= TcbFlags::PERSIST;
        self.stalled_since = Tick::moment(now);
        self.rtx_at = Tick::after(now, self.persist_interval());
    }

    /// The window is open, or there is nothing left to probe for.
    pub(super) fn stop_persist(&mut self) {
        if self.flags.contains(TcbFlags::PERSIST) {
            self.flags.remove(TcbFlags::PERSIST | TcbFlags::PROBE);
            self.rtx_at = Tick::NEVER;
            self.flags |= TcbFlags::OUTPUT;
        }
    }

    /// Doubles from the retransmission timeout to a minute.
    fn persist_interval(&self) -> Duration {
        self.rtt
            .rto()
            .saturating_mul(1 << self.retries.min(16))
            .min(MAX_RTO)
    }

    fn persist_timeout(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        let silent = self.stalled_since.until(cx.now) >= shared.params.user_timeout;
        let abandoned = self.flags.contains(TcbFlags::ORPHAN) && self.retries >= ORPHAN_PROBES;
        if silent || abandoned {
            self.time_out(shared, cx);
            return;
        }
        self.retries = self.retries.saturating_add(1);
        self.rtx_at = Tick::after(cx.now, self.persist_interval());
        self.flags |= TcbFlags::PROBE | TcbFlags::OUTPUT;
    }
}
