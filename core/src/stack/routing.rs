//! Routes: the owner's calls, and the way that a packet takes.
//!
//! This is a host of the strong model (RFC 1122 §3.3.4.2). A packet leaves by the interface that has
//! its source address if a route leads from there to its destination: so with two interfaces and two
//! default gateways, who came in by one of them is answered by it, and a socket bound to an address
//! uses that address's interface. Where no route of that interface fits, any other will do. A packet
//! whose source is still to be chosen takes the best route, and then an address of that route's
//! interface (RFC 6724 §5 for IPv6). On the way in, a packet is for us only if the interface that it
//! came by has the address that it is for. Nothing is ever forwarded from one interface to another.
//!
//! Of several routes the longest prefix wins; then a gateway that answers goes before one that does
//! not, what the owner has added before what routers advertise, then the router that is preferred
//! (RFC 4191), and the least metric. IPv6 packets from an address whose prefix one of several
//! routers has advertised go to that router (RFC 8028).

use super::Stack;
use super::transmit::{group_address, is_of_one_link};
use crate::device::InterfaceId;
use crate::error::ConfigError;
use crate::ip::{Interface, Prefix, Route, Sender};
use crate::route::{NextHop, RouteEntry};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What a route says about packets to a destination.
#[derive(Clone, Copy, Debug)]
pub(super) struct RouteInfo {
    /// Largest packet.
    pub(super) mtu: usize,
    /// The address of ours to send from.
    pub(super) source: IpAddr,
    /// It leads over a router.
    routed: bool,
}

impl RouteInfo {
    /// Whether packets from an address of ours may go this way: never from a link-local one over a
    /// router (RFC 3927 §2.7).
    pub(super) fn is_for(&self, source: IpAddr) -> bool {
        !self.routed || !matches!(source, IpAddr::V4(v4) if v4.is_link_local())
    }
}

impl Stack {
    /// Adds a route: packets to the hosts that share `prefix_len` bits (0 to 32, or 0 to 128) with
    /// `destination` go to `gateway`, of the same family. `0.0.0.0/0` and `::/0` are the default
    /// routes. It is [`Stack::add_route_with`] for the usual case, with metric 0.
    ///
    /// # Errors
    /// Those of [`Stack::add_route_with`].
    pub fn add_route(
        &mut self,
        destination: IpAddr,
        prefix_len: u8,
        gateway: IpAddr,
        interface: InterfaceId,
    ) -> Result<(), ConfigError> {
        let next_hop = NextHop::Gateway {
            interface,
            address: gateway,
        };
        self.add_route_with(destination, prefix_len, next_hop, 0)
    }

    /// Adds a route: packets to the hosts that share `prefix_len` bits (0 to 32, or 0 to 128) with
    /// `destination` go to `next_hop`. The longest prefix wins; of the same length, what is added here
    /// goes before what routers and leases bring. Among routes to the same hosts the least `metric`
    /// goes first, but a gateway that does not answer goes last and is asked again every minute. A
    /// route to the same hosts over the same interface with the same metric is replaced.
    ///
    /// Packets from an address of ours prefer the routes of the interface that has it; a route that
    /// leads nowhere ([`NextHop::Unreachable`]) counts for every interface.
    ///
    /// # Errors
    /// [`ConfigError::NoSuchInterface`]; [`ConfigError::BadAddress`] for two families, a prefix
    /// longer than the address, or one that leaves out bits of `destination`;
    /// [`ConfigError::FamilyDisabled`] for IPv6 before [`Stack::enable_ipv6`];
    /// [`ConfigError::GatewayUnreachable`] if the gateway is not a neighbour on the interface by its
    /// configured addresses, a route of [`NextHop::OnLink`] or link-local, or is ourselves;
    /// [`ConfigError::TooMany`] (64 routes, those of the addresses included).
    pub fn add_route_with(
        &mut self,
        destination: IpAddr,
        prefix_len: u8,
        next_hop: NextHop,
        metric: u32,
    ) -> Result<(), ConfigError> {
        let prefix = whole_prefix(destination, prefix_len)?;
        let route = match next_hop {
            NextHop::Gateway { interface, address } => {
                if destination.is_ipv4() != address.is_ipv4() {
                    return Err(ConfigError::BadAddress);
                }
                let entry = self.interface(interface)?;
                let known = entry.will_be_on_link(address)
                    || (entry.is_host(address) && self.routes.is_on_link(address, interface.0));
                if !known || self.owns(address) {
                    return Err(ConfigError::GatewayUnreachable);
                }
                Route::new(prefix, Some(address), interface.0)
            }
            NextHop::OnLink { interface } => {
                let entry = self.interface(interface)?;
                if destination.is_ipv6() && entry.v6.is_none() {
                    return Err(ConfigError::FamilyDisabled);
                }
                Route::new(prefix, None, interface.0)
            }
            NextHop::Unreachable => Route::nowhere(prefix),
        };
        self.routes.add(route.with_metric(metric))?;
        self.routes_changed();
        Ok(())
    }

