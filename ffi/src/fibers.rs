//! Fibers: functions that run beside each other, each on a stack of its own.
//!
//! `fiber` holds one of them and the switch, `scheduler` those of a stack. Other calls reach them by
//! the table of `scheduling` only.
#![allow(
    non_camel_case_types,
    reason = "the names are C's, as the header has them"
)]

mod fiber;
mod scheduler;

use core::ffi::{c_int, c_void};
use core::ptr::NonNull;

use mnet::Instant;

use crate::error::{Error, status, value};
use crate::pointer::{self, Out};
use crate::registry::{self, Opened};
use crate::scheduling::{Key, Wait};
use crate::types::{mnet_fiber, mnet_stack};
use fiber::{Fiber, Handler, Plan};

pub(crate) use fiber::Node;
pub(crate) use scheduler::{Kind, Scheduler, is_at, wait_once, with_object};

/// The least memory of a fiber, in bytes. It is enough for every function of this header, with a
/// quarter left for the fiber's own frames.
pub const MNET_FIBER_SIZE_MIN: usize = 8192;
/// The memory of a fiber by default, in bytes.
pub const MNET_FIBER_SIZE_DEFAULT: usize = 16384;
/// Most clean-up handlers of a fiber at a time.
pub const MNET_CLEANUP_MAX: u32 = 8;

/// What a fiber does.
///
/// - arg: as given to mnet_spawn().
///
/// Returns what mnet_join() is to give.
pub type mnet_fiber_main = Option<unsafe extern "C" fn(arg: *mut c_void) -> *mut c_void>;

/// Something that is to be done when a fiber ends.
///
/// - arg: as given to mnet_cleanup_push().
pub type mnet_cleanup = Option<unsafe extern "C" fn(arg: *mut c_void)>;

/// FIBERS. A fiber is a function that runs beside others, on a stack of its own: straight-line code for
/// each client of a server. A call that waits (mnet_accept(), mnet_connect(), mnet_read(), mnet_write(),
/// mnet_recvfrom(), mnet_poll(), mnet_events(), mnet_sleep(), ...) lets the others run until it is done.
/// Nothing else does: between two calls that wait, a fiber has the processor and all data to itself. So
/// there are no locks; what has to stay together must only not wait in between.
///
/// Fibers belong to a stack. They run inside the calls on that stack that wait, poll or step and come
/// from the program itself: from solo5_app_main() and what it calls, or from a fiber of another stack,
/// which then waits as a program would. Each such call gives up to 64 of them a turn, then the network,
/// and sleeps when no fiber is ready. All that happens on one thread.
///
/// The memory of a fiber holds its stack and what the library keeps of it, some 700 bytes. There is no
/// page protection on Solo5 that would catch an overflow. Instead, whenever a fiber waits, begins or
/// ends, the library looks at the stack pointer and at 256 bytes at the low end that nobody may write
/// to, and if either shows an overflow it names the fiber on the console and calls solo5_abort(). So a
/// fiber that has written below its stack is found out when it next waits, at the latest by itself: what
/// lies below may be damaged by then, but nobody works with it any more, since no other fiber has run
/// in between. Not noticed is a large array that reaches across the zone, was written only below it,
/// and is gone when the fiber waits: give fibers that have such more memory.
///
/// Fibers may share a socket, one reading while another writes. When one closes or aborts it, the calls
/// in which others wait for it return MNET_EBADF.
///
/// The floating-point control words (rounding mode, masks) belong to all fibers together.
///
/// Starts a fiber. It does not run before the caller waits.
///
/// - function, arg: what it does.
/// - memory, size: its memory, for as long as the fiber exists: until it has ended, and was joined or
///   detached. NULL: from mnet_config.fiber_memory, which has it back then. size is at least
///   MNET_FIBER_SIZE_MIN; 0 is MNET_FIBER_SIZE_DEFAULT, only with NULL.
///
/// Returns the fiber, or
///   MNET_EINVAL   function is NULL, or size is too small
///   MNET_ENOMEM   mnet_config.fiber_memory has no room, or the arena none for the first fiber
///   MNET_EBUSY    a fiber that exists has this memory, or the stack is entered
///   MNET_EBADF    no such stack
/// Does not block. Whoever starts a fiber joins it (mnet_join()) or lets it go (mnet_detach()).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_spawn(
    stack: mnet_stack,
    function: mnet_fiber_main,
    arg: *mut c_void,
    memory: *mut c_void,
    size: usize,
) -> mnet_fiber {
    let spawn = || {
        let function = function.ok_or(Error::INVALID)?;
        let size = match size {
            0 if memory.is_null() => MNET_FIBER_SIZE_DEFAULT,
            size => size,
        };
        if size < MNET_FIBER_SIZE_MIN || size > isize::MAX.unsigned_abs() {
            return Err(Error::INVALID);
        }
        let given = if memory.is_null() {
            None
        } else {
            pointer::check(memory.cast(), size)?;
            Some(aligned(memory.cast(), size))
        };
        Scheduler::enter(stack, |stack| {
            let (start, size) = match given {
                // SAFETY: the caller grants the memory.
                Some((start, size)) => match unsafe { Fiber::occupant(start, size) } {
                    Some((handle, place)) if is_at(stack, handle, Kind::Fiber, place) => {
                        return Err(Error::BUSY);
                    }
                    _ => (start, size),
                },
                None => {
                    let size = size.next_multiple_of(16);
                    (Scheduler::of(stack).allocate(size)?, size)
                }
            };
            let plan = Plan {
                handle: Scheduler::new_handle(stack, Kind::Fiber),
                network: stack.place.stack_handle(),
                function,
                arg,
                owned: given.is_none(),
            };
            // SAFETY: the memory was granted or allocated, and is large enough.
            let fiber = unsafe { Fiber::new(start, size, &plan) }.ok_or(Error::INVALID)?;
            // SAFETY: it stays there until `remove`.
            unsafe { Scheduler::of(stack).add(fiber) };
            Ok(plan.handle)
        })
    };
    value(spawn())
}

