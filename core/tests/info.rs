//! What one can learn of connections: the snapshot of one, and the list of all.

mod common;

use common::packet::Packet;
use common::{Host, OURS, PEER, pattern_at, small_config};
use mnet_core::config::CongestionAlgorithm;
use mnet_core::error::BadHandle;
use mnet_core::tcp::{State, TcpEntry};
use mnet_core::wire::tcp::{Flags, TcpOptions};
use mnet_core::{Instant, SocketId};
use std::net::SocketAddr;
use std::time::Duration;

const ISN: u32 = u32::MAX - 99;

/// The peer's handshake from `port`, up to SYN-ACK; our initial number.
fn syn(host: &mut Host, port: u16) -> u32 {
    let mut syn = Packet::to_us(port, 80, Flags::SYN, ISN, 0);
    syn.options = TcpOptions {
        mss: Some(1_000),
        window_scale: Some(3),
        sack_permitted: true,
        ..TcpOptions::default()
    };
    host.exchange(&syn)[0].seq
}

fn listener(host: &mut Host) -> SocketId {
    let local = SocketAddr::from((OURS, 80));
    host.stack.tcp_listen(local, 8).unwrap()
}

fn accept(host: &mut Host, listener: SocketId, port: u16) -> (SocketId, u32) {
    let isn = syn(host, port);
    host.advance(Duration::from_millis(40));
    let ack = Packet::to_us(
        port,
        80,
        Flags::ACK,
        ISN.wrapping_add(1),
        isn.wrapping_add(1),
    );
    host.exchange(&ack);
    (host.stack.tcp_accept(listener).unwrap(), isn)
}

/// RFC 9293 §3.10.6.
#[test]
fn a_snapshot_says_what_the_connection_is_doing() {
    let mut host = Host::new(&small_config(), 1, Instant::from_millis(1_000));
    let listener = listener(&mut host);
    assert_eq!(host.stack.tcp_info(listener), Err(BadHandle));
    let (id, isn) = accept(&mut host, listener, 4_000);
    let info = host.stack.tcp_info(id).unwrap();
    assert_eq!(info.state, State::Established);
    assert!(info.sack && !info.timestamps);
    assert_eq!((info.mss, info.path_mtu), (1_000, 1_500));
    assert_eq!(info.window_scales, (3, 7));
    assert_eq!(info.srtt, Duration::from_millis(40));
    assert_eq!(info.rttvar, Duration::from_millis(20));
    assert_eq!((info.cwnd, info.ssthresh), (10_000, None));
    assert_eq!(info.snd_wnd, 65_535 << 3);
    assert_eq!(info.congestion, CongestionAlgorithm::Cubic);
    assert_eq!(info.congestion.name(), "cubic");
    assert_eq!((info.bytes_delivered, info.bytes_received), (0, 0));

    // More than the initial window: some of it waits.
    assert_eq!(
        host.stack.tcp_send(host.now, id, &pattern_at(0, 12_500)),
        Ok(12_500)
    );
    host.flush();
    let info = host.stack.tcp_info(id).unwrap();
    assert_eq!((info.in_flight, info.unsent), (10_000, 2_500));
    assert_eq!(info.retransmits, 0);

    // The peer takes 1,000 bytes and sends 300 across the wrap of its numbers.
    let mut data = Packet::to_us(4_000, 80, Flags::ACK, ISN + 1, isn.wrapping_add(1_001));
    data.payload = pattern_at(0, 300);
    host.exchange(&data);
    let info = host.stack.tcp_info(id).unwrap();
    assert_eq!((info.bytes_delivered, info.bytes_received), (1_000, 300));
    assert_eq!(info.unread, 300);
    assert_eq!(info.in_flight + info.unsent, 11_500);

    // Nothing more comes: a loss probe, then the timer.
    host.advance(Duration::from_secs(1));
    let info = host.stack.tcp_info(id).unwrap();
    assert!(info.retransmits >= 2 && info.backoff >= 1 && info.in_recovery);
    assert!(info.ssthresh.is_some_and(|ssthresh| ssthresh < 10_000));

    // A FIN is no byte.
    let fin = Packet::to_us(
        4_000,
        80,
        Flags::FIN | Flags::ACK,
        201,
        isn.wrapping_add(12_501),
    );
    host.exchange(&fin);
    let info = host.stack.tcp_info(id).unwrap();
    assert_eq!(info.state, State::CloseWait);
    assert_eq!((info.bytes_delivered, info.bytes_received), (12_500, 300));
    assert_eq!((info.in_flight, info.unsent), (0, 0));
}

fn list(host: &Host) -> Vec<TcpEntry> {
    let mut cursor = 0;
    let mut entries = Vec::new();
    while let Some((entry, next)) = host.stack.tcp_next(cursor) {
        assert!(next > cursor);
        entries.push(entry);
        cursor = next;
    }
    entries
}

#[test]
fn the_list_has_every_table_and_nothing_twice() {
    let mut host = Host::new(&small_config(), 1, Instant::from_millis(1_000));
    assert_eq!(list(&host), []);
    let listener = listener(&mut host);
    let (open, _) = accept(&mut host, listener, 4_000);
    let (closing, isn) = accept(&mut host, listener, 4_001);
    // Both sides close, ours first: TIME-WAIT, with a handle.
    host.stack.tcp_shutdown(host.now, closing).unwrap();
    host.flush();
    let fin = Packet::to_us(
        4_001,
        80,
        Flags::FIN | Flags::ACK,
        ISN + 1,
        isn.wrapping_add(2),
    );
    host.exchange(&fin);
    syn(&mut host, 4_002);
    // An orphan: its handle is gone.
    let (orphan, _) = accept(&mut host, listener, 4_003);
    host.stack.close(host.now, orphan).unwrap();

    let local = SocketAddr::from((OURS, 80));
    let entry = |port, state, id| TcpEntry {
        local,
        remote: Some(SocketAddr::from((PEER, port))),
        state,
        id,
    };
    let listening = TcpEntry {
        local,
        remote: None,
        state: State::Listen,
        id: Some(listener),
    };
    let mut entries = list(&host);
    entries.sort_by_key(|entry| entry.remote);
    assert_eq!(
        entries,
        [
            listening,
            entry(4_000, State::Established, Some(open)),
            entry(4_001, State::TimeWait, Some(closing)),
            entry(4_002, State::SynReceived, None),
            entry(4_003, State::FinWait1, None),
        ]
    );
    // Closed by the time, the handle still names it.
    host.advance(Duration::from_secs(61));
    let closed = entry(4_001, State::Closed, Some(closing));
    assert!(list(&host).contains(&closed));
}
