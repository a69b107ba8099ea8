//! Demultiplexing: from the addresses and ports of a segment to its connection, at a cost that
//! does not depend on how many connections there are, nor on who chose the ports.
//!
//! Open addressing with linear probing, at most half full, so 16 bytes for each entry. The hash is keyed with a secret of
//! this boot, so nobody outside can make entries collide. Table entries are 32-bit references
//! that the owner resolves; the owner compares the full key.

use crate::checksum::{self, Sum};
use crate::wire::{ipv4, ipv6};
use alloc::boxed::Box;
use alloc::vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use siphasher::sip::SipHasher13;

/// An address of either family in 16 bytes: an IPv4 address as the IPv6 address that stands for it
/// (RFC 4291 §2.5.5.2), which no packet has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address([u8; 16]);

/// What the second half of an IPv4 address starts with; the first half is zero.
const MAPPED: u64 = u64::from_ne_bytes([0, 0, 0xff, 0xff, 0, 0, 0, 0]);
/// Where that stands.
const MAPPED_MASK: u64 = u64::from_ne_bytes([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);

impl Address {
    /// The IPv4 address, if it is one.
    #[inline]
    pub(crate) fn v4(&self) -> Option<Ipv4Addr> {
        let [.., a, b, c, d] = self.0;
        self.is_ipv4().then_some(Ipv4Addr::new(a, b, c, d))
    }

    /// Whether it is an IPv4 address.
    #[inline]
    pub(crate) fn is_ipv4(&self) -> bool {
        let [high, low] = zerocopy::transmute!(self.0);
        let (high, low): (u64, u64) = (high, low);
        high == 0 && low & MAPPED_MASK == MAPPED
    }

    /// An IPv4 address as it is, an IPv6 address without the half that a host chooses.
    pub(crate) fn site(self) -> Self {
        if self.is_ipv4() {
            return self;
        }
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        Self([a, b, c, d, e, f, g, h, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    /// The address as others know it.
    #[inline]
    pub(crate) fn ip(&self) -> IpAddr {
        match self.v4() {
            Some(v4) => v4.into(),
            None => Ipv6Addr::from_octets(self.0).into(),
        }
    }

    /// Bytes of an IP header to or from this address: no options, no extension headers.
    #[inline]
    pub(crate) fn ip_header_len(&self) -> usize {
        if self.is_ipv4() {
            ipv4::HEADER_LEN
        } else {
            ipv6::HEADER_LEN
        }
    }

    /// The address in the width of IPv6.
    #[inline]
    pub(crate) fn v6(&self) -> Ipv6Addr {
        Ipv6Addr::from_octets(self.0)
    }

    /// Its 32-bit words, added without carries.
    #[inline]
    pub(crate) fn fold(&self) -> u32 {
        let [a, b, c, d]: [u32; 4] = zerocopy::transmute!(self.0);
        a ^ b ^ c ^ d
    }

    /// Its sum as a part of a pseudo header. What IPv4 addresses start with is a zero of ones'
    /// complement.
    #[inline]
    pub(crate) fn sum(&self) -> Sum {
        checksum::sum_header(&self.0)
    }
}

impl From<IpAddr> for Address {
    #[inline]
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Self(v6.octets()),
        }
    }
}

impl From<Ipv4Addr> for Address {
    #[inline]
    fn from(address: Ipv4Addr) -> Self {
        Self(address.to_ipv6_mapped().octets())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ip().fmt(f)
    }
}

/// The addresses and ports that identify a connection; a listener has remote port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FourTuple {
    pub(crate) local: Address,
    pub(crate) remote: Address,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
}

impl FourTuple {
    /// A connection's key.
    pub(crate) fn new(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local: local.ip().into(),
            remote: remote.ip().into(),
            local_port: local.port(),
            remote_port: remote.port(),
        }
    }

    /// A listener's key.
    pub(crate) fn listener(local: Address, local_port: u16) -> Self {
        Self {
            local,
            remote: Ipv4Addr::UNSPECIFIED.into(),
            local_port,
            remote_port: 0,
        }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        SocketAddr::new(self.local.ip(), self.local_port)
    }

    pub(crate) fn remote_addr(&self) -> SocketAddr {
        SocketAddr::new(self.remote.ip(), self.remote_port)
    }

    /// A keyed hash of all four parts.
    pub(crate) fn hash(&self, secret: &[u8; 16]) -> u64 {
        let hasher = SipHasher13::new_with_key(secret);
        let [a, b] = self.local_port.to_be_bytes();
        let [c, d] = self.remote_port.to_be_bytes();
        if let (Some(local), Some(remote)) = (self.local.v4(), self.remote.v4()) {
            let ([e, f, g, h], [i, j, k, l]) = (local.octets(), remote.octets());
            return hasher.hash(&[a, b, c, d, e, f, g, h, i, j, k, l]);
        }
        let mut bytes = [0; 36];
        bytes[..4].copy_from_slice(&[a, b, c, d]);
        bytes[4..20].copy_from_slice(&self.local.0);
        bytes[20..].copy_from_slice(&self.remote.0);
        hasher.hash(&bytes)
    }
}

