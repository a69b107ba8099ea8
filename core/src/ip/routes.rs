//! The routing table: longest prefix first (RFC 1122 §3.3.1).

use super::mask;
use crate::error::ConfigError;
use core::net::Ipv4Addr;

/// Most routes, those of our own networks included.
const MAX_ROUTES: usize = 64;

/// A route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    network: u32,
    prefix_len: u8,
    pub(crate) interface: u8,
    /// `None`: the destinations are neighbours.
    pub(crate) gateway: Option<Ipv4Addr>,
}

impl Route {
    /// A route to all addresses that share `prefix_len` bits (0 to 32) with `network`.
    pub(crate) fn new(
        network: Ipv4Addr,
        prefix_len: u8,
        gateway: Option<Ipv4Addr>,
        interface: u8,
    ) -> Self {
        Self {
            network: network.to_bits() & mask(prefix_len),
            prefix_len,
            interface,
            gateway,
        }
    }

    fn covers(&self, destination: Ipv4Addr) -> bool {
        destination.to_bits() & mask(self.prefix_len) == self.network
    }

    /// Whether `other` leads to the same hosts over the same interface.
    fn is_replaced_by(&self, other: &Self) -> bool {
        (self.network, self.prefix_len, self.interface)
            == (other.network, other.prefix_len, other.interface)
    }

    /// Whom to hand a packet for `destination` to.
    pub(crate) fn next_hop(&self, destination: Ipv4Addr) -> Ipv4Addr {
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
            .take_while(|r| r.prefix_len >= route.prefix_len)
            .count();
        self.routes
            .insert(at, route)
            .map_err(|_| ConfigError::TooMany)
    }

    /// The route with the longest prefix that leads to `destination`.
    pub(crate) fn lookup(&self, destination: Ipv4Addr) -> Option<&Route> {
        self.routes.iter().find(|route| route.covers(destination))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(last: u8) -> Option<Ipv4Addr> {
        Some(Ipv4Addr::new(10, 0, 0, last))
    }

    #[test]
    fn the_longest_prefix_wins_in_whatever_order_routes_were_added() {
        let routes = [
            Route::new([0, 0, 0, 0].into(), 0, gateway(1), 0),
            Route::new([10, 0, 0, 0].into(), 24, None, 0),
            Route::new([192, 168, 0, 0].into(), 16, gateway(2), 0),
            Route::new([192, 168, 7, 0].into(), 24, gateway(3), 1),
            Route::new([192, 168, 7, 9].into(), 32, gateway(4), 0),
        ];
        for rotation in 0..routes.len() {
            let mut table = Routes::default();
            for i in 0..routes.len() {
                table.add(routes[(i + rotation) % routes.len()]).unwrap();
            }
            let hop = |destination: [u8; 4]| {
                let route = table.lookup(destination.into()).unwrap();
                (route.next_hop(destination.into()).octets(), route.interface)
            };
            assert_eq!(hop([8, 8, 8, 8]), ([10, 0, 0, 1], 0));
            assert_eq!(hop([10, 0, 0, 77]), ([10, 0, 0, 77], 0));
            assert_eq!(hop([192, 168, 6, 1]), ([10, 0, 0, 2], 0));
            assert_eq!(hop([192, 168, 7, 1]), ([10, 0, 0, 3], 1));
            assert_eq!(hop([192, 168, 7, 9]), ([10, 0, 0, 4], 0));
        }
    }

    #[test]
    fn without_a_default_route_most_of_the_world_is_unreachable() {
        let mut table = Routes::default();
        table
            .add(Route::new([10, 0, 0, 0].into(), 24, None, 0))
            .unwrap();
        assert_eq!(table.lookup([10, 0, 1, 0].into()), None);
    }

    #[test]
    fn the_same_route_is_replaced_and_the_table_is_bounded() {
        let mut table = Routes::default();
        table
            .add(Route::new([0, 0, 0, 0].into(), 0, gateway(1), 0))
            .unwrap();
        table
            .add(Route::new([0, 0, 0, 0].into(), 0, gateway(2), 0))
            .unwrap();
        table
            .add(Route::new([0, 0, 0, 0].into(), 0, gateway(3), 1))
            .unwrap();
        assert_eq!(
            table.lookup([1, 1, 1, 1].into()).unwrap().gateway,
            gateway(2)
        );
        for i in 2..64 {
            table
                .add(Route::new([10, i, 0, 0].into(), 16, None, 0))
                .unwrap();
        }
        assert!(table.has_room_for(&Route::new([10, 9, 0, 0].into(), 16, gateway(1), 0)));
        assert!(!table.has_room_for(&Route::new([10, 99, 0, 0].into(), 16, None, 0)));
        let full = table.add(Route::new([10, 99, 0, 0].into(), 16, None, 0));
        assert_eq!(full, Err(ConfigError::TooMany));
    }
}
