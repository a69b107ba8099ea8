//! VLANs: interfaces whose frames travel with a tag over the device of another one.

mod common;

use common::several::*;
use mnet_core::config::{InterfaceIdentifiers, Ipv6Config, VlanConfig};
use mnet_core::device::{LinkCounters, VlanInfo};
use mnet_core::error::ConfigError;
use mnet_core::wire::ethernet::ether_type;
use mnet_core::{Config, InterfaceConfig};
use std::net::SocketAddr;

const SYN: u8 = 2;
const ACK: u8 = 16;

fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(address), port)
}

/// A device without addresses, VLAN 5 of it with priority 3, and VLAN 6.
fn host() -> Host {
    let mut host = Host::new();
    let parent = host.add(&[]);
    let five = VlanConfig {
        priority: 3,
        ..VlanConfig::new(5)
    };
    host.add_vlan(parent, five, &[("10.5.0.2", 24), ("2001:db8:5::2", 64)]);
    let six = [("10.6.0.2", 24), ("2001:db8:6::2", 64)];
    host.add_vlan(parent, VlanConfig::new(6), &six);
    host
}

/// The control words of our tags.
const FIVE: u16 = 3 << 13 | 5;
const SIX: u16 = 6;

/// A packet from a neighbour to us, with a tag.
fn tagged(from: &str, tag: Option<u16>, packet: &[u8]) -> Vec<u8> {
    let from = ip(from);
    frame(hw_of(from), our_hw(0), tag, type_of(from), packet)
}

#[test]
fn everything_travels_with_the_tag_of_its_vlan() {
    let mut host = host();
    for (tag, theirs, ours) in [
        (FIVE, "10.5.0.9", "10.5.0.2"),
        (SIX, "10.6.0.9", "10.6.0.2"),
        (FIVE, "2001:db8:5::9", "2001:db8:5::2"),
        (SIX, "2001:db8:6::9", "2001:db8:6::2"),
    ] {
        let check = |sent: &Sent| {
            assert_eq!((sent.device, sent.tag), (0, Some(tag)), "{ours}");
            assert_eq!((sent.from, sent.to), (our_hw(0), hw_of(ip(theirs))));
        };
        // A question for our address, whatever the priority it has.
        host.receive(0, &question(ip(theirs), ip(ours), Some(tag ^ 0xe000)));
        check(&host.one());
        // UDP both ways. What is sent first has to ask for the neighbour itself, in the VLAN.
        let id = host.stack.udp_bind(at(ours, 7)).unwrap();
        let packet = udp(at(theirs, 70), at(ours, 7), b"tagged");
        host.receive(0, &tagged(theirs, Some(tag), &packet));
        let mut buffer = [0; 16];
        let got = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
        assert_eq!(
            (got.remote, &buffer[..got.len]),
            (at(theirs, 70), &b"tagged"[..])
        );
        host.stack
            .udp_send_to(host.now, id, b"answer", got.remote)
            .unwrap();
        let sent = host.one();
        check(&sent);
        assert_eq!(sent.addresses(), (ip(ours), ip(theirs)));
        assert_eq!(&sent.transport()[8..], b"answer");
        // TCP: a connection, data both ways, and a closed port.
        let listener = host.stack.tcp_listen(at(ours, 80), 4).unwrap();
        let segment = |flags, numbers, payload: &[u8]| {
            let packet = tcp(at(theirs, 4_000), at(ours, 80), flags, numbers, payload);
            tagged(theirs, Some(tag), &packet)
        };
        host.receive(0, &segment(SYN, (100, 0), b""));
        let answer = host.one();
        check(&answer);
        let seq = u32::from_be_bytes(*answer.transport()[4..].first_chunk().unwrap());
        host.receive(0, &segment(ACK, (101, seq + 1), b"question"));
        let connection = host.stack.tcp_accept(listener).unwrap();
        let len = host
            .stack
            .tcp_recv(host.now, connection, &mut buffer)
            .unwrap();
        assert_eq!(&buffer[..len], b"question");
        // More than one segment, from the send queue's frames and at the MTU.
        let data = vec![7; 4_000];
        assert_eq!(host.stack.tcp_send(host.now, connection, &data), Ok(4_000));
        host.advance(1);
        let sent = host.take();
        let mut bytes = 0;
        for sent in &sent {
            check(sent);
            assert!(sent.packet.len() <= 1_500);
            bytes += sent
                .transport()
                .iter()
                .skip(20)
                .filter(|b| **b == 7)
                .count();
        }
        assert!(bytes >= 4_000, "{bytes}");
        host.stack.tcp_abort(host.now, connection).unwrap();
        check(&host.one());
        let packet = udp(at(theirs, 70), at(ours, 9), b"?");
        host.receive(0, &tagged(theirs, Some(tag), &packet));
        check(&host.one());
        host.stack.close(host.now, id).unwrap();
        host.stack.close(host.now, listener).unwrap();
    }
    host.assert_no_frame_lost();
}

