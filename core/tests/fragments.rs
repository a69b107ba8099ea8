//! Packets in fragments, in and out, of both families (RFC 791, RFC 8200 §4.5).

mod common;

use common::fragments::*;
use common::link;
use common::random::Random;
use common::v6;
use mnet_core::Config;
use mnet_core::udp::UdpOptions;
use mnet_core::wire::icmpv6::Icmpv6Header;
use mnet_core::wire::ipv6::{FragmentHeader, next_header};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use zerocopy::IntoBytes;

fn bytes(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

/// What counts a fragment that was dropped, and nothing else.
fn only(counted: &[(&'static str, u64)], name: &str, times: u64) {
    assert_eq!(counted, [(name, times)]);
}

#[test]
fn datagrams_of_every_size_arrive_from_fragments_of_every_size() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let sizes = [1, 9, 1_460, 1_473, 1_481, 3_000, 20_000, family.largest()];
        for (number, size) in (0..).zip(sizes) {
            for (other, piece) in (0..).zip([1_480usize, 1_448, 1_232, 552]) {
                let payload = bytes(size);
                let key = (number * 10 + other, UDP);
                let mut frames = family.cut_evenly(key, &family.datagram(&payload), piece);
                if other % 2 == 1 {
                    frames.reverse();
                }
                assert_eq!(lab.receive_all(&frames).len(), 0);
                assert_eq!(lab.read(id), Some(payload), "{family:?} {size} {piece}");
                lab.assert_no_frame_lost();
            }
        }
    }
}

#[test]
fn a_datagram_that_does_not_fit_the_buffer_is_cut_and_the_next_one_is_whole() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        for number in 0..3 {
            let datagram = family.datagram(&bytes(9_000));
            lab.receive_all(&family.cut_evenly((number, UDP), &datagram, 1_448));
        }
        let mut buffer = [0; 2_000];
        for room in [2_000, 0] {
            let received = lab
                .stack
                .udp_recv_from(lab.now, id, &mut buffer[..room])
                .unwrap();
            assert_eq!(
                (received.len, received.datagram_len, received.remote),
                (room, 9_000, lab.peer())
            );
            assert_eq!(buffer[..room], bytes(room));
        }
        assert_eq!(lab.read(id), Some(bytes(9_000)));
        lab.assert_no_frame_lost();
    }
}

#[test]
fn what_follows_the_length_of_a_datagram_is_not_part_of_it() {
    for family in FAMILIES {
        for behind in [1, 1_000, 5_000] {
            let mut lab = Lab::new(family);
            let id = lab.bind();
            let packet = [family.datagram(&bytes(4_000)), bytes(behind)].concat();
            lab.receive_all(&family.cut_evenly((1, UDP), &packet, 1_448));
            assert_eq!(lab.read(id), Some(bytes(4_000)));
            lab.assert_no_frame_lost();
        }
    }
}

#[test]
fn a_wrong_checksum_or_length_is_found_across_fragments() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let good = family.datagram(&bytes(5_000));
        for (at, counter) in [(4_999, "udp_bad_checksum"), (4, "udp_malformed")] {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            lab.receive_all(&family.cut_evenly((1, UDP), &bad, 1_448));
            let counted = lab.counted();
            assert!(counted.contains(&(counter, 1)), "{counted:?}");
        }
        assert_eq!(lab.read(id), None);
        lab.assert_no_frame_lost();
    }
}

#[test]
fn the_queue_of_a_socket_counts_the_frames_of_long_datagrams() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let most = Config::default().udp_receive_buffer / lab.stack.limits().frame_size;
        for number in 0..20 {
            let datagram = family.datagram(&bytes(20_000));
            lab.receive_all(&family.cut_evenly((number, UDP), &datagram, 1_448));
        }
        assert!(
            lab.held() <= most && lab.held() > most - 14,
            "{}",
            lab.held()
        );
        let kept = lab.held() / 14;
        let full = 20 - u64::try_from(kept).unwrap();
        assert!(lab.counted().contains(&("udp_queue_full", full)));
        for _ in 0..kept {
            assert_eq!(lab.read(id), Some(bytes(20_000)));
        }
        assert_eq!(lab.read(id), None);
        let datagram = family.datagram(&bytes(20_000));
        lab.receive_all(&family.cut_evenly((99, UDP), &datagram, 1_448));
        lab.stack.close(lab.now, id).unwrap();
        lab.assert_no_frame_lost();
    }
}

