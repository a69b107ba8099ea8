//! Identifications of packets that are sent in fragments (RFC 6864, RFC 7739).
//!
//! Each pair of addresses and protocol has a sequence of its own: it starts anywhere and goes on by
//! random steps. So a number does not come again soon for the same receiver, and says nothing about
//! packets to others (RFC 7739 §4, CVE-2020-36516). A table of a fixed size remembers the sequences;
//! one that was pushed out starts anew, anywhere.

use crate::demux::Address;
use crate::rng::Rng;
use alloc::boxed::Box;
use alloc::vec;
use core::hash::Hasher;
use siphasher::sip::SipHasher13;

/// Sets of places, and places of a set.
const SETS: usize = 32;
const WAYS: usize = 4;
/// The largest step: of 65,536 numbers of IPv4, 14,000 packets have different ones.
const MAX_STEP: u32 = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// A keyed hash of addresses and protocol; 0: free.
    tag: u64,
    last: u32,
    /// The table's count when it was last asked for.
    asked: u32,
}

/// The sequences.
#[derive(Debug)]
pub(crate) struct Identifications {
    key: [u8; 16],
    places: Box<[Place]>,
    count: u32,
}

impl Identifications {
    /// The only allocation. `key` is secret.
    pub(crate) fn new(key: [u8; 16]) -> Self {
        Self {
            key,
            places: vec![Place::default(); SETS * WAYS].into_boxed_slice(),
            count: 0,
        }
    }

    /// The number for the next packet. IPv4 takes the low 16 bits.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "any part of the hash will do"
    )]
    pub(crate) fn next(
        &mut self,
        source: Address,
        destination: Address,
        protocol: u8,
        rng: &mut Rng,
    ) -> u32 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(&source.v6().octets());
        hasher.write(&destination.v6().octets());
        hasher.write_u8(protocol);
        let tag = hasher.finish().max(1);
        self.count = self.count.wrapping_add(1);
        let count = self.count;
        let first = tag as usize % SETS * WAYS;
        let set = &mut self.places[first..first + WAYS];
        let age = |place: &Place| match place.tag {
            same if same == tag => u64::MAX,
            0 => u64::MAX - 1,
            _ => u64::from(count.wrapping_sub(place.asked)),
        };
        let Some(place) = set.iter_mut().max_by_key(|place| age(place)) else {
            return rng.u32();
        };
        let last = if place.tag == tag {
            place.last
        } else {
            rng.u32()
        };
        *place = Place {
            tag,
            last: last.wrapping_add(1 + rng.u32() % MAX_STEP),
            asked: count,
        };
        place.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    fn host(number: u32) -> Address {
        Ipv4Addr::from_bits(0x0a00_0000 + number).into()
    }

    /// RFC 6864 §4.3: no number comes again within the lifetime of a packet.
    #[test]
    fn a_number_does_not_come_again_soon_for_the_same_receiver() {
        let (mut ids, mut rng) = (Identifications::new([1; 16]), Rng::new([2; 32]));
        let mut next = || ids.next(host(1), host(2), 17, &mut rng) & 0xffff;
        let numbers: Vec<u32> = (0..14_000).map(|_| next()).collect();
        for window in numbers.chunks(7_000) {
            assert_eq!(window.iter().collect::<BTreeSet<_>>().len(), 7_000);
        }
        let steps: BTreeSet<u32> = numbers
            .windows(2)
            .map(|pair| pair[1].wrapping_sub(pair[0]) & 0xffff)
            .collect();
        assert_eq!(steps, (1..=MAX_STEP).collect());
    }

    /// RFC 7739 §4, CVE-2020-36516: what one receiver sees tells nothing about packets to another.
    #[test]
    fn packets_to_others_do_not_move_the_sequence_of_a_receiver() {
        let steps = |others: u32| {
            let (mut ids, mut rng) = (Identifications::new([1; 16]), Rng::new([2; 32]));
            let first = ids.next(host(1), host(2), 17, &mut rng);
            for _ in 0..others {
                ids.next(host(1), host(3), 17, &mut rng);
                ids.next(host(1), host(2), 1, &mut rng);
            }
            ids.next(host(1), host(2), 17, &mut rng).wrapping_sub(first)
        };
        for others in [0, 1, 1_000] {
            assert!((1..=MAX_STEP).contains(&steps(others)));
        }
    }

    #[test]
    fn the_table_is_bounded_and_keeps_whom_it_sends_to() {
        let (mut ids, mut rng) = (Identifications::new([1; 16]), Rng::new([2; 32]));
        let mut last = ids.next(host(1), host(2), 17, &mut rng);
        for other in 3..10_000 {
            ids.next(host(1), host(other), 17, &mut rng);
            let next = ids.next(host(1), host(2), 17, &mut rng);
            assert!((1..=MAX_STEP).contains(&next.wrapping_sub(last)));
            last = next;
        }
    }

    #[test]
    fn where_a_sequence_starts_cannot_be_foretold() {
        let starts: BTreeSet<u32> = (0..64)
            .flat_map(|seed| {
                let (mut ids, mut rng) = (Identifications::new([seed; 16]), Rng::new([seed; 32]));
                (0..16).map(move |other| ids.next(host(1), host(other), 17, &mut rng) >> 16)
            })
            .collect();
        assert!(starts.len() > 1_000, "{}", starts.len());
    }
}
