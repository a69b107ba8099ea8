//! The life of our addresses: how they are added, probed, announced, defended, removed and lost, and
//! what is told of that.

use super::dhcp::Input;
use super::{Stack, context};
use crate::address::{AddressInfo, AddressOptions, AddressOrigin, NetworkChanges, NetworkEvent};
use crate::device::InterfaceId;
use crate::error::ConfigError;
use crate::ip::{Conflict, Ipv4Event, Prefix, Route};
use crate::time::Instant;
use crate::wire::arp::{ArpPacket, Operation};
use crate::wire::ethernet::EthernetAddress;
use core::net::{IpAddr, Ipv4Addr};

impl Stack {
    /// Gives an interface an address, with a route to the hosts that share `prefix_len` bits (1 to
    /// 32, or 1 to 128) with it.
    ///
    /// An IPv4 address is ours at once, announced on the link (RFC 5227 §2.3) and kept whatever
    /// others say; [`Stack::add_address_with`] has other choices. An IPv6 address is ours once it
    /// was probed, a second later, and not at all if somebody has it (RFC 4862 §5.4);
    /// [`Stack::address_list`] tells.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::BadAddress`] for what no host can have, and
    /// an address that is ours already; [`ConfigError::FamilyDisabled`] for IPv6 before
    /// [`Stack::enable_ipv6`]; [`ConfigError::TooMany`] (8 IPv4 and 16 IPv6 addresses for each
    /// interface).
    pub fn add_address(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
        prefix_len: u8,
    ) -> Result<(), ConfigError> {
        let options = AddressOptions::default();
        self.add_address_with(now, interface, address, prefix_len, options)
    }

    /// [`Stack::add_address`] with all choices: whether an IPv4 address is probed before it is used
    /// (RFC 5227 §2.1), and what a conflict later means (§2.4). What becomes of it is told by
    /// [`Stack::poll_network_event`] and [`Stack::address_list`]. An address that turned out to be
    /// somebody else's may be added again.
    ///
    /// # Errors
    /// As [`Stack::add_address`].
    pub fn add_address_with(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
        prefix_len: u8,
        options: AddressOptions,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        match address {
            IpAddr::V4(address) => {
                let network = (address, prefix_len);
                self.add_ipv4_address(interface, network, AddressOrigin::Static, options)
            }
            IpAddr::V6(address) => self.add_ipv6_address(interface, address, prefix_len),
        }
    }

    pub(super) fn add_ipv4_address(
        &mut self,
        interface: InterfaceId,
        (address, prefix_len): (Ipv4Addr, u8),
        origin: AddressOrigin,
        options: AddressOptions,
    ) -> Result<(), ConfigError> {
        // What is ours on another interface; on this one the list of addresses decides.
        let elsewhere = |(id, other): (usize, &crate::ip::Interface)| {
            id != interface.index() && other.v4.claims(address)
        };
        if self.interfaces.iter().enumerate().any(elsewhere) {
            return Err(ConfigError::BadAddress);
        }
        let prefix = Prefix::new(address.into(), prefix_len).ok_or(ConfigError::BadAddress)?;
        let entry = self
            .interfaces
            .get_mut(interface.index())
            .ok_or(ConfigError::NoSuchInterface)?;
        let route = link_route(prefix, interface.0, origin);
        if !self.routes.has_room_for(&route) {
            return Err(ConfigError::TooMany);
        }
        let network = (address, prefix_len);
        entry
            .v4
            .add(self.now, network, origin, options, &mut self.rng)?;
        if entry.v4.owns(address) {
            entry.changes |= NetworkChanges::ADDRESS_USABLE;
        }
        self.ipv4_due = Instant::ZERO;
        self.routes.add(route)?;
        self.routes_changed();
        Ok(())
    }

