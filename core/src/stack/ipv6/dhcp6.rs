//! DHCPv6 without leases (RFC 8415): the client's messages on their way down and up.

use super::super::Stack;
use super::super::receive::Packet;
use crate::checksum::{self, pseudo_header};
use crate::dhcp6::Outcome;
use crate::ip::{Origin, TIME_TO_LIVE};
use crate::pool::Frame;
use crate::wire::dhcp6::{self, InformationRequest};
use crate::wire::ipv6::{Ipv6Header, next_header};
use crate::wire::udp::{self, UdpHeader};
use core::net::{IpAddr, Ipv6Addr};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

/// Bytes of a message, UDP header included.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the size of a small structure, known when compiling"
)]
const REQUEST_LEN: u16 = (udp::HEADER_LEN + size_of::<InformationRequest>()) as u16;

impl Stack {
    /// Sends the question that is due on an interface. Whether one was.
    #[cold]
    pub(super) fn ask_dhcp6(&mut self, id: u8) -> bool {
        let now = self.now;
        let Some((v6, rng)) = self.ipv6_and_rng(id) else {
            return false;
        };
        let Some(request) = v6.dhcp6.take(now, rng) else {
            return false;
        };
        // Without an address, as without a frame, it counts as one that got lost.
        if let Some(source) = v6.addresses.link_local() {
            self.send_dhcp6(id, source, &request);
        }
        true
    }

    fn send_dhcp6(&mut self, id: u8, source: Ipv6Addr, request: &InformationRequest) {
        let mut header = UdpHeader {
            source_port: U16::new(dhcp6::CLIENT_PORT),
            destination_port: U16::new(dhcp6::SERVER_PORT),
            len: U16::new(REQUEST_LEN),
            checksum: U16::ZERO,
        };
        let addresses = (IpAddr::V6(source), IpAddr::V6(dhcp6::SERVERS));
        let len = usize::from(REQUEST_LEN);
        let pseudo = pseudo_header(addresses.0, addresses.1, next_header::UDP, len);
        let sum = checksum::sum(header.as_bytes()) + checksum::sum(request.as_bytes());
        header.checksum = U16::new(udp::stored(pseudo + sum));
        let Some(frame) = self.message_frame(&[header.as_bytes(), request.as_bytes()]) else {
            return;
        };
        let next = next_header::UDP;
        let ip = Ipv6Header::new(source, dhcp6::SERVERS, next, TIME_TO_LIVE, REQUEST_LEN);
        self.prepend(&frame, ip.as_bytes());
        self.counters.ip_sent += 1;
        self.counters.udp_sent += 1;
        self.counters.dhcp6_requests_sent += 1;
        self.send_on_link(id, frame, dhcp6::SERVERS);
    }

    /// Whether datagrams to the port of clients are ours to take, and no socket's.
    #[cold]
    pub(in crate::stack) fn speaks_dhcp6(&self, packet: Packet) -> bool {
        packet.source.is_ipv6()
            && self
                .ipv6(packet.interface)
                .is_some_and(|v6| v6.dhcp6.is_active())
    }

    /// A datagram to the port of clients; the frame has its payload.
    #[cold]
    pub(in crate::stack) fn receive_dhcp6(&mut self, frame: Frame, packet: Packet) {
        let now = self.now;
        let Self {
            interfaces,
            pool,
            counters,
            ..
        } = self;
        let Some(interface) = interfaces.get_mut(usize::from(packet.interface)) else {
            return self.discard(frame, |c| &mut c.dhcp6_unmatched);
        };
        let (resolvers, v6) = (&mut interface.resolvers, &mut interface.v6);
        match (dhcp6::parse_reply(pool.content(&frame)), v6) {
            (Ok(reply), Some(v6)) if packet.to_us => match v6.dhcp6.reply(now, &reply) {
                Outcome::NotOurs => counters.dhcp6_unmatched += 1,
                Outcome::Refused => counters.dhcp6_refused += 1,
                Outcome::Informed { until } => {
                    counters.dhcp6_replies += 1;
                    let servers = reply.dns_servers.iter();
                    let servers = servers.map(|server| IpAddr::V6((*server).into()));
                    resolvers.forget(Origin::Dhcpv6);
                    resolvers.add_servers(now, Origin::Dhcpv6, until, servers);
                    resolvers.add_domains(now, Origin::Dhcpv6, until, reply.domains);
                    self.ipv6_due = crate::time::Instant::ZERO;
                }
            },
            (Ok(_), _) => counters.dhcp6_unmatched += 1,
            (Err(_), _) => counters.dhcp6_malformed += 1,
        }
        self.pool.free(frame);
    }
}
