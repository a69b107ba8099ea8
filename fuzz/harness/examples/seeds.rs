//! Writes the hand-made inputs of the corpora: `cargo run -p mnet-fuzz-harness --example seeds`.
//!
//! Each target starts from a few inputs that reach every branch of the usual case, so that the
//! fuzzer need not guess magic numbers. What fuzzing finds is added beside them by hand.

use gdbstub::arch::Registers;
use gdbstub_arch::x86::reg::X86_64CoreRegs;
use mnet_core::wire::arp::{ArpPacket, Operation};
use mnet_core::wire::dhcp::{MessageType, Writer as DhcpWriter};
use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::wire::ipv4::{Ipv4Header, protocol};
use mnet_core::wire::tcp::{Flags, TcpHeader, TcpOptions};
use solo5_abi::constants::{AbiTarget, SPT_ABI_VERSION};
use solo5_abi::manifest::ManifestEntry;
use solo5_abi::note::{Abi1Note, Mft1Note};
use solo5_tender::image::{PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramHeader};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::{U16, U32};

const A: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const HW_A: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const HW_B: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

fn write(target: &str, name: &str, bytes: &[u8]) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target);
    fs::create_dir_all(&directory).expect("the corpus can be written");
    fs::write(directory.join(name), bytes).expect("the corpus can be written");
}

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&HW_B.0[..], &HW_A.0, &ether_type.to_be_bytes(), payload].concat()
}

fn ip(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = u16::try_from(20 + payload.len()).expect("small");
    [
        Ipv4Header::new(A, B, protocol, 64, total).as_bytes(),
        payload,
    ]
    .concat()
}

fn with(bytes: &[u8], at: usize, value: u8) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] = value;
    bytes
}

fn options(bytes: &[u8]) -> Vec<u8> {
    let len = 20 + bytes.len();
    let mut header = Ipv4Header::new(A, B, protocol::UDP, 64, u16::try_from(len).expect("small"));
    header.version_and_len = 0x40 | u8::try_from(len / 4).expect("small");
    header.checksum = U16::ZERO;
    let sum = mnet_core::checksum::sum(header.as_bytes()) + mnet_core::checksum::sum(bytes);
    header.checksum = U16::new(sum.finish());
    [header.as_bytes(), bytes].concat()
}

fn wire() {
    let request = ArpPacket::new(Operation::Request, (HW_A, A), (HW_B, B));
    let reply = ArpPacket::new(Operation::Reply, (HW_A, A), (HW_B, B));
    let datagram = [0x0f, 0xa0, 0, 53, 0, 12, 0, 0, b'd', b'a', b't', b'a'];

    write(
        "ethernet",
        "ipv4",
        &ethernet(0x0800, &ip(protocol::UDP, &datagram)),
    );
    write("ethernet", "arp", &ethernet(0x0806, request.as_bytes()));
    write(
        "ethernet",
        "vlan",
        &ethernet(0x8100, &[0x20, 7, 8, 0, 1, 2]),
    );
    write("ethernet", "short_vlan", &ethernet(0x8100, &[0x20]));
    write("ethernet", "short", &[0xff; 13]);

    write("arp", "request", request.as_bytes());
    write("arp", "reply", reply.as_bytes());
    write("arp", "padded", &[request.as_bytes(), &[0; 18]].concat());
    write("arp", "rarp", &with(request.as_bytes(), 7, 3));
    write("arp", "token_ring", &with(request.as_bytes(), 1, 6));
    write("arp", "short", &request.as_bytes()[..27]);

    let packet = ip(protocol::UDP, &datagram);
    write("ipv4", "plain", &packet);
    write("ipv4", "padded", &[&packet[..], &[0; 6]].concat());
    write("ipv4", "short", &packet[..19]);
    write("ipv4", "fragment", &with(&packet, 6, 0x20));
    write("ipv4", "router_alert", &options(&[148, 4, 0, 0]));
    write(
        "ipv4",
        "source_route",
        &options(&[131, 7, 4, 10, 0, 0, 9, 0]),
    );
    write("ipv4", "option_length_0", &options(&[7, 0, 0, 0]));
    write("ipv4", "all_options", &options(&[1; 40]));

    let types: [(&str, [u8; 8]); 6] = [
        ("echo_request", [8, 0, 0, 0, 1, 2, 3, 4]),
        ("echo_reply", [0, 0, 0, 0, 1, 2, 3, 4]),
        ("port_unreachable", [3, 3, 0, 0, 0, 0, 0, 0]),
        ("fragmentation_needed", [3, 4, 0, 0, 0, 0, 5, 0]),
        ("time_exceeded", [11, 0, 0, 0, 0, 0, 0, 0]),
        ("parameter_problem", [12, 0, 0, 0, 20, 0, 0, 0]),
    ];
    for (name, header) in types {
        write("icmp", name, &[&header[..], &packet].concat());
    }

    write("udp", "plain", &datagram);
    write("udp", "behind", &[&datagram[..], b"more"].concat());
    write("udp", "length_7", &with(&datagram, 5, 7));
    write("udp", "length_beyond", &with(&datagram, 5, 13));
    write("udp", "port_0", &with(&datagram, 3, 0));
}

