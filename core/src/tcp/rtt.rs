//! Round-trip time and retransmission timeout (RFC 6298).

use super::params::{INITIAL_RTO, MAX_RTO, MIN_RTO, RTO_AFTER_LOST_SYN};
use crate::time::Instant;
use core::time::Duration;

/// G of RFC 6298 §2 in microseconds: a tick of the timers.
const GRANULARITY: u32 = 1_000;

/// SRTT, RTTVAR and RTO of a connection, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RttEstimator {
    /// Smoothed round-trip time; 0 before the first measurement.
    srtt: u32,
    rttvar: u32,
    /// Without backoff; within the bounds of `params`.
    rto: u32,
    /// How often the timer expired since the last acknowledgement: the timeout doubles each time.
    backoff: u8,
}

/// What counts at most, in microseconds: an hour.
const LONGEST: u32 = 3_600_000_000;

#[allow(
    clippy::cast_possible_truncation,
    reason = "an hour of microseconds fits"
)]
fn micros(duration: Duration) -> u32 {
    duration.as_micros().min(LONGEST.into()) as u32
}

impl RttEstimator {
    pub(super) fn new() -> Self {
        Self {
            srtt: 0,
            rttvar: 0,
            rto: micros(INITIAL_RTO),
            backoff: 0,
        }
    }

    /// Takes a measurement (§2.2 and §2.3). The caller keeps Karn's rule: none from a segment that
    /// was sent twice (§3).
    pub(super) fn sample(&mut self, rtt: Duration) {
        self.sample_micros(micros(rtt));
    }

    /// [`RttEstimator::sample`] in microseconds.
    pub(super) fn sample_micros(&mut self, rtt: u32) {
        let r = rtt.clamp(1, LONGEST);
        if self.srtt == 0 {
            self.srtt = r;
            self.rttvar = r / 2;
        } else {
            self.rttvar = self.rttvar - self.rttvar / 4 + self.srtt.abs_diff(r) / 4;
            self.srtt = (self.srtt - self.srtt / 8 + r / 8).max(1);
        }
        self.set_rto();
    }

    /// Takes the first measurement of new data after a timeout without a cause: the path is slower
    /// than the estimator knows, which would take many measurements to learn it (RFC 4015 §3.2
    /// step 9, adapting the timer's conservativeness). Its SRTT_prev and RTTVAR_prev are what the
    /// estimator has: nothing was timed since the timeout.
    #[cold]
    pub(super) fn seed_again(&mut self, rtt: Duration) {
        let r = micros(rtt).max(1);
        self.srtt = self.srtt.saturating_add(2 * GRANULARITY).max(r);
        self.rttvar = self.rttvar.max(r / 2);
        self.set_rto();
    }

    fn set_rto(&mut self) {
        // The floor is one of the variation, not of the sum: on a long and steady path RTTVAR tends
        // to zero, and the first delayed acknowledgement would look like a loss.
        let variation = self.rttvar.saturating_mul(4).max(micros(MIN_RTO));
        self.rto = self.srtt.saturating_add(variation).min(micros(MAX_RTO));
        self.backoff = 0;
    }

    /// The handshake had to be repeated: without a measurement, data starts with 3 s (§5.7).
    pub(super) fn syn_was_lost(&mut self) {
        if self.srtt == 0 {
            self.rto = micros(RTO_AFTER_LOST_SYN);
        }
        self.backoff = 0;
    }

    /// The smoothed round-trip time, once there is a measurement.
    #[cfg(test)]
    pub(super) fn srtt(&self) -> Option<Duration> {
        (self.srtt != 0).then(|| Duration::from_micros(u64::from(self.srtt)))
    }

    /// The smoothed round-trip time in microseconds; 0 before there is a measurement.
    pub(super) fn srtt_micros(&self) -> u32 {
        self.srtt
    }

    /// RTTVAR in microseconds.
    pub(super) fn rttvar_micros(&self) -> u32 {
        self.rttvar
    }

    /// The timeout to use now, backoff included.
    pub(super) fn rto(&self) -> Duration {
        Duration::from_micros(self.rto_micros())
    }

    /// [`RttEstimator::rto`] in microseconds.
    pub(super) fn rto_micros(&self) -> u64 {
        const MAX: u64 = MAX_RTO.as_secs() * 1_000_000;
        (u64::from(self.rto) << self.backoff.min(16)).min(MAX)
    }

