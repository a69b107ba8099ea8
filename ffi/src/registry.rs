//! Which stacks are open, what a handle names, and entering a stack for one call.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;

use mnet::mnet_core::config::Limits;
use mnet::mnet_core::device::InterfaceId;
use mnet::mnet_core::socket::SocketKind;
use mnet::solo5::{NetDevice, Solo5};
use mnet::{Instant, NoEntropy, Platform, Runtime, SocketId};
use spin::Mutex;

use crate::arena::Claim;
use crate::error::Error;
use crate::scheduling::{Hooks, Key, Scheduling, Wait};

/// Most stacks that are open at the same time: three bits of a handle.
pub(crate) const MAX_STACKS: usize = 1 << SLOT_BITS;
const SLOT_BITS: u32 = 3;
/// [`SocketId::to_bits`] stays below this; the slot of the stack lies above it in a handle.
const SLOT_SHIFT: u32 = 58;
/// Where the generation starts in [`SocketId::to_bits`].
const GENERATION_SHIFT: u32 = 26;

/// Bytes of an Ethernet header.
const ETHERNET_HEADER: usize = 14;
/// Room for the name of a device, as C has it.
pub(crate) const DEVICE_NAME_SIZE: usize = 72;
/// What an interface takes beside what the core accounts for: its device and its name.
const INTERFACE_BYTES: usize = 256;

/// Where a stack of the C interface runs: on Solo5, or by the calls of its owner.
#[derive(Debug)]
pub(crate) struct Host {
    /// The time at the start of a manual stack.
    pub(crate) manual: Option<Instant>,
}

impl Platform for Host {
    type Device = NetDevice;

    fn now(&mut self) -> Instant {
        self.manual.unwrap_or_else(|| Solo5.now())
    }

    fn wait(&mut self, devices: &mut [NetDevice], deadline: Instant) {
        if self.manual.is_none() {
            Solo5.wait(devices, deadline);
        }
    }

    fn entropy(&mut self) -> Result<[u8; 32], NoEntropy> {
        Solo5.entropy()
    }
}

/// An open stack.
pub(crate) struct Opened {
    pub(crate) runtime: Runtime<Host>,
    pub(crate) interface: InterfaceId,
    /// Frames go in and out by call.
    pub(crate) manual: bool,
    /// mnet_events() tells of the network as well.
    pub(crate) network_events: bool,
    /// Largest frame of any interface, Ethernet header and tag included.
    pub(crate) frame_len: usize,
    /// The names of the devices, by interface.
    names: Vec<[u8; DEVICE_NAME_SIZE]>,
    /// The sockets whose mode is not [`Opened::default_nonblocking`].
    switched: PerSocket<u64>,
    default_nonblocking: bool,
    timeouts: PerSocket<Timeouts>,
    pub(crate) place: Place,
    /// The fibers, once there was one.
    pub(crate) fibers: Option<Scheduling>,
    /// The part of the arena that is for them: its start and its size.
    pub(crate) fiber_memory: (*mut u8, usize),
}

impl Opened {
    pub(crate) fn new(
        runtime: Runtime<Host>,
        (interface, manual): (InterfaceId, bool),
        nonblocking: bool,
        tables: &Tables,
        place: Place,
    ) -> Self {
        Self {
            runtime,
            interface,
            manual,
            network_events: false,
            frame_len: 0,
            names: Vec::with_capacity(tables.interfaces),
            switched: PerSocket::new(tables, |count| count / 64 + 1),
            default_nonblocking: nonblocking,
            timeouts: PerSocket::new(tables, |count| count),
            place,
            fibers: None,
            fiber_memory: (core::ptr::null_mut(), 0),
        }
    }

    /// The interface with this number: counted from 1, or 0 for the first.
    pub(crate) fn interface_of(&self, number: u32) -> Result<InterfaceId, Error> {
        match number {
            0 => Ok(self.interface),
            number => {
                let place = usize::try_from(number - 1).map_err(|_| Error::INVALID)?;
                let found = self.runtime.stack().interfaces().nth(place);
                found.map(|found| found.id).ok_or(Error::INVALID)
            }
        }
    }

