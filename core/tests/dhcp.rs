//! The DHCPv4 client through the whole stack, against a scripted server under virtual time.

mod common;

use common::dhcp::*;
use common::link::{
    ALL, OTHER_HW, OUR_HW, PEER, PEER_HW, arp_request, from_peer, parse_sent_arp, tcp,
};
use common::random::Random;
use mnet_core::Instant;
use mnet_core::address::{AddressOrigin, AddressState, NetworkChanges};
use mnet_core::dhcp::{DhcpConfig, DhcpState};
use mnet_core::error::{ConfigError, RecvError};
use mnet_core::wire::dhcp::HEADER_LEN;
use mnet_core::wire::tcp::Flags;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

#[test]
fn an_address_is_offered_requested_probed_and_used() {
    let mut host = Host::new(DhcpConfig {
        hostname: Some("echo".try_into().unwrap()),
        requests: [43, 3, 43].into_iter().collect(),
        ..DhcpConfig::default()
    });
    let discover = host.only();
    assert_eq!((discover.kind, discover.secs), (DISCOVER, 0));
    assert_eq!(
        (discover.source, discover.destination),
        (NONE, Ipv4Addr::BROADCAST)
    );
    assert_eq!((discover.to, discover.ciaddr), (ALL, NONE));
    assert_eq!(discover.options[&61], [&[1], &OUR_HW.0[..]].concat());
    assert_eq!(discover.options[&12], b"echo");
    assert_eq!(
        discover.options[&55],
        [1, 121, 3, 6, 15, 119, 26, 42, 58, 59, 43]
    );
    assert_eq!(discover.options.get(&50), None);

    // To the address that is not ours yet: an answer comes by unicast.
    host.answer(&discover, OFFER, LENT, &[15, 3, b'l', b'a', b'n']);
    let request = host.only();
    assert_eq!((request.kind, request.xid), (REQUEST, discover.xid));
    assert_eq!(
        (request.address(50), request.address(54)),
        (Some(LENT), Some(SERVER))
    );
    assert_eq!(
        (request.source, request.destination),
        (NONE, Ipv4Addr::BROADCAST)
    );
    assert_eq!(
        (host.state(), host.addresses()),
        (DhcpState::Requesting, vec![])
    );

    host.answer(&request, ACK, LENT, &[15, 3, b'l', b'a', b'n']);
    assert_eq!(host.transmit().len(), 0);
    assert_eq!(
        (host.state(), host.addresses()),
        (DhcpState::Probing, vec![])
    );
    host.run(500);
    assert_eq!(host.state(), DhcpState::Bound);
    assert_eq!(host.addresses(), [IpAddr::V4(LENT)]);
    assert!(host.is_routed());
    let expected = NetworkChanges::LEASE
        | NetworkChanges::ADDRESS_USABLE
        | NetworkChanges::DEFAULT_ROUTE
        | NetworkChanges::DNS;
    assert_eq!(host.changes(), expected);
    let info = host.stack.address_list(host.interface).next().unwrap();
    assert_eq!(
        (info.origin, info.state),
        (AddressOrigin::Dhcp, AddressState::Usable)
    );
    assert!(
        info.valid
            .is_some_and(|left| left <= Duration::from_secs(3_600))
    );
    let servers = host.stack.dns_servers(host.interface);
    assert_eq!(
        servers.map(|s| s.address).collect::<Vec<_>>(),
        [IpAddr::V4(SERVER)]
    );
    let domains = host.stack.search_domains(host.interface);
    assert_eq!(
        domains
            .map(|d| d.name.as_str().to_owned())
            .collect::<Vec<_>>(),
        ["lan"]
    );
    let lease = host.stack.dhcp_lease(host.interface).unwrap();
    assert_eq!(
        (lease.address, lease.prefix_len, lease.server),
        (LENT, 24, SERVER)
    );
    let mut text = [0; 8];
    assert_eq!(
        (lease.option(15, &mut text), &text[..3]),
        (Some(3), &b"lan"[..])
    );
    // Three probes, and the first announcement.
    let arp = host.others.iter().filter(|frame| frame[12..14] == [8, 6]);
    assert_eq!(arp.count(), 4);
}

