//! The routing table of both families: longest prefix first (RFC 1122 §3.3.1, RFC 4861 §5.2), and
//! of the routes to a destination those over the interface that has the packet's source (the strong
//! host model of RFC 1122 §3.3.4.2).

use super::Prefix;
use crate::device::InterfaceId;
use crate::error::ConfigError;
use crate::route::{NextHop, RouteEntry};
use crate::time::Instant;
use crate::wire::ndp::Preference;
use core::cmp::Reverse;
use core::mem::discriminant;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

/// Most routes, those of our own networks included.
const MAX_ROUTES: usize = 64;
/// Most of them that routers of IPv6 may add, that redirects may, that leases may, and that come with
/// addresses that the owner did not give: none keeps out one of another kind, or one of the owner's.
const MAX_FROM_ROUTERS: usize = 16;
const MAX_REDIRECTS: usize = 8;
const MAX_FROM_LEASES: usize = 16;
const MAX_OF_ADDRESSES: usize = 16;
/// The interface of a route that leads nowhere.
const NOWHERE: u8 = u8::MAX;
/// How often a gateway that did not answer is asked whether it does now.
const RECHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Whom a route comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The owner of the stack, or an address that it gave.
    Owner,
    /// An address of IPv4 that the owner did not give: the route to its network, which goes with it.
    Address,
    /// A lease; what ends it takes the route out.
    Lease { preference: Preference },
    /// A router of the link, for a time, with its preference (RFC 4191).
    Router {
        preference: Preference,
        until: Instant,
    },
    /// The first hop to a host, which knows a better one (RFC 4861 §8).
    Redirect { until: Instant },
}

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    prefix: Prefix,
    pub(crate) interface: u8,
    /// `None`: the destinations are neighbours.
    pub(crate) gateway: Option<IpAddr>,
    origin: Origin,
    /// Among the owner's routes to the same network, less goes first.
    metric: u32,
    /// The gateway did not answer when it was asked for last: others go first (RFC 4861 §6.3.6).
    suspect: bool,
}

impl Route {
    /// A route to all addresses of `prefix`.
    pub(crate) fn new(prefix: Prefix, gateway: Option<IpAddr>, interface: u8) -> Self {
        Self {
            prefix,
            interface,
            gateway,
            origin: Origin::Owner,
            metric: 0,
            suspect: false,
        }
    }

    /// A route for packets that are not to be sent.
    pub(crate) fn nowhere(prefix: Prefix) -> Self {
        Self::new(prefix, None, NOWHERE)
    }

    /// The same with a metric.
    pub(crate) fn with_metric(self, metric: u32) -> Self {
        Self { metric, ..self }
    }

    /// The same as a router tells of it: until then, and so much preferred.
    pub(crate) fn advertised(self, preference: Preference, until: Instant) -> Self {
        Self {
            origin: Origin::Router { preference, until },
            ..self
        }
    }

    /// The same as it comes with an address that the owner did not give.
    pub(crate) fn of_address(self) -> Self {
        Self {
            origin: Origin::Address,
            ..self
        }
    }

    /// The same as a lease tells of it, so much preferred.
    pub(crate) fn leased(self, preference: Preference) -> Self {
        Self {
            origin: Origin::Lease { preference },
            ..self
        }
    }

    /// The same as a redirect tells of it, until then.
    pub(crate) fn redirected(self, until: Instant) -> Self {
        Self {
            origin: Origin::Redirect { until },
            ..self
        }
    }

    fn is_advertised(&self) -> bool {
        self.origin != Origin::Owner
    }

    /// Whether it can be withdrawn by whoever told of it.
    fn is_told(&self) -> bool {
        !matches!(self.origin, Origin::Owner | Origin::Address)
    }

    /// Whether both come from the owner, addresses, leases, routers, or redirects.
    fn is_of_kind(&self, other: &Self) -> bool {
        discriminant(&self.origin) == discriminant(&other.origin)
    }

    /// Whether packets that match it are not to be sent.
    pub(crate) fn leads_nowhere(&self) -> bool {
        self.interface == NOWHERE
    }

