//! Immunity to known attacks on IPv6 and neighbour discovery. The numbers are the rows of the table
//! in SECURITY.md.

mod common;

use common::v6::{
    Host, OURS, PEER, PEER_HW, PEER_LOCAL, ROUTER, ROUTER_HW, advertisement, echo_request, frame,
    icmp, link_destination, packet, parse, prefix, router, solicitation, summed,
};
use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::wire::ipv6::{FragmentHeader, next_header};
use mnet_core::wire::ndp::{solicited_node, source_link_layer};
use mnet_core::wire::tcp::{Flags, TcpHeader};
use std::net::{Ipv6Addr, SocketAddr};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::{U16, U32};

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The neighbour asks for us, and so becomes known.
fn meet(host: &mut Host) {
    let option = source_link_layer(PEER_HW);
    let request = solicitation(PEER_HW, (PEER, solicited_node(OURS)), OURS, &option);
    assert_eq!(host.receive(&request).len(), 1);
    host.counted();
}

/// A SYN to port 80 in its frame.
fn syn(from: EthernetAddress, source: Ipv6Addr, destination: Ipv6Addr, port: u16) -> Vec<u8> {
    let mut header = TcpHeader {
        source_port: U16::new(port),
        destination_port: U16::new(80),
        sequence: U32::new(7),
        window: U16::new(1_000),
        ..TcpHeader::default()
    };
    header.set_len_and_flags(20, Flags::SYN);
    let mut bytes = header.as_bytes().to_vec();
    bytes[16..18].fill(0);
    let pseudo = mnet_core::checksum::pseudo_header(
        source.into(),
        destination.into(),
        next_header::TCP,
        bytes.len(),
    );
    let sum = (pseudo + mnet_core::checksum::sum(&bytes)).finish();
    bytes[16..18].copy_from_slice(&sum.to_be_bytes());
    frame(
        from,
        destination,
        &packet(source, destination, next_header::TCP, 64, &bytes),
    )
}

/// Packets inside of packets are of nobody's concern here.
#[test]
fn row_01_tunnelled_ipv6_is_not_unpacked() {
    let mut host = Host::new();
    meet(&mut host);
    let inner = packet(
        PEER,
        OURS,
        next_header::ICMPV6,
        64,
        &[128, 0, 0, 0, 0, 0, 0, 0],
    );
    for (next, pointer) in [(41, 6), (4, 6), (47, 6)] {
        let sent = host.receive(&frame(PEER_HW, OURS, &packet(PEER, OURS, next, 64, &inner)));
        let report = parse(&sent[0]);
        assert_eq!(
            (report.payload[..2].to_vec(), report.payload[7]),
            (vec![4, 1], pointer)
        );
        host.run(2);
    }
    host.assert_no_frame_lost();
}

/// Every length of every extension header and option, on every kind of packet.
#[test]
fn row_03_every_length_of_an_ipv6_extension_is_survived() {
    let mut host = Host::new();
    meet(&mut host);
    for next in [0, 43, 44, 51, 60, 135] {
        for len in 0..=255 {
            for content in [0, 1, 5, 0x3e, 0x7e, 0xbe, 0xfe] {
                let mut payload = vec![content; 64];
                (payload[0], payload[1]) = (next_header::ICMPV6, len);
                payload[3] = len;
                host.receive(&frame(
                    PEER_HW,
                    OURS,
                    &packet(PEER, OURS, next, 64, &payload),
                ));
            }
        }
        host.run(1);
    }
    for kind in 0..=255u8 {
        for units in [0, 1, 2, 4, 255] {
            let option = [&[kind, units][..], &[0xff; 30]].concat();
            host.receive(&router((ROUTER_HW, ROUTER), 60, &option));
            host.receive(&solicitation(
                PEER_HW,
                (PEER, solicited_node(OURS)),
                OURS,
                &option,
            ));
        }
        host.run(1);
    }
    // The neighbour was forgotten meanwhile, for it did not answer; it asks again.
    let option = source_link_layer(PEER_HW);
    host.receive(&solicitation(
        PEER_HW,
        (PEER, solicited_node(OURS)),
        OURS,
        &option,
    ));
    assert_eq!(host.receive(&echo_request(PEER, OURS, b"alive")).len(), 1);
}

