//! Address conflict detection (RFC 5227) and link-local addresses (RFC 3927) through the whole
//! stack, under virtual time.

mod common;

use common::link::*;
use mnet_core::address::{
    AddressInfo, AddressOptions, AddressOrigin, AddressState, NetworkChanges, OnConflict, Probing,
};
use mnet_core::error::{ConfigError, ConnectError, SendToError};
use mnet_core::wire::arp::{ArpPacket, Operation};
use mnet_core::wire::ethernet::EthernetAddress;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address that is probed, on the network of [`OURS`].
const NEW: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 50);
const NOBODY: EthernetAddress = EthernetAddress([0; 6]);
const PROBE: AddressOptions = AddressOptions {
    probing: Probing::Full,
    on_conflict: OnConflict::DefendOnce,
};

fn changes(host: &mut Host) -> NetworkChanges {
    let event = host.stack.poll_network_event();
    event.map_or(NetworkChanges::empty(), |event| event.changes)
}

fn add(host: &mut Host, address: Ipv4Addr, options: AddressOptions) -> Result<(), ConfigError> {
    let (now, interface) = (host.now, host.interface);
    host.stack
        .add_address_with(now, interface, address.into(), 24, options)
}

fn state(host: &Host, address: Ipv4Addr) -> Option<AddressState> {
    let mut all = host.stack.address_list(host.interface);
    all.find(|info| info.address == address)
        .map(|info| info.state)
}

/// Lets time pass until `until`; what was sent, and when.
fn run(host: &mut Host, millis: u64) -> Vec<(u64, Vec<u8>)> {
    let end = host.now + std::time::Duration::from_millis(millis);
    let mut sent = Vec::new();
    loop {
        sent.extend(
            host.transmit()
                .into_iter()
                .map(|f| (host.now.as_millis(), f)),
        );
        let Some(next) = host.stack.next_timeout().filter(|next| *next <= end) else {
            host.now = end;
            return sent;
        };
        assert!(next > host.now, "the loop would spin");
        host.now = next;
    }
}

fn is_probe(frame: &[u8], address: Ipv4Addr) -> bool {
    let probe = ArpPacket::new(
        Operation::Request,
        (OUR_HW, Ipv4Addr::UNSPECIFIED),
        (NOBODY, address),
    );
    parse_sent_arp(frame) == (ALL, Operation::Request, probe)
}

fn is_announcement(frame: &[u8], address: Ipv4Addr) -> bool {
    let ours = (OUR_HW, address);
    let announcement = ArpPacket::new(Operation::Request, ours, (NOBODY, address));
    parse_sent_arp(frame) == (ALL, Operation::Request, announcement)
}

#[test]
fn an_address_is_probed_then_ours_then_announced() {
    let mut host = Host::new();
    changes(&mut host);
    add(&mut host, NEW, PROBE).unwrap();
    assert_eq!(state(&host, NEW), Some(AddressState::Tentative));
    // Nobody is answered for it yet, and nothing may use it.
    assert_eq!(host.receive(&arp_request((PEER_HW, PEER), NEW)).len(), 0);
    let bound = host.stack.udp_bind(SocketAddr::from((NEW, 9)));
    assert!(bound.is_err());
    let sent = run(&mut host, 10_000);
    let [p1, p2, p3, a1, a2] = &sent[..] else {
        panic!("{} frames", sent.len());
    };
    for (_, probe) in [p1, p2, p3] {
        assert!(is_probe(probe, NEW));
    }
    for (_, announcement) in [a1, a2] {
        assert!(is_announcement(announcement, NEW));
    }
    assert!((1_999..=2_000).contains(&(a1.0 - p3.0)), "ANNOUNCE_WAIT");
    assert_eq!(state(&host, NEW), Some(AddressState::Usable));
    assert_eq!(changes(&mut host), NetworkChanges::ADDRESS_USABLE);
    assert_eq!(host.receive(&arp_request((PEER_HW, PEER), NEW)).len(), 1);
    let counted = host.counted();
    assert!(counted.contains(&("arp_probes_sent", 3)), "{counted:?}");
    host.assert_no_frame_lost();
}

