//! IPv6 on a link: addresses, neighbours, routers, groups, errors, and the transports above it.

mod common;

use common::v6::{
    Host, OUR_HW, OURS, PEER, PEER_HW, PEER_LOCAL, REMOTE, ROUTER, ROUTER_HW, advertisement,
    echo_request, frame, icmp, packet, parse, prefix, router, router_with_flags, solicitation,
    summed,
};
use mnet_core::config::{InterfaceIdentifiers, Ipv6Config};
use mnet_core::error::{ConfigError, RecvFromError, SendToError};
use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::wire::ipv6::next_header;
use mnet_core::wire::ndp::{nonce, solicited_node, source_link_layer};
use mnet_core::{Config, Instant, InterfaceConfig, ResolverOrigin, Stack};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

const SOLICITED: u32 = 1 << 30;
const OVERRIDE: u32 = 1 << 29;
const IS_ROUTER: u32 = 1 << 31;

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The type of each ICMPv6 message in frames.
fn types(frames: &[Vec<u8>]) -> Vec<u8> {
    frames.iter().map(|bytes| parse(bytes).payload[0]).collect()
}

/// The neighbour asks for us, and so becomes known.
fn meet(host: &mut Host, hardware: EthernetAddress, source: Ipv6Addr) {
    let request = solicitation(
        hardware,
        (source, solicited_node(OURS)),
        OURS,
        &source_link_layer(hardware),
    );
    assert_eq!(types(&host.receive(&request)), [136]);
    host.counted();
}

/// RFC 4862 §5.4, RFC 3810 §6.1, RFC 4861 §6.3.7: what a host does first.
#[test]
fn a_new_interface_listens_probes_and_asks_for_routers() {
    let mut host = Host::fresh(Ipv6Config::default());
    let sent = host.run(2);
    let first = parse(&sent[0]);
    assert_eq!(
        (first.payload[0], first.ip.hop_limit),
        (143, 1),
        "a report of the group"
    );
    assert!(first.layer.router_alert && first.ip.source().is_unspecified());
    assert_eq!(first.ip.destination(), address("ff02::16"));
    let ours = host.link_local();
    assert_eq!(first.payload[8..12], [4, 0, 0, 0]);
    assert_eq!(first.payload[12..28], solicited_node(ours).octets());

    let probes: Vec<_> = sent
        .iter()
        .map(|f| parse(f))
        .filter(|s| s.payload[0] == 135)
        .collect();
    let [probe] = &probes[..] else {
        panic!("one probe: {probes:?}");
    };
    assert_eq!(
        (probe.ip.source(), probe.ip.hop_limit),
        (Ipv6Addr::UNSPECIFIED, 255)
    );
    assert_eq!(probe.ip.destination(), solicited_node(ours));
    let [.., a, b, c, d] = solicited_node(ours).octets();
    assert_eq!(probe.to, EthernetAddress([0x33, 0x33, a, b, c, d]));
    assert_eq!(probe.payload[8..24], ours.octets());
    assert_eq!(probe.payload[24..26], [14, 1], "a nonce");

    let last = parse(sent.last().unwrap());
    let asks = sent
        .iter()
        .map(|f| parse(f))
        .find(|s| s.payload[0] == 133)
        .unwrap();
    assert_eq!(
        (asks.ip.source(), asks.ip.destination()),
        (ours, address("ff02::2"))
    );
    assert_eq!(asks.payload[8..], source_link_layer(OUR_HW));
    assert!(matches!(last.payload[0], 133 | 143));
    assert_eq!(
        types(&host.run(20)).iter().filter(|t| **t == 133).count(),
        2,
        "and again"
    );
}

#[test]
fn what_cannot_be_enabled_is_refused() {
    let now = Instant::ZERO;
    let mut stack = Stack::new(&Config::default(), [1; 32], now).unwrap();
    let mut add = |mtu| {
        let hardware_address = OUR_HW.0;
        stack
            .add_interface(
                now,
                InterfaceConfig {
                    hardware_address,
                    mtu,
                },
            )
            .unwrap()
    };
    let (small, usual) = (add(1279), add(1280));
    let refused = stack.add_address(now, usual, OURS.into(), 64);
    assert_eq!(refused, Err(ConfigError::FamilyDisabled));
    let config = Ipv6Config::default();
    assert_eq!(
        stack.enable_ipv6(now, small, config),
        Err(ConfigError::MtuOutOfRange)
    );
    assert_eq!(stack.enable_ipv6(now, usual, config), Ok(()));
    assert_eq!(
        stack.enable_ipv6(now, usual, config),
        Err(ConfigError::AlreadyEnabled)
    );
    stack.add_address(now, usual, OURS.into(), 64).unwrap();
    for gateway in ["2001:db8:1::1", "::", "ff02::2", "10.0.0.1"] {
        let gateway = gateway.parse().unwrap();
        let any = Ipv6Addr::UNSPECIFIED.into();
        assert!(
            stack.add_route(any, 0, gateway, usual).is_err(),
            "{gateway}"
        );
    }
}

