//! The tender's side of the ring against guests that do not keep to the rules, and hosts that fail.

use std::cell::Cell;
use std::sync::mpsc;
use std::time::Duration;

use solo5_abi::hvt::BOOT_INFO;

use super::*;
use crate::hvt::memory::{BadAccess, Size};

/// Where the guest of the tests has a buffer.
const DATA: u64 = 0x18_0000;

/// What a device does with a frame or with room for one.
type Device<'a> = &'a dyn Fn(GuestBytes) -> Result<usize, Outcome>;

/// A host with one network device, number 1, which does as the test says.
struct World<'a>(Device<'a>);

// SAFETY: nothing is done with guest memory here; the tests' devices stay inside what they get.
unsafe impl Host for World<'_> {
    fn console(&self, _: GuestBytes) {}

    fn walltime(&self) -> u64 {
        0
    }

    fn poll(&self, _: u64) -> Result<u64, HostFailure> {
        Ok(0)
    }

    fn has_net(&self) -> bool {
        true
    }

    fn has_block(&self) -> bool {
        false
    }

    fn is_net(&self, index: u64) -> bool {
        index == 1
    }

    fn net_write(&self, _: u64, frame: GuestBytes) -> Outcome {
        (self.0)(frame).err().unwrap_or(Outcome::Ok)
    }

    fn net_read(&self, _: u64, room: GuestBytes) -> Result<usize, Outcome> {
        (self.0)(room)
    }

    fn capacity(&self, _: u64) -> Option<u64> {
        None
    }

    fn block_write(&self, _: u64, _: u64, _: GuestBytes) -> Outcome {
        Outcome::Invalid
    }

    fn block_read(&self, _: u64, _: u64, _: GuestBytes) -> Outcome {
        Outcome::Invalid
    }
}

fn ram() -> Ram {
    Ram::new(Size::new(2 << 20, true).unwrap(), false).unwrap()
}

/// Writes into the ring's area, as a guest does at any time.
fn poke<T>(ram: &Ram, offset: usize, value: T) {
    let area = ram.ring_area().unwrap();
    // SAFETY: offsets of the tests are those of fields of the ring.
    unsafe { area.byte_add(offset).cast::<T>().write_volatile(value) };
}

fn look<T: Copy>(ram: &Ram, offset: usize) -> T {
    let area = ram.ring_area().unwrap();
    // SAFETY: as above.
    unsafe { area.byte_add(offset).cast::<T>().read_volatile() }
}

const ENT_TAIL: usize = offset_of!(Ring, guest) + offset_of!(RingGuestLine, ent_tail);
const ENT_HEAD: usize = offset_of!(Ring, host) + offset_of!(RingHostLine, ent_head);
const COM_TAIL: usize = offset_of!(Ring, host) + offset_of!(RingHostLine, com_tail);

fn set_entry(ram: &Ram, slot: usize, entry: Submission) {
    let at = offset_of!(Ring, entries) + slot * size_of::<Submission>();
    poke(ram, at, entry);
}

fn completion(ram: &Ram, slot: usize) -> Completion {
    look(
        ram,
        offset_of!(Ring, commits) + slot * size_of::<Completion>(),
    )
}

const READ: Submission = Submission {
    operation: RING_NET_READ,
    handle: 1,
    data: DATA,
    len: 1514,
    id: 7,
    reserved: 0,
};

#[test]
fn indices_and_entries_that_change_under_the_reader_change_nothing_that_was_checked() {
    let ram = ram();
    let mut ring = HostRing::new(&ram).unwrap();
    let calls = Cell::new(0);
    for slot in 0..4 {
        set_entry(&ram, slot, READ);
    }
    poke(&ram, ENT_TAIL, 4u32);
    // While the host is at work on an entry the guest changes all that it can reach.
    let device = |room: GuestBytes| {
        calls.set(calls.get() + 1);
        assert_eq!(room.len, 1514);
        assert_eq!(Some(room.start), ram.readable(DATA, 1514).ok());
        poke(&ram, ENT_TAIL, 0x7fff_0000u32);
        poke(&ram, ENT_HEAD, 0xdead_0000u32);
        poke(&ram, COM_TAIL, 0xdead_0001u32);
        let beyond = Submission {
            data: u64::MAX - 3,
            len: u32::MAX,
            id: 99,
            ..READ
        };
        // The entry that is under way.
        set_entry(&ram, calls.get() - 1, beyond);
        Ok(60)
    };
    assert_eq!(ring.process(&ram, &World(&device)), Ok(()));
    // As many as there were when it began, where they were, under the tender's own counters.
    assert_eq!(calls.get(), 4);
    assert_eq!(look::<u32>(&ram, ENT_HEAD), 4);
    assert_eq!(look::<u32>(&ram, COM_TAIL), 4);
    for slot in 0..4 {
        let Completion { id, ret, len, .. } = completion(&ram, slot);
        assert_eq!((id, ret, len), (7, 0, 60));
    }
    // What the guest claims by now is its end.
    let fault = Fault::Ring {
        submitted: 0x7fff_0000,
        taken: 4,
    };
    assert_eq!(ring.process(&ram, &World(&device)), Err(fault));
    assert_eq!(calls.get(), 4);
}

