//! One stack against a peer that misbehaves at random (`common::adversary`), and that behaves in
//! the end.
//!
//! Whatever the peer does: nothing panics or answers without end; what the stack hands to its user
//! are the true bytes of the peer's stream, in order; it sends no more than it was allowed to; the
//! state that the peer can cause is bounded; and once the peer behaves, both streams are completed,
//! the connection ends, and nothing is left of it. A seed decides everything.

mod common;

use common::adversary::{Opening, Peer, peer_byte};
use common::packet::arp_reply;
use common::pcap::{Recorder, Way};
use common::random::Random;
use common::{OURS, PEER, pattern_at, seeds, stack};
use mnet_core::config::{Config, TcpConfig};
use mnet_core::device::InterfaceId;
use mnet_core::error::{RecvError, SendError};
use mnet_core::{Instant, SocketId, Stack};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const PORT: u16 = 80;
const PEER_PORT: u16 = 4_000;

/// How the user of the stack ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Sends all, reads all, closes.
    Orderly,
    /// Closes in the middle, with data unread or still to come.
    Closes,
    Aborts,
}

/// The stack, its user, and the peer.
struct Arena {
    random: Random,
    stack: Stack,
    interface: InterfaceId,
    epoch: Instant,
    now: Instant,
    peer: Peer,
    listener: Option<SocketId>,
    connection: Option<SocketId>,
    ending: Ending,
    /// Of the stack's stream, and of the peer's.
    to_send: usize,
    sent: usize,
    received: usize,
    shut_down: bool,
    ended: bool,
    gone: bool,
    recorder: Option<Recorder>,
}

impl Arena {
    fn new(seed: u64, recorder: Option<Recorder>) -> Self {
        let mut random = Random(seed);
        let config = Config {
            memory: random.pick(&[600 << 10, 2 << 20]),
            max_connections: Some(8),
            max_half_open: Some(4),
            max_time_wait: Some(4),
            tcp: TcpConfig {
                receive_buffer: random.pick(&[4_096, 20_000, 200_000]),
                send_buffer: random.pick(&[4_096, 20_000, 200_000]),
                nodelay: random.per_mille(300),
                user_timeout: Duration::from_secs(600),
                syn_retries: 20,
                ..TcpConfig::default()
            },
            ..Config::default()
        };
        let any = random.next() >> 4;
        let epoch = Instant::from_nanos(random.pick(&[
            1_000_000_000,
            (1_000u64 << 32) - 2_000_000_000,
            (1_000_000u64 << 32) - 2_000_000_000,
            any,
        ]));
        let stack_seed = random.byte();
        let (mut stack, interface) = stack(&config, stack_seed, epoch, OURS);
        let opening = random.pick(&[Opening::Peer, Opening::Peer, Opening::Stack, Opening::Both]);
        let (mut listener, mut connection, mut our_port) = (None, None, PORT);
        if opening == Opening::Peer {
            let local = SocketAddr::from((OURS, PORT));
            listener = Some(stack.tcp_listen(local, 4).unwrap());
        } else {
            let remote = SocketAddr::from((PEER, PEER_PORT));
            let id = stack.tcp_connect(epoch, remote, None).unwrap();
            our_port = stack.local_addr(id).unwrap().port();
            connection = Some(id);
        }
        let len = random.pick(&[0, 1, 100, 5_000, 30_000]);
        let own = Random(random.next());
        let peer = Peer::new(own, opening, (PEER_PORT, our_port), len);
        let most = random.pick(&[1, 100, 5_000, 30_000]);
        Self {
            ending: random.pick(&[
                Ending::Orderly,
                Ending::Orderly,
                Ending::Orderly,
                Ending::Closes,
                Ending::Aborts,
            ]),
            to_send: random.below(most + 1),
            random,
            stack,
            interface,
            epoch,
            now: Instant::ZERO,
            peer,
            listener,
            connection,
            sent: 0,
            received: 0,
            shut_down: false,
            ended: false,
            gone: false,
            recorder,
        }
    }

    fn clock(&self) -> Instant {
        self.epoch + (self.now - Instant::ZERO)
    }

    fn record(&self, way: Way, frame: &[u8]) {
        if let Some(recorder) = &self.recorder {
            recorder.borrow_mut().record(0, self.now, way, frame);
        }
    }

