//! DHCP messages (RFC 2131 §2, RFC 2132): the fixed part, and options wherever they lie.

use super::ethernet::EthernetAddress;
use core::net::Ipv4Addr;
use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The ports of RFC 2131 §4.1.
pub const SERVER_PORT: u16 = 67;
/// The client's.
pub const CLIENT_PORT: u16 = 68;
/// Bytes of the fixed part, with the cookie.
pub const HEADER_LEN: usize = size_of::<DhcpHeader>();
/// Bytes of a message at least: what BOOTP relays expect (RFC 1542 §2.1).
const MIN_LEN: usize = 300;
/// Most bytes of a message that we write: what every host must take (RFC 2131 §2), less IP and UDP
/// headers.
pub const MAX_WRITTEN: usize = 576 - 28;

const BOOTREQUEST: u8 = 1;
const BOOTREPLY: u8 = 2;
const ETHERNET: u8 = 1;
/// RFC 2131 §3: 99, 130, 83, 99.
const COOKIE: u32 = 0x6382_5363;

/// Tags of options (RFC 2132, unless another document is named).
pub mod tag {
    /// Fills up.
    pub const PAD: u8 = 0;
    /// The network's mask.
    pub const SUBNET_MASK: u8 = 1;
    /// Routers, the preferred one first.
    pub const ROUTER: u8 = 3;
    /// DNS servers, the preferred one first.
    pub const DNS_SERVER: u8 = 6;
    /// The client's name.
    pub const HOST_NAME: u8 = 12;
    /// The domain in which names are looked up.
    pub const DOMAIN_NAME: u8 = 15;
    /// The MTU of the link.
    pub const INTERFACE_MTU: u8 = 26;
    /// Time servers (RFC 2132 §8.3).
    pub const NTP_SERVER: u8 = 42;
    /// The address that the client wants.
    pub const REQUESTED_ADDRESS: u8 = 50;
    /// How long a lease holds, in seconds.
    pub const LEASE_TIME: u8 = 51;
    /// Options lie in the fields `file` (1), `sname` (2), or both (3).
    pub const OVERLOAD: u8 = 52;
    /// What kind of message it is.
    pub const MESSAGE_TYPE: u8 = 53;
    /// Which server it is from or for.
    pub const SERVER_ID: u8 = 54;
    /// The options that the client asks for.
    pub const PARAMETER_REQUEST_LIST: u8 = 55;
    /// The longest message that the client takes.
    pub const MAX_MESSAGE_SIZE: u8 = 57;
    /// When to renew, in seconds.
    pub const RENEWAL_TIME: u8 = 58;
    /// When to ask every server, in seconds.
    pub const REBINDING_TIME: u8 = 59;
    /// Who the client is (RFC 2132 §9.14, RFC 4361).
    pub const CLIENT_ID: u8 = 61;
    /// Search domains (RFC 3397).
    pub const DOMAIN_SEARCH: u8 = 119;
    /// Routes with prefixes (RFC 3442).
    pub const CLASSLESS_ROUTES: u8 = 121;
    /// The end of the options.
    pub const END: u8 = 255;
}

/// The kinds of message (RFC 2132 §9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MessageType {
    /// Who lends addresses?
    Discover = 1,
    /// A server offers one.
    Offer,
    /// The client wants it, or wants to keep it.
    Request,
    /// Somebody else has it.
    Decline,
    /// It is lent.
    Ack,
    /// It is not.
    Nak,
    /// It is given back.
    Release,
}

impl MessageType {
    fn new(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Discover,
            2 => Self::Offer,
            3 => Self::Request,
            4 => Self::Decline,
            5 => Self::Ack,
            6 => Self::Nak,
            7 => Self::Release,
            _ => return None,
        })
    }
}

/// The fixed part of a message, as it lies on the wire.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DhcpHeader {
    op: u8,
    hardware_type: u8,
    hardware_len: u8,
    hops: u8,
    xid: U32,
    secs: U16,
    flags: U16,
    ciaddr: [u8; 4],
    yiaddr: [u8; 4],
    siaddr: [u8; 4],
    giaddr: [u8; 4],
    chaddr: [u8; 16],
    sname: [u8; 64],
    file: [u8; 128],
    cookie: U32,
}

