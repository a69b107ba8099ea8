//! The event loop: moves frames between a stack and its devices, and sleeps when nothing is due.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::task::Poll;
use core::time::Duration;

use mnet_core::device::InterfaceId;
use mnet_core::dhcp::Lease;
use mnet_core::error::{BadHandle, ConfigError};
use mnet_core::{Config, Instant, InterfaceConfig, Readiness, SocketId, Stack};

use crate::log::Watch;
use crate::platform::{Device, NoEntropy, Platform};

/// Most frames taken from a device before the rest of the loop gets its turn.
///
/// One acknowledgement answers all of a batch, so larger is cheaper; beyond this the gain is
/// small, and timers and other sockets would wait too long.
const BATCH: usize = 64;

/// At most so many frames in a batch are a trickle: after them the devices are empty for a while.
const TRICKLE: usize = 2;

/// Empty looks at the devices between two readings of the clock while busy-polling.
const LOOKS_PER_CLOCK: usize = 8;

/// Bytes of an Ethernet header with a tag, which the MTU does not count.
const ETHERNET_HEADER: usize = 18;

/// Why a runtime did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration was refused.
    Config(ConfigError),
    /// The platform has no entropy, and no seed was given.
    NoEntropy,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::NoEntropy => NoEntropy.fmt(f),
        }
    }
}

impl core::error::Error for StartError {}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<NoEntropy> for StartError {
    fn from(NoEntropy: NoEntropy) -> Self {
        Self::NoEntropy
    }
}

/// What the event loop did since it was created. A counter wraps after 2^64 events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuntimeCounters {
    /// Frames that a device did not take. They are lost, as on a wire.
    pub device_tx_lost: u64,
    /// Frames read from a device and dropped, because the pool was empty.
    pub device_rx_without_frame: u64,
    /// How often the loop went to sleep.
    pub sleeps: u64,
    /// How often busy-polling found a frame, so that a sleep was saved.
    pub busy_poll_hits: u64,
}

impl RuntimeCounters {
    /// The names, in a fixed order.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "device_tx_lost",
        "device_rx_without_frame",
        "sleeps",
        "busy_poll_hits",
    ];

    /// How many counters there are.
    pub const COUNT: usize = 4;

    /// The values, in the order of [`RuntimeCounters::NAMES`].
    #[must_use]
    pub fn values(&self) -> [u64; Self::COUNT] {
        let Self {
            device_tx_lost,
            device_rx_without_frame,
            sleeps,
            busy_poll_hits,
        } = *self;
        [
            device_tx_lost,
            device_rx_without_frame,
            sleeps,
            busy_poll_hits,
        ]
    }
}

/// One entry of a level-triggered [`Runtime::poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The socket.
    pub socket: SocketId,
    /// What is waited for. [`Readiness::ERROR`] and [`Readiness::CLOSED`] are always included.
    pub wanted: Readiness,
    /// Written by the call: what of it is there. A stale handle counts as
    /// [`Readiness::ERROR`], so that nobody waits for it for ever.
    pub ready: Readiness,
}

/// A stack, its devices, and the loop that joins them.
///
/// Commands go to the stack itself ([`Runtime::stack_mut`]) with [`Runtime::now`] as the time.
/// Everything that moves frames is here. The smallest server is
///
/// ```
/// # use mnet::{Instant, Platform, Runtime};
/// # fn serve<P: Platform>(mut runtime: Runtime<P>) -> ! {
/// loop {
///     runtime.turn(Instant::FAR_FUTURE);
///     while let Some(event) = runtime.stack_mut().poll_event() {
///         // accept, tcp_recv, tcp_send, close ...
///     }
/// }
/// # }
/// ```
pub struct Runtime<P: Platform> {
    stack: Stack,
    platform: P,
    devices: Vec<P::Device>,
    /// The interface of each device, same order.
    interfaces: Vec<InterfaceId>,
    /// The clock when it was last read.
    now: Instant,
    busy_poll: Duration,
    /// The last look of a turn found a trickle and saw the devices empty: one more look before
    /// sleeping would find nothing, and a frame that has come meanwhile ends the sleep at once.
    quiet: bool,
    /// For frames that arrive while the pool is empty: they must leave the device's queue, or the
    /// loop would wake for them again and again.
    scratch: Box<[u8]>,
    counters: RuntimeCounters,
    /// Who decides about leases, for interfaces where somebody wants to.
    policies: Vec<(InterfaceId, LeasePolicy)>,
    /// Who keeps a log of the stack.
    pub(crate) log: Option<Box<dyn Watch>>,
}