    /// Takes everything from the stack; how many segments without data there were.
    fn transmit(&mut self) -> usize {
        let mut bare = 0;
        for _ in 0..5_000 {
            let clock = self.clock();
            let frame = self.stack.transmit(clock);
            let Some(bytes) = frame.map(|frame| frame.slices.concat()) else {
                return bare;
            };
            self.record(Way::Out, &bytes);
            if let Some(reply) = arp_reply(&bytes) {
                self.stack.receive_copy(clock, self.interface, &reply);
            } else if bytes[12..14] == [8, 0] {
                let header = usize::from(bytes[34 + 12] >> 4) * 4;
                bare += usize::from(bytes.len() == 34 + header);
                self.peer.receive(&bytes);
            }
        }
        panic!("the stack does not stop sending");
    }

    /// The user does what it can and likes.
    fn user(&mut self, eager: bool) {
        let clock = self.clock();
        if self.connection.is_none()
            && let Some(listener) = self.listener
            && let Ok(id) = self.stack.tcp_accept(listener)
        {
            self.connection = Some(id);
        }
        let Some(id) = self.connection.filter(|_| !self.gone) else {
            return;
        };
        let early = match self.ending {
            Ending::Orderly => false,
            Ending::Closes | Ending::Aborts => eager || self.random.per_mille(10),
        };
        if early {
            self.gone = true;
            if self.ending == Ending::Aborts {
                self.stack.tcp_abort(clock, id).expect("abort");
            } else {
                self.stack.close(clock, id).expect("close");
            }
            return;
        }
        for _ in 0..if eager { 100 } else { 3 } {
            if eager || self.random.per_mille(500) {
                self.write(id, clock, eager);
            }
            if eager || self.random.per_mille(400) {
                self.read(id, clock);
            }
        }
        if self.shut_down && self.ended {
            self.stack.close(clock, id).expect("close");
            self.gone = true;
        }
    }

    fn write(&mut self, id: SocketId, clock: Instant, eager: bool) {
        if self.sent < self.to_send {
            let len = (1 + self.random.below(3_000)).min(self.to_send - self.sent);
            match self.stack.tcp_send(clock, id, &pattern_at(self.sent, len)) {
                Ok(taken) => self.sent += taken,
                Err(SendError::WouldBlock) => {}
                Err(error) => self.failed(&error.to_string()),
            }
        } else if !self.shut_down && (eager || self.random.per_mille(100)) {
            match self.stack.tcp_shutdown(clock, id) {
                Ok(()) => self.shut_down = true,
                Err(error) => self.failed(&error.to_string()),
            }
        }
    }

    fn read(&mut self, id: SocketId, clock: Instant) {
        if self.ended || self.gone {
            return;
        }
        let mut buf = vec![0; 1 + self.random.below(4_000)];
        match self.stack.tcp_recv(clock, id, &mut buf) {
            Ok(0) => {
                assert_eq!(self.received, self.peer.len, "the end is where it belongs");
                self.ended = true;
            }
            Ok(len) => {
                for (at, byte) in (self.received..).zip(&buf[..len]) {
                    assert_eq!(*byte, peer_byte(at), "at {at}");
                }
                self.received += len;
                assert!(self.received <= self.peer.sent(), "more than was sent");
            }
            Err(RecvError::WouldBlock) => {}
            Err(error) => self.failed(&error.to_string()),
        }
    }

    /// Nothing that the peer does may end the connection: it never resets it.
    fn failed(&self, error: &str) {
        panic!("the connection has failed: {error}: {:?}", self.peer);
    }

    /// Goes on to what is next: a timer, or the peer's turn.
    fn step(&mut self, peer_acts: bool) {
        let timer = self.stack.next_timeout();
        let timer = timer.map(|at| Instant::ZERO + (at - self.epoch));
        let turn = peer_acts.then_some(self.peer.next_turn);
        let next = timer.into_iter().chain(turn).min();
        let next = next.expect("something will happen");
        self.now = self.now.max(next);
        let clock = self.clock();
        self.stack.handle_timeout(clock);
        while self.stack.poll_event().is_some() {}
        let mut frames = 0;
        if peer_acts && self.peer.next_turn <= self.now {
            for frame in self.peer.turn(self.now) {
                frames += 1;
                self.record(Way::In, &frame);
                self.stack.receive_copy(clock, self.interface, &frame);
            }
        }
        let answers = self.transmit();
        assert!(
            answers <= frames + 4,
            "{answers} answers to {frames} frames"
        );
        // One connection, and the frames that its windows and buffers may hold.
        let usage = self.stack.usage();
        assert!(
            usage.connections + usage.half_open + usage.time_wait <= 2,
            "{usage:?}"
        );
    }

