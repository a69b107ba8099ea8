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

/// Recomputes the checksum of an IPv4 header without options, after a test has changed a field.
///
/// # Panics
///
/// When the frame is too short to have one.
pub fn fix_ip_checksum(frame: &mut [u8]) {
    frame[IP + 10..IP + 12].fill(0);
    let sum: u32 = frame[IP..TRANSPORT]
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    let [_, _, high, low] = (!folded).to_be_bytes();
    frame[IP + 10] = high;
    frame[IP + 11] = low;
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
