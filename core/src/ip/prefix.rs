//! Prefixes of addresses, of both families.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as a number, and how many bits its family has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(v4) => (v4.to_bits().into(), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

/// All addresses of a family that share their first bits. Those of one family are never the other's,
/// also not in the forms in which IPv6 writes IPv4 addresses (RFC 4291 §2.5.5): otherwise a router
/// of IPv6 could have a say in IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Prefix {
    network: u128,
    /// Bits of an address: 32 or 128.
    width: u8,
    /// In bits.
    len: u8,
}

impl Prefix {
    /// The addresses that share `len` bits with `address`; `None` if no address has so many.
    pub(crate) fn new(address: IpAddr, len: u8) -> Option<Self> {
        let (bits, width) = bits(address);
        let host_bits = width.checked_sub(len)?;
        Some(Self {
            network: bits & mask(host_bits),
            width,
            len,
        })
    }

    /// Its length.
    pub(crate) fn len(&self) -> u8 {
        self.len
    }

    /// The first of these addresses.
    pub(crate) fn first(&self) -> IpAddr {
        match u32::try_from(self.network) {
            Ok(network) if self.width == 32 => Ipv4Addr::from_bits(network).into(),
            _ => Ipv6Addr::from_bits(self.network).into(),
        }
    }

    /// Whether an address is one of these.
    pub(crate) fn covers(&self, address: IpAddr) -> bool {
        let (bits, width) = bits(address);
        width == self.width && bits & mask(self.width - self.len) == self.network
    }

    /// Whether all addresses of another one are among these.
    pub(crate) fn contains(&self, other: &Self) -> bool {
        self.len <= other.len && self.covers(other.first())
    }

    /// Whether an address is the first of these: the prefix leaves out none of its bits.
    pub(crate) fn starts_at(&self, address: IpAddr) -> bool {
        bits(address) == (self.network, self.width)
    }
}

/// All bits but the last `host_bits`, 0 to 128.
fn mask(host_bits: u8) -> u128 {
    u128::MAX.checked_shl(host_bits.into()).unwrap_or(0)
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
            ("::", 0, "::ffff:10.0.0.2", "10.0.0.2"),
            ("::ffff:10.0.0.0", 120, "::ffff:10.0.0.2", "10.0.0.2"),
            ("::10.0.0.0", 120, "::10.0.0.2", "10.0.0.2"),
            ("0.0.0.0", 0, "0.0.0.2", "::2"),
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
            assert_eq!(prefix.len(), len);
        }
    }

    #[test]
    fn lengths_beyond_the_family_are_refused() {
        assert_eq!(Prefix::new("10.0.0.0".parse().unwrap(), 33), None);
        assert_eq!(Prefix::new("::".parse().unwrap(), 129), None);
    }

    #[test]
    fn a_prefix_contains_those_that_are_as_long_or_longer() {
        let contains = |one, other| {
            let prefix = |(address, len)| prefix(address, len);
            prefix(one).contains(&prefix(other))
        };
        assert!(contains(("10.0.0.0", 8), ("10.1.0.0", 16)));
        assert!(contains(("10.0.0.0", 8), ("10.0.0.0", 8)));
        assert!(!contains(("10.0.0.0", 8), ("0.0.0.0", 0)));
        assert!(!contains(("10.0.0.0", 8), ("11.0.0.0", 16)));
        assert!(!contains(("::", 0), ("10.0.0.0", 8)));
    }

    #[test]
    fn a_prefix_starts_at_its_network() {
        assert!(prefix("10.0.0.0", 8).starts_at("10.0.0.0".parse().unwrap()));
        assert!(!prefix("10.0.0.1", 8).starts_at("10.0.0.1".parse().unwrap()));
        assert!(prefix("2001:db8::", 32).starts_at("2001:db8::".parse().unwrap()));
    }
}
