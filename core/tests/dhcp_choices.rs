//! What the owner of a DHCP client may choose: to refuse offers, to stop, other addresses beside, the MTU, its
//! identity, probing, several interfaces; and leases with routes of their own.

mod common;

use common::dhcp::*;
use common::hardware_address;
use common::link::{OTHER_HW, OUR_HW, PEER, REMOTE, arp, arp_request, parse_sent_arp};
use common::v6;
use mnet_core::InterfaceConfig;
use mnet_core::address::{NetworkChanges, Probing};
use mnet_core::config::Ipv6Config;
use mnet_core::dhcp::{ClientId, DhcpConfig, DhcpState};
use mnet_core::error::{ConfigError, ConnectError};
use mnet_core::route::NextHop;
use mnet_core::udp::GroupChange;
use mnet_core::wire::arp::Operation;
use mnet_core::wire::mld;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[test]
fn the_owner_may_refuse_an_offer_and_take_the_next() {
    let config = DhcpConfig {
        ask: true,
        ..DhcpConfig::default()
    };
    let mut host = Host::new(config);
    let discover = host.only();
    host.answer(&discover, OFFER, LENT, &[]);
    assert_eq!(host.run(5_000).len(), 0, "it waits");
    assert_eq!(host.changes(), NetworkChanges::DHCP_OFFER);
    assert_eq!(host.state(), DhcpState::Offered);
    assert_eq!(host.stack.dhcp_next_offer(), Some(host.interface));
    let offer = host.stack.dhcp_offer(host.interface).unwrap();
    assert_eq!(offer.address, LENT);
    let (now, interface) = (host.now, host.interface);
    host.stack.dhcp_answer(now, interface, false).unwrap();
    assert_eq!(host.stack.dhcp_next_offer(), None);
    let again = host.stack.dhcp_answer(now, interface, true);
    assert_eq!(again, Err(ConfigError::NotEnabled));
    let discover = host.only();
    // The same one is not asked about again.
    host.answer(&discover, OFFER, LENT, &[]);
    assert_eq!(host.stack.dhcp_next_offer(), None);
    let other = Ipv4Addr::new(10, 0, 0, 60);
    host.answer(&discover, OFFER, other, &[]);
    host.stack.dhcp_answer(now, interface, true).unwrap();
    let request = host.only();
    assert_eq!((request.kind, request.address(50)), (REQUEST, Some(other)));
    host.answer(&request, ACK, other, &[]);
    host.run(500);
    assert_eq!(host.addresses(), [IpAddr::V4(other)]);
    // A renewal is no question.
    let asked = host.run(1_800_000);
    host.answer(asked.last().unwrap(), ACK, other, &[]);
    assert_eq!(host.stack.dhcp_next_offer(), None);
    host.run(10);
    assert_eq!(host.state(), DhcpState::Bound);
}

#[test]
fn an_offer_without_a_word_is_left_after_a_minute() {
    let config = DhcpConfig {
        ask: true,
        previous: Some(LENT),
        ..DhcpConfig::default()
    };
    let mut host = Host::new(config);
    let request = host.only();
    host.answer(&request, ACK, LENT, &[]);
    assert_eq!(host.stack.dhcp_next_offer(), Some(host.interface));
    assert_eq!(host.run(59_000).len(), 0);
    // It was lent already, so it is given back.
    let asked = host.run(2_000);
    let kinds: Vec<_> = asked.iter().map(|a| (a.kind, a.destination)).collect();
    assert_eq!(kinds[0].0, RELEASE);
    assert_eq!(kinds[1], (DISCOVER, Ipv4Addr::BROADCAST));
    assert_eq!(host.addresses(), [] as [IpAddr; 0]);
}