#[test]
fn echo_requests_of_every_size_are_answered_whole() {
    for family in FAMILIES {
        for mtu in [1_500, 1_280] {
            let config = Config {
                max_mtu: mtu,
                ..Config::default()
            };
            let mut lab = Lab::with(family, &config);
            let room = mtu - if family == Family::V4 { 20 } else { 40 };
            let piece = (mtu - if family == Family::V4 { 20 } else { 48 }) / 8 * 8;
            let edges = [room - 9, room - 8, room - 7, room, room + 1, 2 * piece - 8];
            let sizes = edges.into_iter().chain([0, 1, 10_000, family.largest()]);
            for (number, size) in (0..).zip(sizes) {
                let request = family.echo(&bytes(size));
                let frames = if request.len() <= room && family == Family::V4 {
                    vec![link::from_peer(&link::ipv4(
                        link::PEER,
                        link::OURS,
                        1,
                        &request,
                        |_| {},
                    ))]
                } else {
                    family.cut_evenly((number, family.icmp()), &request, piece)
                };
                let sent = lab.receive_all(&frames);
                let packets = sent_packets(&sent, mtu);
                assert_eq!(packets.len(), 1, "{family:?} {size} of {mtu}");
                let reply = &packets[0];
                assert_eq!((reply.to, reply.protocol), (family.peer(), family.icmp()));
                assert_eq!(reply.fragments > 1, request.len() > room, "{size} of {mtu}");
                let mut expected = request.clone();
                expected[0] = if family == Family::V4 { 0 } else { 129 };
                let expected = family.summed(family.peer(), family.icmp(), 2, expected);
                assert_eq!(reply.payload, expected);
                lab.assert_no_frame_lost();
            }
        }
    }
}

/// Frames that carry more than the way back are cut.
#[test]
fn an_answer_takes_smaller_pieces_where_the_path_asks_for_it() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        too_big(&mut lab, id, 1_300);
        let request = family.echo(&bytes(10_000));
        let sent = lab.receive_all(&family.cut_evenly((1, family.icmp()), &request, 1_448));
        let packets = sent_packets(&sent, 1_300);
        assert_eq!((packets.len(), packets[0].payload.len()), (1, 10_008));
        assert_eq!(packets[0].payload[8..], bytes(10_000));
        lab.assert_no_frame_lost();
    }
}

/// A router says about a datagram of ours to the peer that its next hop carries `mtu`.
fn too_big(lab: &mut Lab, id: mnet_core::SocketId, mtu: u16) {
    let peer = lab.peer();
    lab.stack
        .udp_send_to(lab.now, id, &bytes(4_000), peer)
        .unwrap();
    let sent = lab.transmit();
    let first = sent.iter().find(|frame| frame.len() > 1_000).unwrap();
    let [high, low] = mtu.to_be_bytes();
    let error = match lab.family {
        Family::V4 => {
            let message = link::icmp(3, 4, [0, 0, high, low], &first[14..42]);
            link::from_peer(&link::ipv4(link::PEER, link::OURS, 1, &message, |_| {}))
        }
        Family::V6 => {
            let header = Icmpv6Header::new(2, 0, mtu.into());
            let message = [header.as_bytes(), &first[14..14 + 56]].concat();
            v6::icmp(v6::PEER_HW, (v6::PEER, v6::OURS, 64), &message)
        }
    };
    lab.receive(&error);
    assert_eq!(lab.stack.counters().udp_path_mtu_lowered, 1);
}

