//! Frames and calls for a whole stack.

use super::{A, B, HW_A, HW_B, Seeds, ethernet, ip};
use mnet_core::wire::arp::{ArpPacket, Operation};
use mnet_core::wire::ipv4::protocol;
use mnet_core::wire::tcp::{Flags, TcpHeader};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

fn segment(index: u8, flags: u8, payload: u8) -> [u8; 8] {
    [0, index, flags, 0, 0, 0, 0, payload]
}

/// A call: which, for which peer, and a length.
fn call(choice: u8, index: u8, len: u16) -> [u8; 5] {
    let [a, b] = len.to_be_bytes();
    [0x80, choice, index, a, b]
}

pub(super) fn stack(seeds: &Seeds) {
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
        seeds.add(
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
    seeds.add("stack_raw", "arp", &arp);
    seeds.add("stack_raw", "echo", &[arp.clone(), echo].concat());
    seeds.add("stack_raw", "udp", &udp);
    seeds.add("stack_raw", "closed_port", &closed);
    seeds.add("stack_raw", "syn", &[syn.clone(), syn].concat());
    seeds.add("stack_raw", "all", &[arp, udp, closed].concat());
}
