//! ICMPv6 (RFC 4443): echo, errors to send, errors received.

use super::super::receive::Packet;
use super::super::{Stack, within_frame};
use super::Arrival;
use crate::checksum::{self, pseudo_header};
use crate::context::IcmpError;
use crate::pool::Frame;
use crate::wire::icmpv6::{self, Icmpv6Header, message_type, unreachable_code};
use crate::wire::ipv6::{self, Ipv6Header, next_header};
use core::net::{IpAddr, Ipv6Addr};
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

impl Stack {
    pub(super) fn receive_icmpv6(&mut self, frame: Frame, packet: Packet, arrival: Arrival) {
        self.counters.icmp_received += 1;
        let content = self.pool.content(&frame);
        let Ok((header, payload)) = icmpv6::parse(content) else {
            return self.discard(frame, |c| &mut c.icmp_malformed);
        };
        let header = *header;
        let (source, destination) = (packet.source, packet.destination);
        let pseudo = pseudo_header(source, destination, next_header::ICMPV6, content.len());
        if !(pseudo + checksum::sum(content)).is_valid() {
            return self.discard(frame, |c| &mut c.icmp_bad_checksum);
        }
        let value = header.value.get();
        let error = match (header.message_type, header.code) {
            (message_type::ROUTER_SOLICITATION..=message_type::REDIRECT, _) => {
                return self.receive_discovery(frame, packet, arrival, header);
            }
            (message_type::LISTENER_QUERY, _) => return self.receive_query(frame, packet, arrival),
            // Whoever listens to a group with us reports to routers, not to us.
            (
                message_type::LISTENER_REPORT
                | message_type::LISTENER_REPORT_V1
                | message_type::LISTENER_DONE_V1,
                _,
            ) => return self.discard(frame, |c| &mut c.icmp_ignored_type),
            _ if source.is_unspecified() => {
                return self.discard(frame, |c| &mut c.ip_bad_source);
            }
            _ if !packet.to_us => return self.discard(frame, |c| &mut c.icmp_not_unicast),
            (message_type::ECHO_REQUEST, 0) => return self.send_echo_reply_v6(frame, packet),
            (message_type::UNREACHABLE, unreachable_code::PORT) => IcmpError::PortUnreachable,
            (message_type::UNREACHABLE, 0..=unreachable_code::LARGEST) => IcmpError::Unreachable,
            (message_type::PACKET_TOO_BIG, _) => {
                // RFC 8201 §4: no path has less, whatever a message says.
                let Some(mtu) = u16::try_from(value.min(0xffff))
                    .ok()
                    .filter(|mtu| usize::from(*mtu) >= ipv6::MIN_MTU)
                else {
                    return self.discard(frame, |c| &mut c.icmp_error_unrelated);
                };
                IcmpError::FragmentationNeeded { mtu }
            }
            (message_type::TIME_EXCEEDED, 0 | 1) => IcmpError::TimeExceeded,
            // The destination does not know the protocol.
            (message_type::PARAMETER_PROBLEM, ipv6::UNKNOWN_NEXT_HEADER) => {
                IcmpError::ProtocolUnreachable
            }
            (message_type::PARAMETER_PROBLEM, _) => IcmpError::ParameterProblem,
            // Echo replies to nobody, and what is not known.
            _ => return self.discard(frame, |c| &mut c.icmp_ignored_type),
        };
        self.strip(&frame, payload.start);
        self.receive_icmpv6_error(frame, packet, error);
    }

    /// Hands an error to the socket whose packet it quotes.
    fn receive_icmpv6_error(&mut self, frame: Frame, packet: Packet, error: IcmpError) {
        let content = self.pool.content(&frame);
        let Ok((quoted, _)) = Ipv6Header::ref_from_prefix(content) else {
            return self.discard(frame, |c| &mut c.icmp_malformed);
        };
        let (source, destination) = (quoted.source(), quoted.destination());
        let Ok(layer) = ipv6::upper_layer(content) else {
            return self.discard(frame, |c| &mut c.icmp_error_unrelated);
        };
        let first = layer.fragment.is_none_or(|fragment| fragment.offset() == 0);
        if let IcmpError::FragmentationNeeded { mtu } = error
            && usize::from(mtu) >= ipv6::HEADER_LEN + usize::from(quoted.payload_len.get())
        {
            // A packet that fits was not too big (RFC 5927 §7.2).
            return self.discard(frame, |c| &mut c.icmp_bad_mtu);
        }
        let transport = content.get(layer.start..).and_then(<[u8]>::first_chunk);
        let Some(transport) = transport.copied() else {
            return self.discard(frame, |c| &mut c.icmp_malformed);
        };
        self.pool.free(frame);
        if IpAddr::V6(source) != packet.destination || !first {
            self.counters.icmp_error_unrelated += 1;
            return;
        }
        let addresses = (source.into(), destination.into());
        self.deliver_icmp_error(addresses, layer.protocol, transport, error);
    }

