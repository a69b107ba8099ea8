//! After `Stack::new` the stack allocates nothing, whatever happens on the wire.

#![allow(unsafe_code, reason = "a counting allocator is unsafe by its trait")]

mod common;

use common::link::*;
use mnet_core::device::{InterfaceId, RxInfo};
use mnet_core::log::{Filter, Level, Observer};
use mnet_core::{Config, Instant, InterfaceConfig, SocketId, Stack};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

struct Counting;

std::thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: the caller's promises are the ones that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: `memory` came from `System.alloc` with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of this thread while `work` runs.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.with(Cell::get);
    work();
    ALLOCATIONS.with(Cell::get) - before
}

/// A stack and its interface.
struct End(Stack, InterfaceId);

fn end(last: u8) -> End {
    let now = Instant::ZERO;
    let mut stack = Stack::new(&Config::default(), [last; 32], now).unwrap();
    let hardware_address = [2, 0, 0, 0, 0, last];
    let interface = stack
        .add_interface(
            now,
            InterfaceConfig {
                hardware_address,
                mtu: 1500,
            },
        )
        .unwrap();
    let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    stack.add_address(now, interface, address, 24).unwrap();
    End(stack, interface)
}

/// Carries frames between the two until neither has any.
fn exchange(now: Instant, a: &mut End, b: &mut End) {
    loop {
        let mut carried = false;
        for _ in 0..2 {
            a.0.handle_timeout(now);
            while let Some(frame) = a.0.transmit(now) {
                carried = true;
                let bytes = frame.slices[0];
                if let Some(buffer) = b.0.receive_buffer() {
                    buffer[..bytes.len()].copy_from_slice(bytes);
                    let info = RxInfo {
                        len: bytes.len(),
                        ..RxInfo::default()
                    };
                    b.0.receive(now, b.1, info);
                }
            }
            std::mem::swap(a, b);
        }
        if !carried {
            return;
        }
    }
}

#[test]
fn a_stack_keeps_to_the_memory_that_it_was_granted() {
    for (memory, max_connections) in [
        (512 << 10, Some(64)),
        (1 << 20, None),
        (2 << 20, Some(200)),
        (8 << 20, Some(4_000)),
        (16 << 20, None),
        (64 << 20, None),
    ] {
        let config = Config {
            memory,
            max_connections,
            ..Config::default()
        };
        let before = BYTES.with(Cell::get);
        let stack = Stack::new(&config, [1; 32], Instant::ZERO).unwrap();
        let used = BYTES.with(Cell::get) - before;
        let limits = stack.limits();
        assert!(used <= memory, "{used} bytes of {memory}: {limits:?}");
        assert!(
            used > memory / 100 * 85,
            "{used} bytes of {memory}: {limits:?}"
        );
    }
}

#[test]
fn two_stacks_talk_without_an_allocation() {
    let (mut a, mut b) = (end(1), end(2));
    let address = |last, port| SocketAddr::from((Ipv4Addr::new(10, 0, 0, last), port));
    let mut buffer = [0; 4_096];
    let data = [0x5a; 4_096];
    let mut received = 0;
    let count = allocations(|| {
        let mut now = Instant::from_millis(1);
        let listener = b.0.tcp_listen(address(2, 80), 8).unwrap();
        let udp_a = a.0.udp_bind(address(1, 53)).unwrap();
        let udp_b = b.0.udp_bind(address(2, 53)).unwrap();
        let client = a.0.tcp_connect(now, address(2, 80), None).unwrap();
        let mut server: Option<SocketId> = None;
        for round in 0..100u64 {
            now = Instant::from_millis(1 + 50 * round);
            while a.0.tcp_send(now, client, &data).is_ok_and(|n| n > 0) {}
            let _ = a.0.udp_send_to(now, udp_a, &data[..1_000], address(2, 53));
            // A host that does not exist, so that packets wait and expire.
            let _ = a.0.udp_send_to(now, udp_a, b"?", address(77, 1));
            exchange(now, &mut a, &mut b);
            while a.0.poll_event().is_some() || b.0.poll_event().is_some() {}
            server = server.or_else(|| b.0.tcp_accept(listener).ok());
            if let Some(id) = server {
                while let Ok(n @ 1..) = b.0.tcp_recv(now, id, &mut buffer) {
                    received += n;
                }
            }
            while b.0.udp_recv_from(now, udp_b, &mut buffer).is_ok() {}
        }
        a.0.close(now, client).unwrap();
        for _ in 0..200 {
            exchange(now, &mut a, &mut b);
            now = now + Duration::from_secs(1);
            if let Some(id) = server {
                while let Ok(n @ 1..) = b.0.tcp_recv(now, id, &mut buffer) {
                    received += n;
                }
            }
        }
        b.0.close(now, server.take().unwrap()).unwrap();
        for _ in 0..200 {
            exchange(now, &mut a, &mut b);
            now = now + Duration::from_secs(1);
        }
    });
    assert_eq!(count, 0);
    assert!(received > 1_000_000, "{received} bytes arrived");
    for stack in [&a.0, &b.0] {
        let (pool, usage) = (stack.pool_frames(), stack.usage());
        assert_eq!(pool.free, pool.total, "{usage:?}");
        assert_eq!(
            (usage.connections, usage.half_open, usage.time_wait),
            (0, 0, 0)
        );
    }
    assert!(a.0.counters().neighbour_pending_expired > 0);
}

#[test]
fn hostile_frames_cause_no_allocation() {
    let mut host = Host::with_peer();
    host.stack
        .tcp_listen(SocketAddr::from((OURS, 80)), 4)
        .unwrap();
    let mut frames = vec![
        ping(&[1; 1_000]),
        arp_request((OTHER_HW, OTHER), OURS),
        from_peer(&udp((PEER, 1).into(), (OURS, 9).into(), b"closed")),
        from_peer(&ipv4(PEER, OURS, 200, b"unknown", |_| {})),
    ];
    for frame in frames.clone() {
        for at in (0..frame.len()).step_by(3) {
            let mut spoiled = frame.clone();
            spoiled[at] ^= 0x55;
            frames.push(spoiled);
        }
    }
    let (stack, now, interface) = (&mut host.stack, host.now, host.interface);
    let count = allocations(|| {
        for frame in &frames {
            stack.receive_copy(now, interface, frame);
            while stack.transmit(now).is_some() {}
        }
    });
    assert_eq!(count, 0);
    host.assert_no_frame_lost();
}

/// What the documentation says, where it speaks of the memory of a log.
#[test]
fn a_log_takes_26_kib_at_once_and_nothing_later() {
    let mut host = Host::with_peer();
    let before = BYTES.with(Cell::get);
    let mut log = Observer::new(&mut host.stack, host.now, Filter::all(Some(Level::Debug)));
    let used = BYTES.with(Cell::get) - before + size_of::<Observer>();
    assert!((25 << 10..=26 << 10).contains(&used), "{used}");
    let mut told = 0;
    let count = allocations(|| {
        for round in 0..100 {
            host.now = host.now + Duration::from_millis(500);
            let address = [10, 1, round, 1].into();
            let added = host
                .stack
                .add_address(host.now, host.interface, address, 24);
            added.unwrap();
            let id = host.stack.tcp_connect(host.now, at(9), None).unwrap();
            host.stack.close(host.now, id).unwrap();
            log.observe(&mut host.stack, host.now);
            while log.next().is_some() {
                told += 1;
            }
            let removed = host.stack.remove_address(host.now, host.interface, address);
            removed.unwrap();
        }
    });
    assert!(told > 300, "{told}");
    assert_eq!(count, 0);
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::new(PEER.into(), port)
}
