//! TCP and UDP share the frames of a pool: neither can take all of them.

mod common;

use common::link::{from_peer, udp};
use common::path::Conditions;
use common::random::Random;
use common::world::{ADDRESSES, CLIENT, SERVER, World};
use mnet_core::config::{Config, TcpConfig};
use mnet_core::{Instant, SocketId, Stack};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const PORT: u16 = 9;
/// Sockets, each with room for more datagrams than the quarter of the pool has frames.
const SOCKETS: u16 = 3;

/// A megabyte for both, and buffers that could take all of it.
fn config() -> Config {
    Config {
        memory: 1 << 20,
        max_connections: Some(16),
        max_half_open: Some(16),
        max_time_wait: Some(16),
        udp_receive_buffer: 1 << 20,
        tcp: TcpConfig {
            receive_buffer: 1 << 20,
            send_buffer: 1 << 20,
            ..TcpConfig::default()
        },
        ..Config::default()
    }
}

struct Hosts {
    world: World,
    listener: SocketId,
    sockets: Vec<SocketId>,
}

impl Hosts {
    fn new() -> Self {
        let path = Conditions::clean(Duration::from_millis(5));
        let mut world = World::new(
            &[config(), config()],
            [1, 2],
            [Instant::ZERO; 2],
            [path; 2],
            Random(1),
        );
        let server = &mut world.sides[SERVER].stack;
        let at = |port| SocketAddr::from((ADDRESSES[SERVER], port));
        Self {
            listener: server.tcp_listen(at(PORT), 16).unwrap(),
            sockets: (0..SOCKETS)
                .map(|n| server.udp_bind(at(n + 1)).unwrap())
                .collect(),
            world,
        }
    }

    fn server(&self) -> &Stack {
        &self.world.sides[SERVER].stack
    }

    fn counter(&self, wanted: &str) -> u64 {
        let mut counters = self.server().counters().iter();
        counters.find(|(name, _)| *name == wanted).unwrap().1
    }

    /// Frames beyond the reserve.
    fn shared(&self) -> usize {
        let limits = self.server().limits();
        limits.frames - limits.reserved_frames
    }

    /// Datagrams come until no more of them are taken; returns how many were.
    fn flood(&mut self) -> usize {
        let mut taken = 0;
        for n in 0.. {
            let refused = self.counter("udp_pool_low") + self.counter("udp_queue_full");
            let to = SocketAddr::from((ADDRESSES[SERVER], 1 + n % SOCKETS));
            let from = SocketAddr::from((ADDRESSES[CLIENT], 4_000));
            let mut frame = from_peer(&udp(from, to, b"flood"));
            frame[..6].copy_from_slice(&common::hardware_address(ADDRESSES[SERVER]));
            frame[6..12].copy_from_slice(&common::hardware_address(ADDRESSES[CLIENT]));
            let clock = self.world.clock(SERVER);
            let side = &mut self.world.sides[SERVER];
            side.stack.receive_copy(clock, side.interface, &frame);
            if self.counter("udp_pool_low") + self.counter("udp_queue_full") > refused {
                break;
            }
            taken += 1;
        }
        taken
    }

    /// Packets wait for hosts that are not there, as many as may.
    fn ask_for_the_absent(&mut self) {
        let clock = self.world.clock(SERVER);
        let stack = &mut self.world.sides[SERVER].stack;
        for n in 0..200 {
            let absent = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 10 + n), 9));
            // Some are refused: that is what this is for.
            let _ = stack.udp_send_to(clock, self.sockets[0], b"there?", absent);
        }
    }

    fn connect(&mut self) -> SocketId {
        let clock = self.world.clock(CLIENT);
        let remote = SocketAddr::from((ADDRESSES[SERVER], PORT));
        let client = &mut self.world.sides[CLIENT].stack;
        client.tcp_connect(clock, remote, None).unwrap()
    }

    fn run(&mut self, duration: Duration) {
        let end = self.world.now + duration;
        while self.world.now < end {
            self.world.transmit();
            self.world.step(Some(end));
        }
    }
}