    /// Takes away a route that was added with [`Stack::add_route`].
    ///
    /// # Errors
    /// Those of [`Stack::remove_route_by`].
    pub fn remove_route(
        &mut self,
        destination: IpAddr,
        prefix_len: u8,
        gateway: IpAddr,
        interface: InterfaceId,
    ) -> Result<(), ConfigError> {
        let next_hop = NextHop::Gateway {
            interface,
            address: gateway,
        };
        self.remove_route_by(destination, prefix_len, next_hop)
    }

    /// Takes away a route that was added with [`Stack::add_route_with`]: the one to exactly these
    /// hosts with this next hop, whatever its metric. Connections whose way it was take the next best
    /// one.
    ///
    /// # Errors
    /// [`ConfigError::BadAddress`] as for [`Stack::add_route_with`]; [`ConfigError::NoSuchRoute`],
    /// also for routes of our own networks, which go with their addresses, and for what routers
    /// advertise.
    pub fn remove_route_by(
        &mut self,
        destination: IpAddr,
        prefix_len: u8,
        next_hop: NextHop,
    ) -> Result<(), ConfigError> {
        let prefix = whole_prefix(destination, prefix_len)?;
        let goes_with_address = match next_hop {
            NextHop::OnLink { interface } => self
                .interface(interface)?
                .has_network((destination, prefix_len)),
            NextHop::Gateway { .. } | NextHop::Unreachable => false,
        };
        if goes_with_address || !self.routes.remove_owned(prefix, next_hop) {
            return Err(ConfigError::NoSuchRoute);
        }
        self.routes_changed();
        Ok(())
    }

    /// All routes: those that were added, those of our addresses' networks, and those that routers
    /// advertise. The first that covers a destination is the one for packets whose source is still
    /// to be chosen.
    pub fn routes(&self) -> impl Iterator<Item = RouteEntry> {
        self.routes.iter().map(Route::entry)
    }

    pub(super) fn interface(&self, id: InterfaceId) -> Result<&Interface, ConfigError> {
        self.interfaces
            .get(id.index())
            .ok_or(ConfigError::NoSuchInterface)
    }

    /// The interface that has an address of ours. Link-local addresses differ from interface to
    /// interface.
    pub(super) fn link_of(&self, source: IpAddr) -> Option<u8> {
        let place = self.interfaces.iter().position(|i| i.owns(source))?;
        u8::try_from(place).ok()
    }

    /// What an address of ours says about the way of packets from it.
    pub(super) fn sender(&self, source: IpAddr) -> Option<Sender> {
        let link = self.link_of(source)?;
        let router = match source {
            IpAddr::V4(_) => None,
            IpAddr::V6(source) => {
                let v6 = self.interfaces.get(usize::from(link))?.v6.as_ref();
                v6.and_then(|v6| v6.addresses.router_of(source))
            }
        };
        Some(Sender {
            link,
            router: router.map(IpAddr::V6),
        })
    }

    /// The best route to a destination, for packets from an address of ours or from any.
    pub(super) fn best_route(&self, from: Option<&Sender>, destination: IpAddr) -> Option<&Route> {
        match from {
            Some(sender) => self.routes.lookup_from(sender, destination),
            None => self.routes.lookup(destination),
        }
    }

    /// The interface for packets to `destination`, and the route if one decided it. An address of
    /// one link's scope needs to be told which `link`.
    pub(super) fn find_route(
        &self,
        destination: IpAddr,
        link: Option<u8>,
        from: Option<&Sender>,
    ) -> Option<(u8, &Interface, Option<Route>)> {
        let (id, route) = if is_of_one_link(destination) {
            (link?, None)
        } else if let (IpAddr::V4(Ipv4Addr::BROADCAST), Some(sender)) = (destination, from) {
            (sender.link, None)
        } else {
            match self.best_route(from, destination).copied() {
                Some(route) => (route.interface, Some(route)),
                None if destination == IpAddr::V4(Ipv4Addr::BROADCAST) => (0, None),
                None => return None,
            }
        };
        // RFC 3927 §2.7: never over a router.
        let link_local = matches!(destination, IpAddr::V4(v4) if v4.is_link_local());
        if link_local && route.is_some_and(|route| route.gateway.is_some()) {
            return None;
        }
        // There is no interface for what leads nowhere.
        let interface = self.interfaces.get(usize::from(id))?;
        let reachable =
            self.is_peer(destination) || group_address(interface, destination).is_some();
        reachable.then_some((id, interface, route))
    }

