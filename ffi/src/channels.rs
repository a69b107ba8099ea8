//! Channels: queues by which fibers hand each other work.

use core::cell::Cell;
use core::ffi::{c_int, c_void};
use core::ptr;

use mnet::Instant;

use crate::error::{Error, length, status, value};
use crate::fibers::{Kind, Node, Scheduler, is_at, wait_once, with_object};
use crate::pointer;
use crate::registry::Opened;
use crate::scheduling::{Key, Wait};
use crate::types::{mnet_channel, mnet_stack};

/// What a channel needs beside its items, in bytes: mnet_channel_open().
pub const MNET_CHANNEL_OVERHEAD: usize = 192;

/// What a channel that exists starts with.
const MARK: u64 = 0x6D6E_6574_C4A2_2E17;

/// What is kept of a channel. Its items lie behind it.
#[repr(C, align(16))]
struct Channel {
    mark: Cell<u64>,
    handle: i64,
    item_size: usize,
    capacity: usize,
    /// The place of the oldest item, and how many there are.
    first: Cell<usize>,
    count: Cell<usize>,
    /// No more items come.
    ended: Cell<bool>,
    /// Where its memory comes from: the heap of the fibers, or the caller.
    owned: bool,
    size: usize,
    by_handle: Node,
}

impl Channel {
    /// Where in a block of memory it lies.
    fn place_in(block: *mut u8) -> *mut Self {
        block.wrapping_add(block.align_offset(16)).cast()
    }

    /// The handle of the channel that may live here.
    ///
    /// # Safety
    /// There are as many bytes that can be read.
    unsafe fn occupant(place: *const Self) -> Option<i64> {
        let words = place.cast::<u64>();
        // SAFETY: the caller vouches for the memory; every bit pattern is a number.
        let (mark, handle) = unsafe { (words.read(), words.add(1).read()) };
        (mark == MARK).then_some(handle.cast_signed())
    }

    /// What receivers wait for.
    fn has_item(&self) -> Key {
        Key::object(self.handle, false)
    }

    /// What senders wait for.
    fn has_room(&self) -> Key {
        Key::object(self.handle, true)
    }

    fn item(&self, place: usize) -> *mut u8 {
        let items = ptr::from_ref(self).cast_mut().cast::<u8>();
        items.wrapping_add(size_of::<Self>() + place % self.capacity * self.item_size)
    }
}

/// CHANNELS. A channel is a queue of a fixed number of items of a fixed size, which are copied in and
/// out. Whoever sends to a full one waits until there is room, whoever receives from an empty one until
/// there is an item: fibers, and the program itself, which runs fibers meanwhile.
///
/// It is the only means of its kind here, because it contains the others. One whose items have 0 bytes
/// is a semaphore: mnet_channel_send() is its post, bounded by the capacity, and mnet_channel_receive()
/// its wait. With a capacity of 1, and sending as locking, that is a mutex; mnet_channel_finish() wakes
/// everybody, as a broadcast does. Most programs need no mutex: see mnet_spawn().
///
/// Opens a channel for the fibers of a stack.
///
/// - item_size: bytes of an item; may be 0.
/// - capacity: most items that wait, at least 1.
/// - memory, size: its memory until mnet_channel_close(): item_size * capacity and
///   MNET_CHANNEL_OVERHEAD bytes. NULL, 0: from mnet_config.fiber_memory.
///
/// Returns the channel, or
///   MNET_EINVAL   capacity is 0, the items together are larger than memory can be, or size too small
///   MNET_ENOMEM   mnet_config.fiber_memory has no room, or the arena none for the first channel
///   MNET_EBUSY    a channel that exists has this memory, or the stack is entered
///   MNET_EBADF    no such stack
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_channel_open(
    stack: mnet_stack,
    item_size: usize,
    capacity: usize,
    memory: *mut c_void,
    size: usize,
) -> mnet_channel {
    let open = || {
        let items = item_size.checked_mul(capacity).ok_or(Error::INVALID)?;
        let needed = items
            .checked_add(MNET_CHANNEL_OVERHEAD)
            .filter(|needed| capacity > 0 && *needed <= isize::MAX.unsigned_abs())
            .ok_or(Error::INVALID)?;
        let given = !memory.is_null();
        pointer::check(memory.cast(), size)?;
        if given && size < needed {
            return Err(Error::INVALID);
        }
        Scheduler::enter(stack, |stack| {
            let place = if given {
                let place = Channel::place_in(memory.cast());
                // SAFETY: the caller grants the memory, which is large enough.
                match unsafe { Channel::occupant(place) } {
                    Some(handle) if is_at(stack, handle, Kind::Channel, place.cast()) => {
                        return Err(Error::BUSY);
                    }
                    _ => place,
                }
            } else {
                Channel::place_in(Scheduler::of(stack).allocate(needed)?)
            };
            let handle = Scheduler::new_handle(stack, Kind::Channel);
            let channel = Channel {
                mark: Cell::new(MARK),
                handle,
                item_size,
                capacity,
                first: Cell::new(0),
                count: Cell::new(0),
                ended: Cell::new(false),
                owned: !given,
                size: needed,
                by_handle: Node::new((handle.cast_unsigned(), 0)),
            };
            // SAFETY: the memory was granted or allocated; the overhead has room for this and for
            // what alignment costs.
            let channel = unsafe {
                place.write(channel);
                &*place
            };
            channel.by_handle.owner.set(place.cast());
            // SAFETY: it stays there until it is closed.
            unsafe { Scheduler::of(stack).add_object(&channel.by_handle) };
            Ok(handle)
        })
    };
    value(open())
}

