//! The guest's side of the ring against a tender that is simple enough to be right.

use core::ptr::with_exposed_provenance_mut;
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use super::*;

const FRAME: usize = 1518;

/// A tender's side, served by whoever waits for it.
struct Tender {
    ring: *mut Ring,
    /// What is on the wire to the guest, for each device.
    incoming: [VecDeque<Vec<u8>>; 4],
    /// What the guest sent: device and frame.
    sent: Vec<(u32, Vec<u8>)>,
    /// Reads that were answered.
    reads: usize,
    kicks: usize,
    /// Entries that are taken in one turn.
    appetite: u32,
}

impl Tender {
    fn serve(&mut self) {
        // SAFETY: the ring lives as long as the test, in one thread.
        let ring = unsafe { &mut *self.ring };
        for _ in 0..self.appetite {
            if ring.host.ent_head == ring.guest.ent_tail {
                return;
            }
            let entry = ring.entries[(ring.host.ent_head % RING_ENTRIES) as usize];
            let at = usize::try_from(entry.data).unwrap();
            // SAFETY: buffers of the test.
            let buffer = unsafe {
                core::slice::from_raw_parts_mut(
                    with_exposed_provenance_mut::<u8>(at),
                    entry.len as usize,
                )
            };
            match entry.operation {
                RING_NET_WRITE => self.sent.push((entry.handle, buffer.to_vec())),
                RING_NET_READ => {
                    self.reads += 1;
                    let frame = self.incoming[entry.handle as usize].pop_front();
                    let (ret, len) = match &frame {
                        Some(frame) => {
                            buffer[..frame.len()].copy_from_slice(frame);
                            (Outcome::Ok as i32, u32::try_from(frame.len()).unwrap())
                        }
                        None => (Outcome::Again as i32, 0),
                    };
                    ring.commits[(ring.host.com_tail % RING_ENTRIES) as usize] = Completion {
                        id: entry.id,
                        ret,
                        len,
                        reserved: 0,
                    };
                    let ahead = ring.host.com_tail.wrapping_sub(ring.guest.com_head);
                    assert!(ahead < RING_ENTRIES, "completions overflow");
                    ring.host.com_tail = ring.host.com_tail.wrapping_add(1);
                }
                other => panic!("operation {other}"),
            }
            ring.host.ent_head = ring.host.ent_head.wrapping_add(1);
        }
    }
}

impl Doorbell for Tender {
    fn ring(&mut self) {
        self.kicks += 1;
        self.serve();
    }

    fn wait(&mut self, turns: u32) {
        assert!(turns < 100_000, "waits for ever");
        self.serve();
    }
}

/// A guest with devices 1 and 2, and its tender.
struct World {
    guest: Box<GuestRing>,
    tender: Tender,
    _buffers: Vec<u8>,
}

fn world(asleep: bool) -> World {
    // SAFETY: any bytes are a ring; zero is an empty one.
    let ring = Box::leak(unsafe { Box::<Ring>::new_zeroed().assume_init() });
    ring.host.needs_kick = u32::from(asleep);
    let layout = Layout::new(2, FRAME, 1 << 20).unwrap();
    let mut buffers = vec![0; layout.total];
    let ring = &raw mut *ring;
    let mut guest = Box::new(GuestRing::ABSENT);
    let at = buffers.as_mut_ptr().expose_provenance();
    // SAFETY: a fresh ring and buffers of this layout.
    unsafe { guest.open(ring.expose_provenance(), at, layout, [1, 2].into_iter()) };
    World {
        guest,
        tender: Tender {
            ring,
            incoming: Default::default(),
            sent: Vec::new(),
            reads: 0,
            kicks: 0,
            appetite: u32::MAX,
        },
        _buffers: buffers,
    }
}

impl World {
    fn send(&mut self, handle: usize, frame: &[u8]) -> Result<(), NetError> {
        let (at, len) = (frame.as_ptr(), frame.len());
        // SAFETY: a slice.
        unsafe { self.guest.send(handle, at, len, &mut self.tender) }
    }

