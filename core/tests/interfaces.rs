//! Several interfaces in one stack: which way packets leave, and what is for whom.

mod common;

use common::several::*;
use common::v6;
use mnet_core::config::Ipv6Config;
use mnet_core::error::{ConfigError, ConnectError, SendToError};
use mnet_core::route::NextHop;
use mnet_core::udp::UdpSetting;
use mnet_core::wire::ethernet::{EthernetAddress, ether_type};
use mnet_core::{Config, ListenOptions, SocketId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SYN: u8 = 2;
const ACK: u8 = 16;
/// A host behind both gateways.
const CLIENT: &str = "198.51.100.7";
const CLIENT_V6: &str = "2001:db8:c::7";

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(address), port)
}

/// Two interfaces with a network and a default gateway each, of both families: 10.0.0.2 by way of
/// 10.0.0.1 on device 0, 10.1.0.2 by way of 10.1.0.1 on device 1.
fn two_gateways() -> Host {
    let mut host = Host::new();
    for (addresses, gateways) in [
        (
            [("10.0.0.2", 24), ("2001:db8:a::2", 64)],
            ["10.0.0.1", "2001:db8:a::1"],
        ),
        (
            [("10.1.0.2", 24), ("2001:db8:b::2", 64)],
            ["10.1.0.1", "2001:db8:b::1"],
        ),
    ] {
        let interface = host.add(&addresses);
        for gateway in gateways {
            host.default_gateway(interface, gateway);
        }
    }
    host
}

fn send(host: &mut Host, id: SocketId, to: SocketAddr) -> Result<(), SendToError> {
    host.stack.udp_send_to(host.now, id, b"x", to)
}

/// The device, the gateway's Ethernet address and the source of the datagram that is sent.
#[track_caller]
fn way(host: &mut Host) -> (usize, EthernetAddress, IpAddr) {
    let sent = host.one();
    (sent.device, sent.to, sent.addresses().0)
}

#[test]
fn who_comes_in_by_an_interface_is_answered_by_it() {
    let mut host = two_gateways();
    let options = ListenOptions::default();
    for any in ["0.0.0.0", "::"] {
        host.stack.tcp_listen_with(at(any, 80), &options).unwrap();
    }
    let cases = [
        (0, CLIENT, "10.0.0.2", "10.0.0.1"),
        (1, CLIENT, "10.1.0.2", "10.1.0.1"),
        (0, CLIENT_V6, "2001:db8:a::2", "2001:db8:a::1"),
        (1, CLIENT_V6, "2001:db8:b::2", "2001:db8:b::1"),
    ];
    for (device, client, ours, gateway) in cases {
        let (client, ours) = (at(client, 4_000), at(ours, 80));
        let gateway_hw = hw_of(ip(gateway));
        let enter = |host: &mut Host, flags, numbers, payload: &[u8]| {
            let packet = tcp(client, ours, flags, numbers, payload);
            let ether_type = type_of(ours.ip());
            let frame = frame(gateway_hw, our_hw(device), None, ether_type, &packet);
            host.receive(device, &frame);
        };
        enter(&mut host, SYN, (100, 0), b"");
        let answer = host.one();
        assert_eq!((answer.device, answer.to), (device, gateway_hw), "{ours}");
        let seq = u32::from_be_bytes(*answer.transport()[4..].first_chunk().unwrap());
        enter(&mut host, ACK, (101, seq + 1), b"question");
        host.advance(1);
        for sent in host.take() {
            assert_eq!((sent.device, sent.to), (device, gateway_hw), "{ours}");
            assert_eq!(sent.addresses(), (ours.ip(), client.ip()));
        }
        // A closed port, and one of UDP: the reset and the ICMP error go the same way.
        let packet = tcp(client, SocketAddr::new(ours.ip(), 81), SYN, (1, 0), b"");
        let frame_of =
            |packet: &[u8]| frame(gateway_hw, our_hw(device), None, type_of(ours.ip()), packet);
        host.receive(device, &frame_of(&packet));
        assert_eq!(way(&mut host), (device, gateway_hw, ours.ip()));
        let packet = udp(client, SocketAddr::new(ours.ip(), 81), b"?");
        host.receive(device, &frame_of(&packet));
        assert_eq!(way(&mut host), (device, gateway_hw, ours.ip()));
    }
    assert_eq!(host.stack.usage().connections, 4);
}

