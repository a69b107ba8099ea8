//! A hundred thousand connections in one stack: established, half-open, in TIME-WAIT. What one of
//! them costs does not depend on the others.

mod common;

use common::packet::Packet;
use common::{Host, OURS};
use mnet_core::config::Config;
use mnet_core::wire::tcp::Flags;
use mnet_core::{Instant, SocketId};
use std::net::SocketAddr;
use std::time::Duration;

const MANY: usize = 100_000;
const FEW: usize = 10;
/// Client ports for each of ours.
const PORTS: usize = 50_000;

/// The peer's end of a connection.
struct Client {
    port: u16,
    our_port: u16,
    seq: u32,
    ack: u32,
    id: SocketId,
}

impl Client {
    fn packet(&self, flags: Flags) -> Packet {
        Packet::to_us(self.port, self.our_port, flags, self.seq, self.ack)
    }
}

fn ports(index: usize) -> (u16, u16) {
    let port = u16::try_from(10_000 + index % PORTS).unwrap();
    (port, u16::try_from(80 + index / PORTS).unwrap())
}

fn host() -> (Host, Vec<SocketId>) {
    let config = Config {
        memory: 128 << 20,
        max_connections: Some(MANY),
        max_half_open: Some(MANY),
        max_time_wait: Some(MANY),
        ..Config::default()
    };
    let mut host = Host::new(&config, 1, Instant::from_millis(1_000));
    let listeners = (0..MANY / PORTS)
        .map(|i| {
            let address = SocketAddr::from((OURS, ports(i * PORTS).1));
            host.stack.tcp_listen(address, MANY).unwrap()
        })
        .collect();
    (host, listeners)
}

fn syn(index: usize) -> Packet {
    let (port, our_port) = ports(index);
    Packet::to_us(port, our_port, Flags::SYN, u32::MAX - 5, 0)
}

/// A host with `count` established connections that have accepted.
fn open(count: usize) -> (Host, Vec<Client>) {
    let (mut host, listeners) = host();
    let clients = (0..count)
        .map(|index| {
            let answers = host.exchange(&syn(index));
            let [answer] = &answers[..] else {
                panic!("{answers:?}");
            };
            let packet = syn(index);
            let (seq, ack) = (packet.seq.wrapping_add(1), answer.seq.wrapping_add(1));
            let (port, our_port) = ports(index);
            host.deliver(&Packet::to_us(port, our_port, Flags::ACK, seq, ack));
            Client {
                port,
                our_port,
                seq,
                ack,
                id: host.stack.tcp_accept(listeners[index / PORTS]).unwrap(),
            }
        })
        .collect();
    host.flush();
    while host.stack.poll_event().is_some() {}
    assert_eq!(host.stack.usage().connections, count);
    (host, clients)
}

/// A request and its answer on 500 connections all over the table; the time that it took.
fn requests(host: &mut Host, clients: &mut [Client]) -> Duration {
    let count = clients.len();
    let start = std::time::Instant::now();
    for i in 0..500 {
        let client = &mut clients[i * 7_919 % count];
        let mut buffer = [0; 64];
        host.deliver(
            &client
                .packet(Flags::ACK | Flags::PSH)
                .with_payload(&[7; 64]),
        );
        client.seq = client.seq.wrapping_add(64);
        assert_eq!(
            host.stack.tcp_recv(host.now, client.id, &mut buffer),
            Ok(64)
        );
        assert_eq!(host.stack.tcp_send(host.now, client.id, &buffer), Ok(64));
        host.flush();
        let answers = host.take();
        let answered: usize = answers.iter().map(|packet| packet.payload.len()).sum();
        assert_eq!(answered, 64, "{answers:?}");
        client.ack = client.ack.wrapping_add(64);
        host.deliver(&client.packet(Flags::ACK));
    }
    start.elapsed()
}

/// Turns of an event loop in which nothing is due; the time that they took.
fn idle_turns(host: &mut Host) -> Duration {
    let start = std::time::Instant::now();
    for _ in 0..1_000 {
        std::hint::black_box(host.stack.next_timeout());
        host.stack.handle_timeout(host.now);
        assert!(host.stack.transmit(host.now).is_none());
    }
    start.elapsed()
}

/// The fastest of several runs: what the machine does beside is not the question.
fn fastest(mut run: impl FnMut() -> Duration) -> Duration {
    (0..7).map(|_| run()).min().unwrap()
}

/// Memory that is not in a cache makes some difference, a walk would make it a thousandfold.
#[track_caller]
fn assert_flat(many: Duration, few: Duration) {
    assert!(many < few * 8, "{many:?} with {MANY}, {few:?} with {FEW}");
}

#[test]
fn a_hundred_thousand_established_connections_cost_what_ten_do() {
    let (mut few, mut few_clients) = open(FEW);
    let (mut many, mut clients) = open(MANY);
    let with_few = fastest(|| requests(&mut few, &mut few_clients));
    let with_many = fastest(|| requests(&mut many, &mut clients));
    assert_flat(with_many, with_few);
    assert_flat(
        fastest(|| idle_turns(&mut many)),
        fastest(|| idle_turns(&mut few)),
    );
    // The timers of what was sent fire once more and find nothing to do; then nothing is left but
    // what the neighbour's entry asks for.
    many.advance(Duration::from_secs(120));
    assert_eq!(many.stack.usage().connections, MANY);
    let pool = many.stack.pool_frames();
    assert_eq!(pool.free, pool.total, "an idle connection holds no frame");
    // The peers close, then we do.
    many.take();
    for client in &mut clients {
        many.deliver(&client.packet(Flags::FIN | Flags::ACK));
        client.seq = client.seq.wrapping_add(1);
        many.stack.close(many.now, client.id).unwrap();
        many.flush();
        many.take();
        client.ack = client.ack.wrapping_add(1);
        many.deliver(&client.packet(Flags::ACK));
    }
    many.flush();
    many.assert_nothing_held();
}

#[test]
fn a_hundred_thousand_half_open_connections_cost_what_ten_do() {
    let half_open = |count: usize| {
        let (mut host, _) = host();
        for index in 0..count {
            host.now = host.now + Duration::from_micros(10);
            assert_eq!(host.exchange(&syn(index)).len(), 1);
        }
        assert_eq!(host.stack.usage().half_open, count);
        host
    };
    let (mut few, mut many) = (half_open(FEW), half_open(MANY));
    assert_flat(
        fastest(|| idle_turns(&mut many)),
        fastest(|| idle_turns(&mut few)),
    );
    many.advance(Duration::from_secs(200));
    assert_eq!(many.counter("tcp_half_open_timeouts"), MANY as u64);
    many.assert_nothing_held();
}

#[test]
fn a_hundred_thousand_connections_in_time_wait_cost_what_ten_do() {
    let time_wait = |count: usize| {
        let (mut host, mut clients) = open(count);
        for client in &mut clients {
            host.stack.close(host.now, client.id).unwrap();
            host.flush();
            host.take();
            client.ack = client.ack.wrapping_add(1);
            host.deliver(&client.packet(Flags::FIN | Flags::ACK));
        }
        host.flush();
        let usage = host.stack.usage();
        assert_eq!((usage.connections, usage.time_wait), (0, count));
        host
    };
    let (mut few, mut many) = (time_wait(FEW), time_wait(MANY));
    assert_flat(
        fastest(|| idle_turns(&mut many)),
        fastest(|| idle_turns(&mut few)),
    );
    many.take();
    many.advance(Duration::from_secs(61));
    many.assert_nothing_held();
}
