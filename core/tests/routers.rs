//! What routers of IPv6, redirects and leases may do to the routes of each other and of the owner.

mod common;

use common::dhcp;
use common::link::{self, OURS, PEER, PEER_HW, REMOTE};
use common::v6;
use mnet_core::config::Ipv6Config;
use mnet_core::dhcp::DhcpConfig;
use mnet_core::route::{NextHop, RouteEntry};
use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::wire::ipv4::protocol;
use mnet_core::wire::ndp;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A router that nobody asked for, and one more.
const OTHER: (EthernetAddress, Ipv6Addr) = (
    EthernetAddress([2, 0, 0, 0, 0, 0x66]),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x66),
);
const THIRD: (EthernetAddress, Ipv6Addr) = (
    EthernetAddress([2, 0, 0, 0, 0, 0x77]),
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0x77),
);

/// A Route Information option (RFC 4191 §2.3), for a day.
fn route_information(network: Ipv6Addr, prefix_len: u8) -> Vec<u8> {
    let head = [24, 3, prefix_len, 8, 0, 1, 0x51, 0x80];
    [&head[..], &network.octets()].concat()
}

/// A Prefix Information option (RFC 4861 §4.6.2) for a day: its addresses are neighbours.
fn on_link(network: Ipv6Addr, prefix_len: u8) -> Vec<u8> {
    let day = [0, 1, 0x51, 0x80];
    let head = [&[3, 4, prefix_len, 0x80][..], &day, &day, &[0; 4]].concat();
    [&head[..], &network.octets()].concat()
}

fn gateway_of(route: &RouteEntry) -> Option<IpAddr> {
    match route.next_hop {
        NextHop::Gateway { address, .. } => Some(address),
        _ => None,
    }
}

/// A host with both families, and an IPv4 gateway of its owner.
fn with_both() -> link::Host {
    let mut host = link::Host::with_peer();
    let (now, interface) = (host.now, host.interface);
    host.stack
        .enable_ipv6(now, interface, Ipv6Config::default())
        .unwrap();
    for _ in 0..12 {
        host.transmit();
        host.advance(500);
    }
    host.meet(PEER_HW, PEER);
    host
}

/// The hardware address that the answer to a ping from `source` goes to.
fn answer_to(host: &mut link::Host, source: Ipv4Addr) -> Option<EthernetAddress> {
    let message = link::icmp(8, 0, [0x12, 0x34, 0, 1], b"abc");
    let ping = link::ipv4(source, OURS, protocol::ICMP, &message, |_| {});
    let sent = host.receive(&link::from_peer(&ping));
    sent.first()
        .map(|frame| link::parse_sent(frame).ethernet.destination)
}

/// IPv4 addresses are not IPv6 addresses in the form of RFC 4291 §2.5.5.2 or any other: nothing that
/// is said about IPv6 prefixes changes where IPv4 packets go.
#[test]
fn row_21_routers_of_ipv6_have_no_say_in_ipv4() {
    let halves = [[0, 0, 0, 0], [128, 0, 0, 0]].map(Ipv4Addr::from);
    let each = |forms: [Ipv6Addr; 2], option: fn(Ipv6Addr, u8) -> Vec<u8>| {
        forms.map(|form| option(form, 97)).concat()
    };
    let mapped = halves.map(|half| half.to_ipv6_mapped());
    let compatible = halves.map(|half| half.to_ipv6_compatible());
    let network = Ipv4Addr::new(10, 0, 0, 0).to_ipv6_mapped();
    for options in [
        vec![],
        each(mapped, route_information),
        each(compatible, route_information),
        route_information(network, 121),
        each(mapped, on_link),
        on_link(network, 121),
    ] {
        let mut host = with_both();
        host.receive(&v6::router(OTHER, 1_800, &options));
        assert_eq!(answer_to(&mut host, REMOTE), Some(PEER_HW), "{options:?}");
        assert_eq!(answer_to(&mut host, PEER), Some(PEER_HW), "{options:?}");
        let socket = host.stack.udp_bind("0.0.0.0:5000".parse().unwrap());
        let to = SocketAddr::from((REMOTE, 53));
        let (now, socket) = (host.now, socket.unwrap());
        host.stack.udp_send_to(now, socket, b"x", to).unwrap();
        let sent = host.transmit();
        assert_eq!(link::parse_sent(&sent[0]).ethernet.destination, PEER_HW);
    }
}

