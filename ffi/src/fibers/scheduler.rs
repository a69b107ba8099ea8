//! The fibers of one stack: which are ready, what the others wait for, and running them.
//!
//! Everything here is entered under the lock of the stack's slot, but for the moments when a fiber
//! runs: then nothing is locked, so that it can call whatever it likes.

use alloc::boxed::Box;
use core::alloc::Layout;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicU64, Ordering};

use intrusive_collections::{Bound, LinkedList, RBTree, UnsafeRef};
use mnet::{Instant, Readiness};
use solo5::heap::Heap;

use super::fiber::{Fiber, Node, Nodes, ReadyFibers};
use crate::error::Error;
use crate::registry::{self, MAX_STACKS, Opened};
use crate::scheduling::{Hooks, Key, Scheduling, Wait};

/// Most fibers that run before the network has its turn: as many as frames are taken in at once.
const FIBERS_PER_TURN: usize = 64;
/// What a stack's arena must have left for a scheduler: some more than its size.
const ROOM: usize = 4 << 10;

/// Handles of fibers and channels have this bit, which those of sockets and stacks have not.
const HANDLE_BIT: u64 = 1 << 61;
/// Where the slot of the stack is in a handle.
const SLOT_SHIFT: u32 = 58;
/// Set in handles of channels.
const CHANNEL_BIT: u64 = 4;
/// Where the number starts, which is never used twice.
const NUMBER_SHIFT: u32 = 3;

/// Fibers and channels made so far, by all stacks.
static MADE: AtomicU64 = AtomicU64::new(0);

/// What a handle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Fiber,
    Channel,
}

/// A new handle for something of the stack in `slot`.
fn new_handle(slot: usize, kind: Kind) -> i64 {
    let number = MADE.fetch_add(1, Ordering::Relaxed) + 1;
    let slot = u64::try_from(slot).unwrap_or(0);
    let kind = match kind {
        Kind::Fiber => 0,
        Kind::Channel => CHANNEL_BIT,
    };
    (HANDLE_BIT | slot << SLOT_SHIFT | number << NUMBER_SHIFT | kind).cast_signed()
}

/// The slot of the stack that a handle of this kind belongs to.
fn slot_of(handle: i64, kind: Kind) -> Result<usize, Error> {
    let bits = u64::try_from(handle).map_err(|_| Error::BAD_HANDLE)?;
    let is_channel = bits & CHANNEL_BIT != 0;
    if bits & HANDLE_BIT == 0 || bits & 3 != 0 || is_channel != (kind == Kind::Channel) {
        return Err(Error::BAD_HANDLE);
    }
    let slot = usize::try_from((bits ^ HANDLE_BIT) >> SLOT_SHIFT).unwrap_or(MAX_STACKS);
    if slot < MAX_STACKS {
        Ok(slot)
    } else {
        Err(Error::BAD_HANDLE)
    }
}

pub(crate) struct Scheduler {
    /// All fibers and channels, by their handle.
    objects: RBTree<Nodes>,
    /// Fibers that wait for something, by what it is; those who came first before the others.
    waiting: RBTree<Nodes>,
    /// Fibers that wait for a time, by that.
    timers: RBTree<Nodes>,
    ready: LinkedList<ReadyFibers>,
    ready_count: usize,
    /// The fiber that runs.
    running: *const Fiber,
    last_ticket: u64,
    /// How many fibers have not ended.
    pub(crate) living: usize,
    /// How many of those that wait do so for the network.
    on_network: usize,
    /// For stacks of fibers, and for channels. The size of its memory, once that was asked for.
    heap: Option<Heap>,
}

const HOOKS: Hooks = Hooks {
    wait: wait_once,
    route: Scheduler::route,
    wake: |stack, key| Scheduler::of(stack).wake(key),
    step,
    living: |stack| Scheduler::living(stack),
    release: Scheduler::release,
};

impl Scheduler {
    /// The scheduler of a stack that has one.
    pub(crate) fn of(stack: &mut Opened) -> &mut Self {
        let state = match stack.fibers {
            Some(fibers) => fibers.state,
            None => unreachable!("only what a scheduler has put into the stack comes here"),
        };
        // SAFETY: `enter` made it, `release` has not been called, and the stack is entered once.
        unsafe { state.cast::<Self>().as_mut() }
    }

