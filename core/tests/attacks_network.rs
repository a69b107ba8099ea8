//! Attacks below the transports: each test is named after the row of SECURITY.md that it answers.

mod common;

use common::link::*;
use mnet_core::error::{RecvError, RecvFromError};
use mnet_core::wire::arp::Operation;
use mnet_core::wire::ethernet::{EthernetAddress, ether_type};
use mnet_core::wire::ipv4::protocol;
use mnet_core::wire::tcp::Flags;
use mnet_core::{Config, Readiness, SocketId};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

fn counter(host: &Host, name: &str) -> u64 {
    host.stack
        .counters()
        .iter()
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value)
        .unwrap()
}

/// A connection to the remote host, whose SYN has just left: its sequence number and its port.
fn syn_sent(host: &mut Host) -> (SocketId, u32, u16, Vec<u8>) {
    let id = host
        .stack
        .tcp_connect(host.now, at(REMOTE, 80), None)
        .unwrap();
    let frames = host.transmit();
    assert_eq!(frames.len(), 1);
    let sent = parse_sent(&frames[0]);
    let (header, _) = sent.tcp();
    assert!(header.flags().contains(Flags::SYN));
    (
        id,
        header.sequence.get(),
        header.source_port.get(),
        frames[0][14..].to_vec(),
    )
}

/// The same, established.
fn established(host: &mut Host) -> (SocketId, Vec<u8>) {
    let (id, iss, port, _) = syn_sent(host);
    let answer = tcp(
        at(REMOTE, 80),
        at(OURS, port),
        Flags::SYN | Flags::ACK,
        (9_000, iss.wrapping_add(1)),
        b"",
        |_| {},
    );
    host.receive(&from_peer(&answer));
    assert!(
        host.stack
            .readiness(id)
            .unwrap()
            .contains(Readiness::WRITABLE)
    );
    host.stack.tcp_send(host.now, id, b"request").unwrap();
    let frames = host.transmit();
    let data = frames.last().unwrap()[14..].to_vec();
    (id, data)
}

fn icmp_error(message_type: u8, code: u8, rest: [u8; 4], quoted: &[u8]) -> Vec<u8> {
    let message = icmp(message_type, code, rest, &quoted[..quoted.len().min(28)]);
    from_peer(&ipv4(PEER, OURS, protocol::ICMP, &message, |_| {}))
}

/// Row 3: CVE-2020-11897 and others. Every length of every option kind, at every place.
#[test]
fn row_03_every_option_length_is_survived() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(OURS, 53)).unwrap();
    let payload = udp(at(PEER, 4_000), at(OURS, 53), b"x")[20..].to_vec();
    for kind in 0..=255u8 {
        for len in [0u8, 1, 2, 3, 8, 39, 40, 41, 255] {
            for place in [0usize, 1, 37, 38, 39] {
                let mut options = [1u8; 40];
                options[place] = kind;
                if let Some(byte) = options.get_mut(place + 1) {
                    *byte = len;
                }
                let packet =
                    ipv4_with_options(PEER, OURS, protocol::UDP, &options, &payload, |_| {});
                host.receive(&from_peer(&packet));
                while host.stack.udp_recv_from(host.now, id, &mut [0; 4]).is_ok() {}
            }
        }
    }
    let received = counter(&host, "udp_received");
    let refused = counter(&host, "ip_source_route_refused") + counter(&host, "ip_bad_option");
    assert_eq!(received + refused, 256 * 9 * 5);
    assert!(
        refused > 2_000 && received > 2_000,
        "{refused} refused, {received} received"
    );
    host.assert_no_frame_lost();
}

/// Row 4: CVE-2020-11914. ARP packets that end too early.
#[test]
fn row_04_short_arp_is_dropped_at_every_length() {
    let mut host = Host::new();
    let request = arp_request((PEER_HW, PEER), OURS);
    for len in 14..42 {
        assert_eq!(host.receive(&request[..len]).len(), 0, "{len} bytes");
    }
    assert_eq!(host.counted(), [("arp_malformed", 28)]);
    assert_eq!(host.receive(&request).len(), 1);
}

