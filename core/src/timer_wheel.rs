//! A hierarchical timing wheel: any number of timers, constant cost for each.
//!
//! Every user of the wheel (a connection, a half-open connection) has a fixed number and at most
//! one entry. Time is cut into ticks of a millisecond; users round deadlines up to a tick, so that
//! nothing fires early, and say the low half of its number: none lies more than 24 days ahead of the
//! time at which it is said. Level 0 holds the 64 ticks around now, each slot of level n a range of
//! 64^n ticks; when time enters such a range, its entries move to the levels below. The levels
//! together reach as far as [`Instant`] does.
//!
//! Moving a deadline to a later time needs no call: the owner lets the entry fire, sees that it is
//! early and schedules again.

use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec;

/// Nanoseconds of a tick.
const TICK: u64 = 1_000_000;
/// Bits of a tick number that one level resolves.
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// 2^64 ns are 2^44.1 ticks: with all of them, time may be anything.
const LEVELS: usize = 8;
/// The low half of a tick's number.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the low half is what is kept"
)]
fn low(tick: u64) -> u32 {
    tick as u32
}

/// The number of a tick of which the low half is known: at most 24 days away from `around`.
#[allow(clippy::cast_possible_wrap, reason = "the sign says which comes first")]
fn whole(tick: u32, around: u64) -> u64 {
    let ahead = tick.wrapping_sub(low(around)) as i32;
    around.saturating_add_signed(ahead.into())
}

/// "No entry" in links.
const NONE: u32 = u32::MAX;
/// "Not scheduled" in an entry's place.
const IDLE: u16 = u16::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// When it is due, in ticks: the low half of the number.
    tick: u32,
    prev: u32,
    next: u32,
    /// `level * SLOTS + slot`, or [`IDLE`].
    place: u16,
}

/// The wheel.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    entries: Box<[Entry]>,
    /// First entry of each slot, level by level.
    first: Box<[u32]>,
    /// One bit per slot that is not empty.
    occupied: [u64; LEVELS],
    /// The tick up to which everything has fired. An entry's level is that of the highest bit in
    /// which its tick differs from this one, so all entries lie in slots ahead of it.
    elapsed: u64,
    scheduled: usize,
}

impl TimerWheel {
    /// Bytes for each user.
    pub(crate) const ENTRY_BYTES: usize = size_of::<Entry>();

    /// A wheel for the users 0 to `users - 1`, that starts at `now`.
    pub(crate) fn new(users: usize, now: Instant) -> Self {
        Self {
            entries: vec![
                Entry {
                    tick: 0,
                    prev: NONE,
                    next: NONE,
                    place: IDLE
                };
                users
            ]
            .into_boxed_slice(),
            first: vec![NONE; LEVELS * SLOTS].into_boxed_slice(),
            occupied: [0; LEVELS],
            elapsed: now.as_nanos() / TICK,
            scheduled: 0,
        }
    }

    /// How many users have an entry.
    pub(crate) fn scheduled(&self) -> usize {
        self.scheduled
    }

    /// When the user's entry fires; `None` if it has none.
    #[cfg(test)]
    pub(crate) fn deadline(&self, user: u32) -> Option<Instant> {
        let entry = self.entries.get(user as usize)?;
        (entry.place != IDLE).then(|| self.instant(entry.tick))
    }

    /// Sets the user's entry, in place of the one it may have, to the tick around `now` whose number
    /// has this low half. One that has passed fires at the next call of [`TimerWheel::expire`].
    pub(crate) fn schedule(&mut self, user: u32, tick: u32, now: Instant) {
        self.cancel(user);
        // Nothing may have expired for longer than 24 days, so what has does not tell.
        let tick = whole(tick, now.as_nanos() / TICK).max(self.elapsed);
        self.insert(user, tick);
        self.scheduled += 1;
    }

    /// Sets the user's entry unless it has one that is not later. This is how a deadline is moved
    /// to a later time at no cost.
    #[allow(clippy::cast_possible_wrap, reason = "the sign says which comes first")]
    pub(crate) fn schedule_no_later(&mut self, user: u32, tick: u32, now: Instant) {
        let entry = &self.entries[user as usize];
        if entry.place == IDLE || (entry.tick.wrapping_sub(tick) as i32) > 0 {
            self.schedule(user, tick, now);
        }
    }

    /// Removes the user's entry if it has one.
    pub(crate) fn cancel(&mut self, user: u32) {
        if self.entries[user as usize].place != IDLE {
            self.unlink(user);
            self.scheduled -= 1;
        }
    }

