//! Sockets that own their handle: the convenient way to use a [`Runtime`] from Rust.
//!
//! [`Net`] shares one runtime between all sockets of a thread. Every call borrows the runtime for
//! as long as one turn of the loop takes and no longer; a call that waits borrows it again for the
//! next turn. So tasks, once they exist, can wait side by side.

mod addresses;
mod dhcp;
#[cfg(feature = "embedded-io")]
mod embedded_io;
mod interfaces;
mod resolvers;
mod settings;
mod udp;

pub use settings::TcpEntries;
pub use udp::UdpSocket;

use alloc::rc::Rc;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use mnet_core::config::{ConnectOptions, ListenOptions};
use mnet_core::error::{AcceptError, BadHandle, ConnectError, ListenError, RecvError, SendError};
use mnet_core::stack::Usage;
use mnet_core::tcp::TcpSetting;
use mnet_core::{Counters, Event, Instant, NetworkEvent, Readiness, SocketId, Stack};

use crate::platform::Platform;
use crate::runtime::{Interest, Runtime, RuntimeCounters};
#[cfg(feature = "async")]
use crate::tasks::Scheduler;

/// What [`Net::next_any_event`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyEvent {
    /// The readiness of a socket has grown.
    Socket(Event),
    /// Something has changed on an interface.
    Network(NetworkEvent),
}

/// A shared handle on a [`Runtime`]. Clones are the same runtime.
pub struct Net<P: Platform> {
    runtime: Rc<RefCell<Runtime<P>>>,
    #[cfg(feature = "async")]
    scheduler: Rc<Scheduler>,
}

impl<P: Platform> Clone for Net<P> {
    fn clone(&self) -> Self {
        Self {
            runtime: Rc::clone(&self.runtime),
            #[cfg(feature = "async")]
            scheduler: Rc::clone(&self.scheduler),
        }
    }
}

impl<P: Platform> fmt::Debug for Net<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

impl<P: Platform> Net<P> {
    /// Takes the runtime over. Its devices are attached and have their addresses.
    #[must_use]
    pub fn new(runtime: Runtime<P>) -> Self {
        Self {
            #[cfg(feature = "async")]
            scheduler: Rc::new(Scheduler::new(runtime.now())),
            runtime: Rc::new(RefCell::new(runtime)),
        }
    }

