//! Every kind of malformed frame: the counter that it increments, and exactly what is answered.

mod common;

use common::link::*;
use mnet_core::wire::arp::Operation;
use mnet_core::wire::ethernet::{EthernetAddress, ether_type};
use mnet_core::wire::ipv4::protocol;
use mnet_core::wire::tcp::Flags;
use std::net::{Ipv4Addr, SocketAddr};
use zerocopy::byteorder::network_endian::U16;

const OPEN: u16 = 80;
const CLOSED: u16 = 81;

/// What a frame is answered with.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Nothing,
    /// ICMP unreachable with this code.
    Unreachable(u8),
    /// A TCP reset.
    Reset,
}

struct Case {
    name: &'static str,
    frame: Vec<u8>,
    /// The counter of the drop.
    counter: &'static str,
    answer: Answer,
}

fn case(name: &'static str, frame: Vec<u8>, counter: &'static str) -> Case {
    Case {
        name,
        frame,
        counter,
        answer: Answer::Nothing,
    }
}

/// A host with an open UDP port, an open TCP port and a known peer.
fn host() -> Host {
    let mut host = Host::with_peer();
    host.stack.udp_bind(SocketAddr::from((OURS, OPEN))).unwrap();
    host.stack
        .tcp_listen(SocketAddr::from((OURS, OPEN)), 4)
        .unwrap();
    host
}

fn peer(port: u16) -> SocketAddr {
    SocketAddr::from((PEER, port))
}

fn ours(port: u16) -> SocketAddr {
    SocketAddr::from((OURS, port))
}

fn good_udp() -> Vec<u8> {
    udp(peer(4_000), ours(OPEN), b"payload")
}

/// A frame that arrives if nothing is spoiled.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = from_peer(&good_udp());
    change(&mut frame);
    frame
}

fn ethernet_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for len in 0..14 {
        cases.push(case(
            "short Ethernet",
            changed(|f| f.truncate(len)),
            "eth_malformed",
        ));
    }
    let to = |destination| ethernet(PEER_HW, destination, ether_type::IPV4, &good_udp());
    let from = |source| ethernet(source, OUR_HW, ether_type::IPV4, &good_udp());
    let kind = |ether_type| ethernet(PEER_HW, OUR_HW, ether_type, &good_udp());
    cases.extend([
        case("to another host", to(OTHER_HW), "eth_bad_destination"),
        case(
            "to a group",
            to(EthernetAddress([1, 0, 0x5e, 0, 0, 9])),
            "eth_bad_destination",
        ),
        case(
            "to nobody",
            to(EthernetAddress([0; 6])),
            "eth_bad_destination",
        ),
        case("from everybody", from(ALL), "eth_bad_source"),
        case(
            "from a group",
            from(EthernetAddress([3, 0, 0, 0, 0, 1])),
            "eth_bad_source",
        ),
        case(
            "from nobody",
            from(EthernetAddress([0; 6])),
            "eth_bad_source",
        ),
        case("from ourselves", from(OUR_HW), "eth_bad_source"),
        case("802.1Q tag", kind(0x8100), "eth_vlan_unknown"),
        case("802.1ad tag", kind(0x88a8), "eth_vlan_service"),
        case("IPv6, which is off", kind(0x86dd), "ip_family_disabled"),
        case("802.3 length", kind(46), "eth_unknown_type"),
        case("RARP", kind(0x8035), "eth_unknown_type"),
        case(
            "larger than a frame",
            changed(|f| f.resize(1_700, 0)),
            "rx_oversize",
        ),
        case(
            "larger than a length",
            changed(|f| f.resize(70_000, 0)),
            "rx_oversize",
        ),
    ]);
    cases
}

