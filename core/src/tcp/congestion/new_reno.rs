//! The window of RFC 5681: in congestion avoidance one segment more for each window that was
//! acknowledged, counted in bytes (RFC 3465 §2.1), and half of it after a loss.

use super::slow_start::SlowStart;
use super::{Ack, CongestionControl, initial_window, share, starting_window};
use crate::time::Instant;

/// What a loss leaves of the flight: half (RFC 5681 §3.1, equation 4).
const BETA: (u64, u64) = (1, 2);
/// What a mark leaves of it (RFC 8511 §3): 4/5.
const BETA_ECN: (u64, u64) = (4, 5);

/// The algorithm's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct NewReno {
    cwnd: u32,
    ssthresh: u32,
    slow_start: SlowStart,
    /// cwnd and ssthresh before the last reduction; 0 when there is none to take back.
    prior_cwnd: u32,
    prior_ssthresh: u32,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    bytes_acked: u32,
}

impl NewReno {
    /// The state of a connection that another algorithm has brought to this window.
    pub(super) fn taking_over(smss: u32, cwnd: u32, ssthresh: u32) -> Self {
        Self {
            cwnd,
            ssthresh,
            ..Self::new(smss, false)
        }
    }

    /// The state of a new connection.
    pub(super) fn new(smss: u32, syn_was_lost: bool) -> Self {
        Self {
            cwnd: starting_window(smss, syn_was_lost),
            ssthresh: u32::MAX,
            slow_start: SlowStart::new(),
            prior_cwnd: 0,
            prior_ssthresh: 0,
            bytes_acked: 0,
        }
    }

    /// The new ssthresh. What limited transmit has sent beyond the window does not count
    /// (§3.2 step 2).
    fn reduce(&mut self, flight: u32, smss: u32, beta: (u64, u64)) {
        (self.prior_cwnd, self.prior_ssthresh) = (self.cwnd, self.ssthresh);
        self.ssthresh = share(flight.min(self.cwnd), beta).max(2 * smss);
        self.bytes_acked = 0;
    }
}

impl CongestionControl for NewReno {
    fn window(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, ack: &Ack) {
        if !ack.limited {
            return;
        }
        if self.cwnd < self.ssthresh {
            let step = self.slow_start.on_ack(ack, self.ssthresh == u32::MAX);
            self.cwnd = self.cwnd.saturating_add(step.growth).min(self.ssthresh);
            if step.ends {
                self.ssthresh = self.cwnd;
            }
            return;
        }
        self.slow_start.left();
        self.bytes_acked = self.bytes_acked.saturating_add(ack.acked);
        if self.bytes_acked >= self.cwnd {
            self.bytes_acked -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(ack.smss);
        }
    }

    fn on_congestion_event(&mut self, _now: Instant, flight: u32, smss: u32) {
        self.reduce(flight, smss, BETA);
        self.cwnd = self.ssthresh;
    }

    fn on_mark(&mut self, flight: u32, smss: u32) {
        self.reduce(flight, smss, BETA_ECN);
        self.cwnd = self.cwnd.min(self.ssthresh);
        self.prior_cwnd = 0;
    }

    fn on_recovered(&mut self, window: u32) {
        self.cwnd = self.ssthresh.min(window);
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32, smss: u32, first: bool) {
        if first {
            self.reduce(flight, smss, BETA);
        } else if self.prior_cwnd == 0 {
            // The mark's reduction stays, this one may turn out to be without a cause.
            (self.prior_cwnd, self.prior_ssthresh) = (self.cwnd, self.ssthresh);
        }
        self.cwnd = smss;
        self.slow_start.timed_out();
    }

    fn on_idle(&mut self, _now: Instant, smss: u32) {
        // RFC 5681 §4.1.
        self.cwnd = self.cwnd.min(initial_window(smss));
    }

