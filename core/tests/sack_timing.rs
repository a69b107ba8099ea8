//! Acknowledgements that arrive at an awkward moment, and windows that limit at the wrong place:
//! each of these has gone wrong once.

mod common;

use common::packet::Packet;
use common::{Host, OURS, small_config};
use mnet_core::config::{Config, TcpConfig};
use mnet_core::wire::tcp::{Flags, TcpOptions};
use mnet_core::{Instant, SocketId};
use std::net::SocketAddr;
use std::time::Duration;

const PEER_PORT: u16 = 4_000;
const MSS: u16 = 1_000;

/// A connection that a peer with SACK has opened; `iss` is our first number.
struct Connection {
    host: Host,
    id: SocketId,
    iss: u32,
}

impl Connection {
    fn new(config: &Config, window: u16) -> Self {
        let mut host = Host::new(config, 3, Instant::from_millis(1_000));
        let local = SocketAddr::from((OURS, 80));
        let listener = host.stack.tcp_listen(local, 4).unwrap();
        let mut syn = Packet::to_us(PEER_PORT, 80, Flags::SYN, u32::MAX, 0);
        syn.options = TcpOptions {
            mss: Some(MSS),
            sack_permitted: true,
            window_scale: Some(7),
            ..TcpOptions::default()
        };
        let iss = host.exchange(&syn)[0].seq;
        let mut connection = Self {
            host,
            id: listener,
            iss,
        };
        connection.acknowledge(1, window, None);
        connection.id = connection.host.stack.tcp_accept(listener).unwrap();
        connection
    }

    /// Acknowledges up to `offset` from our first number, with a block; nothing is sent yet.
    fn acknowledge(&mut self, offset: u32, window: u16, block: Option<(u32, u32)>) {
        let at = |offset: u32| self.iss.wrapping_add(offset);
        let mut packet = Packet::to_us(PEER_PORT, 80, Flags::ACK, 0, at(offset));
        packet.window = window;
        packet.options.sack_blocks = block
            .iter()
            .map(|(left, right)| (at(*left), at(*right)))
            .collect();
        self.host.deliver(&packet);
    }

    /// Bytes of data that are sent now.
    fn sent(&mut self) -> u32 {
        self.host.flush();
        let bytes: usize = self.host.take().iter().map(|p| p.payload.len()).sum();
        u32::try_from(bytes).unwrap()
    }
}

/// RFC 8985 §7.1: no probe once the scoreboard tells what is missing.
#[test]
fn a_probe_that_is_due_is_dropped_when_its_segment_is_acknowledged_selectively() {
    let mut connection = Connection::new(&small_config(), 500);
    let now = connection.host.now;
    connection
        .host
        .stack
        .tcp_send(now, connection.id, &[1; 2_000])
        .unwrap();
    assert_eq!(connection.sent(), 2_000);
    // The probe timer expires, and before anything is sent the last segment is reported.
    connection.host.now = now + Duration::from_millis(50);
    connection.host.stack.handle_timeout(connection.host.now);
    connection.acknowledge(1, 500, Some((1_001, 2_001)));
    connection.sent();
    assert_eq!(connection.host.counter("tcp_loss_probes"), 0);
    // The counts of the scoreboard are right: the connection goes on.
    connection.host.now = connection.host.now + Duration::from_millis(1);
    connection.acknowledge(2_001, 500, None);
    let now = connection.host.now;
    connection
        .host
        .stack
        .tcp_send(now, connection.id, &[2; 2_000])
        .unwrap();
    assert_eq!(connection.sent(), 2_000);
}

/// RFC 9438 §5.8: cwnd grows only while it is what limits.
#[test]
fn cwnd_does_not_grow_while_the_peers_window_limits() {
    let config = Config {
        memory: 16 << 20,
        tcp: TcpConfig {
            send_buffer: 4 << 20,
            ..TcpConfig::default()
        },
        ..small_config()
    };
    let small = 30_000 / 128;
    let mut connection = Connection::new(&config, small);
    let (mut acknowledged, mut sent) = (1, 1);
    let mut round = |connection: &mut Connection, window| {
        let now = connection.host.now;
        while connection
            .host
            .stack
            .tcp_send(now, connection.id, &[1; 60_000])
            .is_ok()
        {}
        sent += connection.sent();
        let flight = sent - acknowledged;
        connection.host.now = now + Duration::from_millis(100);
        connection.host.stack.handle_timeout(connection.host.now);
        while acknowledged < sent {
            acknowledged = sent.min(acknowledged + 2 * u32::from(MSS));
            connection.acknowledge(acknowledged, window, None);
        }
        flight
    };
    for _ in 0..200 {
        assert!(round(&mut connection, small) <= 30_000);
    }
    round(&mut connection, 60_000);
    let burst = round(&mut connection, 60_000);
    assert!(burst <= 120_000, "{burst} bytes at once");
}
