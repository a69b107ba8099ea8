//! An interface and our addresses on it.

use super::groups::Groups;
use super::is_host;
use super::resolvers::Resolvers;
use super::v4::Ipv4Addresses;
use super::v6::{self, Ipv6Addresses};
use crate::address::NetworkChanges;
use crate::device::LinkCounters;
use crate::dhcp6::Dhcp6;
use crate::rng::Rng;
use crate::stack::DhcpClient;
use crate::time::{Instant, nanos};
use crate::wire::ethernet::EthernetAddress;
use crate::wire::ipv6::MIN_MTU;
use alloc::boxed::Box;
use core::net::IpAddr;
use core::time::Duration;

/// An interface.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) hardware: EthernetAddress,
    /// Largest packet that it carries.
    pub(crate) mtu: usize,
    pub(crate) v4: Ipv4Addresses,
    /// `None`: DHCP was not started.
    pub(crate) dhcp: Option<Box<dyn DhcpClient>>,
    /// What has changed and was not told yet.
    pub(crate) changes: NetworkChanges,
    /// Where its default routes led when that was looked at last: IPv4's, IPv6's.
    pub(crate) default_gateways: [Option<IpAddr>; 2],
    /// The groups that it listens to, of both families.
    pub(crate) groups: Groups,
    /// `None`: it does not speak IPv6.
    pub(crate) v6: Option<Ipv6>,
    /// Apart, since it is large and seldom asked for.
    pub(crate) resolvers: Box<Resolvers>,
    /// The interface whose device its frames leave by: itself, or that of the VLAN.
    pub(crate) device: u8,
    /// The control word of the tags of its frames, if it is a VLAN.
    pub(crate) tag: Option<u16>,
    pub(crate) counters: LinkCounters,
}

/// Bytes of an interface.
pub(crate) const INTERFACE_BYTES: usize =
    size_of::<Interface>() + size_of::<Resolvers>() + Groups::BYTES;

/// What an interface knows for IPv6.
#[derive(Debug)]
pub(crate) struct Ipv6 {
    pub(crate) addresses: Ipv6Addresses,
    /// Largest packet, if routers say (RFC 4861 §4.6.4), or more than any interface carries.
    pub(crate) mtu: usize,
    /// Whether routers are believed.
    pub(crate) accepts_routers: bool,
    pub(crate) solicitation: Solicitation,
    pub(crate) dhcp6: Dhcp6,
}

impl Interface {
    pub(crate) fn new(hardware: EthernetAddress, mtu: usize, device: u8, tag: Option<u16>) -> Self {
        Self {
            hardware,
            mtu,
            v4: Ipv4Addresses::default(),
            dhcp: None,
            changes: NetworkChanges::empty(),
            default_gateways: [None; 2],
            groups: Groups::new(),
            v6: None,
            resolvers: Box::new(Resolvers::new()),
            device,
            tag,
            counters: LinkCounters::default(),
        }
    }