    /// Notes a new interface: the bytes of its frames beside the Ethernet header, and the name of its
    /// device.
    pub(crate) fn note_interface(&mut self, len: usize, name: [u8; DEVICE_NAME_SIZE]) {
        self.frame_len = self.frame_len.max(len + ETHERNET_HEADER);
        self.names.push(name);
    }

    /// The name of an interface's device; empty where there is none.
    pub(crate) fn device_name(&self, place: usize) -> [u8; DEVICE_NAME_SIZE] {
        self.names
            .get(place)
            .copied()
            .unwrap_or([0; DEVICE_NAME_SIZE])
    }

    pub(crate) fn is_nonblocking(&self, id: SocketId) -> bool {
        self.switched.bit(id) != self.default_nonblocking
    }

    pub(crate) fn set_nonblocking(&mut self, id: SocketId, nonblocking: bool) {
        self.switched
            .set_bit(id, nonblocking != self.default_nonblocking);
    }

    /// Takes in a new socket with the stack's default mode; its handle for C.
    pub(crate) fn adopt(&mut self, id: SocketId) -> i64 {
        self.set_nonblocking(id, self.default_nonblocking);
        *self.timeouts_mut(id) = Timeouts::default();
        self.place.handle(id)
    }

    /// The loop, and which sockets wait: two parts that do not touch each other.
    pub(crate) fn runtime_and_modes(&mut self) -> (&mut Runtime<Host>, Modes<'_>) {
        let modes = Modes {
            switched: &self.switched,
            default_nonblocking: self.default_nonblocking,
        };
        (&mut self.runtime, modes)
    }

    /// A blocking socket sends before its call returns; a non-blocking one queues.
    pub(crate) fn send_if_blocking(&mut self, id: SocketId) {
        if !self.is_nonblocking(id) {
            self.flush();
        }
    }

    /// Sends what is queued, by the devices. Frames of a manual stack are fetched.
    pub(crate) fn flush(&mut self) {
        if !self.manual {
            self.runtime.flush();
        }
    }

    /// Turns the loop, and sleeps if need be, for a call that waits until `until` at most. Whether
    /// it is earlier still.
    pub(crate) fn turn(&mut self, until: Instant) -> bool {
        self.runtime.turn(until)
    }

    /// How long calls on a socket wait.
    pub(crate) fn timeouts_mut(&mut self, id: SocketId) -> &mut Timeouts {
        self.timeouts.get_mut(id)
    }
}

/// Which sockets are non-blocking.
pub(crate) struct Modes<'a> {
    switched: &'a PerSocket<u64>,
    default_nonblocking: bool,
}

impl Modes<'_> {
    pub(crate) fn is_nonblocking(&self, id: SocketId) -> bool {
        self.switched.bit(id) != self.default_nonblocking
    }
}

/// How many sockets of each kind there can be.
pub(crate) struct Tables {
    pub(crate) interfaces: usize,
    pub(crate) listeners: usize,
    pub(crate) connections: usize,
    pub(crate) half_open: usize,
    pub(crate) udp: usize,
}

impl Tables {
    pub(crate) fn new(config: &mnet::Config, limits: &Limits) -> Self {
        Self {
            interfaces: config.max_interfaces,
            listeners: config.max_listeners,
            connections: limits.connections,
            half_open: limits.half_open,
            udp: config.max_udp_sockets,
        }
    }

    /// Bytes that so many sockets take beside what the core accounts for: their modes, and what a
    /// half-open connection takes beyond the core's estimate.
    pub(crate) fn extra_bytes(&self) -> usize {
        let modes: usize = [self.listeners, self.connections, self.udp]
            .iter()
            .map(|count| count / 8 + 16)
            .sum();
        let sockets = self.listeners + self.connections + self.udp;
        modes
            + (sockets + 3) * size_of::<Timeouts>()
            + self.half_open * 32
            + self.interfaces * INTERFACE_BYTES
    }
}

/// How long calls on a blocking socket wait, in milliseconds; 0: for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timeouts {
    pub(crate) read: u32,
    pub(crate) write: u32,
}

/// Something for each socket: a value, or a bit of one.
struct PerSocket<T> {
    listeners: Box<[T]>,
    connections: Box<[T]>,
    udp: Box<[T]>,
    /// Taken for a socket that there cannot be.
    nobody: T,
}

