//! Command lines, messages of DHCP and DHCPv6, and what happens to groups.

use super::{HW_B, Seeds, with};
use mnet_core::wire::dhcp::MessageType;
use mnet_core::wire::dhcp::Writer as DhcpWriter;
use std::net::Ipv4Addr;

/// IPv6 packets, messages of neighbour discovery, and packets for a whole stack.
pub(super) fn cmdline(seeds: &Seeds) {
    for (name, line) in [
        (
            "all",
            "--ipv4=10.0.0.2/24 --ipv4-gateway=10.0.0.1 --ipv6=eui64 --ipv6-gateway=fe80::1",
        ),
        (
            "second",
            "--ipv4=10.0.0.2/24 --ipv4:backend 10.1.0.2/16 --ipv6:backend=random",
        ),
        (
            "own",
            "--ipv6=2001:db8::2/64 -p80 -v --size=64KiB --wait 250ms --peer=[::1]:7",
        ),
        (
            "quotes",
            "--ipv6=random '--text=a b' \"c\\\"d\" e\\ f -- -g",
        ),
        (
            "servers",
            "--ipv4=10.0.0.2/24 -n 10.0.0.53 --nameserver=udp:2001:db8::53",
        ),
        ("help", "-v --help"),
        ("near", "--prot=7"),
        ("open", "--text='a"),
        ("range", "--port=65536"),
        ("device", "--ipv4:other=10.0.0.2/24"),
    ] {
        seeds.add("cmdline", name, line.as_bytes());
    }
}

pub(super) fn dhcp6(seeds: &Seeds) {
    let option = |code: u8, content: &[u8]| {
        let len = u16::try_from(content.len()).expect("small");
        [&[0, code][..], &len.to_be_bytes(), content].concat()
    };
    let options = [
        ("servers", option(23, &[5; 48])),
        ("domains", option(24, b"\x07example\x03com\0\x03lan\0")),
        ("refresh", option(32, &600u32.to_be_bytes())),
        ("for_ever", option(32, &[0xff; 4])),
        ("max_rt", option(83, &60u32.to_be_bytes())),
        ("status", option(13, b"\0\x01no")),
        ("server_id", option(2, &[0, 4, 9, 9])),
        ("long", vec![0, 23, 0xff, 0xff, 1, 2]),
        ("short_server", option(23, &[5; 15])),
        ("odd_name", option(24, b"\x3fa\0")),
    ];
    let mut all = vec![7, 1, 2, 3];
    all.extend(option(1, &[0, 4, 1, 2]));
    for (name, bytes) in &options {
        seeds.add("dhcp6", name, bytes);
        if !matches!(*name, "long" | "for_ever" | "status") {
            all.extend(bytes);
        }
    }
    seeds.add("dhcp6", "reply", &all);
}

/// Answers to a DHCP client: features, then kind, last byte of the address, time, length, options.
pub(super) fn dhcp(seeds: &Seeds) {
    let usual = [
        1, 4, 255, 255, 255, 0, 3, 4, 10, 0, 0, 1, 6, 4, 10, 0, 0, 1, 51, 4, 0, 0, 0, 120,
    ];
    let answer = |kind: u8, time: u8, options: &[u8]| {
        let options = [options, &usual[..]].concat();
        let len = u8::try_from(options.len()).expect("short");
        [&[kind, 50, time, len], &options[..]].concat()
    };
    let (offer, ack) = (answer(2, 0, &[]), answer(5, 0, &[]));
    let bound = [&[0][..], &offer, &ack].concat();
    let renewed = [&bound[..], &answer(5, 17, &[]), &answer(5, 16, &[])].concat();
    let nak = [&bound[..], &answer(6, 16, &[])].concat();
    let refused = [&[1][..], &answer(0x82, 0, &[]), &answer(2, 14, &[])].concat();
    let rebooted = [&[8][..], &ack].concat();
    let times = [
        &[0][..],
        &offer,
        &answer(5, 0, &[58, 4, 0, 0, 0, 1, 59, 4, 0, 0, 0, 2]),
    ];
    let names = b"\x77\x0c\x03lan\0\x01a\xc0\0\xc0\x05\0\x0f\x03lan";
    let names = [&[0][..], &offer, &answer(5, 0, names)].concat();
    let routes = [121, 13, 24, 192, 0, 2, 10, 0, 0, 7, 0, 10, 0, 0, 1];
    let routes = [&[2][..], &offer, &answer(5, 0, &routes)].concat();
    for (name, bytes) in [
        ("bound", bound),
        ("renewed", renewed),
        ("nak", nak),
        ("refused", refused),
        ("rebooted", rebooted),
        ("times", times.concat()),
        ("names", names),
        ("routes", routes),
    ] {
        seeds.add("dhcp", name, &bytes);
    }
    let ours = Ipv4Addr::UNSPECIFIED;
    let writer = DhcpWriter::new(MessageType::Ack, HW_B, 7, 0, ours);
    let mut message = writer.finish().to_vec();
    message[0] = 2;
    seeds.add("dhcp", "message", &message);
    message[240..246].copy_from_slice(&[52, 1, 3, 53, 1, 5]);
    message[44..50].copy_from_slice(&[12, 2, b's', b'n', 255, 0]);
    seeds.add("dhcp", "overload", &message);
}

