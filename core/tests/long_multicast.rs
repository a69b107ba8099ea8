//! Datagrams to groups that are longer than a packet: what members on this host get of those that are
//! sent here, and members on one port of those that come in fragments.

mod common;

use common::fragments::*;
use common::{link, v6};
use mnet_core::udp::{GroupChange, UdpOptions, UdpSetting};
use mnet_core::wire::ethernet::{EthernetAddress, ether_type};
use mnet_core::wire::ipv6::{FragmentHeader, next_header};
use mnet_core::{Config, SocketId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use zerocopy::IntoBytes;

const MTU: usize = 1_500;

fn bytes(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

fn group(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(239, 1, 2, 3).into(),
        Family::V6 => Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 1, 3).into(),
    }
}

/// So many sockets on one port, in the group, once the link has heard of it.
fn members(lab: &mut Lab, count: usize) -> Vec<SocketId> {
    let any: IpAddr = match lab.family {
        Family::V4 => Ipv4Addr::UNSPECIFIED.into(),
        Family::V6 => Ipv6Addr::UNSPECIFIED.into(),
    };
    let options = UdpOptions { reuse: true };
    let local = SocketAddr::new(any, PORT);
    let ids: Vec<_> = (0..count)
        .map(|_| {
            let id = lab.stack.udp_bind_with(local, options).unwrap();
            let group = group(lab.family);
            lab.stack.udp_join(lab.now, id, group, None).unwrap();
            id
        })
        .collect();
    lab.run(5_000);
    lab.counted();
    ids
}

/// A datagram from the peer to the group, in fragments.
fn fragments(family: Family, identification: u32, payload: &[u8]) -> Vec<Vec<u8>> {
    match group(family) {
        IpAddr::V4(to) => {
            let [_, a, b, c] = to.octets();
            let hardware = EthernetAddress([1, 0, 0x5e, a & 0x7f, b, c]);
            let from = SocketAddr::new(family.peer(), PEER_PORT);
            let packet = link::udp(from, SocketAddr::new(to.into(), PORT), payload);
            let fragment = |(data, at, more)| {
                let packet = link::ipv4(link::PEER, to, UDP, data, |header| {
                    let [.., a, b] = identification.to_be_bytes();
                    header.set_fragment(u16::from_be_bytes([a, b]), at, more);
                });
                link::ethernet(link::PEER_HW, hardware, ether_type::IPV4, &packet)
            };
            cut(&packet[20..]).map(fragment).collect()
        }
        IpAddr::V6(to) => {
            let len = u16::try_from(8 + payload.len()).unwrap();
            let header = [PEER_PORT, PORT, len, 0].map(u16::to_be_bytes).concat();
            let datagram = v6::summed(v6::PEER, to, UDP, &[&header, payload].concat());
            let fragment = |(data, at, more): (&[u8], usize, bool)| {
                let at = u16::try_from(at).unwrap();
                let header = FragmentHeader::new(UDP, at, more, identification);
                let content = [header.as_bytes(), data].concat();
                let packet = v6::packet(v6::PEER, to, next_header::FRAGMENT, 1, &content);
                v6::frame(v6::PEER_HW, to, &packet)
            };
            cut(&datagram).map(fragment).collect()
        }
    }
}

/// Pieces, where each lies, and whether more follow.
fn cut(datagram: &[u8]) -> impl Iterator<Item = (&[u8], usize, bool)> {
    const PIECE: usize = 1_448;
    let places = (0..).step_by(PIECE);
    datagram
        .chunks(PIECE)
        .zip(places)
        .map(|(data, at)| (data, at, at + data.len() < datagram.len()))
}

#[test]
fn members_here_get_a_long_datagram_whole_and_it_leaves_in_fragments() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let members = members(&mut lab, 3);
        let to = SocketAddr::new(group(family), PORT);
        let sender = members[0];
        for len in [1_473, 3_000, 20_000] {
            let payload = bytes(len);
            let sent = lab.stack.udp_send_to(lab.now, sender, &payload, to);
            sent.unwrap();
            for id in &members {
                let shown = lab.stack.udp_peek(lab.now, *id).unwrap().info;
                assert_eq!((shown.datagram_len, shown.destination), (len, to.ip()));
                assert_eq!(shown.remote, SocketAddr::new(family.ours(), PORT));
                assert_eq!(shown.hop_limit, 1);
                assert!(lab.read(*id).as_ref() == Some(&payload), "{family:?} {len}");
                assert_eq!(lab.read(*id), None);
            }
            let packets = sent_packets(&lab.transmit(), MTU);
            assert_eq!(packets.len(), 1);
            assert!(packets[0].fragments > 1);
            lab.assert_no_frame_lost();
        }
        let counted = lab.counted();
        let names: Vec<_> = counted.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["ip_fragmented", "ip_fragments_sent", "udp_sent"]);
    }
}