/// Why a message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DhcpError {
    /// Shorter than the fixed part.
    Truncated,
    /// Not an answer of a server for an Ethernet address, or without the cookie.
    NoReply,
    /// An option reaches beyond its field.
    Option,
    /// No kind of message that is known.
    MessageType,
}

/// A server's message: everything in it has been checked for where it ends.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The fixed part.
    pub header: &'a DhcpHeader,
    /// What kind of message it is.
    pub message_type: MessageType,
    /// The fields with options, in the order of RFC 2131 §4.1 and RFC 3396 §5.
    fields: [&'a [u8]; 3],
}

impl DhcpHeader {
    /// The transaction.
    #[must_use]
    pub fn xid(&self) -> u32 {
        self.xid.get()
    }

    /// The address that the server lends.
    #[must_use]
    pub fn your_address(&self) -> Ipv4Addr {
        self.yiaddr.into()
    }

    /// Whether it is for the host with this Ethernet address.
    #[must_use]
    pub fn is_for(&self, hardware: EthernetAddress) -> bool {
        self.chaddr.starts_with(&hardware.0)
    }
}

/// Reads a server's message.
///
/// # Errors
/// [`DhcpError`].
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, DhcpError> {
    let (header, options) = DhcpHeader::ref_from_prefix(bytes).map_err(|_| DhcpError::Truncated)?;
    let kind = (header.op, header.hardware_type, header.hardware_len);
    if kind != (BOOTREPLY, ETHERNET, 6) || header.cookie.get() != COOKIE {
        return Err(DhcpError::NoReply);
    }
    check(options)?;
    let overload = Options(options).find(|(tag, _)| *tag == tag::OVERLOAD);
    let overload = overload.and_then(|(_, value)| value.first().copied());
    let mut fields: [&[u8]; 3] = [options, &[], &[]];
    if let Some(overload) = overload {
        if overload & 1 != 0 {
            check(&header.file)?;
            fields[1] = &header.file;
        }
        if overload & 2 != 0 {
            check(&header.sname)?;
            fields[2] = &header.sname;
        }
    }
    let mut message = Message {
        header,
        message_type: MessageType::Discover,
        fields,
    };
    let number = message.first(tag::MESSAGE_TYPE).and_then(|v| v.first());
    message.message_type = number
        .and_then(|number| MessageType::new(*number))
        .ok_or(DhcpError::MessageType)?;
    Ok(message)
}

/// Whether every option ends within the field. What is behind the end is not looked at.
fn check(mut field: &[u8]) -> Result<(), DhcpError> {
    while let Some((tag, rest)) = field.split_first() {
        field = match *tag {
            tag::PAD => rest,
            tag::END => return Ok(()),
            _ => {
                let (len, rest) = rest.split_first().ok_or(DhcpError::Option)?;
                rest.get(usize::from(*len)..).ok_or(DhcpError::Option)?
            }
        };
    }
    Ok(())
}

impl<'a> Message<'a> {
    /// All options, parts of long ones each for itself.
    pub fn options(&self) -> impl Iterator<Item = (u8, &'a [u8])> {
        self.fields.into_iter().flat_map(Options)
    }

    /// The first part of an option, which for short ones is all.
    fn first(&self, tag: u8) -> Option<&'a [u8]> {
        let found = self.options().find(|(other, _)| *other == tag);
        found.map(|(_, value)| value)
    }

    /// An option that is one address.
    #[must_use]
    pub fn address(&self, tag: u8) -> Option<Ipv4Addr> {
        let value: [u8; 4] = self.first(tag)?.try_into().ok()?;
        Some(value.into())
    }

    /// An option that is a number of 32 bits.
    #[must_use]
    pub fn number(&self, tag: u8) -> Option<u32> {
        let value: [u8; 4] = self.first(tag)?.try_into().ok()?;
        Some(u32::from_be_bytes(value))
    }
}

/// Options one behind the other: tag and value.
#[derive(Clone, Debug)]
pub struct Options<'a>(pub &'a [u8]);

impl<'a> Iterator for Options<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (tag, rest) = self.0.split_first()?;
            self.0 = rest;
            match *tag {
                tag::PAD => {}
                tag::END => {
                    self.0 = &[];
                    return None;
                }
                tag => {
                    let (len, rest) = rest.split_first()?;
                    let (value, rest) = rest.split_at_checked(usize::from(*len))?;
                    self.0 = rest;
                    return Some((tag, value));
                }
            }
        }
    }
}