    /// The route as its owner sees it.
    pub(crate) fn entry(&self) -> RouteEntry {
        let interface = InterfaceId(self.interface);
        let next_hop = match self.gateway {
            _ if self.leads_nowhere() => NextHop::Unreachable,
            Some(address) => NextHop::Gateway { interface, address },
            None => NextHop::OnLink { interface },
        };
        RouteEntry {
            destination: self.prefix.first(),
            prefix_len: self.prefix.len(),
            next_hop,
            metric: self.metric,
            expires: Some(self.until()).filter(|until| *until != Instant::FAR_FUTURE),
            answers: !self.suspect,
        }
    }

    fn until(&self) -> Instant {
        match self.origin {
            Origin::Owner | Origin::Address | Origin::Lease { .. } => Instant::FAR_FUTURE,
            Origin::Router { until, .. } | Origin::Redirect { until } => until,
        }
    }

    /// What decides among routes that cover a destination: more is better. Routes that were not the
    /// owner's word come last while their gateway does not answer, however long their prefix is
    /// (RFC 4191 §3.2, RFC 4861 §7.3.3); the owner's may be meant to keep packets from going
    /// elsewhere, so they give way to the same prefix only.
    fn rank(&self) -> impl Ord + use<> {
        let (by_owner, preference) = match self.origin {
            Origin::Owner => (true, Preference::High),
            Origin::Lease { preference } | Origin::Router { preference, .. } => (false, preference),
            Origin::Address | Origin::Redirect { .. } => (false, Preference::High),
        };
        (
            by_owner || !self.suspect,
            self.prefix.len(),
            !self.suspect,
            by_owner,
            preference,
            Reverse(self.metric),
        )
    }

    /// Whether `other` takes the place of this route: it is of the same kind and leads to the same
    /// hosts over the same interface with the same metric and, where routers or leases tell of them,
    /// by way of the same router.
    fn is_replaced_by(&self, other: &Self) -> bool {
        let other_ways = match self.origin {
            Origin::Owner | Origin::Address | Origin::Redirect { .. } => false,
            Origin::Lease { .. } | Origin::Router { .. } => self.gateway != other.gateway,
        };
        self.is_of_kind(other)
            && (self.prefix, self.interface, self.metric)
                == (other.prefix, other.interface, other.metric)
            && !other_ways
    }

    /// Whom to hand a packet for `destination` to.
    pub(crate) fn next_hop(&self, destination: IpAddr) -> IpAddr {
        self.gateway.unwrap_or(destination)
    }
}

/// The table, best routes first.
#[derive(Debug)]
pub(crate) struct Routes {
    routes: heapless::Vec<Route, MAX_ROUTES>,
    /// When the first of them ends, or a gateway is to be asked again.
    due_at: Instant,
    /// When the gateways that did not answer are to be asked again.
    recheck_at: Instant,
}

impl Default for Routes {
    fn default() -> Self {
        Self {
            routes: heapless::Vec::new(),
            due_at: Instant::FAR_FUTURE,
            recheck_at: Instant::FAR_FUTURE,
        }
    }
}

impl Routes {
    /// Whether [`Routes::add`] would take a route.
    pub(crate) fn has_room_for(&self, route: &Route) -> bool {
        if self.routes.iter().any(|old| old.is_replaced_by(route)) {
            return true;
        }
        self.has_share_for(route) || self.dead(route).is_some()
    }

    fn has_share_for(&self, route: &Route) -> bool {
        let share = match route.origin {
            Origin::Owner => MAX_ROUTES,
            Origin::Address => MAX_OF_ADDRESSES,
            Origin::Lease { .. } => MAX_FROM_LEASES,
            Origin::Router { .. } => MAX_FROM_ROUTERS,
            Origin::Redirect { .. } => MAX_REDIRECTS,
        };
        let alike = self.routes.iter().filter(|other| other.is_of_kind(route));
        !self.routes.is_full() && alike.count() < share
    }

    /// The last of the routes that are no word of the owner's, are of the same kind as this one, and
    /// whose gateway does not answer.
    fn dead(&self, route: &Route) -> Option<usize> {
        self.routes
            .iter()
            .rposition(|other| other.suspect && other.is_of_kind(route) && other.is_advertised())
    }

