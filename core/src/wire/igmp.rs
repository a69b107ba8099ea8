//! Messages of the Internet group management protocol, versions 3 (RFC 3376), 2 (RFC 2236) and 1
//! (RFC 1112).

use super::membership::{Query, Version, short_code};
use crate::checksum;
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where reports of version 3 go: all routers that speak it.
pub const ROUTERS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 22);
/// The time to live of every message.
pub const TIME_TO_LIVE: u8 = 1;
/// The type of service of every message: internetwork control (RFC 3376 §4).
pub const TRAFFIC_CLASS: u8 = 0xc0;

/// Types of messages.
pub mod message_type {
    /// A query, of any version.
    pub const QUERY: u8 = 0x11;
    /// A report of version 1.
    pub const REPORT_V1: u8 = 0x12;
    /// A report of version 2.
    pub const REPORT_V2: u8 = 0x16;
    /// The end of membership, version 2.
    pub const LEAVE_V2: u8 = 0x17;
    /// A report of version 3.
    pub const REPORT_V3: u8 = 0x22;
}

/// A message of the versions 1 and 2, the first part of a query of version 3, and, with the number of
/// records as the last two bytes of the group, the head of a report of version 3.
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
    /// One of [`message_type`].
    pub message_type: u8,
    /// In a query: within what time to answer, as a code.
    pub max_response: u8,
    /// Checksum over the message.
    pub checksum: U16,
    /// The group; unspecified in a general query.
    pub group: [u8; 4],
}

impl Message {
    /// A message, its checksum still to be taken.
    #[must_use]
    pub fn new(message_type: u8, group: Ipv4Addr) -> Self {
        Self {
            message_type,
            group: group.octets(),
            ..Self::default()
        }
    }

    /// The head of a report of version 3 with so many records, its checksum still to be taken
    /// (RFC 3376 §4.2).
    #[must_use]
    pub fn report(records: u16) -> Self {
        let [high, low] = records.to_be_bytes();
        Self::new(message_type::REPORT_V3, Ipv4Addr::new(0, 0, high, low))
    }
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IgmpError {
    /// Shorter than any message, or a query without all of its sources.
    Truncated,
    /// The checksum is wrong.
    Checksum,
    /// Not a query: what members say to routers.
    NotAQuery,
    /// A query for what is no group.
    Group,
}

/// Reads a query (RFC 3376 §4.1, §7.1). Its length, and the code of version 1, tell the versions
/// apart.
///
/// # Errors
/// [`IgmpError`].
pub fn parse_query(message: &[u8]) -> Result<Query<'_>, IgmpError> {
    /// What version 1 has instead of a code (RFC 3376 §7.2.1), in tenths of a second.
    const VERSION_1_DELAY: u32 = 100;
    let (head, rest) = Message::ref_from_prefix(message).map_err(|_| IgmpError::Truncated)?;
    if !checksum::sum(message).is_valid() {
        return Err(IgmpError::Checksum);
    }
    if head.message_type != message_type::QUERY {
        return Err(IgmpError::NotAQuery);
    }
    let group = Ipv4Addr::from(head.group);
    if !group.is_unspecified() && !group.is_multicast() {
        return Err(IgmpError::Group);
    }
    let group = Some(IpAddr::V4(group)).filter(|group| !group.is_unspecified());
    let delay = |tenths: u32| Duration::from_millis(u64::from(tenths) * 100);
    match (rest.is_empty(), head.max_response) {
        (true, 0) => Ok(Query::old(Version::Members, group, delay(VERSION_1_DELAY))),
        (true, code) => Ok(Query::old(Version::Groups, group, delay(code.into()))),
        (false, code) => {
            Query::with_sources(group, delay(short_code(code)), rest, 4).ok_or(IgmpError::Truncated)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn summed(mut bytes: Vec<u8>) -> Vec<u8> {
        let sum = checksum::sum(&bytes).finish();
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// A query with this code, for this group, followed by `rest`.
    fn query(code: u8, group: [u8; 4], rest: &[u8]) -> Vec<u8> {
        let [a, b, c, d] = group;
        summed([&[0x11, code, 0, 0, a, b, c, d], rest].concat())
    }

    #[test]
    fn length_and_code_tell_the_versions_of_a_query_apart() {
        let version = |code, rest: &[u8]| {
            let bytes = query(code, [0; 4], rest);
            let query = parse_query(&bytes).unwrap();
            (query.version, query.max_response_delay.as_millis())
        };
        assert_eq!(version(0, &[]), (Version::Members, 10_000));
        assert_eq!(version(100, &[]), (Version::Groups, 10_000));
        assert_eq!(version(0xff, &[]), (Version::Groups, 25_500));
        assert_eq!(version(0, &[2, 125, 0, 0]), (Version::Sources, 0));
        assert_eq!(version(0x80, &[2, 125, 0, 0]), (Version::Sources, 12_800));
    }

    #[test]
    fn what_is_no_query_is_refused_by_name() {
        let good = query(100, [224, 1, 1, 1], &[2, 125, 0, 0]);
        assert_eq!(
            parse_query(&good).unwrap().group,
            Some([224, 1, 1, 1].into())
        );
        for len in 0..8 {
            assert_eq!(parse_query(&good[..len]), Err(IgmpError::Truncated));
        }
        let mut spoiled = good.clone();
        spoiled[1] ^= 1;
        assert_eq!(parse_query(&spoiled), Err(IgmpError::Checksum));
        let short = query(100, [224, 1, 1, 1], &[2, 125, 0]);
        assert_eq!(parse_query(&short), Err(IgmpError::Truncated));
        let no_source = query(100, [224, 1, 1, 1], &[2, 125, 0, 9, 1, 2, 3, 4]);
        assert_eq!(parse_query(&no_source), Err(IgmpError::Truncated));
        let host = query(100, [10, 0, 0, 1], &[]);
        assert_eq!(parse_query(&host), Err(IgmpError::Group));
        let report = summed([Message::report(0).as_bytes()].concat());
        assert_eq!(parse_query(&report), Err(IgmpError::NotAQuery));
    }

    #[test]
    fn reports_are_written_as_rfc_3376_draws_them() {
        assert_eq!(Message::report(258).as_bytes(), [0x22, 0, 0, 0, 0, 0, 1, 2]);
        let leave = Message::new(message_type::LEAVE_V2, Ipv4Addr::new(239, 1, 2, 3));
        assert_eq!(leave.as_bytes(), [0x17, 0, 0, 0, 239, 1, 2, 3]);
    }
}
