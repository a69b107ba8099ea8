//! Messages of DHCPv6 (RFC 8415 §8), as far as a host without a lease needs them: the
//! Information-request that it sends, and the Reply.

use core::fmt;
use core::net::Ipv6Addr;
use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Where clients listen (RFC 8415 §7.2).
pub const CLIENT_PORT: u16 = 546;
/// Where servers and relay agents listen.
pub const SERVER_PORT: u16 = 547;
/// All_DHCP_Relay_Agents_and_Servers (RFC 8415 §7.1).
pub const SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
/// Options of one message that are looked at.
pub const MAX_OPTIONS: usize = 64;

/// Kinds of messages (RFC 8415 §7.3).
pub mod message_type {
    /// What a server answers.
    pub const REPLY: u8 = 7;
    /// A question for everything but addresses.
    pub const INFORMATION_REQUEST: u8 = 11;
}

/// Codes of options.
mod code {
    pub(super) const CLIENT_ID: u16 = 1;
    pub(super) const SERVER_ID: u16 = 2;
    pub(super) const OPTION_REQUEST: u16 = 6;
    pub(super) const ELAPSED_TIME: u16 = 8;
    pub(super) const STATUS: u16 = 13;
    pub(super) const DNS_SERVERS: u16 = 23;
    pub(super) const DOMAIN_LIST: u16 = 24;
    pub(super) const INFORMATION_REFRESH_TIME: u16 = 32;
    pub(super) const INF_MAX_RT: u16 = 83;
}

/// What a host is known by: a type, and up to 128 bytes (RFC 8415 §11.1).
const DUID_LEN: core::ops::RangeInclusive<usize> = 3..=130;
/// The type of DUIDs that are made of a UUID (RFC 6355).
const DUID_UUID: u16 = 4;
/// Bytes of a DUID that is made of a UUID.
pub const DUID_UUID_LEN: usize = size_of::<DuidUuid>();

/// A DUID that is made of a UUID (RFC 6355 §4).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct DuidUuid {
    /// 4.
    pub kind: U16,
    /// The UUID.
    pub uuid: [u8; 16],
}

impl DuidUuid {
    /// Of 16 bytes: those that say which kind of UUID it is are overwritten (version 8, RFC 9562
    /// §5.8).
    #[must_use]
    pub fn new(mut uuid: [u8; 16]) -> Self {
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Self {
            kind: U16::new(DUID_UUID),
            uuid,
        }
    }
}

/// What every message between clients and servers starts with (RFC 8415 §8).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct Header {
    /// See [`message_type`].
    pub message_type: u8,
    /// The same in question and answer.
    pub transaction: [u8; 3],
}

/// In front of every option (RFC 8415 §21.1).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
struct OptionHeader {
    code: U16,
    len: U16,
}

impl OptionHeader {
    fn new(code: u16, len: u16) -> Self {
        Self {
            code: U16::new(code),
            len: U16::new(len),
        }
    }
}

/// The Information-request of a host (RFC 8415 §18.2.6), with every option that it has.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct InformationRequest {
    header: Header,
    client_id: OptionHeader,
    duid: DuidUuid,
    elapsed_time: OptionHeader,
    elapsed: U16,
    option_request: OptionHeader,
    requested: [U16; 4],
}

impl InformationRequest {
    /// `elapsed` is in hundredths of a second since the first message of the exchange.
    #[must_use]
    pub fn new(transaction: [u8; 3], duid: DuidUuid, elapsed: u16) -> Self {
        Self {
            header: Header {
                message_type: message_type::INFORMATION_REQUEST,
                transaction,
            },
            client_id: OptionHeader::new(code::CLIENT_ID, 18),
            duid,
            elapsed_time: OptionHeader::new(code::ELAPSED_TIME, 2),
            elapsed: U16::new(elapsed),
            option_request: OptionHeader::new(code::OPTION_REQUEST, 8),
            requested: [
                U16::new(code::DNS_SERVERS),
                U16::new(code::DOMAIN_LIST),
                U16::new(code::INFORMATION_REFRESH_TIME),
                U16::new(code::INF_MAX_RT),
            ],
        }
    }
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dhcp6Error {
    /// Shorter than a header, or an option that does not end within the message, or more than
    /// [`MAX_OPTIONS`].
    Truncated,
    /// Not a Reply.
    Type,
    /// No server's identifier (RFC 8415 §16.10), or one or a client's that is none, or two.
    Identifier,
}

impl fmt::Display for Dhcp6Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a DHCPv6 message that ends too early",
            Self::Type => "not a reply",
            Self::Identifier => "bad identifier of client or server",
        })
    }
}

