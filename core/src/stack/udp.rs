//! Datagrams on their way up and down.

use super::fragmentation::fragment_len;
use super::receive::Packet;
use super::transmit::{IpFields, write_ip_header};
use super::{Stack, context, within_frame};
use crate::checksum::{self, Sum, copy_and_sum, pseudo_header};
use crate::error::SendToError;
use crate::pool::{Descriptor, Frame, FrameQueue, HEADROOM};
use crate::socket::SocketId;
use crate::udp::Arrival;
use crate::wire::icmpv4::unreachable_code;
use crate::wire::ip_header_len;
use crate::wire::ipv4::protocol;
use crate::wire::ipv6;
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
    /// Most bytes of payload in one packet.
    pub(super) room: usize,
    /// Bytes of the datagram, header included, in a fragment that is not the last.
    piece: usize,
    /// It leaves in one packet or not at all.
    dont_fragment: bool,
}

impl Stack {
    /// A datagram, or its beginning and the `rest` of it.
    pub(super) fn receive_udp(&mut self, frame: Frame, mut rest: FrameQueue, packet: Packet) {
        self.counters.udp_received += 1;
        let content = self.pool.content(&frame);
        let len = content.len() + self.len_of(&rest);
        let Ok((header, payload)) = udp::parse_first(content, len) else {
            rest.clear(&mut self.pool);
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
        self.truncate(&frame, &mut rest, payload.end);
        let (source, protocol) = (packet.source, protocol::UDP);
        let intact = if summed {
            packet.verified || {
                let pseudo = pseudo_header(source, packet.destination, protocol, payload.end);
                (pseudo + self.sum_of(&frame, &rest)).is_valid()
            }
        } else {
            source.is_ipv4()
        };
        if !intact {
            rest.clear(&mut self.pool);
            return self.discard(frame, |c| &mut c.udp_bad_checksum);
        }
        self.strip(&frame, payload.start);
        let for_dhcp6 = rest.is_empty() && arrival.destination.1 == dhcp6::CLIENT_PORT;
        if for_dhcp6 && self.speaks_dhcp6(packet) {
            return self.receive_dhcp6(frame, packet);
        }
        let frame = match arrival.destination.1 {
            dhcp::CLIENT_PORT if rest.is_empty() => match self.receive_dhcp(frame, packet) {
                Ok(()) => return,
                Err(frame) => frame,
            },
            _ => frame,
        };
        let taken = self.udp.receive(&mut context!(self), frame, rest, &arrival);
        self.datagrams_changed();
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
        let mtu = self.path_mtu(destination, route.mtu);
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
            piece: fragment_len(destination.is_ipv4(), mtu),
            dont_fragment: settings.dont_fragment,
            room: mtu.saturating_sub(ip_header_len(destination) + udp::HEADER_LEN),
        })
    }

    /// A frame for a datagram of a socket, with a payload of `len` bytes that is still to be written.
    pub(super) fn datagram_frame(
        &mut self,
        id: SocketId,
        len: usize,
    ) -> Result<Frame, SendToError> {
        // Any length: it is the caller's word.
        if len > self.pool.frame_size().saturating_sub(PAYLOAD_AT) {
            return Err(SendToError::MessageTooLong);
        }
        if self.pool.free_frames() <= self.limits.reserved_frames {
            self.udp.block(id, 1);
            return Err(SendToError::WouldBlock);
        }
        let frame = self.pool.allocate().ok_or(SendToError::WouldBlock)?;
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = within_frame(PAYLOAD_AT);
        descriptor.len = within_frame(len);
        Ok(frame)
    }

    /// Copies a payload into a frame and sends it; what is too large for one, in fragments.
    pub(super) fn send_copy(
        &mut self,
        id: SocketId,
        data: &[u8],
        departure: Departure,
    ) -> Result<(), SendToError> {
        if data.len() > departure.room {
            return self.send_long(id, data, departure);
        }
        let frame = self.datagram_frame(id, data.len())?;
        let sum = copy_and_sum(self.pool.content_mut(&frame), data);
        self.send_datagram(id, frame, departure, sum);
        Ok(())
    }

    /// Copies a payload into as many frames as it takes, and sends it in fragments.
    #[cold]
    fn send_long(
        &mut self,
        id: SocketId,
        data: &[u8],
        departure: Departure,
    ) -> Result<(), SendToError> {
        let Departure {
            destination: (destination, _),
            piece,
            ..
        } = departure;
        let len = udp::HEADER_LEN + data.len();
        // The length field of IPv4 counts the IP header, that of IPv6 does not.
        let header = match destination {
            IpAddr::V4(_) => ip_header_len(destination),
            IpAddr::V6(_) => 0,
        };
        let frames = len.div_ceil(piece);
        let fits_the_pool = frames + self.limits.reserved_frames <= self.limits.frames;
        if departure.dont_fragment || header + len > usize::from(u16::MAX) || !fits_the_pool {
            return Err(SendToError::MessageTooLong);
        }
        if self.pool.free_frames() < self.limits.reserved_frames + frames {
            self.udp.block(id, frames);
            return Err(SendToError::WouldBlock);
        }
        let (first, mut others) = data.split_at(piece - udp::HEADER_LEN);
        let frame = self.datagram_frame(id, first.len())?;
        let mut sum = copy_and_sum(self.pool.content_mut(&frame), first);
        let mut rest = FrameQueue::default();
        while !others.is_empty() {
            let (next, later) = others.split_at(others.len().min(piece));
            let Ok(next_frame) = self.datagram_frame(id, next.len()) else {
                self.pool.free(frame);
                rest.clear(&mut self.pool);
                return Err(SendToError::WouldBlock);
            };
            // Each piece but the last has an even length.
            sum = sum + copy_and_sum(self.pool.content_mut(&next_frame), next);
            rest.push_back(&mut self.pool, next_frame);
            others = later;
        }
        let fields = self.finish_datagram(id, &frame, departure, (len, sum));
        if let Some(link) = departure.link
            && destination.is_multicast()
            && self.stays_here(id, (fields, link), &frame, &rest)
        {
            rest.clear(&mut self.pool);
            self.pool.free(frame);
            return Ok(());
        }
        rest.push_front(&mut self.pool, frame);
        self.send_in_fragments(fields, departure.link, rest);
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
        let len = udp::HEADER_LEN + usize::from(self.pool.descriptor(&frame).len);
        let fields = self.finish_datagram(id, &frame, departure, (len, payload));
        if let Some(link) = departure.link
            && fields.destination.ip().is_multicast()
            && self.stays_here(id, (fields, link), &frame, &FrameQueue::default())
        {
            return self.pool.free(frame);
        }
        self.send_with(fields, departure.link, frame);
    }

    /// Puts the header in front of a datagram's payload, or of its beginning: `len` are all bytes with
    /// the header, and `payload` is the sum of those without.
    #[inline(always)]
    fn finish_datagram(
        &mut self,
        id: SocketId,
        frame: &Frame,
        departure: Departure,
        (len, payload): (usize, Sum),
    ) -> IpFields {
        let ((source, source_port), (destination, port)) =
            (departure.source, departure.destination);
        let mut header = UdpHeader {
            source_port: U16::new(source_port),
            destination_port: U16::new(port),
            len: U16::new(within_frame(len)),
            checksum: U16::ZERO,
        };
        let pseudo = pseudo_header(source, destination, protocol::UDP, len);
        let sum = pseudo + checksum::sum(header.as_bytes()) + payload;
        header.checksum = U16::new(udp::stored(sum));
        self.prepend(frame, header.as_bytes());
        self.counters.udp_sent += 1;
        let least = match destination {
            IpAddr::V4(_) => self.min_path_mtu,
            IpAddr::V6(_) => ipv6::MIN_MTU,
        };
        let is_large = ip_header_len(destination) + len > least;
        self.udp
            .sent(self.now, id, source, (destination, port), is_large);
        IpFields {
            source: source.into(),
            destination: destination.into(),
            protocol: protocol::UDP,
            hop_limit: departure.hop_limit,
            traffic_class: departure.traffic_class,
        }
    }

    /// Notes that the receive queues of UDP, or the fragments that wait for others, hold more or fewer
    /// frames than before.
    pub(super) fn datagrams_changed(&mut self) {
        self.tcp
            .set_datagrams(self.udp.queued() + self.reassembly.held());
    }

    /// Gives members on this host their copy of a datagram to a group, if its socket wants that.
    /// Whether that is all: it is not to leave the host.
    fn stays_here(
        &mut self,
        id: SocketId,
        (fields, link): (IpFields, u8),
        frame: &Frame,
        rest: &FrameQueue,
    ) -> bool {
        let destination = fields.destination.ip();
        let loops = self
            .udp
            .settings(id)
            .is_ok_and(|settings| settings.multicast_loop);
        let interface = self.interfaces.get(usize::from(link));
        if loops && interface.is_some_and(|i| i.groups.listens_to(destination)) {
            self.loop_back((fields, link), frame, rest);
        }
        // Groups of less than a link's scope (RFC 4291 §2.7).
        let of_host = matches!(destination, IpAddr::V6(v6) if v6.octets()[1] & 0xf <= 1);
        of_host || fields.hop_limit == 0
    }

    fn loop_back(&mut self, (fields, link): (IpFields, u8), frame: &Frame, rest: &FrameQueue) {
        let len = usize::from(self.pool.descriptor(frame).len) + self.len_of(rest);
        let Some(copy) = self.copy_to_loop(frame.index()) else {
            return;
        };
        let mut copies = FrameQueue::default();
        let mut at = rest.first();
        while let Some(index) = at {
            let Some(next) = self.copy_to_loop(index) else {
                copies.clear(&mut self.pool);
                return self.pool.free(copy);
            };
            copies.push_back(&mut self.pool, next);
            at = self.pool.next_in_queue(index);
        }
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
        let taken = self
            .udp
            .receive(&mut context!(self), copy, copies, &arrival);
        self.datagrams_changed();
        if let Err(copy) = taken {
            self.pool.free(copy);
        }
    }

    /// A copy of a frame's content, unless the pool runs low.
    fn copy_to_loop(&mut self, index: u32) -> Option<Frame> {
        if self.pool_is_low() {
            self.counters.udp_pool_low += 1;
            return None;
        }
        let copy = self.pool.allocate()?;
        let Descriptor { start, len, .. } = *self.pool.descriptor_at(index);
        let from = usize::from(start);
        let range = from..from + usize::from(len);
        self.pool.copy_range(index, range, &copy, PAYLOAD_AT);
        let descriptor = self.pool.descriptor_mut(&copy);
        descriptor.start = within_frame(PAYLOAD_AT);
        descriptor.len = len;
        // A frame that is not the first has no header in front of it.
        descriptor.sum = descriptor.start;
        Some(copy)
    }
}
