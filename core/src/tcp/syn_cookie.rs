//! SYN cookies (RFC 4987 §3.6): a SYN-ACK whose numbers say all that must be remembered, so that
//! the stack need not remember it.
//!
//! The initial sequence number is the usual one, M + F (RFC 6528 §3), but for the low 24 bits of M:
//! so numbers of a four-tuple grow as always, in steps of 67 seconds.
//!
//! | bits of ISS - F | content |
//! |---|---|
//! | 24 to 31 | the period: what the timer M has there |
//! | 4 to 23 | a keyed hash of the four-tuple, the peer's number, the low bits and the period |
//! | 3 | whether the peer's SYN had timestamps |
//! | 0 to 2 | the peer's MSS, rounded down to one of [`MSS`] |
//!
//! Where the peer sent timestamps, it echoes the rest: the low 7 bits of our timestamp, minus the
//! connection's offset, are its window scale (4 bits, 15: none), SACK-permitted (1 bit), whether ECN
//! was agreed on (1 bit), and a bit that is free, always 0. The timestamp is at most 128 ms behind
//! the clock, never ahead of it, so later ones are later.
//!
//! A cookie is good in the period in which it was sent and in the next: for 67 to 134 seconds. The
//! key is a new random one in each period. Who does not know F and the key has to guess all 32 bits
//! of a number of which 16 are good (2 periods, 8 MSS): a forged acknowledgement opens a connection
//! with a chance of 2^-28, and with timestamps, whose echo must lie in the same 134 seconds, of
//! 2^-43. What is forged that way can only claim options that its sender could have asked for.

use super::isn::{Secrets, TICKS_PER_PERIOD_BITS, isn_timer, timestamp_clock};
use super::segment::Segment;
use super::seq::SeqNum;
use crate::demux::FourTuple;
use crate::rng::Rng;
use crate::time::Instant;
use siphasher::sip::SipHasher13;

/// The segment sizes that a cookie can say: the smallest that is used, the defaults of both
/// families, tunnels and DSL, Ethernet with IPv6 and with IPv4, jumbo frames.
const MSS: [u16; 8] = [216, 536, 1220, 1360, 1400, 1440, 1460, 8940];
/// Bits of the options in a timestamp.
const OPTION_BITS: u32 = 7;
/// "No window scale" in a timestamp.
const NO_SCALE: u8 = 15;
/// How long a cookie is good, in milliseconds: two periods, and what the timestamp is behind.
const VALID_MILLIS: u32 = (2 << TICKS_PER_PERIOD_BITS) / 250 + (1 << OPTION_BITS);

/// What a cookie keeps of the peer's SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) mss: u16,
    /// The rest is kept with timestamps only.
    pub(super) timestamps: bool,
    pub(super) window_scale: Option<u8>,
    pub(super) sack: bool,
    /// Explicit congestion notification was agreed on.
    pub(super) ecn: bool,
}

/// The numbers of a SYN-ACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) iss: SeqNum,
    /// Our timestamp; to be sent only if the peer's SYN had one.
    pub(super) timestamp: u32,
}

/// The keys of this period and of the one before.
#[derive(Debug)]
pub(super) struct SynCookies {
    keys: [[u8; 16]; 2],
    /// The period of the younger key.
    period: u64,
}

