//! UDP sockets.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use mnet_core::device::InterfaceId;
use mnet_core::error::{
    BadHandle, BindError, ConnectError, GroupError, RecvFromError, SendToError, SettingError,
};
use mnet_core::udp::{GroupChange, UdpError, UdpOptions, UdpSetting, UdpSettings};
use mnet_core::{UdpDatagram, UdpReceived};

use super::{Net, Socket};
use crate::platform::Platform;

impl<P: Platform> Net<P> {
    /// Opens a UDP socket. Port 0 takes a free one; the unspecified address means all of ours of its
    /// family: a service for both opens one on `0.0.0.0` and one on `::`.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(&self, local: SocketAddr) -> Result<UdpSocket<P>, BindError> {
        self.bind_with(local, UdpOptions::default())
    }

    /// [`Net::bind`] with all choices: also whether other sockets may have the same port.
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind_with(
        &self,
        local: SocketAddr,
        options: UdpOptions,
    ) -> Result<UdpSocket<P>, BindError> {
        let id = self.with(|runtime| runtime.stack_mut().udp_bind_with(local, options))?;
        Ok(UdpSocket(Socket::new(self, id)))
    }
}

/// A UDP socket.
pub struct UdpSocket<P: Platform>(pub(super) Socket<P>);

impl<P: Platform> UdpSocket<P> {
    /// Connects the socket to a peer: only its datagrams arrive, and [`send`](UdpSocket::send) goes to
    /// it. Nothing is sent, so nothing is waited for.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn connect(&self, remote: SocketAddr) -> Result<(), ConnectError> {
        self.0
            .net
            .command(|stack, now| stack.udp_connect(now, self.0.id, Some(remote)))
    }

    /// Ends what [`connect`](UdpSocket::connect) began: the socket is as it was bound.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn disconnect(&self) -> Result<(), ConnectError> {
        self.0
            .net
            .command(|stack, now| stack.udp_connect(now, self.0.id, None))
    }

    /// The peer that the socket is connected to.
    ///
    /// # Errors
    /// [`BadHandle`] if there is none.
    pub fn peer_addr(&self) -> Result<SocketAddr, BadHandle> {
        self.0
            .net
            .with(|runtime| runtime.stack().remote_addr(self.0.id))
    }

    /// Changes a setting.
    ///
    /// # Errors
    /// See [`SettingError`]; nothing was changed.
    pub fn set(&self, setting: UdpSetting) -> Result<(), SettingError> {
        self.0
            .net
            .command(|stack, now| stack.udp_set(now, self.0.id, setting))
    }

    /// All settings as they are now.
    ///
    /// # Errors
    /// [`BadHandle`] if the stack has forgotten the socket.
    pub fn settings(&self) -> Result<UdpSettings, BadHandle> {
        self.0
            .net
            .with(|runtime| runtime.stack().udp_settings(self.0.id))
    }

    /// Hears what is sent to a group, on an interface, or the one that datagrams to the group leave by.
    /// Only sockets that are bound to all addresses hear groups. Closing the socket leaves it.
    ///
    /// # Errors
    /// See [`GroupError`]; nothing was changed.
    pub fn join(&self, group: IpAddr, interface: Option<InterfaceId>) -> Result<(), GroupError> {
        self.change_group(GroupChange::Join, group, interface)
    }

    /// Ends what [`join`](UdpSocket::join) began.
    ///
    /// # Errors
    /// See [`GroupError`]; nothing was changed.
    pub fn leave(&self, group: IpAddr, interface: Option<InterfaceId>) -> Result<(), GroupError> {
        self.change_group(GroupChange::Leave, group, interface)
    }

    /// Changes what the socket hears of a group: also only from some sources, or not from some.
    ///
    /// # Errors
    /// See [`GroupError`]; nothing was changed.
    pub fn change_group(
        &self,
        change: GroupChange,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), GroupError> {
        self.0
            .net
            .command(|stack, now| stack.udp_group(now, self.0.id, change, group, interface))
    }

    /// The error that the network has reported last about a datagram, and which one it is about.
    ///
    /// # Errors
    /// [`BadHandle`] if the stack has forgotten the socket.
    pub fn last_error(&self) -> Result<Option<UdpError>, BadHandle> {
        self.0
            .net
            .with(|runtime| runtime.stack().udp_last_error(self.0.id))
    }

    /// The next datagram, if one waits.
    ///
    /// # Errors
    /// See [`RecvFromError`].
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> Result<UdpReceived, RecvFromError> {
        self.0
            .net
            .command(|stack, now| stack.udp_recv_from(now, self.0.id, buffer))
    }

    /// Waits for the next datagram.
    ///
    /// # Errors
    /// See [`RecvFromError`]; `WouldBlock` only when the time of
    /// [`set_read_timeout`](UdpSocket::set_read_timeout) is over.
    pub fn recv_from(&self, buffer: &mut [u8]) -> Result<UdpReceived, RecvFromError> {
        let time = self.0.read_timeout.get();
        let attempt = |_: &Net<P>| match self.try_recv_from(buffer) {
            Err(RecvFromError::WouldBlock) => None,
            other => Some(other),
        };
        let received = self.0.net.block_within(time, attempt);
        received.unwrap_or(Err(RecvFromError::WouldBlock))
    }

    /// Hands the next datagram to `read` where it lies, without a copy, and then takes it. The network
    /// must not be used inside of `read`.
    ///
    /// # Errors
    /// See [`RecvFromError`]; then `read` was not called.
    pub fn try_recv_with<T>(
        &self,
        read: impl FnOnce(UdpDatagram<'_>) -> T,
    ) -> Result<T, RecvFromError> {
        self.0.net.command(|stack, now| {
            let result = read(stack.udp_peek(now, self.0.id)?);
            stack.udp_consume(now, self.0.id)?;
            Ok(result)
        })
    }

    /// How long [`recv_from`](UdpSocket::recv_from) waits at most; `None`, the default: for ever.
    pub fn set_read_timeout(&self, time: Option<Duration>) {
        self.0.read_timeout.set(time);
    }

    /// Queues a datagram. It is sent at the next turn of the loop.
    ///
    /// # Errors
    /// See [`SendToError`].
    pub fn try_send_to(&self, data: &[u8], remote: SocketAddr) -> Result<(), SendToError> {
        self.try_send_from(data, Some(remote), None)
    }

    /// Queues a datagram to `remote`, or to the peer, from `source`, one of our addresses, or the one
    /// that the route says.
    ///
    /// # Errors
    /// See [`SendToError`].
    pub fn try_send_from(
        &self,
        data: &[u8],
        remote: Option<SocketAddr>,
        source: Option<IpAddr>,
    ) -> Result<(), SendToError> {
        self.0
            .net
            .command(|stack, now| stack.udp_send_from(now, self.0.id, data, remote, source))
    }

    /// Queues a datagram to `remote`, or to the peer, that `write` writes in place: it gets `len` bytes
    /// and says how many it has used. The network must not be used inside of `write`.
    ///
    /// # Errors
    /// See [`SendToError`]; then `write` was not called.
    pub fn try_send_with(
        &self,
        len: usize,
        remote: Option<SocketAddr>,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<(), SendToError> {
        self.0
            .net
            .command(|stack, now| stack.udp_send_with(now, self.0.id, len, remote, write))
    }

    /// Sends a datagram, waiting for a free buffer where there is none.
    ///
    /// # Errors
    /// See [`SendToError`]; never `WouldBlock`.
    pub fn send_to(&self, data: &[u8], remote: SocketAddr) -> Result<(), SendToError> {
        self.send_when_possible(data, Some(remote))
    }

    /// [`send_to`](UdpSocket::send_to) the peer.
    ///
    /// # Errors
    /// See [`SendToError`]; never `WouldBlock`.
    pub fn send(&self, data: &[u8]) -> Result<(), SendToError> {
        self.send_when_possible(data, None)
    }

    fn send_when_possible(
        &self,
        data: &[u8],
        remote: Option<SocketAddr>,
    ) -> Result<(), SendToError> {
        let attempt = |net: &Net<P>| {
            // What leaves makes room: nobody has to be waited for then.
            let mut outcome = self.try_send_from(data, remote, None);
            if outcome == Err(SendToError::WouldBlock) {
                net.flush();
                outcome = self.try_send_from(data, remote, None);
            }
            (outcome != Err(SendToError::WouldBlock)).then_some(outcome)
        };
        let outcome = self.0.net.turn_until(attempt);
        self.0.net.flush();
        outcome
    }
}
