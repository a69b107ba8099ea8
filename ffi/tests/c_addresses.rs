//! Addresses and changes of the network through the functions of the header: two stacks that C
//! drives by hand, on one link.

#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid, or with \
              ones whose refusal is the point of the test"
)]

mod common;

use common::{Memory, address, addresses, config, manual_config, name, open};
use mnet_ffi::*;
use std::ptr;

struct Link {
    stacks: [mnet_stack; 2],
    now: u64,
    _world: common::World,
    _memory: [Memory; 2],
}

impl Link {
    /// 10.0.0.1 and 10.0.0.2.
    fn new() -> Self {
        let world = common::World::new();
        let mut memory = [Memory::new(2 << 20), Memory::new(2 << 20)];
        let mut host = 0;
        let stacks = memory.each_mut().map(|memory| {
            host += 1;
            open(&manual_config(memory, host))
        });
        Self {
            stacks,
            now: 0,
            _world: world,
            _memory: memory,
        }
    }

    /// Lets time pass, and frames go from each to the other.
    fn run(&mut self, millis: u64) {
        let mut frame = [0u8; 1_600];
        for _ in 0..millis / 10 {
            self.now += 10_000_000;
            for (from, to) in [(0, 1), (1, 0), (0, 1), (1, 0)] {
                let (from, to) = (self.stacks[from], self.stacks[to]);
                unsafe {
                    assert_eq!(mnet_step(from, self.now, ptr::null_mut()), 0);
                    loop {
                        let place = frame.as_mut_ptr().cast();
                        let len = mnet_frame_out(from, self.now, place, frame.len());
                        let Ok(len @ 1..) = usize::try_from(len) else {
                            break;
                        };
                        assert_eq!(mnet_frame_in(to, self.now, frame.as_ptr().cast(), len), 0);
                    }
                }
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for stack in self.stacks {
            mnet_close_stack(stack);
        }
    }
}

fn add(stack: mnet_stack, text: &str, prefix_len: u32, flags: u32) -> &'static str {
    let addr = address(text);
    name(unsafe { mnet_add_address(stack, 0, &raw const addr, prefix_len, flags) }.into())
}

fn remove(stack: mnet_stack, text: &str) -> &'static str {
    let addr = address(text);
    name(unsafe { mnet_remove_address(stack, 1, &raw const addr) }.into())
}

/// What has changed since this was asked last.
fn changes(stack: mnet_stack) -> u32 {
    let mut events = [mnet_network_event::default(); 2];
    match unsafe { mnet_network_events(stack, events.as_mut_ptr(), 2, 0) } {
        0 => 0,
        1 => {
            assert_eq!(events[0].interface, 1);
            events[0].changes
        }
        other => panic!("{other}"),
    }
}

fn state(stack: mnet_stack, text: &str) -> Option<u32> {
    let wanted = address(text);
    let listed = addresses(stack);
    let found = listed.iter().find(|info| info.address == wanted)?;
    assert_eq!((found.interface, found.origin), (1, MNET_ORIGIN_STATIC));
    assert_eq!((found.preferred_ns, found.valid_ns), (u64::MAX, u64::MAX));
    Some(found.state)
}

#[test]
fn an_address_of_somebody_else_is_not_taken_if_it_is_probed() {
    let mut link = Link::new();
    let [a, b] = link.stacks;
    link.run(10);
    changes(a);
    assert_eq!(add(a, "10.0.0.2", 24, MNET_ADDRESS_PROBE), "0");
    assert_eq!(add(a, "10.0.0.3", 24, MNET_ADDRESS_PROBE), "0");
    assert_eq!(state(a, "10.0.0.2"), Some(MNET_ADDRESS_TENTATIVE));
    link.run(600);
    assert_eq!(state(a, "10.0.0.2"), Some(MNET_ADDRESS_DUPLICATE));
    assert_eq!(state(a, "10.0.0.3"), Some(MNET_ADDRESS_USABLE));
    let both = MNET_CHANGE_ADDRESS_USABLE | MNET_CHANGE_ADDRESS_CONFLICT;
    assert_eq!((changes(a), changes(a)), (both, 0));
    assert_eq!(
        changes(b),
        MNET_CHANGE_ADDRESS_USABLE,
        "its own, at the start"
    );
    assert_eq!(remove(a, "10.0.0.2"), "0");
    assert_eq!(state(a, "10.0.0.2"), None);
}

#[test]
fn a_connection_ends_with_its_address_and_its_own_error() {
    let mut link = Link::new();
    let [a, b] = link.stacks;
    let any = address("0.0.0.0:7");
    let remote = address("10.0.0.2:7");
    let listener = unsafe { mnet_listen(b, &raw const any, 4) };
    let client = unsafe { mnet_connect(a, &raw const remote, ptr::null(), MNET_NONBLOCK) };
    link.run(50);
    assert!(unsafe { mnet_accept(listener, ptr::null_mut()) } > 0);
    changes(a);
    assert_eq!(remove(a, "10.0.0.1"), "0");
    let mut buffer = [0_u8; 4];
    let read = unsafe { mnet_read(client, buffer.as_mut_ptr().cast(), 4) };
    assert_eq!(name(read), "MNET_EADDRGONE");
    let written = unsafe { mnet_write(client, buffer.as_ptr().cast(), 4) };
    assert_eq!(name(written), "MNET_EADDRGONE");
    assert_eq!(changes(a), MNET_CHANGE_ADDRESS_GONE);
    assert_eq!(remove(a, "10.0.0.1"), "MNET_EADDRNOTAVAIL");
}

