//! What a stack tells a person: connections that begin and end, addresses, leases, routes and
//! neighbours that come and go, conflicts, paths that carry less, and what was dropped and why.
//!
//! Who wants to know makes an [`Observer`] and asks it now and then. Most of what it tells it finds by
//! comparing the stack with what it was the last time, counters included, so that the stack does no
//! work for it; only what leaves no trace behind (the end of a connection, whose address somebody else
//! has) is written into a journal, a ring of fixed size that is there once there is an observer.
//!
//! Nobody outside can flood the log. Whatever arrives, an observer gives [`BURST`] events at once and
//! then [`PER_SECOND`] in a second. What was dropped is not told packet by packet, but once a second as
//! "so many for this reason"; connections that come faster are counted, and the count is told, as far as
//! the filter lets them through.
//!
//! Events are values, and [`LogEvent::render`] makes text of them without the machinery of
//! `core::fmt`, which is larger than all of this.

mod filter;
mod journal;
mod observer;
mod render;

pub use filter::{BadFilter, Filter};
pub(crate) use journal::{Change, Journal, Missed};
pub use observer::{BURST, Observer, PER_SECOND};

use crate::address::{AddressOrigin, AddressState};
use crate::device::InterfaceId;
use crate::route::NextHop;
use crate::time::Instant;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

/// How much an event matters. The numbers are those of the C interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something does not work, and somebody has to do something about it.
    Error = 1,
    /// Something is wrong that the stack copes with: somebody else has our address, a gateway is gone.
    Warn = 2,
    /// What an operator may want to know: addresses, leases and routes come and go, connections fail.
    Info = 3,
    /// What helps to find a fault: each connection, each reason for which packets are dropped.
    Debug = 4,
}

impl Level {
    /// All, the most important first.
    pub const ALL: [Self; 4] = [Self::Error, Self::Warn, Self::Info, Self::Debug];

    /// Its name in filters and lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// The part of the stack that an event is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Module {
    /// Interfaces and Ethernet.
    Link,
    /// ARP and neighbour discovery.
    Neighbour,
    /// Addresses, routes and paths of both families, and fragments.
    Ip,
    /// ICMP of both families.
    Icmp,
    /// IGMP and MLD.
    Group,
    /// DHCP of both families.
    Dhcp,
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
}

impl Module {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Link,
        Self::Neighbour,
        Self::Ip,
        Self::Icmp,
        Self::Group,
        Self::Dhcp,
        Self::Udp,
        Self::Tcp,
    ];

    /// Its name in filters and lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Neighbour => "neighbour",
            Self::Ip => "ip",
            Self::Icmp => "icmp",
            Self::Group => "group",
            Self::Dhcp => "dhcp",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// The part that a counter is about.
    fn of_counter(name: &str) -> Self {
        match name.split('_').next() {
            Some("arp" | "nd" | "neighbour") => Self::Neighbour,
            Some("ip") => Self::Ip,
            Some("icmp") => Self::Icmp,
            Some("igmp" | "mld") => Self::Group,
            Some("dhcp" | "dhcp6") => Self::Dhcp,
            Some("udp") => Self::Udp,
            Some("tcp") => Self::Tcp,
            _ => Self::Link,
        }
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// When it was noticed.
    pub at: Instant,
    /// How much it matters.
    pub level: Level,
    /// What it is about.
    pub module: Module,
    /// What it is.
    pub kind: LogKind,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// Both sides have finished.
    Closed,
    /// By us, with a reset.
    Aborted,
    /// By the peer, with a reset.
    Reset,
    /// It was never open: the peer refused it.
    Refused,
    /// The peer is silent.
    TimedOut,
    /// The peer cannot be reached.
    Unreachable,
    /// Our address is not ours any more.
    AddressGone,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogKind {
    /// A connection is open.
    Opened {
        /// Our end.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
        /// The peer has asked for it, not we.
        passive: bool,
    },
    /// A connection, or an attempt to open one, is over.
    Ended {
        /// Our end.
        local: SocketAddr,
        /// The peer's.
        remote: SocketAddr,
        /// Why.
        how: End,
    },
    /// There is an address, or its state is another.
    Address {
        /// Whose.
        interface: InterfaceId,
        /// The address.
        address: IpAddr,
        /// Bits of it that are its network's.
        prefix_len: u8,
        /// What it can be used for now.
        state: AddressState,
        /// Where it comes from.
        origin: AddressOrigin,
    },
    /// An address is not there any more.
    AddressGone {
        /// Whose it was.
        interface: InterfaceId,
        /// The address.
        address: IpAddr,
        /// Bits of it that are its network's.
        prefix_len: u8,
    },
    /// Somebody else says that an address of ours, or one that was to become ours, is theirs.
    Conflict {
        /// Whose it is.
        interface: InterfaceId,
        /// The address.
        address: IpAddr,
        /// Who says so: the Ethernet address; zero where the message has none.
        hardware: [u8; 6],
    },
    /// A lease of DHCPv4 was obtained, renewed on other terms, or taken from another server.
    Lease {
        /// Whose.
        interface: InterfaceId,
        /// The address.
        address: IpAddr,
        /// The server.
        server: IpAddr,
        /// For how long; `None`: for ever.
        duration: Option<Duration>,
    },
    /// A lease is over, or was given back.
    LeaseGone {
        /// Whose it was.
        interface: InterfaceId,
        /// The address.
        address: IpAddr,
    },
    /// There is a route, or none any more.
    Route {
        /// The first address that it leads to.
        destination: IpAddr,
        /// Bits that all of them share.
        prefix_len: u8,
        /// Whom the packets are handed to.
        next_hop: NextHop,
        /// It is there.
        there: bool,
    },
    /// The gateway of a route does not answer, or answers again.
    Gateway {
        /// The gateway.
        address: IpAddr,
        /// It answers.
        answers: bool,
    },
    /// A neighbour's Ethernet address is known now.
    Neighbour {
        /// On which link.
        interface: InterfaceId,
        /// The neighbour.
        address: IpAddr,
        /// Its Ethernet address.
        hardware: [u8; 6],
    },
    /// The path to an address carries less than was thought.
    PathMtu {
        /// The address.
        address: IpAddr,
        /// Bytes of the largest packet.
        mtu: u16,
    },
    /// A counter that stands for something unusual has grown: what was dropped, and such.
    Counted {
        /// The counter's name, which is the reason.
        counter: &'static str,
        /// By how much.
        times: u64,
    },
    /// More happened than was told in this part of the stack; the most important of it has this level.
    Missed {
        /// So many events that the filter lets through.
        events: u64,
    },
}