fn arp_cases() -> Vec<Case> {
    let request = arp_request((OTHER_HW, OTHER), OURS);
    let spoiled = |at: usize, with: u8| {
        let mut frame = request.clone();
        frame[14 + at] = with;
        frame
    };
    let mut cases = Vec::new();
    for len in 14..42 {
        cases.push(case("short ARP", request[..len].to_vec(), "arp_malformed"));
    }
    let sender = |hardware, address| arp_request((hardware, address), OURS);
    cases.extend([
        case("hardware type", spoiled(1, 6), "arp_malformed"),
        case("protocol type", spoiled(3, 1), "arp_malformed"),
        case("hardware length", spoiled(4, 8), "arp_malformed"),
        case("protocol length", spoiled(5, 16), "arp_malformed"),
        case("RARP request", spoiled(7, 3), "arp_bad_operation"),
        case("RARP reply", spoiled(7, 4), "arp_bad_operation"),
        case("operation 0", spoiled(7, 0), "arp_bad_operation"),
        case(
            "unsolicited reply",
            arp_reply((OTHER_HW, OTHER)),
            "arp_unsolicited",
        ),
        case(
            "gratuitous reply",
            arp(
                OTHER_HW,
                ALL,
                Operation::Reply,
                (OTHER_HW, OTHER),
                (ALL, OTHER),
            ),
            "arp_unsolicited",
        ),
        case(
            "for another host",
            arp_request((OTHER_HW, OTHER), PEER),
            "arp_not_for_us",
        ),
        case("off the link", sender(OTHER_HW, REMOTE), "arp_bad_sender"),
        case(
            "broadcast address",
            sender(OTHER_HW, [10, 0, 0, 255].into()),
            "arp_bad_sender",
        ),
        case(
            "network address",
            sender(OTHER_HW, [10, 0, 0, 0].into()),
            "arp_bad_sender",
        ),
        case(
            "multicast address",
            sender(OTHER_HW, [224, 0, 0, 1].into()),
            "arp_bad_sender",
        ),
    ]);
    for hardware in [ALL, EthernetAddress([0; 6]), OUR_HW] {
        let mut frame = request.clone();
        frame[22..28].copy_from_slice(&hardware.0);
        cases.push(case("sender's hardware address", frame, "arp_bad_sender"));
    }
    cases
}