#[test]
fn a_socket_of_an_address_uses_its_interface_and_others_the_best_route() {
    let mut host = two_gateways();
    for (local, remote, device, gateway, source) in [
        ("10.1.0.2", CLIENT, 1, "10.1.0.1", "10.1.0.2"),
        ("10.0.0.2", CLIENT, 0, "10.0.0.1", "10.0.0.2"),
        ("0.0.0.0", CLIENT, 0, "10.0.0.1", "10.0.0.2"),
        ("0.0.0.0", "10.1.0.9", 1, "10.1.0.9", "10.1.0.2"),
        (
            "2001:db8:b::2",
            CLIENT_V6,
            1,
            "2001:db8:b::1",
            "2001:db8:b::2",
        ),
        (
            "2001:db8:a::2",
            CLIENT_V6,
            0,
            "2001:db8:a::1",
            "2001:db8:a::2",
        ),
        ("::", CLIENT_V6, 0, "2001:db8:a::1", "2001:db8:a::2"),
        ("::", "2001:db8:b::9", 1, "2001:db8:b::9", "2001:db8:b::2"),
        // The network of the other interface, from an address here: by the gateway here, since the
        // host there would not believe it from us (and we not its answer).
        ("10.0.0.2", "10.1.0.9", 0, "10.0.0.1", "10.0.0.2"),
    ] {
        let id = host.stack.udp_bind(at(local, 5_000)).unwrap();
        // The first packet asks the routes, the second one the destination cache.
        for _ in 0..2 {
            send(&mut host, id, at(remote, 9)).unwrap();
            let expected = (device, hw_of(ip(gateway)), ip(source));
            assert_eq!(way(&mut host), expected, "{local} to {remote}");
        }
        let connection = host
            .stack
            .tcp_connect(host.now, at(remote, 9), Some(at(local, 0)))
            .unwrap();
        assert_eq!(
            way(&mut host),
            (device, hw_of(ip(gateway)), ip(source)),
            "{local} to {remote}"
        );
        host.stack.tcp_abort(host.now, connection).unwrap();
        host.stack.close(host.now, id).unwrap();
        host.take();
    }
}

#[test]
fn an_interface_without_a_route_there_lets_another_one_do() {
    let mut host = Host::new();
    let first = host.add(&[("10.0.0.2", 24)]);
    host.add(&[("10.1.0.2", 24)]);
    host.default_gateway(first, "10.0.0.1");
    let id = host.stack.udp_bind(at("10.1.0.2", 5_000)).unwrap();
    for _ in 0..2 {
        send(&mut host, id, at(CLIENT, 9)).unwrap();
        let expected = (0, hw_of(v4("10.0.0.1")), ip("10.1.0.2"));
        assert_eq!(way(&mut host), expected);
    }
}

/// The weak model's "ARP flux": an address is answered for, and taken packets for, by the interface
/// that has it.
#[test]
fn an_address_is_known_on_its_own_link_only() {
    let mut host = two_gateways();
    for (device, asker, target, answered) in [
        (0, "10.0.0.9", "10.0.0.2", true),
        (1, "10.1.0.9", "10.1.0.2", true),
        (1, "10.1.0.9", "10.0.0.2", false),
        (1, "10.0.0.9", "10.0.0.2", false),
        (0, "2001:db8:a::9", "2001:db8:a::2", true),
        (1, "2001:db8:b::9", "2001:db8:a::2", false),
    ] {
        host.receive(device, &question(ip(asker), ip(target), None));
        let answers = host.take();
        assert_eq!(answers.len(), usize::from(answered), "{asker} on {device}");
        assert!(answers.iter().all(|answer| answer.device == device));
    }
    host.counted();
    for (client, ours) in [(CLIENT, "10.0.0.2"), (CLIENT_V6, "2001:db8:a::2")] {
        let packet = udp(at(client, 1), at(ours, 2), b"?");
        let ether_type = type_of(ip(ours));
        let from = hw_of(v4("10.1.0.1"));
        host.receive(1, &frame(from, our_hw(1), None, ether_type, &packet));
        assert_eq!(
            (host.take().len(), host.counted()),
            (0, vec![("ip_bad_destination", 1)])
        );
    }
    // Nor is anything for somebody else passed on.
    let packet = udp(at(CLIENT, 1), at("10.0.0.9", 2), b"?");
    let gateway = hw_of(v4("10.1.0.1"));
    host.receive(
        1,
        &frame(gateway, our_hw(1), None, ether_type::IPV4, &packet),
    );
    assert_eq!(
        (host.take().len(), host.counted()),
        (0, vec![("ip_bad_destination", 1)])
    );
    host.assert_no_frame_lost();
}

