//! What can go wrong with a socket of a task, or with one behind a trait of the ecosystem: one type
//! for each transport, since one trait has one type for all of its calls.

use core::fmt;

use mnet_core::error::{
    AcceptError, BadHandle, BindError, ConnectError, GroupError, ListenError, RecvError,
    RecvFromError, SendError, SendToError,
};

use crate::net::ConnectFailure;

/// Where the reason for an error lies, and so who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The program: it asks for something that cannot be.
    Caller,
    /// The other end said no.
    Peer,
    /// The other end is not heard of: it may have stopped, or the way to it.
    Network,
    /// A limit of our own: later, or with another configuration, it works.
    Limit,
}

macro_rules! errors {
    ($($(#[$meta:meta])* $name:ident {
        $($(#[doc = $doc:literal])+ $variant:ident: $fault:ident, $kind:ident => $text:literal,)+
    })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $name {
            /// Where the reason lies.
            #[must_use]
            pub fn fault(self) -> Fault {
                match self { $(Self::$variant => Fault::$fault,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }

        impl core::error::Error for $name {}

        #[cfg(feature = "embedded-io")]
        impl embedded_io::Error for $name {
            fn kind(&self) -> embedded_io::ErrorKind {
                match self { $(Self::$variant => embedded_io::ErrorKind::$kind,)+ }
            }
        }
    )+};
}

errors! {
    /// What went wrong with a listener or a connection.
    TcpFailure {
        /// The stack does not know the socket any more.
        Stale: Caller, NotConnected => "stale or foreign handle",
        /// This side was shut down before.
        Shutdown: Caller, BrokenPipe => "this side of the connection was shut down",
        /// The address or the port is not one that can be used so.
        Invalid: Caller, InvalidInput => "not an address that can be used so",
        /// The local address is not one of ours.
        AddressNotLocal: Caller, AddrNotAvailable => "the address is not one of ours",
        /// The local address and port are in use, or no ephemeral port is free.
        AddressInUse: Limit, AddrInUse => "address in use",
        /// The peer reset the connection.
        Reset: Peer, ConnectionReset => "connection reset by peer",
        /// The peer refused the connection.
        Refused: Peer, ConnectionRefused => "connection refused",
        /// The peer stopped answering.
        TimedOut: Network, TimedOut => "connection timed out",
        /// The network says that the peer cannot be reached.
        Unreachable: Network, Other => "host unreachable",
        /// Our address that the connection had is not ours any more.
        AddressGone: Network, ConnectionAborted => "the local address is gone",
        /// No route leads to the peer.
        NoRoute: Network, Other => "no route to host",
        /// All listeners or connections that the configuration allows exist.
        LimitReached: Limit, OutOfMemory => "too many listeners or connections",
        /// The time that was set for calls that block is over.
        TimeOver: Network, TimedOut => "the time is over",
    }

    /// What went wrong with a UDP socket.
    UdpFailure {
        /// The stack does not know the socket any more.
        Stale: Caller, NotConnected => "stale or foreign handle",
        /// The destination is not one that can be sent to from here.
        Invalid: Caller, InvalidInput => "not an address that can be sent to",
        /// The socket is not set to send broadcasts.
        BroadcastNotAllowed: Caller, PermissionDenied => "broadcasts are not allowed on this socket",
        /// The socket is not connected, and no destination was given.
        NotConnected: Caller, NotConnected => "the socket is not connected",
        /// The socket is connected to another destination.
        AlreadyConnected: Caller, InvalidInput => "the socket is connected to another address",
        /// There is no interface for the group.
        NoInterface: Caller, AddrNotAvailable => "no interface for the group",
        /// The socket is a member of the group already.
        AlreadyMember: Caller, AlreadyExists => "already a member",
        /// The socket is no member of the group.
        NotMember: Caller, NotFound => "not a member",
        /// The membership is one of chosen sources, or of all but some.
        OtherMode: Caller, InvalidInput => "the membership is of the other kind",
        /// There is no reservation to send, or it is shorter.
        NothingReserved: Caller, InvalidInput => "no room of this length was reserved",
        /// The datagram does not fit the MTU of the path.
        MessageTooLong: Caller, InvalidInput => "message too long",
        /// The local address is not one of ours.
        AddressNotLocal: Caller, AddrNotAvailable => "the address is not one of ours",
        /// The local address and port are in use, or no ephemeral port is free.
        AddressInUse: Limit, AddrInUse => "address in use",
        /// An earlier datagram was answered by "port unreachable".
        Refused: Peer, ConnectionRefused => "connection refused",
        /// An earlier datagram was answered by "host unreachable".
        Unreachable: Network, Other => "host unreachable",
        /// An earlier datagram had no hop left.
        TimeExceeded: Network, Other => "time to live exceeded",
        /// No route leads to the destination.
        NoRoute: Network, Other => "no route to host",
        /// As many sockets or groups as the configuration allows exist.
        LimitReached: Limit, OutOfMemory => "too many sockets or groups",
        /// The time that was set for calls that block is over.
        TimeOver: Network, TimedOut => "the time is over",
    }
}

macro_rules! from {
    ($($source:ident => $target:ident { $($from:ident => $to:ident,)+ })+) => {$(
        impl From<$source> for $target {
            fn from(error: $source) -> Self {
                match error { $($source::$from => Self::$to,)+ }
            }
        }
    )+};
}

from! {
    ListenError => TcpFailure {
        AddressNotLocal => AddressNotLocal,
        AddressInUse => AddressInUse,
        Invalid => Invalid,
        LimitReached => LimitReached,
    }

    AcceptError => TcpFailure {
        BadHandle => Stale,
        WouldBlock => TimeOver,
    }

    ConnectError => TcpFailure {
        BadHandle => Stale,
        Invalid => Invalid,
        NoRoute => NoRoute,
        AddressNotLocal => AddressNotLocal,
        AddressInUse => AddressInUse,
        LimitReached => LimitReached,
    }

    SendError => TcpFailure {
        BadHandle => Stale,
        WouldBlock => TimeOver,
        Shutdown => Shutdown,
        Reset => Reset,
        Refused => Refused,
        TimedOut => TimedOut,
        Unreachable => Unreachable,
        AddressGone => AddressGone,
    }

    RecvError => TcpFailure {
        BadHandle => Stale,
        WouldBlock => TimeOver,
        Reset => Reset,
        Refused => Refused,
        TimedOut => TimedOut,
        Unreachable => Unreachable,
        AddressGone => AddressGone,
    }

    BindError => UdpFailure {
        AddressNotLocal => AddressNotLocal,
        AddressInUse => AddressInUse,
        LimitReached => LimitReached,
    }

    GroupError => UdpFailure {
        BadHandle => Stale,
        Invalid => Invalid,
        NoInterface => NoInterface,
        AlreadyMember => AlreadyMember,
        NotMember => NotMember,
        OtherMode => OtherMode,
        LimitReached => LimitReached,
    }

    SendToError => UdpFailure {
        BadHandle => Stale,
        Invalid => Invalid,
        BroadcastNotAllowed => BroadcastNotAllowed,
        NotConnected => NotConnected,
        AlreadyConnected => AlreadyConnected,
        NothingReserved => NothingReserved,
        MessageTooLong => MessageTooLong,
        NoRoute => NoRoute,
        AddressNotLocal => AddressNotLocal,
        WouldBlock => TimeOver,
    }

    ConnectError => UdpFailure {
        BadHandle => Stale,
        Invalid => Invalid,
        NoRoute => NoRoute,
        AddressNotLocal => AddressNotLocal,
        AddressInUse => AddressInUse,
        LimitReached => LimitReached,
    }

    RecvFromError => UdpFailure {
        BadHandle => Stale,
        WouldBlock => TimeOver,
        Refused => Refused,
        Unreachable => Unreachable,
        MessageTooLong => MessageTooLong,
        TimeExceeded => TimeExceeded,
    }
}

impl From<ConnectFailure> for TcpFailure {
    fn from(failure: ConnectFailure) -> Self {
        match failure {
            ConnectFailure::NotStarted(error) => error.into(),
            ConnectFailure::Failed(error) => error.into(),
        }
    }
}

impl From<BadHandle> for TcpFailure {
    fn from(BadHandle: BadHandle) -> Self {
        Self::Stale
    }
}

impl From<BadHandle> for UdpFailure {
    fn from(BadHandle: BadHandle) -> Self {
        Self::Stale
    }
}