fn ipv4_cases() -> Vec<Case> {
    let ip = |change: &dyn Fn(&mut mnet_core::wire::ipv4::Ipv4Header)| {
        from_peer(&ipv4(PEER, OURS, protocol::UDP, &good_udp()[20..], change))
    };
    let addresses = |source: [u8; 4], destination: [u8; 4]| {
        from_peer(&udp(
            SocketAddr::from((source, 4_000)),
            SocketAddr::from((destination, OPEN)),
            b"payload",
        ))
    };
    let options = |options: &[u8]| {
        let payload = &good_udp()[20..];
        from_peer(&ipv4_with_options(
            PEER,
            OURS,
            protocol::UDP,
            options,
            payload,
            |_| {},
        ))
    };
    let fragment = |field: u16| ip(&|h| h.flags_and_offset = U16::new(field));
    let (us, them) = (OURS.octets(), PEER.octets());
    let mut cases = Vec::new();
    for len in 14..34 {
        cases.push(case(
            "short IPv4",
            changed(|f| f.truncate(len)),
            "ip_truncated",
        ));
    }
    for source in [
        [0, 0, 0, 0],
        [127, 0, 0, 1],
        [224, 0, 0, 1],
        [240, 0, 0, 1],
        [255, 255, 255, 255],
        [10, 0, 0, 255],
        [10, 0, 0, 0],
        us,
    ] {
        cases.push(case(
            "source address",
            addresses(source, us),
            "ip_bad_source",
        ));
    }
    for destination in [
        [10, 0, 0, 3],
        [127, 0, 0, 1],
        [8, 8, 8, 8],
        [224, 0, 0, 9],
        [0, 0, 0, 0],
    ] {
        cases.push(case(
            "destination",
            addresses(them, destination),
            "ip_bad_destination",
        ));
    }
    for route in [
        [131, 7, 4, 10, 0, 0, 9, 0],
        [137, 7, 8, 10, 0, 0, 9, 0],
        [131, 0, 0, 0, 0, 0, 0, 0],
    ] {
        cases.push(case(
            "source route",
            options(&route),
            "ip_source_route_refused",
        ));
    }
    for (field, counter) in [
        (0x2000, "ip_fragment_bad_length"),
        (0x2001, "ip_fragment_bad_length"),
        (0x6000, "ip_fragment_bad_length"),
        (0x1fff, "ip_fragment_too_long"),
    ] {
        cases.push(case("fragment", fragment(field), counter));
    }
    cases.extend([
        case(
            "version 0",
            ip(&|h| h.version_and_len = 0x05),
            "ip_bad_version",
        ),
        case(
            "version 6",
            ip(&|h| h.version_and_len = 0x65),
            "ip_bad_version",
        ),
        case(
            "header length 0",
            ip(&|h| h.version_and_len = 0x40),
            "ip_bad_header_length",
        ),
        case(
            "header length 4",
            ip(&|h| h.version_and_len = 0x44),
            "ip_bad_header_length",
        ),
        case(
            "header beyond",
            ip(&|h| h.version_and_len = 0x4f),
            "ip_bad_header_length",
        ),
        case(
            "total length 0",
            ip(&|h| h.total_len = U16::new(0)),
            "ip_bad_total_length",
        ),
        case(
            "total length 19",
            ip(&|h| h.total_len = U16::new(19)),
            "ip_bad_total_length",
        ),
        case(
            "total length + 1",
            ip(&|h| h.total_len = U16::new(36)),
            "ip_bad_total_length",
        ),
        case(
            "total length max",
            ip(&|h| h.total_len = U16::new(65_535)),
            "ip_bad_total_length",
        ),
        case(
            "header checksum",
            ip(&|h| h.checksum = U16::new(0x1234)),
            "ip_bad_checksum",
        ),
        case("reserved flag", fragment(0x8000), "ip_bad_flags"),
        case("option length 0", options(&[7, 0, 0, 0]), "ip_bad_option"),
        case("option length 1", options(&[7, 1, 0, 0]), "ip_bad_option"),
        case("option beyond", options(&[7, 5, 0, 0]), "ip_bad_option"),
        case("option cut off", options(&[1, 1, 1, 7]), "ip_bad_option"),
        case(
            "unicast in a link broadcast",
            ethernet(PEER_HW, ALL, ether_type::IPV4, &good_udp()),
            "ip_link_broadcast",
        ),
        case(
            "TCP to everybody",
            ethernet(
                PEER_HW,
                ALL,
                ether_type::IPV4,
                &tcp(
                    peer(4_000),
                    // RFC 9293 §3.9.2.3 (MUST-57).
                    SocketAddr::from((Ipv4Addr::BROADCAST, OPEN)),
                    Flags::SYN,
                    (1, 0),
                    b"",
                    |_| {},
                ),
            ),
            "ip_broadcast_refused",
        ),
        Case {
            name: "unknown protocol",
            frame: from_peer(&ipv4(PEER, OURS, 4, &good_udp(), |_| {})),
            counter: "ip_unknown_protocol",
            answer: Answer::Unreachable(2),
        },
    ]);
    cases
}