#[test]
fn a_link_local_address_comes_and_goes() {
    let mut link = Link::new();
    let [a, _] = link.stacks;
    assert_eq!(mnet_link_local(a, 0, 1), 0);
    assert_eq!(mnet_link_local(a, 0, 1), MNET_EINVAL, "already");
    link.run(8_000);
    let listed = addresses(a);
    let own = listed.iter().find(|i| i.origin == MNET_ORIGIN_LINK_LOCAL);
    let own = own.expect("an address");
    assert_eq!((own.prefix_len, own.state), (16, MNET_ADDRESS_USABLE));
    assert_eq!(own.address.ip[..2], [169, 254]);
    assert_eq!(mnet_link_local(a, 0, 0), 0);
    assert_eq!(mnet_link_local(a, 0, 0), MNET_EADDRNOTAVAIL);
    assert_eq!(addresses(a).len(), 1);
}

#[test]
fn waiting_for_an_address_ends_with_it_or_with_the_time() {
    let world = common::World::new();
    world.peer(|_| u64::MAX);
    let mut memory = Memory::new(2 << 20);
    let mut without = config(&mut memory, 1);
    without.address = mnet_addr::default();
    let stack = open(&without);
    let mut got = mnet_addr::default();
    let wait = |family, timeout, got: *mut mnet_addr| unsafe {
        mnet_wait_address(stack, 0, family, timeout, got)
    };
    assert_eq!(wait(MNET_AF_INET, 50_000_000, &raw mut got), 0);
    assert_eq!(add(stack, "10.0.0.9", 24, MNET_ADDRESS_PROBE), "0");
    assert_eq!(wait(MNET_AF_INET, 0, &raw mut got), 0, "not yet");
    assert_eq!(wait(MNET_AF_INET6, 1_000_000, &raw mut got), 0);
    assert_eq!(wait(MNET_AF_NONE, -1, &raw mut got), 1);
    assert_eq!(got, address("10.0.0.9"));
    assert_eq!(wait(MNET_AF_INET, 0, ptr::null_mut()), 1);
    assert_eq!(wait(5, 0, ptr::null_mut()), MNET_EAFNOSUPPORT);
    mnet_close_stack(stack);
}

#[test]
fn what_cannot_be_is_refused() {
    let link = Link::new();
    let [a, _] = link.stacks;
    for (text, prefix_len, flags, expected) in [
        ("10.0.0.9", 0, 0, "MNET_EADDRNOTAVAIL"),
        ("10.0.0.9", 33, 0, "MNET_EADDRNOTAVAIL"),
        ("10.0.0.9", 256, 0, "MNET_EINVAL"),
        ("10.0.0.9", 24, 16, "MNET_EINVAL"),
        ("10.0.0.9", 24, 3, "MNET_EINVAL"),
        ("10.0.0.9", 24, 12, "MNET_EINVAL"),
        ("10.0.0.255", 24, 0, "MNET_EADDRNOTAVAIL"),
        ("10.0.0.1", 24, 0, "MNET_EADDRNOTAVAIL"),
        ("2001:db8::1", 64, 0, "MNET_EAFNOSUPPORT"),
    ] {
        assert_eq!(
            add(a, text, prefix_len, flags),
            expected,
            "{text}/{prefix_len} {flags}"
        );
    }
    let addr = address("10.0.0.9");
    let size = size_of::<mnet_address_info>();
    let mut info = std::mem::MaybeUninit::<mnet_address_info>::uninit();
    unsafe {
        assert_eq!(mnet_add_address(a, 0, ptr::null(), 24, 0), MNET_EINVAL);
        assert_eq!(mnet_add_address(a, 2, &raw const addr, 24, 0), MNET_EINVAL);
        assert_eq!(mnet_add_address(99, 0, &raw const addr, 24, 0), MNET_EBADF);
        assert_eq!(mnet_remove_address(a, 0, ptr::null()), MNET_EINVAL);
        assert_eq!(mnet_remove_address(a, 3, &raw const addr), MNET_EINVAL);
        assert_eq!(mnet_link_local(a, 4, 1), MNET_EINVAL);
        assert_eq!(mnet_address(a, 9, 0, info.as_mut_ptr(), size), MNET_EINVAL);
        assert_eq!(mnet_address(a, 0, 1, info.as_mut_ptr(), size), 0);
        assert_eq!(
            mnet_address(a, 0, 0, info.as_mut_ptr(), 1 << 20),
            MNET_EINVAL
        );
        let none = i64::from(MNET_EINVAL);
        assert_eq!(mnet_network_events(a, ptr::null_mut(), 1, 0), none);
        let mut event = mnet_network_event::default();
        assert_eq!(mnet_network_events(a, &raw mut event, 0, 0), none);
        assert_eq!(mnet_wait_address(a, 7, 0, 0, ptr::null_mut()), MNET_EINVAL);
    }
}