#[test]
fn an_entry_that_changes_before_its_turn_is_checked_as_it_is_then() {
    let ram = ram();
    let mut ring = HostRing::new(&ram).unwrap();
    set_entry(&ram, 0, READ);
    set_entry(&ram, 1, READ);
    poke(&ram, ENT_TAIL, 2u32);
    let device = |_: GuestBytes| {
        set_entry(
            &ram,
            1,
            Submission {
                data: 0x20_0000 - 1000,
                ..READ
            },
        );
        Ok(60)
    };
    let fault = Fault::Access(BadAccess {
        gpa: 0x20_0000 - 1000,
        len: 1514,
    });
    assert_eq!(ring.process(&ram, &World(&device)), Err(fault));
}

#[test]
fn frames_are_not_received_where_the_guest_cannot_write() {
    let ram = ram();
    let mut ring = HostRing::new(&ram).unwrap();
    set_entry(
        &ram,
        0,
        Submission {
            data: BOOT_INFO,
            ..READ
        },
    );
    poke(&ram, ENT_TAIL, 1u32);
    let device = |_: GuestBytes| panic!("nothing is to be read");
    let fault = Fault::Access(BadAccess {
        gpa: BOOT_INFO,
        len: 1514,
    });
    assert_eq!(ring.process(&ram, &World(&device)), Err(fault));
}

#[test]
fn reads_that_fail_say_again_or_invalid() {
    for (outcome, ret) in [
        (Outcome::Again, 1),
        (Outcome::Invalid, 2),
        (Outcome::Unspecified, 2),
    ] {
        let ram = ram();
        let mut ring = HostRing::new(&ram).unwrap();
        set_entry(&ram, 0, READ);
        poke(&ram, ENT_TAIL, 1u32);
        assert_eq!(ring.process(&ram, &World(&|_| Err(outcome))), Ok(()));
        let Completion {
            id, ret: got, len, ..
        } = completion(&ram, 0);
        assert_eq!((id, got, len), (7, ret, 0), "{outcome:?}");
    }
}

/// Serves a ring with this doorbell until it breaks: why.
fn broken(ram: Ram, doorbell: EventFd) -> Broken {
    let ring = HostRing::new(&ram).unwrap();
    let (sender, receiver) = mpsc::channel();
    let host = World(&|_| Ok(60));
    let thread = RingThread::start(ring, Arc::new(ram), Arc::new(host), doorbell, move |why| {
        sender.send(why).unwrap();
    });
    let why = receiver.recv_timeout(Duration::from_secs(30)).unwrap();
    thread.unwrap().stop();
    why
}

// SAFETY: of the tests that use threads none has a device with state.
unsafe impl Send for World<'_> {}
// SAFETY: as above.
unsafe impl Sync for World<'_> {}

#[test]
fn a_doorbell_that_cannot_be_read_is_reported_and_does_not_just_end_the_thread() {
    let doorbell = EventFd::new(libc::EFD_NONBLOCK).unwrap();
    let why = broken(ram(), doorbell);
    let failure = HostFailure {
        what: "Waiting for the network ring's doorbell",
        errno: libc::EAGAIN,
    };
    assert_eq!(why, Broken::Host(failure));
    assert!(
        why.to_string()
            .ends_with("failed: Resource temporarily unavailable")
    );
}

#[test]
fn a_guest_that_claims_too_much_is_reported() {
    let ram = ram();
    poke(&ram, ENT_TAIL, RING_ENTRIES + 1);
    let why = broken(ram, EventFd::new(0).unwrap());
    assert!(matches!(why, Broken::Guest(Fault::Ring { .. })), "{why}");
}