fn icmp_cases() -> Vec<Case> {
    let message = |message: &[u8]| from_peer(&ipv4(PEER, OURS, protocol::ICMP, message, |_| {}));
    let mut cases = Vec::new();
    for len in 0..8 {
        cases.push(case(
            "short ICMP",
            message(&[8; 8][..len]),
            "icmp_malformed",
        ));
    }
    let mut wrong = icmp(8, 0, [0; 4], b"sum");
    wrong[9] ^= 1;
    let quoted = good_udp();
    for (message_type, code) in [
        (0, 0),
        (3, 16),
        (3, 255),
        (4, 0),
        (5, 1),
        (8, 1),
        (9, 0),
        (10, 0),
        (11, 2),
        (13, 0),
        (17, 0),
        (255, 0),
    ] {
        let frame = message(&icmp(message_type, code, [0; 4], &quoted));
        cases.push(case("type or code", frame, "icmp_ignored_type"));
    }
    cases.extend([
        case("checksum", message(&wrong), "icmp_bad_checksum"),
        case(
            "quote missing",
            message(&icmp(3, 3, [0; 4], b"")),
            "icmp_malformed",
        ),
        case(
            "quote cut",
            message(&icmp(3, 3, [0; 4], &quoted[..27])),
            "icmp_malformed",
        ),
        case(
            "quote not ours",
            message(&icmp(3, 3, [0; 4], &quoted)),
            "icmp_error_unrelated",
        ),
        case(
            "tiny MTU",
            message(&icmp(3, 4, [0, 0, 0, 68], &quoted)),
            "icmp_error_unrelated",
        ),
    ]);
    cases
}

fn udp_cases() -> Vec<Case> {
    let datagram = |bytes: &[u8]| from_peer(&ipv4(PEER, OURS, protocol::UDP, bytes, |_| {}));
    let good = good_udp()[20..].to_vec();
    let with = |at: usize, value: [u8; 2]| {
        let mut bytes = good.clone();
        bytes[at..at + 2].copy_from_slice(&value);
        datagram(&bytes)
    };
    let mut cases = Vec::new();
    for len in 0..8 {
        cases.push(case("short UDP", datagram(&good[..len]), "udp_malformed"));
    }
    cases.extend([
        case("length 0", with(4, [0, 0]), "udp_malformed"),
        case("length 7", with(4, [0, 7]), "udp_malformed"),
        case("length + 1", with(4, [0, 16]), "udp_malformed"),
        case("length max", with(4, [255, 255]), "udp_malformed"),
        case("to port 0", with(2, [0, 0]), "udp_malformed"),
        case("checksum", with(6, [0x12, 0x34]), "udp_bad_checksum"),
        case("payload", changed(|f| f[45] ^= 0x80), "udp_bad_checksum"),
        Case {
            name: "closed port",
            frame: from_peer(&udp(peer(4_000), ours(CLOSED), b"")),
            counter: "udp_no_socket",
            answer: Answer::Unreachable(3),
        },
    ]);
    cases
}

fn tcp_cases() -> Vec<Case> {
    let syn = |change: &dyn Fn(&mut Vec<u8>)| {
        from_peer(&tcp(
            peer(4_000),
            ours(OPEN),
            Flags::SYN,
            (1, 0),
            b"",
            change,
        ))
    };
    let mut wrong = syn(&|_| {});
    wrong[14 + 20 + 16] ^= 1;
    let mut cases = Vec::new();
    for len in 0..20 {
        cases.push(case(
            "short TCP",
            syn(&|s| s.truncate(len)),
            "tcp_malformed",
        ));
    }
    for offset in [0x00, 0x40, 0x60, 0xf0] {
        cases.push(case(
            "data offset",
            syn(&|s| s[12] = offset),
            "tcp_malformed",
        ));
    }
    for options in [[2, 0, 0, 0], [2, 1, 0, 0], [8, 10, 0, 0], [1, 1, 1, 254]] {
        let frame = syn(&|s| {
            s[12] = 0x60;
            s.extend(options);
        });
        cases.push(case("option length", frame, "tcp_bad_option"));
    }
    let closed =
        |flags, numbers| from_peer(&tcp(peer(4_000), ours(CLOSED), flags, numbers, b"", |_| {}));
    cases.extend([
        case("from port 0", syn(&|s| s[..2].fill(0)), "tcp_malformed"),
        case("to port 0", syn(&|s| s[2..4].fill(0)), "tcp_malformed"),
        case("checksum", wrong, "tcp_bad_checksum"),
        case(
            "reset to a closed port",
            closed(Flags::RST, (1, 0)),
            "tcp_stray_reset",
        ),
        Case {
            name: "SYN to a closed port",
            frame: closed(Flags::SYN, (1, 0)),
            counter: "tcp_no_connection",
            answer: Answer::Reset,
        },
        Case {
            name: "ACK to a closed port",
            frame: closed(Flags::ACK, (1, 77)),
            counter: "tcp_no_connection",
            answer: Answer::Reset,
        },
    ]);
    cases
}

