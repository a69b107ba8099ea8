//! IPv4 headers (RFC 791 §3.1).

use super::ecn::Ecn;
use super::icmpv4;
use crate::checksum::{self, Sum};
use core::fmt;
use core::net::Ipv4Addr;
use core::ops::Range;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;

/// Protocol numbers.
pub mod protocol {
    /// ICMP (RFC 792).
    pub const ICMP: u8 = 1;
    /// IGMP (RFC 3376).
    pub const IGMP: u8 = 2;
    /// TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// UDP (RFC 768).
    pub const UDP: u8 = 17;
}

/// Bits of the flags and fragment offset field.
const RESERVED: u16 = 0x8000;
const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// The option that makes routers look at a packet (RFC 2113).
const ROUTER_ALERT: [u8; 4] = [148, 4, 0, 0];

/// Version 4 and a header of 5 words.
const VERSION_AND_LEN: u8 = 0x45;

/// The fixed part of a header, as it lies on the wire.
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
pub struct Ipv4Header {
    /// Version (4 bits) and header length in words of 32 bits (4 bits).
    pub version_and_len: u8,
    /// Differentiated services (6 bits) and ECN (2 bits).
    pub traffic_class: u8,
    /// Bytes of the packet, header included.
    pub total_len: U16,
    /// Identification of the fragments of one packet.
    pub identification: U16,
    /// Flags (3 bits) and fragment offset (13 bits, in units of 8 bytes).
    pub flags_and_offset: U16,
    /// Hops that the packet may still take.
    pub time_to_live: u8,
    /// What the packet carries: see [`protocol`].
    pub protocol: u8,
    /// Checksum over the header.
    pub checksum: U16,
    /// Who sent it.
    pub source: [u8; 4],
    /// Who shall receive it.
    pub destination: [u8; 4],
}

/// Why a packet was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ipv4Error {
    /// Shorter than a header.
    Truncated,
    /// The version is not 4.
    Version,
    /// A header length below 5 words or beyond the packet.
    HeaderLength,
    /// A total length below the header's, or beyond what arrived.
    TotalLength,
    /// The header checksum is wrong.
    Checksum,
    /// The reserved flag is set.
    Flags,
    /// An option's length is 0 or 1, or runs over the end of the header.
    OptionLength,
    /// A source route option (RFC 791 §3.1): refused.
    SourceRoute,
}

impl fmt::Display for Ipv4Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than an IPv4 header",
            Self::Version => "IP version is not 4",
            Self::HeaderLength => "bad IPv4 header length",
            Self::TotalLength => "bad IPv4 total length",
            Self::Checksum => "bad IPv4 header checksum",
            Self::Flags => "reserved IPv4 flag set",
            Self::OptionLength => "bad IPv4 option length",
            Self::SourceRoute => "IPv4 source routing",
        })
    }
}

impl core::error::Error for Ipv4Error {}

impl Ipv4Header {
    /// A header for a packet that is never fragmented: DF set, identification 0 (an atomic
    /// datagram, RFC 6864 §4.1), best effort and not ECN-capable, checksum complete.
    #[must_use]
    pub fn new(
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        time_to_live: u8,
        total_len: u16,
    ) -> Self {
        Self::with_class(0, source, destination, protocol, time_to_live, total_len)
    }

    /// As [`Ipv4Header::new`], with differentiated services (6 bits) and ECN (2 bits).
    #[must_use]
    pub fn with_class(
        traffic_class: u8,
        source: Ipv4Addr,
        destination: Ipv4Addr,
        protocol: u8,
        time_to_live: u8,
        total_len: u16,
    ) -> Self {
        let mut header = Self {
            version_and_len: VERSION_AND_LEN,
            traffic_class,
            total_len: U16::new(total_len),
            identification: U16::ZERO,
            flags_and_offset: U16::new(DONT_FRAGMENT),
            time_to_live,
            protocol,
            checksum: U16::ZERO,
            source: source.octets(),
            destination: destination.octets(),
        };
        header.checksum = U16::new(header.sum().finish());
        header
    }

