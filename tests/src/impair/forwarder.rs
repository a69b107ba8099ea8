//! Two lines between two devices, driven by the clock.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;

use super::capture::Capture;
use super::line::{Line, Stats};
use super::settings::Impairment;
use crate::packet::PacketSocket;
use crate::tap::Tap;

/// Frames that are taken from one side before it is the other's turn.
const BATCH: usize = 64;
/// The longest frame: an IP packet of 64 KiB, its Ethernet header and VLAN tags.
const LONGEST_FRAME: usize = 65_535 + 32;

/// One end of a path: what is written there goes to a device, what the device sends is read.
#[derive(Debug)]
pub struct Port(OwnedFd);

impl Port {
    /// The cable of a TAP device: the kernel's network is at the other end.
    ///
    /// # Errors
    ///
    /// When somebody else is attached already.
    pub fn tap(tap: &Tap) -> Result<Self> {
        // A program that another thread is just starting has our descriptors until it runs, among
        // them the one that made the device.
        let deadline = Instant::now() + Duration::from_secs(1);
        loop {
            match tap.occupy() {
                Ok(port) => return Ok(Self(port)),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// An interface that somebody else is attached to, such as an image's TAP device, or an
    /// Ethernet card: what it receives is taken from it, what is written is sent by it.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn interface(interface: &Tap) -> Result<Self> {
        Ok(Self(PacketSocket::open(interface)?.into()))
    }
}

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From the first port to the second.
    Forth,
    /// From the second to the first.
    Back,
}

/// A running path. Dropping it ends it.
#[derive(Debug)]
pub struct Forwarder {
    control: Arc<Control>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// What the thread and its owner share.
#[derive(Debug)]
struct Control {
    /// Both lines. The thread holds the lock while it works, and not while it waits.
    lines: Mutex<[Line; 2]>,
    /// What passes each port is written there as well.
    captures: Mutex<[Option<Capture>; 2]>,
    stop: Mutex<bool>,
    /// Wakes the thread.
    bell: EventFd,
}

impl Forwarder {
    /// Starts a path between two ports. Both directions have seeds of their own, made from this
    /// one.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn start(ports: [Port; 2], impairments: [Impairment; 2], seed: u64) -> Result<Self> {
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let [forth, back] = impairments;
        let mut seeds = fastrand::Rng::with_seed(seed);
        let lines = [forth, back].map(|impairment| Line::new(impairment, seeds.u64(..)));
        let control = Arc::new(Control {
            lines: Mutex::new(lines),
            captures: Mutex::new([None, None]),
            stop: Mutex::new(false),
            bell,
        });
        let ports = ports.map(|port| port.0);
        for port in &ports {
            let flags = OFlag::from_bits_retain(fcntl(port, FcntlArg::F_GETFL)?);
            fcntl(port, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        }
        let ports = ports.map(File::from);
        let shared = Arc::clone(&control);
        let thread = thread::Builder::new()
            .name("impair".to_owned())
            .spawn(move || run(&shared, &ports))?;
        Ok(Self {
            control,
            thread: Some(thread),
        })
    }

    /// Changes one direction. What is on its way arrives as it would have.
    pub fn set(&self, side: Side, impairment: Impairment) {
        lock(&self.control.lines)[side as usize].set(impairment);
    }

    /// Records what passes a port from now on, 0 or 1, in the format of libpcap: what comes from
    /// the device before anything happened to it, and what goes there afterwards.
    ///
    /// # Errors
    ///
    /// When the file cannot be made.
    ///
    /// # Panics
    ///
    /// When there is no port of that number.
    pub fn record(&self, port: usize, path: &Path) -> Result<()> {
        let capture = Capture::create(path).with_context(|| path.display().to_string())?;
        lock(&self.control.captures)[port] = Some(capture);
        Ok(())
    }

    /// What happened so far, forth and back.
    #[must_use]
    pub fn stats(&self) -> [Stats; 2] {
        let lines = lock(&self.control.lines);
        [lines[0].stats(), lines[1].stats()]
    }

