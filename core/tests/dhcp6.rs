//! DHCPv6 without leases (RFC 8415 §6.1): an interface asks for DNS servers and search domains, and
//! learns them.

mod common;

use common::v6::{
    Host, OURS, PEER, PEER_HW, PEER_LOCAL, ROUTER, ROUTER_HW, frame, packet, parse, prefix,
    router_with_flags, summed,
};
use mnet_core::ResolverOrigin;
use mnet_core::config::{Dhcp6Mode, Ipv6Config};
use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::wire::ipv6::next_header;
use std::net::{IpAddr, Ipv6Addr};

const MANAGED: u8 = 0x80;
const OTHER: u8 = 0x40;

fn option(code: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).unwrap();
    [&[0, code][..], &len.to_be_bytes(), content].concat()
}

/// The questions among frames: what follows the UDP header.
#[track_caller]
fn questions(frames: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let sent = frames.iter().map(|bytes| parse(bytes));
    let datagrams = sent.filter(|sent| sent.layer.protocol == next_header::UDP);
    datagrams
        .map(|sent| {
            assert_eq!(sent.payload[..4], [2, 34, 2, 35], "ports 546 and 547");
            assert_eq!(
                sent.ip.destination(),
                "ff02::1:2".parse::<Ipv6Addr>().unwrap()
            );
            assert_eq!(sent.to, EthernetAddress([0x33, 0x33, 0, 1, 0, 2]));
            assert!(sent.ip.source().is_unicast_link_local());
            sent.payload[8..].to_vec()
        })
        .collect()
}

/// A datagram to the port of clients.
fn datagram(from: Ipv6Addr, to: Ipv6Addr, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + payload.len()).unwrap();
    let header = [&[2, 35, 2, 34][..], &len.to_be_bytes(), &[0, 0]].concat();
    let message = summed(from, to, next_header::UDP, &[&header[..], payload].concat());
    frame(
        PEER_HW,
        to,
        &packet(from, to, next_header::UDP, 64, &message),
    )
}

/// The Reply to a question, with these options.
fn reply(question: &[u8], options: &[Vec<u8>]) -> Vec<u8> {
    let mut message = vec![7];
    message.extend(&question[1..4]);
    message.extend(&question[4..26]); // The client's identifier.
    message.extend(option(2, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1]));
    message.extend(options.concat());
    message
}

fn servers(host: &Host) -> Vec<(IpAddr, ResolverOrigin)> {
    let servers = host.stack.dns_servers(host.interface);
    servers.map(|s| (s.address, s.origin)).collect()
}

fn domains(host: &Host) -> Vec<String> {
    let domains = host.stack.search_domains(host.interface);
    domains.map(|d| d.name.as_str().to_owned()).collect()
}

fn always() -> Ipv6Config {
    Ipv6Config {
        dhcp6: Dhcp6Mode::Always,
        ..Ipv6Config::default()
    }
}

/// What has been counted but for the datagrams themselves.
fn counted(host: &mut Host) -> Vec<(&'static str, u64)> {
    let mut counted = host.counted();
    counted.retain(|(name, _)| *name != "udp_received");
    counted
}

/// A host that has asked, and its question.
fn asking() -> (Host, Vec<u8>) {
    let mut host = Host::fresh(always());
    let mut asked = Vec::new();
    while asked.is_empty() {
        asked = questions(&host.run(1));
    }
    host.counted();
    (host, asked.remove(0))
}

fn deliver(host: &mut Host, message: &[u8]) -> Vec<Vec<u8>> {
    let ours = host.link_local();
    host.receive(&datagram(PEER_LOCAL, ours, message))
}

/// RFC 4861 §4.2, RFC 8415 §18.2.6.
#[test]
fn the_flags_of_a_router_let_a_host_ask() {
    for (flags, expected) in [(0, 0), (OTHER, 1), (MANAGED, 1), (MANAGED | OTHER, 1)] {
        let mut host = Host::new();
        assert_eq!(questions(&host.run(100)).len(), 0, "before");
        host.receive(&router_with_flags((ROUTER_HW, ROUTER), (flags, 1_800), &[]));
        let asked = questions(&host.run(1));
        assert_eq!(asked.len(), expected, "flags {flags:x}");
        if let Some(question) = asked.first() {
            assert_eq!((question[0], question.len()), (11, 44));
            assert_eq!(question[4..10], [0, 1, 0, 18, 0, 4], "a DUID of a UUID");
            assert_eq!(question[26..32], [0, 8, 0, 2, 0, 0], "no time has passed");
        }
        host.assert_no_frame_lost();
    }
}

