//! Messages of multicast listener discovery, version 2 (RFC 3810) and version 1 (RFC 2710).

use super::icmpv6::{Icmpv6Header, message_type};
use core::net::Ipv6Addr;
use core::time::Duration;
use zerocopy::byteorder::network_endian::U16;
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

/// A query, as far as a listener without source filters has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The group that is asked for; `None`: all.
    pub group: Option<Ipv6Addr>,
    /// Within what time to answer.
    pub max_response_delay: Duration,
    /// The querier speaks version 1 only.
    pub version_1: bool,
}

/// Reads a query (RFC 3810 §5.1, §8.1); `None` for what is none.
#[must_use]
pub fn parse_query(message: &[u8]) -> Option<Query> {
    const VERSION_1_LEN: usize = 24;
    const VERSION_2_LEN: usize = 28;
    let (query, rest) = Message::ref_from_prefix(message).ok()?;
    let version_1 = message.len() == VERSION_1_LEN;
    if query.header.message_type != message_type::LISTENER_QUERY
        || (!version_1 && message.len() < VERSION_2_LEN)
    {
        return None;
    }
    if !version_1 {
        // The sources that are asked for must all be there; none are looked at.
        let sources = u16::from_be_bytes(*rest.get(2..)?.first_chunk::<2>()?);
        if usize::from(sources) * 16 > message.len() - VERSION_2_LEN {
            return None;
        }
    }
    let [a, b, _, _] = query.header.value.to_bytes();
    let code = u16::from_be_bytes([a, b]);
    let millis = if version_1 || code < 0x8000 {
        u32::from(code)
    } else {
        // A floating-point value (RFC 3810 §5.1.3).
        (u32::from(code & 0xfff) | 0x1000) << ((code >> 12 & 7) + 3)
    };
    let group = Ipv6Addr::from(query.group);
    Some(Query {
        group: Some(group).filter(|group| !group.is_unspecified()),
        max_response_delay: Duration::from_millis(u64::from(millis)),
        version_1,
    })
}

/// What a record of a report says of a group (RFC 3810 §5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordType {
    /// In answer to a query: every source is listened to.
    ModeIsExclude = 2,
    /// Listening has ended.
    ChangeToInclude = 3,
    /// Listening has begun, to every source.
    ChangeToExclude = 4,
}

/// A record without sources, as it lies on the wire.
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
pub struct Record {
    /// A [`RecordType`].
    pub record_type: u8,
    /// 0: no auxiliary data.
    pub aux_len: u8,
    /// 0: no sources.
    pub sources: U16,
    /// The group.
    pub group: [u8; 16],
}

impl Record {
    /// A record about a group.
    #[must_use]
    pub fn new(record_type: RecordType, group: Ipv6Addr) -> Self {
        Self {
            record_type: record_type as u8,
            aux_len: 0,
            sources: U16::ZERO,
            group: group.octets(),
        }
    }
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
        let of = |rest: &[u8]| parse_query(&query(10_000, rest));
        let version_1 = of(&[]).unwrap();
        assert!(version_1.version_1);
        assert_eq!(version_1.max_response_delay, Duration::from_secs(10));
        assert_eq!(of(&[2, 125, 0]), None);
        assert!(!of(&[2, 125, 0, 0]).unwrap().version_1);
        assert_eq!(of(&[2, 125, 0, 1]), None, "a source is missing");
        assert!(of(&[&[2, 125, 0, 1][..], &[1; 16]].concat()).is_some());
    }

    #[test]
    fn long_delays_are_floating_point() {
        let delay = |code| {
            let query = parse_query(&query(code, &[2, 125, 0, 0])).unwrap();
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
        assert_eq!(parse_query(&bytes).unwrap().group, Some(group));
        bytes[0] = message_type::LISTENER_REPORT;
        assert_eq!(parse_query(&bytes), None);
    }

    #[test]
    fn reports_are_written_as_rfc_3810_draws_them() {
        let group: Ipv6Addr = "ff02::fb".parse().unwrap();
        assert_eq!(report(2).as_bytes(), [143, 0, 0, 0, 0, 0, 0, 2]);
        let record = Record::new(RecordType::ChangeToExclude, group);
        assert_eq!(record.as_bytes()[..4], [4, 0, 0, 0]);
        assert_eq!(record.as_bytes()[4..], group.octets());
        assert_eq!(version_1(group, false).header.message_type, 131);
        assert_eq!(version_1(group, true).header.message_type, 132);
    }
}
