//! Frames between the host's interfaces and a guest that makes its own system calls.
//!
//! Nobody can look into a device that the guest reads and writes itself. So where frames are to be
//! recorded the guest gets one end of a pair of sockets that keeps frames apart, and another process
//! has the other end and the interface. A guest cannot tell the difference, but for what is said at
//! [`GUEST_QUEUE`].

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};

use crate::capture::{Direction, LONGEST_FRAME, Recorder};
use crate::devices::NetDevice;
use crate::stats::NetCounters;

/// Bytes of frames that wait on the way, as the kernel counts them, if it lets us have so much. A
/// guest that sends faster than the relay works gets a refusal, as of an interface that is full.
pub const GUEST_QUEUE: usize = 4 << 20;

/// Most frames that are passed on for one device before the others have their turn.
const BATCH: usize = 64;

/// One device on its way.
#[derive(Debug)]
pub struct Line {
    /// The device's name.
    pub name: String,
    /// What passed.
    pub counters: NetCounters,
    interface: OwnedFd,
    guest: OwnedFd,
    /// The guest's own end. While it is open, the other end never says that it is over, which it says
    /// as it tells of a frame without bytes.
    open: OwnedFd,
    recorder: Recorder,
    /// The frame that is on its way to the guest.
    frame: Vec<u8>,
    /// Room for one on its way from the guest.
    sent: Vec<u8>,
    /// Bytes of the frame for which the guest has no room yet; 0 if there is none.
    held: usize,
}

/// Whether a descriptor has nothing now.
fn is_again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

fn checked(result: isize) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

