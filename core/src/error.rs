//! What a call of the core can refuse, one small enum per family of operations.
//!
//! The variants say who is at fault: the caller (a stale handle, a wrong state), the peer (a
//! reset), the network (a timeout, no route) or a limit of the configuration.

use core::fmt;

macro_rules! errors {
    ($($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $variant:ident => $text:literal,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }

        impl core::error::Error for $name {}
    )+};
}

errors! {
    /// Why a configuration was refused. Nothing was changed.
    ConfigError {
        /// The memory granted does not hold the smallest workable stack.
        MemoryTooSmall => "the memory granted is too small for a stack",
        /// The MTU is outside 576 to 65,000 bytes, or larger than the pool's frames.
        MtuOutOfRange => "the MTU is out of range",
        /// The hardware address is a group address or all zero.
        BadHardwareAddress => "the hardware address is not a unicast address",
        /// The address is not one that a host can have: unspecified, multicast, broadcast.
        BadAddress => "not an address that a host can have",
        /// The gateway is not on a network of the interface.
        GatewayUnreachable => "the gateway is not on a directly connected network",
        /// A limit (interfaces, addresses, routes) is reached.
        TooMany => "too many interfaces, addresses or routes",
        /// The interface does not speak IPv6: it was not enabled there.
        FamilyDisabled => "IPv6 is not enabled on this interface",
        /// It was enabled on this interface already: IPv6, DHCP, or a link-local address.
        AlreadyEnabled => "enabled on this interface already",
        /// It was not enabled on this interface: DHCP.
        NotEnabled => "not enabled on this interface",
        /// The interface has no such address that its owner gave.
        NoSuchAddress => "no such address",
        /// There is no such route that the owner added.
        NoSuchRoute => "no such route",
        /// There is no such interface.
        NoSuchInterface => "no such interface",
        /// Not a VLAN identifier (1 to 4094) or priority (0 to 7), or the parent is a VLAN itself.
        BadVlan => "not a VLAN that can be",
        /// The interface has this VLAN already.
        VlanInUse => "the interface has this VLAN already",
        /// Another interface with the same hardware address makes its IPv6 addresses of it (EUI-64).
        HardwareAddressShared => "another interface makes the same IPv6 address of its hardware address",
        /// A limit is zero or larger than the stack can count.
        LimitOutOfRange => "a configured limit is out of range",
    }

    /// Why a listener was not created.
    ListenError {
        /// The local address is not one of the stack's.
        AddressNotLocal => "the address is not one of ours",
        /// Another listener has this address and port.
        AddressInUse => "address in use",
        /// Port 0, or a backlog of 0.
        Invalid => "port and backlog must not be zero",
        /// All listeners that the configuration allows exist.
        LimitReached => "too many listeners",
    }

    /// Why there is no connection to accept.
    AcceptError {
        /// No listener has this handle (any more): the caller's mistake.
        BadHandle => "stale or foreign handle",
        /// No connection waits.
        WouldBlock => "no connection waiting",
    }

    /// Why a connection could not be started, or a UDP socket not be connected.
    ConnectError {
        /// No UDP socket has this handle (any more): the caller's mistake.
        BadHandle => "stale or foreign handle",
        /// The remote address or port cannot be connected to (unspecified, multicast, port 0).
        Invalid => "not an address that can be connected to",
        /// No route leads to the remote address.
        NoRoute => "no route to host",
        /// The local address is not one of the stack's.
        AddressNotLocal => "the address is not one of ours",
        /// This pair of addresses and ports is in use, or no ephemeral port is free.
        AddressInUse => "address in use",
        /// All connections that the configuration allows exist, or too many UDP sockets share the port.
        LimitReached => "too many connections",
    }

    /// Why a setting was not changed.
    SettingError {
        /// No connection and no listener has this handle (any more): the caller's mistake.
        BadHandle => "stale or foreign handle",
        /// The value is outside the range that the setting has.
        OutOfRange => "the value is out of range",
        /// Connections have as many different combinations of settings as there can be: 256.
        LimitReached => "too many different settings",
    }

    /// Why a connection took no data.
    SendError {
        /// No connection has this handle (any more): the caller's mistake.
        BadHandle => "stale or foreign handle",
        /// The connection is not established yet, or its send buffer is full.
        WouldBlock => "no room in the send buffer",
        /// This side was shut down or closed: the caller's mistake.
        Shutdown => "this side of the connection was shut down",
        /// The peer reset the connection.
        Reset => "connection reset by peer",
        /// The peer refused the connection.
        Refused => "connection refused",
        /// The peer stopped answering.
        TimedOut => "connection timed out",
        /// The network says that the peer cannot be reached.
        Unreachable => "host unreachable",
        /// The address that the connection has is not ours any more.
        AddressGone => "the local address is gone",
    }

    /// Why a connection gave no data. The end of the stream is `Ok(0)`.
    RecvError {
        /// No connection has this handle (any more): the caller's mistake.
        BadHandle => "stale or foreign handle",
        /// No data has arrived.
        WouldBlock => "no data waiting",
        /// The peer reset the connection.
        Reset => "connection reset by peer",
        /// The peer refused the connection.
        Refused => "connection refused",
        /// The peer stopped answering.
        TimedOut => "connection timed out",
        /// The network says that the peer cannot be reached.
        Unreachable => "host unreachable",
        /// The address that the connection had is not ours any more.
        AddressGone => "the local address is gone",
    }

    /// Why a UDP socket was not created.
    BindError {
        /// The local address is not one of the stack's.
        AddressNotLocal => "the address is not one of ours",
        /// Another socket has this address and port, or no ephemeral port is free.
        AddressInUse => "address in use",
        /// All sockets that the configuration allows exist, or 16 share this address and port.
        LimitReached => "too many sockets",
    }

    /// Why a socket's membership of a group was not changed.
    GroupError {
        /// No UDP socket has this handle (any more): the caller's mistake.
        BadHandle => "stale or foreign handle",
        /// Not a group, a source that is no host, or of another family than the socket.
        Invalid => "not a group, or not one of the socket's family",
        /// There is no such interface, none was given and none has the family, or it does not speak
        /// IPv6.
        NoInterface => "no interface for the group",
        /// The socket is a member, or has named the source, already.
        AlreadyMember => "already a member",
        /// The socket is no member, or has not named the source.
        NotMember => "not a member",
        /// The socket listens to all sources but some, or only to some: the change is for the other.
        OtherMode => "the membership is of the other kind",
        /// As many groups or sources as there may be.
        LimitReached => "too many groups or sources",
    }

    /// Why a datagram was not sent.
    SendToError {
        /// No socket has this handle (any more): the caller's mistake.
        BadHandle => "stale or foreign handle",
        /// The destination cannot be sent to (unspecified, port 0).
        Invalid => "not an address that can be sent to",
        /// To a broadcast address, which the socket is not set to: the caller's mistake.
        BroadcastNotAllowed => "broadcasts are not allowed on this socket",
        /// No destination was given, and the socket is not connected.
        NotConnected => "the socket is not connected",
        /// Another destination than the peer that the socket is connected to.
        AlreadyConnected => "the socket is connected to another address",
        /// There is no reservation to send, or it is shorter.
        NothingReserved => "no room of this length was reserved",
        /// Longer than a datagram can be, or than there are frames for; or than the path carries, where it
        /// must leave in one packet.
        MessageTooLong => "message too long",
        /// No route leads to the destination.
        NoRoute => "no route to host",
        /// The address that the socket is bound to is not ours, or not any more.
        AddressNotLocal => "the address is not one of ours",
        /// No frame is free now.
        WouldBlock => "no buffer free",
    }

    /// Why there is no datagram.
    RecvFromError {
        /// No socket has this handle (any more): the caller's mistake.
        BadHandle => "stale or foreign handle",
        /// No datagram waits.
        WouldBlock => "no datagram waiting",
        /// An earlier datagram was answered by ICMP port unreachable (RFC 1122 §4.1.3.3).
        Refused => "connection refused",
        /// An earlier datagram was answered by ICMP host or network unreachable.
        Unreachable => "host unreachable",
        /// An earlier datagram was larger than the path carries, and must not be split
        /// ([`UdpSetting::DontFragment`](crate::udp::UdpSetting::DontFragment)).
        MessageTooLong => "message too long",
        /// An earlier datagram had no hop left, or its fragments no time (RFC 792).
        TimeExceeded => "time to live exceeded",
    }
}

/// The handle given is stale or belongs to another kind of socket: the caller's mistake, and
/// nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadHandle;

impl fmt::Display for BadHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stale or foreign handle")
    }
}

impl core::error::Error for BadHandle {}
