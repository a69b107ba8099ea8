//! What a UDP socket can be told: a peer, settings, sharing of a port; sending in place, reading
//! without a copy, and the errors of the network.

mod common;

use common::link::*;
use mnet_core::error::{BindError, ConnectError, RecvFromError, SendToError, SettingError};
use mnet_core::udp::{UdpError, UdpOptions, UdpSetting};
use mnet_core::wire::ethernet::ether_type;
use mnet_core::wire::ipv4::Ipv4Header;
use mnet_core::{Config, Readiness, SocketId};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use zerocopy::FromBytes;

const PORT: u16 = 53;
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const REUSE: UdpOptions = UdpOptions { reuse: true };

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

/// A datagram to our port.
fn from(source: SocketAddr, payload: &[u8]) -> Vec<u8> {
    from_peer(&udp(source, at(OURS, PORT), payload))
}

/// What waits in a socket, in order; the mark of each datagram is its payload.
fn read(host: &mut Host, id: SocketId) -> Vec<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 2_000];
    loop {
        match host.stack.udp_recv_from(host.now, id, &mut buffer) {
            Ok(received) => all.push(String::from_utf8_lossy(&buffer[..received.len]).into_owned()),
            Err(RecvFromError::WouldBlock) => return all,
            Err(error) => all.push(format!("{error:?}")),
        }
    }
}

/// An ICMP error from a router about a frame of ours.
fn icmp_about(frame: &[u8], kind: u8, code: u8, mtu: u16) -> Vec<u8> {
    let [a, b] = mtu.to_be_bytes();
    let message = icmp(kind, code, [0, 0, a, b], &frame[14..42]);
    from_peer(&ipv4(PEER, OURS, 1, &message, |_| {}))
}

#[test]
fn a_connected_socket_hears_only_its_peer() {
    let mut host = Host::with_peer();
    let any = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let other = at(REMOTE, 4_000);
    host.receive(&from(at(PEER, 4_000), b"before"));
    host.receive(&from(other, b"before, from another"));
    let now = host.now;
    host.stack
        .udp_connect(now, any, Some(at(PEER, 4_000)))
        .unwrap();
    assert_eq!(host.stack.local_addr(any), Ok(at(OURS, PORT)));
    assert_eq!(host.stack.remote_addr(any), Ok(at(PEER, 4_000)));
    host.receive(&from(at(PEER, 4_000), b"peer"));
    let answer = host.receive(&from(at(PEER, 4_001), b"another port"));
    assert_eq!(parse_sent(&answer[0]).icmp().0.message_type, 3, "no socket");
    host.receive(&from(other, b"another host"));
    assert_eq!(read(&mut host, any), ["before", "peer"]);
    let counters = host.stack.counters();
    assert_eq!(counters.udp_no_socket, 2);
    assert_eq!(counters.udp_not_from_peer, 1);

    host.stack.udp_send(now, any, b"to the peer").unwrap();
    let frames = host.transmit();
    let sent = parse_sent(&frames[0]);
    assert_eq!(sent.ip.destination(), PEER);
    assert_eq!(sent.udp().1, b"to the peer");
    let elsewhere = host.stack.udp_send_to(now, any, b"", other);
    assert_eq!(elsewhere, Err(SendToError::AlreadyConnected));

    host.stack.udp_connect(now, any, None).unwrap();
    assert_eq!(host.stack.local_addr(any), Ok(at(ANY, PORT)));
    assert!(host.stack.remote_addr(any).is_err());
    host.receive(&from(other, b"everybody"));
    assert_eq!(read(&mut host, any), ["everybody"]);
    let nobody = host.stack.udp_send(now, any, b"");
    assert_eq!(nobody, Err(SendToError::NotConnected));
    host.stack.close(now, any).unwrap();
    host.assert_no_frame_lost();
}

#[test]
fn peers_that_cannot_be_connected_to_are_refused() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let mut connect = |to: SocketAddr| host.stack.udp_connect(now, id, Some(to));
    assert_eq!(connect(at(PEER, 0)), Err(ConnectError::Invalid));
    assert_eq!(connect(at(ANY, 9)), Err(ConnectError::Invalid));
    let v6 = connect("[2001:db8::1]:9".parse().unwrap());
    assert_eq!(v6, Err(ConnectError::Invalid));
    assert_eq!(connect(at(OURS, 9)), Err(ConnectError::NoRoute));
    host.stack.close(now, id).unwrap();
    let closed = host.stack.udp_connect(now, id, None);
    assert_eq!(closed, Err(ConnectError::BadHandle));
}

