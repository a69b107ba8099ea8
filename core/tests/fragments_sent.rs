//! Datagrams that leave in fragments, of both families (RFC 791, RFC 6864, RFC 8200 §4.5).

mod common;

use common::fragments::*;
use common::{link, v6};
use mnet_core::error::{RecvFromError, SendToError};
use mnet_core::udp::UdpSetting;
use mnet_core::wire::icmpv6::Icmpv6Header;
use mnet_core::{Config, Event, Readiness, SocketId};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use zerocopy::IntoBytes;

fn bytes(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

fn send(lab: &mut Lab, id: SocketId, len: usize) -> Result<(), SendToError> {
    let to = lab.peer();
    lab.stack.udp_send_to(lab.now, id, &bytes(len), to)
}

/// The payload of a datagram of ours to the peer, its header and checksum checked.
fn payload_of(family: Family, packet: &SentPacket) -> &[u8] {
    assert_eq!((packet.to, packet.protocol), (family.peer(), UDP));
    let datagram = &packet.payload;
    let len = u16::try_from(datagram.len()).unwrap();
    let mut header = PORT.to_be_bytes().to_vec();
    header.extend(PEER_PORT.to_be_bytes());
    header.extend(len.to_be_bytes());
    assert_eq!(datagram[..6], header);
    assert_ne!(datagram[6..8], [0, 0]);
    let pseudo =
        mnet_core::checksum::pseudo_header(family.ours(), family.peer(), UDP, datagram.len());
    assert!((pseudo + mnet_core::checksum::sum(datagram)).is_valid());
    &datagram[8..]
}

#[test]
fn datagrams_of_every_size_leave_in_as_few_fragments_as_the_link_allows() {
    for family in FAMILIES {
        for mtu in [1_500, 1_280] {
            let config = Config {
                max_mtu: mtu,
                ..Config::default()
            };
            let mut lab = Lab::with(family, &config);
            let id = lab.bind();
            let header = if family == Family::V4 { 20 } else { 40 };
            let piece = match family {
                Family::V4 => (mtu - 20) / 8 * 8,
                Family::V6 => (mtu - 48) / 8 * 8,
            };
            let whole = mtu - header - 8;
            let edges = [whole - 1, whole, whole + 1, 2 * piece - 8, 2 * piece - 7];
            for size in edges.into_iter().chain([0, 5_000, family.largest()]) {
                send(&mut lab, id, size).unwrap();
                let packets = sent_packets(&lab.transmit(), mtu);
                assert_eq!(packets.len(), 1);
                assert_eq!(payload_of(family, &packets[0]), bytes(size));
                let fragments = if size <= whole {
                    1
                } else {
                    (size + 8).div_ceil(piece)
                };
                assert_eq!(
                    packets[0].fragments, fragments,
                    "{family:?} {size} of {mtu}"
                );
            }
            let too_long = send(&mut lab, id, family.largest() + 1);
            assert_eq!(too_long, Err(SendToError::MessageTooLong));
            lab.assert_no_frame_lost();
        }
    }
}

/// RFC 6864 §4.3, RFC 7739 §4: they differ for one receiver, and have nothing to do with each other
/// for different ones.
#[test]
fn identifications_do_not_repeat_and_start_anywhere() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let mut seen = BTreeSet::new();
        for _ in 0..5_000 {
            send(&mut lab, id, 2_000).unwrap();
            let packets = sent_packets(&lab.transmit(), 1_500);
            assert!(seen.insert(packets[0].identification));
        }
    }
    let starts: BTreeSet<u32> = (1..200u8)
        .map(|last| {
            let mut lab = Lab::new(Family::V4);
            let id = lab.bind();
            let everybody = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 255).into(), 9);
            let allowed = UdpSetting::Broadcast(true);
            lab.stack.udp_set(lab.now, id, allowed).unwrap();
            for _ in 0..last {
                lab.stack.random(&mut [0; 4]);
            }
            lab.stack
                .udp_send_to(lab.now, id, &bytes(2_000), everybody)
                .unwrap();
            sent_packets(&lab.transmit(), 1_500)[0].identification
        })
        .collect();
    assert!(starts.len() > 190, "{}", starts.len());
}

#[test]
fn broadcasts_leave_in_fragments() {
    let mut lab = Lab::new(Family::V4);
    let id = lab.bind();
    let everybody: IpAddr = Ipv4Addr::new(10, 0, 0, 255).into();
    let allowed = UdpSetting::Broadcast(true);
    lab.stack.udp_set(lab.now, id, allowed).unwrap();
    lab.stack
        .udp_send_to(lab.now, id, &bytes(4_000), SocketAddr::new(everybody, 9))
        .unwrap();
    let frames = lab.transmit();
    assert!(frames.iter().all(|frame| frame[..6] == link::ALL.0));
    let packets = sent_packets(&frames, 1_500);
    assert_eq!((packets[0].to, packets[0].fragments), (everybody, 3));
}