    fn receive(&mut self, handle: usize) -> Result<Vec<u8>, NetError> {
        let mut buffer = vec![0; FRAME];
        let to = buffer.as_mut_ptr();
        // SAFETY: a slice.
        let len = unsafe { self.guest.receive(handle, to, FRAME, &mut self.tender) }?;
        buffer.truncate(len);
        Ok(buffer)
    }

    fn arrive(&mut self, handle: usize, count: usize) {
        for number in 0..count {
            let len = 60 + number % 1400;
            let byte = u8::try_from(number % 251).unwrap();
            self.tender.incoming[handle].push_back(vec![byte; len]);
        }
    }
}

fn frame(number: usize) -> Vec<u8> {
    let mut frame = vec![0xa5; 14 + number % (FRAME - 14 + 1)];
    frame[..8].copy_from_slice(&(number as u64).to_le_bytes());
    frame
}

#[test]
fn layouts_shrink_until_they_fit() {
    let layout = Layout::new(1, FRAME, 1 << 20).unwrap();
    assert_eq!((layout.send, layout.receive), (SEND_BUFFERS, READ_AHEAD));
    let small = Layout::new(1, FRAME, 64 << 10).unwrap();
    assert!(small.total <= 64 << 10 && small.send >= 2 && small.receive >= 2);
    assert!(small.send < SEND_BUFFERS);
    assert_eq!(Layout::new(63, FRAME, 64 << 10), None);
    assert_eq!(Layout::new(1, usize::MAX, 1 << 20), None);
    assert!(Layout::new(63, FRAME, usize::MAX).is_some());
}

#[test]
fn frames_arrive_in_order_whether_the_tender_sleeps_or_not() {
    for asleep in [true, false] {
        let mut world = world(asleep);
        world.arrive(1, 300);
        for number in 0..300 {
            let frame = world.receive(1).unwrap();
            let byte = u8::try_from(number % 251).unwrap();
            assert!(frame.len() == 60 + number % 1400 && frame.iter().all(|&b| b == byte));
        }
        assert_eq!(world.receive(1), Err(NetError::Again));
        assert_eq!(world.receive(2), Err(NetError::Again));
    }
}

#[test]
fn a_busy_device_costs_far_fewer_doorbells_than_frames() {
    let mut world = world(true);
    world.arrive(1, 320);
    for _ in 0..320 {
        world.receive(1).unwrap();
    }
    assert!(world.tender.kicks < 24, "{} kicks", world.tender.kicks);
    // And an idle one costs one read, not a batch.
    let mut idle = self::world(true);
    assert_eq!(idle.receive(1), Err(NetError::Again));
    assert_eq!((idle.tender.reads, idle.tender.kicks), (1, 1));
}

#[test]
fn what_was_found_empty_is_not_believed_after_waiting() {
    let mut world = world(true);
    world.arrive(1, 3);
    for _ in 0..3 {
        world.receive(1).unwrap();
    }
    assert_eq!(world.guest.held(&mut world.tender), 0);
    world.arrive(1, 1);
    // The tender says that the device is ready, so the next read gives a frame.
    assert!(world.receive(1).is_ok());
    assert_eq!(world.receive(1), Err(NetError::Again));
    // Without waiting it is asked again, too.
    world.arrive(1, 1);
    assert!(world.receive(1).is_ok());
}

#[test]
fn frames_that_are_held_are_reported_and_looked_for() {
    let mut world = world(true);
    world.arrive(1, 40);
    // The second batch has two.
    assert!(world.receive(1).is_ok());
    assert!(world.receive(1).is_ok());
    assert!(world.guest.holds_frame(1) && !world.guest.holds_frame(2));
    assert_eq!(world.guest.held(&mut world.tender), 1 << 1);
    world.arrive(2, 1);
    assert_eq!(world.guest.held(&mut world.tender), 1 << 1);
    assert_eq!(world.guest.look(&mut world.tender), 1 << 1 | 1 << 2);
    assert!(world.receive(2).is_ok());
    for _ in 2..40 {
        world.receive(1).unwrap();
    }
    assert_eq!(world.guest.look(&mut world.tender), 0);
}

