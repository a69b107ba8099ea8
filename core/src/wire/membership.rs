//! What IGMP (RFC 3376) and multicast listener discovery (RFC 3810) have alike: queries, and the
//! records of reports.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What a querier speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IGMP version 3, MLD version 2: with sources.
    Sources,
    /// IGMP version 2, MLD version 1: with an end of membership.
    Groups,
    /// IGMP version 1: members only tell that they are there.
    Members,
}

/// A query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The group that is asked for; `None`: all.
    pub group: Option<IpAddr>,
    /// Within what time to answer.
    pub max_response_delay: Duration,
    /// What the querier speaks.
    pub version: Version,
    /// How often changes are to be reported (QRV); 0: it does not say.
    pub robustness: u8,
    /// The sources that are asked for, of which there may be none: addresses, one behind the other.
    sources: &'a [u8],
}

/// What follows the group in a query that may have sources.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Tail {
    /// Four reserved bits, one that is for routers, and the querier's robustness.
    flags: u8,
    /// The querier's interval, as a code.
    interval: u8,
    /// Sources that follow.
    sources: U16,
}

/// Bits of the robustness in [`Tail::flags`].
const ROBUSTNESS: u8 = 7;

impl<'a> Query<'a> {
    /// A query of an older version, which knows no sources.
    #[must_use]
    pub fn old(version: Version, group: Option<IpAddr>, max_response_delay: Duration) -> Self {
        Self {
            group,
            max_response_delay,
            version,
            robustness: 0,
            sources: &[],
        }
    }

    /// A query whose `rest` lies behind the group. The sources must all be there, each of
    /// `address_len` bytes.
    #[must_use]
    pub fn with_sources(
        group: Option<IpAddr>,
        max_response_delay: Duration,
        rest: &'a [u8],
        address_len: usize,
    ) -> Option<Self> {
        let (tail, sources) = Tail::ref_from_prefix(rest).ok()?;
        let sources = sources.get(..usize::from(tail.sources.get()) * address_len)?;
        if group.is_none() && !sources.is_empty() {
            // Only a query for a group can ask for sources of it (RFC 3376 §4.1.9).
            return None;
        }
        Some(Self {
            group,
            max_response_delay,
            version: Version::Sources,
            robustness: tail.flags & ROBUSTNESS,
            sources,
        })
    }

    /// The sources that are asked for; none: all of the group.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = IpAddr> + 'a {
        let len = match self.group {
            Some(IpAddr::V6(_)) => 16,
            _ => 4,
        };
        self.sources.chunks_exact(len).map(|bytes| {
            match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
                (_, Ok(v6)) => Ipv6Addr::from(v6).into(),
                (Ok(v4), _) => Ipv4Addr::from(v4).into(),
                _ => Ipv4Addr::UNSPECIFIED.into(),
            }
        })
    }
}

/// What a record of a report says of a group (RFC 3376 §4.2.12, RFC 3810 §5.2.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordType {
    /// In answer to a query: these sources are listened to.
    ModeIsInclude = 1,
    /// In answer to a query: every source is listened to but these.
    ModeIsExclude = 2,
    /// From now on only these sources are listened to; none: listening has ended.
    ChangeToInclude = 3,
    /// From now on every source is listened to but these.
    ChangeToExclude = 4,
    /// These sources are listened to as well.
    AllowNewSources = 5,
    /// These sources are not listened to any more.
    BlockOldSources = 6,
}

/// The head of a record, in front of the group and the sources.
#[derive(Clone, Copy, Debug, IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct RecordHead {
    record_type: u8,
    /// 0: no auxiliary data.
    aux_len: u8,
    sources: U16,
}

/// Bytes of a record without its addresses.
pub(crate) const HEAD_LEN: usize = size_of::<RecordHead>();

/// The records of a report, as they are written into a message.
#[derive(Debug)]
pub struct Records<'a> {
    buffer: &'a mut [u8],
    len: usize,
    count: u16,
}