    fn is_over(&self) -> bool {
        let usage = self.stack.usage();
        let open = usage.connections + usage.half_open - usage.time_wait.min(usage.connections);
        let never_began = !self.peer.open && self.ending != Ending::Orderly;
        let peer = self.peer.is_done() || self.peer.was_reset || never_began;
        self.gone && open == 0 && peer
    }
}

fn simulate(seed: u64, recorder: Option<Recorder>) {
    play(seed, recorder);
}

fn play(seed: u64, recorder: Option<Recorder>) -> Arena {
    let mut arena = Arena::new(seed, recorder);
    arena.transmit();
    let turns = arena.random.pick(&[20, 100, 400]);
    for _ in 0..turns {
        arena.user(false);
        arena.transmit();
        arena.step(true);
    }
    arena.peer.honest = true;
    arena.peer.next_turn = arena.now;
    let deadline = arena.now + Duration::from_secs(900);
    while !arena.is_over() {
        arena.user(true);
        arena.transmit();
        arena.step(true);
        assert!(
            arena.now < deadline,
            "no end: {:?} {:?} gone {} sent {}/{} received {} {:?}",
            arena.stack.usage(),
            arena.peer,
            arena.gone,
            arena.sent,
            arena.to_send,
            arena.received,
            arena.connection.map(|id| arena.stack.tcp_state(id)),
        );
    }
    if arena.ending == Ending::Orderly {
        assert!(!arena.peer.was_reset, "an orderly end has no reset");
        assert_eq!(arena.received, arena.peer.len);
        assert_eq!(arena.peer.their_fin, Some(arena.to_send));
        assert!(arena.peer.received() >= arena.to_send);
    }
    // TIME-WAIT and what else ends by itself.
    if let Some(listener) = arena.listener {
        arena.stack.close(arena.clock(), listener).unwrap();
    }
    while arena.stack.next_timeout().is_some() {
        arena.step(false);
    }
    let usage = arena.stack.usage();
    let left = (
        usage.connections,
        usage.half_open,
        usage.time_wait,
        usage.orphaned,
    );
    assert_eq!(left, (0, 0, 0, 0), "table entries are left");
    let pool = arena.stack.pool_frames();
    assert_eq!(pool.free, pool.total, "all frames return");
    arena
}

const TARGET: &str = "adversary";

#[test]
fn a_peer_that_misbehaves_harms_only_itself_1() {
    seeds::run_all(TARGET, 0..3_000, simulate);
}

#[test]
fn a_peer_that_misbehaves_harms_only_itself_2() {
    seeds::run_all(TARGET, 3_000..6_000, simulate);
}

/// The seeds that the environment names: `7`, or `5000..9000` for a long run.
#[test]
fn chosen_seeds() {
    seeds::run_chosen(TARGET, simulate);
}

/// The peer does all that it is meant to do, and the stack notices.
#[test]
fn every_kind_of_mischief_occurs() {
    let mut counters = BTreeMap::new();
    for seed in 0..500 {
        for (name, n) in play(seed, None).stack.counters().iter() {
            *counters.entry(name).or_insert(0) += n;
        }
    }
    for name in [
        "tcp_bad_ack",
        "tcp_bad_checksum",
        "tcp_bad_option",
        "tcp_challenge_acks",
        "tcp_challenge_limited",
        "tcp_data_after_close",
        "tcp_data_after_fin",
        "tcp_no_ack",
        "tcp_old_segment",
        "tcp_out_of_order",
        "tcp_out_of_order_memory",
        "tcp_out_of_window",
        "tcp_paws",
        "tcp_retransmits",
        "tcp_sack_bad",
        "tcp_sack_reneged",
        "tcp_unexpected_syn",
        "tcp_zero_window_probes",
    ] {
        assert!(counters[name] > 0, "{name}: {counters:?}");
    }
}