#[test]
fn broadcast_answers_will_do() {
    let mut host = Host::new(DhcpConfig::default());
    for (kind, expected) in [(OFFER, DISCOVER), (ACK, REQUEST)] {
        let asked = host.only();
        assert_eq!(asked.kind, expected);
        let everybody = Ipv4Addr::BROADCAST;
        host.receive(&reply(&asked, kind, LENT, SERVER, &usual(&[]), everybody));
    }
    host.run(500);
    assert_eq!(host.state(), DhcpState::Bound);
}

/// RFC 2131 §4.1.
#[test]
fn without_a_server_it_asks_ever_more_seldom_with_a_random_second() {
    let mut gaps = Vec::new();
    for seed in 0..20 {
        let mut host = Host::seeded(DhcpConfig::default(), seed);
        let asked = host.run(400_000);
        let times: Vec<_> = asked.iter().map(|asked| asked.at).collect();
        let secs: Vec<_> = asked.iter().map(|asked| u64::from(asked.secs)).collect();
        for (at, secs) in times.iter().zip(secs) {
            assert_eq!((*at - times[0]).as_secs(), secs, "the secs field");
        }
        assert!(
            asked
                .iter()
                .all(|a| a.kind == DISCOVER && a.xid == asked[0].xid)
        );
        for (pair, expected) in times
            .windows(2)
            .zip([4.0, 8.0, 16.0, 32.0, 64.0, 64.0, 64.0])
        {
            let gap = seconds(pair[0], pair[1]);
            assert!(
                (expected - 1.0..=expected + 1.0).contains(&gap),
                "{gap} for {expected}"
            );
            gaps.push(gap.to_bits());
        }
        assert_eq!(host.addresses(), [] as [IpAddr; 0]);
    }
    gaps.sort_unstable();
    gaps.dedup();
    assert!(gaps.len() > 100, "by chance");
}

#[test]
fn a_request_without_an_answer_is_repeated_and_then_all_begins_anew() {
    let mut host = Host::new(DhcpConfig::default());
    let discover = host.only();
    host.answer(&discover, OFFER, LENT, &[]);
    let asked = host.run(70_000);
    let kinds: Vec<_> = asked.iter().map(|asked| asked.kind).collect();
    assert_eq!(kinds[..5], [REQUEST, REQUEST, REQUEST, REQUEST, DISCOVER]);
    assert_ne!(asked[4].xid, discover.xid);
}

#[test]
fn what_is_not_for_us_or_not_expected_is_ignored() {
    let mut host = Host::new(DhcpConfig::default());
    let discover = host.only();
    let good = reply(&discover, OFFER, LENT, SERVER, &usual(&[]), LENT);
    // Where the message starts in the frame.
    const START: usize = 14 + 20 + 8;
    let changed = |at: usize, byte: u8| {
        let mut message = good[START..].to_vec();
        message[at] ^= byte;
        in_frame(&message, LENT)
    };
    for frame in [
        changed(4, 1),
        changed(28, 1),
        reply(&discover, ACK, LENT, SERVER, &usual(&[]), LENT),
        reply(&discover, NAK, LENT, SERVER, &[], LENT),
        reply(&discover, DISCOVER, LENT, SERVER, &[], LENT),
    ] {
        host.receive(&frame);
        assert_eq!(host.transmit().len(), 0);
    }
    assert_eq!(host.counter("dhcp_ignored"), 5);
    for frame in [changed(0, 3), changed(1, 1), changed(2, 1), changed(236, 1)] {
        host.receive(&frame);
    }
    assert_eq!(host.counter("dhcp_malformed"), 4);
    // Without the server's name, and what cannot be an address.
    let mut nameless = good[START..].to_vec();
    nameless[HEADER_LEN + 3] = 200;
    host.receive(&in_frame(&nameless, LENT));
    for address in [
        NONE,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::LOCALHOST,
        [10, 0, 0, 255].into(),
    ] {
        host.receive(&reply(&discover, OFFER, address, SERVER, &usual(&[]), LENT));
    }
    assert_eq!(
        (host.counter("dhcp_ignored"), host.counter("dhcp_refused")),
        (6, 4)
    );
    assert_eq!(
        (host.transmit().len(), host.state()),
        (0, DhcpState::Selecting)
    );
    host.receive(&good);
    assert_eq!(host.only().kind, REQUEST);
    // Another server cannot answer in its place.
    let request = discover;
    for kind in [ACK, NAK] {
        let other = Ipv4Addr::new(10, 0, 0, 77);
        host.receive(&reply(&request, kind, LENT, other, &usual(&[]), LENT));
    }
    // Nor the same server with another address.
    let other = Ipv4Addr::new(10, 0, 0, 51);
    host.receive(&reply(&request, ACK, other, SERVER, &usual(&[]), LENT));
    assert_eq!(host.state(), DhcpState::Requesting);
    host.assert_no_frame_lost();
}