/// RFC 1191, RFC 8201: what a router says about a fragment makes the next ones smaller.
#[test]
fn the_path_mtu_decides_the_size_of_fragments() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        for (mtu, then) in [(1_400u16, 1_400), (1_279, 1_400), (1_300, 1_300)] {
            send(&mut lab, id, 9_000).unwrap();
            let frames = lab.transmit();
            // About the last fragment nobody can say whose it was.
            for about in [frames.last().unwrap(), &frames[0]] {
                let packet = &about[14..];
                let error = match family {
                    Family::V4 if mtu == 1_279 => continue,
                    Family::V4 => {
                        let [high, low] = mtu.to_be_bytes();
                        let message = link::icmp(3, 4, [0, 0, high, low], &packet[..28]);
                        let packet = link::ipv4(link::PEER, link::OURS, 1, &message, |_| {});
                        link::from_peer(&packet)
                    }
                    Family::V6 => {
                        let header = Icmpv6Header::new(2, 0, mtu.into());
                        let quoted = &packet[..packet.len().min(1_232)];
                        let message = [header.as_bytes(), quoted].concat();
                        v6::icmp(v6::PEER_HW, (v6::PEER, v6::OURS, 64), &message)
                    }
                };
                lab.receive(&error);
            }
            send(&mut lab, id, 9_000).unwrap();
            let frames = lab.transmit();
            let packets = sent_packets(&frames, then);
            assert_eq!(payload_of(family, &packets[0]), bytes(9_000));
            assert!(frames[0].len() > 14 + then - 8, "no smaller than need be");
        }
        assert_eq!(lab.stack.counters().udp_path_mtu_lowered, 2);
    }
}

#[test]
fn a_long_datagram_leaves_whole_or_not_at_all() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let limits = lab.stack.limits();
        let mut sent = 0;
        while send(&mut lab, id, 60_000).is_ok() {
            sent += 1;
        }
        assert_eq!(send(&mut lab, id, 60_000), Err(SendToError::WouldBlock));
        assert!(sent > 10 && lab.stack.pool_frames().free >= limits.reserved_frames);
        // It may send what there is room for, and otherwise hears when there is room for all.
        assert_eq!(lab.stack.poll_event(), None);
        assert!(
            !lab.stack
                .readiness(id)
                .unwrap()
                .contains(Readiness::WRITABLE)
        );
        let needed = limits.reserved_frames + 41;
        let event = Event {
            socket: id,
            readiness: Readiness::WRITABLE,
        };
        let mut frames = Vec::new();
        let told = loop {
            let frame = lab.stack.transmit(lab.now);
            frames.push(
                frame
                    .map(|frame| frame.slices.concat())
                    .expect("more to send"),
            );
            if let Some(told) = lab.stack.poll_event() {
                break told;
            }
            assert!(lab.stack.pool_frames().free <= needed + 1);
        };
        assert_eq!(told, event);
        assert_eq!(send(&mut lab, id, 60_000), Ok(()));
        frames.extend(lab.transmit());
        let packets = sent_packets(&frames, 1_500);
        assert_eq!(packets.len(), sent + 1);
        assert!(
            packets
                .iter()
                .all(|p| payload_of(family, p) == bytes(60_000))
        );
        lab.assert_no_frame_lost();
    }
}

#[test]
fn a_datagram_that_the_pool_can_never_hold_is_too_long() {
    let config = Config {
        memory: 400 << 10,
        max_connections: Some(8),
        max_udp_sockets: 2,
        max_mtu: 576,
        ..Config::default()
    };
    let mut lab = Lab::with(Family::V4, &config);
    let id = lab.bind();
    let limits = lab.stack.limits();
    let most = (limits.frames - limits.reserved_frames) * 552 - 8;
    let largest = most.min(65_507);
    assert_eq!(send(&mut lab, id, largest), Ok(()));
    assert_eq!(sent_packets(&lab.transmit(), 576).len(), 1);
    assert_eq!(
        send(&mut lab, id, largest + 1),
        Err(SendToError::MessageTooLong)
    );
    lab.assert_no_frame_lost();
}

