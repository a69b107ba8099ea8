//! The addresses of an interface as their owner sees them: how they are to be taken, what state
//! they are in, and what is told when something changes.

use crate::device::InterfaceId;
use bitflags::bitflags;
use core::net::IpAddr;
use core::time::Duration;

/// Whether an IPv4 address is asked for on its link before it is used (RFC 5227 §2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Probing {
    /// It is used and announced at once. What a server wants that boots in milliseconds to an
    /// address that was set aside for it.
    #[default]
    Off,
    /// Three probes, a tenth of a second apart: usable after 0.4 s. Shorter than RFC 5227 §1.1 asks
    /// for, which thinks of slow links; enough for every host that answers within that time.
    Brief,
    /// As RFC 5227 §1.1 has it: three probes, usable after 4 to 7 s.
    Full,
}

/// What happens to an IPv4 address in use when somebody else turns out to use it as well (RFC 5227
/// §2.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnConflict {
    /// It is defended with an announcement, at most every 10 s, and never given up (§2.4 (c)).
    #[default]
    Keep,
    /// It is defended once, and given up if there is another conflict within 10 s (§2.4 (b)).
    DefendOnce,
    /// It is given up at once (§2.4 (a)).
    GiveUp,
}

/// How an IPv4 address is taken. IPv6 addresses are always probed, as
/// [`Ipv6Config::dad_transmits`](crate::config::Ipv6Config::dad_transmits) says, and kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressOptions {
    /// Whether it is asked for first. Default: no.
    pub probing: Probing,
    /// What a conflict later means. Default: the address is kept.
    pub on_conflict: OnConflict,
}

/// What an address can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressState {
    /// Nothing yet: it is being asked for.
    Tentative,
    /// Everything.
    Usable,
    /// What is open goes on; new connections leave from other addresses, where there are some
    /// (RFC 4862 §5.5.4).
    Deprecated,
    /// Nothing: somebody else has it. It stays in the list so that this is told, and until it is
    /// removed or added again.
    Duplicate,
}

/// Where an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressOrigin {
    /// The owner of the stack gave it.
    Static,
    /// A DHCP server lends it.
    Dhcp,
    /// Made by the stack itself, for this link only (RFC 3927, RFC 4862 §5.3).
    LinkLocal,
    /// Made of a router's prefix (RFC 4862 §5.5).
    Router,
    /// The same at random, for a day (RFC 8981).
    Temporary,
}

/// One of an interface's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressInfo {
    /// The address.
    pub address: IpAddr,
    /// The length of its network's prefix in bits.
    pub prefix_len: u8,
    /// What it can be used for.
    pub state: AddressState,
    /// Where it comes from.
    pub origin: AddressOrigin,
    /// How long from now on it is preferred; `None`: for ever.
    pub preferred: Option<Duration>,
    /// How long from now on it is ours; `None`: for ever.
    pub valid: Option<Duration>,
}

bitflags! {
    /// What has changed on an interface since it was last told.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct NetworkChanges: u32 {
        /// An address became usable.
        const ADDRESS_USABLE = 1 << 0;
        /// An address is not ours any more: its lease or lifetime is over, it was removed, or it was
        /// given up.
        const ADDRESS_GONE = 1 << 1;
        /// Somebody else uses an address of ours, or one that was to become ours.
        const ADDRESS_CONFLICT = 1 << 2;
        /// There is a default route of one family where there was none, or none any more, or it
        /// leads to another gateway.
        const DEFAULT_ROUTE = 1 << 3;
        /// DNS servers or search domains came or went.
        const DNS = 1 << 4;
        /// A DHCP lease was obtained, says something else than before, or is over.
        const LEASE = 1 << 5;
        /// A DHCP server offers a lease, and its owner is to decide.
        const DHCP_OFFER = 1 << 6;
    }
}

/// Something changed on an interface: look there what is true now.
///
/// Of each interface and kind of change there is at most one that waits, so none can be lost, and
/// something that came and went again may be told as both, in one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetworkEvent {
    /// Where.
    pub interface: InterfaceId,
    /// What.
    pub changes: NetworkChanges,
}
