//! UDP through the whole stack.

mod common;

use common::link::*;
use mnet_core::error::{BindError, RecvFromError, SendToError};
use mnet_core::udp::UdpSetting;
use mnet_core::wire::ethernet::ether_type;
use mnet_core::wire::ipv4::protocol;
use mnet_core::{Config, Event, InterfaceConfig, Readiness, UdpReceived};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const PORT: u16 = 53;
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

fn datagram(payload: &[u8]) -> Vec<u8> {
    from_peer(&udp(at(PEER, 4_000), at(OURS, PORT), payload))
}

#[test]
fn datagrams_arrive_with_their_sender_and_answers_go_back() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    assert_eq!(
        host.receive_all(&[datagram(b"question"), datagram(b"")])
            .len(),
        0
    );
    let readiness = Readiness::READABLE | Readiness::WRITABLE;
    assert_eq!(
        host.stack.poll_event(),
        Some(Event {
            socket: id,
            readiness
        })
    );
    assert_eq!(host.stack.poll_event(), None);
    let mut buffer = [0; 100];
    let received = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
    let expected = UdpReceived {
        len: 8,
        datagram_len: 8,
        remote: at(PEER, 4_000),
        destination: IpAddr::V4(OURS),
        interface: host.interface,
        hop_limit: 64,
        traffic_class: 0,
    };
    assert_eq!((received, &buffer[..8]), (expected, &b"question"[..]));
    let empty = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
    assert_eq!(
        (empty.len, empty.datagram_len),
        (0, 0),
        "an empty datagram is one too"
    );
    let none = host.stack.udp_recv_from(host.now, id, &mut buffer);
    assert_eq!(none, Err(RecvFromError::WouldBlock));

    host.stack
        .udp_send_to(host.now, id, b"answer", received.remote)
        .unwrap();
    let frames = host.transmit();
    let sent = parse_sent(&frames[0]);
    assert_eq!((sent.ip.source(), sent.ip.destination()), (OURS, PEER));
    let (header, payload) = sent.udp();
    assert_eq!(
        (header.source_port.get(), header.destination_port.get()),
        (PORT, 4_000)
    );
    assert_eq!((payload, frames.len()), (&b"answer"[..], 1));
    host.assert_no_frame_lost();
}

#[test]
fn every_length_up_to_the_mtu_is_sent_with_a_right_checksum() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    let data: Vec<u8> = (0..=250).cycle().take(1_472).collect();
    for len in (0..70).chain(1_440..=1_472) {
        host.stack
            .udp_send_to(host.now, id, &data[..len], at(PEER, 9))
            .unwrap();
        let frames = host.transmit();
        assert_eq!(parse_sent(&frames[0]).udp().1, &data[..len]);
    }
    host.assert_no_frame_lost();
}

#[test]
fn a_checksum_that_comes_out_as_zero_is_sent_as_all_ones() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    let mut seen = false;
    for value in 0..=u16::MAX {
        host.stack
            .udp_send_to(host.now, id, &value.to_be_bytes(), at(PEER, 9))
            .unwrap();
        let frames = host.transmit();
        seen |= parse_sent(&frames[0]).udp().0.checksum.get() == 0xffff;
    }
    assert!(seen);
}

#[test]
fn truncation_is_reported_and_the_rest_is_lost() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    host.receive_all(&[datagram(b"long datagram"), datagram(b"next")]);
    let mut buffer = [0; 4];
    let received = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
    assert_eq!(
        (received.len, received.datagram_len, &buffer),
        (4, 13, b"long")
    );
    host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
    assert_eq!(&buffer, b"next");
}

#[test]
fn a_datagram_without_a_checksum_is_taken_and_one_with_a_wrong_one_is_not() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let mut unsummed = datagram(b"trusting");
    unsummed[40..42].fill(0);
    let mut wrong = datagram(b"corrupted");
    wrong[45] ^= 1;
    host.receive_all(&[unsummed, wrong]);
    assert_eq!(
        host.counted(),
        [("udp_received", 2), ("udp_bad_checksum", 1)]
    );
    let mut buffer = [0; 20];
    assert_eq!(
        host.stack
            .udp_recv_from(host.now, id, &mut buffer)
            .unwrap()
            .len,
        8
    );
    let none = host.stack.udp_recv_from(host.now, id, &mut buffer);
    assert_eq!(none, Err(RecvFromError::WouldBlock));
}

