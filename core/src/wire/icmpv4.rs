//! ICMP messages (RFC 792, with the next-hop MTU of RFC 1191).

use core::fmt;
use core::ops::Range;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a header.
pub const HEADER_LEN: usize = 8;

/// Message types.
pub mod message_type {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Destination unreachable.
    pub const UNREACHABLE: u8 = 3;
    /// Source quench, which nobody sends any more (RFC 6633).
    pub const SOURCE_QUENCH: u8 = 4;
    /// Redirect.
    pub const REDIRECT: u8 = 5;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
    /// Time exceeded.
    pub const TIME_EXCEEDED: u8 = 11;
    /// Parameter problem.
    pub const PARAMETER_PROBLEM: u8 = 12;
}

/// Whether messages of a type report errors (RFC 1122 §3.2.2).
#[must_use]
pub fn is_error(message_type: u8) -> bool {
    matches!(
        message_type,
        message_type::UNREACHABLE
            | message_type::SOURCE_QUENCH
            | message_type::REDIRECT
            | message_type::TIME_EXCEEDED
            | message_type::PARAMETER_PROBLEM
    )
}

/// Codes of [`message_type::UNREACHABLE`] that mean something to a host.
pub mod unreachable_code {
    /// The host has no such transport protocol.
    pub const PROTOCOL: u8 = 2;
    /// The host has no such port.
    pub const PORT: u8 = 3;
    /// The packet is too large for a link, and must not be fragmented.
    pub const FRAGMENTATION_NEEDED: u8 = 4;
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
pub struct Icmpv4Header {
    /// See [`message_type`].
    pub message_type: u8,
    /// Meaning within the type.
    pub code: u8,
    /// Checksum over the whole message.
    pub checksum: U16,
    /// Echo: identifier. Parameter problem: pointer (first byte). Otherwise 0.
    pub first: U16,
    /// Echo: sequence number. Fragmentation needed: next-hop MTU. Otherwise 0.
    pub second: U16,
}

/// A header's meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// A question that a host must answer (RFC 1122 §3.2.2.6).
    EchoRequest {
        /// Chosen by the asker.
        identifier: u16,
        /// Chosen by the asker.
        sequence: u16,
    },
    /// The answer to an echo request.
    EchoReply {
        /// As in the request.
        identifier: u16,
        /// As in the request.
        sequence: u16,
    },
    /// A packet of ours could not be delivered.
    Unreachable {
        /// Why: see [`unreachable_code`].
        code: u8,
        /// With [`unreachable_code::FRAGMENTATION_NEEDED`]: MTU of the link, 0 from old routers.
        next_hop_mtu: u16,
    },
    /// A packet of ours ran out of hops, or out of time for reassembly.
    TimeExceeded {
        /// 0: in transit; 1: reassembly.
        code: u8,
    },
    /// A header of ours was not understood.
    ParameterProblem {
        /// 0: the pointer says where.
        code: u8,
        /// Offset of the byte at fault.
        pointer: u8,
    },
    /// Anything else.
    Other {
        /// The type.
        message_type: u8,
        /// The code.
        code: u8,
    },
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Icmpv4Error {
    /// Shorter than a header.
    Truncated,
}

impl fmt::Display for Icmpv4Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shorter than an ICMP header")
    }
}

impl core::error::Error for Icmpv4Error {}

impl Icmpv4Header {
    /// The header of an unreachable message, without its checksum.
    #[must_use]
    pub fn unreachable(code: u8) -> Self {
        Self {
            message_type: message_type::UNREACHABLE,
            code,
            ..Self::default()
        }
    }

    /// What the header means.
    #[must_use]
    pub fn message(&self) -> Message {
        let (first, second) = (self.first.get(), self.second.get());
        let code = self.code;
        match (self.message_type, code) {
            (message_type::ECHO_REQUEST, 0) => Message::EchoRequest {
                identifier: first,
                sequence: second,
            },
            (message_type::ECHO_REPLY, 0) => Message::EchoReply {
                identifier: first,
                sequence: second,
            },
            (message_type::UNREACHABLE, _) => Message::Unreachable {
                code,
                next_hop_mtu: second,
            },
            (message_type::TIME_EXCEEDED, _) => Message::TimeExceeded { code },
            (message_type::PARAMETER_PROBLEM, _) => Message::ParameterProblem {
                code,
                pointer: self.first.as_bytes()[0],
            },
            (message_type, code) => Message::Other { message_type, code },
        }
    }

    /// Whether a message of this type must never be answered with an error (RFC 1122 §3.2.2): all
    /// but the questions, so that unknown types count as errors.
    #[must_use]
    pub fn is_error_or_unknown(&self) -> bool {
        !matches!(self.message_type, message_type::ECHO_REQUEST | 13 | 15 | 17)
    }
}

/// Splits a message: its header, and where its payload lies. The checksum is not looked at.
///
/// # Errors
/// [`Icmpv4Error::Truncated`].
pub fn parse(message: &[u8]) -> Result<(&Icmpv4Header, Range<usize>), Icmpv4Error> {
    let (header, _) = Icmpv4Header::ref_from_prefix(message).map_err(|_| Icmpv4Error::Truncated)?;
    Ok((header, HEADER_LEN..message.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_mean_what_rfc_792_says() {
        let cases = [
            (
                [8, 0, 0, 0, 1, 2, 3, 4],
                Message::EchoRequest {
                    identifier: 0x102,
                    sequence: 0x304,
                },
            ),
            (
                [0, 0, 0, 0, 1, 2, 3, 4],
                Message::EchoReply {
                    identifier: 0x102,
                    sequence: 0x304,
                },
            ),
            (
                [3, 4, 0, 0, 0, 0, 5, 0],
                Message::Unreachable {
                    code: 4,
                    next_hop_mtu: 1280,
                },
            ),
            ([11, 1, 0, 0, 0, 0, 0, 0], Message::TimeExceeded { code: 1 }),
            (
                [12, 0, 0, 0, 20, 9, 0, 0],
                Message::ParameterProblem {
                    code: 0,
                    pointer: 20,
                },
            ),
            (
                [8, 1, 0, 0, 0, 0, 0, 0],
                Message::Other {
                    message_type: 8,
                    code: 1,
                },
            ),
            (
                [5, 1, 0, 0, 10, 0, 0, 9],
                Message::Other {
                    message_type: 5,
                    code: 1,
                },
            ),
        ];
        for (bytes, message) in cases {
            let (header, payload) = parse(&bytes).unwrap();
            assert_eq!((header.message(), payload), (message, 8..8));
        }
    }

    #[test]
    fn short_messages_are_refused() {
        for len in 0..HEADER_LEN {
            assert_eq!(parse(&[0; 8][..len]), Err(Icmpv4Error::Truncated));
        }
    }

    #[test]
    fn only_questions_may_be_answered_with_an_error() {
        let with = |message_type| Icmpv4Header {
            message_type,
            ..Icmpv4Header::default()
        };
        assert!(!with(message_type::ECHO_REQUEST).is_error_or_unknown());
        for kind in [0, 3, 4, 5, 11, 12, 42, 255] {
            assert!(with(kind).is_error_or_unknown(), "type {kind}");
        }
    }
}
