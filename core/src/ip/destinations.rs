//! The destination cache: where the last packet to an address went, so that a segment of a busy
//! connection needs neither the routes nor the neighbour table.

use crate::demux::Address;
use crate::time::Instant;
use crate::wire::ethernet::LinkHeader;
use alloc::boxed::Box;
use alloc::vec;

/// Places; each key has one. Two that share a place only cost lookups.
const PLACES: usize = 64;

/// A resolved destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination {
    pub(crate) interface: u8,
    /// Largest packet that the interface carries.
    pub(crate) mtu: usize,
    /// The header to put in front of the packet.
    pub(crate) header: LinkHeader,
}

#[derive(Clone, Copy, Debug)]
struct Place<K> {
    key: K,
    generation: u64,
    until: Instant,
    destination: Destination,
}

/// Source and destination.
type Pair = (Address, Address);

/// The cache. A way that is the same for every sender is found by the destination alone; the others,
/// of hosts with several interfaces or routers, by both addresses.
#[derive(Debug)]
pub(crate) struct Destinations {
    places: Box<[Option<Place<Address>>]>,
    by_sender: Box<[Option<Place<Pair>>]>,
}

impl Destinations {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![None; PLACES].into_boxed_slice(),
            by_sender: vec![None; PLACES].into_boxed_slice(),
        }
    }

    #[inline]
    fn place(fold: u32) -> usize {
        let bits = u32::from_be(fold);
        ((bits ^ (bits >> 8) ^ (bits >> 16)) as usize) % PLACES
    }

    fn place_of_pair((source, destination): Pair) -> usize {
        Self::place(source.fold().rotate_left(4) ^ destination.fold())
    }

    /// The way to `address`, if it was stored under the same generation (of routes, addresses and
    /// neighbours) and its time is not over.
    #[inline(always)]
    pub(crate) fn get(
        &self,
        now: Instant,
        generation: u64,
        address: Address,
    ) -> Option<&Destination> {
        self.places[Self::place(address.fold())]
            .as_ref()
            .filter(|p| p.key == address && p.generation == generation && now < p.until)
            .map(|p| &p.destination)
    }

    /// The same for what holds for one sender: source and destination.
    pub(crate) fn get_for(
        &self,
        now: Instant,
        generation: u64,
        pair: Pair,
    ) -> Option<&Destination> {
        self.by_sender[Self::place_of_pair(pair)]
            .as_ref()
            .filter(|p| p.key == pair && p.generation == generation && now < p.until)
            .map(|p| &p.destination)
    }

    /// Stores the way to an address, until the given time.
    pub(crate) fn put(
        &mut self,
        generation: u64,
        address: Address,
        until: Instant,
        destination: Destination,
    ) {
        self.places[Self::place(address.fold())] = Some(Place {
            key: address,
            generation,
            until,
            destination,
        });
    }

    /// Stores a way that holds for one sender.
    pub(crate) fn put_for(
        &mut self,
        generation: u64,
        pair: Pair,
        until: Instant,
        destination: Destination,
    ) {
        self.by_sender[Self::place_of_pair(pair)] = Some(Place {
            key: pair,
            generation,
            until,
            destination,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ethernet::EthernetHeader;
    use core::net::Ipv4Addr;

    #[test]
    fn what_was_stored_holds_for_its_address_its_generation_and_its_time() {
        let mut cache = Destinations::new();
        let destination = Destination {
            interface: 3,
            mtu: 1500,
            header: LinkHeader::new(EthernetHeader::default(), None),
        };
        let (address, at) = (Ipv4Addr::new(10, 0, 0, 1).into(), Instant::from_millis);
        cache.put(7, address, at(100), destination);
        assert_eq!(cache.get(at(99), 7, address).map(|d| d.interface), Some(3));
        assert!(cache.get(at(100), 7, address).is_none());
        assert!(cache.get(at(99), 8, address).is_none());
        assert!(
            cache
                .get(at(99), 7, Ipv4Addr::new(10, 0, 0, 65).into())
                .is_none()
        );
    }

    #[test]
    fn a_way_of_one_sender_is_not_that_of_another() {
        let mut cache = Destinations::new();
        let way = |interface| Destination {
            interface,
            mtu: 1500,
            header: LinkHeader::new(EthernetHeader::default(), None),
        };
        let host = |last| Address::from(Ipv4Addr::new(10, 0, 0, last));
        let (now, until) = (Instant::ZERO, Instant::from_millis(100));
        for sender in 1..=3 {
            cache.put_for(7, (host(sender), host(9)), until, way(sender));
        }
        for sender in 1..=3 {
            let found = cache.get_for(now, 7, (host(sender), host(9)));
            assert_eq!(found.map(|d| d.interface), Some(sender));
        }
        assert!(cache.get_for(now, 7, (host(4), host(9))).is_none());
        assert!(cache.get_for(now, 8, (host(1), host(9))).is_none());
        assert!(cache.get_for(until, 7, (host(1), host(9))).is_none());
        assert!(cache.get(now, 7, host(9)).is_none());
    }
}
