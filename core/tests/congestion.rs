//! Congestion control on a long and fast path: 100 Mbit/s, 100 ms, a queue of one
//! bandwidth-delay product in front of the bottleneck that drops what does not fit.
//!
//! What counts is what arrives: how soon the path is full, whether it stays full, and whether
//! connections share it fairly.

mod common;

use common::stack;
use mnet_core::config::{Config, CongestionAlgorithm, TcpConfig};
use mnet_core::device::InterfaceId;
use mnet_core::{Instant, SocketId, Stack};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 9;

/// Nanoseconds that a byte takes on the bottleneck: 100 Mbit/s.
const BYTE_NANOS: u64 = 80;
const ONE_WAY: Duration = Duration::from_millis(50);
/// 100 Mbit/s for 100 ms.
const QUEUE_BYTES: u64 = 1_250_000;
/// Payload that the bottleneck carries in a second: 1448 of the 1514 bytes of a full frame.
const GOODPUT: f64 = 12_500_000.0 * 1448.0 / 1514.0;

struct Host {
    stack: Stack,
    interface: InterfaceId,
    /// Frames on their way to it.
    arriving: VecDeque<(Instant, Vec<u8>)>,
}

impl Host {
    fn new(algorithm: CongestionAlgorithm, seed: u8, ip: Ipv4Addr) -> Self {
        let config = Config {
            memory: 64 << 20,
            max_connections: Some(8),
            tcp: TcpConfig {
                receive_buffer: 8 << 20,
                send_buffer: 8 << 20,
                congestion: algorithm,
                ..TcpConfig::default()
            },
            ..Config::default()
        };
        let (stack, interface) = stack(&config, seed, Instant::ZERO, ip);
        Self {
            stack,
            interface,
            arriving: VecDeque::new(),
        }
    }

    fn next(&self) -> Option<Instant> {
        let arrival = self.arriving.front().map(|(at, _)| *at);
        arrival.into_iter().chain(self.stack.next_timeout()).min()
    }

    fn act(&mut self, now: Instant) {
        while let Some((at, _)) = self.arriving.front()
            && *at <= now
            && let Some((_, frame)) = self.arriving.pop_front()
        {
            self.stack.receive_copy(now, self.interface, &frame);
        }
        self.stack.handle_timeout(now);
        while self.stack.poll_event().is_some() {}
    }
}

/// A connection, and what of it has arrived.
struct Flow {
    sending: SocketId,
    receiving: Option<SocketId>,
    received: u64,
}

struct Path {
    now: Instant,
    sender: Host,
    receiver: Host,
    listener: SocketId,
    flows: Vec<Flow>,
    /// When the bottleneck has sent all that is in its queue.
    idle_at: Instant,
    dropped: u64,
    buf: Vec<u8>,
}

impl Path {
    fn new(algorithm: CongestionAlgorithm, seed: u8) -> Self {
        let sender = Host::new(algorithm, seed, SENDER);
        let mut receiver = Host::new(algorithm, seed ^ 0x55, RECEIVER);
        let local = SocketAddr::from((RECEIVER, PORT));
        let listener = receiver.stack.tcp_listen(local, 8).unwrap();
        Self {
            now: Instant::ZERO,
            sender,
            receiver,
            listener,
            flows: Vec::new(),
            idle_at: Instant::ZERO,
            dropped: 0,
            buf: vec![0; 64 << 10],
        }
    }

    /// Starts one more connection, which sends without end.
    fn connect(&mut self) {
        let remote = SocketAddr::from((RECEIVER, PORT));
        let sending = self.sender.stack.tcp_connect(self.now, remote, None);
        self.flows.push(Flow {
            sending: sending.unwrap(),
            receiving: None,
            received: 0,
        });
    }