    /// Answers an echo request with the same payload (RFC 4443 §4.2), in the frame that it came in.
    fn send_echo_reply_v6(&mut self, frame: Frame, packet: Packet) {
        let content = self.pool.content_mut(&frame);
        if let Ok((header, _)) = Icmpv6Header::mut_from_prefix(content) {
            header.message_type = message_type::ECHO_REPLY;
            header.checksum = U16::ZERO;
        }
        self.counters.icmp_echo_replied += 1;
        self.send_icmpv6(frame, packet.destination, packet.source);
    }

    /// Answers a packet with an error (type, code, value) that quotes it, in the frame that it came
    /// in; or frees the frame, where RFC 4443 §2.4 (e) forbids an answer or the rate limit does.
    pub(in crate::stack) fn send_icmpv6_error(
        &mut self,
        frame: Frame,
        packet: Packet,
        (kind, code, value): (u8, u8, u32),
    ) {
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = packet.start;
        descriptor.len = packet.len;
        let forbidden =
            packet.source.is_unspecified() || ipv6::carries_icmp_error(self.pool.content(&frame));
        if forbidden {
            return self.discard(frame, |c| &mut c.icmp_suppressed);
        }
        if !self
            .icmp_limit
            .allow(self.now, packet.source, &mut self.rng)
        {
            return self.discard(frame, |c| &mut c.icmp_rate_limited);
        }
        let source = if packet.to_us {
            Some(packet.destination)
        } else {
            self.source_on(packet.interface, packet.source)
        };
        let Some(source) = source else {
            return self.discard(frame, |c| &mut c.icmp_suppressed);
        };
        // RFC 4443 §2.4 (c): as much as the least MTU has room for.
        let room = within_frame(ipv6::MIN_MTU - ipv6::HEADER_LEN - icmpv6::HEADER_LEN);
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.len = descriptor.len.min(room);
        self.prepend(&frame, Icmpv6Header::new(kind, code, value).as_bytes());
        self.send_icmpv6(frame, source, packet.source);
    }

    /// Port unreachable, for a datagram that no socket wants.
    pub(in crate::stack) fn send_port_unreachable_v6(&mut self, frame: Frame, packet: Packet) {
        if !packet.to_us {
            return self.discard(frame, |c| &mut c.icmp_suppressed);
        }
        let error = (message_type::UNREACHABLE, unreachable_code::PORT, 0);
        self.send_icmpv6_error(frame, packet, error);
    }

    /// Our address on an interface for packets to `destination`.
    fn source_on(&self, id: u8, destination: IpAddr) -> Option<IpAddr> {
        let IpAddr::V6(destination) = destination else {
            return None;
        };
        let v6 = self.ipv6(id)?;
        v6.addresses
            .source_for(self.now, destination, None)
            .map(IpAddr::V6)
    }

    fn send_icmpv6(&mut self, frame: Frame, source: IpAddr, destination: IpAddr) {
        if self.pool_is_low() {
            return self.discard(frame, |c| &mut c.tx_no_frame);
        }
        self.finish_icmpv6(&frame, source, destination);
        self.counters.icmp_sent += 1;
        self.send_owned(source, destination, next_header::ICMPV6, frame);
    }

    /// Stores the checksum of the message in `frame`, whose checksum field is zero.
    fn finish_icmpv6(&mut self, frame: &Frame, source: IpAddr, destination: IpAddr) {
        let content = self.pool.content_mut(frame);
        let pseudo = pseudo_header(source, destination, next_header::ICMPV6, content.len());
        let sum = (pseudo + checksum::sum(content)).finish();
        if let Ok((header, _)) = Icmpv6Header::mut_from_prefix(content) {
            header.checksum = U16::new(sum);
        }
    }

    /// Sends a message of neighbour discovery or of multicast listeners on one interface: neither
    /// routes nor the usual hop limit apply. `options` is a hop-by-hop options header, or empty.
    /// `false`: no frame was free.
    pub(super) fn send_link_message(
        &mut self,
        id: u8,
        (source, destination, hop_limit): (Ipv6Addr, Ipv6Addr, u8),
        options: &[u8],
        message: &[&[u8]],
    ) -> bool {
        let Some(frame) = self.message_frame(message) else {
            return false;
        };
        self.send_link_frame(id, (source, destination, hop_limit), options, frame);
        true
    }

    /// [`Stack::send_link_message`] for a message that lies in its frame.
    pub(in crate::stack) fn send_link_frame(
        &mut self,
        id: u8,
        (source, destination, hop_limit): (Ipv6Addr, Ipv6Addr, u8),
        options: &[u8],
        frame: Frame,
    ) {
        self.finish_icmpv6(&frame, source.into(), destination.into());
        if !options.is_empty() {
            self.prepend(&frame, options);
        }
        let next = if options.is_empty() {
            next_header::ICMPV6
        } else {
            next_header::HOP_BY_HOP
        };
        let len = self.pool.descriptor(&frame).len;
        let header = Ipv6Header::new(source, destination, next, hop_limit, len);
        self.prepend(&frame, header.as_bytes());
        self.counters.ip_sent += 1;
        self.counters.icmp_sent += 1;
        self.send_on_link(id, frame, destination);
    }
}