/// IPv6 packets, messages of neighbour discovery, and packets for a whole stack.
fn cmdline() {
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
        write("cmdline", name, line.as_bytes());
    }
}

fn dhcp6() {
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
        write("dhcp6", name, bytes);
        if !matches!(*name, "long" | "for_ever" | "status") {
            all.extend(bytes);
        }
    }
    write("dhcp6", "reply", &all);
}

fn ipv6() {
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
        write("ndp", name, message);
        let len = u8::try_from(message.len()).unwrap();
        // From a link-local address to ours, to everybody, and to a group; hop limit 255.
        for (to, destination) in [("one", 0), ("all", 2), ("group", 4)] {
            let packet = [&[4, destination, 0, 0, 0x0b, len][..], message].concat();
            write("stack_ipv6", &format!("{name}_{to}"), &packet);
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
    write("ipv6", "plain", &packet(17, &[0, 9, 0, 9, 0, 8, 0, 0]));
    write("ipv6", "hop_by_hop", &packet(0, &[17, 0, 5, 2, 0, 0, 1, 0]));
    write("ipv6", "routing", &packet(43, &[17, 0, 0, 0, 0, 0, 0, 0]));
    write(
        "ipv6",
        "segments_left",
        &packet(43, &[17, 0, 0, 1, 0, 0, 0, 0]),
    );
    write("ipv6", "fragment", &packet(44, &[17, 0, 0, 1, 0, 0, 0, 7]));
    write("ipv6", "atomic", &packet(44, &[17, 0, 0, 0, 0, 0, 0, 7]));
    write("ipv6", "option", &packet(60, &[17, 0, 0x9e, 4, 0, 0, 0, 0]));
    write(
        "ipv6",
        "chain",
        &packet(60, &[60, 0, 1, 4, 0, 0, 0, 0].repeat(9)),
    );
}

fn tcp() {
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
        write("tcp_options", name, &bytes[..len]);
        write(
            "tcp_header",
            name,
            &[header.as_bytes(), &bytes[..len], b"payload"].concat(),
        );
    }
    write("tcp_options", "length_0", &[2, 0, 0, 0]);
    write("tcp_options", "length_1", &[2, 1, 0, 0]);
    write("tcp_options", "length_beyond", &[8, 10, 0, 0]);
    write("tcp_options", "end", &[1, 2, 4, 5, 180, 0, 99, 99]);
    write(
        "tcp_options",
        "unknown",
        &[253, 4, 1, 2, 254, 2, 30, 6, 1, 2, 3, 4],
    );
    write("tcp_header", "short", &[0; 19]);
    write(
        "tcp_header",
        "offset_15",
        &[&[0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0][..], &[0; 47]].concat(),
    );
}

fn toolchain() {
    let net = ManifestEntry::declare("service", 2);
    let block = ManifestEntry::declare("storage", 1);
    let note = Mft1Note::new([ManifestEntry::RESERVED, net, block]);
    let note_bytes = [note.start.as_bytes(), note.entries.as_bytes()].concat();
    let manifest = [note.start.manifest.as_bytes(), note.entries.as_bytes()].concat();
    write("manifest_note", "two_devices", &manifest);
    write(
        "manifest_note",
        "attached",
        &with(&manifest, 8 + 104 + 96, 1),
    );
    write("manifest_note", "too_many", &with(&manifest, 4, 65));
    write(
        "manifest_note",
        "no_end_of_name",
        &with(&manifest, 8 + 104 + 67, b'x'),
    );
    write("manifest_note", "short", &manifest[..20]);

    let header = |p_type, p_flags, p_offset, p_vaddr, bytes: &[u8], p_memsz| ProgramHeader {
        p_type,
        p_flags,
        p_offset,
        p_vaddr,
        p_paddr: p_vaddr,
        p_filesz: bytes.len() as u64,
        p_memsz,
        p_align: if p_type == PT_LOAD { 0x1000 } else { 4 },
    };
    let abi = Abi1Note::new(AbiTarget::Spt, SPT_ABI_VERSION);
    let (code, data) = ([0xf4; 16], [7; 16]);
    let at = |before: usize| (64 + 4 * 56 + before) as u64;
    let headers = [
        header(PT_LOAD, PF_R | PF_X, at(0), 0x10_0000, &code, 16),
        header(PT_LOAD, PF_R | PF_W, at(16), 0x10_1000, &data, 0x1800),
        header(PT_NOTE, PF_R, at(32), 0, abi.as_bytes(), 36),
        header(
            PT_NOTE,
            PF_R,
            at(32 + 36),
            0,
            &note_bytes,
            note_bytes.len() as u64,
        ),
    ];
    let mut image = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    image.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    image.extend(0x10_0000u64.to_le_bytes());
    image.extend(64u64.to_le_bytes());
    image.extend([0; 12]);
    for field in [64u16, 56, 4, 0, 0, 0] {
        image.extend(field.to_le_bytes());
    }
    image.extend(headers.as_bytes());
    image.extend([&code[..], &data, abi.as_bytes(), &note_bytes].concat());
    write("elf_image", "spt", &image);
    write("elf_image", "entry_0", &with(&image, 26, 0));
    write("elf_image", "write_and_execute", &with(&image, 64 + 4, 7));
    write(
        "elf_image",
        "wraps",
        &[&image[..64 + 40], &[0xff; 8], &image[64 + 48..]].concat(),
    );
    write("elf_image", "cut", &image[..300]);

    let source = r#"{ "type": "solo5.manifest", "version": 1, "devices": [ { "name": "service", "type": "NET_BASIC" }, { "name": "storage", "type": "BLOCK_BASIC" } ] }"#;
    write("manifest_source", "two_devices", source.as_bytes());
    write(
        "manifest_source",
        "no_devices",
        br#"{"type":"solo5.manifest","version":1,"devices":[]}"#,
    );
    write(
        "manifest_source",
        "bad_name",
        source.replace("storage", "st-rage").as_bytes(),
    );
    write(
        "manifest_source",
        "same_name",
        source.replace("storage", "service").as_bytes(),
    );
    write(
        "manifest_source",
        "unknown_key",
        source.replace("version", "Version").as_bytes(),
    );
    write("manifest_source", "cut", &source.as_bytes()[..60]);
    write("manifest_source", "deep", &[b'['; 500]);
}

