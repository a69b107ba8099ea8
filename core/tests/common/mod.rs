//! What the tests of whole stacks share: a host around a [`Stack`] under virtual time with TCP
//! packets as values (here and in `packet`), the same with frames of all protocols as bytes
//! (`link`, `v6`, `dhcp`), a peer that follows a script (`script`), and two stacks across a simulated path
//! (`world`, `path`) with their users (`stream`).
#![allow(
    dead_code,
    unreachable_pub,
    reason = "every test target uses its own part of this"
)]

pub mod adversary;
pub mod bulk;
pub mod dhcp;
pub mod fragments;
pub mod link;
pub mod middlebox;
pub mod packet;
pub mod path;
pub mod pcap;
pub mod random;
pub mod script;
pub mod seeds;
pub mod several;
pub mod stream;
pub mod v6;
pub mod world;

use mnet_core::config::Config;
use mnet_core::device::InterfaceId;
use mnet_core::{Instant, InterfaceConfig, Stack};
use packet::Packet;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Our address in all tests; the network is a /24.
pub const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The peer's.
pub const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// MTU of the interface.
pub const MTU: usize = 1500;

/// The hardware address of the host with an IP address.
pub const fn hardware_address(ip: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = ip.octets();
    [2, 0, a, b, c, d]
}

/// A small stack: 2 MiB, few connections, so that limits are near.
pub fn small_config() -> Config {
    Config {
        memory: 2 << 20,
        max_connections: Some(64),
        max_half_open: Some(32),
        max_time_wait: Some(16),
        ..Config::default()
    }
}

/// A stack with one interface and address.
pub fn stack(config: &Config, seed: u8, now: Instant, ip: Ipv4Addr) -> (Stack, InterfaceId) {
    let mut stack = Stack::new(config, [seed; 32], now).expect("a workable configuration");
    let hardware_address = hardware_address(ip);
    let interface = stack
        .add_interface(
            now,
            InterfaceConfig {
                hardware_address,
                mtu: MTU,
            },
        )
        .unwrap();
    stack
        .add_address(now, interface, IpAddr::V4(ip), 24)
        .unwrap();
    (stack, interface)
}

/// A stack that talks to scripted peers: ARP is answered for them, TCP goes through as values.
pub struct Host {
    pub stack: Stack,
    pub interface: InterfaceId,
    pub now: Instant,
    /// Segments that the stack has sent and the test has not looked at.
    pub sent: VecDeque<(Instant, Packet)>,
    /// ARP requests are not answered.
    pub neighbours_are_silent: bool,
}

impl Host {
    pub fn new(config: &Config, seed: u8, now: Instant) -> Self {
        let (stack, interface) = stack(config, seed, now, OURS);
        let mut host = Self {
            stack,
            interface,
            now,
            sent: VecDeque::new(),
            neighbours_are_silent: false,
        };
        host.flush();
        host.sent.clear();
        host
    }

    /// Hands a packet to the stack; what it answers comes with [`Host::flush`].
    pub fn deliver(&mut self, packet: &Packet) {
        self.stack
            .receive_copy(self.now, self.interface, &packet.to_frame());
    }

    /// Collects what the stack sends now.
    pub fn flush(&mut self) {
        for _ in 0..100_000 {
            let Some(bytes) = self
                .stack
                .transmit(self.now)
                .map(|frame| frame.slices.concat())
            else {
                return;
            };
            if let Some(reply) = packet::arp_reply(&bytes) {
                if !self.neighbours_are_silent {
                    self.stack.receive_copy(self.now, self.interface, &reply);
                }
            } else if let Some(packet) = Packet::from_frame(&bytes) {
                self.sent.push_back((self.now, packet));
            }
        }
        panic!("the stack does not stop sending");
    }

    /// Delivers one packet and returns what is sent because of it.
    pub fn exchange(&mut self, packet: &Packet) -> Vec<Packet> {
        self.deliver(packet);
        self.flush();
        self.take()
    }

    /// What was sent since the last look.
    pub fn take(&mut self) -> Vec<Packet> {
        self.sent.drain(..).map(|(_, packet)| packet).collect()
    }

    /// Lets time pass, doing what falls due on the way.
    pub fn advance(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..1_000_000 {
            let Some(next) = self.stack.next_timeout().filter(|next| *next <= end) else {
                self.now = end;
                self.stack.handle_timeout(end);
                self.flush();
                return;
            };
            self.now = self.now.max(next);
            self.stack.handle_timeout(self.now);
            self.flush();
        }
        panic!("time does not pass: timers fire without end");
    }

    /// A counter by its name.
    #[track_caller]
    pub fn counter(&self, name: &str) -> u64 {
        let found = self
            .stack
            .counters()
            .iter()
            .find(|(counter, _)| *counter == name);
        found.unwrap_or_else(|| panic!("no counter {name}")).1
    }

    /// Asserts that nothing is held: no frame, no table entry.
    #[track_caller]
    pub fn assert_nothing_held(&self) {
        let usage = self.stack.usage();
        assert_eq!(
            (
                usage.connections,
                usage.half_open,
                usage.time_wait,
                usage.orphaned
            ),
            (0, 0, 0, 0),
            "table entries are left"
        );
        let pool = self.stack.pool_frames();
        assert_eq!(pool.free, pool.total, "frames are left");
    }
}

/// The byte at an offset of the streams that the tests send: no period that a lost or repeated
/// segment could hide in.
pub fn pattern(offset: usize) -> u8 {
    let [a, b, c, ..] = offset.to_le_bytes();
    a.wrapping_mul(31) ^ b.wrapping_mul(7) ^ c
}

/// A piece of the stream.
pub fn pattern_at(offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len).map(pattern).collect()
}
