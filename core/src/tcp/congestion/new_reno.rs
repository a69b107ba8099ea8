//! The window of RFC 5681 with the recovery of RFC 6582 (NewReno), an initial window of ten
//! segments (RFC 6928) and byte counting (RFC 3465).

use super::CongestionControl;
use crate::tcp::params::{
    DUP_ACK_THRESHOLD, INITIAL_WINDOW_BYTES, INITIAL_WINDOW_SEGMENTS, SLOW_START_LIMIT,
};

/// The algorithm's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct NewReno {
    cwnd: u32,
    ssthresh: u32,
    /// Bytes acknowledged in congestion avoidance since the window last grew.
    bytes_acked: u32,
    /// In slow start after a timeout, one acknowledgement opens the window by one segment
    /// (RFC 3465 §2.3).
    after_timeout: bool,
}

/// The initial window (RFC 6928 §2).
fn initial_window(smss: u32) -> u32 {
    (INITIAL_WINDOW_SEGMENTS * smss).min(INITIAL_WINDOW_BYTES.max(2 * smss))
}

impl NewReno {
    /// The state of a new connection. If its SYN or SYN-ACK was lost, it starts with one segment
    /// (RFC 5681 §3.1).
    pub(in crate::tcp) fn new(smss: u32, syn_was_lost: bool) -> Self {
        let cwnd = if syn_was_lost {
            smss
        } else {
            initial_window(smss)
        };
        Self {
            cwnd,
            ssthresh: u32::MAX,
            bytes_acked: 0,
            after_timeout: false,
        }
    }

    /// RFC 5681 §3.1, equation 4.
    fn reduce(&mut self, flight: u32, smss: u32) {
        self.ssthresh = (flight / 2).max(2 * smss);
    }
}

impl CongestionControl for NewReno {
    fn window(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, acked: u32, smss: u32) {
        if self.cwnd < self.ssthresh {
            let limit = if self.after_timeout {
                1
            } else {
                SLOW_START_LIMIT
            };
            self.cwnd = self
                .cwnd
                .saturating_add(acked.min(limit * smss))
                .min(self.ssthresh);
            return;
        }
        self.after_timeout = false;
        self.bytes_acked = self.bytes_acked.saturating_add(acked);
        if self.bytes_acked >= self.cwnd {
            self.bytes_acked -= self.cwnd;
            self.cwnd = self.cwnd.saturating_add(smss);
        }
    }

    fn on_fast_retransmit(&mut self, flight: u32, smss: u32) {
        self.reduce(flight, smss);
        self.cwnd = self.ssthresh + u32::from(DUP_ACK_THRESHOLD) * smss;
        self.bytes_acked = 0;
    }

    fn on_dup_ack(&mut self, smss: u32) {
        self.cwnd = self.cwnd.saturating_add(smss);
    }

    fn on_partial_ack(&mut self, acked: u32, smss: u32) {
        self.cwnd = self.cwnd.saturating_sub(acked);
        if acked >= smss {
            self.cwnd += smss;
        }
        self.cwnd = self.cwnd.max(smss);
    }

    fn on_recovered(&mut self, flight: u32, smss: u32) {
        // RFC 6582 §3.2 step 3, the first choice: no burst when little is on its way.
        self.cwnd = self.ssthresh.min(flight.max(smss).saturating_add(smss));
    }

    fn on_timeout(&mut self, flight: u32, smss: u32, first: bool) {
        if first {
            self.reduce(flight, smss);
        }
        self.cwnd = smss;
        self.bytes_acked = 0;
        self.after_timeout = true;
    }

    fn on_idle(&mut self, smss: u32) {
        // RFC 5681 §4.1.
        self.cwnd = self.cwnd.min(initial_window(smss));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMSS: u32 = 1000;

    #[test]
    fn the_initial_window_is_ten_segments_or_what_rfc_6928_allows() {
        assert_eq!(NewReno::new(1448, false).window(), 14_480);
        assert_eq!(NewReno::new(536, false).window(), 5_360);
        assert_eq!(NewReno::new(8_948, false).window(), 17_896);
        assert_eq!(NewReno::new(1448, true).window(), 1448);
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_segment_per_window() {
        let mut reno = NewReno::new(SMSS, false);
        for _ in 0..10 {
            reno.on_ack(SMSS, SMSS);
        }
        assert_eq!(reno.window(), 20 * SMSS);
        reno.on_fast_retransmit(20 * SMSS, SMSS);
        reno.on_recovered(20 * SMSS, SMSS);
        assert_eq!((reno.window(), reno.ssthresh()), (10 * SMSS, 10 * SMSS));
        for _ in 0..10 {
            reno.on_ack(SMSS, SMSS);
        }
        assert_eq!(reno.window(), 11 * SMSS);
    }

    #[test]
    fn dividing_an_acknowledgement_gains_nothing() {
        let (mut whole, mut divided) = (NewReno::new(SMSS, false), NewReno::new(SMSS, false));
        whole.on_ack(SMSS, SMSS);
        (0..SMSS).for_each(|_| divided.on_ack(1, SMSS));
        assert_eq!(whole.window(), divided.window());
    }

    #[test]
    fn recovery_inflates_deflates_and_ends_at_ssthresh() {
        let mut reno = NewReno::new(SMSS, false);
        reno.on_fast_retransmit(10 * SMSS, SMSS);
        assert_eq!((reno.ssthresh(), reno.window()), (5 * SMSS, 8 * SMSS));
        reno.on_dup_ack(SMSS);
        assert_eq!(reno.window(), 9 * SMSS);
        reno.on_partial_ack(3 * SMSS, SMSS);
        assert_eq!(reno.window(), 7 * SMSS);
        reno.on_recovered(2 * SMSS, SMSS);
        assert_eq!(reno.window(), 3 * SMSS);
    }

    #[test]
    fn a_timeout_restarts_from_one_segment_and_repeats_keep_ssthresh() {
        let mut reno = NewReno::new(SMSS, false);
        reno.on_timeout(10 * SMSS, SMSS, true);
        reno.on_timeout(SMSS, SMSS, false);
        assert_eq!((reno.window(), reno.ssthresh()), (SMSS, 5 * SMSS));
        reno.on_ack(4 * SMSS, SMSS);
        assert_eq!(reno.window(), 2 * SMSS);
    }
}
