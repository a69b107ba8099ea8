//! Datagrams on their way up and down.

use super::receive::Packet;
use super::transmit::{IpFields, write_ip_header};
use super::{Stack, context, within_frame};
use crate::checksum::{self, Sum, copy_and_sum, pseudo_header};
use crate::error::SendToError;
use crate::pool::{Frame, HEADROOM};
use crate::socket::SocketId;
use crate::udp::Arrival;
use crate::wire::icmpv4::unreachable_code;
use crate::wire::ip_header_len;
use crate::wire::ipv4::protocol;
use crate::wire::udp::{self, UdpHeader};
use crate::wire::{dhcp, dhcp6};
use core::net::{IpAddr, SocketAddr};
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, IntoBytes};

/// Where a datagram comes to lie that the stack sends.
const PAYLOAD_AT: usize = HEADROOM;

/// How a datagram of a socket leaves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Departure {
    source: (IpAddr, u16),
    destination: (IpAddr, u16),
    /// The interface, if the destination alone does not decide it.
    link: Option<u8>,
    hop_limit: u8,
    traffic_class: u8,
    /// Most bytes of payload.
    pub(super) room: usize,
}

impl Stack {
    pub(super) fn receive_udp(&mut self, frame: Frame, packet: Packet) {
        self.counters.udp_received += 1;
        let content = self.pool.content(&frame);
        let Ok((header, payload)) = udp::parse(content) else {
            return self.discard(frame, |c| &mut c.udp_malformed);
        };
        let arrival = Arrival {
            interface: packet.interface,
            header: packet.start,
            source: (packet.source, header.source_port.get()),
            destination: (packet.destination, header.destination_port.get()),
            to_us: packet.to_us,
        };
        // Zero: the sender did not sum (RFC 1122 §4.1.3.4), which IPv6 forbids (RFC 8200 §8.1).
        let summed = header.checksum != U16::ZERO;
        if !summed && packet.source.is_ipv6() {
            return self.discard(frame, |c| &mut c.udp_bad_checksum);
        }
        if summed && !packet.verified {
            let datagram = content.get(..payload.end).unwrap_or_default();
            let pseudo = pseudo_header(
                packet.source,
                packet.destination,
                protocol::UDP,
                payload.end,
            );
            if !(pseudo + checksum::sum(datagram)).is_valid() {
                return self.discard(frame, |c| &mut c.udp_bad_checksum);
            }
        }
        self.pool.descriptor_mut(&frame).len = within_frame(payload.end);
        self.strip(&frame, payload.start);
        if arrival.destination.1 == dhcp6::CLIENT_PORT && self.speaks_dhcp6(packet) {
            return self.receive_dhcp6(frame, packet);
        }
        let frame = match arrival.destination.1 {
            dhcp::CLIENT_PORT => match self.receive_dhcp(frame, packet) {
                Ok(()) => return,
                Err(frame) => frame,
            },
            _ => frame,
        };
        let taken = self.udp.receive(&mut context!(self), frame, &arrival);
        self.tcp.set_datagrams(self.udp.queued());
        if let Err(frame) = taken {
            self.counters.udp_no_socket += 1;
            match packet.source {
                IpAddr::V4(_) => self.send_unreachable(frame, packet, unreachable_code::PORT),
                IpAddr::V6(_) => self.send_port_unreachable_v6(frame, packet),
            }
        }
    }

    /// How a datagram of a socket gets to `to`, or to its peer, from the address `from`, or the one
    /// that the socket or the route says.
    pub(super) fn departure(
        &mut self,
        id: SocketId,
        to: Option<SocketAddr>,
        from: Option<IpAddr>,
    ) -> Result<Departure, SendToError> {
        let bad = |_| SendToError::BadHandle;
        let local = self.udp.local_addr(id).map_err(bad)?;
        let settings = self.udp.settings(id).map_err(bad)?;
        let peer = self.udp.peer(id).map_err(bad)?;
        let (to, peer_link) = match (to, peer) {
            (None, None) => return Err(SendToError::NotConnected),
            (None, Some(peer)) => (SocketAddr::new(peer.address, peer.port), peer.link),
            (Some(to), None) => (to, None),
            (Some(to), Some(peer)) if (to.ip(), to.port()) == (peer.address, peer.port) => {
                (to, peer.link)
            }
            (Some(_), Some(_)) => return Err(SendToError::AlreadyConnected),
        };
        let destination = to.ip();
        let ours = from
            .or(Some(local.ip()))
            .filter(|address| !address.is_unspecified());
        if local.is_ipv4() != destination.is_ipv4()
            || ours.is_some_and(|ours| ours.is_ipv4() != destination.is_ipv4())
            || to.port() == 0
            || destination.is_unspecified()
        {
            return Err(SendToError::Invalid);
        }
        if ours.is_some_and(|ours| !self.owns(ours)) {
            return Err(SendToError::AddressNotLocal);
        }
        let group = destination.is_multicast();
        let chosen = settings.multicast_interface.filter(|_| group);
        let link = peer_link.or_else(|| self.link_for(to, ours, chosen.map(|id| id.0)));
        let route = self
            .route_to(destination, link, ours)
            .ok_or(SendToError::NoRoute)?;
        let source = route.source;
        if !route.is_for(source) {
            return Err(SendToError::NoRoute);
        }
        let everybody = matches!(destination, IpAddr::V4(v4) if self.is_broadcast(v4));
        if everybody && !settings.broadcast {
            return Err(SendToError::BroadcastNotAllowed);
        }
        let learned = [
            self.tcp.path_mtu(self.now, destination),
            self.udp.path_mtu(self.now, destination),
        ];
        let mtu = learned.into_iter().flatten().fold(route.mtu, usize::min);
        Ok(Departure {
            source: (source, local.port()),
            destination: (destination, to.port()),
            link,
            hop_limit: if group {
                settings.multicast_time_to_live
            } else {
                settings.time_to_live
            },
            traffic_class: settings.traffic_class,
            room: mtu.saturating_sub(ip_header_len(destination) + udp::HEADER_LEN),
        })
    }