/// RFC 1122 §3.2.2.1, RFC 4443 §3.1: the packet that was put together is quoted.
#[test]
fn a_long_datagram_to_a_closed_port_is_answered_with_its_beginning() {
    for family in FAMILIES {
        for size in [1_490, 9_000] {
            let mut lab = Lab::new(family);
            let datagram = family.datagram(&bytes(size));
            let sent = lab.receive_all(&family.cut_evenly((7, UDP), &datagram, 1_448));
            let packets = sent_packets(&sent, 1_500);
            assert_eq!(packets.len(), 1);
            let error = &packets[0].payload;
            let total = datagram.len();
            let transport = match family {
                Family::V4 => {
                    assert_eq!((&error[..2], error.len()), (&[3, 3][..], 556));
                    let header = quoted_header_v4(&error[8..]);
                    assert_eq!(usize::from(header.total_len.get()), 20 + total);
                    assert!(!header.is_fragment() && header.protocol == UDP);
                    assert!(mnet_core::checksum::sum(&error[8..28]).is_valid());
                    &error[28..]
                }
                Family::V6 => {
                    assert_eq!((&error[..2], error.len()), (&[1, 4][..], 1_240));
                    let header = quoted_header_v6(&error[8..]);
                    assert_eq!(usize::from(header.payload_len.get()), total);
                    assert_eq!(header.next_header, UDP);
                    &error[48..]
                }
            };
            assert_eq!(transport, &datagram[..transport.len()]);
            lab.assert_no_frame_lost();
        }
    }
}

/// A segment from the peer, its checksum set.
fn segment(family: Family, flags: u8, (seq, ack): (u32, u32), payload: &[u8]) -> Vec<u8> {
    let mut packet = PEER_PORT.to_be_bytes().to_vec();
    packet.extend(80u16.to_be_bytes());
    packet.extend(seq.to_be_bytes());
    packet.extend(ack.to_be_bytes());
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(payload);
    family.summed(family.peer(), TCP, 16, packet)
}

#[test]
fn segments_in_fragments_are_taken_if_a_frame_holds_them() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let local = SocketAddr::new(family.ours(), 80);
        let listener = lab.stack.tcp_listen(local, 4).unwrap();
        let mut number = 0;
        let mut deliver = |lab: &mut Lab, segment: &[u8], piece: usize| {
            number += 1;
            let sent = lab.receive_all(&family.cut_evenly((number, TCP), segment, piece));
            sent_packets(&sent, 1_500)
        };
        let syn = segment(family, 2, (100, 0), b"");
        // A SYN of 20 bytes cannot be cut: the first fragment has the whole header (RFC 1858).
        let answers = deliver(&mut lab, &syn, 16);
        assert!(answers.iter().all(|answer| answer.protocol != TCP));
        let answer = deliver(&mut lab, &segment(family, 2, (100, 0), b"12345678"), 24);
        let theirs = u32::from_be_bytes(*answer[0].payload[4..].first_chunk().unwrap()) + 1;
        let data = bytes(1_400);
        deliver(&mut lab, &segment(family, 0x10, (101, theirs), &data), 360);
        let id = lab.stack.tcp_accept(listener).unwrap();
        let mut buffer = [0; 3_000];
        let n = lab.stack.tcp_recv(lab.now, id, &mut buffer).unwrap();
        assert_eq!(buffer[..n], data);
        lab.counted();
        let long = segment(family, 0x10, (1_501, theirs), &bytes(2_000));
        deliver(&mut lab, &long, 1_448);
        let expected = [("ip_reassembled", 1), ("ip_reassembled_too_large", 1)];
        assert_eq!(lab.counted(), expected);
        lab.stack.tcp_abort(lab.now, id).unwrap();
        // The end of the SYN waits for its beginning.
        lab.run(family.lifetime() * 1_000);
        lab.assert_no_frame_lost();
    }
}

/// RFC 792, RFC 8200 §4.5.
#[test]
fn who_sent_a_first_fragment_hears_that_the_others_did_not_come() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let first = family.fragment((1, UDP), (0, true), &bytes(64));
        lab.receive(&first);
        lab.receive(&family.fragment((2, UDP), (64, true), &bytes(64)));
        let code: [u8; 2] = match family {
            Family::V4 => [11, 1],
            Family::V6 => [3, 1],
        };
        let errors = |lab: &mut Lab, millis| {
            let mut sent = sent_packets(&lab.run(millis), 1_500);
            sent.retain(|packet| packet.payload[..2] == code);
            sent
        };
        assert_eq!(errors(&mut lab, family.lifetime() * 1_000 - 1), []);
        lab.counted();
        let sent = errors(&mut lab, 1);
        let counted = lab.counted();
        assert!(counted.contains(&("ip_fragment_expired", 2)), "{counted:?}");
        assert_eq!((sent.len(), sent[0].to), (1, family.peer()));
        assert_eq!(sent[0].payload[4..8], [0; 4]);
        assert_eq!(sent[0].payload[8..], first[14..], "as it came");
        lab.assert_no_frame_lost();
    }
}