#[test]
fn vlans_can_have_networks_of_the_same_number() {
    let mut host = Host::new();
    let parent = host.add(&[("10.0.0.2", 24)]);
    host.add_vlan(parent, VlanConfig::new(5), &[("10.0.0.5", 24)]);
    host.add_vlan(parent, VlanConfig::new(6), &[("10.0.0.6", 24)]);
    for (ours, tag) in [
        ("10.0.0.2", None),
        ("10.0.0.5", Some(5)),
        ("10.0.0.6", Some(6)),
    ] {
        // The neighbour has to be asked for on each link anew.
        host.silent.push(ip("10.0.0.9"));
        let id = host.stack.udp_bind(at(ours, 7)).unwrap();
        host.stack
            .udp_send_to(host.now, id, b"x", at("10.0.0.9", 9))
            .unwrap();
        let asked = host.one();
        assert_eq!(
            (asked.ether_type, asked.tag),
            (ether_type::ARP, tag),
            "{ours}"
        );
        host.silent.clear();
        host.advance(1);
        let sent = host.one();
        assert_eq!((sent.tag, sent.addresses().0), (tag, ip(ours)));
        // An address is known in its own VLAN only.
        for (other, known) in [
            (None, tag.is_none()),
            (Some(5), tag == Some(5)),
            (Some(6), tag == Some(6)),
        ] {
            host.receive(0, &question(ip("10.0.0.9"), ip(ours), other));
            let answers = host.take();
            assert_eq!(answers.len(), usize::from(known), "{ours} in {other:?}");
            assert!(answers.iter().all(|answer| answer.tag == tag));
        }
    }
}

/// Hopping between VLANs by a second tag, and whatever else a trunk may carry.
#[test]
fn frames_that_are_for_no_vlan_of_ours_are_dropped_and_counted() {
    let mut host = host();
    let packet = udp(at("10.5.0.9", 1), at("10.5.0.2", 7), b"x");
    let good = tagged("10.5.0.9", Some(5), &packet);
    host.stack.udp_bind(at("10.5.0.2", 7)).unwrap();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = good.clone();
        change(&mut frame);
        frame
    };
    let double = |outer: &[u8], inner: &[u8]| {
        with(&|f| {
            f.splice(12..16, [outer, inner].concat());
        })
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("another VLAN", with(&|f| f[15] = 7), "eth_vlan_unknown"),
        (
            "the reserved one",
            with(&|f| f[14..16].copy_from_slice(&[0x0f, 0xff])),
            "eth_vlan_unknown",
        ),
        (
            "ours within ours",
            double(&[0x81, 0, 0, 5], &[0x81, 0, 0, 6]),
            "eth_vlan_double",
        ),
        (
            "ours within the native one",
            double(&[0x81, 0, 0, 0], &[0x81, 0, 0, 5]),
            "eth_vlan_double",
        ),
        (
            "a service tag within",
            double(&[0x81, 0, 0, 5], &[0x88, 0xa8, 0, 5]),
            "eth_vlan_double",
        ),
        (
            "a service tag",
            double(&[0x88, 0xa8, 0, 5], &[0x81, 0, 0, 5]),
            "eth_vlan_service",
        ),
        ("cut in the tag", with(&|f| f.truncate(17)), "eth_malformed"),
        (
            "cut behind the type of the tag",
            with(&|f| f.truncate(14)),
            "eth_malformed",
        ),
        (
            "cut behind the tag",
            with(&|f| f.truncate(18)),
            "ip_truncated",
        ),
        (
            "for somebody else",
            with(&|f| f[..6].copy_from_slice(&[2, 9, 9, 9, 9, 9])),
            "eth_bad_destination",
        ),
        (
            "from ourselves",
            with(&|f| f[6..12].copy_from_slice(&our_hw(0).0)),
            "eth_bad_source",
        ),
        (
            "of an unknown type",
            with(&|f| f[16] = 0x99),
            "eth_unknown_type",
        ),
        (
            "of another VLAN's address",
            with(&|f| f[15] = 6),
            "ip_bad_destination",
        ),
        // Without addresses the parent takes nothing in.
        (
            "without a tag",
            with(&|f| {
                f.drain(12..16);
            }),
            "ip_bad_destination",
        ),
        (
            "with a priority only",
            with(&|f| f[14..16].copy_from_slice(&[0xe0, 0])),
            "ip_bad_destination",
        ),
    ];
    for (what, frame, counter) in cases {
        host.receive(0, &frame);
        assert_eq!(
            (host.take().len(), host.counted()),
            (0, vec![(counter, 1)]),
            "{what}"
        );
    }
    host.receive(0, &good);
    assert_eq!(host.counted(), [("udp_received", 1)]);
}