/// RFC 5227 §2.1.1: whoever answers the probe, whoever announces the address, and whoever probes it
/// as well.
#[test]
fn an_address_that_somebody_has_or_probes_is_never_used() {
    let claims = [
        arp_request((OTHER_HW, NEW), NEW),
        arp_request((OTHER_HW, NEW), PEER),
        arp(
            OTHER_HW,
            OUR_HW,
            Operation::Reply,
            (OTHER_HW, NEW),
            (OUR_HW, Ipv4Addr::UNSPECIFIED),
        ),
        arp_request((OTHER_HW, Ipv4Addr::UNSPECIFIED), NEW),
    ];
    for (way, claim) in claims.iter().enumerate() {
        // At any time of the probing.
        for millis in [0, 500, 1_500, 3_000, 3_900] {
            let mut host = Host::new();
            changes(&mut host);
            add(&mut host, NEW, PROBE).unwrap();
            run(&mut host, millis);
            let sent = host.receive(claim);
            let announced = sent.iter().any(|frame| !is_probe(frame, NEW));
            assert!(!announced, "claim {way} after {millis} ms");
            assert_eq!(run(&mut host, 60_000), [], "claim {way} after {millis} ms");
            assert_eq!(state(&host, NEW), Some(AddressState::Duplicate));
            assert_eq!(changes(&mut host), NetworkChanges::ADDRESS_CONFLICT);
            let counted = host.counted();
            assert!(counted.contains(&("arp_conflict", 1)), "{counted:?}");
            assert!(counted.contains(&("arp_given_up", 1)), "{counted:?}");
            host.assert_no_frame_lost();
        }
    }
}

#[test]
fn what_says_nothing_about_the_probed_address_is_no_conflict() {
    let mut host = Host::new();
    add(&mut host, NEW, PROBE).unwrap();
    for frame in [
        // Our own probe, which the link echoes.
        arp_request((OUR_HW, Ipv4Addr::UNSPECIFIED), NEW),
        // Somebody asks for it, as hosts do.
        arp_request((PEER_HW, PEER), NEW),
        // A reply to a probe of somebody else.
        arp(
            OTHER_HW,
            PEER_HW,
            Operation::Reply,
            (OTHER_HW, OTHER),
            (PEER_HW, NEW),
        ),
    ] {
        host.receive(&frame);
    }
    run(&mut host, 10_000);
    assert_eq!(state(&host, NEW), Some(AddressState::Usable));
}

#[test]
fn an_address_in_use_is_defended_once_and_then_given_up_with_its_connections() {
    let mut host = Host::with_peer();
    host.stack
        .remove_address(host.now, host.interface, OURS.into())
        .unwrap();
    let options = AddressOptions {
        probing: Probing::Off,
        ..PROBE
    };
    add(&mut host, NEW, options).unwrap();
    run(&mut host, 3_000);
    let remote = SocketAddr::from((PEER, 80));
    let id = host.stack.tcp_connect(host.now, remote, None).unwrap();
    host.transmit();
    changes(&mut host);
    let conflict = arp_request((OTHER_HW, NEW), PEER);
    let defence = host.receive(&conflict);
    assert_eq!(defence.len(), 1);
    assert!(is_announcement(&defence[0], NEW));
    assert_eq!(changes(&mut host), NetworkChanges::ADDRESS_CONFLICT);
    assert_eq!(state(&host, NEW), Some(AddressState::Usable));
    host.advance(9_999);
    host.transmit();
    assert_eq!(host.receive(&conflict).len(), 0);
    assert_eq!(state(&host, NEW), Some(AddressState::Duplicate));
    let both = NetworkChanges::ADDRESS_CONFLICT | NetworkChanges::ADDRESS_GONE;
    assert_eq!(changes(&mut host), both);
    let error = host.stack.tcp_send(host.now, id, b"x").unwrap_err();
    assert_eq!(error, mnet_core::error::SendError::AddressGone);
    // Nobody is asked for in its name any more.
    let found = host.stack.tcp_connect(host.now, remote, None);
    assert_eq!(found, Err(ConnectError::NoRoute));
    // The owner may insist.
    add(&mut host, NEW, AddressOptions::default()).unwrap();
    assert_eq!(state(&host, NEW), Some(AddressState::Usable));
}

