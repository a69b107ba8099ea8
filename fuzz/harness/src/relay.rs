//! The relay between an spt guest that is recorded and an interface.
//!
//! An input is a list of operations, each a byte that says which and what it needs:
//!
//! | | |
//! |---|---|
//! | 0 | a frame comes to the interface: length, 2 bytes |
//! | 1 | the guest sends: length, 2 bytes; 65,535 is more than any frame |
//! | 2 | the guest reads: how many times, a byte |
//! | 3 | the interface sends: how many frames, a byte |
//! | 4 | the relay passes frames on |
//!
//! Then the guest ends. What must hold: no frame for the guest is lost, changed or out of order; of the
//! guest's none but those that are counted as refused; what it sent last passes after its end; what was
//! passed is what was counted and what was recorded; the relay never passes without end.

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{read, write};
use solo5_tender::capture::{Direction, LONGEST_FRAME};
use solo5_tender::devices::NetDevice;
use solo5_tender::spt::relay::Line;

use crate::input::Input;
use crate::recording::{Passed, Recording};

/// A frame that no other is alike, but for short ones.
fn frame(number: usize, len: usize) -> Vec<u8> {
    let mut frame = vec![0x5a; len];
    for (to, from) in frame.iter_mut().zip(number.to_le_bytes()) {
        *to = from;
    }
    frame
}

/// A guest, its relay, and what there is beyond the interface.
struct World {
    line: Line,
    guest: OwnedFd,
    network: OwnedFd,
    /// Frames for the guest that are on their way, from the one that is read next.
    coming: Vec<Passed>,
    read: usize,
    /// Frames that the guest sent, and of how many it is known what became of them.
    going: Vec<Passed>,
    gone: usize,
    /// Frames that came out of the interface.
    out: Vec<Passed>,
    room: Vec<u8>,
}

impl World {
    fn new() -> (Self, Recording) {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
        let (interface, network) = socketpair(family, kind, None, flags).expect("sockets");
        let (recording, recorder) = Recording::new();
        let mut device = NetDevice {
            fd: interface.into_raw_fd(),
            recorder: Some(recorder),
            ..NetDevice::default()
        };
        let line = Line::insert(&mut device).expect("sockets");
        let world = Self {
            line: line.expect("it is recorded"),
            // SAFETY: the device is not used any more.
            guest: unsafe { OwnedFd::from_raw_fd(device.fd) },
            network,
            coming: Vec::new(),
            read: 0,
            going: Vec::new(),
            gone: 0,
            out: Vec::new(),
            room: vec![0; LONGEST_FRAME],
        };
        (world, recording)
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 5 {
            0 => {
                // No interface has frames without bytes.
                let frame = frame(self.coming.len(), usize::from(input.half()?.max(1)));
                if write(&self.network, &frame).is_ok() {
                    self.coming.push(Passed::new(Direction::In, &frame));
                }
            }
            1 => {
                let len = match usize::from(input.half()?) {
                    0xffff => LONGEST_FRAME + 1,
                    len => len,
                };
                let frame = frame(self.going.len(), len);
                if write(&self.guest, &frame).is_ok() {
                    self.going.push(Passed::new(Direction::Out, &frame));
                }
            }
            2 => {
                for _ in 0..input.byte()? {
                    let Ok(len) = read(&self.guest, &mut self.room) else {
                        break;
                    };
                    let frame = Passed::new(Direction::In, &self.room[..len]);
                    assert_eq!(Some(&frame), self.coming.get(self.read));
                    self.read += 1;
                }
            }
            3 => {
                let count = input.byte()?;
                self.receive(count.into());
            }
            _ => self.line.pass(),
        }
        Some(())
    }

    /// Takes so many frames out of the interface: those of the guest in order, some of them missing.
    fn receive(&mut self, count: usize) {
        for _ in 0..count {
            let Ok(len) = read(&self.network, &mut self.room) else {
                return;
            };
            let frame = Passed::new(Direction::Out, &self.room[..len]);
            let rest = &self.going[self.gone..];
            let skipped = rest.iter().position(|sent| *sent == frame);
            self.gone += skipped.expect("a frame of the guest's, in order") + 1;
            self.out.push(frame);
        }
    }

    /// The guest ends, and what it sent last is passed on.
    fn end(mut self, recording: Recording) {
        let closed = self.guest.as_raw_fd();
        assert_ne!(closed, self.line.guest_fd());
        drop(std::mem::replace(
            &mut self.guest,
            self.network.try_clone().expect("a descriptor"),
        ));
        let mut passes = 0;
        while self.line.pass_out() {
            passes += 1;
            assert!(passes <= self.going.len(), "it does not end");
        }
        self.receive(usize::MAX);
        let counters = &self.line.counters;
        assert_eq!(counters.frames_out.get(), self.out.len() as u64);
        let sent = counters.frames_out.get() + counters.refused.get();
        assert_eq!(sent, self.going.len() as u64);
        assert_eq!(counters.failed.get(), 0);
        let received = usize::try_from(counters.frames_in.get()).expect("few");
        assert!(received >= self.read && received <= self.coming.len());
        let (recorded_in, recorded_out): (Vec<_>, Vec<_>) = recording
            .frames()
            .into_iter()
            .partition(|frame| frame.is(Direction::In));
        assert_eq!(recorded_in, self.coming[..received]);
        assert_eq!(recorded_out, self.out);
    }
}

/// An spt guest that is recorded, and its peers.
pub fn spt_relay(data: &[u8]) {
    let (mut world, recording) = World::new();
    let mut input = Input(data);
    while world.step(&mut input).is_some() {}
    world.end(recording);
}