    /// A frame for a datagram of a socket, with a payload of `len` bytes that is still to be written.
    pub(super) fn datagram_frame(
        &mut self,
        id: SocketId,
        len: usize,
    ) -> Result<Frame, SendToError> {
        if PAYLOAD_AT + len > self.pool.frame_size() {
            return Err(SendToError::MessageTooLong);
        }
        if self.pool.free_frames() <= self.limits.reserved_frames {
            self.udp.block(id);
            return Err(SendToError::WouldBlock);
        }
        let frame = self.pool.allocate().ok_or(SendToError::WouldBlock)?;
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = within_frame(PAYLOAD_AT);
        descriptor.len = within_frame(len);
        Ok(frame)
    }

    /// Copies a payload into a frame and sends it.
    pub(super) fn send_copy(
        &mut self,
        id: SocketId,
        data: &[u8],
        departure: Departure,
    ) -> Result<(), SendToError> {
        if data.len() > departure.room {
            return Err(SendToError::MessageTooLong);
        }
        let frame = self.datagram_frame(id, data.len())?;
        let sum = copy_and_sum(self.pool.content_mut(&frame), data);
        self.send_datagram(id, frame, departure, sum);
        Ok(())
    }

    /// Sends the payload that a frame's descriptor delimits, with this sum.
    pub(super) fn send_datagram(
        &mut self,
        id: SocketId,
        frame: Frame,
        departure: Departure,
        payload: Sum,
    ) {
        let ((source, source_port), (destination, port)) =
            (departure.source, departure.destination);
        let len = udp::HEADER_LEN + usize::from(self.pool.descriptor(&frame).len);
        let mut header = UdpHeader {
            source_port: U16::new(source_port),
            destination_port: U16::new(port),
            len: U16::new(within_frame(len)),
            checksum: U16::ZERO,
        };
        let pseudo = pseudo_header(source, destination, protocol::UDP, len);
        let sum = pseudo + checksum::sum(header.as_bytes()) + payload;
        header.checksum = U16::new(udp::stored(sum));
        self.prepend(&frame, header.as_bytes());
        self.counters.udp_sent += 1;
        self.udp.sent(id, destination, port);
        let fields = IpFields {
            source: source.into(),
            destination: destination.into(),
            protocol: protocol::UDP,
            hop_limit: departure.hop_limit,
            traffic_class: departure.traffic_class,
        };
        if let Some(link) = departure.link
            && destination.is_multicast()
            && self.stays_here(id, fields, link, &frame)
        {
            return self.pool.free(frame);
        }
        self.send_with(fields, departure.link, frame);
    }

    /// Gives members on this host their copy of a datagram to a group, if its socket wants that.
    /// Whether that is all: it is not to leave the host.
    fn stays_here(&mut self, id: SocketId, fields: IpFields, link: u8, frame: &Frame) -> bool {
        let destination = fields.destination.ip();
        let loops = self
            .udp
            .settings(id)
            .is_ok_and(|settings| settings.multicast_loop);
        let interface = self.interfaces.get(usize::from(link));
        if loops && interface.is_some_and(|i| i.groups.listens_to(destination)) {
            self.loop_back(fields, link, frame);
        }
        // Groups of less than a link's scope (RFC 4291 §2.7).
        let of_host = matches!(destination, IpAddr::V6(v6) if v6.octets()[1] & 0xf <= 1);
        of_host || fields.hop_limit == 0
    }

    fn loop_back(&mut self, fields: IpFields, link: u8, frame: &Frame) {
        if self.pool_is_low() {
            self.counters.udp_pool_low += 1;
            return;
        }
        let Some(copy) = self.pool.allocate() else {
            return;
        };
        let len = usize::from(self.pool.descriptor(frame).len);
        self.pool.copy_between(frame, copy.index(), PAYLOAD_AT);
        let descriptor = self.pool.descriptor_mut(&copy);
        descriptor.start = within_frame(PAYLOAD_AT);
        descriptor.len = within_frame(len);
        let ip_len = fields.destination.ip_header_len();
        let place = self.make_room(&copy, ip_len);
        write_ip_header(place, fields, len);
        let header = self.pool.descriptor(&copy).start;
        self.strip(&copy, ip_len);
        let ports = UdpHeader::read_from_prefix(self.pool.content(&copy));
        let (source_port, port) = ports.map_or((0, 0), |(header, _)| {
            (header.source_port.get(), header.destination_port.get())
        });
        self.strip(&copy, udp::HEADER_LEN);
        let arrival = Arrival {
            interface: link,
            header,
            source: (fields.source.ip(), source_port),
            destination: (fields.destination.ip(), port),
            to_us: false,
        };
        let taken = self.udp.receive(&mut context!(self), copy, &arrival);
        self.tcp.set_datagrams(self.udp.queued());
        if let Err(copy) = taken {
            self.pool.free(copy);
        }
    }
}