/// Each case: fragments of one packet, and what counts how many of them.
#[test]
fn every_rule_for_fragments_has_its_counter() {
    type Piece = (usize, usize, bool);
    let cases: [(&str, u64, &[Piece]); 15] = [
        ("ip_fragment_bad_length", 1, &[(0, 9, true)]),
        ("ip_fragment_bad_length", 1, &[(8, 0, true)]),
        ("ip_fragment_bad_length", 1, &[(8, 0, false)]),
        ("ip_fragment_too_long", 1, &[(65_528, 8, false)]),
        ("ip_fragment_too_long", 1, &[(65_512, 32, true)]),
        ("ip_fragment_duplicate", 1, &[(8, 8, true), (8, 8, true)]),
        ("ip_fragment_overlap", 2, &[(8, 16, true), (16, 16, true)]),
        ("ip_fragment_overlap", 2, &[(16, 16, true), (8, 16, true)]),
        ("ip_fragment_overlap", 2, &[(8, 24, true), (16, 8, true)]),
        ("ip_fragment_overlap", 2, &[(16, 8, true), (8, 24, true)]),
        ("ip_fragment_overlap", 2, &[(8, 8, true), (8, 8, false)]),
        ("ip_fragment_bad_end", 2, &[(16, 8, false), (24, 8, true)]),
        ("ip_fragment_bad_end", 2, &[(16, 8, false), (32, 8, false)]),
        ("ip_fragment_bad_end", 2, &[(16, 8, true), (8, 8, false)]),
        ("ip_fragment_bad_end", 2, &[(16, 4, false), (8, 4, false)]),
    ];
    for family in FAMILIES {
        for (counter, times, pieces) in cases {
            let mut lab = Lab::new(family);
            for (offset, len, more) in pieces {
                let fragment = family.fragment((1, UDP), (*offset, *more), &vec![7; *len]);
                lab.receive(&fragment);
            }
            let counted = lab.counted();
            assert!(
                counted.contains(&(counter, times)),
                "{family:?} {pieces:?}: {counted:?}"
            );
            let drops = counted
                .iter()
                .filter(|(name, _)| name.starts_with("ip_fragment"));
            assert_eq!(drops.count(), 1, "{counted:?}");
            let kept = usize::from(counter == "ip_fragment_duplicate");
            assert_eq!(lab.held(), kept);
            let refused = !["ip_fragment_bad_length", "ip_fragment_too_long"].contains(&counter);
            if refused && kept == 0 {
                lab.receive(&family.fragment((1, UDP), (40, false), &[7; 8]));
                only(&lab.counted(), "ip_fragment_condemned", 1);
            }
        }
    }
}

/// RFC 1858, RFC 3128, RFC 7112.
#[test]
fn a_first_fragment_has_the_whole_header_of_its_transport() {
    for family in FAMILIES {
        let icmp = family.icmp();
        let mut options = segment(family, 2, (1, 0), &[1; 20]);
        options[12] = 0xa0;
        let tiny: [(u8, &[u8], usize); 4] = [
            (TCP, &[9; 16], 0),
            (TCP, &options[..32], 0),
            (UDP, &[], 8),
            (icmp, &[], 8),
        ];
        for (protocol, data, _) in tiny.into_iter().filter(|(.., least)| *least == 0) {
            let mut lab = Lab::new(family);
            lab.receive(&family.fragment((1, protocol), (0, true), data));
            assert!(
                lab.counted().contains(&("ip_fragment_tiny", 1)),
                "{family:?} {protocol}"
            );
            lab.assert_no_frame_lost();
        }
        // Eight bytes are a whole header of the others.
        for protocol in [UDP, icmp] {
            let mut lab = Lab::new(family);
            lab.receive(&family.fragment((1, protocol), (0, true), &[9; 8]));
            assert_eq!((lab.counted(), lab.held()), (vec![], 1));
        }
    }
    // RFC 3128: what would overwrite the flags of the first fragment.
    let mut lab = Lab::new(Family::V4);
    lab.receive(&Family::V4.fragment((1, TCP), (8, true), &[9; 24]));
    only(&lab.counted(), "ip_fragment_tiny", 1);
}

