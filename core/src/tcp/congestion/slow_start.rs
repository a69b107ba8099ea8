//! Slow start with byte counting (RFC 5681 §3.1, RFC 3465) and HyStart++ (RFC 9406).
//!
//! HyStart++ watches the round-trip time in a connection's first slow start. When the smallest
//! of a round exceeds that of the round before, a queue is building up: growth goes on four times
//! slower (conservative slow start) for some rounds, and then slow start ends without the losses
//! that it takes otherwise. If the round-trip time falls below where it was when that began, the
//! rise was a fluctuation, and slow start resumes.

use super::Ack;
use crate::tcp::params::{
    CSS_GROWTH_DIVISOR, CSS_ROUNDS, MAX_RTT_THRESH, MIN_RTT_DIVISOR, MIN_RTT_THRESH, N_RTT_SAMPLE,
    SLOW_START_LIMIT,
};
use crate::tcp::seq::SeqNum;

/// No round-trip time was measured: infinity.
const NONE: u32 = u32::MAX;

/// The state of slow start. Times are microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SlowStart {
    /// The current round ends when this is acknowledged; `None` before the first round.
    window_end: Option<SeqNum>,
    last_round_min_rtt: u32,
    current_round_min_rtt: u32,
    /// `current_round_min_rtt` when conservative slow start began; `NONE` outside of it.
    css_baseline_min_rtt: u32,
    rtt_sample_count: u8,
    /// Rounds of conservative slow start that have begun.
    css_rounds: u8,
    /// After a timeout, one acknowledgement opens the window by one segment (RFC 3465 §2.3).
    after_timeout: bool,
}

/// What an acknowledgement in slow start leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Bytes by which the window grows.
    pub(super) growth: u32,
    /// Slow start has seen enough: ssthresh becomes the window.
    pub(super) ends: bool,
}

impl SlowStart {
    pub(super) fn new() -> Self {
        Self {
            window_end: None,
            last_round_min_rtt: NONE,
            current_round_min_rtt: NONE,
            css_baseline_min_rtt: NONE,
            rtt_sample_count: 0,
            css_rounds: 0,
            after_timeout: false,
        }
    }

    /// The retransmission timer expired: slow start begins again.
    pub(super) fn timed_out(&mut self) {
        self.after_timeout = true;
    }

    /// Slow start is over, or its cause was none.
    pub(super) fn left(&mut self) {
        self.after_timeout = false;
    }

    /// Takes an acknowledgement while the window is in use; `first` as long as ssthresh was never
    /// set (RFC 9406 §4.3 recommends HyStart++ for that only).
    pub(super) fn on_ack(&mut self, ack: &Ack, first: bool) -> Step {
        let limit = if self.after_timeout {
            1
        } else if ack.paced {
            // RFC 9406 §4.3: L is infinity where the sender paces.
            u32::MAX
        } else {
            SLOW_START_LIMIT
        };
        let growth = ack.acked.min(limit.saturating_mul(ack.smss));
        if !first {
            return Step {
                growth,
                ends: false,
            };
        }
        // §4.2: the increase is that of the phase in which the acknowledgement arrives.
        let growth = if self.is_conservative() {
            growth / CSS_GROWTH_DIVISOR
        } else {
            growth
        };
        self.sample(ack);
        let ends = match self.window_end {
            Some(end) if ack.snd_una.before(end) => false,
            _ => self.next_round(ack.snd_nxt),
        };
        Step { growth, ends }
    }

    fn is_conservative(&self) -> bool {
        self.css_baseline_min_rtt != NONE
    }

    /// Looks at the round-trip time, and changes between slow start and its conservative form.
    fn sample(&mut self, ack: &Ack) {
        let Some(rtt) = ack.rtt_micros() else {
            return;
        };
        self.current_round_min_rtt = self.current_round_min_rtt.min(rtt);
        self.rtt_sample_count = self.rtt_sample_count.saturating_add(1);
        if self.rtt_sample_count < N_RTT_SAMPLE || self.last_round_min_rtt == NONE {
            return;
        }
        if self.is_conservative() {
            if self.current_round_min_rtt < self.css_baseline_min_rtt {
                self.css_baseline_min_rtt = NONE;
            }
            return;
        }
        let thresh =
            (self.last_round_min_rtt / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESH, MAX_RTT_THRESH);
        if self.current_round_min_rtt >= self.last_round_min_rtt.saturating_add(thresh) {
            self.css_baseline_min_rtt = self.current_round_min_rtt;
            // The rest of this round is the first one.
            self.css_rounds = 1;
        }
    }

