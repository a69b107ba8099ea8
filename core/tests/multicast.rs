//! Groups of sockets through the whole stack: what they hear, what the link hears of them, and what
//! they send.

mod common;

use common::link::*;
use common::v6;
use mnet_core::config::Ipv6Config;
use mnet_core::error::{GroupError, RecvFromError, SendToError};
use mnet_core::udp::{GroupChange, UdpOptions, UdpSetting};
use mnet_core::wire::ethernet::{self, EthernetAddress, ether_type};
use mnet_core::wire::ipv4::{self, Ipv4Header};
use mnet_core::{Config, InterfaceConfig, SocketId};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use zerocopy::IntoBytes;

const PORT: u16 = 5_353;
const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 129, 2, 3);
const GROUP_HW: EthernetAddress = EthernetAddress([1, 0, 0x5e, 1, 2, 3]);
const ALL_HOSTS: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 1);
const REUSE: UdpOptions = UdpOptions { reuse: true };

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::from((address, port))
}

fn group_frame(group: Ipv4Addr, packet: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = group.octets();
    let to = EthernetAddress([1, 0, 0x5e, a & 0x7f, b, c]);
    ethernet(PEER_HW, to, ether_type::IPV4, packet)
}

/// A datagram to a group, to our port.
fn to_group(source: Ipv4Addr, group: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    group_frame(group, &udp(at(source, 9), at(group, PORT), payload))
}

/// An IGMP message in its frame; `change` may spoil the IP header, which is summed afterwards.
fn igmp(
    (source, destination): (Ipv4Addr, Ipv4Addr),
    message: &[u8],
    change: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut message = message.to_vec();
    let sum = mnet_core::checksum::sum(&message).finish();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let total = u16::try_from(24 + message.len()).unwrap();
    let header = Ipv4Header::new(source, destination, 2, 1, total);
    let mut packet = [header.as_bytes(), &[148, 4, 0, 0], &message].concat();
    packet[0] = 0x46;
    change(&mut packet);
    packet[10..12].fill(0);
    let len = usize::from(packet[0] & 0xf) * 4;
    let sum = mnet_core::checksum::sum(&packet[..len]).finish();
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    group_frame(destination, &packet)
}

/// A query of version 3 for a group, or for all.
fn query(group: Ipv4Addr, code: u8) -> Vec<u8> {
    let [a, b, c, d] = group.octets();
    let to = if group.is_unspecified() {
        ALL_HOSTS
    } else {
        group
    };
    let message = [0x11, code, 0, 0, a, b, c, d, 2, 125, 0, 0];
    igmp((PEER, to), &message, |_| {})
}

/// Lets time pass; the IGMP messages that are sent then, with their destinations.
fn reports(host: &mut Host, millis: u64) -> Vec<(Ipv4Addr, Vec<u8>)> {
    let end = host.now + std::time::Duration::from_millis(millis);
    let mut frames = host.transmit();
    while let Some(next) = host.stack.next_timeout().filter(|next| *next <= end) {
        host.now = host.now.max(next);
        frames.extend(host.transmit());
    }
    host.now = end;
    let reports = frames
        .iter()
        .filter(|frame| frame[12..14] == [8, 0] && frame[23] == 2);
    reports.map(|frame| read_report(frame)).collect()
}

/// Checks a frame that the host has sent: RFC 3376 §4.
#[track_caller]
fn read_report(frame: &[u8]) -> (Ipv4Addr, Vec<u8>) {
    let (header, payload) = ethernet::parse(frame).unwrap();
    let packet = &frame[payload];
    let (ip, options, payload) = ipv4::parse(packet).unwrap();
    assert_eq!(options, [148, 4, 0, 0], "Router Alert");
    assert_eq!((ip.time_to_live, ip.traffic_class), (1, 0xc0));
    assert_eq!(ip.source(), OURS);
    let [_, a, b, c] = ip.destination().octets();
    assert_eq!(header.destination.0, [1, 0, 0x5e, a & 0x7f, b, c]);
    let message = &packet[payload];
    assert!(mnet_core::checksum::sum(message).is_valid());
    (ip.destination(), message.to_vec())
}