#[test]
fn stopping_releases_by_choice() {
    for release in [true, false] {
        let mut host = Host::bound(DhcpConfig::default(), &[]);
        let (now, interface) = (host.now, host.interface);
        host.stack.dhcp_stop(now, interface, release).unwrap();
        let asked = host.run(100_000);
        if release {
            let message = &asked[0];
            assert_eq!((message.kind, message.ciaddr), (RELEASE, LENT));
            assert_eq!((message.source, message.destination), (LENT, SERVER));
            assert_eq!(message.address(54), Some(SERVER));
            assert_eq!(message.address(50), None);
        }
        assert_eq!(asked.len(), usize::from(release));
        assert_eq!(host.addresses(), [] as [IpAddr; 0]);
        assert!(!host.is_routed());
        assert!(host.changes().contains(NetworkChanges::LEASE));
        // And it can be started again.
        let (now, interface) = (host.now, host.interface);
        let config = DhcpConfig::default();
        host.stack
            .dhcp_start(now, interface, config.clone())
            .unwrap();
        assert_eq!(host.only().kind, DISCOVER);
        let twice = host.stack.dhcp_start(now, interface, config);
        assert_eq!(twice, Err(ConfigError::AlreadyEnabled));
    }
}

#[test]
fn a_stop_while_the_address_is_probed_leaves_nothing() {
    let mut host = Host::new(DhcpConfig::default());
    let discover = host.only();
    host.answer(&discover, OFFER, LENT, &[]);
    let request = host.only();
    host.answer(&request, ACK, LENT, &[]);
    host.transmit();
    host.stack
        .dhcp_stop(host.now, host.interface, false)
        .unwrap();
    host.run(10_000);
    assert_eq!(host.stack.address_list(host.interface).count(), 0);
    assert_eq!(host.stack.next_timeout(), None);
    host.assert_no_frame_lost();
}

#[test]
fn a_link_local_address_helps_out_until_there_is_a_lease() {
    let config = DhcpConfig {
        link_local: true,
        ..DhcpConfig::default()
    };
    let mut host = Host::new(config);
    let asked = host.run(20_000);
    let [IpAddr::V4(address)] = host.addresses()[..] else {
        panic!("{:?}", host.addresses());
    };
    assert!(address.is_link_local());
    let asked = [asked, host.run(60_000)].concat();
    host.answer(asked.last().unwrap(), OFFER, LENT, &[]);
    let request = host.only();
    assert_eq!(request.source, NONE);
    host.answer(&request, ACK, LENT, &[]);
    host.run(500);
    assert_eq!(host.addresses(), [IpAddr::V4(LENT)]);
}

#[test]
fn the_mtu_of_the_server_is_adopted_by_choice_and_within_bounds() {
    for (adopt_mtu, option, expected) in [
        (true, 1_400, 1_400),
        (false, 1_400, 1_500),
        (true, 575, 1_500),
        (true, 9_000, 1_500),
    ] {
        let config = DhcpConfig {
            adopt_mtu,
            ..DhcpConfig::default()
        };
        let [high, low] = u16::to_be_bytes(option);
        let mut host = Host::bound(config, &[26, 2, high, low]);
        let id = host.stack.udp_bind(SocketAddr::from((NONE, 9))).unwrap();
        // What is longer leaves in fragments.
        let mut packets = |len: usize| {
            let to = SocketAddr::from((PEER, 9));
            let sent = host.stack.udp_send_to(host.now, id, &vec![0; len], to);
            sent.unwrap();
            host.others.clear();
            host.transmit();
            let all = host.others.iter();
            all.filter(|frame| frame[12..14] == [8, 0]).count()
        };
        assert_eq!(packets(expected - 28), 1, "{option}");
        assert_eq!(packets(expected - 27), 2, "{option}");
    }
}

