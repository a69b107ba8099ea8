//! Our IPv4 addresses on an interface: what they make of other addresses, and their announcement
//! and defence (RFC 5227).

use super::{is_host, mask};
use crate::error::ConfigError;
use crate::time::Instant;
use core::net::Ipv4Addr;
use core::time::Duration;

/// Most addresses of one interface.
const MAX_ADDRESSES: usize = 8;
/// Announcements of a new address: ANNOUNCE_NUM of RFC 5227 §1.1.
const ANNOUNCEMENTS: u8 = 2;
/// Between announcements: ANNOUNCE_INTERVAL of RFC 5227 §1.1.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// Between defences of an address: DEFEND_INTERVAL of RFC 5227 §1.1.
const DEFEND_INTERVAL: Duration = Duration::from_secs(10);

/// One of our addresses.
#[derive(Clone, Copy, Debug)]
struct LocalAddress {
    address: Ipv4Addr,
    prefix_len: u8,
    /// The network's broadcast address, and its all-zeros form (RFC 1122 §3.3.6). Networks of one
    /// or two hosts have none (RFC 3021): 255.255.255.255, which is a broadcast anyhow.
    broadcasts: [Ipv4Addr; 2],
    announcements_left: u8,
    announce_at: Instant,
    defended: Option<Instant>,
}

impl LocalAddress {
    /// Whether `address` is on the same network.
    fn is_on_link(&self, address: Ipv4Addr) -> bool {
        (self.address.to_bits() ^ address.to_bits()) & mask(self.prefix_len) == 0
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

/// The addresses of one interface.
#[derive(Debug, Default)]
pub(crate) struct Ipv4Addresses {
    addresses: heapless::Vec<LocalAddress, MAX_ADDRESSES>,
    /// An address may have announcements left.
    announcing: bool,
}

impl Ipv4Addresses {
    /// Adds an address, to be announced from `now` on.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        address: Ipv4Addr,
        prefix_len: u8,
    ) -> Result<(), ConfigError> {
        let local = LocalAddress {
            address,
            prefix_len,
            broadcasts: LocalAddress::broadcasts(address, prefix_len),
            announcements_left: ANNOUNCEMENTS,
            announce_at: now,
            defended: None,
        };
        if !is_host(address)
            || !(1..=32).contains(&prefix_len)
            || local.is_broadcast(address)
            || self.owns(address)
        {
            return Err(ConfigError::BadAddress);
        }
        self.addresses
            .push(local)
            .map_err(|_| ConfigError::TooMany)?;
        self.announcing = true;
        Ok(())
    }

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

    /// Whether a neighbour here can have this address.
    pub(crate) fn is_on_link(&self, address: Ipv4Addr) -> bool {
        self.addresses.iter().any(|local| local.is_on_link(address))
    }

    /// The address of ours to send from: the one on the next hop's network, or the first.
    pub(crate) fn source_for(&self, next_hop: Ipv4Addr) -> Option<Ipv4Addr> {
        let on_link = self
            .addresses
            .iter()
            .filter(|local| local.is_on_link(next_hop));
        let best = on_link
            .max_by_key(|local| local.prefix_len)
            .or(self.addresses.first());
        best.map(|local| local.address)
    }

    /// When the next announcement is due.
    #[inline]
    pub(crate) fn next_announcement(&self) -> Option<Instant> {
        if !self.announcing {
            return None;
        }
        let left = self
            .addresses
            .iter()
            .filter(|local| local.announcements_left > 0);
        left.map(|local| local.announce_at).min()
    }

    /// Whether an address may be to be announced, now or later.
    #[inline]
    pub(crate) fn may_announce(&self) -> bool {
        self.announcing
    }

    /// An address that is to be announced now.
    #[inline]
    pub(crate) fn take_announcement(&mut self, now: Instant) -> Option<Ipv4Addr> {
        if !self.announcing {
            return None;
        }
        self.announcing = self.addresses.iter().any(|a| a.announcements_left > 0);
        let local = self
            .addresses
            .iter_mut()
            .find(|local| local.announcements_left > 0 && local.announce_at <= now)?;
        local.announcements_left -= 1;
        local.announce_at = now + ANNOUNCE_INTERVAL;
        Some(local.address)
    }

    /// Somebody else uses an address of ours: whether to announce it again now. Addresses are
    /// configured, so they are never given up (RFC 5227 §2.4 (c)).
    pub(crate) fn defend(&mut self, now: Instant, address: Ipv4Addr) -> bool {
        let Some(local) = self
            .addresses
            .iter_mut()
            .find(|local| local.address == address)
        else {
            return false;
        };
        if local.defended.is_some_and(|at| now - at < DEFEND_INTERVAL) {
            return false;
        }
        local.defended = Some(now);
        local.announcements_left = local.announcements_left.max(1);
        local.announce_at = now;
        self.announcing = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(addresses: &[([u8; 4], u8)]) -> Ipv4Addresses {
        let mut interface = Ipv4Addresses::default();
        for (address, prefix_len) in addresses {
            interface
                .add(Instant::ZERO, (*address).into(), *prefix_len)
                .unwrap();
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
            let result = interface.add(Instant::ZERO, address.into(), prefix_len);
            assert_eq!(
                result.unwrap_err(),
                ConfigError::BadAddress,
                "{address:?}/{prefix_len}"
            );
        }
        for last in 3..10 {
            interface
                .add(Instant::ZERO, [10, 0, 0, last].into(), 24)
                .unwrap();
        }
        let ninth = interface.add(Instant::ZERO, [10, 0, 0, 99].into(), 24);
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
            ([10, 0, 0, 2], 24),
            ([192, 168, 0, 2], 16),
            ([192, 168, 7, 2], 24),
        ]);
        let source = |next_hop: [u8; 4]| interface.source_for(next_hop.into()).unwrap().octets();
        assert_eq!(source([10, 0, 0, 1]), [10, 0, 0, 2]);
        assert_eq!(source([192, 168, 7, 1]), [192, 168, 7, 2]);
        assert_eq!(source([192, 168, 8, 1]), [192, 168, 0, 2]);
        assert_eq!(source([8, 8, 8, 8]), [10, 0, 0, 2]);
    }

    #[test]
    fn a_new_address_is_announced_twice_two_seconds_apart() {
        let mut interface = interface(&[([10, 0, 0, 2], 24)]);
        let at = Instant::from_millis;
        assert!(interface.take_announcement(at(0)).is_some());
        assert_eq!(interface.take_announcement(at(1_999)), None);
        assert_eq!(interface.next_announcement(), Some(at(2_000)));
        assert!(interface.take_announcement(at(2_000)).is_some());
        assert_eq!(
            (
                interface.next_announcement(),
                interface.take_announcement(at(9_000))
            ),
            (None, None)
        );
    }

    #[test]
    fn an_address_is_defended_at_most_every_ten_seconds() {
        let mut interface = interface(&[([10, 0, 0, 2], 24)]);
        let at = Instant::from_millis;
        while interface.take_announcement(at(5_000)).is_some()
            || interface.next_announcement().is_some()
        {
            interface.take_announcement(at(9_000));
        }
        assert!(interface.defend(at(10_000), [10, 0, 0, 2].into()));
        assert!(interface.take_announcement(at(10_000)).is_some());
        assert!(!interface.defend(at(19_999), [10, 0, 0, 2].into()));
        assert!(interface.defend(at(20_000), [10, 0, 0, 2].into()));
        assert!(!interface.defend(at(40_000), [10, 0, 0, 3].into()));
    }
}
