//! TCP for tasks.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec;
use core::cell::Cell;
use core::fmt;
use core::net::SocketAddr;
use core::ops::{Deref, Range};

use mnet_core::config::{ConnectOptions, ListenOptions};
use mnet_core::error::{AcceptError, ListenError, RecvError, SendError};

use super::wait::{Attempts, attempts};
use crate::error::TcpFailure;
use crate::net::{self, Net};
use crate::platform::Platform;
use crate::tasks::Direction;

/// A TCP listener. Dropping it stops listening and resets connections that were not accepted.
#[derive(Debug)]
pub struct TcpListener<P: Platform>(net::TcpListener<P>);

impl<P: Platform> TcpListener<P> {
    /// Listens on an address; the unspecified one means all of ours of its family ([`Net::listen`]).
    /// At most `backlog` connections wait to be accepted; further ones are refused.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn bind(net: &Net<P>, local: SocketAddr, backlog: usize) -> Result<Self, ListenError> {
        net.listen(local, backlog).map(Self)
    }

    /// [`TcpListener::bind`] with all choices.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn bind_with(
        net: &Net<P>,
        local: SocketAddr,
        options: &ListenOptions,
    ) -> Result<Self, ListenError> {
        net.listen_with(local, options).map(Self)
    }

    /// Waits for the next connection. Cancelling loses none. Where several tasks wait, one of them
    /// gets it.
    ///
    /// # Errors
    /// [`TcpFailure::Stale`].
    pub async fn accept(&self) -> Result<TcpStream<P>, TcpFailure> {
        let accepted = self.wait(|| match self.0.try_accept() {
            Err(AcceptError::WouldBlock) => None,
            other => Some(other),
        });
        Ok(accepted.await?.into())
    }

    /// Waits until there is a connection to accept. Another task may take it first.
    pub async fn readable(&self) {
        self.wait(|| (!self.0.readiness().is_empty()).then_some(()))
            .await;
    }

    fn wait<T, F: FnMut() -> Option<T> + Unpin>(&self, attempt: F) -> Attempts<'_, P, F> {
        attempts(self.0.net(), self.0.id(), Direction::Read, attempt)
    }

    /// The same socket for calls that block, and for its settings.
    #[must_use]
    pub fn socket(&self) -> &net::TcpListener<P> {
        &self.0
    }
}

impl<P: Platform> From<net::TcpListener<P>> for TcpListener<P> {
    fn from(listener: net::TcpListener<P>) -> Self {
        Self(listener)
    }
}

/// Bytes in the buffer of [`TcpStream::fill_buf`]: a segment's worth.
const AHEAD: usize = 2048;

/// What was read ahead, for [`TcpStream::fill_buf`].
#[derive(Debug)]
struct Ahead {
    bytes: Box<[u8]>,
    unread: Range<usize>,
}

impl Ahead {
    fn unread(&self) -> &[u8] {
        self.bytes.get(self.unread.clone()).unwrap_or_default()
    }

    fn consume(&mut self, n: usize) {
        self.unread.start += n.min(self.unread.len());
    }
}

/// A TCP connection. Dropping it closes it: what was written is still delivered, unless data that
/// was received and never read forces a reset (RFC 9293 §3.6, RFC 2525 §2.17).
pub struct TcpStream<P: Platform> {
    socket: net::TcpStream<P>,
    /// There once `fill_buf` was called.
    ahead: Cell<Option<Ahead>>,
}

impl<P: Platform> TcpStream<P> {
    /// Connects to `remote`. Cancelling ends the attempt.
    ///
    /// # Errors
    /// The connection could not be started, or the attempt failed.
    pub async fn connect(net: &Net<P>, remote: SocketAddr) -> Result<Self, TcpFailure> {
        let stream = Self::from(net.try_connect(remote)?);
        stream.established().await?;
        Ok(stream)
    }

    /// [`TcpStream::connect`] with all choices: also our address and port, and Fast Open. Gives the
    /// connection, and how many bytes of the early data were taken; the rest is to be written. See
    /// [`Net::connect_with`]. Cancelling ends the attempt; early data may have left.
    ///
    /// # Errors
    /// The connection could not be started, or the attempt failed.
    pub async fn connect_with(
        net: &Net<P>,
        remote: SocketAddr,
        options: &ConnectOptions<'_>,
    ) -> Result<(Self, usize), TcpFailure> {
        let (stream, taken) = net.try_connect_with(remote, options)?;
        let stream = Self::from(stream);
        stream.established().await?;
        Ok((stream, taken))
    }

    async fn established(&self) -> Result<(), TcpFailure> {
        // Writing nothing tells apart "not yet", "established" and "failed".
        self.write(&[]).await.map(drop)
    }

