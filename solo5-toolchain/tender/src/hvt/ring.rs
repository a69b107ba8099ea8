//! The tender's side of the network ring (solo5-abi section 12.5), and the thread that serves it.
//!
//! The guest writes what it likes into the ring, at any time. The tender's own counters are never
//! read back from there, an entry is copied before it is looked at, and a guest that claims more
//! entries than there are slots is ended.

use std::io;
use std::mem::offset_of;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};
use std::sync::{Arc, Barrier};
use std::thread::JoinHandle;

use solo5_abi::hvt::{
    Completion, RING_ENTRIES, RING_NET_READ, RING_NET_WRITE, Ring, RingGuestLine, RingHostLine,
    Submission,
};
use thiserror::Error;
use vmm_sys_util::eventfd::EventFd;

use crate::hvt::host::{GuestBytes, Host, HostFailure, Outcome};
use crate::hvt::hypercall::Fault;
use crate::hvt::memory::Ram;

/// How often the thread looks for entries before it sleeps.
const PATIENCE: u32 = 4096;

/// The tender's side of a ring.
#[derive(Debug)]
pub struct HostRing {
    ring: NonNull<u8>,
    ent_head: u32,
    com_tail: u32,
}

// SAFETY: the ring is memory of the whole process; this object only makes system calls and atomic
// accesses with it.
unsafe impl Send for HostRing {}

impl HostRing {
    /// The ring in the ring's area of `ram`, if it has one.
    #[must_use]
    pub fn new(ram: &Ram) -> Option<Self> {
        Some(Self {
            ring: ram.ring_area()?,
            ent_head: 0,
            com_tail: 0,
        })
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: one of the ring's indices, inside the area, which is mapped as long as the
        // machine lives, and aligned. Everybody's accesses are atomic.
        unsafe { self.ring.byte_add(offset).cast::<AtomicU32>().as_ref() }
    }

    fn submitted(&self) -> u32 {
        let offset = offset_of!(Ring, guest) + offset_of!(RingGuestLine, ent_tail);
        self.word(offset).load(Ordering::Acquire)
    }

    fn publish_head(&self) {
        let offset = offset_of!(Ring, host) + offset_of!(RingHostLine, ent_head);
        self.word(offset).store(self.ent_head, Ordering::Release);
    }

    fn set_needs_kick(&self, needed: bool) {
        let offset = offset_of!(Ring, host) + offset_of!(RingHostLine, needs_kick);
        self.word(offset).store(needed.into(), Ordering::Release);
    }

    /// Whether the guest has submitted something.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.submitted() != self.ent_head
    }

    /// A copy of an entry.
    fn entry(&self, index: u32) -> Submission {
        let slot = (index % RING_ENTRIES) as usize;
        let at = offset_of!(Ring, entries) + slot * size_of::<Submission>();
        // SAFETY: inside the area; any bytes are a submission, and the copy is all that is used.
        unsafe { self.ring.byte_add(at).cast::<Submission>().read_volatile() }
    }

    /// Writes a completion and shows it to the guest.
    fn complete(&mut self, completion: Completion) {
        let slot = (self.com_tail % RING_ENTRIES) as usize;
        let at = offset_of!(Ring, commits) + slot * size_of::<Completion>();
        // SAFETY: inside the area.
        unsafe {
            self.ring
                .byte_add(at)
                .cast::<Completion>()
                .write_volatile(completion);
        }
        self.com_tail = self.com_tail.wrapping_add(1);
        let offset = offset_of!(Ring, host) + offset_of!(RingHostLine, com_tail);
        self.word(offset).store(self.com_tail, Ordering::Release);
    }

    /// Does everything that was submitted when this is called, in its order: at most as many entries
    /// as the ring has slots.
    ///
    /// # Errors
    ///
    /// The guest submitted more than that, or pointed to memory that it does not have.
    pub fn process(&mut self, ram: &Ram, host: &impl Host) -> Result<(), Fault> {
        let submitted = self.submitted();
        if submitted.wrapping_sub(self.ent_head) > RING_ENTRIES {
            return Err(Fault::Ring {
                submitted,
                taken: self.ent_head,
            });
        }
        // Devices that were found empty. What comes in now is not missed: it will be there when the
        // guest asks again.
        let mut empty = 0u64;
        while self.ent_head != submitted {
            let entry = self.entry(self.ent_head);
            match entry.operation {
                RING_NET_WRITE => {
                    let (handle, bytes) = (u64::from(entry.handle), Self::bytes(ram, &entry));
                    if host.is_net(handle) {
                        // Lost on the way, as frames may be.
                        let _ = host.net_write(handle, bytes?);
                    }
                    self.ent_head = self.ent_head.wrapping_add(1);
                }
                RING_NET_READ => {
                    // The guest sees frames that it sent before as sent.
                    self.publish_head();
                    let result = Self::read(ram, host, &entry, &mut empty)?;
                    let (ret, len) = match result {
                        Ok(len) => (Outcome::Ok, len),
                        Err(outcome) => (outcome, 0),
                    };
                    self.complete(Completion {
                        id: entry.id,
                        ret: ret as i32,
                        len,
                        reserved: 0,
                    });
                    self.ent_head = self.ent_head.wrapping_add(1);
                }
                _ => self.ent_head = self.ent_head.wrapping_add(1),
            }
        }
        self.publish_head();
        Ok(())
    }

    /// The guest memory of an entry, for a device to read.
    fn bytes(ram: &Ram, entry: &Submission) -> Result<GuestBytes, Fault> {
        let start = ram.readable(entry.data, entry.len.into())?;
        let len = entry.len as usize;
        Ok(GuestBytes { start, len })
    }

    /// The guest memory of an entry, for a device to write.
    fn room(ram: &Ram, entry: &Submission) -> Result<GuestBytes, Fault> {
        ram.writable(entry.data, entry.len.into())?;
        Self::bytes(ram, entry)
    }

    /// Receives a frame: its length, or why there is none.
    fn read(
        ram: &Ram,
        host: &impl Host,
        entry: &Submission,
        empty: &mut u64,
    ) -> Result<Result<u32, Outcome>, Fault> {
        let handle = u64::from(entry.handle);
        if !host.is_net(handle) {
            return Ok(Err(Outcome::Invalid));
        }
        let room = Self::room(ram, entry)?;
        let bit = 1u64.checked_shl(entry.handle).unwrap_or(0);
        if *empty & bit != 0 {
            return Ok(Err(Outcome::Again));
        }
        let result = host.net_read(handle, room);
        if result == Err(Outcome::Again) {
            *empty |= bit;
        }
        // Never longer than `entry.len`. In the ring there is one word for all that cannot be
        // (solo5-abi section 12.5).
        Ok(match result {
            Ok(len) => Ok(u32::try_from(len).unwrap_or(0)),
            Err(Outcome::Again) => Err(Outcome::Again),
            Err(_) => Err(Outcome::Invalid),
        })
    }
}

