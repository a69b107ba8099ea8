//! Frames of a conversation between the Linux end of a link and an image, field by field.
//!
//! Built with another implementation than the one under test, so that both would have to be wrong
//! in the same way for a mistake to go unnoticed.

use std::net::Ipv4Addr;

use etherparse::{IpNumber, LinkSlice, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

/// Who talks to whom.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The hardware address that frames of ours come from.
    pub host_mac: [u8; 6],
    /// The image's hardware address.
    pub guest_mac: [u8; 6],
    /// Our address.
    pub host: Ipv4Addr,
    /// The image's address.
    pub guest: Ipv4Addr,
}

/// The control bits of a segment, as in its header.
pub mod flags {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset the connection.
    pub const RST: u8 = 0x04;
    /// Push.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
}

/// What a TCP segment says.
#[derive(Clone, Debug, Default)]
pub struct Segment {
    /// The sender's port.
    pub source: u16,
    /// The receiver's port.
    pub destination: u16,
    /// `SEG.SEQ`.
    pub seq: u32,
    /// `SEG.ACK`; also put into the header without [`flags::ACK`].
    pub ack: u32,
    /// Control bits.
    pub flags: u8,
    /// The window field.
    pub window: u16,
    /// Data.
    pub payload: Vec<u8>,
}

/// Length of an Ethernet header, where the IPv4 header starts.
pub const IP: usize = 14;
/// Where the header after an IPv4 header without options starts.
pub const TRANSPORT: usize = IP + 20;

impl Link {
    /// A TCP segment from us to the image.
    #[must_use]
    pub fn tcp(&self, segment: &Segment) -> Vec<u8> {
        let mut header = etherparse::TcpHeader::new(
            segment.source,
            segment.destination,
            segment.seq,
            segment.window,
        );
        header.acknowledgment_number = segment.ack;
        header.fin = segment.flags & flags::FIN != 0;
        header.syn = segment.flags & flags::SYN != 0;
        header.rst = segment.flags & flags::RST != 0;
        header.psh = segment.flags & flags::PSH != 0;
        header.ack = segment.flags & flags::ACK != 0;
        let builder = self.ip().tcp_header(header);
        finish(|frame| builder.write(frame, &segment.payload))
    }

    /// A UDP datagram from us to the image.
    #[must_use]
    pub fn udp(&self, source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
        let builder = self.ip().udp(source, destination);
        finish(|frame| builder.write(frame, payload))
    }

    /// An ICMP echo request from us to the image.
    #[must_use]
    pub fn echo_request(&self, id: u16, seq: u16, payload: &[u8]) -> Vec<u8> {
        let builder = self.ip().icmpv4_echo_request(id, seq);
        finish(|frame| builder.write(frame, payload))
    }

    /// An IPv4 packet of any protocol from us to the image.
    #[must_use]
    pub fn ipv4(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let builder = self.ip();
        finish(|frame| builder.write(frame, IpNumber(protocol), payload))
    }

    /// An ARP request from us for the image's address.
    #[must_use]
    pub fn arp_request(&self) -> Vec<u8> {
        let mut frame = self.ethernet(0x0806);
        frame[..6].fill(0xff);
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(self.host_mac);
        frame.extend(self.host.octets());
        frame.extend([0; 6]);
        frame.extend(self.guest.octets());
        frame
    }

    /// An Ethernet header from us to the image, and nothing after it.
    #[must_use]
    pub fn ethernet(&self, ethertype: u16) -> Vec<u8> {
        let mut frame = Vec::with_capacity(64);
        frame.extend(self.guest_mac);
        frame.extend(self.host_mac);
        frame.extend(ethertype.to_be_bytes());
        frame
    }

    fn ip(&self) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
        PacketBuilder::ethernet2(self.host_mac, self.guest_mac).ipv4(
            self.host.octets(),
            self.guest.octets(),
            64,
        )
    }
}

fn finish(
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), etherparse::err::packet::BuildWriteError>,
) -> Vec<u8> {
    let mut frame = Vec::new();
    write(&mut frame).expect("a payload of a test fits into a packet");
    frame
}

/// The Internet checksum (RFC 1071) of some bytes.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let sum: u64 = bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    let mut folded = sum;
    while folded > 0xffff {
        folded = (folded & 0xffff) + (folded >> 16);
    }
    !u16::try_from(folded).unwrap_or(0)
}

