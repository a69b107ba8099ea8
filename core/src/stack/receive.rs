//! The way up: Ethernet, then ARP or IP, then the transports. Each field is checked once, and
//! the frame stays where it is: its descriptor moves on from header to header.

use super::{Stack, context, within_frame};
use crate::context::Incoming;
use crate::device::InterfaceId;
use crate::ip::{Interface, is_host};
use crate::pool::{Frame, FrameQueue};
use crate::wire::ecn::Ecn;
use crate::wire::ethernet::{self, ether_type};
use crate::wire::icmpv4::unreachable_code;
use crate::wire::ipv4::{self, Ipv4Error, protocol};
use core::net::{IpAddr, Ipv4Addr};

/// What IP knows about a packet that it hands up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) interface: u8,
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    /// The destination is one of our addresses, not a broadcast or a group.
    pub(super) to_us: bool,
    /// Where in the frame's buffer the packet starts, and its length.
    pub(super) start: u16,
    pub(super) len: u16,
    /// The device has verified the transport checksum.
    pub(super) verified: bool,
}

impl Stack {
    /// Takes in a frame that its descriptor delimits.
    pub(super) fn receive_frame(&mut self, id: InterfaceId, frame: Frame, verified: bool) {
        let mut id = id.0;
        let Some(interface) = self.interfaces.get_mut(usize::from(id)) else {
            return self.discard(frame, |c| &mut c.rx_no_interface);
        };
        let content = self.pool.content(&frame);
        interface.counters.rx_frames += 1;
        interface.counters.rx_bytes += content.len() as u64;
        let Ok((header, payload)) = ethernet::parse(content) else {
            return self.discard_on_link(id, frame, |c| &mut c.eth_malformed);
        };
        let mut ether_type = header.ether_type.get();
        let destination = header.destination;
        let to_us = destination == interface.hardware;
        if !to_us && !interface.listens_on(destination) && ether_type != ether_type::VLAN {
            return self.discard_on_link(id, frame, |c| &mut c.eth_bad_destination);
        }
        if !header.source.is_station() || header.source == interface.hardware {
            return self.discard_on_link(id, frame, |c| &mut c.eth_bad_source);
        }
        self.strip(&frame, payload.start);
        if ether_type == ether_type::VLAN {
            match self.untag(id, &frame, destination) {
                Ok(inside) => (id, ether_type) = inside,
                Err(reason) => return self.discard_on_link(id, frame, reason),
            }
        }
        match ether_type {
            ether_type::IPV4 => self.receive_ipv4(id, frame, to_us, verified),
            ether_type::IPV6 => self.receive_ipv6(id, frame, to_us, verified),
            ether_type::ARP => self.receive_arp(id, frame),
            ether_type::SERVICE_VLAN => {
                self.discard_on_link(id, frame, |c| &mut c.eth_vlan_service);
            }
            _ => self.discard_on_link(id, frame, |c| &mut c.eth_unknown_type),
        }
    }

    fn receive_ipv4(&mut self, id: u8, frame: Frame, link_unicast: bool, verified: bool) {
        self.counters.ip_received += 1;
        let Some(interface) = self.interfaces.get(usize::from(id)) else {
            return self.discard(frame, |c| &mut c.rx_no_interface);
        };
        let (header, payload) = match ipv4::parse(self.pool.content(&frame)) {
            Ok((header, _options, payload)) => (header, payload),
            Err(error) => return self.discard_ipv4(frame, error),
        };
        let (source, destination) = (header.source(), header.destination());
        let (protocol, ecn) = (header.protocol, header.ecn());
        // RFC 9293 §3.9.2.3 (MUST-63).
        let no_host =
            !is_host(source) || interface.v4.is_broadcast(source) || self.owns(source.into());
        // Queriers without an address ask from nobody (RFC 3376 §4.1.12, RFC 4541 §2.1.1).
        if no_host && (protocol != protocol::IGMP || !source.is_unspecified()) {
            return self.discard(frame, |c| &mut c.ip_bad_source);
        }
        let to_us = interface.v4.owns(destination);
        let for_us = to_us
            || is_to_many(interface, destination)
            || link_unicast && self.is_for_dhcp(id, &frame);
        if !for_us {
            return self.discard(frame, |c| &mut c.ip_bad_destination);
        }
        if to_us && !link_unicast {
            return self.discard(frame, |c| &mut c.ip_link_broadcast);
        }
        let mtu = interface.mtu;
        let is_fragment = header.is_fragment();
        let descriptor = self.pool.descriptor_mut(&frame);
        let start = descriptor.start;
        let (header_len, len) = (within_frame(payload.start), within_frame(payload.end));
        descriptor.start = start + header_len;
        descriptor.len = len - header_len;
        let (source, destination) = (IpAddr::V4(source), IpAddr::V4(destination));
        let packet = Packet {
            interface: id,
            source,
            destination,
            to_us,
            start,
            len,
            verified,
        };
        if is_fragment {
            return self.fragment_arrives_v4(frame, packet);
        }
        self.deliver_ipv4(frame, packet, protocol, mtu, ecn);
    }

    /// Hands a packet to its transport.
    #[inline(always)]
    fn deliver_ipv4(&mut self, frame: Frame, packet: Packet, protocol: u8, mtu: usize, ecn: Ecn) {
        match protocol {
            protocol::TCP if packet.to_us => {
                let incoming = Incoming {
                    frame,
                    source: packet.source,
                    destination: packet.destination,
                    checksum_verified: packet.verified,
                    mtu,
                    ecn,
                };
                self.tcp.receive(&mut context!(self), incoming);
            }
            protocol::UDP => self.receive_udp(frame, FrameQueue::default(), packet),
            protocol::ICMP => self.receive_icmp(frame, packet),
            protocol::IGMP => self.receive_igmp(frame, packet),
            // RFC 9293 §3.9.2.3 (MUST-57).
            protocol::TCP => self.discard(frame, |c| &mut c.ip_broadcast_refused),
            _ => {
                self.counters.ip_unknown_protocol += 1;
                self.send_unreachable(frame, packet, unreachable_code::PROTOCOL);
            }
        }
    }

    /// Hands up a packet that was put together from fragments and fits its first one's frame.
    #[cold]
    pub(super) fn deliver_reassembled_ipv4(
        &mut self,
        frame: Frame,
        packet: Packet,
        protocol: u8,
        ecn: Ecn,
    ) {
        let interface = self.interfaces.get(usize::from(packet.interface));
        let mtu = interface.map_or(0, |interface| interface.mtu);
        self.deliver_ipv4(frame, packet, protocol, mtu, ecn);
    }

    #[cold]
    fn discard_ipv4(&mut self, frame: Frame, error: Ipv4Error) {
        self.discard(frame, |c| match error {
            Ipv4Error::Truncated => &mut c.ip_truncated,
            Ipv4Error::Version => &mut c.ip_bad_version,
            Ipv4Error::HeaderLength => &mut c.ip_bad_header_length,
            Ipv4Error::TotalLength => &mut c.ip_bad_total_length,
            Ipv4Error::Checksum => &mut c.ip_bad_checksum,
            Ipv4Error::Flags => &mut c.ip_bad_flags,
            Ipv4Error::OptionLength => &mut c.ip_bad_option,
            Ipv4Error::SourceRoute => &mut c.ip_source_route_refused,
        });
    }
}

/// Whether a destination is a broadcast address of an interface, or a group that it listens to.
#[cold]
fn is_to_many(interface: &Interface, destination: Ipv4Addr) -> bool {
    interface.v4.is_broadcast(destination)
        || destination.is_multicast() && interface.groups.listens_to(destination.into())
}