/// Attacks row 10: nobody is configured who has not asked.
#[test]
fn without_a_client_messages_reach_nobody() {
    let now = Instant::from_millis(1_000);
    let mut host = Host::new(DhcpConfig::default());
    let discover = host.only();
    host.stack.dhcp_stop(now, host.interface, true).unwrap();
    for kind in [OFFER, ACK] {
        host.answer(&discover, kind, LENT, &[]);
    }
    assert_eq!(host.run(10_000).len(), 0);
    assert_eq!(host.stack.dhcp_state(host.interface), None);
    assert_eq!(
        (host.addresses(), host.counter("dhcp_received")),
        (vec![], 0)
    );
    assert_eq!(host.counter("ip_bad_destination"), 2);
    let again = host.stack.dhcp_stop(now, host.interface, true);
    assert_eq!(again, Err(ConfigError::NotEnabled));
}

/// An answer to whoever asks for the lent address.
fn conflict() -> Vec<u8> {
    arp_request((OTHER_HW, LENT), LENT)
}

/// RFC 2131 §3.1 (5), §4.3.3: to decline is for addresses that somebody has, and takes them from the
/// server. A host with no room for another address gives it back, and asks ever more seldom.
#[test]
fn an_address_for_which_there_is_no_room_is_given_back_and_not_declined() {
    let mut host = Host::new(DhcpConfig::default());
    let (now, interface) = (host.now, host.interface);
    let own = |n: u8| IpAddr::from([192, 168, n, 2]);
    for n in 1..=8 {
        host.stack.add_address(now, interface, own(n), 24).unwrap();
    }
    let mut pauses = Vec::new();
    for n in 0..5 {
        let begin = host.now;
        let asked = host.run(if n == 0 { 0 } else { 100_000 });
        assert!(asked.iter().all(|asked| asked.kind == DISCOVER));
        pauses.push(seconds(begin, asked[0].at));
        host.answer(asked.last().unwrap(), OFFER, LENT, &[]);
        let request = host.only();
        host.answer(&request, ACK, LENT, &[]);
        let asked = host.transmit();
        let release = &asked[0];
        assert_eq!((release.kind, release.ciaddr), (RELEASE, LENT));
        assert_eq!(release.address(54), Some(SERVER));
    }
    assert_eq!(host.counter("dhcp_declines"), 0);
    assert_eq!(host.counter("dhcp_no_room"), 5);
    // At once the first time, then later and later.
    assert_eq!(pauses[2..], [2.0, 4.0, 8.0]);
    let now = host.now;
    host.stack.remove_address(now, interface, own(1)).unwrap();
    let asked = host.run(100_000);
    host.answer(asked.last().unwrap(), OFFER, LENT, &[]);
    let request = host.only();
    host.answer(&request, ACK, LENT, &[]);
    host.run(2_000);
    assert_eq!(host.state(), DhcpState::Bound);
}

/// RFC 2131 §3.1 (5).
#[test]
fn an_address_that_somebody_has_is_declined_and_another_one_asked_for_after_ten_seconds() {
    let mut host = Host::new(DhcpConfig::default());
    let discover = host.only();
    host.answer(&discover, OFFER, LENT, &[]);
    let request = host.only();
    host.answer(&request, ACK, LENT, &[]);
    host.run(150);
    let asked_at = host.now;
    host.receive(&conflict());
    let asked = host.run(30_000);
    assert_eq!((asked[0].kind, asked[1].kind), (DECLINE, DISCOVER));
    let decline = &asked[0];
    assert_eq!(
        (decline.address(50), decline.address(54)),
        (Some(LENT), Some(SERVER))
    );
    assert_eq!(
        (decline.source, decline.destination),
        (NONE, Ipv4Addr::BROADCAST)
    );
    assert_eq!((decline.ciaddr, decline.xid), (NONE, request.xid));
    assert_eq!(seconds(asked_at, asked[1].at), 10.0);
    assert_eq!(asked[1].options.get(&50), None);
    assert_eq!(host.addresses(), [] as [IpAddr; 0]);
    assert_eq!(host.counter("dhcp_declines"), 1);
    assert!(host.changes().contains(NetworkChanges::ADDRESS_CONFLICT));
    assert_eq!(
        host.stack.address_list(host.interface).count(),
        0,
        "not a duplicate of ours"
    );
}