/// A neighbour of ours that nobody knows yet, and its answer.
fn stranger(family: Family) -> (IpAddr, Vec<u8>) {
    match family {
        Family::V4 => (
            link::OTHER.into(),
            link::arp_reply((link::OTHER_HW, link::OTHER)),
        ),
        Family::V6 => {
            let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9);
            let flags = mnet_core::wire::ndp::advertisement_flags::SOLICITED;
            let answer = v6::advertisement(link::OTHER_HW, (address, v6::OURS), (address, flags));
            (address.into(), answer)
        }
    }
}

/// RFC 1122 §2.3.2.2, RFC 4861 §7.2.2.
#[test]
fn all_fragments_wait_for_an_unknown_neighbour_together() {
    for family in FAMILIES {
        let (address, answer) = stranger(family);
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let to = SocketAddr::new(address, PEER_PORT);
        let send = |lab: &mut Lab, len| {
            lab.stack.udp_send_to(lab.now, id, &bytes(len), to).unwrap();
        };
        send(&mut lab, 10);
        send(&mut lab, family.largest());
        send(&mut lab, 20);
        assert_eq!(
            sent_packets(&lab.transmit(), 1_500)
                .iter()
                .filter(|p| p.protocol == UDP)
                .count(),
            0
        );
        let packets = sent_packets(&lab.receive(&answer), 1_500);
        let lens: Vec<usize> = packets.iter().map(|p| p.payload.len() - 8).collect();
        assert_eq!(lens, [10, family.largest(), 20]);
        lab.assert_no_frame_lost();

        // More than may wait: whole packets give way.
        let (address, answer) = stranger(family);
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let to = SocketAddr::new(address, PEER_PORT);
        for _ in 0..6 {
            lab.stack
                .udp_send_to(lab.now, id, &bytes(60_000), to)
                .unwrap();
        }
        lab.transmit();
        assert!(lab.held() <= 128, "{}", lab.held());
        let packets = sent_packets(&lab.receive(&answer), 1_500);
        assert_eq!(packets.len(), 3);
        let dropped = lab
            .counted()
            .iter()
            .find_map(|(name, n)| (*name == "neighbour_pending_dropped").then_some(*n));
        assert_eq!(dropped, Some(3 * packets[0].fragments as u64));
        lab.assert_no_frame_lost();
    }
}

#[test]
fn a_neighbour_that_does_not_answer_is_reported_once() {
    for family in FAMILIES {
        let (address, _) = stranger(family);
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let to = SocketAddr::new(address, PEER_PORT);
        lab.stack
            .udp_send_to(lab.now, id, &bytes(9_000), to)
            .unwrap();
        lab.run(10_000);
        let error = lab.stack.udp_recv_from(lab.now, id, &mut [0; 9]);
        assert_eq!(error, Err(RecvFromError::Unreachable));
        let error = lab.stack.udp_recv_from(lab.now, id, &mut [0; 9]);
        assert_eq!(error, Err(RecvFromError::WouldBlock));
        lab.assert_no_frame_lost();
    }
}

/// RFC 8085 §3.2.
#[test]
fn a_socket_that_forbids_fragments_is_told_what_is_too_long() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        let forbidden = UdpSetting::DontFragment(true);
        lab.stack.udp_set(lab.now, id, forbidden).unwrap();
        let peer = lab.peer();
        let most = lab.stack.udp_max_payload(lab.now, id, Some(peer)).unwrap();
        assert_eq!(send(&mut lab, id, most), Ok(()));
        assert_eq!(
            send(&mut lab, id, most + 1),
            Err(SendToError::MessageTooLong)
        );
        assert_eq!(sent_packets(&lab.transmit(), 1_500)[0].fragments, 1);
        let allowed = UdpSetting::DontFragment(false);
        lab.stack.udp_set(lab.now, id, allowed).unwrap();
        assert_eq!(send(&mut lab, id, most + 1), Ok(()));
        assert_eq!(sent_packets(&lab.transmit(), 1_500)[0].fragments, 2);
        lab.assert_no_frame_lost();
    }
}

/// What a socket chooses for its packets stands in each fragment.
#[test]
fn fragments_have_the_hops_and_the_class_of_their_socket() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let id = lab.bind();
        for setting in [UdpSetting::TimeToLive(7), UdpSetting::TrafficClass(0xb8)] {
            lab.stack.udp_set(lab.now, id, setting).unwrap();
        }
        send(&mut lab, id, 4_000).unwrap();
        let frames = lab.transmit();
        assert_eq!(frames.len(), 3);
        for frame in &frames {
            let packet = &frame[14..];
            let (hops, class) = match family {
                Family::V4 => (packet[8], packet[1]),
                Family::V6 => (packet[7], quoted_header_v6(packet).traffic_class()),
            };
            assert_eq!((hops, class), (7, 0xb8));
        }
    }
}
