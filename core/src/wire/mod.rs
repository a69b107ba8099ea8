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

/// Bytes of an IP header to or from this address: no options, no extension headers.
pub(crate) fn ip_header_len(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => ipv4::HEADER_LEN,
        IpAddr::V6(_) => ipv6::HEADER_LEN,
    }
}
