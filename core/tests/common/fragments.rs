//! A host of either family, fragments that a peer sends to it, and those that it sends. Time is
//! virtual.

use super::{link, v6};
use mnet_core::checksum;
use mnet_core::config::Ipv6Config;
use mnet_core::device::InterfaceId;
use mnet_core::wire::ethernet::{EthernetAddress, ether_type};
use mnet_core::wire::ipv4::Ipv4Header;
use mnet_core::wire::ipv6::{FragmentHeader, Ipv6Header, next_header};
use mnet_core::wire::ndp::{solicited_node, source_link_layer};
use mnet_core::{Config, Counters, Instant, Stack};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// The port of the peer, and ours.
pub const PEER_PORT: u16 = 4_000;
pub const PORT: u16 = 53;
pub const UDP: u8 = 17;
pub const TCP: u8 = 6;

impl Family {
    pub fn ours(self) -> IpAddr {
        match self {
            Self::V4 => link::OURS.into(),
            Self::V6 => v6::OURS.into(),
        }
    }

    pub fn peer(self) -> IpAddr {
        match self {
            Self::V4 => link::PEER.into(),
            Self::V6 => v6::PEER.into(),
        }
    }

    /// A host that is on the link, or seems to be.
    pub fn stranger(self, number: u32) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::from_bits(0xc000_0000 + number).into(),
            Self::V6 => {
                Ipv6Addr::from_bits(0x2001_0db8_u128 << 96 | u128::from(number) << 64 | 1).into()
            }
        }
    }

    pub fn icmp(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => next_header::ICMPV6,
        }
    }

    /// The most that a datagram carries.
    pub fn largest(self) -> usize {
        match self {
            Self::V4 => 65_507,
            Self::V6 => 65_527,
        }
    }

    /// How long a packet may take to be complete, in seconds.
    pub fn lifetime(self) -> u64 {
        match self {
            Self::V4 => 30,
            Self::V6 => 60,
        }
    }

    /// A transport packet from `source` to us, its checksum at `at` set.
    pub fn summed(self, source: IpAddr, protocol: u8, at: usize, mut packet: Vec<u8>) -> Vec<u8> {
        packet[at..at + 2].fill(0);
        let sum = checksum::sum(&packet);
        let sum = if protocol == 1 {
            sum
        } else {
            sum + checksum::pseudo_header(source, self.ours(), protocol, packet.len())
        };
        packet[at..at + 2].copy_from_slice(&sum.finish().to_be_bytes());
        packet
    }

    /// A datagram from the peer.
    pub fn datagram(self, payload: &[u8]) -> Vec<u8> {
        let len = u16::try_from(8 + payload.len()).unwrap();
        let mut packet = Vec::new();
        for word in [PEER_PORT, PORT, len, 0] {
            packet.extend(word.to_be_bytes());
        }
        packet.extend(payload);
        self.summed(self.peer(), UDP, 6, packet)
    }

    /// An echo request from the peer.
    pub fn echo(self, payload: &[u8]) -> Vec<u8> {
        let kind = match self {
            Self::V4 => 8,
            Self::V6 => 128,
        };
        let packet = [&[kind, 0, 0, 0, 0x12, 0x34, 0, 1], payload].concat();
        self.summed(self.peer(), self.icmp(), 2, packet)
    }

    /// A fragment from `source`, in its frame: `data` is the piece at `offset`.
    pub fn fragment_from(
        self,
        source: IpAddr,
        (identification, protocol): (u32, u8),
        (offset, more): (usize, bool),
        data: &[u8],
    ) -> Vec<u8> {
        match source {
            IpAddr::V4(source) => {
                let packet = link::ipv4(source, link::OURS, protocol, data, |header| {
                    let [.., a, b] = identification.to_be_bytes();
                    header.set_fragment(u16::from_be_bytes([a, b]), offset, more);
                });
                link::from_peer(&packet)
            }
            IpAddr::V6(source) => {
                let offset = u16::try_from(offset).unwrap();
                let header = FragmentHeader::new(protocol, offset, more, identification);
                let payload = [header.as_bytes(), data].concat();
                let packet = v6::packet(source, v6::OURS, next_header::FRAGMENT, 64, &payload);
                v6::frame(v6::PEER_HW, v6::OURS, &packet)
            }
        }
    }

    /// A fragment from the peer.
    pub fn fragment(self, key: (u32, u8), place: (usize, bool), data: &[u8]) -> Vec<u8> {
        self.fragment_from(self.peer(), key, place, data)
    }

    /// A transport packet from the peer, cut at these places.
    pub fn cut(self, key: (u32, u8), packet: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let ends = cuts.iter().copied().chain([packet.len()]);
        let starts = [0].into_iter().chain(cuts.iter().copied());
        starts
            .zip(ends)
            .map(|(start, end)| {
                let more = end < packet.len();
                self.fragment(key, (start, more), &packet[start..end])
            })
            .collect()
    }

    /// The same, into pieces of one size.
    pub fn cut_evenly(self, key: (u32, u8), packet: &[u8], len: usize) -> Vec<Vec<u8>> {
        let cuts: Vec<usize> = (len..packet.len()).step_by(len).collect();
        self.cut(key, packet, &cuts)
    }
}