#[test]
fn an_answer_is_learned_and_refreshed() {
    let (mut host, question) = asking();
    let options = [
        option(23, &[PEER.octets(), OURS.octets()].concat()),
        option(24, b"\x07example\x03com\0\x03lan\0"),
        option(32, &3_600u32.to_be_bytes()),
    ];
    assert_eq!(
        deliver(&mut host, &reply(&question, &options)),
        [] as [Vec<u8>; 0]
    );
    assert_eq!(counted(&mut host), [("dhcp6_replies", 1)]);
    let dhcp = ResolverOrigin::Dhcpv6;
    assert_eq!(servers(&host), [(PEER.into(), dhcp), (OURS.into(), dhcp)]);
    assert_eq!(domains(&host), ["example.com", "lan"]);
    assert_eq!(questions(&host.run(3_599)).len(), 0);
    // Asked again, and now there is another server only.
    let asked = questions(&host.run(2));
    assert_eq!(asked.len(), 1);
    assert_ne!(asked[0][1..4], question[1..4], "a new transaction");
    assert_eq!(asked[0][4..26], question[4..26], "the same client");
    let options = [option(23, &PEER_LOCAL.octets())];
    deliver(&mut host, &reply(&asked[0], &options));
    assert_eq!(servers(&host), [(PEER_LOCAL.into(), dhcp)]);
    assert_eq!(domains(&host), [] as [&str; 0]);
    // IRT_DEFAULT of RFC 8415 §7.6.
    assert_eq!(questions(&host.run(86_399)).len(), 0);
    assert!(!questions(&host.run(3)).is_empty());
    host.assert_no_frame_lost();
}

#[test]
fn what_is_not_refreshed_ends_after_twice_the_time() {
    let (mut host, question) = asking();
    let options = [
        option(23, &PEER.octets()),
        option(32, &1u32.to_be_bytes()), // At least 600.
    ];
    deliver(&mut host, &reply(&question, &options));
    let asked = questions(&host.run(1_150));
    assert!(asked.len() > 5, "no answer: {}", asked.len());
    assert_eq!(servers(&host).len(), 1);
    host.run(60);
    host.transmit();
    assert_eq!(servers(&host), []);
}

/// RFC 8106 §5.3.1: routers say something, too.
#[test]
fn routers_and_servers_are_both_kept_and_servers_come_first() {
    let mut host = Host::new();
    let mut options = vec![25, 3, 0, 0, 0, 0, 0x10, 0];
    options.extend(OURS.octets());
    host.receive(&router_with_flags(
        (ROUTER_HW, ROUTER),
        (OTHER, 1_800),
        &options,
    ));
    let asked = questions(&host.run(1));
    let local = host.link_local();
    let message = reply(&asked[0], &[option(23, &PEER.octets())]);
    host.receive(&datagram(PEER_LOCAL, local, &message));
    let [dhcp, router] = [ResolverOrigin::Dhcpv6, ResolverOrigin::Router];
    assert_eq!(servers(&host), [(PEER.into(), dhcp), (OURS.into(), router)]);
}

/// RFC 8415 §18.2.12.
#[test]
fn a_new_prefix_of_the_link_is_a_reason_to_ask_again() {
    let mut host = Host::new();
    let advertise = |host: &mut Host, text: &str| {
        let options = prefix(text, 7_200, 3_600);
        host.receive(&router_with_flags(
            (ROUTER_HW, ROUTER),
            (OTHER, 1_800),
            &options,
        ));
    };
    advertise(&mut host, "2001:db8:5::");
    let asked = questions(&host.run(1));
    let local = host.link_local();
    host.receive(&datagram(PEER_LOCAL, local, &reply(&asked[0], &[])));
    host.run(40);
    advertise(&mut host, "2001:db8:5::");
    assert_eq!(questions(&host.run(40)).len(), 0, "nothing new");
    advertise(&mut host, "2001:db8:6::");
    assert_eq!(questions(&host.run(1)).len(), 1);
}

#[test]
fn the_owner_decides() {
    let never = Ipv6Config {
        dhcp6: Dhcp6Mode::Never,
        ..Ipv6Config::default()
    };
    let mut host = Host::with(never);
    host.receive(&router_with_flags((ROUTER_HW, ROUTER), (OTHER, 1_800), &[]));
    assert_eq!(questions(&host.run(100)).len(), 0);
    // A router that is not believed says nothing.
    let deaf = Ipv6Config {
        accept_router_advertisements: false,
        ..Ipv6Config::default()
    };
    let mut host = Host::with(deaf);
    host.receive(&router_with_flags((ROUTER_HW, ROUTER), (OTHER, 1_800), &[]));
    assert_eq!(questions(&host.run(100)).len(), 0);
}

/// RFC 6355: the same after every start with the same secret, and another one with another.
#[test]
fn a_host_is_known_by_its_secret_alone() {
    let duid = |secret| {
        let mut host = Host::fresh(Ipv6Config { secret, ..always() });
        questions(&host.run(3))[0][8..26].to_vec()
    };
    assert_eq!(duid(Some([1; 16])), duid(Some([1; 16])));
    assert_ne!(duid(Some([1; 16])), duid(Some([2; 16])));
    assert_ne!(duid(None), duid(Some([1; 16])));
}