/// A segment of peer `index` with nothing spoiled.
/// A guest that does everything right, and guests that each do one thing wrong.
fn hvt_guest() {
    let hypercall = |number: u8, gpa: u32| [&[0, number][..], &gpa.to_le_bytes()].concat();
    let memory = |gpa: u32, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).expect("small");
        [&[1][..], &gpa.to_le_bytes(), &[len], bytes].concat()
    };
    let ring = |offset: u16, bytes: &[u8]| {
        let len = u8::try_from(bytes.len()).expect("small");
        [&[2][..], &offset.to_le_bytes(), &[len], bytes].concat()
    };
    let submit = |count: u16| [&[3][..], &count.to_le_bytes()].concat();
    let words = |words: &[u64]| {
        words
            .iter()
            .flat_map(|w| w.to_le_bytes())
            .collect::<Vec<_>>()
    };
    const AT: u32 = 0x20_0000 - 0x1000;
    let block = words(&[3, 512, 0x11_0000, 512, 0]);
    let net = |handle, data, len| words(&[handle, data, len, 0]);
    let entry = |operation: u32, handle: u32, data: u64, len: u32, id: u32| {
        let submission = solo5_abi::hvt::Submission {
            operation,
            handle,
            data,
            len,
            id,
            reserved: 0,
        };
        submission.as_bytes().to_vec()
    };
    let all = [
        hypercall(1, AT),
        memory(AT, &words(&[0x10_0000, 20])),
        hypercall(2, AT),
        memory(AT, &words(&[1000, 0, 0])),
        hypercall(3, AT),
        memory(AT, &block),
        hypercall(4, AT),
        hypercall(5, AT),
        memory(AT, &net(1, 0x12_0000, 60)),
        hypercall(6, AT),
        memory(AT, &net(2, 0x12_0000, 1514)),
        hypercall(7, AT),
        memory(AT, &words(&[0x11_0000, 7])),
        hypercall(8, AT),
    ];
    write("hvt_guest", "hypercalls", &all.concat());
    for (name, bytes) in [
        ("number_0", hypercall(0, AT)),
        ("number_9", hypercall(9, AT)),
        ("argument_at_the_end", hypercall(1, 0x20_0000 - 7)),
        ("argument_beyond", hypercall(3, u32::MAX)),
        (
            "text_beyond",
            [memory(AT, &words(&[0x10_0000, u64::MAX])), hypercall(2, AT)].concat(),
        ),
        (
            "frame_in_the_ring",
            [memory(AT, &net(1, 0x20_0000, 60)), hypercall(7, AT)].concat(),
        ),
        (
            "block_beyond",
            [
                memory(AT, &words(&[3, u64::MAX - 511, 0, 512, 0])),
                hypercall(5, AT),
            ]
            .concat(),
        ),
        (
            "cookie_beyond",
            [memory(AT, &words(&[0x20_0000 - 511, 0])), hypercall(8, AT)].concat(),
        ),
    ] {
        write("hvt_guest", name, &bytes);
    }
    let entries = [
        ring(128, &entry(1, 1, 0x11_0000, 60, 0)),
        ring(160, &entry(2, 1, 0x12_0000, 1514, 1)),
        ring(192, &entry(2, 2, 0x13_0000, 1514, 2)),
        ring(224, &entry(1, 99, u64::MAX, u32::MAX, 0)),
        ring(256, &entry(2, 0, 0, 0, 3)),
        ring(288, &entry(7, 1, 0, 0, 4)),
        submit(6),
    ]
    .concat();
    write("hvt_guest", "ring", &entries);
    // Counters of the tender overwritten, between two rounds.
    let overwritten = [
        &entries[..],
        &ring(64, &[0xff; 12]),
        &submit(0),
        &submit(40),
    ]
    .concat();
    write("hvt_guest", "ring_counters", &overwritten);
    write("hvt_guest", "ring_too_many", &submit(1025));
    let beyond = [ring(128, &entry(2, 1, 0x20_0000 - 8, 9, 0)), submit(1)].concat();
    write("hvt_guest", "ring_frame_beyond", &beyond);
    let full = [submit(1024), submit(1024)].concat();
    write("hvt_guest", "ring_full", &full);
    let instruction = |code: &[u8], rcx: u32| {
        let len = u8::try_from(code.len()).expect("small");
        [&[4, len][..], code, &rcx.to_le_bytes(), &[0; 4]].concat()
    };
    let instructions = [
        instruction(&[0x0f, 0x01, 0x12], 0),
        instruction(&[0x48, 0xcb], 0),
        instruction(&[0x0f, 0x30], 0xc000_0100),
        instruction(&[0x0f, 0x30], 0xc000_0080),
        instruction(&[0xf3, 0x48, 0x0f, 0xae, 0xd0], 0),
        instruction(&[0x8e, 0xd0], 0),
    ];
    write("hvt_guest", "instructions", &instructions.concat());
    let forged = |port: u8, rip: u64, rsp: u64| [&[5, port][..], &words(&[rip, rsp])].concat();
    let exceptions = [
        forged(0xce, 0x10_0000, 0x1f_0000),
        forged(0xce, 0x1_0000_20e2, 0x1_0000_3fd0),
        forged(0xce, 0x1_0000_20e2, 0x1_0000_3ff8),
    ];
    write("hvt_guest", "exceptions", &exceptions.concat());
}

