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

/// RFC 8985 §6.2 step 2: what arrived before a window was closed says nothing of what is sent when it
/// opens, though the clock of the times of segments has gone half around meanwhile.
#[test]
fn after_any_time_at_a_closed_window_what_was_sent_later_is_not_lost() {
    for minutes in [0, 30, 36, 40, 50, 60, 70, 72, 100] {
        let mut config = small_config();
        config.tcp.pacing = false;
        let mut host = Host::new(&config, 1, Instant::from_millis(1_000));
        let local = SocketAddr::from((OURS, 80));
        let listener = host.stack.tcp_listen(local, 4).unwrap();
        let mut syn = Packet::to_us(4_000, 80, Flags::SYN, PEER_ISN, 0);
        syn.options.mss = Some(1_000);
        syn.options.sack_permitted = true;
        let ours = host.exchange(&syn)[0].seq.wrapping_add(1);
        host.advance(Duration::from_millis(20));
        host.exchange(&segment(1, ours, b""));
        let id = host.stack.tcp_accept(listener).unwrap();
        let acknowledge = |number: u32, window| {
            let mut packet = segment(1, ours.wrapping_add(number), b"");
            packet.window = window;
            packet
        };
        // A measurement for RACK, and a window that closes behind it.
        host.stack.tcp_send(host.now, id, &[7; 1_000]).unwrap();
        host.advance(Duration::from_millis(20));
        host.exchange(&acknowledge(1_000, 0));
        host.stack.tcp_send(host.now, id, &[7; 4_000]).unwrap();
        // Every probe is answered.
        for _ in 0..2 * minutes {
            host.advance(Duration::from_secs(30));
            host.exchange(&acknowledge(1_000, 0));
        }
        host.take();
        let sent = host.exchange(&acknowledge(1_000, 60_000)).len();
        assert!(sent >= 4, "{minutes}: {sent}");
        // The path has become slower. The second segment tells of the first one, not of later ones.
        host.advance(Duration::from_millis(35));
        host.take();
        let mut packet = acknowledge(1_000, 60_000);
        let block = (ours.wrapping_add(2_000), ours.wrapping_add(3_000));
        packet.options.sack_blocks = [block].into_iter().collect();
        host.deliver(&packet);
        host.advance(Duration::from_millis(30));
        assert!(
            !host.take().is_empty(),
            "{minutes}: what is missing goes again"
        );
        // One segment, or the two that a probe has made of it.
        let lost = host.counter("tcp_rack_losses");
        assert!((1..=2).contains(&lost), "{minutes}: {lost}");
    }
}
