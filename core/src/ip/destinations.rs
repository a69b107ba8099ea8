//! The destination cache: where the last packet to an address went, so that a segment of a busy
//! connection needs neither the routes nor the neighbour table.

use crate::demux::Address;
use crate::time::Instant;
use crate::wire::ethernet::EthernetHeader;
use alloc::boxed::Box;
use alloc::vec;

/// Places; each address has one. Two addresses that share a place only cost lookups.
const PLACES: usize = 64;

/// A resolved destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination {
    pub(crate) interface: u8,
    /// Largest packet that the interface carries.
    pub(crate) mtu: usize,
    /// The header to put in front of the packet.
    pub(crate) header: EthernetHeader,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    address: Address,
    generation: u64,
    until: Instant,
    destination: Destination,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct Destinations {
    places: Box<[Option<Place>]>,
}

impl Destinations {
    pub(crate) fn new() -> Self {
        Self {
            places: vec![None; PLACES].into_boxed_slice(),
        }
    }

    #[inline]
    fn place(address: Address) -> usize {
        let bits = u32::from_be(address.fold());
        ((bits ^ (bits >> 8) ^ (bits >> 16)) as usize) % PLACES
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
        self.places[Self::place(address)]
            .as_ref()
            .filter(|p| p.address == address && p.generation == generation && now < p.until)
            .map(|p| &p.destination)
    }

    /// Stores the way to `address` until the given time.
    pub(crate) fn put(
        &mut self,
        generation: u64,
        address: Address,
        until: Instant,
        destination: Destination,
    ) {
        self.places[Self::place(address)] = Some(Place {
            address,
            generation,
            until,
            destination,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    #[test]
    fn what_was_stored_holds_for_its_address_its_generation_and_its_time() {
        let mut cache = Destinations::new();
        let destination = Destination {
            interface: 3,
            mtu: 1500,
            header: EthernetHeader::default(),
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
}