    /// Listens on a TCP address. The unspecified address means all of ours of its family: a service
    /// for both listens on `0.0.0.0` and on `::`.
    ///
    /// At most `backlog` connections wait to be accepted; further ones are refused.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen(&self, local: SocketAddr, backlog: usize) -> Result<TcpListener<P>, ListenError> {
        let id = self.with(|runtime| runtime.stack_mut().tcp_listen(local, backlog))?;
        Ok(TcpListener(Socket::new(self, id)))
    }

    /// [`Net::listen`] with all choices: also how many connections the listener may have open.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn listen_with(
        &self,
        local: SocketAddr,
        options: &ListenOptions,
    ) -> Result<TcpListener<P>, ListenError> {
        let id = self.with(|runtime| runtime.stack_mut().tcp_listen_with(local, options))?;
        Ok(TcpListener(Socket::new(self, id)))
    }

    /// Starts a TCP connection and does not wait for it: it is writable once it is established.
    /// Until then [`TcpStream::try_write`] gives [`SendError::WouldBlock`], and afterwards the
    /// reason if it failed.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn try_connect(&self, remote: SocketAddr) -> Result<TcpStream<P>, ConnectError> {
        self.try_connect_with(remote, &ConnectOptions::default())
            .map(|(stream, _)| stream)
    }

    /// [`Net::try_connect`] with all choices: also our address and port, and Fast Open. How many bytes
    /// of the early data were taken comes with the connection; the rest is to be written.
    ///
    /// Settings that the SYN already follows, such as [`TcpSetting::ConnectTimeout`], can be made
    /// afterwards: it leaves with the next turn of the loop.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub fn try_connect_with(
        &self,
        remote: SocketAddr,
        options: &ConnectOptions<'_>,
    ) -> Result<(TcpStream<P>, usize), ConnectError> {
        let (id, taken) =
            self.command(|stack, now| stack.tcp_connect_with(now, remote, options))?;
        Ok((TcpStream(Socket::new(self, id)), taken))
    }

    /// Starts a TCP connection and waits until it is established or has failed.
    ///
    /// # Errors
    /// See [`ConnectFailure`].
    pub fn connect(&self, remote: SocketAddr) -> Result<TcpStream<P>, ConnectFailure> {
        let stream = self
            .try_connect(remote)
            .map_err(ConnectFailure::NotStarted)?;
        self.established(stream)
    }

    /// [`Net::connect`] with all choices: also our address and port, and Fast Open (RFC 7413), with
    /// which the first data goes with the SYN to a server that has given us a cookie before. Gives the
    /// connection, and how many bytes of the early data were taken; the rest is to be written.
    ///
    /// ```
    /// # use mnet::{ConnectOptions, Net, Platform};
    /// # fn ask<P: Platform>(net: &Net<P>, server: core::net::SocketAddr) -> Result<(), Box<dyn core::error::Error>> {
    /// let request = b"GET / HTTP/1.0\r\n\r\n";
    /// let options = ConnectOptions {
    ///     fast_open: true,
    ///     early_data: request,
    ///     ..ConnectOptions::default()
    /// };
    /// let (stream, taken) = net.connect_with(server, &options)?;
    /// stream.write_all(&request[taken..])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`ConnectFailure`].
    pub fn connect_with(
        &self,
        remote: SocketAddr,
        options: &ConnectOptions<'_>,
    ) -> Result<(TcpStream<P>, usize), ConnectFailure> {
        let (stream, taken) = self
            .try_connect_with(remote, options)
            .map_err(ConnectFailure::NotStarted)?;
        Ok((self.established(stream)?, taken))
    }

    /// As [`Net::connect`], for `timeout` at most: 1 ms to 24 days.
    ///
    /// # Errors
    /// See [`ConnectFailure`]; [`SendError::TimedOut`] when the time is over.
    pub fn connect_timeout(
        &self,
        remote: SocketAddr,
        timeout: Duration,
    ) -> Result<TcpStream<P>, ConnectFailure> {
        let stream = self
            .try_connect(remote)
            .map_err(ConnectFailure::NotStarted)?;
        stream
            .set(TcpSetting::ConnectTimeout(Some(timeout)))
            .map_err(|_| ConnectFailure::NotStarted(ConnectError::Invalid))?;
        self.established(stream)
    }

    fn established(&self, stream: TcpStream<P>) -> Result<TcpStream<P>, ConnectFailure> {
        // Writing nothing tells apart "not yet", "established" and "failed".
        self.turn_until(|_| match stream.try_write(&[]) {
            Err(SendError::WouldBlock) => None,
            other => Some(other),
        })
        .map(|_| stream)
        .map_err(ConnectFailure::Failed)
    }

    /// Waits until one of `interests` is ready, or the clock says `until`; fills in what is ready.
    /// Returns the number of ready entries.
    pub fn poll(&self, interests: &mut [Interest], until: Instant) -> usize {
        self.runtime.borrow_mut().poll(interests, until)
    }

    /// Waits until the readiness of some socket has grown; `None` when `until` has come first.
    ///
    /// Each growth is told once: act on the socket until it says `WouldBlock`. A socket that was
    /// closed meanwhile can still appear. Tasks take the events too: use either.
    #[must_use]
    pub fn next_event(&self, until: Instant) -> Option<Event> {
        self.next_of(until, Stack::poll_event)
    }

    /// As [`Net::next_event`], but it also tells what changes in the network: for programs with one
    /// loop.
    #[must_use]
    pub fn next_any_event(&self, until: Instant) -> Option<AnyEvent> {
        self.next_of(until, |stack| match stack.poll_network_event() {
            Some(event) => Some(AnyEvent::Network(event)),
            None => stack.poll_event().map(AnyEvent::Socket),
        })
    }

    fn next_of<T>(
        &self,
        until: Instant,
        mut next: impl FnMut(&mut Stack) -> Option<T>,
    ) -> Option<T> {
        let mut runtime = self.runtime.borrow_mut();
        // Events of the last batch first: only then is it time for the next batch.
        if let Some(event) = next(runtime.stack_mut()) {
            return Some(event);
        }
        runtime.wait_for(until, |runtime| next(runtime.stack_mut()))
    }

    /// Does what is due at `now`, without sleeping; returns when to call again at the latest.
    /// See [`Runtime::step`].
    pub fn step(&self, now: Instant) -> Option<Instant> {
        self.runtime.borrow_mut().step(now)
    }

    /// Sends what calls that do not wait have queued.
    pub fn flush(&self) {
        self.runtime.borrow_mut().flush();
    }

    /// Reads the clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.runtime.borrow_mut().read_clock()
    }

    /// What the stack counted: traffic, and every reason for a drop.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.runtime.borrow().stack().counters()
    }

    /// What the event loop counted.
    #[must_use]
    pub fn runtime_counters(&self) -> RuntimeCounters {
        *self.runtime.borrow().counters()
    }

    /// How many sockets, connections and frames are in use.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.runtime.borrow().stack().usage()
    }

    /// Fills `bytes` with cryptographically strong random numbers.
    pub fn random(&self, bytes: &mut [u8]) {
        self.with(|runtime| runtime.stack_mut().random(bytes));
    }

    /// What the tasks of this runtime wait for.
    #[cfg(feature = "async")]
    pub(crate) fn scheduler(&self) -> &Rc<Scheduler> {
        &self.scheduler
    }

    pub(crate) fn with<T>(&self, action: impl FnOnce(&mut Runtime<P>) -> T) -> T {
        action(&mut self.runtime.borrow_mut())
    }

    /// A stack command with the time of the current turn.
    pub(crate) fn command<T>(&self, action: impl FnOnce(&mut Stack, Instant) -> T) -> T {
        self.with(|runtime| {
            let now = runtime.now();
            action(runtime.stack_mut(), now)
        })
    }

    /// Turns the loop until `attempt` gives something. The runtime is not borrowed while
    /// `attempt` runs.
    fn turn_until<T>(&self, mut attempt: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            if let Some(result) = attempt(self) {
                return result;
            }
            self.runtime.borrow_mut().turn(Instant::FAR_FUTURE);
        }
    }

    /// [`Net::turn_until`] for at most `time`; `None` when it is over. Without a time, for ever.
    fn block_within<T>(
        &self,
        time: Option<Duration>,
        mut attempt: impl FnMut(&Self) -> Option<T>,
    ) -> Option<T> {
        let Some(time) = time else {
            return Some(self.turn_until(attempt));
        };
        let until = self.now() + time;
        loop {
            if let Some(result) = attempt(self) {
                return Some(result);
            }
            if !self.runtime.borrow_mut().turn(until) {
                // What has arrived with the last turn counts.
                return attempt(self);
            }
        }
    }
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// Nothing was sent.
    NotStarted(ConnectError),
    /// The attempt failed: the peer refused, did not answer, or cannot be reached.
    Failed(SendError),
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(error) => error.fmt(f),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ConnectFailure {}

