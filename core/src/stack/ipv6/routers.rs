//! Router discovery and redirects (RFC 4861 §6.3, §8.3, RFC 4191, RFC 8106).
//!
//! What a router says is believed within bounds: a forged advertisement can add to what is known,
//! up to fixed numbers, and end what other ones said, as anybody on a link can with IPv6; it cannot
//! use up memory, keep out what the owner configured, or make packets smaller than 1280 bytes. The
//! hop limit that routers propose is not taken over: a forged one of 1 would cut us off
//! (CVE-2015-2923).

use super::super::Stack;
use super::super::receive::Packet;
use crate::ip::v6::{self, LINK_LOCAL};
use crate::ip::{ALL_ROUTERS, Prefix, Route};
use crate::neigh::Evidence;
use crate::pool::Frame;
use crate::time::Instant;
use crate::wire::icmpv6::{Icmpv6Header, message_type};
use crate::wire::ipv6::MIN_MTU;
use crate::wire::ndp::{self, NdpOption, Preference, RouterAdvertisement, TargetMessage};
use core::net::{IpAddr, Ipv6Addr};
use core::time::Duration;
use zerocopy::{FromBytes, IntoBytes};

/// How long a redirect holds. Routers repeat it if it still does then.
const REDIRECT_LIFETIME: Duration = Duration::from_secs(600);

impl Stack {
    /// Sends the router solicitation that is due on an interface. Whether one was.
    pub(super) fn solicit_routers(&mut self, id: u8) -> bool {
        let now = self.now;
        let Some((v6, rng)) = self.ipv6_and_rng(id) else {
            return false;
        };
        if !v6.solicitation.take(now, rng) {
            return false;
        }
        if let Some(source) = v6.addresses.link_local() {
            let option = ndp::source_link_layer(self.hardware(id));
            let header = Icmpv6Header::new(message_type::ROUTER_SOLICITATION, 0, 0);
            let fields = (source, ALL_ROUTERS, ndp::HOP_LIMIT);
            self.counters.nd_solicitations_sent += 1;
            self.send_link_message(id, fields, &[], &[header.as_bytes(), &option]);
        }
        true
    }