#[test]
fn a_gateway_may_be_named_while_the_address_is_probed() {
    let mut host = Host::new();
    let interface = host.interface;
    host.stack
        .remove_address(host.now, interface, OURS.into())
        .unwrap();
    add(&mut host, NEW, PROBE).unwrap();
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    host.stack
        .add_route(any, 0, PEER.into(), interface)
        .unwrap();
    let remote = SocketAddr::from((REMOTE, 80));
    let early = host.stack.tcp_connect(host.now, remote, None);
    assert_eq!(early, Err(ConnectError::NoRoute));
    run(&mut host, 10_000);
    assert!(host.stack.tcp_connect(host.now, remote, None).is_ok());
}

/// Every probe needs a frame; without one it is sent later.
#[test]
fn probes_that_find_no_frame_are_not_skipped() {
    let mut host = Host::new();
    let mut kept = Vec::new();
    while let Some(frame) = {
        let id = host.stack.udp_bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let sent = host
            .stack
            .udp_send_to(host.now, id, &[0; 1_000], SocketAddr::from((OTHER, 9)));
        host.stack.close(host.now, id).unwrap();
        sent.ok()
    } {
        kept.push(frame);
        if kept.len() > 8 {
            break;
        }
    }
    add(&mut host, NEW, PROBE).unwrap();
    let probes = run(&mut host, 10_000);
    let count = probes.iter().filter(|(_, f)| is_probe(f, NEW)).count();
    assert_eq!(count, 3);
}

fn link_local(host: &Host) -> Option<AddressInfo> {
    let mut all = host.stack.address_list(host.interface);
    all.find(|info| info.origin == AddressOrigin::LinkLocal)
}

fn link_local_address(host: &Host) -> Ipv4Addr {
    match link_local(host).expect("a candidate").address {
        IpAddr::V4(address) => address,
        IpAddr::V6(address) => panic!("{address}"),
    }
}

/// A host that has nothing but a link-local address.
fn link_local_host() -> Host {
    let mut host = Host::new();
    let (now, interface) = (host.now, host.interface);
    host.stack
        .remove_address(now, interface, OURS.into())
        .unwrap();
    host.stack.enable_link_local(now, interface).unwrap();
    run(&mut host, 12_000);
    changes(&mut host);
    host.counted();
    host
}

#[test]
fn a_link_local_address_is_the_same_after_every_start_and_tried_until_one_is_free() {
    let first = link_local_address(&link_local_host());
    assert_eq!(link_local_address(&link_local_host()), first);
    let mut host = link_local_host();
    assert_eq!(link_local(&host).map(|info| info.prefix_len), Some(16));
    let again = host.stack.enable_link_local(host.now, host.interface);
    assert_eq!(again, Err(ConfigError::AlreadyEnabled));
    // Somebody insists on it: two conflicts within ten seconds (RFC 3927 §2.5).
    for _ in 0..2 {
        host.receive(&arp_request((OTHER_HW, first), first));
    }
    let second = link_local_address(&host);
    assert_ne!(second, first);
    assert_eq!(
        link_local(&host).map(|i| i.state),
        Some(AddressState::Tentative)
    );
    let both = NetworkChanges::ADDRESS_CONFLICT | NetworkChanges::ADDRESS_GONE;
    assert_eq!(changes(&mut host), both);
    // The next candidates are somebody's as well.
    host.receive(&arp_request((OTHER_HW, second), second));
    let third = link_local_address(&host);
    assert!(third != second && third != first);
    run(&mut host, 10_000);
    assert_eq!(state(&host, third), Some(AddressState::Usable));
    host.stack
        .disable_link_local(host.now, host.interface)
        .unwrap();
    assert_eq!(link_local(&host), None);
    assert_eq!(host.stack.address_list(host.interface).count(), 0);
}

