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
        if self.idle_at.is_due(cx.now) && self.idle_timeout(shared, cx) {
            return;
        }
        if self.flags.contains(TcbFlags::USER_TIMEOUT) && self.gives_up_at(shared).is_due(cx.now) {
            self.time_out(shared, cx);
            return;
        }
        self.pacing_expired(cx.now);
        if self.loss_at.is_due(cx.now) {
            if self.flags.contains(TcbFlags::TLP_TIMER) {
                self.claim_is_true_if_late(shared, cx);
            }
            if self.loss_at.is_set() {
                self.loss_timer_expired(shared, cx);
            }
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

    /// RFC 9293 §3.8.3 (MUST-22).
    fn retransmission_timeout(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        if matches!(self.state, State::SynSent | State::SynReceived) {
            let most = if self.answers_early() {
                shared.params.syn_ack_retries
            } else {
                shared.params.syn_retries
            };
            if self.retries >= most {
                self.time_out(shared, cx);
                return;
            }
            let fast_open = self.flags.contains(TcbFlags::FAST_OPEN);
            if self.state == State::SynSent && fast_open && self.retries == 0 {
                cx.counters.tcp_fast_open_lost += 1;
                shared.fast_open.failed(cx.now, self.key.remote);
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
        if self.stalled_since.until(cx.now) >= self.patience(shared) {
            self.time_out(shared, cx);
            return;
        }
        self.lost_by_timeout(cx);
        self.size_may_be_the_cause(shared, cx);
        let lost = self.send.board.lost_out > 0 || self.flags.contains(TcbFlags::FIN_LOST);
        if self.snd_wnd == 0 && lost {
            // The peer has taken its window back, or keeps a FIN out, which goes without one: what
            // is sent again is a probe.
            self.start_persist(cx.now);
            self.flags |= TcbFlags::PROBE;
        } else {
            self.start_retransmission_timer(cx.now);
        }
    }

    /// How long the peer may leave data unacknowledged.
    fn patience(&self, shared: &Shared) -> Duration {
        let own = self.settings(shared).user_timeout();
        own.unwrap_or(shared.params.user_timeout)
    }

    /// When a connection with a limit of its own has waited long enough for an answer
    /// (RFC 9293 §3.8.3, RFC 5482 §3).
    pub(super) fn gives_up_at(&self, shared: &Shared) -> Tick {
        let settings = self.settings(shared);
        let limit = match self.state {
            State::SynSent | State::SynReceived => settings.handshake_timeout(),
            _ => settings.user_timeout(),
        };
        // Not before something is under way, and so no time since when there is nothing.
        limit.map_or(Tick::NEVER, |limit| self.stalled_since.plus(limit))
    }

    /// Starts the timer of an idle connection over, if its settings want one.
    pub(super) fn restart_idle_timer(&mut self, shared: &Shared, now: Instant) {
        let keepalive = self.settings(shared).keepalive();
        self.keepalives = 0;
        self.idle_at = match keepalive {
            Some(keepalive) if self.may_be_probed() => Tick::after(now, keepalive.idle),
            _ => Tick::NEVER,
        };
    }

    /// Whether the connection is one that is probed when nothing arrives.
    fn may_be_probed(&self) -> bool {
        let open = !matches!(
            self.state,
            State::Closed | State::Listen | State::SynSent | State::SynReceived | State::TimeWait
        );
        open && !self.flags.contains(TcbFlags::ORPHAN)
    }

    /// Something has arrived from the peer of a connection with probes.
    #[cold]
    pub(super) fn heard(&mut self, shared: &Shared, now: Instant) {
        if !self.flags.contains(TcbFlags::ORPHAN) {
            self.flags
                .remove(TcbFlags::KEEPALIVE_DUE | TcbFlags::UNREACHABLE);
            if !self.flags.contains(TcbFlags::CORK_WAIT) {
                self.restart_idle_timer(shared, now);
            }
        }
    }

    /// `idle_at` has come. Whether the connection has ended by it.
    #[cold]
    fn idle_timeout(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> bool {
        if self.flags.contains(TcbFlags::CORK_WAIT) {
            self.flags.remove(TcbFlags::CORK_WAIT);
            self.flags |= TcbFlags::PUSH | TcbFlags::OUTPUT;
            self.restart_idle_timer(shared, cx.now);
            return false;
        }
        if self.flags.contains(TcbFlags::ORPHAN) {
            cx.counters.tcp_fin_wait_2_timeouts += 1;
            self.state = State::Closed;
            return true;
        }
        self.keepalive_timeout(shared, cx)
    }

    /// Nothing has arrived for a while: asks the peer whether it is there, or ends the connection
    /// because it was asked often enough (RFC 9293 §3.8.4).
    /// RFC 9293 §3.8.4 (MAY-5, MUST-29, SHLD-12).
    fn keepalive_timeout(&mut self, shared: &mut Shared, cx: &mut Context<'_>) -> bool {
        self.idle_at = Tick::NEVER;
        let Some(keepalive) = self.settings(shared).keepalive() else {
            return false;
        };
        if self.flight() > 0 || self.flags.contains(TcbFlags::PERSIST) {
            // What is under way asks the same question (MUST-26).
            self.restart_idle_timer(shared, cx.now);
            return false;
        }
        if self.keepalives == 0 {
            self.probed_since = Tick::moment(cx.now);
        }
        let probed = self.probed_since.until(cx.now);
        let left = match self.settings(shared).user_timeout() {
            Some(limit) => limit.saturating_sub(keepalive.idle + probed),
            None if self.keepalives >= keepalive.count => Duration::ZERO,
            None => Duration::MAX,
        };
        if self.keepalives > 0 && left.is_zero() {
            self.time_out(shared, cx);
            return true;
        }
        self.keepalives = self.keepalives.saturating_add(1);
        let wait = if left.is_zero() {
            keepalive.interval
        } else {
            keepalive.interval.min(left)
        };
        self.idle_at = Tick::after(cx.now, wait);
        self.flags |= TcbFlags::KEEPALIVE_DUE | TcbFlags::OUTPUT;
        false
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
        if self.answers_early() {
            // The timer is that of the SYN-ACK; its acknowledgement brings a window.
            return;
        }
        self.flags |= TcbFlags::PERSIST;
        // Nothing is on its way, and the window may stay closed for so long that times wrap.
        self.rack.restart();
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
    /// RFC 9293 §3.8.6.1 (SHLD-29, SHLD-30).
    fn persist_interval(&self) -> Duration {
        self.rtt
            .rto()
            .saturating_mul(1 << self.retries.min(16))
            .min(MAX_RTO)
    }

    /// Whether the peer has kept its window closed for longer than it may (RFC 6429 §4): it answers
    /// every probe, so that would last for ever (RFC 9293 §3.8.6.1, MUST-37).
    fn holds_without_need(&self, shared: &Shared, cx: &mut Context<'_>) -> bool {
        let allowed = shared.params.zero_window_timeout;
        let may = if shared.budget.is_short() {
            let patience = self.patience(shared);
            Some(patience.min(allowed.unwrap_or(patience)))
        } else {
            allowed
        };
        let too_long = may.is_some_and(|may| self.progress_at.until(cx.now) >= may);
        if too_long {
            cx.counters.tcp_zero_window_reaped += 1;
        }
        too_long
    }

    /// RFC 9293 §3.8.6 (SHLD-17), §3.8.6.1 (MUST-37).
    fn persist_timeout(&mut self, shared: &mut Shared, cx: &mut Context<'_>) {
        let silent = self.stalled_since.until(cx.now) >= self.patience(shared);
        let abandoned = self.flags.contains(TcbFlags::ORPHAN) && self.retries >= ORPHAN_PROBES;
        if silent || abandoned || self.holds_without_need(shared, cx) {
            self.time_out(shared, cx);
            return;
        }
        self.retries = self.retries.saturating_add(1);
        self.rtx_at = Tick::after(cx.now, self.persist_interval());
        self.flags |= TcbFlags::PROBE | TcbFlags::OUTPUT;
    }
}
