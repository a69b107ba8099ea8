//! IPv6 headers (RFC 8200 §3) and the chain of extension headers behind them (§4).

use core::fmt;
use core::net::Ipv6Addr;
use core::ops::Range;
use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header without extension headers.
pub const HEADER_LEN: usize = 40;
/// Bytes of a fragment header.
pub const FRAGMENT_HEADER_LEN: usize = 8;
/// The MTU that every link has (RFC 8200 §5).
pub const MIN_MTU: usize = 1280;
/// Extension headers that a packet may have. RFC 8504 §5.3 lets hosts set limits; each kind is to
/// occur once at most, destination options twice (RFC 8200 §4.1), so no honest packet has more.
pub const MAX_EXTENSION_HEADERS: usize = 8;
/// Options in one header, padding aside (RFC 8504 §5.3).
pub const MAX_OPTIONS: usize = 8;

/// Values of the next header field.
pub mod next_header {
    /// Hop-by-hop options (RFC 8200 §4.3): only directly behind the IPv6 header.
    pub const HOP_BY_HOP: u8 = 0;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// A routing header (RFC 8200 §4.4).
    pub const ROUTING: u8 = 43;
    /// A fragment header (RFC 8200 §4.5).
    pub const FRAGMENT: u8 = 44;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows (RFC 8200 §4.7).
    pub const NONE: u8 = 59;
    /// Destination options (RFC 8200 §4.6).
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// Where the next header field stands in the IPv6 header.
const NEXT_HEADER_OFFSET: usize = 6;

/// A header, as it lies on the wire.
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
pub struct Ipv6Header {
    /// Version (4 bits, 6), traffic class (8 bits), flow label (20 bits).
    pub version_class_flow: U32,
    /// Bytes behind this header, extension headers included.
    pub payload_len: U16,
    /// What follows: a protocol or an extension header.
    pub next_header: u8,
    /// Hops that the packet may still take.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

/// Why a packet was refused at its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ipv6Error {
    /// Shorter than a header.
    Truncated,
    /// The version is not 6.
    Version,
    /// A payload length beyond what arrived. Jumbograms (RFC 2675) are among them.
    PayloadLength,
}

impl fmt::Display for Ipv6Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than an IPv6 header",
            Self::Version => "IP version is not 6",
            Self::PayloadLength => "bad IPv6 payload length",
        })
    }
}

impl core::error::Error for Ipv6Error {}

impl Ipv6Header {
    /// The header of a packet with `payload_len` bytes behind it; traffic class and flow label are
    /// zero.
    #[must_use]
    pub fn new(
        source: Ipv6Addr,
        destination: Ipv6Addr,
        next_header: u8,
        hop_limit: u8,
        payload_len: u16,
    ) -> Self {
        Self {
            version_class_flow: U32::new(6 << 28),
            payload_len: U16::new(payload_len),
            next_header,
            hop_limit,
            source: source.octets(),
            destination: destination.octets(),
        }
    }

    /// Traffic class: DSCP (RFC 2474) and, in its two low bits, ECN (RFC 3168).
    #[must_use]
    pub fn traffic_class(&self) -> u8 {
        (self.version_class_flow.get() >> 20).to_be_bytes()[3]
    }

    /// Sets the traffic class.
    pub fn set_traffic_class(&mut self, class: u8) {
        let others = self.version_class_flow.get() & !(0xff << 20);
        self.version_class_flow = U32::new(others | u32::from(class) << 20);
    }

    /// Source address.
    #[must_use]
    pub fn source(&self) -> Ipv6Addr {
        self.source.into()
    }

    /// Destination address.
    #[must_use]
    pub fn destination(&self) -> Ipv6Addr {
        self.destination.into()
    }
}

/// Splits a packet: its header, and where its payload lies. Bytes behind the payload length are
/// padding of the link and not part of the packet.
///
/// # Errors
/// The first field that is wrong.
pub fn parse(packet: &[u8]) -> Result<(&Ipv6Header, Range<usize>), Ipv6Error> {
    let header = parse_quoted(packet)?;
    let len = usize::from(header.payload_len.get());
    if len > packet.len() - HEADER_LEN {
        return Err(Ipv6Error::PayloadLength);
    }
    Ok((header, HEADER_LEN..HEADER_LEN + len))
}

