//! ICMP through the whole stack: echo, errors sent, errors received.

mod common;

use common::link::*;
use mnet_core::Config;
use mnet_core::error::RecvFromError;
use mnet_core::wire::ethernet::ether_type;
use mnet_core::wire::icmpv4::Message;
use mnet_core::wire::ipv4::protocol;
use std::net::{Ipv4Addr, SocketAddr};

const CLOSED: u16 = 9;

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

/// A datagram from the peer to a port that nobody has.
fn unwanted(source: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    from_peer(&udp(at(source, 4_000), at(OURS, CLOSED), payload))
}

#[test]
fn echo_requests_of_every_size_are_answered_with_the_same_payload() {
    let mut host = Host::with_peer();
    for len in [0, 1, 2, 55, 56, 57, 1_000, 1_471, 1_472] {
        let payload: Vec<u8> = (0..=u8::MAX).cycle().take(len).collect();
        let answers = host.receive(&ping(&payload));
        assert_eq!(answers.len(), 1);
        let sent = parse_sent(&answers[0]);
        assert_eq!(sent.ethernet.destination, PEER_HW);
        assert_eq!((sent.ip.source(), sent.ip.destination()), (OURS, PEER));
        let (header, answer) = sent.icmp();
        assert_eq!(
            header.message(),
            Message::EchoReply {
                identifier: 0x1234,
                sequence: 1
            }
        );
        assert_eq!(answer, payload);
    }
    assert_eq!(
        host.counted(),
        [
            ("icmp_received", 9),
            ("icmp_sent", 9),
            ("icmp_echo_replied", 9)
        ]
    );
    host.assert_no_frame_lost();
}

#[test]
fn echo_requests_fill_jumbo_frames() {
    let mut host = Host::with(&Config {
        max_mtu: 9_000,
        ..Config::default()
    });
    host.meet(PEER_HW, PEER);
    let payload = vec![0x5a; 9_000 - 28];
    let answers = host.receive(&ping(&payload));
    assert_eq!(parse_sent(&answers[0]).icmp().1, payload);
}

#[test]
fn an_all_zero_echo_has_a_valid_checksum() {
    let mut host = Host::with_peer();
    let message = icmp(8, 0, [0; 4], &[0; 32]);
    let answers = host.receive(&from_peer(&ipv4(
        PEER,
        OURS,
        protocol::ICMP,
        &message,
        |_| {},
    )));
    assert_eq!(parse_sent(&answers[0]).icmp().1, [0; 32]);
}

#[test]
fn padding_and_options_of_a_request_do_not_come_back() {
    let mut host = Host::with_peer();
    let message = icmp(8, 0, [1, 2, 3, 4], b"payload");
    let record_route = [7, 7, 4, 0, 0, 0, 0, 0];
    let packet = ipv4_with_options(PEER, OURS, protocol::ICMP, &record_route, &message, |_| {});
    let mut frame = from_peer(&packet);
    frame.extend([0xee; 20]);
    let answers = host.receive(&frame);
    assert_eq!(parse_sent(&answers[0]).icmp().1, b"payload");
}

#[test]
fn a_request_with_time_to_live_zero_is_still_for_us() {
    // RFC 1122 §3.2.1.7: a host must not drop it for that.
    let mut host = Host::with_peer();
    let message = icmp(8, 0, [0; 4], b"");
    let packet = ipv4(PEER, OURS, protocol::ICMP, &message, |ip| {
        ip.time_to_live = 0
    });
    assert_eq!(host.receive(&from_peer(&packet)).len(), 1);
}

#[test]
fn a_datagram_to_a_closed_port_is_answered_with_port_unreachable_that_quotes_it() {
    let mut host = Host::with_peer();
    let datagram = udp(at(PEER, 4_000), at(OURS, CLOSED), b"is anybody there?");
    let answers = host.receive(&from_peer(&datagram));
    assert_eq!(answers.len(), 1);
    let sent = parse_sent(&answers[0]);
    assert_eq!((sent.ip.source(), sent.ip.destination()), (OURS, PEER));
    let (header, quoted) = sent.icmp();
    assert_eq!(
        header.message(),
        Message::Unreachable {
            code: 3,
            next_hop_mtu: 0
        }
    );
    assert_eq!(quoted, datagram);
    let counted = [("icmp_sent", 1), ("udp_received", 1), ("udp_no_socket", 1)];
    assert_eq!(host.counted(), counted);
    host.assert_no_frame_lost();
}

#[test]
fn an_error_is_at_most_576_bytes_long() {
    let mut host = Host::with_peer();
    let datagram = udp(at(PEER, 4_000), at(OURS, CLOSED), &[7; 1_400]);
    let answers = host.receive(&from_peer(&datagram));
    let sent = parse_sent(&answers[0]);
    assert_eq!(sent.ip.total_len.get(), 576);
    assert_eq!(sent.icmp().1, &datagram[..548]);
}

