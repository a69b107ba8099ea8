//! Sequence numbers (RFC 9293 §3.4): 32 bits that wrap around.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};

/// A sequence number.
///
/// There is no total order on a circle, so there is no `Ord`: [`SeqNum::before`] and
/// [`SeqNum::after`] compare two numbers that are less than 2^31 apart, as those of one
/// connection are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct SeqNum(u32);

impl SeqNum {
    pub(crate) const fn new(number: u32) -> Self {
        Self(number)
    }

    pub(crate) const fn get(self) -> u32 {
        self.0
    }

    /// Whether this number comes before the other one.
    pub(crate) const fn before(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0).wrapping_sub(1) < (1 << 31) - 1
    }

    /// Whether this number comes after the other one.
    pub(crate) const fn after(self, other: Self) -> bool {
        other.before(self)
    }

    /// Whether this number is the other one or comes before it.
    pub(crate) const fn before_or_at(self, other: Self) -> bool {
        !other.before(self)
    }

    /// The later one of two.
    pub(crate) const fn latest(self, other: Self) -> Self {
        if self.before(other) { other } else { self }
    }

    /// Bytes from `earlier` to this number; 0 if that is not earlier.
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        if earlier.before(self) {
            self.0.wrapping_sub(earlier.0)
        } else {
            0
        }
    }
}

impl SeqNum {
    /// Whether a number that counts on from `isn` and was `before` has come past `isn` again.
    pub(super) fn laps(self, isn: Self, before: Self) -> bool {
        self.0.wrapping_sub(isn.0) < before.0.wrapping_sub(isn.0)
    }
}

impl Add<u32> for SeqNum {
    type Output = Self;

    fn add(self, bytes: u32) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

impl Sub<u32> for SeqNum {
    type Output = Self;

    fn sub(self, bytes: u32) -> Self {
        Self(self.0.wrapping_sub(bytes))
    }
}

impl AddAssign<u32> for SeqNum {
    fn add_assign(&mut self, bytes: u32) {
        *self = *self + bytes;
    }
}

impl fmt::Display for SeqNum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lap_is_complete_at_the_initial_number_not_at_zero() {
        let isn = SeqNum::new(u32::MAX - 10);
        assert!(!(isn + 20).laps(isn, isn + 1));
        assert!(!isn.laps(isn, isn));
        assert!((isn + 5).laps(isn, isn - 5));
        assert!(isn.laps(isn, isn - 1) && !(isn - 1).laps(isn, isn - 2));
    }

    /// Numbers around the places where arithmetic could go wrong.
    fn interesting() -> impl Iterator<Item = u32> + Clone {
        [
            0u32,
            1,
            2,
            1 << 16,
            (1 << 31) - 1,
            1 << 31,
            (1 << 31) + 1,
            u32::MAX - 1,
            u32::MAX,
        ]
        .into_iter()
    }

    #[test]
    fn order_is_irreflexive_and_antisymmetric() {
        for a in interesting().map(SeqNum::new) {
            assert!(!a.before(a) && !a.after(a) && a.before_or_at(a));
            for b in interesting().map(SeqNum::new) {
                assert!(!(a.before(b) && b.before(a)));
                assert_eq!(a.before(b), b.after(a));
            }
        }
    }

    #[test]
    fn order_does_not_depend_on_where_the_circle_is_cut() {
        for start in interesting() {
            for step in [1, 2, 1_000_000, (1 << 31) - 1] {
                let (a, b) = (SeqNum::new(start), SeqNum::new(start) + step);
                assert!(
                    a.before(b) && b.after(a) && !b.before_or_at(a),
                    "{start} {step}"
                );
                assert_eq!((b.since(a), a.since(b)), (step, 0));
                assert_eq!((a.latest(b), b.latest(a)), (b, b));
                assert_eq!(b - step, a);
            }
        }
    }

    #[test]
    fn half_the_circle_away_is_neither_before_nor_after() {
        for start in interesting().map(SeqNum::new) {
            let opposite = start + (1 << 31);
            assert!(!start.before(opposite) && !start.after(opposite));
        }
    }
}