/// A report of version 3 with one record, without its checksum.
fn record(kind: u8, group: Ipv4Addr, sources: &[Ipv4Addr]) -> Vec<u8> {
    let mut message = vec![0x22, 0, 0, 0, 0, 0, 0, 1, kind, 0, 0];
    message.push(u8::try_from(sources.len()).unwrap());
    message.extend(group.octets());
    message.extend(sources.iter().flat_map(|source| source.octets()));
    message
}

#[track_caller]
fn assert_reports(reports: &[(Ipv4Addr, Vec<u8>)], expected: &[Vec<u8>]) {
    let plain: Vec<_> = reports
        .iter()
        .map(|(to, message)| {
            assert_eq!(*to, Ipv4Addr::new(224, 0, 0, 22));
            [&message[..2], &[0, 0], &message[4..]].concat()
        })
        .collect();
    assert_eq!(plain, expected);
}

fn read(host: &mut Host, id: SocketId) -> Vec<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 2_000];
    loop {
        match host.stack.udp_recv_from(host.now, id, &mut buffer) {
            Ok(received) => all.push(String::from_utf8_lossy(&buffer[..received.len]).into_owned()),
            Err(RecvFromError::WouldBlock) => return all,
            Err(error) => all.push(format!("{error:?}")),
        }
    }
}

#[test]
fn a_member_hears_the_group_and_the_link_hears_of_it() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    host.receive(&to_group(PEER, GROUP, b"before"));
    assert_eq!(host.counted(), [("eth_bad_destination", 1)]);
    host.stack
        .udp_join(host.now, id, GROUP.into(), None)
        .unwrap();
    let sent = reports(&mut host, 2_000);
    let join = record(4, GROUP, &[]);
    assert_reports(&sent, &[join.clone(), join]);
    host.receive(&to_group(PEER, GROUP, b"hello"));
    let info = host.stack.udp_peek(host.now, id).unwrap().info;
    assert_eq!(info.destination, IpAddr::V4(GROUP));
    assert_eq!(read(&mut host, id), ["hello"]);
    // Another group with the same Ethernet address, another port, and a fragmented way of asking.
    let alike = Ipv4Addr::new(239, 1, 2, 3);
    host.counted();
    host.receive(&to_group(PEER, alike, b"alike"));
    assert_eq!(host.counted(), [("ip_bad_destination", 1)]);
    let closed = udp(at(PEER, 9), at(GROUP, 1), b"");
    assert_eq!(host.receive(&group_frame(GROUP, &closed)).len(), 0);
    let counted = host.counted();
    assert!(counted.contains(&("udp_no_socket", 1)), "{counted:?}");
    host.stack
        .udp_leave(host.now, id, GROUP.into(), None)
        .unwrap();
    let leave = record(3, GROUP, &[]);
    let sent = reports(&mut host, 2_000);
    assert_reports(&sent, &[leave.clone(), leave]);
    host.receive(&to_group(PEER, GROUP, b"after"));
    assert_eq!(read(&mut host, id), Vec::<String>::new());
    host.stack.close(host.now, id).unwrap();
    host.assert_no_frame_lost();
}

#[test]
fn closing_a_socket_ends_its_memberships() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    host.stack
        .udp_join(host.now, id, GROUP.into(), None)
        .unwrap();
    reports(&mut host, 2_000);
    host.stack.close(host.now, id).unwrap();
    let sent = reports(&mut host, 2_000);
    let leave = record(3, GROUP, &[]);
    assert_reports(&sent, &[leave.clone(), leave]);
    assert_eq!(host.stack.next_timeout(), None);
}