#[test]
fn two_interfaces_can_be_on_networks_of_the_same_number() {
    let mut host = Host::new();
    host.add(&[("10.0.0.2", 24)]);
    host.add(&[("10.0.0.3", 24)]);
    for (local, device) in [("10.0.0.3", 1), ("10.0.0.2", 0), ("10.0.0.3", 1)] {
        let id = host.stack.udp_bind(at(local, 5_000)).unwrap();
        let broadcast = UdpSetting::Broadcast(true);
        host.stack.udp_set(host.now, id, broadcast).unwrap();
        for to in ["10.0.0.9", "10.0.0.255", "255.255.255.255"] {
            send(&mut host, id, at(to, 9)).unwrap();
            let sent = host.one();
            assert_eq!(
                (sent.device, sent.addresses().0),
                (device, ip(local)),
                "{to}"
            );
        }
        host.stack.close(host.now, id).unwrap();
    }
    // The neighbour 10.0.0.9 of one link is not that of the other.
    host.silent.push(ip("10.0.0.9"));
    host.receive(0, &question(ip("10.0.0.9"), ip("10.0.0.2"), None));
    host.advance(700);
    host.take();
    let id = host.stack.udp_bind(at("10.0.0.3", 5_000)).unwrap();
    host.receive(0, &question(ip("10.0.0.9"), ip("10.0.0.2"), None));
    host.take();
    send(&mut host, id, at("10.0.0.9", 9)).unwrap();
    let asked = host.one();
    assert_eq!((asked.device, asked.ether_type), (1, ether_type::ARP));
}

#[test]
fn the_next_gateway_serves_while_one_does_not_answer() {
    let mut host = Host::new();
    let interface = host.add(&[("10.0.0.2", 24)]);
    for (gateway, metric) in [("10.0.0.254", 20), ("10.0.0.1", 10)] {
        let next_hop = NextHop::Gateway {
            interface,
            address: ip(gateway),
        };
        let everything = Ipv4Addr::UNSPECIFIED.into();
        host.stack
            .add_route_with(everything, 0, next_hop, metric)
            .unwrap();
    }
    let id = host.stack.udp_bind(at("0.0.0.0", 5_000)).unwrap();
    let gateway = |host: &mut Host| {
        send(host, id, at(CLIENT, 9)).unwrap();
        host.advance(1);
        let sent = host.take();
        let datagrams = sent
            .iter()
            .filter(|sent| sent.ether_type == ether_type::IPV4);
        datagrams.map(|sent| sent.to).next_back()
    };
    let (usual, other) = (hw_of(v4("10.0.0.1")), hw_of(v4("10.0.0.254")));
    assert_eq!(gateway(&mut host), Some(usual));
    host.silent.push(ip("10.0.0.1"));
    host.counted();
    // Until the gateway is missed: RFC 4861's reachable time, then five questions, a second each.
    let seconds = (0..60)
        .take_while(|_| gateway(&mut host) != Some(other))
        .count();
    assert!((30..40).contains(&seconds), "{seconds}");
    let counted = host.counted();
    assert!(counted.contains(&("ip_gateway_lost", 1)), "{counted:?}");
    let answers = |host: &Host| -> Vec<bool> {
        let routes = host.stack.routes().filter(|route| route.prefix_len == 0);
        routes.map(|route| route.answers).collect()
    };
    assert_eq!(answers(&host), [true, false]);
    // It is asked once a minute, and nothing is lost meanwhile.
    for _ in 0..150 {
        assert_eq!(gateway(&mut host), Some(other));
    }
    host.silent.clear();
    let seconds = (0..70)
        .take_while(|_| gateway(&mut host) != Some(usual))
        .count();
    assert!((0..62).contains(&seconds), "{seconds}");
    assert_eq!(answers(&host), [true, true]);
    host.advance(3_600);
    assert_eq!(
        host.stack.next_timeout(),
        None,
        "nobody is to be asked again"
    );
}