    /// A header with the Router Alert option (RFC 2113), for `len` bytes of payload.
    #[must_use]
    pub fn with_router_alert(
        traffic_class: u8,
        (source, destination): (Ipv4Addr, Ipv4Addr),
        protocol: u8,
        time_to_live: u8,
        len: u16,
    ) -> [u8; HEADER_LEN + ROUTER_ALERT.len()] {
        let mut header = Self::with_class(
            traffic_class,
            source,
            destination,
            protocol,
            time_to_live,
            len.saturating_add(24),
        );
        header.version_and_len = VERSION_AND_LEN + 1;
        header.checksum = U16::ZERO;
        let sum = header.sum() + checksum::sum(&ROUTER_ALERT);
        header.checksum = U16::new(sum.finish());
        let mut bytes = [0; HEADER_LEN + ROUTER_ALERT.len()];
        bytes[..HEADER_LEN].copy_from_slice(header.as_bytes());
        bytes[HEADER_LEN..].copy_from_slice(&ROUTER_ALERT);
        bytes
    }

    /// Makes it the header of a fragment (RFC 791 §3.2): of the packet with this identification, the
    /// piece `offset` bytes, a multiple of 8, into its payload. All zero: of a whole packet.
    pub fn set_fragment(&mut self, identification: u16, offset: usize, more: bool) {
        let units = u16::try_from(offset / 8).unwrap_or(OFFSET) & OFFSET;
        let flag = if more { MORE_FRAGMENTS } else { 0 };
        self.identification = U16::new(identification);
        self.flags_and_offset = U16::new(units | flag);
        self.checksum = U16::ZERO;
        self.checksum = U16::new(self.sum().finish());
    }

    /// The sum of the 20 bytes.
    fn sum(&self) -> Sum {
        let bytes: &[u8; HEADER_LEN] = zerocopy::transmute_ref!(self);
        checksum::sum_header(bytes)
    }

    /// Bytes of the header, options included, as its length field says: 0 to 60.
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.version_and_len & 0xf) * 4
    }

    /// The ECN field.
    #[must_use]
    pub fn ecn(&self) -> Ecn {
        Ecn::of_class(self.traffic_class)
    }

    /// The address of the sender.
    #[must_use]
    pub fn source(&self) -> Ipv4Addr {
        self.source.into()
    }

    /// The address of the receiver.
    #[must_use]
    pub fn destination(&self) -> Ipv4Addr {
        self.destination.into()
    }

    /// Whether the packet is a fragment: the first, the last or one between.
    #[must_use]
    pub fn is_fragment(&self) -> bool {
        self.flags_and_offset.get() & (MORE_FRAGMENTS | OFFSET) != 0
    }

    /// Whether another fragment follows.
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.flags_and_offset.get() & MORE_FRAGMENTS != 0
    }

    /// Where in the packet this fragment's payload belongs, in bytes: 0 to 65,528.
    #[must_use]
    pub fn fragment_offset(&self) -> usize {
        usize::from(self.flags_and_offset.get() & OFFSET) * 8
    }
}

/// Splits a packet, checking every field that has a wrong value: its header, its option bytes,
/// and where its payload lies. What follows the total length is padding of the link.
///
/// # Errors
/// [`Ipv4Error`].
/// RFC 9293 §3.9.2 (MUST-50): options are skipped.
pub fn parse(packet: &[u8]) -> Result<(&Ipv4Header, &[u8], Range<usize>), Ipv4Error> {
    let (header, _) = Ipv4Header::ref_from_prefix(packet).map_err(|_| Ipv4Error::Truncated)?;
    // The usual header is checked without a look at options.
    let header_len = if header.version_and_len == VERSION_AND_LEN {
        HEADER_LEN
    } else {
        if header.version_and_len >> 4 != 4 {
            return Err(Ipv4Error::Version);
        }
        header.header_len()
    };
    let options = packet
        .get(HEADER_LEN..header_len)
        .ok_or(Ipv4Error::HeaderLength)?;
    let total_len = usize::from(header.total_len.get());
    if total_len < header_len || total_len > packet.len() {
        return Err(Ipv4Error::TotalLength);
    }
    let mut sum = header.sum();
    if !options.is_empty() {
        sum = sum + checksum::sum(options);
    }
    if !sum.is_valid() {
        return Err(Ipv4Error::Checksum);
    }
    if header.flags_and_offset.get() & RESERVED != 0 {
        return Err(Ipv4Error::Flags);
    }
    if !options.is_empty() {
        check_options(options)?;
    }
    Ok((header, options, header_len..total_len))
}

