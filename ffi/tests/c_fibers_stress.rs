//! Hundreds of fibers on both ends of a cable, canceled at random under virtual time: everything ends,
//! what was echoed is right, and nothing is lost of sockets and memory.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "every block calls a function of the header with pointers that are valid"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes and lengths of a test, some of them on their way through a pointer"
)]

mod common;

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;

use common::fibers::{SIZE, go, join, none, spawn};
use common::pair::{read, usage, write};
use common::{Memory, World, address, config, manual_config, name, open, pump};
use mnet_ffi::*;

const CLIENTS: usize = 300;
const FIBERS: usize = (CLIENTS + 2) * (SIZE + 64) + 4_096;
const MS: u64 = 1_000_000;

/// Numbers that a seed determines: SplitMix64.
#[derive(Clone)]
struct Random(Rc<Cell<u64>>);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Rc::new(Cell::new(seed)))
    }

    fn below(&self, bound: u64) -> u64 {
        self.0.set(self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15));
        let mut number = self.0.get();
        number = (number ^ number >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        number = (number ^ number >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (number ^ number >> 31) % bound
    }
}

extern "C" fn close_socket(arg: *mut c_void) {
    // Canceled or not, the socket is this fiber's, and open.
    assert_eq!(mnet_close(i64::try_from(arg.addr()).unwrap()), 0);
}

/// Closes the socket when the calling fiber ends.
fn own(fd: mnet_fd) {
    let arg = ptr::without_provenance_mut(usize::try_from(fd).unwrap());
    assert_eq!(mnet_cleanup_push(Some(close_socket), arg), 0);
}

/// One of the server's fibers: echoes until the client has finished, fails, or this is canceled.
fn serve(fd: mnet_fd) {
    own(fd);
    let mut buffer = [0; 1_000];
    loop {
        let len = read(fd, &mut buffer);
        if len <= 0 || write(fd, &buffer[..len as usize]) <= 0 {
            return;
        }
    }
}

/// One of the clients: rounds of echo with pauses. Whether all rounds came to their end.
fn client(stack: mnet_stack, number: usize, turns: mnet_channel, random: &Random) -> bool {
    let remote = address("10.0.0.1:7");
    let fd = unsafe { mnet_connect(stack, &raw const remote, ptr::null(), 0) };
    assert!(fd > 0, "{}", name(fd));
    own(fd);
    assert_eq!(mnet_set_nonblocking(fd, 0), 0);
    for round in 0..4 {
        // At most so many are busy at a time.
        if unsafe { mnet_channel_send(turns, ptr::null(), -1) } != 0 {
            return false;
        }
        let len = 1 + usize::try_from(random.below(4_000)).unwrap();
        let data = vec![(number * 7 + round) as u8; len];
        let sent = write(fd, &data);
        let mut back = 0;
        let mut buffer = [0; 1_000];
        while sent == len as i64 && back < len {
            let got = read(fd, &mut buffer);
            if got <= 0 {
                break;
            }
            let got = got as usize;
            assert!(
                buffer[..got].iter().all(|byte| *byte == data[0]),
                "of somebody else"
            );
            back += got;
        }
        assert_eq!(
            unsafe { mnet_channel_receive(turns, ptr::null_mut(), 0) },
            0
        );
        if back < len || mnet_sleep(stack, random.below(30) * MS) != 0 {
            return false;
        }
    }
    true
}

/// How many fibers the memory holds.
fn room(stack: mnet_stack) -> usize {
    let mut fibers = Vec::new();
    loop {
        let fiber =
            unsafe { mnet_spawn(stack, Some(none), ptr::null_mut(), ptr::null_mut(), SIZE) };
        if fiber < 0 {
            assert_eq!(name(fiber), "MNET_ENOMEM");
            break;
        }
        fibers.push(fiber);
    }
    let count = fibers.len();
    fibers.into_iter().for_each(|fiber| {
        join(fiber);
    });
    count
}

fn run(seed: u64) {
    let random = Random::new(seed);
    let world = World::new();
    let mut memory = [
        Memory::new((16 << 20) + FIBERS),
        Memory::new((16 << 20) + FIBERS),
    ];
    let mut config = config(&mut memory[0], 1);
    config.fiber_memory = FIBERS;
    let server = open(&config);
    let mut config = manual_config(&mut memory[1], 2);
    config.fiber_memory = FIBERS;
    let clients = open(&config);
    let room_at_first = room(server);
    assert!(room_at_first > CLIENTS);

    let turns = unsafe { mnet_channel_open(clients, 0, 100, ptr::null_mut(), 0) };
    let completed = Rc::new(Cell::new(0));
    let theirs: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (random, completed) = (random.clone(), completed.clone());
            spawn(clients, move || {
                let all = client(clients, number, turns, &random);
                completed.set(completed.get() + usize::from(all));
                usize::from(all)
            })
        })
        .collect();
    world.peer(move |now| pump(clients, now));

    let local = address("10.0.0.1:7");
    let listener = unsafe { mnet_listen(server, &raw const local, 512) };
    let ours = Rc::new(RefCell::new(Vec::new()));
    let accepting = go(server, {
        let ours = ours.clone();
        move || loop {
            let fd = unsafe { mnet_accept(listener, ptr::null_mut()) };
            if fd < 0 {
                assert_eq!(name(fd), "MNET_ECANCELED");
                break;
            }
            let fiber = go(server, move || serve(fd));
            assert_eq!(mnet_detach(fiber), 0);
            ours.borrow_mut().push(fiber);
        }
    });
    let mut canceled = 0;
    for _ in 0..20_000 {
        if usage(clients).fibers == 0 {
            break;
        }
        assert_eq!(mnet_sleep(server, MS), 0);
        if random.below(2) == 0 {
            let (side, all) = match random.below(2) {
                0 => (server, ours.borrow().clone()),
                _ => (clients, theirs.clone()),
            };
            if let Some(fiber) = all.get(random.below(CLIENTS as u64 * 2) as usize) {
                // Many have ended: those of the server are gone, those of the clients wait to be joined.
                let status = mnet_cancel(*fiber);
                assert!(status == 0 || (status == MNET_EBADF && side == server));
                canceled += usize::from(status == 0);
            }
        }
    }
    assert_eq!(usage(clients).fibers, 0, "seed {seed}");
    assert!(
        canceled > 10 && completed.get() > CLIENTS / 2,
        "seed {seed}: {canceled}"
    );
    let results: usize = theirs.iter().map(|fiber| join(*fiber)).sum();
    assert_eq!(results, completed.get());

    assert_eq!(mnet_cancel_all(server, -1), 0);
    join(accepting);
    assert_eq!((mnet_close(listener), mnet_channel_count(turns)), (0, 0));
    // What was closed is delivered in the background.
    for _ in 0..200 {
        assert_eq!(mnet_sleep(server, 100 * MS), 0);
    }
    for stack in [server, clients] {
        let left = usage(stack);
        assert_eq!((left.fibers, left.orphaned), (0, 0), "seed {seed}");
        assert_eq!(left.connections, 0, "seed {seed}");
    }
    assert_eq!(room(server), room_at_first, "seed {seed}: memory was lost");
    world.peer(|_| u64::MAX);
    assert_eq!(
        (mnet_close_stack(server), mnet_close_stack(clients)),
        (0, 0)
    );
}

#[test]
fn hundreds_of_fibers_end_as_they_should_whenever_they_are_canceled() {
    for seed in 1..=5 {
        run(seed);
    }
}
