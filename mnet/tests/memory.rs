//! What tasks take from the heap, counted by the allocator.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::pending;
use std::time::Duration;

use common::{World, net, socket};
use mnet::aio::UdpSocket;

thread_local! {
    /// Bytes that this thread has and has not given back.
    static IN_USE: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: hands everything to the system's allocator and counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = IN_USE.try_with(|bytes| bytes.set(bytes.get().wrapping_add(layout.size())));
        // SAFETY: the caller's duties are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        let _ = IN_USE.try_with(|bytes| bytes.set(bytes.get().wrapping_sub(layout.size())));
        // SAFETY: the caller's duties are the same.
        unsafe { System.dealloc(place, layout) }
    }
}

fn in_use() -> usize {
    IN_USE.with(Cell::get)
}

#[test]
fn a_task_takes_its_future_and_little_more_and_gives_it_back() {
    const TASKS: usize = 10_000;
    const FUTURE: usize = 1_000;
    let world = World::new();
    let net = net(&world, 0);
    let spawn_all = || {
        for _ in 0..TASKS {
            let content = [1_u8; FUTURE];
            net.spawn(async move {
                pending::<()>().await;
                assert_eq!(content[0], 1);
            })
            .detach();
        }
        // All have begun to wait.
        net.block_on(net.sleep(Duration::from_millis(1)));
    };
    let before = in_use();
    spawn_all();
    let each = (in_use() - before) / TASKS;
    println!("{} bytes beside a future of {FUTURE}", each - FUTURE);
    assert!((FUTURE..FUTURE + 128).contains(&each), "{each} bytes");

    net.run(async {});
    // The tables have grown and stay so.
    let left = in_use() - before;
    assert!(left < TASKS * 40, "{left} bytes are left after all tasks");
    spawn_all();
    net.run(async {});
    assert_eq!(
        in_use() - before,
        left,
        "the second time something was left"
    );
}

#[test]
fn cancelled_waits_leave_nothing_behind() {
    let world = World::new();
    let net = net(&world, 0);
    let udp = UdpSocket::bind(&net, socket(0, 9)).unwrap();
    let wait_and_give_up = || {
        let mut buffer = [0];
        let all = async {
            for _ in 0..1_000 {
                let receive = net.timeout(Duration::from_millis(1), udp.recv_from(&mut buffer));
                assert!(receive.await.is_err());
            }
        };
        net.block_on(all);
        // The announcements of the address.
        world.lose_all();
    };
    wait_and_give_up();
    let before = in_use();
    wait_and_give_up();
    assert_eq!(in_use(), before);
}