#[test]
fn the_length_field_decides_where_the_payload_ends() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let inner = udp(at(PEER, 4_000), at(OURS, PORT), b"inner");
    let packet = ipv4(
        PEER,
        OURS,
        protocol::UDP,
        &[&inner[20..], b"behind"].concat(),
        |_| {},
    );
    host.receive(&from_peer(&packet));
    let mut buffer = [0; 20];
    let received = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
    assert_eq!(&buffer[..received.len], b"inner");
}

#[test]
fn broadcasts_are_received_and_sent() {
    let mut host = Host::with_peer();
    let any = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let ours = host.stack.udp_bind(at(OURS, PORT)).unwrap();
    for destination in [Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 255)] {
        let packet = udp(at(PEER, 4_000), at(destination, PORT), b"all");
        host.receive(&ethernet(PEER_HW, ALL, ether_type::IPV4, &packet));
        assert_eq!(
            host.stack
                .udp_recv_from(host.now, any, &mut [0; 9])
                .unwrap()
                .len,
            3
        );
        let none = host.stack.udp_recv_from(host.now, ours, &mut [0; 9]);
        assert_eq!(none, Err(RecvFromError::WouldBlock));

        let setting = UdpSetting::Broadcast(false);
        host.stack.udp_set(host.now, any, setting).unwrap();
        let to = at(destination, 9);
        let refused = host.stack.udp_send_to(host.now, any, b"to all", to);
        assert_eq!(refused, Err(SendToError::BroadcastNotAllowed));
        let setting = UdpSetting::Broadcast(true);
        host.stack.udp_set(host.now, any, setting).unwrap();
        host.stack
            .udp_send_to(host.now, any, b"to all", to)
            .unwrap();
        let frames = host.transmit();
        let sent = parse_sent(&frames[0]);
        assert_eq!((sent.ethernet.destination, sent.ip.source()), (ALL, OURS));
        assert_eq!(sent.ip.destination(), destination);
    }
}

#[test]
fn addresses_that_cannot_be_sent_to_or_bound_are_refused() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, 0)).unwrap();
    let mut send = |to: SocketAddr| host.stack.udp_send_to(host.now, id, b"", to);
    assert_eq!(send(at(PEER, 0)), Err(SendToError::Invalid));
    assert_eq!(send(at(ANY, 9)), Err(SendToError::Invalid));
    assert_eq!(
        send(SocketAddr::from((Ipv6Addr::LOCALHOST, 9))),
        Err(SendToError::Invalid)
    );
    assert_eq!(send(at(Ipv4Addr::LOCALHOST, 9)), Err(SendToError::NoRoute));
    assert_eq!(send(at(OURS, 9)), Err(SendToError::NoRoute));
    let bind = host.stack.udp_bind(at(PEER, PORT));
    assert_eq!(bind, Err(BindError::AddressNotLocal));
    host.stack.close(host.now, id).unwrap();
    let closed = host.stack.udp_send_to(host.now, id, b"", at(PEER, 9));
    assert_eq!(closed, Err(SendToError::BadHandle));
    host.assert_no_frame_lost();
}

#[test]
fn a_socket_that_nobody_reads_holds_a_bounded_part_of_the_pool() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    for _ in 0..1_000 {
        host.receive(&datagram(b"flood"));
    }
    let pool = host.stack.pool_frames();
    let most = Config::default().udp_receive_buffer / host.stack.limits().frame_size;
    assert_eq!(pool.total - pool.free, most);
    let full = host
        .counted()
        .into_iter()
        .find(|(name, _)| *name == "udp_queue_full");
    assert_eq!(full, Some(("udp_queue_full", 1_000 - most as u64)));
    host.stack.close(host.now, id).unwrap();
    host.assert_no_frame_lost();
}

#[test]
fn a_sender_is_held_back_before_the_pool_is_empty_and_told_when_to_go_on() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let mut sent = 0;
    while host
        .stack
        .udp_send_to(host.now, id, b"fast", at(PEER, 9))
        .is_ok()
    {
        sent += 1;
    }
    let limits = host.stack.limits();
    assert!(sent > 1_000 && host.stack.pool_frames().free >= limits.reserved_frames);
    assert!(
        !host
            .stack
            .readiness(id)
            .unwrap()
            .contains(Readiness::WRITABLE)
    );
    assert_eq!(host.stack.poll_event(), None);
    assert_eq!(host.transmit().len(), sent);
    let event = Event {
        socket: id,
        readiness: Readiness::WRITABLE,
    };
    assert_eq!(host.stack.poll_event(), Some(event));
    host.assert_no_frame_lost();
}