#[test]
fn two_sockets_share_what_the_link_is_told_and_each_hears_its_own() {
    let mut host = Host::with_peer();
    let now = host.now;
    let first = host.stack.udp_bind_with(at(ANY, PORT), REUSE).unwrap();
    let second = host.stack.udp_bind_with(at(ANY, PORT), REUSE).unwrap();
    let third = host.stack.udp_bind_with(at(ANY, PORT), REUSE).unwrap();
    let change = |host: &mut Host, id, change| {
        let now = host.now;
        host.stack
            .udp_group(now, id, change, GROUP.into(), None)
            .unwrap();
        reports(host, 5_000)
    };
    let twice = |message: Vec<u8>| [message.clone(), message];
    let sent = change(&mut host, first, GroupChange::JoinSource(PEER.into()));
    assert_reports(&sent, &twice(record(5, GROUP, &[PEER])));
    let sent = change(&mut host, second, GroupChange::JoinSource(REMOTE.into()));
    assert_reports(&sent, &twice(record(5, GROUP, &[REMOTE])));
    host.receive(&to_group(PEER, GROUP, b"peer"));
    host.receive(&to_group(REMOTE, GROUP, b"remote"));
    host.receive(&to_group(OTHER, GROUP, b"other"));
    assert_eq!(read(&mut host, first), ["peer"]);
    assert_eq!(read(&mut host, second), ["remote"]);
    // All but one: the union is all but what nobody includes.
    let sent = change(&mut host, third, GroupChange::Join);
    assert_reports(&sent, &twice(record(4, GROUP, &[])));
    let sent = change(&mut host, third, GroupChange::Block(OTHER.into()));
    assert_reports(&sent, &twice(record(6, GROUP, &[OTHER])));
    let sent = change(&mut host, third, GroupChange::Block(PEER.into()));
    assert_reports(&sent, &[]);
    host.receive(&to_group(PEER, GROUP, b"peer"));
    host.receive(&to_group(REMOTE, GROUP, b"remote"));
    assert_eq!(read(&mut host, first), ["peer"]);
    assert_eq!(read(&mut host, second), ["remote"]);
    assert_eq!(read(&mut host, third), ["remote"]);
    let sent = change(&mut host, first, GroupChange::LeaveSource(PEER.into()));
    assert_reports(&sent, &twice(record(6, GROUP, &[PEER])));
    let sent = change(&mut host, third, GroupChange::Leave);
    assert_reports(&sent, &twice(record(3, GROUP, &[REMOTE])));
    host.stack.close(now, second).unwrap();
    let sent = reports(&mut host, 5_000);
    assert_reports(&sent, &twice(record(6, GROUP, &[REMOTE])));
}

#[test]
fn what_cannot_be_joined_is_refused() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let group = IpAddr::V4(GROUP);
    let mut change = |change, group: IpAddr| host.stack.udp_group(now, id, change, group, None);
    let invalid = Err(GroupError::Invalid);
    assert_eq!(change(GroupChange::Join, PEER.into()), invalid);
    let v6 = "ff02::5".parse().unwrap();
    assert_eq!(change(GroupChange::Join, v6), invalid);
    for source in [GROUP.into(), v6, IpAddr::V4(ANY)] {
        assert_eq!(change(GroupChange::JoinSource(source), group), invalid);
    }
    let everybody = change(GroupChange::JoinSource(PEER.into()), ALL_HOSTS.into());
    assert_eq!(everybody, invalid);
    let not = Err(GroupError::NotMember);
    assert_eq!(change(GroupChange::Leave, group), not);
    change(GroupChange::Join, group).unwrap();
    assert_eq!(
        change(GroupChange::Join, group),
        Err(GroupError::AlreadyMember)
    );
    let v6_socket = host.stack.udp_bind("[::]:9".parse().unwrap()).unwrap();
    let no_ipv6 = host
        .stack
        .udp_join(now, v6_socket, v6, Some(host.interface));
    assert_eq!(no_ipv6, Err(GroupError::NoInterface));
    let reserved = host
        .stack
        .udp_join(now, v6_socket, "ff00::5".parse().unwrap(), None);
    assert_eq!(reserved, invalid);
    host.stack.close(now, id).unwrap();
    let closed = host.stack.udp_join(now, id, group, None);
    assert_eq!(closed, Err(GroupError::BadHandle));
}

#[test]
fn memberships_are_bounded() {
    let mut host = Host::with_peer();
    let now = host.now;
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let group = |n: u8| IpAddr::V4(Ipv4Addr::new(239, 0, 0, n));
    for n in 0..16 {
        host.stack.udp_join(now, id, group(n), None).unwrap();
    }
    let more = host.stack.udp_join(now, id, group(99), None);
    assert_eq!(more, Err(GroupError::LimitReached));
    host.stack.udp_leave(now, id, group(3), None).unwrap();
    host.stack.udp_join(now, id, group(99), None).unwrap();
    let sent = reports(&mut host, 2_000);
    assert_eq!(sent[0].1[7], 17, "all in one message");
    host.stack.close(now, id).unwrap();
    assert_eq!(reports(&mut host, 2_000)[0].1[7], 16);
}