#[test]
fn an_address_in_use_that_somebody_insists_on_is_declined_too() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    host.receive(&conflict());
    assert_eq!(host.run(1_000).len(), 0, "defended once");
    assert_eq!(host.addresses().len(), 1);
    host.receive(&conflict());
    let asked = host.run(15_000);
    assert_eq!((asked[0].kind, asked[1].kind), (DECLINE, DISCOVER));
    assert_eq!(host.addresses(), [] as [IpAddr; 0]);
    assert!(!host.is_routed());
    let told = host.changes();
    assert!(told.contains(NetworkChanges::ADDRESS_GONE | NetworkChanges::LEASE));
}

#[test]
fn an_address_that_the_owner_gave_already_is_declined() {
    let mut host = Host::new(DhcpConfig::default());
    let (now, interface) = (host.now, host.interface);
    host.stack
        .add_address(now, interface, LENT.into(), 24)
        .unwrap();
    let discover = host.only();
    host.answer(&discover, OFFER, LENT, &[]);
    let request = host.only();
    host.answer(&request, ACK, LENT, &[]);
    assert_eq!(host.only().kind, DECLINE);
    assert_eq!(host.addresses().len(), 1, "the owner's stays");
}

/// A connection of a peer to the lent address.
fn connection(host: &mut Host) -> mnet_core::SocketId {
    let server = SocketAddr::from((LENT, 80));
    let client = SocketAddr::from((PEER, 1_000));
    let listener = host.stack.tcp_listen(server, 4).unwrap();
    host.receive(&arp_request((PEER_HW, PEER), LENT));
    host.transmit();
    host.others.clear();
    let segment = |flags, numbers| from_peer(&tcp(client, server, flags, numbers, &[], |_| {}));
    host.receive(&segment(Flags::SYN, (100, 0)));
    host.transmit();
    let syn_ack = host.others.pop().unwrap();
    let number = common::link::parse_sent(&syn_ack).tcp().0.sequence.get();
    host.receive(&segment(Flags::ACK, (101, number.wrapping_add(1))));
    let id = host.stack.tcp_accept(listener).unwrap();
    host.stack.close(host.now, listener).unwrap();
    while host.stack.poll_event().is_some() {}
    id
}

/// RFC 2131 §4.4.5.
#[test]
fn a_renewal_with_the_same_address_disturbs_nothing() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    let bound_at = host.now;
    let id = connection(&mut host);
    host.run(5_000);
    host.others.clear();
    host.changes();
    let before = *host.stack.counters();
    let asked = host.run(1_800_000);
    assert_eq!(asked.len(), 1, "{asked:?}");
    let request = &asked[0];
    assert!(
        (1_795.0..1_800.0).contains(&seconds(bound_at, request.at)),
        "T1"
    );
    assert_eq!(
        (request.kind, request.ciaddr, request.source),
        (REQUEST, LENT, LENT)
    );
    assert_eq!(
        (request.destination, request.to),
        (SERVER, PEER_HW),
        "by unicast"
    );
    assert_eq!((request.address(50), request.address(54)), (None, None));
    assert_eq!(host.state(), DhcpState::Renewing);
    host.now = request.at;
    host.answer(request, ACK, LENT, &[]);
    host.run(1_000);
    assert_eq!(host.state(), DhcpState::Bound);
    assert_eq!(host.changes(), NetworkChanges::empty());
    let after = host.stack.counters();
    assert_eq!(after.arp_probes_sent, before.arp_probes_sent);
    let announced = host.others.iter().filter(|frame| {
        frame[12..14] == [8, 6]
            && parse_sent_arp(frame).2.sender().1 == parse_sent_arp(frame).2.target().1
    });
    assert_eq!(announced.count(), 0);
    assert_eq!(host.stack.tcp_send(host.now, id, b"alive"), Ok(5));
    // And it holds for another hour.
    assert_eq!(host.run(1_700_000).len(), 0);
}