/// Recomputes the checksums of an IPv4 packet and of the TCP or UDP in it, after a test has changed
/// a field. A header length that makes no sense is left to the receiver.
///
/// # Panics
///
/// When the frame is too short for an IPv4 header.
pub fn fix_checksums(frame: &mut [u8]) {
    let words = usize::from(frame[IP] & 0x0f);
    let transport = IP + words.max(5) * 4;
    if let Some(header) = frame.get_mut(IP..transport) {
        header[10..12].fill(0);
        let sum = checksum(header);
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let protocol = frame[IP + 9];
    let at = match protocol {
        6 => 16,
        17 => 6,
        _ => return,
    };
    let mut pseudo = frame[IP + 12..IP + 20].to_vec();
    let Some(segment) = frame.get_mut(transport..) else {
        return;
    };
    if segment.len() < at + 2 {
        return;
    }
    segment[at..at + 2].fill(0);
    pseudo.extend([0, protocol]);
    pseudo.extend(u16::try_from(segment.len()).unwrap_or(0).to_be_bytes());
    pseudo.extend(&*segment);
    let sum = match checksum(&pseudo) {
        0 if protocol == 17 => 0xffff, // In UDP zero means that there is none.
        sum => sum,
    };
    segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The TCP segment in a frame from `from`, if that is what it is.
#[must_use]
pub fn parse_tcp(frame: &[u8], from: Ipv4Addr) -> Option<Segment> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let Some(NetSlice::Ipv4(ip)) = packet.net else {
        return None;
    };
    let Some(TransportSlice::Tcp(tcp)) = packet.transport else {
        return None;
    };
    (ip.header().source_addr() == from).then(|| Segment {
        source: tcp.source_port(),
        destination: tcp.destination_port(),
        seq: tcp.sequence_number(),
        ack: tcp.acknowledgment_number(),
        flags: tcp.slice()[13],
        window: tcp.window_size(),
        payload: tcp.payload().to_vec(),
    })
}

/// The source hardware address of a frame, if it is long enough to have one.
#[must_use]
pub fn source_mac(frame: &[u8]) -> Option<[u8; 6]> {
    match SlicedPacket::from_ethernet(frame).ok()?.link? {
        LinkSlice::Ethernet2(header) => Some(header.source()),
        _ => None,
    }
}

/// What a frame is, in a few words, for the message of a failed test.
#[must_use]
pub fn describe(frame: &[u8]) -> String {
    let Ok(packet) = SlicedPacket::from_ethernet(frame) else {
        return format!("{} bytes that do not parse", frame.len());
    };
    format!("{:?} {:?}", packet.net, packet.transport)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Link = Link {
        host_mac: [2, 0, 0, 0, 0, 1],
        guest_mac: [2, 0, 0, 0, 0, 2],
        host: Ipv4Addr::new(10, 0, 0, 1),
        guest: Ipv4Addr::new(10, 0, 0, 2),
    };

    /// etherparse has its own checksum: both agree on every length and protocol.
    #[test]
    fn checksums_are_those_of_another_implementation() {
        for size in 0..64 {
            let payload: Vec<u8> = (0..size).map(|byte| byte ^ 0xa5).collect();
            let segment = Segment {
                source: 1,
                destination: 2,
                payload: payload.clone(),
                ..Segment::default()
            };
            for good in [LINK.udp(1, 2, &payload), LINK.tcp(&segment)] {
                let mut again = good.clone();
                fix_checksums(&mut again);
                assert_eq!(again, good);
            }
        }
    }

    #[test]
    fn a_segment_comes_back_as_it_was_built() {
        let segment = Segment {
            source: 5000,
            destination: 7,
            seq: 0xffff_fff0,
            ack: 17,
            flags: flags::PSH | flags::ACK,
            window: 1000,
            payload: b"hello".to_vec(),
        };
        let frame = LINK.tcp(&segment);
        let parsed = parse_tcp(&frame, LINK.host).unwrap();
        assert_eq!(parsed.seq, segment.seq);
        assert_eq!((parsed.ack, parsed.flags), (17, segment.flags));
        assert_eq!(parsed.payload, segment.payload);
        assert!(parse_tcp(&frame, LINK.guest).is_none());
        assert_eq!(source_mac(&frame), Some(LINK.host_mac));
    }
}