impl<T: Copy + Default> PerSocket<T> {
    /// `values` says how many values so many sockets need.
    fn new(tables: &Tables, values: impl Fn(usize) -> usize) -> Self {
        let new = |count: usize| vec![T::default(); values(count)].into_boxed_slice();
        Self {
            listeners: new(tables.listeners),
            connections: new(tables.connections),
            udp: new(tables.udp),
            nobody: T::default(),
        }
    }

    fn all_mut(&mut self, kind: SocketKind) -> &mut [T] {
        match kind {
            SocketKind::Listener => &mut self.listeners,
            SocketKind::Connection => &mut self.connections,
            SocketKind::Udp => &mut self.udp,
        }
    }

    /// The value of a socket. A stale handle gives that of the socket which has its place.
    fn get_mut(&mut self, id: SocketId) -> &mut T {
        let values = match id.kind() {
            SocketKind::Listener => &mut self.listeners,
            SocketKind::Connection => &mut self.connections,
            SocketKind::Udp => &mut self.udp,
        };
        values.get_mut(id.index()).unwrap_or(&mut self.nobody)
    }
}

impl PerSocket<u64> {
    fn bit(&self, id: SocketId) -> bool {
        let words = match id.kind() {
            SocketKind::Listener => &self.listeners,
            SocketKind::Connection => &self.connections,
            SocketKind::Udp => &self.udp,
        };
        words
            .get(id.index() / 64)
            .is_some_and(|word| (word >> (id.index() % 64)) & 1 == 1)
    }

    fn set_bit(&mut self, id: SocketId, on: bool) {
        if let Some(word) = self.all_mut(id.kind()).get_mut(id.index() / 64) {
            let bit = 1 << (id.index() % 64);
            *word = if on { *word | bit } else { *word & !bit };
        }
    }
}

/// An open stack and its memory. The fields are dropped in this order: first the stack, which lies
/// in the memory, then the claim on it.
struct Entry {
    stack: Box<Opened>,
    claim: Claim,
}

// SAFETY: all of a stack can go to another thread but two things. The boxed policies for leases and the
// log: `dhcp` and `log` make them, of a function and a pointer of C, which are called under the lock of
// the slot by whichever thread uses the stack: what the header says to C. And the fibers: their tables
// are used under that lock, and they themselves run where the header says, on the thread that runs the
// others.
unsafe impl Send for Entry {}

static SLOTS: [Mutex<Option<Entry>>; MAX_STACKS] = [const { Mutex::new(None) }; MAX_STACKS];

/// Stacks opened so far.
static OPENED: AtomicU32 = AtomicU32::new(0);

/// One stack is opened at a time: while that happens, all allocations belong to it.
static OPENING: Mutex<()> = Mutex::new(());

/// Where a stack is, and what its handles look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) slot: usize,
    /// Different for each stack.
    number: u32,
}

impl Place {
    /// The handle of the stack as C sees it.
    pub(crate) fn stack_handle(self) -> i64 {
        (((u64::from(self.number) + 1) << SLOT_BITS) | self.slot_bits()).cast_signed()
    }

    /// The handle of a socket of the stack as C sees it.
    pub(crate) fn handle(self, id: SocketId) -> i64 {
        ((self.slot_bits() << SLOT_SHIFT) | (id.to_bits() ^ self.salt())).cast_signed()
    }

    /// The socket that `fd` names, if it can be one of this stack's. Whether it is open is for the
    /// stack to say.
    pub(crate) fn socket(self, fd: i64) -> Option<SocketId> {
        let bits = u64::try_from(fd).ok()?;
        if bits >> SLOT_SHIFT != self.slot_bits() {
            return None;
        }
        SocketId::from_bits((bits & ((1 << SLOT_SHIFT) - 1)) ^ self.salt())
    }

    fn slot_bits(self) -> u64 {
        u64::try_from(self.slot).unwrap_or(u64::MAX)
    }

