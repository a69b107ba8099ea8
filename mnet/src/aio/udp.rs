//! UDP for tasks.

use core::net::{IpAddr, SocketAddr};

use mnet_core::error::{BindError, RecvFromError, SendToError};
use mnet_core::{UdpDatagram, UdpReceived};

use super::wait::attempts;
use crate::error::UdpFailure;
use crate::net::{self, Net};
use crate::platform::Platform;
use crate::tasks::Direction;

/// A UDP socket.
#[derive(Debug)]
pub struct UdpSocket<P: Platform>(net::UdpSocket<P>);

impl<P: Platform> UdpSocket<P> {
    /// Opens a socket. Port 0 takes a free one; the unspecified address means all of ours of its
    /// family ([`Net::bind`]).
    ///
    /// # Errors
    /// See [`BindError`].
    pub fn bind(net: &Net<P>, local: SocketAddr) -> Result<Self, BindError> {
        net.bind(local).map(Self)
    }

    /// Waits for the next datagram. Cancelling loses none. Where several tasks wait, one of them
    /// gets it.
    ///
    /// # Errors
    /// An earlier datagram was answered by an error of ICMP.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<UdpReceived, UdpFailure> {
        let attempt = || match self.0.try_recv_from(buffer) {
            Err(RecvFromError::WouldBlock) => None,
            other => Some(other),
        };
        Ok(attempts(self.0.net(), self.0.id(), Direction::Read, attempt).await?)
    }

    /// Waits for the next datagram of the peer that the socket is connected to
    /// ([`UdpSocket::connect`]).
    ///
    /// # Errors
    /// As [`recv_from`](UdpSocket::recv_from).
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize, UdpFailure> {
        Ok(self.recv_from(buffer).await?.len)
    }

    /// Waits for the next datagram and shows it to `look`, where it lies: nothing is copied. Then it
    /// is gone. Cancelling loses none.
    ///
    /// The stack is in use while `look` runs, so `look` must not call anything of this runtime.
    ///
    /// # Errors
    /// As [`recv_from`](UdpSocket::recv_from); `look` was not called.
    ///
    /// # Panics
    /// If `look` calls a socket or the runtime.
    pub async fn recv_with<R>(
        &self,
        look: impl FnOnce(UdpDatagram<'_>) -> R,
    ) -> Result<R, UdpFailure> {
        self.readable().await;
        Ok(self.0.try_recv_with(look)?)
    }

    /// Connects the socket to a peer: only its datagrams arrive, and [`send`](UdpSocket::send) goes
    /// to it. Nothing is sent, so nothing is waited for.
    ///
    /// # Errors
    /// See [`UdpFailure`].
    pub fn connect(&self, remote: SocketAddr) -> Result<(), UdpFailure> {
        Ok(self.0.connect(remote)?)
    }

    /// Waits for a free buffer and queues a datagram. It leaves when the task waits next.
    /// Cancelling queues nothing.
    ///
    /// # Errors
    /// It cannot be sent from here, or not to there.
    pub async fn send_to(&self, data: &[u8], remote: SocketAddr) -> Result<(), UdpFailure> {
        self.send_from(data, Some(remote), None).await
    }

    /// [`send_to`](UdpSocket::send_to) the peer that the socket is connected to.
    ///
    /// # Errors
    /// As [`send_to`](UdpSocket::send_to).
    pub async fn send(&self, data: &[u8]) -> Result<(), UdpFailure> {
        self.send_from(data, None, None).await
    }

    /// [`send_to`](UdpSocket::send_to) `remote`, or the peer, from `source`, one of our addresses, or
    /// the one that the route says.
    ///
    /// # Errors
    /// As [`send_to`](UdpSocket::send_to).
    pub async fn send_from(
        &self,
        data: &[u8],
        remote: Option<SocketAddr>,
        source: Option<IpAddr>,
    ) -> Result<(), UdpFailure> {
        self.when_possible(|| self.0.try_send_from(data, remote, source))
            .await
    }

    /// Waits for a free buffer and queues a datagram to `remote`, or to the peer, that `write` writes
    /// in place: it gets `len` bytes and says how many it has used. Cancelling queues nothing.
    ///
    /// # Errors
    /// As [`send_to`](UdpSocket::send_to); then `write` was not called.
    ///
    /// # Panics
    /// If `write` calls a socket or the runtime.
    pub async fn send_with(
        &self,
        len: usize,
        remote: Option<SocketAddr>,
        mut write: impl FnMut(&mut [u8]) -> usize + Unpin,
    ) -> Result<(), UdpFailure> {
        self.when_possible(|| self.0.try_send_with(len, remote, &mut write))
            .await
    }

    async fn when_possible(
        &self,
        mut send: impl FnMut() -> Result<(), SendToError> + Unpin,
    ) -> Result<(), UdpFailure> {
        let attempt = move || match send() {
            Err(SendToError::WouldBlock) => None,
            other => Some(other),
        };
        Ok(attempts(self.0.net(), self.0.id(), Direction::Write, attempt).await?)
    }

    /// Waits until there is a datagram or an error. Another task may take it first.
    pub async fn readable(&self) {
        let attempt = || {
            Direction::Read
                .is_concerned(self.0.readiness())
                .then_some(())
        };
        attempts(self.0.net(), self.0.id(), Direction::Read, attempt).await;
    }

    /// The same socket for calls that block, and for its settings and addresses.
    #[must_use]
    pub fn socket(&self) -> &net::UdpSocket<P> {
        &self.0
    }
}

impl<P: Platform> From<net::UdpSocket<P>> for UdpSocket<P> {
    fn from(socket: net::UdpSocket<P>) -> Self {
        Self(socket)
    }
}