    /// What a socket must know before it sends to `destination`: over this `link` if the address is
    /// of one link's scope, and from this address of `ours` if it has one.
    pub(super) fn route_to(
        &self,
        destination: IpAddr,
        link: Option<u8>,
        ours: Option<IpAddr>,
    ) -> Option<RouteInfo> {
        let sender = ours.and_then(|ours| self.sender(ours));
        let (_, interface, route) = self.find_route(destination, link, sender.as_ref())?;
        let routed = route.is_some_and(|route| route.gateway.is_some());
        let source = match (ours, destination) {
            (Some(ours), _) => ours,
            (None, IpAddr::V4(_)) => {
                let next_hop = route.map_or(destination, |route| route.next_hop(destination));
                let IpAddr::V4(next_hop) = next_hop else {
                    return None;
                };
                interface.v4.source_for(next_hop, routed)?.into()
            }
            (None, IpAddr::V6(destination)) => {
                let addresses = &interface.v6.as_ref()?.addresses;
                let router = route.and_then(|route| route.gateway);
                addresses.source_for(self.now, destination, router)?.into()
            }
        };
        Some(RouteInfo {
            mtu: interface.mtu_for(destination),
            source,
            routed,
        })
    }

    /// The link that a socket's address of one link's scope is on: as its zone says (the place of
    /// the interface, counted from 1), or as the socket has `chosen`, or that of our own address. For a
    /// host it is else the only one with IPv6; for a group that of a route, or the first one with an
    /// address of the family.
    pub(super) fn link_for(
        &self,
        remote: SocketAddr,
        local: Option<IpAddr>,
        chosen: Option<u8>,
    ) -> Option<u8> {
        let address = remote.ip().to_canonical();
        if !is_of_one_link(address) {
            return None;
        }
        if let SocketAddr::V6(v6) = remote
            && v6.scope_id() != 0
        {
            return u8::try_from(v6.scope_id() - 1).ok();
        }
        let local = || local.and_then(|local| self.link_of(local));
        if let Some(link) = chosen.or_else(local) {
            return Some(link);
        }
        let group = address.is_multicast();
        if let Some(route) = self.routes.lookup(address).filter(|_| group) {
            return Some(route.interface);
        }
        let mut links = (0u8..)
            .zip(&self.interfaces)
            .filter(|(_, i)| match address {
                IpAddr::V4(_) => i.v4.iter().next().is_some(),
                IpAddr::V6(_) => i.v6.is_some(),
            });
        let (first, _) = links.next()?;
        (group || links.next().is_none()).then_some(first)
    }

    /// Notes whether a neighbour answers, for the routes whose gateway it is.
    pub(super) fn gateway_answers(&mut self, address: IpAddr, interface: u8, answers: bool) {
        let (changed, of_gateway) = self
            .routes
            .gateway_answers(self.now, address, interface, answers);
        if changed {
            self.counters.ip_gateway_lost += u64::from(of_gateway && !answers);
            self.routes_changed();
        }
    }

    /// Takes out the routes that have expired, and asks the gateways that did not answer again.
    /// Whether there is somebody to be asked now.
    pub(super) fn see_to_routes(&mut self) -> bool {
        if self.routes.expire(self.now) {
            self.routes_changed();
        }
        let gateways = self.routes.recheck(self.now);
        for (interface, address) in &gateways {
            let (pool, counters) = (&mut self.pool, &mut self.counters);
            let _ = self
                .neighbours
                .resolve(self.now, *interface, *address, pool, counters);
        }
        !gateways.is_empty()
    }
}

/// The prefix of a route: none of the destination's bits is left out.
fn whole_prefix(destination: IpAddr, prefix_len: u8) -> Result<Prefix, ConfigError> {
    Prefix::new(destination, prefix_len)
        .filter(|prefix| prefix.starts_at(destination))
        .ok_or(ConfigError::BadAddress)
}