    /// Distinguishes the sockets of successive stacks: what is added (exclusive or) to the
    /// generation of a socket's handle. The factor is odd, so no two of 2^32 stacks have the
    /// same; the first has 0, and its handles are small numbers.
    fn salt(self) -> u64 {
        u64::from(self.number.wrapping_mul(0x9E37_79B1)) << GENERATION_SHIFT
    }
}

/// Opens a stack: finds a place for it and stores what `open` makes.
pub(crate) fn insert(
    open: impl FnOnce(Place) -> Result<(Box<Opened>, Claim), Error>,
) -> Result<i64, Error> {
    let _opening = OPENING.try_lock().ok_or(Error::BUSY)?;
    let (slot, mut free) = SLOTS
        .iter()
        .enumerate()
        .find_map(|(slot, entry)| Some((slot, entry.try_lock().filter(|e| e.is_none())?)))
        .ok_or(Error::LIMIT)?;
    let number = OPENED.load(Ordering::Relaxed);
    let place = Place { slot, number };
    let (stack, claim) = open(place)?;
    OPENED.store(number.wrapping_add(1), Ordering::Relaxed);
    *free = Some(Entry { stack, claim });
    Ok(place.stack_handle())
}

/// Closes a stack. Its arena is the caller's again when this returns.
pub(crate) fn remove(handle: i64) -> Result<(), Error> {
    let slot = stack_slot(handle)?;
    let mut entry = slot.try_lock().ok_or(Error::BUSY)?;
    match &mut *entry {
        Some(open) if names(open, handle) => {
            if let Some(fibers) = open.stack.fibers {
                if (fibers.hooks.living)(&open.stack) > 0 {
                    return Err(Error::BUSY);
                }
                (fibers.hooks.release)(&mut open.stack);
            }
            *entry = None;
            Ok(())
        }
        _ => Err(Error::BAD_HANDLE),
    }
}

fn names(entry: &Entry, handle: i64) -> bool {
    entry.stack.place.stack_handle() == handle
}

/// The slot that a stack's handle names; whether the stack in it is the one meant is not checked.
fn stack_slot(handle: i64) -> Result<&'static Mutex<Option<Entry>>, Error> {
    let bits = u64::try_from(handle).map_err(|_| Error::BAD_HANDLE)?;
    let slot = usize::try_from(bits & ((1 << SLOT_BITS) - 1)).map_err(|_| Error::BAD_HANDLE)?;
    SLOTS.get(slot).ok_or(Error::BAD_HANDLE)
}

/// Enters a stack by its handle for one call.
pub(crate) fn with_stack<T>(
    handle: i64,
    action: impl FnOnce(&mut Opened) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut entry = stack_slot(handle)?.try_lock().ok_or(Error::BUSY)?;
    match &mut *entry {
        Some(open) if names(open, handle) => action(&mut open.stack),
        _ => Err(Error::BAD_HANDLE),
    }
}

/// Enters the stack in a slot, whichever it is.
pub(crate) fn with_slot<T>(
    slot: usize,
    action: impl FnOnce(&mut Opened) -> Result<T, Error>,
) -> Result<T, Error> {
    let slot = SLOTS.get(slot).ok_or(Error::BAD_HANDLE)?;
    let mut entry = slot.try_lock().ok_or(Error::BUSY)?;
    let open = entry.as_mut().ok_or(Error::BAD_HANDLE)?;
    action(&mut open.stack)
}

/// Enters a stack by its handle for a call that makes something which needs memory of the arena: `most` bytes, or it is
/// refused.
pub(crate) fn with_arena<T>(
    handle: i64,
    most: usize,
    action: impl FnOnce(&mut Opened) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut entry = stack_slot(handle)?.try_lock().ok_or(Error::BUSY)?;
    match &mut *entry {
        Some(open) if names(open, handle) => open.claim.provide(|| {
            let mut room = Vec::<u8>::new();
            room.try_reserve_exact(most).map_err(|_| Error::NO_MEMORY)?;
            drop(room);
            action(&mut open.stack)
        }),
        _ => Err(Error::BAD_HANDLE),
    }
}