/// A packet that the host has sent, from one frame or from many.
#[derive(Debug, PartialEq, Eq)]
pub struct SentPacket {
    pub to: IpAddr,
    pub protocol: u8,
    /// What the transport has written.
    pub payload: Vec<u8>,
    pub fragments: usize,
    /// Of its fragments; 0 if there was one frame only.
    pub identification: u32,
}

/// One frame that the host has sent.
struct Piece {
    to: IpAddr,
    protocol: u8,
    identification: u32,
    offset: usize,
    more: bool,
    payload: Vec<u8>,
}

fn piece(frame: &[u8]) -> Option<Piece> {
    let packet = &frame[14..];
    match u16::from_be_bytes([frame[12], frame[13]]) {
        ether_type::IPV4 => {
            let (header, options, payload) = mnet_core::wire::ipv4::parse(packet).unwrap();
            assert_eq!((header.source(), options.len()), (link::OURS, 0));
            assert_eq!(payload.end, packet.len());
            let flags = header.flags_and_offset.get();
            let fragment = header.is_fragment();
            // RFC 6864 §4: what may be cut further has an identification, what may not has none.
            assert_eq!(flags & 0xc000, if fragment { 0 } else { 0x4000 });
            assert!(fragment || header.identification.get() == 0);
            Some(Piece {
                to: header.destination().into(),
                protocol: header.protocol,
                identification: header.identification.get().into(),
                offset: header.fragment_offset(),
                more: header.more_fragments(),
                payload: packet[payload].to_vec(),
            })
        }
        ether_type::IPV6 => {
            let (header, payload) = mnet_core::wire::ipv6::parse(packet).unwrap();
            assert_eq!(payload.end, packet.len());
            let payload = &packet[payload];
            let (fragment, payload) = if header.next_header == next_header::FRAGMENT {
                let (fragment, rest) = FragmentHeader::read_from_prefix(payload).unwrap();
                assert!(!fragment.is_atomic(), "RFC 8021");
                assert_eq!(fragment.reserved, 0);
                (Some(fragment), rest)
            } else {
                (None, payload)
            };
            Some(Piece {
                to: header.destination().into(),
                protocol: fragment.map_or(header.next_header, |f| f.next_header),
                identification: fragment.map_or(0, |f| f.identification.get()),
                offset: fragment.map_or(0, |f| f.offset()),
                more: fragment.is_some_and(|f| f.more_fragments()),
                payload: payload.to_vec(),
            })
        }
        _ => None,
    }
}

/// The packets that the host has sent in these frames, none of them larger than `mtu`; fragments of
/// a packet follow each other. What is not IP is left out.
#[track_caller]
pub fn sent_packets(frames: &[Vec<u8>], mtu: usize) -> Vec<SentPacket> {
    let mut packets: Vec<SentPacket> = Vec::new();
    let mut open = false;
    for frame in frames {
        assert!(frame.len() <= 14 + mtu, "{} bytes", frame.len());
        let Some(piece) = piece(frame) else {
            continue;
        };
        if piece.offset == 0 {
            assert!(!open, "a packet without an end");
            packets.push(SentPacket {
                to: piece.to,
                protocol: piece.protocol,
                payload: piece.payload,
                fragments: 1,
                identification: piece.identification,
            });
        } else {
            let packet = packets.last_mut().unwrap();
            assert!(open, "a piece of nothing");
            assert_eq!(
                (piece.to, piece.protocol, piece.identification, piece.offset),
                (
                    packet.to,
                    packet.protocol,
                    packet.identification,
                    packet.payload.len()
                )
            );
            packet.payload.extend(piece.payload);
            packet.fragments += 1;
        }
        open = piece.more;
        assert!(!open || packets.last().unwrap().payload.len().is_multiple_of(8));
    }
    assert!(!open, "a packet without an end");
    packets
}

/// The host.
pub struct Lab {
    pub family: Family,
    pub stack: Stack,
    pub now: Instant,
    pub interface: InterfaceId,
    seen: Counters,
}