#[test]
fn queries_are_answered_within_their_time_and_everybody_is_never_named() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    host.stack
        .udp_join(host.now, id, GROUP.into(), None)
        .unwrap();
    host.stack
        .udp_join(host.now, id, ALL_HOSTS.into(), None)
        .unwrap();
    reports(&mut host, 2_000);
    host.counted();
    for group in [ANY, GROUP] {
        host.receive(&query(group, 50));
        let sent = reports(&mut host, 5_000);
        assert_reports(&sent, &[record(2, GROUP, &[])]);
    }
    // A time of zero: at once.
    let frames = host.receive(&query(ANY, 0));
    assert_reports(&[read_report(&frames[0])], &[record(2, GROUP, &[])]);
    host.receive(&query(ALL_HOSTS, 10));
    assert_reports(&reports(&mut host, 2_000), &[]);
    let counted = host.counted();
    assert!(counted.contains(&("igmp_queries", 4)), "{counted:?}");
    // Switches ask from nobody.
    let message = [0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    host.receive(&igmp((ANY, ALL_HOSTS), &message, |_| {}));
    assert_reports(&reports(&mut host, 1_000), &[record(2, GROUP, &[])]);
    // Datagrams to everybody need no membership.
    host.receive(&to_group(PEER, ALL_HOSTS, b"all"));
    assert_eq!(read(&mut host, id), ["all"]);
}

#[test]
fn a_querier_of_version_2_is_answered_so_until_it_is_gone() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    host.stack
        .udp_join(host.now, id, GROUP.into(), None)
        .unwrap();
    reports(&mut host, 2_000);
    host.receive(&igmp(
        (PEER, ALL_HOSTS),
        &[0x11, 100, 0, 0, 0, 0, 0, 0],
        |_| {},
    ));
    let sent = reports(&mut host, 10_000);
    let [a, b, c, d] = GROUP.octets();
    let plain = |(to, message): &(Ipv4Addr, Vec<u8>)| (*to, message[0], message[4..].to_vec());
    let name = vec![a, b, c, d];
    assert_eq!(
        sent.iter().map(plain).collect::<Vec<_>>(),
        [(GROUP, 0x16, name.clone())]
    );
    host.stack
        .udp_leave(host.now, id, GROUP.into(), None)
        .unwrap();
    let sent = reports(&mut host, 10_000);
    let routers = Ipv4Addr::new(224, 0, 0, 2);
    assert_eq!(
        sent.iter().map(plain).collect::<Vec<_>>(),
        [(routers, 0x17, name.clone())]
    );
    host.stack
        .udp_join(host.now, id, GROUP.into(), None)
        .unwrap();
    let sent = reports(&mut host, 20_000);
    assert_eq!(sent.len(), 2);
    assert_eq!(plain(&sent[0]), (GROUP, 0x16, name.clone()));
    // Version 1: a message of 8 bytes without a time, which needs no Router Alert.
    let version_1 = igmp((PEER, ALL_HOSTS), &[0x11, 0, 0, 0, 0, 0, 0, 0], |packet| {
        packet.drain(20..24);
        packet[0] = 0x45;
        packet[3] = 28;
    });
    host.receive(&version_1);
    let sent = reports(&mut host, 10_000);
    assert_eq!(
        sent.iter().map(plain).collect::<Vec<_>>(),
        [(GROUP, 0x12, name)]
    );
    reports(&mut host, 260_000);
    host.receive(&query(ANY, 10));
    assert_reports(&reports(&mut host, 1_000), &[record(2, GROUP, &[])]);
}