    /// Takes an address away that the owner gave, in use or not. Its connections end with an error
    /// of their own and without a word to their peers (abort them first, where peers are to know);
    /// sockets that are bound to it get nothing more until it is ours again. With it go the route to
    /// its network and the owner's routes whose gateways no other address of the interface reaches.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::NoSuchAddress`], also for addresses that
    /// routers, DHCP or the stack itself gave.
    pub fn remove_address(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        address: IpAddr,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        if self.interfaces.get(interface.index()).is_none() {
            return Err(ConfigError::NoSuchInterface);
        }
        let is_static =
            |info: AddressInfo| (info.address, info.origin) == (address, AddressOrigin::Static);
        if !self.address_list(interface).any(is_static) {
            return Err(ConfigError::NoSuchAddress);
        }
        match address {
            IpAddr::V4(address) => self.drop_ipv4_address(interface.0, address),
            IpAddr::V6(address) => self.drop_ipv6_address(interface.0, address),
        }
        Ok(())
    }

    /// Takes an IPv4 address away, wherever it came from.
    pub(super) fn drop_ipv4_address(&mut self, id: u8, address: Ipv4Addr) {
        let Some(entry) = self.interfaces.get_mut(usize::from(id)) else {
            return;
        };
        let used = entry.v4.owns(address);
        let Some((prefix_len, _)) = entry.v4.take(address) else {
            return;
        };
        self.ipv4_due = Instant::ZERO;
        self.address_gone(id, (address.into(), prefix_len), used);
    }

    /// What goes with an address that was taken out of its list: `used`, connections as well.
    pub(super) fn address_gone(&mut self, id: u8, (address, prefix_len): (IpAddr, u8), used: bool) {
        let Some(entry) = self.interfaces.get_mut(usize::from(id)) else {
            return;
        };
        if used {
            entry.changes |= NetworkChanges::ADDRESS_GONE;
            self.tcp.address_gone(&mut context!(self), address);
        }
        let Some(entry) = self.interfaces.get(usize::from(id)) else {
            return;
        };
        if !entry.has_network((address, prefix_len))
            && let Some(network) = Prefix::new(address, prefix_len)
        {
            let family = address.is_ipv4();
            self.routes.leave_network(network, id, |gateway| {
                gateway.is_ipv4() != family || entry.will_be_on_link(gateway)
            });
        }
        self.routes_changed();
    }

    /// The addresses of an interface that are ours now, with the lengths of their prefixes. IPv6
    /// addresses appear once nobody has objected to them, a second after they were added.
    pub fn addresses(&self, interface: InterfaceId) -> impl Iterator<Item = (IpAddr, u8)> {
        let entry = self.interfaces.get(interface.index());
        let v4 = entry.into_iter().flat_map(|entry| entry.v4.iter());
        let v6 = entry.and_then(|entry| entry.v6.as_ref());
        let v6 = v6.into_iter().flat_map(|v6| v6.addresses.iter());
        v4.map(|(address, len)| (address.into(), len))
            .chain(v6.map(|(address, len)| (address.into(), len)))
    }

    /// The prefix of an address of ours is another one; nothing else changes.
    pub(super) fn change_prefix(
        &mut self,
        id: u8,
        (address, old_len): (Ipv4Addr, u8),
        prefix_len: u8,
    ) {
        let Some(entry) = self.interfaces.get_mut(usize::from(id)) else {
            return;
        };
        entry.v4.change_prefix(address, prefix_len);
        if let Some(prefix) = Prefix::new(address.into(), prefix_len) {
            // If there is no room, the network is reached over a router, or not at all.
            let _ = self.routes.add(link_route(prefix, id, AddressOrigin::Dhcp));
        }
        self.address_gone(id, (address.into(), old_len), false);
    }

    /// Every address of an interface with its state, where it comes from, and how long it holds: of
    /// IPv4 first. Also those that are not usable yet, and those that were not to be had.
    pub fn address_list(&self, interface: InterfaceId) -> impl Iterator<Item = AddressInfo> {
        let entry = self.interfaces.get(interface.index());
        let ends_at = self.dhcp_lease(interface).map(|lease| lease.expires_at);
        let left = ends_at.filter(|end| *end != Instant::FAR_FUTURE);
        let left = left.map(|end| end - self.now);
        let v4 = entry.into_iter().flat_map(|entry| entry.v4.iter_all());
        let v4 = v4.map(move |info| match info.origin {
            AddressOrigin::Dhcp => AddressInfo {
                preferred: left,
                valid: left,
                ..info
            },
            _ => info,
        });
        let v6 = entry.and_then(|entry| entry.v6.as_ref());
        let v6 = v6
            .into_iter()
            .flat_map(|v6| v6.addresses.iter_all(self.now));
        v4.chain(v6)
    }