#[test]
fn what_leads_nowhere_is_refused_from_every_address() {
    let mut host = two_gateways();
    let (network, host_in_it) = ("198.51.100.0", "198.51.100.200");
    let listener = host.stack.udp_bind(at("0.0.0.0", 5_000)).unwrap();
    send(&mut host, listener, at(CLIENT, 9)).unwrap();
    assert_eq!(host.take().len(), 1);
    host.stack
        .add_route_with(ip(network), 24, NextHop::Unreachable, 0)
        .unwrap();
    assert_eq!(
        send(&mut host, listener, at(CLIENT, 9)),
        Err(SendToError::NoRoute)
    );
    for local in ["10.0.0.2", "10.1.0.2"] {
        let refused = host
            .stack
            .tcp_connect(host.now, at(CLIENT, 9), Some(at(local, 0)));
        assert_eq!(refused, Err(ConnectError::NoRoute), "{local}");
    }
    // A longer prefix leads on, over its interface only.
    let interface = host.stack.routes().find_map(|route| match route.next_hop {
        NextHop::Gateway { interface, address } if address == ip("10.1.0.1") => Some(interface),
        _ => None,
    });
    let next_hop = NextHop::Gateway {
        interface: interface.unwrap(),
        address: ip("10.1.0.1"),
    };
    host.stack
        .add_route_with(ip("198.51.100.128"), 25, next_hop, 0)
        .unwrap();
    send(&mut host, listener, at(host_in_it, 9)).unwrap();
    assert_eq!(way(&mut host).0, 1);
    let bound = host.stack.udp_bind(at("10.0.0.2", 5_001)).unwrap();
    assert_eq!(
        send(&mut host, bound, at(host_in_it, 9)),
        Err(SendToError::NoRoute)
    );
    host.stack
        .remove_route_by(ip(network), 24, NextHop::Unreachable)
        .unwrap();
    send(&mut host, bound, at(host_in_it, 9)).unwrap();
    assert_eq!(way(&mut host).0, 0);
    let again = host
        .stack
        .remove_route_by(ip(network), 24, NextHop::Unreachable);
    assert_eq!(again, Err(ConfigError::NoSuchRoute));
}