    fn undo(&mut self, window: u32) {
        if self.prior_cwnd == 0 {
            return;
        }
        self.cwnd = self.cwnd.max(self.prior_cwnd.min(window));
        self.ssthresh = self.prior_ssthresh.max(self.prior_cwnd);
        self.prior_cwnd = 0;
        self.slow_start.left();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::seq::SeqNum;

    const SMSS: u32 = 1000;
    const NOW: Instant = Instant::ZERO;

    fn ack(acked: u32) -> Ack {
        Ack {
            now: NOW,
            acked,
            smss: SMSS,
            rtt: None,
            snd_una: SeqNum::new(acked),
            snd_nxt: SeqNum::new(acked),
            limited: true,
            paced: false,
        }
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_segment_per_window() {
        let mut reno = NewReno::new(SMSS, false);
        for _ in 0..10 {
            reno.on_ack(&ack(SMSS));
        }
        assert_eq!(reno.window(), 20 * SMSS);
        reno.on_congestion_event(NOW, 20 * SMSS, SMSS);
        reno.on_recovered(u32::MAX);
        assert_eq!((reno.window(), reno.ssthresh()), (10 * SMSS, 10 * SMSS));
        for _ in 0..10 {
            reno.on_ack(&ack(SMSS));
        }
        assert_eq!(reno.window(), 11 * SMSS);
    }

    #[test]
    fn dividing_an_acknowledgement_gains_nothing() {
        let (mut whole, mut divided) = (NewReno::new(SMSS, false), NewReno::new(SMSS, false));
        whole.on_ack(&ack(SMSS));
        (0..SMSS).for_each(|_| divided.on_ack(&ack(1)));
        assert_eq!(whole.window(), divided.window());
    }

    #[test]
    fn a_window_that_is_not_used_does_not_grow() {
        let mut reno = NewReno::new(SMSS, false);
        let unused = Ack {
            limited: false,
            ..ack(SMSS)
        };
        reno.on_ack(&unused);
        assert_eq!(reno.window(), 10 * SMSS);
        reno.on_congestion_event(NOW, 10 * SMSS, SMSS);
        (0..20).for_each(|_| reno.on_ack(&unused));
        assert_eq!(reno.window(), 5 * SMSS);
    }

    #[test]
    fn recovery_ends_at_ssthresh_or_below_if_it_asks_for_less() {
        let mut reno = NewReno::new(SMSS, false);
        // Two segments of limited transmit are on their way too.
        reno.on_congestion_event(NOW, 12 * SMSS, SMSS);
        assert_eq!((reno.ssthresh(), reno.window()), (5 * SMSS, 5 * SMSS));
        reno.on_recovered(3 * SMSS);
        assert_eq!((reno.ssthresh(), reno.window()), (5 * SMSS, 3 * SMSS));
        reno.on_recovered(u32::MAX);
        assert_eq!((reno.ssthresh(), reno.window()), (5 * SMSS, 5 * SMSS));
    }

    /// RFC 8511 §3.
    #[test]
    fn a_mark_leaves_four_fifths_at_least_two_segments_and_is_not_undone() {
        let mut reno = NewReno::new(SMSS, false);
        reno.on_mark(10 * SMSS, SMSS);
        assert_eq!((reno.window(), reno.ssthresh()), (8 * SMSS, 8 * SMSS));
        reno.undo(u32::MAX);
        assert_eq!(reno.window(), 8 * SMSS);
        (0..10).for_each(|_| reno.on_mark(reno.window(), SMSS));
        assert_eq!((reno.window(), reno.ssthresh()), (2 * SMSS, 2 * SMSS));
        // A timeout for what was marked reduces no further, and is undone down to the mark.
        reno.on_timeout(NOW, 2 * SMSS, SMSS, false);
        assert_eq!((reno.window(), reno.ssthresh()), (SMSS, 2 * SMSS));
        reno.on_mark(SMSS, SMSS);
        assert_eq!(reno.window(), SMSS, "a mark never opens the window");
        reno.on_timeout(NOW, SMSS, SMSS, false);
        reno.undo(u32::MAX);
        assert_eq!((reno.window(), reno.ssthresh()), (SMSS, 2 * SMSS));
    }

    #[test]
    fn a_timeout_restarts_from_one_segment_and_repeats_keep_ssthresh() {
        let mut reno = NewReno::new(SMSS, false);
        reno.on_timeout(NOW, 10 * SMSS, SMSS, true);
        reno.on_timeout(NOW, SMSS, SMSS, false);
        assert_eq!((reno.window(), reno.ssthresh()), (SMSS, 5 * SMSS));
        reno.on_ack(&ack(4 * SMSS));
        assert_eq!(reno.window(), 2 * SMSS);
    }

    #[test]
    fn a_reduction_is_undone_once_and_without_a_burst() {
        let mut reno = NewReno::new(SMSS, false);
        reno.undo(u32::MAX);
        assert_eq!(reno, NewReno::new(SMSS, false), "nothing to undo");
        reno.on_timeout(NOW, 10 * SMSS, SMSS, true);
        reno.on_timeout(NOW, SMSS, SMSS, false);
        reno.undo(4 * SMSS);
        assert_eq!((reno.window(), reno.ssthresh()), (4 * SMSS, u32::MAX));
        reno.undo(u32::MAX);
        assert_eq!(reno.window(), 4 * SMSS, "only once");
        reno.on_congestion_event(NOW, 4 * SMSS, SMSS);
        reno.undo(u32::MAX);
        assert_eq!((reno.window(), reno.ssthresh()), (4 * SMSS, u32::MAX));
    }
}