/// What a server offers is not its own yet: it may be an address that the owner has given.
#[test]
fn the_end_of_the_client_leaves_the_owner_s_address_that_a_server_offers() {
    let mut host = Host::new(DhcpConfig::default());
    let (now, interface) = (host.now, host.interface);
    let add = host.stack.add_address(now, interface, LENT.into(), 24);
    assert_eq!(add, Ok(()));
    let discover = host.only();
    host.answer(&discover, OFFER, LENT, &[]);
    assert_eq!(host.only().kind, REQUEST);
    host.stack.dhcp_stop(now, interface, true).unwrap();
    assert_eq!(host.addresses(), [IpAddr::V4(LENT)]);
    // One that is being probed goes.
    let mut host = Host::new(DhcpConfig::default());
    let discover = host.only();
    host.answer(&discover, OFFER, LENT, &[]);
    let request = host.only();
    host.answer(&request, ACK, LENT, &[]);
    assert_eq!(host.stack.address_list(interface).count(), 1);
    host.stack.dhcp_stop(now, interface, true).unwrap();
    assert_eq!(host.stack.address_list(interface).count(), 0);
}

/// What a server says of the link holds for IPv6 as well, down to what IPv6 must have (RFC 8200 §5).
#[test]
fn the_mtu_of_the_server_is_that_of_ipv6_down_to_1280() {
    for (option, expected) in [(1_400u16, 1_400), (1_280, 1_280), (576, 1_280)] {
        let mut host = ipv6_with_mtu(option);
        let id = host.stack.udp_bind("[::]:9".parse().unwrap()).unwrap();
        let to = "[fe80::1]:9".parse().unwrap();
        let room = |host: &mut Host| host.stack.udp_max_payload(host.now, id, Some(to));
        assert_eq!(room(&mut host), Ok(expected - 48), "{option}");
        let (now, interface) = (host.now, host.interface);
        host.stack.dhcp_stop(now, interface, true).unwrap();
        assert_eq!(room(&mut host), Ok(1_500 - 48));
    }
}

/// A host that speaks IPv6, on a link of which its DHCP server has said this.
fn ipv6_with_mtu(mtu: u16) -> Host {
    let [high, low] = mtu.to_be_bytes();
    let mut host = Host::new(DhcpConfig {
        adopt_mtu: true,
        ..DhcpConfig::default()
    });
    let (now, interface) = (host.now, host.interface);
    let config = Ipv6Config::default();
    host.stack.enable_ipv6(now, interface, config).unwrap();
    host.obtain(&[26, 2, high, low]);
    host.run(10_000);
    assert_eq!(host.stack.interfaces().next().unwrap().mtu, mtu.into());
    host
}

/// Row 28: the longest report fits a message whatever a DHCP server says of the link. One that did not
/// would be due for ever.
#[test]
fn row_28_queries_for_many_sources_are_answered_where_the_mtu_is_small() {
    let mut host = ipv6_with_mtu(576);
    let group: Ipv6Addr = "ff05::1:3".parse().unwrap();
    let source = |n: u16| Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, n);
    let reports = |host: &mut Host| {
        host.others.clear();
        host.run(20_000);
        let all = host.others.iter();
        let reports = all.filter(|f| f[12..14] == [0x86, 0xdd] && f[62] == 143);
        let record = |frame: &Vec<u8>| {
            assert!(frame.len() <= 14 + 1_280);
            (frame[70], u16::from_be_bytes([frame[72], frame[73]]))
        };
        reports.map(record).collect::<Vec<_>>()
    };
    let bind = |host: &mut Host, port| {
        host.stack
            .udp_bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
    };
    let join = |host: &mut Host, id, change| {
        let (now, interface) = (host.now, Some(host.interface));
        host.stack
            .udp_group(now, id, change, group.into(), interface)
            .unwrap();
    };
    let any = bind(&mut host, 7_000).unwrap();
    join(&mut host, any, GroupChange::Join);
    assert_eq!(reports(&mut host), [(4, 0), (4, 0)]);
    let from = "fe80::1".parse().unwrap();
    let mut message = vec![130, 0, 0, 0, 0, 1, 0, 0];
    message.extend(group.octets());
    message.extend([2, 125, 0, 32]);
    message.extend((0..32).flat_map(|n| source(n).octets()));
    let message = v6::summed(from, group, 58, &message);
    let packet = [&mld::ROUTER_ALERT[..], &message].concat();
    host.receive(&v6::frame(
        OTHER_HW,
        group,
        &v6::packet(from, group, 0, 1, &packet),
    ));
    assert_eq!(host.counter("mld_queries"), 1);
    assert_eq!(reports(&mut host), [(1, 32)]);
    host.stack.close(host.now, any).unwrap();
    reports(&mut host);
    // The same of our own accord.
    for port in [7_001, 7_002] {
        let id = bind(&mut host, port).unwrap();
        for n in 0..16 {
            let source = source((port - 7_000) * 16 + n).into();
            join(&mut host, id, GroupChange::JoinSource(source));
        }
    }
    let reports = reports(&mut host);
    assert_eq!((reports[0], reports.len()), ((5, 32), 2));
}

