//! Known attacks with fragments. The numbers are the rows of the table in SECURITY.md.

mod common;

use common::fragments::*;
use common::link::{self, from_peer, icmp, ipv4, parse_sent};
use common::v6;
use mnet_core::Config;
use mnet_core::wire::ipv6::{FragmentHeader, next_header};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use zerocopy::IntoBytes;
use zerocopy::byteorder::network_endian::U16;

/// Row 1: Ripple20, CVE-2020-11896 and CVE-2020-11898. Tunnelled packets are not unpacked, whatever
/// their inner lengths claim, whole or from fragments.
#[test]
fn row_01_tunnelled_fragments_with_lying_lengths_go_nowhere() {
    for outer in [4, 41] {
        for inner_len in [0u16, 19, 20, 100, 1_400, 65_535] {
            let inner = ipv4(link::PEER, link::OURS, UDP, &[0x41; 3_000], |ip| {
                ip.total_len = U16::new(inner_len);
            });
            let whole = from_peer(&ipv4(link::PEER, link::OURS, outer, &inner[..90], |_| {}));
            let short = Family::V4.cut_evenly((1, outer), &inner[..90], 40);
            let long = Family::V4.cut_evenly((2, outer), &inner, 1_480);
            for (frames, refused) in [
                (vec![whole], "ip_unknown_protocol"),
                (short, "ip_unknown_protocol"),
                (long, "ip_reassembled_too_large"),
            ] {
                let mut lab = Lab::new(Family::V4);
                let answers = lab.receive_all(&frames);
                assert!(lab.counted().contains(&(refused, 1)));
                for answer in answers {
                    // RFC 1122 §3.2.2.1.
                    assert_eq!(parse_sent(&answer).icmp().0.code, 2);
                }
                assert_eq!(lab.stack.counters().udp_received, 0);
                lab.assert_no_frame_lost();
            }
        }
    }
}

/// Row 13: FragmentSmack, CVE-2018-5391. 65,536 fragments from everywhere bind a bounded part of the
/// pool, and those of honest packets between them still come together.
#[test]
fn row_13_a_flood_of_fragments_is_bounded_and_honest_ones_get_through() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let honest = vec![7; 60_000];
        let mut waiting: Vec<Vec<u8>> = Vec::new();
        let (mut sent, mut received) = (0, 0);
        let most = lab.stack.pool_frames().total / 8;
        for number in 0..65_536u32 {
            // First, middle and last ones, that never fit each other.
            let place = (
                usize::from(number.to_le_bytes()[0]) % 3 * 1_448,
                number % 5 > 0,
            );
            let source = family.stranger(number % 50_000);
            let fragment = family.fragment_from(source, (number, UDP), place, &[9; 1_000]);
            assert_eq!(lab.receive(&fragment).len(), 0);
            assert!(lab.held() <= most, "{} frames", lab.held());
            if number % 8 == 0 {
                let Some(next) = waiting.pop() else {
                    let datagram = family.datagram(&honest);
                    waiting = family.cut_evenly((1_000_000 + number, UDP), &datagram, 1_448);
                    sent += 1;
                    continue;
                };
                lab.receive(&next);
                if waiting.is_empty() {
                    assert_eq!(lab.read(id).as_ref(), Some(&honest), "{sent}");
                    received += 1;
                }
            }
        }
        assert!(received > 150 && sent - received <= 1, "{sent} {received}");
        lab.run(60_000);
        lab.assert_no_frame_lost();
    }
}

/// Row 13: one source alone has its share, however it goes about it, and costs the others nothing.
#[test]
fn row_13_one_source_has_only_its_share() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let datagram = family.datagram(&[7; 5_000]);
        let mut frames = family.cut_evenly((1, UDP), &datagram, 1_448);
        let last = frames.pop().unwrap();
        lab.receive_all(&frames);
        let attacker = family.stranger(1);
        let most = (lab.stack.limits().frames / 8 / 4).max(64) + frames.len();
        for number in 0..20_000u32 {
            let offset = usize::try_from(number % 100).unwrap() * 16 + 8;
            let key = (number / 100, UDP);
            lab.receive(&family.fragment_from(attacker, key, (offset, true), &[9; 8]));
            assert!(lab.held() <= most, "{} frames", lab.held());
        }
        lab.receive(&last);
        assert_eq!(lab.read(id), Some(vec![7; 5_000]));
        lab.run(60_000);
        lab.assert_no_frame_lost();
    }
}