/// RFC 4861 §7.2.4.
#[test]
fn who_asks_for_our_address_gets_it() {
    let mut host = Host::new();
    let request = solicitation(
        PEER_HW,
        (PEER, solicited_node(OURS)),
        OURS,
        &source_link_layer(PEER_HW),
    );
    let sent = host.receive(&request);
    let [answer] = &sent[..] else {
        panic!("{sent:?}");
    };
    let answer = parse(answer);
    assert_eq!(
        (answer.to, answer.ip.source(), answer.ip.destination()),
        (PEER_HW, OURS, PEER)
    );
    assert_eq!((answer.payload[0], answer.ip.hop_limit), (136, 255));
    assert_eq!(answer.payload[4], 0x60, "solicited, override");
    assert_eq!(answer.payload[8..24], OURS.octets());
    assert_eq!(answer.payload[26..32], OUR_HW.0);
    let probe = solicitation(
        PEER_HW,
        (Ipv6Addr::UNSPECIFIED, solicited_node(OURS)),
        OURS,
        &[],
    );
    let sent = host.receive(&probe);
    let answer = parse(&sent[0]);
    assert_eq!(
        answer.ip.destination(),
        address("ff02::1"),
        "a probe is answered to all"
    );
    assert_eq!(answer.payload[4], 0x20, "not solicited");
    host.assert_no_frame_lost();
}

/// RFC 4861 §7.2.2, §7.2.5.
#[test]
fn a_packet_waits_for_its_neighbour() {
    let mut host = Host::new();
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let to = SocketAddr::new(PEER.into(), 9);
    host.stack.udp_send_to(host.now, id, b"hello", to).unwrap();
    let sent = host.transmit();
    let question = parse(&sent[0]);
    assert_eq!((sent.len(), question.payload[0]), (1, 135));
    assert_eq!(
        (question.ip.source(), question.ip.destination()),
        (OURS, solicited_node(PEER))
    );
    let answer = advertisement(PEER_HW, (PEER, OURS), (PEER, SOLICITED | OVERRIDE));
    let sent = host.receive(&answer);
    let datagram = parse(&sent[0]);
    assert_eq!((datagram.to, datagram.ip.source()), (PEER_HW, OURS));
    assert_eq!(
        (datagram.layer.protocol, &datagram.payload[8..]),
        (next_header::UDP, &b"hello"[..])
    );
}

#[test]
fn a_silent_neighbour_is_asked_three_times() {
    let mut host = Host::new();
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let to = SocketAddr::new(PEER.into(), 9);
    host.stack.udp_send_to(host.now, id, b"hello", to).unwrap();
    let mut sent = types(&host.run(10));
    sent.retain(|kind| *kind != 133);
    assert_eq!(sent, [135; 3]);
    assert!(host.counted().contains(&("neighbour_failed", 1)));
    host.assert_no_frame_lost();
}

/// RFC 4861 §7.3: what is known is checked by unicast.
#[test]
fn a_stale_neighbour_is_asked_by_unicast() {
    let mut host = Host::new();
    meet(&mut host, PEER_HW, PEER);
    host.run(60);
    let sent = host.receive(&echo_request(PEER, OURS, b"x"));
    assert_eq!(types(&sent), [129, 135]);
    let question = parse(&sent[1]);
    assert_eq!((question.to, question.ip.destination()), (PEER_HW, PEER));
    let answer = advertisement(PEER_HW, (PEER, OURS), (PEER, SOLICITED));
    assert!(host.receive(&answer).is_empty());
    assert_eq!(types(&host.receive(&echo_request(PEER, OURS, b"x"))), [129]);
}