    /// Waits for data and copies it into `buffer`. `Ok(0)`: the peer has finished (or `buffer` is
    /// empty). Cancelling takes nothing.
    ///
    /// # Errors
    /// The connection has failed.
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize, TcpFailure> {
        if let Some(mut ahead) = self.take_ahead() {
            let data = ahead.unread();
            let len = data.len().min(buffer.len());
            buffer[..len].copy_from_slice(&data[..len]);
            ahead.consume(len);
            self.ahead.set(Some(ahead));
            return Ok(len);
        }
        let read = self.wait(Direction::Read, || match self.socket.try_read(buffer) {
            Err(RecvError::WouldBlock) => None,
            other => Some(other),
        });
        Ok(read.await?)
    }

    /// Waits for data and shows it to `look`, where it lies: nothing is copied. An empty slice is
    /// the end of the stream. `look` says how many bytes it has used, and gives a result; what it
    /// did not use comes again. The slice is not all that has arrived, but what lies together.
    /// Cancelling takes nothing.
    ///
    /// The stack is in use while `look` runs, so `look` must not call anything of this runtime.
    ///
    /// # Errors
    /// The connection has failed.
    ///
    /// # Panics
    /// If `look` calls a socket or the runtime.
    pub async fn read_with<R>(
        &self,
        look: impl FnOnce(&[u8]) -> (usize, R),
    ) -> Result<R, TcpFailure> {
        self.readable().await;
        if let Some(mut ahead) = self.take_ahead() {
            let (used, result) = look(ahead.unread());
            ahead.consume(used);
            self.ahead.set(Some(ahead));
            return Ok(result);
        }
        let id = self.socket.id();
        self.socket.net().command(|stack, now| {
            let (used, result) = look(stack.tcp_recv_slice(id)?);
            if used > 0 {
                stack.tcp_consume(now, id, used)?;
            }
            Ok(result)
        })
    }

    /// Waits for data and gives what was not yet consumed: empty at the end of the stream. Reading
    /// goes on after what [`consume`](TcpStream::consume) is told. Cancelling takes nothing.
    ///
    /// Copies once, into a buffer of 2 KiB that the stream has from the first call on;
    /// [`read_with`](TcpStream::read_with) copies nothing.
    ///
    /// # Errors
    /// The connection has failed.
    pub async fn fill_buf(&mut self) -> Result<&[u8], TcpFailure> {
        let Self { socket, ahead } = self;
        let ahead = ahead.get_mut().get_or_insert_with(|| Ahead {
            bytes: vec![0; AHEAD].into_boxed_slice(),
            unread: 0..0,
        });
        if ahead.unread.is_empty() {
            let bytes = &mut ahead.bytes;
            let attempt = || match socket.try_read(bytes) {
                Err(RecvError::WouldBlock) => None,
                other => Some(other),
            };
            let len = attempts(socket.net(), socket.id(), Direction::Read, attempt).await?;
            ahead.unread = 0..len;
        }
        Ok(ahead.unread())
    }

    /// The first `n` bytes of what [`fill_buf`](TcpStream::fill_buf) gave are done with, or all if
    /// they are fewer.
    pub fn consume(&mut self, n: usize) {
        if let Some(ahead) = self.ahead.get_mut() {
            ahead.consume(n);
        }
    }

    /// What was read ahead, if there is some. It has to be put back.
    fn take_ahead(&self) -> Option<Ahead> {
        let ahead = self.ahead.take()?;
        if ahead.unread.is_empty() {
            self.ahead.set(Some(ahead));
            return None;
        }
        Some(ahead)
    }

    /// Waits for room and queues as much of `data` as there is room for; returns how much that was.
    /// It leaves when the task waits next. Cancelling queues nothing.
    ///
    /// # Errors
    /// This side was shut down, or the connection has failed.
    pub async fn write(&self, data: &[u8]) -> Result<usize, TcpFailure> {
        let written = self.wait(Direction::Write, || match self.socket.try_write(data) {
            Err(SendError::WouldBlock) => None,
            other => Some(other),
        });
        Ok(written.await?)
    }

