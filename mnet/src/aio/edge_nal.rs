//! The traits of `edge-nal`.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::Deref;

use ::edge_nal::{
    Close, MulticastV4, MulticastV6, Readable, TcpAccept, TcpBind, TcpConnect, TcpShutdown,
    TcpSplit, UdpBind, UdpConnect, UdpReceive, UdpSend, UdpSplit, UdpSplitMulticast,
};
use embedded_io_async::ErrorType;
use mnet_core::device::InterfaceId;
use mnet_core::udp::GroupChange;

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

impl<P: Platform> UdpBind for Net<P> {
    type Error = UdpFailure;
    type Socket<'a>
        = UdpSocket<P>
    where
        Self: 'a;

    async fn bind(&self, local: SocketAddr) -> Result<UdpSocket<P>, UdpFailure> {
        Ok(UdpSocket::bind(self, local)?)
    }
}

impl<P: Platform> UdpConnect for Net<P> {
    type Error = UdpFailure;
    type Socket<'a>
        = UdpSocket<P>
    where
        Self: 'a;

    async fn connect(
        &self,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Result<UdpSocket<P>, UdpFailure> {
        let socket = UdpSocket::bind(self, local)?;
        socket.connect(remote)?;
        Ok(socket)
    }
}

impl<P: Platform> UdpSocket<P> {
    /// Of a connected socket, the trait says that `remote` is of no interest.
    async fn send_to_peer_or(&self, data: &[u8], remote: SocketAddr) -> Result<(), UdpFailure> {
        let remote = Some(remote).filter(|_| self.socket().peer_addr().is_err());
        self.send_from(data, remote, None).await
    }

    fn change_group(
        &self,
        change: GroupChange,
        group: IpAddr,
        interface: Option<InterfaceId>,
    ) -> Result<(), UdpFailure> {
        Ok(self.socket().change_group(change, group, interface)?)
    }

    /// The interface that has this address; none if it is unspecified.
    fn interface_of(&self, address: Ipv4Addr) -> Result<Option<InterfaceId>, UdpFailure> {
        if address.is_unspecified() {
            return Ok(None);
        }
        let found = self.socket().net().with(|runtime| {
            let stack = runtime.stack();
            let mut all = stack.interfaces().map(|interface| interface.id);
            all.find(|id| stack.addresses(*id).any(|(ours, _)| ours == address))
        });
        found.map(Some).ok_or(UdpFailure::NoInterface)
    }

    /// The interface of this number, counted from 1; none if it is 0.
    fn interface_numbered(&self, number: u32) -> Result<Option<InterfaceId>, UdpFailure> {
        let Some(index) = number.checked_sub(1) else {
            return Ok(None);
        };
        let found = self.socket().net().with(|runtime| {
            let mut all = runtime.stack().interfaces().map(|interface| interface.id);
            all.find(|id| u32::try_from(id.index()) == Ok(index))
        });
        found.map(Some).ok_or(UdpFailure::NoInterface)
    }
}

macro_rules! groups {
    ($($socket:ty),+) => {$(
        /// `interface` is one of its addresses; 0.0.0.0: the one that the route to the group says.
        impl<P: Platform> MulticastV4 for $socket {
            async fn join_v4(
                &mut self,
                group: Ipv4Addr,
                interface: Ipv4Addr,
            ) -> Result<(), UdpFailure> {
                self.change_group(GroupChange::Join, group.into(), self.interface_of(interface)?)
            }

            async fn leave_v4(
                &mut self,
                group: Ipv4Addr,
                interface: Ipv4Addr,
            ) -> Result<(), UdpFailure> {
                self.change_group(GroupChange::Leave, group.into(), self.interface_of(interface)?)
            }
        }

        /// `interface` is counted from 1; 0: the one that the route to the group says.
        impl<P: Platform> MulticastV6 for $socket {
            async fn join_v6(&mut self, group: Ipv6Addr, interface: u32) -> Result<(), UdpFailure> {
                let interface = self.interface_numbered(interface)?;
                self.change_group(GroupChange::Join, group.into(), interface)
            }

            async fn leave_v6(&mut self, group: Ipv6Addr, interface: u32) -> Result<(), UdpFailure> {
                let interface = self.interface_numbered(interface)?;
                self.change_group(GroupChange::Leave, group.into(), interface)
            }
        }
    )+};
}

groups!(UdpSocket<P>, &UdpSocket<P>);

impl<P: Platform> UdpSplitMulticast for UdpSocket<P> {
    type MulticastV4<'a>
        = &'a Self
    where
        Self: 'a;
    type MulticastV6<'a>
        = &'a Self
    where
        Self: 'a;

    fn split_multicast(&mut self) -> (&Self, &Self, &Self, &Self) {
        (self, self, self, self)
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
        self.send_to_peer_or(data, remote).await
    }
}

impl<P: Platform> UdpSend for &UdpSocket<P> {
    async fn send(&mut self, remote: SocketAddr, data: &[u8]) -> Result<(), UdpFailure> {
        self.send_to_peer_or(data, remote).await
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
