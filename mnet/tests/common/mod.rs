//! Two hosts on a cable, in one thread and in virtual time.
//!
//! Host 0 is the one under test: when it sleeps, host 1's program runs, and when neither has
//! anything to do, the clock jumps to the next deadline. A test in which nobody would ever wake
//! again fails instead of hanging.
#![allow(dead_code, reason = "each test program uses a part")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;

use mnet::mnet_core::device::{InterfaceId, RxInfo, TxFrame};
use mnet::{Config, Device, Instant, Net, NoEntropy, Platform, Runtime, TransmitError};

/// What the other host does when it is its turn: acts, and says when it wants its next turn.
type Program = Box<dyn FnMut() -> Option<Instant>>;

/// The cable, the clock, and host 1's program.
#[derive(Default)]
pub(crate) struct World {
    now: Cell<Instant>,
    /// Frames on their way to host 0 and host 1.
    queues: [RefCell<VecDeque<Vec<u8>>>; 2],
    program: RefCell<Option<Program>>,
    /// The cable takes frames; otherwise the devices refuse them.
    pub(crate) unplugged: Cell<bool>,
    /// How often host 0 has read its clock.
    pub(crate) clock_readings: Cell<usize>,
    /// How often host 0 has looked for a frame.
    pub(crate) looks: Cell<usize>,
    /// Nanoseconds that each look of host 0 takes.
    pub(crate) look_time: Cell<u64>,
}

impl World {
    pub(crate) fn new() -> Rc<Self> {
        let world = Self::default();
        world.now.set(Instant::from_millis(1_000));
        Rc::new(world)
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Lets host 1 run `program` whenever host 0 sleeps.
    pub(crate) fn peer(&self, program: impl FnMut() -> Option<Instant> + 'static) {
        *self.program.borrow_mut() = Some(Box::new(program));
    }

    /// Frames that wait for a host.
    pub(crate) fn waiting(&self, host: usize) -> usize {
        self.queues[host].borrow().len()
    }

    /// Takes a frame that is on its way to a host, for a program that speaks in frames.
    pub(crate) fn take(&self, host: usize) -> Option<Vec<u8>> {
        self.queues[host].borrow_mut().pop_front()
    }

    /// Sends a frame to a host.
    pub(crate) fn send(&self, host: usize, frame: Vec<u8>) {
        self.queues[host].borrow_mut().push_back(frame);
    }

    /// Loses everything that is on the cable.
    pub(crate) fn lose_all(&self) {
        self.queues
            .iter()
            .for_each(|queue| queue.borrow_mut().clear());
    }

    fn sleep(&self, deadline: Instant) {
        loop {
            // Out of its place while it runs: it may look at the world.
            let program = self.program.borrow_mut().take();
            let next = program.and_then(|mut program| {
                let next = program();
                *self.program.borrow_mut() = Some(program);
                next
            });
            if self.waiting(0) > 0 {
                return;
            }
            let wake = deadline.min(next.unwrap_or(Instant::FAR_FUTURE));
            assert_ne!(wake, Instant::FAR_FUTURE, "both hosts would sleep for ever");
            self.now.set(self.now().max(wake));
            if self.now() >= deadline {
                return;
            }
        }
    }
}

/// One host's clock.
pub(crate) struct Side {
    pub(crate) world: Rc<World>,
    pub(crate) host: usize,
}

impl Platform for Side {
    type Device = Plug;

    fn now(&mut self) -> Instant {
        if self.host == 0 {
            self.world
                .clock_readings
                .set(self.world.clock_readings.get() + 1);
        }
        self.world.now()
    }

    fn wait(&mut self, _devices: &mut [Plug], deadline: Instant) {
        assert_eq!(self.host, 0, "host 1 is driven by steps");
        self.world.sleep(deadline);
    }

    fn entropy(&mut self) -> Result<[u8; 32], NoEntropy> {
        Err(NoEntropy)
    }
}

/// One end of the cable.
pub(crate) struct Plug {
    world: Rc<World>,
    host: usize,
}

impl Device for Plug {
    fn hardware_address(&self) -> [u8; 6] {
        [2, 0, 0, 0, 0, u8::try_from(self.host).unwrap() + 1]
    }

    fn mtu(&self) -> usize {
        1_500
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<RxInfo> {
        if self.host == 0 {
            self.world.looks.set(self.world.looks.get() + 1);
            let nanos = self.world.now().as_nanos() + self.world.look_time.get();
            self.world.now.set(Instant::from_nanos(nanos));
        }
        let frame = self.world.queues[self.host].borrow_mut().pop_front()?;
        buffer[..frame.len()].copy_from_slice(&frame);
        Some(RxInfo {
            len: frame.len(),
            ..RxInfo::default()
        })
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), TransmitError> {
        if self.world.unplugged.get() {
            return Err(TransmitError);
        }
        self.world.queues[1 - self.host]
            .borrow_mut()
            .push_back(frame.slices.concat());
        Ok(())
    }
}

pub(crate) fn address(host: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, host + 1).into()
}

pub(crate) fn socket(host: u8, port: u16) -> SocketAddr {
    SocketAddr::new(address(host), port)
}

/// A runtime on one end of the cable, with the address of that host.
pub(crate) fn runtime(world: &Rc<World>, host: u8) -> Runtime<Side> {
    let (mut runtime, interface) = attached(world, host);
    let now = runtime.now();
    runtime
        .stack_mut()
        .add_address(now, interface, address(host), 24)
        .unwrap();
    runtime
}

/// One without an address.
pub(crate) fn attached(world: &Rc<World>, host: u8) -> (Runtime<Side>, InterfaceId) {
    let side = Side {
        world: Rc::clone(world),
        host: host.into(),
    };
    let config = Config {
        memory: 4 << 20,
        ..Config::default()
    };
    let mut runtime = Runtime::new(&config, side, Some([host + 1; 32])).unwrap();
    let interface = runtime.attach(plug(world, host)).unwrap();
    (runtime, interface)
}

/// A device on a host's end of the cable.
pub(crate) fn plug(world: &Rc<World>, host: u8) -> Plug {
    Plug {
        world: Rc::clone(world),
        host: host.into(),
    }
}

/// Host 1 takes in what is on the cable and sends what it has to.
pub(crate) fn follow(world: &Rc<World>, peer: &Net<Side>) {
    let (peer, clock) = (peer.clone(), Rc::downgrade(world));
    world.peer(move || peer.step(clock.upgrade()?.now()));
}

/// A host without an address, with sockets.
pub(crate) fn bare(world: &Rc<World>, host: u8) -> (Net<Side>, InterfaceId) {
    let (runtime, interface) = attached(world, host);
    (Net::new(runtime), interface)
}

/// As [`runtime`], with sockets.
pub(crate) fn net(world: &Rc<World>, host: u8) -> Net<Side> {
    Net::new(runtime(world, host))
}
