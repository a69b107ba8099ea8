//! The traits of `edge-nal`, but for those that create UDP sockets: these want multicast groups.

use core::net::SocketAddr;
use core::ops::Deref;

use ::edge_nal::{
    Close, Readable, TcpAccept, TcpBind, TcpConnect, TcpShutdown, TcpSplit, UdpReceive, UdpSend,
    UdpSplit,
};
use embedded_io_async::ErrorType;

use super::{ReadHalf, TcpListener, TcpStream, UdpSocket, WriteHalf};
use crate::error::{TcpFailure, UdpFailure};
use crate::net::Net;
use crate::platform::Platform;

/// Connections that wait to be accepted, for callers whose trait has no word for that.
const BACKLOG: usize = 64;

impl<P: Platform> TcpBind for Net<P> {
    type Error = TcpFailure;
    type Accept<'a>
        = TcpListener<P>
    where
        Self: 'a;

    /// At most 64 connections wait to be accepted.
    async fn bind(&self, local: SocketAddr) -> Result<TcpListener<P>, TcpFailure> {
        Ok(TcpListener::bind(self, local, BACKLOG)?)
    }
}

impl<P: Platform> TcpConnect for Net<P> {
    type Error = TcpFailure;
    type Socket<'a>
        = TcpStream<P>
    where
        Self: 'a;

    async fn connect(&self, remote: SocketAddr) -> Result<TcpStream<P>, TcpFailure> {
        TcpStream::connect(self, remote).await
    }
}

impl<P: Platform> TcpAccept for TcpListener<P> {
    type Error = TcpFailure;
    type Socket<'a>
        = TcpStream<P>
    where
        Self: 'a;

    async fn accept(&self) -> Result<(SocketAddr, TcpStream<P>), TcpFailure> {
        let stream = Self::accept(self).await?;
        Ok((stream.socket().peer_addr()?, stream))
    }
}

impl<P: Platform> TcpSplit for TcpStream<P> {
    type Read<'a>
        = ReadHalf<&'a Self>
    where
        Self: 'a;
    type Write<'a>
        = WriteHalf<&'a Self>
    where
        Self: 'a;

    fn split(&mut self) -> (ReadHalf<&Self>, WriteHalf<&Self>) {
        Self::split(self)
    }
}

impl<P: Platform> TcpShutdown for TcpStream<P> {
    /// Closing to read takes and drops what comes, until the peer has finished.
    async fn close(&mut self, what: Close) -> Result<(), TcpFailure> {
        if matches!(what, Close::Write | Close::Both) {
            self.finish().await?;
        }
        if matches!(what, Close::Read | Close::Both) {
            while self.read_with(|data| (data.len(), data.len())).await? > 0 {}
        }
        Ok(())
    }

    async fn abort(&mut self) -> Result<(), TcpFailure> {
        self.reset();
        Ok(())
    }
}

impl<P: Platform> Readable for TcpStream<P> {
    async fn readable(&mut self) -> Result<(), TcpFailure> {
        Self::readable(self).await;
        Ok(())
    }
}

impl<P: Platform, S: Deref<Target = TcpStream<P>>> Readable for ReadHalf<S> {
    async fn readable(&mut self) -> Result<(), TcpFailure> {
        self.stream().readable().await;
        Ok(())
    }
}

impl<P: Platform> ErrorType for UdpSocket<P> {
    type Error = UdpFailure;
}

impl<P: Platform> ErrorType for &UdpSocket<P> {
    type Error = UdpFailure;
}

impl<P: Platform> UdpReceive for UdpSocket<P> {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), UdpFailure> {
        let received = self.recv_from(buffer).await?;
        Ok((received.datagram_len, received.remote))
    }
}

impl<P: Platform> UdpReceive for &UdpSocket<P> {
    async fn receive(&mut self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), UdpFailure> {
        let received = self.recv_from(buffer).await?;
        Ok((received.datagram_len, received.remote))
    }
}

impl<P: Platform> UdpSend for UdpSocket<P> {
    async fn send(&mut self, remote: SocketAddr, data: &[u8]) -> Result<(), UdpFailure> {
        self.send_to(data, remote).await
    }
}

impl<P: Platform> UdpSend for &UdpSocket<P> {
    async fn send(&mut self, remote: SocketAddr, data: &[u8]) -> Result<(), UdpFailure> {
        self.send_to(data, remote).await
    }
}

impl<P: Platform> Readable for UdpSocket<P> {
    async fn readable(&mut self) -> Result<(), UdpFailure> {
        Self::readable(self).await;
        Ok(())
    }
}

impl<P: Platform> Readable for &UdpSocket<P> {
    async fn readable(&mut self) -> Result<(), UdpFailure> {
        UdpSocket::readable(self).await;
        Ok(())
    }
}

impl<P: Platform> UdpSplit for UdpSocket<P> {
    type Receive<'a>
        = &'a Self
    where
        Self: 'a;
    type Send<'a>
        = &'a Self
    where
        Self: 'a;

    fn split(&mut self) -> (&Self, &Self) {
        (self, self)
    }
}