fn segment(index: u8, flags: u8, payload: u8) -> [u8; 8] {
    [0, index, flags, 0, 0, 0, 0, payload]
}

/// A call: which, for which peer, and a length.
fn call(choice: u8, index: u8, len: u16) -> [u8; 5] {
    let [a, b] = len.to_be_bytes();
    [0x80, choice, index, a, b]
}

fn stack() {
    const ACK: u8 = 0x00;
    const SYN: u8 = 0x60;
    const FIN: u8 = 0x80;
    const RST: u8 = 0x90;
    const SYN_ACK: u8 = 0x98;
    const ACCEPT: u8 = 16;
    const CONNECT: u8 = 12;
    const SEND: u8 = 0;
    const RECV: u8 = 4;
    const SHUTDOWN: u8 = 8;
    const CLOSE: u8 = 10;
    const LATER: [u8; 3] = [0xe0, 0x03, 0xe8];
    const DUE: [u8; 1] = [0xff];

    let open = [
        &segment(0, SYN, 0)[..],
        &segment(0, ACK, 0),
        &call(ACCEPT, 0, 0),
    ]
    .concat();
    let connect = [
        &call(CONNECT, 2, 0)[..],
        &segment(2, SYN_ACK, 0),
        &segment(2, ACK, 0),
    ]
    .concat();
    let data = [&segment(0, ACK, 100)[..], &call(RECV, 0, 1_000)].concat();
    let reply = [&call(SEND, 0, 3_000)[..], &segment(0, ACK, 0)].concat();
    let out_of_order = [0, 0, ACK, 0x90, 0, 0, 0, 50];
    let old = [0, 0, ACK, 0xd0, 0, 0, 0, 50];
    let zero_window = [0, 0, ACK, 0, 0, 0x80, 0, 0, 0, 0];
    // The first byte says which features the stack uses.
    let using = |features: u8, name: &str, parts: &[&[u8]]| {
        write(
            "stack_frames",
            name,
            &[&[features][..], &parts.concat()].concat(),
        );
    };
    let script = |name: &str, parts: &[&[u8]]| using(0, name, parts);
    let fast_open = |index: u8, option: u8, payload: u8| [0, index, SYN, 0, 0, 0, option, payload];
    let question = [&fast_open(0, 0xb0, 0)[..], &segment(0, RST, 0)].concat();
    let early = [&question[..], &fast_open(1, 0xb8, 100)].concat();
    let finish = [
        &call(ACCEPT, 0, 0)[..],
        &call(RECV, 1, 1_000),
        &call(SEND, 1, 3_000),
        &segment(1, ACK, 0),
        &segment(1, FIN, 50),
    ]
    .concat();
    using(2, "fast_open", &[&early, &finish]);
    using(
        2,
        "fast_open_lost",
        &[&early, &DUE, &fast_open(1, 0xb0, 0), &DUE, &finish],
    );
    using(
        2,
        "fast_open_reset",
        &[&early, &segment(1, RST, 0), &early, &finish],
    );
    using(3, "fast_open_and_cookies", &[&early, &finish, &open]);
    using(1, "cookies", &[&open, &data, &reply, &segment(0, FIN, 0)]);
    // A frame again: with a tag for the VLAN, with two, on the second device, in another VLAN.
    let again = |choice: u8| [0xf0, choice, 0, 9];
    using(
        4,
        "links",
        &[
            &segment(0, SYN, 0),
            &again(0x11),
            &again(0x24),
            &again(0x12),
            &again(0x19),
            &[0xc8, 0, 9, 9],
            &again(0x11),
            &again(0x24),
            &[0xd0, 1, 0, 99],
            &again(0x11),
            &again(0x24),
            &DUE,
            &DUE,
        ],
    );
    script(
        "echo",
        &[
            &open,
            &data,
            &reply,
            &segment(0, FIN, 0),
            &call(CLOSE, 0, 0),
        ],
    );
    script(
        "active_open",
        &[
            &connect,
            &call(SEND, 2, 5_000),
            &segment(2, ACK, 0),
            &DUE,
            &DUE,
        ],
    );
    script(
        "out_of_order",
        &[&open, &out_of_order, &data, &out_of_order, &old, &data],
    );
    script(
        "retransmission",
        &[&open, &call(SEND, 0, 9_000), &LATER, &DUE, &DUE, &DUE],
    );
    script(
        "half_close",
        &[
            &open,
            &call(SHUTDOWN, 0, 0),
            &segment(0, ACK, 9),
            &data,
            &DUE,
        ],
    );
    script(
        "both_close",
        &[
            &open,
            &call(SHUTDOWN, 0, 0),
            &segment(0, FIN, 0),
            &segment(0, ACK, 0),
        ],
    );
    let syn_with_timestamps = [0, 1, SYN, 0, 0, 0, 0x40, 0];
    script(
        "timestamps",
        &[
            &syn_with_timestamps,
            &segment(1, ACK, 0),
            &call(ACCEPT, 0, 0),
            &segment(1, ACK, 100),
            &call(SEND, 1, 4_000),
            &segment(1, ACK, 0),
            &segment(1, FIN, 0),
        ],
    );
    // The connection must not open with a segment that it then drops itself.
    let without_timestamp = [0, 1, ACK, 0, 0, 0, 0x80, 0];
    script(
        "handshake_without_timestamp",
        &[
            &segment(1, SYN, 0),
            &without_timestamp,
            &syn_with_timestamps,
            &[0, 1, ACK, 0, 0, 0, 0xb0],
            &call(ACCEPT, 0, 0),
        ],
    );
    script(
        "reset",
        &[&open, &data, &segment(0, RST, 0), &call(SEND, 0, 10)],
    );
    script(
        "refused",
        &[
            &call(CONNECT, 3, 0),
            &[0xc0, 0, 3, 0, 0, 8, 0, 0],
            &call(RECV, 3, 9),
        ],
    );
    script(
        "zero_window",
        &[&open, &zero_window, &call(SEND, 0, 9_000), &DUE, &DUE, &DUE],
    );
    script(
        "mutations",
        &[
            &open,
            &data,
            &[0x70, 3, 0, 40, 9, 0, 46, 1, 0, 33, 2, 0, 50, 4],
        ],
    );
    script(
        "datagrams",
        &[
            &[0xd0, 1, 0, 99],
            &call(15, 0, 50),
            &call(14, 0, 99),
            &[0xd0, 0xff, 0, 9],
        ],
    );
    script(
        "neighbours",
        &[
            &[0xc8, 0, 9, 9],
            &[0xc8, 1, 8, 8],
            &[0xc8, 0, 7, 1],
            &call(14, 0, 9),
            &DUE,
        ],
    );

    // Groups that the socket hears itself in, a peer, and room for datagrams.
    let udp_call = |choice: u8, number: u8, len: u16| {
        let [a, b] = len.to_be_bytes();
        [0xdc, choice, number, a, b]
    };
    let (join, leave) = (udp_call(1, 0x12, 0), udp_call(2, 0x12, 0));
    let (say, hear) = (udp_call(0x84, 0x12, 700), udp_call(5, 0, 0));
    script(
        "udp_group",
        &[&join, &say, &hear, &LATER, &leave, &say, &hear, &DUE],
    );
    script(
        "udp_group_source",
        &[
            &udp_call(3, 0x11, 2),
            &say,
            &udp_call(3, 0x11, 3),
            &LATER,
            &hear,
        ],
    );
    script(
        "udp_peer",
        &[
            &udp_call(0, 1, 0),
            &udp_call(4, 1, 1_600),
            &hear,
            &udp_call(0x40, 1, 0),
            &DUE,
        ],
    );
    let answer = [0xd0, 0, 0, 100];
    script(
        "udp_in_place",
        &[
            &answer,
            &hear,
            &udp_call(6, 1, 900),
            &udp_call(0x46, 0, 1_999),
            &hear,
        ],
    );
    script(
        "udp_long",
        &[&join, &call(14, 0, 1_999), &udp_call(7, 1, 9), &LATER],
    );

    let framed = |frame: Vec<u8>| {
        let len = u16::try_from(frame.len()).expect("small") | 0x8000;
        [&len.to_be_bytes()[..], &frame].concat()
    };
    let request = ArpPacket::new(Operation::Request, (HW_A, A), (HW_B, B));
    let arp = framed(ethernet(0x0806, request.as_bytes()));
    let echo = framed(ethernet(
        0x0800,
        &ip(protocol::ICMP, &[8, 0, 0, 0, 0, 1, 0, 1, 9, 9]),
    ));
    let datagram = |port| [0x0f, 0xa0, 0, port, 0, 10, 0, 0, 1, 2];
    let udp = framed(ethernet(0x0800, &ip(protocol::UDP, &datagram(53))));
    let closed = framed(ethernet(0x0800, &ip(protocol::UDP, &datagram(9))));
    let mut header = TcpHeader {
        source_port: U16::new(4_000),
        destination_port: U16::new(80),
        window: U16::new(1_000),
        ..TcpHeader::default()
    };
    header.set_len_and_flags(20, Flags::SYN);
    let syn = framed(ethernet(0x0800, &ip(protocol::TCP, header.as_bytes())));
    write("stack_raw", "arp", &arp);
    write("stack_raw", "echo", &[arp.clone(), echo].concat());
    write("stack_raw", "udp", &udp);
    write("stack_raw", "closed_port", &closed);
    write("stack_raw", "syn", &[syn.clone(), syn].concat());
    write("stack_raw", "all", &[arp, udp, closed].concat());
}

