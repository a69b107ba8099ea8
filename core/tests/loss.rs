//! How fast data goes over links that lose and reorder: one connection, one direction, against the
//! same link with the peer's SACK-permitted taken out of the handshake, which leaves NewReno.
//!
//! Times are virtual, so every run is the same. The sender's numbers wrap during each transfer.

mod common;

use common::packet::{Packet, set_tcp_checksum};
use common::random::Random;
use common::{pattern_at, stack};
use mnet_core::config::Config;
use mnet_core::device::InterfaceId;
use mnet_core::error::{RecvError, SendError};
use mnet_core::wire::tcp::Flags;
use mnet_core::{Instant, SocketId, Stack};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const SENDER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const RECEIVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const PORT: u16 = 9;
/// One way; the round trip takes 40 ms.
const DELAY: Duration = Duration::from_millis(20);
/// 100 Mbit/s.
const NANOS_PER_BYTE: u64 = 80;

/// What the link does with a segment that carries data: how long it takes, `None` if it is lost.
type Fate<'a> = dyn FnMut(&Packet) -> Option<Duration> + 'a;

/// A transfer's result.
#[derive(Debug)]
struct Outcome {
    /// From the first write to the last read.
    elapsed: Duration,
    /// The sender's counters.
    retransmits: u64,
    timeouts: u64,
}

/// Bytes that arrive: when, in which order among equals, at which end, frame.
type Flight = Reverse<(Instant, u64, usize, Vec<u8>)>;

struct Link {
    now: Instant,
    ends: [(Stack, InterfaceId); 2],
    flights: BinaryHeap<Flight>,
    count: u64,
    /// When each direction has sent what it was given.
    busy_until: [Instant; 2],
    sack: bool,
}

impl Link {
    fn new(start: Instant, sack: bool) -> Self {
        let config = Config::default();
        Self {
            now: start,
            ends: [
                stack(&config, 1, start, SENDER),
                stack(&config, 2, start, RECEIVER),
            ],
            flights: BinaryHeap::new(),
            count: 0,
            busy_until: [start; 2],
            sack,
        }
    }

    /// Puts what both ends have to send on its way.
    fn transmit(&mut self, fate: &mut Fate<'_>) {
        for (index, (stack, _)) in self.ends.iter_mut().enumerate() {
            while let Some(frame) = stack.transmit(self.now) {
                let mut bytes = frame.slices.concat();
                let mut delay = Some(DELAY);
                if let Some(packet) = (bytes[12..14] == [8, 0])
                    .then(|| Packet::from_frame(&bytes))
                    .flatten()
                {
                    if packet.flags.contains(Flags::SYN) && !self.sack {
                        take_out_sack_permitted(&mut bytes, &packet);
                    }
                    if !packet.payload.is_empty() {
                        delay = fate(&packet);
                    }
                }
                let busy = &mut self.busy_until[index];
                *busy = (*busy).max(self.now)
                    + Duration::from_nanos(bytes.len() as u64 * NANOS_PER_BYTE);
                let Some(delay) = delay else { continue };
                self.count += 1;
                self.flights
                    .push(Reverse((*busy + delay, self.count, 1 - index, bytes)));
            }
        }
    }

    /// Goes on to the next arrival or timer.
    fn step(&mut self) {
        let arrival = self.flights.peek().map(|Reverse((at, ..))| *at);
        let timers = self
            .ends
            .iter()
            .filter_map(|(stack, _)| stack.next_timeout());
        let next = timers.chain(arrival).min().expect("something will happen");
        self.now = self.now.max(next);
        while let Some(Reverse((at, ..))) = self.flights.peek()
            && *at <= self.now
        {
            let Some(Reverse((_, _, to, bytes))) = self.flights.pop() else {
                break;
            };
            let (stack, interface) = &mut self.ends[to];
            stack.receive_copy(self.now, *interface, &bytes);
        }
        for (stack, _) in &mut self.ends {
            stack.handle_timeout(self.now);
        }
    }