/// IEEE 802.1Q: a tag with VLAN 0 only tells the priority.
#[test]
fn a_priority_tag_makes_no_vlan() {
    let mut host = Host::new();
    let parent = host.add(&[("10.0.0.2", 24)]);
    host.add_vlan(parent, VlanConfig::new(5), &[]);
    for tag in [None, Some(0), Some(7 << 13)] {
        host.receive(0, &question(ip("10.0.0.9"), ip("10.0.0.2"), tag));
        assert_eq!(host.one().tag, None);
    }
}

/// A group that a VLAN listens to is not listened to by its parent, nor by another VLAN.
#[test]
fn groups_are_those_of_the_vlan() {
    let mut host = Host::new();
    let parent = host.add(&[]);
    host.add_vlan(parent, VlanConfig::new(5), &[("2001:db8:5::55", 64)]);
    host.add_vlan(parent, VlanConfig::new(6), &[("2001:db8:6::66", 64)]);
    let target = ip("2001:db8:5::55");
    let asker = ip("2001:db8:5::9");
    for (tag, counter) in [
        (Some(6), "eth_bad_destination"),
        (None, "eth_bad_destination"),
    ] {
        host.receive(0, &question(asker, target, tag));
        assert_eq!(
            (host.take().len(), host.counted()),
            (0, vec![(counter, 1)]),
            "{tag:?}"
        );
    }
    host.receive(0, &question(asker, target, Some(5)));
    assert_eq!(host.one().tag, Some(5));
}

#[test]
fn a_vlan_has_the_mtu_of_its_parent_or_less() {
    let mut host = Host::new();
    let parent = host.add(&[]);
    let less = VlanConfig {
        mtu: Some(1_400),
        ..VlanConfig::new(6)
    };
    host.add_vlan(parent, VlanConfig::new(5), &[("10.5.0.2", 24)]);
    host.add_vlan(parent, less, &[("10.6.0.2", 24)]);
    for (ours, theirs, mtu) in [
        ("10.5.0.2", "10.5.0.9", 1_500),
        ("10.6.0.2", "10.6.0.9", 1_400),
    ] {
        let id = host.stack.udp_bind(at(ours, 7)).unwrap();
        let send = |host: &mut Host, len: usize| {
            host.stack
                .udp_send_to(host.now, id, &vec![1; len], at(theirs, 9))
        };
        // Whole packets come in, and go out, four bytes longer on the wire than without a tag.
        assert_eq!(send(&mut host, mtu - 28), Ok(()));
        assert_eq!(host.one().packet.len(), mtu);
        let packet = udp(at(theirs, 9), at(ours, 7), &vec![1; mtu - 28]);
        let tag = if mtu == 1_500 { 5 } else { 6 };
        host.receive(0, &tagged(theirs, Some(tag), &packet));
        let mut buffer = [0; 1_500];
        let got = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
        assert_eq!(got.len, mtu - 28);
        // What is longer goes in pieces, none of them longer than that.
        assert_eq!(send(&mut host, mtu - 27), Ok(()));
        let pieces: Vec<_> = host.take().iter().map(|sent| sent.packet.len()).collect();
        assert!(
            pieces.len() == 2 && pieces.iter().all(|len| *len <= mtu),
            "{pieces:?}"
        );
    }
}

