//! Fibers and channels of the C ABI: whatever fibers do to each other, in any order.
//!
//! One stack that is driven by calls, in virtual time. The input is one script: whoever runs, a fiber
//! or the program, takes the next operation from it. What must hold:
//!
//! - a call returns what its comment in the header allows;
//! - items of a channel come out in the order in which they went in, each once;
//! - each clean-up handler runs once, or is taken back;
//! - whoever is asked to end can: with the script at its end no fiber lives for long;
//! - then all memory is there again, and every handle is stale.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header, with memory that a call may use, or with \
              what it must refuse"
)]

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr;

use mnet_ffi::*;

use crate::c_abi::{TURN, call};

/// Memory of one fiber: without optimisation an image's would not do.
const SIZE: usize = 96 << 10;
/// Fibers that the memory holds.
const FIBERS: usize = 12;
/// Most operations of an input.
const MAX_OPERATIONS: usize = 600;
const MS: u64 = 1_000_000;

/// What all fibers of an input know.
#[derive(Default)]
struct World {
    script: Vec<u8>,
    next: usize,
    operations: usize,
    stack: mnet_stack,
    /// Every handle that was given out, of either kind, and numbers that none is.
    fibers: Vec<i64>,
    channels: Vec<i64>,
    /// What must come out of each channel.
    queues: HashMap<i64, VecDeque<u64>>,
    sent: u64,
    handlers: i64,
    own_memory: Vec<*mut c_void>,
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::default();
}

fn with<T>(action: impl FnOnce(&mut World) -> T) -> T {
    WORLD.with_borrow_mut(action)
}

/// The next byte of the script; `None` when it is at its end.
fn byte() -> Option<u8> {
    with(|world| {
        let byte = world.script.get(world.next).copied();
        world.next += 1;
        byte
    })
}

fn argument() -> u8 {
    byte().unwrap_or(0)
}

/// One of those handles, or something like one.
fn pick(from: impl Fn(&World) -> &Vec<i64>) -> i64 {
    let choice = argument();
    let handle = with(|world| {
        let all = from(world);
        let place = usize::from(choice & 63) % all.len().max(1);
        all.get(place).copied().unwrap_or(-3)
    });
    match choice >> 6 {
        3 => handle ^ 1 << (choice & 63),
        _ => handle,
    }
}

/// How long a call may wait: not at all, for some time, or for ever.
fn timeout() -> i64 {
    match argument() {
        byte @ 0..=99 => i64::from(byte % 4) * 1_000_000,
        100..=199 => 0,
        _ => -1,
    }
}

unsafe extern "C" fn handler(arg: *mut c_void) {
    with(|world| world.handlers -= 1);
    if !arg.is_null() {
        // A handler may wait.
        let stack = with(|world| world.stack);
        call!(mnet_sleep(stack, MS));
    }
}

unsafe extern "C" fn fiber(arg: *mut c_void) -> *mut c_void {
    let own = mnet_self();
    assert!(with(|world| world.fibers.contains(&own)));
    while operation(true) {
        assert_eq!(mnet_self(), own);
    }
    arg
}

/// Does what the script says next; whether whoever runs goes on.
fn operation(is_fiber: bool) -> bool {
    let Some(code) = byte() else { return false };
    with(|world| world.operations += 1);
    if with(|world| world.operations > MAX_OPERATIONS) {
        return false;
    }
    let stack = with(|world| world.stack);
    match code % 16 {
        0 => {
            call!(mnet_yield(stack));
        }
        1 => {
            call!(mnet_sleep(stack, u64::from(argument() % 8) * MS));
        }
        2 | 3 => send(),
        4 | 5 => receive(),
        6 => {
            let mut result = ptr::null_mut();
            let fiber = pick(|world| &world.fibers);
            call!(mnet_join(fiber, &raw mut result, timeout()));
        }
        7 => {
            call!(mnet_cancel(pick(|world| &world.fibers)));
        }
        8 => {
            call!(mnet_detach(pick(|world| &world.fibers)));
        }
        9 | 10 => start(),
        11 => {
            let arg = ptr::without_provenance_mut(usize::from(argument() & 1));
            if call!(mnet_cleanup_push(Some(handler), arg)) == 0 {
                assert!(is_fiber);
                with(|world| world.handlers += 1);
            }
        }
        12 => {
            let execute = i32::from(argument() & 1);
            if call!(mnet_cleanup_pop(execute)) == 0 && execute == 0 {
                with(|world| world.handlers -= 1);
            }
        }
        13 => open_channel(),
        14 => {
            let channel = pick(|world| &world.channels);
            if argument() & 1 == 0 {
                call!(mnet_channel_finish(channel));
            } else if call!(mnet_channel_close(channel)) == 0 && channel > 0 {
                with(|world| world.queues.remove(&channel));
            }
        }
        _ if is_fiber => return argument() & 3 != 0,
        _ => {
            call!(mnet_cancel_all(stack, 0));
        }
    }
    true
}

fn send() {
    let channel = pick(|world| &world.channels);
    // What others send while this one waits comes before: the number is that of the item, not of its
    // place, and it is noted when it is in.
    let item = with(|world| {
        world.sent += 1;
        world.sent
    });
    let timeout = timeout();
    if call!(mnet_channel_send(
        channel,
        (&raw const item).cast(),
        timeout
    )) == 0
    {
        with(|world| {
            let queue = world.queues.get_mut(&channel).expect("it is open");
            queue.push_back(item);
        });
    }
}

