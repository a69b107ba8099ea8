//! ICMP (RFC 792, RFC 1122 §3.2.2): echo, errors to send, errors received.

use super::receive::Packet;
use super::{Stack, context, within_frame};
use crate::checksum;
use crate::context::IcmpError;
use crate::ip::plateau;
use crate::pool::Frame;
use crate::wire::icmpv4::{self, Icmpv4Header, Message, message_type, unreachable_code};
use crate::wire::icmpv6;
use crate::wire::ipv4::{self, protocol};
use crate::wire::ipv6;
use core::net::{IpAddr, SocketAddr};
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

/// The largest packet that an ICMP error makes (RFC 1812 §4.3.2.3).
const MAX_ERROR_LEN: usize = 576;
/// The code of "time exceeded" for fragments (RFC 792, RFC 4443 §3.3).
const REASSEMBLY_TIME_EXCEEDED: u8 = 1;
/// The largest code of an unreachable message (RFC 1812 §5.2.7.1).
const MAX_UNREACHABLE_CODE: u8 = 15;

impl Stack {
    pub(super) fn receive_icmp(&mut self, frame: Frame, packet: Packet) {
        self.counters.icmp_received += 1;
        let content = self.pool.content(&frame);
        let Ok((header, payload)) = icmpv4::parse(content) else {
            return self.discard(frame, |c| &mut c.icmp_malformed);
        };
        let message = header.message();
        if !checksum::sum(content).is_valid() {
            return self.discard(frame, |c| &mut c.icmp_bad_checksum);
        }
        if !packet.to_us {
            return self.discard(frame, |c| &mut c.icmp_not_unicast);
        }
        let error = match message {
            Message::EchoRequest { .. } => return self.send_echo_reply(frame, packet),
            Message::Unreachable {
                code: unreachable_code::PROTOCOL,
                ..
            } => IcmpError::ProtocolUnreachable,
            Message::Unreachable {
                code: unreachable_code::PORT,
                ..
            } => IcmpError::PortUnreachable,
            Message::Unreachable {
                code: unreachable_code::FRAGMENTATION_NEEDED,
                next_hop_mtu,
            } => IcmpError::FragmentationNeeded { mtu: next_hop_mtu },
            Message::Unreachable {
                code: 0..=MAX_UNREACHABLE_CODE,
                ..
            } => IcmpError::Unreachable,
            Message::TimeExceeded { code: 0 | 1 } => IcmpError::TimeExceeded,
            Message::ParameterProblem { .. } => IcmpError::ParameterProblem,
            // Echo replies to nobody, redirects (routes are configured), source quench (RFC 6633,
            // RFC 9293 §3.9.2.2 MUST-55)
            // and what is not known.
            Message::EchoReply { .. }
            | Message::Unreachable { .. }
            | Message::TimeExceeded { .. }
            | Message::Other { .. } => return self.discard(frame, |c| &mut c.icmp_ignored_type),
        };
        self.strip(&frame, payload.start);
        self.receive_icmp_error(frame, packet, error);
    }

    /// Hands an error to the socket whose packet it quotes. Only a packet from the address that
    /// the error was sent to can be ours; the transports check the rest (RFC 5927 §4).
    /// RFC 9293 §3.9.2.2 (MUST-54).
    fn receive_icmp_error(&mut self, frame: Frame, packet: Packet, error: IcmpError) {
        let content = self.pool.content(&frame);
        let Ok((quoted, transport)) = ipv4::parse_quoted(content) else {
            return self.discard(frame, |c| &mut c.icmp_malformed);
        };
        // RFC 792 promises 8 bytes of what the quoted packet carries: ports and, for TCP, the
        // sequence number.
        let transport = content.get(transport).and_then(<[u8]>::first_chunk);
        let Some(transport) = transport.copied() else {
            return self.discard(frame, |c| &mut c.icmp_malformed);
        };
        let source = IpAddr::V4(quoted.source());
        let destination = IpAddr::V4(quoted.destination());
        let (protocol, first) = (quoted.protocol, quoted.fragment_offset() == 0);
        let packet_len = quoted.total_len.get();
        self.pool.free(frame);
        if source != packet.destination || !first {
            self.counters.icmp_error_unrelated += 1;
            return;
        }
        let error = match error {
            IcmpError::FragmentationNeeded { mtu } => {
                let Some(mtu) = self.believable_mtu(mtu, packet_len) else {
                    self.counters.icmp_bad_mtu += 1;
                    return;
                };
                IcmpError::FragmentationNeeded { mtu }
            }
            error => error,
        };
        self.deliver_icmp_error((source, destination), protocol, transport, error);
    }

