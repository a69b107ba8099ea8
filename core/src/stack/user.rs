//! The calls of the users of sockets.

use super::transmit::is_of_one_link;
use super::{Stack, context};
use crate::config::{ConnectOptions, ListenOptions};
use crate::error::{
    AcceptError, BadHandle, ConnectError, ListenError, RecvError, SendError, SettingError,
};
use crate::socket::{Event, Readiness, SocketId, SocketKind};
use crate::tcp::{EcnFeedback, State, TcpEntry, TcpInfo, TcpSetting, TcpSettings};
use crate::time::Instant;
use core::net::{IpAddr, SocketAddr};

impl Stack {
    /// The next socket whose readiness may have grown since it was last reported; `None`: no more.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.tcp
            .poll_event()
            .or_else(|| self.udp.poll_event(&self.pool))
    }

    /// Shows every event that [`poll_event`](Stack::poll_event) would give to `keep`, once. Those that it
    /// returns `true` for stay, the others are taken.
    pub fn sift_events(&mut self, mut keep: impl FnMut(Event) -> bool) {
        let mut first_kept = None;
        while let Some(event) = self.tcp.poll_event() {
            // It was kept a moment ago, so it comes round again when all were shown.
            let is_round = first_kept == Some(event.socket);
            if is_round || keep(event) {
                self.tcp.put_event(event.socket);
                first_kept = first_kept.or(Some(event.socket));
            }
            if is_round {
                break;
            }
        }
        self.udp.sift_events(&self.pool, &mut keep);
    }

    /// Raises an event for a socket if it is ready for anything.
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn repeat_event(&mut self, id: SocketId) -> Result<(), BadHandle> {
        if !self.readiness(id)?.is_empty() {
            match id.kind() {
                SocketKind::Listener | SocketKind::Connection => self.tcp.put_event(id),
                SocketKind::Udp => self.udp.repeat_event(id),
            }
        }
        Ok(())
    }

    /// What a socket can do now.
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn readiness(&self, id: SocketId) -> Result<Readiness, BadHandle> {
        match id.kind() {
            SocketKind::Listener | SocketKind::Connection => self.tcp.readiness(id),
            SocketKind::Udp => self.udp.readiness(id, &self.pool),
        }
    }

    /// Listens for connections to an address of ours, or with 0.0.0.0 or :: to any of that family. At most
    /// `backlog` connections wait to be accepted.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn tcp_listen(
        &mut self,
        local: SocketAddr,
        backlog: usize,
    ) -> Result<SocketId, ListenError> {
        let options = ListenOptions {
            backlog,
            ..ListenOptions::default()
        };
        self.tcp_listen_with(local, &options)
    }

    /// [`Stack::tcp_listen`] with all choices.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn tcp_listen_with(
        &mut self,
        local: SocketAddr,
        options: &ListenOptions,
    ) -> Result<SocketId, ListenError> {
        if !self.can_bind(local.ip()) {
            return Err(ListenError::AddressNotLocal);
        }
        self.tcp.listen(local, options)
    }

    /// Takes the next connection of a listener.
    ///
    /// # Errors
    /// [`AcceptError`].
    pub fn tcp_accept(&mut self, id: SocketId) -> Result<SocketId, AcceptError> {
        self.tcp.accept(id)
    }

    /// Starts a connection; it becomes writable when it is established. Without `local`, or with
    /// address 0.0.0.0, :: or port 0 in it, the route decides the address and a random port is
    /// taken. A link-local peer's scope id says which interface it is on: its place, counted from 1;
    /// 0 will do if `local` tells, or if only one interface speaks IPv6. Another one than that of
    /// `local` is [`ConnectError::NoRoute`].
    /// RFC 9293 §3.9.1.1 (MUST-43, MUST-44, MUST-45, MUST-46).
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn tcp_connect(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Result<SocketId, ConnectError> {
        let options = ConnectOptions {
            local,
            ..ConnectOptions::default()
        };
        self.tcp_connect_with(now, remote, &options)
            .map(|(id, _)| id)
    }

    /// [`Stack::tcp_connect`] with all choices. Returns how many bytes of the early data were taken
    /// as well; the rest is for [`Stack::tcp_send`], once the connection is writable.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub fn tcp_connect_with(
        &mut self,
        now: Instant,
        remote: SocketAddr,
        options: &ConnectOptions<'_>,
    ) -> Result<(SocketId, usize), ConnectError> {
        self.advance(now);
        let local = options.local;
        let destination = remote.ip();
        if remote.port() == 0 || !self.is_peer(destination) {
            return Err(ConnectError::Invalid);
        }
        let ours = local.map(|local| local.ip());
        let ours = ours.filter(|ours| !ours.is_unspecified());
        let link = self.link_for(remote, ours, None);
        if ours.is_some_and(|ours| !self.owns(ours) || ours.is_ipv4() != remote.is_ipv4()) {
            return Err(ConnectError::AddressNotLocal);
        }
        // Segments leave by the link of our address: another host may have that of the peer there
        // (RFC 4007 §11.2).
        let elsewhere = |ours| link.is_some() && self.link_of(ours) != link;
        if ours.is_some_and(elsewhere) {
            return Err(ConnectError::NoRoute);
        }
        let route = self
            .route_to(destination, link, ours)
            .ok_or(ConnectError::NoRoute)?;
        if !route.is_for(route.source) {
            return Err(ConnectError::NoRoute);
        }
        let port = local.map(|local| local.port()).filter(|port| *port != 0);
        let mut cx = context!(self);
        self.tcp
            .connect(&mut cx, route.source, port, remote, route.mtu, options)
    }

    /// Queues data for sending: copied, and summed, once. Gives the number of bytes taken, which
    /// may be fewer than there are.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn tcp_send(
        &mut self,
        now: Instant,
        id: SocketId,
        data: &[u8],
    ) -> Result<usize, SendError> {
        self.advance(now);
        self.tcp.send(&mut context!(self), id, data)
    }

    /// Reads what has arrived. Gives the number of bytes; 0 is the end of the stream.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn tcp_recv(
        &mut self,
        now: Instant,
        id: SocketId,
        buffer: &mut [u8],
    ) -> Result<usize, RecvError> {
        self.advance(now);
        self.tcp.recv(&mut context!(self), id, buffer)
    }

    /// The next data that has arrived, where it lies: not empty unless the stream has ended, but
    /// not necessarily all there is. [`Stack::tcp_consume`] goes on from there.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn tcp_recv_slice(&self, id: SocketId) -> Result<&[u8], RecvError> {
        self.tcp.recv_slice(&self.pool, id)
    }

    /// Drops the first `n` bytes of what [`Stack::tcp_recv_slice`] gave, or all if they are fewer.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn tcp_consume(&mut self, now: Instant, id: SocketId, n: usize) -> Result<(), RecvError> {
        self.advance(now);
        self.tcp.consume(&mut context!(self), id, n)
    }

    /// Ends the stream to the peer, after all data that is queued. Reading goes on.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn tcp_shutdown(&mut self, now: Instant, id: SocketId) -> Result<(), SendError> {
        self.advance(now);
        self.tcp.shutdown(&mut context!(self), id)
    }

    /// Resets a connection. The handle is dead at once.
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn tcp_abort(&mut self, now: Instant, id: SocketId) -> Result<(), BadHandle> {
        self.advance(now);
        self.tcp.abort(&mut context!(self), id)
    }

    /// Changes one setting of a connection. On a listener, of the connections to come: those that
    /// wait to be accepted have theirs.
    ///
    /// # Errors
    /// [`SettingError`]. Nothing was changed.
    pub fn tcp_set(
        &mut self,
        now: Instant,
        id: SocketId,
        setting: TcpSetting,
    ) -> Result<(), SettingError> {
        self.advance(now);
        self.tcp.set(&mut context!(self), id, setting)
    }

    /// What a connection is doing (STATUS, RFC 9293 §3.10.6).
    ///
    /// # Errors
    /// [`BadHandle`], also for listeners.
    pub fn tcp_info(&self, id: SocketId) -> Result<TcpInfo, BadHandle> {
        self.tcp.info(id)
    }

    /// Goes through everything that TCP has: listeners, connections, those that are half-open, and
    /// TIME-WAIT. Starts with cursor 0; gives an entry and the cursor for the next call, `None` at
    /// the end. What comes and goes between two calls may be missed; nothing else is, and nothing is
    /// given twice. All calls together cost one pass over the tables.
    #[must_use]
    pub fn tcp_next(&self, cursor: usize) -> Option<(TcpEntry, usize)> {
        self.tcp.next_entry(cursor)
    }

    /// The settings of a connection or a listener.
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn tcp_settings(&self, id: SocketId) -> Result<TcpSettings, BadHandle> {
        self.tcp.settings(id)
    }

    /// The state of a connection (RFC 9293 §3.3.2).
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn tcp_state(&self, id: SocketId) -> Result<State, BadHandle> {
        self.tcp.state(id)
    }

    /// Whether a socket can be on this address: one of ours, or all of a family.
    pub(super) fn can_bind(&self, address: IpAddr) -> bool {
        address.is_unspecified() || self.owns(address)
    }

    /// Closes a socket of any kind. The handle is dead at once; TCP finishes closing on its own,
    /// with a reset if data was left unread (RFC 2525 §2.17).
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn close(&mut self, now: Instant, id: SocketId) -> Result<(), BadHandle> {
        self.advance(now);
        match id.kind() {
            SocketKind::Listener | SocketKind::Connection => {
                self.tcp.close(&mut context!(self), id)
            }
            SocketKind::Udp => {
                self.leave_groups(id);
                let closed = self.udp.close(id, &mut self.pool);
                self.datagrams_changed();
                closed
            }
        }
    }

    /// How a connection's marks of congestion are fed back, and so whether it uses ECN. Settled once
    /// the connection is established.
    ///
    /// # Errors
    /// [`BadHandle`], also for other sockets than connections.
    pub fn tcp_ecn_feedback(&self, id: SocketId) -> Result<EcnFeedback, BadHandle> {
        match id.kind() {
            SocketKind::Connection => self.tcp.ecn_feedback(id),
            SocketKind::Listener | SocketKind::Udp => Err(BadHandle),
        }
    }

    /// A socket's own address and port; 0.0.0.0 or :: where it has all of ours. An address of one
    /// link's scope has the place of its interface, counted from 1, as its scope id.
    ///
    /// # Errors
    /// [`BadHandle`].
    pub fn local_addr(&self, id: SocketId) -> Result<SocketAddr, BadHandle> {
        let local = match id.kind() {
            SocketKind::Listener | SocketKind::Connection => self.tcp.local_addr(id)?,
            SocketKind::Udp => self.udp.local_addr(id)?,
        };
        Ok(self.with_zone(local, local.ip()))
    }

    /// The peer's address and port.
    ///
    /// # Errors
    /// [`BadHandle`], also for sockets without a peer: listeners, and UDP sockets that are not
    /// connected.
    pub fn remote_addr(&self, id: SocketId) -> Result<SocketAddr, BadHandle> {
        match id.kind() {
            SocketKind::Connection => {
                let ours = self.tcp.local_addr(id)?.ip();
                Ok(self.with_zone(self.tcp.remote_addr(id)?, ours))
            }
            SocketKind::Udp => {
                let peer = self.udp.peer(id)?.ok_or(BadHandle)?;
                let link = peer.link.map_or(0, |link| u32::from(link) + 1);
                Ok(with_scope(SocketAddr::new(peer.address, peer.port), link))
            }
            SocketKind::Listener => Err(BadHandle),
        }
    }

    /// An address with the zone of the link that `ours` is on, if it needs one.
    fn with_zone(&self, address: SocketAddr, ours: IpAddr) -> SocketAddr {
        self.link_of(ours)
            .map_or(address, |link| with_scope(address, u32::from(link) + 1))
    }
}

/// An address with a scope id, if it is of one link's scope.
pub(super) fn with_scope(mut address: SocketAddr, scope_id: u32) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut address
        && is_of_one_link(IpAddr::V6(*v6.ip()))
    {
        v6.set_scope_id(scope_id);
    }
    address
}
