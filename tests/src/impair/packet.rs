//! What the path does inside of packets: ECN marks, flipped bits, and answers to long ones.

use etherparse::icmpv4::DestUnreachableHeader;
use etherparse::{Icmpv4Type, Icmpv6Type, PacketBuilder};

/// Length of an Ethernet header.
pub(super) const ETHERNET: usize = 14;
/// Hop limit of our answers.
const HOPS: u8 = 64;
/// Bytes of the packet that an answer quotes: what RFC 1812 §4.3.2.3 and RFC 4443 §2.4 (c) allow
/// at least, so that the answer itself passes anywhere.
const QUOTE_V4: usize = 548;
const QUOTE_V6: usize = 1232;

/// The IP packet in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ip {
    V4 {
        /// Length from the header.
        len: usize,
        dont_fragment: bool,
    },
    V6 {
        len: usize,
    },
}

impl Ip {
    /// The packet in this frame, if it is one and its header is all there.
    pub(super) fn of(frame: &[u8]) -> Option<Self> {
        let packet = frame.get(ETHERNET..)?;
        let word = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
        match (&frame[12..14], packet.first()? >> 4) {
            ([0x08, 0x00], 4) if packet.len() >= 20 => Some(Self::V4 {
                len: word(2),
                dont_fragment: packet[6] & 0x40 != 0,
            }),
            ([0x86, 0xdd], 6) if packet.len() >= 40 => Some(Self::V6 { len: 40 + word(4) }),
            _ => None,
        }
    }

    pub(super) fn len(self) -> usize {
        match self {
            Self::V4 { len, .. } | Self::V6 { len } => len,
        }
    }
}

/// Marks an ECN-capable packet with CE (RFC 3168 §5). Whether it was capable.
pub(super) fn mark(frame: &mut [u8], ip: Ip) -> bool {
    match ip {
        Ip::V4 { .. } => {
            let old = frame[ETHERNET + 1];
            if old & 3 == 0 {
                return false;
            }
            let new = old | 3;
            frame[ETHERNET + 1] = new;
            // The header's sum changes with it (RFC 1624 §3): HC' = ~(~HC + ~m + m').
            let at = ETHERNET + 10;
            let sum = u16::from_be_bytes([frame[at], frame[at + 1]]);
            let mut sum = u32::from(!sum) + u32::from(!u16::from(old)) + u32::from(new);
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            let [.., high, low] = (!sum).to_be_bytes();
            frame[at] = high;
            frame[at + 1] = low;
        }
        Ip::V6 { .. } => {
            // The traffic class lies across the first two bytes; ECN are bits 4 and 5 of the second.
            if frame[ETHERNET + 1] & 0x30 == 0 {
                return false;
            }
            frame[ETHERNET + 1] |= 0x30;
        }
    }
    true
}