/// Row 14: teardrop, ping of death, jolt2, rose. Fragments of every shape make no packet, cause no
/// answer that is not due, and leave nothing behind.
#[test]
fn row_14_fragments_of_every_shape_leave_no_trace() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        for offset in [0usize, 1, 2, 3, 0xb0, 0x1ffe, 0x1fff] {
            for more in [false, true] {
                for len in [0usize, 1, 7, 8, 24, 1_448] {
                    for protocol in [family.icmp(), TCP, UDP, 200] {
                        if offset == 0 && !more {
                            continue;
                        }
                        let place = (offset * 8, more);
                        let fragment = family.fragment((1, protocol), place, &vec![8; len]);
                        for packet in sent_packets(&lab.receive(&fragment), 1_500) {
                            // RFC 8200 §4.5: parameter problems, which IPv4 does not have.
                            assert_eq!((family, packet.payload[0]), (Family::V6, 4));
                        }
                    }
                }
            }
        }
        assert_eq!(lab.stack.counters().ip_reassembled, 0);
        assert_eq!(lab.read(id), None);
        lab.run(60_000);
        lab.assert_no_frame_lost();
    }
}

/// Row 14: each attack by name, ended by what would complete it.
#[test]
fn row_14_teardrop_bonk_and_the_ping_of_death_are_not_delivered() {
    type Piece = (usize, usize, bool);
    let attacks: [(&str, &[Piece]); 6] = [
        ("teardrop", &[(0, 40, true), (24, 8, false), (40, 8, false)]),
        ("bonk", &[(0, 32, true), (32, 32, true), (40, 4, false)]),
        (
            "a second end",
            &[(0, 32, true), (64, 8, false), (32, 8, false)],
        ),
        (
            "a first piece written over",
            &[(0, 32, true), (0, 40, true), (32, 8, false)],
        ),
        ("the ping of death", &[(0, 1_448, true), (65_528, 8, false)]),
        ("a hole", &[(0, 32, true), (40, 8, false)]),
    ];
    for family in FAMILIES {
        for (name, pieces) in attacks {
            let mut lab = Lab::new(family);
            let id = lab.bind();
            let data = family.datagram(&[7; 2_000]);
            for (offset, len, more) in pieces {
                let end = (*offset).min(data.len() - len) + len;
                let piece = &data[end - len..end];
                lab.receive(&family.fragment((1, UDP), (*offset, *more), piece));
            }
            assert_eq!(lab.read(id), None, "{name}");
            assert_eq!(lab.stack.counters().ip_reassembled, 0, "{name}");
            lab.run(60_000);
            lab.assert_no_frame_lost();
        }
    }
}

/// Row 15: RFC 6946. An atomic fragment has nothing to do with fragments of the same identification.
#[test]
fn row_15_atomic_fragments_are_processed_in_isolation() {
    let mut lab = Lab::new(Family::V6);
    let id = lab.bind();
    let datagram = Family::V6.datagram(&[7; 3_000]);
    let mut frames = Family::V6.cut_evenly((5, UDP), &datagram, 1_448);
    let last = frames.pop().unwrap();
    lab.receive_all(&frames);
    let forged = Family::V6.datagram(&[6; 40]);
    let atomic = FragmentHeader::new(UDP, 0, false, 5);
    let payload = [atomic.as_bytes(), &forged].concat();
    let packet = v6::packet(v6::PEER, v6::OURS, next_header::FRAGMENT, 64, &payload);
    lab.receive(&v6::frame(v6::PEER_HW, v6::OURS, &packet));
    assert_eq!(lab.read(id), Some(vec![6; 40]));
    lab.receive(&last);
    assert_eq!(lab.read(id), Some(vec![7; 3_000]));
    lab.assert_no_frame_lost();
}

/// Row 15: RFC 8021, RFC 8201 §4. No message makes us send atomic fragments.
#[test]
fn row_15_a_small_path_mtu_makes_no_atomic_fragment() {
    let mut lab = Lab::new(Family::V6);
    let id = lab.bind();
    for mtu in [0u32, 68, 1_279, 1_280] {
        lab.stack
            .udp_send_to(lab.now, id, &[7; 1_300], lab.peer())
            .unwrap();
        let frames = lab.transmit();
        let header = mnet_core::wire::icmpv6::Icmpv6Header::new(2, 0, mtu);
        let message = [header.as_bytes(), &frames[0][14..14 + 60]].concat();
        lab.receive(&v6::icmp(v6::PEER_HW, (v6::PEER, v6::OURS, 64), &message));
        lab.stack
            .udp_send_to(lab.now, id, &[7; 1_000], lab.peer())
            .unwrap();
        // It asserts that there is no atomic fragment.
        assert_eq!(sent_packets(&lab.transmit(), 1_500)[0].fragments, 1);
    }
    assert_eq!(lab.stack.counters().udp_path_mtu_lowered, 1);
}