#[test]
fn sent_frames_are_whole_in_order_and_not_limited_by_buffers() {
    for (asleep, appetite) in [(true, u32::MAX), (false, u32::MAX), (false, 1)] {
        let mut world = world(asleep);
        world.tender.appetite = appetite;
        for number in 0..3000 {
            world.send(1 + number % 2, &frame(number)).unwrap();
        }
        world.guest.drain(&mut world.tender);
        assert_eq!(world.tender.sent.len(), 3000);
        for (number, (handle, sent)) in world.tender.sent.iter().enumerate() {
            assert_eq!(*handle as usize, 1 + number % 2);
            assert_eq!(*sent, frame(number), "{number}");
        }
    }
}

#[test]
fn reads_and_writes_keep_their_order_and_long_frames_are_refused() {
    let mut world = world(false);
    world.send(1, &frame(1)).unwrap();
    assert!(world.tender.sent.is_empty(), "nobody was woken");
    assert_eq!(world.receive(1), Err(NetError::Again));
    assert_eq!(world.tender.sent.len(), 1, "sent before the read");
    let long = vec![0; FRAME + 1];
    assert_eq!(world.send(1, &long), Err(NetError::Unspecified));
    assert!(world.send(1, &long[1..]).is_ok());
}

#[test]
fn indices_wrap_without_harm() {
    let mut world = world(false);
    for round in 0..200 {
        // As an application does before it reads again.
        world.guest.held(&mut world.tender);
        world.arrive(1, 20);
        for number in 0..20 {
            world.send(1, &frame(round * 20 + number)).unwrap();
            world.receive(1).unwrap();
        }
    }
    assert_eq!(world.receive(1), Err(NetError::Again));
    world.guest.drain(&mut world.tender);
    assert_eq!(world.tender.sent.len(), 4000);
}

#[test]
fn a_buffer_last_used_more_than_half_of_all_indices_ago_is_free() {
    let mut world = world(false);
    // As after many reads and no frame sent.
    let index = 0x8000_0001;
    world.guest.tail = index;
    // SAFETY: the test's own ring.
    unsafe {
        (*world.tender.ring).guest.ent_tail = index;
        (*world.tender.ring).host.ent_head = index;
    }
    for number in 0..3 * SEND_BUFFERS {
        world.send(1, &frame(number)).unwrap();
    }
    world.guest.drain(&mut world.tender);
    assert_eq!(world.tender.sent.len(), 3 * SEND_BUFFERS);
}

#[test]
fn an_idle_ring_is_one_that_sleeps_and_has_nothing_to_do() {
    let mut sleeping = world(true);
    assert!(sleeping.guest.is_idle());
    sleeping.send(1, &frame(1)).unwrap();
    assert!(sleeping.guest.is_idle(), "woken, done, asleep again");
    let mut awake = world(false);
    assert!(!awake.guest.is_idle());
    awake.send(1, &frame(1)).unwrap();
    // SAFETY: the test's own ring.
    unsafe { (*awake.tender.ring).host.needs_kick = 1 };
    assert!(!awake.guest.is_idle(), "it has not looked yet");
    awake.guest.drain(&mut awake.tender);
    assert!(awake.guest.is_idle());
}

#[test]
fn completions_that_nobody_asked_for_are_passed_over() {
    let mut world = world(false);
    world.arrive(2, 3);
    assert!(world.receive(2).is_ok());
    // SAFETY: the test's own ring.
    let ring = unsafe { &mut *world.tender.ring };
    // Of a device that the ring does not serve, of ones with no read under way, of none.
    for id in [0, 1, 2, 63, 64, u32::MAX] {
        ring.commits[(ring.host.com_tail % RING_ENTRIES) as usize] = Completion {
            id,
            ret: Outcome::Ok as i32,
            len: 60,
            reserved: 0,
        };
        ring.host.com_tail = ring.host.com_tail.wrapping_add(1);
    }
    assert_eq!(world.receive(1), Err(NetError::Again));
    for number in 1..3 {
        let byte = u8::try_from(number).unwrap();
        assert_eq!(world.receive(2), Ok(vec![byte; 60 + number]));
    }
    assert_eq!(world.receive(2), Err(NetError::Again));
    assert_eq!(world.guest.held(&mut world.tender), 0);
}
