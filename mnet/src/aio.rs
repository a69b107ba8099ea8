//! Sockets for tasks: as those that block, but who waits lets the others run.
//!
//! Each is a socket of the crate's root in another coat: [`TcpStream::socket`] gives it back, to
//! set options or to ask for addresses, and `From` turns one into the other. Methods take `&self`,
//! so that one task can read while another one writes, and several can accept.
//!
//! # Cancellation
//!
//! A future is cancelled by dropping it, as `select` and [`Net::timeout`](crate::Net::timeout) do.
//!
//! | Dropped before it is done | means |
//! |---|---|
//! | [`accept`](TcpListener::accept) | no connection is lost: the next call takes it |
//! | [`connect`](TcpStream::connect) | the attempt ends, and nothing is left of it |
//! | [`read`](TcpStream::read), [`read_with`](TcpStream::read_with), [`fill_buf`](TcpStream::fill_buf), [`recv_from`](UdpSocket::recv_from) | nothing was taken |
//! | [`write`](TcpStream::write), [`send_to`](UdpSocket::send_to) | nothing was queued |
//! | [`write_all`](TcpStream::write_all) | a part of the data, of unknown length, was queued |
//! | [`readable`](TcpStream::readable), [`writable`](TcpStream::writable) | nothing has changed |
//! | [`close`](TcpStream::close) | as dropping the stream: delivery goes on in the background |
//!
//! Dropping a socket closes it, as it does for those that block.
//!
//! # Copies
//!
//! [`read`](TcpStream::read) copies received bytes once, [`write`](TcpStream::write) copies what is
//! sent once and sums it on the way. [`read_with`](TcpStream::read_with) shows received bytes where
//! they lie and copies nothing. [`fill_buf`](TcpStream::fill_buf) has to give out a slice that
//! outlives the call, while other tasks move the stack on: it reads a segment's worth into a buffer
//! of the stream's own, one copy as with `read`, and what is in there has left the receive window.

mod tcp;
mod udp;
mod wait;

#[cfg(feature = "edge-nal")]
mod edge_nal;
#[cfg(feature = "embedded-io")]
mod embedded_io;
#[cfg(feature = "embedded-nal-async")]
mod embedded_nal;

pub use tcp::{ReadHalf, TcpListener, TcpStream, WriteHalf};
pub use udp::UdpSocket;