#[test]
fn a_server_that_is_silent_is_asked_again_and_then_every_server() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    host.run(1_000);
    let bound_at = host.now;
    let id = connection(&mut host);
    let asked = host.run(3_590_000);
    let renewals: Vec<_> = asked.iter().filter(|a| a.destination == SERVER).collect();
    let rebinds: Vec<_> = asked
        .iter()
        .filter(|a| a.destination.is_broadcast())
        .collect();
    assert_eq!(renewals.len() + rebinds.len(), asked.len());
    // At T1, then after half of what is left until T2, a minute at least.
    let t2 = 3_149.0;
    let times: Vec<_> = renewals.iter().map(|a| seconds(bound_at, a.at)).collect();
    for pair in times.windows(2) {
        let expected = ((t2 - pair[0]) / 2.0).max(60.0);
        assert!((pair[1] - pair[0] - expected).abs() < 5.0, "{times:?}");
    }
    assert!((4..=8).contains(&times.len()), "{times:?}");
    assert!(
        rebinds
            .iter()
            .all(|a| (a.source, a.ciaddr, a.to) == (LENT, LENT, ALL))
    );
    assert!((seconds(bound_at, rebinds[0].at) - t2).abs() < 5.0);
    assert_eq!(host.state(), DhcpState::Rebinding);
    assert_eq!(host.addresses(), [IpAddr::V4(LENT)]);
    assert_eq!(host.stack.tcp_send(host.now, id, b"still"), Ok(5));
    // Another server may answer now.
    let last = rebinds.last().unwrap();
    let other = Ipv4Addr::new(10, 0, 0, 77);
    host.receive(&reply(last, ACK, LENT, other, &usual(&[]), LENT));
    host.run(10);
    assert_eq!(host.state(), DhcpState::Bound);
    let lease = host.stack.dhcp_lease(host.interface).unwrap();
    assert_eq!(lease.server, other);
}

#[test]
fn when_the_lease_is_over_the_address_goes_with_routes_connections_and_dns() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    let id = connection(&mut host);
    host.run(3_590_000);
    host.changes();
    assert_eq!(host.addresses().len(), 1);
    let asked = host.run(20_000);
    assert_eq!(host.addresses(), [] as [IpAddr; 0]);
    assert!(!host.is_routed());
    let mut buffer = [0; 4];
    assert_eq!(
        host.stack.tcp_recv(host.now, id, &mut buffer),
        Err(RecvError::AddressGone)
    );
    let expected = NetworkChanges::LEASE
        | NetworkChanges::ADDRESS_GONE
        | NetworkChanges::DEFAULT_ROUTE
        | NetworkChanges::DNS;
    assert_eq!(host.changes(), expected);
    assert_eq!(host.stack.dns_servers(host.interface).count(), 0);
    assert_eq!(host.counter("dhcp_leases_lost"), 1);
    assert!(host.stack.dhcp_lease(host.interface).is_none());
    // It asks for the same one again.
    let discover = asked.iter().find(|a| a.kind == DISCOVER).expect("anew");
    assert_eq!(discover.address(50), Some(LENT));
    assert_eq!(discover.source, NONE);
}

/// A clock that jumps past everything, as after a suspension.
#[test]
fn a_lease_that_ended_long_ago_is_not_renewed() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    host.now = host.now + Duration::from_secs(1_000_000);
    let asked = host.transmit();
    assert!(asked.iter().all(|a| a.kind == DISCOVER), "{asked:?}");
    assert_eq!(host.addresses(), [] as [IpAddr; 0]);
}

#[test]
fn a_lease_for_ever_is_never_renewed() {
    let mut host = Host::bound(DhcpConfig::default(), &lease(u32::MAX));
    host.run(5_000);
    assert_eq!(host.stack.next_timeout(), None);
    let info = host.stack.address_list(host.interface).next().unwrap();
    assert_eq!((info.valid, info.preferred), (None, None));
}