/// The part of a block that starts and ends at multiples of 16.
fn aligned(start: *mut u8, size: usize) -> (*mut u8, usize) {
    let skip = start.align_offset(16);
    (start.wrapping_add(skip), (size - skip) & !15)
}

/// Enters the stack of a fiber.
fn with_fiber<T>(
    handle: i64,
    action: impl FnOnce(&mut Opened, &Fiber) -> Result<T, Error>,
) -> Result<T, Error> {
    with_object(handle, Kind::Fiber, |stack| {
        let fiber = Scheduler::of(stack).object::<Fiber>(handle)?;
        // SAFETY: what is named exists, and `action` does not keep it.
        action(stack, unsafe { fiber.as_ref() })
    })
}

/// Waits for a fiber to end, and takes what its function has returned. The handle is stale then, and
/// memory that was given to mnet_spawn() is the caller's again.
///
/// - result: receives what the function returned; may be NULL.
/// - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
///
/// Returns 0, or
///   MNET_EAGAIN      the fiber has not ended in that time
///   MNET_EBADF       no such fiber: a stale handle, or somebody else joined it first
///   MNET_EINVAL      it is detached, or result lies in an arena
///   MNET_EDEADLK     it is the calling fiber; or nothing could ever end the wait: no fiber is ready, and
///                    none waits for the network or a time (only for callers that are no fiber)
///   MNET_ECANCELED   the calling fiber is canceled
///   MNET_EBUSY
/// Waits as said. On a manual stack a caller that is no fiber does not wait: it lets fibers run once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_join(
    fiber: mnet_fiber,
    result: *mut *mut c_void,
    timeout_ns: i64,
) -> c_int {
    let join = || {
        // SAFETY: as the header says: NULL, or a place for a pointer.
        let out = unsafe { Out::optional(result) }?;
        let mut pause = Wait::new(Key::object(fiber, false), Instant::ZERO);
        let mut begun = false;
        let mut early = true;
        loop {
            let ended = with_fiber(fiber, |stack, found| {
                if found.detached.get() {
                    return Err(Error::INVALID);
                }
                if found.is_running_here() {
                    return Err(Error::DEADLOCK);
                }
                if found.ended.get() {
                    let result = found.result.get();
                    let place = NonNull::from(found);
                    Scheduler::of(stack).remove(place);
                    return Ok(Ok(result));
                }
                if !begun {
                    pause.until = stack.deadline(timeout_ns);
                    begun = true;
                }
                Ok(Err(stack.place.stack_handle()))
            })?;
            match ended {
                Ok(result) => {
                    out.write(result);
                    return Ok(());
                }
                Err(_) if !early => return Err(Error::AGAIN),
                Err(stack) => early = wait_once(stack, &mut pause)?,
            }
        }
    };
    status(join())
}

/// Lets a fiber go: nobody will join it. When it ends, the handle is stale and its memory free; of one
/// that has ended already that is so now. Memory of the caller's own may be used again once a call with
/// the handle gives MNET_EBADF.
///
/// Returns 0, or MNET_EINVAL (it is detached), MNET_EBADF or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_detach(fiber: mnet_fiber) -> c_int {
    status(with_fiber(fiber, |stack, found| {
        if found.detached.replace(true) {
            return Err(Error::INVALID);
        }
        let place = NonNull::from(found);
        if found.ended.get() {
            Scheduler::of(stack).remove(place);
        } else {
            // Who waits to join it has to hear that this cannot be.
            Scheduler::of(stack).wake(Key::object(fiber, false));
        }
        Ok(())
    }))
}