/// Row 10: NUCLEUS:13 and Urgent/11. Source routes and reverse ARP.
#[test]
fn row_10_source_routes_and_reverse_arp_are_dropped_silently() {
    let mut host = Host::with_peer();
    let echo = icmp(8, 0, [0; 4], b"");
    for kind in [131u8, 137] {
        for len in 0..=11u8 {
            for pointer in [0u8, 3, 4, 5, 255] {
                let options = [kind, len, pointer, 10, 0, 0, 9, 10, 0, 0, 8, 0];
                let packet = ipv4_with_options(PEER, OURS, protocol::ICMP, &options, &echo, |_| {});
                assert_eq!(host.receive(&from_peer(&packet)).len(), 0);
            }
        }
    }
    assert_eq!(host.counted(), [("ip_source_route_refused", 120)]);
    for operation in [3u8, 4, 8, 9] {
        let mut frame = arp_request((PEER_HW, PEER), OURS);
        frame[21] = operation;
        assert_eq!(host.receive(&frame).len(), 0);
    }
    assert_eq!(host.counted(), [("arp_bad_operation", 4)]);
}

/// Row 16: land, blat. Packets that claim to come from us, or from nobody.
#[test]
fn row_16_packets_from_our_own_or_no_address_are_dropped() {
    let mut host = Host::with_peer();
    host.stack.tcp_listen(at(OURS, 80), 4).unwrap();
    for source in [
        OURS,
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::LOCALHOST,
        Ipv4Addr::BROADCAST,
    ] {
        for flags in [Flags::SYN, Flags::SYN | Flags::ACK, Flags::ACK, Flags::RST] {
            let land = tcp(at(source, 80), at(OURS, 80), flags, (1, 1), b"", |_| {});
            assert_eq!(host.receive(&from_peer(&land)).len(), 0);
        }
    }
    assert_eq!(host.counted(), [("ip_bad_source", 16)]);
    assert_eq!(host.stack.usage().half_open, 0);
}

/// Row 19: CVE-2020-36516 and others. There is no identification counter to observe: all packets
/// have DF set and the identification 0.
#[test]
fn row_19_no_packet_has_an_identification() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(OURS, 53)).unwrap();
    let mut frames = host.receive(&ping(b"x"));
    frames.extend(host.receive(&from_peer(&udp(at(PEER, 1), at(OURS, 9), b"x"))));
    let syn = tcp(at(PEER, 1), at(OURS, 9), Flags::SYN, (1, 0), b"", |_| {});
    frames.extend(host.receive(&from_peer(&syn)));
    host.stack
        .udp_send_to(host.now, id, b"x", at(REMOTE, 53))
        .unwrap();
    host.stack
        .tcp_connect(host.now, at(REMOTE, 80), None)
        .unwrap();
    frames.extend(host.transmit());
    assert_eq!(frames.len(), 5);
    for frame in &frames {
        // It asserts that the identification is 0 and DF set.
        parse_sent(frame);
    }
}

/// Row 20: ICMP against TCP (RFC 5927). A forged error must quote a sequence number in flight.
#[test]
fn row_20_forged_errors_do_not_touch_connections() {
    let mut host = Host::with_peer();
    let (id, data) = established(&mut host);
    host.counted();
    let seq = u32::from_be_bytes([data[24], data[25], data[26], data[27]]);
    let quoting = |seq: u32| {
        let mut quoted = data.clone();
        quoted[24..28].copy_from_slice(&seq.to_be_bytes());
        quoted
    };
    for guess in [
        seq.wrapping_sub(1),
        seq.wrapping_add(7),
        seq ^ 0x8000_0000,
        0,
        u32::MAX,
    ] {
        for code in 0..=15 {
            let rest = if code == 4 { [0, 0, 2, 64] } else { [0; 4] };
            host.receive(&icmp_error(3, code, rest, &quoting(guess)));
        }
    }
    assert_eq!(counter(&host, "icmp_error_unrelated"), 5 * 15);
    assert_eq!(
        counter(&host, "icmp_bad_mtu"),
        5,
        "the quoted packet was not that large"
    );
    // Even the right number does not end an established connection (RFC 5927 §5.2).
    for code in 0..=15 {
        host.receive(&icmp_error(3, code, [0; 4], &data));
    }
    host.receive(&icmp_error(4, 0, [0; 4], &data));
    assert_eq!(
        host.stack.tcp_recv(host.now, id, &mut [0; 4]),
        Err(RecvError::WouldBlock)
    );
    assert_eq!(host.stack.tcp_send(host.now, id, b"more"), Ok(4));
}

