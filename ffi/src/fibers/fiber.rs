//! One fiber: its memory, how it is switched to, and what is kept of it.
//!
//! All of a fiber lies in one block of memory: at the high end what is kept of it ([`Fiber`]), below
//! that its stack, and at the low end a zone that nobody may write to.

use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;
use core::fmt::Write;
use core::mem::ManuallyDrop;
use core::num::NonZeroUsize;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicPtr, Ordering};

use corosensei::stack::{Stack, StackPointer};
use corosensei::{Coroutine, CoroutineResult, Yielder};
use intrusive_collections::{KeyAdapter, LinkedListLink, RBTreeLink, UnsafeRef, intrusive_adapter};
use solo5::Console;

use super::MNET_CLEANUP_MAX;

/// Words at the low end of a stack that nobody writes to.
const GUARD_WORDS: usize = 32;
/// What they hold.
const GUARD: u64 = 0xA5C3_96E1_5AF0_0F3C;
/// No array is so large that it reaches further.
const FAR: usize = 16 << 20;
/// What a fiber that exists starts and ends with.
const MARK: u64 = 0x6D6E_6574_F1BE_4ED5;

/// The fiber that runs, on the innermost of the loops that run fibers.
static CURRENT: AtomicPtr<Fiber> = AtomicPtr::new(ptr::null_mut());

/// A place in one of the trees of a scheduler.
pub(crate) struct Node {
    link: RBTreeLink,
    pub(crate) key: Cell<(u64, u64)>,
    /// What the node is a part of.
    pub(crate) owner: Cell<*mut c_void>,
}

intrusive_adapter!(pub(crate) Nodes = UnsafeRef<Node>: Node { link => RBTreeLink });

impl KeyAdapter<'_> for Nodes {
    type Key = (u64, u64);

    fn get_key(&self, node: &Node) -> (u64, u64) {
        node.key.get()
    }
}

impl Node {
    pub(crate) fn new(key: (u64, u64)) -> Self {
        Self {
            link: RBTreeLink::new(),
            key: Cell::new(key),
            owner: Cell::new(ptr::null_mut()),
        }
    }

    pub(crate) fn is_linked(&self) -> bool {
        self.link.is_linked()
    }
}

intrusive_adapter!(pub(crate) ReadyFibers = UnsafeRef<Fiber>: Fiber { ready => LinkedListLink });

/// Where a fiber's stack is: from the guard zone at the low end to what is kept of the fiber.
struct Bounds {
    low: NonZeroUsize,
    high: NonZeroUsize,
}

// SAFETY: there is no guard page, as no Solo5 target offers one: the guard zone and the stack pointer
// are checked after each switch instead, and the program ends if the stack has overflowed.
// `Fiber::new` sees to the size.
unsafe impl Stack for Bounds {
    fn base(&self) -> StackPointer {
        self.high
    }

    fn limit(&self) -> StackPointer {
        self.low
    }
}

/// A function that is called when the fiber ends.
#[derive(Clone, Copy)]
pub(crate) struct Handler {
    pub(crate) function: unsafe extern "C" fn(*mut c_void),
    pub(crate) arg: *mut c_void,
}

/// What is kept of a fiber.
#[repr(C)]
pub(crate) struct Fiber {
    mark: Cell<u64>,
    pub(crate) handle: i64,
    /// The stack of the network that it belongs to.
    pub(crate) network: i64,
    coroutine: UnsafeCell<ManuallyDrop<Coroutine<(), (), (), Bounds>>>,
    /// How it gives up the processor; set when it begins.
    yielder: Cell<*const Yielder<(), ()>>,
    /// Where its stack pointer was when it last did.
    last_sp: Cell<usize>,
    /// The low end of its memory.
    pub(crate) start: *mut u8,
    /// Where its memory comes from: the heap of the fibers, or the caller.
    pub(crate) owned: bool,
    pub(crate) size: usize,
    function: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    arg: *mut c_void,
    pub(crate) result: Cell<*mut c_void>,
    pub(crate) ended: Cell<bool>,
    pub(crate) detached: Cell<bool>,
    pub(crate) canceled: Cell<bool>,
    /// Its clean-up handlers run, and cancellation does not concern it any more.
    pub(crate) cleaning: Cell<bool>,
    /// It waits for the network.
    pub(crate) on_network: Cell<bool>,
    pub(crate) handler_count: Cell<usize>,
    handlers: [Cell<Option<Handler>>; MNET_CLEANUP_MAX as usize],
    /// Among all that handles name.
    pub(crate) by_handle: Node,
    /// Among those that wait for something.
    pub(crate) by_key: Node,
    /// Among those that wait for a time.
    pub(crate) by_time: Node,
    /// Among those that are ready.
    pub(crate) ready: LinkedListLink,
    end_mark: Cell<u64>,
}