/// RFC 6946: an atomic fragment is a whole packet; RFC 8201 §4: no path carries less than 1280.
#[test]
fn row_15_atomic_fragments_are_whole_and_small_path_mtus_are_lies() {
    let mut host = Host::new();
    meet(&mut host);
    let echo = summed(
        PEER,
        OURS,
        next_header::ICMPV6,
        &[128, 0, 0, 0, 0, 1, 0, 1, 9],
    );
    let atomic = FragmentHeader::new(next_header::ICMPV6, 0, false, 1);
    let bytes = packet(
        PEER,
        OURS,
        next_header::FRAGMENT,
        64,
        &[atomic.as_bytes(), &echo].concat(),
    );
    let sent = host.receive(&frame(PEER_HW, OURS, &bytes));
    let reply = parse(&sent[0]);
    assert_eq!(
        (reply.payload[0], reply.layer.fragment),
        (129, None),
        "and answered without"
    );
    let quoted = packet(OURS, PEER, 17, 64, &[0, 53, 0, 9, 0, 8, 0, 0]);
    host.counted();
    for mtu in [0u32, 68, 576, 1279] {
        let message = [&[2, 0, 0, 0][..], &mtu.to_be_bytes(), &quoted].concat();
        host.receive(&icmp(PEER_HW, (PEER, OURS, 64), &message));
    }
    let counted = host.counted();
    assert!(counted.iter().any(|(_, n)| *n == 4), "{counted:?}");
}

/// Land over IPv6: from our own address, and from groups.
#[test]
fn row_16_packets_from_ourselves_or_from_groups_are_dropped() {
    let mut host = Host::new();
    host.stack
        .tcp_listen("[::]:80".parse().unwrap(), 4)
        .unwrap();
    for source in [
        OURS,
        address("ff02::1"),
        address("::1"),
        address("::ffff:10.0.0.1"),
    ] {
        assert!(host.receive(&syn(PEER_HW, source, OURS, 80)).is_empty());
        assert_eq!(host.counted(), [("ip_bad_source", 1)], "{source}");
    }
    assert!(
        host.receive(&syn(PEER_HW, Ipv6Addr::UNSPECIFIED, OURS, 80))
            .is_empty()
    );
    assert_eq!(host.counted(), [("ip_bad_source", 1)]);
}

/// A flood of advertisements (CVE-2010-4669) fills what routers may fill and no more, and what the
/// owner configured stays first.
#[test]
fn row_21_a_flood_of_router_advertisements_is_bounded() {
    let mut host = Host::new();
    let any = Ipv6Addr::UNSPECIFIED.into();
    let interface = host.interface;
    host.stack
        .add_route(any, 0, PEER_LOCAL.into(), interface)
        .unwrap();
    for i in 0..2_000u16 {
        let source = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 1, i);
        let hardware = EthernetAddress([2, 0, 0, 1, i.to_be_bytes()[0], i.to_be_bytes()[1]]);
        let text = format!("2001:db8:{i:x}::");
        let mut options = prefix(&text, u32::MAX, u32::MAX);
        options.extend([24, 2, 48, 8, 0xff, 0xff, 0xff, 0xff]);
        options.extend(&address(&text).octets()[..8]);
        host.receive(&router((hardware, source), u16::MAX, &options));
    }
    host.run(5);
    assert!(host.ours().len() <= 10, "{}", host.ours().len());
    let counters = *host.stack.counters();
    assert!(counters.nd_limit > 1_000);
    let id = host.stack.udp_bind("[::]:53".parse().unwrap()).unwrap();
    let to = SocketAddr::new(address("2600::1").into(), 9);
    host.stack.udp_send_to(host.now, id, b"x", to).unwrap();
    let sent = host.transmit();
    let question = parse(&sent[0]);
    assert_eq!(
        question.payload[8..24],
        PEER_LOCAL.octets(),
        "the owner's gateway"
    );
}

