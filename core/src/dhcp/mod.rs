//! The DHCPv4 client (RFC 2131): what it wants, what it was lent, and the machine between.
//!
//! `client` is the state machine; it knows no frames and no routes. `lease` is what a server has
//! said. The stack's `dhcp` joins them to an interface.

mod client;
mod lease;

pub use client::DhcpState;
pub(crate) use client::{Action, Client, Sending, Verdict};
pub use lease::Lease;
pub(crate) use lease::LeaseRoute;

use crate::address::Probing;
use core::net::Ipv4Addr;

/// Most options that an owner can ask for beside the usual ones.
pub const MAX_REQUESTS: usize = 32;
/// Most bytes of a client identifier of the owner's.
pub const MAX_CLIENT_ID: usize = 64;

/// Who the client says it is (RFC 2132 §9.14).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClientId {
    /// Its Ethernet address: what servers are mostly configured with.
    #[default]
    Hardware,
    /// The form of RFC 4361: the interface's number, and a DUID that is made of the Ethernet
    /// address.
    Node,
    /// These bytes: the first is a type, 0 for free text.
    Given(heapless::Vec<u8, MAX_CLIENT_ID>),
}

/// What a DHCP client is to do.
#[derive(Clone, Debug)]
pub struct DhcpConfig {
    /// Who it says it is.
    pub client_id: ClientId,
    /// The host's name, for the server to know. Default: none.
    pub hostname: Option<heapless::String<63>>,
    /// Options to ask for beside mask, routers, routes, DNS, domains, NTP, MTU and the times.
    pub requests: heapless::Vec<u8, MAX_REQUESTS>,
    /// An address of an earlier run: the server is asked whether it still holds (INIT-REBOOT), which
    /// saves a round trip and keeps the address. Default: none.
    pub previous: Option<Ipv4Addr>,
    /// How the address is asked for on the link before it is used; if somebody has it, it is
    /// declined, and the next attempt follows 10 s later (RFC 2131 §3.1 (5)). Default
    /// [`Probing::Brief`].
    pub probing: Probing,
    /// Whether each new lease waits for its owner's word
    /// ([`Stack::dhcp_answer`](crate::Stack::dhcp_answer)). Default: no, each is taken.
    pub ask: bool,
    /// Whether the interface adopts the MTU that the server names, if it is at least 576 and no
    /// larger than the device's. IPv6 has at least 1,280 all the same. Default: no, a wrong one makes
    /// everything slow.
    pub adopt_mtu: bool,
    /// Whether there is a link-local address (RFC 3927) as long as no server has answered for ten
    /// seconds. Default: no.
    pub link_local: bool,
}

impl Default for DhcpConfig {
    fn default() -> Self {
        Self {
            client_id: ClientId::default(),
            hostname: None,
            requests: heapless::Vec::new(),
            previous: None,
            probing: Probing::Brief,
            ask: false,
            adopt_mtu: false,
            link_local: false,
        }
    }
}