/// RFC 8200 §4.5, RFC 7112 §5: what the sender is told.
#[test]
fn malformed_fragments_of_ipv6_are_reported() {
    let v6 = Family::V6;
    let cases = [
        (v6.fragment((1, UDP), (0, true), &[7; 9]), 0, 4),
        (v6.fragment((1, UDP), (65_528, false), &[7; 9]), 0, 42),
        (v6.fragment((1, TCP), (0, true), &[7; 16]), 3, 0),
        (
            v6.fragment((1, 60), (0, true), &[17, 1, 0, 0, 0, 0, 0, 0]),
            3,
            0,
        ),
    ];
    for (fragment, code, pointer) in cases {
        let mut lab = Lab::new(v6);
        let sent = sent_packets(&lab.receive(&fragment), 1_500);
        let error = &sent[0].payload;
        assert_eq!(error[..2], [4, code]);
        assert_eq!(error[4..8], u32::to_be_bytes(pointer));
        assert_eq!(error[8..], fragment[14..]);
        lab.assert_no_frame_lost();
    }
}

/// A fragment of IPv6 whose headers in front of the fragment header are `before`.
fn behind(before: &[u8], first: u8, header: FragmentHeader, data: &[u8]) -> Vec<u8> {
    let mut before = before.to_vec();
    if let Some(next) = before.first_mut() {
        *next = next_header::FRAGMENT;
    }
    let first = if before.is_empty() {
        next_header::FRAGMENT
    } else {
        first
    };
    let payload = [&before, header.as_bytes(), data].concat();
    let packet = v6::packet(v6::PEER, v6::OURS, first, 64, &payload);
    v6::frame(v6::PEER_HW, v6::OURS, &packet)
}

/// RFC 8200 §4.5: what is in front of the fragment header is the first fragment's; what is behind it
/// is looked at once the packet is complete.
#[test]
fn extension_headers_stand_before_and_behind_the_fragment_header() {
    let v6 = Family::V6;
    let hop_by_hop = [0, 0, 1, 4, 0, 0, 0, 0];
    let options = [17, 0, 1, 4, 0, 0, 0, 0];
    let datagram = v6.datagram(&bytes(3_000));
    for before in [&hop_by_hop[..], &[]] {
        for inside in [&options[..], &[]] {
            let mut lab = Lab::new(v6);
            let id = lab.bind();
            let packet = [inside, &datagram].concat();
            let next = if inside.is_empty() { UDP } else { 60 };
            for (piece, at) in packet.chunks(1_000).zip((0u16..).step_by(1_000)) {
                let more = usize::from(at) + piece.len() < packet.len();
                // Others than the first may say what they like.
                let (before, next) = if at == 0 {
                    (before, next)
                } else {
                    (&[][..], 59)
                };
                let header = FragmentHeader::new(next, at, more, 5);
                lab.receive(&behind(before, 0, header, piece));
            }
            assert_eq!(lab.read(id), Some(bytes(3_000)));
            lab.assert_no_frame_lost();
        }
    }
    // An option that is not known, reported with the packet as it is without the fragment header.
    let mut lab = Lab::new(v6);
    let packet = [&[17, 0, 0x80, 4, 0, 0, 0, 0], &datagram[..]].concat();
    let sent = lab.receive_all(&v6.cut_evenly((1, 60), &packet, 1_000));
    let error = &sent_packets(&sent, 1_500)[0].payload;
    assert_eq!(error[..2], [4, 2]);
    assert_eq!(error[4..8], [0, 0, 0, 42]);
    let quoted = quoted_header_v6(&error[8..]);
    assert_eq!(usize::from(quoted.payload_len.get()), packet.len());
    assert_eq!(quoted.next_header, 60);
    assert_eq!(error[48..], packet[..error.len() - 48]);
    lab.assert_no_frame_lost();
    // A fragment header within.
    let mut lab = Lab::new(v6);
    let inner = FragmentHeader::new(UDP, 0, false, 9);
    let packet = [inner.as_bytes(), &datagram].concat();
    lab.receive_all(&v6.cut_evenly((1, next_header::FRAGMENT), &packet, 1_000));
    assert!(lab.counted().contains(&("ip_bad_extension", 1)));
    lab.assert_no_frame_lost();
}

