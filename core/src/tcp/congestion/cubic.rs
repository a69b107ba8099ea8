//! CUBIC (RFC 9438): after a loss the window returns to where the loss was along a cubic function
//! of time, dwells there, and then probes for more, faster the longer nothing is lost.
//!
//! The RFC counts segments, seconds and fractions; here windows are bytes, times microseconds and
//! all arithmetic is that of integers, wide enough to lose nothing but the last byte.

use super::slow_start::SlowStart;
use super::{Ack, CongestionControl, initial_window, micros, share, starting_window};
use crate::time::Instant;

/// β_cubic, what a congestion event leaves of the window (§4.6): 7/10.
const BETA: (u64, u64) = (7, 10);
/// β_ecn, what a mark leaves of it (RFC 8511 §3.1): 17/20. The rest of the curve is that of β_cubic.
const BETA_ECN: (u64, u64) = (17, 20);
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
/// RFC 9293 §3.8.2 (MAY-18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Cubic {
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

    /// §4.6 and §4.8: the new ssthresh. What limited transmit has sent beyond the window does not
    /// count (RFC 5681 §3.2 step 2).
    fn reduce(&mut self, flight: u32, smss: u32, beta: (u64, u64)) {
        self.remember();
        self.ssthresh = share(flight.min(self.cwnd), beta).max(2 * smss);
        self.epoch.cwnd_prior = self.cwnd;
        self.epoch.begun = false;
    }

    /// What the next reduction may have to give back.
    fn remember(&mut self) {
        self.undo = Some(Undo {
            cwnd: self.cwnd,
            ssthresh: self.ssthresh,
            epoch: self.epoch,
        });
    }

    /// §4.7: where the curve's plateau will be.
    fn converge(&mut self) {
        self.epoch.w_max = if self.cwnd < self.epoch.w_max {
            share(self.cwnd, FAST_CONVERGENCE)
        } else {
            self.cwnd
        };
    }

    fn avoid_congestion(&mut self, ack: &Ack, since_last: u32) {
        self.slow_start.left();
        let epoch = &mut self.epoch;
        if epoch.begun {
            // While the window is in use, acknowledgements come in every round trip. A longer gap
            // is a pause of the user, which is no time in which the window was found to fit (§5.8).
            let pause = match self.srtt {
                0 => u32::MAX,
                srtt => srtt.saturating_mul(2),
            };
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
        let since_last = micros(ack.now.saturating_since(self.last_ack));
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
        self.reduce(flight, smss, BETA);
        self.converge();
        self.cwnd = self.ssthresh;
    }

    fn on_mark(&mut self, flight: u32, smss: u32) {
        self.reduce(flight, smss, BETA_ECN);
        self.converge();
        self.cwnd = self.cwnd.min(self.ssthresh);
        self.undo = None;
    }

    fn on_recovered(&mut self, window: u32) {
        self.cwnd = self.ssthresh.min(window);
    }

    fn on_timeout(&mut self, _now: Instant, flight: u32, smss: u32, first: bool) {
        if first {
            self.reduce(flight, smss, BETA);
            self.epoch.w_max = 0;
        } else if self.undo.is_none() {
            // The mark's reduction stays, this one may turn out to be without a cause.
            self.remember();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::seq::SeqNum;
    use core::time::Duration;

    const SMSS: u32 = 1448;
    const RTT: Duration = Duration::from_millis(100);

    fn ack(now: Instant, acked: u32) -> Ack {
        Ack {
            now,
            acked,
            smss: SMSS,
            rtt: Some(micros(RTT)),
            snd_una: SeqNum::new(0),
            snd_nxt: SeqNum::new(0),
            limited: true,
            paced: false,
        }
    }

    const fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// In congestion avoidance since `now`, after a loss at a window of `segments`.
    fn after_loss(now: Instant, segments: u32) -> Cubic {
        let mut cubic = Cubic::new(SMSS, false);
        cubic.cwnd = segments * SMSS;
        cubic.on_congestion_event(now, segments * SMSS, SMSS);
        cubic.on_recovered(u32::MAX);
        cubic.on_ack(&ack(now, 0));
        cubic
    }

    /// A round trip later: the whole window was acknowledged, segment by segment.
    fn round(cubic: &mut Cubic, now: &mut Instant, rtt: Duration) {
        let segments = cubic.window() / SMSS;
        for _ in 0..segments {
            *now = *now + rtt / segments;
            cubic.on_ack(&Ack {
                rtt: Some(micros(rtt)),
                ..ack(*now, SMSS)
            });
        }
    }

    #[test]
    fn cube_roots_are_exact() {
        let cube = |n: u64| u128::from(n) * u128::from(n) * u128::from(n);
        let mut root = 1u64;
        for step in 0..2_000u64 {
            assert_eq!(cube_root(cube(root)), root);
            assert_eq!(cube_root(cube(root) - 1), root - 1);
            assert_eq!(cube_root(cube(root + 1) - 1), root);
            root = (root + root / 75 + step) % (1 << 42) + 1;
        }
        assert_eq!(cube_root(0), 0);
        assert_eq!(cube_root(u128::MAX), (1 << 42) - 1);
    }

    /// §4.2, figures 1 and 2, against floating point.
    #[test]
    fn the_curve_is_that_of_the_rfc_to_the_byte() {
        for smss in [216, 536, 1448, 8_948, 65_495] {
            for segments in [2u32, 3, 10, 77, 862, 10_000, 65_000] {
                let w_max = segments * smss;
                let cwnd = share(w_max, BETA);
                let mut epoch = after_loss(Instant::ZERO, 2).epoch;
                epoch.w_max = w_max;
                epoch.begin(cwnd, smss);
                let (mss, top) = (f64::from(smss), f64::from(w_max));
                let k = ((top - f64::from(cwnd)) / mss / 0.4).cbrt();
                assert!((f64::from(epoch.k) / 1e6 - k).abs() < 2e-6, "K {k}");
                for elapsed in (0u32..60_000_000).step_by(777_777) {
                    epoch.elapsed = elapsed;
                    let t = f64::from(elapsed) / 1e6;
                    let expected = 0.4 * (t - f64::from(epoch.k) / 1e6).powi(3) * mss + top;
                    let got = f64::from(epoch.w_cubic(0, smss));
                    let expected = expected.clamp(0.0, f64::from(u32::MAX));
                    assert!((got - expected).abs() <= 1.0, "{got} {expected}");
                }
                epoch.elapsed = 0;
                // K is rounded to a microsecond, in which a steep curve climbs some bytes.
                let slack = 2 + w_max / 1_000_000;
                assert!(epoch.w_cubic(0, smss).abs_diff(cwnd) <= slack, "W_cubic(0)");
            }
        }
    }

    /// The algorithm of §4.2 to §4.5 as the RFC writes it.
    struct Model {
        cwnd: f64,
        w_max: f64,
        k: f64,
        w_est: f64,
        cwnd_prior: f64,
        begin: f64,
    }

    impl Model {
        fn on_ack(&mut self, now: f64, segments_acked: f64, rtt: f64) {
            let w_cubic = |t: f64| 0.4 * (t - self.k).powi(3) + self.w_max;
            let t = now - self.begin;
            let alpha = if self.w_est >= self.cwnd_prior {
                1.0
            } else {
                3.0 * (1.0 - 0.7) / (1.0 + 0.7)
            };
            self.w_est += alpha * segments_acked / self.cwnd;
            if w_cubic(t) < self.w_est {
                self.cwnd = self.cwnd.max(self.w_est);
                return;
            }
            let target = w_cubic(t + rtt).clamp(self.cwnd, 1.5 * self.cwnd);
            self.cwnd += segments_acked * (target - self.cwnd) / self.cwnd;
        }
    }

    #[test]
    fn the_window_follows_a_model_in_floating_point() {
        for (rtt_ms, segments) in [(1, 20u32), (10, 50), (100, 40), (100, 900), (300, 5_000)] {
            let rtt = Duration::from_millis(rtt_ms);
            let seconds = rtt.as_secs_f64();
            let mut cubic = after_loss(Instant::ZERO, segments);
            cubic.srtt = micros(rtt);
            let top = f64::from(segments);
            let cwnd = f64::from(cubic.cwnd) / f64::from(SMSS);
            let mut model = Model {
                cwnd,
                w_max: top,
                k: ((top - cwnd) / 0.4).cbrt(),
                w_est: cwnd,
                cwnd_prior: top,
                begin: 0.0,
            };
            let mut now = 0;
            for _ in 0..30_000_000 / rtt.as_micros().max(5_000) {
                for _ in 0..10 {
                    now += u64::try_from(rtt.as_nanos()).unwrap() / 10;
                    let acked = cubic.window() / 10;
                    cubic.on_ack(&Ack {
                        rtt: Some(micros(rtt)),
                        ..ack(Instant::from_nanos(now), acked)
                    });
                    let now = Duration::from_nanos(now).as_secs_f64();
                    model.on_ack(now, f64::from(acked) / f64::from(SMSS), seconds);
                    let (got, expected) = (f64::from(cubic.cwnd) / f64::from(SMSS), model.cwnd);
                    assert!(
                        (got - expected).abs() < 0.02 + expected * 1e-4,
                        "{rtt_ms} ms {segments}: {got} {expected} at {now}"
                    );
                }
            }
            assert!(cubic.cwnd > segments * SMSS, "it has passed W_max");
        }
    }

    /// §4.6.
    #[test]
    fn a_loss_leaves_seven_tenths_of_what_was_on_its_way() {
        let mut cubic = Cubic::new(SMSS, false);
        cubic.cwnd = 90 * SMSS;
        // Two segments of limited transmit are on their way too.
        cubic.on_congestion_event(ms(0), 92 * SMSS, SMSS);
        assert_eq!((cubic.ssthresh(), cubic.window()), (63 * SMSS, 63 * SMSS));
        cubic.on_recovered(10 * SMSS);
        assert_eq!((cubic.ssthresh(), cubic.window()), (63 * SMSS, 10 * SMSS));
        cubic.on_recovered(u32::MAX);
        assert_eq!(cubic.window(), 63 * SMSS);
        (0..20).for_each(|_| cubic.on_congestion_event(ms(0), 0, SMSS));
        assert_eq!(cubic.window(), 2 * SMSS, "two segments at least");
    }

    /// §4.7.
    #[test]
    fn who_lost_before_it_was_back_aims_lower() {
        let mut cubic = after_loss(ms(0), 100);
        assert_eq!(cubic.epoch.w_max, 100 * SMSS);
        cubic.on_congestion_event(ms(0), cubic.cwnd, SMSS);
        assert_eq!(cubic.epoch.w_max, 70 * SMSS * 17 / 20);
        cubic.cwnd = 80 * SMSS;
        cubic.on_congestion_event(ms(0), cubic.cwnd, SMSS);
        assert_eq!(cubic.epoch.w_max, 80 * SMSS, "it was back");
    }

    /// §4.3: on short round trips the window is Reno's, with 9/17 of a segment per round trip
    /// until it is back where it was, then one.
    #[test]
    fn where_reno_would_be_faster_the_window_is_reno_s() {
        let rtt = Duration::from_millis(1);
        let mut now = ms(0);
        let mut cubic = after_loss(now, 40);
        cubic.srtt = micros(rtt);
        let start = cubic.window();
        assert_eq!(start, 28 * SMSS);
        (0..17).for_each(|_| round(&mut cubic, &mut now, rtt));
        let gained = cubic.window() - start;
        assert!(gained.abs_diff(9 * SMSS) < SMSS / 2, "{gained}");
        while cubic.window() < 40 * SMSS {
            round(&mut cubic, &mut now, rtt);
        }
        let start = cubic.window();
        (0..5).for_each(|_| round(&mut cubic, &mut now, rtt));
        let gained = cubic.window() - start;
        assert!(gained.abs_diff(5 * SMSS) < SMSS / 2, "{gained}");
    }

    /// §4.2: at most by half in a round trip.
    #[test]
    fn the_target_is_at_most_half_above_the_window() {
        let mut now = ms(0);
        let mut cubic = after_loss(now, 10);
        cubic.epoch.elapsed = 600_000_000;
        let start = cubic.window();
        round(&mut cubic, &mut now, RTT);
        let grown = cubic.window() - start;
        // Each acknowledgement adds half of what it acknowledged.
        assert!(grown.abs_diff(start / 2) < 8, "{grown} {start}");
    }

    /// §5.8.
    #[test]
    fn time_and_acknowledgements_of_an_unused_window_do_not_count() {
        let mut now = ms(0);
        let mut cubic = after_loss(now, 500);
        (0..5).for_each(|_| round(&mut cubic, &mut now, RTT));
        let before = cubic;
        // A minute in which the user sends little.
        for _ in 0..600 {
            now = now + RTT;
            cubic.on_ack(&Ack {
                limited: false,
                ..ack(now, SMSS)
            });
        }
        assert_eq!((cubic.cwnd, cubic.epoch), (before.cwnd, before.epoch));
        // And one in which nothing is sent, but the window is used at once afterwards.
        now = now + Duration::from_secs(60);
        cubic.on_ack(&ack(now, SMSS));
        let counted = cubic.epoch.elapsed - before.epoch.elapsed;
        assert!(counted <= 200_000, "{counted}");
        assert!(cubic.cwnd - before.cwnd < SMSS);
    }

    /// §4.8.
    #[test]
    fn after_a_timeout_the_curve_starts_at_its_plateau() {
        let mut cubic = after_loss(ms(0), 100);
        cubic.on_timeout(ms(0), 70 * SMSS, SMSS, true);
        assert_eq!((cubic.window(), cubic.ssthresh()), (SMSS, 49 * SMSS));
        cubic.on_timeout(ms(0), SMSS, SMSS, false);
        assert_eq!((cubic.window(), cubic.ssthresh()), (SMSS, 49 * SMSS));
        while cubic.window() < cubic.ssthresh() {
            let before = cubic.window();
            cubic.on_ack(&ack(ms(100), 4 * SMSS));
            assert_eq!(cubic.window(), before + SMSS, "RFC 3465 §2.3");
        }
        cubic.on_ack(&ack(ms(200), SMSS));
        let epoch = cubic.epoch;
        assert_eq!((epoch.w_max, epoch.k), (49 * SMSS, 0));
    }

    /// §4.10.
    #[test]
    fn when_slow_start_ends_without_a_loss_the_curve_starts_at_its_plateau() {
        let mut cubic = Cubic::new(SMSS, false);
        cubic.ssthresh = cubic.cwnd;
        cubic.on_ack(&ack(ms(0), SMSS));
        let epoch = cubic.epoch;
        assert_eq!((epoch.w_max, epoch.k), (10 * SMSS, 0));
        assert!(epoch.w_est < 11 * SMSS && cubic.cwnd < 11 * SMSS);
    }

    /// §4.9.1 and §4.9.2.
    #[test]
    fn a_reduction_without_a_cause_is_taken_back_with_the_place_on_the_curve() {
        let mut now = ms(0);
        let mut cubic = after_loss(now, 100);
        (0..10).for_each(|_| round(&mut cubic, &mut now, RTT));
        let before = cubic;
        let same = |cubic: &Cubic| {
            (cubic.cwnd, cubic.epoch) == (before.cwnd, before.epoch)
                && cubic.ssthresh() <= cubic.window()
        };
        cubic.on_congestion_event(now, cubic.cwnd, SMSS);
        assert!(!same(&cubic));
        cubic.undo(u32::MAX);
        assert!(same(&cubic));
        cubic.on_timeout(now, cubic.cwnd, SMSS, true);
        cubic.on_timeout(now, SMSS, SMSS, false);
        cubic.undo(u32::MAX);
        assert!(same(&cubic));
        cubic.undo(u32::MAX);
        assert!(same(&cubic), "there is nothing more to take back");
        // With little on its way, slow start leads back without a burst (RFC 4015 §3.2).
        cubic.on_timeout(now, cubic.cwnd, SMSS, true);
        cubic.undo(20 * SMSS);
        assert_eq!(cubic.window(), 20 * SMSS);
        assert!(cubic.ssthresh() >= before.cwnd);
    }

    #[test]
    fn the_restart_window_is_the_initial_one_and_slow_start_leads_back() {
        let mut now = ms(0);
        let mut cubic = after_loss(now, 100);
        (0..10).for_each(|_| round(&mut cubic, &mut now, RTT));
        cubic.on_idle(now, SMSS);
        assert_eq!((cubic.window(), cubic.ssthresh()), (10 * SMSS, 70 * SMSS));
        while cubic.window() < cubic.ssthresh() {
            assert!(!cubic.epoch.begun);
            cubic.on_ack(&ack(now, SMSS));
        }
        cubic.on_ack(&ack(now, SMSS));
        assert_eq!((cubic.epoch.w_max, cubic.epoch.elapsed), (100 * SMSS, 0));
        cubic.cwnd = 3 * SMSS;
        cubic.on_idle(now, SMSS);
        assert_eq!(cubic.window(), 3 * SMSS, "never more than before");
    }

    #[test]
    fn slow_start_ends_by_hystart_in_the_first_slow_start_only() {
        let mut cubic = Cubic::new(SMSS, false);
        let mut una = 0;
        let mut slow = |cubic: &mut Cubic| {
            let start = cubic.window();
            for n in 0..1_000u32 {
                una += SMSS;
                let rtt = Duration::from_millis(u64::from(100 + n / 2));
                cubic.on_ack(&Ack {
                    rtt: Some(micros(rtt)),
                    snd_una: SeqNum::new(una),
                    snd_nxt: SeqNum::new(una + cubic.window()),
                    ..ack(ms(0), SMSS)
                });
            }
            cubic.window() - start
        };
        let gained = slow(&mut cubic);
        assert_eq!(cubic.ssthresh(), cubic.epoch.w_max, "no loss was needed");
        assert!(gained < 500 * SMSS, "{gained}");
        cubic.on_timeout(ms(0), 0, SMSS, true);
        cubic.ssthresh = 2_000 * SMSS;
        let gained = slow(&mut cubic);
        assert_eq!((gained, cubic.ssthresh()), (1_000 * SMSS, 2_000 * SMSS));
    }

    #[test]
    fn nothing_overflows_at_the_limits_of_the_types() {
        let huge = Ack {
            acked: u32::MAX,
            smss: u32::from(u16::MAX),
            rtt: Some(u32::MAX),
            ..ack(Instant::FAR_FUTURE, 0)
        };
        let mut cubic = Cubic::new(huge.smss, false);
        for n in 0..100_000u64 {
            cubic.on_ack(&Ack {
                now: Instant::from_nanos(n << 46),
                ..huge
            });
            if n % 1_000 == 1 {
                cubic.on_congestion_event(huge.now, u32::MAX, huge.smss);
            }
        }
        cubic.on_recovered(0);
        cubic.on_ack(&huge);
        cubic.on_idle(huge.now, huge.smss);
        cubic.undo(u32::MAX);
        assert!(cubic.window() > 0);
    }

    /// RFC 8511 §3.1, RFC 9438 §4.7.
    #[test]
    fn a_mark_leaves_17_parts_of_20_and_is_not_undone() {
        let mut cubic = Cubic::new(SMSS, false);
        cubic.cwnd = 100 * SMSS;
        cubic.on_mark(100 * SMSS, SMSS);
        assert_eq!((cubic.window(), cubic.ssthresh()), (85 * SMSS, 85 * SMSS));
        assert_eq!(cubic.epoch.w_max, 100 * SMSS);
        cubic.undo(u32::MAX);
        assert_eq!(cubic.window(), 85 * SMSS);
        // Before it is back at the plateau: the next one is lower.
        cubic.on_mark(85 * SMSS, SMSS);
        assert_eq!(cubic.epoch.w_max, 85 * SMSS * 17 / 20);
        (0..30).for_each(|_| cubic.on_mark(cubic.window(), SMSS));
        assert_eq!((cubic.window(), cubic.ssthresh()), (2 * SMSS, 2 * SMSS));
        // A timeout for what was marked can be undone, the mark cannot.
        cubic.on_timeout(ms(0), 2 * SMSS, SMSS, false);
        assert_eq!((cubic.window(), cubic.ssthresh()), (SMSS, 2 * SMSS));
        cubic.undo(u32::MAX);
        assert_eq!((cubic.window(), cubic.ssthresh()), (2 * SMSS, 2 * SMSS));
    }
}