    /// Queues all of `data`, waiting for room where there is none. Cancelling leaves a part of it
    /// queued.
    ///
    /// # Errors
    /// As [`write`](TcpStream::write); a part of the data may have been sent.
    pub async fn write_all(&self, data: &[u8]) -> Result<(), TcpFailure> {
        let mut rest = data;
        while !rest.is_empty() {
            let taken = self.write(rest).await?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Waits until reading does not have to wait: there is data, the end, or an error.
    pub async fn readable(&self) {
        if let Some(ahead) = self.take_ahead() {
            return self.ahead.set(Some(ahead));
        }
        self.ready(Direction::Read).await;
    }

    /// Waits until writing does not have to wait: there is room, or an error.
    pub async fn writable(&self) {
        self.ready(Direction::Write).await;
    }

    async fn ready(&self, direction: Direction) {
        self.wait(direction, || {
            direction
                .is_concerned(self.socket.readiness())
                .then_some(())
        })
        .await;
    }

    /// Ends our direction: the peer reads the end of the stream after everything that was written.
    /// Reading goes on. Does not wait.
    ///
    /// # Errors
    /// The connection has failed, or was shut down before.
    pub fn shutdown(&self) -> Result<(), TcpFailure> {
        Ok(self.socket.shutdown()?)
    }

    /// Ends our direction and waits until the peer has acknowledged everything. With
    /// [`timeout`](Net::timeout) for so long at most; cancelling closes in the background, as a
    /// drop does.
    ///
    /// # Errors
    /// The connection has failed: what was not delivered is lost.
    pub async fn close(self) -> Result<(), TcpFailure> {
        self.finish().await
    }

    /// [`TcpStream::close`] of a stream that goes on reading.
    pub(super) async fn finish(&self) -> Result<(), TcpFailure> {
        match self.socket.shutdown() {
            Ok(()) | Err(SendError::Shutdown) => {}
            Err(error) => return Err(error.into()),
        }
        let delivered = self.wait(Direction::Write, || self.socket.delivered());
        Ok(delivered.await?)
    }

    /// Ends the connection at once with a reset; what was not delivered is lost.
    pub fn abort(self) {
        self.socket.abort();
    }

    /// [`TcpStream::abort`] of a stream that is still there. Afterwards everything is
    /// [`TcpFailure::Stale`].
    #[cfg(feature = "edge-nal")]
    pub(super) fn reset(&self) {
        let id = self.socket.id();
        // A connection that is already gone needs no reset.
        let _ = self
            .socket
            .net()
            .command(|stack, now| stack.tcp_abort(now, id));
    }

    /// Two halves, for two parts of one task.
    #[must_use]
    pub fn split(&self) -> (ReadHalf<&Self>, WriteHalf<&Self>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// Two halves, for two tasks. The connection is closed when both are dropped.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf<Rc<Self>>, WriteHalf<Rc<Self>>) {
        let stream = Rc::new(self);
        (ReadHalf(Rc::clone(&stream)), WriteHalf(stream))
    }

    fn wait<T, F: FnMut() -> Option<T> + Unpin>(
        &self,
        direction: Direction,
        attempt: F,
    ) -> Attempts<'_, P, F> {
        attempts(self.socket.net(), self.socket.id(), direction, attempt)
    }

    /// The same socket for calls that block, for its settings and addresses.
    #[must_use]
    pub fn socket(&self) -> &net::TcpStream<P> {
        &self.socket
    }
}

impl<P: Platform> From<net::TcpStream<P>> for TcpStream<P> {
    fn from(socket: net::TcpStream<P>) -> Self {
        Self {
            socket,
            ahead: Cell::new(None),
        }
    }
}

impl<P: Platform> fmt::Debug for TcpStream<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

/// The half of a [`TcpStream`] that reads.
#[derive(Clone, Debug)]
pub struct ReadHalf<S>(S);

/// The half of a [`TcpStream`] that writes.
#[derive(Clone, Debug)]
pub struct WriteHalf<S>(S);

impl<P: Platform, S: Deref<Target = TcpStream<P>>> ReadHalf<S> {
    /// See [`TcpStream::read`].
    ///
    /// # Errors
    /// See there.
    pub async fn read(&self, buffer: &mut [u8]) -> Result<usize, TcpFailure> {
        self.0.read(buffer).await
    }

    /// The stream that this is a half of.
    #[must_use]
    pub fn stream(&self) -> &TcpStream<P> {
        &self.0
    }
}

impl<P: Platform, S: Deref<Target = TcpStream<P>>> WriteHalf<S> {
    /// See [`TcpStream::write`].
    ///
    /// # Errors
    /// See there.
    pub async fn write(&self, data: &[u8]) -> Result<usize, TcpFailure> {
        self.0.write(data).await
    }

    /// See [`TcpStream::write_all`].
    ///
    /// # Errors
    /// See there.
    pub async fn write_all(&self, data: &[u8]) -> Result<(), TcpFailure> {
        self.0.write_all(data).await
    }

    /// The stream that this is a half of.
    #[must_use]
    pub fn stream(&self) -> &TcpStream<P> {
        &self.0
    }
}
