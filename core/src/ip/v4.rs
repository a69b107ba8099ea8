//! Our IPv4 addresses on an interface: what they make of other addresses. How they come and go is in
//! `acd`.

use super::acd::{Candidate, LinkLocal};
use super::{is_host, mask};
use crate::address::{AddressInfo, AddressOrigin, AddressState, OnConflict};
use crate::time::Instant;
use core::net::Ipv4Addr;

/// Most addresses of one interface.
const MAX_ADDRESSES: usize = 8;

/// One of our addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalAddress {
    pub(super) address: Ipv4Addr,
    pub(super) prefix_len: u8,
    /// The network's broadcast address, and its all-zeros form (RFC 1122 §3.3.6). Networks of one
    /// or two hosts have none (RFC 3021): 255.255.255.255, which is a broadcast anyhow.
    pub(super) broadcasts: [Ipv4Addr; 2],
    pub(super) origin: AddressOrigin,
    pub(super) on_conflict: OnConflict,
    pub(super) announcements_left: u8,
    pub(super) announce_at: Instant,
    pub(super) defended: Option<Instant>,
}

impl LocalAddress {
    pub(super) fn new(address: Ipv4Addr, prefix_len: u8) -> Self {
        Self {
            address,
            prefix_len,
            broadcasts: Self::broadcasts(address, prefix_len),
            origin: AddressOrigin::Static,
            on_conflict: OnConflict::Keep,
            announcements_left: 0,
            announce_at: Instant::ZERO,
            defended: None,
        }
    }

    /// Whether a host can have this address on a network with such a prefix.
    pub(super) fn can_be(address: Ipv4Addr, prefix_len: u8) -> bool {
        is_host(address)
            && (1..=32).contains(&prefix_len)
            && !Self::broadcasts(address, prefix_len).contains(&address)
    }

    /// Whether `address` is on the same network.
    fn is_on_link(&self, address: Ipv4Addr) -> bool {
        is_on_link((self.address, self.prefix_len), address)
    }

    fn broadcasts(address: Ipv4Addr, prefix_len: u8) -> [Ipv4Addr; 2] {
        if prefix_len >= 31 {
            return [Ipv4Addr::BROADCAST; 2];
        }
        let (address, mask) = (address.to_bits(), mask(prefix_len));
        [address | !mask, address & mask].map(Ipv4Addr::from_bits)
    }

    /// Whether `address` is a broadcast on this network.
    fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        self.broadcasts.contains(&address)
    }
}

fn is_on_link((ours, prefix_len): (Ipv4Addr, u8), address: Ipv4Addr) -> bool {
    (ours.to_bits() ^ address.to_bits()) & mask(prefix_len) == 0
}

/// The addresses of one interface.
#[derive(Debug, Default)]
pub(crate) struct Ipv4Addresses {
    /// Those that are used.
    pub(super) addresses: heapless::Vec<LocalAddress, MAX_ADDRESSES>,
    /// Those that are not, or not yet.
    pub(super) tentative: heapless::Vec<Candidate, MAX_ADDRESSES>,
    /// Addresses that somebody else turned out to have (RFC 5227 §2.1.1).
    pub(super) conflicts: u8,
    /// When an address was probed last.
    pub(super) probed_at: Option<Instant>,
    /// Where a link-local address is wanted: the candidates to come.
    pub(super) link_local: Option<LinkLocal>,
}

