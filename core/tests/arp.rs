//! ARP through the whole stack: questions, answers, waiting packets, conflicts.

mod common;

use common::link::*;
use mnet_core::error::RecvFromError;
use mnet_core::wire::arp::{ArpPacket, Operation};
use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::{Config, Instant, InterfaceConfig, SocketId, Stack};
use std::net::{Ipv4Addr, SocketAddr};

const NOBODY: EthernetAddress = EthernetAddress([0; 6]);

fn socket(host: &mut Host) -> SocketId {
    host.stack
        .udp_bind(SocketAddr::from((OURS, 5_000)))
        .unwrap()
}

fn send(host: &mut Host, id: SocketId, to: Ipv4Addr, data: &[u8]) {
    host.stack
        .udp_send_to(host.now, id, data, SocketAddr::from((to, 7)))
        .unwrap();
}

#[track_caller]
fn assert_question(frame: &[u8], to: EthernetAddress, address: Ipv4Addr) {
    let question = ArpPacket::new(Operation::Request, (OUR_HW, OURS), (NOBODY, address));
    assert_eq!(parse_sent_arp(frame), (to, Operation::Request, question));
}

#[test]
fn a_new_address_is_announced_twice() {
    let now = Instant::ZERO;
    let mut stack = Stack::new(&Config::default(), [1; 32], now).unwrap();
    let config = InterfaceConfig {
        hardware_address: OUR_HW.0,
        mtu: 1500,
    };
    let interface = stack.add_interface(now, config).unwrap();
    stack.add_address(now, interface, OURS.into(), 24).unwrap();
    let mut announcements = Vec::new();
    let mut now = now;
    while let Some(due) = stack.next_timeout() {
        now = now.max(due);
        stack.handle_timeout(now);
        while let Some(frame) = stack.transmit(now) {
            announcements.push((now, frame.slices.concat()));
        }
    }
    let times: Vec<_> = announcements.iter().map(|(at, _)| at.as_millis()).collect();
    assert_eq!(times, [0, 2_000]);
    for (_, frame) in &announcements {
        assert_question(frame, ALL, OURS);
    }
}

#[test]
fn a_question_for_our_address_is_answered_to_the_asker() {
    let mut host = Host::new();
    let answers = host.receive(&arp_request((PEER_HW, PEER), OURS));
    let answer = ArpPacket::new(Operation::Reply, (OUR_HW, OURS), (PEER_HW, PEER));
    assert_eq!(answers.len(), 1);
    assert_eq!(
        parse_sent_arp(&answers[0]),
        (PEER_HW, Operation::Reply, answer)
    );
    assert_eq!(host.counted(), [("arp_replies_sent", 1)]);
    let id = socket(&mut host);
    send(&mut host, id, PEER, b"x");
    assert_eq!(
        parse_sent(&host.transmit()[0]).ethernet.destination,
        PEER_HW
    );
    host.assert_no_frame_lost();
}

#[test]
fn a_probe_for_our_address_is_answered_and_remembered_by_nobody() {
    let mut host = Host::new();
    let answers = host.receive(&arp_request((PEER_HW, Ipv4Addr::UNSPECIFIED), OURS));
    let (to, operation, _) = parse_sent_arp(&answers[0]);
    assert_eq!(
        (to, operation, answers.len()),
        (PEER_HW, Operation::Reply, 1)
    );
    assert_eq!(
        host.receive(&arp_request((PEER_HW, Ipv4Addr::UNSPECIFIED), OTHER))
            .len(),
        0
    );
    assert_eq!(
        host.counted(),
        [("arp_not_for_us", 1), ("arp_replies_sent", 1)]
    );
}

#[test]
fn packets_wait_for_the_answer_and_leave_in_order() {
    let mut host = Host::new();
    let id = socket(&mut host);
    for data in [b"one", b"two"] {
        send(&mut host, id, OTHER, data);
    }
    let questions = host.transmit();
    assert_eq!(questions.len(), 1);
    assert_question(&questions[0], ALL, OTHER);
    let frames = host.receive(&arp_reply((OTHER_HW, OTHER)));
    let data: Vec<_> = frames
        .iter()
        .map(|frame| parse_sent(frame).udp().1.to_vec())
        .collect();
    assert_eq!(data, [b"one", b"two"]);
    assert_eq!(parse_sent(&frames[0]).ethernet.destination, OTHER_HW);
    assert_eq!(host.stack.next_timeout(), None);
    host.assert_no_frame_lost();
}

#[test]
fn what_goes_beyond_the_link_goes_to_the_gateway() {
    let mut host = Host::new();
    let id = socket(&mut host);
    send(&mut host, id, REMOTE, b"far");
    assert_question(&host.transmit()[0], ALL, PEER);
    let frames = host.receive(&arp_reply((PEER_HW, PEER)));
    let sent = parse_sent(&frames[0]);
    assert_eq!(
        (sent.ethernet.destination, sent.ip.destination()),
        (PEER_HW, REMOTE)
    );
}