const TOTALS: [&str; 7] = [
    "rx_frames",
    "rx_bytes",
    "tx_frames",
    "tx_bytes",
    "ip_received",
    "ip_sent",
    "icmp_received",
];

impl Lab {
    /// It knows the peer's Ethernet address.
    pub fn new(family: Family) -> Self {
        Self::with(family, &Config::default())
    }

    pub fn with(family: Family, config: &Config) -> Self {
        let mut lab = match family {
            Family::V4 => {
                let host = link::Host::with(config);
                Self::from(family, host.stack, host.now, host.interface)
            }
            Family::V6 => {
                let host = v6::Host::on(config, Ipv6Config::default());
                Self::from(family, host.stack, host.now, host.interface)
            }
        };
        lab.meet();
        lab
    }

    fn from(family: Family, stack: Stack, now: Instant, interface: InterfaceId) -> Self {
        let seen = *stack.counters();
        Self {
            family,
            stack,
            now,
            interface,
            seen,
        }
    }

    /// The peer asks for us, and so becomes known.
    pub fn meet(&mut self) {
        let question = match self.family {
            Family::V4 => link::arp_request((link::PEER_HW, link::PEER), link::OURS),
            Family::V6 => v6::solicitation(
                v6::PEER_HW,
                (v6::PEER, solicited_node(v6::OURS)),
                v6::OURS,
                &source_link_layer(v6::PEER_HW),
            ),
        };
        self.receive(&question);
        self.counted();
    }

    pub fn receive(&mut self, frame: &[u8]) -> Vec<Vec<u8>> {
        self.receive_all(&[frame])
    }

    /// Frames go in as one batch; what the host sends then.
    pub fn receive_all<F: AsRef<[u8]>>(&mut self, frames: &[F]) -> Vec<Vec<u8>> {
        for frame in frames {
            self.stack
                .receive_copy(self.now, self.interface, frame.as_ref());
        }
        self.transmit()
    }

    pub fn transmit(&mut self) -> Vec<Vec<u8>> {
        self.stack.handle_timeout(self.now);
        let mut frames = Vec::new();
        while let Some(frame) = self.stack.transmit(self.now) {
            frames.push(frame.slices.concat());
            assert!(frames.len() < 100_000, "the stack does not stop sending");
        }
        frames
    }

    /// Lets so many milliseconds pass, doing what falls due; what the host sends.
    pub fn run(&mut self, millis: u64) -> Vec<Vec<u8>> {
        let end = self.now + Duration::from_millis(millis);
        let mut sent = self.transmit();
        while let Some(next) = self.stack.next_timeout().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            sent.extend(self.transmit());
        }
        self.now = end;
        sent
    }

    /// The counters that have grown since the last call, without totals.
    pub fn counted(&mut self) -> Vec<(&'static str, u64)> {
        let now = *self.stack.counters();
        let grown = now
            .iter()
            .zip(self.seen.iter())
            .filter(|((name, new), (_, old))| new != old && !TOTALS.contains(name))
            .map(|((name, new), (_, old))| (name, new - old))
            .collect();
        self.seen = now;
        grown
    }

    /// A socket on [`PORT`] of all addresses.
    pub fn bind(&mut self) -> mnet_core::SocketId {
        let any: IpAddr = match self.family {
            Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
        };
        self.stack.udp_bind(SocketAddr::new(any, PORT)).unwrap()
    }

    /// The next datagram's payload, if one waits.
    pub fn read(&mut self, id: mnet_core::SocketId) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 65_536];
        let received = self.stack.udp_recv_from(self.now, id, &mut buffer).ok()?;
        assert_eq!(received.len, received.datagram_len);
        buffer.truncate(received.len);
        Some(buffer)
    }

    pub fn peer(&self) -> SocketAddr {
        SocketAddr::new(self.family.peer(), PEER_PORT)
    }

    /// Frames that are not free.
    pub fn held(&self) -> usize {
        let pool = self.stack.pool_frames();
        pool.total - pool.free
    }

    #[track_caller]
    pub fn assert_no_frame_lost(&self) {
        assert_eq!(self.held(), 0);
    }
}

/// The first header of a packet of IPv4, and of IPv6.
pub fn quoted_header_v4(packet: &[u8]) -> Ipv4Header {
    Ipv4Header::read_from_prefix(packet).unwrap().0
}

pub fn quoted_header_v6(packet: &[u8]) -> Ipv6Header {
    Ipv6Header::read_from_prefix(packet).unwrap().0
}

/// Where the peer is on its link.
pub const PEER_HW: EthernetAddress = link::PEER_HW;