    /// RFC 4861 §6.3.4. `None`: malformed (§6.1.2).
    pub(super) fn router_arrives(&mut self, frame: &Frame, packet: Packet) -> Option<()> {
        let IpAddr::V6(router) = packet.source else {
            return None;
        };
        let (now, id) = (self.now, packet.interface);
        self.ipv6_due = Instant::ZERO;
        let Self {
            interfaces,
            routes,
            pool,
            rng,
            counters,
            ..
        } = self;
        let (message, options) = RouterAdvertisement::ref_from_prefix(pool.content(frame)).ok()?;
        ndp::check_options(options).ok()?;
        if !router.is_unicast_link_local() {
            return None;
        }
        let interface = interfaces.get_mut(usize::from(id))?;
        let (interface_mtu, v6) = (interface.mtu, interface.v6.as_mut()?);
        let resolvers = &mut interface.resolvers;
        if !v6.accepts_routers {
            counters.nd_ignored += 1;
            return Some(());
        }
        counters.nd_router_advertisements += 1;
        let everything = Prefix::new(Ipv6Addr::UNSPECIFIED.into(), 0)?;
        let mut changed = false;
        let mut offer = |prefix, gateway, preference, lifetime: Duration| {
            if lifetime.is_zero() {
                changed |= routes.withdraw(prefix, gateway, id);
                return false;
            }
            let route = Route::new(prefix, gateway, id).advertised(preference, now + lifetime);
            match routes.add(route) {
                Ok(new) => {
                    changed |= new;
                    new
                }
                Err(_) => {
                    counters.nd_limit += 1;
                    false
                }
            }
        };
        let lifetime = Duration::from_secs(u64::from(message.router_lifetime()));
        if !lifetime.is_zero() {
            v6.solicitation.stop();
        }
        offer(
            everything,
            Some(router.into()),
            message.preference(),
            lifetime,
        );
        let (mut hardware, mut left_out, mtu_before) = (None, 0, v6.mtu);
        let mut prefix_is_new = false;
        for option in ndp::options(options) {
            match option {
                NdpOption::SourceLinkLayer(address) => hardware = Some(address),
                NdpOption::Prefix(information) => {
                    let prefix = information.prefix();
                    let local = prefix.is_multicast() || prefix.is_unicast_link_local();
                    if information.on_link()
                        && !local
                        && let Some(prefix) = Prefix::new(prefix.into(), information.prefix_len)
                    {
                        let lifetime = v6::lifetime(information.valid_lifetime.get());
                        prefix_is_new |= offer(prefix, None, Preference::Medium, lifetime);
                    }
                    if information.autonomous() {
                        let before = v6.addresses.len();
                        let made = v6.addresses.prefix_advertised(now, information, rng);
                        prefix_is_new |= v6.addresses.len() > before;
                        left_out += u64::from(!made);
                    }
                }
                NdpOption::Mtu(mtu) => {
                    let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
                    if (MIN_MTU..=interface_mtu).contains(&mtu) {
                        v6.mtu = mtu;
                    }
                }
                NdpOption::Route {
                    network,
                    prefix_len,
                    preference,
                    lifetime,
                } => {
                    let inside = Prefix::new(LINK_LOCAL.into(), 10);
                    let local = inside.is_some_and(|inside| inside.covers(network.into()));
                    if !local
                        && !network.is_multicast()
                        && let Some(prefix) = Prefix::new(network.into(), prefix_len)
                    {
                        offer(
                            prefix,
                            Some(router.into()),
                            preference,
                            v6::lifetime(lifetime),
                        );
                    }
                }
                NdpOption::Rdnss { lifetime, servers } => {
                    resolvers.servers_advertised(now, lifetime, servers);
                }
                NdpOption::Dnssl { lifetime, names } => {
                    resolvers.domains_advertised(now, lifetime, names);
                }
                NdpOption::TargetLinkLayer(_) | NdpOption::Nonce(_) => {}
            }
        }
        counters.nd_limit += left_out;
        let wanted = message.managed() || message.other_configuration();
        v6.dhcp6
            .router_says(now, router, wanted, prefix_is_new, rng);
        for option in ndp::options(options) {
            if let NdpOption::Prefix(information) = option {
                let prefix = information.prefix();
                let is_router = |router: Ipv6Addr| routes.is_gateway(router.into(), id);
                changed |= v6.addresses.note_router(prefix, router, is_router);
            }
        }
        if changed || v6.mtu != mtu_before {
            self.routes_changed();
        }
        if let Some(hardware) = hardware {
            self.learn_neighbour(id, (hardware, router), Evidence::RequestToUs);
        }
        Some(())
    }

    /// RFC 4861 §8.3: another first hop for a destination. `None`: malformed (§8.1).
    pub(super) fn redirect_arrives(&mut self, frame: &Frame, packet: Packet) -> Option<()> {
        let IpAddr::V6(router) = packet.source else {
            return None;
        };
        let content = self.pool.content(frame);
        let (message, _) = TargetMessage::ref_from_prefix(content).ok()?;
        let target = message.target();
        let (destination, options) = ndp::redirect_destination(content)?;
        ndp::check_options(options).ok()?;
        let on_link = target == destination;
        if !router.is_unicast_link_local()
            || !v6::is_host(destination)
            || !(on_link || target.is_unicast_link_local())
        {
            return None;
        }
        let hardware = ndp::options(options).find_map(|option| match option {
            NdpOption::TargetLinkLayer(address) => Some(address),
            _ => None,
        });
        let id = packet.interface;
        let sender = self.sender(packet.destination);
        let route = self.best_route(sender.as_ref(), destination.into());
        // Only the present first hop may send its packets elsewhere.
        let from_first_hop = route
            .is_some_and(|route| (route.gateway, route.interface) == (Some(router.into()), id));
        if !from_first_hop || !self.ipv6(id)?.accepts_routers {
            self.counters.nd_ignored += 1;
            return Some(());
        }
        let gateway = (!on_link).then_some(IpAddr::V6(target));
        let until = self.now + REDIRECT_LIFETIME;
        let prefix = Prefix::new(destination.into(), 128)?;
        let route = Route::new(prefix, gateway, id).redirected(until);
        match self.routes.add(route) {
            Ok(_) => {
                self.counters.nd_redirects += 1;
                self.routes_changed();
                if let Some(hardware) = hardware {
                    self.learn_neighbour(id, (hardware, target), Evidence::RequestToUs);
                }
            }
            Err(_) => self.counters.nd_limit += 1,
        }
        Some(())
    }
}