/// Asks a fiber to end. The call in which it waits, or the next one in which it would, returns
/// MNET_ECANCELED, and so does every further one; calls that need not wait work as ever. It is the
/// fiber's function that ends it, by returning. A fiber that has not begun begins, so that it can give
/// back what its argument stands for. The calling fiber may cancel itself. One that has ended is left
/// as it is. In its clean-up handlers a fiber is not disturbed.
///
/// Returns 0, or MNET_EBADF or MNET_EBUSY. Does not block: mnet_join() waits for the end.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_cancel(fiber: mnet_fiber) -> c_int {
    status(with_fiber(fiber, |stack, found| {
        cancel(stack, found);
        Ok(())
    }))
}

fn cancel(stack: &mut Opened, fiber: &Fiber) {
    // The one that runs may do so on the stack of another network, and be canceled from there.
    let scheduler = Scheduler::of(stack);
    let waits = !fiber.ended.get() && !scheduler.is_running(fiber);
    if !fiber.canceled.replace(true) && waits && fiber.is_canceled() {
        scheduler.make_ready(fiber);
    }
}

/// Asks all fibers of a stack to end, but the calling one, and waits until they have: the way to
/// mnet_close_stack(). Fibers that are started meanwhile are asked as well.
///
/// - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
///
/// Returns 0 when no other fiber lives (those that nobody has joined keep their results), or
///   MNET_EAGAIN      some have not ended in that time
///   MNET_EDEADLK     as mnet_join(): their clean-up handlers wait for what cannot come
///   MNET_ECANCELED   the calling fiber is canceled
///   MNET_EBADF, MNET_EBUSY
/// Waits as mnet_join() does.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_cancel_all(stack: mnet_stack, timeout_ns: i64) -> c_int {
    let cancel_all = || {
        let own = Fiber::current().filter(|own| own.network == stack);
        let mut pause = Wait::new(Key::NOTHING, Instant::ZERO);
        let mut begun = false;
        let mut early = true;
        loop {
            let next = registry::with_stack(stack, |stack| {
                if stack.living_fibers() == usize::from(own.is_some()) {
                    return Ok(None);
                }
                let first_time = !begun;
                if first_time {
                    pause.until = stack.deadline(timeout_ns);
                    begun = true;
                }
                let (mut place, mut next) = (0, None);
                // At first all are asked; then one after the other is waited for.
                while let Some(fiber) = Scheduler::of(stack).next_fiber(place)
                    && (first_time || next.is_none())
                {
                    // SAFETY: what is named exists.
                    let fiber = unsafe { fiber.as_ref() };
                    place = fiber.handle;
                    if !fiber.ended.get() && own.is_none_or(|own| own.handle != place) {
                        cancel(stack, fiber);
                        next = next.or(Some(place));
                    }
                }
                Ok(next)
            })?;
            let Some(next) = next else { return Ok(()) };
            if !early {
                return Err(Error::AGAIN);
            }
            pause.key = Key::object(next, false);
            early = wait_once(stack, &mut pause)?;
        }
    };
    status(cancel_all())
}

/// Whether the calling fiber was asked to end: for one that computes for long and seldom waits.
///
/// Returns 1 if so, else 0; 0 as well for a caller that is no fiber. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_canceled() -> c_int {
    Fiber::current()
        .is_some_and(|fiber| fiber.canceled.get())
        .into()
}

/// The calling fiber.
///
/// Returns its handle, or 0 for a caller that is no fiber. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_self() -> mnet_fiber {
    Fiber::current().map_or(0, |fiber| fiber.handle)
}

/// Has a function called when the calling fiber ends, after its own function has returned, whether it
/// was canceled or not: the place to close a socket, or to give memory back. Handlers are called in the
/// reverse order of their coming, on the fiber's stack; they may wait, and cancellation does not disturb
/// them. The fiber keeps the function and the argument: unlike with pthread_cleanup_push() there is no
/// frame that has to stay.
///
/// - function, arg: what is called.
///
/// Returns 0, or
///   MNET_EINVAL   function is NULL, or the caller is no fiber
///   MNET_ELIMIT   MNET_CLEANUP_MAX handlers wait already
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_cleanup_push(function: mnet_cleanup, arg: *mut c_void) -> c_int {
    let push = || {
        let function = function.ok_or(Error::INVALID)?;
        let fiber = Fiber::current().ok_or(Error::INVALID)?;
        if fiber.push(Handler { function, arg }) {
            Ok(())
        } else {
            Err(Error::LIMIT)
        }
    };
    status(push())
}

/// Takes the clean-up handler back that the calling fiber has pushed last.
///
/// - execute: 0: only that; anything else: it is called as well.
///
/// Returns 0, or MNET_EINVAL: there is none, or the caller is no fiber. Does not block itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_cleanup_pop(execute: c_int) -> c_int {
    let Some(handler) = Fiber::current().and_then(Fiber::pop) else {
        return Error::INVALID.code();
    };
    if execute != 0 {
        // SAFETY: as the header says of a handler.
        unsafe { (handler.function)(handler.arg) };
    }
    0
}

const _: () = assert!(Fiber::OVERHEAD + corosensei::stack::MIN_STACK_SIZE <= MNET_FIBER_SIZE_MIN);