/// Answers to a DHCP client: features, then kind, last byte of the address, time, length, options.
fn dhcp() {
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
        write("dhcp", name, &bytes);
    }
    let ours = Ipv4Addr::UNSPECIFIED;
    let writer = DhcpWriter::new(MessageType::Ack, HW_B, 7, 0, ours);
    let mut message = writer.finish().to_vec();
    message[0] = 2;
    write("dhcp", "message", &message);
    message[240..246].copy_from_slice(&[52, 1, 3, 53, 1, 5]);
    message[44..50].copy_from_slice(&[12, 2, b's', b'n', 255, 0]);
    write("dhcp", "overload", &message);
}

/// Queries, and what sockets do to their groups: four bytes of operation, and the rest of a query.
fn igmp() {
    let v3 = [0x11, 100, 0, 0, 239, 128, 2, 0, 2, 125, 0, 1, 10, 0, 0, 3];
    write("igmp", "version_1", &[0x11, 0, 0, 0, 0, 0, 0, 0]);
    write("igmp", "version_2", &with(&v3[..8], 1, 0xff));
    write("igmp", "version_3", &v3);
    write("igmp", "sources_missing", &v3[..15]);
    write("igmp", "report", &with(&v3[..8], 0, 0x22));
    let mld = [
        &[130, 0, 0, 0, 0x90, 0, 0, 0, 0xff, 0x15][..],
        &[0; 13],
        &[3],
    ];
    write("igmp", "mld_1", &mld.concat());
    let sources = [&mld.concat()[..], &[2, 125, 0, 1], &[5; 16]].concat();
    write("igmp", "mld_2", &sources);

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
        write("igmp", name, &parts.concat());
    }
}

