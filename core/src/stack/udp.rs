//! Datagrams on their way up and down.

use super::receive::Packet;
use super::{Stack, context, within_frame};
use crate::checksum::{self, copy_and_sum, pseudo_header};
use crate::error::SendToError;
use crate::pool::{Frame, HEADROOM};
use crate::socket::SocketId;
use crate::time::Instant;
use crate::wire::dhcp6;
use crate::wire::icmpv4::unreachable_code;
use crate::wire::ip_header_len;
use crate::wire::ipv4::protocol;
use crate::wire::udp::{self, UdpHeader};
use core::net::{IpAddr, SocketAddr};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

impl Stack {
    pub(super) fn receive_udp(&mut self, frame: Frame, packet: Packet) {
        self.counters.udp_received += 1;
        let content = self.pool.content(&frame);
        let Ok((header, payload)) = udp::parse(content) else {
            return self.discard(frame, |c| &mut c.udp_malformed);
        };
        let source_port = header.source_port.get();
        let destination = (packet.destination, header.destination_port.get());
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
        if destination.1 == dhcp6::CLIENT_PORT && self.speaks_dhcp6(packet) {
            return self.receive_dhcp6(frame, packet);
        }
        let taken = self.udp.receive(
            &mut context!(self),
            frame,
            (packet.interface, packet.start, source_port),
            destination,
        );
        self.tcp.set_datagrams(self.udp.queued());
        if let Err(frame) = taken {
            self.counters.udp_no_socket += 1;
            match packet.source {
                IpAddr::V4(_) => self.send_unreachable(frame, packet, unreachable_code::PORT),
                IpAddr::V6(_) => self.send_port_unreachable_v6(frame, packet),
            }
        }
    }

    /// Queues a datagram for sending. The payload is copied, and summed, once.
    ///
    /// Broadcasts may be sent: to the broadcast address of a network of ours, and to
    /// 255.255.255.255 over the default route's interface, or the first one.
    ///
    /// # Errors
    /// [`SendToError`]. After [`SendToError::WouldBlock`] an event says when to try again.
    pub fn udp_send_to(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[u8],
        to: SocketAddr,
    ) -> Result<(), SendToError> {
        self.advance(now);
        let local = self
            .udp
            .local_addr(id)
            .map_err(|_| SendToError::BadHandle)?;
        let (local_address, destination) = (local.ip(), to.ip());
        if local_address.is_ipv4() != destination.is_ipv4() {
            return Err(SendToError::Invalid);
        }
        // Groups of IPv4 are not spoken to yet.
        let group = destination.is_ipv4() && destination.is_multicast();
        if to.port() == 0 || destination.is_unspecified() || group {
            return Err(SendToError::Invalid);
        }
        let ours = (!local_address.is_unspecified()).then_some(local_address);
        if ours.is_some_and(|ours| !self.owns(ours)) {
            return Err(SendToError::AddressNotLocal);
        }
        let link = self.link_for(to, ours);
        let route = self
            .route_to(destination, link)
            .ok_or(SendToError::NoRoute)?;
        let source = if local_address.is_unspecified() {
            route.source
        } else {
            local_address
        };
        if !route.is_for(source) {
            return Err(SendToError::NoRoute);
        }
        let len = udp::HEADER_LEN + data.len();
        let learned = [
            self.tcp.path_mtu(self.now, destination),
            self.udp.path_mtu(self.now, destination),
        ];
        let mtu = learned.into_iter().flatten().fold(route.mtu, usize::min);
        if len + ip_header_len(destination) > mtu {
            return Err(SendToError::MessageTooLong);
        }
        let len_field = u16::try_from(len).map_err(|_| SendToError::MessageTooLong)?;
        if self.pool.free_frames() <= self.limits.reserved_frames {
            self.udp.block(id);
            return Err(SendToError::WouldBlock);
        }
        let frame = self.pool.allocate().ok_or(SendToError::WouldBlock)?;
        let place = &mut self.pool.buffer_mut(&frame)[HEADROOM..];
        let payload = copy_and_sum(place, data);
        let mut header = UdpHeader {
            source_port: U16::new(local.port()),
            destination_port: U16::new(to.port()),
            len: U16::new(len_field),
            checksum: U16::ZERO,
        };
        let pseudo = pseudo_header(source, destination, protocol::UDP, len);
        let sum = pseudo + checksum::sum(header.as_bytes()) + payload;
        header.checksum = U16::new(udp::stored(sum));
        let descriptor = self.pool.descriptor_mut(&frame);
        descriptor.start = within_frame(HEADROOM);
        descriptor.len = within_frame(data.len());
        self.prepend(&frame, header.as_bytes());
        self.counters.udp_sent += 1;
        self.udp.sent(id, destination, to.port());
        self.send_owned(source, destination, protocol::UDP, frame);
        Ok(())
    }
}
