//! What passes between the layers: the shared resources, packets going up, packets going down.

use crate::counters::Counters;
use crate::demux::Address;
use crate::pool::{Frame, FramePool};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::ecn::Ecn;
use core::net::IpAddr;

/// The stack's shared resources, lent to a layer for one call.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) pool: &'a mut FramePool,
    pub(crate) rng: &'a mut Rng,
    pub(crate) counters: &'a mut Counters,
}

/// A packet that IP hands up. The frame's descriptor delimits the transport header and payload;
/// the IP header still lies in front of it.
pub(crate) struct Incoming {
    pub(crate) frame: Frame,
    /// Checked by IP: never unspecified, multicast or broadcast.
    pub(crate) source: IpAddr,
    /// One of our unicast addresses (UDP also: broadcast).
    pub(crate) destination: IpAddr,
    /// The device or IP has verified the transport checksum.
    pub(crate) checksum_verified: bool,
    /// MTU of the interface on which it came, for the MSS that we announce.
    pub(crate) mtu: usize,
    /// The ECN field of its IP header.
    pub(crate) ecn: Ecn,
}

/// A packet that a transport hands down: IP and link headers go in front of `start`.
pub(crate) struct Outgoing {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) protocol: u8,
    pub(crate) time_to_live: u8,
    /// The differentiated services code point, in the upper six bits (RFC 2474 §3).
    pub(crate) traffic_class: u8,
    /// The ECN field for its IP header.
    pub(crate) ecn: Ecn,
    pub(crate) payload: OutgoingFrame,
}

/// Who owns the frame of an [`Outgoing`] packet once it is on the wire.
pub(crate) enum OutgoingFrame {
    /// The stack frees it after transmission. Its descriptor delimits the transport packet.
    Owned(Frame),
    /// It stays with the transport (a segment that may have to be sent again), which gives a
    /// view of it: pool index, and the transport packet's place within the frame. At least
    /// `HEADROOM - 60` bytes in front of `start` are free to be overwritten.
    Lent { index: u32, start: u16, len: u16 },
}

/// What an ICMP error says about a packet of ours. IP has checked that the quoted packet came from
/// one of our addresses; the transport checks the ports, and TCP the sequence number (RFC 5927).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IcmpError {
    /// The network or the host cannot be reached, or the way there is forbidden: may pass.
    Unreachable,
    /// The host does not speak the transport protocol.
    ProtocolUnreachable,
    /// Nobody listens on the port.
    PortUnreachable,
    /// The packet is larger than the path carries: the MTU of the next hop (RFC 1191 §4), at
    /// least `Config::min_path_mtu`; IP drops claims of less.
    FragmentationNeeded { mtu: u16 },
    /// The packet ran out of hops or of time: may pass.
    TimeExceeded,
    /// A header field was not understood.
    ParameterProblem,
}