/// Attacks row 28, and RFC 3376 §9: only whole queries of the link are believed.
#[test]
fn row_28_hostile_queries_change_nothing() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    host.stack
        .udp_join(host.now, id, GROUP.into(), None)
        .unwrap();
    reports(&mut host, 2_000);
    host.counted();
    let good = [0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0];
    let general = |message: &[u8]| igmp((PEER, ALL_HOSTS), message, |_| {});
    let mut spoiled = general(&good);
    spoiled[14 + 24 + 1] ^= 1;
    let cases = [
        (
            "hops",
            igmp((PEER, ALL_HOSTS), &good, |packet| packet[8] = 64),
        ),
        (
            "no alert",
            igmp((PEER, ALL_HOSTS), &good, |packet| packet[20..24].fill(1)),
        ),
        ("to a group", igmp((PEER, GROUP), &good, |_| {})),
        ("short", general(&good[..11])),
        ("sources missing", general(&[&good[..10], &[0, 9]].concat())),
        (
            "no group",
            general(&[0x11, 10, 0, 0, 10, 0, 0, 1, 2, 125, 0, 0]),
        ),
        ("checksum", spoiled),
        ("tiny", general(&good[..4])),
        ("a report", general(&record(2, GROUP, &[]))),
    ];
    for (name, frame) in cases {
        host.receive(&frame);
        let counted = host.counted();
        assert!(
            !counted.iter().any(|(name, _)| *name == "igmp_queries"),
            "{name}"
        );
        assert_eq!(counted.len(), 2, "{name}: {counted:?}");
        assert_eq!(reports(&mut host, 3_000).len(), 0, "{name}");
    }
    // All times and counts that a query can name.
    for code in 0..=255 {
        host.receive(&query(ANY, code));
        host.receive(&query(GROUP, code));
        let mut many = vec![0x11, code, 0, 0, 239, 129, 2, 3, code, code, 1, 0x68];
        many.resize(12 + 4 * 360, code);
        host.receive(&igmp((PEER, GROUP), &many, |_| {}));
    }
    let sent = reports(&mut host, 60_000);
    assert!(sent.len() < 100, "{}", sent.len());
    host.assert_no_frame_lost();
}

#[test]
fn datagrams_to_a_group_leave_by_the_interface_that_was_chosen() {
    let mut host = Host::with_peer();
    let now = host.now;
    let config = InterfaceConfig {
        hardware_address: [2, 0, 0, 0, 9, 9],
        mtu: 1_500,
    };
    let second = host.stack.add_interface(now, config).unwrap();
    let address = Ipv4Addr::new(172, 16, 0, 2);
    host.stack
        .add_address(now, second, address.into(), 16)
        .unwrap();
    let sent = |host: &mut Host| {
        let mut frames = Vec::new();
        while let Some(frame) = host.stack.transmit(now) {
            frames.push((frame.interface, frame.slices.concat()));
        }
        frames.retain(|(_, frame)| frame[12..14] == [8, 0]);
        frames
    };
    sent(&mut host);
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let to = at(GROUP, 9);
    host.stack.udp_send_to(now, id, b"first", to).unwrap();
    let setting = UdpSetting::MulticastInterface(Some(second));
    host.stack.udp_set(now, id, setting).unwrap();
    let setting = UdpSetting::MulticastTimeToLive(7);
    host.stack.udp_set(now, id, setting).unwrap();
    host.stack.udp_send_to(now, id, b"second", to).unwrap();
    let frames = sent(&mut host);
    let facts: Vec<_> = frames
        .iter()
        .map(|(interface, frame)| {
            let (header, packet) = ethernet::parse(frame).unwrap();
            let (ip, ..) = ipv4::parse(&frame[packet]).unwrap();
            assert_eq!((header.destination, ip.destination()), (GROUP_HW, GROUP));
            (*interface, ip.source(), ip.time_to_live)
        })
        .collect();
    assert_eq!(facts, [(host.interface, OURS, 1), (second, address, 7)]);
    // So it is with a peer, which keeps its interface.
    host.stack.udp_connect(now, id, Some(to)).unwrap();
    host.stack.udp_send(now, id, b"peer").unwrap();
    let setting = UdpSetting::MulticastInterface(Some(host.interface));
    host.stack.udp_set(now, id, setting).unwrap();
    host.stack.udp_send(now, id, b"peer").unwrap();
    let by: Vec<_> = sent(&mut host).iter().map(|(by, _)| *by).collect();
    assert_eq!(by, [second, second]);
    host.stack.udp_connect(now, id, None).unwrap();
    let none = UdpSetting::MulticastTimeToLive(0);
    host.stack.udp_set(now, id, none).unwrap();
    host.stack.udp_send_to(now, id, b"stays", to).unwrap();
    assert_eq!(sent(&mut host).len(), 0);
}

