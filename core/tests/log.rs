//! What an observer tells of a stack, and that nobody can make it tell too much.

mod common;

use common::dhcp;
use common::link::*;
use mnet_core::SocketId;
use mnet_core::log::{BURST, Filter, Level, Module, Observer, PER_SECOND};
use mnet_core::wire::ethernet::EthernetAddress;
use mnet_core::wire::icmpv4::unreachable_code;
use mnet_core::wire::tcp::Flags;
use std::net::{IpAddr, SocketAddr};
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

fn everything() -> Filter {
    Filter::all(Some(Level::Debug))
}

fn watch(host: &mut Host, filter: &str) -> Observer {
    let filter = Filter::all(None).changed(filter).unwrap();
    Observer::new(&mut host.stack, host.now, filter)
}

/// All that there is to be told now: level, module and text.
fn told(observer: &mut Observer, host: &mut Host) -> Vec<String> {
    observer.observe(&mut host.stack, host.now);
    let mut lines = Vec::new();
    while let Some(event) = observer.next() {
        let (level, module) = (event.level.name(), event.module.name());
        lines.push(std::format!("{level} {module}: {event}"));
    }
    lines
}

fn local() -> SocketAddr {
    SocketAddr::new(OURS.into(), 7)
}

fn remote(port: u16) -> SocketAddr {
    SocketAddr::new(PEER.into(), port)
}

fn text(address: EthernetAddress) -> String {
    address.0.map(|octet| std::format!("{octet:02x}")).join(":")
}

/// The peer opens a connection and resets it.
fn open_and_reset(host: &mut Host, listener: SocketId, port: u16) {
    let iss = open(host, port);
    let reset = tcp(
        remote(port),
        local(),
        Flags::RST,
        (101, iss + 1),
        b"",
        |_| {},
    );
    host.receive(&from_peer(&reset));
    let id = host.stack.tcp_accept(listener).unwrap();
    host.stack.close(host.now, id).unwrap();
}

/// The peer opens a connection.
fn open(host: &mut Host, port: u16) -> u32 {
    let syn = tcp(remote(port), local(), Flags::SYN, (100, 0), b"", |_| {});
    let sent = host.receive(&from_peer(&syn));
    let iss = parse_sent(&sent[0]).tcp().0.sequence.get();
    let ack = tcp(
        remote(port),
        local(),
        Flags::ACK,
        (101, iss + 1),
        b"",
        |_| {},
    );
    host.receive(&from_peer(&ack));
    iss
}

#[test]
fn connections_are_told_with_the_reason_of_their_end() {
    let mut host = Host::with_peer();
    host.stack.tcp_listen(local(), 8).unwrap();
    let mut log = watch(&mut host, "tcp=debug");
    let iss = open(&mut host, 4000);
    assert_eq!(
        told(&mut log, &mut host),
        ["debug tcp: 10.0.0.2:7 opened by peer 10.0.0.1:4000"]
    );
    let reset = tcp(
        remote(4000),
        local(),
        Flags::RST,
        (101, iss + 1),
        b"",
        |_| {},
    );
    host.receive(&from_peer(&reset));
    assert_eq!(
        told(&mut log, &mut host),
        ["info tcp: 10.0.0.2:7 with 10.0.0.1:4000 ended: reset by peer"]
    );

    let id = host.stack.tcp_connect(host.now, remote(9), None).unwrap();
    let sent = host.transmit();
    let (syn, _) = parse_sent(&sent[0]).tcp();
    let ours = SocketAddr::new(OURS.into(), syn.source_port.get());
    let flags = Flags::RST | Flags::ACK;
    let refused = tcp(
        remote(9),
        ours,
        flags,
        (0, syn.sequence.get() + 1),
        b"",
        |_| {},
    );
    host.receive(&from_peer(&refused));
    let wanted = std::format!("info tcp: {ours} with 10.0.0.1:9 ended: refused");
    assert_eq!(told(&mut log, &mut host), [wanted]);
    host.stack.close(host.now, id).unwrap();
    assert_eq!(told(&mut log, &mut host), Vec::<String>::new());
}

