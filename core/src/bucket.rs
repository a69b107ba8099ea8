//! A token bucket: something may happen so often at once, and then once in an interval.

use crate::time::Instant;
use core::time::Duration;

/// How often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    burst: u32,
    interval: u64,
}

impl Rate {
    /// `burst` times at once, and then once in each `interval`, which is not zero.
    pub(crate) const fn new(burst: u32, interval: Duration) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "intervals are constants, much shorter than 584 years"
        )]
        let interval = interval.as_nanos() as u64;
        assert!(interval > 0);
        Self { burst, interval }
    }
}

/// What is left of a [`Rate`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: u32,
    /// Until then all that was earned is in it.
    at: Instant,
}

impl Bucket {
    pub(crate) const fn full(rate: &Rate, now: Instant) -> Self {
        Self {
            tokens: rate.burst,
            at: now,
        }
    }

    /// Adds what was earned since the last time. What is no whole token yet is not lost,
    /// unless it is full.
    pub(crate) fn refill(&mut self, now: Instant, rate: &Rate) {
        let since = self.at.as_nanos();
        let earned = now.as_nanos().saturating_sub(since) / rate.interval;
        let room = rate.burst.saturating_sub(self.tokens);
        match u32::try_from(earned) {
            Ok(earned) if earned < room => {
                self.tokens += earned;
                // Not later than `now`.
                self.at = Instant::from_nanos(since + u64::from(earned) * rate.interval);
            }
            _ => (self.tokens, self.at) = (rate.burst, self.at.max(now)),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tokens == 0
    }

    pub(crate) fn has(&self, tokens: u32) -> bool {
        self.tokens >= tokens
    }

    /// Takes so many, or as many as there are.
    pub(crate) fn take(&mut self, tokens: u32) {
        self.tokens = self.tokens.saturating_sub(tokens);
    }

    /// When there is one more than there was when it was filled last.
    pub(crate) fn next(&self, rate: &Rate) -> Instant {
        self.at + Duration::from_nanos(rate.interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::new(4, Duration::from_nanos(1_000));

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// Takes all.
    fn drain(bucket: &mut Bucket, now: Instant) -> u32 {
        bucket.refill(now, &RATE);
        let mut taken = 0;
        while !bucket.is_empty() {
            bucket.take(1);
            taken += 1;
        }
        taken
    }

    #[test]
    fn however_often_one_looks_nothing_is_earned_twice_or_lost() {
        for step in [1, 300, 999, 1_000, 1_700, 2_999] {
            let mut bucket = Bucket::full(&RATE, at(0));
            let (mut now, mut taken) = (0, drain(&mut bucket, at(0)));
            assert_eq!(taken, 4);
            while now < 100_000 {
                now += step;
                taken += drain(&mut bucket, at(now));
                assert_eq!(u64::from(taken), 4 + now / 1_000, "{step}");
            }
        }
    }

    #[test]
    fn a_full_one_earns_nothing() {
        let mut bucket = Bucket::full(&RATE, at(0));
        assert_eq!(drain(&mut bucket, at(999)), 4);
        assert_eq!(drain(&mut bucket, at(1_900)), 0);
        assert_eq!(bucket.next(&RATE), at(1_999));
        assert_eq!(drain(&mut bucket, at(1_999)), 1);
        assert_eq!(drain(&mut bucket, Instant::FAR_FUTURE), 4);
        assert_eq!(drain(&mut bucket, at(5)), 0, "time does not go back");
        assert_eq!(drain(&mut bucket, Instant::FAR_FUTURE), 0);
    }

    #[test]
    fn more_than_there_are_can_be_asked_for() {
        let mut bucket = Bucket::full(&RATE, at(0));
        bucket.take(3);
        bucket.take(3);
        assert!(bucket.is_empty());
    }
}