/// A message that we write.
#[derive(Debug)]
pub struct Writer(heapless::Vec<u8, MAX_WRITTEN>);

impl Writer {
    /// A message of this kind, with `secs` since it all began, and our address where we have one.
    #[must_use]
    pub fn new(
        message_type: MessageType,
        hardware: EthernetAddress,
        xid: u32,
        secs: u16,
        ours: Ipv4Addr,
    ) -> Self {
        let mut chaddr = [0; 16];
        chaddr[..6].copy_from_slice(&hardware.0);
        let header = DhcpHeader {
            op: BOOTREQUEST,
            hardware_type: ETHERNET,
            hardware_len: 6,
            hops: 0,
            xid: U32::new(xid),
            secs: U16::new(secs),
            // Answers may come to the address that is not ours yet (RFC 2131 §4.1).
            flags: U16::ZERO,
            ciaddr: ours.octets(),
            yiaddr: [0; 4],
            siaddr: [0; 4],
            giaddr: [0; 4],
            chaddr,
            sname: [0; 64],
            file: [0; 128],
            cookie: U32::new(COOKIE),
        };
        let mut this = Self(heapless::Vec::new());
        // There is room for it.
        let _ = this.0.extend_from_slice(header.as_bytes());
        this.option(tag::MESSAGE_TYPE, &[message_type as u8]);
        this
    }

    /// Adds an option of at most 255 bytes; one that does not fit is left out.
    pub fn option(&mut self, tag: u8, value: &[u8]) {
        let Ok(len) = u8::try_from(value.len()) else {
            return;
        };
        // The end is to fit behind it.
        if self.0.len() + 2 + value.len() < MAX_WRITTEN {
            let _ = self.0.extend_from_slice(&[tag, len]);
            let _ = self.0.extend_from_slice(value);
        }
    }

    /// The message, complete.
    #[must_use]
    pub fn finish(mut self) -> heapless::Vec<u8, MAX_WRITTEN> {
        let _ = self.0.push(tag::END);
        if self.0.len() < MIN_LEN {
            let _ = self.0.resize(MIN_LEN, tag::PAD);
        }
        self.0
    }
}

/// A name in the form of DNS, its root label included.
pub type Name = heapless::Vec<u8, 255>;

