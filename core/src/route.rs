//! Routes, as the owner of a stack gives and sees them.

use crate::device::InterfaceId;
use crate::time::Instant;
use core::net::IpAddr;

/// Whom packets that match a route are handed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// A router: a neighbour on the interface.
    Gateway {
        /// The interface.
        interface: InterfaceId,
        /// The router's address, of the destination's family.
        address: IpAddr,
    },
    /// The destinations themselves: they are neighbours on the interface.
    OnLink {
        /// The interface.
        interface: InterfaceId,
    },
    /// Nobody: calls are refused with "no route", and packets of connections dropped and counted.
    Unreachable,
}

/// A route of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// The first of the addresses that it leads to.
    pub destination: IpAddr,
    /// Bits that all of them share: 0 to 32, or 0 to 128.
    pub prefix_len: u8,
    /// Whom the packets are handed to.
    pub next_hop: NextHop,
    /// Among routes of the owner to the same hosts the least goes first; 0 for those of routers.
    pub metric: u32,
    /// When it ends, if a router told of it (RFC 4861, RFC 4191); `None`: it is the owner's, or comes
    /// with an address or a lease, for as long as that holds.
    pub expires: Option<Instant>,
    /// False if the gateway did not answer when it was asked for last: other ways go first.
    pub answers: bool,
}