/// Scripts of fibers, byte by byte as `fibers` reads them: operation and arguments.
fn fibers() {
    const YIELD: &[u8] = &[0];
    const START: &[u8] = &[9, 200];
    const OWN: &[u8] = &[9, 24];
    const CHANNEL: &[u8] = &[13, 2];
    // On channel 0, for ever.
    const SEND: &[u8] = &[2, 0, 255];
    const RECEIVE: &[u8] = &[4, 0, 255];
    const END: &[u8] = &[15, 0];
    let sleep = |ms| [1, ms];
    let join = |fiber| [6, fiber, 255];
    let cancel = |fiber| [7, fiber];
    let two = [CHANNEL, START, START, OWN, YIELD].concat();
    let handed = [
        SEND, SEND, SEND, RECEIVE, RECEIVE, YIELD, RECEIVE, SEND, END, END,
    ]
    .concat();
    write(
        "fibers",
        "handed",
        &[&two[..], &handed, &sleep(3), &handed, &join(0)].concat(),
    );
    let asked = [
        &two[..],
        RECEIVE,
        RECEIVE,
        &cancel(0),
        &cancel(1),
        YIELD,
        &join(2),
        END,
    ];
    write("fibers", "canceled", &asked.concat());
    let cleaned = [
        &two[..],
        &[11, 1],
        &[11, 0],
        &[12, 1],
        &sleep(5),
        &[15, 0],
        &[15, 0],
        YIELD,
    ];
    write("fibers", "cleaned", &cleaned.concat());
    let gone = [
        &two[..],
        &[8, 0],
        &[8, 1],
        END,
        END,
        &[14, 0, 0],
        &[14, 0, 1],
        SEND,
        &join(0),
    ];
    write("fibers", "gone", &gone.concat());
    let wrong = [
        &two[..],
        &[6, 200, 0],
        &[7, 210],
        &[8, 220],
        &[2, 230, 0],
        &[9, 3],
        &[9, 17],
        &[9, 21],
    ];
    write("fibers", "wrong", &wrong.concat());
}

