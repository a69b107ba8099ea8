//! The guest's side of the network ring (solo5-abi sections 12.3 to 12.6).
//!
//! Frames to be sent are copied into buffers of ours, so that the application has its own back at
//! once. Frames are received ahead of time: one doorbell asks for several, twice as many as came the
//! last time if that was a full batch, so that a busy device costs one round trip for many frames
//! and an idle one costs one read. What was received waits in buffers of ours until the application asks for it.
//!
//! Zeros are hidden from the compiler where it would clear several at once by a vector instruction:
//! where ring 0 is interpreted by software, there is none.
//!
//! The logic is separate from the machine, which is a [`Doorbell`], and tested against a tender
//! written for the tests.

use core::hint::black_box;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use solo5_abi::constants::MAX_MANIFEST_ENTRIES;
use solo5_abi::hvt::{
    Completion, Outcome, RING_ENTRIES, RING_NET_READ, RING_NET_WRITE, Ring, RingGuestLine,
    RingHostLine, Submission,
};

/// Most frames that wait to be sent.
pub const SEND_BUFFERS: usize = 128;
/// Most frames that are read ahead from one device.
pub const READ_AHEAD: usize = 32;
/// Most reads that are under way at once, all devices together. Completions are not limited by the
/// tender, so this is below the number of their slots.
const MAX_OUTSTANDING: u32 = RING_ENTRIES - 24;
/// Bytes in front of each received frame that say how long it is.
const PREFIX: usize = 8;

/// What the machine does for the ring.
pub trait Doorbell {
    /// Wakes the tender's side.
    fn ring(&mut self);

    /// Called again and again while there is nothing to do but wait for the tender's side.
    fn wait(&mut self, turns: u32);
}

/// Buffers of one network device.
#[derive(Clone, Copy, Debug)]
struct Device {
    /// Where received frames go; 0 if the device has no ring.
    buffers: usize,
    /// Reads submitted, completed, and handed to the application so far.
    submitted: u32,
    completed: u32,
    taken: u32,
    /// Completed reads not yet taken that hold a frame.
    frames: u32,
    /// How many reads to submit next time.
    batch: u32,
    /// Frames in the batch that is under way.
    batch_frames: u32,
    /// The device was found empty since the application last waited.
    empty: bool,
}

/// Where buffers are and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the longest frame.
    pub frame: usize,
    /// Buffers for sending.
    pub send: usize,
    /// Buffers for receiving, for each device.
    pub receive: usize,
    /// Bytes of one buffer.
    stride: usize,
    /// Bytes of all buffers.
    pub total: usize,
}

impl Layout {
    /// Buffers for this many devices with frames of up to `frame` bytes, in at most `room` bytes.
    /// `None` if not even two buffers of each kind fit.
    #[must_use]
    pub fn new(devices: usize, frame: usize, room: usize) -> Option<Self> {
        let stride = frame.checked_add(PREFIX)?.checked_next_multiple_of(64)?;
        let (mut send, mut receive) = (SEND_BUFFERS, READ_AHEAD);
        while send >= 2 && receive >= 2 {
            let count = devices.checked_mul(receive)?.checked_add(send)?;
            let total = count.checked_mul(stride)?;
            if total <= room {
                return Some(Self {
                    frame,
                    send,
                    receive,
                    stride,
                    total,
                });
            }
            send /= 2;
            receive /= 2;
        }
        None
    }
}

/// Why a frame is not sent or received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetError {
    /// Nothing is queued.
    Again,
    /// The tender could not.
    Unspecified,
}

/// The guest's side of a ring.
#[derive(Debug)]
pub struct GuestRing {
    ring: usize,
    layout: Layout,
    /// Where frames to be sent are put, one after the other.
    send_buffers: usize,
    /// Index in the ring of the last frame in each of them.
    send_index: [u32; SEND_BUFFERS],
    sent: usize,
    tail: u32,
    com_head: u32,
    outstanding: u32,
    devices: [Device; MAX_MANIFEST_ENTRIES],
}

impl GuestRing {
    /// A ring that is not there yet; for a static.
    pub const ABSENT: Self = Self {
        ring: 0,
        layout: Layout {
            frame: 0,
            send: 0,
            receive: 0,
            stride: 0,
            total: 0,
        },
        send_buffers: 0,
        send_index: [0; SEND_BUFFERS],
        sent: 0,
        tail: 0,
        com_head: 0,
        outstanding: 0,
        devices: [Device {
            buffers: 0,
            submitted: 0,
            completed: 0,
            taken: 0,
            frames: 0,
            batch: 1,
            batch_frames: 0,
            empty: false,
        }; MAX_MANIFEST_ENTRIES],
    };