impl core::error::Error for Dhcp6Error {}

/// What a Reply says. An option that is there twice counts as its first says; one whose content
/// cannot be is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// That of the question.
    pub transaction: [u8; 3],
    /// Whom it is for; empty: not said.
    pub client: &'a [u8],
    /// Who sends it.
    pub server: &'a [u8],
    /// 0: success (RFC 8415 §21.13).
    pub status: u16,
    /// Addresses of DNS servers, of 16 bytes each (RFC 3646 §3).
    pub dns_servers: &'a [[u8; 16]],
    /// Search domains as names in the form of DNS, one behind the other (RFC 3646 §4).
    pub domains: &'a [u8],
    /// Seconds after which to ask again (RFC 8415 §21.23); `u32::MAX`: never.
    pub refresh: Option<u32>,
    /// The most seconds between two questions (RFC 8415 §21.25), 60 to 86,400.
    pub max_rt: Option<u32>,
}

/// Reads a Reply.
///
/// # Errors
/// [`Dhcp6Error`].
pub fn parse_reply(message: &[u8]) -> Result<Reply<'_>, Dhcp6Error> {
    let (header, mut options) =
        Header::ref_from_prefix(message).map_err(|_| Dhcp6Error::Truncated)?;
    if header.message_type != message_type::REPLY {
        return Err(Dhcp6Error::Type);
    }
    let (mut client, mut server) = (None, None);
    let (mut status, mut dns_servers, mut domains) = (None, None, None);
    let (mut refresh, mut max_rt) = (None, None);
    let mut left = MAX_OPTIONS;
    while !options.is_empty() {
        left = left.checked_sub(1).ok_or(Dhcp6Error::Truncated)?;
        let (option, rest) =
            OptionHeader::ref_from_prefix(options).map_err(|_| Dhcp6Error::Truncated)?;
        let (content, rest) = rest
            .split_at_checked(usize::from(option.len.get()))
            .ok_or(Dhcp6Error::Truncated)?;
        options = rest;
        match option.code.get() {
            code::CLIENT_ID => identifier(&mut client, content)?,
            code::SERVER_ID => identifier(&mut server, content)?,
            code::STATUS => {
                first(
                    &mut status,
                    content.first_chunk().map(|s| u16::from_be_bytes(*s)),
                );
            }
            code::DNS_SERVERS => {
                let addresses = <[[u8; 16]]>::ref_from_bytes(content).ok();
                first(&mut dns_servers, addresses.filter(|list| !list.is_empty()));
            }
            code::DOMAIN_LIST => first(&mut domains, Some(content)),
            code::INFORMATION_REFRESH_TIME => first(&mut refresh, seconds(content)),
            code::INF_MAX_RT => {
                let sane = seconds(content).filter(|s| (60..=86_400).contains(s));
                first(&mut max_rt, sane);
            }
            _ => {}
        }
    }
    Ok(Reply {
        transaction: header.transaction,
        client: client.unwrap_or_default(),
        server: server.ok_or(Dhcp6Error::Identifier)?,
        status: status.unwrap_or(0),
        dns_servers: dns_servers.unwrap_or_default(),
        domains: domains.unwrap_or_default(),
        refresh,
        max_rt,
    })
}

/// The first one counts.
fn first<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

fn identifier<'a>(place: &mut Option<&'a [u8]>, content: &'a [u8]) -> Result<(), Dhcp6Error> {
    if place.is_some() || !DUID_LEN.contains(&content.len()) {
        return Err(Dhcp6Error::Identifier);
    }
    *place = Some(content);
    Ok(())
}