/// Walks the options: all are skipped but source routes, which are refused (RFC 1122 §3.2.1.8
/// and §3.3.5: a host that does not support them drops such packets).
fn check_options(mut options: &[u8]) -> Result<(), Ipv4Error> {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    while let [kind, rest @ ..] = options {
        match *kind {
            END => break,
            NOP => options = rest,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(Ipv4Error::SourceRoute),
            _ => {
                let len = rest.first().map_or(0, |len| usize::from(*len));
                if len < 2 {
                    return Err(Ipv4Error::OptionLength);
                }
                options = options.get(len..).ok_or(Ipv4Error::OptionLength)?;
            }
        }
    }
    Ok(())
}

/// Whether options, which [`parse`] has checked, have Router Alert among them.
#[must_use]
pub fn has_router_alert(mut options: &[u8]) -> bool {
    while let [kind, rest @ ..] = options {
        options = match *kind {
            0 => return false,
            1 => rest,
            kind if kind == ROUTER_ALERT[0] => return true,
            _ => {
                let len = rest.first().map_or(0, |len| usize::from(*len));
                options.get(len.max(2)..).unwrap_or_default()
            }
        };
    }
    false
}

/// Splits the packet that an ICMP error quotes: its header, and where its payload lies. Only the
/// first bytes of the packet are there, so the total length and the checksum (routers change the
/// header) are not looked at.
///
/// # Errors
/// [`Ipv4Error::Truncated`], [`Ipv4Error::Version`] and [`Ipv4Error::HeaderLength`].
pub fn parse_quoted(packet: &[u8]) -> Result<(&Ipv4Header, Range<usize>), Ipv4Error> {
    let (header, _) = Ipv4Header::ref_from_prefix(packet).map_err(|_| Ipv4Error::Truncated)?;
    if header.version_and_len >> 4 != 4 {
        return Err(Ipv4Error::Version);
    }
    let header_len = header.header_len();
    if header_len < HEADER_LEN || header_len > packet.len() {
        return Err(Ipv4Error::HeaderLength);
    }
    Ok((header, header_len..packet.len()))
}

