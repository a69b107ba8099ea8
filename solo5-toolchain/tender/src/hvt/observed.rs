//! A host whose guest is observed: everything is counted, and frames are recorded where that was
//! asked for.

use std::fmt::{self, Write};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use solo5_abi::hvt::Hypercall;

use crate::capture::{Direction, LONGEST_FRAME, Recorder};
use crate::devices::Attached;
use crate::hvt::host::{GuestBytes, Host, HostFailure, Outcome};
use crate::stats::{BlockCounters, Counter, NetCounters, Seconds, Usage};

/// Hypercalls in the order of their numbers, as they are printed.
const CALLS: [(Hypercall, &str); 8] = [
    (Hypercall::Walltime, "walltime"),
    (Hypercall::Puts, "puts"),
    (Hypercall::Poll, "poll"),
    (Hypercall::BlockWrite, "block_write"),
    (Hypercall::BlockRead, "block_read"),
    (Hypercall::NetWrite, "net_write"),
    (Hypercall::NetRead, "net_read"),
    (Hypercall::Halt, "halt"),
];

/// A network device and what went through it.
#[derive(Debug, Default)]
struct Net {
    index: u64,
    name: String,
    counters: NetCounters,
    recording: Option<Recording>,
}

/// Where frames are recorded, and the tender's own copy of one: the guest may change its memory at
/// any time, and what is recorded is what passes.
#[derive(Debug)]
struct Recording {
    recorder: Recorder,
    frame: Mutex<Vec<u8>>,
}

/// A block device and what went through it.
#[derive(Debug, Default)]
struct Block {
    index: u64,
    name: String,
    counters: BlockCounters,
}

/// A host and what is known of its guest.
#[derive(Debug)]
pub struct Observed<H> {
    host: H,
    start: Instant,
    calls: [Counter; CALLS.len()],
    console: Counter,
    asleep: Counter,
    doorbells: Counter,
    net: Vec<Net>,
    block: Vec<Block>,
}

impl<H> Observed<H> {
    /// Observes what a guest with these devices does with the host that is made of them.
    pub fn new(attached: &mut Attached, host: impl FnOnce(&mut Attached) -> H) -> Self {
        let net = attached.net.iter().map(|device| Net {
            index: device.index as u64,
            name: device.name.clone(),
            counters: NetCounters::default(),
            recording: device.recorder.clone().map(|recorder| Recording {
                recorder,
                frame: Mutex::new(Vec::with_capacity(LONGEST_FRAME)),
            }),
        });
        let block = attached.block.iter().map(|device| Block {
            index: device.index as u64,
            name: device.name.clone(),
            counters: BlockCounters::default(),
        });
        let (net, block) = (net.collect(), block.collect());
        Self {
            net,
            block,
            host: host(attached),
            start: Instant::now(),
            calls: <[Counter; CALLS.len()]>::default(),
            console: Counter::default(),
            asleep: Counter::default(),
            doorbells: Counter::default(),
        }
    }

    /// What is observed.
    pub const fn inner(&self) -> &H {
        &self.host
    }

    /// Descriptors of the files that frames are recorded in.
    pub fn capture_fds(&self) -> impl Iterator<Item = i32> {
        let recordings = self.net.iter().filter_map(|net| net.recording.as_ref());
        recordings.map(|recording| recording.recorder.fd())
    }

    fn net(&self, index: u64) -> Option<&Net> {
        self.net.iter().find(|net| net.index == index)
    }

    fn block(&self, index: u64) -> Option<&BlockCounters> {
        let block = self.block.iter().find(|block| block.index == index);
        block.map(|block| &block.counters)
    }

    /// Prints what was counted so far, each line with `prefix` in front.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn print(&self, prefix: &str, out: &mut impl Write) -> fmt::Result {
        let ran = Seconds(self.start.elapsed());
        let usage = Usage::of_this_process();
        writeln!(out, "{prefix}stats: ran {ran}, {usage}")?;
        for Net { name, counters, .. } in &self.net {
            writeln!(out, "{prefix}stats: net {name}: {counters}")?;
        }
        for Block { name, counters, .. } in &self.block {
            writeln!(out, "{prefix}stats: block {name}: {counters}")?;
        }
        write!(out, "{prefix}stats: hypercalls")?;
        for ((_, name), count) in CALLS.iter().zip(&self.calls) {
            write!(out, " {name} {count}")?;
        }
        let (console, doorbells) = (&self.console, &self.doorbells);
        writeln!(out)?;
        let asleep = Seconds(Duration::from_nanos(self.asleep.get()));
        writeln!(
            out,
            "{prefix}stats: asleep in poll {asleep}, console {console} bytes, \
             ring woken {doorbells} times"
        )
    }
}