/// A default router of IPv6 is none of IPv4.
#[test]
fn without_a_route_of_ipv4_there_is_none() {
    let mut host = with_both();
    let default = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let interface = host.interface;
    host.stack
        .remove_route(default, 0, PEER.into(), interface)
        .unwrap();
    host.receive(&v6::router(OTHER, 1_800, &[]));
    assert_eq!(answer_to(&mut host, REMOTE), None);
    assert_eq!(host.stack.counters().ip_no_route, 1);
}

/// The owner's route to the network of a lease goes first, and is there when the lease is over.
#[test]
fn a_lease_takes_no_route_of_the_owner_away() {
    let mut host = dhcp::Host::new(DhcpConfig::default());
    let (now, interface) = (host.now, host.interface);
    let gateway = Ipv4Addr::new(192, 168, 1, 1);
    let ours = Ipv4Addr::new(192, 168, 1, 2);
    host.stack
        .add_address(now, interface, ours.into(), 24)
        .unwrap();
    let network = Ipv4Addr::new(10, 0, 0, 0);
    host.stack
        .add_route(network.into(), 24, gateway.into(), interface)
        .unwrap();
    let to_network = |host: &dhcp::Host| {
        let routes = host.stack.routes();
        let to = routes.filter(|route| route.destination == IpAddr::V4(network));
        to.map(|route| gateway_of(&route)).collect::<Vec<_>>()
    };
    host.obtain(&[]);
    assert_eq!(to_network(&host), [Some(gateway.into()), None]);
    host.stack.dhcp_stop(host.now, interface, true).unwrap();
    assert_eq!(to_network(&host), [Some(gateway.into())]);
}

/// Each kind of route has a share of the table: advertisements of routers that are none keep no lease
/// out.
#[test]
fn row_21_routers_of_ipv6_leave_room_for_a_lease() {
    let mut host = dhcp::Host::new(DhcpConfig::default());
    let (now, interface) = (host.now, host.interface);
    host.stack
        .enable_ipv6(now, interface, Ipv6Config::default())
        .unwrap();
    let discover = host.only();
    for n in 1..=100 {
        let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, n);
        host.receive(&v6::router((OTHER.0, from), 65_535, &[]));
    }
    assert!(host.counter("nd_limit") > 0);
    host.answer(&discover, dhcp::OFFER, dhcp::LENT, &[]);
    let request = host.transmit().pop().unwrap();
    host.answer(&request, dhcp::ACK, dhcp::LENT, &[]);
    host.run(2_000);
    assert_eq!(host.counter("dhcp_routes_left_out"), 0);
    assert!(host.is_routed());
}

/// Where our answer to a ping from afar goes.
fn first_hop(host: &mut v6::Host) -> Option<EthernetAddress> {
    let ping = v6::echo_request(v6::REMOTE, v6::OURS, b"x");
    let mut sent = host.receive(&v6::frame(v6::ROUTER_HW, v6::OURS, &ping[14..]));
    sent.retain(|frame| v6::parse(frame).payload[0] == 129);
    let destination = |frame: &Vec<u8>| frame[..6].try_into().unwrap();
    sent.first().map(destination).map(EthernetAddress)
}

/// A host with a router that answers.
fn with_router() -> v6::Host {
    let mut host = v6::Host::new();
    host.receive(&v6::router((v6::ROUTER_HW, v6::ROUTER), 1_800, &[]));
    assert_eq!(first_hop(&mut host), Some(v6::ROUTER_HW));
    host
}