    /// Adds a route; one that it takes the place of goes. Among routes to the same network the
    /// owner's goes first, then the one that is preferred, then the oldest. Whether packets may take
    /// another way now: not if a router only says once more what it said before.
    pub(crate) fn add(&mut self, route: Route) -> Result<bool, ConfigError> {
        if !self.has_room_for(&route) {
            return Err(ConfigError::TooMany);
        }
        let old = self
            .routes
            .iter()
            .position(|old| old.is_replaced_by(&route));
        let added = match old {
            None => {
                if !self.has_share_for(&route)
                    && let Some(dead) = self.dead(&route)
                {
                    self.routes.remove(dead);
                }
                self.insert(route).map(|()| true)
            }
            Some(place) => {
                let old = self.routes.remove(place);
                let route = Route {
                    suspect: old.suspect && old.gateway == route.gateway,
                    ..route
                };
                let changed = old.rank() != route.rank() || old.gateway != route.gateway;
                self.insert(route).map(|()| changed)
            }
        };
        self.note_end();
        added
    }

    fn insert(&mut self, route: Route) -> Result<(), ConfigError> {
        let at = self
            .routes
            .partition_point(|other| other.rank() >= route.rank());
        self.routes
            .insert(at, route)
            .map_err(|_| ConfigError::TooMany)
    }

    /// Takes out what a router or a lease told of this prefix. Whether there was something.
    pub(crate) fn withdraw(
        &mut self,
        prefix: Prefix,
        gateway: Option<IpAddr>,
        interface: u8,
    ) -> bool {
        self.remove(|route| {
            route.is_told()
                && (route.prefix, route.gateway, route.interface) == (prefix, gateway, interface)
        })
    }

    /// Takes out all routes over a neighbour that is a router no more (RFC 4861 §7.2.5), as far as
    /// routers told of them.
    pub(crate) fn withdraw_router(&mut self, gateway: IpAddr, interface: u8) -> bool {
        self.remove(|route| {
            route.is_advertised() && (route.gateway, route.interface) == (Some(gateway), interface)
        })
    }

