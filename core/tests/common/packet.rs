//! TCP over IPv4 over Ethernet, as values and as frames. Written without the stack's own code for
//! Ethernet, IP and checksums, so that a mistake there does not cancel out.

use super::{OURS, PEER, hardware_address};
use mnet_core::wire::ecn::Ecn;
use mnet_core::wire::tcp::{Flags, TcpHeader, TcpOptions, parse};
use std::fmt;
use std::net::Ipv4Addr;
use zerocopy::IntoBytes;

/// The router that complains about packets.
pub const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);

/// A TCP segment with its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub source_port: u16,
    pub destination_port: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: Flags,
    pub window: u16,
    pub urgent: u16,
    /// Of the IP header: time to live, and traffic class (DSCP and ECN).
    pub time_to_live: u8,
    pub traffic_class: u8,
    pub ecn: Ecn,
    pub options: TcpOptions,
    pub payload: Vec<u8>,
}

impl Packet {
    /// From the peer's `port` to ours, without options and payload.
    pub fn to_us(port: u16, our_port: u16, flags: Flags, seq: u32, ack: u32) -> Self {
        Self {
            source: PEER,
            destination: OURS,
            source_port: port,
            destination_port: our_port,
            seq,
            ack,
            flags,
            window: 65_535,
            urgent: 0,
            time_to_live: 64,
            traffic_class: 0,
            ecn: Ecn::NotEct,
            options: TcpOptions::default(),
            payload: Vec::new(),
        }
    }

    pub fn with_payload(self, payload: &[u8]) -> Self {
        Self {
            payload: payload.to_vec(),
            ..self
        }
    }

    /// The TCP segment, its checksum included.
    pub fn to_segment(&self) -> Vec<u8> {
        let mut options = [0; 40];
        let options_len = self.options.emit(&mut options);
        let mut header = TcpHeader {
            source_port: self.source_port.into(),
            destination_port: self.destination_port.into(),
            sequence: self.seq.into(),
            acknowledgment: self.ack.into(),
            window: self.window.into(),
            urgent: self.urgent.into(),
            ..TcpHeader::default()
        };
        header.set_len_and_flags(20 + options_len, self.flags);
        let mut segment = header.as_bytes().to_vec();
        segment.extend_from_slice(&options[..options_len]);
        segment.extend_from_slice(&self.payload);
        set_tcp_checksum(&mut segment, self.source, self.destination);
        segment
    }

    /// The whole frame.
    pub fn to_frame(&self) -> Vec<u8> {
        let segment = self.to_segment();
        frame_with_class(self.ecn.bits(), self.source, self.destination, &segment)
    }

    /// Reads a frame that the stack has sent; panics if anything about it is wrong, `None` if it is
    /// not TCP.
    #[track_caller]
    pub fn from_frame(frame: &[u8]) -> Option<Self> {
        if frame[12..14] != [8, 0] || frame[14 + 9] != 6 {
            return None;
        }
        let ip = &frame[14..];
        assert_eq!(ip[0], 0x45, "an IPv4 header without options");
        assert_eq!(checksum(&ip[..20], 0), 0, "the IPv4 checksum");
        assert_eq!(
            usize::from(u16::from_be_bytes([ip[2], ip[3]])),
            ip.len(),
            "the total length"
        );
        let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
        let (source, destination) = (address(12), address(16));
        assert_eq!(frame[..6], hardware_address(destination), "the next hop");
        let segment = &ip[20..];
        assert_eq!(
            checksum(segment, pseudo_sum(source, destination, segment.len())),
            0,
            // RFC 9293 §3.1 (MUST-2).
            "the TCP checksum"
        );
        let (header, options, payload) = parse(segment).expect("a valid TCP header");
        let options = TcpOptions::parse(options).expect("valid options");
        // RFC 9293 §3.7.1 (MUST-65).
        let only_syns_have = options.mss.is_some() || options.window_scale.is_some();
        assert!(!only_syns_have || header.flags().contains(Flags::SYN));
        Some(Self {
            source,
            destination,
            source_port: header.source_port.get(),
            destination_port: header.destination_port.get(),
            seq: header.sequence.get(),
            ack: header.acknowledgment.get(),
            flags: header.flags(),
            window: header.window.get(),
            urgent: header.urgent.get(),
            time_to_live: ip[8],
            traffic_class: ip[1],
            ecn: Ecn::of_class(ip[1]),
            options,
            payload: segment[payload].to_vec(),
        })
    }
}