/// Datagrams to port 546 belong to sockets where nobody asks for DHCP.
#[test]
fn the_port_is_taken_only_where_servers_are_asked() {
    let mut host = Host::new();
    let id = host.stack.udp_bind("[::]:546".parse().unwrap()).unwrap();
    host.receive(&datagram(PEER, OURS, b"hello"));
    let mut buffer = [0; 16];
    let got = host.stack.udp_recv_from(host.now, id, &mut buffer).unwrap();
    assert_eq!(&buffer[..got.len], b"hello");
    let (mut host, _) = asking();
    let id = host.stack.udp_bind("[::]:546".parse().unwrap()).unwrap();
    deliver(&mut host, b"hello");
    assert!(host.stack.udp_recv_from(host.now, id, &mut buffer).is_err());
    assert_eq!(counted(&mut host), [("dhcp6_malformed", 1)]);
}

/// Row 29 of SECURITY.md: a hostile server.
#[test]
fn row_29_answers_that_lie_change_nothing_and_are_counted() {
    let (mut host, question) = asking();
    let server = [option(23, &PEER.octets())];
    let good = reply(&question, &server);
    let with = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    for (message, counter) in [
        (with(1), "dhcp6_unmatched"),             // Another transaction.
        (with(20), "dhcp6_unmatched"),            // Another client.
        (with(0), "dhcp6_malformed"),             // Not a Reply.
        (question.clone(), "dhcp6_malformed"),    // Our own question.
        (good[..26].to_vec(), "dhcp6_malformed"), // No server.
        (good[..good.len() - 1].to_vec(), "dhcp6_malformed"),
        (reply(&question, &[option(13, &[0, 1])]), "dhcp6_refused"),
    ] {
        assert_eq!(deliver(&mut host, &message), [] as [Vec<u8>; 0]);
        assert_eq!(counted(&mut host), [(counter, 1)]);
        assert_eq!(servers(&host), []);
    }
    // To a group: whoever it is for, it is not us.
    let everybody = "ff02::1".parse().unwrap();
    host.receive(&datagram(PEER_LOCAL, everybody, &good));
    assert_eq!(counted(&mut host), [("dhcp6_unmatched", 1)]);
    deliver(&mut host, &good);
    assert_eq!(servers(&host).len(), 1, "the right one still counts");
    deliver(&mut host, &reply(&question, &[option(23, &OURS.octets())]));
    assert_eq!(servers(&host)[0].0, PEER, "and it is the only one");
    host.assert_no_frame_lost();
}

/// Row 29: as much as a server can say at once binds what is kept, and no more.
#[test]
fn row_29_long_lists_bind_bounded_memory() {
    let (mut host, question) = asking();
    let many: Vec<u8> = (0..40).flat_map(|i| [i + 1; 16]).collect();
    let names: Vec<u8> = (0..200u8).flat_map(|i| [1, b'a' + i % 26, 0]).collect();
    let options = [option(23, &many), option(24, &names)];
    deliver(&mut host, &reply(&question, &options));
    let kept: Vec<_> = servers(&host)
        .into_iter()
        .map(|(address, _)| address)
        .collect();
    assert_eq!(kept, [[1; 16], [2; 16], [3; 16], [4; 16]].map(IpAddr::from));
    assert_eq!(domains(&host), ["a", "b", "c"]);
}

/// Row 3 of SECURITY.md: lengths of options that are 0, 1, the most, and past the end.
#[test]
fn row_03_lengths_of_dhcpv6_options_cannot_lie() {
    for code in [0, 1, 2, 3, 6, 7, 8, 13, 14, 16, 23, 24, 32, 39, 83, 255] {
        for len in [0u16, 1, 2, 15, 16, 17, 255, 0x7fff, 0xffff] {
            for content in [0, 1, 16, 64] {
                let (mut host, question) = asking();
                let mut message = reply(&question, &[]);
                message.extend([0, code]);
                message.extend(len.to_be_bytes());
                message.extend(vec![0xff; content]);
                deliver(&mut host, &message);
                let counted = counted(&mut host);
                let [(_, 1)] = counted[..] else {
                    panic!("{code} {len} {content}: {counted:?}");
                };
                assert!(servers(&host).len() <= 4 && domains(&host).len() <= 3);
                host.assert_no_frame_lost();
            }
        }
    }
}

/// Row 41: forged advertisements do not make this host flood its link.
#[test]
fn row_41_a_flood_of_prefixes_causes_few_questions() {
    let mut host = Host::new();
    let mut asked = 0;
    for i in 0..600u32 {
        let text = format!("2001:db8:{:x}::", i + 10);
        let options = prefix(&text, 7_200, 3_600);
        let flags = if i % 7 == 6 { 0 } else { OTHER };
        let sent = host.receive(&router_with_flags(
            (ROUTER_HW, ROUTER),
            (flags, 1_800),
            &options,
        ));
        let mut new = questions(&sent);
        new.extend(questions(&host.run(1)));
        asked += new.len();
        let local = host.link_local();
        for question in new {
            host.receive(&datagram(PEER_LOCAL, local, &reply(&question, &[])));
        }
    }
    assert!((5..=25).contains(&asked), "{asked} questions in 600 s");
}
