//! The routing table of both families: longest prefix first (RFC 1122 §3.3.1, RFC 4861 §5.2).

use super::Prefix;
use crate::error::ConfigError;
use core::net::IpAddr;

/// Most routes, those of our own networks included.
const MAX_ROUTES: usize = 64;

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    prefix: Prefix,
    pub(crate) interface: u8,
    /// `None`: the destinations are neighbours.
    pub(crate) gateway: Option<IpAddr>,
}

impl Route {
    /// A route to all addresses of `prefix`.
    pub(crate) fn new(prefix: Prefix, gateway: Option<IpAddr>, interface: u8) -> Self {
        Self {
            prefix,
            interface,
            gateway,
        }
    }

    /// Whether `other` leads to the same hosts over the same interface.
    fn is_replaced_by(&self, other: &Self) -> bool {
        (self.prefix, self.interface) == (other.prefix, other.interface)
    }

    /// Whom to hand a packet for `destination` to.
    pub(crate) fn next_hop(&self, destination: IpAddr) -> IpAddr {
        self.gateway.unwrap_or(destination)
    }
}

/// The table, longest prefixes first.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    routes: heapless::Vec<Route, MAX_ROUTES>,
}

impl Routes {
    /// Whether [`Routes::add`] would take a route.
    pub(crate) fn has_room_for(&self, route: &Route) -> bool {
        !self.routes.is_full() || self.routes.iter().any(|old| old.is_replaced_by(route))
    }

    /// Adds a route. One to the same network over the same interface is replaced; among routes to
    /// the same network the first one is used.
    pub(crate) fn add(&mut self, route: Route) -> Result<(), ConfigError> {
        if let Some(old) = self
            .routes
            .iter_mut()
            .find(|old| old.is_replaced_by(&route))
        {
            *old = route;
            return Ok(());
        }
        let at = self
            .routes
            .iter()
            .take_while(|r| r.prefix.len() >= route.prefix.len())
            .count();
        self.routes
            .insert(at, route)
            .map_err(|_| ConfigError::TooMany)
    }

    /// The route with the longest prefix that leads to `destination`.
    pub(crate) fn lookup(&self, destination: IpAddr) -> Option<&Route> {
        self.routes
            .iter()
            .find(|route| route.prefix.covers(destination))
    }
}

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
}