impl Ipv4Addresses {
    /// Whether this is one of our addresses here.
    pub(crate) fn owns(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|local| local.address == address)
    }

    /// Whether everybody on one of our networks here is meant.
    pub(crate) fn is_broadcast(&self, address: Ipv4Addr) -> bool {
        address.is_broadcast()
            || self
                .addresses
                .iter()
                .any(|local| local.is_broadcast(address))
    }

    /// All addresses, with the lengths of their prefixes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Ipv4Addr, u8)> {
        self.addresses
            .iter()
            .map(|local| (local.address, local.prefix_len))
    }

    /// Every address that is listed, in use or not.
    pub(crate) fn iter_all(&self) -> impl Iterator<Item = AddressInfo> {
        let used = self.addresses.iter().map(|local| {
            let state = AddressState::Usable;
            info((local.address, local.prefix_len), state, local.origin)
        });
        let others = self.tentative.iter().map(|candidate| {
            let state = match candidate.duplicate {
                true => AddressState::Duplicate,
                false => AddressState::Tentative,
            };
            info(
                (candidate.address, candidate.prefix_len),
                state,
                candidate.origin,
            )
        });
        used.chain(others)
    }

    /// An address gets another prefix, that it can have.
    pub(crate) fn change_prefix(&mut self, address: Ipv4Addr, prefix_len: u8) {
        if let Some(local) = self.addresses.iter_mut().find(|a| a.address == address) {
            local.prefix_len = prefix_len;
            local.broadcasts = LocalAddress::broadcasts(address, prefix_len);
        }
    }

    /// Whether there is room for no other one.
    pub(super) fn is_full(&self) -> bool {
        self.addresses.len() + self.tentative.len() >= MAX_ADDRESSES
    }

    /// Whether a neighbour here can have this address.
    pub(crate) fn is_on_link(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|local| local.is_on_link(address))
    }

    /// Whether a neighbour here can have this address, or will once an address is ours that is being
    /// probed.
    pub(crate) fn will_be_on_link(&self, address: Ipv4Addr) -> bool {
        let mut probed = self.tentative.iter().filter(|c| !c.duplicate);
        self.is_on_link(address) || probed.any(|c| is_on_link((c.address, c.prefix_len), address))
    }

    /// Whether an address that is used or probed has this network.
    pub(crate) fn has_network(&self, (address, prefix_len): (Ipv4Addr, u8)) -> bool {
        let used = self.addresses.iter().map(|a| (a.address, a.prefix_len));
        let probed = self.tentative.iter().filter(|c| !c.duplicate);
        used.chain(probed.map(|c| (c.address, c.prefix_len)))
            .any(|network| network.1 == prefix_len && is_on_link(network, address))
    }

    /// The address of ours to send from: the one on the next hop's network, or the first. Where the
    /// next hop is a router, it is never a link-local one (RFC 3927 §2.7), and for broadcasts only if
    /// there is no other.
    pub(crate) fn source_for(&self, next_hop: Ipv4Addr, routed: bool) -> Option<Ipv4Addr> {
        let global = || self.addresses.iter().filter(|a| !a.address.is_link_local());
        let on_link = self
            .addresses
            .iter()
            .filter(|local| local.is_on_link(next_hop))
            .filter(|local| !(routed && local.address.is_link_local()));
        let best = on_link
            .max_by_key(|local| local.prefix_len)
            .or_else(|| global().next())
            .or_else(|| self.addresses.first().filter(|_| next_hop.is_broadcast()));
        best.map(|local| local.address)
    }
}

