//! The arena as the only memory, as in `libmnet.a`: whatever a stack allocates comes from there, it
//! is enough for every configuration that is accepted, and nothing is allocated after opening.
//!
//! An allocation that fails would end the program here, too, so that the sweep over sizes and
//! limits shows that none does.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with valid pointers"
)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{EchoServer, Memory, World, address, config, manual_config, name, open};
use mnet_ffi::arena::ArenaAllocator;
use mnet_ffi::*;

/// The library's allocator while a stack is opened, the system's otherwise.
struct Both;

thread_local! {
    /// This thread runs a test; others (the test harness) keep to the system's memory.
    static TESTING: Cell<bool> = const { Cell::new(false) };
    /// All allocations of this thread.
    static ALL: Cell<usize> = const { Cell::new(0) };
}

/// Allocations and releases in arenas.
static IN_ARENAS: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];

unsafe impl GlobalAlloc for Both {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !TESTING.get() {
            return unsafe { System.alloc(layout) };
        }
        ALL.set(ALL.get() + 1);
        if !ArenaAllocator::is_providing() {
            return unsafe { System.alloc(layout) };
        }
        IN_ARENAS[0].fetch_add(1, Ordering::Relaxed);
        unsafe { ArenaAllocator.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !TESTING.get() || !ArenaAllocator::is_providing() {
            let block = unsafe { self.alloc(layout) };
            unsafe { block.write_bytes(0, layout.size()) };
            return block;
        }
        ALL.set(ALL.get() + 1);
        IN_ARENAS[0].fetch_add(1, Ordering::Relaxed);
        unsafe { ArenaAllocator.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if !ArenaAllocator::owns(block) {
            return unsafe { System.dealloc(block, layout) };
        }
        IN_ARENAS[1].fetch_add(1, Ordering::Relaxed);
        unsafe { ArenaAllocator.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Both = Both;

/// A turn of a test. Afterwards its thread keeps to the system's memory, so that what the test harness
/// allocates on it does not come from the arena of the next test.
struct Turn(World);

impl Drop for Turn {
    fn drop(&mut self) {
        TESTING.set(false);
    }
}

fn start() -> Turn {
    let world = World::new();
    TESTING.set(true);
    Turn(world)
}

fn in_arenas() -> [usize; 2] {
    [0, 1].map(|i| IN_ARENAS[i].load(Ordering::Relaxed))
}

/// How many entries of so many bytes an arena holds beside the least that a stack needs.
fn most(size: usize, entry: usize) -> u32 {
    u32::try_from(size.saturating_sub(600_000) / entry + 1).unwrap()
}

/// Enables IPv6 on an interface, with its defaults.
fn speak_ipv6(stack: mnet_stack, interface: u32) {
    let mut ipv6 = MaybeUninit::<mnet_ipv6>::uninit();
    let status = unsafe { mnet_ipv6_default(ipv6.as_mut_ptr(), size_of::<mnet_ipv6>()) };
    assert_eq!(status, 0);
    let mut ipv6 = unsafe { ipv6.assume_init() };
    ipv6.interface = interface;
    assert_eq!(unsafe { mnet_enable_ipv6(stack, &raw const ipv6) }, 0);
}

/// Adds interfaces until there are as many as there can be: their number, and the last answer.
fn add_all(stack: mnet_stack) -> (u32, c_int) {
    let hardware = [2, 0, 0, 0, 0, 9];
    let mut count = 1;
    loop {
        let added = unsafe { mnet_add_manual_interface(stack, hardware.as_ptr(), 0) };
        if added <= 0 {
            return (count, added);
        }
        count = u32::try_from(added).unwrap();
    }
}

#[test]
fn every_accepted_configuration_fits_and_is_given_back() {
    let _turn = start();
    let mut accepted = [0; 12];
    let sizes = (0..40).map(|step| 200_000 + step * 7_919 + (step * step) * 20_011);
    let (mut memory, mut with_dhcp) = (Memory::new(32 << 20), 0);
    for size in sizes {
        for (limits, accepted) in accepted.iter_mut().enumerate() {
            let mut config = manual_config(&mut memory, 1);
            config.arena_size = size;
            match limits {
                1 => config.max_connections = 16,
                2 => config.max_connections = u32::try_from(size / 1_500).unwrap(),
                3 => config.max_half_open = u32::try_from(size / 400).unwrap(),
                4 => config.max_time_wait = u32::try_from(size / 300).unwrap(),
                5 => config.max_listeners = u32::try_from(size / 2_000).unwrap(),
                6 => config.max_udp_sockets = u32::try_from(size / 2_000).unwrap(),
                7 => config.mtu = 9_000,
                // As many of a kind as can be, with little left for anything else.
                8 => config.max_half_open = most(size, 230),
                9 => config.max_connections = most(size, 1_060),
                10 => config.max_udp_sockets = most(size, 420),
                11 => config.max_interfaces = most(size, 11_900).min(64),
                _ => {}
            }
            let before = in_arenas();
            let stack = unsafe { mnet_open(&raw const config) };
            if stack < 0 {
                assert_eq!(name(stack), "MNET_ENOMEM", "{size} bytes, variant {limits}");
                continue;
            }
            *accepted += 1;
            // All interfaces are there, and everything that is not asked for beforehand.
            let (interfaces, end) = add_all(stack);
            assert_eq!(end, MNET_ELIMIT);
            match config.max_interfaces {
                0 => assert!((2..=8).contains(&interfaces), "{size} bytes: {interfaces}"),
                most => assert_eq!(interfaces, most),
            }
            for interface in 1..=interfaces {
                speak_ipv6(stack, interface);
            }
            // What a client of DHCP takes is there, or it is refused.
            let started = unsafe { mnet_dhcp_start(stack, 0, ptr::null()) };
            assert!(started == 0 || started == MNET_ENOMEM, "{started}");
            with_dhcp += usize::from(started == 0);
            assert_eq!(mnet_close_stack(stack), 0);
            let [allocated, freed] = in_arenas();
            assert!(allocated > before[0]);
            assert_eq!(
                allocated - before[0],
                freed - before[1],
                "all of it was given back"
            );
        }
    }
    assert!(
        accepted.iter().all(|count| *count > 10),
        "accepted of each variant: {accepted:?}"
    );
    let all: usize = accepted.iter().sum();
    assert!(
        with_dhcp > all / 2,
        "{with_dhcp} of {all} have room for DHCP"
    );
}

#[test]
fn half_a_megabyte_makes_a_stack_that_serves() {
    let turn = start();
    let world = &turn.0;
    let mut memory = [Memory::new(512 << 10), Memory::new(512 << 10)];
    let server = open(&manual_config(&mut memory[1], 2));
    let mut echo = EchoServer::new(server, 2);
    world.peer(move |now| echo.turn(now));
    let stack = open(&config(&mut memory[0], 1));

    let remote = address("10.0.0.2:7");
    let fd = unsafe { mnet_connect(stack, &raw const remote, ptr::null(), 0) };
    assert!(fd > 0, "{}", name(fd));
    let sent = [0xa5_u8; 10_000];
    let mut buffer = [0_u8; 10_000];
    let before = in_arenas();
    for _ in 0..20 {
        assert_eq!(
            unsafe { mnet_write(fd, sent.as_ptr().cast(), sent.len()) },
            10_000
        );
        let mut got = 0;
        while got < buffer.len() {
            let rest = &mut buffer[got..];
            let len = unsafe { mnet_read(fd, rest.as_mut_ptr().cast(), rest.len()) };
            got += usize::try_from(len).unwrap();
        }
        assert_eq!(buffer, sent);
    }
    assert_eq!(in_arenas(), before, "nothing is allocated after opening");

    // Now that the stacks live in their arenas: what was peeked may be written, and nothing else
    // may be done with it.
    assert_eq!(unsafe { mnet_write(fd, b"abc".as_ptr().cast(), 3) }, 3);
    let mut data = ptr::null();
    assert_eq!(unsafe { mnet_peek(fd, &raw mut data) }, 3);
    assert!(ArenaAllocator::owns(data.cast()));
    assert_eq!(
        unsafe { mnet_read(fd, data.cast_mut(), 3) },
        i64::from(MNET_EINVAL)
    );
    assert_eq!(unsafe { mnet_write(fd, data, 3) }, 3);
    assert_eq!(mnet_consume(fd, 3), 0);
    assert_eq!(unsafe { mnet_read(fd, buffer.as_mut_ptr().cast(), 3) }, 3);
    assert_eq!(&buffer[..3], b"abc");

    world.peer(|_| u64::MAX);
    assert_eq!((mnet_close_stack(stack), mnet_close_stack(server)), (0, 0));
}

#[test]
fn calls_on_a_manual_stack_allocate_nothing_at_all() {
    let _turn = start();
    let mut memory = [Memory::new(512 << 10), Memory::new(512 << 10)];
    let (client, server) = (
        open(&manual_config(&mut memory[0], 1)),
        open(&manual_config(&mut memory[1], 2)),
    );
    let mut echo = EchoServer::new(server, 2);
    let remote = address("10.0.0.2:7");
    // The cable allocates, so frames go straight from one stack into the other here.
    let mut frame = [0_u8; 1_514];
    let mut carry = |from, to, now| loop {
        let len = unsafe { mnet_frame_out(from, now, frame.as_mut_ptr().cast(), frame.len()) };
        let Ok(len @ 1..) = usize::try_from(len) else {
            break;
        };
        assert_eq!(
            unsafe { mnet_frame_in(to, now, frame.as_ptr().cast(), len) },
            0
        );
    };
    let mut now = 1_000_000_000;
    let before = ALL.get();
    let fd = unsafe { mnet_connect(client, &raw const remote, ptr::null(), 0) };
    let mut buffer = [0_u8; 3_000];
    let (mut sent, mut received) = (0, 0);
    for _ in 0..2_000 {
        now += 1_000_000;
        let wrote = unsafe { mnet_write(fd, buffer.as_ptr().cast(), buffer.len()) };
        sent += wrote.max(0);
        carry(client, server, now);
        echo.serve();
        carry(server, client, now);
        let read = unsafe { mnet_read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
        received += read.max(0);
        for stack in [client, server] {
            assert_eq!(unsafe { mnet_step(stack, now, ptr::null_mut()) }, 0);
        }
    }
    assert_eq!(ALL.get(), before);
    assert!(
        sent > 1_000_000 && received > 900_000,
        "sent {sent}, received {received}"
    );
    assert_eq!((mnet_close_stack(client), mnet_close_stack(server)), (0, 0));
}

/// What Solo5 is called for while a stack is opened may use another one, which allocates as well: each
/// from its own memory, before and after.
#[test]
fn a_stack_that_is_used_while_another_one_is_opened_leaves_it_its_arena() {
    let turn = start();
    let mut memory = [Memory::new(2 << 20), Memory::new(2 << 20)];
    let other = open(&manual_config(&mut memory[0], 2));
    let opening = config(&mut memory[1], 1);
    // Allocations of `mnet_open` in arenas, and others.
    let count = || {
        let before = (in_arenas()[0], ALL.get());
        assert_eq!(mnet_close_stack(open(&opening)), 0);
        let inside = in_arenas()[0] - before.0;
        (inside, ALL.get() - before.1 - inside)
    };
    let (inside, outside) = count();
    turn.0.at_next_clock(move || {
        assert_eq!(unsafe { mnet_dhcp_start(other, 0, ptr::null()) }, 0);
    });
    let (with_client, outside_too) = count();
    assert!(with_client > inside, "the client is in an arena");
    assert_eq!(outside_too, outside);
    assert_eq!(mnet_close_stack(other), 0);
}

/// What DHCP clients take is not kept for them, so that they may take what is kept for interfaces: then
/// there is no room for those, which is told.
#[test]
fn clients_and_interfaces_that_do_not_fit_are_refused() {
    let _turn = start();
    let mut memory = Memory::new(2 << 20);
    let mut refused = 0;
    for size in (800_000..1_100_000).step_by(9_973) {
        let mut config = manual_config(&mut memory, 1);
        config.arena_size = size;
        config.max_interfaces = 20;
        let stack = open(&config);
        let vlan = mnet_add_vlan(stack, 1, 5, 0, 0);
        assert_eq!(vlan, 2);
        let (mut interfaces, mut end) = (2, 0);
        while end == 0 {
            let started = unsafe { mnet_dhcp_start(stack, interfaces, ptr::null()) };
            assert!(started == 0 || started == MNET_ENOMEM, "{started}");
            let id = i32::try_from(interfaces).unwrap();
            let added = mnet_add_vlan(stack, 1, 10 + interfaces, 0, 0);
            if added == id + 1 {
                interfaces += 1;
            } else {
                end = added;
            }
        }
        match end {
            MNET_ENOMEM => refused += 1,
            end => assert_eq!((end, interfaces), (MNET_ELIMIT, 20)),
        }
        assert_eq!(mnet_close_stack(stack), 0);
    }
    assert!(refused > 0);
}
