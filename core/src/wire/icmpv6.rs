//! ICMPv6 messages (RFC 4443). What neighbour discovery and multicast listeners say with them is in
//! `ndp` and `mld`.

use core::fmt;
use core::ops::Range;
use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header, the four that depend on the type included.
pub const HEADER_LEN: usize = 8;

/// Message types.
pub mod message_type {
    /// Destination unreachable (RFC 4443 §3.1).
    pub const UNREACHABLE: u8 = 1;
    /// Packet too big (RFC 4443 §3.2).
    pub const PACKET_TOO_BIG: u8 = 2;
    /// Time exceeded (RFC 4443 §3.3).
    pub const TIME_EXCEEDED: u8 = 3;
    /// Parameter problem (RFC 4443 §3.4).
    pub const PARAMETER_PROBLEM: u8 = 4;
    /// Echo request (RFC 4443 §4.1).
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply (RFC 4443 §4.2).
    pub const ECHO_REPLY: u8 = 129;
    /// Multicast listener query (RFC 3810 §5.1, RFC 2710 §3).
    pub const LISTENER_QUERY: u8 = 130;
    /// Multicast listener report, version 1 (RFC 2710 §3).
    pub const LISTENER_REPORT_V1: u8 = 131;
    /// Multicast listener done, version 1 (RFC 2710 §3).
    pub const LISTENER_DONE_V1: u8 = 132;
    /// Router solicitation (RFC 4861 §4.1).
    pub const ROUTER_SOLICITATION: u8 = 133;
    /// Router advertisement (RFC 4861 §4.2).
    pub const ROUTER_ADVERTISEMENT: u8 = 134;
    /// Neighbour solicitation (RFC 4861 §4.3).
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement (RFC 4861 §4.4).
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
    /// Redirect (RFC 4861 §4.5).
    pub const REDIRECT: u8 = 137;
    /// Multicast listener report, version 2 (RFC 3810 §5.2).
    pub const LISTENER_REPORT: u8 = 143;
}

/// Codes of an unreachable message that mean something of their own to a host.
pub mod unreachable_code {
    /// Nobody listens on the port.
    pub const PORT: u8 = 4;
    /// The largest code that is defined (RFC 4443 §3.1, RFC 6550, RFC 7112).
    pub const LARGEST: u8 = 8;
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
pub struct Icmpv6Header {
    /// Types below 128 are errors.
    pub message_type: u8,
    /// What exactly, depending on the type.
    pub code: u8,
    /// Checksum over pseudo-header and message.
    pub checksum: U16,
    /// Identifier and sequence number, MTU or pointer, depending on the type.
    pub value: U32,
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Icmpv6Error {
    /// Shorter than a header.
    Truncated,
}

impl fmt::Display for Icmpv6Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shorter than an ICMPv6 header")
    }
}

impl core::error::Error for Icmpv6Error {}

impl Icmpv6Header {
    /// A header whose checksum is still to be taken.
    #[must_use]
    pub fn new(message_type: u8, code: u8, value: u32) -> Self {
        Self {
            message_type,
            code,
            checksum: U16::ZERO,
            value: U32::new(value),
        }
    }
}

/// Splits a message: its header, and where the rest lies. The checksum is the caller's to check.
///
/// # Errors
/// [`Icmpv6Error::Truncated`].
pub fn parse(message: &[u8]) -> Result<(&Icmpv6Header, Range<usize>), Icmpv6Error> {
    let (header, _) = Icmpv6Header::ref_from_prefix(message).map_err(|_| Icmpv6Error::Truncated)?;
    Ok((header, HEADER_LEN..message.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_written_and_read() {
        let header = Icmpv6Header::new(message_type::PACKET_TOO_BIG, 0, 1280);
        assert_eq!(header.as_bytes(), [2, 0, 0, 0, 0, 0, 5, 0]);
        let bytes = [header.as_bytes(), &[1; 3]].concat();
        assert_eq!(parse(&bytes), Ok((&header, 8..11)));
        for len in 0..HEADER_LEN {
            assert_eq!(parse(&bytes[..len]), Err(Icmpv6Error::Truncated));
        }
    }
}