/// RFC 4862 §5.4.3, §5.4.4: both kinds of conflict, and our own probe come back (RFC 7527).
#[test]
fn an_address_that_somebody_has_is_not_used() {
    for by_advertisement in [false, true] {
        let mut host = Host::fresh(Ipv6Config::default());
        let (now, interface) = (host.now, host.interface);
        host.stack
            .add_address(now, interface, OURS.into(), 64)
            .unwrap();
        let mut probe = None;
        while probe.is_none() {
            let next = host.stack.next_timeout().unwrap();
            host.now = host.now.max(next);
            probe = host.transmit().into_iter().find(|bytes| {
                let sent = parse(bytes);
                sent.payload[0] == 135 && sent.payload[8..24] == OURS.octets()
            });
        }
        let echoed = parse(&probe.unwrap()).payload.to_vec();
        let group = solicited_node(OURS);
        let same = icmp(PEER_HW, (Ipv6Addr::UNSPECIFIED, group, 255), &echoed);
        host.receive(&same);
        let conflict = if by_advertisement {
            advertisement(PEER_HW, (OURS, address("ff02::1")), (OURS, OVERRIDE))
        } else {
            let other = nonce([1, 2, 3, 4, 5, 6]);
            solicitation(PEER_HW, (Ipv6Addr::UNSPECIFIED, group), OURS, &other)
        };
        host.counted();
        host.receive(&conflict);
        assert!(host.counted().contains(&("nd_duplicate_address", 1)));
        host.run(10);
        assert!(!host.ours().contains(&OURS));
        assert_eq!(host.ours().len(), 1, "the link-local one");
        assert!(host.receive(&echo_request(PEER, OURS, b"x")).is_empty());
    }
}

#[test]
fn an_address_in_use_is_kept_whatever_others_say() {
    let mut host = Host::new();
    host.receive(&advertisement(
        PEER_HW,
        (OURS, address("ff02::1")),
        (OURS, OVERRIDE),
    ));
    assert_eq!(host.counted(), [("ip_bad_source", 1)]);
    host.receive(&advertisement(
        PEER_HW,
        (PEER, address("ff02::1")),
        (OURS, OVERRIDE),
    ));
    assert_eq!(host.counted(), [("nd_conflict", 1)]);
    assert!(host.ours().contains(&OURS));
}

/// RFC 4862 §5.5.3, RFC 4861 §6.3.4.
#[test]
fn a_router_gives_prefix_route_mtu_and_resolvers() {
    let mut host = Host::new();
    let mut options = prefix("2001:db8:5::", 7_200, 3_600);
    options.extend([5, 1, 0, 0, 0, 0, 5, 0xdc - 100]);
    options.extend([25, 3, 0, 0, 0, 0, 0, 100]);
    options.extend(address("2001:db8::53").octets());
    options.extend([31, 2, 0, 0, 0, 0, 0, 100]);
    options.extend(b"\x03lan\0\0\0\0");
    host.receive(&router((ROUTER_HW, ROUTER), 1_800, &options));
    host.run(5);
    let global = host
        .ours()
        .into_iter()
        .find(|a| a.segments()[2] == 5)
        .expect("an address");
    assert_eq!(global.segments()[..4], [0x2001, 0xdb8, 5, 0]);
    let (now, interface) = (host.now, host.interface);
    let servers: Vec<_> = host.stack.dns_servers(interface).collect();
    let [server] = servers[..] else {
        panic!("{servers:?}");
    };
    assert_eq!(server.address, address("2001:db8::53"));
    assert_eq!(server.origin, ResolverOrigin::Router);
    let domains: Vec<_> = host
        .stack
        .search_domains(interface)
        .map(|d| d.name.as_str())
        .collect();
    assert_eq!(domains, ["lan"]);
    // To a host far away by way of the router, from our address with the best match.
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let to = SocketAddr::new(address("2001:db8:5:1::9").into(), 9);
    host.stack.udp_send_to(now, id, b"far", to).unwrap();
    let sent = host.transmit();
    let datagram = parse(&sent[0]);
    assert_eq!((datagram.to, datagram.ip.source()), (ROUTER_HW, global));
    // The MTU is 1400.
    let long = [0; 1_353];
    for (payload, frames) in [(&long[..], 2), (&long[1..], 1)] {
        host.stack.udp_send_to(now, id, payload, to).unwrap();
        assert_eq!(host.transmit().len(), frames);
    }
    // No more questions for routers.
    assert!(!types(&host.run(500)).contains(&133));
    // Their lifetimes end.
    host.run(1_400);
    let (now, to) = (host.now, SocketAddr::new(REMOTE.into(), 9));
    assert_eq!(
        host.stack.udp_send_to(now, id, b"x", to),
        Err(SendToError::NoRoute)
    );
    assert!(host.ours().contains(&global));
    host.run(6_000);
    assert!(!host.ours().contains(&global));
}

