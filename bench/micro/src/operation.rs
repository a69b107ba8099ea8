//! The pieces of work that are counted.

use crate::peer::{Flags, Peer};
use crate::wire::Wire;
use crate::{Family, Service, Subject};

/// Frames that arrive or leave together, as a device under load delivers them.
const BATCH: usize = 32;
/// Bytes of a request and of its answer.
const REQUEST: usize = 64;
/// Turns before the count begins, so that the congestion window is open and the tables are warm.
const WARM_UP: usize = 100;

/// A piece of work; its count is per segment, per round trip or per connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A full data segment is received in order, read by the application, and acknowledged with
    /// its batch of 32.
    Receive,
    /// A full data segment is written by the application and sent, in batches of 32; the peer
    /// acknowledges every second one.
    Send,
    /// 64 bytes are received, read, written back and sent; the next request acknowledges them.
    RoundTrip,
    /// A connection is opened, one byte goes each way, the peer closes, then the server.
    Connection,
}

/// An operation over a version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// What is done.
    pub operation: Operation,
    /// Over which IP.
    pub family: Family,
}

impl Work {
    /// All of it.
    pub fn all() -> impl Iterator<Item = Self> {
        [Family::V4, Family::V6].into_iter().flat_map(|family| {
            use Operation::{Connection, Receive, RoundTrip, Send};
            [Receive, Send, RoundTrip, Connection].map(|operation| Self { operation, family })
        })
    }

    /// The name, for tables and command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.operation, self.family) {
            (Operation::Receive, Family::V4) => "receive",
            (Operation::Send, Family::V4) => "send",
            (Operation::RoundTrip, Family::V4) => "round-trip",
            (Operation::Connection, Family::V4) => "connection",
            (Operation::Receive, Family::V6) => "receive-ipv6",
            (Operation::Send, Family::V6) => "send-ipv6",
            (Operation::RoundTrip, Family::V6) => "round-trip-ipv6",
            (Operation::Connection, Family::V6) => "connection-ipv6",
        }
    }

    /// The work with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|work| work.name() == name)
    }

    /// Does it `times` times (rounded up to whole batches), after a warm-up.
    ///
    /// # Panics
    /// If the stack does not do what is expected of it.
    pub fn run<S: Subject>(self, times: usize) {
        let bench = |service| Bench::<S>::new(service, self.family);
        match self.operation {
            Operation::Receive => receive(&mut bench(Service::Discard), times),
            Operation::Send => {
                let service = Service::Source { segments: BATCH };
                send(&mut bench(service), times);
            }
            Operation::RoundTrip => round_trip(&mut bench(Service::Echo), times),
            Operation::Connection => {
                let mut bench = bench(Service::Echo);
                (0..WARM_UP + times).for_each(|_| connection(&mut bench));
            }
        }
    }
}

struct Bench<S> {
    family: Family,
    subject: S,
    peer: Peer,
    to: Wire,
    from: Wire,
    now: u64,
}

impl<S: Subject> Bench<S> {
    fn new(service: Service, family: Family) -> Self {
        Self {
            family,
            subject: S::new(service, family),
            peer: Peer::new(family),
            to: Wire::default(),
            from: Wire::default(),
            now: 1_000_000,
        }
    }

    /// A turn of the server, and the peer's look at the result 50 microseconds later.
    fn turn(&mut self, ack_every: usize) {
        self.now += 50;
        self.subject
            .measured_turn(self.now, &mut self.to, &mut self.from);
        self.peer.take(&mut self.from, &mut self.to, ack_every);
    }

    fn data(&mut self, len: usize) {
        self.peer.segment(&mut self.to, Flags::PUSH, len);
    }

    fn connect(&mut self) {
        self.peer.syn(&mut self.to);
        self.turn(0);
        // The first time, the stack asks for the peer's address, and answers then.
        while !self.to.is_empty() {
            self.turn(0);
        }
        self.peer.segment(&mut self.to, Flags::ACK, 0);
    }
}

fn receive<S: Subject>(bench: &mut Bench<S>, times: usize) {
    bench.connect();
    for _ in 0..WARM_UP + times.div_ceil(BATCH) {
        (0..BATCH).for_each(|_| bench.data(bench.family.mss()));
        bench.turn(0);
    }
}

fn send<S: Subject>(bench: &mut Bench<S>, times: usize) {
    bench.connect();
    (0..WARM_UP).for_each(|_| bench.turn(2));
    let before = bench.peer.received;
    let batches = times.div_ceil(BATCH);
    (0..batches).for_each(|_| bench.turn(2));
    let received = bench.peer.received - before;
    assert_eq!(
        received,
        batches * BATCH * bench.family.mss(),
        "full segments throughout"
    );
}

fn round_trip<S: Subject>(bench: &mut Bench<S>, times: usize) {
    bench.connect();
    for round in 1..=WARM_UP + times {
        bench.data(REQUEST);
        bench.turn(0);
        assert_eq!(bench.peer.received, round * REQUEST);
    }
}

fn connection<S: Subject>(bench: &mut Bench<S>) {
    bench.connect();
    bench.data(1);
    bench.turn(0);
    assert_eq!(bench.peer.received, 1);
    bench.peer.segment(&mut bench.to, Flags::FIN, 0);
    bench.turn(0);
    assert!(bench.peer.finished, "the server has closed too");
    bench.peer.segment(&mut bench.to, Flags::ACK, 0);
    bench.turn(0);
}