    /// Takes out what has expired. Whether there was something.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        self.remove(|route| route.until() <= now)
    }

    /// Takes out the routes to a network of ours on an interface that came with its addresses, and the
    /// owner's routes over gateways there that are not neighbours any more.
    pub(crate) fn leave_network(
        &mut self,
        network: Prefix,
        interface: u8,
        is_neighbour: impl Fn(IpAddr) -> bool,
    ) {
        let here = |route: &Route| route.interface == interface && !route.is_advertised();
        self.remove(|route| {
            let with_address = matches!(route.origin, Origin::Owner | Origin::Address);
            let link = (route.prefix, route.gateway, route.interface);
            with_address && link == (network, None, interface)
        });
        let links: heapless::Vec<Prefix, MAX_ROUTES> = self
            .routes
            .iter()
            .filter(|route| here(route) && route.gateway.is_none())
            .map(|route| route.prefix)
            .collect();
        self.remove(|route| {
            let lost = |gateway| {
                !is_neighbour(gateway) && !links.iter().any(|prefix| prefix.covers(gateway))
            };
            here(route) && route.gateway.is_some_and(lost)
        });
    }

    /// The gateways of an interface's best default routes: IPv4's, IPv6's.
    pub(crate) fn default_gateways(&self, interface: u8) -> [Option<IpAddr>; 2] {
        let gateway = |default: IpAddr| {
            let prefix = Prefix::new(default, 0);
            let mut routes = self.routes.iter();
            let best =
                routes.find(|route| route.interface == interface && Some(route.prefix) == prefix);
            best.and_then(|route| route.gateway)
        };
        [
            gateway(Ipv4Addr::UNSPECIFIED.into()),
            gateway(Ipv6Addr::UNSPECIFIED.into()),
        ]
    }

    /// Takes out a route of the owner: to these hosts with this next hop. Whether there was one.
    pub(crate) fn remove_owned(&mut self, prefix: Prefix, next_hop: NextHop) -> bool {
        self.remove(|route| {
            !route.is_advertised() && route.prefix == prefix && route.entry().next_hop == next_hop
        })
    }

    fn remove(&mut self, which: impl Fn(&Route) -> bool) -> bool {
        let before = self.routes.len();
        self.routes.retain(|route| !which(route));
        self.note_end();
        self.routes.len() < before
    }

    fn note_end(&mut self) {
        let until = self.routes.iter().map(Route::until);
        self.due_at = until.fold(self.recheck_at, Instant::min);
    }

    /// When [`Routes::expire`] or [`Routes::recheck`] has something to do.
    #[inline]
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        Some(self.due_at).filter(|until| *until != Instant::FAR_FUTURE)
    }

    /// The gateways that did not answer, if it is time to ask them again: so the way by a gateway
    /// that was down for a while is taken again, however well another one serves.
    pub(crate) fn recheck(&mut self, now: Instant) -> Gateways {
        let mut gateways = Gateways::new();
        if now < self.recheck_at {
            return gateways;
        }
        for route in self.routes.iter().filter(|route| self.is_replaced(route)) {
            if let Some(gateway) = route.gateway
                && !gateways.contains(&(route.interface, gateway))
            {
                // As many as there are routes.
                let _ = gateways.push((route.interface, gateway));
            }
        }
        self.recheck_at = if gateways.is_empty() {
            Instant::FAR_FUTURE
        } else {
            now + RECHECK_INTERVAL
        };
        self.note_end();
        gateways
    }

    /// Whether another route to the same hosts is taken, for this one's gateway does not answer.
    /// Where there is no other, the next packet asks it again.
    fn is_replaced(&self, route: &Route) -> bool {
        let other = |other: &Route| {
            let instead = if route.is_advertised() {
                other.prefix.contains(&route.prefix)
            } else {
                other.prefix == route.prefix
            };
            instead && !other.suspect
        };
        route.suspect && self.routes.iter().any(other)
    }

    /// Notes whether a neighbour answers, which may be a gateway. Whether that changes a route, and
    /// whether one of a gateway. A host that was said to be a neighbour and does not answer is looked for
    /// over the routers again (RFC 4861 §7.3.3).
    pub(crate) fn gateway_answers(
        &mut self,
        now: Instant,
        gateway: IpAddr,
        interface: u8,
        answers: bool,
    ) -> (bool, bool) {
        let no_neighbour = !answers
            && self.remove(|route| {
                matches!(route.origin, Origin::Redirect { .. })
                    && (route.gateway, route.interface) == (None, interface)
                    && route.prefix.starts_at(gateway)
            });
        let mut changed = heapless::Vec::<Route, MAX_ROUTES>::new();
        self.routes.retain(|route| {
            let concerned = (route.gateway, route.interface) == (Some(gateway), interface)
                && route.suspect == answers;
            if concerned {
                // As many as there are routes.
                let _ = changed.push(*route);
            }
            !concerned
        });
        for route in &changed {
            let _ = self.insert(Route {
                suspect: !answers,
                ..*route
            });
        }
        if self.routes.iter().any(|route| self.is_replaced(route)) {
            self.recheck_at = self.recheck_at.min(now + RECHECK_INTERVAL);
            self.note_end();
        }
        let of_gateway = !changed.is_empty();
        (no_neighbour || of_gateway, of_gateway)
    }

    /// Whether the owner has said that an address is a neighbour's, beside those of the networks of
    /// our addresses.
    pub(crate) fn is_on_link(&self, address: IpAddr, interface: u8) -> bool {
        self.links_to(address, interface)
            .any(|route| !route.is_advertised())
    }

    /// Whether an address is a neighbour's, as the owner or a DHCP server has said.
    pub(crate) fn is_neighbour(&self, address: IpAddr, interface: u8) -> bool {
        self.links_to(address, interface).next().is_some()
    }

    fn links_to(&self, address: IpAddr, interface: u8) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(move |route| {
            (route.gateway, route.interface) == (None, interface) && route.prefix.covers(address)
        })
    }

    /// Whether a neighbour is the gateway of a route.
    pub(crate) fn is_gateway(&self, address: IpAddr, interface: u8) -> bool {
        self.routes
            .iter()
            .any(|route| (route.gateway, route.interface) == (Some(address), interface))
    }

    /// The routes that lead to `destination`, best first.
    fn leading_to(&self, destination: IpAddr) -> impl Iterator<Item = &Route> {
        self.routes
            .iter()
            .filter(move |route| route.prefix.covers(destination))
    }

    /// The best route that leads to `destination`, for packets whose source is still to be chosen.
    pub(crate) fn lookup(&self, destination: IpAddr) -> Option<&Route> {
        self.leading_to(destination).next()
    }

    /// The best route for packets of a sender: over its interface, if there is a route to
    /// `destination`, and otherwise any. Of routers that are equally near, the one that has
    /// advertised the sender's prefix goes first (RFC 8028 §3.1). A route that leads nowhere counts
    /// for every interface.
    pub(crate) fn lookup_from(&self, sender: &Sender, destination: IpAddr) -> Option<&Route> {
        let at_home = |route: &&Route| route.interface == sender.link || route.leads_nowhere();
        let Some(first) = self.leading_to(destination).find(at_home) else {
            return self.lookup(destination);
        };
        let same_router = |route: &&Route| {
            let like = |route: &Route| (route.prefix, route.interface, route.is_advertised());
            like(route) == (first.prefix, first.interface, true)
                && !route.suspect
                && route.gateway == sender.router
        };
        sender
            .router
            .and_then(|_| self.leading_to(destination).find(same_router))
            .or(Some(first))
    }

    /// Whether the way to `destination` can be another one for another sender.
    pub(crate) fn depend_on_sender(&self, destination: IpAddr) -> bool {
        let mut routes = self.leading_to(destination);
        let Some(first) = routes.next() else {
            return false;
        };
        routes.any(|route| {
            route.interface != first.interface
                || (route.prefix == first.prefix && route.gateway != first.gateway)
        })
    }

    /// All routes, best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }
}