#[test]
fn a_router_that_says_so_is_one_no_longer() {
    let mut host = Host::new();
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let to = SocketAddr::new(REMOTE.into(), 9);
    for farewell in [
        router((ROUTER_HW, ROUTER), 0, &[]),
        advertisement(ROUTER_HW, (ROUTER, address("ff02::1")), (ROUTER, OVERRIDE)),
    ] {
        host.receive(&router((ROUTER_HW, ROUTER), 1_800, &[]));
        host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
        assert_eq!(host.transmit().len(), 1);
        let still = advertisement(
            ROUTER_HW,
            (ROUTER, address("ff02::1")),
            (ROUTER, IS_ROUTER | OVERRIDE),
        );
        host.receive(&still);
        host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
        host.receive(&farewell);
        let gone = host.stack.udp_send_to(host.now, id, b"x", to);
        assert_eq!(gone, Err(SendToError::NoRoute));
    }
}

/// RFC 4861 §6.3.6.
#[test]
fn another_router_takes_over_from_one_that_is_silent() {
    let mut host = Host::new();
    let other_hw = EthernetAddress([2, 0, 0, 0, 0, 0xfd]);
    let other = address("fe80::fd");
    host.receive(&router_with_flags((ROUTER_HW, ROUTER), (0x08, 9_000), &[]));
    host.receive(&router_with_flags((other_hw, other), (0x18, 9_000), &[]));
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let to = SocketAddr::new(REMOTE.into(), 9);
    host.run(60);
    let mut first_hops = Vec::new();
    for _ in 0..20 {
        host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
        for bytes in host.run(1) {
            let sent = parse(&bytes);
            if sent.layer.protocol == next_header::UDP {
                first_hops.push(sent.to);
            } else if sent.payload[8..24] == other.octets() {
                let flags = SOLICITED | IS_ROUTER;
                host.receive(&advertisement(
                    other_hw,
                    (other, host.link_local()),
                    (other, flags),
                ));
            }
        }
    }
    assert_eq!(first_hops.first(), Some(&ROUTER_HW));
    assert_eq!(first_hops.last(), Some(&other_hw));
}

/// RFC 4191.
#[test]
fn preferences_and_more_specific_routes_are_followed() {
    let mut host = Host::new();
    let other_hw = EthernetAddress([2, 0, 0, 0, 0, 0xfd]);
    let other = address("fe80::fd");
    host.receive(&router_with_flags((ROUTER_HW, ROUTER), (0x18, 1_800), &[]));
    let mut route = vec![24, 2, 48, 0, 0, 0, 7, 8];
    route.extend(&address("2001:db8:ff::").octets()[..8]);
    host.receive(&router_with_flags((other_hw, other), (0x08, 1_800), &route));
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let mut first_hop = |to: &str| {
        let to = SocketAddr::new(to.parse().unwrap(), 9);
        host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
        parse(&host.transmit()[0]).to
    };
    assert_eq!(
        first_hop("2001:db8:ee::1"),
        other_hw,
        "high goes before low"
    );
    assert_eq!(first_hop("2001:db8:ff::1"), other_hw);
    host.receive(&router_with_flags((ROUTER_HW, ROUTER), (0x08, 1_800), &[]));
    host.receive(&router_with_flags((other_hw, other), (0x18, 1_800), &[]));
    let mut first_hop = |to: &str| {
        let to = SocketAddr::new(to.parse().unwrap(), 9);
        host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
        parse(&host.transmit()[0]).to
    };
    assert_eq!(first_hop("2001:db8:ee::1"), ROUTER_HW);
    assert_eq!(first_hop("2001:db8:ff::1"), other_hw, "more specific");
}

/// RFC 4861 §7.2.5: only who is known to have the address says that it is a router no more.
#[test]
fn a_stranger_cannot_say_that_the_router_is_none() {
    let mut host = Host::new();
    host.receive(&router((ROUTER_HW, ROUTER), 1_800, &[]));
    let everybody = address("ff02::1");
    host.receive(&advertisement(
        PEER_HW,
        (PEER_LOCAL, everybody),
        (ROUTER, OVERRIDE),
    ));
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let to = SocketAddr::new(REMOTE.into(), 9);
    host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
    assert!(
        host.transmit()
            .iter()
            .any(|bytes| parse(bytes).to == ROUTER_HW)
    );
}