/// The header of a packet of which only the beginning is there: an ICMP error quotes it, or the rest
/// is in other frames.
///
/// # Errors
/// [`Ipv6Error::Truncated`] and [`Ipv6Error::Version`].
pub fn parse_quoted(packet: &[u8]) -> Result<&Ipv6Header, Ipv6Error> {
    let (header, _) = Ipv6Header::ref_from_prefix(packet).map_err(|_| Ipv6Error::Truncated)?;
    if header.version_class_flow.get() >> 28 != 6 {
        return Err(Ipv6Error::Version);
    }
    Ok(header)
}

/// A fragment header (RFC 8200 §4.5), as it lies on the wire.
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
pub struct FragmentHeader {
    /// What the fragmented packet goes on with.
    pub next_header: u8,
    /// Zero; ignored on receipt.
    pub reserved: u8,
    /// Offset in units of 8 bytes (13 bits), two reserved bits, "more fragments".
    pub offset_and_flags: U16,
    /// The same in all fragments of a packet.
    pub identification: U32,
}

impl FragmentHeader {
    /// A header for the piece that starts `offset` bytes, a multiple of 8, into the packet.
    #[must_use]
    pub fn new(next_header: u8, offset: u16, more: bool, identification: u32) -> Self {
        Self {
            next_header,
            reserved: 0,
            offset_and_flags: U16::new(offset & !7 | u16::from(more)),
            identification: U32::new(identification),
        }
    }

    /// Where the fragment starts within the packet, in bytes.
    #[must_use]
    pub fn offset(&self) -> usize {
        usize::from(self.offset_and_flags.get() & !7)
    }

    /// Whether another fragment follows.
    #[must_use]
    pub fn more_fragments(&self) -> bool {
        self.offset_and_flags.get() & 1 == 1
    }

    /// Whether this is the whole packet, to be taken without looking at others (RFC 6946).
    #[must_use]
    pub fn is_atomic(&self) -> bool {
        self.offset() == 0 && !self.more_fragments()
    }
}

/// What lies behind the extension headers of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpperLayer {
    /// The protocol, a value of the next header field that is no extension header. Of a fragment
    /// that is not the first: what the fragment header says.
    pub protocol: u8,
    /// Where it starts, in bytes from the start of the packet.
    pub start: usize,
    /// Where the next header field stands that names it, for errors (RFC 4443 §3.4).
    pub named_at: usize,
    /// The fragment header, if there is one.
    pub fragment: Option<FragmentHeader>,
    /// The Router Alert option is there (RFC 2711), which MLD messages carry.
    pub router_alert: bool,
}

/// What is wrong with an extension header, and what RFC 8200 asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtensionError {
    /// A header runs over the end of the packet: dropped.
    Truncated,
    /// More headers or options than are looked at: dropped (RFC 8504 §5.3).
    TooMany,
    /// An option that says that a packet is to be dropped where it is not known (RFC 8200 §4.2).
    OptionRefused,
    /// The sender is to hear of it: Parameter Problem with this code and pointer.
    Problem {
        /// The code (RFC 4443 §3.4): 0 erroneous field, 1 unknown next header, 2 unknown option.
        code: u8,
        /// The offset of the field at fault in the packet.
        pointer: u32,
        /// To be reported for a packet to a multicast address as well (RFC 4443 §2.4 (e)).
        even_multicast: bool,
    },
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "an extension header runs over the packet's end",
            Self::TooMany => "too many extension headers or options",
            Self::OptionRefused => "an unknown option that forbids processing",
            Self::Problem { .. } => "an extension header that must be reported",
        })
    }
}

impl core::error::Error for ExtensionError {}

