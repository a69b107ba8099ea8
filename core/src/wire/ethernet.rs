//! Ethernet II headers (IEEE 802.3 clause 3) and 802.1Q tags.

use core::fmt;
use core::ops::Range;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header.
pub const HEADER_LEN: usize = 14;
/// Bytes of an 802.1Q tag, which sits between the addresses and the EtherType.
pub const VLAN_TAG_LEN: usize = 4;

/// An Ethernet address.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(transparent)]
pub struct EthernetAddress(pub [u8; 6]);

impl EthernetAddress {
    /// Everybody on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether this is a group address: multicast or broadcast.
    #[must_use]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether one station can have this address: no group, and not all zero.
    #[must_use]
    pub const fn is_station(self) -> bool {
        !self.is_group() && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Display for EthernetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for EthernetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// EtherTypes that mean something to the stack.
pub mod ether_type {
    /// IPv4 (RFC 894).
    pub const IPV4: u16 = 0x0800;
    /// ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// An 802.1Q customer tag follows.
    pub const VLAN: u16 = 0x8100;
    /// An 802.1ad service tag follows.
    pub const SERVICE_VLAN: u16 = 0x88a8;
}

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
pub struct EthernetHeader {
    /// Who shall receive the frame.
    pub destination: EthernetAddress,
    /// Who sent it.
    pub source: EthernetAddress,
    /// What it carries: see [`ether_type`]. Values below 1536 are lengths (IEEE 802.3).
    pub ether_type: U16,
}

/// The two words of an 802.1Q tag that follow the tag's EtherType.
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
pub struct VlanTag {
    /// Priority (3 bits), drop eligible (1), VLAN identifier (12).
    pub control: U16,
    /// What the tagged frame carries.
    pub ether_type: U16,
}

impl VlanTag {
    /// The control word of a VLAN (12 bits) and a priority (3 bits), not eligible to be dropped.
    #[must_use]
    pub const fn control_word(vlan: u16, priority: u8) -> u16 {
        (priority as u16 & 7) << 13 | vlan & 0x0fff
    }

    /// The VLAN identifier, 0 to 4095.
    #[must_use]
    pub fn vlan(&self) -> u16 {
        self.control.get() & 0x0fff
    }
}

/// Bytes of a header with a tag.
pub(crate) const TAGGED_HEADER_LEN: usize = HEADER_LEN + VLAN_TAG_LEN;

/// What goes in front of packets that we send: a header, or one with a tag. It lies at the end of
/// its room, so that it is written with one copy whose length is always the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkHeader {
    bytes: [u8; TAGGED_HEADER_LEN],
    len: usize,
}

impl LinkHeader {
    /// `control`: the control word of its tag, if it is to have one.
    pub(crate) fn new(header: EthernetHeader, control: Option<u16>) -> Self {
        let mut bytes = [0; TAGGED_HEADER_LEN];
        bytes[VLAN_TAG_LEN..].copy_from_slice(header.as_bytes());
        let Some(control) = control else {
            return Self {
                bytes,
                len: HEADER_LEN,
            };
        };
        let addresses = HEADER_LEN - size_of::<U16>();
        bytes[..addresses].copy_from_slice(&header.as_bytes()[..addresses]);
        bytes[addresses..][..2].copy_from_slice(&ether_type::VLAN.to_be_bytes());
        bytes[HEADER_LEN..][..2].copy_from_slice(&control.to_be_bytes());
        Self {
            bytes,
            len: TAGGED_HEADER_LEN,
        }
    }

    /// The header.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        let start = TAGGED_HEADER_LEN - self.len;
        self.bytes.get(start..).unwrap_or_default()
    }

    /// Its length.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The header at the end of a place that always has the same length.
    #[inline]
    pub(crate) fn room(&self) -> &[u8; TAGGED_HEADER_LEN] {
        &self.bytes
    }
}

/// Why a frame was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EthernetError {
    /// Shorter than a header, or than the tag that it announces.
    Truncated,
}

impl fmt::Display for EthernetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shorter than an Ethernet header")
    }
}

impl core::error::Error for EthernetError {}

/// Splits a frame: its header, and where its payload lies.
///
/// # Errors
/// [`EthernetError::Truncated`].
pub fn parse(frame: &[u8]) -> Result<(&EthernetHeader, Range<usize>), EthernetError> {
    let (header, _) =
        EthernetHeader::ref_from_prefix(frame).map_err(|_| EthernetError::Truncated)?;
    Ok((header, HEADER_LEN..frame.len()))
}

/// Splits the payload of a frame of type [`ether_type::VLAN`]: its tag, and where the tagged
/// payload lies within it.
///
/// # Errors
/// [`EthernetError::Truncated`].
pub fn parse_vlan(payload: &[u8]) -> Result<(&VlanTag, Range<usize>), EthernetError> {
    let (tag, _) = VlanTag::ref_from_prefix(payload).map_err(|_| EthernetError::Truncated)?;
    Ok((tag, VLAN_TAG_LEN..payload.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn a_header_lies_on_its_bytes() {
        let frame = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06, 9,
        ];
        let (header, payload) = parse(&frame).unwrap();
        assert_eq!(header.destination, EthernetAddress::BROADCAST);
        assert_eq!(format!("{}", header.source), "02:00:00:00:00:01");
        assert_eq!(header.ether_type.get(), ether_type::ARP);
        assert_eq!(payload, 14..15);
        assert_eq!(header.as_bytes(), &frame[..14]);
    }

    #[test]
    fn short_frames_and_tags_are_refused() {
        for len in 0..HEADER_LEN {
            assert_eq!(parse(&[0; 14][..len]), Err(EthernetError::Truncated));
        }
        for len in 0..VLAN_TAG_LEN {
            assert_eq!(parse_vlan(&[0; 4][..len]), Err(EthernetError::Truncated));
        }
        let (tag, payload) = parse_vlan(&[0xe0, 0x07, 0x08, 0x00]).unwrap();
        assert_eq!((tag.vlan(), payload), (7, 4..4));
        assert_eq!(tag.ether_type.get(), ether_type::IPV4);
    }

    #[test]
    fn a_tag_lies_between_the_addresses_and_the_type() {
        let header = EthernetHeader {
            destination: EthernetAddress([1, 2, 3, 4, 5, 6]),
            source: EthernetAddress([7, 8, 9, 10, 11, 12]),
            ether_type: U16::new(ether_type::IPV6),
        };
        let plain = LinkHeader::new(header, None);
        assert_eq!(plain.as_bytes(), header.as_bytes());
        assert_eq!(&plain.room()[4..], header.as_bytes());
        let tagged = LinkHeader::new(header, Some(VlanTag::control_word(5, 3)));
        let expected = [
            1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x81, 0, 0x60, 5, 0x86, 0xdd,
        ];
        assert_eq!(tagged.as_bytes(), expected);
    }

    #[test]
    fn groups_and_zero_are_not_stations() {
        assert!(EthernetAddress([2, 0, 0, 0, 0, 1]).is_station());
        for address in [[0xff; 6], [0; 6], [1, 0, 0x5e, 0, 0, 1]] {
            assert!(!EthernetAddress(address).is_station());
        }
    }
}