#[test]
fn an_unknown_protocol_is_answered_with_protocol_unreachable() {
    let mut host = Host::with_peer();
    let packet = ipv4(PEER, OURS, 132, b"SCTP, say", |_| {});
    let answers = host.receive(&from_peer(&packet));
    let sent = parse_sent(&answers[0]);
    let (header, quoted) = sent.icmp();
    assert_eq!(
        header.message(),
        Message::Unreachable {
            code: 2,
            next_hop_mtu: 0
        }
    );
    assert_eq!(quoted, packet);
    assert_eq!(
        host.counted(),
        [("ip_unknown_protocol", 1), ("icmp_sent", 1)]
    );
}

#[test]
fn errors_to_one_host_are_limited_in_rate() {
    let mut host = Host::with_peer();
    let mut answers = 0;
    for _ in 0..100 {
        answers += host.receive(&unwanted(PEER, b"")).len();
    }
    assert_eq!(answers, 6);
    host.advance(1_000);
    assert_eq!(host.receive(&unwanted(PEER, b"")).len(), 1);
    let counted = host.counted();
    assert!(counted.contains(&("icmp_rate_limited", 94)), "{counted:?}");
    host.assert_no_frame_lost();
}

#[test]
fn nothing_that_went_to_everybody_is_answered() {
    let mut host = Host::with_peer();
    let broadcast = Ipv4Addr::new(10, 0, 0, 255);
    let to_all = |packet: &[u8]| ethernet(PEER_HW, ALL, ether_type::IPV4, packet);
    let echo = icmp(8, 0, [0; 4], b"smurf");
    for destination in [broadcast, Ipv4Addr::BROADCAST, Ipv4Addr::new(10, 0, 0, 0)] {
        let datagram = udp(at(PEER, 4_000), at(destination, CLOSED), b"");
        assert_eq!(host.receive(&to_all(&datagram)).len(), 0);
        let ping = ipv4(PEER, destination, protocol::ICMP, &echo, |_| {});
        assert_eq!(host.receive(&to_all(&ping)).len(), 0);
        let unknown = ipv4(PEER, destination, 132, b"", |_| {});
        assert_eq!(host.receive(&to_all(&unknown)).len(), 0);
    }
    // To us alone, but inside a link-layer broadcast (RFC 1122 §3.2.2).
    let datagram = udp(at(PEER, 4_000), at(OURS, CLOSED), b"");
    assert_eq!(host.receive(&to_all(&datagram)).len(), 0);
    let mut counted = host.counted();
    counted.sort_unstable();
    let expected = [
        ("icmp_not_unicast", 3),
        ("icmp_received", 3),
        ("icmp_suppressed", 6),
        ("ip_link_broadcast", 1),
        ("ip_unknown_protocol", 3),
        ("udp_no_socket", 3),
        ("udp_received", 3),
    ];
    assert_eq!(counted, expected);
    host.assert_no_frame_lost();
}

/// An ICMP error about `quoted`, from a router.
fn error(message_type: u8, code: u8, rest: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    let message = icmp(message_type, code, rest, quoted);
    from_peer(&ipv4(PEER, OURS, protocol::ICMP, &message, |_| {}))
}

#[test]
fn an_error_reaches_the_udp_socket_that_caused_it() {
    for (message_type, code, expected) in [
        (3, 3, Some(RecvFromError::Refused)),
        (3, 2, Some(RecvFromError::Refused)),
        (3, 0, Some(RecvFromError::Unreachable)),
        (3, 1, Some(RecvFromError::Unreachable)),
        (3, 13, Some(RecvFromError::Unreachable)),
        (11, 0, Some(RecvFromError::TimeExceeded)),
        (12, 0, None),
    ] {
        let mut host = Host::with_peer();
        let id = host.stack.udp_bind(at(OURS, 5_000)).unwrap();
        host.stack
            .udp_send_to(host.now, id, b"hello", at(REMOTE, 53))
            .unwrap();
        let frames = host.transmit();
        // A router quotes the packet with a lower TTL and only 8 bytes of its payload.
        let mut quoted = frames[0][14..42].to_vec();
        quoted[8] = 1;
        assert_eq!(
            host.receive(&error(message_type, code, [0; 4], &quoted))
                .len(),
            0
        );
        let result = host.stack.udp_recv_from(host.now, id, &mut [0; 10]);
        assert_eq!(
            result.unwrap_err(),
            expected.unwrap_or(RecvFromError::WouldBlock)
        );
        assert_eq!(host.stack.counters().icmp_error_delivered, 1);
        host.assert_no_frame_lost();
    }
}