/// RFC 9293 §3.5, figure 7.
#[test]
fn a_simultaneous_open_is_told_as_any_other() {
    let mut host = Host::with_peer();
    let mut log = watch(&mut host, "tcp=debug");
    host.stack.tcp_connect(host.now, remote(9), None).unwrap();
    let sent = host.transmit();
    let (syn, _) = parse_sent(&sent[0]).tcp();
    let ours = SocketAddr::new(OURS.into(), syn.source_port.get());
    let theirs = |flags, seq, ack| from_peer(&tcp(remote(9), ours, flags, (seq, ack), b"", |_| {}));
    host.receive(&theirs(Flags::SYN, 100, 0));
    assert_eq!(told(&mut log, &mut host), Vec::<String>::new());
    host.receive(&theirs(Flags::ACK, 101, syn.sequence.get() + 1));
    let wanted = std::format!("debug tcp: {ours} opened to 10.0.0.1:9");
    assert_eq!(told(&mut log, &mut host), [wanted]);
}

#[test]
fn both_sides_closing_is_not_an_abort() {
    let mut host = Host::with_peer();
    let listener = host.stack.tcp_listen(local(), 8).unwrap();
    let mut log = watch(&mut host, "tcp=debug");
    let iss = open(&mut host, 4000);
    let id = host.stack.tcp_accept(listener).unwrap();
    told(&mut log, &mut host);
    let flags = Flags::FIN | Flags::ACK;
    let fin = tcp(remote(4000), local(), flags, (101, iss + 1), b"", |_| {});
    host.receive(&from_peer(&fin));
    host.stack.close(host.now, id).unwrap();
    host.transmit();
    let ack = tcp(
        remote(4000),
        local(),
        Flags::ACK,
        (102, iss + 2),
        b"",
        |_| {},
    );
    host.receive(&from_peer(&ack));
    let ended = "debug tcp: 10.0.0.2:7 with 10.0.0.1:4000 ended: ";
    assert_eq!(
        told(&mut log, &mut host),
        [std::format!("{ended}closed by both sides")]
    );

    open(&mut host, 4000);
    let id = host.stack.tcp_accept(listener).unwrap();
    told(&mut log, &mut host);
    host.stack.tcp_abort(host.now, id).unwrap();
    assert_eq!(
        told(&mut log, &mut host),
        [std::format!("{ended}aborted by us")]
    );
}

#[test]
fn addresses_and_routes_come_and_go() {
    let mut host = Host::new();
    let mut log = watch(&mut host, "ip=info");
    let (now, interface) = (host.now, host.interface);
    let new: IpAddr = "10.1.0.1".parse().unwrap();
    host.stack.add_address(now, interface, new, 16).unwrap();
    assert_eq!(
        told(&mut log, &mut host),
        [
            "info ip: interface 1: static address 10.1.0.1/16 is ours",
            "info ip: route to 10.1.0.0/16 on interface 1",
        ]
    );
    host.stack.remove_address(now, interface, new).unwrap();
    assert_eq!(
        told(&mut log, &mut host),
        [
            "info ip: interface 1: address 10.1.0.1/16 is gone",
            "info ip: route to 10.1.0.0/16 on interface 1 is gone",
        ]
    );
}

#[test]
fn who_claims_our_address_is_named() {
    let mut host = Host::new();
    let mut log = watch(&mut host, "warn");
    host.receive(&arp_request((OTHER_HW, OURS), PEER));
    let claimed = "warn neighbour: interface 1: our address 10.0.0.2 is claimed by";
    let wanted = std::format!("{claimed} {}", text(OTHER_HW));
    assert_eq!(told(&mut log, &mut host), [wanted]);
}