/// What a packet's source says about its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    /// The interface that has the address.
    pub(crate) link: u8,
    /// The router that has advertised its prefix.
    pub(crate) router: Option<IpAddr>,
}

/// Gateways with their interfaces.
pub(crate) type Gateways = heapless::Vec<(u8, IpAddr), MAX_ROUTES>;

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    fn route(network: [u8; 4], prefix_len: u8, gateway: Option<IpAddr>, interface: u8) -> Route {
        let prefix = Prefix::new(network.into(), prefix_len).unwrap();
        Route::new(prefix, gateway, interface)
    }

    #[test]
    fn the_longest_prefix_wins_in_whatever_order_routes_were_added() {
        let routes = [
            route([0, 0, 0, 0], 0, gateway(1), 0),
            route([10, 0, 0, 0], 24, None, 0),
            route([192, 168, 0, 0], 16, gateway(2), 0),
            route([192, 168, 7, 0], 24, gateway(3), 1),
            route([192, 168, 7, 9], 32, gateway(4), 0),
        ];
        for rotation in 0..routes.len() {
            let mut table = Routes::default();
            for i in 0..routes.len() {
                table.add(routes[(i + rotation) % routes.len()]).unwrap();
            }
            let hop = |destination: [u8; 4]| {
                let route = table.lookup(destination.into()).unwrap();
                (route.next_hop(destination.into()), route.interface)
            };
            let host = IpAddr::from;
            assert_eq!(hop([8, 8, 8, 8]), (host([10, 0, 0, 1]), 0));
            assert_eq!(hop([10, 0, 0, 77]), (host([10, 0, 0, 77]), 0));
            assert_eq!(hop([192, 168, 6, 1]), (host([10, 0, 0, 2]), 0));
            assert_eq!(hop([192, 168, 7, 1]), (host([10, 0, 0, 3]), 1));
            assert_eq!(hop([192, 168, 7, 9]), (host([10, 0, 0, 4]), 0));
        }
    }

    #[test]
    fn without_a_default_route_most_of_the_world_is_unreachable() {
        let mut table = Routes::default();
        table.add(route([10, 0, 0, 0], 24, None, 0)).unwrap();
        assert_eq!(table.lookup([10, 0, 1, 0].into()), None);
    }

    #[test]
    fn a_default_route_is_for_its_own_family() {
        let mut table = Routes::default();
        table.add(route([0, 0, 0, 0], 0, gateway(1), 0)).unwrap();
        let other: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(table.lookup(other), None);
        let prefix = Prefix::new("::".parse().unwrap(), 0).unwrap();
        let router: IpAddr = "fe80::1".parse().unwrap();
        table.add(Route::new(prefix, Some(router), 1)).unwrap();
        assert_eq!(table.lookup(other).unwrap().gateway, Some(router));
        assert_eq!(
            table.lookup([8, 8, 8, 8].into()).unwrap().gateway,
            gateway(1)
        );
    }

    #[test]
    fn the_same_route_is_replaced_and_the_table_is_bounded() {
        let mut table = Routes::default();
        table.add(route([0, 0, 0, 0], 0, gateway(1), 0)).unwrap();
        table.add(route([0, 0, 0, 0], 0, gateway(2), 0)).unwrap();
        table.add(route([0, 0, 0, 0], 0, gateway(3), 1)).unwrap();
        assert_eq!(
            table.lookup([1, 1, 1, 1].into()).unwrap().gateway,
            gateway(2)
        );
        for i in 2..64 {
            table.add(route([10, i, 0, 0], 16, None, 0)).unwrap();
        }
        assert!(table.has_room_for(&route([10, 9, 0, 0], 16, gateway(1), 0)));
        assert!(!table.has_room_for(&route([10, 99, 0, 0], 16, None, 0)));
        let full = table.add(route([10, 99, 0, 0], 16, None, 0));
        assert_eq!(full, Err(ConfigError::TooMany));
    }

    fn advertised(gateway: &str, preference: Preference, until: u64) -> Route {
        let prefix = Prefix::new("::".parse().unwrap(), 0).unwrap();
        let gateway = Some(gateway.parse().unwrap());
        Route::new(prefix, gateway, 0).advertised(preference, Instant::from_millis(until))
    }

    fn default_router(table: &Routes) -> Option<std::string::String> {
        let route = table.lookup("2001:db8::1".parse().unwrap())?;
        route.gateway.map(|gateway| std::format!("{gateway}"))
    }

    /// RFC 4191 §3.2, RFC 4861 §6.3.4.
    #[test]
    fn of_several_routers_the_preferred_one_is_used_for_as_long_as_it_says() {
        let mut table = Routes::default();
        for (router, preference, until) in [
            ("fe80::1", Preference::Low, 90),
            ("fe80::2", Preference::High, 50),
            ("fe80::3", Preference::Medium, 70),
        ] {
            table.add(advertised(router, preference, until)).unwrap();
        }
        for (at, router) in [(50, "fe80::2"), (70, "fe80::3"), (90, "fe80::1")] {
            assert_eq!(table.next_timeout(), Some(Instant::from_millis(at)));
            assert_eq!(default_router(&table).as_deref(), Some(router));
            assert!(!table.expire(Instant::from_millis(at - 1)));
            assert!(table.expire(Instant::from_millis(at)));
        }
        assert_eq!((default_router(&table), table.next_timeout()), (None, None));
    }

    #[test]
    fn a_router_may_change_its_mind() {
        let mut table = Routes::default();
        table
            .add(advertised("fe80::1", Preference::High, 90))
            .unwrap();
        table
            .add(advertised("fe80::2", Preference::Medium, 90))
            .unwrap();
        table
            .add(advertised("fe80::1", Preference::Low, 90))
            .unwrap();
        assert_eq!(default_router(&table).as_deref(), Some("fe80::2"));
        let router: IpAddr = "fe80::2".parse().unwrap();
        assert!(table.withdraw_router(router, 0) && !table.withdraw_router(router, 0));
        assert_eq!(default_router(&table).as_deref(), Some("fe80::1"));
    }

    /// RFC 4861 §6.3.6.
    #[test]
    fn a_router_that_does_not_answer_comes_last() {
        let mut table = Routes::default();
        table
            .add(advertised("fe80::1", Preference::High, 90))
            .unwrap();
        table
            .add(advertised("fe80::2", Preference::Low, 90))
            .unwrap();
        let router = "fe80::1".parse().unwrap();
        assert_eq!(
            table.gateway_answers(Instant::ZERO, router, 0, false),
            (true, true)
        );
        assert_eq!(default_router(&table).as_deref(), Some("fe80::2"));
        table
            .add(advertised("fe80::1", Preference::High, 95))
            .unwrap();
        assert_eq!(
            default_router(&table).as_deref(),
            Some("fe80::2"),
            "it only said so"
        );
        assert_eq!(
            table.gateway_answers(Instant::ZERO, router, 0, true),
            (true, true)
        );
        assert_eq!(
            table.gateway_answers(Instant::ZERO, router, 0, true),
            (false, false)
        );
        assert_eq!(default_router(&table).as_deref(), Some("fe80::1"));
    }

    #[test]
    fn the_owner_goes_before_routers_and_has_room_left() {
        let mut table = Routes::default();
        for i in 0..100u16 {
            let router = std::format!("fe80::{i:x}");
            let _ = table.add(advertised(&router, Preference::High, 90));
        }
        assert_eq!(table.routes.len(), MAX_FROM_ROUTERS);
        let owner: IpAddr = "fe80::ffff".parse().unwrap();
        let prefix = Prefix::new("::".parse().unwrap(), 0).unwrap();
        table.add(Route::new(prefix, Some(owner), 0)).unwrap();
        assert_eq!(default_router(&table).as_deref(), Some("fe80::ffff"));
    }
}
