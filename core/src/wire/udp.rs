//! UDP headers (RFC 768).

use crate::checksum::Sum;
use core::fmt;
use core::ops::Range;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;

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
pub struct UdpHeader {
    /// The sender's port; 0 where no answer is expected.
    pub source_port: U16,
    /// The receiver's port.
    pub destination_port: U16,
    /// Bytes of header and payload.
    pub len: U16,
    /// Checksum over pseudo-header, header and payload; 0: none.
    pub checksum: U16,
}

/// Why a datagram was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UdpError {
    /// Shorter than a header.
    Truncated,
    /// A length below the header's, or beyond what arrived.
    Length,
    /// To port 0.
    Port,
}

impl fmt::Display for UdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than a UDP header",
            Self::Length => "bad UDP length",
            Self::Port => "UDP port 0",
        })
    }
}

impl core::error::Error for UdpError {}

/// What the checksum field says of a sum. Zero would mean that nothing was summed (RFC 768): the other
/// zero is sent instead.
#[must_use]
pub fn stored(sum: Sum) -> u16 {
    match sum.finish() {
        0 => 0xffff,
        sum => sum,
    }
}

/// Splits a datagram: its header, and where its payload lies; bytes behind the length are not
/// part of it. The checksum is not looked at.
///
/// # Errors
/// [`UdpError`].
pub fn parse(datagram: &[u8]) -> Result<(&UdpHeader, Range<usize>), UdpError> {
    parse_first(datagram, datagram.len())
}

/// [`parse`] for the beginning of a datagram of which `available` bytes are there, not all of them in
/// the same place.
///
/// # Errors
/// [`UdpError`].
#[inline]
pub fn parse_first(first: &[u8], available: usize) -> Result<(&UdpHeader, Range<usize>), UdpError> {
    let (header, _) = UdpHeader::ref_from_prefix(first).map_err(|_| UdpError::Truncated)?;
    let len = usize::from(header.len.get());
    if len < HEADER_LEN || len > available {
        return Err(UdpError::Length);
    }
    if header.destination_port.get() == 0 {
        return Err(UdpError::Port);
    }
    Ok((header, HEADER_LEN..len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_field_delimits_the_payload() {
        let bytes = [0, 0, 0, 53, 0, 10, 0, 0, 7, 7, 9, 9];
        let (header, payload) = parse(&bytes).unwrap();
        assert_eq!(
            (header.source_port.get(), header.destination_port.get()),
            (0, 53)
        );
        assert_eq!(payload, 8..10);
    }

    #[test]
    fn each_wrong_field_is_named() {
        for len in 0..HEADER_LEN {
            assert_eq!(parse(&[9; 8][..len]), Err(UdpError::Truncated));
        }
        for len in [0, 7, 11] {
            assert_eq!(
                parse(&[0, 1, 0, 1, 0, len, 0, 0, 0, 0]),
                Err(UdpError::Length)
            );
        }
        assert_eq!(parse(&[0, 1, 0, 0, 0, 8, 0, 0]), Err(UdpError::Port));
    }
}