#[test]
fn a_long_datagram_that_is_not_to_loop_or_not_to_leave_does_not() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let members = members(&mut lab, 2);
        let to = SocketAddr::new(group(family), PORT);
        let payload = bytes(5_000);
        // For the others on the link alone.
        let setting = UdpSetting::MulticastLoop(false);
        lab.stack.udp_set(lab.now, members[0], setting).unwrap();
        lab.stack
            .udp_send_to(lab.now, members[0], &payload, to)
            .unwrap();
        assert_eq!(sent_packets(&lab.transmit(), MTU).len(), 1);
        assert_eq!(lab.read(members[0]), None);
        assert_eq!(lab.read(members[1]), None);
        // For this host alone.
        let setting = UdpSetting::MulticastTimeToLive(0);
        lab.stack.udp_set(lab.now, members[1], setting).unwrap();
        lab.stack
            .udp_send_to(lab.now, members[1], &payload, to)
            .unwrap();
        assert_eq!(lab.transmit().len(), 0);
        for id in members {
            assert!(lab.read(id).as_ref() == Some(&payload), "{family:?}");
        }
        lab.assert_no_frame_lost();
    }
}

/// What the pool cannot hold twice is not heard here; it still leaves, and no part of a copy stays.
#[test]
fn a_copy_for_members_here_is_whole_or_none() {
    for family in FAMILIES {
        let config = Config {
            memory: 512 << 10,
            max_connections: Some(4),
            ..Config::default()
        };
        let mut lab = Lab::with(family, &config);
        let members = members(&mut lab, 1);
        let to = SocketAddr::new(group(family), PORT);
        let (mut heard, mut unheard) = (0, 0);
        for len in (2_000..=family.largest()).step_by(2_000) {
            let payload = bytes(len);
            let sent = lab.stack.udp_send_to(lab.now, members[0], &payload, to);
            if sent.is_err() {
                // Longer than the pool can lend at all.
                continue;
            }
            match lab.read(members[0]) {
                Some(read) => {
                    assert!(read == payload, "{family:?} {len}");
                    heard += 1;
                }
                None => {
                    let low = lab
                        .counted()
                        .iter()
                        .any(|(name, _)| *name == "udp_pool_low");
                    assert!(low, "{family:?} {len}");
                    unheard += 1;
                }
            }
            assert_eq!(sent_packets(&lab.transmit(), MTU).len(), 1);
            lab.assert_no_frame_lost();
            lab.counted();
        }
        assert!(heard > 0 && unheard > 0, "{family:?}: {heard} {unheard}");
    }
}

#[test]
fn fragments_to_a_group_reach_each_member_that_wants_their_source() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let members = members(&mut lab, 4);
        // One that does not want the peer, one that wants nobody else, one that has left.
        let mut change = |id, change| {
            let group = group(family);
            lab.stack
                .udp_group(lab.now, id, change, group, None)
                .unwrap();
        };
        change(members[1], GroupChange::Block(family.peer()));
        change(members[2], GroupChange::Leave);
        change(members[2], GroupChange::JoinSource(family.peer()));
        change(members[3], GroupChange::Leave);
        lab.run(5_000);
        lab.counted();
        for (number, len) in [(1, 1_500), (2, 9_000), (3, 30_000)] {
            let payload = bytes(len);
            lab.receive_all(&fragments(family, number, &payload));
            for id in [members[0], members[2]] {
                let shown = lab.stack.udp_peek(lab.now, id).unwrap().info;
                assert_eq!(shown.datagram_len, len);
                assert_eq!(shown.destination, group(family));
                assert_eq!(shown.remote, lab.peer());
                assert!(lab.read(id).as_ref() == Some(&payload), "{family:?} {len}");
            }
            for id in &members {
                assert_eq!(lab.read(*id), None);
            }
            lab.assert_no_frame_lost();
        }
        let counted = lab.counted();
        assert_eq!(counted, [("ip_reassembled", 3), ("udp_received", 3)]);
        // When only one is left whose source it is not, nobody gets it, and it is counted.
        lab.stack.close(lab.now, members[0]).unwrap();
        lab.stack.close(lab.now, members[2]).unwrap();
        lab.run(5_000);
        lab.counted();
        lab.receive_all(&fragments(family, 4, &bytes(3_000)));
        assert_eq!(lab.read(members[1]), None);
        let counted = lab.counted();
        assert!(counted.contains(&("udp_no_socket", 1)), "{counted:?}");
        lab.assert_no_frame_lost();
    }
}

/// A member that does not read has its own copies only: what others read is free again.
#[test]
fn a_member_that_does_not_read_keeps_only_its_own_copies() {
    for family in FAMILIES {
        let mut lab = Lab::new(family);
        let members = members(&mut lab, 3);
        let payload = bytes(4_000);
        for number in 0..3 {
            lab.receive_all(&fragments(family, number, &payload));
            assert!(lab.read(members[0]).as_ref() == Some(&payload));
            lab.stack.udp_consume(lab.now, members[1]).unwrap();
        }
        assert_eq!(lab.held(), 3 * 3, "three datagrams of three frames");
        lab.stack.close(lab.now, members[2]).unwrap();
        lab.run(5_000);
        lab.assert_no_frame_lost();
    }
}
