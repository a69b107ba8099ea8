//! Frames for the stack, built from parts, with checksums that are right.

use mnet_core::checksum;
use mnet_core::wire::arp::{ArpPacket, Operation};
use mnet_core::wire::ethernet::{EthernetAddress, EthernetHeader, ether_type};
use mnet_core::wire::icmpv4::Icmpv4Header;
use mnet_core::wire::ipv4::{HEADER_LEN as IP_LEN, Ipv4Header, protocol};
use mnet_core::wire::tcp::{Flags, TcpHeader};
use mnet_core::wire::udp::UdpHeader;
use std::net::Ipv4Addr;
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::{U16, U32};

/// The host under test.
pub(crate) const OUR_HW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);
pub(crate) const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// Its neighbour and gateway.
pub(crate) const PEER_HW: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// Where the parts of our frames without IP options lie.
pub(crate) const IP_START: usize = 14;
pub(crate) const TRANSPORT_START: usize = IP_START + IP_LEN;

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    let ether_type = U16::new(ether_type);
    let header = EthernetHeader {
        destination: OUR_HW,
        source: PEER_HW,
        ether_type,
    };
    [header.as_bytes(), payload].concat()
}

/// A length that the callers keep small.
fn short(len: usize) -> u16 {
    u16::try_from(len).expect("the packets of this harness are small")
}

pub(crate) fn ipv4(source: Ipv4Addr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = short(IP_LEN + payload.len());
    let header = Ipv4Header::new(source, OURS, protocol, 64, total);
    ethernet(ether_type::IPV4, &[header.as_bytes(), payload].concat())
}

/// An ARP packet about these addresses.
pub(crate) fn arp(
    operation: Operation,
    sender: (EthernetAddress, Ipv4Addr),
    target: Ipv4Addr,
) -> Vec<u8> {
    ethernet(
        ether_type::ARP,
        ArpPacket::new(operation, sender, (OUR_HW, target)).as_bytes(),
    )
}

/// The fields of a segment that a peer chooses.
#[derive(Clone, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) sequence: u32,
    pub(crate) acknowledgment: u32,
    pub(crate) flags: Flags,
    pub(crate) window: u16,
    pub(crate) options: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Segment<'_> {
    pub(crate) fn frame(&self, source: Ipv4Addr) -> Vec<u8> {
        let options = &self.options[..self.options.len().min(40) / 4 * 4];
        let mut header = TcpHeader {
            source_port: U16::new(self.source_port),
            destination_port: U16::new(self.destination_port),
            sequence: U32::new(self.sequence),
            acknowledgment: U32::new(self.acknowledgment),
            window: U16::new(self.window),
            urgent: U16::new(self.window / 2),
            ..TcpHeader::default()
        };
        header.set_len_and_flags(20 + options.len(), self.flags);
        let mut frame = ipv4(
            source,
            protocol::TCP,
            &[header.as_bytes(), options, self.payload].concat(),
        );
        fix_checksums(&mut frame);
        frame
    }
}

pub(crate) fn udp(source: (Ipv4Addr, u16), port: u16, payload: &[u8]) -> Vec<u8> {
    let header = UdpHeader {
        source_port: U16::new(source.1),
        destination_port: U16::new(port),
        len: U16::new(short(8 + payload.len())),
        checksum: U16::ZERO,
    };
    let mut frame = ipv4(
        source.0,
        protocol::UDP,
        &[header.as_bytes(), payload].concat(),
    );
    fix_checksums(&mut frame);
    frame
}

pub(crate) fn icmp(message_type: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let [a, b, c, d] = rest;
    let header = Icmpv4Header {
        message_type,
        code,
        checksum: U16::ZERO,
        first: U16::from_bytes([a, b]),
        second: U16::from_bytes([c, d]),
    };
    let mut frame = ipv4(PEER, protocol::ICMP, &[header.as_bytes(), payload].concat());
    fix_checksums(&mut frame);
    frame
}

/// Makes the checksums of a frame right, as far as its fields, however spoiled, say where they are.
pub(crate) fn fix_checksums(frame: &mut [u8]) {
    if frame.get(12..14) != Some(&[8, 0]) || frame.len() < TRANSPORT_START {
        return;
    }
    let packet = &mut frame[IP_START..];
    let header_len = usize::from(packet[0] & 0xf) * 4;
    let total_len = usize::from(u16::from_be_bytes([packet[2], packet[3]])).min(packet.len());
    if header_len < IP_LEN || header_len > total_len {
        return;
    }
    packet[10..12].fill(0);
    let sum = checksum::sum(&packet[..header_len]).finish();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    let protocol = packet[9];
    let addresses = <[u8; 8]>::try_from(&packet[12..20]).expect("eight bytes");
    let [a, b, c, d, e, f, g, h] = addresses;
    let (source, destination) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
    let transport = &mut packet[header_len..total_len];
    let (at, pseudo) = match protocol {
        protocol::ICMP => (2, false),
        protocol::UDP => (6, true),
        protocol::TCP => (16, true),
        _ => return,
    };
    // UDP says itself how much is summed.
    let len = match protocol {
        protocol::UDP if transport.len() >= 8 => {
            usize::from(u16::from_be_bytes([transport[4], transport[5]])).min(transport.len())
        }
        _ => transport.len(),
    };
    let transport = &mut transport[..len];
    let Some(field) = transport.get_mut(at..at + 2) else {
        return;
    };
    field.fill(0);
    let mut sum = checksum::sum(transport);
    if pseudo {
        sum = sum + checksum::pseudo_header(source.into(), destination.into(), protocol, len);
    }
    transport[at..at + 2].copy_from_slice(&sum.finish().to_be_bytes());
}
