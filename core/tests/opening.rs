//! OPEN and what concerns it: local addresses, listeners side by side, addresses that no host has,
//! and what IP reports about a connection.

mod common;

use common::link::*;
use mnet_core::SocketId;
use mnet_core::error::{ConnectError, ListenError};
use mnet_core::wire::ipv4::protocol;
use mnet_core::wire::tcp::Flags;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

const SERVICE: u16 = 80;
/// Another address of ours.
const SECOND: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);

fn at(address: Ipv4Addr, port: u16) -> SocketAddr {
    (address, port).into()
}

/// A host with two addresses.
fn host() -> Host {
    let mut host = Host::with_peer();
    let now = host.now;
    let added = host
        .stack
        .add_address(now, host.interface, SECOND.into(), 24);
    added.expect("room for an address");
    for _ in 0..2 {
        host.transmit();
        host.advance(2_000);
    }
    host.transmit();
    host
}

/// A SYN of the peer, and the answer's flags and numbers.
fn knock(host: &mut Host, to: Ipv4Addr, port: u16) -> (Flags, u32) {
    let syn = tcp(
        at(PEER, port),
        at(to, SERVICE),
        Flags::SYN,
        (1_000, 0),
        b"",
        |_| {},
    );
    let answers = host.receive(&from_peer(&syn));
    assert_eq!(answers.len(), 1);
    let sent = parse_sent(&answers[0]);
    assert_eq!(sent.ip.source(), to);
    let (header, _) = sent.tcp();
    (header.flags(), header.sequence.get())
}

/// Opens a connection from the peer's port.
fn open(host: &mut Host, listener: SocketId, to: Ipv4Addr, port: u16) -> (SocketId, u32) {
    let (flags, seq) = knock(host, to, port);
    assert_eq!(flags, Flags::SYN | Flags::ACK);
    let numbers = (1_001, seq.wrapping_add(1));
    let ack = tcp(
        at(PEER, port),
        at(to, SERVICE),
        Flags::ACK,
        numbers,
        b"",
        |_| {},
    );
    host.receive(&from_peer(&ack));
    (host.stack.tcp_accept(listener).unwrap(), numbers.1)
}

/// RFC 9293 §3.9.1.1 (MUST-41, MUST-42).
#[test]
fn listeners_share_a_port_and_leave_connections_alone() {
    let mut host = host();
    let first = host.stack.tcp_listen(at(OURS, SERVICE), 4).unwrap();
    let (connection, seq) = open(&mut host, first, OURS, 4_000);
    // Others for the second address, and for all that have none.
    let second = host.stack.tcp_listen(at(SECOND, SERVICE), 4).unwrap();
    let any = at(Ipv4Addr::UNSPECIFIED, SERVICE);
    host.stack.tcp_listen(any, 4).unwrap();
    assert_eq!(
        host.stack.tcp_listen(at(SECOND, SERVICE), 4),
        Err(ListenError::AddressInUse)
    );
    let (other, _) = open(&mut host, second, SECOND, 4_000);
    assert_eq!(host.stack.local_addr(other), Ok(at(SECOND, SERVICE)));
    assert!(host.stack.tcp_accept(first).is_err());
    // The connection goes on, also without its listener.
    host.stack.close(host.now, first).unwrap();
    let peer = at(PEER, 4_000);
    let data = tcp(
        peer,
        at(OURS, SERVICE),
        Flags::ACK,
        (1_001, seq),
        b"data",
        |_| {},
    );
    host.receive(&from_peer(&data));
    let mut buf = [0; 8];
    assert_eq!(host.stack.tcp_recv(host.now, connection, &mut buf), Ok(4));
}

/// The listener that answered the last SYN is remembered, but not beyond a change.
#[test]
fn a_listener_that_comes_or_goes_decides_from_the_next_syn_on() {
    let mut host = host();
    let any = at(Ipv4Addr::UNSPECIFIED, SERVICE);
    let any = host.stack.tcp_listen(any, 4).unwrap();
    open(&mut host, any, OURS, 4_000);
    let bound = host.stack.tcp_listen(at(OURS, SERVICE), 4).unwrap();
    open(&mut host, bound, OURS, 4_001);
    host.stack.close(host.now, bound).unwrap();
    open(&mut host, any, OURS, 4_002);
    host.stack.close(host.now, any).unwrap();
    let (flags, _) = knock(&mut host, OURS, 4_003);
    assert!(flags.contains(Flags::RST));
}