#[test]
fn a_shared_port_goes_to_the_socket_of_the_peer_and_else_to_the_latest() {
    let mut host = Host::with_peer();
    let now = host.now;
    let any = at(ANY, PORT);
    let first = host.stack.udp_bind_with(any, REUSE).unwrap();
    assert_eq!(host.stack.udp_bind(any), Err(BindError::AddressInUse));
    let second = host.stack.udp_bind_with(any, REUSE).unwrap();
    let alone = host.stack.udp_bind(at(OURS, 99)).unwrap();
    let shared = host.stack.udp_bind_with(at(OURS, 99), REUSE);
    assert_eq!(shared, Err(BindError::AddressInUse), "both must agree");
    host.stack.close(now, alone).unwrap();

    host.receive(&from(at(PEER, 1), b"a"));
    assert_eq!(read(&mut host, second), ["a"], "the latest");
    host.stack
        .udp_connect(now, second, Some(at(PEER, 2)))
        .unwrap();
    let third = host.stack.udp_bind_with(any, REUSE).unwrap();
    host.stack
        .udp_connect(now, third, Some(at(PEER, 3)))
        .unwrap();
    let same = host.stack.udp_connect(now, first, Some(at(PEER, 3)));
    assert_eq!(same, Err(ConnectError::AddressInUse));
    for port in [1, 2, 3] {
        host.receive(&from(at(PEER, port), port.to_string().as_bytes()));
    }
    assert_eq!(read(&mut host, first), ["1"]);
    assert_eq!(read(&mut host, second), ["2"]);
    assert_eq!(read(&mut host, third), ["3"]);
    // To everybody: a copy for each that is not connected to somebody else.
    host.stack.udp_connect(now, third, None).unwrap();
    let free = host.stack.pool_frames().free;
    let packet = udp(at(PEER, 1), at(Ipv4Addr::BROADCAST, PORT), b"all");
    host.receive(&ethernet(PEER_HW, ALL, ether_type::IPV4, &packet));
    assert_eq!(host.stack.pool_frames().free, free - 2);
    assert_eq!(read(&mut host, first), ["all"]);
    assert_eq!(read(&mut host, second), Vec::<String>::new());
    assert_eq!(read(&mut host, third), ["all"]);
    for id in [first, second, third] {
        host.stack.close(now, id).unwrap();
    }
    host.assert_no_frame_lost();
}

#[test]
fn sharing_is_bounded_but_for_sockets_with_a_peer() {
    let mut host = Host::with_peer();
    let now = host.now;
    let any = at(ANY, PORT);
    let mut ids = Vec::new();
    for _ in 0..16 {
        ids.push(host.stack.udp_bind_with(any, REUSE).unwrap());
    }
    let more = host.stack.udp_bind_with(any, REUSE);
    assert_eq!(more, Err(BindError::LimitReached));
    host.stack
        .udp_connect(now, ids[0], Some(at(PEER, 1)))
        .unwrap();
    host.stack.udp_bind_with(any, REUSE).unwrap();
    let back = host.stack.udp_connect(now, ids[0], None);
    assert_eq!(back, Err(ConnectError::LimitReached));
    host.receive(&from(at(PEER, 1), b"still connected"));
    assert_eq!(read(&mut host, ids[0]), ["still connected"]);
}

#[test]
fn errors_of_the_network_are_told_apart_and_name_the_destination() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    assert_eq!(host.stack.udp_last_error(id), Ok(None));
    let to = at(REMOTE, 9);
    host.stack.udp_send_to(now, id, &[7; 1_000], to).unwrap();
    let sent = host.transmit().remove(0);
    let cases = [
        (3, 3, RecvFromError::Refused),
        (3, 1, RecvFromError::Unreachable),
        (3, 0, RecvFromError::Unreachable),
        (11, 0, RecvFromError::TimeExceeded),
    ];
    for (kind, code, error) in cases {
        host.receive(&icmp_about(&sent, kind, code, 0));
        assert_eq!(read(&mut host, id), [format!("{error:?}")]);
        let remote = to;
        let expected = UdpError {
            error,
            remote,
            mtu: 0,
        };
        assert_eq!(host.stack.udp_last_error(id), Ok(Some(expected)));
    }
    // What is too large is told only to a socket whose datagrams must not be split.
    host.receive(&icmp_about(&sent, 3, 4, 900));
    assert_eq!(read(&mut host, id), Vec::<String>::new());
    let setting = UdpSetting::DontFragment(true);
    host.stack.udp_set(now, id, setting).unwrap();
    host.receive(&icmp_about(&sent, 3, 4, 800));
    assert_eq!(read(&mut host, id), ["MessageTooLong"]);
    let error = host.stack.udp_last_error(id).unwrap().unwrap();
    assert_eq!((error.mtu, error.remote), (800, to));
    let too_long = host.stack.udp_send_to(now, id, &[7; 773], to);
    assert_eq!(too_long, Err(SendToError::MessageTooLong));
    assert_eq!(host.stack.udp_max_payload(now, id, Some(to)), Ok(772));
}