#[test]
fn who_answers_our_question_is_told_once() {
    let mut host = Host::new();
    let mut log = watch(&mut host, "neighbour");
    host.stack.tcp_connect(host.now, remote(9), None).unwrap();
    assert_eq!(host.transmit().len(), 1, "a question");
    for _ in 0..2 {
        host.receive(&arp_reply((PEER_HW, PEER)));
    }
    let wanted = std::format!(
        "debug neighbour: interface 1: 10.0.0.1 is at {}",
        text(PEER_HW)
    );
    assert_eq!(told(&mut log, &mut host), [wanted]);
}

#[test]
fn a_path_that_carries_less_is_told() {
    let mut host = Host::with_peer();
    let mut log = watch(&mut host, "ip=info");
    let id = host.stack.udp_bind(local()).unwrap();
    let sent = host.stack.udp_send_to(host.now, id, &[0; 1400], remote(9));
    sent.unwrap();
    let sent = host.transmit();
    let quoted = &sent[0][14..14 + 28];
    let mtu = 1300_u16.to_be_bytes();
    let code = unreachable_code::FRAGMENTATION_NEEDED;
    let error = icmp(3, code, [0, 0, mtu[0], mtu[1]], quoted);
    host.receive(&from_peer(&ipv4(PEER, OURS, 1, &error, |_| {})));
    assert_eq!(
        told(&mut log, &mut host),
        ["info ip: path to 10.0.0.1 carries 1300 bytes"]
    );
}

#[test]
fn a_lease_is_told_from_its_begin_to_its_end() {
    let mut host = dhcp::Host::new(Default::default());
    let filter = Filter::all(None).changed("dhcp=info").unwrap();
    let mut log = Observer::new(&mut host.stack, host.now, filter);
    let mut told = |host: &mut dhcp::Host| {
        log.observe(&mut host.stack, host.now);
        log.next().map(|event| std::format!("{event}"))
    };
    host.obtain(&[]);
    host.run(5_000);
    let text = told(&mut host).unwrap();
    assert!(
        text.starts_with("interface 1: lease of 10.0.0.50 from 10.0.0.1 for "),
        "{text}"
    );
    let interface = host.interface;
    host.stack.dhcp_stop(host.now, interface, false).unwrap();
    assert_eq!(
        told(&mut host).unwrap(),
        "interface 1: lease of 10.0.0.50 is over"
    );
}

#[test]
fn drops_are_told_once_a_second_by_their_reason() {
    let mut host = Host::with_peer();
    let mut log = watch(&mut host, "debug");
    let bad = tcp(remote(1), local(), Flags::SYN, (1, 0), b"", |segment| {
        segment[4] ^= 1
    });
    let mut bad = from_peer(&bad);
    let last = bad.len() - 1;
    bad[last] ^= 1;
    let short = ethernet(PEER_HW, OUR_HW, 0x88b5, b"");
    for _ in 0..1_000 {
        host.receive(&bad);
        host.receive(&short);
        // The interval since the observer began is not over.
        assert_eq!(told(&mut log, &mut host), Vec::<String>::new());
    }
    let due = log.next_timeout().unwrap();
    assert_eq!(due.as_millis() - host.now.as_millis(), 1_000);
    host.now = due;
    let lines = told(&mut log, &mut host);
    assert_eq!(
        lines,
        [
            "debug link: eth_unknown_type: 1000 more",
            "debug tcp: tcp_bad_checksum: 1000 more",
        ]
    );
    // Nothing has happened since: nobody has to wake up.
    assert_eq!(log.next_timeout(), None);
}

/// Goes on when the observer says, until it wants no more: what it tells, and when it was done.
fn told_in_its_own_time(log: &mut Observer, host: &mut Host) -> Vec<String> {
    let mut lines = told(log, host);
    while let Some(due) = log.next_timeout() {
        assert!(due > host.now, "no progress");
        host.now = due;
        host.transmit();
        lines.extend(told(log, host));
    }
    lines
}