/// Queries, and what sockets do to their groups: four bytes of operation, and the rest of a query.
pub(super) fn igmp(seeds: &Seeds) {
    let v3 = [0x11, 100, 0, 0, 239, 128, 2, 0, 2, 125, 0, 1, 10, 0, 0, 3];
    seeds.add("igmp", "version_1", &[0x11, 0, 0, 0, 0, 0, 0, 0]);
    seeds.add("igmp", "version_2", &with(&v3[..8], 1, 0xff));
    seeds.add("igmp", "version_3", &v3);
    seeds.add("igmp", "sources_missing", &v3[..15]);
    seeds.add("igmp", "report", &with(&v3[..8], 0, 0x22));
    let mld = [
        &[130, 0, 0, 0, 0x90, 0, 0, 0, 0xff, 0x15][..],
        &[0; 13],
        &[3],
    ];
    seeds.add("igmp", "mld_1", &mld.concat());
    let sources = [&mld.concat()[..], &[2, 125, 0, 1], &[5; 16]].concat();
    seeds.add("igmp", "mld_2", &sources);

    const JOIN: u8 = 0;
    const LEAVE: u8 = 1;
    const BLOCK: u8 = 2;
    const JOIN_SOURCE: u8 = 4;
    let change = |socket: u8, kind: u8, group: u8, source: u8| [socket << 3, kind, group, source];
    let query = |code: u8, group: u8, rest: &[u8]| {
        let len = u8::try_from(rest.len()).expect("short");
        let both = [3, 4].map(|family| [&[family, code, group, len][..], rest].concat());
        both.concat()
    };
    let later = |millis: u16| {
        let [a, b] = millis.to_be_bytes();
        [7, a, b, 0]
    };
    let heard = |group: u8, source: u8| [[5, group, source, 0], [13, group, source, 0]].concat();
    let joined = [
        &change(0, JOIN, 1, 0)[..],
        &change(1, JOIN_SOURCE, 1, 5),
        &change(2, JOIN, 1, 0),
        &change(3, JOIN_SOURCE, 1, 5),
        &change(0, BLOCK, 1, 6),
    ]
    .concat();
    let both = [&heard(1, 5)[..], &heard(1, 6), &[6, 1, 0, 0, 22, 1, 0, 0]].concat();
    let general = query(50, 255, &[2, 125, 0, 0]);
    let of_group = query(20, 1, &[2, 125, 0, 0]);
    let of_source = query(10, 1, &[2, 125, 0, 1, 10, 0, 0, 8]);
    let old = query(10, 255, &[]);
    let oldest = query(0, 255, &[]);
    let left = [change(0, LEAVE, 1, 0), change(2, LEAVE, 1, 0)].concat();
    let closed = [[0xff, 0, 0, 0], [0xff, 3, 0, 0]].concat();
    let many: Vec<u8> = (0..40)
        .flat_map(|group| change(group % 4, JOIN, group, 0))
        .collect();
    let sources: Vec<u8> = (0..36)
        .flat_map(|n| change(n % 4, JOIN_SOURCE, 1 + n / 12, n))
        .collect();
    let everybody = [
        &change(0, JOIN, 0, 0)[..],
        &heard(0, 1),
        &change(0, BLOCK, 0, 1),
    ]
    .concat();
    let hostile = [
        // Without Router Alert, from afar, no query, to everybody.
        [0x13, 1, 1, 0],
        [0x23, 1, 1, 0],
        [0x43, 1, 1, 0],
        [0x83, 1, 1, 0],
    ];
    let scripts: [(&str, &[&[u8]]); 10] = [
        ("heard", &[&joined, &both]),
        (
            "general",
            &[&joined, &later(3_000), &general, &later(6_000)],
        ),
        ("of_a_group", &[&joined, &of_group, &later(500), &of_source]),
        ("old_querier", &[&joined, &old, &later(4_000), &left, &both]),
        ("oldest_querier", &[&joined, &oldest, &later(9_000), &left]),
        ("left", &[&joined, &left, &general, &left, &both]),
        ("closed", &[&joined, &later(10), &closed, &general, &both]),
        (
            "many_groups",
            &[&many, &general, &later(2_000), &heard(39, 1)],
        ),
        ("many_sources", &[&sources, &general, &later(100), &both]),
        (
            "hostile",
            &[&joined, &hostile.concat(), &everybody, &later(60_000)],
        ),
    ];
    for (name, parts) in scripts {
        seeds.add("igmp", name, &parts.concat());
    }
}