    /// Both ends of a new connection.
    fn connect(&mut self) -> (SocketId, SocketId) {
        let remote = SocketAddr::from((RECEIVER, PORT));
        let listener = self.ends[1].0.tcp_listen(remote, 1).unwrap();
        let sender = self.ends[0].0.tcp_connect(self.now, remote, None).unwrap();
        loop {
            self.transmit(&mut |_| Some(DELAY));
            if let Ok(receiver) = self.ends[1].0.tcp_accept(listener) {
                return (sender, receiver);
            }
            self.step();
        }
    }
}

/// Two NOPs in place of the option.
fn take_out_sack_permitted(frame: &mut [u8], packet: &Packet) {
    let segment = &mut frame[34..];
    let options_end = usize::from(segment[12] >> 4) * 4;
    let Some(at) = (20..options_end - 1).find(|at| segment[*at..at + 2] == [4, 2]) else {
        // The answer to a SYN without it.
        return;
    };
    segment[at..at + 2].fill(1);
    set_tcp_checksum(segment, packet.source, packet.destination);
}

/// When to start so that the sender's numbers wrap in the middle of `bytes`.
fn start_before_wrap(bytes: usize) -> Instant {
    let base = Instant::from_millis(1_000);
    let mut link = Link::new(base, true);
    let remote = SocketAddr::from((RECEIVER, PORT));
    link.ends[0].0.tcp_connect(base, remote, None).unwrap();
    let mut isn = None;
    while isn.is_none() {
        for (index, (stack, _)) in link.ends.iter_mut().enumerate() {
            while let Some(frame) = stack.transmit(link.now) {
                let bytes = frame.slices.concat();
                isn = isn.or(Packet::from_frame(&bytes).map(|packet| packet.seq));
                link.count += 1;
                link.flights
                    .push(Reverse((link.now, link.count, 1 - index, bytes)));
            }
        }
        if isn.is_none() {
            link.step();
        }
    }
    let wanted = 0u32.wrapping_sub(u32::try_from(bytes / 2).unwrap());
    // The initial number grows by one every 4 microseconds (RFC 6528 §3).
    let steps = wanted.wrapping_sub(isn.unwrap());
    base + Duration::from_nanos(u64::from(steps) * 4_000)
}

/// Sends `bytes` over a link, with SACK or without.
fn transfer(
    bytes: usize,
    sack: bool,
    mut fate: impl FnMut(&Packet) -> Option<Duration>,
) -> Outcome {
    let mut link = Link::new(start_before_wrap(bytes), sack);
    let (sender, receiver) = link.connect();
    let (mut sent, mut received) = (0, 0);
    let start = link.now;
    let mut buf = vec![0; 1 << 16];
    let mut steps = 0;
    while received < bytes {
        while sent < bytes {
            let data = pattern_at(sent, (bytes - sent).min(1 << 16));
            match link.ends[0].0.tcp_send(link.now, sender, &data) {
                Ok(taken) => sent += taken,
                Err(SendError::WouldBlock) => break,
                Err(error) => panic!("send: {error}"),
            }
        }
        loop {
            match link.ends[1].0.tcp_recv(link.now, receiver, &mut buf) {
                Ok(len) => {
                    assert_eq!(buf[..len], pattern_at(received, len), "at {received}");
                    received += len;
                }
                Err(RecvError::WouldBlock) => break,
                Err(error) => panic!("recv: {error}"),
            }
        }
        link.transmit(&mut fate);
        if received < bytes {
            link.step();
        }
        steps += 1;
        assert!(steps < 1_000_000, "no end");
    }
    let counters = link.ends[0].0.counters();
    Outcome {
        elapsed: link.now.saturating_since(start),
        retransmits: counters.tcp_retransmits,
        timeouts: counters.tcp_timeouts,
    }
}

const MEGABYTE: usize = 1 << 20;

/// Loses each segment by chance.
fn by_chance(seed: u64, per_mille: u32) -> impl FnMut(&Packet) -> Option<Duration> {
    let mut random = Random(seed);
    move |_| (!random.per_mille(per_mille)).then_some(DELAY)
}

