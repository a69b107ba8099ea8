//! The calls of the users of UDP sockets.

use super::user::with_scope;
use super::{Stack, context};
use crate::checksum;
use crate::device::InterfaceId;
use crate::error::{BadHandle, BindError, ConnectError, RecvFromError, SendToError, SettingError};
use crate::socket::SocketId;
use crate::time::Instant;
use crate::udp::{Peer, Received, UdpError, UdpOptions, UdpSetting, UdpSettings};
use core::net::{IpAddr, SocketAddr};

/// What is known of a datagram that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UdpReceived {
    /// Bytes copied: the datagram's, or as many as the buffer has room for.
    pub len: usize,
    /// Bytes of the datagram. If more than `len`, the rest is lost.
    pub datagram_len: usize,
    /// Who sent it.
    pub remote: SocketAddr,
    /// The address that it was sent to: one of ours, a broadcast or a group.
    pub destination: IpAddr,
    /// The interface that it came by.
    pub interface: InterfaceId,
    /// The hops that it could still have taken (time to live, hop limit).
    pub hop_limit: u8,
    /// Its differentiated services code point in the upper six bits, its ECN field in the lower two.
    pub traffic_class: u8,
}

/// A datagram that waits, not copied.
#[derive(Clone, Copy, Debug)]
pub struct UdpDatagram<'a> {
    /// What is known of it; `len` is that of `data`.
    pub info: UdpReceived,
    /// Its bytes: the first ones, if there are less than `info.datagram_len`, for it came in fragments.
    /// [`Stack::udp_recv_from`] copies all of it.
    pub data: &'a [u8],
}