    /// Enters a stack for a call that needs its scheduler, and makes one if there is none.
    pub(crate) fn enter<T>(
        handle: i64,
        action: impl FnOnce(&mut Opened) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if registry::with_stack(handle, |stack| Ok(stack.fibers.is_none()))? {
            Self::attach(handle)?;
        }
        registry::with_stack(handle, action)
    }

    /// Makes the scheduler of a stack that has none.
    #[cold]
    fn attach(handle: i64) -> Result<(), Error> {
        registry::with_arena(handle, ROOM, |stack| {
            let (start, size) = stack.fiber_memory;
            let heap = if size == 0 {
                None
            } else {
                // SAFETY: the caller of `mnet_open` has granted the memory, and nobody else uses this
                // part of it.
                unsafe { Heap::new(start, size, false) }
            };
            let state = NonNull::from(Box::leak(Box::new(Self::new(heap)))).cast();
            let hooks = &HOOKS;
            stack.fibers = Some(Scheduling { hooks, state });
            Ok(())
        })
    }

    fn new(heap: Option<Heap>) -> Self {
        Self {
            objects: RBTree::new(Nodes::NEW),
            waiting: RBTree::new(Nodes::NEW),
            timers: RBTree::new(Nodes::NEW),
            ready: LinkedList::new(ReadyFibers::NEW),
            ready_count: 0,
            running: ptr::null(),
            last_ticket: 0,
            living: 0,
            on_network: 0,
            heap,
        }
    }

    /// Gives up the scheduler, and the fibers that have ended.
    fn release(stack: &mut Opened) {
        if let Some(fibers) = stack.fibers.take() {
            // SAFETY: `enter` made it of a box, and nobody refers to it any more.
            let mut scheduler = unsafe { Box::from_raw(fibers.state.cast::<Self>().as_ptr()) };
            // What is left are fibers that nobody has joined, and channels: memory of the caller, who
            // has it back, and of the heap, which goes.
            scheduler.objects.fast_clear();
        }
    }

    fn living(stack: &Opened) -> usize {
        stack.fibers.map_or(0, |fibers| {
            // SAFETY: `enter` made it, and `release` has not been called.
            unsafe { fibers.state.cast::<Self>().as_ref() }.living
        })
    }

    /// A block for a fiber or a channel.
    pub(crate) fn allocate(&mut self, size: usize) -> Result<*mut u8, Error> {
        let layout = Layout::from_size_align(size, 16).map_err(|_| Error::INVALID)?;
        let heap = self.heap.as_mut().ok_or(Error::NO_MEMORY)?;
        // SAFETY: nothing is as small as 0 bytes.
        let block = unsafe { heap.allocate(layout) };
        if block.is_null() {
            Err(Error::NO_MEMORY)
        } else {
            Ok(block)
        }
    }

    /// Takes a block back.
    ///
    /// # Safety
    /// It came from [`Scheduler::allocate`] with this size, and nobody uses it any more.
    pub(crate) unsafe fn free(&mut self, block: *mut u8, size: usize) {
        if let (Some(heap), Ok(layout)) = (self.heap.as_mut(), Layout::from_size_align(size, 16)) {
            // SAFETY: the caller's promise is the one asked for.
            unsafe { heap.free(block, layout) };
        }
    }

    /// A new handle for something of `stack`.
    pub(crate) fn new_handle(stack: &Opened, kind: Kind) -> i64 {
        new_handle(stack.place.slot, kind)
    }

    /// Lets a handle name what `node` is a part of.
    ///
    /// # Safety
    /// The node stays where it is until it is removed.
    pub(crate) unsafe fn add_object(&mut self, node: &Node) {
        // SAFETY: the caller's promise is the one asked for.
        self.objects.insert(unsafe { UnsafeRef::from_raw(node) });
    }

    /// What a handle names.
    pub(crate) fn object<T>(&self, handle: i64) -> Result<NonNull<T>, Error> {
        let key = (handle.cast_unsigned(), 0_u64);
        let node = self.objects.find(&key).get().ok_or(Error::BAD_HANDLE)?;
        NonNull::new(node.owner.get().cast()).ok_or(Error::BAD_HANDLE)
    }