#[test]
fn full_receive_queues_of_udp_and_silent_neighbours_do_not_stop_a_transfer() {
    let mut hosts = Hosts::new();
    let taken = hosts.flood();
    assert_eq!(taken, hosts.shared() / 4, "a quarter, and no more");
    let sending = hosts.connect();
    hosts.run(Duration::from_millis(100));
    let receiving = hosts.world.sides[SERVER].stack.tcp_accept(hosts.listener);
    let receiving = receiving.unwrap();
    let data = vec![7; 64 << 10];
    let mut buf = vec![0; 64 << 10];
    let (mut received, mut echoed) = (0, 0);
    for _ in 0..200 {
        hosts.ask_for_the_absent();
        hosts.flood();
        let clocks = [hosts.world.clock(SERVER), hosts.world.clock(CLIENT)];
        let [server, client] = &mut hosts.world.sides;
        while client
            .stack
            .tcp_send(clocks[CLIENT], sending, &data)
            .is_ok()
        {}
        while server
            .stack
            .tcp_send(clocks[SERVER], receiving, &data)
            .is_ok()
        {}
        while let Ok(len) = client.stack.tcp_recv(clocks[CLIENT], sending, &mut buf) {
            echoed += len;
        }
        // Seldom enough that what was promised to the peer is used.
        hosts.run(Duration::from_millis(20));
        let clock = hosts.world.clock(SERVER);
        let server = &mut hosts.world.sides[SERVER].stack;
        while let Ok(len) = server.tcp_recv(clock, receiving, &mut buf) {
            received += len;
        }
    }
    // Four seconds, 10 ms there and back.
    assert!(
        received > 4 << 20 && echoed > 4 << 20,
        "{received} {echoed}"
    );
    assert_eq!(hosts.counter("tcp_receive_memory"), 0, "promises were kept");
    assert_eq!(hosts.counter("rx_no_frame"), 0);
}

#[test]
fn connections_that_nobody_reads_leave_datagrams_their_eighth() {
    let mut hosts = Hosts::new();
    let clients: Vec<_> = (0..8).map(|_| hosts.connect()).collect();
    hosts.run(Duration::from_millis(100));
    let server = &mut hosts.world.sides[SERVER].stack;
    let servers: Vec<_> = std::iter::from_fn(|| server.tcp_accept(hosts.listener).ok()).collect();
    assert_eq!(servers.len(), 8);
    let data = vec![7; 64 << 10];
    for _ in 0..500 {
        let clocks = [hosts.world.clock(SERVER), hosts.world.clock(CLIENT)];
        for (at, ids) in [(SERVER, &servers), (CLIENT, &clients)] {
            for id in ids {
                let stack = &mut hosts.world.sides[at].stack;
                while stack.tcp_send(clocks[at], *id, &data).is_ok() {}
            }
        }
        hosts.run(Duration::from_millis(20));
    }
    let pool = hosts.server().pool_frames();
    assert!(
        pool.total - pool.free > hosts.shared() / 2,
        "TCP holds most of what it may"
    );
    let taken = hosts.flood();
    assert!(taken >= hosts.shared() / 8, "{taken} of {}", hosts.shared());
    // What UDP gives back beyond its eighth is TCP's again.
    let clock = hosts.world.clock(SERVER);
    for id in hosts.sockets.clone() {
        hosts.world.sides[SERVER].stack.close(clock, id).unwrap();
    }
    let mut buf = vec![0; 64 << 10];
    let mut received = 0;
    for _ in 0..100 {
        let clock = hosts.world.clock(SERVER);
        for id in &servers {
            let server = &mut hosts.world.sides[SERVER].stack;
            while let Ok(len) = server.tcp_recv(clock, *id, &mut buf) {
                received += len;
            }
        }
        hosts.run(Duration::from_millis(20));
    }
    assert!(received > 200_000, "{received}");
}
