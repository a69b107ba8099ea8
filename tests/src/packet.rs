//! Raw frames on an interface.

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};

use crate::tap::{Tap, check};

/// Bytes of frames that wait to be received; the kernel takes as much of it as it allows.
const RECEIVE_BUFFER: libc::c_int = 8 << 20;

/// Sends frames as they are, and sees every frame that the other end sends.
#[derive(Debug)]
pub struct PacketSocket {
    socket: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket on a TAP device.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn open(tap: &Tap) -> Result<Self> {
        let protocol = u16::try_from(libc::ETH_P_ALL)?.to_be();
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        // SAFETY: `socket` takes no pointer.
        let socket = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
        let socket = check(socket).context("cannot open a packet socket")?;
        // SAFETY: the descriptor is new and nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        // SAFETY: zero is a value of every member.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET.try_into()?;
        address.sll_protocol = protocol;
        address.sll_ifindex = tap.index()?;
        let size = size_of_val(&address).try_into()?;
        // SAFETY: the address is valid for its size and outlives the call.
        let bound = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
        check(bound).context("cannot bind a packet socket")?;
        let ignore_own: libc::c_int = 1;
        // SAFETY: the option reads one integer, which outlives the call.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_IGNORE_OUTGOING,
                (&raw const ignore_own).cast(),
                size_of_val(&ignore_own).try_into()?,
            )
        };
        check(set).context("cannot ignore our own frames")?;
        let room: libc::c_int = RECEIVE_BUFFER;
        // SAFETY: the option reads one integer, which outlives the call.
        let set = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_RCVBUF,
                (&raw const room).cast(),
                size_of_val(&room).try_into()?,
            )
        };
        check(set).context("cannot enlarge the receive buffer")?;
        Ok(Self { socket })
    }

    /// Sends one frame. An interface without carrier loses it silently, as a cable would. So does one
    /// that has just got its carrier, until the kernel has noticed and given it a queue: that may be a
    /// while after its other end was opened, and this succeeds all the same. Where the first frame
    /// counts, send others until one is answered.
    ///
    /// # Errors
    ///
    /// When the kernel refuses, for example because the frame is longer than the MTU allows.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        match send(self.socket.as_raw_fd(), frame, MsgFlags::empty()) {
            Ok(_) | Err(Errno::ENOBUFS) => Ok(()),
            Err(error) => Err(error).context("cannot send a frame"),
        }
    }

    /// The next frame from the other end; `None` when none comes within that time.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn receive(&self, within: Duration) -> Result<Option<Vec<u8>>> {
        let deadline = Instant::now() + within;
        let mut buffer = vec![0; 65_536];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(length) => {
                    buffer.truncate(length);
                    return Ok(Some(buffer));
                }
                Err(Errno::EAGAIN) => {}
                Err(error) => return Err(error).context("cannot receive a frame"),
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            // Rounded up, so that the last wait is not a busy one.
            let timeout = PollTimeout::try_from(left + Duration::from_micros(999));
            poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX))?;
        }
    }

    /// The first frame that `wanted` picks, among those that come within that time.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn find<T>(
        &self,
        within: Duration,
        mut wanted: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Option<T>> {
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.receive(left)? {
                None => return Ok(None),
                Some(frame) => {
                    if let Some(found) = wanted(&frame) {
                        return Ok(Some(found));
                    }
                }
            }
        }
    }
}

impl From<PacketSocket> for OwnedFd {
    fn from(socket: PacketSocket) -> Self {
        socket.socket
    }
}