/// Enters the stack of a channel.
fn with_channel<T>(
    handle: i64,
    action: impl FnOnce(&mut Opened, &Channel) -> Result<T, Error>,
) -> Result<T, Error> {
    with_object(handle, Kind::Channel, |stack| {
        let channel = Scheduler::of(stack).object::<Channel>(handle)?;
        // SAFETY: what is named exists, and `action` does not keep it.
        let channel = unsafe { channel.as_ref() };
        if channel.mark.get() != MARK {
            // Its memory was used for something else.
            return Err(Error::BAD_HANDLE);
        }
        action(stack, channel)
    })
}

/// Repeats `attempt` until it has something else to say than "not now", waiting for `second` in
/// between.
fn repeat(
    handle: i64,
    second: bool,
    timeout_ns: i64,
    mut attempt: impl FnMut(&mut Opened, &Channel) -> Result<(), Error>,
) -> c_int {
    let mut pause = Wait::new(Key::object(handle, second), Instant::ZERO);
    let mut begun = false;
    let mut early = true;
    let mut once_more = || loop {
        let stack = with_channel(handle, |stack, channel| match attempt(stack, channel) {
            Err(Error::AGAIN) if early && timeout_ns != 0 => {
                if !begun {
                    pause.until = stack.deadline(timeout_ns);
                    begun = true;
                }
                Ok(Some(stack.place.stack_handle()))
            }
            result => result.map(|()| None),
        })?;
        match stack {
            None => return Ok(()),
            Some(stack) => early = wait_once(stack, &mut pause)?,
        }
    };
    status(once_more())
}

/// Puts an item into a channel.
///
/// - item: what is copied; NULL if items have 0 bytes.
/// - timeout_ns: how long to wait for room, in nanoseconds; 0: not at all; negative: for ever.
///
/// Returns 0, or
///   MNET_EAGAIN      there was no room in that time
///   MNET_EPIPE       mnet_channel_finish() was called: no more items go in
///   MNET_EINVAL      item is NULL, or lies in an arena
///   MNET_EDEADLK     nothing could ever end the wait: see mnet_join()
///   MNET_ECANCELED   the calling fiber is canceled
///   MNET_EBADF       no such channel, or it was closed meanwhile
///   MNET_EBUSY
/// Waits as said. On a manual stack a caller that is no fiber does not wait: it lets fibers run once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_channel_send(
    channel: mnet_channel,
    item: *const c_void,
    timeout_ns: i64,
) -> c_int {
    repeat(channel, true, timeout_ns, |stack, channel| {
        // SAFETY: as the header says: NULL, or an item.
        let bytes = unsafe { pointer::input(item, channel.item_size) }?;
        if channel.ended.get() {
            return Err(Error::PIPE);
        }
        let count = channel.count.get();
        if count == channel.capacity {
            return Err(Error::AGAIN);
        }
        let place = channel.item(channel.first.get() + count);
        // SAFETY: a place of the channel's memory that holds no item.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) };
        channel.count.set(count + 1);
        Scheduler::of(stack).wake_one(channel.has_item());
        Ok(())
    })
}