#[test]
fn members_on_the_host_hear_what_it_sends_if_the_sender_wants() {
    let mut host = Host::with_peer();
    let now = host.now;
    let member = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let sender = host.stack.udp_bind(at(OURS, 77)).unwrap();
    let to = at(GROUP, PORT);
    host.stack.udp_send_to(now, sender, b"nobody", to).unwrap();
    host.stack
        .udp_join(now, member, GROUP.into(), None)
        .unwrap();
    reports(&mut host, 2_000);
    let payload = vec![b'x'; 1_472];
    host.stack.udp_send_to(now, sender, &payload, to).unwrap();
    let datagram = host.stack.udp_peek(now, member).unwrap();
    assert_eq!(datagram.data, payload);
    assert_eq!(datagram.info.remote, at(OURS, 77));
    assert_eq!(datagram.info.destination, IpAddr::V4(GROUP));
    assert_eq!(datagram.info.hop_limit, 1);
    host.stack.udp_consume(now, member).unwrap();
    assert_eq!(host.transmit().len(), 1, "and it leaves");
    // Not what an interface does not listen to, nor without leave.
    let setting = UdpSetting::MulticastLoop(false);
    host.stack.udp_set(now, sender, setting).unwrap();
    host.stack.udp_send_to(now, sender, b"x", to).unwrap();
    assert_eq!(read(&mut host, member), Vec::<String>::new());
    host.transmit();
    host.stack.close(now, member).unwrap();
    host.transmit();
    host.assert_no_frame_lost();
}

/// Row 41: what goes to many is not answered.
#[test]
fn row_41_nothing_that_goes_to_a_group_is_answered() {
    let mut host = Host::with_peer();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    host.stack
        .udp_join(host.now, id, GROUP.into(), None)
        .unwrap();
    reports(&mut host, 2_000);
    let closed = udp(at(PEER, 9), at(GROUP, 1), b"x");
    let unknown = ipv4(PEER, GROUP, 99, b"what?", |_| {});
    let ping = ipv4(PEER, GROUP, 1, &icmp(8, 0, [0; 4], b"x"), |_| {});
    for packet in [closed, unknown, ping] {
        assert_eq!(host.receive(&group_frame(GROUP, &packet)).len(), 0);
    }
    let counters = host.stack.counters();
    assert_eq!(
        (counters.icmp_suppressed, counters.icmp_not_unicast),
        (2, 1)
    );
}

#[test]
fn ipv6_groups_of_sockets_are_reported_and_heard() {
    let mut host = v6::Host::new();
    let now = host.now;
    let group: Ipv6Addr = "ff05::1:3".parse().unwrap();
    let id = host.stack.udp_bind("[::]:547".parse().unwrap()).unwrap();
    let datagram = |source: Ipv6Addr, payload: &[u8]| {
        let len = u8::try_from(8 + payload.len()).unwrap();
        let message = [&[0, 9, 2, 35, 0, len, 0, 0], payload].concat();
        let message = v6::summed(source, group, 17, &message);
        let packet = v6::packet(source, group, 17, 1, &message);
        v6::frame(v6::PEER_HW, group, &packet)
    };
    host.receive(&datagram(v6::PEER, b"early"));
    assert_eq!(host.counted(), [("eth_bad_destination", 1)]);
    host.stack.udp_join(now, id, group.into(), None).unwrap();
    let twice = host.stack.udp_join(now, id, group.into(), None);
    assert_eq!(twice, Err(GroupError::AlreadyMember));
    let frames = host.run(2);
    let reports: Vec<_> = frames
        .iter()
        .map(|frame| v6::parse(frame))
        .filter(|sent| sent.payload[0] == 143)
        .collect();
    assert_eq!(reports.len(), 2);
    for report in reports {
        assert_eq!(
            report.ip.destination(),
            "ff02::16".parse::<Ipv6Addr>().unwrap()
        );
        assert!(report.layer.router_alert && report.ip.hop_limit == 1);
        assert_eq!(report.payload[8..12], [4, 0, 0, 0]);
        assert_eq!(report.payload[12..28], group.octets());
    }
    host.receive(&datagram(v6::PEER, b"hello"));
    let mut buffer = [0; 20];
    let received = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
    assert_eq!(received.destination, IpAddr::V6(group));
    assert_eq!(&buffer[..received.len], b"hello");
    // A source that is blocked is not heard, and the link is told.
    let block = GroupChange::Block(v6::PEER.into());
    host.stack
        .udp_group(host.now, id, block, group.into(), None)
        .unwrap();
    let frames = host.run(2);
    let report = v6::parse(&frames[0]);
    assert_eq!(report.payload[8..12], [6, 0, 0, 1]);
    assert_eq!(report.payload[28..44], v6::PEER.octets());
    host.receive(&datagram(v6::PEER, b"blocked"));
    let none = host.stack.udp_recv_from(host.now, id, &mut buffer);
    assert_eq!(none, Err(RecvFromError::WouldBlock));
    // What is sent to the group has the socket's hop limit for groups.
    let to = SocketAddr::from((group, 9));
    host.stack.udp_send_to(host.now, id, b"out", to).unwrap();
    let frames = host.transmit();
    let sent = v6::parse(&frames[0]);
    assert_eq!((sent.ip.hop_limit, sent.ip.destination()), (1, group));
    // What is for this host alone stays here.
    let local = "[ff01::5]:9".parse().unwrap();
    host.stack
        .udp_send_to(host.now, id, b"here", local)
        .unwrap();
    assert_eq!(host.transmit().len(), 0);
    host.stack.close(host.now, id).unwrap();
    assert_eq!(v6::parse(&host.run(2)[0]).payload[8..12], [3, 0, 0, 0]);
    host.assert_no_frame_lost();
}