/// What every socket has: closes when dropped.
struct Socket<P: Platform> {
    net: Net<P>,
    id: SocketId,
    /// How long calls wait that read or accept, and that write; `None`: for ever.
    read_timeout: Cell<Option<Duration>>,
    write_timeout: Cell<Option<Duration>>,
}

impl<P: Platform> Socket<P> {
    fn new(net: &Net<P>, id: SocketId) -> Self {
        Self {
            net: net.clone(),
            id,
            read_timeout: Cell::new(None),
            write_timeout: Cell::new(None),
        }
    }

    /// The socket is open for as long as `self` lives, so its handle is good.
    fn of_open<T: Default>(result: Result<T, BadHandle>) -> T {
        result.unwrap_or_default()
    }

    fn readiness(&self) -> Readiness {
        Self::of_open(self.net.with(|runtime| runtime.stack().readiness(self.id)))
    }
}

impl<P: Platform> Drop for Socket<P> {
    fn drop(&mut self) {
        // A stale handle has nothing left to close.
        let _ = self.net.command(|stack, now| stack.close(now, self.id));
    }
}

macro_rules! common {
    ($($name:ident),+) => {$(
        impl<P: Platform> $name<P> {
            /// The handle: what events and [`Interest`] name the socket by.
            #[must_use]
            pub fn id(&self) -> SocketId {
                self.0.id
            }

            /// The runtime that the socket belongs to.
            #[must_use]
            pub fn net(&self) -> &Net<P> {
                &self.0.net
            }

            /// What can be done now without waiting.
            #[must_use]
            pub fn readiness(&self) -> Readiness {
                self.0.readiness()
            }

            /// Our address and port.
            ///
            /// # Errors
            /// [`BadHandle`] if the stack has forgotten the socket.
            pub fn local_addr(&self) -> Result<SocketAddr, BadHandle> {
                self.0.net.with(|runtime| runtime.stack().local_addr(self.0.id))
            }
        }

        impl<P: Platform> fmt::Debug for $name<P> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0.id).finish()
            }
        }
    )+};
}

common!(TcpListener, TcpStream, UdpSocket);

/// A TCP listener. Dropping it stops listening and resets connections that were not accepted.
pub struct TcpListener<P: Platform>(Socket<P>);

