//! A host under test on a link, and the frames of every protocol that others send to it, as bytes.
//! Time is virtual.

pub use super::{OURS, PEER};

use super::hardware_address;
use mnet_core::checksum;
use mnet_core::device::InterfaceId;
use mnet_core::wire::arp::{ArpPacket, Operation};
use mnet_core::wire::ethernet::{EthernetAddress, EthernetHeader, ether_type};
use mnet_core::wire::icmpv4::Icmpv4Header;
use mnet_core::wire::ipv4::{Ipv4Header, protocol};
use mnet_core::wire::tcp::{Flags, TcpHeader};
use mnet_core::wire::udp::UdpHeader;
use mnet_core::{Config, Counters, Instant, InterfaceConfig, Stack};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

/// The host under test.
pub const OUR_HW: EthernetAddress = EthernetAddress(hardware_address(OURS));
/// A neighbour.
pub const PEER_HW: EthernetAddress = EthernetAddress(hardware_address(PEER));
/// Another host on the link.
pub const OTHER_HW: EthernetAddress = EthernetAddress(hardware_address(OTHER));
pub const OTHER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 99);
/// A host behind the gateway, which is the peer.
pub const REMOTE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
/// Everybody.
pub const ALL: EthernetAddress = EthernetAddress::BROADCAST;

/// A stack with one interface, the address [`OURS`]/24 and the default gateway [`PEER`].
pub struct Host {
    pub stack: Stack,
    pub now: Instant,
    pub interface: InterfaceId,
    seen: Counters,
}

/// Totals, which say nothing about what became of a frame.
const TOTALS: [&str; 7] = [
    "rx_frames",
    "rx_bytes",
    "tx_frames",
    "tx_bytes",
    "ip_received",
    "ip_sent",
    "arp_received",
];

impl Host {
    /// The announcements of the address are over.
    pub fn new() -> Self {
        Self::with(&Config::default())
    }

    pub fn with(config: &Config) -> Self {
        Self::on_network(config, 24)
    }

    /// A host whose link shares `prefix_len` bits of [`OURS`].
    pub fn on_network(config: &Config, prefix_len: u8) -> Self {
        let now = Instant::from_millis(1_000);
        let mut stack = Stack::new(config, [42; 32], now).unwrap();
        let hardware_address = OUR_HW.0;
        let mtu = config.max_mtu;
        let interface = stack
            .add_interface(
                now,
                InterfaceConfig {
                    hardware_address,
                    mtu,
                },
            )
            .unwrap();
        stack
            .add_address(now, interface, OURS.into(), prefix_len)
            .unwrap();
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        stack.add_route(any, 0, PEER.into(), interface).unwrap();
        let mut host = Self {
            stack,
            now,
            interface,
            seen: Counters::default(),
        };
        for _ in 0..2 {
            assert_eq!(host.transmit().len(), 1, "an announcement");
            host.advance(2_000);
        }
        assert_eq!(host.transmit(), Vec::<Vec<u8>>::new());
        host.counted();
        host
    }

    /// A host that knows its peer's Ethernet address.
    pub fn with_peer() -> Self {
        let mut host = Self::new();
        host.meet(PEER_HW, PEER);
        host
    }

    /// A neighbour asks for our address, and so becomes known.
    pub fn meet(&mut self, hardware: EthernetAddress, address: Ipv4Addr) {
        let request = arp_request((hardware, address), OURS);
        assert_eq!(self.receive(&request).len(), 1, "an answer");
        self.counted();
    }

