//! What lasts longer than its number has bits: connections that are silent for weeks, are probed for
//! hours, or outlive thousands of listeners.

mod common;

use common::packet::Packet;
use common::{Host, OURS, small_config};
use mnet_core::config::Keepalive;
use mnet_core::error::RecvError;
use mnet_core::tcp::TcpSetting;
use mnet_core::wire::tcp::Flags;
use mnet_core::{Instant, SocketId};
use std::net::SocketAddr;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// The peer's initial sequence number.
const PEER_ISN: u32 = u32::MAX - 3;

/// An open connection, and our next number.
fn open(host: &mut Host) -> (SocketId, u32) {
    let local = SocketAddr::from((OURS, 80));
    let listener = host.stack.tcp_listen(local, 4).unwrap();
    let answer = host.exchange(&Packet::to_us(4_000, 80, Flags::SYN, PEER_ISN, 0));
    let ours = answer[0].seq.wrapping_add(1);
    host.exchange(&segment(1, ours, b""));
    (host.stack.tcp_accept(listener).unwrap(), ours)
}

fn segment(offset: u32, ours: u32, payload: &[u8]) -> Packet {
    let mut packet = Packet::to_us(4_000, 80, Flags::ACK, PEER_ISN.wrapping_add(offset), ours);
    packet.payload = payload.to_vec();
    packet
}

/// A program that has no timer to wait for need not call while nothing arrives.
#[test]
fn timers_run_on_time_after_weeks_without_a_call() {
    for days in [24, 25, 26, 49, 50, 75, 100] {
        let mut host = Host::new(&small_config(), 1, Instant::from_millis(1_000));
        let (id, ours) = open(&mut host);
        host.advance(Duration::from_secs(5));
        assert_eq!(host.stack.next_timeout(), None);
        host.now = host.now + days * DAY;
        let sent = host.exchange(&segment(1, ours, b"abc"));
        assert_eq!(sent.len(), 1, "{days}");
        assert_eq!(sent[0].ack, PEER_ISN.wrapping_add(4));
        host.stack.tcp_send(host.now, id, b"answer").unwrap();
        host.flush();
        // The segment, a loss probe, retransmissions.
        host.advance(Duration::from_millis(2_500));
        let sent: Vec<_> = host.sent.drain(..).map(|(at, _)| at).collect();
        assert!((3..=4).contains(&sent.len()), "{days}: {sent:?}");
        assert!(sent.is_sorted_by(|a, b| b.saturating_since(*a) >= Duration::from_millis(200)));
        host.exchange(&segment(4, ours.wrapping_add(6), b""));
        let mut buffer = [0; 8];
        assert_eq!(host.stack.tcp_recv(host.now, id, &mut buffer), Ok(3));
        assert_eq!(
            host.stack.tcp_recv(host.now, id, &mut buffer),
            Err(RecvError::WouldBlock)
        );
        host.advance(Duration::from_secs(5));
        assert_eq!(host.stack.next_timeout(), None, "{days}: nothing is left");
    }
}

/// RFC 5482 §3 with RFC 9293 §3.8.4: the user timeout ends the probing, after however many probes.
#[test]
fn a_user_timeout_of_many_keepalive_intervals_ends_the_connection() {
    let mut host = Host::new(&small_config(), 1, Instant::from_millis(1_000));
    let (id, _) = open(&mut host);
    let second = Duration::from_secs(1);
    for setting in [
        TcpSetting::UserTimeout(Some(600 * second)),
        TcpSetting::Keepalive(Some(Keepalive {
            idle: 10 * second,
            interval: second,
            count: 3,
        })),
    ] {
        host.stack.tcp_set(host.now, id, setting).unwrap();
    }
    host.advance(599 * second);
    assert_eq!(host.counter("tcp_keepalive_probes"), 590);
    assert_eq!(host.counter("tcp_timed_out"), 0);
    host.advance(2 * second);
    assert_eq!(host.counter("tcp_timed_out"), 1);
    let mut buffer = [0; 8];
    let read = host.stack.tcp_recv(host.now, id, &mut buffer);
    assert_eq!(read, Err(RecvError::TimedOut));
}

/// As many listeners later as a connection tells apart.
#[test]
fn a_connection_that_outlives_thousands_of_listeners_does_not_count_for_the_last() {
    let mut host = Host::new(&small_config(), 1, Instant::from_millis(1_000));
    let local = SocketAddr::from((OURS, 80));
    let mut listener = host.stack.tcp_listen(local, 4).unwrap();
    let answer = host.exchange(&Packet::to_us(4_000, 80, Flags::SYN, PEER_ISN, 0));
    let ours = answer[0].seq.wrapping_add(1);
    host.exchange(&segment(1, ours, b""));
    let id = host.stack.tcp_accept(listener).unwrap();
    for _ in 0..4_096 {
        host.stack.close(host.now, listener).unwrap();
        listener = host.stack.tcp_listen(local, 4).unwrap();
    }
    assert_eq!(host.stack.usage().connections, 1);
    host.stack.tcp_abort(host.now, id).unwrap();
    host.flush();
    let answer = host.exchange(&Packet::to_us(4_001, 80, Flags::SYN, PEER_ISN, 0));
    assert_eq!(answer.last().unwrap().flags, Flags::SYN | Flags::ACK);
}
