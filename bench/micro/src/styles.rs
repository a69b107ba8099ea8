//! The same echo service on `mnet::Net` in two styles, with blocking calls and as a task: what the
//! style itself costs.

use crate::Family;
use crate::peer::{Flags, Peer, SERVER_HARDWARE};
use crate::wire::Wire;
use mnet::aio;
use mnet::mnet_core::device::{RxInfo, TxFrame};
use mnet::{Config, Device, Instant, Net, NoEntropy, Platform, Runtime, TransmitError};
use std::cell::RefCell;
use std::rc::Rc;

/// Bytes of a request and of its answer.
const REQUEST: usize = 64;

/// How the service waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// By calls that turn the loop until they are done.
    Blocking,
    /// As a task for the client, started by one that accepts.
    Tasks,
}

impl Style {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Blocking, Self::Tasks];

    /// The name, for tables and command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Tasks => "tasks",
        }
    }

    /// The style with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|style| style.name() == name)
    }

    /// Makes one connection and so many round trips.
    ///
    /// # Panics
    /// If the stack does not do what is expected of it.
    pub fn run(self, times: usize) {
        let world = Rc::new(RefCell::new(World {
            peer: Peer::new(Family::V4),
            to: Wire::default(),
            from: None,
            now: 1_000_000,
            expected: None,
            left: times,
        }));
        let net = network(&world);
        {
            let World { peer, to, from, .. } = &mut *world.borrow_mut();
            *from = Some(Wire::default());
            peer.syn(to);
        }
        match self {
            Self::Blocking => measured_turn_blocking(&net),
            Self::Tasks => measured_turn_tasks(&net),
        }
        assert_eq!(world.borrow().left, 0);
    }
}

#[inline(never)]
fn measured_turn_blocking(net: &Net<Here>) {
    let listener = net.listen(Family::V4.server(), 16).expect("a free port");
    let stream = listener.accept().expect("a connection");
    let mut buffer = [0; 2_048];
    while let len @ 1.. = stream.read(&mut buffer).expect("it is open") {
        stream.write_all(&buffer[..len]).expect("it is open");
    }
}

#[inline(never)]
fn measured_turn_tasks(net: &Net<Here>) {
    net.run(async {
        let listener = aio::TcpListener::bind(net, Family::V4.server(), 16).expect("a free port");
        let stream = listener.accept().await.expect("a connection");
        net.spawn(async move {
            let mut buffer = [0; 2_048];
            while let len @ 1.. = stream.read(&mut buffer).await.expect("it is open") {
                stream.write_all(&buffer[..len]).await.expect("it is open");
            }
        })
        .await;
    });
}

/// The network and the client at its other end.
struct World {
    peer: Peer,
    to: Wire,
    /// What the stack sends; nothing is kept before the work begins.
    from: Option<Wire>,
    /// Microseconds.
    now: u64,
    /// Bytes that the client will have received when its request is answered; `None` before the
    /// connection is there.
    expected: Option<usize>,
    left: usize,
}

impl World {
    /// The stack sleeps, so it is the client's turn.
    fn turn(&mut self) {
        self.now += 50;
        let from = self.from.get_or_insert_default();
        self.peer.take(from, &mut self.to, 0);
        if !self.to.is_empty() {
            return; // An answer to its question for our address.
        }
        match self.expected {
            None => self.peer.segment(&mut self.to, Flags::ACK, 0),
            Some(expected) => assert_eq!(self.peer.received, expected),
        }
        if self.left == 0 {
            self.peer.segment(&mut self.to, Flags::FIN, 0);
            return;
        }
        self.left -= 1;
        self.expected = Some(self.peer.received + REQUEST);
        self.peer.segment(&mut self.to, Flags::PUSH, REQUEST);
    }
}

/// A place to run in which nothing is counted but the stack and the service.
struct Here(Rc<RefCell<World>>);

#[inline(never)]
fn device_clock(world: &RefCell<World>) -> u64 {
    world.borrow().now
}

#[inline(never)]
fn device_wait(world: &RefCell<World>) {
    world.borrow_mut().turn();
}

#[inline(never)]
fn device_read_frame(world: &RefCell<World>, buffer: &mut [u8]) -> Option<usize> {
    let mut world = world.borrow_mut();
    let frame = world.to.pop()?;
    buffer[..frame.len()].copy_from_slice(frame);
    Some(frame.len())
}

#[inline(never)]
fn device_write_frame(world: &RefCell<World>, frame: &TxFrame<'_>) {
    if let Some(from) = &mut world.borrow_mut().from {
        let bytes = frame.slices[0];
        from.push(bytes.len()).copy_from_slice(bytes);
    }
}

impl Platform for Here {
    type Device = Port;

    fn now(&mut self) -> Instant {
        Instant::from_nanos(device_clock(&self.0) * 1_000)
    }

    fn wait(&mut self, _devices: &mut [Port], _deadline: Instant) {
        device_wait(&self.0);
    }

    fn entropy(&mut self) -> Result<[u8; 32], NoEntropy> {
        Err(NoEntropy)
    }
}

struct Port(Rc<RefCell<World>>);

impl Device for Port {
    fn hardware_address(&self) -> [u8; 6] {
        SERVER_HARDWARE
    }

    fn mtu(&self) -> usize {
        1_500
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<RxInfo> {
        let len = device_read_frame(&self.0, buffer)?;
        Some(RxInfo {
            len,
            ..RxInfo::default()
        })
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), TransmitError> {
        device_write_frame(&self.0, frame);
        Ok(())
    }
}

/// The server's network, its address announced.
fn network(world: &Rc<RefCell<World>>) -> Net<Here> {
    let here = Here(Rc::clone(world));
    let mut runtime =
        Runtime::new(&Config::default(), here, Some([7; 32])).expect("a good configuration");
    let port = Port(Rc::clone(world));
    let interface = runtime.attach(port).expect("the first interface");
    let now = runtime.now();
    runtime
        .stack_mut()
        .add_address(now, interface, Family::V4.server().ip(), 24)
        .expect("the first address");
    let mut next = Some(now);
    while let Some(now) = next {
        next = runtime.step(now);
        world.borrow_mut().now = now.as_nanos() / 1_000 + 1;
    }
    Net::new(runtime)
}