/// Decides whether a lease that a DHCP server offers is taken: the time, what is offered, and what the
/// interface has.
pub type LeasePolicy = Box<dyn FnMut(Instant, &Lease, Option<&Lease>) -> bool>;

impl<P: Platform> fmt::Debug for Runtime<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("now", &self.now)
            .field("interfaces", &self.interfaces)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl<P: Platform> Runtime<P> {
    /// A runtime without devices. All memory is allocated here and in [`Runtime::attach`].
    ///
    /// `seed` replaces the platform's entropy: for tests and replays, where two runs must not
    /// differ. A server that is reachable from a network passes `None`.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn new(
        config: &Config,
        mut platform: P,
        seed: Option<[u8; 32]>,
    ) -> Result<Self, StartError> {
        let seed = match seed {
            Some(seed) => seed,
            None => platform.entropy()?,
        };
        let now = platform.now();
        Ok(Self {
            stack: Stack::new(config, seed, now)?,
            platform,
            devices: Vec::with_capacity(config.max_interfaces),
            interfaces: Vec::with_capacity(config.max_interfaces),
            now,
            busy_poll: Duration::ZERO,
            quiet: false,
            scratch: vec![0; config.max_mtu + ETHERNET_HEADER].into_boxed_slice(),
            counters: RuntimeCounters::default(),
            policies: Vec::new(),
            log: None,
        })
    }

    /// Adds an interface with this device. Give it an address next
    /// ([`Stack::add_address`](mnet_core::Stack::add_address)).
    ///
    /// # Errors
    /// See [`ConfigError`]. The device is dropped.
    pub fn attach(&mut self, device: P::Device) -> Result<InterfaceId, ConfigError> {
        let interface = self.stack.add_interface(
            self.now,
            InterfaceConfig {
                hardware_address: device.hardware_address(),
                mtu: device.mtu(),
            },
        )?;
        self.devices.push(device);
        self.interfaces.push(interface);
        Ok(interface)
    }

    /// Lets `policy` decide about the leases that are offered to an interface whose client was started
    /// with [`DhcpConfig::ask`](mnet_core::dhcp::DhcpConfig::ask). It takes the place of one that was
    /// there, and is called by whatever turns the loop.
    pub fn set_lease_policy(&mut self, interface: InterfaceId, policy: LeasePolicy) {
        self.policies.retain(|(other, _)| *other != interface);
        self.policies.push((interface, policy));
    }

    /// Does what time brings, and answers the offers of DHCP servers, at the time of the current turn:
    /// for an owner that moves the frames itself. Every turn of the loop does it.
    pub fn handle_timeout(&mut self) {
        self.stack.handle_timeout(self.now);
        if self.stack.dhcp_next_offer().is_some() {
            self.decide();
        }
        if let Some(log) = &mut self.log {
            log.watch(&mut self.stack, self.now);
        }
    }

    /// When there is something to do without a frame or a command; `None`: never.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let stack = self.stack.next_timeout();
        match &self.log {
            None => stack,
            Some(log) => stack.into_iter().chain(log.next_timeout()).min(),
        }
    }

    /// Answers all offers of interfaces with a policy: nothing else would wake the loop for the second of
    /// two that came together. The others are for the owner to answer.
    #[cold]
    fn decide(&mut self) {
        for (interface, policy) in &mut self.policies {
            let Some(offer) = self.stack.dhcp_offer(*interface) else {
                continue;
            };
            let accept = policy(self.now, offer, self.stack.dhcp_lease(*interface));
            // It waited a moment ago.
            let _ = self.stack.dhcp_answer(self.now, *interface, accept);
        }
    }

    /// How long the loop looks for frames before it goes to sleep. Default: not at all.
    ///
    /// Sleeping and waking cost some 20 microseconds. Where an answer is expected sooner, as
    /// between hosts of one rack, looking costs processor time and saves that delay.
    pub fn set_busy_poll(&mut self, duration: Duration) {
        self.busy_poll = duration;
    }

    /// The stack.
    #[must_use]
    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The stack, to give it commands.
    pub fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// The platform.
    #[must_use]
    pub fn platform(&self) -> &P {
        &self.platform
    }

    /// What the loop did.
    #[must_use]
    pub fn counters(&self) -> &RuntimeCounters {
        &self.counters
    }

    /// The time of the current turn: the clock as it was last read. The time to give commands.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Reads the clock, and sets the time of the current turn.
    pub fn read_clock(&mut self) -> Instant {
        self.now = self.now.max(self.platform.now());
        self.now
    }

    /// Sets the time of the current turn: for an owner that moves the frames itself, through
    /// [`Runtime::stack_mut`], and has no device attached. Time does not go back.
    pub fn set_now(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Sends everything that the stack has to send now.
    pub fn flush(&mut self) {
        while let Some(frame) = self.stack.transmit(self.now) {
            let device = self
                .interfaces
                .iter()
                .position(|interface| *interface == frame.interface)
                .and_then(|place| self.devices.get_mut(place));
            let sent = device.is_some_and(|device| device.transmit(&frame).is_ok());
            if !sent {
                self.counters.device_tx_lost += 1;
            }
        }
    }

    /// Does everything that is due at `now`: sends, takes in what has arrived (at most 64 frames
    /// of each device), runs the timers, sends again. Never sleeps.
    ///
    /// Returns when it wants to be called again at the latest; `None`: only for a frame or a
    /// command. Drain [`Stack::poll_event`](mnet_core::Stack::poll_event) afterwards.
    pub fn step(&mut self, now: Instant) -> Option<Instant> {
        self.set_now(now);
        self.flush();
        self.receive(false);
        self.handle_timeout();
        self.flush();
        self.catch_up();
        self.next_timeout()
    }

    /// Tells the log what has happened since the turn before: nobody may come back for long.
    fn catch_up(&mut self) {
        if let Some(log) = &mut self.log {
            log.catch_up(&mut self.stack, self.now);
        }
    }

    /// One turn of the loop for a caller that waits: sends what is queued, takes in what has
    /// arrived and, if that was nothing, looks and then sleeps until something arrives, a timer
    /// is due, or `until` has come. At most one sleep; then the caller looks whether what it
    /// waits for has happened.
    ///
    /// Returns whether it is still before `until`. [`Instant::FAR_FUTURE`] waits for ever;
    /// [`Instant::ZERO`] does not wait.
    ///
    /// What the arrived frames provoke (acknowledgements, replies) is sent by the next turn or
    /// [`Runtime::flush`], after the caller had the chance to add an answer to it.
    pub fn turn(&mut self, until: Instant) -> bool {
        self.flush();
        let look = !self.quiet;
        if !look || self.receive(true) == 0 {
            self.idle(until, look);
        }
        self.handle_timeout();
        self.is_early(until)
    }

    /// Turns the loop until `ready` gives something, or `until` has come (`None`).
    pub fn wait_for<T>(
        &mut self,
        until: Instant,
        mut ready: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<T> {
        loop {
            if let Poll::Ready(outcome) = self.round(until, &mut ready) {
                return outcome;
            }
        }
    }

    /// One turn of a loop that waits for `ready`, with at most one sleep: the building block for
    /// waits that let others at the runtime between two turns.
    ///
    /// `Ready(Some(..))` is what `ready` gave, `Ready(None)` means that `until` has come, and
    /// `Pending` asks for another round. What has arrived is taken in by every round: a caller
    /// that always has something to do still lets frames in.
    pub fn round<T>(
        &mut self,
        until: Instant,
        mut ready: impl FnMut(&mut Self) -> Option<T>,
    ) -> Poll<Option<T>> {
        self.flush();
        let look = !self.quiet;
        if !look || self.receive(true) == 0 {
            if let Some(result) = ready(self) {
                if !look {
                    self.receive(false);
                }
                self.read_clock();
                self.handle_timeout();
                return Poll::Ready(Some(result));
            }
            self.idle(until, look);
        }
        self.handle_timeout();
        match ready(self) {
            Some(result) => Poll::Ready(Some(result)),
            None if self.is_early(until) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    /// Nothing has arrived: looks and sleeps as the configuration says, and sees to it that the
    /// clock is read. `looked`: this turn has looked at the devices before.
    fn idle(&mut self, until: Instant, looked: bool) {
        self.catch_up();
        let due = self.next_timeout().unwrap_or(Instant::FAR_FUTURE);
        let deadline = due.min(until);
        // The clock has not been read since the last turn, to save a system call. If the deadline
        // has passed meanwhile, the sleep returns at once.
        let frames = if deadline <= self.now {
            if looked { 0 } else { self.receive(true) }
        } else if self.busy_poll(deadline) {
            return;
        } else {
            self.counters.sleeps += 1;
            self.platform.wait(&mut self.devices, deadline);
            self.receive(true)
        };
        if frames == 0 {
            self.read_clock();
        }
    }

    /// Whether it is before `until`. If not, the caller gives up waiting and may not come back
    /// soon, so what is queued is sent.
    fn is_early(&mut self, until: Instant) -> bool {
        let early = self.now < until;
        if !early {
            self.flush();
        }
        early
    }

    /// Waits until one of `interests` is ready, or `until` has come. Fills in each entry's
    /// `ready` and returns how many are not empty.
    pub fn poll(&mut self, interests: &mut [Interest], until: Instant) -> usize {
        self.wait_for(until, |runtime| {
            let count = runtime.check(interests);
            (count > 0).then_some(count)
        })
        .unwrap_or(0)
    }

    /// One look at `interests`, without moving frames.
    fn check(&self, interests: &mut [Interest]) -> usize {
        let always = Readiness::ERROR | Readiness::CLOSED;
        for interest in interests.iter_mut() {
            interest.ready = match self.stack.readiness(interest.socket) {
                Ok(readiness) => readiness & (interest.wanted | always),
                Err(BadHandle) => Readiness::ERROR,
            };
        }
        interests
            .iter()
            .filter(|interest| !interest.ready.is_empty())
            .count()
    }

    /// Takes in what the devices have, at most [`BATCH`] frames of each. Returns the number of
    /// frames. With `read_clock`, the clock is read when the first frame is there, and not at all
    /// if there is none.
    fn receive(&mut self, read_clock: bool) -> usize {
        let mut frames = 0;
        for (device, interface) in self.devices.iter_mut().zip(&self.interfaces) {
            for _ in 0..BATCH {
                let (buffer, in_pool) = match self.stack.receive_buffer() {
                    Some(buffer) => (buffer, true),
                    None => (&mut *self.scratch, false),
                };
                let Some(info) = device.receive(buffer) else {
                    break;
                };
                if frames == 0 && read_clock {
                    self.now = self.now.max(self.platform.now());
                }
                frames += 1;
                if in_pool {
                    self.stack.receive(self.now, *interface, info);
                } else {
                    self.counters.device_rx_without_frame += 1;
                }
            }
        }
        self.quiet = read_clock && frames <= TRICKLE;
        frames
    }

    /// Looks for frames until one is there, the time for looking is over, or `deadline` has come.
    /// Whether there is no reason to sleep; the clock has been read then.
    fn busy_poll(&mut self, deadline: Instant) -> bool {
        if self.busy_poll.is_zero() {
            return false;
        }
        let give_up = deadline.min(self.read_clock() + self.busy_poll);
        while self.now < give_up {
            for _ in 0..LOOKS_PER_CLOCK {
                if self.receive(true) > 0 {
                    self.counters.busy_poll_hits += 1;
                    return true;
                }
            }
            self.read_clock();
        }
        // Nothing to sleep for if the deadline itself has come.
        self.now >= deadline
    }
}
