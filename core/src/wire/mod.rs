//! Bytes to typed values and back, one file per protocol, without state.
//!
//! A header is a struct that lies on the bytes as they came (`zerocopy`, network-endian fields).
//! `parse` checks every length and offset of its protocol once and says where the payload lies;
//! what it returns needs no further checks. Its error names the field at fault, so that each kind
//! of malformed packet has its own counter. Checksums that cover a payload are checked by the
//! layer that owns the payload.

pub mod arp;
pub mod dhcp;
pub mod dhcp6;
pub mod ecn;
pub mod ethernet;
pub mod icmpv4;
pub mod icmpv6;
pub mod igmp;
pub mod ipv4;
pub mod ipv6;
pub mod membership;
pub mod mld;
pub mod ndp;
pub mod tcp;
pub mod udp;

use core::net::IpAddr;
use ipv4::protocol;
use ipv6::next_header;

/// Bytes of an IP header to or from this address: no options, no extension headers.
pub(crate) fn ip_header_len(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => ipv4::HEADER_LEN,
        IpAddr::V6(_) => ipv6::HEADER_LEN,
    }
}

/// Bytes of the header of a transport's packet, as far as its beginning tells; 0 for what is not
/// spoken.
pub(crate) fn transport_header_len(protocol: u8, packet: &[u8]) -> usize {
    match protocol {
        protocol::TCP => {
            let words = packet.get(12).map_or(0, |byte| byte >> 4);
            (usize::from(words) * 4).max(tcp::HEADER_LEN)
        }
        protocol::UDP => udp::HEADER_LEN,
        protocol::ICMP => icmpv4::HEADER_LEN,
        next_header::ICMPV6 => icmpv6::HEADER_LEN,
        _ => 0,
    }
}