    /// Takes one entry whose time has come. Call until `None`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<u32> {
        let now = now.as_nanos() / TICK;
        while let Some((level, slot, start)) = self.next_slot()
            && start <= now
        {
            self.elapsed = self.elapsed.max(start);
            let place = level * SLOTS + slot;
            if level == 0 {
                let user = self.first[place];
                self.unlink(user);
                self.scheduled -= 1;
                return Some(user);
            }
            // Time enters the slot's range: all of it moves down before time goes on.
            while self.first[place] != NONE {
                let user = self.first[place];
                self.unlink(user);
                // Right for all slots of less than 50 days. In longer ones, which only years without
                // a call fill, an entry may fire early, and its owner schedules again.
                let tick = whole(self.entries[user as usize].tick, self.elapsed);
                self.insert(user, tick.max(self.elapsed));
            }
        }
        self.elapsed = self.elapsed.max(now);
        None
    }

    /// When to call [`TimerWheel::expire`] next. It may be earlier than the first deadline (when
    /// that is more than 64 ticks ahead), never later.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let (_, _, start) = self.next_slot()?;
        Some(Instant::from_nanos(start.saturating_mul(TICK)))
    }

    /// The first occupied slot and the tick at which it begins. A level's entries are all due
    /// before those of the levels above.
    fn next_slot(&self) -> Option<(usize, usize, u64)> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        let slot = self.occupied[level].trailing_zeros();
        let shift = LEVEL_BITS * u32::try_from(level).unwrap_or(0);
        let above = self.elapsed & !((1 << (shift + LEVEL_BITS)) - 1);
        Some((level, slot as usize, above | (u64::from(slot) << shift)))
    }

    /// When a tick is that lies ahead.
    pub(crate) fn instant(&self, tick: u32) -> Instant {
        let tick = whole(tick, self.elapsed).max(self.elapsed);
        Instant::from_nanos(tick.saturating_mul(TICK))
    }

    fn insert(&mut self, user: u32, tick: u64) {
        let highest_bit = 63 - ((self.elapsed ^ tick) | (SLOTS as u64 - 1)).leading_zeros();
        let level = ((highest_bit / LEVEL_BITS) as usize).min(LEVELS - 1);
        let slot =
            usize::try_from((tick >> (LEVEL_BITS as usize * level)) % SLOTS as u64).unwrap_or(0);
        let place = level * SLOTS + slot;
        let next = self.first[place];
        self.entries[user as usize] = Entry {
            tick: low(tick),
            prev: NONE,
            next,
            place: u16::try_from(place).unwrap_or(IDLE),
        };
        if next != NONE {
            self.entries[next as usize].prev = user;
        }
        self.first[place] = user;
        self.occupied[level] |= 1 << slot;
    }

    fn unlink(&mut self, user: u32) {
        let Entry {
            prev, next, place, ..
        } = self.entries[user as usize];
        let place = usize::from(place);
        match prev {
            NONE => self.first[place] = next,
            prev => self.entries[prev as usize].next = next,
        }
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
        if self.first[place] == NONE {
            self.occupied[place / SLOTS] &= !(1 << (place % SLOTS));
        }
        self.entries[user as usize].place = IDLE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    fn ms(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    /// The tick of a deadline.
    fn tick(millis: u64) -> u32 {
        low(millis)
    }

    #[test]
    fn nothing_fires_early() {
        let mut wheel = TimerWheel::new(1, Instant::ZERO);
        wheel.schedule(0, 1, Instant::ZERO);
        assert_eq!(wheel.expire(Instant::from_nanos(999_999)), None);
        assert_eq!(wheel.next_expiry(), Some(ms(1)));
        assert_eq!(wheel.expire(ms(1)), Some(0));
        assert_eq!(
            (wheel.expire(ms(1)), wheel.next_expiry(), wheel.scheduled()),
            (None, None, 0)
        );
    }

    #[test]
    fn an_entry_moves_to_an_earlier_time_but_not_to_a_later_one() {
        let mut wheel = TimerWheel::new(1, Instant::ZERO);
        for (at, expected) in [(50, 50), (70, 50), (20, 20)] {
            wheel.schedule_no_later(0, tick(at), Instant::ZERO);
            assert_eq!(
                (wheel.deadline(0), wheel.scheduled()),
                (Some(ms(expected)), 1)
            );
        }
    }

    #[test]
    fn the_farthest_and_the_past_have_their_places() {
        for start in [1_000, (1 << 32) - 500, u64::MAX / 2_000_000] {
            let farthest = (1 << 31) - 1;
            let mut wheel = TimerWheel::new(3, Instant::ZERO);
            assert_eq!(wheel.expire(ms(start)), None);
            wheel.schedule(0, tick(start + farthest), ms(start));
            wheel.schedule(1, tick(start - 10), ms(start));
            assert_eq!(wheel.expire(ms(start)), Some(1));
            assert_eq!(wheel.expire(ms(start + farthest - 1)), None);
            assert_eq!(wheel.expire(ms(start + farthest)), Some(0));
            assert_eq!((wheel.scheduled(), wheel.next_expiry()), (0, None));
        }
    }

    /// No call need be made while nothing is scheduled.
    #[test]
    fn after_a_month_without_a_call_an_entry_fires_when_it_is_due() {
        const DAY: u64 = 24 * 3_600 * 1_000;
        for days in [24, 25, 30, 49, 50, 75, 700] {
            let now = days * DAY;
            let mut wheel = TimerWheel::new(2, ms(1));
            wheel.schedule(0, tick(now + 40), ms(now));
            wheel.schedule_no_later(1, tick(now + 20 * DAY), ms(now));
            assert_eq!(wheel.expire(ms(now + 39)), None, "{days} days");
            assert_eq!(wheel.expire(ms(now + 40)), Some(0), "{days} days");
            assert_eq!(wheel.expire(ms(now + 20 * DAY - 1)), None, "{days} days");
            assert_eq!(wheel.expire(ms(now + 20 * DAY)), Some(1), "{days} days");
        }
    }

    /// Random operations against a sorted map.
    #[test]
    fn behaves_like_a_sorted_list() {
        const USERS: u32 = 40;
        for seed in 0..60u8 {
            let mut rng = Rng::new([seed; 32]);
            let mut now = u64::from(rng.u32()) * if seed % 2 == 0 { 1 } else { 4_000 };
            let mut wheel = TimerWheel::new(USERS as usize, Instant::ZERO);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            wheel.expire(ms(now));
            for _ in 0..1_500 {
                let user = rng.u32() % USERS;
                match rng.u32() % 4 {
                    0 => {
                        wheel.cancel(user);
                        model.remove(&user);
                    }
                    1 | 2 => {
                        let ahead = rng.u64() % (1 << (rng.u32() % 32));
                        wheel.schedule(user, tick(now + ahead), ms(now));
                        model.insert(user, now + ahead);
                    }
                    _ => {
                        let first = model.values().min().copied();
                        let next = wheel.next_expiry().map(Instant::as_millis);
                        assert_eq!(next.is_some(), first.is_some());
                        if let (Some(next), Some(first)) = (next, first) {
                            assert!(next <= first, "{next} {first}");
                            assert!(next > now || first <= now, "no idle wake-ups in place");
                        }
                        now += rng.u64() % (1 << (rng.u32() % 34));
                        let mut fired: Vec<u32> =
                            core::iter::from_fn(|| wheel.expire(ms(now))).collect();
                        fired.sort_unstable();
                        let due: Vec<u32> = model
                            .iter()
                            .filter(|(_, at)| **at <= now)
                            .map(|(user, _)| *user)
                            .collect();
                        assert_eq!(fired, due, "seed {seed}");
                        model.retain(|_, at| *at > now);
                    }
                }
                assert_eq!(wheel.scheduled(), model.len());
                assert_eq!(
                    wheel.deadline(user).map(Instant::as_millis),
                    model.get(&user).copied()
                );
            }
        }
    }

    #[test]
    fn waking_at_next_expiry_reaches_every_deadline_in_few_steps() {
        for ahead in [
            1, 63, 64, 65, 200, 4_095, 4_097, 60_000, 300_000, 86_400_000,
        ] {
            let mut wheel = TimerWheel::new(1, Instant::ZERO);
            wheel.expire(ms(12_345));
            wheel.schedule(0, tick(12_345 + ahead), ms(12_345));
            let mut steps = 0;
            let fired_at = loop {
                let next = wheel.next_expiry().unwrap();
                steps += 1;
                if wheel.expire(next).is_some() {
                    break next;
                }
            };
            assert_eq!(fired_at, ms(12_345 + ahead));
            assert!(steps <= LEVELS, "{steps} steps for {ahead}");
        }
    }
}