    fn users_act(&mut self) {
        while let Ok(id) = self.receiver.stack.tcp_accept(self.listener) {
            let remote = self.receiver.stack.remote_addr(id).unwrap();
            let sender = &self.sender.stack;
            let flow = self
                .flows
                .iter_mut()
                .find(|flow| sender.local_addr(flow.sending).unwrap() == remote);
            flow.expect("one of ours").receiving = Some(id);
        }
        for flow in &mut self.flows {
            let (stack, buf) = (&mut self.sender.stack, &mut self.buf);
            while stack.tcp_send(self.now, flow.sending, buf).is_ok() {}
            let stack = &mut self.receiver.stack;
            while let Some(id) = flow.receiving
                && let Ok(len) = stack.tcp_recv(self.now, id, buf)
            {
                assert!(len > 0, "the stream has no end");
                flow.received += len as u64;
            }
        }
    }

    fn transmit(&mut self) {
        while let Some(frame) = self.sender.stack.transmit(self.now) {
            let frame = frame.slices.concat();
            let len = frame.len() as u64;
            let start = self.idle_at.max(self.now);
            let backlog = (start - self.now).as_nanos() / u128::from(BYTE_NANOS);
            if backlog + u128::from(len) > u128::from(QUEUE_BYTES) {
                self.dropped += 1;
                continue;
            }
            self.idle_at = start + Duration::from_nanos(len * BYTE_NANOS);
            let at = self.idle_at + ONE_WAY;
            self.receiver.arriving.push_back((at, frame));
        }
        while let Some(frame) = self.receiver.stack.transmit(self.now) {
            let at = self.now + ONE_WAY;
            let frame = frame.slices.concat();
            self.sender.arriving.push_back((at, frame));
        }
    }

    /// Lets time pass; returns what arrived of each flow, as a share of what the path carries.
    fn run(&mut self, duration: Duration) -> Vec<f64> {
        let end = self.now + duration;
        let before: Vec<u64> = self.flows.iter().map(|flow| flow.received).collect();
        loop {
            self.users_act();
            self.transmit();
            let next = [self.sender.next(), self.receiver.next()];
            let next = next.into_iter().flatten().min().unwrap_or(end);
            if next >= end {
                break;
            }
            self.now = self.now.max(next);
            self.sender.act(self.now);
            self.receiver.act(self.now);
        }
        self.now = end;
        let share = |(flow, before): (&Flow, u64)| {
            let bytes = u32::try_from(flow.received - before).unwrap();
            f64::from(bytes) / duration.as_secs_f64() / GOODPUT
        };
        self.flows.iter().zip(before).map(share).collect()
    }
}

/// At 90 % within five seconds, and from then on.
fn fills_the_path(algorithm: CongestionAlgorithm) {
    let mut path = Path::new(algorithm, 1);
    path.connect();
    let seconds: Vec<f64> = (0..30)
        .map(|_| path.run(Duration::from_secs(1))[0])
        .collect();
    assert!(seconds[4] >= 0.9, "{seconds:.2?}");
    // Retransmissions fill holes: what they let through may count in the second after its own.
    for (n, pair) in seconds[4..].windows(2).enumerate() {
        let share = f64::midpoint(pair[0], pair[1]);
        assert!(share >= 0.9, "after {} s: {seconds:.2?}", n + 4);
    }
    assert!(path.dropped > 0, "the queue was full at least once");
    let timeouts = path.sender.stack.counters().tcp_timeouts;
    assert_eq!(timeouts, 0, "losses are found and repaired without");
}

#[test]
fn one_connection_fills_a_long_and_fast_path_within_five_seconds_and_keeps_it_full() {
    fills_the_path(CongestionAlgorithm::Cubic);
}

#[test]
fn so_does_new_reno_with_a_queue_that_bridges_its_halving() {
    fills_the_path(CongestionAlgorithm::NewReno);
}

/// Jain's index: 1 if all are equal.
fn fairness(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (f64::from(u32::try_from(shares.len()).unwrap()) * squares)
}

#[test]
fn two_connections_share_fairly_though_one_came_later() {
    let mut path = Path::new(CongestionAlgorithm::Cubic, 1);
    path.connect();
    path.run(Duration::from_secs(5));
    path.connect();
    path.run(Duration::from_secs(30));
    let shares = path.run(Duration::from_secs(30));
    let index = fairness(&shares);
    assert!(index >= 0.9, "{index:.3}: {shares:.2?}");
    assert!(shares.iter().sum::<f64>() >= 0.9, "{shares:.2?}");
}
