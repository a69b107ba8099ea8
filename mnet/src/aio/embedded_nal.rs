//! The traits of `embedded-nal-async`. `Dns` has to wait for a resolver.

use core::net::SocketAddr;

use embedded_nal_async::{ConnectedUdp, TcpConnect, UdpStack, UnconnectedUdp};

use super::{TcpStream, UdpSocket};
use crate::error::{TcpFailure, UdpFailure};
use crate::net::Net;
use crate::platform::Platform;

impl<P: Platform> TcpConnect for Net<P> {
    type Error = TcpFailure;
    type Connection<'a>
        = TcpStream<P>
    where
        Self: 'a;

    async fn connect(&self, remote: SocketAddr) -> Result<TcpStream<P>, TcpFailure> {
        TcpStream::connect(self, remote).await
    }
}

impl<P: Platform> ConnectedUdp for UdpSocket<P> {
    type Error = UdpFailure;

    async fn send(&mut self, data: &[u8]) -> Result<(), UdpFailure> {
        Self::send(self, data).await
    }

    async fn receive_into(&mut self, buffer: &mut [u8]) -> Result<usize, UdpFailure> {
        Ok(self.recv_from(buffer).await?.datagram_len)
    }
}

impl<P: Platform> UnconnectedUdp for UdpSocket<P> {
    type Error = UdpFailure;

    /// `local` is an address of ours, or unspecified; its port is the socket's own in any case.
    async fn send(
        &mut self,
        local: SocketAddr,
        remote: SocketAddr,
        data: &[u8],
    ) -> Result<(), UdpFailure> {
        let source = Some(local.ip()).filter(|ip| !ip.is_unspecified());
        self.send_from(data, Some(remote), source).await
    }

    async fn receive_into(
        &mut self,
        buffer: &mut [u8],
    ) -> Result<(usize, SocketAddr, SocketAddr), UdpFailure> {
        let received = self.recv_from(buffer).await?;
        let port = self.socket().local_addr()?.port();
        let local = SocketAddr::new(received.destination, port);
        Ok((received.datagram_len, local, received.remote))
    }
}

impl<P: Platform> UdpStack for Net<P> {
    type Error = UdpFailure;
    type Connected = UdpSocket<P>;
    type UniquelyBound = UdpSocket<P>;
    type MultiplyBound = UdpSocket<P>;

    async fn connect_from(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<(SocketAddr, UdpSocket<P>), UdpFailure> {
        let socket = UdpSocket::bind(self, local)?;
        socket.connect(remote)?;
        Ok((socket.socket().local_addr()?, socket))
    }

    /// With an unspecified address, the socket is on all of ours.
    async fn bind_single(
        &self,
        local: SocketAddr,
    ) -> Result<(SocketAddr, UdpSocket<P>), UdpFailure> {
        let socket = UdpSocket::bind(self, local)?;
        Ok((socket.socket().local_addr()?, socket))
    }

    async fn bind_multiple(&self, local: SocketAddr) -> Result<UdpSocket<P>, UdpFailure> {
        Ok(UdpSocket::bind(self, local)?)
    }
}
