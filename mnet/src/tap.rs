//! The platform of a Linux process with TAP devices: for development, tests and benchmarks.
//!
//! A TAP device is an Ethernet interface of the host whose cable ends in this process. Create one,
//! give the host's end an address, and open it:
//!
//! ```sh
//! ip tuntap add dev tap0 mode tap user "$USER"
//! ip address add 10.0.0.1/24 dev tap0
//! ip link set dev tap0 up
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time;
use std::vec::Vec;

use mnet_core::Instant;
use mnet_core::device::{RxInfo, TxFrame};

use crate::platform::{Device, NoEntropy, Platform, TransmitError};

/// The monotonic clock of the host, and `poll` to sleep.
#[derive(Debug)]
pub struct Tap {
    start: time::Instant,
    /// Kept between calls, so that waiting does not allocate.
    descriptors: Vec<libc::pollfd>,
}

impl Default for Tap {
    fn default() -> Self {
        Self {
            start: time::Instant::now(),
            descriptors: Vec::new(),
        }
    }
}

impl Platform for Tap {
    type Device = TapDevice;

    fn now(&mut self) -> Instant {
        // One second after the epoch: zero is an instant in the past for every caller.
        Instant::from_millis(1_000) + self.start.elapsed()
    }

    fn wait(&mut self, devices: &mut [TapDevice], deadline: Instant) {
        self.descriptors.clear();
        self.descriptors
            .extend(devices.iter().map(|device| libc::pollfd {
                fd: device.descriptor(),
                events: libc::POLLIN,
                revents: 0,
            }));
        // At most an hour at a time: waking early is harmless, a time that overflows is not.
        let nanos = deadline
            .saturating_since(self.now())
            .as_nanos()
            .min(3_600_000_000_000);
        let timeout = libc::timespec {
            tv_sec: libc::time_t::try_from(nanos / 1_000_000_000).unwrap_or(0),
            tv_nsec: libc::c_long::try_from(nanos % 1_000_000_000).unwrap_or(0),
        };
        let count = libc::nfds_t::try_from(self.descriptors.len()).unwrap_or(0);
        // SAFETY: the array has `count` elements and lives, as does the timeout, until the call
        // returns; a null signal mask leaves the mask as it is.
        // The result does not matter: after a signal or an error the loop looks again.
        unsafe {
            libc::ppoll(
                self.descriptors.as_mut_ptr(),
                count,
                &raw const timeout,
                std::ptr::null(),
            )
        };
    }

    fn entropy(&mut self) -> Result<[u8; 32], NoEntropy> {
        random_bytes().map_err(|_| NoEntropy)
    }
}

/// The kernel's random bytes.
fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Our end of a TAP device.
#[derive(Debug)]
pub struct TapDevice {
    file: File,
    hardware_address: [u8; 6],
    mtu: usize,
}

impl TapDevice {
    /// Opens the TAP device `name` of the network namespace that the calling thread is in.
    ///
    /// The hardware address of our end is random (the host's end has its own); its MTU is the one
    /// that the host's end has now.
    ///
    /// # Errors
    /// The system's: the device is missing (and cannot be created by this user), busy, or down
    /// for this user; or the name is longer than 15 bytes.
    pub fn open(name: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?;
        let mut request = interface_request(name)?;
        request.ifr_ifru.ifru_flags =
            libc::c_short::try_from(libc::IFF_TAP | libc::IFF_NO_PI).unwrap_or(0);
        // SAFETY: TUNSETIFF reads and writes one `ifreq`, which lives until the call returns.
        if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut hardware_address = random_bytes::<6>()?;
        // Locally administered, not a group.
        hardware_address[0] = (hardware_address[0] | 0x02) & 0xfe;
        Ok(Self {
            file,
            hardware_address,
            mtu: interface_mtu(name)?,
        })
    }

    fn descriptor(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// An interface request with its name filled in and the rest zero.
fn interface_request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: all zeroes is a value of this plain C structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() || name.contains('\0') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not an interface name",
        ));
    }
    for (place, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *place = byte.cast_signed();
    }
    Ok(request)
}

/// The MTU that the host's end of an interface has.
fn interface_mtu(name: &str) -> io::Result<usize> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut request = interface_request(name)?;
    // SAFETY: SIOCGIFMTU reads and writes one `ifreq`, which lives until the call returns.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a successful SIOCGIFMTU has filled in this member.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    usize::try_from(mtu).map_err(io::Error::other)
}

impl Device for TapDevice {
    fn hardware_address(&self) -> [u8; 6] {
        self.hardware_address
    }

    fn mtu(&self) -> usize {
        self.mtu
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Option<RxInfo> {
        // "Would block", and a device that is down or gone: nothing arrives.
        let len = self.file.read(buffer).ok().filter(|len| *len > 0)?;
        Some(RxInfo {
            len,
            ..RxInfo::default()
        })
    }

    fn transmit(&mut self, frame: &TxFrame<'_>) -> Result<(), TransmitError> {
        let [bytes] = frame.slices.as_slice() else {
            return Err(TransmitError);
        };
        match self.file.write(bytes) {
            Ok(len) if len == bytes.len() => Ok(()),
            _ => Err(TransmitError),
        }
    }
}