impl Line {
    /// Puts a relay between the device, if it is recorded, and the guest: the device's descriptor
    /// becomes that of a socket.
    ///
    /// # Errors
    ///
    /// Whatever the host says.
    pub fn insert(device: &mut NetDevice) -> io::Result<Option<Self>> {
        let Some(recorder) = device.recorder.take() else {
            return Ok(None);
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
        let (guest, ours) = socketpair(family, kind, None, flags)?;
        for end in [&guest, &ours] {
            setsockopt(end, sockopt::SndBuf, &GUEST_QUEUE)?;
        }
        let open = guest.try_clone()?;
        let interface = std::mem::replace(&mut device.fd, guest.into_raw_fd());
        Ok(Some(Self {
            name: device.name.clone(),
            counters: NetCounters::default(),
            // SAFETY: the device owned it, and has another one now.
            interface: unsafe { OwnedFd::from_raw_fd(interface) },
            guest: ours,
            open,
            recorder,
            frame: vec![0; LONGEST_FRAME],
            sent: vec![0; LONGEST_FRAME],
            held: 0,
        }))
    }

    /// Descriptor of the interface.
    #[must_use]
    pub fn interface_fd(&self) -> RawFd {
        self.interface.as_raw_fd()
    }

    /// Descriptor of the guest's side.
    #[must_use]
    pub fn guest_fd(&self) -> RawFd {
        self.guest.as_raw_fd()
    }

    /// All descriptors.
    #[must_use]
    pub fn descriptors(&self) -> [RawFd; 4] {
        let (interface, guest) = (self.interface_fd(), self.guest_fd());
        [interface, guest, self.open.as_raw_fd(), self.capture_fd()]
    }

    /// Descriptor of the file.
    #[must_use]
    pub fn capture_fd(&self) -> RawFd {
        self.recorder.fd()
    }

    /// What to wait for: interface and guest.
    #[must_use]
    pub fn events(&self) -> [libc::pollfd; 2] {
        // A frame that the guest has no room for stays; those behind it stay in the interface.
        let (from_interface, to_guest) = match self.held {
            0 => (libc::POLLIN, 0),
            _ => (0, libc::POLLOUT),
        };
        let poll = |fd, events| libc::pollfd {
            fd,
            events,
            revents: 0,
        };
        [
            poll(self.interface_fd(), from_interface),
            poll(self.guest_fd(), libc::POLLIN | to_guest),
        ]
    }

    /// Passes frames on, both ways, as many as are due.
    pub fn pass(&mut self) {
        self.pass_in();
        self.pass_out();
    }

    fn pass_in(&mut self) {
        for _ in 0..BATCH {
            if self.held == 0 {
                let (to, room) = (self.frame.as_mut_ptr(), self.frame.len());
                // SAFETY: there is so much room.
                let read = unsafe { libc::read(self.interface_fd(), to.cast(), room) };
                match checked(read) {
                    Ok(0) => return,
                    Ok(len) => self.held = len,
                    Err(error) => {
                        if !is_again(&error) {
                            self.counters.failed.one();
                        }
                        return;
                    }
                }
            }
            let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
            let from = self.frame.as_ptr();
            // SAFETY: so many bytes are there.
            let sent = unsafe { libc::send(self.guest_fd(), from.cast(), self.held, flags) };
            match checked(sent) {
                Ok(len) => {
                    self.recorder.record(Direction::In, &self.frame[..len]);
                    self.counters.received(len);
                }
                Err(error) if is_again(&error) || error.raw_os_error() == Some(libc::ENOBUFS) => {
                    return;
                }
                Err(_) => self.counters.failed.one(),
            }
            self.held = 0;
        }
    }

    /// Passes on what the guest sent, as much as is due. Whether there may be more.
    pub fn pass_out(&mut self) -> bool {
        for _ in 0..BATCH {
            let (to, room) = (self.sent.as_mut_ptr(), self.sent.len());
            // The length is that of the frame even if there is no room for it.
            let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
            // SAFETY: there is so much room.
            let received = unsafe { libc::recv(self.guest_fd(), to.cast(), room, flags) };
            let len = match checked(received) {
                Err(_) => return false,
                Ok(len) => len,
            };
            // No interface takes a frame without bytes.
            let frame = self.sent.get(..len).filter(|frame| !frame.is_empty());
            let sent = frame.is_some_and(|frame| {
                // SAFETY: so many bytes are there.
                let written =
                    unsafe { libc::write(self.interface_fd(), frame.as_ptr().cast(), len) };
                checked(written).is_ok_and(|written| written == len)
            });
            if sent {
                self.recorder.record(Direction::Out, &self.sent[..len]);
                self.counters.sent(len);
            } else {
                self.counters.refused.one();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::capture::CaptureFile;

    /// A line between a guest and something that keeps frames apart, as an interface does.
    fn line(name: &str) -> (Line, OwnedFd, OwnedFd) {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let (family, kind) = (AddressFamily::Unix, SockType::SeqPacket);
        let (interface, network) = socketpair(family, kind, None, flags).unwrap();
        let path = std::env::temp_dir().join(format!("relay-{name}-{}", std::process::id()));
        let mut file = CaptureFile::create(path.as_os_str(), "test").unwrap();
        std::fs::remove_file(&path).unwrap();
        let number = file.add_interface("service", [2; 6]).unwrap();
        let mut device = NetDevice {
            fd: interface.into_raw_fd(),
            recorder: Some(Recorder::new(Arc::new(Mutex::new(file)), number)),
            ..NetDevice::default()
        };
        let line = Line::insert(&mut device).unwrap().unwrap();
        // SAFETY: the device is not used any more.
        let guest = unsafe { OwnedFd::from_raw_fd(device.fd) };
        (line, guest, network)
    }

    #[test]
    fn frames_stay_apart_and_none_is_lost_while_the_guest_does_not_look() {
        let (mut line, guest, network) = line("full");
        let frame = |number: u32| [&number.to_le_bytes()[..], &[9; 1510]].concat();
        let mut room = vec![0; 2000];
        let (mut sent, mut received) = (0, 0);
        // More than all queues take.
        while received < 3000 {
            while sent < 3000 && nix::unistd::write(&network, &frame(sent)).is_ok() {
                sent += 1;
            }
            line.pass();
            if line.held == 0 && sent < 3000 {
                continue;
            }
            while let Ok(len) = nix::unistd::read(&guest, &mut room) {
                assert_eq!(room[..len], frame(received));
                received += 1;
            }
        }
        assert_eq!(line.counters.frames_in.get(), 3000);
        assert!(!line.pass_out());
    }

    #[test]
    fn what_the_interface_refuses_is_counted_and_the_next_frame_passes() {
        let (mut line, guest, network) = line("refused");
        nix::unistd::write(&guest, &[1; 60]).unwrap();
        nix::unistd::write(&guest, &vec![2; LONGEST_FRAME + 1]).unwrap();
        nix::unistd::write(&guest, &[]).unwrap();
        nix::unistd::write(&guest, &[3; 61]).unwrap();
        // What a guest sent last passes when it is gone.
        drop(guest);
        assert!(!line.pass_out());
        let mut room = [0; 100];
        assert_eq!(nix::unistd::read(&network, &mut room), Ok(60));
        assert_eq!(nix::unistd::read(&network, &mut room), Ok(61));
        let NetCounters {
            frames_out,
            refused,
            ..
        } = &line.counters;
        assert_eq!((frames_out.get(), refused.get()), (2, 2));
    }
}