    pub fn advance(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    /// Frames go in as one batch; what the host sends then comes back.
    pub fn receive_all<F: AsRef<[u8]>>(&mut self, frames: &[F]) -> Vec<Vec<u8>> {
        for frame in frames {
            self.stack
                .receive_copy(self.now, self.interface, frame.as_ref());
        }
        self.transmit()
    }

    pub fn receive(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.receive_all(&[frame])
    }

    /// What the host sends now.
    pub fn transmit(&mut self) -> Vec<Vec<u8>> {
        self.stack.handle_timeout(self.now);
        let mut frames = Vec::new();
        while let Some(frame) = self.stack.transmit(self.now) {
            assert_eq!(frame.interface, self.interface);
            frames.push(frame.slices.concat());
            assert!(frames.len() < 100_000, "the stack does not stop sending");
        }
        frames
    }

    /// The counters that have grown since the last call, and by how much, without the totals.
    pub fn counted(&mut self) -> Vec<(&'static str, u64)> {
        let now = *self.stack.counters();
        let grown = now
            .iter()
            .zip(self.seen.iter())
            .filter(|((name, now), (_, seen))| now != seen && !TOTALS.contains(name))
            .map(|((name, now), (_, seen))| (name, now - seen))
            .collect();
        self.seen = now;
        grown
    }

    /// Every frame is back in the pool.
    #[track_caller]
    pub fn assert_no_frame_lost(&self) {
        let pool = self.stack.pool_frames();
        assert_eq!(pool.free, pool.total);
    }
}

pub fn ethernet(
    source: EthernetAddress,
    destination: EthernetAddress,
    ether_type: u16,
    payload: &[u8],
) -> Vec<u8> {
    let ether_type = U16::new(ether_type);
    let header = EthernetHeader {
        destination,
        source,
        ether_type,
    };
    [header.as_bytes(), payload].concat()
}

pub fn arp(
    from: EthernetAddress,
    to: EthernetAddress,
    operation: Operation,
    sender: (EthernetAddress, Ipv4Addr),
    target: (EthernetAddress, Ipv4Addr),
) -> Vec<u8> {
    ethernet(
        from,
        to,
        ether_type::ARP,
        ArpPacket::new(operation, sender, target).as_bytes(),
    )
}

/// A broadcast request.
pub fn arp_request(sender: (EthernetAddress, Ipv4Addr), target: Ipv4Addr) -> Vec<u8> {
    let nobody = EthernetAddress::default();
    arp(sender.0, ALL, Operation::Request, sender, (nobody, target))
}

/// A reply to us.
pub fn arp_reply(sender: (EthernetAddress, Ipv4Addr)) -> Vec<u8> {
    arp(sender.0, OUR_HW, Operation::Reply, sender, (OUR_HW, OURS))
}

/// A packet whose header `change` may spoil; the checksum is set afterwards, unless `change` left
/// its own.
pub fn ipv4(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    payload: &[u8],
    change: impl FnOnce(&mut Ipv4Header),
) -> Vec<u8> {
    ipv4_with_options(source, destination, protocol, &[], payload, change)
}

pub fn ipv4_with_options(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    options: &[u8],
    payload: &[u8],
    change: impl FnOnce(&mut Ipv4Header),
) -> Vec<u8> {
    let header_len = 20 + options.len();
    let total = u16::try_from(header_len + payload.len()).unwrap();
    let mut header = Ipv4Header::new(source, destination, protocol, 64, total);
    header.version_and_len = 0x40 | u8::try_from(header_len / 4).unwrap();
    header.checksum = U16::ZERO;
    change(&mut header);
    if header.checksum == U16::ZERO {
        let sum = checksum::sum(header.as_bytes()) + checksum::sum(options);
        header.checksum = U16::new(sum.finish());
    }
    [header.as_bytes(), options, payload].concat()
}

/// A packet from the peer to us, in its frame.
pub fn from_peer(packet: &[u8]) -> Vec<u8> {
    ethernet(PEER_HW, OUR_HW, ether_type::IPV4, packet)
}

/// The checksum of a transport packet whose checksum field is zero.
pub fn transport_sum(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, packet: &[u8]) -> u16 {
    let pseudo = checksum::pseudo_header(source.into(), destination.into(), protocol, packet.len());
    (pseudo + checksum::sum(packet)).finish()
}

pub fn udp(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), destination.ip()) else {
        panic!("IPv4 only");
    };
    let mut header = UdpHeader {
        source_port: U16::new(source.port()),
        destination_port: U16::new(destination.port()),
        len: U16::new(u16::try_from(8 + payload.len()).unwrap()),
        checksum: U16::ZERO,
    };
    let sum = transport_sum(
        from,
        to,
        protocol::UDP,
        &[header.as_bytes(), payload].concat(),
    );
    header.checksum = U16::new(if sum == 0 { 0xffff } else { sum });
    ipv4(
        from,
        to,
        protocol::UDP,
        &[header.as_bytes(), payload].concat(),
        |_| {},
    )
}

pub fn icmp(message_type: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let [a, b, c, d] = rest;
    let mut header = Icmpv4Header {
        message_type,
        code,
        checksum: U16::ZERO,
        first: U16::new(u16::from_be_bytes([a, b])),
        second: U16::new(u16::from_be_bytes([c, d])),
    };
    let sum = checksum::sum(&[header.as_bytes(), payload].concat()).finish();
    header.checksum = U16::new(sum);
    [header.as_bytes(), payload].concat()
}

