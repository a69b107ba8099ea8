//! Frames and headers, as the parsers take them.

use super::{A, B, HW_A, HW_B, Seeds, ethernet, ip, with};
use mnet_core::wire::arp::{ArpPacket, Operation};
use mnet_core::wire::ipv4::{Ipv4Header, protocol};
use mnet_core::wire::tcp::{Flags, TcpHeader, TcpOptions};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::{U16, U32};

fn options(bytes: &[u8]) -> Vec<u8> {
    let len = 20 + bytes.len();
    let mut header = Ipv4Header::new(A, B, protocol::UDP, 64, u16::try_from(len).expect("small"));
    header.version_and_len = 0x40 | u8::try_from(len / 4).expect("small");
    header.checksum = U16::ZERO;
    let sum = mnet_core::checksum::sum(header.as_bytes()) + mnet_core::checksum::sum(bytes);
    header.checksum = U16::new(sum.finish());
    [header.as_bytes(), bytes].concat()
}

pub(super) fn wire(seeds: &Seeds) {
    let request = ArpPacket::new(Operation::Request, (HW_A, A), (HW_B, B));
    let reply = ArpPacket::new(Operation::Reply, (HW_A, A), (HW_B, B));
    let datagram = [0x0f, 0xa0, 0, 53, 0, 12, 0, 0, b'd', b'a', b't', b'a'];

    seeds.add(
        "ethernet",
        "ipv4",
        &ethernet(0x0800, &ip(protocol::UDP, &datagram)),
    );
    seeds.add("ethernet", "arp", &ethernet(0x0806, request.as_bytes()));
    seeds.add(
        "ethernet",
        "vlan",
        &ethernet(0x8100, &[0x20, 7, 8, 0, 1, 2]),
    );
    seeds.add("ethernet", "short_vlan", &ethernet(0x8100, &[0x20]));
    seeds.add("ethernet", "short", &[0xff; 13]);

    seeds.add("arp", "request", request.as_bytes());
    seeds.add("arp", "reply", reply.as_bytes());
    seeds.add("arp", "padded", &[request.as_bytes(), &[0; 18]].concat());
    seeds.add("arp", "rarp", &with(request.as_bytes(), 7, 3));
    seeds.add("arp", "token_ring", &with(request.as_bytes(), 1, 6));
    seeds.add("arp", "short", &request.as_bytes()[..27]);

    let packet = ip(protocol::UDP, &datagram);
    seeds.add("ipv4", "plain", &packet);
    seeds.add("ipv4", "padded", &[&packet[..], &[0; 6]].concat());
    seeds.add("ipv4", "short", &packet[..19]);
    seeds.add("ipv4", "fragment", &with(&packet, 6, 0x20));
    seeds.add("ipv4", "router_alert", &options(&[148, 4, 0, 0]));
    seeds.add(
        "ipv4",
        "source_route",
        &options(&[131, 7, 4, 10, 0, 0, 9, 0]),
    );
    seeds.add("ipv4", "option_length_0", &options(&[7, 0, 0, 0]));
    seeds.add("ipv4", "all_options", &options(&[1; 40]));

    let types: [(&str, [u8; 8]); 6] = [
        ("echo_request", [8, 0, 0, 0, 1, 2, 3, 4]),
        ("echo_reply", [0, 0, 0, 0, 1, 2, 3, 4]),
        ("port_unreachable", [3, 3, 0, 0, 0, 0, 0, 0]),
        ("fragmentation_needed", [3, 4, 0, 0, 0, 0, 5, 0]),
        ("time_exceeded", [11, 0, 0, 0, 0, 0, 0, 0]),
        ("parameter_problem", [12, 0, 0, 0, 20, 0, 0, 0]),
    ];
    for (name, header) in types {
        seeds.add("icmp", name, &[&header[..], &packet].concat());
    }

    seeds.add("udp", "plain", &datagram);
    seeds.add("udp", "behind", &[&datagram[..], b"more"].concat());
    seeds.add("udp", "length_7", &with(&datagram, 5, 7));
    seeds.add("udp", "length_beyond", &with(&datagram, 5, 13));
    seeds.add("udp", "port_0", &with(&datagram, 3, 0));
}

