//! The last segment of a handshake: what opens a connection must be taken by the connection too,
//! or it would be open for the listener and half-open for itself, without a timer.

mod common;

use common::link::*;
use mnet_core::wire::tcp::Flags;
use std::net::SocketAddr;

/// A SYN from the peer, with these options; the number that our SYN-ACK asks for.
fn open(host: &mut Host, options: &[u8]) -> u32 {
    let (peer, ours) = (
        SocketAddr::from((PEER, 4_000)),
        SocketAddr::from((OURS, 80)),
    );
    let syn = tcp(peer, ours, Flags::SYN, (999, 0), b"", |segment| {
        segment[12] = u8::try_from((20 + options.len()) / 4 * 16).unwrap();
        segment.extend(options);
    });
    let answers = host.receive(&from_peer(&syn));
    let (header, _) = parse_sent(&answers[0]).tcp();
    assert!(header.flags().contains(Flags::SYN | Flags::ACK));
    header.sequence.get().wrapping_add(1)
}

fn acknowledge(host: &mut Host, (sequence, ack): (u32, u32), payload: &[u8]) {
    let (peer, ours) = (
        SocketAddr::from((PEER, 4_000)),
        SocketAddr::from((OURS, 80)),
    );
    host.receive(&from_peer(&tcp(
        peer,
        ours,
        Flags::ACK,
        (sequence, ack),
        payload,
        |_| {},
    )));
}

/// Time passes until nothing is left to happen.
fn wait(host: &mut Host) {
    while let Some(due) = host.stack.next_timeout() {
        host.now = host.now.max(due);
        host.transmit();
    }
}

#[test]
fn a_missing_timestamp_does_not_open_a_connection() {
    let mut host = Host::with_peer();
    let listener = host
        .stack
        .tcp_listen(SocketAddr::from((OURS, 80)), 4)
        .unwrap();
    let ack = open(&mut host, &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0]);
    acknowledge(&mut host, (1_000, ack), b"");
    assert!(host.stack.tcp_accept(listener).is_err());
    assert_eq!(host.stack.counters().tcp_timestamp_missing, 1);
    wait(&mut host);
    assert_eq!(
        (host.stack.usage().half_open, host.stack.usage().connections),
        (0, 0)
    );
    host.assert_no_frame_lost();
}

#[test]
fn data_at_the_end_of_the_window_does_not_open_a_connection() {
    let mut host = Host::with_peer();
    let listener = host
        .stack
        .tcp_listen(SocketAddr::from((OURS, 80)), 4)
        .unwrap();
    let ack = open(&mut host, &[]);
    for offset in [0xffffu32, 0x1_0000, 0x8000_0000, u32::MAX] {
        acknowledge(&mut host, (1_000u32.wrapping_add(offset), ack), b"x");
        assert!(host.stack.tcp_accept(listener).is_err(), "{offset}");
    }
    acknowledge(&mut host, (1_000, ack), b"x");
    let id = host.stack.tcp_accept(listener).unwrap();
    let mut buffer = [0; 4];
    assert_eq!(host.stack.tcp_recv(host.now, id, &mut buffer), Ok(1));
}
