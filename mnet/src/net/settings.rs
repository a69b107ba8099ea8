//! What a program can choose for a connection or a listener, and learn of it.

use core::net::SocketAddr;
use core::time::Duration;

use mnet_core::config::{CongestionAlgorithm, Keepalive};
use mnet_core::error::{BadHandle, SendError, SettingError};
use mnet_core::tcp::{State, TcpEntry, TcpInfo, TcpSetting, TcpSettings};

use super::{Net, TcpListener, TcpStream};
use crate::platform::Platform;

/// The setters: `name(value)` and the setting that it makes of it.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident($value:ident: $type:ty) => $setting:expr;)+) => {
        settings!(@for TcpStream $($(#[doc = $doc])+ $name($value: $type) => $setting;)+);
        settings!(@for TcpListener $($(#[doc = $doc])+ $name($value: $type) => $setting;)+);
    };
    (@for $socket:ident $($(#[doc = $doc:literal])+ $name:ident($value:ident: $type:ty) => $setting:expr;)+) => {
        impl<P: Platform> $socket<P> {
            $(
                $(#[doc = $doc])+
                ///
                /// On a listener, for the connections to come.
                ///
                /// # Errors
                /// See [`SettingError`]; nothing was changed.
                pub fn $name(&self, $value: $type) -> Result<(), SettingError> {
                    self.set($setting)
                }
            )+

            /// Changes one setting: what the other setters do.
            ///
            /// # Errors
            /// See [`SettingError`]; nothing was changed.
            pub fn set(&self, setting: TcpSetting) -> Result<(), SettingError> {
                self.0
                    .net
                    .command(|stack, now| stack.tcp_set(now, self.0.id, setting))
            }

            /// All settings as they are now.
            ///
            /// # Errors
            /// [`BadHandle`] if the stack has forgotten the socket.
            pub fn settings(&self) -> Result<TcpSettings, BadHandle> {
                self.0
                    .net
                    .with(|runtime| runtime.stack().tcp_settings(self.0.id))
            }
        }
    };
}

settings! {
    /// Switches Nagle's algorithm off (true) or on (RFC 9293 §3.7.4). See [`TcpSetting::NoDelay`].
    set_nodelay(nodelay: bool) => TcpSetting::NoDelay(nodelay);
    /// Holds segments back that are not full, for 200 ms at most. See [`TcpSetting::Cork`].
    set_cork(cork: bool) => TcpSetting::Cork(cork);
    /// Probes the peer when nothing arrives, or does not (`None`). See [`TcpSetting::Keepalive`].
    set_keepalive(keepalive: Option<Keepalive>) => TcpSetting::Keepalive(keepalive);
    /// How long the peer may leave data unacknowledged. See [`TcpSetting::UserTimeout`].
    set_user_timeout(time: Option<Duration>) => TcpSetting::UserTimeout(time);
    /// What closing means while data is unacknowledged. See [`TcpSetting::Linger`] and
    /// [`TcpStream::close`].
    set_linger(time: Option<Duration>) => TcpSetting::Linger(time);
    /// How long an acknowledgement may wait for company. See [`TcpSetting::DelayedAck`].
    set_delayed_ack(time: Duration) => TcpSetting::DelayedAck(time);
    /// What governs the rate of sending. See [`TcpSetting::Congestion`].
    set_congestion(algorithm: CongestionAlgorithm) => TcpSetting::Congestion(algorithm);
    /// Largest receive window, in bytes. See [`TcpSetting::ReceiveBuffer`].
    set_receive_buffer(bytes: usize) => TcpSetting::ReceiveBuffer(bytes);
    /// Most bytes in the send queue. See [`TcpSetting::SendBuffer`].
    set_send_buffer(bytes: usize) => TcpSetting::SendBuffer(bytes);
    /// The time to live of packets, 1 to 255. See [`TcpSetting::TimeToLive`].
    set_time_to_live(hops: u8) => TcpSetting::TimeToLive(hops);
    /// The differentiated services code point of packets, 0 to 63. See [`TcpSetting::Dscp`].
    set_dscp(code_point: u8) => TcpSetting::Dscp(code_point);
}

impl<P: Platform> TcpStream<P> {
    /// What the connection is doing: round-trip time, windows, what is under way.
    ///
    /// # Errors
    /// [`BadHandle`] if the stack has forgotten the connection.
    pub fn info(&self) -> Result<TcpInfo, BadHandle> {
        self.0
            .net
            .with(|runtime| runtime.stack().tcp_info(self.0.id))
    }

    /// Both ends: our address and the peer's.
    ///
    /// # Errors
    /// [`BadHandle`] if the stack has forgotten the connection.
    pub fn peers(&self) -> Result<(SocketAddr, SocketAddr), BadHandle> {
        Ok((self.local_addr()?, self.peer_addr()?))
    }

    /// Closes the connection. With a time in [`TcpStream::set_linger`], waits at most so long until
    /// the peer has acknowledged everything, and says whether it did. Without, it returns at once
    /// like a drop: zero resets the connection, none delivers in the background.
    ///
    /// # Errors
    /// [`SendError::WouldBlock`]: the time is over, delivery goes on in the background. Others: the
    /// connection has failed, and what was not delivered is lost.
    pub fn close(self) -> Result<(), SendError> {
        let lingers = self.settings().ok().and_then(|settings| settings.linger);
        let Some(time) = lingers.filter(|time| !time.is_zero()) else {
            return Ok(());
        };
        match self.shutdown() {
            Ok(()) | Err(SendError::Shutdown) => {}
            Err(error) => return Err(error),
        }
        self.0
            .net
            .block_within(Some(time), |_| self.delivered())
            .unwrap_or(Err(SendError::WouldBlock))
    }

    /// Whether everything up to the end of our direction was acknowledged; `None`: not yet.
    pub(crate) fn delivered(&self) -> Option<Result<(), SendError>> {
        match self.try_write(&[]) {
            Ok(_) | Err(SendError::Shutdown | SendError::WouldBlock) => {}
            Err(error) => return Some(Err(error)),
        }
        let info = self.info().ok()?;
        let done = matches!(
            info.state,
            State::FinWait2 | State::TimeWait | State::Closed
        );
        done.then_some(Ok(()))
    }
}

impl<P: Platform> Net<P> {
    /// Everything that TCP has: listeners, connections with and without a handle, half-open ones,
    /// TIME-WAIT. The loop may be turned meanwhile; what comes and goes then may be missed.
    #[must_use]
    pub fn tcp_entries(&self) -> TcpEntries<P> {
        TcpEntries {
            net: self.clone(),
            cursor: 0,
        }
    }
}

/// The iterator of [`Net::tcp_entries`].
#[derive(Debug)]
pub struct TcpEntries<P: Platform> {
    net: Net<P>,
    cursor: usize,
}

impl<P: Platform> Iterator for TcpEntries<P> {
    type Item = TcpEntry;

    fn next(&mut self) -> Option<TcpEntry> {
        let cursor = self.cursor;
        let (entry, next) = self.net.with(|runtime| runtime.stack().tcp_next(cursor))?;
        self.cursor = next;
        Some(entry)
    }
}