#[test]
fn a_silent_neighbour_is_asked_three_times_and_its_packets_are_dropped() {
    let mut host = Host::new();
    let id = socket(&mut host);
    send(&mut host, id, OTHER, b"?");
    let mut times = Vec::new();
    loop {
        times.extend(host.transmit().iter().map(|_| host.now.as_millis()));
        let Some(due) = host.stack.next_timeout() else {
            break;
        };
        assert!(
            due > host.now,
            "a deadline that is over would make the caller spin"
        );
        host.now = due;
    }
    let first = times[0];
    assert_eq!(times, [first, first + 1_000, first + 2_000]);
    let expected = [
        ("arp_requests_sent", 3),
        ("neighbour_failed", 1),
        ("neighbour_pending_expired", 1),
        ("udp_sent", 1),
    ];
    let mut counted = host.counted();
    counted.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(counted, expected);
    host.assert_no_frame_lost();
}

#[test]
fn a_neighbour_that_moves_is_found_again_while_packets_keep_flowing() {
    let mut host = Host::with_peer();
    let id = socket(&mut host);
    send(&mut host, id, PEER, b"1");
    assert_eq!(host.transmit().len(), 1);
    // The peer's address shows up elsewhere: its old place is asked first.
    let moved = (OTHER_HW, PEER);
    let announcement = arp_request(moved, PEER);
    let asked = host.receive(&announcement);
    assert_question(&asked[0], PEER_HW, PEER);
    send(&mut host, id, PEER, b"2");
    assert_eq!(
        parse_sent(&host.transmit()[0]).ethernet.destination,
        PEER_HW
    );
    host.advance(1_000);
    assert_question(&host.transmit()[0], PEER_HW, PEER);
    host.advance(1_000);
    assert_question(&host.transmit()[0], ALL, PEER);
    host.receive(&arp_reply(moved));
    send(&mut host, id, PEER, b"3");
    assert_eq!(
        parse_sent(&host.transmit()[0]).ethernet.destination,
        OTHER_HW
    );
}

#[test]
fn a_busy_neighbour_is_polled_when_its_time_is_over() {
    let mut host = Host::with_peer();
    let id = socket(&mut host);
    let mut polls = 0;
    for _ in 0..120 {
        host.advance(1_000);
        send(&mut host, id, PEER, b"busy");
        for frame in host.transmit() {
            if frame[12..14] == [8, 6] {
                assert_question(&frame, PEER_HW, PEER);
                polls += 1;
                host.receive(&arp_reply((PEER_HW, PEER)));
            } else {
                assert_eq!(parse_sent(&frame).ethernet.destination, PEER_HW);
            }
        }
    }
    assert!((3..=4).contains(&polls), "{polls} in two minutes");
}

#[test]
fn who_uses_our_address_is_answered_with_an_announcement_at_most_every_ten_seconds() {
    let mut host = Host::new();
    let conflict = arp_request((OTHER_HW, OURS), PEER);
    let frames = host.receive(&conflict);
    assert_eq!(frames.len(), 1);
    assert_question(&frames[0], ALL, OURS);
    for _ in 0..9 {
        host.advance(1_000);
        assert_eq!(host.receive(&conflict).len(), 0);
    }
    host.advance(1_000);
    assert_eq!(host.receive(&conflict).len(), 1);
    let reply = arp(
        OTHER_HW,
        ALL,
        Operation::Reply,
        (OTHER_HW, OURS),
        (OTHER_HW, OURS),
    );
    assert_eq!(host.receive(&reply).len(), 0);
    let counted = host.counted();
    assert!(counted.contains(&("arp_conflict", 12)), "{counted:?}");
    assert!(counted.contains(&("arp_defended", 2)), "{counted:?}");
    host.assert_no_frame_lost();
}

/// RFC 1122 §2.4 and §4.1.3.3: the sender of a datagram hears of it.
#[test]
fn a_datagram_to_a_silent_neighbour_is_reported_to_its_socket_as_unreachable() {
    let mut host = Host::new();
    let id = socket(&mut host);
    send(&mut host, id, PEER, b"anybody?");
    let mut buffer = [0; 9];
    for _ in 0..3 {
        let nothing = host.stack.udp_recv_from(host.now, id, &mut buffer);
        assert_eq!(nothing.unwrap_err(), RecvFromError::WouldBlock);
        assert_eq!(host.transmit().len(), 1, "a question");
        host.advance(1_000);
    }
    assert_eq!(host.transmit().len(), 0);
    let error = host.stack.udp_recv_from(host.now, id, &mut buffer);
    assert_eq!(error.unwrap_err(), RecvFromError::Unreachable);
    let once = host.stack.udp_recv_from(host.now, id, &mut buffer);
    assert_eq!(once.unwrap_err(), RecvFromError::WouldBlock);
    let counted = host.counted();
    assert!(
        counted.contains(&("neighbour_pending_expired", 1)),
        "{counted:?}"
    );
    host.assert_no_frame_lost();
}