    /// Whether this is one of our addresses here.
    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.owns(address),
            IpAddr::V6(address) => self
                .v6
                .as_ref()
                .is_some_and(|v6| v6.addresses.owns(address)),
        }
    }

    /// Whether a neighbour here can have this address, by our own addresses that do not come from
    /// routers, those that are being probed included.
    pub(crate) fn will_be_on_link(&self, address: IpAddr) -> bool {
        let on_link = match address {
            IpAddr::V4(v4) => self.v4.will_be_on_link(v4),
            IpAddr::V6(v6) => {
                let addresses = self.v6.as_ref().map(|v6| &v6.addresses);
                addresses.is_some_and(|addresses| addresses.is_on_link(v6))
            }
        };
        on_link && self.is_host(address)
    }

    /// Whether one host can have this address, as far as the networks of this interface say.
    pub(crate) fn is_host(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => is_host(v4) && !self.v4.is_broadcast(v4),
            IpAddr::V6(v6) => v6::is_host(v6) && self.v6.is_some(),
        }
    }

    /// Whether an address of ours that does not come from a router has this network.
    pub(crate) fn has_network(&self, (address, prefix_len): (IpAddr, u8)) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.has_network((v4, prefix_len)),
            IpAddr::V6(address) => self
                .v6
                .as_ref()
                .is_some_and(|v6| v6.addresses.has_network((address, prefix_len))),
        }
    }

    /// Whether frames to this Ethernet address, which is not the interface's, may be for us.
    pub(crate) fn listens_on(&self, destination: EthernetAddress) -> bool {
        destination == EthernetAddress::BROADCAST || self.groups.listens_on(destination)
    }

    /// Largest packet of the family of `address`.
    pub(crate) fn mtu_for(&self, address: IpAddr) -> usize {
        self.mtu_of(address.is_ipv6())
    }

    /// Largest packet of a family. A DHCP server may say of the link that it carries less than IPv6
    /// must have (RFC 8200 §5), but not to IPv6.
    pub(crate) fn mtu_of(&self, ipv6: bool) -> usize {
        match &self.v6 {
            Some(v6) if ipv6 => v6.mtu.min(self.mtu.max(MIN_MTU)),
            _ => self.mtu,
        }
    }
}

/// Router solicitations: until a router answers, ever more seldom (RFC 4861 §6.3.7, RFC 7559).
#[derive(Debug)]
pub(crate) struct Solicitation {
    at: Instant,
    interval: Duration,
}

impl Solicitation {
    /// IRT of RFC 7559 §2, RTR_SOLICITATION_INTERVAL of RFC 4861 §10.
    const FIRST_INTERVAL: Duration = Duration::from_secs(4);
    /// MRT of RFC 7559 §2.
    const MAX_INTERVAL: Duration = Duration::from_secs(3_600);

    /// None is to be sent yet.
    pub(crate) fn new() -> Self {
        Self {
            at: Instant::FAR_FUTURE,
            interval: Self::FIRST_INTERVAL,
        }
    }

    /// Begins to solicit.
    pub(crate) fn start(&mut self, now: Instant) {
        self.at = now;
        self.interval = Self::FIRST_INTERVAL;
    }

    /// A router has answered.
    pub(crate) fn stop(&mut self) {
        self.at = Instant::FAR_FUTURE;
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        Some(self.at).filter(|at| *at != Instant::FAR_FUTURE)
    }

    /// Whether one is to be sent now. The next one comes after twice the time, more or less a tenth
    /// by chance (RFC 8415 §15).
    pub(crate) fn take(&mut self, now: Instant, rng: &mut Rng) -> bool {
        if now < self.at {
            return false;
        }
        let tenth = self.interval / 10;
        let jitter = u64::from(rng.u32()) % nanos(2 * tenth).max(1);
        self.at = now + (self.interval - tenth + Duration::from_nanos(jitter));
        self.interval = (self.interval * 2).min(Self::MAX_INTERVAL);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solicitations_become_seldom_and_end_with_an_answer() {
        let (mut solicitation, mut rng) = (Solicitation::new(), Rng::new([1; 32]));
        assert_eq!(solicitation.next_timeout(), None);
        let mut now = Instant::from_millis(1_000);
        solicitation.start(now);
        let mut gaps = std::vec::Vec::new();
        while gaps.len() < 14 {
            assert!(solicitation.take(now, &mut rng) && !solicitation.take(now, &mut rng));
            let next = solicitation.next_timeout().unwrap();
            gaps.push((next - now).as_millis());
            now = next;
        }
        for (gap, expected) in gaps.iter().zip([4_000u128, 8_000, 16_000, 32_000]) {
            assert!(
                (expected * 9 / 10..=expected * 11 / 10).contains(gap),
                "{gaps:?}"
            );
        }
        assert!((3_240_000..=3_960_000).contains(&gaps[13]), "{gaps:?}");
        solicitation.stop();
        assert!(!solicitation.take(now, &mut rng));
    }
}