impl<P: Platform> TcpListener<P> {
    /// The next connection, if one waits.
    ///
    /// # Errors
    /// See [`AcceptError`].
    pub fn try_accept(&self) -> Result<TcpStream<P>, AcceptError> {
        let Socket { net, id, .. } = &self.0;
        let id = net.with(|runtime| runtime.stack_mut().tcp_accept(*id))?;
        Ok(TcpStream(Socket::new(net, id)))
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    /// See [`AcceptError`]; `WouldBlock` only when the time of
    /// [`set_accept_timeout`](TcpListener::set_accept_timeout) is over.
    pub fn accept(&self) -> Result<TcpStream<P>, AcceptError> {
        let time = self.0.read_timeout.get();
        let accepted = self.0.net.block_within(time, |_| match self.try_accept() {
            Err(AcceptError::WouldBlock) => None,
            other => Some(other),
        });
        accepted.unwrap_or(Err(AcceptError::WouldBlock))
    }

    /// How long [`accept`](TcpListener::accept) waits at most; `None`, the default: for ever.
    pub fn set_accept_timeout(&self, time: Option<Duration>) {
        self.0.read_timeout.set(time);
    }
}

/// A TCP connection. Dropping it closes it: what was written is still delivered, unless data that
/// was received and never read forces a reset (RFC 9293 §3.6, RFC 2525 §2.17).
pub struct TcpStream<P: Platform>(Socket<P>);

impl<P: Platform> TcpStream<P> {
    /// Copies what has arrived into `buffer`. `Ok(0)`: the peer has finished (or `buffer` is
    /// empty).
    ///
    /// # Errors
    /// See [`RecvError`].
    pub fn try_read(&self, buffer: &mut [u8]) -> Result<usize, RecvError> {
        self.0
            .net
            .command(|stack, now| stack.tcp_recv(now, self.0.id, buffer))
    }

    /// Waits for data and copies it into `buffer`. `Ok(0)`: the peer has finished (or `buffer` is
    /// empty).
    ///
    /// # Errors
    /// See [`RecvError`]; `WouldBlock` only when the time of
    /// [`set_read_timeout`](TcpStream::set_read_timeout) is over.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, RecvError> {
        let time = self.0.read_timeout.get();
        let read = self
            .0
            .net
            .block_within(time, |_| match self.try_read(buffer) {
                Err(RecvError::WouldBlock) => None,
                other => Some(other),
            });
        read.unwrap_or(Err(RecvError::WouldBlock))
    }

    /// How long [`read`](TcpStream::read) waits at most; `None`, the default: for ever.
    pub fn set_read_timeout(&self, time: Option<Duration>) {
        self.0.read_timeout.set(time);
    }

    /// How long [`write_all`](TcpStream::write_all) waits at most for some room; `None`, the
    /// default: for ever. Every progress starts the time over.
    pub fn set_write_timeout(&self, time: Option<Duration>) {
        self.0.write_timeout.set(time);
    }

    /// Queues as much of `data` as there is room for; returns how much that was. It is sent at
    /// the next turn of the loop.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn try_write(&self, data: &[u8]) -> Result<usize, SendError> {
        self.0
            .net
            .command(|stack, now| stack.tcp_send(now, self.0.id, data))
    }

    /// Queues and sends all of `data`, waiting for room where there is none. On return the data
    /// has been handed to the network as far as the peer's window allows; the rest follows on its
    /// own.
    ///
    /// # Errors
    /// See [`SendError`]; `WouldBlock` only when the time of
    /// [`set_write_timeout`](TcpStream::set_write_timeout) is over. Part of the data may have been
    /// sent.
    pub fn write_all(&self, data: &[u8]) -> Result<(), SendError> {
        let mut rest = data;
        while !rest.is_empty() {
            let taken = self.write_some(rest)?;
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.0.net.flush();
        Ok(())
    }

    /// Queues some of `data`, waiting for room where there is none.
    fn write_some(&self, data: &[u8]) -> Result<usize, SendError> {
        let time = self.0.write_timeout.get();
        let taken = self
            .0
            .net
            .block_within(time, |_| match self.try_write(data) {
                Err(SendError::WouldBlock) => None,
                other => Some(other),
            });
        taken.unwrap_or(Err(SendError::WouldBlock))
    }

    /// Ends our direction: the peer reads the end of the stream after everything that was
    /// written. Reading goes on.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn shutdown(&self) -> Result<(), SendError> {
        self.0
            .net
            .command(|stack, now| stack.tcp_shutdown(now, self.0.id))
    }

    /// Ends the connection at once with a reset; what was not delivered is lost.
    pub fn abort(self) {
        // A connection that is already gone needs no reset.
        let _ = self
            .0
            .net
            .command(|stack, now| stack.tcp_abort(now, self.0.id));
    }

    /// The peer's address and port.
    ///
    /// # Errors
    /// [`BadHandle`] if the stack has forgotten the connection.
    pub fn peer_addr(&self) -> Result<SocketAddr, BadHandle> {
        self.0
            .net
            .with(|runtime| runtime.stack().remote_addr(self.0.id))
    }
}