/// RFC 7559 §2: a router that is no default router does not end the search for one.
#[test]
fn solicitations_go_on_until_there_is_a_default_router() {
    let mut host = Host::fresh(Ipv6Config::default());
    host.run(3);
    host.receive(&router(
        (ROUTER_HW, ROUTER),
        0,
        &prefix("2001:db8:5::", 7_200, 3_600),
    ));
    assert!(types(&host.run(30)).contains(&133));
    host.receive(&router((ROUTER_HW, ROUTER), 9_000, &[]));
    assert!(!types(&host.run(600)).contains(&133));
}

/// An address that goes before it was listened to takes no group along, which others may share.
#[test]
fn short_lived_prefixes_do_not_end_listening() {
    let mut host = Host::with(Ipv6Config {
        identifiers: InterfaceIdentifiers::Eui64,
        ..Ipv6Config::default()
    });
    let ours = host.link_local();
    for i in 0..20 {
        let option = prefix(&format!("2001:db8:{i:x}::"), 1, 1);
        host.receive(&router((ROUTER_HW, ROUTER), 0, &option));
        host.run(2);
    }
    let option = source_link_layer(PEER_HW);
    let question = solicitation(PEER_HW, (PEER_LOCAL, solicited_node(ours)), ours, &option);
    assert_eq!(types(&host.receive(&question)), [136]);
}

/// RFC 4861 §8.3.
#[test]
fn a_redirect_of_the_first_hop_is_followed() {
    let mut host = Host::new();
    host.receive(&router((ROUTER_HW, ROUTER), 1_800, &[]));
    let better = address("fe80::99");
    let better_hw = EthernetAddress([2, 0, 0, 0, 0, 0x99]);
    let redirect = |from: (EthernetAddress, Ipv6Addr)| {
        let mut message = vec![137, 0, 0, 0, 0, 0, 0, 0];
        message.extend(better.octets());
        message.extend(REMOTE.octets());
        message.extend(mnet_core::wire::ndp::target_link_layer(better_hw));
        icmp(from.0, (from.1, OURS, 255), &message)
    };
    host.counted();
    host.receive(&redirect((PEER_HW, PEER_LOCAL)));
    assert_eq!(host.counted(), [("nd_ignored", 1)], "not the first hop");
    host.receive(&redirect((ROUTER_HW, ROUTER)));
    assert_eq!(host.counted(), [("nd_redirects", 1)]);
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let to = SocketAddr::new(REMOTE.into(), 9);
    host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
    assert_eq!(parse(&host.transmit()[0]).to, better_hw);
    host.run(700);
    host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
    let sent = host.transmit();
    let question = parse(&sent[0]);
    assert_eq!(question.payload[8..24], ROUTER.octets(), "for ten minutes");
}

#[test]
fn routers_are_ignored_where_they_are_not_believed() {
    let mut host = Host::with(Ipv6Config {
        accept_router_advertisements: false,
        ..Ipv6Config::default()
    });
    assert!(!types(&host.run(100)).contains(&133));
    host.receive(&router(
        (ROUTER_HW, ROUTER),
        1_800,
        &prefix("2001:db8:5::", 7_200, 3_600),
    ));
    host.run(5);
    assert_eq!(
        (host.ours().len(), host.counted()),
        (2, vec![("nd_ignored", 1)])
    );
}

#[test]
fn identifiers_are_stable_with_a_secret_and_made_of_the_hardware_by_choice() {
    let of = |change: fn(&mut Ipv6Config)| {
        let mut config = Ipv6Config::default();
        change(&mut config);
        Host::with(config).link_local()
    };
    let secret = of(|config| config.secret = Some([7; 16]));
    assert_eq!(secret, of(|config| config.secret = Some([7; 16])));
    assert_ne!(secret, of(|config| config.secret = Some([8; 16])));
    let eui = of(|config| config.identifiers = InterfaceIdentifiers::Eui64);
    assert_eq!(eui, address("fe80::aff:fe00:2"));
}

/// RFC 4443 §4.2.
#[test]
fn echo_is_answered_to_one_host_only() {
    let mut host = Host::new();
    meet(&mut host, PEER_HW, PEER);
    let sent = host.receive(&echo_request(PEER, OURS, b"payload"));
    let reply = parse(&sent[0]);
    assert_eq!(
        (reply.payload[0], &reply.payload[8..]),
        (129, &b"payload"[..])
    );
    assert_eq!((reply.ip.source(), reply.ip.destination()), (OURS, PEER));
    host.counted();
    assert!(
        host.receive(&echo_request(PEER, address("ff02::1"), b"x"))
            .is_empty()
    );
    assert_eq!(host.counted(), [("icmp_not_unicast", 1)]);
}

