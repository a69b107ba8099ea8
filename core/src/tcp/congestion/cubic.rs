//! CUBIC (RFC 9438): after a loss the window returns to where the loss was along a cubic function
//! of time, dwells there, and then probes for more, faster the longer nothing is lost.
//!
//! The RFC counts segments, seconds and fractions; here windows are bytes, times microseconds and
//! all arithmetic is that of integers, wide enough to lose nothing but the last byte.

use super::slow_start::SlowStart;
use super::{Ack, CongestionControl, initial_window, starting_window};
use crate::time::Instant;

/// β_cubic, what a congestion event leaves of the window (§4.6): 7/10.
const BETA: (u64, u64) = (7, 10);
/// (1 + β_cubic) / 2, the part of the window that is aimed at if it had not come back to W_max
/// (§4.7): 17/20.
const FAST_CONVERGENCE: (u64, u64) = (17, 20);
/// α_cubic of the Reno-friendly region, 3 (1 - β_cubic) / (1 + β_cubic) (§4.3): 9/17.
const ALPHA: (u64, u64) = (9, 17);
/// 1/C, where C is 0.4 segments/s³ (§5): 5/2, and cubic microseconds in a cubic second.
const ONE_OVER_C: (u128, u128) = (5, 2);
const CUBIC_SECOND: u128 = 1_000_000_000_000_000_000;

/// The place on the curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Epoch {
    /// W_max: the plateau of the curve; 0 if there was no congestion event that says where it is,
    /// then it is where congestion avoidance begins (§4.8, §4.10).
    w_max: u32,
    /// cwnd when ssthresh was last set.
    cwnd_prior: u32,
    /// K: time from the epoch's begin to the plateau.
    k: u32,
    /// Time since the epoch's begin in which the window was in use (§5.8).
    elapsed: u32,
    /// W_est: the window that Reno would have.
    w_est: u32,
    /// Congestion avoidance has begun, so K and W_est are set.
    begun: bool,
}

/// What a reduction replaced, so that it can be taken back (§4.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Undo {
    cwnd: u32,
    ssthresh: u32,
    epoch: Epoch,
}

/// The algorithm's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cubic {
    cwnd: u32,
    ssthresh: u32,
    slow_start: SlowStart,
    epoch: Epoch,
    /// Smoothed round-trip time, 0 if unknown.
    srtt: u32,
    /// When the last acknowledgement came.
    last_ack: Instant,
    /// Growth of cwnd that does not make a byte yet, in units of 1/cwnd.
    cwnd_fraction: u32,
    /// Growth of W_est that does not make a byte yet, in units of 1/(17 cwnd).
    w_est_fraction: u64,
    undo: Option<Undo>,
}

/// A share of a window.
fn share(window: u32, (numerator, denominator): (u64, u64)) -> u32 {
    u32::try_from(u64::from(window) * numerator / denominator).unwrap_or(u32::MAX)
}

/// The largest integer whose cube is not above `n`, of which the upper two bits are not looked at.
fn cube_root(n: u128) -> u64 {
    let mut root = 0u64;
    for bit in (0..42).rev() {
        let candidate = root | 1 << bit;
        let wide = u128::from(candidate);
        if wide * wide * wide <= n {
            root = candidate;
        }
    }
    root
}

/// K (§4.2, figure 2): the microseconds in which the curve climbs by `distance` bytes to its
/// plateau.
fn climb_time(distance: u32, smss: u32) -> u32 {
    let (numerator, denominator) = ONE_OVER_C;
    let scaled = u128::from(distance) * numerator * CUBIC_SECOND;
    let cube = scaled / (denominator * u128::from(smss.max(1)));
    u32::try_from(cube_root(cube)).unwrap_or(u32::MAX)
}

/// C t³ (§4.2, figure 1): the bytes by which the curve is away from its plateau, `micros` before
/// or after it.
fn height(micros: u64, smss: u32) -> u32 {
    let t = u128::from(micros);
    let (numerator, denominator) = ONE_OVER_C;
    // 34 bits cubed, two, and sixteen for the segment fit.
    let cube = t * t * t * denominator * u128::from(smss);
    u32::try_from(cube / (numerator * CUBIC_SECOND)).unwrap_or(u32::MAX)
}

impl Epoch {
    /// Congestion avoidance begins with the window `cwnd`.
    fn begin(&mut self, cwnd: u32, smss: u32) {
        self.w_max = self.w_max.max(cwnd);
        self.k = climb_time(self.w_max - cwnd, smss);
        self.elapsed = 0;
        self.w_est = cwnd;
        self.begun = true;
    }

    /// W_cubic(t) at `ahead` microseconds from now.
    fn w_cubic(&self, ahead: u32, smss: u32) -> u32 {
        let (t, k) = (
            u64::from(self.elapsed) + u64::from(ahead),
            u64::from(self.k),
        );
        let height = height(t.abs_diff(k), smss);
        if t < k {
            self.w_max.saturating_sub(height)
        } else {
            self.w_max.saturating_add(height)
        }
    }
}

