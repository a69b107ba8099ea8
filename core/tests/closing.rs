//! A FIN needs no window: it is sent, and sent again, while the peer's window is closed.

mod common;

use common::link::*;
use mnet_core::SocketId;
use mnet_core::wire::tcp::Flags;
use std::net::SocketAddr;

const WINDOW: std::ops::Range<usize> = 14..16;

fn segment(flags: Flags, numbers: (u32, u32), window: u16) -> Vec<u8> {
    let (peer, ours) = (
        SocketAddr::from((PEER, 4_000)),
        SocketAddr::from((OURS, 80)),
    );
    from_peer(&tcp(peer, ours, flags, numbers, b"", |segment| {
        segment[WINDOW].copy_from_slice(&window.to_be_bytes());
    }))
}

/// An accepted connection to a peer with a closed window; the next number that we send.
fn open(host: &mut Host) -> (SocketId, u32) {
    let listener = host
        .stack
        .tcp_listen(SocketAddr::from((OURS, 80)), 4)
        .unwrap();
    let answers = host.receive(&segment(Flags::SYN, (999, 0), 0));
    let snd_nxt = parse_sent(&answers[0])
        .tcp()
        .0
        .sequence
        .get()
        .wrapping_add(1);
    host.receive(&segment(Flags::ACK, (1_000, snd_nxt), 0));
    (host.stack.tcp_accept(listener).unwrap(), snd_nxt)
}

fn fins(frames: &[Vec<u8>]) -> usize {
    frames
        .iter()
        .filter(|frame| frame[12..14] == [8, 0])
        .filter(|frame| parse_sent(frame).tcp().0.flags().contains(Flags::FIN))
        .count()
}

#[test]
fn a_lost_fin_is_sent_again_while_the_window_is_closed() {
    let mut host = Host::with_peer();
    let (id, snd_nxt) = open(&mut host);
    host.stack.close(host.now, id).unwrap();
    let mut sent = fins(&host.transmit());
    assert_eq!(sent, 1);
    for _ in 0..60 {
        host.advance(500);
        sent += fins(&host.transmit());
    }
    assert!(sent >= 5, "{sent} in half a minute");
    host.receive(&segment(
        Flags::ACK | Flags::FIN,
        (1_000, snd_nxt.wrapping_add(1)),
        0,
    ));
    assert_eq!(host.stack.usage().connections, 0);
    host.assert_no_frame_lost();
}

#[test]
fn a_window_that_opens_does_not_stop_the_retransmission_of_a_fin() {
    let mut host = Host::with_peer();
    let (id, snd_nxt) = open(&mut host);
    host.stack.close(host.now, id).unwrap();
    host.transmit();
    let mut sent = 0;
    for _ in 0..10 {
        host.advance(500);
        sent += fins(&host.transmit());
    }
    assert!(sent > 0);
    // It acknowledges nothing new.
    host.receive(&segment(Flags::ACK, (1_000, snd_nxt), 0xffff));
    let mut sent = 0;
    for _ in 0..60 {
        host.advance(500);
        sent += fins(&host.transmit());
    }
    assert!(sent >= 2, "{sent} in half a minute");
}

#[test]
fn a_peer_that_never_answers_a_fin_is_forgotten() {
    let mut host = Host::with_peer();
    let (id, _) = open(&mut host);
    host.stack.close(host.now, id).unwrap();
    host.transmit();
    while let Some(due) = host.stack.next_timeout() {
        host.now = host.now.max(due);
        host.transmit();
    }
    assert_eq!(host.stack.usage().connections, 0);
    assert_eq!(host.stack.counters().tcp_timed_out, 1);
    host.assert_no_frame_lost();
}