/// What is told of an address that has no lifetime.
fn info(
    (address, prefix_len): (Ipv4Addr, u8),
    state: AddressState,
    origin: AddressOrigin,
) -> AddressInfo {
    AddressInfo {
        address: address.into(),
        prefix_len,
        state,
        origin,
        preferred: None,
        valid: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::AddressOptions;
    use crate::error::ConfigError;
    use crate::rng::Rng;

    fn add(interface: &mut Ipv4Addresses, address: [u8; 4], len: u8) -> Result<(), ConfigError> {
        let (origin, options) = (AddressOrigin::Static, AddressOptions::default());
        let network = (address.into(), len);
        interface.add(
            Instant::ZERO,
            network,
            origin,
            options,
            &mut Rng::new([1; 32]),
        )
    }

    fn interface(addresses: &[([u8; 4], u8)]) -> Ipv4Addresses {
        let mut interface = Ipv4Addresses::default();
        for (address, prefix_len) in addresses {
            add(&mut interface, *address, *prefix_len).unwrap();
        }
        interface
    }

    #[test]
    fn addresses_that_no_host_can_have_are_refused() {
        let mut interface = interface(&[([10, 0, 0, 2], 24)]);
        for (address, prefix_len) in [
            ([10, 0, 0, 2], 24),
            ([10, 1, 0, 255], 24),
            ([10, 1, 0, 0], 24),
            ([10, 1, 0, 1], 0),
            ([10, 1, 0, 1], 33),
            ([127, 0, 0, 1], 8),
            ([224, 0, 0, 1], 24),
            ([255, 255, 255, 255], 32),
            ([0, 0, 0, 0], 24),
        ] {
            let result = add(&mut interface, address, prefix_len);
            assert_eq!(
                result.unwrap_err(),
                ConfigError::BadAddress,
                "{address:?}/{prefix_len}"
            );
        }
        for last in 3..10 {
            add(&mut interface, [10, 0, 0, last], 24).unwrap();
        }
        let ninth = add(&mut interface, [10, 0, 0, 99], 24);
        assert_eq!(ninth.unwrap_err(), ConfigError::TooMany);
    }

    #[test]
    fn broadcasts_of_each_network_are_recognised() {
        let interface = interface(&[
            ([10, 0, 0, 2], 24),
            ([10, 9, 0, 2], 31),
            ([10, 8, 1, 1], 16),
        ]);
        for broadcast in [
            [255; 4],
            [10, 0, 0, 255],
            [10, 0, 0, 0],
            [10, 8, 255, 255],
            [10, 8, 0, 0],
        ] {
            assert!(interface.is_broadcast(broadcast.into()), "{broadcast:?}");
        }
        for host in [
            [10, 0, 0, 2],
            [10, 9, 0, 3],
            [10, 9, 0, 2],
            [10, 8, 0, 255],
            [10, 7, 0, 255],
        ] {
            assert!(!interface.is_broadcast(host.into()), "{host:?}");
        }
    }

    #[test]
    fn the_source_is_the_address_next_to_the_next_hop() {
        let interface = interface(&[
            ([169, 254, 3, 4], 16),
            ([10, 0, 0, 2], 24),
            ([192, 168, 0, 2], 16),
            ([192, 168, 7, 2], 24),
        ]);
        let source = |next_hop: [u8; 4], routed| {
            let source = interface.source_for(next_hop.into(), routed);
            source.map(|source| source.octets())
        };
        assert_eq!(source([10, 0, 0, 1], false), Some([10, 0, 0, 2]));
        assert_eq!(source([192, 168, 7, 1], true), Some([192, 168, 7, 2]));
        assert_eq!(source([192, 168, 8, 1], false), Some([192, 168, 0, 2]));
        assert_eq!(source([8, 8, 8, 8], false), Some([10, 0, 0, 2]));
        assert_eq!(source([169, 254, 1, 1], false), Some([169, 254, 3, 4]));
        assert_eq!(
            source([169, 254, 1, 1], true),
            Some([10, 0, 0, 2]),
            "RFC 3927 §2.7"
        );
        assert_eq!(source([255; 4], false), Some([10, 0, 0, 2]));
    }

    #[test]
    fn a_link_local_address_alone_is_for_the_link_and_broadcasts() {
        let interface = interface(&[([169, 254, 3, 4], 16)]);
        let ours = Some([169, 254, 3, 4].into());
        assert_eq!(interface.source_for([169, 254, 9, 9].into(), false), ours);
        assert_eq!(interface.source_for(Ipv4Addr::BROADCAST, false), ours);
        assert_eq!(interface.source_for([8, 8, 8, 8].into(), false), None);
        assert_eq!(interface.source_for([169, 254, 9, 9].into(), true), None);
    }
}