/// Row 20: a connection that is being opened ends at once only if its own SYN is quoted.
/// RFC 9293 §3.9.2.2 (MUST-54).
#[test]
fn row_20_a_refusal_must_quote_the_syn() {
    let mut host = Host::with_peer();
    let (id, iss, _, syn) = syn_sent(&mut host);
    for guess in [iss.wrapping_sub(1), iss.wrapping_add(1), 0] {
        let mut quoted = syn.clone();
        quoted[24..28].copy_from_slice(&guess.to_be_bytes());
        host.receive(&icmp_error(3, 3, [0; 4], &quoted));
        assert!(!host.stack.readiness(id).unwrap().contains(Readiness::ERROR));
    }
    host.receive(&icmp_error(3, 3, [0; 4], &syn));
    assert!(host.stack.readiness(id).unwrap().contains(Readiness::ERROR));
    assert_eq!(
        host.stack.tcp_recv(host.now, id, &mut [0; 4]),
        Err(RecvError::Refused)
    );
}

/// Row 20: a claimed MTU below what every host takes is not believed.
#[test]
fn row_20_tiny_path_mtus_are_ignored() {
    let mut host = Host::with_peer();
    let (_, data) = established(&mut host);
    host.counted();
    for mtu in [0u16, 1, 68, 296, 575] {
        let [a, b] = mtu.to_be_bytes();
        host.receive(&icmp_error(3, 4, [0, 0, a, b], &data));
        assert_eq!(host.counted(), [("icmp_received", 1), ("icmp_bad_mtu", 1)]);
    }
}

/// Row 20: a forged claim about the path must quote a sequence number in flight.
#[test]
fn row_20_forged_path_mtus_outside_the_window_are_ignored() {
    let mut host = Host::with_peer();
    let (_, mut data) = established(&mut host);
    host.counted();
    let seq = u32::from_be_bytes([data[24], data[25], data[26], data[27]]);
    // The quote says that the packet had 1500 bytes.
    data[2..4].copy_from_slice(&1500u16.to_be_bytes());
    data[10..12].fill(0);
    let sum = mnet_core::checksum::sum(&data[..20]).finish();
    data[10..12].copy_from_slice(&sum.to_be_bytes());
    for guess in [seq.wrapping_sub(1), seq.wrapping_add(7), 0, u32::MAX] {
        data[24..28].copy_from_slice(&guess.to_be_bytes());
        host.receive(&icmp_error(3, 4, [0, 0, 2, 64], &data));
    }
    assert_eq!(
        host.counted(),
        [("icmp_received", 4), ("icmp_error_unrelated", 4)]
    );
}

/// Row 20: everybody knows the port of a server. Who claims that the path to somebody is narrow must
/// quote what the server has sent there in the last minute, and that only if not every path carries it:
/// fragments are easily forged (RFC 5927 §7, RFC 8085 §3.2).
#[test]
fn row_20_path_mtus_are_not_believed_of_whom_a_server_has_not_sent_much() {
    let mut host = Host::with_peer();
    let server = host.stack.udp_bind(at(OURS, 53)).unwrap();
    let client = at(REMOTE, 4_000);
    let too_big =
        |to: SocketAddr| icmp_error(3, 4, [0, 0, 2, 64], &udp(at(OURS, 53), to, &[0; 1_472]));
    let room = |host: &mut Host, to| host.stack.udp_max_payload(host.now, server, Some(to));
    let send = |host: &mut Host, payload: &[u8]| {
        let sent = host.stack.udp_send_to(host.now, server, payload, client);
        sent.unwrap();
        host.transmit();
    };
    send(&mut host, &[0; 548]);
    host.counted();
    host.receive(&too_big(client));
    for n in 0..=255 {
        host.receive(&too_big(at(Ipv4Addr::new(192, 0, 2, n), 4_001)));
    }
    assert_eq!(
        host.counted(),
        [("icmp_received", 257), ("icmp_error_unrelated", 257)]
    );
    send(&mut host, &[0; 549]);
    host.advance(61_000);
    host.receive(&too_big(client));
    assert_eq!(room(&mut host, client), Ok(1_472), "too late");
    send(&mut host, &[0; 549]);
    host.receive(&too_big(client));
    assert_eq!(room(&mut host, client), Ok(576 - 28));
}