    /// The first fiber whose handle is larger than this.
    pub(crate) fn next_fiber(&self, handle: i64) -> Option<NonNull<Fiber>> {
        let mut after = handle.cast_unsigned();
        loop {
            let found = self.objects.lower_bound(Bound::Excluded(&(after, 0_u64)));
            let node = found.get()?;
            after = node.key.get().0;
            if after & CHANNEL_BIT == 0 {
                return NonNull::new(node.owner.get().cast());
            }
        }
    }

    /// What a handle names shall not be named any more.
    pub(crate) fn remove_object(&mut self, handle: i64) {
        self.objects
            .find_mut(&(handle.cast_unsigned(), 0_u64))
            .remove();
    }

    /// Takes in a new fiber, which is ready.
    ///
    /// # Safety
    /// It stays where it is until it has ended and is removed.
    pub(crate) unsafe fn add(&mut self, fiber: NonNull<Fiber>) {
        // SAFETY: the caller says so.
        let fiber = unsafe { fiber.as_ref() };
        // SAFETY: as the caller says.
        unsafe { self.add_object(&fiber.by_handle) };
        self.living += 1;
        self.make_ready(fiber);
    }

    /// Forgets a fiber that has ended, and gives its memory back.
    pub(crate) fn remove(&mut self, fiber: NonNull<Fiber>) {
        // SAFETY: it is on our list, so it exists.
        let ended = unsafe { fiber.as_ref() };
        self.remove_object(ended.handle);
        ended.forget();
        let (owned, start, size) = (ended.owned, ended.start, ended.size);
        if owned {
            // SAFETY: it came from there, and nothing names it any more.
            unsafe { self.free(start, size) };
        }
    }

    /// Whether it is this fiber that runs now, or waits inside a call on another stack.
    pub(crate) fn is_running(&self, fiber: &Fiber) -> bool {
        ptr::eq(self.running, fiber)
    }

    /// A fiber waits no more: it will run.
    pub(crate) fn make_ready(&mut self, fiber: &Fiber) {
        for (tree, node) in [
            (&mut self.waiting, &fiber.by_key),
            (&mut self.timers, &fiber.by_time),
        ] {
            if node.is_linked() {
                // SAFETY: the node is in this tree and no other.
                unsafe { tree.cursor_mut_from_ptr(node) }.remove();
            }
        }
        if fiber.on_network.replace(false) {
            self.on_network -= 1;
        }
        if !fiber.ready.is_linked() {
            // SAFETY: a fiber that has not ended stays where it is.
            self.ready.push_back(unsafe { UnsafeRef::from_raw(fiber) });
            self.ready_count += 1;
        }
    }

    /// The fiber that has waited longest for `key`.
    fn first_waiting(&self, key: Key) -> Option<NonNull<Fiber>> {
        let node = self
            .waiting
            .lower_bound(Bound::Included(&(key.0, 0_u64)))
            .get()?;
        (node.key.get().0 == key.0).then(|| NonNull::new(node.owner.get().cast()))?
    }

    /// Wakes the fiber that has waited longest for `key`.
    pub(crate) fn wake_one(&mut self, key: Key) -> bool {
        let Some(fiber) = self.first_waiting(key) else {
            return false;
        };
        // SAFETY: who waits exists.
        self.make_ready(unsafe { fiber.as_ref() });
        true
    }

    /// Wakes all fibers that wait for `key`.
    pub(crate) fn wake(&mut self, key: Key) {
        while self.wake_one(key) {}
    }

    /// Wakes those whose time has come.
    fn expire(&mut self, now: Instant) {
        while let Some(node) = self.timers.front().get()
            && node.key.get().0 <= now.as_nanos()
        {
            let fiber = node.owner.get().cast::<Fiber>();
            // SAFETY: who waits exists.
            self.make_ready(unsafe { &*fiber });
        }
    }

    /// When the next one's time comes; [`Instant::FAR_FUTURE`] if nobody waits for a time.
    fn next_timer(&self) -> Instant {
        let first = self.timers.front().get();
        first.map_or(Instant::FAR_FUTURE, |node| {
            Instant::from_nanos(node.key.get().0)
        })
    }