    /// Ends the path; what happened, forth and back. What is on its way never arrives.
    ///
    /// # Errors
    ///
    /// When the path had ended by itself, because a device failed.
    pub fn stop(mut self) -> Result<[Stats; 2]> {
        self.end()?;
        Ok(self.stats())
    }

    fn end(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        *lock(&self.control.stop) = true;
        self.control.bell.write(1)?;
        thread
            .join()
            .map_err(|_| anyhow!("the forwarder panicked"))?
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        // An error has been or will be told by `stop`; here nobody would hear it.
        let _ = self.end();
    }
}

fn run(control: &Control, ports: &[File; 2]) -> Result<()> {
    // A sleep ends when it was asked to, not up to 50 microseconds later.
    nix::sys::prctl::set_timerslack(1)?;
    let start = Instant::now();
    let mut buffer = vec![0; LONGEST_FRAME];
    loop {
        let (busy, next) = {
            let mut lines = lock(&control.lines);
            let mut captures = lock(&control.captures);
            let [first, second] = &mut *captures;
            let mut ends = [(&ports[0], first), (&ports[1], second)];
            let mut busy = false;
            for side in 0..2 {
                busy |= take(&mut lines[side], &mut ends[side], start, &mut buffer)?;
                // Whatever is due goes out before more is taken.
                let now = start.elapsed();
                for side in 0..2 {
                    deliver(&mut lines[side], &mut ends[1 - side], now)?;
                }
            }
            let next = lines.iter().filter_map(Line::next).min();
            (busy, next)
        };
        if *lock(&control.stop) {
            for capture in lock(&control.captures).iter_mut().flatten() {
                capture.flush()?;
            }
            return Ok(());
        }
        if busy {
            continue;
        }
        let wait = next.map(|next| next.saturating_sub(start.elapsed()));
        if wait.is_some_and(|wait| wait.is_zero()) {
            continue;
        }
        let mut fds = [
            PollFd::new(ports[0].as_fd(), PollFlags::POLLIN),
            PollFd::new(ports[1].as_fd(), PollFlags::POLLIN),
            PollFd::new(control.bell.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut fds, wait.map(TimeSpec::from_duration), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).context("waiting for frames"),
        }
    }
}

/// A port, and where what passes it is recorded.
type End<'a> = (&'a File, &'a mut Option<Capture>);

/// Takes what a device has sent, a batch at most; whether there may be more.
fn take(line: &mut Line, end: &mut End<'_>, start: Instant, buffer: &mut [u8]) -> Result<bool> {
    for _ in 0..BATCH {
        let length = match end.0.read(buffer) {
            Ok(length) => length,
            Err(error) if is_quiet(&error) => return Ok(false),
            Err(error) => return Err(error).context("reading a frame"),
        };
        let frame = &buffer[..length];
        if let Some(capture) = end.1 {
            capture.add(frame)?;
        }
        if let Some(answer) = line.push(start.elapsed(), frame) {
            // The router that answers is at the sender's end of the path.
            write(end, &answer)?;
        }
    }
    Ok(true)
}

fn deliver(line: &mut Line, end: &mut End<'_>, now: Duration) -> Result<()> {
    while let Some(frame) = line.pop(now) {
        if write(end, &frame)? {
            line.recycle(frame);
        } else {
            line.refused(frame);
        }
    }
    Ok(())
}

/// Whether the device took the frame.
fn write((port, capture): &mut End<'_>, frame: &[u8]) -> Result<bool> {
    match port.write(frame) {
        Ok(_) => {
            if let Some(capture) = capture {
                capture.add(frame)?;
            }
            Ok(true)
        }
        Err(error) if is_quiet(&error) => Ok(false),
        Err(error) => Err(error).context("writing a frame"),
    }
}

/// Nothing there, no room, or the interface is down: a cable does not care.
fn is_quiet(error: &std::io::Error) -> bool {
    const QUIET: [i32; 4] = [libc::ENOBUFS, libc::EIO, libc::ENETDOWN, libc::EMSGSIZE];
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
        || error
            .raw_os_error()
            .is_some_and(|code| QUIET.contains(&code))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