/// RFC 3927 §2.2.1: MAX_CONFLICTS.
#[test]
fn link_local_candidates_that_are_all_taken_are_tried_once_in_a_minute() {
    let mut host = link_local_host();
    let ours = link_local_address(&host);
    for _ in 0..2 {
        host.receive(&arp_request((OTHER_HW, ours), ours));
    }
    let mut claims = 0;
    let end = host.now + std::time::Duration::from_secs(600);
    while host.now < end {
        for (_, frame) in run(&mut host, 100) {
            let target = parse_sent_arp(&frame).2.target().1;
            if is_probe(&frame, target) {
                claims += 1;
                host.receive(&arp_request((OTHER_HW, target), target));
            }
        }
    }
    assert!((15..=20).contains(&claims), "{claims} in ten minutes");
}

/// RFC 3927 §2.6.2, §2.7: such packets stay on the link.
#[test]
fn nothing_with_a_link_local_address_goes_to_a_router() {
    let mut host = link_local_host();
    let ours = link_local_address(&host);
    let neighbour = Ipv4Addr::new(169, 254, 77, 7);
    let remote = SocketAddr::from((REMOTE, 80));
    let (now, interface) = (host.now, host.interface);
    // No route at all, then one over a router with a link-local address.
    assert_eq!(
        host.stack.tcp_connect(now, remote, None),
        Err(ConnectError::NoRoute)
    );
    let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    host.stack
        .add_route(any, 0, neighbour.into(), interface)
        .unwrap();
    for local in [None, Some(SocketAddr::from((ours, 0)))] {
        assert_eq!(
            host.stack.tcp_connect(now, remote, local),
            Err(ConnectError::NoRoute)
        );
    }
    let id = host.stack.udp_bind(SocketAddr::from((ours, 9))).unwrap();
    assert_eq!(
        host.stack.udp_send_to(now, id, b"x", remote),
        Err(SendToError::NoRoute)
    );
    // To a neighbour it goes, and the question is a broadcast as all of them (§2.5).
    let near = SocketAddr::from((neighbour, 9));
    host.stack.udp_send_to(now, id, b"x", near).unwrap();
    let question = &host.transmit()[0];
    assert_eq!(parse_sent_arp(question).0, ALL);
    let answers = host.receive(&arp_request((OTHER_HW, neighbour), ours));
    let answer = answers.iter().find(|frame| frame[12..14] == [8, 6]);
    let (to, operation, _) = parse_sent_arp(answer.expect("an answer"));
    assert_eq!((to, operation), (ALL, Operation::Reply), "replies as well");
    // Nor if there is an address for the router, and the socket has the other one.
    add(&mut host, NEW, AddressOptions::default()).unwrap();
    let (now, local) = (host.now, SocketAddr::from((ours, 0)));
    assert!(host.stack.tcp_connect(now, remote, None).is_ok());
    assert_eq!(
        host.stack.tcp_connect(now, remote, Some(local)),
        Err(ConnectError::NoRoute)
    );
    assert_eq!(
        host.stack.udp_send_to(now, id, b"x", remote),
        Err(SendToError::NoRoute)
    );

    // With a global address and a router: link-local destinations stay on the link.
    let mut host = Host::with_peer();
    let connect = host.stack.tcp_connect(host.now, near, None);
    assert_eq!(connect, Err(ConnectError::NoRoute));
}