/// How many seconds it takes until the router that answers is the first hop.
fn seconds_until_back(host: &mut v6::Host) -> Option<u32> {
    let answer = (v6::ROUTER, 0xc000_0000);
    (0..60).find(|_| {
        host.now = host.now + Duration::from_secs(1);
        host.transmit();
        let ends = (v6::ROUTER, v6::OURS);
        host.receive(&v6::advertisement(v6::ROUTER_HW, ends, answer));
        first_hop(host) == Some(v6::ROUTER_HW)
    })
}

fn redirect(from: (EthernetAddress, Ipv6Addr), target: Ipv6Addr, destination: Ipv6Addr) -> Vec<u8> {
    let addresses = [target.octets(), destination.octets()].concat();
    let message = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &addresses].concat();
    v6::icmp(from.0, (from.1, v6::OURS, 255), &message)
}

/// The host knows the hardware address of a router.
fn meet(host: &mut v6::Host, (hardware, address): (EthernetAddress, Ipv6Addr)) {
    let ends = (address, ndp::solicited_node(v6::OURS));
    let option = ndp::source_link_layer(hardware);
    host.receive(&v6::solicitation(hardware, ends, v6::OURS, &option));
}

/// RFC 4191 §3.2: "if the best route's router is not reachable, the next best route is consulted".
#[test]
fn a_longer_prefix_of_a_router_that_is_dead_gives_way_to_one_that_lives() {
    let mut host = with_router();
    let network = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, 0);
    host.receive(&v6::router(OTHER, 0, &route_information(network, 48)));
    assert_ne!(first_hop(&mut host), Some(v6::ROUTER_HW));
    assert!(seconds_until_back(&mut host).is_some());
}

/// RFC 4861 §7.3.3, for a redirect to another router, and for one that says that the destination is a
/// neighbour.
#[test]
fn a_redirect_to_nobody_is_forgotten() {
    for target in [OTHER.1, v6::REMOTE] {
        let mut host = with_router();
        let router = (v6::ROUTER_HW, v6::ROUTER);
        host.receive(&redirect(router, target, v6::REMOTE));
        assert_ne!(first_hop(&mut host), Some(v6::ROUTER_HW), "{target}");
        assert!(seconds_until_back(&mut host).is_some(), "{target}");
        let lost = host.stack.counters().ip_gateway_lost;
        assert_eq!(lost, u64::from(target == OTHER.1), "{target}");
    }
}

/// RFC 4861 §8.3: the destination cache is updated.
#[test]
fn a_second_redirect_takes_the_place_of_the_first() {
    let mut host = with_router();
    meet(&mut host, OTHER);
    meet(&mut host, THIRD);
    host.receive(&redirect((v6::ROUTER_HW, v6::ROUTER), OTHER.1, v6::REMOTE));
    assert_eq!(first_hop(&mut host), Some(OTHER.0));
    host.receive(&redirect(OTHER, THIRD.1, v6::REMOTE));
    assert_eq!(first_hop(&mut host), Some(THIRD.0));
}

/// A router that does not answer keeps none out that comes later.
#[test]
fn dead_routers_make_room() {
    let mut host = with_router();
    host.receive(&v6::router((v6::ROUTER_HW, v6::ROUTER), 0, &[]));
    for n in 0..100 {
        let from = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 1, 0, n);
        host.receive(&v6::router((OTHER.0, from), 65_535, &[]));
    }
    // All of them are silent, and one after the other is found out.
    for _ in 0..200 {
        first_hop(&mut host);
        host.run(4);
    }
    host.receive(&v6::router(THIRD, 1_800, &[]));
    meet(&mut host, THIRD);
    let gateways = || {
        let routes = host.stack.routes();
        routes.filter_map(|route| gateway_of(&route))
    };
    assert!(gateways().any(|gateway| gateway == IpAddr::V6(THIRD.1)));
}
