//! What a guest can make the host do: console, clock, waiting, devices.
//!
//! [`Host`] is the boundary between what a guest asks for, which is checked on the other side
//! ([`crate::hvt::hypercall`], [`crate::hvt::ring`]), and system calls, which are here. Memory of the
//! guest is passed to the kernel as it is; the tender does not look at it.

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

pub use solo5_abi::hvt::{Hypercall, Outcome};
use thiserror::Error;

use crate::devices::{Attached, BlockDevice, NetDevice};
use crate::errno::Strerror;

/// Bytes of guest memory, for the host's kernel to read or write.
#[derive(Clone, Copy, Debug)]
pub struct GuestBytes {
    /// The first one.
    pub start: NonNull<u8>,
    /// How many.
    pub len: usize,
}

/// The host did not do what it has to do for any guest. Nobody can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what} failed: {}", Strerror(&io::Error::from_raw_os_error(*.errno)))]
pub struct HostFailure {
    /// What was tried.
    pub what: &'static str,
    /// What the host says.
    pub errno: i32,
}

/// A guest's surroundings. Devices are known by their index in the manifest.
///
/// # Safety
///
/// What is done with [`GuestBytes`] stays inside them.
pub unsafe trait Host {
    /// The guest makes this call.
    fn called(&self, _call: Hypercall) {}

    /// The thread that serves the network ring slept and was woken.
    fn woken(&self) {}

    /// Writes to the console. What cannot be written is lost.
    fn console(&self, text: GuestBytes);

    /// UTC since 1970 in nanoseconds.
    fn walltime(&self) -> u64;

    /// Waits until a network device has input or so many nanoseconds have passed. Bit `n` of the
    /// result stands for the device with index `n`. A signal does not end the wait.
    ///
    /// # Errors
    ///
    /// The host cannot wait.
    fn poll(&self, timeout: u64) -> Result<u64, HostFailure>;

    /// Whether the guest has network devices.
    fn has_net(&self) -> bool;

    /// Whether the guest has block devices.
    fn has_block(&self) -> bool;

    /// Whether this is the index of a network device.
    fn is_net(&self, index: u64) -> bool;

    /// Sends a frame.
    fn net_write(&self, index: u64, frame: GuestBytes) -> Outcome;

    /// Receives a frame; its length if there was one.
    fn net_read(&self, index: u64, room: GuestBytes) -> Result<usize, Outcome>;

    /// Capacity of a block device in bytes.
    fn capacity(&self, index: u64) -> Option<u64>;

    /// Writes to a block device, within its capacity.
    fn block_write(&self, index: u64, offset: u64, data: GuestBytes) -> Outcome;

    /// Reads from a block device, within its capacity.
    fn block_read(&self, index: u64, offset: u64, room: GuestBytes) -> Outcome;
}

/// The real host.
#[derive(Debug)]
pub struct Linux {
    net: Vec<NetDevice>,
    block: Vec<BlockDevice>,
    /// Network devices that will never have input again.
    dead: AtomicU64,
    /// What ends a wait early when it can be read; -1 if there is nothing.
    waker: AtomicI32,
}