impl ExtensionError {
    /// A packet whose payload length is no multiple of 8, though more fragments follow (RFC 8200
    /// §4.5).
    pub const FRAGMENT_LENGTH: Self = Self::Problem {
        code: ERRONEOUS_FIELD,
        pointer: 4,
        even_multicast: false,
    };

    /// A first fragment without all headers.
    pub const INCOMPLETE_CHAIN: Self = Self::Problem {
        code: INCOMPLETE_CHAIN,
        pointer: 0,
        even_multicast: false,
    };

    /// A fragment that ends beyond what a packet can have; its header starts at `start`.
    #[must_use]
    pub fn fragment_offset(start: usize) -> Self {
        problem(ERRONEOUS_FIELD, start + 2)
    }
}

fn problem(code: u8, pointer: usize) -> ExtensionError {
    ExtensionError::Problem {
        code,
        pointer: u32::try_from(pointer).unwrap_or(u32::MAX),
        even_multicast: false,
    }
}

/// Erroneous header field encountered (RFC 4443 §3.4).
const ERRONEOUS_FIELD: u8 = 0;
/// Unrecognized Next Header type encountered (RFC 4443 §3.4): the code of a parameter problem.
pub const UNKNOWN_NEXT_HEADER: u8 = 1;
/// Unrecognized IPv6 option encountered.
const UNKNOWN_OPTION: u8 = 2;
/// The first fragment has not all headers (RFC 7112 §5).
const INCOMPLETE_CHAIN: u8 = 3;

/// Walks along the extension headers of a packet that [`parse`] has accepted, up to what is none,
/// or to a fragment header of a packet that is not whole: what follows that is the business of
/// reassembly. `packet` ends where the payload does.
///
/// # Errors
/// [`ExtensionError`].
pub fn upper_layer(packet: &[u8]) -> Result<UpperLayer, ExtensionError> {
    let mut protocol = packet
        .get(NEXT_HEADER_OFFSET)
        .copied()
        .ok_or(ExtensionError::Truncated)?;
    let mut layer = UpperLayer {
        protocol,
        start: HEADER_LEN,
        named_at: NEXT_HEADER_OFFSET,
        fragment: None,
        router_alert: false,
    };
    for count in 0..=MAX_EXTENSION_HEADERS {
        layer.protocol = protocol;
        match protocol {
            next_header::HOP_BY_HOP if count > 0 => {
                // RFC 8200 §4.1: anywhere else it is not known.
                return Err(problem(UNKNOWN_NEXT_HEADER, layer.named_at));
            }
            next_header::HOP_BY_HOP
            | next_header::DESTINATION_OPTIONS
            | next_header::ROUTING
            | next_header::FRAGMENT => {}
            _ => return Ok(layer),
        }
        let rest = packet.get(layer.start..).unwrap_or_default();
        if protocol == next_header::FRAGMENT {
            let Ok((header, _)) = FragmentHeader::read_from_prefix(rest) else {
                return Err(ExtensionError::Truncated);
            };
            let second = layer.fragment.replace(header).is_some();
            if second {
                // A whole packet with two of them is nobody's (RFC 8200 §4.1: once at most).
                return Err(ExtensionError::TooMany);
            }
            layer.named_at = layer.start;
            layer.start += FRAGMENT_HEADER_LEN;
            protocol = header.next_header;
            if header.is_atomic() {
                continue;
            }
            if protocol == next_header::HOP_BY_HOP && header.offset() == 0 {
                return Err(problem(UNKNOWN_NEXT_HEADER, layer.named_at));
            }
            layer.protocol = protocol;
            return Ok(layer);
        }
        let (&[next, units], _) = rest
            .split_first_chunk::<2>()
            .ok_or(ExtensionError::Truncated)?;
        let len = (usize::from(units) + 1) * 8;
        let header = rest.get(..len).ok_or(ExtensionError::Truncated)?;
        if protocol == next_header::ROUTING {
            // RFC 8200 §4.4: no type is known (type 0: RFC 5095), so only one that has nothing
            // left to do can be passed over.
            if header[3] != 0 {
                return Err(problem(ERRONEOUS_FIELD, layer.start + 2));
            }
        } else {
            layer.router_alert |= check_options(header, layer.start)?;
        }
        layer.named_at = layer.start;
        layer.start += len;
        protocol = next;
    }
    Err(ExtensionError::TooMany)
}