    /// Takes the ring at address `ring` into use, for the devices with these handles.
    ///
    /// # Safety
    ///
    /// At `ring` is a fresh [`Ring`], and at `buffers` are `layout.total` bytes for nobody else;
    /// both stay as long as this object. Addresses have exposed provenance, are below 4 GiB and,
    /// that of the ring, aligned to 64 bytes. `layout` was made for this many devices; handles are
    /// below 64.
    pub unsafe fn open(
        &mut self,
        ring: usize,
        buffers: usize,
        layout: Layout,
        handles: impl Iterator<Item = usize>,
    ) {
        *self = Self::ABSENT;
        self.ring = ring;
        self.layout = layout;
        self.send_buffers = buffers;
        // All of them are free: their frames are behind the tender's head.
        self.send_index = [u32::MAX; SEND_BUFFERS];
        let mut next = buffers + layout.send * layout.stride;
        for handle in handles {
            self.devices[handle].buffers = next;
            next += layout.receive * layout.stride;
        }
    }

    /// Whether the device with this handle is served by the ring.
    #[must_use]
    pub fn has(&self, handle: usize) -> bool {
        self.devices.get(handle).is_some_and(|d| d.buffers != 0)
    }

    fn word(&self, offset: usize) -> &AtomicU32 {
        let word = core::ptr::with_exposed_provenance::<AtomicU32>(self.ring + offset);
        // SAFETY: the offset is that of an index of the ring, which lives as long as this object.
        unsafe { &*word }
    }

    fn ent_tail(&self) -> &AtomicU32 {
        self.word(offset_of!(Ring, guest) + offset_of!(RingGuestLine, ent_tail))
    }

    fn com_head(&self) -> &AtomicU32 {
        self.word(offset_of!(Ring, guest) + offset_of!(RingGuestLine, com_head))
    }

    fn ent_head(&self) -> &AtomicU32 {
        self.word(offset_of!(Ring, host) + offset_of!(RingHostLine, ent_head))
    }

    fn com_tail(&self) -> &AtomicU32 {
        self.word(offset_of!(Ring, host) + offset_of!(RingHostLine, com_tail))
    }

    fn needs_kick(&self) -> &AtomicU32 {
        self.word(offset_of!(Ring, host) + offset_of!(RingHostLine, needs_kick))
    }

