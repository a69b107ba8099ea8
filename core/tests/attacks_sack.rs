//! Attacks with SACK blocks: each test is named after the row of SECURITY.md that it answers. What
//! one acknowledgement may cost is bounded by the unit tests of `tcp::scoreboard`.

mod common;

use common::packet::Packet;
use common::{Host, OURS, pattern_at, small_config};
use mnet_core::Instant;
use mnet_core::SocketId;
use mnet_core::config::Config;
use mnet_core::wire::tcp::{Flags, TcpOptions};
use std::net::SocketAddr;
use std::time::Duration;

const SERVICE: u16 = 80;
const PEER_PORT: u16 = 4_000;
/// The smallest segment (RFC 791: no network carries less), whatever the peer announces.
const SEGMENT: u32 = 216;

/// A connection that the host has accepted, and what its peer knows of it.
struct Victim {
    host: Host,
    id: SocketId,
    /// The peer's next number.
    peer: u32,
    /// Our first number.
    ours: u32,
    written: usize,
    /// Behind the last byte that we have sent.
    sent: u32,
}

impl Victim {
    /// `mss` is what the peer announces; its window is 1 GiB.
    fn new(config: &Config, seed: u8, mss: u16) -> Self {
        let mut host = Host::new(config, seed, Instant::from_millis(5_000));
        let local = SocketAddr::from((OURS, SERVICE));
        let listener = host.stack.tcp_listen(local, 4).unwrap();
        let peer = u32::MAX - 5;
        let mut syn = Packet::to_us(PEER_PORT, SERVICE, Flags::SYN, peer, 0);
        syn.options = TcpOptions {
            mss: Some(mss),
            window_scale: Some(14),
            sack_permitted: true,
            ..TcpOptions::default()
        };
        let answers = host.exchange(&syn);
        let ours = answers[0].seq.wrapping_add(1);
        let mut victim = Self {
            host,
            id: listener,
            peer: peer.wrapping_add(1),
            ours,
            written: 0,
            sent: 0,
        };
        victim.acknowledge(0, &[]);
        victim.id = victim.host.stack.tcp_accept(listener).unwrap();
        victim
    }

    /// Acknowledges up to `offset`, with blocks of absolute numbers; returns what is sent then.
    fn acknowledge(&mut self, offset: u32, blocks: &[(u32, u32)]) -> Vec<Packet> {
        let ack = self.ours.wrapping_add(offset);
        let mut packet = Packet::to_us(PEER_PORT, SERVICE, Flags::ACK, self.peer, ack);
        packet.options.sack_blocks = blocks.iter().copied().collect();
        let packets = self.host.exchange(&packet);
        self.note(&packets);
        packets
    }

    fn note(&mut self, packets: &[Packet]) {
        for packet in packets {
            let len = u32::try_from(packet.payload.len()).unwrap();
            let end = packet.seq.wrapping_sub(self.ours).wrapping_add(len);
            self.sent = self.sent.max(end);
        }
    }

    /// Writes until nothing more is taken.
    fn fill(&mut self) {
        let now = self.host.now;
        while let Ok(taken) =
            self.host
                .stack
                .tcp_send(now, self.id, &pattern_at(self.written, 60_000))
        {
            self.written += taken;
        }
        self.host.flush();
        let packets = self.host.take();
        self.note(&packets);
    }

    /// A peer that behaves gets everything that was written.
    fn finish(&mut self) {
        let written = u32::try_from(self.written).unwrap();
        for _ in 0..100_000 {
            if self.acknowledge(self.sent, &[]).is_empty() && self.sent == written {
                break;
            }
        }
        assert_eq!(self.sent, written);
        let state = self.host.stack.tcp_state(self.id).unwrap();
        assert_eq!(state.to_string(), "ESTABLISHED");
        let held = self.host.stack.pool_frames();
        assert_eq!(held.free, held.total, "no frame is lost");
    }
}

/// CVE-2019-11477 and CVE-2019-11478: the smallest MSS, and blocks that make every second segment a
/// hole. Nothing is cut into pieces, so nothing more is held than before.
#[test]
fn row_11_blocks_that_make_every_second_segment_a_hole() {
    let config = Config {
        memory: 8 << 20,
        ..small_config()
    };
    let mut victim = Victim::new(&config, 3, 8);
    // Until some hundred segments are on their way.
    let mut before = 0;
    for _ in 0..200 {
        before = victim.sent;
        victim.fill();
        victim.acknowledge(before, &[]);
    }
    let (first, last) = (before, victim.sent);
    assert!(last - first > 300 * SEGMENT, "{}", last - first);
    let held = victim.host.stack.pool_frames().free;
    let edge = |offset: u32| victim.ours.wrapping_add(offset);
    let holes: Vec<(u32, u32)> = (0..(last - first) / SEGMENT)
        .filter(|i| i % 2 == 1)
        .map(|i| (edge(first + i * SEGMENT), edge(first + (i + 1) * SEGMENT)))
        .collect();
    for blocks in holes.chunks(4).rev() {
        victim.acknowledge(first, blocks);
    }
    victim.host.advance(Duration::from_millis(5));
    let sent = victim.host.take();
    victim.note(&sent);
    assert!(victim.host.counter("tcp_rack_losses") > 100);
    assert!(
        victim.host.stack.pool_frames().free >= held,
        "nothing is cut"
    );
    victim.finish();
}

/// smoltcp 0.13.1, CVE-2019-11477: arithmetic on the edges of blocks overflows. All pairs of edges
/// around everything that could matter, with our numbers on both sides of the wrap.
#[test]
fn row_28_edges_of_blocks_around_every_limit() {
    for seed in 0..8 {
        let mut victim = Victim::new(&small_config(), seed, 1_000);
        victim.fill();
        let (una, nxt) = (victim.ours, victim.ours.wrapping_add(victim.sent));
        let places = [
            una,
            nxt,
            0,
            1 << 31,
            una.wrapping_add(1 << 31),
            nxt.wrapping_sub(1_000),
        ];
        let edges: Vec<u32> = places
            .iter()
            .flat_map(|place| [place.wrapping_sub(1), *place, place.wrapping_add(1)])
            .collect();
        for left in &edges {
            for right in &edges {
                let mirrored = [
                    (*left, *right),
                    (*right, *left),
                    (*left, *left),
                    (una, *right),
                ];
                victim.acknowledge(0, &mirrored);
            }
        }
        assert!(victim.host.counter("tcp_sack_bad") > 100);
        victim.finish();
    }
}

/// A peer that says to have what it does not have harms itself only: no more is sent than its window
/// holds, and what it asks for afterwards is still there.
#[test]
fn row_26_blocks_of_what_has_not_arrived() {
    let mut victim = Victim::new(&small_config(), 5, 1_000);
    let mut most = 0;
    for _ in 0..200 {
        victim.fill();
        let block = (
            victim.ours.wrapping_add(1_000),
            victim.ours.wrapping_add(victim.sent),
        );
        victim.acknowledge(0, &[block]);
        most = most.max(victim.sent);
    }
    assert!(most as usize <= victim.written);
    // All of that was a lie: the peer asks for the second segment, and gets it by the timer.
    victim.acknowledge(1_000, &[]);
    victim.host.advance(Duration::from_secs(3));
    let sent = victim.host.take();
    let asked = victim.ours.wrapping_add(1_000);
    assert!(sent.iter().any(|packet| packet.seq == asked));
    assert_eq!(victim.host.counter("tcp_sack_reneged"), 1);
    victim.finish();
}