/// Whether a packet that [`parse`] has accepted carries an ICMPv6 error or a redirect, which must not
/// be answered with an error (RFC 4443 §2.4 (e)). Options are not looked at.
#[must_use]
pub fn carries_icmp_error(packet: &[u8]) -> bool {
    behind_extensions(packet).is_some_and(|(protocol, start)| {
        let message_type = packet.get(start);
        protocol == next_header::ICMPV6
            && message_type.is_some_and(|message_type| {
                *message_type < 128 || *message_type == super::icmpv6::message_type::REDIRECT
            })
    })
}

/// Whether a first fragment has all headers of its packet, that of the transport included
/// (RFC 7112 §5, RFC 8200 §4.5).
#[must_use]
pub fn has_whole_chain(packet: &[u8]) -> bool {
    behind_extensions(packet).is_some_and(|(protocol, start)| {
        packet.get(start..).is_some_and(|transport| {
            transport.len() >= super::transport_header_len(protocol, transport)
        })
    })
}

/// What follows the extension headers of a packet, and where. Neither their order nor their options
/// are looked at, and the place may lie beyond the end of `packet`.
fn behind_extensions(packet: &[u8]) -> Option<(u8, usize)> {
    let mut protocol = *packet.get(NEXT_HEADER_OFFSET)?;
    let mut start = HEADER_LEN;
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let header = packet.get(start..).unwrap_or_default();
        let units = match protocol {
            next_header::FRAGMENT => 0,
            next_header::HOP_BY_HOP | next_header::ROUTING | next_header::DESTINATION_OPTIONS => {
                header.get(1).copied().unwrap_or(0)
            }
            _ => return Some((protocol, start)),
        };
        protocol = header.first().copied().unwrap_or(next_header::NONE);
        start += (usize::from(units) + 1) * 8;
    }
    None
}

/// Makes the first fragment of a packet, whose headers [`upper_layer`] has walked along, the
/// beginning of the whole packet: the fragment header goes, and with `len` bytes behind it the length
/// is the whole packet's. The packet then starts 8 bytes later, with its payload where it was.
///
/// `None`: the packet would be too long, or there is no fragment header.
pub fn remove_fragment_header(packet: &mut [u8], len: usize) -> Option<()> {
    let (mut named_at, mut start) = (NEXT_HEADER_OFFSET, HEADER_LEN);
    while *packet.get(named_at)? != next_header::FRAGMENT {
        named_at = start;
        start += (usize::from(*packet.get(start + 1)?) + 1) * 8;
    }
    let payload_len = u16::try_from(start - HEADER_LEN + len).ok()?;
    let next = *packet.get(start..start + FRAGMENT_HEADER_LEN)?.first()?;
    packet[named_at] = next;
    packet.copy_within(..start, FRAGMENT_HEADER_LEN);
    let (header, _) = Ipv6Header::mut_from_prefix(&mut packet[FRAGMENT_HEADER_LEN..]).ok()?;
    header.payload_len = U16::new(payload_len);
    Some(())
}