/// What a new fiber is to be.
pub(crate) struct Plan {
    pub(crate) handle: i64,
    pub(crate) network: i64,
    pub(crate) function: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    pub(crate) arg: *mut c_void,
    pub(crate) owned: bool,
}

impl Fiber {
    /// Bytes at the high end of a block: what is kept of the fiber.
    const KEPT: usize = size_of::<Self>().next_multiple_of(16);

    /// What of a block is not stack, in bytes.
    pub(crate) const OVERHEAD: usize = Self::KEPT + GUARD_WORDS * 8;

    /// Makes a fiber in `size` bytes at `start`, both multiples of 16.
    ///
    /// # Safety
    /// The memory belongs to the fiber until it is forgotten. There are [`Fiber::OVERHEAD`] bytes and
    /// [`corosensei::stack::MIN_STACK_SIZE`] more.
    pub(crate) unsafe fn new(start: *mut u8, size: usize, plan: &Plan) -> Option<NonNull<Self>> {
        let high = start.wrapping_add(size - Self::KEPT);
        let place = NonNull::new(high.cast::<Self>())?;
        let bounds = Bounds {
            low: NonZeroUsize::new(start.addr())?,
            high: NonZeroUsize::new(high.addr())?,
        };
        for word in 0..GUARD_WORDS {
            // SAFETY: the caller grants the memory, and this is its low end.
            unsafe { start.cast::<u64>().add(word).write(GUARD) };
        }
        let body = move |yielder: &Yielder<(), ()>, ()| {
            // SAFETY: the fiber exists for as long as it runs.
            unsafe { place.as_ref() }.run(yielder);
        };
        let fiber = Self {
            mark: Cell::new(MARK),
            handle: plan.handle,
            network: plan.network,
            coroutine: UnsafeCell::new(ManuallyDrop::new(Coroutine::with_stack(bounds, body))),
            yielder: Cell::new(ptr::null()),
            last_sp: Cell::new(high.addr()),
            start,
            owned: plan.owned,
            size,
            function: plan.function,
            arg: plan.arg,
            result: Cell::new(ptr::null_mut()),
            ended: Cell::new(false),
            detached: Cell::new(false),
            canceled: Cell::new(false),
            cleaning: Cell::new(false),
            on_network: Cell::new(false),
            handler_count: Cell::new(0),
            handlers: [const { Cell::new(None) }; MNET_CLEANUP_MAX as usize],
            by_handle: Node::new((plan.handle.cast_unsigned(), 0)),
            by_key: Node::new((0, 0)),
            by_time: Node::new((0, 0)),
            ready: LinkedListLink::new(),
            end_mark: Cell::new(MARK),
        };
        // SAFETY: the high end of the memory, aligned to 16 and large enough.
        let kept = unsafe {
            place.write(fiber);
            place.as_ref()
        };
        for node in [&kept.by_handle, &kept.by_key, &kept.by_time] {
            node.owner.set(place.as_ptr().cast());
        }
        Some(place)
    }

    /// The handle of the fiber that may live in this memory, and where that would be.
    ///
    /// # Safety
    /// As for [`Fiber::new`], and the memory can be read.
    pub(crate) unsafe fn occupant(start: *mut u8, size: usize) -> Option<(i64, *const u8)> {
        let high = start.wrapping_add(size - Self::KEPT);
        // SAFETY: the high end of the caller's memory; every bit pattern is a number.
        let (mark, handle) = unsafe {
            let words = high.cast::<u64>();
            (words.read(), words.add(1).read())
        };
        (mark == MARK).then_some((handle.cast_signed(), high))
    }

    /// The fiber itself: all that runs on its stack at its beginning.
    fn run(&self, yielder: &Yielder<(), ()>) {
        self.yielder.set(yielder);
        // SAFETY: what the caller of `mnet_spawn` said of its function.
        let result = unsafe { (self.function)(self.arg) };
        self.result.set(result);
        self.cleaning.set(true);
        while let Some(handler) = self.pop() {
            // SAFETY: as the header says of a handler.
            unsafe { (handler.function)(handler.arg) };
        }
    }