/// RFC 6980.
#[test]
fn neighbour_discovery_in_fragments_is_dropped() {
    let v6 = Family::V6;
    let mut lab = Lab::new(v6);
    let solicitation = v6::solicitation(
        v6::PEER_HW,
        (v6::PEER, v6::OURS),
        v6::OURS,
        &mnet_core::wire::ndp::source_link_layer(v6::PEER_HW),
    );
    assert_eq!(lab.receive(&solicitation).len(), 1);
    lab.counted();
    let message = &solicitation[54..];
    for (offset, piece) in [(0, &message[..24]), (24, &message[24..])] {
        let more = offset == 0;
        let header = FragmentHeader::new(58, offset, more, 5);
        let payload = [header.as_bytes(), piece].concat();
        let packet = v6::packet(v6::PEER, v6::OURS, next_header::FRAGMENT, 255, &payload);
        lab.receive(&v6::frame(v6::PEER_HW, v6::OURS, &packet));
    }
    assert!(lab.counted().contains(&("nd_malformed", 1)));
    lab.assert_no_frame_lost();
}

#[test]
fn fragments_to_everybody_reach_the_sockets_and_get_no_error() {
    let mut lab = Lab::new(Family::V4);
    let id = lab.bind();
    let everybody = Ipv4Addr::new(10, 0, 0, 255);
    let payload = bytes(3_000);
    let peer = SocketAddr::new(link::PEER.into(), PEER_PORT);
    let datagram = link::udp(peer, SocketAddr::new(everybody.into(), PORT), &payload);
    let send = |lab: &mut Lab, id: u16, pieces: usize| {
        let data = &datagram[20..];
        for (piece, at) in data.chunks(1_480).zip((0..).step_by(1_480)).take(pieces) {
            let more = at + piece.len() < data.len();
            let packet = link::ipv4(link::PEER, everybody, UDP, piece, |header| {
                header.set_fragment(id, at, more);
            });
            let frame = link::ethernet(link::PEER_HW, link::ALL, 0x0800, &packet);
            assert_eq!(lab.receive(&frame).len(), 0);
        }
    };
    send(&mut lab, 1, 3);
    assert_eq!(lab.read(id), Some(payload));
    send(&mut lab, 2, 2);
    lab.counted();
    assert_eq!(lab.run(30_000).len(), 0);
    assert_eq!(
        lab.counted(),
        [("ip_fragment_expired", 2), ("icmp_suppressed", 1)]
    );
    lab.assert_no_frame_lost();
}