/// RFC 8085 §3.2: the answer of a router comes after many datagrams to others.
#[test]
fn a_server_of_many_learns_the_mtu_of_each_path() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let client = |n: u8| at(Ipv4Addr::new(192, 0, 2, n), 4_000);
    let send = |host: &mut Host, to, payload: &[u8]| {
        host.stack.udp_send_to(now, id, payload, to).unwrap();
        host.transmit().remove(0)
    };
    let sent: Vec<_> = (0..50)
        .map(|n| send(&mut host, client(n), &[7; 1_472]))
        .collect();
    let small = send(&mut host, client(50), &[7; 400]);
    for n in 0..50u8 {
        let mtu = 1_000 + u16::from(n);
        host.receive(&icmp_about(&sent[usize::from(n)], 3, 4, mtu));
        let room = host.stack.udp_max_payload(now, id, Some(client(n)));
        assert_eq!(room, Ok(usize::from(mtu) - 28));
    }
    assert_eq!(host.stack.counters().udp_path_mtu_lowered, 50);
    // What every path carries cannot have been too large, though the quote is longer than it was.
    let mut quote = ipv4(OURS, Ipv4Addr::new(192, 0, 2, 50), 17, &[0; 1_480], |_| {});
    quote[20..28].copy_from_slice(&small[34..42]);
    host.receive(&icmp_about(&[&[0; 14], &quote[..]].concat(), 3, 4, 1_000));
    let room = host.stack.udp_max_payload(now, id, Some(client(50)));
    assert_eq!(
        (room, host.stack.counters().icmp_error_unrelated),
        (Ok(1_472), 1)
    );
}

#[test]
fn a_connected_socket_hears_errors_about_its_peer_only() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    host.stack
        .udp_send_to(now, id, b"x", at(REMOTE, 8))
        .unwrap();
    let to_another = host.transmit().remove(0);
    host.stack
        .udp_connect(now, id, Some(at(REMOTE, 9)))
        .unwrap();
    host.stack.udp_send(now, id, b"x").unwrap();
    let to_peer = host.transmit().remove(0);
    host.receive(&icmp_about(&to_another, 3, 3, 0));
    assert_eq!(read(&mut host, id), Vec::<String>::new());
    assert_eq!(host.stack.counters().icmp_error_unrelated, 1);
    host.receive(&icmp_about(&to_peer, 3, 3, 0));
    assert_eq!(read(&mut host, id), ["Refused"]);
}

#[test]
fn settings_are_in_the_header_and_out_of_range_ones_refused() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    for setting in [
        UdpSetting::TimeToLive(0),
        UdpSetting::ReceiveBuffer(0),
        UdpSetting::ReceiveBuffer((1 << 30) + 1),
    ] {
        let refused = host.stack.udp_set(now, id, setting);
        assert_eq!(refused, Err(SettingError::OutOfRange));
    }
    for setting in [
        UdpSetting::TimeToLive(3),
        UdpSetting::TrafficClass(0xb9),
        UdpSetting::MulticastTimeToLive(9),
        UdpSetting::MulticastLoop(false),
        UdpSetting::MulticastInterface(Some(host.interface)),
        UdpSetting::Broadcast(true),
        UdpSetting::ReceiveBuffer(5_000),
    ] {
        host.stack.udp_set(now, id, setting).unwrap();
    }
    let settings = host.stack.udp_settings(id).unwrap();
    assert_eq!(
        (
            settings.time_to_live,
            settings.traffic_class,
            settings.multicast_time_to_live
        ),
        (3, 0xb9, 9)
    );
    assert!(settings.broadcast && !settings.multicast_loop);
    assert_eq!(settings.multicast_interface, Some(host.interface));
    host.stack.udp_send_to(now, id, b"x", at(PEER, 9)).unwrap();
    let frame = host.transmit().remove(0);
    let (ip, _) = Ipv4Header::read_from_prefix(&frame[14..]).unwrap();
    assert_eq!((ip.time_to_live, ip.traffic_class), (3, 0xb9));
    host.stack.close(now, id).unwrap();
    let closed = host.stack.udp_set(now, id, UdpSetting::Broadcast(true));
    assert_eq!(closed, Err(SettingError::BadHandle));
}