/// A host with one address and nothing else on its network, as providers give them.
#[test]
fn a_gateway_can_be_outside_of_our_networks_on_a_route_without_a_gateway() {
    let mut host = Host::new();
    let interface = host.add(&[("203.0.113.5", 32), ("2001:db8:1::5", 128)]);
    for (gateway, len, any) in [
        ("169.254.1.1", 32, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        ("2001:db8:ffff::1", 128, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    ] {
        let gateway = ip(gateway);
        let refused = host.stack.add_route(any, 0, gateway, interface);
        assert_eq!(refused, Err(ConfigError::GatewayUnreachable));
        let next_hop = NextHop::OnLink { interface };
        host.stack
            .add_route_with(gateway, len, next_hop, 0)
            .unwrap();
        host.stack.add_route(any, 0, gateway, interface).unwrap();
    }
    for (any, client, gateway, ours) in [
        ("0.0.0.0", CLIENT, "169.254.1.1", "203.0.113.5"),
        ("::", CLIENT_V6, "2001:db8:ffff::1", "2001:db8:1::5"),
    ] {
        let id = host.stack.udp_bind(at(any, 5_000)).unwrap();
        send(&mut host, id, at(client, 9)).unwrap();
        assert_eq!(way(&mut host), (0, hw_of(ip(gateway)), ip(ours)));
    }
}

#[test]
fn routes_that_cannot_be_are_refused_and_those_there_are_listed() {
    let mut host = two_gateways();
    let interface = host.stack.routes().next().map(|route| route.next_hop);
    let Some(NextHop::OnLink { interface }) = interface else {
        panic!("{interface:?}");
    };
    let gateway = |address| NextHop::Gateway {
        interface,
        address: ip(address),
    };
    let on_link = NextHop::OnLink { interface };
    for (destination, len, next_hop, error) in [
        ("192.0.2.1", 24, on_link, ConfigError::BadAddress),
        ("192.0.2.0", 33, on_link, ConfigError::BadAddress),
        ("192.0.2.0", 24, gateway("fe80::1"), ConfigError::BadAddress),
        (
            "192.0.2.0",
            24,
            gateway("10.9.0.1"),
            ConfigError::GatewayUnreachable,
        ),
        (
            "192.0.2.0",
            24,
            gateway("10.1.0.2"),
            ConfigError::GatewayUnreachable,
        ),
    ] {
        let refused = host.stack.add_route_with(ip(destination), len, next_hop, 0);
        assert_eq!(refused, Err(error), "{destination}/{len}");
    }
    let mut listed: Vec<_> = host
        .stack
        .routes()
        .map(|route| format!("{}/{}", route.destination, route.prefix_len))
        .collect();
    listed.sort();
    let expected = [
        "0.0.0.0/0",
        "0.0.0.0/0",
        "10.0.0.0/24",
        "10.1.0.0/24",
        "2001:db8:a::/64",
        "2001:db8:b::/64",
        "::/0",
        "::/0",
    ];
    assert_eq!(listed, expected);
}

/// RFC 8028 §3.1, RFC 6724 §5 rule 5.5: one link, two routers, a prefix of each.
#[test]
fn packets_go_to_the_router_that_has_given_us_their_address() {
    let mut host = Host::new();
    let interface = host.add(&[]);
    host.stack
        .enable_ipv6(host.now, interface, Ipv6Config::default())
        .unwrap();
    host.advance(10);
    host.take();
    let routers = [
        ("fe80::1", "2001:db8:1::", 0u8),
        // Preferred (RFC 4191): high.
        ("fe80::2", "2001:db8:2::", 0x08),
    ];
    for (router, prefix, preference) in routers {
        let IpAddr::V6(router) = ip(router) else {
            panic!("IPv6 only");
        };
        let options = v6::prefix(prefix, 86_400, 86_400);
        let from = (hw_of(router), router);
        host.receive(
            0,
            &v6::router_with_flags(from, (preference, 1_800), &options),
        );
    }
    host.advance(10);
    host.take();
    let ours: Vec<IpAddr> = host.stack.addresses(interface).map(|(a, _)| a).collect();
    let of = |prefix: &str| {
        let start = prefix.trim_end_matches(':');
        ours.iter()
            .find(|a| a.to_string().starts_with(start))
            .unwrap()
    };
    for (router, prefix, _) in routers {
        let id = host
            .stack
            .udp_bind(SocketAddr::new(*of(prefix), 5_000))
            .unwrap();
        for _ in 0..2 {
            send(&mut host, id, at(CLIENT_V6, 9)).unwrap();
            let expected = (0, hw_of(ip(router)), *of(prefix));
            assert_eq!(way(&mut host), expected, "{router}");
        }
    }
    // The destination looks more like the other prefix, but the preferred router decides.
    let id = host.stack.udp_bind(at("::", 5_000)).unwrap();
    send(&mut host, id, at("2001:db8:1:1::9", 9)).unwrap();
    let expected = (0, hw_of(ip("fe80::2")), *of("2001:db8:2::"));
    assert_eq!(way(&mut host), expected);
    // Without the router of its prefix an address has to do with the other one.
    let IpAddr::V6(second) = ip("fe80::2") else {
        panic!("IPv6 only");
    };
    host.receive(0, &v6::router((hw_of(second), second), 0, &[]));
    let id = host
        .stack
        .udp_bind(SocketAddr::new(*of("2001:db8:2::"), 5_001))
        .unwrap();
    send(&mut host, id, at(CLIENT_V6, 9)).unwrap();
    assert_eq!(way(&mut host).1, hw_of(ip("fe80::1")));
}

/// RFC 4007 §11.2: the zone says which link the peer is on. From an address of another link nothing goes
/// there; somebody else may have the peer's address on that one.
#[test]
fn a_connection_leaves_by_the_zone_of_its_peer_or_is_refused() {
    let mut host = Host::new();
    host.add(&[("2001:db8::2", 64)]);
    host.add(&[("2001:db8:1::2", 64)]);
    let connect = |host: &mut Host, zone: u32, local: &str| {
        let remote = format!("[fe80::99%{zone}]:80").parse().unwrap();
        let tried = host.stack.tcp_connect(host.now, remote, Some(at(local, 0)));
        host.flush();
        tried.map(|_| host.one().device)
    };
    assert_eq!(connect(&mut host, 1, "2001:db8::2"), Ok(0));
    assert_eq!(connect(&mut host, 2, "2001:db8:1::2"), Ok(1));
    assert_eq!(connect(&mut host, 2, "::"), Ok(1));
    let other = connect(&mut host, 2, "2001:db8::2");
    assert_eq!(other, Err(ConnectError::NoRoute));
    let other = connect(&mut host, 1, "2001:db8:1::2");
    assert_eq!(other, Err(ConnectError::NoRoute));
    assert!(host.take().is_empty());
}

#[test]
fn the_interfaces_of_a_stack_are_limited() {
    let mut host = Host::with(&Config {
        memory: 2 << 20,
        ..Config::default()
    });
    for _ in 0..8 {
        host.add(&[]);
    }
    let config = mnet_core::InterfaceConfig {
        hardware_address: our_hw(9).0,
        mtu: 1_500,
    };
    let refused = host.stack.add_interface(host.now, config);
    assert_eq!(refused.unwrap_err(), ConfigError::TooMany);
}
