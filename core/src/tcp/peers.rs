//! How many connections each peer has open to our listeners, where that is limited. A peer is an IPv4
//! address, or an IPv6 network of 64 bits: every host of such a network has all of its addresses
//! (RFC 4291 §2.5.4, RFC 7421), so one of them counted alone would be no limit.

use super::slab::Slab;
use crate::demux::{Address, Demux, FourTuple};
use crate::rng::Rng;

/// The counts: one place for each address that has a connection, so never more places than there
/// may be connections.
#[derive(Debug)]
pub(super) struct Peers {
    max: usize,
    places: Demux,
    counts: Slab<(Address, usize)>,
    secret: [u8; 16],
}

impl Peers {
    /// Counts for at most `connections` connections, at most `max` for each address.
    pub(super) fn new(max: usize, connections: usize, rng: &mut Rng) -> Self {
        Self {
            max,
            places: Demux::new(connections),
            counts: Slab::new(connections),
            secret: rng.key(),
        }
    }

    fn hash(&self, address: Address) -> u64 {
        let key = FourTuple {
            local: address,
            remote: address,
            local_port: 0,
            remote_port: 0,
        };
        key.hash(&self.secret)
    }

    /// What is counted: `address` is an entry's.
    fn find(&self, address: Address) -> Option<u32> {
        self.places.find(self.hash(address), |place| {
            self.counts
                .get(place)
                .is_some_and(|(counted, _)| *counted == address)
        })
    }

    /// Whether an address may have one more connection.
    pub(super) fn may_connect(&self, address: Address) -> bool {
        let address = address.site();
        let count = self.find(address).and_then(|place| self.counts.get(place));
        count.is_none_or(|(_, count)| *count < self.max)
    }

    /// An address has one more connection.
    pub(super) fn add(&mut self, address: Address) {
        let address = address.site();
        if let Some(place) = self.find(address) {
            if let Some((_, count)) = self.counts.get_mut(place) {
                *count += 1;
            }
        } else if let Some(place) = self.counts.insert((address, 1)) {
            let entered = self.places.insert(self.hash(address), place);
            debug_assert!(entered, "the table is sized for all connections");
        }
    }

    /// A connection of an address has ended.
    pub(super) fn remove(&mut self, address: Address) {
        let address = address.site();
        let Some(place) = self.find(address) else {
            return;
        };
        let Some((_, count)) = self.counts.get_mut(place) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.places.remove(self.hash(address), place);
            self.counts.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::collections::BTreeMap;

    #[test]
    fn all_addresses_of_an_ipv6_network_are_one_peer() {
        let mut peers = Peers::new(2, 16, &mut Rng::new([9; 32]));
        let v6 = |bits: u128| Address::from(IpAddr::from(Ipv6Addr::from_bits(bits)));
        let network = 0x2001_0db8_0001_0002 << 64;
        peers.add(v6(network | 1));
        peers.add(v6(network | 2 << 60));
        assert!(!peers.may_connect(v6(network | 3)));
        assert!(
            peers.may_connect(v6(network + (1 << 64))),
            "another network"
        );
        peers.remove(v6(network | 2 << 60));
        assert!(peers.may_connect(v6(network | 3)));
        peers.remove(v6(network | 1));
        assert_eq!(peers.counts.used(), 0);
        // IPv4 addresses stand for themselves.
        let v4 = |last| Address::from(IpAddr::from(Ipv4Addr::new(10, 0, 0, last)));
        peers.add(v4(1));
        peers.add(v4(1));
        assert!(!peers.may_connect(v4(1)) && peers.may_connect(v4(2)));
    }

    #[test]
    fn counts_are_those_of_a_map() {
        let mut rng = Rng::new([9; 32]);
        let mut peers = Peers::new(3, 16, &mut rng);
        let mut model: BTreeMap<u32, usize> = BTreeMap::new();
        for _ in 0..5_000 {
            let last = rng.u32() % 9;
            let address = if last < 5 {
                IpAddr::from(Ipv4Addr::from_bits(last))
            } else {
                Ipv6Addr::from_bits(u128::from(last) << 64).into()
            };
            let address = Address::from(address);
            let count = model.entry(last).or_default();
            assert_eq!(peers.may_connect(address), *count < 3);
            if rng.u32().is_multiple_of(2) && *count < 3 {
                peers.add(address);
                *count += 1;
                if model.values().sum::<usize>() > 16 {
                    peers.remove(address);
                    *model.get_mut(&last).unwrap() -= 1;
                }
            } else if *count > 0 {
                peers.remove(address);
                *count -= 1;
            }
            let held = model.values().filter(|count| **count > 0).count();
            assert_eq!(peers.counts.used(), held, "no place without a connection");
        }
    }
}