impl<'a> Records<'a> {
    /// No record yet, and room for as many as fit.
    #[must_use]
    pub fn new(buffer: &'a mut [u8]) -> Self {
        Self {
            buffer,
            len: 0,
            count: 0,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Bytes that they take.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a record. `false`: it does not fit, and nothing was added.
    pub fn push(
        &mut self,
        record_type: RecordType,
        group: IpAddr,
        sources: impl Iterator<Item = IpAddr> + Clone,
    ) -> bool {
        let count = sources.clone().count();
        let head = RecordHead {
            record_type: record_type as u8,
            aux_len: 0,
            sources: U16::new(u16::try_from(count).unwrap_or(u16::MAX)),
        };
        let address_len = if group.is_ipv6() { 16 } else { 4 };
        let len = HEAD_LEN + (1 + count) * address_len;
        let Some(place) = self.buffer.get_mut(self.len..self.len + len) else {
            return false;
        };
        let (first, addresses) = place.split_at_mut(HEAD_LEN);
        first.copy_from_slice(head.as_bytes());
        let all = core::iter::once(group).chain(sources);
        for (place, address) in addresses.chunks_exact_mut(address_len).zip(all) {
            match address {
                IpAddr::V4(v4) if address_len == 4 => place.copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) if address_len == 16 => place.copy_from_slice(&v6.octets()),
                _ => place.fill(0),
            }
        }
        self.len += len;
        self.count += 1;
        true
    }
}

/// A time of a query's 8-bit codes, in their unit: from 128 on it is a floating-point number
/// (RFC 3376 §4.1.1).
#[must_use]
pub fn short_code(code: u8) -> u32 {
    if code < 0x80 {
        return u32::from(code);
    }
    (u32::from(code & 0xf) | 0x10) << ((code >> 4 & 7) + 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn codes_above_127_are_floating_point() {
        let of = |code| short_code(code);
        assert_eq!((of(0), of(127), of(128), of(129)), (0, 127, 128, 136));
        assert_eq!((of(0x8f), of(0x90), of(0xff)), (248, 256, 31_744));
    }

    #[test]
    fn a_query_has_all_the_sources_that_it_counts() {
        let group = Some(IpAddr::V4(Ipv4Addr::new(232, 1, 2, 3)));
        let of = |rest: &'static [u8]| Query::with_sources(group, Duration::ZERO, rest, 4);
        assert_eq!(of(&[2, 125, 0]), None);
        assert_eq!(of(&[2, 125, 0, 1, 10, 0, 0]), None);
        let query = of(&[0xfa, 125, 0, 1, 10, 0, 0, 1, 99]).unwrap();
        assert_eq!(query.robustness, 2);
        let sources: Vec<IpAddr> = query.sources().collect();
        assert_eq!(sources, [IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1))]);
        let general = Query::with_sources(None, Duration::ZERO, &[0, 0, 0, 1, 1, 1, 1, 1], 4);
        assert_eq!(general, None, "sources of no group");
    }

    #[test]
    fn records_are_written_as_the_rfcs_draw_them_or_not_at_all() {
        let mut buffer = [0xaa; 30];
        let mut records = Records::new(&mut buffer);
        let v4 = |n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, n));
        let group = IpAddr::V4(Ipv4Addr::new(239, 1, 2, 3));
        assert!(records.push(
            RecordType::AllowNewSources,
            group,
            [v4(1), v4(2)].into_iter()
        ));
        assert!(!records.push(RecordType::ModeIsInclude, group, [v4(3), v4(4)].into_iter()));
        assert!(records.push(RecordType::ChangeToExclude, group, [].into_iter()));
        assert_eq!((records.count(), records.len()), (2, 24));
        let expected = [
            5, 0, 0, 2, 239, 1, 2, 3, 10, 0, 0, 1, 10, 0, 0, 2, 4, 0, 0, 0, 239, 1, 2, 3,
        ];
        assert_eq!(buffer[..24], expected);
    }
}