#[test]
fn a_nak_takes_the_address_away_and_the_next_attempt_is_anew() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    let asked = host.run(1_800_000);
    let request = asked.last().unwrap();
    // Not from anybody else while it renews.
    let other = Ipv4Addr::new(10, 0, 0, 77);
    host.receive(&reply(request, NAK, NONE, other, &[], LENT));
    assert_eq!(host.addresses().len(), 1);
    host.receive(&reply(request, NAK, NONE, SERVER, &[], LENT));
    let discover = host.only();
    assert_eq!((discover.kind, discover.address(50)), (DISCOVER, None));
    assert_ne!(discover.xid, request.xid);
    assert_eq!(host.addresses(), [] as [IpAddr; 0]);
    assert_eq!(host.counter("dhcp_naks"), 1);
}

/// Attacks row 29: no storm.
#[test]
fn a_server_that_takes_back_whatever_it_offers_causes_few_questions() {
    let mut host = Host::new(DhcpConfig::default());
    let end = host.now + Duration::from_secs(600);
    let mut sent = 0;
    while host.now < end {
        for asked in host.run(100) {
            sent += 1;
            let kind = if asked.kind == DISCOVER { OFFER } else { NAK };
            host.answer(&asked, kind, LENT, &[]);
        }
    }
    assert!((10..60).contains(&sent), "{sent} in ten minutes");
}

#[test]
fn an_address_of_an_earlier_run_is_asked_for_at_once() {
    let config = DhcpConfig {
        previous: Some(LENT),
        ..DhcpConfig::default()
    };
    let mut host = Host::new(config.clone());
    let request = host.only();
    assert_eq!((request.kind, request.ciaddr), (REQUEST, NONE));
    assert_eq!(
        (request.address(50), request.address(54)),
        (Some(LENT), None)
    );
    assert_eq!(host.state(), DhcpState::Rebooting);
    host.answer(&request, ACK, LENT, &[]);
    host.run(500);
    assert_eq!(
        (host.state(), host.addresses()),
        (DhcpState::Bound, vec![LENT.into()])
    );

    let mut host = Host::new(config.clone());
    let request = host.only();
    host.receive(&reply(
        &request,
        NAK,
        NONE,
        SERVER,
        &[],
        Ipv4Addr::BROADCAST,
    ));
    let discover = host.only();
    assert_eq!((discover.kind, discover.address(50)), (DISCOVER, None));

    // Nobody knows it.
    let mut host = Host::new(config);
    let kinds: Vec<_> = host.run(16_000).iter().map(|a| a.kind).collect();
    assert_eq!(kinds[..3], [REQUEST, REQUEST, DISCOVER]);
}

/// The option for routers.
fn router(last: u8) -> Vec<u8> {
    vec![3, 4, 10, 0, 0, last]
}

#[test]
fn what_a_renewal_changes_is_changed_and_nothing_else() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    let id = connection(&mut host);
    // Another router, another DNS server and a shorter prefix; the same address.
    let asked = host.run(1_800_000);
    host.changes();
    let request = asked.last().unwrap().clone();
    host.now = request.at;
    let changed = [
        &[1, 4, 255, 255, 0, 0][..],
        &router(9),
        &[6, 4, 10, 0, 0, 8],
        &lease(3_600),
    ]
    .concat();
    host.receive(&reply(&request, ACK, LENT, SERVER, &changed, LENT));
    host.run(10);
    let expected = NetworkChanges::LEASE | NetworkChanges::DEFAULT_ROUTE | NetworkChanges::DNS;
    assert_eq!(host.changes(), expected);
    let all: Vec<_> = host.stack.addresses(host.interface).collect();
    assert_eq!(all, [(LENT.into(), 16)]);
    assert_eq!(host.stack.tcp_send(host.now, id, b"alive"), Ok(5));
    let servers = host.stack.dns_servers(host.interface);
    let servers: Vec<_> = servers.map(|s| s.address).collect();
    assert_eq!(servers, [IpAddr::from([10, 0, 0, 8])]);
    // The first hop is the new one.
    host.others.clear();
    assert!(host.is_routed());
    host.transmit();
    let question = host.others.iter().find(|f| f[12..14] == [8, 6]).unwrap();
    assert_eq!(
        parse_sent_arp(question).2.target().1,
        Ipv4Addr::new(10, 0, 0, 9)
    );
    // A neighbour of the wider network is one.
    let near = SocketAddr::from(([10, 0, 77, 7], 80));
    host.others.clear();
    host.stack.tcp_connect(host.now, near, None).unwrap();
    host.transmit();
    let asks = host.others.iter().any(|f| {
        f[12..14] == [8, 6] && parse_sent_arp(f).2.target().1 == Ipv4Addr::new(10, 0, 77, 7)
    });
    assert!(asks);
}