/// Row 22: cache poisoning. Talking unasked creates no entry, and a contradicting claim moves
/// nobody's traffic while the owner answers.
#[test]
fn row_22_arp_cannot_be_poisoned_by_talking_unasked() {
    let mut host = Host::new();
    let id = host.stack.udp_bind(at(OURS, 53)).unwrap();
    for last in 3..=254 {
        let address = Ipv4Addr::new(10, 0, 0, last);
        host.receive(&arp_reply((OTHER_HW, address)));
        host.receive(&arp_request((OTHER_HW, address), address));
    }
    host.stack
        .udp_send_to(host.now, id, b"x", at(OTHER, 9))
        .unwrap();
    let frames = host.transmit();
    assert_eq!(
        parse_sent_arp(&frames[0]).1,
        Operation::Request,
        "nothing was believed"
    );
    host.receive(&arp_reply((OTHER_HW, OTHER)));

    // The gateway is known; somebody else claims its address in every way there is.
    host.meet(PEER_HW, PEER);
    let thief = (EthernetAddress([2, 0, 0, 0, 0, 0x66]), PEER);
    let claims = [
        arp_reply(thief),
        arp_request(thief, OURS),
        arp_request(thief, PEER),
        arp(thief.0, ALL, Operation::Reply, thief, thief),
    ];
    for _ in 0..100 {
        for claim in &claims {
            for frame in host.receive(claim) {
                if let [.., 8, 6] = frame[..14] {
                    let (to, operation, question) = parse_sent_arp(&frame);
                    if operation == Operation::Request {
                        assert_eq!((to, question.target().1), (PEER_HW, PEER));
                        host.receive(&arp_reply((PEER_HW, PEER)));
                    }
                }
            }
            host.stack
                .udp_send_to(host.now, id, b"x", at(REMOTE, 9))
                .unwrap();
            for frame in host.transmit() {
                assert_eq!(parse_sent(&frame).ethernet.destination, PEER_HW);
            }
            host.advance(50);
        }
    }
    assert!(counter(&host, "neighbour_contested") >= 100);
    host.assert_no_frame_lost();
}

/// Row 22: exhaustion. SYNs from ever new neighbours that do not exist leave bounded traces, and
/// make us broadcast little.
#[test]
fn row_22_spoofed_neighbours_bind_bounded_memory_and_cause_few_questions() {
    let mut host = Host::on_network(&Config::default(), 8);
    host.meet(PEER_HW, PEER);
    host.stack.tcp_listen(at(OURS, 80), 64).unwrap();
    let udp_id = host.stack.udp_bind(at(OURS, 53)).unwrap();
    let start = host.now;
    let mut questions = 0;
    let rounds = 100_000u32;
    for number in 0..rounds {
        let source = Ipv4Addr::from_bits(0x0a10_0000 + number);
        let syn = tcp(
            at(source, 1_024),
            at(OURS, 80),
            Flags::SYN,
            (number, 0),
            b"",
            |_| {},
        );
        host.stack
            .receive_copy(host.now, host.interface, &from_peer(&syn));
        if number % 64 == 63 {
            questions += host
                .transmit()
                .iter()
                .filter(|f| f[12..14] == [8, 6])
                .count();
            host.now = host.now + core::time::Duration::from_millis(1);
        }
    }
    let seconds = (host.now - start).as_secs_f64();
    let most = 128.0 + 500.0 * seconds + 192.0;
    assert!(
        (questions as f64) < most,
        "{questions} questions in {seconds} s"
    );
    let pool = host.stack.pool_frames();
    assert!(pool.total - pool.free < 1_000, "{pool:?}");
    // Who was known is still known.
    host.stack
        .udp_send_to(host.now, udp_id, b"x", at(PEER, 9))
        .unwrap();
    let data: Vec<_> = host
        .transmit()
        .into_iter()
        .filter(|f| f[23] == protocol::UDP)
        .collect();
    assert_eq!(parse_sent(&data[0]).ethernet.destination, PEER_HW);
}