/// Calls of the C ABI, byte by byte as `c_abi` reads them. Stacks 0 and 1 are manual, 2 waits.
fn c_abi() {
    const TURN: &[u8] = &[8, 8];
    const TCP: u8 = 16;
    const UDP: u8 = 112;
    const NETWORK: u8 = 176;
    // The address 0.0.0.0:7, and 10.0.0.1:7 and following; memory as it should be; number 1280.
    const ANY: u8 = 8;
    let host = |number: u8| (number - 1) << 4;
    const GOOD: u8 = 4;
    const MUCH: u8 = 9;
    let listen = |stack| [TCP, stack, ANY, GOOD, 4];
    let connect = |stack, to, flags| [TCP + 18, stack, host(to), GOOD, 0, GOOD, 0, flags, 0, 0];
    let accept = |socket| [TCP + 8, socket, GOOD];
    let write_to = |socket, size| [TCP + 28, socket, size, GOOD];
    let read = |socket| [TCP + 40, socket, 12, GOOD];
    let peek = |socket, other| [TCP + 52, socket, GOOD, other, 0];
    let shut = |socket| [TCP + 58, socket, 0, 0];
    let close = |socket| [TCP + 62, socket];
    let set = |socket, which, number| [TCP + 67, socket, which, number, number, 4];
    let ask = |socket, what| [TCP + 75, socket, MUCH, GOOD, GOOD, what, GOOD];
    let bind = |stack| [UDP, stack, ANY, GOOD, 0];
    let send = |socket, size, to| [UDP + 21, socket, size, GOOD, 0, host(to), 0, 0, 0, 0, GOOD];
    let receive = |socket| [UDP + 33, socket, 13, GOOD, 0, GOOD];
    let later = |bits| [5, bits];
    let open = [
        &[0][..],
        &listen(1),
        &connect(0, 2, 1),
        TURN,
        &accept(0),
        TURN,
    ]
    .concat();
    let talk = [
        &write_to(1, MUCH)[..],
        TURN,
        &read(2),
        &write_to(2, 13),
        TURN,
        &peek(1, 1),
        TURN,
    ]
    .concat();
    let end = [
        &shut(1)[..],
        TURN,
        &read(2),
        &close(2),
        TURN,
        &close(1),
        TURN,
        &later(30),
    ]
    .concat();
    write(
        "c_abi",
        "streams",
        &[&open[..], &talk, &talk, &end].concat(),
    );
    let settings: Vec<u8> = (0..14).flat_map(|which| set(1, which, 7)).collect();
    let questions: Vec<u8> = (0..24).flat_map(|what| ask(what / 8, what % 8)).collect();
    write(
        "c_abi",
        "settings",
        &[&open[..], &settings, &questions, &talk].concat(),
    );
    let aborted = [
        &open[..],
        &write_to(1, 13),
        &[TCP + 66, 1],
        TURN,
        &read(2),
        &close(2),
    ]
    .concat();
    write("c_abi", "aborted", &aborted);
    let lossy = [
        &open[..],
        &[15, 3],
        &talk,
        &talk,
        &later(28),
        TURN,
        &later(32),
        TURN,
    ]
    .concat();
    write("c_abi", "lossy", &lossy);
    let waiting = [
        &[0][..],
        &bind(2),
        &listen(0),
        &connect(2, 1, 0),
        &accept(1),
        &read(2),
        &write_to(3, MUCH),
        &read(2),
        &write_to(2, 13),
        &read(3),
        &receive(0),
        &close(2),
        TURN,
    ];
    write("c_abi", "waiting", &waiting.concat());
    let reserve = [UDP + 45, 0, 0, MUCH, GOOD];
    let commit = [UDP + 45, 0, 2, 4, host(2), GOOD];
    let look = [UDP + 52, 1, GOOD, 0, 0, 0, 0, 0, 0, 0, GOOD, 0, 0];
    let datagrams = [
        &[0][..],
        &bind(0),
        &bind(1),
        &send(0, MUCH, 2),
        TURN,
        &receive(1),
        // In fragments.
        &send(0, 14, 2),
        TURN,
        &receive(1),
        &reserve,
        &commit,
        TURN,
        &look,
        &send(0, 4, 1),
        TURN,
    ];
    write("c_abi", "datagrams", &datagrams.concat());
    let lease = [NETWORK + 50, 0, 0, 4, MUCH, GOOD];
    let leases = [
        &[0][..],
        &[NETWORK + 50, 0, 0, 0, 1, 1, 6, 0, GOOD, 0],
        TURN,
        &later(34),
        TURN,
        &[6, 0, 0, 0],
        TURN,
        &[6, 96, 0, 0],
        TURN,
        &lease,
        &later(33),
        TURN,
        &[NETWORK + 50, 0, 0, 3, 1],
        TURN,
    ];
    write("c_abi", "leases", &leases.concat());
    let stacks = [
        &[0b101][..],
        &[0, 0, 0, 0, GOOD, 0],
        &[0, 2, 1, 11, 4, 0, GOOD, 0],
        &listen(0),
        &[1, 0],
        &[1, 0],
        &read(0),
        &[0, 0, 2, 7, 1, 18, 9, 0, GOOD, 0],
        &[1, 192],
        &[1, 224],
    ];
    write("c_abi", "stacks", &stacks.concat());
    let network = [
        &[0][..],
        &[NETWORK, 0, 1, 1, 0, GOOD, 0],
        &[NETWORK, 0, 2, 0, 4, 4, 0],
        &[NETWORK + 8, 0, 1, 0, host(4), GOOD, 4, 0],
        &[
            NETWORK + 20,
            0,
            200,
            ANY,
            0,
            host(2),
            1,
            1,
            0,
            0,
            0,
            GOOD,
            0,
            0,
        ],
        &[NETWORK + 32, 0, MUCH, GOOD, 7, 0, GOOD, 0],
        &[NETWORK + 40, 0, 0, GOOD, GOOD, 0, 0, host(2), GOOD],
        &later(31),
        TURN,
        &[NETWORK + 8, 0, 0, 4, 8, GOOD, 0],
    ];
    write("c_abi", "network", &network.concat());
    let channel = [12, 0, 0, 0, 3, 0, 4, 0, GOOD];
    let channels = [
        &[0][..],
        &channel,
        &[12, 2, 0, GOOD, 0],
        &[12, 2, 0, GOOD, 0],
        &[12, 4, 0],
        &[12, 3, 0, GOOD, 0],
        &[12, 5, 0],
        &[12, 3, 0, GOOD, 0],
        &[12, 3, 0, GOOD, 0],
        &[12, 6, 0],
        &channel,
        &[1, 0],
        &[12, 4, 1],
    ];
    write("c_abi", "channels", &channels.concat());
    let arguments = [
        &[0b111][..],
        &[
            NETWORK + 72,
            1,
            GOOD,
            0,
            8,
            1,
            11,
            2,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
        ],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    write("c_abi", "arguments", &arguments.concat());
}

fn spt_relay() {
    let frame = |operation: u8, len: u16| [&[operation][..], &len.to_le_bytes()].concat();
    let (come, send) = (|len| frame(0, len), |len| frame(1, len));
    let both = [
        come(60),
        send(60),
        vec![4],
        come(1514),
        send(1514),
        vec![4, 2, 9, 3, 9],
        come(1),
        send(1),
        vec![4, 2, 1, 3, 1],
    ];
    write("spt_relay", "both_ways", &both.concat());
    let odd = [
        send(60),
        send(0),
        send(0xffff),
        send(9014),
        send(0),
        send(61),
    ];
    write("spt_relay", "empty_and_too_long", &odd.concat());
    let busy: Vec<_> = (0..150).flat_map(|_| come(9014)).collect();
    let asleep = [&busy[..], &[4, 4, 2, 40, 4, 4, 2, 200, 4, 2, 200]].concat();
    write("spt_relay", "the_guest_sleeps", &asleep);
    let flood: Vec<_> = (0..300).flat_map(|_| send(1514)).collect();
    let full = [&flood[..], &[4], &flood, &[3, 20, 4]].concat();
    write("spt_relay", "the_interface_is_full", &full);
}

fn gdb_packets() {
    let packet = |body: &[u8]| {
        let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        [b"$", body, format!("#{sum:02x}").as_bytes()].concat()
    };
    let packets = |bodies: &[&str]| -> Vec<u8> {
        let bodies = bodies.iter().map(|body| packet(body.as_bytes()));
        bodies
            .flat_map(|packet| [&b"+"[..], &packet].concat())
            .collect()
    };
    let session = packets(&[
        "qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+",
        "vCont?",
        "QStartNoAckMode",
        "Hg0",
        "?",
        "qfThreadInfo",
        "g",
        "p10",
        "P10=1122334455667788",
        "m10,40",
        "M20,4:deadbeef",
        "Z0,20,1",
        "vCont;c:p1.-1",
        "vCont;s:p1.1;c",
        "z0,20,1",
        "c",
        "s",
        "C05",
        "qXfer:features:read:target.xml:0,ffb",
        "D;1",
    ]);
    write("gdb_packets", "session", &session);
    write("gdb_packets", "kill", &packets(&["?", "k"]));
    let mut registers = b"G".to_vec();
    let all = X86_64CoreRegs {
        eflags: u32::MAX,
        mxcsr: u32::MAX,
        ..X86_64CoreRegs::default()
    };
    all.gdb_serialize(|byte| {
        let byte = byte.unwrap_or_default();
        registers.extend(format!("{byte:02x}").bytes());
    });
    let far = [&registers[..129], b"ffffffffffffffff", &registers[145..]].concat();
    let all = [packet(&registers), packet(b"g"), packet(&far), packet(b"g")];
    write("gdb_packets", "registers", &all.concat());
    let long = [b"m".repeat(3996), b"m".repeat(4100)].map(|body| packet(&body));
    write("gdb_packets", "long", &long.concat());
    write("gdb_packets", "interrupts", b"\x03+\x03$?#3f\x03-\x03");
    write("gdb_packets", "binary", &packet(b"X20,4:}\x03}\x04a#b"));
    // What a parser of numbers takes for five.
    write("gdb_packets", "sum_with_a_sign", b"$\x05#+5$?#3f");
    write("gdb_packets", "sums", b"$g#00$g#6$?#3F$g#zz+$$g#67");
    let none = packets(&[
        "m",
        "M20,4",
        "Z9,0,0",
        "vCont;x",
        "Pzz=1",
        "G00",
        "mffffffffffffffff,8",
    ]);
    write("gdb_packets", "packets_without_sense", &none);
}

fn main() {
    gdb_packets();
    spt_relay();
    c_abi();
    fibers();
    igmp();
    wire();
    tcp();
    cmdline();
    dhcp();
    dhcp6();
    ipv6();
    toolchain();
    hvt_guest();
    stack();
}