/// What a router answers to a packet that is too long: ICMP to its sender, in the name of its
/// destination, which saves the path an address of its own. `None` where RFC 1191 §4 has a router
/// fragment instead, which this path does not do.
pub(super) fn too_big(frame: &[u8], ip: Ip, mtu: u16) -> Option<Vec<u8>> {
    let (to, from) = (frame[..6].try_into().ok()?, frame[6..12].try_into().ok()?);
    let ethernet = PacketBuilder::ethernet2(to, from);
    let packet = &frame[ETHERNET..];
    let mut answer = Vec::new();
    match ip {
        Ip::V4 { dont_fragment, .. } => {
            if !dont_fragment {
                return None;
            }
            let kind =
                Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded {
                    next_hop_mtu: mtu,
                });
            let (source, destination) = (packet[12..16].try_into(), packet[16..20].try_into());
            ethernet
                .ipv4(destination.ok()?, source.ok()?, HOPS)
                .icmpv4(kind)
                .write(&mut answer, &packet[..packet.len().min(QUOTE_V4)])
                .ok()?;
        }
        Ip::V6 { .. } => {
            let kind = Icmpv6Type::PacketTooBig { mtu: mtu.into() };
            let (source, destination) = (packet[8..24].try_into(), packet[24..40].try_into());
            ethernet
                .ipv6(destination.ok()?, source.ok()?, HOPS)
                .icmpv6(kind)
                .write(&mut answer, &packet[..packet.len().min(QUOTE_V6)])
                .ok()?;
        }
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::checksum;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const B: [u8; 6] = [2, 0, 0, 0, 0, 2];

    fn v4(payload: usize, traffic_class: u8) -> Vec<u8> {
        let mut header = etherparse::Ipv4Header::new(
            0,
            64,
            etherparse::IpNumber::UDP,
            [10, 0, 0, 1],
            [10, 0, 0, 2],
        )
        .unwrap();
        header.dont_fragment = true;
        header.ecn = etherparse::IpEcn::try_new(traffic_class & 3).unwrap();
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(A, B)
            .ip(etherparse::IpHeaders::Ipv4(
                header,
                etherparse::Ipv4Extensions::default(),
            ))
            .udp(1, 2)
            .write(&mut frame, &vec![7; payload])
            .unwrap();
        frame
    }

    fn v6(payload: usize) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(A, B)
            .ipv6([1; 16], [2; 16], 64)
            .udp(1, 2)
            .write(&mut frame, &vec![7; payload])
            .unwrap();
        frame
    }

    /// RFC 3168 §5: only ECT(0) and ECT(1) become CE, and the header's sum is right again.
    #[test]
    fn only_ecn_capable_packets_are_marked() {
        for ecn in 0..4 {
            let mut frame = v4(100, ecn);
            let ip = Ip::of(&frame).unwrap();
            assert_eq!(mark(&mut frame, ip), ecn != 0);
            assert_eq!(frame[ETHERNET + 1] & 3, if ecn == 0 { 0 } else { 3 });
            assert_eq!(checksum(&frame[ETHERNET..ETHERNET + 20]), 0);
        }
        for ecn in 0..4 {
            let mut frame = v6(100);
            frame[ETHERNET + 1] |= ecn << 4;
            let ip = Ip::of(&frame).unwrap();
            assert_eq!(mark(&mut frame, ip), ecn != 0);
            assert_eq!(frame[ETHERNET + 1] >> 4, if ecn == 0 { 0 } else { 3 });
        }
    }

    /// RFC 1191 §4: the MTU of the next hop is in the message, and the quoted header names the
    /// connection.
    #[test]
    fn a_long_packet_is_answered_as_a_router_does() {
        let frame = v4(1400, 0);
        let ip = Ip::of(&frame).unwrap();
        assert_eq!(ip.len(), 1428);
        let answer = too_big(&frame, ip, 1300).unwrap();
        let packet = SlicedPacket::from_ethernet(&answer).unwrap();
        let Some(NetSlice::Ipv4(ip)) = packet.net else {
            panic!("no IPv4")
        };
        assert_eq!(ip.header().destination(), [10, 0, 0, 1]);
        let Some(TransportSlice::Icmpv4(icmp)) = packet.transport else {
            panic!("no ICMP")
        };
        assert!(matches!(
            icmp.icmp_type(),
            Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FragmentationNeeded {
                next_hop_mtu: 1300
            })
        ));
        assert_eq!(icmp.payload(), &frame[ETHERNET..ETHERNET + QUOTE_V4]);

        let frame = v6(1400);
        let answer = too_big(&frame, Ip::of(&frame).unwrap(), 1300).unwrap();
        let packet = SlicedPacket::from_ethernet(&answer).unwrap();
        let Some(TransportSlice::Icmpv6(icmp)) = packet.transport else {
            panic!("no ICMPv6")
        };
        assert_eq!(icmp.icmp_type(), Icmpv6Type::PacketTooBig { mtu: 1300 });
        assert_eq!(icmp.payload(), &frame[ETHERNET..ETHERNET + QUOTE_V6]);
    }

    #[test]
    fn packets_that_may_be_fragmented_get_no_answer() {
        let mut frame = v4(1400, 0);
        frame[ETHERNET + 6] = 0;
        assert_eq!(too_big(&frame, Ip::of(&frame).unwrap(), 1300), None);
    }

    #[test]
    fn what_is_no_ip_packet_is_told_apart() {
        assert_eq!(Ip::of(&[]), None);
        assert_eq!(Ip::of(&v4(10, 0)[..ETHERNET + 19]), None);
        assert_eq!(Ip::of(&v6(10)[..ETHERNET + 39]), None);
        let mut arp = v4(100, 0);
        arp[13] = 0x06;
        assert_eq!(Ip::of(&arp), None);
    }
}