#[track_caller]
fn check(cases: Vec<Case>) {
    // Counters that go with others and do not name a drop.
    let beside = [
        "icmp_received",
        "udp_received",
        "tcp_received",
        "tcp_sent",
        "icmp_sent",
        "tcp_resets_sent",
        "arp_requests_sent",
    ];
    for Case {
        name,
        frame,
        counter,
        answer,
    } in cases
    {
        let mut host = host();
        let answers = host.receive(&frame);
        let counted = host.counted();
        let drops: Vec<_> = counted
            .iter()
            .filter(|(c, _)| !beside.contains(c))
            .collect();
        assert_eq!(drops, [&(counter, 1)], "{name}: {frame:02x?}");
        let got = match answers.as_slice() {
            [] => Answer::Nothing,
            [frame] => {
                let sent = parse_sent(frame);
                match sent.ip.protocol {
                    protocol::ICMP => Answer::Unreachable(sent.icmp().0.code),
                    _ => {
                        assert!(sent.tcp().0.flags().contains(Flags::RST), "{name}");
                        Answer::Reset
                    }
                }
            }
            more => panic!("{name}: {} answers", more.len()),
        };
        assert_eq!(got, answer, "{name}");
        host.assert_no_frame_lost();
    }
}

#[test]
fn malformed_ethernet_is_counted_and_not_answered() {
    check(ethernet_cases());
}

#[test]
fn malformed_arp_is_counted_and_not_answered() {
    check(arp_cases());
}

#[test]
fn malformed_ipv4_is_counted_and_answered_as_the_rfcs_allow() {
    check(ipv4_cases());
}

#[test]
fn malformed_icmp_is_counted_and_not_answered() {
    check(icmp_cases());
}

#[test]
fn malformed_udp_is_counted_and_answered_as_the_rfcs_allow() {
    check(udp_cases());
}

#[test]
fn malformed_tcp_is_counted_and_answered_as_the_rfcs_allow() {
    check(tcp_cases());
}

#[test]
fn what_the_cases_spoil_arrives_unspoiled() {
    let mut host = host();
    assert_eq!(host.receive(&changed(|_| {})).len(), 0);
    assert_eq!(host.counted(), [("udp_received", 1)]);
}

#[test]
fn every_frame_cut_at_every_length_is_survived() {
    let frames = [
        changed(|_| {}),
        ping(&[7; 30]),
        arp_request((OTHER_HW, OTHER), OURS),
        from_peer(&tcp(
            peer(4_000),
            ours(OPEN),
            Flags::SYN,
            (1, 0),
            b"data",
            |_| {},
        )),
    ];
    let mut host = host();
    for frame in &frames {
        for len in 0..frame.len() {
            host.receive(&frame[..len]);
        }
    }
    assert_eq!(host.stack.counters().udp_received, 0);
    host.assert_no_frame_lost();
}

#[test]
fn an_interface_that_does_not_exist_receives_nothing() {
    let mut host = host();
    let mut other = Host::new();
    let config = mnet_core::InterfaceConfig {
        hardware_address: [2, 0, 0, 0, 0, 9],
        mtu: 1500,
    };
    let foreign = other.stack.add_interface(other.now, config).unwrap();
    host.stack.receive_copy(host.now, foreign, &changed(|_| {}));
    assert_eq!(host.counted(), [("rx_no_interface", 1)]);
    host.assert_no_frame_lost();
}