impl Stack {
    /// Creates a UDP socket on an address of ours, or with 0.0.0.0 or :: on all of that family,
    /// broadcasts and groups included. Port 0 asks for a random free one. Where sockets are bound to
    /// an address and to 0.0.0.0 with the same port, the one bound to the address gets the datagrams
    /// to it.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn udp_bind(&mut self, local: SocketAddr) -> Result<SocketId, BindError> {
        self.udp_bind_with(local, UdpOptions::default())
    }

    /// [`Stack::udp_bind`] with all choices.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn udp_bind_with(
        &mut self,
        local: SocketAddr,
        options: UdpOptions,
    ) -> Result<SocketId, BindError> {
        if !self.can_bind(local.ip()) {
            return Err(BindError::AddressNotLocal);
        }
        self.udp
            .bind(local.ip(), local.port(), options, &mut self.rng)
    }

    /// Connects a socket to a peer: it gets only that peer's datagrams, and errors about what it sends
    /// there; [`Stack::udp_send`] sends to it. Nothing is sent. A socket that was bound to all
    /// addresses has the one now that the route says. `None` ends that: the socket is as it was bound.
    ///
    /// A datagram goes to the socket that is connected to its sender, before those that are not
    /// connected. What waits from others is dropped.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn udp_connect(
        &mut self,
        now: Instant,
        id: SocketId,
        remote: Option<SocketAddr>,
    ) -> Result<(), ConnectError> {
        self.advance(now);
        let peer = match remote {
            None => None,
            Some(remote) => {
                let local = self
                    .udp
                    .bound_to(id)
                    .map_err(|BadHandle| ConnectError::BadHandle)?;
                let address = remote.ip();
                if local.is_ipv4() != address.is_ipv4()
                    || address.is_unspecified()
                    || remote.port() == 0
                {
                    return Err(ConnectError::Invalid);
                }
                let ours = Some(local).filter(|local| !local.is_unspecified());
                let settings = self.udp.settings(id);
                let settings = settings.map_err(|BadHandle| ConnectError::BadHandle)?;
                let chosen = settings.multicast_interface;
                let chosen = chosen.filter(|_| address.is_multicast());
                let link = self.link_for(remote, ours, chosen.map(|id| id.0));
                let route = self
                    .route_to(address, link, ours)
                    .ok_or(ConnectError::NoRoute)?;
                let source = route.source;
                if !self.owns(source) {
                    return Err(ConnectError::AddressNotLocal);
                }
                if !route.is_for(source) {
                    return Err(ConnectError::NoRoute);
                }
                let peer = Peer {
                    address,
                    port: remote.port(),
                    link,
                };
                Some((peer, source))
            }
        };
        let connected = self.udp.connect(&mut context!(self), id, peer);
        self.datagrams_changed();
        connected
    }

    /// Changes a setting of a socket.
    ///
    /// # Errors
    /// [`SettingError::BadHandle`], and [`SettingError::OutOfRange`], also for an interface that
    /// there is not.
    pub fn udp_set(
        &mut self,
        now: Instant,
        id: SocketId,
        setting: UdpSetting,
    ) -> Result<(), SettingError> {
        self.advance(now);
        if let UdpSetting::MulticastInterface(Some(interface)) = setting
            && interface.index() >= self.interfaces.len()
        {
            return Err(SettingError::OutOfRange);
        }
        self.udp.set(id, setting)
    }

    /// The settings of a socket.
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn udp_settings(&self, id: SocketId) -> Result<UdpSettings, BadHandle> {
        self.udp.settings(id)
    }

    /// Queues a datagram for sending. The payload is copied, and summed, once. It has at most 65,507
    /// bytes over IPv4 and 65,527 over IPv6; what the path does not carry in one packet leaves in
    /// fragments, all of them or none, unless [`UdpSetting::DontFragment`] forbids it.
    ///
    /// Broadcasts, if [`UdpSetting::Broadcast`] allows them, go to the broadcast address of a network
    /// of ours, or to 255.255.255.255 over the default route's interface, or the first one. What is
    /// sent to a group leaves by [`UdpSetting::MulticastInterface`].
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
        self.udp_send_from(now, id, data, Some(to), None)
    }

    /// [`Stack::udp_send_to`] the peer of a connected socket.
    ///
    /// # Errors
    /// [`SendToError`]; [`SendToError::NotConnected`] if there is no peer.
    pub fn udp_send(&mut self, now: Instant, id: SocketId, data: &[u8]) -> Result<(), SendToError> {
        self.udp_send_from(now, id, data, None, None)
    }

    /// [`Stack::udp_send_to`] from a chosen address of ours, for example the one that a question was
    /// sent to. Without `to`, it goes to the peer.
    ///
    /// # Errors
    /// [`SendToError`]; [`SendToError::AddressNotLocal`] if `from` is not ours.
    pub fn udp_send_from(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[u8],
        to: Option<SocketAddr>,
        from: Option<IpAddr>,
    ) -> Result<(), SendToError> {
        self.advance(now);
        let departure = self.departure(id, to, from)?;
        self.send_copy(id, data, departure)
    }

    /// Sends a datagram without a copy: `write` gets `len` bytes to write it into, whose content is
    /// arbitrary, and says how many it has used.
    ///
    /// # Errors
    /// [`SendToError`]; then `write` was not called. [`SendToError::MessageTooLong`] also for what
    /// does not fit one packet of the path.
    pub fn udp_send_with(
        &mut self,
        now: Instant,
        id: SocketId,
        len: usize,
        to: Option<SocketAddr>,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), SendToError> {
        self.advance(now);
        let departure = self.departure(id, to, None)?;
        if len > departure.room {
            return Err(SendToError::MessageTooLong);
        }
        let frame = self.datagram_frame(id, len)?;
        let content = self.pool.content_mut(&frame);
        let written = write(content).min(len);
        let sum = checksum::sum(&content[..written]);
        self.pool.descriptor_mut(&frame).len = super::within_frame(written);
        self.send_datagram(id, frame, departure, sum);
        Ok(())
    }

    /// Room for a datagram of up to `len` bytes, to be written in place and sent with
    /// [`Stack::udp_commit`]. Its content is arbitrary. A socket has one such room: asking again gives
    /// the same memory, with its content, and the new length. It is given back by
    /// [`Stack::udp_commit`], [`Stack::udp_cancel`] and [`Stack::close`].
    ///
    /// # Errors
    /// [`SendToError::BadHandle`], [`SendToError::WouldBlock`]; [`SendToError::MessageTooLong`] if no
    /// interface carries so much in one packet.
    pub fn udp_reserve(
        &mut self,
        now: Instant,
        id: SocketId,
        len: usize,
    ) -> Result<&mut [u8], SendToError> {
        self.advance(now);
        let bad = |BadHandle| SendToError::BadHandle;
        let frame = match self.udp.reserved_mut(id).map_err(bad)?.take() {
            Some(frame) => frame,
            None => self.datagram_frame(id, len)?,
        };
        let start = usize::from(self.pool.descriptor(&frame).start);
        let fits = len <= self.pool.frame_size().saturating_sub(start);
        if fits {
            self.pool.descriptor_mut(&frame).len = super::within_frame(len);
        }
        let place = self.udp.reserved_mut(id).map_err(bad)?.insert(frame);
        if !fits {
            return Err(SendToError::MessageTooLong);
        }
        Ok(self.pool.content_mut(place))
    }

    /// Sends the first `len` bytes of what [`Stack::udp_reserve`] gave to `to`, or to the peer.
    ///
    /// # Errors
    /// [`SendToError`]; the room stays reserved then, with its content.
    /// [`SendToError::NothingReserved`] without a reservation or beyond its length.
    pub fn udp_commit(
        &mut self,
        now: Instant,
        id: SocketId,
        len: usize,
        to: Option<SocketAddr>,
    ) -> Result<(), SendToError> {
        self.advance(now);
        let departure = self.departure(id, to, None)?;
        let reserved = self.udp.reserved_mut(id);
        let reserved = reserved.map_err(|BadHandle| SendToError::BadHandle)?;
        let fits = |frame: &crate::pool::Frame| len <= usize::from(self.pool.descriptor(frame).len);
        if !reserved.as_ref().is_some_and(fits) {
            return Err(SendToError::NothingReserved);
        }
        if len > departure.room {
            return Err(SendToError::MessageTooLong);
        }
        let Some(frame) = reserved.take() else {
            return Err(SendToError::NothingReserved);
        };
        self.pool.descriptor_mut(&frame).len = super::within_frame(len);
        let sum = checksum::sum(self.pool.content(&frame));
        self.send_datagram(id, frame, departure, sum);
        Ok(())
    }

    /// Gives back what [`Stack::udp_reserve`] gave; without a reservation nothing happens.
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn udp_cancel(&mut self, id: SocketId) -> Result<(), BadHandle> {
        if let Some(frame) = self.udp.reserved_mut(id)?.take() {
            self.pool.free(frame);
        }
        Ok(())
    }

    /// The largest payload, in bytes, that a datagram to `to`, or to the peer, may have to leave in one
    /// packet, as far as is known now.
    ///
    /// # Errors
    /// [`SendToError`].
    pub fn udp_max_payload(
        &mut self,
        now: Instant,
        id: SocketId,
        to: Option<SocketAddr>,
    ) -> Result<usize, SendToError> {
        self.advance(now);
        self.departure(id, to, None).map(|departure| departure.room)
    }

    /// Reads the oldest datagram that waits. What does not fit `buffer` is lost, and said so.
    ///
    /// # Errors
    /// [`RecvFromError`].
    pub fn udp_recv_from(
        &mut self,
        now: Instant,
        id: SocketId,
        buffer: &mut [u8],
    ) -> Result<UdpReceived, RecvFromError> {
        let UdpDatagram { info, data } = self.udp_peek(now, id)?;
        if data.len() == info.datagram_len {
            let len = data.len().min(buffer.len());
            buffer[..len].copy_from_slice(&data[..len]);
            self.udp_consume(now, id)?;
            return Ok(UdpReceived { len, ..info });
        }
        let (frame, rest) = self.udp.take(id, &mut self.pool)?;
        let len = self.copy_out(frame, rest, buffer);
        self.datagrams_changed();
        Ok(UdpReceived { len, ..info })
    }

    /// Shows the oldest datagram that waits without taking it: [`Stack::udp_consume`] does that. Until
    /// then its frame is one of the few that the stack has.
    ///
    /// # Errors
    /// [`RecvFromError`]: an error of an earlier datagram is reported once, before the next datagram.
    pub fn udp_peek(
        &mut self,
        now: Instant,
        id: SocketId,
    ) -> Result<UdpDatagram<'_>, RecvFromError> {
        self.advance(now);
        let (index, received) = self.udp.peek(id, &self.pool)?;
        let Received {
            len,
            remote,
            interface,
            destination,
            hop_limit,
            traffic_class,
        } = received;
        let data = self.pool.content_at(index);
        Ok(UdpDatagram {
            info: UdpReceived {
                len: data.len(),
                datagram_len: len,
                remote: with_scope(remote, u32::from(interface) + 1),
                destination,
                interface: InterfaceId(interface),
                hop_limit,
                traffic_class,
            },
            data,
        })
    }

    /// Drops the oldest datagram that waits, which [`Stack::udp_peek`] has shown.
    ///
    /// # Errors
    /// [`RecvFromError::BadHandle`] and [`RecvFromError::WouldBlock`].
    pub fn udp_consume(&mut self, now: Instant, id: SocketId) -> Result<(), RecvFromError> {
        self.advance(now);
        let (frame, mut rest) = self.udp.take(id, &mut self.pool)?;
        self.pool.free(frame);
        rest.clear(&mut self.pool);
        self.datagrams_changed();
        Ok(())
    }

    /// The error that a socket has heard of last, and which datagram it is about. It stays until
    /// another one comes or the socket is connected; reading reports it once.
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn udp_last_error(&self, id: SocketId) -> Result<Option<UdpError>, BadHandle> {
        self.udp.last_error(id)
    }
}