/// Takes the oldest item of a channel.
///
/// - item: where it is copied to; NULL if items have 0 bytes.
/// - timeout_ns: how long to wait for one, in nanoseconds; 0: not at all; negative: for ever.
///
/// Returns 0, or
///   MNET_EAGAIN      none has come in that time
///   MNET_EPIPE       all were taken, and mnet_channel_finish() was called: there will be no more
///   MNET_EINVAL, MNET_EDEADLK, MNET_ECANCELED, MNET_EBADF, MNET_EBUSY as mnet_channel_send()
/// Waits as mnet_channel_send() does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_channel_receive(
    channel: mnet_channel,
    item: *mut c_void,
    timeout_ns: i64,
) -> c_int {
    repeat(channel, false, timeout_ns, |stack, channel| {
        // SAFETY: as the header says: NULL, or room for an item.
        let bytes = unsafe { pointer::output(item, channel.item_size) }?;
        let count = channel.count.get();
        if count == 0 {
            return Err(if channel.ended.get() {
                Error::PIPE
            } else {
                Error::AGAIN
            });
        }
        let first = channel.first.get();
        // SAFETY: a place of the channel's memory with an item.
        unsafe {
            ptr::copy_nonoverlapping(channel.item(first), bytes.as_mut_ptr(), bytes.len());
        }
        channel.first.set((first + 1) % channel.capacity);
        channel.count.set(count - 1);
        Scheduler::of(stack).wake_one(channel.has_room());
        Ok(())
    })
}

/// How many items wait in a channel.
///
/// Returns the number, or MNET_EBADF or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_channel_count(channel: mnet_channel) -> i64 {
    value(with_channel(channel, |_, channel| {
        Ok(length(channel.count.get()))
    }))
}

/// Lets no more items into a channel. Those that wait can be received; after them, and to whoever sends
/// or waits to, the answer is MNET_EPIPE. Doing it again is harmless.
///
/// Returns 0, or MNET_EBADF or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_channel_finish(channel: mnet_channel) -> c_int {
    status(with_channel(channel, |stack, channel| {
        channel.ended.set(true);
        wake_all(stack, channel);
        Ok(())
    }))
}

/// Closes a channel: the handle is stale, its items are lost, its memory is the caller's again. To
/// whoever waits the answer is MNET_EBADF.
///
/// - channel: 0 and below are accepted as "none" and harmless.
///
/// Returns 0, or MNET_EBADF or MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_channel_close(channel: mnet_channel) -> c_int {
    if channel <= 0 {
        return 0;
    }
    status(with_channel(channel, |stack, channel| {
        wake_all(stack, channel);
        let scheduler = Scheduler::of(stack);
        scheduler.remove_object(channel.handle);
        channel.mark.set(0);
        if channel.owned {
            let block = ptr::from_ref(channel).cast_mut().cast::<u8>();
            // SAFETY: it came from there, aligned as it is, and nothing names it any more.
            unsafe { scheduler.free(block, channel.size) };
        }
        Ok(())
    }))
}

fn wake_all(stack: &mut Opened, channel: &Channel) {
    let scheduler = Scheduler::of(stack);
    scheduler.wake(channel.has_item());
    scheduler.wake(channel.has_room());
}

const _: () = assert!(size_of::<Channel>() + 16 <= MNET_CHANNEL_OVERHEAD);