/// Events are handed out one by one, and the first sender may take what was free for all of them. The
/// others are told when there is something again, each in its turn.
#[test]
fn senders_that_find_the_room_taken_by_others_are_told_later() {
    let mut host = Host::with(&common::small_config());
    host.meet(PEER_HW, PEER);
    let ids = [5_000, 5_001, 5_002].map(|port| host.stack.udp_bind(at(ANY, port)).unwrap());
    let send = |host: &mut Host, id| host.stack.udp_send_to(host.now, id, b"x", at(PEER, 9));
    for id in ids {
        while send(&mut host, id).is_ok() {}
    }
    assert_eq!(host.stack.poll_event(), None);
    let mut told = [0; 3];
    while told.iter().sum::<u32>() < 9 {
        host.stack.transmit(host.now).unwrap();
        while let Some(event) = host.stack.poll_event() {
            assert_eq!(event.readiness, Readiness::WRITABLE);
            told[ids.iter().position(|id| *id == event.socket).unwrap()] += 1;
            while send(&mut host, event.socket).is_ok() {}
        }
    }
    assert_eq!(told, [3, 3, 3]);
    host.transmit();
    let mut last: Vec<_> = std::iter::from_fn(|| host.stack.poll_event()).collect();
    last.sort_by_key(|event| event.socket.index());
    assert_eq!(
        last.iter().map(|event| event.socket).collect::<Vec<_>>(),
        ids
    );
    host.assert_no_frame_lost();
}

#[test]
fn each_interface_has_its_own_addresses_and_neighbours() {
    let mut host = Host::with_peer();
    let hardware_address = [2, 0, 0, 0, 1, 2];
    let config = InterfaceConfig {
        hardware_address,
        mtu: 1_000,
    };
    let second = host.stack.add_interface(host.now, config).unwrap();
    let address = Ipv4Addr::new(172, 16, 0, 2);
    host.stack
        .add_address(host.now, second, IpAddr::V4(address), 16)
        .unwrap();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let neighbour = Ipv4Addr::new(172, 16, 5, 5);
    host.stack
        .udp_send_to(host.now, id, b"second", at(neighbour, 9))
        .unwrap();
    host.stack
        .udp_send_to(host.now, id, &[0; 980], at(neighbour, 9))
        .unwrap();
    let fragments = host.stack.counters().ip_fragments_sent;
    assert_eq!(fragments, 2, "its own MTU");
    let mut frames = Vec::new();
    while let Some(frame) = host.stack.transmit(host.now) {
        frames.push((frame.interface.index(), frame.slices.concat()));
    }
    // The announcement, and the question for the neighbour.
    assert_eq!(frames.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(frames[1].1[28..32], address.octets());
    // Our address on one link is not for those on the other.
    let packet = udp(at(PEER, 4_000), at(address, PORT), b"");
    host.stack
        .receive_copy(host.now, host.interface, &from_peer(&packet));
    assert_eq!(host.stack.counters().ip_bad_destination, 1);
}

#[test]
fn events_are_shown_once_and_stay_if_they_are_kept() {
    let mut host = Host::with_peer();
    let sockets = [53, 54, 55].map(|port| host.stack.udp_bind(at(ANY, port)).unwrap());
    let datagrams = [53, 54, 55]
        .map(|port| from_peer(&udp(at(PEER, 4_000), at(OURS, port), b"to each of them")));
    host.receive_all(&datagrams);
    for _ in 0..2 {
        let mut shown = Vec::new();
        host.stack.sift_events(|event| {
            shown.push(event.socket);
            true
        });
        shown.sort_by_key(|id| id.index());
        assert_eq!(shown, sockets, "each once, however often one looks");
    }
    host.stack.sift_events(|event| event.socket != sockets[1]);
    let mut left: Vec<_> = std::iter::from_fn(|| host.stack.poll_event())
        .map(|event| event.socket)
        .collect();
    left.sort_by_key(|id| id.index());
    assert_eq!(left, [sockets[0], sockets[2]]);

    // Raised again for a socket that is ready, and for no other.
    host.stack.repeat_event(sockets[1]).unwrap();
    let event = host.stack.poll_event().unwrap();
    assert_eq!(event.socket, sockets[1]);
    assert!(event.readiness.contains(Readiness::READABLE));
    host.stack.close(host.now, sockets[0]).unwrap();
    assert!(host.stack.repeat_event(sockets[0]).is_err());
    assert_eq!(host.stack.poll_event(), None);
}