    /// When a timer that starts at `start` expires: [`RttEstimator::rto`] later.
    pub(super) fn expiry(&self, start: Instant) -> Instant {
        Instant::from_nanos(start.as_nanos().saturating_add(self.rto_micros() * 1_000))
    }

    /// The timer expired (§5.5).
    pub(super) fn back_off(&mut self) {
        self.backoff = self.backoff.saturating_add(1);
    }

    /// New data was acknowledged, so the timer has not expired for what comes next. Without a
    /// measurement the timeout stays as long as it has become: Karn's algorithm
    /// (RFC 9293 §3.8.1 MUST-18, RFC 6298 §5).
    pub(super) fn keep_backoff(&mut self) {
        if self.backoff > 0 {
            self.rto = micros(self.rto());
            self.backoff = 0;
        }
    }

    /// How often the timer expired in a row.
    pub(super) fn backoff(&self) -> u8 {
        self.backoff
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn starts_at_one_second_and_doubles_up_to_a_minute() {
        let mut rtt = RttEstimator::new();
        let mut seen = std::vec::Vec::new();
        for _ in 0..9 {
            seen.push(rtt.rto().as_secs());
            rtt.back_off();
        }
        assert_eq!(seen, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        (0..300).for_each(|_| rtt.back_off());
        assert_eq!(rtt.rto(), MAX_RTO);
        rtt.keep_backoff();
        assert_eq!((rtt.rto(), rtt.backoff()), (MAX_RTO, 0));
        rtt.sample(ms(2_500));
        assert_eq!((rtt.rto(), rtt.srtt()), (ms(7_500), Some(ms(2_500))));
    }

    #[test]
    fn first_and_second_measurement_follow_rfc_6298() {
        let mut rtt = RttEstimator::new();
        rtt.sample(ms(400));
        // SRTT = 400, RTTVAR = 200, RTO = 400 + 4 * 200
        assert_eq!((rtt.srtt(), rtt.rto()), (Some(ms(400)), ms(1200)));
        rtt.sample(ms(480));
        // RTTVAR = 3/4 * 200 + 1/4 * 80 = 170, SRTT = 7/8 * 400 + 1/8 * 480 = 410
        assert_eq!((rtt.srtt(), rtt.rto()), (Some(ms(410)), ms(1090)));
    }

    /// RFC 4015 §3.2.
    #[test]
    fn after_a_timeout_without_a_cause_one_measurement_makes_the_timer_patient() {
        let mut rtt = RttEstimator::new();
        (0..50).for_each(|_| rtt.sample(ms(40)));
        rtt.back_off();
        let mut ordinary = rtt;
        ordinary.sample(ms(400));
        assert!(ordinary.rto() < ms(500), "{:?}", ordinary.rto());
        rtt.seed_again(ms(400));
        assert_eq!((rtt.srtt(), rtt.rto()), (Some(ms(400)), ms(1_200)));
        assert_eq!(rtt.backoff(), 0);
        // A quick answer does not make it less patient than before.
        rtt.seed_again(ms(10));
        assert_eq!((rtt.srtt(), rtt.rto()), (Some(ms(402)), ms(1_202)));
    }

    #[test]
    fn the_timeout_stays_within_its_bounds() {
        let mut rtt = RttEstimator::new();
        (0..100).for_each(|_| rtt.sample(Duration::from_nanos(1)));
        assert_eq!(rtt.rto(), MIN_RTO + Duration::from_micros(1));
        (0..100).for_each(|_| rtt.sample(Duration::from_secs(1_000_000)));
        assert_eq!(rtt.rto(), MAX_RTO);
    }

    #[test]
    fn a_long_steady_path_leaves_room_for_a_delayed_acknowledgement() {
        let mut rtt = RttEstimator::new();
        (0..100).for_each(|_| rtt.sample(ms(300)));
        assert_eq!(rtt.rto(), ms(500));
    }

    #[test]
    fn after_a_lost_syn_data_starts_with_three_seconds_unless_measured() {
        let mut rtt = RttEstimator::new();
        rtt.back_off();
        rtt.syn_was_lost();
        assert_eq!(rtt.rto(), RTO_AFTER_LOST_SYN);
        rtt.sample(ms(100));
        rtt.syn_was_lost();
        assert_eq!(rtt.rto(), ms(300));
    }
}
