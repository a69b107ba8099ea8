//! How many ICMP errors may be sent (RFC 1812 §4.3.2.8).
//!
//! Two limits apply, each a token bucket: one per destination, so that nobody can be flooded
//! through us, and one for all, so that errors cannot eat the link. The second must not be an
//! oracle: if it held an exact number of errors per time, an attacker could count with probes from
//! spoofed addresses which ports are open (SAD DNS, CVE-2020-25705). So an error takes a random
//! number of tokens, and how much is left says nothing exact.

use crate::bucket::{Bucket, Rate};
use crate::rng::Rng;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec;
use core::hash::Hasher;
use core::net::IpAddr;
use core::time::Duration;
use siphasher::sip::SipHasher13;

/// Places for destinations. The hash is keyed: nobody can choose with whom to share one.
const PLACES: usize = 256;
/// Errors to one destination at once, and how long it takes to earn another one.
const DESTINATION: Rate = Rate::new(6, Duration::from_secs(1));
/// Tokens for all destinations together: an error takes 1 to [`MAX_COST`] of them.
const GLOBAL: Rate = Rate::new(100, Duration::from_micros(500));
const MAX_COST: u32 = 4;

/// The limits' state.
#[derive(Debug)]
pub(crate) struct IcmpLimit {
    key: [u8; 16],
    global: Bucket,
    destinations: Box<[Bucket]>,
}

impl IcmpLimit {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            key,
            global: Bucket::full(&GLOBAL, Instant::ZERO),
            destinations: vec![Bucket::full(&DESTINATION, Instant::ZERO); PLACES]
                .into_boxed_slice(),
        }
    }

    /// Whether an error may be sent to `destination` now.
    pub(crate) fn allow(&mut self, now: Instant, destination: IpAddr, rng: &mut Rng) -> bool {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        match destination {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            // Whoever has one address of a link has all 2^64.
            IpAddr::V6(v6) => hasher.write(&v6.octets()[..8]),
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "any part of the hash will do"
        )]
        let bucket = &mut self.destinations[hasher.finish() as usize % PLACES];
        bucket.refill(now, &DESTINATION);
        self.global.refill(now, &GLOBAL);
        if bucket.is_empty() || self.global.is_empty() {
            return false;
        }
        bucket.take(1);
        self.global.take(1 + rng.u32() % MAX_COST);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u32) -> IpAddr {
        core::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    #[test]
    fn one_destination_gets_a_burst_and_then_one_per_second() {
        let (mut limit, mut rng) = (IcmpLimit::new([1; 16]), Rng::new([2; 32]));
        let mut count = |millis: u64| {
            let allowed = |_: &u32| limit.allow(Instant::from_millis(millis), host(1), &mut rng);
            (0..100).filter(allowed).count()
        };
        assert_eq!(
            (count(0), count(999), count(1_000), count(3_500)),
            (6, 0, 1, 2)
        );
        assert_eq!(count(4_000), 1, "half a second was left over");
        assert_eq!(
            count(3_600_000),
            6,
            "what is earned is bounded by the burst"
        );
    }

    #[test]
    fn all_destinations_together_get_a_burst_of_a_size_that_cannot_be_foretold() {
        let bursts: std::collections::BTreeSet<usize> = (0..64)
            .map(|seed| {
                let (mut limit, mut rng) = (IcmpLimit::new([seed; 16]), Rng::new([seed; 32]));
                let allowed = |n: &u32| limit.allow(Instant::ZERO, host(*n), &mut rng);
                (0..1_000).filter(allowed).count()
            })
            .collect();
        let (least, most) = (*bursts.first().unwrap(), *bursts.last().unwrap());
        assert!(least >= 25 && most <= 100, "{bursts:?}");
        assert!(bursts.len() >= 6, "{bursts:?}");
    }

    #[test]
    fn in_the_long_run_the_rate_for_all_is_bounded() {
        let (mut limit, mut rng) = (IcmpLimit::new([3; 16]), Rng::new([4; 32]));
        let allowed = (0..100_000u32)
            .filter(|n| {
                // 10 seconds, 10,000 attempts a second from ever new sources.
                let now = Instant::from_nanos(u64::from(*n) * 100_000);
                limit.allow(now, host(*n), &mut rng)
            })
            .count();
        assert!((2_000..10_000).contains(&allowed), "{allowed}");
    }
}