/// Whether a packet, or its first fragment, carries an ICMP error, which must not be answered with one
/// (RFC 1122 §3.2.2). Also if that cannot be told.
#[must_use]
pub fn carries_icmp_error(packet: &[u8]) -> bool {
    let Ok((header, payload)) = parse_quoted(packet) else {
        return true;
    };
    header.protocol == protocol::ICMP
        && packet
            .get(payload.start)
            .is_none_or(|kind| icmpv4::is_error(*kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// A packet with these options and 8 bytes of payload, its checksum right.
    fn packet(options: &[u8], change: impl Fn(&mut [u8])) -> Vec<u8> {
        let (source, destination) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
        let total = u16::try_from(HEADER_LEN + options.len() + 8).unwrap();
        let header = Ipv4Header::new(source, destination, protocol::UDP, 64, total);
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(options);
        let header_len = bytes.len();
        bytes[0] = 0x40 | u8::try_from(header_len / 4).unwrap();
        bytes.extend([0xab; 8]);
        change(&mut bytes);
        bytes[10..12].fill(0);
        let sum = checksum::sum(&bytes[..header_len]).finish();
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    #[test]
    fn headers_of_ours_are_atomic_and_valid() {
        let bytes = packet(&[], |_| {});
        let (header, options, payload) = parse(&bytes).unwrap();
        assert_eq!((options.len(), payload), (0, 20..28));
        assert_eq!(header.source(), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(header.destination(), Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(
            (header.identification.get(), header.flags_and_offset.get()),
            (0, 0x4000)
        );
        assert!(!header.is_fragment());
    }

    #[test]
    fn padding_behind_the_packet_is_not_payload() {
        let mut bytes = packet(&[], |_| {});
        bytes.extend([0; 18]);
        assert_eq!(parse(&bytes).unwrap().2, 20..28);
    }

    #[test]
    fn each_wrong_field_is_named() {
        for (at, value, error) in [
            (0, 0x65, Ipv4Error::Version),
            (0, 0x44, Ipv4Error::HeaderLength),
            (0, 0x4f, Ipv4Error::HeaderLength),
            (3, 19, Ipv4Error::TotalLength),
            (3, 29, Ipv4Error::TotalLength),
            (2, 0xff, Ipv4Error::TotalLength),
            (6, 0x80, Ipv4Error::Flags),
        ] {
            assert_eq!(parse(&packet(&[], |b| b[at] = value)), Err(error));
        }
        let good = packet(&[], |_| {});
        for len in 0..HEADER_LEN {
            assert_eq!(parse(&good[..len]), Err(Ipv4Error::Truncated));
        }
        assert_eq!(parse(&good[..27]), Err(Ipv4Error::TotalLength));
    }

    #[test]
    fn a_flipped_bit_anywhere_in_the_header_is_noticed() {
        let good = packet(&[], |_| {});
        for bit in 0..HEADER_LEN * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn options_are_skipped_and_their_lengths_checked() {
        for options in [
            &[1, 1, 1, 0][..],
            &[7, 4, 5, 0],
            &[0, 9, 9, 9],
            &[148, 4, 0, 0, 68, 4, 5, 0],
        ] {
            let bytes = packet(options, |_| {});
            let payload = parse(&bytes).unwrap().2;
            assert_eq!(payload, 20 + options.len()..28 + options.len());
        }
        for options in [[7, 0, 0, 0], [7, 1, 0, 0], [7, 5, 0, 0], [1, 1, 1, 7]] {
            let bytes = packet(&options, |_| {});
            assert_eq!(parse(&bytes), Err(Ipv4Error::OptionLength), "{options:?}");
        }
    }

    #[test]
    fn source_routes_are_refused_wherever_they_stand() {
        for options in [
            &[131, 4, 4, 0][..],
            &[137, 3, 4, 0],
            &[1, 131, 0, 0],
            &[7, 4, 4, 0, 137, 255, 0, 0],
        ] {
            let bytes = packet(options, |_| {});
            assert_eq!(parse(&bytes), Err(Ipv4Error::SourceRoute), "{options:?}");
        }
    }

    #[test]
    fn fragments_are_recognised_by_either_field() {
        for (field, offset, fragment) in [
            (0x2000, 0, true),
            (0x0001, 8, true),
            (0x5fff, 65_528, true),
            (0x4000, 0, false),
        ] {
            let bytes = packet(&[], |b| b[6..8].copy_from_slice(&u16::to_be_bytes(field)));
            let header = parse(&bytes).unwrap().0;
            assert_eq!(
                (header.is_fragment(), header.fragment_offset()),
                (fragment, offset)
            );
        }
    }

    #[test]
    fn a_quoted_packet_may_be_cut_off() {
        let bytes = packet(&[1, 1, 1, 1], |b| b[3] = 200);
        assert_eq!(parse_quoted(&bytes).unwrap().1, 24..32);
        assert_eq!(parse_quoted(&bytes[..24]).unwrap().1, 24..24);
        assert_eq!(parse_quoted(&bytes[..23]), Err(Ipv4Error::HeaderLength));
        assert_eq!(parse_quoted(&bytes[..19]), Err(Ipv4Error::Truncated));
    }
}