#[test]
fn who_the_client_is_can_be_chosen() {
    let id = |client_id: ClientId| {
        let mut host = Host::new(DhcpConfig {
            client_id,
            ..DhcpConfig::default()
        });
        host.only().options[&61].clone()
    };
    let node = [&[255, 0, 0, 0, 1, 0, 3, 0, 1], &OUR_HW.0[..]].concat();
    assert_eq!(id(ClientId::Node), node);
    let given = ClientId::Given([0, b'm', b'e'].into_iter().collect());
    assert_eq!(id(given), [0, b'm', b'e']);
}

#[test]
fn without_probing_the_address_is_ours_with_the_acknowledgement() {
    let mut host = Host::new(DhcpConfig {
        probing: Probing::Off,
        ..DhcpConfig::default()
    });
    let discover = host.only();
    host.answer(&discover, OFFER, LENT, &[]);
    let request = host.only();
    host.answer(&request, ACK, LENT, &[]);
    assert_eq!(host.addresses(), [IpAddr::V4(LENT)]);
    assert_eq!(host.state(), DhcpState::Bound);
}

#[test]
fn several_interfaces_have_clients_of_their_own() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    let second = InterfaceConfig {
        hardware_address: hardware_address(Ipv4Addr::new(10, 1, 0, 2)),
        mtu: 1500,
    };
    let now = host.now;
    let second = host.stack.add_interface(now, second).unwrap();
    host.stack
        .dhcp_start(now, second, DhcpConfig::default())
        .unwrap();
    host.stack.handle_timeout(now);
    let sent_by = host.stack.transmit(now).expect("a DISCOVER").interface;
    assert_eq!(sent_by, second);
    assert_eq!(host.stack.dhcp_state(second), Some(DhcpState::Selecting));
    assert_eq!(host.state(), DhcpState::Bound);
    host.stack.dhcp_stop(now, second, true).unwrap();
    assert_eq!(host.addresses(), [IpAddr::V4(LENT)]);
}

/// RFC 3442.
#[test]
fn classless_routes_are_used_and_go_with_the_lease() {
    let option = [121, 13, 24, 192, 0, 2, 10, 0, 0, 7, 0, 10, 0, 0, 1];
    let mut host = Host::bound(DhcpConfig::default(), &option);
    assert!(host.is_routed());
    host.transmit();
    let question = host.others.iter().find(|f| f[12..14] == [8, 6]).unwrap();
    assert_eq!(
        parse_sent_arp(question).2.target().1,
        Ipv4Addr::new(10, 0, 0, 7)
    );
    host.stack
        .dhcp_stop(host.now, host.interface, false)
        .unwrap();
    let remote = SocketAddr::from((REMOTE, 80));
    let gone = host.stack.tcp_connect(host.now, remote, None);
    assert_eq!(gone, Err(ConnectError::NoRoute));
}