/// The options of a hop-by-hop or destination options header that starts `at` in its packet
/// (RFC 8200 §4.2). Whether Router Alert is among them.
fn check_options(header: &[u8], at: usize) -> Result<bool, ExtensionError> {
    const PAD_1: u8 = 0;
    const PAD_N: u8 = 1;
    const ROUTER_ALERT: u8 = 5;
    let mut place = 2;
    let mut options = 0;
    let mut router_alert = false;
    while let Some(kind) = header.get(place) {
        if *kind == PAD_1 {
            place += 1;
            continue;
        }
        let len = header
            .get(place + 1)
            .ok_or_else(|| problem(ERRONEOUS_FIELD, at + place))?;
        let end = place + 2 + usize::from(*len);
        if end > header.len() {
            return Err(problem(ERRONEOUS_FIELD, at + place + 1));
        }
        match *kind {
            PAD_N => {}
            ROUTER_ALERT if *len == 2 => router_alert = true,
            kind => match kind >> 6 {
                0 => {}
                1 => return Err(ExtensionError::OptionRefused),
                action => {
                    return Err(ExtensionError::Problem {
                        code: UNKNOWN_OPTION,
                        pointer: u32::try_from(at + place).unwrap_or(u32::MAX),
                        even_multicast: action == 2,
                    });
                }
            },
        }
        if *kind != PAD_N {
            options += 1;
            if options > MAX_OPTIONS {
                return Err(ExtensionError::TooMany);
            }
        }
        place = end;
    }
    Ok(router_alert)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const A: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    const B: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);

    /// A packet that goes on with `next`, whose payload is `payload`.
    fn packet(next: u8, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(payload.len()).unwrap();
        let header = Ipv6Header::new(A, B, next, 64, len);
        [header.as_bytes(), payload].concat()
    }

    fn problem_of(packet: &[u8]) -> (u8, u32) {
        match upper_layer(packet) {
            Err(ExtensionError::Problem { code, pointer, .. }) => (code, pointer),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_header_is_written_and_read() {
        let bytes = packet(next_header::UDP, &[7; 9]);
        let (header, payload) = parse(&bytes).unwrap();
        assert_eq!(
            (header.source(), header.destination(), payload),
            (A, B, 40..49)
        );
        let mut header = *header;
        assert_eq!(header.traffic_class(), 0);
        header.set_traffic_class(0xb9);
        assert_eq!(header.traffic_class(), 0xb9);
        assert_eq!(header.as_bytes()[..2], [0x6b, 0x90]);
    }

    #[test]
    fn each_wrong_field_is_named() {
        let good = packet(next_header::UDP, &[7; 9]);
        for len in 0..HEADER_LEN {
            assert_eq!(parse(&good[..len]), Err(Ipv6Error::Truncated));
        }
        assert_eq!(parse(&good[..48]), Err(Ipv6Error::PayloadLength));
        let mut bad = good.clone();
        bad[0] = 0x45;
        assert_eq!(parse(&bad), Err(Ipv6Error::Version));
        let padded = [&good[..], &[0; 11]].concat();
        assert_eq!(parse(&padded).unwrap().1, 40..49);
    }

    #[test]
    fn extension_headers_are_passed_over_in_order() {
        // Hop-by-hop with Router Alert and PadN, routing with nothing left, destination options.
        let payload = [
            &[43, 0, 5, 2, 0, 0, 1, 0][..],
            &[60, 0, 0, 0, 0, 0, 0, 0],
            &[58, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[128, 0],
        ]
        .concat();
        let layer = upper_layer(&packet(0, &payload)).unwrap();
        assert_eq!(
            layer,
            UpperLayer {
                protocol: next_header::ICMPV6,
                start: 72,
                named_at: 56,
                fragment: None,
                router_alert: true,
            }
        );
    }

    #[test]
    fn hop_by_hop_options_stand_first_or_are_unknown() {
        let payload = [[0, 0, 1, 4, 0, 0, 0, 0], [6, 0, 1, 4, 0, 0, 0, 0]].concat();
        assert_eq!(problem_of(&packet(60, &payload)), (1, 40));
    }

    #[test]
    fn a_routing_header_with_segments_left_is_reported() {
        let payload = [6, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(problem_of(&packet(43, &payload)), (0, 42));
    }

    #[test]
    fn unknown_options_are_treated_as_their_high_bits_say() {
        let with = |kind| upper_layer(&packet(0, &[6, 0, kind, 4, 0, 0, 0, 0]));
        assert_eq!(with(0x1e).unwrap().protocol, next_header::TCP);
        assert_eq!(with(0x5e), Err(ExtensionError::OptionRefused));
        for (kind, even_multicast) in [(0x9e, true), (0xde, false)] {
            let problem = ExtensionError::Problem {
                code: 2,
                pointer: 42,
                even_multicast,
            };
            assert_eq!(with(kind), Err(problem));
        }
    }

    #[test]
    fn an_option_beyond_its_header_is_reported() {
        assert_eq!(problem_of(&packet(0, &[6, 0, 30, 5, 0, 0, 0, 0])), (0, 43));
        assert_eq!(problem_of(&packet(0, &[6, 0, 1, 3, 0, 0, 0, 30])), (0, 47));
    }

    #[test]
    fn fragments_stop_the_walk_but_whole_packets_do_not() {
        let fragment = |offset, more| {
            let header = FragmentHeader::new(next_header::UDP, offset, more, 7);
            let bytes = packet(
                next_header::FRAGMENT,
                &[header.as_bytes(), &[1; 8]].concat(),
            );
            upper_layer(&bytes).unwrap()
        };
        for (offset, more) in [(0, true), (8, false), (1232, true), (0, false)] {
            let layer = fragment(offset, more);
            let header = layer.fragment.unwrap();
            assert_eq!(
                (header.offset(), header.more_fragments()),
                (usize::from(offset), more)
            );
            assert_eq!((layer.protocol, layer.start), (next_header::UDP, 48));
        }
    }

    /// RFC 8200 §4.1. What a later fragment says of the beginning counts for nothing (§4.5).
    #[test]
    fn hop_by_hop_options_behind_a_fragment_header_are_unknown() {
        for (offset, more) in [(0, false), (0, true), (8, true)] {
            let header = FragmentHeader::new(next_header::HOP_BY_HOP, offset, more, 7);
            let options = [58, 0, 1, 4, 0, 0, 0, 0];
            let bytes = packet(
                next_header::FRAGMENT,
                &[header.as_bytes(), &options].concat(),
            );
            if offset == 0 {
                assert_eq!(problem_of(&bytes), (1, 40));
            } else {
                assert!(upper_layer(&bytes).is_ok());
            }
        }
    }

    #[test]
    fn two_fragment_headers_are_one_too_many() {
        let atomic = FragmentHeader::new(next_header::FRAGMENT, 0, false, 7);
        let second = FragmentHeader::new(next_header::UDP, 0, false, 8);
        let payload = [atomic.as_bytes(), second.as_bytes()].concat();
        let bytes = packet(next_header::FRAGMENT, &payload);
        assert_eq!(upper_layer(&bytes), Err(ExtensionError::TooMany));
    }

    #[test]
    fn errors_are_recognised_behind_extension_headers() {
        for (message_type, error) in [(1, true), (127, true), (128, false), (137, true)] {
            assert_eq!(carries_icmp_error(&packet(58, &[message_type])), error);
            let options = [58, 0, 0x9e, 4, 0, 0, 0, 0, message_type];
            assert_eq!(carries_icmp_error(&packet(60, &options)), error);
        }
        assert!(!carries_icmp_error(&packet(17, &[1])));
        assert!(!carries_icmp_error(&packet(60, &[])));
    }

    #[test]
    fn chains_without_end_are_cut() {
        let one = [60, 0, 1, 4, 0, 0, 0, 0];
        let chain: Vec<u8> = one.repeat(9);
        assert_eq!(
            upper_layer(&packet(60, &chain)),
            Err(ExtensionError::TooMany)
        );
        let options = [
            6, 2, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0,
            0x1e, 0, 0, 0,
        ];
        assert_eq!(
            upper_layer(&packet(0, &options)),
            Err(ExtensionError::TooMany)
        );
    }

    #[test]
    fn a_header_beyond_the_packet_is_truncated() {
        for payload in [&[][..], &[6], &[6, 1, 0, 0, 0, 0, 0, 0]] {
            for next in [0, 43, 60, 44] {
                let bytes = packet(next, payload);
                if next == 44 && payload.len() == 8 {
                    continue;
                }
                assert_eq!(
                    upper_layer(&bytes),
                    Err(ExtensionError::Truncated),
                    "{next}"
                );
            }
        }
    }
}