    /// Hands an error to the socket that sent the packet: with these addresses, this protocol, and
    /// these first bytes of its transport header.
    pub(super) fn deliver_icmp_error(
        &mut self,
        (source, destination): (IpAddr, IpAddr),
        protocol: u8,
        [a, b, c, d, e, f, g, h]: [u8; 8],
        error: IcmpError,
    ) {
        let (local_port, remote_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        let (local, remote) = ((source, local_port), (destination, remote_port));
        match protocol {
            protocol::TCP => {
                let (local, remote) = (SocketAddr::from(local), SocketAddr::from(remote));
                let seq = u32::from_be_bytes([e, f, g, h]);
                self.tcp
                    .icmp_error(&mut context!(self), local, remote, seq, error);
            }
            protocol::UDP
                if self
                    .udp
                    .icmp_error(&mut context!(self), local, remote, error) =>
            {
                self.counters.icmp_error_delivered += 1;
            }
            _ => self.counters.icmp_error_unrelated += 1,
        }
    }

    /// What a router says of the next hop's MTU for a packet of `len` bytes, if it can be true. One
    /// that says nothing is an old one (RFC 1191 §5). A packet that fits was not too big (RFC 5927
    /// §7.2). Less than the configured minimum is not believed, so that a forged message cannot make
    /// us send crumbs (RFC 1191 §3, RFC 791: every host takes 576 bytes).
    fn believable_mtu(&self, mtu: u16, len: u16) -> Option<u16> {
        let mtu = if mtu == 0 { plateau(len) } else { mtu };
        let large_enough = usize::from(mtu) >= self.min_path_mtu;
        (large_enough && mtu < len).then_some(mtu)
    }

    /// Tells the socket that a packet is from that its neighbour cannot be reached: what the link
    /// layer has to report (RFC 1122 §2.4), before any timer of the socket.
    pub(super) fn report_undeliverable(&mut self, frame: Frame) {
        let sender = sender_of(self.pool.content(&frame));
        self.pool.free(frame);
        match sender {
            Some((protocol::TCP, local, remote, seq)) => {
                self.tcp
                    .neighbour_failed(&mut context!(self), local, remote, seq);
            }
            Some((protocol::UDP, local, remote, _)) => {
                let (local, remote) = ((local.ip(), local.port()), (remote.ip(), remote.port()));
                let error = IcmpError::Unreachable;
                self.udp
                    .icmp_error(&mut context!(self), local, remote, error);
            }
            _ => {}
        }
    }

    /// Answers an echo request with the same payload (RFC 1122 §3.2.2.6), in the frame that it
    /// came in. Options of the request's IP header are not returned.
    fn send_echo_reply(&mut self, frame: Frame, packet: Packet) {
        let content = self.pool.content_mut(&frame);
        if let Ok((header, _)) = Icmpv4Header::mut_from_prefix(content) {
            header.message_type = message_type::ECHO_REPLY;
            header.checksum = U16::ZERO;
        }
        self.finish_icmp(&frame);
        self.counters.icmp_echo_replied += 1;
        self.send_icmp(frame, packet);
    }

    /// Answers a packet with an unreachable message.
    pub(super) fn send_unreachable(&mut self, frame: Frame, packet: Packet, code: u8) {
        self.send_icmp_error(frame, packet, Icmpv4Header::unreachable(code));
    }

    /// Tells the sender of a first fragment that the others did not come in time.
    pub(super) fn send_reassembly_timeout(&mut self, frame: Frame, packet: Packet) {
        match packet.source {
            IpAddr::V4(_) => {
                let header = Icmpv4Header {
                    message_type: message_type::TIME_EXCEEDED,
                    code: REASSEMBLY_TIME_EXCEEDED,
                    ..Icmpv4Header::default()
                };
                self.send_icmp_error(frame, packet, header);
            }
            IpAddr::V6(_) if packet.to_us => {
                let error = (
                    icmpv6::message_type::TIME_EXCEEDED,
                    REASSEMBLY_TIME_EXCEEDED,
                    0,
                );
                self.send_icmpv6_error(frame, packet, error);
            }
            IpAddr::V6(_) => self.discard(frame, |c| &mut c.icmp_suppressed),
        }
    }

    /// Answers a packet with an error that quotes it, in the frame that it came in; or frees the
    /// frame, where RFC 1122 §3.2.2 forbids an answer or the rate limit does.
    fn send_icmp_error(&mut self, frame: Frame, packet: Packet, header: Icmpv4Header) {
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = packet.start;
        descriptor.len = packet.len;
        if !packet.to_us || ipv4::carries_icmp_error(self.pool.content(&frame)) {
            return self.discard(frame, |c| &mut c.icmp_suppressed);
        }
        if !self
            .icmp_limit
            .allow(self.now, packet.source, &mut self.rng)
        {
            return self.discard(frame, |c| &mut c.icmp_rate_limited);
        }
        let room = within_frame(MAX_ERROR_LEN - ipv4::HEADER_LEN - icmpv4::HEADER_LEN);
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.len = descriptor.len.min(room);
        self.prepend(&frame, header.as_bytes());
        self.finish_icmp(&frame);
        self.send_icmp(frame, packet);
    }

    /// Stores the checksum of the message in `frame`, whose checksum field is zero.
    fn finish_icmp(&mut self, frame: &Frame) {
        let content = self.pool.content_mut(frame);
        let sum = checksum::sum(content).finish();
        if let Ok((header, _)) = Icmpv4Header::mut_from_prefix(content) {
            header.checksum = U16::new(sum);
        }
    }

    fn send_icmp(&mut self, frame: Frame, packet: Packet) {
        if self.pool_is_low() {
            return self.discard(frame, |c| &mut c.tx_no_frame);
        }
        self.counters.icmp_sent += 1;
        self.send_owned(packet.destination, packet.source, protocol::ICMP, frame);
    }
}

/// Protocol, addresses and ports of a packet of ours, and its first number if it is TCP's. `None` of a
/// fragment that is not the first.
fn sender_of(packet: &[u8]) -> Option<(u8, SocketAddr, SocketAddr, u32)> {
    let (protocol, source, destination, transport) = if packet.first()? >> 4 == 4 {
        let (header, transport) = ipv4::parse_quoted(packet).ok()?;
        if header.fragment_offset() != 0 {
            return None;
        }
        let (source, destination) = (header.source(), header.destination());
        (
            header.protocol,
            source.into(),
            destination.into(),
            transport.start,
        )
    } else {
        let header = ipv6::parse_quoted(packet).ok()?;
        let layer = ipv6::upper_layer(packet).ok()?;
        if layer
            .fragment
            .is_some_and(|fragment| fragment.offset() != 0)
        {
            return None;
        }
        let (source, destination) = (header.source(), header.destination());
        (
            layer.protocol,
            source.into(),
            destination.into(),
            layer.start,
        )
    };
    let [a, b, c, d, e, f, g, h] = *packet.get(transport..)?.first_chunk()?;
    let (local_port, remote_port) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let local = SocketAddr::new(source, local_port);
    let remote = SocketAddr::new(destination, remote_port);
    Some((protocol, local, remote, u32::from_be_bytes([e, f, g, h])))
}