#[test]
fn errors_about_packets_that_we_did_not_send_reach_nobody() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(OURS, 5_000)).unwrap();
    host.stack
        .udp_send_to(host.now, id, b"hello", at(REMOTE, 53))
        .unwrap();
    let good = host.transmit()[0][14..].to_vec();
    host.counted();
    let spoil = |at: usize, with: u8| {
        let mut quoted = good.clone();
        quoted[at] = with;
        quoted
    };
    // Another source address, source port, destination address, destination port; a later
    // fragment; another protocol.
    for quoted in [
        spoil(15, 3),
        spoil(21, 0),
        spoil(19, 9),
        spoil(23, 54),
        spoil(7, 1),
        spoil(9, 99),
    ] {
        assert_eq!(host.receive(&error(3, 3, [0; 4], &quoted)).len(), 0);
        assert_eq!(
            host.counted(),
            [("icmp_received", 1), ("icmp_error_unrelated", 1)]
        );
    }
    for cut in [0, 19, 20, 27] {
        host.receive(&error(3, 3, [0; 4], &good[..cut]));
        assert_eq!(
            host.counted(),
            [("icmp_received", 1), ("icmp_malformed", 1)],
            "{cut} bytes"
        );
    }
    for quoted in [spoil(0, 0x65), spoil(0, 0x44), spoil(0, 0x4f)] {
        host.receive(&error(3, 3, [0; 4], &quoted));
        assert_eq!(
            host.counted(),
            [("icmp_received", 1), ("icmp_malformed", 1)]
        );
    }
    let result = host.stack.udp_recv_from(host.now, id, &mut [0; 10]);
    assert_eq!(result.unwrap_err(), RecvFromError::WouldBlock);
}

/// RFC 8085 §3.2, RFC 1191 §6.3: "fragmentation needed" about a datagram of ours holds for its
/// destination, for ten minutes. TCP does not believe it: ports are easily guessed.
#[test]
fn datagrams_learn_the_path_mtu() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(OURS, 5_000)).unwrap();
    let send = |host: &mut Host, to, len: usize| {
        let result = host
            .stack
            .udp_send_to(host.now, id, &vec![0; len - 28], at(to, 53));
        result.unwrap();
        let frames = host.transmit();
        (frames.len(), frames[0][14..42].to_vec())
    };
    let too_big = |mtu: u16, quoted: &[u8]| {
        let [high, low] = mtu.to_be_bytes();
        error(3, 4, [0, 0, high, low], quoted)
    };
    let (_, quoted) = send(&mut host, REMOTE, 1_500);
    let lowered = |host: &Host| host.stack.counters().udp_path_mtu_lowered;
    // Another port than any that it has sent to; less than any path has; no less than was sent.
    let mut forged = quoted.clone();
    forged[23] = 54;
    host.receive(&too_big(1_400, &forged));
    host.receive(&too_big(575, &quoted));
    host.receive(&too_big(1_500, &quoted));
    assert_eq!(lowered(&host), 0);
    host.receive(&too_big(1_400, &quoted));
    assert_eq!(lowered(&host), 1);
    assert_eq!(send(&mut host, REMOTE, 1_401).0, 2, "two fragments");
    assert_eq!(send(&mut host, REMOTE, 1_400).0, 1);
    assert_eq!(send(&mut host, PEER, 1_500).0, 1, "another destination");
    // A message that says more says nothing new.
    host.receive(&too_big(1_450, &quoted));
    assert_eq!(lowered(&host), 1);
    assert_eq!(send(&mut host, REMOTE, 1_401).0, 2);
    host.advance(600_000);
    host.meet(PEER_HW, PEER);
    assert_eq!(send(&mut host, REMOTE, 1_500).0, 1);
    let connection = host.stack.tcp_connect(host.now, at(REMOTE, 80), None);
    let (_, quoted) = send(&mut host, REMOTE, 1_500);
    host.receive(&too_big(600, &quoted));
    assert_eq!(send(&mut host, REMOTE, 601).0, 2);
    // The pieces become smaller as well, by what is said of the first one.
    let (pieces, quoted) = send(&mut host, REMOTE, 6_000);
    host.receive(&too_big(576, &quoted));
    assert_eq!((pieces, send(&mut host, REMOTE, 6_000).0), (11, 11));
    let info = host.stack.tcp_info(connection.unwrap()).unwrap();
    assert_eq!(info.path_mtu, 1_500);
}

/// RFC 1122 §3.2.2: no error about an error, also where only the first fragment of it came.
#[test]
fn an_error_in_fragments_that_stays_a_part_is_not_answered() {
    let quoted = udp(at(OURS, 53), at(PEER, 9), b"");
    for (kind, code, answers) in [
        (3, 1, 0),
        (4, 0, 0),
        (5, 0, 0),
        (11, 0, 0),
        (12, 0, 0),
        (8, 0, 1),
        (13, 0, 1),
    ] {
        let mut host = Host::with_peer();
        let message = icmp(kind, code, [0; 4], &[&quoted[..], &[0; 4]].concat());
        let first = ipv4(PEER, OURS, protocol::ICMP, &message[..40], |header| {
            header.flags_and_offset.set(0x2000);
        });
        assert!(host.receive(&from_peer(&first)).is_empty());
        host.advance(31_000);
        let sent = host.transmit();
        let sent = sent.iter().filter(|frame| frame[12..14] == [8, 0]);
        assert_eq!(sent.count(), answers, "type {kind}");
        let suppressed = host.stack.counters().icmp_suppressed;
        assert_eq!(suppressed, u64::from(answers == 0), "type {kind}");
        host.assert_no_frame_lost();
    }
}
