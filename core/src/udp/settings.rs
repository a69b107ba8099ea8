//! What a user may choose for a UDP socket.

use crate::config::Config;
use crate::device::InterfaceId;
use crate::error::SettingError;
use crate::ip::TIME_TO_LIVE;

/// The largest receive buffer: 1 GiB.
const MAX_BUFFER: usize = 1 << 30;

/// Choices that are made when a socket is created.
#[derive(Clone, Copy, Debug, Default)]
pub struct UdpOptions {
    /// Other sockets may have the same address and port, if all of them say so: at most 16, and any
    /// number that are connected, each to a peer of its own. A datagram to a group or a broadcast
    /// reaches each of them that wants it, one to a host the socket that is connected to its sender,
    /// or else the one that was bound last. Default false.
    pub reuse: bool,
}

/// A choice for one UDP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UdpSetting {
    /// The hops that a datagram to one host may take: 1 to 255, default 64.
    TimeToLive(u8),
    /// The differentiated services code point in the upper six bits (RFC 2474 §3), the ECN field in
    /// the lower two (RFC 3168 §5). Default 0.
    TrafficClass(u8),
    /// The hops that a datagram to a group may take: 0 stays within the host, 1, the default, on the
    /// link (RFC 1112 §6.1, RFC 3493 §5.2).
    MulticastTimeToLive(u8),
    /// The interface that datagrams to groups leave by. `None`, the default: that of the socket's own
    /// address, or of a route to the group, or else the first one of the family. A socket that is
    /// connected to a group keeps the one that it had then.
    MulticastInterface(Option<InterfaceId>),
    /// Whether members on this host get what the socket sends to a group. Default true.
    MulticastLoop(bool),
    /// Whether datagrams may be sent to broadcast addresses. Default false, so that an address from
    /// outside cannot make a program talk to everybody.
    Broadcast(bool),
    /// Whether datagrams leave whole or not at all: one that is larger than the path carries is refused,
    /// and reading reports it when the network says so of one that was sent (RFC 8085 §3.2). Default
    /// false.
    DontFragment(bool),
    /// Memory that waiting datagrams may take, in bytes: 1 to 1 GiB; one datagram may always wait. A
    /// datagram counts with the frame that it lies in. Default `Config::udp_receive_buffer`.
    ReceiveBuffer(usize),
}

/// All choices of a UDP socket, as they are now. See [`UdpSetting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UdpSettings {
    /// [`UdpSetting::TimeToLive`].
    pub time_to_live: u8,
    /// [`UdpSetting::TrafficClass`].
    pub traffic_class: u8,
    /// [`UdpSetting::MulticastTimeToLive`].
    pub multicast_time_to_live: u8,
    /// [`UdpSetting::MulticastLoop`].
    pub multicast_loop: bool,
    /// [`UdpSetting::MulticastInterface`].
    pub multicast_interface: Option<InterfaceId>,
    /// [`UdpSetting::Broadcast`].
    pub broadcast: bool,
    /// [`UdpSetting::DontFragment`].
    pub dont_fragment: bool,
    /// [`UdpSetting::ReceiveBuffer`].
    pub receive_buffer: usize,
}

impl UdpSettings {
    /// What a new socket has.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            time_to_live: TIME_TO_LIVE,
            traffic_class: 0,
            multicast_time_to_live: 1,
            multicast_loop: true,
            multicast_interface: None,
            broadcast: false,
            dont_fragment: false,
            receive_buffer: config.udp_receive_buffer,
        }
    }

    /// Takes in a choice. Whether its interface exists is for the stack to say.
    pub(crate) fn set(&mut self, setting: UdpSetting) -> Result<(), SettingError> {
        match setting {
            UdpSetting::TimeToLive(0) => return Err(SettingError::OutOfRange),
            UdpSetting::TimeToLive(hops) => self.time_to_live = hops,
            UdpSetting::TrafficClass(class) => self.traffic_class = class,
            UdpSetting::MulticastTimeToLive(hops) => self.multicast_time_to_live = hops,
            UdpSetting::MulticastInterface(interface) => self.multicast_interface = interface,
            UdpSetting::MulticastLoop(on) => self.multicast_loop = on,
            UdpSetting::Broadcast(on) => self.broadcast = on,
            UdpSetting::DontFragment(on) => self.dont_fragment = on,
            UdpSetting::ReceiveBuffer(bytes) if (1..=MAX_BUFFER).contains(&bytes) => {
                self.receive_buffer = bytes;
            }
            UdpSetting::ReceiveBuffer(_) => return Err(SettingError::OutOfRange),
        }
        Ok(())
    }
}