/// Neither from afar (hop limit) nor with a hop limit that would cut us off (CVE-2015-2923).
#[test]
fn row_21_advertisements_from_afar_are_dropped_and_hop_limits_not_taken_over() {
    let mut host = Host::new();
    meet(&mut host);
    let everybody = address("ff02::1");
    let message = [&[134, 0, 0, 0, 1, 0, 7, 8][..], &[0; 8]].concat();
    host.receive(&icmp(ROUTER_HW, (ROUTER, everybody, 254), &message));
    assert_eq!(host.counted(), [("nd_malformed", 1)]);
    host.receive(&icmp(ROUTER_HW, (PEER, everybody, 255), &message));
    assert_eq!(
        host.counted(),
        [("nd_malformed", 1)],
        "routers speak from link-local addresses"
    );
    host.receive(&icmp(ROUTER_HW, (ROUTER, everybody, 255), &message));
    let sent = host.receive(&echo_request(PEER, OURS, b"x"));
    assert_eq!(parse(&sent[0]).ip.hop_limit, 64);
}

/// OSEC-2026-02: who is not asked gets no entry, and questions that strangers cause are few.
#[test]
fn row_22_neighbours_cannot_be_forged_or_exhausted() {
    let mut host = Host::new();
    let everybody = address("ff02::1");
    for i in 0..1_000u16 {
        let claimed = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, i);
        host.receive(&advertisement(
            PEER_HW,
            (claimed, everybody),
            (claimed, 1 << 29),
        ));
    }
    assert_eq!(host.counted(), [("nd_unsolicited", 1_000)]);
    // A known neighbour cannot be taken over by one packet, Override or not.
    meet(&mut host);
    let thief = EthernetAddress([2, 6, 6, 6, 6, 6]);
    host.receive(&advertisement(thief, (PEER, everybody), (PEER, 1 << 29)));
    let sent = host.receive(&echo_request(PEER, OURS, b"x"));
    assert_eq!(parse(&sent[0]).to, PEER_HW);
    // SYNs from 100,000 addresses of the link: each would have to be asked for.
    host.stack
        .tcp_listen("[::]:80".parse().unwrap(), 64)
        .unwrap();
    let mut questions = 0;
    for i in 0..100_000u32 {
        let source = Ipv6Addr::from_bits(OURS.to_bits() + 0x1_0000 + u128::from(i));
        let port = 1_024 + u16::try_from(i % 60_000).unwrap();
        for bytes in host.receive(&syn(PEER_HW, source, OURS, port)) {
            let sent = parse(&bytes);
            questions += u32::from(sent.layer.protocol == next_header::ICMPV6);
        }
    }
    assert!(questions < 2_000, "{questions}");
    host.run(200);
    host.assert_no_frame_lost();
    assert_eq!(
        host.receive(&echo_request(PEER, OURS, b"x")).len(),
        1,
        "the neighbour is still known"
    );
}

/// SAD DNS: whoever has a link's prefix shares its allowance, so that many addresses do not help.
#[test]
fn row_23_errors_to_one_network_are_limited_together() {
    let mut host = Host::new();
    host.receive(&router((ROUTER_HW, ROUTER), 1_800, &[]));
    let mut answers = 0;
    for i in 0..1_000u16 {
        let source = Ipv6Addr::new(0x2001, 0xdb8, 0xff, 0, 0, 0, 0, i + 1);
        let datagram = summed(source, OURS, 17, &[0, 9, 0, 9, 0, 9, 0, 0, 1]);
        let bytes = packet(source, OURS, 17, 64, &datagram);
        let to = link_destination(OURS);
        let bytes = common::link::ethernet(ROUTER_HW, to, 0x86dd, &bytes);
        answers += host.receive(&bytes).len();
    }
    assert!((1..=6).contains(&answers), "{answers}");
}

/// Nothing is answered to more than one host, and no answer is larger than the question.
#[test]
fn row_41_ipv6_does_not_amplify() {
    let mut host = Host::new();
    meet(&mut host);
    for to in ["ff02::1", "ff02::1:ff00:2"] {
        assert!(
            host.receive(&echo_request(PEER, address(to), &[9; 100]))
                .is_empty(),
            "{to}"
        );
        let datagram = summed(PEER, address(to), 17, &[0, 9, 0, 9, 0, 9, 0, 0, 1]);
        let bytes = packet(PEER, address(to), 17, 64, &datagram);
        assert!(
            host.receive(&frame(PEER_HW, address(to), &bytes))
                .is_empty(),
            "{to}"
        );
    }
    let long = packet(PEER, OURS, 99, 64, &[7; 1_400]);
    let sent = host.receive(&frame(PEER_HW, OURS, &long));
    assert!(sent[0].len() <= 14 + 1_280, "{}", sent[0].len());
}