/// Loses `burst` segments in a row of every `period`.
fn in_bursts(burst: u32, period: u32) -> impl FnMut(&Packet) -> Option<Duration> {
    let mut count = 0;
    move |_| {
        count += 1;
        (count % period < period - burst).then_some(DELAY)
    }
}

#[test]
fn without_loss_nothing_is_sent_twice() {
    for sack in [true, false] {
        let outcome = transfer(2 * MEGABYTE, sack, |_| Some(DELAY));
        assert_eq!((outcome.retransmits, outcome.timeouts), (0, 0));
        // Slow start, and the rest at the link's speed.
        assert!(outcome.elapsed < Duration::from_millis(500), "{outcome:?}");
    }
}

/// Loss of 1 to 5 %: no slower than NewReno, and without its timeouts.
#[test]
fn random_loss_hardly_ever_needs_the_timer() {
    let mut timeouts = [0, 0];
    for per_mille in [10, 20, 50] {
        let mut elapsed = [Duration::ZERO; 2];
        for seed in 0..5 {
            for (at, sack) in [true, false].into_iter().enumerate() {
                let outcome = transfer(MEGABYTE, sack, by_chance(seed, per_mille));
                elapsed[at] += outcome.elapsed;
                timeouts[at] += outcome.timeouts;
                if sack {
                    // What was lost, and nearly nothing else.
                    let segments = MEGABYTE as u64 / 1_448;
                    let most = segments * u64::from(per_mille) * 2 / 1_000 + 5;
                    assert!(
                        outcome.retransmits <= most,
                        "{per_mille} {seed} {outcome:?}"
                    );
                }
            }
        }
        assert!(elapsed[0] < elapsed[1], "{per_mille}: {elapsed:?}");
    }
    assert!(timeouts[0] <= 3, "{timeouts:?}");
    assert!(timeouts[1] >= 20, "the link is too good: {timeouts:?}");
}

/// Ten segments in a row are lost, again and again: NewReno repairs one in a round trip, or waits
/// for its timer; with SACK all holes are repaired at once.
#[test]
fn bursts_are_repaired_in_a_round_trip_or_two() {
    let good = transfer(2 * MEGABYTE, true, in_bursts(10, 300));
    let plain = transfer(2 * MEGABYTE, false, in_bursts(10, 300));
    assert_eq!((good.retransmits, good.timeouts), (40, 0));
    assert!(good.elapsed < Duration::from_secs(1), "{good:?}");
    assert!(plain.elapsed > 2 * good.elapsed, "{good:?} {plain:?}");
}

/// Reordering by up to a quarter of the round trip is no loss.
#[test]
fn reordering_is_not_mistaken_for_loss() {
    for jitter in [1_000, 5_000, 10_000] {
        let reorder = || {
            let mut random = Random(jitter);
            move |_: &Packet| Some(DELAY + Duration::from_micros(random.next() % jitter))
        };
        let good = transfer(2 * MEGABYTE, true, reorder());
        assert!(good.retransmits <= 5, "{jitter}: {good:?}");
        assert_eq!(good.timeouts, 0, "{jitter}");
        let plain = transfer(2 * MEGABYTE, false, reorder());
        assert!(plain.retransmits >= 50, "the link is too good: {plain:?}");
    }
}

/// The last segments of a flight are lost, which no later one can show: the probe does.
#[test]
fn a_lost_tail_is_found_before_the_timer() {
    let transfer = |sack| {
        let mut count = 0;
        transfer(10 * 1_448, sack, move |_| {
            count += 1;
            (!(8..=10).contains(&count)).then_some(DELAY)
        })
    };
    let (good, plain) = (transfer(true), transfer(false));
    assert_eq!((good.timeouts, plain.timeouts), (0, 1));
    assert!(
        good.elapsed + Duration::from_millis(40) < plain.elapsed,
        "{good:?} {plain:?}"
    );
}