#[test]
fn the_receive_buffer_bounds_the_memory_of_what_waits() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    let frame = host.stack.limits().frame_size;
    for (bytes, fit) in [(1, 1), (2 * frame, 2), (5 * frame - 1, 4)] {
        let setting = UdpSetting::ReceiveBuffer(bytes);
        host.stack.udp_set(now, id, setting).unwrap();
        for _ in 0..10 {
            host.receive(&from(at(PEER, 1), b"x"));
        }
        assert_eq!(read(&mut host, id).len(), fit, "{bytes} bytes");
    }
    assert_eq!(host.stack.counters().udp_queue_full, 30 - 7);
}

#[test]
fn what_is_known_of_a_datagram_comes_with_it() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let packet = udp(at(PEER, 7), at(Ipv4Addr::new(10, 0, 0, 255), PORT), b"ping");
    let packet = ipv4(
        PEER,
        Ipv4Addr::new(10, 0, 0, 255),
        17,
        &packet[20..],
        |header| {
            header.traffic_class = 0x2e;
            header.time_to_live = 17;
        },
    );
    host.receive(&ethernet(PEER_HW, ALL, ether_type::IPV4, &packet));
    let received = host.stack.udp_peek(host.now, id).unwrap();
    assert_eq!(received.data, b"ping");
    let info = received.info;
    assert_eq!(info.destination, IpAddr::V4(Ipv4Addr::new(10, 0, 0, 255)));
    assert_eq!((info.hop_limit, info.traffic_class), (17, 0x2e));
    assert_eq!((info.remote, info.interface), (at(PEER, 7), host.interface));
    // It stays until it is taken.
    assert_eq!(host.stack.udp_peek(host.now, id).unwrap().data, b"ping");
    host.stack.udp_consume(host.now, id).unwrap();
    let none = host.stack.udp_consume(host.now, id);
    assert_eq!(none, Err(RecvFromError::WouldBlock));
    assert!(host.stack.udp_peek(host.now, id).is_err());
    host.assert_no_frame_lost();
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let mut host = Host::with_peer();
    let now = host.now;
    let second = Ipv4Addr::new(10, 0, 0, 3);
    host.stack
        .add_address(now, host.interface, second.into(), 24)
        .unwrap();
    host.transmit();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let to = Some(at(PEER, 9));
    for source in [OURS, second] {
        host.stack
            .udp_send_from(now, id, b"x", to, Some(source.into()))
            .unwrap();
        let frames = host.transmit();
        assert_eq!(parse_sent(&frames[0]).ip.source(), source);
    }
    let foreign = host
        .stack
        .udp_send_from(now, id, b"x", to, Some(OTHER.into()));
    assert_eq!(foreign, Err(SendToError::AddressNotLocal));
    let v6 = IpAddr::V6("2001:db8::1".parse().unwrap());
    let mixed = host.stack.udp_send_from(now, id, b"x", to, Some(v6));
    assert_eq!(mixed, Err(SendToError::Invalid));
}

#[test]
fn datagrams_are_written_in_place() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    let to = Some(at(PEER, 9));
    for len in [0, 1, 7, 1_472] {
        host.stack
            .udp_send_with(now, id, len, to, |room| {
                room.fill(0x5a);
                room.len()
            })
            .unwrap();
        let frames = host.transmit();
        assert_eq!(parse_sent(&frames[0]).udp().1, vec![0x5a; len]);
    }
    host.stack
        .udp_send_with(now, id, 100, to, |room| {
            room[..3].copy_from_slice(b"few");
            3
        })
        .unwrap();
    let frames = host.transmit();
    assert_eq!(parse_sent(&frames[0]).udp().1, b"few");
    let mut called = false;
    let too_long = host.stack.udp_send_with(now, id, 1_473, to, |_| {
        called = true;
        0
    });
    assert_eq!(too_long, Err(SendToError::MessageTooLong));
    assert!(!called);
    host.assert_no_frame_lost();
}