/// RFC 3590 §4: routers drop what comes from nobody, so that groups which were joined before there was
/// a link-local address are reported again when there is one. Switches hear both.
#[test]
fn groups_that_were_joined_without_an_address_are_reported_again_with_it() {
    let mut host = v6::Host::fresh(Ipv6Config::default());
    let (now, any): (_, Ipv6Addr) = (host.now, "ff05::1:3".parse().unwrap());
    let some: Ipv6Addr = "ff05::1:4".parse().unwrap();
    let id = host.stack.udp_bind("[::]:547".parse().unwrap()).unwrap();
    host.stack.udp_join(now, id, any.into(), None).unwrap();
    for (change, source) in [
        (GroupChange::JoinSource as fn(_) -> _, v6::PEER),
        (GroupChange::JoinSource, v6::REMOTE),
        (GroupChange::LeaveSource, v6::REMOTE),
    ] {
        let change = change(source.into());
        host.stack
            .udp_group(now, id, change, some.into(), None)
            .unwrap();
    }
    let frames = host.run(100);
    let ours = host.link_local();
    let solicited = mnet_core::wire::ndp::solicited_node(ours);
    let reports = frames.iter().map(|frame| v6::parse(frame));
    let reports = reports.filter(|sent| sent.payload[0] == 143);
    let (before, with_address): (Vec<_>, Vec<_>) =
        reports.partition(|sent| sent.ip.source().is_unspecified());
    assert!(!before.is_empty());
    let record = |kind: u8, group: Ipv6Addr, sources: &[Ipv6Addr]| {
        let mut record = vec![kind, 0, 0, u8::try_from(sources.len()).unwrap()];
        record.extend(group.octets());
        sources.iter().for_each(|s| record.extend(s.octets()));
        record
    };
    let records = [
        record(4, any, &[]),
        record(3, some, &[v6::PEER]),
        record(4, solicited, &[]),
    ];
    assert_eq!(with_address[0].payload[8..], records.concat());
    assert!(with_address.iter().all(|sent| sent.ip.source() == ours));
    // And each once more.
    for record in records {
        let times = |sent: &&v6::Sent<'_>| sent.payload.windows(record.len()).any(|w| *w == record);
        assert_eq!(with_address.iter().filter(times).count(), 2);
    }
}

#[test]
fn a_host_without_an_address_sends_to_no_group() {
    let mut host = Host::with(&Config::default());
    let now = host.now;
    host.stack
        .remove_address(now, host.interface, OURS.into())
        .unwrap();
    let id = host.stack.udp_bind(at(ANY, PORT)).unwrap();
    let sent = host.stack.udp_send_to(now, id, b"x", at(GROUP, 9));
    assert_eq!(sent, Err(SendToError::NoRoute));
}