pub(super) fn ipv6(seeds: &Seeds) {
    let options: [(&str, &[u8]); 6] = [
        ("source", &[1, 1, 2, 0, 0, 0, 0, 1]),
        ("mtu", &[5, 1, 0, 0, 0, 0, 5, 0xdc]),
        (
            "route",
            &[24, 2, 48, 8, 0, 0, 0, 60, 0x20, 1, 0xd, 0xb8, 0, 7, 0, 0],
        ),
        (
            "dnssl",
            &[31, 2, 0, 0, 0, 0, 0, 60, 3, b'l', b'a', b'n', 0, 0, 0, 0],
        ),
        ("nonce", &[14, 1, 1, 2, 3, 4, 5, 6]),
        ("length_0", &[1, 0, 0, 0, 0, 0, 0, 0]),
    ];
    let advertisement = [134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    let prefix = [
        &[3, 4, 64, 0xc0, 0, 0, 28, 32, 0, 0, 14, 16, 0, 0, 0, 0][..],
        &[0x20, 1, 0xd, 0xb8, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let rdnss = [&[25, 3, 0, 0, 0, 0, 0, 60][..], &[5; 16]].concat();
    let query = [&[130, 0, 0, 0, 0, 100, 0, 0][..], &[0; 16], &[2, 125, 0, 0]].concat();
    let target = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[2]].concat();
    let about =
        |kind: u8, option: &[u8]| [&[kind, 0, 0, 0, 0x60, 0, 0, 0][..], &target, option].concat();
    let redirect = [&about(137, &[])[..], &target, options[0].1].concat();
    let mut messages = vec![
        (
            "router",
            [&advertisement[..], options[0].1, &prefix, &rdnss].concat(),
        ),
        ("solicitation", about(135, options[0].1)),
        ("advertisement", about(136, &[2, 1, 2, 0, 0, 0, 0, 1])),
        ("redirect", redirect),
        ("query", query),
        ("echo", vec![128, 0, 0, 0, 0, 1, 0, 1, 9, 9]),
    ];
    for (name, option) in options {
        messages.push((name, [&advertisement[..], option].concat()));
    }
    for (name, message) in &messages {
        seeds.add("ndp", name, message);
        let len = u8::try_from(message.len()).unwrap();
        // From a link-local address to ours, to everybody, and to a group; hop limit 255.
        for (to, destination) in [("one", 0), ("all", 2), ("group", 4)] {
            let packet = [&[4, destination, 0, 0, 0x0b, len][..], message].concat();
            seeds.add("stack_ipv6", &format!("{name}_{to}"), &packet);
        }
    }
    let packet = |next: u8, payload: &[u8]| {
        let [a, b] = u16::try_from(payload.len()).unwrap().to_be_bytes();
        [
            &[0x60, 0, 0, 0, a, b, next, 64][..],
            &target,
            &target,
            payload,
        ]
        .concat()
    };
    seeds.add("ipv6", "plain", &packet(17, &[0, 9, 0, 9, 0, 8, 0, 0]));
    seeds.add("ipv6", "hop_by_hop", &packet(0, &[17, 0, 5, 2, 0, 0, 1, 0]));
    seeds.add("ipv6", "routing", &packet(43, &[17, 0, 0, 0, 0, 0, 0, 0]));
    seeds.add(
        "ipv6",
        "segments_left",
        &packet(43, &[17, 0, 0, 1, 0, 0, 0, 0]),
    );
    seeds.add("ipv6", "fragment", &packet(44, &[17, 0, 0, 1, 0, 0, 0, 7]));
    seeds.add("ipv6", "atomic", &packet(44, &[17, 0, 0, 0, 0, 0, 0, 7]));
    seeds.add("ipv6", "option", &packet(60, &[17, 0, 0x9e, 4, 0, 0, 0, 0]));
    seeds.add(
        "ipv6",
        "chain",
        &packet(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(9)),
    );
}

pub(super) fn tcp(seeds: &Seeds) {
    let none = TcpOptions::default();
    let syn = TcpOptions {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some((1, 0)),
        ..none.clone()
    };
    let sack = TcpOptions {
        sack_blocks: [(1_000, 2_000), (3_000, 4_000), (5_000, 6_000)]
            .into_iter()
            .collect(),
        timestamps: Some((2, 1)),
        ..none.clone()
    };
    let cases = [
        ("syn", Flags::SYN, syn),
        (
            "data",
            Flags::ACK | Flags::PSH,
            TcpOptions {
                timestamps: Some((3, 2)),
                ..none.clone()
            },
        ),
        ("sack", Flags::ACK, sack),
        ("reset", Flags::RST, none),
    ];
    for (name, flags, options) in cases {
        let mut bytes = [0; 40];
        let len = options.emit(&mut bytes);
        let mut header = TcpHeader {
            source_port: U16::new(4_000),
            destination_port: U16::new(80),
            sequence: U32::new(0xffff_fff0),
            ..TcpHeader::default()
        };
        header.set_len_and_flags(20 + len, flags);
        seeds.add("tcp_options", name, &bytes[..len]);
        seeds.add(
            "tcp_header",
            name,
            &[header.as_bytes(), &bytes[..len], b"payload"].concat(),
        );
    }
    seeds.add("tcp_options", "length_0", &[2, 0, 0, 0]);
    seeds.add("tcp_options", "length_1", &[2, 1, 0, 0]);
    seeds.add("tcp_options", "length_beyond", &[8, 10, 0, 0]);
    seeds.add("tcp_options", "end", &[1, 2, 4, 5, 180, 0, 99, 99]);
    seeds.add(
        "tcp_options",
        "unknown",
        &[253, 4, 1, 2, 254, 2, 30, 6, 1, 2, 3, 4],
    );
    seeds.add("tcp_header", "short", &[0; 19]);
    seeds.add(
        "tcp_header",
        "offset_15",
        &[&[0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0][..], &[0; 47]].concat(),
    );
}