/// "No entry" in a slot.
const EMPTY: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Slot {
    /// The low half of the hash: it decides the place and saves most comparisons of keys.
    hash: u32,
    entry: u32,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Demux {
    slots: Box<[Slot]>,
    used: usize,
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "the low half is what is kept"
)]
fn low(hash: u64) -> u32 {
    hash as u32
}

const SLOTS_PER_ENTRY: usize = 2;

impl Demux {
    /// Bytes of the table for each entry that it has room for.
    pub(crate) const ENTRY_BYTES: usize = SLOTS_PER_ENTRY * size_of::<Slot>();

    /// A table for at most `entries` entries.
    pub(crate) fn new(entries: usize) -> Self {
        let slots = entries.max(4) * SLOTS_PER_ENTRY;
        Self {
            slots: vec![
                Slot {
                    hash: 0,
                    entry: EMPTY
                };
                slots
            ]
            .into_boxed_slice(),
            used: 0,
        }
    }

    /// Entries in the table.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// Where an entry with this hash belongs: the hash as a fraction of the table.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "less than the number of slots"
    )]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }

    fn behind(&self, at: usize) -> usize {
        if at + 1 == self.slots.len() {
            0
        } else {
            at + 1
        }
    }

    /// Steps from one slot to another.
    fn distance(&self, from: usize, to: usize) -> usize {
        if from <= to {
            to - from
        } else {
            self.slots.len() - from + to
        }
    }

    /// The entry with this hash for which `is_it` holds.
    pub(crate) fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = low(hash);
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot.entry == EMPTY {
                return None;
            }
            if slot.hash == hash && is_it(slot.entry) {
                return Some(slot.entry);
            }
            at = self.behind(at);
        }
    }

    /// Adds an entry. The owner has no more of them than it said, so that half of the slots stay
    /// empty; what exceeds it is refused with `false`.
    #[must_use]
    pub(crate) fn insert(&mut self, hash: u64, entry: u32) -> bool {
        if self.used * 2 >= self.slots.len() {
            return false;
        }
        let hash = low(hash);
        let mut at = self.home(hash);
        while self.slots[at].entry != EMPTY {
            at = self.behind(at);
        }
        self.slots[at] = Slot { hash, entry };
        self.used += 1;
        true
    }

    /// Removes an entry and closes the gap, so that no tombstones pile up.
    pub(crate) fn remove(&mut self, hash: u64, entry: u32) {
        let mut gap = self.home(low(hash));
        while self.slots[gap].entry != entry {
            if self.slots[gap].entry == EMPTY {
                return;
            }
            gap = self.behind(gap);
        }
        self.used -= 1;
        let mut at = gap;
        loop {
            at = self.behind(at);
            let slot = self.slots[at];
            if slot.entry == EMPTY {
                break;
            }
            // An entry may move back to the gap unless that lies in front of its home.
            if self.distance(self.home(slot.hash), at) >= self.distance(gap, at) {
                self.slots[gap] = slot;
                gap = at;
            }
        }
        self.slots[gap].entry = EMPTY;
    }

    /// Replaces an entry's reference: its key and hash stay.
    pub(crate) fn replace(&mut self, hash: u64, old: u32, new: u32) {
        let mut at = self.home(low(hash));
        while self.slots[at].entry != EMPTY {
            if self.slots[at].entry == old {
                self.slots[at].entry = new;
                return;
            }
            at = self.behind(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;
    use std::collections::BTreeMap;

    fn tuple(local_port: u16, remote_port: u16) -> FourTuple {
        let address = |last| Ipv4Addr::new(10, 0, 0, last).into();
        FourTuple {
            local: address(1),
            remote: address(2),
            local_port,
            remote_port,
        }
    }

    #[test]
    fn the_hash_depends_on_every_part_and_on_the_secret() {
        let base = tuple(80, 1024);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST).into();
        let others = [
            tuple(81, 1024),
            tuple(80, 1025),
            FourTuple {
                local: base.remote,
                remote: base.local,
                ..base
            },
            FourTuple {
                remote: v6,
                local: v6,
                ..base
            },
            FourTuple {
                local_port: base.remote_port,
                remote_port: base.local_port,
                ..base
            },
        ];
        for other in others {
            assert_ne!(other.hash(&[1; 16]), base.hash(&[1; 16]), "{other:?}");
        }
        assert_ne!(base.hash(&[1; 16]), base.hash(&[2; 16]));
    }

    #[test]
    fn an_address_of_either_family_survives_its_short_form() {
        let v6 = IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]);
        let v4 = IpAddr::from([192, 0, 2, 7]);
        for (ip, is_v4) in [(v6, false), (v4, true)] {
            let address = Address::from(ip);
            assert_eq!((address.ip(), address.is_ipv4()), (ip, is_v4));
            let pseudo = checksum::pseudo_header(ip, ip, 6, 0) + Sum::word(!6);
            assert_eq!((address.sum() + address.sum()).folded(), pseudo.folded());
        }
    }

    /// Random operations against a map, with so few different hashes that runs are long and wrap
    /// around the end of the table.
    #[test]
    fn behaves_like_a_map_when_hashes_collide() {
        for seed in 0..40u8 {
            let mut rng = Rng::new([seed; 32]);
            // Homes at both ends of the table.
            let hashes = [
                0,
                1,
                2,
                3,
                7,
                u64::from(u32::MAX),
                u64::from(u32::MAX) - 1,
                0xfff0_0000,
            ];
            let mut demux = Demux::new(32);
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for _ in 0..2_000 {
                let entry = rng.u32() % 48;
                if let Some(hash) = model.remove(&entry) {
                    demux.remove(hash, entry);
                } else {
                    let hash = hashes[rng.u32() as usize % 8];
                    let fits = model.len() < 32;
                    assert_eq!(demux.insert(hash, entry), fits);
                    if fits {
                        model.insert(entry, hash);
                    }
                }
                assert_eq!(demux.len(), model.len());
                for entry in 0..48 {
                    let hash = model.get(&entry).copied();
                    let found = demux.find(hash.unwrap_or(9), |e| e == entry);
                    assert_eq!(found, hash.map(|_| entry));
                }
            }
        }
    }

    #[test]
    fn a_replaced_reference_is_found_under_the_same_hash() {
        let mut demux = Demux::new(4);
        assert!(demux.insert(7, 1) && demux.insert(7, 2));
        demux.replace(7, 1, 3);
        assert_eq!(
            (demux.find(7, |e| e == 3), demux.find(7, |e| e == 1)),
            (Some(3), None)
        );
        demux.remove(7, 9);
        assert_eq!(demux.len(), 2);
    }
}
