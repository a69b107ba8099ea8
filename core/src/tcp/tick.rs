//! Points in time in 32 bits: what a control block keeps of its timers.

use crate::time::{Instant, nanos};
use core::time::Duration;

/// A point in time to the millisecond, or never.
///
/// The count wraps after 49 days. A deadline lies at most [`Tick::FARTHEST`] ahead, and whoever
/// waits for it looks as soon as it is over, so that which of two comes first is always clear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick(u32);

/// Nanoseconds of a tick, those of the timing wheel too.
const TICK: u64 = 1_000_000;

#[allow(clippy::cast_possible_truncation, reason = "it wraps")]
impl Tick {
    /// Not running, or not known.
    pub(super) const NEVER: Self = Self(0);
    /// How far ahead a deadline may lie: 24 days.
    pub(super) const FARTHEST: Duration = Duration::from_secs(24 * 24 * 3600);

    /// A deadline: `at`, rounded up, so that nothing is early.
    pub(super) fn deadline(at: Instant) -> Self {
        Self((at.as_nanos().div_ceil(TICK) as u32).max(1))
    }

    /// The deadline `wait` from now; [`Tick::FARTHEST`] at most.
    pub(super) fn after(now: Instant, wait: Duration) -> Self {
        let wait = nanos(wait.min(Self::FARTHEST));
        Self::deadline(Instant::from_nanos(now.as_nanos().saturating_add(wait)))
    }

    /// The deadline so many microseconds from now.
    pub(super) fn after_micros(now: Instant, micros: u32) -> Self {
        let wait = u64::from(micros) * 1_000;
        Self::deadline(Instant::from_nanos(now.as_nanos().saturating_add(wait)))
    }

    /// The deadline so many milliseconds from now, at most [`Tick::FARTHEST`].
    pub(super) fn after_millis(now: Instant, millis: u16) -> Self {
        let now = now.as_nanos().div_ceil(TICK) as u32;
        Self(now.wrapping_add(u32::from(millis)).max(1))
    }

    /// The deadline `wait` after this moment; none after never. At most [`Tick::FARTHEST`] ahead.
    pub(super) fn plus(self, wait: Duration) -> Self {
        if !self.is_set() {
            return Self::NEVER;
        }
        // A moment is rounded down, and nothing is early.
        let wait = nanos(wait.min(Self::FARTHEST)).div_ceil(TICK) as u32 + 1;
        Self(self.0.wrapping_add(wait).max(1))
    }

    /// The moment `now`, rounded down.
    pub(super) fn moment(now: Instant) -> Self {
        match now.as_millis() as u32 {
            0 => Self(u32::MAX),
            millis => Self(millis),
        }
    }

    /// Whether this is a point in time.
    pub(super) fn is_set(self) -> bool {
        self != Self::NEVER
    }

    /// Whether this deadline has come.
    #[allow(clippy::cast_possible_wrap, reason = "the sign says which comes first")]
    pub(super) fn is_due(self, now: Instant) -> bool {
        self.is_set() && (now.as_millis() as u32).wrapping_sub(self.0) as i32 >= 0
    }

    /// Whether this deadline has come, of one that nobody waits for: it never lies farther ahead than
    /// `most`, so one that seems to has come long ago.
    pub(super) fn is_due_or_farther(self, now: Instant, most: Duration) -> bool {
        let ahead = self.0.wrapping_sub(now.as_millis() as u32);
        let most = nanos(most).div_ceil(TICK) as u32 + 1;
        self.is_set() && !(1..=most).contains(&ahead)
    }

    /// The earlier one of two deadlines.
    #[allow(clippy::cast_possible_wrap, reason = "the sign says which comes first")]
    pub(super) fn earlier(self, other: Self) -> Self {
        if !other.is_set() {
            return self;
        }
        if self.is_set() && other.0.wrapping_sub(self.0) as i32 >= 0 {
            self
        } else {
            other
        }
    }

    /// Milliseconds from this moment until now. Unlike deadlines, moments may lie 49 days back.
    pub(super) fn millis_until(self, now: Instant) -> u32 {
        (now.as_millis() as u32).wrapping_sub(self.0)
    }

    /// The time from this moment until now; none from never.
    pub(super) fn until(self, now: Instant) -> Duration {
        if !self.is_set() {
            return Duration::ZERO;
        }
        Duration::from_millis(u64::from(self.millis_until(now)))
    }

    /// The number of the tick, for the timing wheel; `None` for never.
    pub(super) fn number(self) -> Option<u32> {
        self.is_set().then_some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRAP: u64 = 1 << 32;

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    #[test]
    fn deadlines_are_rounded_up_and_moments_down() {
        let at = Instant::from_nanos(1_000_001);
        assert!(!Tick::deadline(at).is_due(ms(1)) && Tick::deadline(at).is_due(ms(2)));
        assert_eq!(Tick::moment(at).until(ms(5)), Duration::from_millis(4));
    }

    #[test]
    fn waits_in_any_unit_end_at_the_same_tick() {
        for now in [0, 1, 999_999, 1_000_000, WRAP * 1_000_000 - 1] {
            let now = Instant::from_nanos(now);
            for millis in [0, 1, 40, 500] {
                let wait = Tick::after(now, Duration::from_millis(u64::from(millis)));
                assert_eq!(Tick::after_millis(now, millis), wait);
                let micros = u32::from(millis) * 1_000;
                assert_eq!(Tick::after_micros(now, micros), wait);
                let longer = Duration::from_micros(u64::from(micros) + 1);
                assert_eq!(
                    Tick::after_micros(now, micros + 1),
                    Tick::after(now, longer)
                );
            }
        }
    }

    #[test]
    fn order_survives_the_wrap() {
        for base in [1_000, WRAP - 5, WRAP, 7 * WRAP - 1] {
            let (early, late) = (Tick::deadline(ms(base)), Tick::deadline(ms(base + 10)));
            assert_eq!((early.earlier(late), late.earlier(early)), (early, early));
            assert_eq!(Tick::NEVER.earlier(late), late);
            assert_eq!(late.earlier(Tick::NEVER), late);
            assert!(!late.is_due(ms(base + 9)) && late.is_due(ms(base + 11)));
            assert_eq!(
                Tick::moment(ms(base)).until(ms(base + 70)).as_millis() / 2,
                35
            );
        }
        assert_eq!(Tick::NEVER.earlier(Tick::NEVER), Tick::NEVER);
    }

    #[test]
    fn a_deadline_that_nobody_waited_for_is_due_weeks_later() {
        let most = Duration::from_secs(600);
        for base in [1_000, WRAP - 5, 7 * WRAP - 1] {
            let deadline = Tick::after(ms(base), most);
            let due = |after: u64| deadline.is_due_or_farther(ms(base + after), most);
            assert!(!due(0) && !due(599_999), "{base}");
            for days in [1, 25, 40, 49] {
                assert!(due(days * 24 * 3_600_000), "{base}: {days}");
            }
            assert!(due(600_000) && due(600_001), "{base}");
        }
        assert!(!Tick::NEVER.is_due_or_farther(ms(WRAP), most));
    }

    #[test]
    fn never_is_not_due_and_no_deadline_is_too_far() {
        assert!(!Tick::NEVER.is_due(ms(WRAP)));
        let far = Tick::after(ms(5), Duration::MAX);
        assert!(!far.is_due(ms(6)) && far.is_due(ms(5) + Tick::FARTHEST));
    }
}