impl SynCookies {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Self {
            keys: [rng.key(), rng.key()],
            period: 0,
        }
    }

    /// The period that it is; makes new keys if it is another one than last time.
    pub(super) fn period(&mut self, rng: &mut Rng, now: Instant) -> u64 {
        let current = period(now);
        for period in current.saturating_sub(1).max(self.period + 1)..=current {
            self.keys[place(period)] = rng.key();
        }
        self.period = self.period.max(current);
        current
    }

    /// The numbers that answer a SYN with the number `irs`.
    pub(super) fn encode(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        secrets: &Secrets,
        key: &FourTuple,
        irs: SeqNum,
        kept: &Kept,
    ) -> Numbers {
        let period = self.period(rng, now);
        let (f, offset) = secrets.base(key);
        let index = MSS.iter().rposition(|mss| *mss <= kept.mss).unwrap_or(0);
        let low = u8::try_from(index).unwrap_or(0) | u8::from(kept.timestamps) << 3;
        let code = self.hash(key, irs, low, period) << 4 | u32::from(low);
        let scale = kept.window_scale.map_or(NO_SCALE, |s| s.min(NO_SCALE - 1));
        let options = scale | u8::from(kept.sack) << 4 | u8::from(kept.ecn) << 5;
        let clock = timestamp_clock(now);
        let mask = (1 << OPTION_BITS) - 1;
        let mut stamp = clock & !mask | u32::from(options);
        if clock & mask < u32::from(options) {
            stamp = stamp.wrapping_sub(mask + 1);
        }
        let m = (low_bits(period)) << TICKS_PER_PERIOD_BITS;
        Numbers {
            iss: SeqNum::new(f.wrapping_add(m).wrapping_add(code)),
            timestamp: stamp.wrapping_add(offset),
        }
    }

    /// What the SYN had whose cookie a segment acknowledges; `None` if it acknowledges none.
    pub(super) fn decode(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        secrets: &Secrets,
        key: &FourTuple,
        segment: &Segment,
    ) -> Option<Kept> {
        let current = self.period(rng, now);
        let (f, offset) = secrets.base(key);
        let number = segment.ack.get().wrapping_sub(1).wrapping_sub(f);
        let code = number & ((1 << TICKS_PER_PERIOD_BITS) - 1);
        let of = number >> TICKS_PER_PERIOD_BITS;
        let period =
            (current.saturating_sub(1)..=current).find(|period| low_bits(*period) & 0xff == of)?;
        let [low, ..] = code.to_le_bytes();
        let low = low & 0xf;
        let irs = segment.seq - 1;
        if code >> 4 != self.hash(key, irs, low, period) {
            return None;
        }
        let mut kept = Kept {
            mss: MSS[usize::from(low & 7)],
            timestamps: low >> 3 == 1,
            ..Kept::default()
        };
        match (kept.timestamps, segment.timestamps) {
            (true, Some((_, echo))) => {
                let stamp = echo.wrapping_sub(offset);
                if timestamp_clock(now).wrapping_sub(stamp) > VALID_MILLIS {
                    return None;
                }
                let [options, ..] = stamp.to_le_bytes();
                let scale = options & 0xf;
                kept.window_scale = (scale != NO_SCALE).then_some(scale);
                kept.sack = options >> 4 & 1 == 1;
                kept.ecn = options >> 5 & 1 == 1;
            }
            (false, None) => {}
            // RFC 7323 §3.2: both or neither.
            (true, None) | (false, Some(_)) => return None,
        }
        Some(kept)
    }

    /// 20 bits that nobody else can compute.
    fn hash(&self, key: &FourTuple, irs: SeqNum, low: u8, period: u64) -> u32 {
        let secret = &self.keys[place(period)];
        let mut input = [0; 13];
        input[..8].copy_from_slice(&key.hash(secret).to_le_bytes());
        input[8..12].copy_from_slice(&irs.get().to_le_bytes());
        input[12] = low;
        low_bits(SipHasher13::new_with_key(secret).hash(&input)) & 0xf_ffff
    }
}

/// How often the low 24 bits of M have wrapped.
fn period(now: Instant) -> u64 {
    isn_timer(now) >> TICKS_PER_PERIOD_BITS
}

/// Which of the two keys a period has.
fn place(period: u64) -> usize {
    usize::from(period % 2 == 1)
}