/// Why a ring is served no longer while its guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// The guest did what it must not.
    #[error(transparent)]
    Guest(#[from] Fault),
    /// The doorbell cannot be waited for.
    #[error(transparent)]
    Host(#[from] HostFailure),
}

/// The thread that serves the ring.
#[derive(Debug)]
pub struct RingThread {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
    doorbell: EventFd,
    /// The doorbell as the thread has it.
    bell_fd: i32,
}

impl RingThread {
    /// Starts to serve a ring; returns when the thread runs. `doorbell` wakes the thread. When the
    /// ring cannot be served any longer `broken` is called, which ends the process: nothing would
    /// tell the guest.
    ///
    /// # Errors
    ///
    /// The host has no more threads or descriptors.
    pub fn start(
        ring: HostRing,
        ram: Arc<Ram>,
        host: Arc<impl Host + Send + Sync + 'static>,
        doorbell: EventFd,
        broken: impl Fn(Broken) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, bell) = (Arc::clone(&stop), doorbell.try_clone()?);
        let bell_fd = bell.as_raw_fd();
        // A thread that starts makes system calls that are not allowed later.
        let started = Arc::new(Barrier::new(2));
        let here = Arc::clone(&started);
        let thread = std::thread::Builder::new()
            .name("solo5-hvt-net".into())
            .spawn(move || {
                here.wait();
                if let Err(error) = serve(ring, &ram, &*host, &bell, &stopped) {
                    broken(error);
                }
            })?;
        started.wait();
        Ok(Self {
            thread,
            stop,
            doorbell,
            bell_fd,
        })
    }

    /// What wakes the thread.
    #[must_use]
    pub const fn doorbell(&self) -> &EventFd {
        &self.doorbell
    }

    /// Descriptors of the doorbell.
    #[must_use]
    pub fn descriptors(&self) -> [i32; 2] {
        [self.doorbell.as_raw_fd(), self.bell_fd]
    }

    /// Ends the thread, once everything that was submitted is done.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        let _ = self.doorbell.write(1);
        let _ = self.thread.join();
    }
}

fn serve(
    mut ring: HostRing,
    ram: &Ram,
    host: &impl Host,
    doorbell: &EventFd,
    stop: &AtomicBool,
) -> Result<(), Broken> {
    loop {
        // Asked first: whatever is submitted before the end is done.
        let last = stop.load(Ordering::Acquire);
        if ring.has_work() {
            ring.process(ram, host)?;
            continue;
        }
        if last {
            return Ok(());
        }
        let mut turns = 0;
        while turns < PATIENCE && !ring.has_work() {
            std::hint::spin_loop();
            turns += 1;
        }
        if turns < PATIENCE {
            continue;
        }
        ring.set_needs_kick(true);
        fence(Ordering::SeqCst);
        if !ring.has_work() && !stop.load(Ordering::Acquire) {
            match doorbell.read() {
                Ok(_) => host.woken(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // It would make this a loop without rest.
                Err(error) => {
                    return Err(Broken::Host(HostFailure {
                        what: "Waiting for the network ring's doorbell",
                        errno: error.raw_os_error().unwrap_or(0),
                    }));
                }
            }
        }
        ring.set_needs_kick(false);
    }
}

#[cfg(test)]
mod tests;