/// Enters the stack that a socket belongs to. Whether the socket is still open is for the stack to
/// say.
pub(crate) fn with_socket<T>(
    fd: i64,
    action: impl FnOnce(&mut Opened, SocketId) -> Result<T, Error>,
) -> Result<T, Error> {
    let bits = u64::try_from(fd).map_err(|_| Error::BAD_HANDLE)?;
    let slot = usize::try_from(bits >> SLOT_SHIFT).map_err(|_| Error::BAD_HANDLE)?;
    let slot = SLOTS.get(slot).ok_or(Error::BAD_HANDLE)?;
    let mut entry = slot.try_lock().ok_or(Error::BUSY)?;
    let open = entry.as_mut().ok_or(Error::BAD_HANDLE)?;
    let id = open.stack.place.socket(fd).ok_or(Error::BAD_HANDLE)?;
    action(&mut open.stack, id)
}

/// Repeats `attempt` until it has something else to say than "would block", turning the loop in
/// between. A non-blocking socket hears "would block" at once, a blocking one when the time is over
/// that the socket's calls may wait.
///
/// The stack is entered anew for each attempt, so others may use it between two of them. With
/// `sends`, what a blocking call has queued is sent before it returns, and the time is that for
/// writing.
pub(crate) fn blocking<T>(
    fd: i64,
    sends: bool,
    attempt: impl FnMut(&mut Opened, SocketId) -> Result<T, Error>,
) -> Result<T, Error> {
    let time = |stack: &mut Opened, id| {
        let timeouts = stack.timeouts_mut(id);
        let millis = if sends { timeouts.write } else { timeouts.read };
        (millis != 0).then(|| Duration::from_millis(millis.into()))
    };
    repeat(fd, sends, time, attempt)
}

/// [`blocking`] with another time; `None`: for ever.
pub(crate) fn blocking_within<T>(
    fd: i64,
    sends: bool,
    time: Option<Duration>,
    attempt: impl FnMut(&mut Opened, SocketId) -> Result<T, Error>,
) -> Result<T, Error> {
    repeat(fd, sends, |_, _| time, attempt)
}

/// [`blocking`], where `time` says how long it may wait.
fn repeat<T>(
    fd: i64,
    sends: bool,
    time: impl Fn(&mut Opened, SocketId) -> Option<Duration>,
    mut attempt: impl FnMut(&mut Opened, SocketId) -> Result<T, Error>,
) -> Result<T, Error> {
    // When the time is over: known once it is clear that there is something to wait for.
    let mut until = None;
    let mut is_early = true;
    let mut wait = Wait::new(Key::socket(fd, sends), Instant::FAR_FUTURE);
    loop {
        let outcome = with_socket(fd, |stack, id| {
            let outcome = attempt(stack, id);
            if stack.is_nonblocking(id) {
                return outcome.map(Attempt::Done);
            }
            match outcome {
                Err(Error::AGAIN) if is_early => {
                    let until = *until.get_or_insert_with(|| match time(stack, id) {
                        Some(time) => stack.runtime.read_clock() + time,
                        None => Instant::FAR_FUTURE,
                    });
                    stack.wait_or_turn(until, &mut is_early)
                }
                outcome => {
                    if sends {
                        stack.flush();
                    }
                    outcome.map(Attempt::Done)
                }
            }
        })?;
        match outcome {
            Attempt::Done(result) => return Ok(result),
            Attempt::Again => {}
            Attempt::Wait(hooks, stack) => {
                wait.until = until.unwrap_or(wait.until);
                is_early = (hooks.wait)(stack, &mut wait)?;
            }
        }
    }
}

/// What comes of one attempt.
enum Attempt<T> {
    Done(T),
    /// The loop was turned: once more.
    Again,
    /// Others may run: outside of the stack, whose handle this is.
    Wait(&'static Hooks, i64),
}

impl Opened {
    /// Waits for a call that could do nothing: by one turn of the loop, or by telling how.
    fn wait_or_turn<T>(
        &mut self,
        until: Instant,
        is_early: &mut bool,
    ) -> Result<Attempt<T>, Error> {
        match self.fibers {
            Some(fibers) => Ok(Attempt::Wait(fibers.hooks, self.place.stack_handle())),
            // There is nothing to wait for.
            None if self.manual => Err(Error::AGAIN),
            None => {
                *is_early = self.turn(until);
                Ok(Attempt::Again)
            }
        }
    }
}