#[test]
fn another_address_is_probed_and_takes_the_place_of_the_old_one() {
    let mut host = Host::bound(DhcpConfig::default(), &[]);
    let id = connection(&mut host);
    let asked = host.run(1_800_000);
    let other = Ipv4Addr::new(10, 0, 0, 60);
    host.answer(asked.last().unwrap(), ACK, other, &[]);
    host.transmit();
    assert_eq!(
        (host.addresses(), host.state()),
        (vec![], DhcpState::Probing)
    );
    let mut buffer = [0; 4];
    let read = host.stack.tcp_recv(host.now, id, &mut buffer);
    assert_eq!(read, Err(RecvError::AddressGone));
    host.run(500);
    assert_eq!(
        (host.addresses(), host.state()),
        (vec![other.into()], DhcpState::Bound)
    );
    assert!(host.is_routed());
}

/// Attacks rows 3 and 29: random bags of options, of a server that answers everything.
#[test]
fn row_29_hostile_servers_cause_no_panic_no_storm_and_no_leak() {
    let interesting = [
        0, 1, 3, 6, 12, 15, 26, 42, 51, 52, 53, 54, 58, 59, 61, 119, 121, 255,
    ];
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut host = Host::seeded(
            DhcpConfig {
                adopt_mtu: true,
                link_local: seed % 2 == 0,
                ask: seed % 3 == 0,
                ..DhcpConfig::default()
            },
            42,
        );
        let mut sent = 0;
        for _ in 0..60 {
            let magnitude = random.below(22);
            let millis = random.below(1 << magnitude) as u64;
            for asked in host.run(millis) {
                sent += 1;
                let mut options = Vec::new();
                for _ in 0..random.below(12) {
                    let tag = random.pick(&interesting);
                    let magnitude = random.below(9);
                    let len = random.below(1 << magnitude).min(255);
                    options.push(tag);
                    options.push(u8::try_from(len).unwrap());
                    // Now and then it is not as long as it says.
                    let len = if random.below(20) == 0 { len / 2 } else { len };
                    for _ in 0..len {
                        let byte = random.byte();
                        let low = random.pick(&[0, 1, 4, 10, 255]);
                        let byte = if random.below(2) == 0 { byte } else { low };
                        options.push(byte);
                    }
                }
                options.truncate(1_100);
                if random.below(3) > 0 {
                    options = usual(&options);
                }
                let kind = match (asked.kind, random.below(8)) {
                    (_, 0) => u8::try_from(random.below(9)).unwrap(),
                    (_, 1) => NAK,
                    (DISCOVER, _) => OFFER,
                    _ => ACK,
                };
                let yours = Ipv4Addr::new(10, 0, 0, random.byte());
                host.receive(&reply(&asked, kind, yours, SERVER, &options, LENT));
                if random.below(10) == 0 {
                    host.receive(&arp_request((OTHER_HW, yours), yours));
                }
            }
            if let Some(interface) = host.stack.dhcp_next_offer() {
                let accept = random.below(4) > 0;
                host.stack.dhcp_answer(host.now, interface, accept).unwrap();
            }
            if let Some(lease) = host.stack.dhcp_lease(host.interface) {
                assert!(lease.renew_at <= lease.rebind_at && lease.rebind_at <= lease.expires_at);
            }
            host.others.clear();
        }
        assert!(sent < 3_000, "seed {seed}: {sent} messages");
        host.stack
            .dhcp_stop(host.now, host.interface, true)
            .unwrap();
        host.run(30_000);
        assert_eq!(
            host.stack.address_list(host.interface).count(),
            0,
            "seed {seed}"
        );
        assert_eq!(
            host.stack.dns_servers(host.interface).count(),
            0,
            "seed {seed}"
        );
        host.assert_no_frame_lost();
    }
}