impl Cubic {
    /// The state of a new connection.
    pub(super) fn new(smss: u32, syn_was_lost: bool) -> Self {
        Self {
            cwnd: starting_window(smss, syn_was_lost),
            ssthresh: u32::MAX,
            slow_start: SlowStart::new(),
            epoch: Epoch {
                w_max: 0,
                cwnd_prior: 0,
                k: 0,
                elapsed: 0,
                w_est: 0,
                begun: false,
            },
            srtt: 0,
            last_ack: Instant::ZERO,
            cwnd_fraction: 0,
            w_est_fraction: 0,
            undo: None,
        }
    }

    /// §4.6 and §4.8: the new ssthresh. What is on its way counts, but not what was sent before a
    /// timeout and not repeated yet.
    fn reduce(&mut self, flight: u32, smss: u32) {
        self.undo = Some(Undo {
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            epoch: self.epoch,
        });
        self.ssthresh = share(flight.min(self.cwnd), BETA).max(2 * smss);
        self.epoch.cwnd_prior = self.cwnd;
        self.epoch.begun = false;
    }

    fn avoid_congestion(&mut self, ack: &Ack, since_last: u32) {
        self.slow_start.left();
        let epoch = &mut self.epoch;
        if epoch.begun {
            // While the window is in use, acknowledgements come in every round trip. A longer gap
            // is a pause of the user, which is no time in which the window was found to fit (§5.8).
            let pause = self.srtt.saturating_mul(2).max(1);
            epoch.elapsed = epoch.elapsed.saturating_add(since_last.min(pause));
        } else {
            epoch.begin(self.cwnd, ack.smss);
            (self.cwnd_fraction, self.w_est_fraction) = (0, 0);
        }
        let cwnd = u64::from(self.cwnd.max(1));
        let acked = u64::from(ack.acked.min(self.cwnd));

        // §4.3, figure 4: α_cubic * segments_acked / cwnd.
        let (alpha, whole) = ALPHA;
        let alpha = if epoch.w_est >= epoch.cwnd_prior {
            whole
        } else {
            alpha
        };
        let grown = self
            .w_est_fraction
            .saturating_add(alpha * acked * u64::from(ack.smss));
        self.w_est_fraction = grown % (whole * cwnd);
        let growth = u32::try_from(grown / (whole * cwnd)).unwrap_or(u32::MAX);
        epoch.w_est = epoch.w_est.saturating_add(growth);

        if epoch.w_cubic(0, ack.smss) < epoch.w_est {
            self.cwnd = self.cwnd.max(epoch.w_est);
            return;
        }
        // §4.2, then (target - cwnd) / cwnd for each segment (§4.4, §4.5).
        let most = self.cwnd.saturating_add(self.cwnd / 2);
        let target = epoch.w_cubic(self.srtt, ack.smss).clamp(self.cwnd, most);
        let grown = u64::from(self.cwnd_fraction) + u64::from(target - self.cwnd) * acked;
        self.cwnd_fraction = u32::try_from(grown % cwnd).unwrap_or(0);
        let growth = u32::try_from(grown / cwnd).unwrap_or(u32::MAX);
        self.cwnd = self.cwnd.saturating_add(growth);
    }
}

impl CongestionControl for Cubic {
    fn window(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, ack: &Ack) {
        if let Some(rtt) = ack.rtt_micros() {
            self.srtt = match self.srtt {
                0 => rtt,
                srtt => srtt - srtt / 8 + rtt / 8,
            };
        }
        let since_last = super::micros(ack.now.saturating_since(self.last_ack));
        self.last_ack = ack.now;
        if !ack.limited {
            return;
        }
        if self.cwnd >= self.ssthresh {
            self.avoid_congestion(ack, since_last);
            return;
        }
        let step = self.slow_start.on_ack(ack, self.ssthresh == u32::MAX);
        self.cwnd = self.cwnd.saturating_add(step.growth).min(self.ssthresh);
        if step.ends {
            self.ssthresh = self.cwnd;
        }
    }

    fn on_congestion_event(&mut self, _now: Instant, flight: u32, smss: u32) {
        self.reduce(flight, smss);
        // §4.7.
        self.epoch.w_max = if self.cwnd < self.epoch.w_max {
            share(self.cwnd, FAST_CONVERGENCE)
        } else {
            self.cwnd
        };
        self.cwnd = self.ssthresh;
    }

    fn on_recovered(&mut self, window: u32) {
        self.cwnd = self.ssthresh.min(window);
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32, smss: u32, first: bool) {
        if first {
            self.reduce(flight, smss);
            self.epoch.w_max = 0;
        }
        self.cwnd = smss;
        self.slow_start.timed_out();
    }

    fn on_idle(&mut self, _now: Instant, smss: u32) {
        // RFC 5681 §4.1. Congestion avoidance begins anew once slow start is back at ssthresh.
        let window = initial_window(smss);
        if self.cwnd > window {
            self.cwnd = window;
            self.epoch.begun = false;
        }
    }

    fn undo(&mut self, window: u32) {
        let Some(undo) = self.undo.take() else {
            return;
        };
        self.cwnd = self.cwnd.max(undo.cwnd.min(window));
        self.ssthresh = undo.ssthresh.max(undo.cwnd);
        self.epoch = undo.epoch;
        self.slow_start.left();
    }
}
