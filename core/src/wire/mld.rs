//! Messages of multicast listener discovery, version 2 (RFC 3810) and version 1 (RFC 2710).

use super::icmpv6::{Icmpv6Header, message_type};
use super::membership::{Query, Version};
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The hop-by-hop options header that every message has: Router Alert for MLD (RFC 2711), padded.
pub const ROUTER_ALERT: [u8; 8] = [super::ipv6::next_header::ICMPV6, 0, 5, 2, 0, 0, 1, 0];
/// Where reports of version 2 go: all routers that speak it.
pub const ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x16);
/// The hop limit of every message.
pub const HOP_LIMIT: u8 = 1;

/// The fixed part of a query of version 1, and of version 2, which goes on.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub struct Message {
    /// Type, code, checksum; the maximum response code in the first half of the value.
    pub header: Icmpv6Header,
    /// The group; unspecified in a general query.
    pub group: [u8; 16],
}

/// Reads a query (RFC 3810 §5.1, §8.1); `None` for what is none. Its length tells the versions apart.
#[must_use]
pub fn parse_query(message: &[u8]) -> Option<Query<'_>> {
    let (query, rest) = Message::ref_from_prefix(message).ok()?;
    let group = Ipv6Addr::from(query.group);
    if query.header.message_type != message_type::LISTENER_QUERY
        || !(group.is_unspecified() || group.is_multicast())
    {
        return None;
    }
    let group = Some(IpAddr::V6(group)).filter(|group| !group.is_unspecified());
    let [a, b, _, _] = query.header.value.to_bytes();
    let code = u16::from_be_bytes([a, b]);
    let delay = |millis: u32| Duration::from_millis(u64::from(millis));
    if rest.is_empty() {
        return Some(Query::old(Version::Groups, group, delay(code.into())));
    }
    let millis = if code < 0x8000 {
        u32::from(code)
    } else {
        // A floating-point value (RFC 3810 §5.1.3).
        (u32::from(code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3)
    };
    Query::with_sources(group, delay(millis), rest, 16)
}

/// The header of a report of version 2 with so many records behind it, its checksum still to be
/// taken (RFC 3810 §5.2).
#[must_use]
pub fn report(records: u16) -> Icmpv6Header {
    Icmpv6Header::new(message_type::LISTENER_REPORT, 0, u32::from(records))
}

/// A report or, if `done`, the end of listening in version 1 (RFC 2710 §3).
#[must_use]
pub fn version_1(group: Ipv6Addr, done: bool) -> Message {
    let message_type = if done {
        message_type::LISTENER_DONE_V1
    } else {
        message_type::LISTENER_REPORT_V1
    };
    Message {
        header: Icmpv6Header::new(message_type, 0, 0),
        group: group.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query with this maximum response code, for all groups, followed by `rest`.
    fn query(code: u16, rest: &[u8]) -> std::vec::Vec<u8> {
        let value = u32::from(code) << 16;
        let header = Icmpv6Header::new(message_type::LISTENER_QUERY, 0, value);
        [header.as_bytes(), &[0; 16], rest].concat()
    }

    #[test]
    fn the_length_tells_the_versions_of_a_query_apart() {
        let bytes = query(10_000, &[]);
        let old = parse_query(&bytes).unwrap();
        assert_eq!(old.version, Version::Groups);
        assert_eq!(old.max_response_delay, Duration::from_secs(10));
        assert_eq!(parse_query(&query(10_000, &[2, 125, 0])), None);
        let bytes = query(0, &[2, 125, 0, 0]);
        let new = parse_query(&bytes).unwrap();
        assert_eq!((new.version, new.robustness), (Version::Sources, 2));
        assert_eq!(new.max_response_delay, Duration::ZERO);
        let mut bytes = query(100, &[&[2, 125, 0, 1][..], &[1; 16]].concat());
        assert_eq!(parse_query(&bytes), None, "sources of no group");
        bytes[8] = 0xff;
        assert_eq!(parse_query(&bytes).unwrap().sources().len(), 1);
        assert_eq!(parse_query(&bytes[..43]), None, "a source is missing");
        bytes[8] = 0x20;
        assert_eq!(parse_query(&bytes), None, "not a group");
    }

    #[test]
    fn long_delays_are_floating_point() {
        let delay = |code| {
            let bytes = query(code, &[2, 125, 0, 0]);
            let query = parse_query(&bytes).unwrap();
            query.max_response_delay.as_millis()
        };
        assert_eq!((delay(0x7fff), delay(0x8000)), (32_767, 32_768));
        assert_eq!((delay(0x8001), delay(0xffff)), (32_776, 0x1fff << 10));
    }

    #[test]
    fn a_query_for_a_group_names_it() {
        let group: Ipv6Addr = "ff02::fb".parse().unwrap();
        let mut bytes = query(100, &[2, 125, 0, 0]);
        bytes[8..24].copy_from_slice(&group.octets());
        assert_eq!(parse_query(&bytes).unwrap().group, Some(group.into()));
        bytes[0] = message_type::LISTENER_REPORT;
        assert_eq!(parse_query(&bytes), None);
    }

    #[test]
    fn reports_are_written_as_rfc_3810_draws_them() {
        let group: Ipv6Addr = "ff02::fb".parse().unwrap();
        assert_eq!(report(2).as_bytes(), [143, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(version_1(group, false).header.message_type, 131);
        assert_eq!(version_1(group, true).header.message_type, 132);
    }
}