/// The result of a system call: a count, or an error.
fn checked(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// Repeats a system call that a signal interrupted.
fn uninterrupted(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match checked(call()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Waits for events on descriptors until a time has come, or for ever. 0 when it has.
fn wait(fds: &mut [libc::pollfd], until: Option<Instant>) -> io::Result<usize> {
    uninterrupted(|| {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let limit = left.map(|left| libc::timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the kernel reads and writes these descriptors and reads the limit.
        let count =
            unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as u64, limit, std::ptr::null()) };
        count as isize
    })
}

/// Whether a network device that has nothing but an error to report will never have input again.
///
/// Reading no bytes takes nothing from a TAP's queue, and fails if its interface is gone.
fn is_dead(fd: RawFd) -> bool {
    // SAFETY: the kernel writes nothing.
    let nothing = || unsafe { libc::read(fd, std::ptr::null_mut(), 0) };
    uninterrupted(nothing).is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock)
}

impl Linux {
    /// The host with these devices.
    #[must_use]
    pub fn new(attached: &mut Attached) -> Self {
        Self {
            net: std::mem::take(&mut attached.net),
            block: std::mem::take(&mut attached.block),
            dead: AtomicU64::new(0),
            waker: AtomicI32::new(-1),
        }
    }

    /// From now on a wait of the guest's ends early, without input, while this descriptor can be read.
    pub fn wake_by(&self, fd: RawFd) {
        self.waker.store(fd, Ordering::Relaxed);
    }

    /// Descriptors of network devices.
    pub fn net_fds(&self) -> impl Iterator<Item = RawFd> {
        self.net.iter().map(|device| device.fd)
    }

    /// Descriptors of block devices.
    pub fn block_fds(&self) -> impl Iterator<Item = RawFd> {
        self.block.iter().map(|device| device.fd)
    }

    fn net(&self, index: u64) -> Option<&NetDevice> {
        self.net.iter().find(|device| device.index as u64 == index)
    }

    fn block(&self, index: u64) -> Option<&BlockDevice> {
        self.block
            .iter()
            .find(|device| device.index as u64 == index)
    }

    /// Reads or writes all of `bytes` at `offset`, by `call`, a system call at an offset.
    fn transfer(
        &self,
        index: u64,
        offset: u64,
        bytes: GuestBytes,
        call: impl Fn(RawFd, *mut u8, usize, i64) -> isize,
    ) -> Outcome {
        let Some(device) = self.block(index) else {
            return Outcome::Invalid;
        };
        let mut done = 0;
        while done < bytes.len {
            let at = i64::try_from(offset.saturating_add(done as u64));
            let Ok(at) = at else {
                return Outcome::Invalid;
            };
            let to = bytes.start.as_ptr().wrapping_add(done);
            match uninterrupted(|| call(device.fd, to, bytes.len - done, at)) {
                // The file is shorter than it was.
                Ok(0) | Err(_) => return Outcome::Unspecified,
                Ok(count) => done += count,
            }
        }
        Outcome::Ok
    }
}

// SAFETY: system calls get the pointer and the length as they are.
unsafe impl Host for Linux {
    fn console(&self, text: GuestBytes) {
        /// How long the reader of a full pipe is waited for.
        const PATIENCE: Duration = Duration::from_secs(1);
        let mut done = 0;
        while done < text.len {
            let from = text.start.as_ptr().wrapping_add(done);
            // SAFETY: guest memory, which the kernel reads.
            let write = || unsafe { libc::write(1, from.cast(), text.len - done) };
            match uninterrupted(write) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut pipe = [libc::pollfd {
                        fd: 1,
                        events: libc::POLLOUT,
                        revents: 0,
                    }];
                    let ready = wait(&mut pipe, Some(Instant::now() + PATIENCE));
                    if !ready.is_ok_and(|ready| ready > 0) {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }

    fn walltime(&self) -> u64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
    }

    fn poll(&self, timeout: u64) -> Result<u64, HostFailure> {
        const NEVER: RawFd = -1;
        let until = Instant::now().checked_add(Duration::from_nanos(timeout));
        let dead = self.dead.load(Ordering::Relaxed);
        let mut fds: Vec<_> = self
            .net
            .iter()
            .map(|device| libc::pollfd {
                fd: if dead & 1 << device.index == 0 {
                    device.fd
                } else {
                    NEVER
                },
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        let waker = self.waker.load(Ordering::Relaxed);
        if waker != NEVER {
            fds.push(libc::pollfd {
                fd: waker,
                events: libc::POLLIN,
                revents: 0,
            });
        }
        loop {
            let count = wait(&mut fds, until).map_err(|error| HostFailure {
                what: "Waiting for network devices",
                errno: error.raw_os_error().unwrap_or(0),
            })?;
            let mut ready = 0;
            for (device, fd) in self.net.iter().zip(&mut fds) {
                if fd.revents & libc::POLLIN != 0 {
                    ready |= 1 << device.index;
                } else if fd.revents != 0 {
                    // It would end this wait at once, again and again, for nothing. If the
                    // interface is gone it would do so with every wait to come.
                    if is_dead(fd.fd) {
                        self.dead.fetch_or(1 << device.index, Ordering::Relaxed);
                    }
                    fd.fd = NEVER;
                }
            }
            let woken = fds.len() > self.net.len() && fds.last().is_some_and(|fd| fd.revents != 0);
            if ready != 0 || count == 0 || woken {
                return Ok(ready);
            }
        }
    }

    fn has_net(&self) -> bool {
        !self.net.is_empty()
    }

    fn has_block(&self) -> bool {
        !self.block.is_empty()
    }

    fn is_net(&self, index: u64) -> bool {
        self.net(index).is_some()
    }

    fn net_write(&self, index: u64, frame: GuestBytes) -> Outcome {
        let Some(device) = self.net(index) else {
            return Outcome::Invalid;
        };
        // SAFETY: guest memory, which the kernel reads.
        let write = || unsafe { libc::write(device.fd, frame.start.as_ptr().cast(), frame.len) };
        match uninterrupted(write) {
            Ok(count) if count == frame.len => Outcome::Ok,
            _ => Outcome::Unspecified,
        }
    }

    fn net_read(&self, index: u64, room: GuestBytes) -> Result<usize, Outcome> {
        let device = self.net(index).ok_or(Outcome::Invalid)?;
        // SAFETY: guest memory, which the kernel writes.
        let read = || unsafe { libc::read(device.fd, room.start.as_ptr().cast(), room.len) };
        match uninterrupted(read) {
            Ok(0) => Err(Outcome::Again),
            Ok(count) => Ok(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Outcome::Again),
            Err(_) => Err(Outcome::Unspecified),
        }
    }

    fn capacity(&self, index: u64) -> Option<u64> {
        self.block(index).map(|device| device.capacity)
    }

    fn block_write(&self, index: u64, offset: u64, data: GuestBytes) -> Outcome {
        self.transfer(index, offset, data, |fd, from, len, at| {
            // SAFETY: guest memory, which the kernel reads.
            unsafe { libc::pwrite(fd, from.cast(), len, at) }
        })
    }

    fn block_read(&self, index: u64, offset: u64, room: GuestBytes) -> Outcome {
        self.transfer(index, offset, room, |fd, to, len, at| {
            // SAFETY: guest memory, which the kernel writes.
            unsafe { libc::pread(fd, to.cast(), len, at) }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::thread::JoinHandleExt;

    use nix::fcntl::{OFlag, open};
    use nix::sys::pthread::pthread_kill;
    use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
    use nix::sys::stat::Mode;
    use nix::unistd::{mkfifo, write};
    use std::os::fd::AsRawFd;

    use super::*;

    fn host(fds: &[RawFd]) -> Linux {
        let net = fds.iter().enumerate();
        let net = net
            .map(|(index, &fd)| NetDevice {
                index,
                fd,
                ..NetDevice::default()
            })
            .collect();
        Linux::new(&mut Attached {
            manifest: Vec::new(),
            net,
            block: Vec::new(),
        })
    }

    const WAIT: Duration = Duration::from_millis(300);

    fn nanos(duration: Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap()
    }

    #[test]
    fn a_signal_does_not_end_a_wait() {
        extern "C" fn nothing(_: libc::c_int) {}
        let action = SigHandler::Handler(nothing);
        let action = SigAction::new(action, SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing.
        unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
        let start = Instant::now();
        let waiting = std::thread::spawn(|| host(&[]).poll(nanos(WAIT)));
        while start.elapsed() < WAIT / 2 {
            pthread_kill(waiting.as_pthread_t(), Signal::SIGUSR1).unwrap();
            std::thread::sleep(WAIT / 20);
        }
        assert_eq!(waiting.join().unwrap(), Ok(0));
        assert!(start.elapsed() >= WAIT);
    }

    #[test]
    fn a_device_with_an_error_is_waited_for_again_unless_it_cannot_be_read() {
        let path = std::env::temp_dir().join(format!("host-test-{}", std::process::id()));
        mkfifo(&path, Mode::S_IRWXU).unwrap();
        let open = |flags| open(&path, flags | OFlag::O_NONBLOCK, Mode::empty()).unwrap();
        let reader = open(OFlag::O_RDONLY);
        drop(open(OFlag::O_WRONLY));
        // Nobody is at the other end: the wait takes its time, and does not spin.
        let host = host(&[reader.as_raw_fd()]);
        let start = Instant::now();
        assert_eq!(host.poll(nanos(WAIT)), Ok(0));
        assert!(start.elapsed() >= WAIT);
        // Now there is.
        let writer = open(OFlag::O_WRONLY);
        std::fs::remove_file(&path).unwrap();
        write(&writer, b"frame").unwrap();
        assert_eq!(host.poll(nanos(WAIT)), Ok(1));

        // The writing end cannot be read: not now, and not in future.
        let gone = self::host(&[writer.as_raw_fd()]);
        drop(reader);
        assert_eq!(gone.poll(0), Ok(0));
        assert_eq!(gone.dead.load(Ordering::Relaxed), 1);
    }
}