/// RFC 4443 §3.1, §3.4, RFC 8200 §4.
#[test]
fn what_is_not_understood_is_reported() {
    let mut host = Host::new();
    meet(&mut host, PEER_HW, PEER);
    let unknown = packet(PEER, OURS, 99, 64, b"what");
    let option = [17, 0, 0x9e, 4, 0, 0, 0, 0];
    let with_option = packet(PEER, OURS, next_header::DESTINATION_OPTIONS, 64, &option);
    let routed = packet(
        PEER,
        OURS,
        next_header::ROUTING,
        64,
        &[17, 0, 0, 1, 0, 0, 0, 0],
    );
    let datagram = summed(PEER, OURS, 17, &[0, 9, 0, 9, 0, 9, 0, 0, 1]);
    let to_no_port = packet(PEER, OURS, 17, 64, &datagram);
    for (packet, error) in [
        (unknown, [4, 1, 6]),
        (with_option, [4, 2, 42]),
        (routed, [4, 0, 42]),
        (to_no_port, [1, 4, 0]),
    ] {
        let sent = host.receive(&frame(PEER_HW, OURS, &packet));
        let [report] = &sent[..] else {
            panic!("{error:?}: {sent:?}");
        };
        let report = parse(report);
        let [kind, code, .., pointer] = report.payload[..8] else {
            panic!("a header");
        };
        assert_eq!([kind, code, pointer], error);
        assert_eq!(report.payload[8..], packet, "it is quoted");
        host.run(2);
    }
    host.assert_no_frame_lost();
}