/// Rows 15 and 19: RFC 7739, CVE-2020-36516. Identifications of packets to one host say nothing about
/// those to another, cannot be foretold, and do not come again at once.
#[test]
fn row_15_and_19_identifications_of_fragments_are_unpredictable_and_kept_apart() {
    for family in FAMILIES {
        let ping = |lab: &mut Lab, host: u32, number: u32| {
            let source = family.stranger(host);
            let mut packet = vec![
                if family == Family::V4 { 8 } else { 128 },
                0,
                0,
                0,
                0,
                1,
                0,
                1,
            ];
            packet.resize(3_000, 7);
            let packet = family.summed(source, family.icmp(), 2, packet);
            let mut frames = Vec::new();
            for (piece, at) in packet.chunks(1_448).zip((0..).step_by(1_448)) {
                let place = (at, at + piece.len() < packet.len());
                frames.push(family.fragment_from(source, (number, family.icmp()), place, piece));
            }
            let sent = lab.receive_all(&frames);
            sent_packets(&sent, 1_500)[0].identification
        };
        // Strangers are behind the router, or have no route: the peer itself stands for them.
        let mut steps = BTreeSet::new();
        let mut lab = routed(family);
        let mut last = ping(&mut lab, 1, 0);
        for number in 1..1_000 {
            for _ in 0..number % 4 {
                ping(&mut lab, 2 + number % 7, number);
            }
            let next = ping(&mut lab, 1, number);
            let step = next.wrapping_sub(last)
                & if family == Family::V4 {
                    0xffff
                } else {
                    u32::MAX
                };
            steps.insert(step);
            last = next;
        }
        assert_eq!(steps, (1..=8).collect(), "whatever goes to others");
        let starts: BTreeSet<u32> = (0..100)
            .map(|host| ping(&mut lab, 100 + host, host))
            .collect();
        assert!(starts.len() >= 95, "{}", starts.len());
        let mut distances: Vec<u32> = starts
            .iter()
            .zip(starts.iter().skip(1))
            .map(|(a, b)| b - a)
            .collect();
        distances.sort_unstable();
        let range = if family == Family::V4 {
            1 << 16
        } else {
            u32::MAX
        };
        assert!(distances[50] > range / 1_000, "no cluster: {distances:?}");
    }
}

/// A host that knows a way to strangers.
fn routed(family: Family) -> Lab {
    let mut lab = Lab::new(family);
    if family == Family::V6 {
        let any = std::net::Ipv6Addr::UNSPECIFIED.into();
        lab.stack
            .add_route(any, 0, v6::PEER.into(), lab.interface)
            .unwrap();
    }
    lab
}

/// Row 20: RFC 5927. A forged error about a fragmented datagram must quote its ports.
#[test]
fn row_20_forged_errors_do_not_touch_fragmented_datagrams() {
    let mut lab = Lab::new(Family::V4);
    let id = lab.bind();
    lab.stack
        .udp_send_to(lab.now, id, &[7; 4_000], lab.peer())
        .unwrap();
    let frames = lab.transmit();
    for (number, frame) in (0..).zip(&frames) {
        let mut quoted = frame[14..42].to_vec();
        if number == 0 {
            quoted[22] ^= 1;
        }
        for (code, rest) in [(3, [0; 4]), (4, [0, 0, 2, 64])] {
            let message = icmp(3, code, rest, &quoted);
            lab.receive(&from_peer(&ipv4(
                link::PEER,
                link::OURS,
                1,
                &message,
                |_| {},
            )));
        }
    }
    assert_eq!(lab.stack.counters().icmp_error_unrelated, 6);
    assert_eq!(lab.stack.counters().udp_path_mtu_lowered, 0);
    assert!(lab.stack.udp_recv_from(lab.now, id, &mut [0; 9]).is_err());
}

/// Row 13: what waits cannot take the last frames of a small pool, nor the ones that others need.
#[test]
fn row_13_a_small_pool_keeps_its_reserve() {
    let config = Config {
        memory: 512 << 10,
        max_connections: Some(16),
        ..Config::default()
    };
    let mut lab = Lab::with(Family::V4, &config);
    let id = lab.bind();
    let from = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), 4_000);
    let to = SocketAddr::new(link::OURS.into(), PORT);
    for number in 0..10_000 {
        let source = Family::V4.stranger(number);
        let fragment = Family::V4.fragment_from(source, (number, UDP), (8, true), &[9; 1_448]);
        lab.receive(&fragment);
        let limits = lab.stack.limits();
        assert!(lab.held() <= limits.frames / 8);
        if number % 100 == 0 {
            lab.receive(&from_peer(&link::udp(from, to, b"short")));
            assert_eq!(lab.read(id), Some(b"short".to_vec()));
        }
    }
}