/// Row 22: where too many neighbours are asked for, the one that does not answer longest gives way, and
/// not the one that has not been asked yet.
#[test]
fn row_22_the_oldest_question_gives_way() {
    let mut host = Host::new();
    let ping = |last: u8| {
        let message = icmp(8, 0, [0x12, 0x34, 0, 1], b"abc");
        let packet = ipv4(
            Ipv4Addr::new(10, 0, 0, last),
            OURS,
            protocol::ICMP,
            &message,
            |_| {},
        );
        ethernet(OTHER_HW, OUR_HW, ether_type::IPV4, &packet)
    };
    let asked = |sent: &[Vec<u8>]| -> BTreeSet<u8> {
        let questions = sent.iter().map(|frame| parse_sent_arp(frame).2.target().1);
        questions.map(|address| address.octets()[3]).collect()
    };
    // All in one batch: two more than may be asked for.
    let batch: Vec<_> = (10..76).map(ping).collect();
    let sent = host.receive_all(&batch);
    assert_eq!(asked(&sent), (12..76).collect());
    // Of those that were asked already, too.
    host.advance(500);
    let sent = host.receive_all(&[ping(80), ping(81)]);
    assert_eq!(asked(&sent), BTreeSet::from([80, 81]));
    host.advance(500);
    assert_eq!(asked(&host.transmit()), (14..76).collect());
    assert_eq!(counter(&host, "neighbour_evicted"), 4);
}

/// Row 23: SAD DNS, CVE-2020-25705. An attacker spends the budget of errors with probes from
/// spoofed sources, then counts what is left with probes of its own. The budget is random, so that
/// a thousand closed ports and a thousand less one look alike.
#[test]
fn row_23_the_budget_of_errors_does_not_tell_which_port_is_open() {
    let answers = |seed: u8, open: bool| {
        let mut host = Host::on_network(&Config::default(), 8);
        host.meet(PEER_HW, PEER);
        // Each run has its own history of random numbers.
        for _ in 0..seed {
            host.stack.random(&mut [0; 1]);
        }
        if open {
            host.stack.udp_bind(at(OURS, 1_500)).unwrap();
        }
        for port in 1_000..2_000u16 {
            let source = Ipv4Addr::from_bits(0xc000_0000 + u32::from(port));
            host.receive(&from_peer(&udp(at(source, 53), at(OURS, port), b"")));
        }
        host.counted();
        host.stack.counters().icmp_sent
    };
    let closed: BTreeSet<u64> = (0..24).map(|seed| answers(seed, false)).collect();
    let open: BTreeSet<u64> = (0..24).map(|seed| answers(seed, true)).collect();
    assert!(closed.len() > 4 && open.len() > 4, "{closed:?} {open:?}");
    assert!(*closed.last().unwrap() <= 110);
    let overlap = closed.intersection(&open).count();
    assert!(
        overlap > 2,
        "the two cannot be told apart: {closed:?} {open:?}"
    );
}

