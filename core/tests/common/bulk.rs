//! Connections that send without end, from the client to the server, and what of them arrives.

use super::path::Conditions;
use super::random::Random;
use super::world::{ADDRESSES, CLIENT, SERVER, World};
use mnet_core::config::{Config, CongestionAlgorithm, TcpConfig};
use mnet_core::{Instant, SocketId};
use std::net::SocketAddr;
use std::time::Duration;

const PORT: u16 = 9;

/// Payload in a full frame, by its bytes: 1448 of 1514.
pub const PAYLOAD_SHARE: f64 = 1448.0 / 1514.0;

/// A connection, and how much of it has arrived.
struct Flow {
    sending: SocketId,
    receiving: Option<SocketId>,
    received: u64,
}

/// The world with its flows.
pub struct Bulk {
    pub world: World,
    listener: SocketId,
    flows: Vec<Flow>,
    buf: Vec<u8>,
}

impl Bulk {
    /// `conditions` are those of what the server and what the client sends: data goes the second
    /// way.
    pub fn new(algorithm: CongestionAlgorithm, seed: u8, conditions: [Conditions; 2]) -> Self {
        Self::with(&Self::large(algorithm), seed, conditions)
    }

    /// Buffers that no path here fills.
    pub fn large(algorithm: CongestionAlgorithm) -> Config {
        Config {
            memory: 64 << 20,
            max_connections: Some(8),
            tcp: TcpConfig {
                receive_buffer: 8 << 20,
                send_buffer: 8 << 20,
                congestion: algorithm,
                ..TcpConfig::default()
            },
            ..Config::default()
        }
    }

    /// The same with a configuration of one's own for both sides.
    pub fn with(config: &Config, seed: u8, conditions: [Conditions; 2]) -> Self {
        let mut world = World::new(
            &[config.clone(), config.clone()],
            [seed ^ 0x55, seed],
            [Instant::ZERO; 2],
            conditions,
            Random(u64::from(seed)),
        );
        let local = SocketAddr::from((ADDRESSES[SERVER], PORT));
        let listener = world.sides[SERVER].stack.tcp_listen(local, 8).unwrap();
        Self {
            world,
            listener,
            flows: Vec::new(),
            buf: vec![0; 64 << 10],
        }
    }

    /// Starts one more connection.
    pub fn connect(&mut self) {
        let remote = SocketAddr::from((ADDRESSES[SERVER], PORT));
        let clock = self.world.clock(CLIENT);
        let sending = self.world.sides[CLIENT]
            .stack
            .tcp_connect(clock, remote, None);
        self.flows.push(Flow {
            sending: sending.unwrap(),
            receiving: None,
            received: 0,
        });
    }

    fn users_act(&mut self) {
        let clocks = [self.world.clock(SERVER), self.world.clock(CLIENT)];
        let [server, client] = &mut self.world.sides;
        while let Ok(id) = server.stack.tcp_accept(self.listener) {
            let remote = server.stack.remote_addr(id).unwrap();
            let flow = self
                .flows
                .iter_mut()
                .find(|flow| client.stack.local_addr(flow.sending).unwrap() == remote);
            flow.expect("one of ours").receiving = Some(id);
        }
        let buf = &mut self.buf;
        for flow in &mut self.flows {
            while client
                .stack
                .tcp_send(clocks[CLIENT], flow.sending, buf)
                .is_ok()
            {}
            while let Some(id) = flow.receiving
                && let Ok(len) = server.stack.tcp_recv(clocks[SERVER], id, buf)
            {
                assert!(len > 0, "the stream has no end");
                flow.received += len as u64;
            }
        }
    }

    /// After a pause, the client writes so many bytes at once; returns how long it took until the
    /// server had read them.
    pub fn answer(&mut self, bytes: usize, pause: Duration) -> Duration {
        if self.flows.is_empty() {
            self.connect();
        }
        let until = self.world.now + pause;
        while self.world.now < until {
            self.world.transmit();
            self.world.step(Some(until));
        }
        let start = self.world.now;
        let (mut sent, mut received) = (0, 0);
        while received < bytes {
            let clocks = [self.world.clock(SERVER), self.world.clock(CLIENT)];
            let [server, client] = &mut self.world.sides;
            let flow = &mut self.flows[0];
            if let Ok(id) = server.stack.tcp_accept(self.listener) {
                flow.receiving = Some(id);
            }
            let rest = &self.buf[..bytes - sent];
            if let Ok(len) = client.stack.tcp_send(clocks[CLIENT], flow.sending, rest) {
                sent += len;
            }
            while let Some(id) = flow.receiving
                && let Ok(len) = server.stack.tcp_recv(clocks[SERVER], id, &mut self.buf)
            {
                received += len;
            }
            if received < bytes {
                self.world.transmit();
                self.world.step(None);
            }
        }
        self.world.now - start
    }

    /// For `duration`, the client writes so many bytes after each `pause`, whatever has become of
    /// those before. Returns the longest time without news at the server.
    pub fn write_regularly(
        &mut self,
        bytes: usize,
        pause: Duration,
        duration: Duration,
    ) -> Duration {
        let end = self.world.now + duration;
        let (mut heard, mut longest) = (self.world.now, Duration::ZERO);
        while self.world.now < end {
            let next = self.world.now + pause;
            let clocks = [self.world.clock(SERVER), self.world.clock(CLIENT)];
            let [_, client] = &mut self.world.sides;
            let sending = self.flows[0].sending;
            let written = client
                .stack
                .tcp_send(clocks[CLIENT], sending, &self.buf[..bytes]);
            assert_eq!(written, Ok(bytes));
            while self.world.now < next {
                self.world.transmit();
                self.world.step(Some(next));
                let clock = self.world.clock(SERVER);
                let [server, _] = &mut self.world.sides;
                if self.flows[0].receiving.is_none() {
                    self.flows[0].receiving = server.stack.tcp_accept(self.listener).ok();
                }
                while let Some(id) = self.flows[0].receiving
                    && let Ok(len) = server.stack.tcp_recv(clock, id, &mut self.buf)
                {
                    self.flows[0].received += len as u64;
                    heard = self.world.now;
                }
                longest = longest.max(self.world.now - heard);
            }
        }
        longest
    }

    /// Lets time pass; returns how many bytes of each flow arrived in it.
    pub fn run_bytes(&mut self, duration: Duration) -> Vec<u64> {
        let end = self.world.now + duration;
        let before: Vec<u64> = self.flows.iter().map(|flow| flow.received).collect();
        while self.world.now < end {
            self.users_act();
            self.world.transmit();
            self.world.step(Some(end));
        }
        self.users_act();
        let received = self.flows.iter().map(|flow| flow.received);
        received
            .zip(before)
            .map(|(after, before)| after - before)
            .collect()
    }

    /// The same, as shares of what the bottleneck carries in that time.
    pub fn run(&mut self, duration: Duration) -> Vec<f64> {
        let (rate, _) = self.world.path[CLIENT]
            .conditions
            .rate
            .expect("a bottleneck");
        let carries = rate as f64 / 8.0 * PAYLOAD_SHARE * duration.as_secs_f64();
        let bytes = self.run_bytes(duration);
        bytes.iter().map(|bytes| *bytes as f64 / carries).collect()
    }
}