/// An echo request from the peer, in its frame.
pub fn ping(payload: &[u8]) -> Vec<u8> {
    let message = icmp(8, 0, [0x12, 0x34, 0, 1], payload);
    from_peer(&ipv4(PEER, OURS, protocol::ICMP, &message, |_| {}))
}

/// A segment without options; `change` may spoil it before it is summed.
pub fn tcp(
    source: SocketAddr,
    destination: SocketAddr,
    flags: Flags,
    (sequence, acknowledgment): (u32, u32),
    payload: &[u8],
    change: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (source.ip(), destination.ip()) else {
        panic!("IPv4 only");
    };
    let mut header = TcpHeader {
        source_port: U16::new(source.port()),
        destination_port: U16::new(destination.port()),
        sequence: U32::new(sequence),
        acknowledgment: U32::new(acknowledgment),
        window: U16::new(0xffff),
        ..TcpHeader::default()
    };
    header.set_len_and_flags(20, flags);
    let mut segment = [header.as_bytes(), payload].concat();
    change(&mut segment);
    if let Some(field) = segment.get_mut(16..18) {
        field.fill(0);
        let sum = transport_sum(from, to, protocol::TCP, &segment);
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
    }
    ipv4(from, to, protocol::TCP, &segment, |_| {})
}

/// The parts of an IPv4 frame that the host sent, after checking all it must have right.
pub struct Sent<'a> {
    pub ethernet: EthernetHeader,
    pub ip: Ipv4Header,
    /// The transport packet.
    pub payload: &'a [u8],
}

#[track_caller]
pub fn parse_sent(frame: &[u8]) -> Sent<'_> {
    let (ethernet, payload) = mnet_core::wire::ethernet::parse(frame).unwrap();
    assert_eq!(ethernet.source, OUR_HW);
    assert_eq!(ethernet.ether_type.get(), ether_type::IPV4);
    let packet = &frame[payload];
    let (ip, options, payload) = mnet_core::wire::ipv4::parse(packet).unwrap();
    assert_eq!(options, [], "we send no options");
    assert_eq!(payload.end, packet.len());
    assert_eq!(
        ip.identification.get(),
        0,
        "RFC 6864: an atomic datagram needs no ID"
    );
    assert_eq!(ip.flags_and_offset.get(), 0x4000, "DF");
    assert_eq!(ip.time_to_live, 64);
    Sent {
        ethernet: *ethernet,
        ip: *ip,
        payload: &packet[payload],
    }
}

impl Sent<'_> {
    /// The ICMP header and payload, the checksum checked.
    #[track_caller]
    pub fn icmp(&self) -> (Icmpv4Header, &[u8]) {
        assert_eq!(self.ip.protocol, protocol::ICMP);
        assert!(checksum::sum(self.payload).is_valid());
        let (header, rest) = Icmpv4Header::read_from_prefix(self.payload).unwrap();
        (header, rest)
    }

    /// The UDP header and payload, the checksum checked.
    #[track_caller]
    pub fn udp(&self) -> (UdpHeader, &[u8]) {
        assert_eq!(self.ip.protocol, protocol::UDP);
        self.assert_transport_sum();
        let (header, rest) = UdpHeader::read_from_prefix(self.payload).unwrap();
        assert_ne!(header.checksum.get(), 0, "always summed");
        (header, rest)
    }

    /// The TCP header and what follows it, the checksum checked.
    #[track_caller]
    pub fn tcp(&self) -> (TcpHeader, &[u8]) {
        assert_eq!(self.ip.protocol, protocol::TCP);
        self.assert_transport_sum();
        let (header, rest) = TcpHeader::read_from_prefix(self.payload).unwrap();
        (header, rest)
    }

    #[track_caller]
    fn assert_transport_sum(&self) {
        let (source, destination) = (self.ip.source(), self.ip.destination());
        let protocol = self.ip.protocol;
        let len = self.payload.len();
        let pseudo = checksum::pseudo_header(source.into(), destination.into(), protocol, len);
        assert!((pseudo + checksum::sum(self.payload)).is_valid());
    }
}

/// The ARP packet in a frame that the host sent, with the frame's destination.
#[track_caller]
pub fn parse_sent_arp(frame: &[u8]) -> (EthernetAddress, Operation, ArpPacket) {
    let (ethernet, payload) = mnet_core::wire::ethernet::parse(frame).unwrap();
    assert_eq!(
        (ethernet.source, ethernet.ether_type.get()),
        (OUR_HW, ether_type::ARP)
    );
    let (operation, packet) = mnet_core::wire::arp::parse(&frame[payload]).unwrap();
    (ethernet.destination, operation, *packet)
}
