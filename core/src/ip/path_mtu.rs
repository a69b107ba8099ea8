//! The path MTU of destinations, as far as routers have told (RFC 1191 §5, RFC 8201 §5.2).
//!
//! A table of a fixed size: an address has a few places, found by a keyed hash, and the one that was
//! asked for least recently goes first. So nobody can fill it for others, and nothing grows. What was
//! learned holds for ten minutes (RFC 1191 §6.3); then the path may carry more again.
//!
//! Who writes here must have checked that the message was about a packet of ours (RFC 5927 §4).

use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec;
use core::hash::{Hash, Hasher};
use core::net::IpAddr;
use core::time::Duration;
use siphasher::sip::SipHasher13;

/// Sets of places, and places of a set.
const SETS: usize = 64;
const WAYS: usize = 4;
/// How long an entry holds (RFC 1191 §6.3, RFC 8201 §5.3).
pub(crate) const PATH_MTU_LIFETIME: Duration = Duration::from_secs(600);

/// The MTUs of links that were usual when routers did not name theirs (RFC 1191 §7.1).
const PLATEAUS: [u16; 8] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 576];

/// What a router that names no MTU probably has: the next plateau below a packet of `len` bytes.
pub(crate) fn plateau(len: u16) -> u16 {
    let below = PLATEAUS.iter().find(|plateau| **plateau < len);
    below.copied().unwrap_or(0)
}

#[derive(Clone, Copy, Debug)]
struct Place {
    address: IpAddr,
    mtu: u16,
    until: Instant,
    /// The table's count when it was last asked for.
    asked: u32,
}

/// The table.
#[derive(Debug)]
pub(crate) struct PathMtus {
    key: [u8; 16],
    places: Box<[Option<Place>]>,
    count: u32,
    generation: u32,
    /// What was learned last.
    latest: Option<(IpAddr, u16)>,
}

impl PathMtus {
    /// The only allocation. `key` is secret.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            key,
            places: vec![None; SETS * WAYS].into_boxed_slice(),
            count: 0,
            generation: 0,
            latest: None,
        }
    }

    /// Changes with each MTU that is learned, so that a connection need not look more often.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// The address whose path MTU was learned last, and that.
    pub(crate) fn latest(&self) -> Option<(IpAddr, u16)> {
        self.latest
    }

    #[allow(
        clippy::cast_possible_truncation,
        reason = "any part of the hash will do"
    )]
    fn set(&mut self, address: IpAddr) -> &mut [Option<Place>] {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        address.hash(&mut hasher);
        let first = hasher.finish() as usize % SETS * WAYS;
        &mut self.places[first..first + WAYS]
    }

    /// The path MTU to an address, if one was learned and holds.
    pub(crate) fn get(&mut self, now: Instant, address: IpAddr) -> Option<u16> {
        if self.generation == 0 {
            return None;
        }
        self.count = self.count.wrapping_add(1);
        let asked = self.count;
        let place = self.set(address).iter_mut().flatten();
        let place = place
            .into_iter()
            .find(|place| place.address == address && now < place.until)?;
        place.asked = asked;
        Some(place.mtu)
    }

    /// A packet to the address was larger than the path carries.
    pub(crate) fn lower(&mut self, now: Instant, address: IpAddr, mtu: u16) {
        self.generation = self.generation.wrapping_add(1).max(1);
        self.latest = Some((address, mtu));
        self.count = self.count.wrapping_add(1);
        let count = self.count;
        let set = self.set(address);
        let age = |place: &Option<Place>| match place {
            Some(place) if place.address == address => u32::MAX,
            Some(place) if now < place.until => count.wrapping_sub(place.asked),
            _ => u32::MAX - 1,
        };
        let place = set.iter_mut().max_by_key(|place| age(place));
        if let Some(place) = place {
            *place = Some(Place {
                address,
                mtu,
                until: now + PATH_MTU_LIFETIME,
                asked: count,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    fn host(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    /// RFC 1191 §6.3.
    #[test]
    fn what_was_learned_holds_for_ten_minutes() {
        let mut mtus = PathMtus::new([1; 16]);
        let at = Instant::from_millis;
        assert_eq!((mtus.get(at(0), host(1)), mtus.generation()), (None, 0));
        mtus.lower(at(0), host(1), 1400);
        assert_eq!(
            (mtus.get(at(599_999), host(1)), mtus.generation()),
            (Some(1400), 1)
        );
        assert_eq!(mtus.get(at(600_000), host(1)), None);
        assert_eq!(mtus.get(at(0), host(2)), None);
        mtus.lower(at(600_000), host(1), 1300);
        mtus.lower(at(600_001), host(1), 1200);
        assert_eq!(mtus.get(at(600_002), host(1)), Some(1200));
    }

    #[test]
    fn the_table_is_bounded_and_keeps_what_is_asked_for() {
        let mut mtus = PathMtus::new([1; 16]);
        let now = Instant::ZERO;
        mtus.lower(now, host(0), 1400);
        for number in 1..10_000 {
            mtus.lower(now, host(number), 1000);
            assert_eq!(mtus.get(now, host(0)), Some(1400), "{number}");
        }
        let known = (0..10_000)
            .filter(|n| mtus.get(now, host(*n)).is_some())
            .count();
        assert_eq!(known, SETS * WAYS);
    }

    /// RFC 1191 §5.
    #[test]
    fn a_router_that_names_no_mtu_has_the_next_plateau() {
        let cases = [
            (1500, 1492),
            (1492, 1006),
            (1006, 576),
            (577, 576),
            (576, 0),
            (9000, 8166),
        ];
        for (len, mtu) in cases {
            assert_eq!(plateau(len), mtu);
        }
    }
}