#[test]
fn what_had_no_room_is_told_though_nothing_else_happens() {
    let mut host = Host::with_peer();
    let listener = host.stack.tcp_listen(local(), 8).unwrap();
    let mut log = watch(&mut host, "debug");
    let started = host.now;
    for port in 0..100 {
        open_and_reset(&mut host, listener, 10_000 + port);
    }
    // What remains of this is told when others have come and gone.
    assert_eq!(told(&mut log, &mut host).len(), 64);
    for port in 0..16 {
        open_and_reset(&mut host, listener, 20_000 + port);
    }
    let (mut opened, mut ended, mut missed) = (0, 0, Vec::new());
    for line in told_in_its_own_time(&mut log, &mut host) {
        match line.rsplit(' ').next() {
            Some("told") => missed.push(line),
            Some("peer") => ended += 1,
            _ => opened += 1,
        }
    }
    assert_eq!((opened, ended), (16, 16));
    assert_eq!(missed, ["info tcp: 136 events were not told"]);
    // 34 events at 16 in a second, and the counters at the end.
    let millis = host.now.as_millis() - started.as_millis();
    assert!((2_062..=3_200).contains(&millis), "{millis} ms");
}

/// The rate does not depend on how often somebody looks.
#[test]
fn so_many_are_told_in_a_second_whoever_looks() {
    for step in [7, 60, 62, 63, 120, 999] {
        let mut host = Host::with_peer();
        let listener = host.stack.tcp_listen(local(), 8).unwrap();
        let mut log = watch(&mut host, "debug");
        let started = host.now.as_millis();
        let (mut lines, mut port, mut millis) = (0, 10_000, 0);
        while millis < 10_000 {
            millis = host.now.as_millis() - started;
            for _ in 0..=step / 20 {
                open_and_reset(&mut host, listener, port);
                port += 1;
            }
            lines += told(&mut log, &mut host).len() as u64;
            host.now = host.now + Duration::from_millis(step);
        }
        let most = u64::from(BURST) + u64::from(PER_SECOND) * millis / 1_000;
        assert!((most - 3..=most).contains(&lines), "{lines} by {step} ms");
    }
}

/// Who does not want to know of connections does not want to know how many there were.
#[test]
fn what_was_not_told_has_the_level_of_what_it_was() {
    let flood = |filter: &str| {
        let mut host = Host::with_peer();
        let listener = host.stack.tcp_listen(local(), 8).unwrap();
        let mut log = watch(&mut host, filter);
        for port in 0..200 {
            open_and_reset(&mut host, listener, 10_000 + port);
        }
        let lines = told_in_its_own_time(&mut log, &mut host);
        let missed = lines.into_iter().filter(|line| line.ends_with(" told"));
        missed.collect::<Vec<_>>()
    };
    assert_eq!(flood("warn"), Vec::<String>::new());
    let info = "info tcp: 168 events were not told";
    assert_eq!(flood("info"), [info]);
    let both = "info tcp: 336 events were not told";
    assert_eq!(flood("debug"), [both]);
}

#[test]
fn changes_of_the_network_that_had_no_room_are_counted() {
    let mut host = Host::new();
    let mut log = watch(&mut host, "ip=info");
    let (now, interface) = (host.now, host.interface);
    let address = |net| IpAddr::from([10, 1, net, 1]);
    // Each time two events, for the address and for its network.
    for _ in 0..15 {
        let added = host.stack.add_address(now, interface, address(0), 24);
        added.unwrap();
        assert_eq!(told(&mut log, &mut host).len(), 2);
        let removed = host.stack.remove_address(now, interface, address(0));
        removed.unwrap();
        assert_eq!(told(&mut log, &mut host).len(), 2);
    }
    for net in 0..4 {
        let added = host.stack.add_address(now, interface, address(net), 24);
        added.unwrap();
    }
    let lines = told_in_its_own_time(&mut log, &mut host);
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert_eq!(lines[4], "info ip: 4 events were not told");
}