fn seconds(content: &[u8]) -> Option<u32> {
    Some(U32::ref_from_bytes(content).ok()?.get())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn option(code: u16, content: &[u8]) -> Vec<u8> {
        let len = u16::try_from(content.len()).unwrap();
        [OptionHeader::new(code, len).as_bytes(), content].concat()
    }

    fn reply(options: &[Vec<u8>]) -> Vec<u8> {
        [&[7, 1, 2, 3][..], &options.concat()].concat()
    }

    #[test]
    fn a_request_is_written_as_rfc_8415_draws_it() {
        let duid = DuidUuid::new([0xff; 16]);
        let request = InformationRequest::new([1, 2, 3], duid, 0x0102);
        let mut expected = vec![11, 1, 2, 3, 0, 1, 0, 18, 0, 4];
        expected.extend([0xff; 6]);
        expected.extend([0x8f, 0xff, 0xbf]);
        expected.extend([0xff; 7]);
        expected.extend([0, 8, 0, 2, 1, 2]);
        expected.extend([0, 6, 0, 8, 0, 23, 0, 24, 0, 32, 0, 83]);
        assert_eq!(request.as_bytes(), expected);
        assert_eq!(DUID_UUID_LEN, 18);
    }

    #[test]
    fn a_reply_is_read_and_unknown_options_passed_over() {
        let bytes = reply(&[
            option(1, &[0, 4, 9]),
            option(99, &[5; 7]),
            option(2, &[0, 1, 7, 7]),
            option(23, &[3; 32]),
            option(24, b"\x03lan\0"),
            option(32, &[0, 0, 2, 88]),
            option(83, &[0, 0, 1, 0]),
            option(23, &[4; 16]),
        ]);
        let reply = parse_reply(&bytes).unwrap();
        assert_eq!(reply.transaction, [1, 2, 3]);
        assert_eq!(
            (reply.client, reply.server),
            (&[0, 4, 9][..], &[0, 1, 7, 7][..])
        );
        assert_eq!(reply.dns_servers, [[3; 16]; 2], "the first list");
        assert_eq!((reply.domains, reply.status), (&b"\x03lan\0"[..], 0));
        assert_eq!((reply.refresh, reply.max_rt), (Some(600), Some(256)));
        let empty = parse_reply(&bytes[..4]);
        assert_eq!(empty, Err(Dhcp6Error::Identifier), "no server");
    }

    #[test]
    fn every_cut_of_a_message_is_refused_or_shorter() {
        let bytes = reply(&[
            option(2, &[0, 1, 7]),
            option(23, &[3; 16]),
            option(13, &[0, 1]),
        ]);
        for len in 0..bytes.len() {
            match parse_reply(&bytes[..len]) {
                Ok(reply) => assert!([11, 31].contains(&len), "{len}: {reply:?}"),
                Err(Dhcp6Error::Identifier) => assert_eq!(len, 4),
                Err(error) => assert_eq!(error, Dhcp6Error::Truncated, "{len}"),
            }
        }
        assert_eq!(parse_reply(&bytes).unwrap().status, 1);
    }

    #[test]
    fn what_cannot_be_is_refused_or_passed_over() {
        let server = option(2, &[0, 1, 7]);
        for bad in [
            option(2, &[]),
            option(2, &[0, 1]),
            option(2, &[7; 131]),
            option(1, &[0, 4]),
            [option(1, &[0, 4, 9]), option(1, &[0, 4, 9])].concat(),
            server.clone(),
        ] {
            let refused = parse_reply(&reply(&[server.clone(), bad])).map(|_| ());
            assert_eq!(refused, Err(Dhcp6Error::Identifier));
        }
        let mut odd = Vec::new();
        for code in [13, 23, 32, 83] {
            for len in [0, 1, 5, 15, 17] {
                odd.push(option(code, &vec![0; len][..]));
            }
        }
        odd.retain(|bytes| bytes[1] != 13 || bytes.len() < 6);
        odd.push(option(83, &59u32.to_be_bytes()));
        odd.push(option(83, &86_401u32.to_be_bytes()));
        odd.push(server.clone());
        let bytes = reply(&odd);
        let reply_ = parse_reply(&bytes).unwrap();
        assert_eq!((reply_.dns_servers.len(), reply_.status), (0, 0));
        assert_eq!((reply_.refresh, reply_.max_rt), (None, None));
        for kind in [0, 1, 2, 11, 13, 255] {
            let mut bytes = bytes.clone();
            bytes[0] = kind;
            assert_eq!(parse_reply(&bytes).map(|_| ()), Err(Dhcp6Error::Type));
        }
        let many = reply(&vec![option(99, &[]); MAX_OPTIONS]);
        assert_eq!(parse_reply(&many).map(|_| ()), Err(Dhcp6Error::Identifier));
        let more = reply(&vec![option(99, &[]); MAX_OPTIONS + 1]);
        assert_eq!(parse_reply(&more).map(|_| ()), Err(Dhcp6Error::Truncated));
    }
}