    /// Looks for an address of 169.254/16 for an interface, which only hosts on the same link can
    /// reach (RFC 3927). It is probed, usable after 4 to 7 s, given up when somebody else insists on
    /// it, and then another one is tried. Routers are never given packets from or to such addresses.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::AlreadyEnabled`];
    /// [`ConfigError::TooMany`].
    pub fn enable_link_local(
        &mut self,
        now: Instant,
        interface: InterfaceId,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        let entry = self
            .interfaces
            .get(interface.index())
            .ok_or(ConfigError::NoSuchInterface)?;
        if entry.v4.wants_link_local() {
            return Err(ConfigError::AlreadyEnabled);
        }
        self.try_link_local(interface.0)
    }

    fn try_link_local(&mut self, id: u8) -> Result<(), ConfigError> {
        let entry = self
            .interfaces
            .get_mut(usize::from(id))
            .ok_or(ConfigError::NoSuchInterface)?;
        let (address, prefix_len) =
            entry
                .v4
                .try_link_local(self.now, entry.hardware, &mut self.rng)?;
        self.ipv4_due = Instant::ZERO;
        let network = Prefix::new(address.into(), prefix_len).ok_or(ConfigError::BadAddress)?;
        let added = self
            .routes
            .add(link_route(network, id, AddressOrigin::LinkLocal));
        if let Err(error) = added {
            self.disable_link_local_of(id);
            return Err(error);
        }
        self.routes_changed();
        Ok(())
    }

    /// Ends what [`Stack::enable_link_local`] has begun; the address goes.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::NoSuchAddress`]: it was not enabled.
    pub fn disable_link_local(
        &mut self,
        now: Instant,
        interface: InterfaceId,
    ) -> Result<(), ConfigError> {
        self.advance(now);
        let entry = self
            .interfaces
            .get(interface.index())
            .ok_or(ConfigError::NoSuchInterface)?;
        if !entry.v4.wants_link_local() {
            return Err(ConfigError::NoSuchAddress);
        }
        self.disable_link_local_of(interface.0);
        Ok(())
    }

    fn disable_link_local_of(&mut self, id: u8) {
        let entry = self.interfaces.get_mut(usize::from(id));
        if let Some(address) = entry.and_then(|entry| entry.v4.end_link_local()) {
            self.drop_ipv4_address(id, address);
        }
    }

    /// The next interface on which something has changed since this was asked last; `None`: no more.
    pub fn poll_network_event(&mut self) -> Option<NetworkEvent> {
        for (id, interface) in (0u8..).zip(&mut self.interfaces) {
            let mut changes = core::mem::take(&mut interface.changes);
            changes.set(NetworkChanges::DNS, interface.resolvers.take_changed());
            if !changes.is_empty() {
                let interface = InterfaceId(id);
                return Some(NetworkEvent { interface, changes });
            }
        }
        None
    }

    /// Whether [`Stack::poll_network_event`] has something to tell.
    #[must_use]
    pub fn has_network_event(&self) -> bool {
        let mut all = self.interfaces.iter();
        all.any(|entry| !entry.changes.is_empty() || entry.resolvers.has_changed())
    }

    /// Notes what has changed on an interface.
    pub(super) fn changed(&mut self, id: u8, changes: NetworkChanges) {
        if let Some(entry) = self.interfaces.get_mut(usize::from(id)) {
            entry.changes |= changes;
        }
    }

    /// Routes or addresses are others now: what the destination cache knows may hold no longer.
    #[cold]
    pub(super) fn routes_changed(&mut self) {
        self.routes_generation = self.routes_generation.wrapping_add(1);
        for (id, interface) in (0u8..).zip(&mut self.interfaces) {
            let gateways = self.routes.default_gateways(id);
            if gateways != interface.default_gateways {
                interface.default_gateways = gateways;
                interface.changes |= NetworkChanges::DEFAULT_ROUTE;
            }
        }
    }