/// Flags as the scripts write them: `SYN+ACK`.
pub fn flags_to_string(flags: Flags) -> String {
    let names: Vec<&str> = flags.iter_names().map(|(name, _)| name).collect();
    if names.is_empty() {
        "NONE".into()
    } else {
        names.join("+")
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} seq {} ack {} win {}",
            flags_to_string(self.flags),
            self.seq,
            self.ack,
            self.window
        )?;
        if !self.payload.is_empty() {
            write!(f, " data {}", self.payload.len())?;
        }
        if self.ecn != Ecn::NotEct {
            write!(f, " {:?}", self.ecn)?;
        }
        Ok(())
    }
}

/// RFC 1071, the plain way.
pub fn checksum(data: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in data.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// Whether a frame carries a TCP segment on which all lengths and checksums are right.
pub fn frame_is_sound(frame: &[u8]) -> bool {
    let Some(ip) = frame.get(14..).filter(|ip| ip.len() >= 40) else {
        return false;
    };
    let header_len = usize::from(ip[0] & 15) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let address = |at: usize| Ipv4Addr::new(ip[at], ip[at + 1], ip[at + 2], ip[at + 3]);
    let Some(segment) = ip.get(header_len..total).filter(|_| header_len >= 20) else {
        return false;
    };
    let pseudo = pseudo_sum(address(12), address(16), segment.len());
    frame[12..14] == [8, 0]
        && ip[0] >> 4 == 4
        && checksum(&ip[..header_len], 0) == 0
        && ip[9] == 6
        && checksum(segment, pseudo) == 0
}

fn pseudo_sum(source: Ipv4Addr, destination: Ipv4Addr, len: usize) -> u32 {
    let words = |ip: Ipv4Addr| {
        let [a, b, c, d] = ip.octets();
        u32::from(u16::from_be_bytes([a, b])) + u32::from(u16::from_be_bytes([c, d]))
    };
    words(source) + words(destination) + 6 + u32::try_from(len).unwrap()
}

/// Puts the right checksum into a TCP segment.
pub fn set_tcp_checksum(segment: &mut [u8], source: Ipv4Addr, destination: Ipv4Addr) {
    segment[16..18].fill(0);
    let sum = checksum(segment, pseudo_sum(source, destination, segment.len()));
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
}

/// Ethernet and IPv4 headers around a TCP segment.
pub fn frame(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> Vec<u8> {
    frame_with_class(0, source, destination, segment)
}

/// As [`frame`], with a differentiated services byte.
pub fn frame_with_class(
    class: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    segment: &[u8],
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(34 + segment.len());
    frame.extend(hardware_address(destination));
    // Peers with an address of ours, or of nobody, still need a hardware address of their own.
    let sender = if source == destination { PEER } else { source };
    frame.extend(hardware_address(sender));
    frame.extend([8, 0]);
    let total = u16::try_from(20 + segment.len()).unwrap().to_be_bytes();
    frame.extend([0x45, class, total[0], total[1], 0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    let sum = checksum(&frame[14..34], 0).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
    frame.extend_from_slice(segment);
    frame
}

/// An ICMP error of this type and code about a frame, to its sender, as a router sends it: with as
/// much of the packet as RFC 792 promises. `mtu` goes into the last two bytes of the header.
pub fn icmp_error(about: &[u8], (kind, code): (u8, u8), mtu: u16) -> Vec<u8> {
    let quoted = &about[14..about.len().min(14 + 20 + 8)];
    let [high, low] = mtu.to_be_bytes();
    let mut message = vec![kind, code, 0, 0, 0, 0, high, low];
    message.extend_from_slice(quoted);
    let sum = checksum(&message, 0).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let mut frame = [&about[6..12], &about[..6], &[8, 0]].concat();
    let total = u16::try_from(20 + message.len()).unwrap().to_be_bytes();
    frame.extend([0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 1, 0, 0]);
    frame.extend(ROUTER.octets());
    frame.extend(&about[26..30]);
    let sum = checksum(&frame[14..34], 0).to_be_bytes();
    frame[24..26].copy_from_slice(&sum);
    frame.extend(message);
    frame
}

/// The answer to an ARP request for any address but our own; `None` for other frames.
pub fn arp_reply(frame: &[u8]) -> Option<Vec<u8>> {
    if frame[12..14] != [8, 6] || frame[20..22] != [0, 1] || frame[38..42] == OURS.octets() {
        return None;
    }
    let asked = Ipv4Addr::new(frame[38], frame[39], frame[40], frame[41]);
    let mut reply = frame[6..12].to_vec();
    reply.extend(hardware_address(asked));
    reply.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 2]);
    reply.extend(hardware_address(asked));
    reply.extend(asked.octets());
    reply.extend(&frame[22..32]);
    Some(reply)
}