#[allow(clippy::cast_possible_truncation, reason = "the low bits are wanted")]
fn low_bits(number: u64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ecn::Ecn;
    use crate::wire::tcp::{Flags, TcpHeader, TcpOptions};
    use core::net::{IpAddr, Ipv4Addr};
    use core::time::Duration;

    /// Seconds of a period, a little less and a little more.
    const PERIOD: Duration = Duration::from_micros(4 << TICKS_PER_PERIOD_BITS);

    struct World {
        rng: Rng,
        secrets: Secrets,
        cookies: SynCookies,
    }

    fn key(remote_port: u16) -> FourTuple {
        let address = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
        FourTuple {
            local: address(1).into(),
            remote: address(2).into(),
            local_port: 80,
            remote_port,
        }
    }

    impl World {
        fn new() -> Self {
            let mut rng = Rng::new([5; 32]);
            Self {
                secrets: Secrets::new(&mut rng),
                cookies: SynCookies::new(&mut rng),
                rng,
            }
        }

        fn encode(&mut self, now: Instant, irs: u32, kept: &Kept) -> Numbers {
            let irs = SeqNum::new(irs);
            self.cookies
                .encode(&mut self.rng, now, &self.secrets, &key(1), irs, kept)
        }

        fn decode(&mut self, now: Instant, key: &FourTuple, ack: &Segment) -> Option<Kept> {
            self.cookies
                .decode(&mut self.rng, now, &self.secrets, key, ack)
        }
    }

    /// The acknowledgement of a SYN-ACK.
    fn ack(irs: u32, numbers: Numbers, timestamps: bool) -> Segment {
        let mut header = TcpHeader {
            sequence: irs.wrapping_add(1).into(),
            acknowledgment: (numbers.iss + 1).get().into(),
            ..TcpHeader::default()
        };
        header.set_len_and_flags(20, Flags::ACK);
        let options = TcpOptions {
            timestamps: timestamps.then_some((9, numbers.timestamp)),
            ..TcpOptions::default()
        };
        Segment::new(&header, &options, 0, Ecn::NotEct)
    }

    #[test]
    fn a_cookie_gives_back_what_it_was_given() {
        let mut now = Instant::from_millis(1);
        let mut world = World::new();
        for round in 0..3_000u32 {
            now = now + Duration::from_millis(97);
            let scale = u8::try_from(round % 16).unwrap();
            let kept = Kept {
                mss: MSS[round as usize % 8],
                timestamps: true,
                window_scale: (scale != NO_SCALE).then_some(scale),
                sack: round % 2 == 0,
                ecn: round % 4 < 2,
            };
            let irs = round.wrapping_sub(1_000);
            let numbers = world.encode(now, irs, &kept);
            let later = now + Duration::from_millis(u64::from(round % 900) * 60);
            assert_eq!(
                world.decode(later, &key(1), &ack(irs, numbers, true)),
                Some(kept)
            );
            let plain = Kept {
                mss: kept.mss,
                ..Kept::default()
            };
            let numbers = world.encode(now, irs, &plain);
            assert_eq!(
                world.decode(now, &key(1), &ack(irs, numbers, false)),
                Some(plain)
            );
        }
    }

    #[test]
    fn other_sizes_are_rounded_down() {
        let now = Instant::from_millis(77);
        let mut world = World::new();
        for (mss, said) in [
            (0, 216),
            (535, 216),
            (1_459, 1_440),
            (1_461, 1_460),
            (65_535, 8_940),
        ] {
            let kept = Kept {
                mss,
                ..Kept::default()
            };
            let numbers = world.encode(now, 7, &kept);
            let got = world.decode(now, &key(1), &ack(7, numbers, false));
            assert_eq!(got.map(|kept| kept.mss), Some(said));
        }
    }

    #[test]
    fn a_cookie_is_good_for_this_period_and_the_next() {
        for timestamps in [false, true] {
            let start = Instant::ZERO + PERIOD * 1_000 + Duration::from_secs(1);
            let mut world = World::new();
            let kept = Kept {
                mss: 1_460,
                timestamps,
                ..Kept::default()
            };
            let numbers = world.encode(start, 7, &kept);
            let segment = ack(7, numbers, timestamps);
            let mut good = |after| world.decode(start + after, &key(1), &segment).is_some();
            assert!(
                good(Duration::ZERO) && good(PERIOD) && good(PERIOD * 2 - Duration::from_secs(2))
            );
            assert!(!good(PERIOD * 2));
            // The period's number comes again, the key does not.
            assert!(!good(PERIOD * 256) && !good(PERIOD * 257));
        }
    }

    #[test]
    fn another_tuple_another_number_and_other_options_are_refused() {
        let now = Instant::from_millis(1_000_000);
        let mut world = World::new();
        let kept = Kept {
            mss: 1_460,
            timestamps: true,
            ..Kept::default()
        };
        let numbers = world.encode(now, 7, &kept);
        let right = ack(7, numbers, true);
        assert!(world.decode(now, &key(1), &right).is_some());
        assert_eq!(world.decode(now, &key(2), &right), None);
        assert_eq!(world.decode(now, &key(1), &ack(8, numbers, true)), None);
        assert_eq!(world.decode(now, &key(1), &ack(7, numbers, false)), None);
        for timestamp in [
            numbers.timestamp.wrapping_add(200),
            numbers.timestamp.wrapping_sub(VALID_MILLIS + 1),
        ] {
            let wrong = Numbers {
                timestamp,
                ..numbers
            };
            assert_eq!(world.decode(now, &key(1), &ack(7, wrong, true)), None);
        }
        // One bit off anywhere: another size was never sent either.
        for bit in 0..32 {
            let wrong = Numbers {
                iss: SeqNum::new(numbers.iss.get() ^ 1 << bit),
                ..numbers
            };
            assert_eq!(
                world.decode(now, &key(1), &ack(7, wrong, true)),
                None,
                "{bit}"
            );
        }
    }

    /// RFC 6528 §3: numbers of one tuple grow; here in steps of a period. Cookies and usual numbers
    /// mix.
    #[test]
    fn numbers_and_timestamps_grow_with_time() {
        let mut now = Instant::from_millis(500);
        let mut world = World::new();
        let kept = Kept {
            mss: 1_460,
            timestamps: true,
            window_scale: Some(7),
            sack: true,
            ecn: true,
        };
        let mut last = world.encode(now, 7, &kept);
        for _ in 0..300 {
            now = now + PERIOD * 2;
            let next = world.encode(now, 7, &kept);
            let (usual, offset) = world.secrets.initial(&key(1), now);
            assert!(next.iss.after(last.iss));
            assert!(next.iss.get().abs_diff(usual.get()) < 1 << 24);
            let clock = timestamp_clock(now).wrapping_add(offset);
            assert!(
                clock.wrapping_sub(next.timestamp) < 128,
                "not ahead of the clock"
            );
            last = next;
        }
    }

    #[test]
    fn the_chance_of_a_guess_is_that_of_the_bits() {
        let now = Instant::from_millis(1_000_000);
        let mut world = World::new();
        // With F and the period known, 20 bits are left to guess: 2^20 guesses hit once on average.
        let (f, _) = world.secrets.base(&key(1));
        let top = low_bits(period(now)) << TICKS_PER_PERIOD_BITS;
        let hits = (0..1u32 << 20)
            .filter(|guess| {
                let iss = SeqNum::new(f.wrapping_add(top).wrapping_add(guess << 4 | 6));
                let numbers = Numbers { iss, timestamp: 0 };
                world
                    .decode(now, &key(1), &ack(7, numbers, false))
                    .is_some()
            })
            .count();
        assert_eq!(hits, 1, "the hash says exactly one of them");
    }
}