/// OSEC-2019-01 and its kin: what a frame held before does not go out with what it holds next.
#[test]
fn row_34_no_answer_holds_bytes_of_an_earlier_frame() {
    const CANARY: u8 = 0xa5;
    let mut host = Host::with_peer();
    let local = at(OURS, 80);
    host.stack.tcp_listen(local, 4).unwrap();
    let filler = from_peer(&ipv4(PEER, OURS, protocol::TCP, &[CANARY; 1_480], |_| {}));
    // More often than the pool has frames: each has held it.
    for _ in 0..2 * host.stack.pool_frames().total {
        assert_eq!(host.receive(&filler).len(), 0);
    }
    let syn = |port| tcp(at(PEER, 9), at(OURS, port), Flags::SYN, (1, 0), b"", |_| {});
    let questions = [
        from_peer(&syn(80)),
        from_peer(&syn(81)),
        ping(b""),
        ping(b"x"),
        from_peer(&udp(at(PEER, 9), at(OURS, 9), b"")),
        arp_request((PEER_HW, PEER), OURS),
    ];
    for question in &questions {
        let answers = host.receive(question);
        assert_eq!(answers.len(), 1);
        // One such byte may be part of a number.
        assert!(answers[0].windows(2).all(|pair| pair != [CANARY; 2]));
    }
}

/// Row 41: reflection. No frame is answered with much more than its own size, and none that came
/// from or went to a group is answered at all.
#[test]
fn row_41_answers_are_not_larger_than_questions_by_more_than_their_headers() {
    let segment = |port, flags| tcp(at(PEER, 7), at(OURS, port), flags, (1, 1), b"", |_| {});
    let mut frames = vec![
        segment(81, Flags::SYN),
        segment(81, Flags::ACK),
        segment(81, Flags::FIN | Flags::PSH | Flags::URG),
        segment(80, Flags::SYN),
        segment(80, Flags::ACK),
        ipv4(PEER, OURS, 132, b"", |_| {}),
    ];
    for len in [0, 1, 100, 600, 1_472] {
        frames.push(udp(at(PEER, 7), at(OURS, 9), &vec![0; len]));
        frames.push(ipv4(
            PEER,
            OURS,
            protocol::ICMP,
            &icmp(8, 0, [0; 4], &vec![0; len]),
            |_| {},
        ));
    }
    for packet in frames {
        let mut host = Host::with_peer();
        host.stack.tcp_listen(at(OURS, 80), 4).unwrap();
        let frame = from_peer(&packet);
        let answers: Vec<_> = host
            .receive(&frame)
            .into_iter()
            .filter(|f| f[12..14] == [8, 0])
            .collect();
        let bytes: usize = answers.iter().map(Vec::len).sum();
        assert!(
            bytes <= frame.len() + 28,
            "{} bytes answer {}",
            bytes,
            frame.len()
        );
        let to_all = ethernet(PEER_HW, ALL, ether_type::IPV4, &packet);
        assert_eq!(
            host.receive(&to_all)
                .iter()
                .filter(|f| f[12..14] == [8, 0])
                .count(),
            0
        );
        let from_group = ethernet(
            EthernetAddress([1, 0, 0x5e, 0, 0, 1]),
            OUR_HW,
            ether_type::IPV4,
            &packet,
        );
        assert_eq!(
            host.receive(&from_group)
                .iter()
                .filter(|f| f[12..14] == [8, 0])
                .count(),
            0
        );
    }
}

/// Row 42: corruption. One flipped bit in a datagram is noticed, wherever it is.
/// RFC 9293 §3.1 (MUST-3).
#[test]
fn row_42_no_flipped_bit_gets_through() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(OURS, 53)).unwrap();
    let frame = from_peer(&udp(at(PEER, 4_000), at(OURS, 53), b"important"));
    // From the IP header on; the Ethernet header is the link's to protect.
    for bit in 14 * 8..frame.len() * 8 {
        let mut spoiled = frame.clone();
        spoiled[bit / 8] ^= 1 << (bit % 8);
        host.receive(&spoiled);
        let result = host.stack.udp_recv_from(host.now, id, &mut [0; 20]);
        assert_eq!(result, Err(RecvFromError::WouldBlock), "bit {bit}");
    }
    host.receive(&frame);
    assert_eq!(
        host.stack
            .udp_recv_from(host.now, id, &mut [0; 20])
            .unwrap()
            .len,
        9
    );
}