#[test]
fn errors_are_not_answered_with_errors() {
    let mut host = Host::new();
    meet(&mut host, PEER_HW, PEER);
    let option = [58, 0, 0x9e, 4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let bytes = packet(PEER, OURS, next_header::DESTINATION_OPTIONS, 64, &option);
    assert!(host.receive(&frame(PEER_HW, OURS, &bytes)).is_empty());
    let from_nobody = packet(Ipv6Addr::UNSPECIFIED, OURS, 99, 64, b"what");
    assert!(host.receive(&frame(PEER_HW, OURS, &from_nobody)).is_empty());
}

/// RFC 8200 §8.1.
#[test]
fn a_datagram_without_checksum_is_dropped() {
    let mut host = Host::new();
    host.stack.udp_bind("[::]:9".parse().unwrap()).unwrap();
    let bytes = packet(PEER, OURS, 17, 64, &[0, 9, 0, 9, 0, 9, 0, 0, 1]);
    host.receive(&frame(PEER_HW, OURS, &bytes));
    assert_eq!(
        host.counted(),
        [("udp_received", 1), ("udp_bad_checksum", 1)]
    );
}

#[test]
fn a_datagram_and_its_answer_over_link_local_addresses() {
    let mut host = Host::new();
    let ours = host.link_local();
    meet(&mut host, PEER_HW, PEER_LOCAL);
    let id = host.stack.udp_bind("[::]:9".parse().unwrap()).unwrap();
    let datagram = summed(PEER_LOCAL, ours, 17, &[0, 7, 0, 9, 0, 9, 0, 0, 1]);
    let bytes = packet(PEER_LOCAL, ours, 17, 64, &datagram);
    assert!(host.receive(&frame(PEER_HW, ours, &bytes)).is_empty());
    let mut buffer = [0; 9];
    let received = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
    let zoned = SocketAddrV6::new(PEER_LOCAL, 7, 0, 1);
    assert_eq!((received.len, received.remote), (1, zoned.into()));
    host.stack
        .udp_send_to(host.now, id, b"answer", received.remote)
        .unwrap();
    let sent = host.transmit();
    let answer = parse(&sent[0]);
    assert_eq!(
        (answer.ip.source(), answer.ip.destination()),
        (ours, PEER_LOCAL)
    );
    // RFC 8201 §4: too big for the path. Less than 1280 is not believed.
    let quoted = sent[0][14..].to_vec();
    let mut quoted_long = quoted.clone();
    quoted_long[4..6].copy_from_slice(&1_460u16.to_be_bytes());
    for (mtu, largest) in [(1_279u16, 1_452), (1_400, 1_352), (1_280, 1_232)] {
        let [high, low] = mtu.to_be_bytes();
        let about = |packet: &[u8]| [&[2, 0, 0, 0, 0, 0, high, low][..], packet].concat();
        // Nor is what is said of a packet that fits (RFC 5927 §7.2).
        host.receive(&icmp(PEER_HW, (PEER_LOCAL, ours, 64), &about(&quoted)));
        host.receive(&icmp(PEER_HW, (PEER_LOCAL, ours, 64), &about(&quoted_long)));
        let mut send = |len| {
            let result = host
                .stack
                .udp_send_to(host.now, id, &vec![0; len], received.remote);
            result.map(|()| host.transmit().len())
        };
        assert_eq!(send(largest), Ok(1));
        assert_eq!(send(largest + 1), Ok(2));
    }
    assert_eq!(host.stack.counters().udp_path_mtu_lowered, 2);
    // To a port that nobody has: the error comes back to the socket.
    let error = [&[1, 4, 0, 0, 0, 0, 0, 0][..], &quoted].concat();
    host.receive(&icmp(PEER_HW, (PEER_LOCAL, ours, 64), &error));
    let refused = host.stack.udp_recv_from(host.now, id, &mut buffer);
    assert_eq!(refused.unwrap_err(), RecvFromError::Refused);
}

/// RFC 3810 §6.2.
#[test]
fn queries_are_answered_with_our_groups() {
    let mut host = Host::new();
    let mut message = vec![130, 0, 0, 0, 0x27, 0x10, 0, 0];
    message.extend([0; 16]);
    message.extend([2, 125, 0, 0]);
    let query = |hops: u8, alert: bool| {
        let everybody = address("ff02::1");
        let message = summed(PEER_LOCAL, everybody, next_header::ICMPV6, &message);
        let bytes = if alert {
            let payload = [&[58, 0, 5, 2, 0, 0, 1, 0][..], &message].concat();
            packet(
                PEER_LOCAL,
                everybody,
                next_header::HOP_BY_HOP,
                hops,
                &payload,
            )
        } else {
            packet(PEER_LOCAL, everybody, next_header::ICMPV6, hops, &message)
        };
        frame(PEER_HW, everybody, &bytes)
    };
    assert!(host.receive(&query(1, true)).is_empty(), "not at once");
    let mut sent = host.run(10);
    sent.retain(|bytes| parse(bytes).payload[0] != 133);
    let [report] = &sent[..] else {
        panic!("{sent:?}");
    };
    let report = parse(report);
    assert_eq!((report.payload[0], report.payload[7]), (143, 2));
    assert_eq!(report.ip.source(), host.link_local());
    assert_eq!(report.payload[8], 2, "mode is exclude");
    host.counted();
    host.receive(&query(2, true));
    host.receive(&query(1, false));
    assert_eq!(host.counted(), [("mld_malformed", 2)]);
}

/// TCP over IPv6, global and link-local: two stacks, a connection each, closed in order.
#[test]
fn connections_over_global_and_link_local_addresses() {
    let host = |hardware_address: [u8; 6], address: IpAddr, seed| {
        let now = Instant::from_millis(1);
        let mut stack = Stack::new(&Config::default(), [seed; 32], now).unwrap();
        let mtu = 1500;
        let interface = stack
            .add_interface(
                now,
                InterfaceConfig {
                    hardware_address,
                    mtu,
                },
            )
            .unwrap();
        stack
            .enable_ipv6(now, interface, Ipv6Config::default())
            .unwrap();
        stack.add_address(now, interface, address, 64).unwrap();
        (stack, interface)
    };
    let (mut a, interface) = host(OUR_HW.0, OURS.into(), 1);
    let (mut b, _) = host(PEER_HW.0, PEER.into(), 2);
    let mut now = Instant::from_millis(1);
    let mut run = |a: &mut Stack, b: &mut Stack, millis: u64| {
        for _ in 0..millis {
            now = now + std::time::Duration::from_millis(1);
            for _ in 0..4 {
                while let Some(bytes) = a.transmit(now).map(|f| f.slices.concat()) {
                    b.receive_copy(now, interface, &bytes);
                }
                while let Some(bytes) = b.transmit(now).map(|f| f.slices.concat()) {
                    a.receive_copy(now, interface, &bytes);
                }
            }
            a.handle_timeout(now);
            b.handle_timeout(now);
        }
        now
    };
    let mut now = run(&mut a, &mut b, 3_000);
    let local = |stack: &Stack| {
        let mut addresses = stack.addresses(interface).map(|(address, _)| address);
        addresses
            .find(|a| matches!(a, IpAddr::V6(v6) if v6.is_unicast_link_local()))
            .unwrap()
    };
    let listener = b.tcp_listen("[::]:80".parse().unwrap(), 4).unwrap();
    for address in [IpAddr::V6(PEER), local(&b)] {
        let client = a
            .tcp_connect(now, SocketAddr::new(address, 80), None)
            .unwrap();
        now = run(&mut a, &mut b, 20);
        let server = b.tcp_accept(listener).unwrap();
        assert_eq!(
            a.local_addr(client).unwrap(),
            b.remote_addr(server).unwrap()
        );
        assert_eq!(
            a.remote_addr(client).unwrap(),
            b.local_addr(server).unwrap()
        );
        let data = vec![7; 20_000];
        assert_eq!(a.tcp_send(now, client, &data).unwrap(), data.len());
        a.tcp_shutdown(now, client).unwrap();
        now = run(&mut a, &mut b, 100);
        let mut buffer = vec![0; 30_000];
        let mut got = 0;
        loop {
            match b.tcp_recv(now, server, &mut buffer[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(&buffer[..got], &data[..]);
        a.close(now, client).unwrap();
        b.close(now, server).unwrap();
        now = run(&mut a, &mut b, 100);
    }
    assert_eq!(
        (a.counters().tcp_bad_checksum, b.counters().tcp_retransmits),
        (0, 0)
    );
    assert_eq!((b.usage().connections, b.usage().orphaned), (0, 0));
}

/// RFC 4861 §4.6.4: a router lowers the link's MTU under an open connection.
#[test]
fn a_link_that_shrinks_does_not_hold_up_a_connection() {
    let mut host = Host::new();
    meet(&mut host, PEER_HW, PEER);
    let to = SocketAddr::new(PEER.into(), 80);
    let id = host.stack.tcp_connect(host.now, to, None).unwrap();
    let sent = host.transmit();
    let syn = parse(&sent[0]);
    let [a, b, _, _, c, d, e, f] = *syn.payload.first_chunk::<8>().unwrap();
    let (port, iss) = ([a, b], u32::from_be_bytes([c, d, e, f]));
    let segment = |flags: u8, ack: u32| {
        let mut bytes = vec![
            0,
            80,
            port[0],
            port[1],
            0,
            0,
            0,
            9 + u8::from(flags == 0x10),
        ];
        bytes.extend(ack.to_be_bytes());
        // With an MSS option in the SYN.
        bytes.extend(if flags == 0x12 {
            [0x60, flags]
        } else {
            [0x50, flags]
        });
        bytes.extend([0xff, 0xff, 0, 0, 0, 0]);
        if flags == 0x12 {
            bytes.extend([2, 4, 0x05, 0xa0]);
        }
        let pseudo = mnet_core::checksum::pseudo_header(PEER.into(), OURS.into(), 6, bytes.len());
        let sum = (pseudo + mnet_core::checksum::sum(&bytes)).finish();
        bytes[16..18].copy_from_slice(&sum.to_be_bytes());
        frame(
            PEER_HW,
            OURS,
            &packet(PEER, OURS, next_header::TCP, 64, &bytes),
        )
    };
    host.receive(&segment(0x12, iss.wrapping_add(1)));
    let smaller = [5, 1, 0, 0, 0, 0, 0x05, 0];
    host.receive(&router((ROUTER_HW, ROUTER), 1_800, &smaller));
    host.stack.tcp_send(host.now, id, &[7; 10_000]).unwrap();
    let mut acknowledged = iss.wrapping_add(1);
    let end = acknowledged.wrapping_add(10_000);
    for _ in 0..40 {
        for bytes in host
            .run(0)
            .into_iter()
            .chain(host.receive(&segment(0x10, acknowledged)))
        {
            assert!(bytes.len() <= 14 + 1_280);
            let sent = parse(&bytes);
            if sent.layer.protocol == next_header::TCP {
                let seq = u32::from_be_bytes(*sent.payload[4..].first_chunk::<4>().unwrap());
                let header = usize::from(sent.payload[12] >> 4) * 4;
                let len = u32::try_from(sent.payload.len() - header).unwrap();
                if seq == acknowledged {
                    acknowledged = acknowledged.wrapping_add(len);
                }
            }
        }
        host.now = host.now + std::time::Duration::from_millis(50);
    }
    assert_eq!(acknowledged, end, "all of it within two seconds");
    assert!(host.stack.counters().ip_too_large > 0);
}
