//! The life of addresses: removal with everything that depends on it, lists, and the events that
//! tell of changes.

mod common;

use common::link::*;
use common::v6;
use mnet_core::address::{AddressOrigin, AddressState, NetworkChanges};
use mnet_core::config::Ipv6Config;
use mnet_core::error::{ConfigError, ConnectError, RecvError, SendError, SendToError};
use mnet_core::wire::tcp::Flags;
use mnet_core::{AddressInfo, SocketId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// What has changed since this was asked last.
fn changes(host: &mut Host) -> NetworkChanges {
    let event = host.stack.poll_network_event();
    assert_eq!(
        host.stack.poll_network_event(),
        None,
        "one for an interface"
    );
    event.map_or(NetworkChanges::empty(), |event| {
        assert_eq!(event.interface, host.interface);
        event.changes
    })
}

fn list(host: &Host) -> Vec<(IpAddr, AddressState)> {
    let all = host.stack.address_list(host.interface);
    all.map(|info| (info.address, info.state)).collect()
}

fn remove(host: &mut Host, address: Ipv4Addr) {
    host.stack
        .remove_address(host.now, host.interface, address.into())
        .unwrap();
}

/// A connection of a peer to port 80 of this address, accepted.
fn connection(host: &mut Host, listener: SocketId, to: Ipv4Addr, port: u16) -> SocketId {
    let (client, server) = (SocketAddr::from((PEER, port)), SocketAddr::from((to, 80)));
    let syn = from_peer(&tcp(client, server, Flags::SYN, (100, 0), &[], |_| {}));
    let syn_ack = parse_sent(&host.receive(&syn)[0]).tcp().0;
    let number = syn_ack.sequence.get().wrapping_add(1);
    let ack = from_peer(&tcp(client, server, Flags::ACK, (101, number), &[], |_| {}));
    host.receive(&ack);
    host.stack.tcp_accept(listener).unwrap()
}

fn listen(host: &mut Host) -> SocketId {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
    host.stack.tcp_listen(any, 8).unwrap()
}

#[test]
fn connections_of_a_removed_address_end_with_an_error_of_their_own_and_others_live() {
    let mut host = Host::with_peer();
    let (now, interface) = (host.now, host.interface);
    host.stack
        .add_address(now, interface, SECOND.into(), 24)
        .unwrap();
    host.transmit();
    let listener = listen(&mut host);
    let gone = connection(&mut host, listener, SECOND, 1_000);
    let stays = connection(&mut host, listener, OURS, 1_001);
    while host.stack.poll_event().is_some() {}
    changes(&mut host);

    remove(&mut host, SECOND);
    assert_eq!(host.transmit(), Vec::<Vec<u8>>::new(), "without a word");
    let event = host.stack.poll_event().expect("the user is told");
    assert_eq!(event.socket, gone);
    let mut buffer = [0; 4];
    assert_eq!(
        host.stack.tcp_recv(now, gone, &mut buffer),
        Err(RecvError::AddressGone)
    );
    assert_eq!(
        host.stack.tcp_send(now, gone, b"x"),
        Err(SendError::AddressGone)
    );
    assert_eq!(host.stack.tcp_send(now, stays, b"x"), Ok(1));
    assert_eq!(host.transmit().len(), 1);
    assert_eq!(changes(&mut host), NetworkChanges::ADDRESS_GONE);
    host.stack.close(now, gone).unwrap();
    let counted = host.counted();
    assert!(counted.contains(&("tcp_address_gone", 1)), "{counted:?}");
}

#[test]
fn what_is_half_open_or_waits_to_be_accepted_goes_as_well() {
    let mut host = Host::with_peer();
    let listener = listen(&mut host);
    let waiting = connection(&mut host, listener, OURS, 1_000);
    let (client, server) = (
        SocketAddr::from((PEER, 2_000)),
        SocketAddr::from((OURS, 80)),
    );
    let syn = from_peer(&tcp(client, server, Flags::SYN, (100, 0), &[], |_| {}));
    host.receive(&syn);
    assert_eq!(host.stack.usage().half_open, 1);
    remove(&mut host, OURS);
    assert_eq!(host.stack.usage().half_open, 0);
    host.stack.close(host.now, waiting).unwrap();
    let usage = host.stack.usage();
    assert_eq!((usage.connections, usage.time_wait), (0, 0));
    host.assert_no_frame_lost();
    // Neither is answered any more.
    assert_eq!(host.receive(&syn), Vec::<Vec<u8>>::new());
    assert_eq!(host.receive(&arp_request((PEER_HW, PEER), OURS)).len(), 0);
}

#[test]
fn sockets_of_a_removed_address_are_silent_until_it_is_ours_again() {
    let mut host = Host::with_peer();
    let id = host
        .stack
        .udp_bind(SocketAddr::from((OURS, 5_000)))
        .unwrap();
    let (peer, ours) = (SocketAddr::from((PEER, 7)), SocketAddr::from((OURS, 5_000)));
    let datagram = from_peer(&udp(peer, ours, b"hello"));
    remove(&mut host, OURS);
    host.receive(&datagram);
    let send = |host: &mut Host| host.stack.udp_send_to(host.now, id, b"x", peer);
    assert_eq!(send(&mut host), Err(SendToError::AddressNotLocal));
    let mut buffer = [0; 8];
    assert!(host.stack.udp_recv_from(host.now, id, &mut buffer).is_err());

    host.stack
        .add_address(host.now, host.interface, OURS.into(), 24)
        .unwrap();
    host.receive(&datagram);
    let received = host.stack.udp_recv_from(host.now, id, &mut buffer);
    assert_eq!(received.map(|r| r.len), Ok(5));
    assert_eq!(send(&mut host), Ok(()));
}

#[test]
fn routes_go_with_the_last_address_of_their_network() {
    let mut host = Host::with_peer();
    let (now, interface) = (host.now, host.interface);
    host.stack
        .add_address(now, interface, SECOND.into(), 24)
        .unwrap();
    let connect = |host: &mut Host, to: Ipv4Addr| {
        let to = SocketAddr::from((to, 80));
        host.stack.tcp_connect(host.now, to, None).map(|_| ())
    };
    changes(&mut host);
    remove(&mut host, OURS);
    assert_eq!(changes(&mut host), NetworkChanges::ADDRESS_GONE);
    assert_eq!(connect(&mut host, REMOTE), Ok(()), "by the other address");
    remove(&mut host, SECOND);
    let both = NetworkChanges::ADDRESS_GONE | NetworkChanges::DEFAULT_ROUTE;
    assert_eq!(changes(&mut host), both);
    for to in [REMOTE, PEER] {
        assert_eq!(connect(&mut host, to), Err(ConnectError::NoRoute));
    }
    assert_eq!(list(&host), []);
}

#[test]
fn a_route_is_removed_by_what_it_was_added_with() {
    let mut host = Host::with_peer();
    let interface = host.interface;
    changes(&mut host);
    for (destination, len, gateway) in [
        (ANY, 0, OTHER),
        (ANY, 8, PEER),
        (IpAddr::from([10, 0, 0, 0]), 24, PEER),
    ] {
        assert_eq!(
            host.stack
                .remove_route(destination, len, gateway.into(), interface),
            Err(ConfigError::NoSuchRoute)
        );
    }
    assert_eq!(changes(&mut host), NetworkChanges::empty());
    host.stack
        .remove_route(ANY, 0, PEER.into(), interface)
        .unwrap();
    assert_eq!(changes(&mut host), NetworkChanges::DEFAULT_ROUTE);
    let remote = SocketAddr::from((REMOTE, 80));
    assert_eq!(
        host.stack.tcp_connect(host.now, remote, None),
        Err(ConnectError::NoRoute)
    );
    host.stack
        .add_route(ANY, 0, OTHER.into(), interface)
        .unwrap();
    assert_eq!(changes(&mut host), NetworkChanges::DEFAULT_ROUTE);
    // Another gateway is a change as well.
    host.stack
        .add_route(ANY, 0, PEER.into(), interface)
        .unwrap();
    assert_eq!(changes(&mut host), NetworkChanges::DEFAULT_ROUTE);
}

#[test]
fn what_is_not_there_cannot_be_removed() {
    let mut host = Host::new();
    let (now, interface) = (host.now, host.interface);
    for address in [SECOND, Ipv4Addr::UNSPECIFIED] {
        assert_eq!(
            host.stack.remove_address(now, interface, address.into()),
            Err(ConfigError::NoSuchAddress)
        );
    }
    assert_eq!(
        host.stack.disable_link_local(now, interface),
        Err(ConfigError::NoSuchAddress)
    );
}

#[test]
fn events_of_one_kind_are_one_event() {
    let mut host = Host::new();
    let (now, interface) = (host.now, host.interface);
    changes(&mut host);
    for _ in 0..1_000 {
        host.stack
            .add_address(now, interface, SECOND.into(), 24)
            .unwrap();
        remove(&mut host, SECOND);
    }
    let both = NetworkChanges::ADDRESS_USABLE | NetworkChanges::ADDRESS_GONE;
    assert_eq!(changes(&mut host), both);
}

/// What there is of IPv6, by address.
fn info(host: &v6::Host, address: IpAddr) -> Option<AddressInfo> {
    let mut all = host.stack.address_list(host.interface);
    all.find(|info| info.address == address)
}

fn changes_v6(host: &mut v6::Host) -> NetworkChanges {
    let event = host.stack.poll_network_event();
    event.map_or(NetworkChanges::empty(), |event| event.changes)
}

#[test]
fn an_ipv6_address_is_listed_from_its_probing_to_its_removal() {
    let mut host = v6::Host::fresh(Ipv6Config::default());
    let (now, interface) = (host.now, host.interface);
    let ours = IpAddr::from(v6::OURS);
    host.stack.add_address(now, interface, ours, 64).unwrap();
    let state = |host: &v6::Host| info(host, ours).map(|info| (info.state, info.origin));
    let origin = AddressOrigin::Static;
    assert_eq!(state(&host), Some((AddressState::Tentative, origin)));
    assert_eq!(changes_v6(&mut host), NetworkChanges::empty());
    host.run(3);
    assert_eq!(state(&host), Some((AddressState::Usable, origin)));
    assert_eq!(changes_v6(&mut host), NetworkChanges::ADDRESS_USABLE);
    let now = host.now;
    host.stack.remove_address(now, interface, ours).unwrap();
    assert_eq!(state(&host), None);
    assert_eq!(changes_v6(&mut host), NetworkChanges::ADDRESS_GONE);
    let again = host.stack.remove_address(now, interface, ours);
    assert_eq!(again, Err(ConfigError::NoSuchAddress));
    let remote = SocketAddr::from((v6::PEER, 80));
    assert_eq!(
        host.stack.tcp_connect(now, remote, None),
        Err(ConnectError::NoRoute)
    );
}

#[test]
fn a_duplicate_ipv6_address_is_told() {
    let mut host = v6::Host::fresh(Ipv6Config::default());
    let (now, interface) = (host.now, host.interface);
    let ours = IpAddr::from(v6::OURS);
    host.stack.add_address(now, interface, ours, 64).unwrap();
    host.run(1);
    let everybody = "ff02::1".parse().unwrap();
    let claim = v6::advertisement(v6::PEER_HW, (v6::PEER, everybody), (v6::OURS, 0));
    host.receive(&claim);
    assert_eq!(
        info(&host, ours).map(|info| info.state),
        Some(AddressState::Duplicate)
    );
    assert!(changes_v6(&mut host).contains(NetworkChanges::ADDRESS_CONFLICT));
}

#[test]
fn what_a_router_gives_comes_with_its_lifetimes_and_goes_with_them() {
    let mut host = v6::Host::new();
    changes_v6(&mut host);
    let mut options = v6::prefix("2001:db8:5::", 120, 60);
    options.extend([25, 3, 0, 0, 0, 0, 0, 100]);
    options.extend(v6::PEER.octets());
    host.receive(&v6::router((v6::ROUTER_HW, v6::ROUTER), 110, &options));
    host.run(3);
    let told = changes_v6(&mut host);
    let expected =
        NetworkChanges::ADDRESS_USABLE | NetworkChanges::DEFAULT_ROUTE | NetworkChanges::DNS;
    assert_eq!(told, expected);
    let interface = host.interface;
    let of_router = |host: &v6::Host| {
        let mut all = host.stack.address_list(interface);
        all.find(|info| info.origin == AddressOrigin::Router)
    };
    let address = of_router(&host).expect("made of the prefix");
    assert_eq!(address.state, AddressState::Usable);
    assert!(
        address
            .preferred
            .is_some_and(|left| left <= Duration::from_secs(60))
    );
    assert!(
        address
            .valid
            .is_some_and(|left| left <= Duration::from_secs(120))
    );
    assert_eq!(host.stack.dns_servers(interface).count(), 1);
    host.run(60);
    host.transmit();
    assert_eq!(
        of_router(&host).map(|info| info.state),
        Some(AddressState::Deprecated)
    );
    let ours = SocketAddr::new(address.address, 80);
    let listener = host.stack.tcp_listen(ours, 1).unwrap();
    host.run(60);
    assert_eq!(of_router(&host), None);
    assert_eq!(host.stack.dns_servers(interface).count(), 0);
    let gone = NetworkChanges::ADDRESS_GONE | NetworkChanges::DEFAULT_ROUTE | NetworkChanges::DNS;
    assert_eq!(changes_v6(&mut host), gone);
    host.stack.close(host.now, listener).unwrap();
}