fn receive() {
    let channel = pick(|world| &world.channels);
    let mut item = 0_u64;
    let timeout = timeout();
    let status = call!(mnet_channel_receive(
        channel,
        (&raw mut item).cast(),
        timeout
    ));
    if status == 0 {
        let queue = with(|world| world.queues.get_mut(&channel).map(VecDeque::pop_front));
        assert_eq!(queue, Some(Some(item)), "in order, each once");
    }
    with(|world| {
        for (channel, queue) in &world.queues {
            let count = call!(mnet_channel_count(*channel));
            assert_eq!(usize::try_from(count), Ok(queue.len()));
        }
    });
}

fn start() {
    let stack = with(|world| world.stack);
    let (size, memory) = match argument() {
        byte @ 0..=15 => (
            usize::from(byte) * 1_000 % MNET_FIBER_SIZE_MIN,
            ptr::null_mut(),
        ),
        16..=19 => (usize::MAX - 8, ptr::null_mut()),
        20..=23 => (SIZE * (FIBERS + 1), ptr::null_mut()),
        byte @ 24..=99 => {
            let place = usize::from(byte) % 3;
            (SIZE, with(|world| world.own_memory[place]))
        }
        _ => (SIZE, ptr::null_mut()),
    };
    let arg = ptr::without_provenance_mut(7);
    let handle = call!(mnet_spawn(stack, Some(fiber), arg, memory, size));
    if handle > 0 {
        with(|world| {
            assert!(!world.fibers.contains(&handle), "never used twice");
            world.fibers.push(handle);
        });
    }
}

fn open_channel() {
    let stack = with(|world| world.stack);
    let capacity = usize::from(argument() % 5);
    let channel = call!(mnet_channel_open(stack, 8, capacity, ptr::null_mut(), 0));
    if channel > 0 {
        with(|world| {
            world.channels.push(channel);
            world.queues.insert(channel, VecDeque::new());
        });
    }
}

fn config(memory: &mut [u8]) -> mnet_config {
    static SEED: [u8; 32] = [3; 32];
    let mut config = MaybeUninit::<mnet_config>::uninit();
    unsafe {
        assert_eq!(
            mnet_config_default(config.as_mut_ptr(), size_of::<mnet_config>()),
            0
        );
        let mut config = config.assume_init();
        config.arena = memory.as_mut_ptr().cast();
        config.arena_size = memory.len();
        config.flags = MNET_CONFIG_MANUAL;
        config.hardware_address = [2, 0, 0, 0, 0, 1];
        config.fiber_memory = FIBERS * SIZE;
        config.seed = SEED.as_ptr();
        config.seed_len = SEED.len();
        let text = c"10.0.0.1".to_bytes();
        let start = text.as_ptr().cast::<c_char>();
        let address = &raw mut config.address;
        assert_eq!(mnet_addr_parse(start, text.len(), address), 0);
        config
    }
}

/// A script of fibers.
pub fn fibers(data: &[u8]) {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut arena = vec![0; (1 << 20) + FIBERS * SIZE];
    let mut own = vec![0_u8; 3 * SIZE + 64];
    let config = config(&mut arena);
    let stack = call!(mnet_open(&raw const config));
    assert!(stack > 0);
    with(|world| {
        *world = World {
            script: data.to_vec(),
            stack,
            own_memory: (0..3)
                .map(|place| own[place * SIZE + place..].as_mut_ptr().cast())
                .collect(),
            ..World::default()
        };
    });
    let mut now = 0;
    let mut step = || {
        now += MS;
        call!(mnet_step(stack, now, ptr::null_mut()));
    };
    while operation(false) {
        step();
    }
    // The end: whoever is asked to end does, also with handlers that wait.
    for round in 0.. {
        if call!(mnet_cancel_all(stack, 0)) == 0 {
            break;
        }
        assert!(round < 10_000, "a fiber does not end");
        step();
    }
    let (all, channels, handlers) = with(|world| {
        (
            std::mem::take(&mut world.fibers),
            std::mem::take(&mut world.channels),
            world.handlers,
        )
    });
    assert_eq!(handlers, 0, "each handler ran once, or was taken back");
    for channel in channels {
        call!(mnet_channel_close(channel));
    }
    for handle in all {
        call!(mnet_join(handle, ptr::null_mut(), 0));
        let again = call!(mnet_join(handle, ptr::null_mut(), 0));
        assert_eq!(again, i64::from(MNET_EBADF));
    }
    // One that takes nearly all there is.
    let size = (FIBERS - 1) * SIZE;
    let last = call!(mnet_spawn(
        stack,
        Some(handler_of_nothing),
        ptr::null_mut(),
        ptr::null_mut(),
        size
    ));
    assert!(last > 0, "memory was lost");
    call!(mnet_detach(last));
    step();
    assert_eq!(call!(mnet_close_stack(stack)), 0);
}

unsafe extern "C" fn handler_of_nothing(arg: *mut c_void) -> *mut c_void {
    arg
}
