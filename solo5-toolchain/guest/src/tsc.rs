//! A clock made of the time stamp counter (solo5-abi section 10.6).

/// Turns counts into nanoseconds: times `mult`, shifted right by `shift`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// The factor.
    pub mult: u32,
    /// The shift in bits, at most 32.
    pub shift: u32,
}

const NANOSECONDS: u64 = 1_000_000_000;

impl Scale {
    /// The scale of a counter with this frequency in Hz: as many bits of precision as a 32-bit
    /// factor has. A frequency of 0 is taken for 1 GHz.
    #[must_use]
    pub fn new(frequency: u64) -> Self {
        let frequency = if frequency == 0 {
            NANOSECONDS
        } else {
            frequency
        };
        for shift in (1..=32).rev() {
            if let Ok(mult) = u32::try_from((NANOSECONDS << shift) / frequency) {
                return Self { mult, shift };
            }
        }
        // Below 0.25 Hz; the clock is too slow to be one.
        Self {
            mult: u32::MAX,
            shift: 0,
        }
    }

    /// The nanoseconds that `count` ticks take, rounded down; `u64::MAX` if that is more than fits.
    #[must_use]
    pub fn nanoseconds(self, count: u64) -> u64 {
        let product = u128::from(count) * u128::from(self.mult);
        u64::try_from(product >> self.shift).unwrap_or(u64::MAX)
    }
}

/// The reading of a clock: a count, and what time it was then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The counter.
    pub count: u64,
    /// Nanoseconds since the counter was 0.
    pub time: u64,
}

impl Reading {
    /// The reading at `count`, which comes after this one.
    ///
    /// Only the time since is scaled, so that time never jumps; a counter that goes back, as one
    /// of another processor may by a few ticks, stands still instead.
    #[must_use]
    pub fn advance(self, count: u64, scale: Scale) -> Self {
        match count.checked_sub(self.count) {
            Some(passed) => {
                let time = self.time.saturating_add(scale.nanoseconds(passed));
                Self { count, time }
            }
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_uses_all_its_bits() {
        let scale = Scale::new(2_596_146_000);
        assert_eq!((scale.mult, scale.shift), (1_654_362_773, 32));
        for frequency in [
            1_000,
            32_768,
            1_000_000,
            1_000_000_000,
            3_000_000_000,
            5_800_000_000,
        ] {
            let scale = Scale::new(frequency);
            assert!(scale.shift == 32 || scale.mult >= 1 << 31, "{frequency}");
            // A day, to a millionth.
            let day = 86_400;
            let got = scale.nanoseconds(frequency * day);
            let want = day * NANOSECONDS;
            assert!(got <= want && want - got <= want / 1_000_000, "{frequency}");
        }
    }

    #[test]
    fn impossible_frequencies_give_a_clock_that_runs() {
        assert_eq!(Scale::new(0), Scale::new(NANOSECONDS));
        assert_eq!(Scale::new(1).nanoseconds(1), NANOSECONDS);
        assert_eq!(Scale::new(u64::MAX).nanoseconds(u64::MAX), 0);
        assert_eq!(Scale::new(1).nanoseconds(u64::MAX), u64::MAX);
    }

    #[test]
    fn time_never_goes_back_and_loses_nothing_between_readings() {
        let scale = Scale::new(2_000_000_000);
        let mut reading = Reading::default().advance(1_000, scale);
        assert_eq!(reading.time, 500);
        assert_eq!(reading.advance(999, scale), reading);
        for count in (1_000..101_000).step_by(1_000) {
            reading = reading.advance(count, scale);
        }
        assert_eq!(reading.time, 50_000);
    }
}