    /// A round ends and the next one begins; whether slow start ends with it.
    fn next_round(&mut self, snd_nxt: SeqNum) -> bool {
        self.window_end = Some(snd_nxt);
        self.last_round_min_rtt = self.current_round_min_rtt;
        self.current_round_min_rtt = NONE;
        self.rtt_sample_count = 0;
        if !self.is_conservative() {
            return false;
        }
        if self.css_rounds >= CSS_ROUNDS {
            self.css_baseline_min_rtt = NONE;
            return true;
        }
        self.css_rounds += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    const SMSS: u32 = 1000;
    /// Acknowledgements of a round.
    const ACKS: u32 = 10;

    /// A sender with a window of ten segments, which are acknowledged one by one.
    struct Sender {
        slow_start: SlowStart,
        snd_una: u32,
    }

    impl Sender {
        fn new() -> Self {
            Self {
                slow_start: SlowStart::new(),
                snd_una: 0,
            }
        }

        fn ack(&mut self, rtt_ms: u64) -> Step {
            self.snd_una += SMSS;
            let ack = Ack {
                now: Instant::ZERO,
                acked: SMSS,
                smss: SMSS,
                rtt: (rtt_ms != 0).then(|| u32::try_from(rtt_ms).unwrap() * 1_000),
                snd_una: SeqNum::new(self.snd_una),
                snd_nxt: SeqNum::new(self.snd_una + ACKS * SMSS),
                limited: true,
                paced: false,
            };
            self.slow_start.on_ack(&ack, true)
        }

        /// The growth in a round of ten acknowledgements with this round-trip time, and whether
        /// slow start has ended at its end.
        fn round(&mut self, rtt_ms: u64) -> (u32, bool) {
            let steps: std::vec::Vec<Step> = (0..ACKS).map(|_| self.ack(rtt_ms)).collect();
            let ends = steps.iter().filter(|step| step.ends).count();
            assert!(ends == 0 || (ends == 1 && steps[9].ends), "{steps:?}");
            (steps.iter().map(|step| step.growth).sum(), ends == 1)
        }

        /// Two rounds of 100 ms.
        fn settled() -> Self {
            Self::settled_at(100)
        }

        /// Two rounds of this round-trip time.
        fn settled_at(rtt_ms: u64) -> Self {
            let mut sender = Self::new();
            // This one begins the first round.
            sender.ack(rtt_ms);
            assert_eq!(sender.round(rtt_ms), (ACKS * SMSS, false));
            assert_eq!(sender.round(rtt_ms), (ACKS * SMSS, false));
            sender
        }
    }

    #[test]
    fn a_steady_round_trip_time_never_ends_slow_start() {
        let mut sender = Sender::settled();
        for _ in 0..50 {
            assert_eq!(sender.round(100), (ACKS * SMSS, false));
        }
    }

    /// RFC 9406 §4.2: the threshold is an eighth of the last round's minimum, within 4 to 16 ms.
    #[test]
    fn only_a_rise_by_the_threshold_starts_conservative_slow_start() {
        for (base, rise, starts) in [
            (100, 12, false),
            (100, 13, true),
            (10, 3, false),
            (10, 4, true),
            (400, 15, false),
            (400, 16, true),
        ] {
            let mut sender = Sender::settled_at(base);
            sender.round(base + rise);
            let conservative = sender.slow_start.is_conservative();
            assert_eq!(conservative, starts, "{base} ms + {rise} ms");
        }
    }

    /// §4.2: fewer than N_RTT_SAMPLE samples prove nothing, and one small sample proves the contrary.
    #[test]
    fn the_minimum_of_eight_samples_counts() {
        let mut sender = Sender::settled();
        (0..7).for_each(|_| _ = sender.ack(200));
        assert!(!sender.slow_start.is_conservative());
        sender.ack(200);
        assert!(sender.slow_start.is_conservative());

        let mut sender = Sender::settled();
        sender.ack(100);
        (0..9).for_each(|_| _ = sender.ack(200));
        assert!(!sender.slow_start.is_conservative());

        let mut sender = Sender::settled();
        for _ in 0..50 {
            (0..3).for_each(|_| _ = sender.ack(200));
            (0..7).for_each(|_| _ = sender.ack(0));
        }
        assert!(!sender.slow_start.is_conservative());
    }

    /// §4.2: a quarter of the growth, for CSS_ROUNDS rounds with the one in which it began.
    #[test]
    fn conservative_slow_start_grows_by_a_quarter_and_ends_after_five_rounds() {
        let mut sender = Sender::settled();
        // Eight full steps until there are enough samples, two quarters.
        assert_eq!(sender.round(150), (8 * SMSS + 2 * SMSS / 4, false));
        for _ in 0..3 {
            assert_eq!(sender.round(150), (ACKS * SMSS / 4, false));
        }
        assert_eq!(sender.round(150), (ACKS * SMSS / 4, true));
    }

    #[test]
    fn slow_start_resumes_when_the_round_trip_time_falls_again() {
        let mut sender = Sender::settled();
        sender.round(150);
        sender.round(150);
        // Seven quarters, the eighth finds out, two whole ones.
        assert_eq!(sender.round(149), (8 * SMSS / 4 + 2 * SMSS, false));
        assert_eq!(sender.round(149), (ACKS * SMSS, false));
        // And it can become conservative once more, for five rounds.
        let ends: std::vec::Vec<bool> = (0..5).map(|_| sender.round(200).1).collect();
        assert_eq!(ends, [false, false, false, false, true]);
    }

    /// RFC 3465 §2.2 and §2.3, RFC 9406 §4.3 for the limit.
    #[test]
    fn an_acknowledgement_of_much_counts_in_part() {
        let ack = Ack {
            now: Instant::ZERO,
            acked: 30 * SMSS,
            smss: SMSS,
            rtt: None,
            snd_una: SeqNum::new(0),
            snd_nxt: SeqNum::new(0),
            limited: true,
            paced: false,
        };
        let mut slow_start = SlowStart::new();
        let growth = slow_start.on_ack(&ack, false).growth;
        assert_eq!(growth, SLOW_START_LIMIT * SMSS);
        slow_start.timed_out();
        assert_eq!(slow_start.on_ack(&ack, false).growth, SMSS);
        let small = Ack { acked: 10, ..ack };
        assert_eq!(slow_start.on_ack(&small, false).growth, 10);
        slow_start.left();
        let growth = slow_start.on_ack(&ack, false).growth;
        assert_eq!(growth, SLOW_START_LIMIT * SMSS);
    }
}