/// RFC 9293 §3.9.1.1 (MUST-43, MUST-44, MUST-45).
#[test]
fn an_open_may_say_its_local_address_and_else_the_route_decides() {
    let mut host = host();
    let remote = at(PEER, SERVICE);
    for (local, source) in [
        (None, None),
        (Some(at(Ipv4Addr::UNSPECIFIED, 0)), None),
        (Some(at(OURS, 5_000)), Some(OURS)),
        (Some(at(SECOND, 5_000)), Some(SECOND)),
        (Some(at(SECOND, 0)), Some(SECOND)),
    ] {
        let id = host.stack.tcp_connect(host.now, remote, local).unwrap();
        let chosen = host.stack.local_addr(id).unwrap().ip();
        let source = source.map_or(chosen, Into::into);
        assert_eq!(chosen, source);
        assert!([OURS, SECOND].map(Into::into).contains(&source));
        let first = host.transmit();
        assert_eq!(IpAddr::from(parse_sent(&first[0]).ip.source()), source);
        // And so it is for what is sent later.
        host.advance(1_100);
        let again = host.transmit();
        assert_eq!(IpAddr::from(parse_sent(&again[0]).ip.source()), source);
        host.stack.tcp_abort(host.now, id).unwrap();
    }
    let foreign = Some(at(OTHER, 0));
    assert_eq!(
        host.stack.tcp_connect(host.now, remote, foreign),
        Err(ConnectError::AddressNotLocal)
    );
}

/// RFC 9293 §3.9.1.1 (MUST-46).
#[test]
fn an_open_to_an_address_that_no_host_has_is_refused() {
    let mut host = host();
    for address in [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(10, 0, 0, 255),
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(127, 0, 0, 1),
        OURS,
    ] {
        let refused = host.stack.tcp_connect(host.now, at(address, SERVICE), None);
        assert_eq!(refused, Err(ConnectError::Invalid), "{address}");
    }
    assert_eq!(host.transmit().len(), 0);
}

/// RFC 9293 §3.9.2.2 (MUST-55, MUST-56): errors that quote the connection's own segment.
#[test]
fn soft_errors_and_source_quench_do_not_end_a_connection() {
    let mut host = host();
    let listener = host.stack.tcp_listen(at(OURS, SERVICE), 4).unwrap();
    let (id, _) = open(&mut host, listener, OURS, 4_000);
    host.stack.tcp_send(host.now, id, b"something").unwrap();
    let sent = host.transmit();
    let quoted = &sent[0][14..14 + 28];
    for (kind, code) in [(3, 0), (3, 1), (3, 5), (11, 0), (11, 1), (12, 0), (4, 0)] {
        let error = icmp(kind, code, [0; 4], quoted);
        host.receive(&from_peer(&ipv4(
            PEER,
            OURS,
            protocol::ICMP,
            &error,
            |_| {},
        )));
        let state = host.stack.tcp_state(id).unwrap().to_string();
        assert_eq!(state, "ESTABLISHED", "type {kind} code {code}");
    }
    assert!(host.counted().contains(&("icmp_ignored_type", 1)));
    // It is sent again as if nothing had been said.
    host.advance(300);
    assert_eq!(host.transmit().len(), 1);
}

/// RFC 9293 §3.9.2 (MUST-50).
#[test]
fn ip_options_do_not_keep_a_segment_from_its_connection() {
    let mut host = host();
    let listener = host.stack.tcp_listen(at(OURS, SERVICE), 4).unwrap();
    let (id, seq) = open(&mut host, listener, OURS, 4_000);
    let peer = at(PEER, 4_000);
    let plain = tcp(
        peer,
        at(OURS, SERVICE),
        Flags::ACK,
        (1_001, seq),
        b"data",
        |_| {},
    );
    // Record route, and one that nobody knows.
    let options = [7, 7, 4, 0, 0, 0, 0, 94, 4, 1, 2, 0];
    let packet = ipv4_with_options(PEER, OURS, protocol::TCP, &options, &plain[20..], |_| {});
    host.receive(&from_peer(&packet));
    let mut buf = [0; 8];
    assert_eq!(host.stack.tcp_recv(host.now, id, &mut buf), Ok(4));
}