    pub(crate) fn push(&self, handler: Handler) -> bool {
        let count = self.handler_count.get();
        let Some(place) = self.handlers.get(count) else {
            return false;
        };
        place.set(Some(handler));
        self.handler_count.set(count + 1);
        true
    }

    pub(crate) fn pop(&self) -> Option<Handler> {
        let count = self.handler_count.get().checked_sub(1)?;
        self.handler_count.set(count);
        self.handlers.get(count)?.take()
    }

    /// Lets the fiber run until it waits or ends; whether it has ended.
    ///
    /// # Safety
    /// It exists, has not ended and does not run, and nothing of its network is entered.
    pub(crate) unsafe fn resume(this: NonNull<Self>) -> bool {
        // SAFETY: the caller says that it exists. While it runs, only its cells are used.
        let fiber = unsafe { this.as_ref() };
        fiber.check_marks();
        let outer = CURRENT.swap(this.as_ptr(), Ordering::Relaxed);
        // SAFETY: nobody else switches to it: it does not run.
        let outcome = unsafe { (*fiber.coroutine.get()).resume(()) };
        CURRENT.store(outer, Ordering::Relaxed);
        fiber.check_stack();
        fiber.check_marks();
        matches!(outcome, CoroutineResult::Return(()))
    }

    /// Gives up the processor until somebody resumes this fiber, which runs now.
    pub(crate) fn suspend(&self) {
        self.last_sp.set(stack_pointer());
        // SAFETY: it was set when the fiber began, and lies on its stack.
        unsafe { (*self.yielder.get()).suspend(()) };
    }

    /// Whether it is to hear of its cancellation.
    pub(crate) fn is_canceled(&self) -> bool {
        self.canceled.get() && !self.cleaning.get()
    }

    /// Whether the code that calls this runs on the fiber's stack. If it runs just below it, it does not
    /// run any longer.
    pub(crate) fn is_running_here(&self) -> bool {
        if !ptr::eq(CURRENT.load(Ordering::Relaxed), self) {
            return false;
        }
        // Another thread has this fiber for the current one as well, but its stack is elsewhere.
        let here = stack_pointer();
        let low = self.start.addr();
        if here < low && low - here < FAR {
            self.overflowed();
        }
        here >= low && here < ptr::from_ref(self).addr()
    }

    /// The fiber on whose stack the code runs that calls this.
    pub(crate) fn current<'a>() -> Option<&'a Self> {
        // SAFETY: a fiber exists while it runs, and so while code on its stack does.
        let current = unsafe { CURRENT.load(Ordering::Relaxed).as_ref() }?;
        current.is_running_here().then_some(current)
    }

    /// Ends the program if the stack has overflowed.
    fn check_stack(&self) {
        let zone = self.start.cast::<[u64; 4]>();
        // SAFETY: the low end of the fiber's memory, which nobody writes to.
        let intact =
            (0..GUARD_WORDS / 4).all(|part| unsafe { zone.add(part).read() } == [GUARD; 4]);
        if !intact || self.last_sp.get() < self.start.addr() + GUARD_WORDS * 8 {
            self.overflowed();
        }
    }

    /// Ends the program if what is kept of the fiber was overwritten.
    fn check_marks(&self) {
        if self.mark.get() != MARK || self.end_mark.get() != MARK {
            self.overflowed();
        }
    }

    #[cold]
    fn overflowed(&self) -> ! {
        // Nothing can be done about a console that fails.
        let _ = if self.mark.get() != MARK || self.end_mark.get() != MARK {
            writeln!(
                Console,
                "mnet: what is kept of the fiber with the memory at {:#x} was overwritten, perhaps by a \\
                 fiber whose memory lies above it",
                self.start.addr()
            )
        } else {
            writeln!(
                Console,
                "mnet: stack overflow in fiber {:#x}, function {:#x}, {} bytes at {:#x}",
                self.handle,
                self.function as usize,
                self.size,
                self.start.addr()
            )
        };
        solo5::abort()
    }

    /// Makes it known that the memory is no fiber any more.
    pub(crate) fn forget(&self) {
        self.mark.set(0);
        // SAFETY: it has ended, so there is nothing on its stack that would have to be dropped, and it
        // is not switched to again.
        unsafe { (*self.coroutine.get()).force_reset() };
    }
}

/// About where the stack pointer of the caller is.
#[inline(always)]
fn stack_pointer() -> usize {
    let here = 0_u8;
    core::hint::black_box(ptr::from_ref(&here)).addr()
}