    /// Whether the tender's side sleeps and has nothing to do. Then the tender can be asked in
    /// another way, and nothing overtakes anything.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.outstanding == 0
            && self.is_asleep()
            && self.ent_head().load(Ordering::Acquire) == self.tail
    }

    /// Whether a frame of this device, which is served by the ring, waits to be taken.
    #[must_use]
    pub fn holds_frame(&self, handle: usize) -> bool {
        self.devices[handle].frames > 0
    }

    /// Whether the tender's side is asleep.
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.needs_kick().load(Ordering::Relaxed) != 0
    }

    /// Puts a submission into the next slot, once there is one. The tender does not see it yet.
    fn push(&mut self, submission: Submission, doorbell: &mut impl Doorbell) {
        let mut turns = 0;
        while self
            .tail
            .wrapping_sub(self.ent_head().load(Ordering::Acquire))
            >= RING_ENTRIES - 1
        {
            // Only what was published makes room.
            self.publish(doorbell);
            doorbell.wait(turns);
            turns = turns.saturating_add(1);
        }
        let slot = (self.tail % RING_ENTRIES) as usize;
        let entry = self.ring + offset_of!(Ring, entries) + slot * size_of::<Submission>();
        // SAFETY: the slot is inside the ring, and the tender does not look at it before it is
        // published.
        unsafe {
            core::ptr::with_exposed_provenance_mut::<Submission>(entry).write_volatile(submission);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the tender all submissions, and wakes it if it sleeps.
    fn publish(&mut self, doorbell: &mut impl Doorbell) {
        if self.ent_tail().load(Ordering::Relaxed) == self.tail {
            return;
        }
        self.ent_tail().store(self.tail, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.is_asleep() {
            doorbell.ring();
        }
    }

    /// Sends a frame that is not longer than the layout's frames.
    ///
    /// # Safety
    ///
    /// `frame` can be read for `len` bytes.
    pub unsafe fn send(
        &mut self,
        handle: usize,
        frame: *const u8,
        len: usize,
        doorbell: &mut impl Doorbell,
    ) -> Result<(), NetError> {
        let wire_len = u32::try_from(len).map_err(|_| NetError::Unspecified)?;
        if len > self.layout.frame {
            return Err(NetError::Unspecified);
        }
        let buffer = self.sent % self.layout.send;
        self.wait_until_taken(self.send_index[buffer], doorbell);
        let to = self.send_buffers + buffer * self.layout.stride;
        // SAFETY: the caller vouches for the frame; the buffer has room for it, and the tender is
        // done with what was in it.
        unsafe {
            core::ptr::with_exposed_provenance_mut::<u8>(to).copy_from_nonoverlapping(frame, len);
        }
        self.send_index[buffer] = self.tail;
        self.sent = self.sent.wrapping_add(1);
        let submission = Submission {
            operation: RING_NET_WRITE,
            handle: u32::try_from(handle).unwrap_or(0),
            data: to as u64,
            len: wire_len,
            id: black_box(0),
            reserved: black_box(0),
        };
        self.push(submission, doorbell);
        self.publish(doorbell);
        Ok(())
    }

    /// Waits until the tender has taken the submission with this index.
    fn wait_until_taken(&self, index: u32, doorbell: &mut impl Doorbell) {
        // What is a whole round behind is taken. The last frame of a buffer may be much older: a
        // device that only receives moves the indices on and leaves the buffers alone.
        if self.tail.wrapping_sub(index).wrapping_sub(1) >= RING_ENTRIES {
            return;
        }
        let mut turns = 0;
        while self
            .ent_head()
            .load(Ordering::Acquire)
            .wrapping_sub(index)
            .wrapping_sub(1)
            > u32::MAX / 2
        {
            doorbell.wait(turns);
            turns = turns.saturating_add(1);
        }
    }

    /// Waits until the tender has taken everything.
    pub fn drain(&mut self, doorbell: &mut impl Doorbell) {
        self.publish(doorbell);
        self.wait_until_taken(self.tail.wrapping_sub(1), doorbell);
    }

    /// Takes one completion, if there is one.
    fn complete(&mut self) -> bool {
        if self.com_tail().load(Ordering::Acquire) == self.com_head {
            return false;
        }
        let slot = (self.com_head % RING_ENTRIES) as usize;
        let commit = self.ring + offset_of!(Ring, commits) + slot * size_of::<Completion>();
        // SAFETY: the slot is inside the ring, and the tender has published it.
        let completion =
            unsafe { core::ptr::with_exposed_provenance::<Completion>(commit).read_volatile() };
        self.com_head = self.com_head.wrapping_add(1);
        self.com_head().store(self.com_head, Ordering::Release);
        let (frame, receive) = (self.layout.frame, self.layout.receive);
        let device = self.devices.get_mut(completion.id as usize);
        // What nobody asked for has no buffer.
        let Some(device) = device.filter(|device| device.completed != device.submitted) else {
            return true;
        };
        self.outstanding -= 1;
        let slot = device.completed as usize % receive.max(1);
        let found = Found {
            ret: completion.ret,
            len: completion.len.min(u32::try_from(frame).unwrap_or(u32::MAX)),
        };
        let at = device.buffers + slot * self.layout.stride;
        // SAFETY: completions come in the order of submissions, so this is the buffer of this read,
        // and nobody else knows of its first bytes.
        unsafe { core::ptr::with_exposed_provenance_mut::<Found>(at).write(found) };
        device.completed = device.completed.wrapping_add(1);
        if Outcome::from_raw(found.ret) == Outcome::Ok {
            device.frames += 1;
            device.batch_frames += 1;
        }
        if device.completed == device.submitted {
            // More if there were as many as asked for; otherwise as many as there were, and one to
            // find out whether that was all.
            let most = u32::try_from(receive).unwrap_or(1);
            let wanted = if device.batch_frames == device.batch {
                2 * device.batch
            } else {
                device.batch_frames + 1
            };
            device.batch = wanted.min(most);
        }
        true
    }

    /// Asks for a batch of frames of a device that has none under way.
    fn submit(&mut self, handle: usize, doorbell: &mut impl Doorbell) {
        let mut turns = 0;
        while self.outstanding + self.devices[handle].batch > MAX_OUTSTANDING {
            if !self.complete() {
                doorbell.wait(turns);
                turns = turns.saturating_add(1);
            }
        }
        let batch = self.devices[handle].batch;
        let length = u32::try_from(self.layout.frame).unwrap_or(0);
        self.devices[handle].batch_frames = 0;
        for _ in 0..batch {
            let device = &mut self.devices[handle];
            let slot = device.submitted as usize % self.layout.receive;
            let data = device.buffers + slot * self.layout.stride + PREFIX;
            device.submitted = device.submitted.wrapping_add(1);
            let id = u32::try_from(handle).unwrap_or(0);
            let submission = Submission {
                operation: RING_NET_READ,
                handle: id,
                data: data as u64,
                len: length,
                id,
                reserved: black_box(0),
            };
            self.push(submission, doorbell);
            self.outstanding += 1;
        }
        self.publish(doorbell);
    }

    /// Takes the next completed read of a device that no longer matters or holds a frame.
    fn take(&mut self, handle: usize) -> Option<(Found, usize)> {
        let device = &mut self.devices[handle];
        if device.taken == device.completed {
            return None;
        }
        let slot = device.taken as usize % self.layout.receive;
        let at = device.buffers + slot * self.layout.stride;
        device.taken = device.taken.wrapping_add(1);
        // SAFETY: `complete` has written it.
        let found = unsafe { core::ptr::with_exposed_provenance::<Found>(at).read() };
        Some((found, at + PREFIX))
    }

    /// Receives a frame: its length, at most `size`. What is longer is cut.
    ///
    /// # Safety
    ///
    /// `buffer` can be written for `size` bytes. The device is served by the ring.
    pub unsafe fn receive(
        &mut self,
        handle: usize,
        buffer: *mut u8,
        size: usize,
        doorbell: &mut impl Doorbell,
    ) -> Result<usize, NetError> {
        let mut turns = 0;
        loop {
            while self.complete() {}
            while let Some((found, data)) = self.take(handle) {
                match Outcome::from_raw(found.ret) {
                    Outcome::Ok => {
                        self.devices[handle].frames -= 1;
                        let len = (found.len as usize).min(size);
                        // SAFETY: the caller vouches for its buffer; ours holds a frame that the
                        // tender is done with.
                        unsafe {
                            let data = core::ptr::with_exposed_provenance::<u8>(data);
                            buffer.copy_from_nonoverlapping(data, len);
                        }
                        return Ok(len);
                    }
                    Outcome::Again => self.devices[handle].empty = true,
                    _ => return Err(NetError::Unspecified),
                }
            }
            let device = &mut self.devices[handle];
            if device.submitted != device.completed {
                doorbell.wait(turns);
                turns = turns.saturating_add(1);
            } else if device.empty {
                // Said once; whoever asks again without waiting is answered by the tender.
                device.empty = false;
                return Err(NetError::Again);
            } else {
                self.submit(handle, doorbell);
            }
        }
    }

    /// Ends all reads under way, and says which devices hold frames: bit `n` stands for handle `n`.
    ///
    /// To be called before waiting. What was found empty before is of no importance afterwards.
    pub fn held(&mut self, doorbell: &mut impl Doorbell) -> u64 {
        let mut turns = 0;
        while self.outstanding > 0 {
            if !self.complete() {
                doorbell.wait(turns);
                turns = turns.saturating_add(1);
            }
        }
        let mut held = 0;
        for (handle, device) in self.devices.iter_mut().enumerate() {
            device.empty = false;
            if device.frames > 0 {
                held |= 1 << handle;
            } else {
                // What is left says that there was nothing, which may no longer be so.
                device.taken = device.completed;
            }
        }
        held
    }

    /// Reads ahead from every device that holds no frame, and says which devices then do.
    pub fn look(&mut self, doorbell: &mut impl Doorbell) -> u64 {
        let held = self.held(doorbell);
        for handle in 0..MAX_MANIFEST_ENTRIES {
            if self.has(handle) && held & 1 << handle == 0 {
                self.submit(handle, doorbell);
            }
        }
        self.held(doorbell)
    }
}

/// What stands in front of a received frame.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Found {
    ret: i32,
    len: u32,
}

const _: () = assert!(size_of::<Found>() == PREFIX);

#[cfg(test)]
mod tests;