/// A server that also tells of the network of the lease itself, and then does not any more.
#[test]
fn a_renewal_does_not_take_the_route_of_the_address_away() {
    let own_network = [121, 13, 24, 10, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1];
    let mut host = Host::bound(DhcpConfig::default(), &own_network);
    let neighbours = |host: &Host| {
        let routes = host.stack.routes();
        let interface = host.interface;
        routes
            .filter(|route| route.next_hop == NextHop::OnLink { interface })
            .count()
    };
    assert_eq!(neighbours(&host), 2);
    let request = host.run(1_800_000).pop().unwrap();
    host.answer(&request, ACK, LENT, &[]);
    host.run(1_000);
    assert_eq!((host.state(), neighbours(&host)), (DhcpState::Bound, 1));
    host.stack
        .dhcp_stop(host.now, host.interface, false)
        .unwrap();
    assert_eq!(neighbours(&host), 0);
}

/// Some clouds lend a single address, with a gateway outside: it is made a neighbour.
#[test]
fn an_address_without_a_network_has_its_gateway_outside() {
    let gateway = Ipv4Addr::new(172, 31, 1, 1);
    let single = [&[1, 4, 255, 255, 255, 255][..], &lease(3_600)].concat();
    let bound = |options: &[u8]| {
        let mut host = Host::new(DhcpConfig::default());
        for kind in [OFFER, ACK] {
            let asked = host.only();
            host.receive(&reply(&asked, kind, LENT, SERVER, options, LENT));
        }
        host.run(2_000);
        assert_eq!(host.state(), DhcpState::Bound);
        host.others.clear();
        host
    };
    let by_router = [&single[..], &[3, 4, 172, 31, 1, 1]].concat();
    // RFC 3442, with the gateway as a neighbour and without.
    let classless = [&single[..], &[121, 5, 0, 172, 31, 1, 1]].concat();
    let told = [32, 172, 31, 1, 1, 0, 0, 0, 0, 0, 172, 31, 1, 1];
    let both = [&single[..], &[121, 14], &told].concat();
    for options in [by_router, classless, both] {
        let mut host = bound(&options);
        let all: Vec<_> = host.stack.addresses(host.interface).collect();
        assert_eq!(all, [(LENT.into(), 32)]);
        let remote = SocketAddr::from((REMOTE, 80));
        host.stack.tcp_connect(host.now, remote, None).unwrap();
        host.transmit();
        let question = host.others.iter().find(|f| f[12..14] == [8, 6]).unwrap();
        let question = parse_sent_arp(question).2;
        assert_eq!(question.target().1, gateway, "{options:?}");
        // What waited for its answer goes to it.
        let (theirs, us) = ((OTHER_HW, gateway), question.sender());
        host.others.clear();
        host.receive(&arp(OTHER_HW, OUR_HW, Operation::Reply, theirs, us));
        host.transmit();
        let sent = host.others.iter().find(|f| f[12..14] == [8, 0]).unwrap();
        let sent = common::link::parse_sent(sent);
        assert_eq!(sent.ethernet.destination, OTHER_HW);
        assert_eq!(sent.ip.destination(), REMOTE);
        // It asks who we are, and is told.
        host.others.clear();
        let asks = arp_request(theirs, LENT);
        host.receive(&asks);
        host.transmit();
        let reply = parse_sent_arp(host.others.last().unwrap()).2;
        assert_eq!(reply.target(), theirs);
        // The server, which is no neighbour, is asked over it.
        host.others.clear();
        host.run(1_800_000);
        let questions = host.others.iter().filter(|f| f[12..14] == [8, 6]);
        let wanted: Vec<_> = questions.map(|f| parse_sent_arp(f).2.target().1).collect();
        assert!(wanted.contains(&gateway) && !wanted.contains(&SERVER));
        // Everything goes with the lease.
        host.stack
            .dhcp_stop(host.now, host.interface, false)
            .unwrap();
        let near = SocketAddr::from((gateway, 80));
        for there in [remote, near] {
            let gone = host.stack.tcp_connect(host.now, there, None);
            assert_eq!(gone, Err(ConnectError::NoRoute));
        }
    }
    // A router that cannot be one is none.
    for router in [[0, 0, 0, 0], [224, 0, 0, 1], LENT.octets()] {
        let options = [&single[..], &[3, 4], &router].concat();
        let mut host = bound(&options);
        assert!(!host.is_routed(), "{router:?}");
    }
}