/// Changes that never end do not take the room that is saved up for what was missed.
#[test]
fn a_network_that_changes_all_the_time_does_not_hide_what_was_missed() {
    let mut host = Host::with_peer();
    let listener = host.stack.tcp_listen(local(), 8).unwrap();
    let mut log = watch(&mut host, "debug");
    for port in 0..100 {
        open_and_reset(&mut host, listener, 10_000 + port);
    }
    let (interface, address) = (host.interface, IpAddr::from([10, 1, 0, 1]));
    let mut lines = told(&mut log, &mut host);
    for round in 0..40 {
        host.now = host.now + Duration::from_millis(62);
        let changed = match round % 2 {
            0 => host.stack.add_address(host.now, interface, address, 24),
            _ => host.stack.remove_address(host.now, interface, address),
        };
        changed.unwrap();
        lines.extend(told(&mut log, &mut host));
    }
    assert!(
        lines.contains(&"info tcp: 136 events were not told".into()),
        "{lines:?}"
    );
}

/// Nothing passes the link when the last request was in vain.
#[test]
fn what_is_dropped_by_time_is_told() {
    let mut host = Host::new();
    let mut log = watch(&mut host, "neighbour");
    let id = host.stack.udp_bind(local()).unwrap();
    let sent = host.stack.udp_send_to(host.now, id, b"", remote(9));
    sent.unwrap();
    let mut lines = Vec::new();
    while let Some(due) = host
        .stack
        .next_timeout()
        .into_iter()
        .chain(log.next_timeout())
        .min()
    {
        host.now = host.now.max(due);
        host.transmit();
        lines.extend(told(&mut log, &mut host));
    }
    assert_eq!(
        lines,
        [
            "debug neighbour: neighbour_failed: 1 more",
            "debug neighbour: neighbour_pending_expired: 1 more"
        ]
    );
}

#[test]
fn a_flood_of_connections_is_counted_and_not_told() {
    let mut host = Host::with_peer();
    let listener = host.stack.tcp_listen(local(), 8).unwrap();
    let mut log = Observer::new(&mut host.stack, host.now, everything());
    let (mut lines, mut missed) = (0, 0);
    let started = host.now;
    for round in 0..1_000_u16 {
        open_and_reset(&mut host, listener, 10_000 + round);
        host.advance(10);
        for line in told(&mut log, &mut host) {
            lines += 1;
            if let Some(rest) = line.strip_prefix("info tcp: ")
                && let Some(number) = rest.strip_suffix(" events were not told")
            {
                missed += number.parse::<u32>().unwrap();
            }
        }
    }
    let seconds = u32::try_from((host.now.as_millis() - started.as_millis()) / 1_000).unwrap();
    assert!(
        lines <= BURST + PER_SECOND * seconds,
        "{lines} lines in {seconds} s"
    );
    assert!(
        lines >= PER_SECOND * (seconds - 1),
        "{lines} lines in {seconds} s"
    );
    assert!(missed > 1_000, "{missed}");
}

/// What a link does does not push out what its connections do, and the other way round.
#[test]
fn a_flood_does_not_hide_a_conflict() {
    let mut host = Host::with_peer();
    let listener = host.stack.tcp_listen(local(), 8).unwrap();
    let mut log = watch(&mut host, "debug");
    for round in 0..300 {
        open_and_reset(&mut host, listener, 10_000 + round);
    }
    host.receive(&arp_request((OTHER_HW, OURS), PEER));
    let lines = told(&mut log, &mut host);
    assert!(
        lines[0].contains("our address 10.0.0.2 is claimed by"),
        "{lines:?}"
    );
    assert!(lines.len() <= BURST as usize);
}

#[test]
fn the_filter_may_change() {
    let mut host = Host::with_peer();
    host.stack.tcp_listen(local(), 8).unwrap();
    let mut log = watch(&mut host, "tcp=info");
    open(&mut host, 1);
    assert_eq!(told(&mut log, &mut host), Vec::<String>::new());
    let mut filter = *log.filter();
    filter.set(Module::Tcp, Some(Level::Debug));
    log.set_filter(filter);
    open(&mut host, 2);
    assert_eq!(told(&mut log, &mut host).len(), 1);
    // Whoever comes later begins anew.
    log.end(&mut host.stack);
    open(&mut host, 3);
    let mut log = watch(&mut host, "tcp");
    assert_eq!(told(&mut log, &mut host), Vec::<String>::new());
}