    /// Wakes fibers by what has happened to their sockets. Events of sockets whose calls do not wait
    /// stay: they are for those who ask for events.
    fn route(stack: &mut Opened) {
        let place = stack.place;
        let now = stack.runtime.now();
        let scheduler: *mut Self = Self::of(stack);
        // SAFETY: the scheduler is no part of the stack, and nobody else refers to it here.
        let scheduler = unsafe { &mut *scheduler };
        let (runtime, modes) = stack.runtime_and_modes();
        runtime.stack_mut().sift_events(|event| {
            if modes.is_nonblocking(event.socket) {
                return true;
            }
            let fd = place.handle(event.socket);
            let always = Readiness::ERROR | Readiness::CLOSED;
            for (writable, ready) in [(false, Readiness::READABLE), (true, Readiness::WRITABLE)] {
                if event.readiness.intersects(always | ready) {
                    scheduler.wake(Key::socket(fd, writable));
                }
            }
            false
        });
        scheduler.expire(now);
    }

    /// Notes that the fiber which runs is going to wait.
    fn prepare(&mut self, fiber: &Fiber, wait: &mut Wait, now: Instant) {
        if wait.until <= now {
            // Not a wait but a turn for the others.
            self.make_ready(fiber);
            return;
        }
        if wait.key != Key::NOTHING {
            if wait.ticket == 0 {
                self.last_ticket += 1;
                wait.ticket = self.last_ticket;
            }
            fiber.by_key.key.set((wait.key.0, wait.ticket));
            // SAFETY: a fiber that waits stays where it is.
            self.waiting
                .insert(unsafe { UnsafeRef::from_raw(&fiber.by_key) });
            if wait.key.is_of_network() {
                fiber.on_network.set(true);
                self.on_network += 1;
            }
        }
        if wait.until < Instant::FAR_FUTURE {
            let order = fiber.handle.cast_unsigned();
            fiber.by_time.key.set((wait.until.as_nanos(), order));
            // SAFETY: as above.
            self.timers
                .insert(unsafe { UnsafeRef::from_raw(&fiber.by_time) });
        }
    }

    /// Takes the next fiber that is ready, which is going to run.
    fn take(&mut self) -> Option<NonNull<Fiber>> {
        let fiber = UnsafeRef::into_raw(self.ready.pop_front()?);
        self.ready_count -= 1;
        self.running = fiber;
        NonNull::new(fiber)
    }

    /// A fiber has ended: tells those who wait for that.
    fn end(&mut self, fiber: NonNull<Fiber>) {
        // SAFETY: it has run a moment ago.
        let ended = unsafe { fiber.as_ref() };
        ended.ended.set(true);
        self.living -= 1;
        self.wake(Key::object(ended.handle, false));
        if ended.detached.get() {
            self.remove(fiber);
        }
    }
}

/// Enters the stack that a handle of this kind belongs to.
pub(crate) fn with_object<T>(
    handle: i64,
    kind: Kind,
    action: impl FnOnce(&mut Opened) -> Result<T, Error>,
) -> Result<T, Error> {
    registry::with_slot(slot_of(handle, kind)?, |stack| match stack.fibers {
        Some(_) => action(stack),
        None => Err(Error::BAD_HANDLE),
    })
}

/// Whether a handle of this kind may name what lives at `place`: that of any stack, from a call that has
/// entered `stack`.
pub(crate) fn is_at(stack: &mut Opened, handle: i64, kind: Kind, place: *const u8) -> bool {
    let is_there = |stack: &mut Opened| {
        let found = Scheduler::of(stack).object::<u8>(handle);
        Ok(found.is_ok_and(|found| ptr::eq(found.as_ptr(), place)))
    };
    let there = match slot_of(handle, kind) {
        Ok(slot) if slot == stack.place.slot => is_there(stack),
        _ => with_object(handle, kind, is_there),
    };
    match there {
        Ok(there) => there,
        // Its stack is inside another call, so nobody can say.
        Err(Error::BUSY) => true,
        Err(_) => false,
    }
}

/// Who calls.
enum Caller {
    /// A fiber of this stack.
    Fiber(NonNull<Fiber>),
    /// Anybody else, for whom fibers and the loop run.
    Other,
}

