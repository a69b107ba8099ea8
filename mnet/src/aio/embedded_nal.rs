//! The traits of `embedded-nal-async`, as far as the stack can keep what they say.
//!
//! `UdpStack` is not among them: it wants to know at which of our addresses each datagram arrived.
//! `Dns` has to wait for a resolver.

use core::net::SocketAddr;

use embedded_nal_async::TcpConnect;

use super::TcpStream;
use crate::error::TcpFailure;
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