/// Takes the names of a list with compression (RFC 1035 §4.1.4, RFC 3397 §2) apart, one by one, into
/// the form without: each name with its root label. Pointers lead backwards, each farther than the
/// one before, so there is no loop. `None` at the end, and where the list is wrong.
pub fn take_compressed_name(list: &[u8], at: &mut usize, name: &mut Name) -> Option<()> {
    name.clear();
    let (mut place, mut followed) = (*at, false);
    let mut limit = *at;
    loop {
        let len = *list.get(place)?;
        match len {
            0 => {
                name.push(0).ok()?;
                if !followed {
                    *at = place + 1;
                }
                return Some(());
            }
            1..=63 => {
                let end = place + 1 + usize::from(len);
                name.extend_from_slice(list.get(place..end)?).ok()?;
                place = end;
            }
            0xc0.. => {
                let low = *list.get(place + 1)?;
                let to = usize::from(len & 0x3f) << 8 | usize::from(low);
                if !followed {
                    *at = place + 2;
                }
                if to >= limit {
                    return None;
                }
                (place, limit, followed) = (to, to, true);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const HARDWARE: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

    /// A reply with these options, file and sname.
    fn reply(options: &[u8], file: &[u8], sname: &[u8]) -> Vec<u8> {
        let ours = Ipv4Addr::UNSPECIFIED;
        let writer = Writer::new(MessageType::Discover, HARDWARE, 7, 0, ours);
        let mut bytes = writer.finish()[..HEADER_LEN].to_vec();
        bytes[0] = BOOTREPLY;
        bytes[44..44 + sname.len()].copy_from_slice(sname);
        bytes[108..108 + file.len()].copy_from_slice(file);
        bytes.extend(options);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let ours = Ipv4Addr::new(10, 0, 0, 9);
        let mut writer = Writer::new(MessageType::Request, HARDWARE, 0x1234_5678, 9, ours);
        writer.option(tag::HOST_NAME, b"echo");
        writer.option(tag::CLIENT_ID, &[0; 256]);
        let mut bytes = writer.finish();
        assert_eq!(bytes.len(), MIN_LEN);
        assert_eq!(
            parse(&bytes).unwrap_err(),
            DhcpError::NoReply,
            "our own kind"
        );
        bytes[0] = BOOTREPLY;
        let message = parse(&bytes).unwrap();
        assert_eq!(message.header.xid(), 0x1234_5678);
        assert!(message.header.is_for(HARDWARE));
        assert_eq!(message.message_type, MessageType::Request);
        let options: Vec<_> = message.options().collect();
        assert_eq!(
            options,
            [(53, &[3][..]), (12, b"echo")],
            "and no option too long"
        );
    }

    #[test]
    fn a_message_never_becomes_too_long() {
        let ours = Ipv4Addr::UNSPECIFIED;
        let mut writer = Writer::new(MessageType::Discover, HARDWARE, 7, 0, ours);
        for _ in 0..10 {
            writer.option(tag::HOST_NAME, &[b'x'; 100]);
        }
        let mut bytes = writer.finish();
        assert!(bytes.len() <= MAX_WRITTEN);
        bytes[0] = BOOTREPLY;
        assert_eq!(parse(&bytes).unwrap().options().count(), 3);
    }

    /// RFC 2131 §4.1, RFC 3396 §5.
    #[test]
    fn options_lie_in_three_fields() {
        let file = [12, 1, b'f', 255];
        let sname = [12, 1, b's'];
        for (overload, expected) in [(0, &b"o"[..]), (1, b"of"), (2, b"os"), (3, b"ofs")] {
            let options = [
                52, 1, overload, 53, 1, 5, 0, 0, 12, 1, b'o', 255, 12, 1, b'x',
            ];
            let bytes = reply(&options, &file, &sname);
            let message = parse(&bytes).unwrap();
            let names = message.options().filter(|(tag, _)| *tag == 12);
            let names: Vec<u8> = names.flat_map(|(_, value)| value.to_vec()).collect();
            assert_eq!(names, expected, "overload {overload}");
        }
    }

    #[test]
    fn options_beyond_their_field_are_refused() {
        for options in [
            &[53][..],
            &[53, 2, 5],
            &[53, 1, 5, 12],
            &[53, 1, 5, 12, 255],
        ] {
            let bytes = reply(options, &[], &[]);
            assert_eq!(parse(&bytes).unwrap_err(), DhcpError::Option, "{options:?}");
        }
        let bytes = reply(&[52, 1, 1, 53, 1, 5, 255], &[12, 200], &[]);
        assert_eq!(parse(&bytes).unwrap_err(), DhcpError::Option, "in the file");
        for options in [&[][..], &[255], &[53, 0, 255], &[53, 1, 9], &[53, 1, 0]] {
            let bytes = reply(options, &[], &[]);
            assert_eq!(parse(&bytes).unwrap_err(), DhcpError::MessageType);
        }
        let whole = reply(&[53, 1, 5], &[], &[]);
        for len in 0..HEADER_LEN {
            assert_eq!(parse(&whole[..len]).unwrap_err(), DhcpError::Truncated);
        }
    }

    fn names(list: &[u8]) -> Vec<Vec<u8>> {
        let (mut at, mut name, mut all) = (0, heapless::Vec::new(), Vec::new());
        while take_compressed_name(list, &mut at, &mut name).is_some() {
            all.push(name.to_vec());
            assert!(all.len() <= list.len(), "it goes on");
        }
        all
    }

    /// RFC 3397 §2.
    #[test]
    fn compressed_names_are_written_out() {
        let list = b"\x03eng\x05apple\x03com\0\x09marketing\xc0\x04\x01a\0";
        let expected = [
            &b"\x03eng\x05apple\x03com\0"[..],
            b"\x09marketing\x05apple\x03com\0",
            b"\x01a\0",
        ];
        assert_eq!(names(list), expected);
    }

    #[test]
    fn loops_and_pointers_to_what_follows_end_the_list() {
        for list in [
            &b"\xc0\x00"[..],
            b"\x01a\xc0\x00",
            b"\x01a\xc0\x04\x01b\xc0\x00",
            b"\xc0\x02\x01a\0",
            b"\x40a",
            b"\x3fa",
            b"\xc0",
        ] {
            assert_eq!(names(list).len(), 0, "{list:?}");
        }
        let long = [&[63; 64][..], &[63; 64], &[63; 64], &[63; 64], &[0]].concat();
        assert_eq!(names(&long).len(), 0, "longer than names can be");
    }
}