// SAFETY: what is passed on is what came in, or memory of our own; the rest is copied into the guest's
// memory within its length.
unsafe impl<H: Host> Host for Observed<H> {
    fn called(&self, call: Hypercall) {
        let known = CALLS.iter().position(|&(known, _)| known == call);
        if let Some(count) = known.and_then(|number| self.calls.get(number)) {
            count.one();
        }
    }

    fn woken(&self) {
        self.doorbells.one();
    }

    fn console(&self, text: GuestBytes) {
        self.console.add(text.len as u64);
        self.host.console(text);
    }

    fn walltime(&self) -> u64 {
        self.host.walltime()
    }

    fn poll(&self, timeout: u64) -> Result<u64, HostFailure> {
        let start = Instant::now();
        let result = self.host.poll(timeout);
        let asleep = start.elapsed().as_nanos();
        self.asleep.add(u64::try_from(asleep).unwrap_or(u64::MAX));
        result
    }

    fn has_net(&self) -> bool {
        self.host.has_net()
    }

    fn has_block(&self) -> bool {
        self.host.has_block()
    }

    fn is_net(&self, index: u64) -> bool {
        self.host.is_net(index)
    }

    fn net_write(&self, index: u64, frame: GuestBytes) -> Outcome {
        let Some(net) = self.net(index) else {
            return self.host.net_write(index, frame);
        };
        let outcome = match &net.recording {
            None => self.host.net_write(index, frame),
            Some(recording) => recording.net_write(&self.host, index, frame),
        };
        match outcome {
            Outcome::Ok => net.counters.sent(frame.len),
            _ => net.counters.refused.one(),
        }
        outcome
    }

    fn net_read(&self, index: u64, room: GuestBytes) -> Result<usize, Outcome> {
        let Some(net) = self.net(index) else {
            return self.host.net_read(index, room);
        };
        let result = match &net.recording {
            None => self.host.net_read(index, room),
            Some(recording) => recording.net_read(&self.host, index, room),
        };
        match result {
            Ok(len) => net.counters.received(len),
            Err(Outcome::Again) => net.counters.empty.one(),
            Err(_) => net.counters.failed.one(),
        }
        result
    }

    fn capacity(&self, index: u64) -> Option<u64> {
        self.host.capacity(index)
    }

    fn block_write(&self, index: u64, offset: u64, data: GuestBytes) -> Outcome {
        let outcome = self.host.block_write(index, offset, data);
        if let Some(counters) = self.block(index) {
            counters.writes.one();
            match outcome {
                Outcome::Ok => counters.bytes_written.add(data.len as u64),
                _ => counters.failed.one(),
            }
        }
        outcome
    }

    fn block_read(&self, index: u64, offset: u64, room: GuestBytes) -> Outcome {
        let outcome = self.host.block_read(index, offset, room);
        if let Some(counters) = self.block(index) {
            counters.reads.one();
            match outcome {
                Outcome::Ok => counters.bytes_read.add(room.len as u64),
                _ => counters.failed.one(),
            }
        }
        outcome
    }
}

impl Recording {
    /// Sends a copy of a frame, and records it if it was sent.
    fn net_write(&self, host: &impl Host, index: u64, frame: GuestBytes) -> Outcome {
        if frame.len > LONGEST_FRAME {
            return Outcome::Unspecified;
        }
        let mut copy = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        copy.resize(frame.len, 0);
        // SAFETY: so many bytes are there to be read, and so many have room.
        unsafe {
            let to = copy.as_mut_ptr();
            frame.start.as_ptr().copy_to_nonoverlapping(to, frame.len);
        }
        let outcome = host.net_write(index, own(&mut copy));
        if outcome == Outcome::Ok {
            self.recorder.record(Direction::Out, &copy);
        }
        outcome
    }

    /// Receives a frame, records it, and copies it into the guest's memory.
    fn net_read(&self, host: &impl Host, index: u64, room: GuestBytes) -> Result<usize, Outcome> {
        let mut copy = self.frame.lock().unwrap_or_else(PoisonError::into_inner);
        copy.resize(room.len.min(LONGEST_FRAME), 0);
        let len = host.net_read(index, own(&mut copy))?.min(copy.len());
        self.recorder.record(Direction::In, &copy[..len]);
        // SAFETY: so many bytes were read, and `room` is as long at least.
        unsafe {
            let from = copy.as_ptr();
            room.start.as_ptr().copy_from_nonoverlapping(from, len);
        }
        Ok(len)
    }
}

/// Memory of ours, for the host to read or write.
fn own(bytes: &mut [u8]) -> GuestBytes {
    GuestBytes {
        start: NonNull::from(&mut *bytes).cast(),
        len: bytes.len(),
    }
}
