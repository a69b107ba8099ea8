//! Prefixes of addresses, of both families.

use core::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv4 address in its IPv6-mapped form (RFC 4291 §2.5.5.2) that are the same for
/// all of them. No packet carries such an address, so the families cannot be mistaken.
const MAPPED_BITS: u8 = 96;

/// An address of either family as a number, IPv4 in its mapped form.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// All addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    network: u128,
    /// In bits, those of the mapped form included.
    len: u8,
}

impl Prefix {
    /// The addresses that share `len` bits with `address`; `None` if no address has so many.
    pub(crate) fn new(address: IpAddr, len: u8) -> Option<Self> {
        let (most, common) = match address {
            IpAddr::V4(_) => (32, MAPPED_BITS),
            IpAddr::V6(_) => (128, 0),
        };
        if len > most {
            return None;
        }
        let len = len + common;
        let network = bits(address) & mask(len);
        Some(Self { network, len })
    }

    /// Its length, to compare those of prefixes that cover the same address.
    pub(crate) fn len(&self) -> u8 {
        self.len
    }

    /// Its length as its own family counts it.
    pub(crate) fn family_len(&self) -> u8 {
        match self.first() {
            IpAddr::V4(_) => self.len - MAPPED_BITS,
            IpAddr::V6(_) => self.len,
        }
    }

    /// The first of these addresses.
    pub(crate) fn first(&self) -> IpAddr {
        let network = Ipv6Addr::from_bits(self.network);
        match network.to_ipv4_mapped() {
            Some(v4) if self.len >= MAPPED_BITS => v4.into(),
            _ => network.into(),
        }
    }

    /// Whether an address is one of these.
    pub(crate) fn covers(&self, address: IpAddr) -> bool {
        bits(address) & mask(self.len) == self.network
    }

    /// Whether an address is the first of these: the prefix leaves out none of its bits.
    pub(crate) fn starts_at(&self, address: IpAddr) -> bool {
        bits(address) == self.network
    }
}

/// The mask of 0 to 128 bits.
fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(address: &str, len: u8) -> Prefix {
        Prefix::new(address.parse().unwrap(), len).unwrap()
    }

    #[test]
    fn a_prefix_covers_what_shares_its_bits() {
        for (network, len, inside, outside) in [
            ("10.0.0.2", 24, "10.0.0.255", "10.0.1.0"),
            ("10.0.0.2", 32, "10.0.0.2", "10.0.0.3"),
            ("10.0.0.2", 0, "255.255.255.255", "2001:db8::1"),
            ("2001:db8::2", 64, "2001:db8::ffff:0:0:1", "2001:db8:0:1::"),
            ("2001:db8::2", 128, "2001:db8::2", "2001:db8::3"),
            ("2001:db8::2", 1, "3fff::1", "fe80::1"),
        ] {
            let prefix = prefix(network, len);
            assert!(prefix.covers(inside.parse().unwrap()), "{inside}");
            assert!(!prefix.covers(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn a_prefix_tells_its_network_as_its_family_writes_it() {
        for (network, len, first) in [
            ("10.0.0.2", 24, "10.0.0.0"),
            ("10.0.0.2", 0, "0.0.0.0"),
            ("2001:db8::2", 64, "2001:db8::"),
            ("::", 0, "::"),
        ] {
            let prefix = prefix(network, len);
            assert_eq!(prefix.first(), first.parse::<IpAddr>().unwrap());
            assert_eq!(prefix.family_len(), len);
        }
    }

    #[test]
    fn lengths_beyond_the_family_are_refused() {
        assert_eq!(Prefix::new("10.0.0.0".parse().unwrap(), 33), None);
        assert_eq!(Prefix::new("::".parse().unwrap(), 129), None);
    }

    #[test]
    fn a_prefix_starts_at_its_network() {
        assert!(prefix("10.0.0.0", 8).starts_at("10.0.0.0".parse().unwrap()));
        assert!(!prefix("10.0.0.1", 8).starts_at("10.0.0.1".parse().unwrap()));
        assert!(prefix("2001:db8::", 32).starts_at("2001:db8::".parse().unwrap()));
    }
}
