//! IP of both families: addresses of ours, groups, routes, and what ICMP may send.
//!
//! But for `reassembly`, which keeps fragments, this module knows no frames: it answers questions about
//! addresses. The stack's receive and transmit paths ask them.

mod acd;
mod destinations;
mod groups;
mod icmp_limit;
mod identification;
pub(crate) mod identifier;
mod interface;
mod path_mtu;
mod prefix;
mod reassembly;
mod resolvers;
mod routes;
mod selection;
mod v4;
pub(crate) mod v6;

pub(crate) use acd::{Conflict, Ipv4Event};
pub(crate) use destinations::{Destination, Destinations};
pub(crate) use groups::{
    ALL_HOSTS, ALL_NODES, ALL_ROUTERS, ALL_ROUTERS_V4, Filter, Groups, Report, ethernet_group,
    is_everybody, records_of_a_group,
};
pub(crate) use icmp_limit::IcmpLimit;
pub(crate) use identification::Identifications;
pub(crate) use interface::{INTERFACE_BYTES, Interface, Ipv6, Solicitation};
pub(crate) use path_mtu::{PATH_MTU_LIFETIME, PathMtus, plateau};
pub(crate) use prefix::Prefix;
pub(crate) use reassembly::{Fragment, PacketId, Reassembly, Whole};
pub use resolvers::{DnsServer, Origin, SearchDomain};
pub(crate) use routes::{Route, Routes, Sender};

use core::net::Ipv4Addr;

/// Hops that our packets may take: the default of RFC 1700.
pub(crate) const TIME_TO_LIVE: u8 = 64;

/// Whether one host can have this address (RFC 1122 §3.2.1.3): not "this network" (0/8), not
/// loopback (127/8), not multicast, not reserved or broadcast (240/4).
pub(crate) fn is_host(address: Ipv4Addr) -> bool {
    !matches!(address.octets()[0], 0 | 127 | 224..)
}

/// Whether a host can have this address on a network with such a prefix: also not one of its
/// broadcasts.
pub(crate) fn can_be_address(address: Ipv4Addr, prefix_len: u8) -> bool {
    v4::LocalAddress::can_be(address, prefix_len)
}

/// The network mask of a prefix of 0 to 32 bits.
pub(crate) fn mask(prefix_len: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix_len.min(32)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_no_hosts() {
        let no_hosts = [
            [0, 0, 0, 0],
            [0, 1, 2, 3],
            [127, 0, 0, 1],
            [224, 0, 0, 1],
            [239, 255, 255, 255],
            [240, 0, 0, 1],
            [255, 255, 255, 255],
        ];
        for octets in no_hosts {
            assert!(!is_host(octets.into()), "{octets:?}");
        }
        for octets in [
            [1, 0, 0, 1],
            [10, 0, 0, 0],
            [126, 255, 255, 255],
            [128, 0, 0, 1],
            [223, 1, 1, 1],
        ] {
            assert!(is_host(octets.into()), "{octets:?}");
        }
    }

    #[test]
    fn masks_of_every_length() {
        assert_eq!(
            (mask(0), mask(1), mask(24), mask(32)),
            (0, 1 << 31, 0xffff_ff00, u32::MAX)
        );
    }
}