#[test]
fn interfaces_are_listed_with_what_passed_them() {
    let mut host = host();
    for _ in 0..2 {
        host.receive(0, &question(ip("10.5.0.9"), ip("10.5.0.2"), Some(5)));
    }
    host.receive(0, &question(ip("10.5.0.9"), ip("10.5.0.2"), Some(9)));
    let listed: Vec<_> = host.stack.interfaces().collect();
    let vlans: Vec<_> = listed.iter().map(|interface| interface.vlan).collect();
    let parent = listed[0].id;
    let vlan = |id, priority| {
        Some(VlanInfo {
            parent,
            id,
            priority,
        })
    };
    assert_eq!(vlans, [None, vlan(5, 3), vlan(6, 0)]);
    assert!(
        listed
            .iter()
            .all(|i| i.hardware_address == our_hw(0).0 && i.mtu == 1_500)
    );
    let five = listed[1].counters;
    let question = 18 + 28;
    assert_eq!(
        (five.rx_frames, five.rx_bytes, five.rx_dropped),
        (2, 2 * question, 0)
    );
    let all = listed[0].counters;
    assert_eq!(
        (all.rx_frames, all.rx_bytes, all.rx_dropped),
        (3, 3 * question, 1)
    );
    let sum =
        |of: fn(&LinkCounters) -> u64| listed[1..].iter().map(|i| of(&i.counters)).sum::<u64>();
    assert_eq!(all.tx_frames, sum(|c| c.tx_frames));
    assert_eq!(all.tx_bytes, sum(|c| c.tx_bytes));
    let totals = *host.stack.counters();
    assert_eq!(
        (all.tx_frames, all.tx_bytes),
        (totals.tx_frames, totals.tx_bytes)
    );
    assert!(five.tx_frames > 2);
}

#[test]
fn vlans_that_cannot_be_are_refused() {
    let mut host = Host::with(&Config {
        memory: 2 << 20,
        max_interfaces: 3,
        ..Config::default()
    });
    let parent = host.add(&[]);
    let vlan = host.add_vlan(parent, VlanConfig::new(4_094), &[]);
    let with = |id, priority, mtu| VlanConfig { id, priority, mtu };
    for (parent, config, error) in [
        (parent, with(0, 0, None), ConfigError::BadVlan),
        (parent, with(4_095, 0, None), ConfigError::BadVlan),
        (parent, with(5, 8, None), ConfigError::BadVlan),
        (vlan, with(5, 0, None), ConfigError::BadVlan),
        (parent, with(4_094, 0, None), ConfigError::VlanInUse),
        (parent, with(5, 0, Some(1_501)), ConfigError::MtuOutOfRange),
        (parent, with(5, 0, Some(575)), ConfigError::MtuOutOfRange),
    ] {
        let refused = host.stack.add_vlan(host.now, parent, config);
        assert_eq!(refused, Err(error), "{config:?}");
    }
    host.add_vlan(parent, VlanConfig::new(1), &[]);
    let refused = host.stack.add_vlan(host.now, parent, VlanConfig::new(2));
    assert_eq!(refused, Err(ConfigError::TooMany));
    let device = InterfaceConfig {
        hardware_address: our_hw(1).0,
        mtu: 1_500,
    };
    let refused = host.stack.add_interface(host.now, device);
    assert_eq!(refused, Err(ConfigError::TooMany));
}

/// Both would have the same link-local address, and packets from it two ways.
#[test]
fn only_one_interface_makes_addresses_of_a_hardware_address() {
    let mut host = host();
    let eui_64 = Ipv6Config {
        identifiers: InterfaceIdentifiers::Eui64,
        ..Ipv6Config::default()
    };
    let parent = host.stack.interfaces().next().unwrap().id;
    let seven = host.add_vlan(parent, VlanConfig::new(7), &[]);
    host.stack.enable_ipv6(host.now, parent, eui_64).unwrap();
    let refused = host.stack.enable_ipv6(host.now, seven, eui_64);
    assert_eq!(refused, Err(ConfigError::HardwareAddressShared));
    host.stack
        .enable_ipv6(host.now, seven, Ipv6Config::default())
        .unwrap();
    host.advance(10);
    let link_local = |host: &Host, id| {
        let mut addresses = host.stack.addresses(id).map(|(address, _)| address);
        addresses.find(|address| address.to_string().starts_with("fe80"))
    };
    assert_ne!(link_local(&host, parent), link_local(&host, seven));
    assert!(link_local(&host, parent).is_some() && link_local(&host, seven).is_some());
}