    /// Somebody else has an IPv4 address that we use or probe. `false`: we do neither.
    pub(super) fn ipv4_conflict(&mut self, id: u8, address: Ipv4Addr) -> bool {
        let Some(entry) = self.interfaces.get_mut(usize::from(id)) else {
            return false;
        };
        let prefix_len = entry
            .v4
            .iter_all()
            .find(|info| info.address == address)
            .map(|info| info.prefix_len);
        let (Some(conflict), Some(prefix_len)) = (entry.v4.conflict(self.now, address), prefix_len)
        else {
            return false;
        };
        entry.changes |= NetworkChanges::ADDRESS_CONFLICT;
        self.ipv4_due = Instant::ZERO;
        match conflict {
            Conflict::Kept { defended } => self.counters.arp_defended += u64::from(defended),
            Conflict::Lost { origin, used } => {
                self.counters.arp_given_up += 1;
                self.address_gone(id, (address.into(), prefix_len), used);
                if origin == AddressOrigin::Dhcp {
                    self.run_dhcp(id, Input::Conflict(address));
                }
                if origin == AddressOrigin::LinkLocal {
                    // There is room: an address was just taken out.
                    let _ = self.try_link_local(id);
                }
            }
        }
        true
    }

    /// Does one thing that is due with our IPv4 addresses. Whether there may be more.
    pub(super) fn send_due_ipv4(&mut self) -> bool {
        if self.now < self.ipv4_due {
            return false;
        }
        for id in 0..self.interfaces.len() {
            let entry = &mut self.interfaces[id];
            if let (Some(event), Ok(id)) = (
                entry.v4.next_event(self.now, &mut self.rng),
                u8::try_from(id),
            ) {
                self.ipv4_event(id, event);
                return true;
            }
        }
        if self.run_due_dhcp() {
            return true;
        }
        self.ipv4_due = self.next_ipv4_event().unwrap_or(Instant::FAR_FUTURE);
        false
    }

    fn ipv4_event(&mut self, id: u8, event: Ipv4Event) {
        match event {
            Ipv4Event::Probe(address) => {
                // RFC 5227 §2.1.1: no sender, so that nobody learns it.
                let sender = (self.hardware(id), Ipv4Addr::UNSPECIFIED);
                let target = (EthernetAddress::default(), address);
                let probe = ArpPacket::new(Operation::Request, sender, target);
                if self.send_arp_request(id, None, &probe) {
                    self.counters.arp_probes_sent += 1;
                } else if let Some(entry) = self.interfaces.get_mut(usize::from(id)) {
                    entry.v4.probe_again(address);
                }
            }
            Ipv4Event::Announce(address) => {
                let sender = (self.hardware(id), address);
                let target = (EthernetAddress::default(), address);
                let announcement = ArpPacket::new(Operation::Request, sender, target);
                self.send_arp_request(id, None, &announcement);
            }
            Ipv4Event::Assigned(address) => {
                self.changed(id, NetworkChanges::ADDRESS_USABLE);
                self.routes_changed();
                self.run_dhcp(id, Input::Probed(address));
            }
        }
    }

    /// When [`Stack::send_due_ipv4`] has something to do.
    pub(super) fn next_ipv4_timeout(&self) -> Option<Instant> {
        match self.ipv4_due {
            Instant::ZERO => self.next_ipv4_event(),
            Instant::FAR_FUTURE => None,
            at => Some(at),
        }
    }

    fn next_ipv4_event(&self) -> Option<Instant> {
        let timeouts = self.interfaces.iter().flat_map(|interface| {
            let dhcp = interface.dhcp.as_ref().map(|client| client.next_timeout());
            interface.v4.next_timeout().into_iter().chain(dhcp)
        });
        timeouts.min().filter(|at| *at != Instant::FAR_FUTURE)
    }
}

/// The route to the network of an IPv4 address. Only with an address of the owner it is the owner's
/// word, which goes before other routes and takes the place of earlier ones.
fn link_route(network: Prefix, id: u8, origin: AddressOrigin) -> Route {
    let route = Route::new(network, None, id);
    match origin {
        AddressOrigin::Static => route,
        _ => route.of_address(),
    }
}