/// See [`Hooks::wait`].
pub(crate) fn wait_once(stack: i64, wait: &mut Wait) -> Result<bool, Error> {
    let caller = registry::with_stack(stack, |stack| {
        let now = stack.runtime.now();
        let scheduler = Scheduler::of(stack);
        // SAFETY: a fiber exists while it runs.
        let Some(running) = (unsafe { scheduler.running.as_ref() }) else {
            return Ok(Caller::Other);
        };
        if !running.is_running_here() {
            // Somebody whom a fiber of this stack waits for cannot wait for this stack.
            return Err(Error::BUSY);
        }
        if running.is_canceled() {
            scheduler.make_ready(running);
        } else {
            scheduler.prepare(running, wait, now);
        }
        Ok(Caller::Fiber(NonNull::from(running)))
    })?;
    let Caller::Fiber(fiber) = caller else {
        return turn(stack, wait);
    };
    // SAFETY: it runs: it is us.
    let fiber = unsafe { fiber.as_ref() };
    let was_canceled = fiber.is_canceled();
    fiber.suspend();
    if was_canceled {
        return Err(Error::CANCELED);
    }
    registry::with_stack(stack, |stack| Ok(stack.runtime.now() < wait.until))
}

/// One round for a caller that is no fiber: runs fibers that are ready, then turns the loop.
fn turn(stack: i64, wait: &Wait) -> Result<bool, Error> {
    let ran = run(stack)?;
    registry::with_stack(stack, |stack| {
        let scheduler = Scheduler::of(stack);
        let (busy, timer) = (scheduler.ready_count > 0, scheduler.next_timer());
        let on_network = scheduler.on_network > 0 || wait.key.is_of_network();
        let now = stack.runtime.now();
        if stack.manual {
            stack.route_events();
            return Ok(false);
        }
        // What was waited for may have happened.
        if ran > 0 && !busy && wait.until > now {
            stack.flush();
            return Ok(true);
        }
        let until = match busy {
            true => Instant::ZERO,
            false => wait.until.min(timer),
        };
        if until == Instant::FAR_FUTURE && !on_network {
            return Err(Error::DEADLOCK);
        }
        stack.turn(until);
        Scheduler::of(stack).wake(Key::NETWORK);
        stack.route_events();
        Ok(stack.runtime.now() < wait.until)
    })
}

/// Runs the fibers that are ready, each once, [`FIBERS_PER_TURN`] at most; how many.
fn run(handle: i64) -> Result<usize, Error> {
    let count = registry::with_stack(handle, |stack| {
        let scheduler = Scheduler::of(stack);
        if !scheduler.running.is_null() {
            return Err(Error::BUSY);
        }
        Ok(scheduler.ready_count.min(FIBERS_PER_TURN))
    })?;
    for _ in 0..count {
        let next = registry::with_stack(handle, |stack| Ok(Scheduler::of(stack).take()))?;
        let Some(fiber) = next else { break };
        // SAFETY: it was ready, so it exists and has not ended; and the stack is left.
        let has_ended = unsafe { Fiber::resume(fiber) };
        registry::with_stack(handle, |stack| {
            let scheduler = Scheduler::of(stack);
            scheduler.running = ptr::null();
            if has_ended {
                scheduler.end(fiber);
            }
            Ok(())
        })?;
    }
    Ok(count)
}

/// See [`Hooks::step`].
fn step(handle: i64) -> Result<Option<Instant>, Error> {
    let runs = registry::with_stack(handle, |stack| {
        let scheduler = Scheduler::of(stack);
        let runs = !scheduler.running.is_null();
        scheduler.wake(Key::NETWORK);
        stack.route_events();
        Ok(runs)
    })?;
    if !runs {
        run(handle)?;
    }
    registry::with_stack(handle, |stack| {
        stack.flush();
        let now = stack.runtime.now();
        let of_stack = stack.runtime.next_timeout();
        let scheduler = Scheduler::of(stack);
        if scheduler.ready_count > 0 {
            return Ok(Some(now));
        }
        let next = of_stack.unwrap_or(Instant::FAR_FUTURE);
        let next = next.min(scheduler.next_timer());
        Ok((next < Instant::FAR_FUTURE).then_some(next))
    })
}