/// RFC 8200 §4.5, RFC 5722: random cuts, orders and copies of the same pieces make the datagram;
/// with a piece that lies, nothing comes out, or what was sent.
#[test]
fn random_fragments_make_what_was_sent_or_nothing() {
    for seed in 0..200 {
        let mut random = Random(seed);
        for family in FAMILIES {
            let mut lab = Lab::new(family);
            let id = lab.bind();
            for number in 0..6 {
                let size = [100, 2_000, 30_000][random.below(3)];
                let payload: Vec<u8> = (0..random.below(size) + 9).map(|_| random.byte()).collect();
                let datagram = family.datagram(&payload);
                let mut cuts = vec![];
                let mut at = 0;
                while cuts.len() < 100 {
                    at += 8 + random.below(1_440 / 8) * 8;
                    if at >= datagram.len() {
                        break;
                    }
                    cuts.push(at);
                }
                if datagram.len() - cuts.last().unwrap_or(&0) > 1_448 {
                    continue;
                }
                let mut frames = family.cut((number, UDP), &datagram, &cuts);
                for _ in 0..random.below(4) {
                    let copy = random.below(frames.len());
                    frames.push(frames[copy].clone());
                }
                let lies = random.per_mille(400);
                if lies {
                    let from = random.below(datagram.len() / 8) * 8;
                    let len = (8 + random.below(100) * 8).min(datagram.len() - from);
                    let data: Vec<u8> = (0..len).map(|_| random.byte()).collect();
                    let more = len.is_multiple_of(8) && random.per_mille(800);
                    let lie = family.fragment((number, UDP), (from, more), &data);
                    frames.push(lie);
                }
                for place in (1..frames.len()).rev() {
                    frames.swap(place, random.below(place + 1));
                }
                lab.receive_all(&frames);
                let read = lab.read(id);
                if lies {
                    assert!(read.is_none_or(|read| read == payload), "seed {seed}");
                } else {
                    assert!(
                        read.as_ref() == Some(&payload),
                        "seed {seed}: {family:?} {number}"
                    );
                }
                // Copies of all pieces are the datagram again.
                while let Some(again) = lab.read(id) {
                    assert!(again == payload, "seed {seed}");
                }
            }
            // Copies that came when their packet was complete.
            lab.run(60_000);
            lab.assert_no_frame_lost();
        }
    }
}

/// Sockets that share a port each get a copy of a broadcast, and reading in place shows its beginning.
#[test]
fn long_broadcasts_reach_every_socket_that_shares_the_port() {
    let mut lab = Lab::new(Family::V4);
    let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), PORT);
    let options = UdpOptions { reuse: true };
    let ids: Vec<_> = (0..3)
        .map(|_| lab.stack.udp_bind_with(any, options).unwrap())
        .collect();
    let everybody = Ipv4Addr::new(10, 0, 0, 255);
    let peer = SocketAddr::new(link::PEER.into(), PEER_PORT);
    let datagram = link::udp(peer, SocketAddr::new(everybody.into(), PORT), &bytes(5_000));
    let data = &datagram[20..];
    for (piece, at) in data.chunks(1_480).zip((0..).step_by(1_480)) {
        let more = at + piece.len() < data.len();
        let packet = link::ipv4(link::PEER, everybody, UDP, piece, |header| {
            header.set_fragment(1, at, more);
        });
        lab.receive(&link::ethernet(link::PEER_HW, link::ALL, 0x0800, &packet));
    }
    let shown = lab.stack.udp_peek(lab.now, ids[0]).unwrap();
    assert_eq!(
        (shown.info.datagram_len, shown.data),
        (5_000, &bytes(1_472)[..])
    );
    assert_eq!(shown.info.destination, IpAddr::from(everybody));
    for id in &ids {
        assert_eq!(lab.read(*id), Some(bytes(5_000)));
        assert_eq!(lab.read(*id), None);
    }
    lab.assert_no_frame_lost();
}

/// Connecting drops what waits from others, whole datagrams of it.
#[test]
fn connecting_keeps_the_long_datagrams_of_the_peer_only() {
    for family in FAMILIES {
        for (port, kept) in [(PEER_PORT, true), (PEER_PORT + 1, false)] {
            let mut lab = Lab::new(family);
            let id = lab.bind();
            for number in 0..3 {
                let datagram = family.datagram(&bytes(3_000));
                lab.receive_all(&family.cut_evenly((number, UDP), &datagram, 1_448));
            }
            let peer = SocketAddr::new(family.peer(), port);
            lab.stack.udp_connect(lab.now, id, Some(peer)).unwrap();
            for _ in 0..3 {
                assert_eq!(lab.read(id), kept.then(|| bytes(3_000)));
            }
            lab.assert_no_frame_lost();
        }
    }
}

#[test]
fn a_long_datagram_can_be_dropped_unread() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let datagram = family.datagram(&bytes(3_000));
        lab.receive_all(&family.cut_evenly((1, UDP), &datagram, 1_448));
        lab.stack.udp_consume(lab.now, id).unwrap();
        assert_eq!(lab.read(id), None);
        lab.assert_no_frame_lost();
    }
}