#[test]
fn a_reservation_is_one_frame_until_it_is_sent_cancelled_or_closed() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    let free = host.stack.pool_frames().free;
    let to = Some(at(PEER, 9));
    let nothing = host.stack.udp_commit(now, id, 0, to);
    assert_eq!(nothing, Err(SendToError::NothingReserved));
    host.stack.udp_reserve(now, id, 100).unwrap()[..5].copy_from_slice(b"hello");
    // The same again, with its content.
    let again = host.stack.udp_reserve(now, id, 200).unwrap();
    assert_eq!((again.len(), &again[..5]), (200, &b"hello"[..]));
    assert_eq!(host.stack.pool_frames().free, free - 1);
    let beyond = host.stack.udp_commit(now, id, 201, to);
    assert_eq!(beyond, Err(SendToError::NothingReserved));
    let nowhere = host.stack.udp_commit(now, id, 5, None);
    assert_eq!(nowhere, Err(SendToError::NotConnected));
    host.stack.udp_commit(now, id, 5, to).unwrap();
    let frames = host.transmit();
    assert_eq!(parse_sent(&frames[0]).udp().1, b"hello");
    assert_eq!(host.stack.pool_frames().free, free);

    host.stack.udp_reserve(now, id, 1_472).unwrap();
    let too_much = host.stack.udp_reserve(now, id, 70_000);
    assert_eq!(too_much.unwrap_err(), SendToError::MessageTooLong);
    host.stack.udp_cancel(id).unwrap();
    host.stack.udp_cancel(id).unwrap();
    assert_eq!(host.stack.pool_frames().free, free);
    host.stack.udp_reserve(now, id, 1).unwrap();
    host.stack.close(now, id).unwrap();
    host.assert_no_frame_lost();
}

/// A host with few frames, whose peer is known.
fn host_with_few_frames() -> Host {
    let mut host = Host::with(&Config {
        memory: 1 << 20,
        max_udp_sockets: 1_024,
        ..common::small_config()
    });
    host.meet(PEER_HW, PEER);
    host
}

/// Sends until there are no frames left.
fn take_all_frames(host: &mut Host, id: SocketId) {
    let peer = at(PEER, 9);
    while host.stack.udp_send_to(host.now, id, b"", peer).is_ok() {}
}

/// All events that there are now.
fn events(host: &mut Host) -> Vec<(SocketId, Readiness)> {
    std::iter::from_fn(|| host.stack.poll_event())
        .map(|event| (event.socket, event.readiness))
        .collect()
}

fn keep_all_events(host: &mut Host) -> usize {
    let mut shown = 0;
    host.stack.sift_events(|_| {
        shown += 1;
        true
    });
    shown
}

#[test]
fn whose_event_was_kept_was_not_refused() {
    let mut host = host_with_few_frames();
    let reader = host.stack.udp_bind(at(OURS, 53)).unwrap();
    let sender = host.stack.udp_bind(at(OURS, 54)).unwrap();
    host.receive(&from_peer(&udp(at(PEER, 4_000), at(OURS, 53), b"")));
    assert_eq!(keep_all_events(&mut host), 1);
    take_all_frames(&mut host, sender);
    assert_eq!(events(&mut host), [(reader, Readiness::READABLE)]);
    host.transmit();
    assert_eq!(events(&mut host), [(sender, Readiness::WRITABLE)]);
}

#[test]
fn whose_event_was_kept_waits_for_as_many_frames_as_before() {
    let mut host = host_with_few_frames();
    let large = host.stack.udp_bind(at(OURS, 53)).unwrap();
    let small = host.stack.udp_bind(at(OURS, 54)).unwrap();
    take_all_frames(&mut host, small);
    let refused = host
        .stack
        .udp_send_to(host.now, large, &[0; 6_000], at(PEER, 9));
    assert_eq!(refused, Err(SendToError::WouldBlock));
    host.transmit();
    assert_eq!(keep_all_events(&mut host), 2);
    take_all_frames(&mut host, small);
    assert_eq!(events(&mut host), []);
    // The frame before is free once there is a next one.
    for _ in 0..2 {
        assert!(host.stack.transmit(host.now).is_some());
    }
    assert_eq!(events(&mut host), [(small, Readiness::WRITABLE)]);
    host.transmit();
    assert_eq!(events(&mut host), [(large, Readiness::WRITABLE)]);
}

#[test]
fn reservations_do_not_take_the_reserve_of_the_pool() {
    let mut host = host_with_few_frames();
    let mut refused = None;
    for _ in 0..1_024 {
        let id = host.stack.udp_bind(at(ANY, 0)).unwrap();
        if let Err(error) = host.stack.udp_reserve(host.now, id, 10) {
            refused = Some((id, error));
            break;
        }
    }
    let (id, error) = refused.expect("the pool ends first");
    assert_eq!(error, SendToError::WouldBlock);
    assert!(host.stack.pool_frames().free >= host.stack.limits().reserved_frames);
    assert!(host.stack.udp_cancel(id).is_ok());
}
