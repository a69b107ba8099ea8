//! Two stacks, each with a clock of its own, and the path between them. Time is virtual: it goes
//! from one arrival or timer to the next.

use super::path::{Conditions, Direction};
use super::pcap::{Recorder, Way};
use super::random::Random;
use super::stack;
use mnet_core::config::Config;
use mnet_core::device::InterfaceId;
use mnet_core::{Instant, Stack};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

/// The server's and the client's address.
pub const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2)];
pub const SERVER: usize = 0;
pub const CLIENT: usize = 1;

/// A host.
pub struct Side {
    pub stack: Stack,
    pub interface: InterfaceId,
    /// What its clock shows when the world's shows zero.
    pub epoch: Instant,
}

impl Side {
    /// What its clock shows.
    pub fn clock(&self, world: Instant) -> Instant {
        self.epoch + (world - Instant::ZERO)
    }

    /// When its next timer fires, on the world's clock.
    fn next_timeout(&self) -> Option<Instant> {
        let at = self.stack.next_timeout()?;
        Some(Instant::ZERO + (at - self.epoch))
    }
}

/// A frame on its way: when, in which order among equals, to which side, bytes.
type Flight = Reverse<(Instant, u64, usize, Vec<u8>)>;

/// Two hosts and a path.
pub struct World {
    pub now: Instant,
    pub sides: [Side; 2],
    /// `path[n]` takes what side n sends.
    pub path: [Direction; 2],
    pub random: Random,
    /// What the path will be like: when, and in both directions.
    pub weather: VecDeque<(Instant, [Conditions; 2])>,
    pub capture: Option<Recorder>,
    flights: BinaryHeap<Flight>,
    count: u64,
}

impl World {
    /// `epochs` are what the clocks of server and client show at the start.
    pub fn new(
        configs: &[Config; 2],
        seeds: [u8; 2],
        epochs: [Instant; 2],
        conditions: [Conditions; 2],
        random: Random,
    ) -> Self {
        let side = |at: usize| {
            let (stack, interface) = stack(&configs[at], seeds[at], epochs[at], ADDRESSES[at]);
            Side {
                stack,
                interface,
                epoch: epochs[at],
            }
        };
        Self {
            now: Instant::ZERO,
            sides: [side(SERVER), side(CLIENT)],
            path: conditions.map(Direction::new),
            random,
            weather: VecDeque::new(),
            capture: None,
            flights: BinaryHeap::new(),
            count: 0,
        }
    }

    /// What a side's clock shows.
    pub fn clock(&self, side: usize) -> Instant {
        self.sides[side].clock(self.now)
    }

    /// Puts everything that the sides have to send on its way. `look` sees each frame first.
    pub fn transmit_with(&mut self, mut look: impl FnMut(usize, &[u8])) {
        for at in [SERVER, CLIENT] {
            let mut guard = 0;
            let clock = self.clock(at);
            loop {
                let frame = self.sides[at].stack.transmit(clock);
                let Some(bytes) = frame.map(|frame| frame.slices.concat()) else {
                    break;
                };
                guard += 1;
                assert!(guard < 100_000, "a side does not stop sending");
                look(at, &bytes);
                if let Some(capture) = &self.capture {
                    capture.borrow_mut().record(at, self.now, Way::Out, &bytes);
                }
                let outcome = self.path[at].send(self.now, bytes, &mut self.random);
                for (when, bytes) in outcome.arrivals {
                    self.fly(when, 1 - at, bytes);
                }
                if let Some((when, bytes)) = outcome.error {
                    self.fly(when, at, bytes);
                }
            }
        }
    }

    pub fn transmit(&mut self) {
        self.transmit_with(|_, _| {});
    }

    fn fly(&mut self, when: Instant, to: usize, bytes: Vec<u8>) {
        self.count += 1;
        self.flights.push(Reverse((when, self.count, to, bytes)));
    }

    /// Goes to the next thing that happens, at `limit` at the latest; `false` when nothing ever
    /// will.
    pub fn step(&mut self, limit: Option<Instant>) -> bool {
        let arrival = self.flights.peek().map(|Reverse((at, ..))| *at);
        let timers = self.sides.iter().filter_map(Side::next_timeout);
        let weather = self.weather.front().map(|(at, _)| *at);
        let next = timers.chain(arrival).chain(weather).chain(limit).min();
        let Some(next) = next else {
            return false;
        };
        self.now = self.now.max(next);
        while let Some((at, conditions)) = self.weather.front()
            && *at <= self.now
        {
            for (direction, conditions) in self.path.iter_mut().zip(conditions) {
                direction.conditions = *conditions;
            }
            self.weather.pop_front();
        }
        while let Some(Reverse((at, ..))) = self.flights.peek()
            && *at <= self.now
            && let Some(Reverse((_, _, to, bytes))) = self.flights.pop()
        {
            if let Some(capture) = &self.capture {
                capture.borrow_mut().record(to, self.now, Way::In, &bytes);
            }
            let clock = self.clock(to);
            let side = &mut self.sides[to];
            side.stack.receive_copy(clock, side.interface, &bytes);
        }
        for at in [SERVER, CLIENT] {
            let clock = self.clock(at);
            self.sides[at].stack.handle_timeout(clock);
            while self.sides[at].stack.poll_event().is_some() {}
        }
        true
    }

    /// Lets everything end that ends by itself: the last segments, TIME-WAIT. Then nothing may be
    /// left: no table entry, no frame, no timer.
    pub fn assert_nothing_left(&mut self) {
        let end = self.now + Duration::from_secs(10_000);
        self.transmit();
        while self.now < end && self.step(None) {
            self.transmit();
        }
        for side in &self.sides {
            let usage = side.stack.usage();
            let left = (
                usage.connections,
                usage.half_open,
                usage.time_wait,
                usage.orphaned,
            );
            assert_eq!(left, (0, 0, 0, 0), "table entries are left");
            let pool = side.stack.pool_frames();
            assert_eq!(pool.free, pool.total, "all frames return");
            assert_eq!(side.stack.next_timeout(), None, "no timer is left");
        }
    }

    /// The counters of both sides that are not zero.
    pub fn counters(&self) -> [Vec<(&'static str, u64)>; 2] {
        self.sides.each_ref().map(|side| {
            let counters = side.stack.counters().iter();
            counters.filter(|(_, n)| *n > 0).collect()
        })
    }
}

/// The initial sequence number in a frame that a side sends, if it is the first segment of a
/// connection.
pub fn initial_sequence_number(frame: &[u8]) -> Option<u32> {
    let is_tcp = frame[12..14] == [8, 0] && frame[14 + 9] == 6;
    (is_tcp && frame[34 + 13] & 2 != 0).then(|| {
        let number = [frame[38], frame[39], frame[40], frame[41]];
        u32::from_be_bytes(number)
    })
}

/// The clock setting at which the initial sequence number that `number` was at `epoch` is `wanted`:
/// it grows by one every 4 microseconds (RFC 6528 §3).
pub fn epoch_for(epoch: Instant, number: u32, wanted: u32) -> Instant {
    epoch + Duration::from_nanos(u64::from(wanted.wrapping_sub(number)) * 4_000)
}
