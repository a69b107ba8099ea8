//! Times of the kernel and times of Solo5.

use solo5_abi::spt::{Itimerspec, Timespec};

const NANOSECONDS: u64 = 1_000_000_000;

/// A point in time in nanoseconds; one before the clock's origin is 0.
#[must_use]
pub fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let fraction = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(NANOSECONDS).saturating_add(fraction)
}

/// The setting of a timer that fires once, at `deadline` or one nanosecond later.
///
/// The lowest bit is set because a setting of zero would stop the timer.
#[must_use]
pub fn timer_at(deadline: u64) -> Itimerspec {
    let fraction = (deadline % NANOSECONDS) | 1;
    Itimerspec {
        it_interval: Timespec::default(),
        it_value: Timespec {
            // Both fit: they are below 2^64 / 10^9 and 10^9.
            tv_sec: (deadline / NANOSECONDS).cast_signed(),
            tv_nsec: fraction.cast_signed(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_times_become_nanoseconds() {
        let time = |tv_sec, tv_nsec| nanoseconds(Timespec { tv_sec, tv_nsec });
        assert_eq!(time(0, 1), 1);
        assert_eq!(time(1_700_000_000, 999_999_999), 1_700_000_000_999_999_999);
        assert_eq!(time(-1, 5), 5);
        assert_eq!(time(i64::MAX, 0), u64::MAX);
    }

    #[test]
    fn a_timer_is_never_stopped_and_never_invalid() {
        let value = |deadline| {
            let timer = timer_at(deadline);
            assert_eq!(timer.it_interval, Timespec::default());
            (timer.it_value.tv_sec, timer.it_value.tv_nsec)
        };
        assert_eq!(value(0), (0, 1));
        assert_eq!(value(2_000_000_000), (2, 1));
        assert_eq!(value(1_999_999_998), (1, 999_999_999));
        assert_eq!(value(1_999_999_999), (1, 999_999_999));
        assert_eq!(value(u64::MAX), (18_446_744_073, 709_551_615));
    }
}
