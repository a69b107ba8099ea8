//! Attaches TAP interfaces (solo5-abi section 9.1).

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// An attached TAP.
#[derive(Debug)]
pub struct Tap {
    /// Non-blocking; each read and write is one frame.
    pub fd: OwnedFd,
    /// MTU in bytes without the Ethernet header.
    pub mtu: u16,
    /// Name of the interface; empty if a descriptor does not tell.
    pub interface: String,
}

/// MTU of a descriptor that does not tell the interface it belongs to.
const DEFAULT_MTU: u16 = 1500;

// From <linux/ethtool.h>.
const ETHTOOL_SGRO: u32 = 0x2c;
const ETHTOOL_SGSO: u32 = 0x24;

/// The kernel's `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    cmd: u32,
    data: u32,
}

/// Requests of the TUN driver and of network devices.
mod request {
    #![allow(
        missing_docs,
        unreachable_pub,
        reason = "what the macros make is named after the requests"
    )]
    use libc::ifreq;

    nix::ioctl_write_ptr_bad!(tun_set_iff, libc::TUNSETIFF, ifreq);
    nix::ioctl_read_bad!(tun_get_iff, libc::TUNGETIFF, ifreq);
    nix::ioctl_read_bad!(get_flags, libc::SIOCGIFFLAGS, ifreq);
    nix::ioctl_read_bad!(get_mtu, libc::SIOCGIFMTU, ifreq);
    nix::ioctl_write_ptr_bad!(ethtool, libc::SIOCETHTOOL, ifreq);
}

/// Asks the kernel about the interface of this name.
struct Interface {
    request: libc::ifreq,
    socket: OwnedFd,
}

impl Interface {
    fn new(name: &[u8]) -> io::Result<Self> {
        if name.len() >= libc::IFNAMSIZ {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        // SAFETY: all fields of `ifreq` are integers and arrays of them, which may be zero.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, &from) in request.ifr_name.iter_mut().zip(name) {
            *to = from.cast_signed();
        }
        let (family, kind) = (AddressFamily::Inet, SockType::Datagram);
        let socket = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Self { request, socket })
    }

    /// Whether the interface is up or running.
    fn is_up(&self) -> io::Result<bool> {
        let mut request = self.request;
        // SAFETY: the request names the interface; the kernel fills in the flags.
        match unsafe { request::get_flags(self.socket.as_raw_fd(), &raw mut request) } {
            Ok(_) => {}
            // The caller asked for something that does not exist, not for something unfit.
            Err(nix::Error::ENODEV) => return Err(io::Error::from_raw_os_error(libc::ENOENT)),
            Err(error) => return Err(error.into()),
        }
        // SAFETY: SIOCGIFFLAGS succeeded, so the union holds the flags.
        let flags = i32::from(unsafe { request.ifr_ifru.ifru_flags });
        Ok(flags & (libc::IFF_UP | libc::IFF_RUNNING) != 0)
    }

    /// MTU in bytes. The manifest has 16 bits for it.
    fn mtu(&self) -> io::Result<u16> {
        let mut request = self.request;
        // SAFETY: the request names the interface; the kernel fills in the MTU.
        unsafe { request::get_mtu(self.socket.as_raw_fd(), &raw mut request) }?;
        // SAFETY: SIOCGIFMTU succeeded, so the union holds the MTU.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        Ok(u16::try_from(mtu).unwrap_or(u16::MAX))
    }

    /// Turns generic receive and segmentation offload off: without a vnet header the guest could
    /// not tell an aggregated frame from an ordinary one, and would see it truncated.
    ///
    /// Best effort, as the caller may not be allowed to.
    fn disable_offloads(&self) {
        for cmd in [ETHTOOL_SGRO, ETHTOOL_SGSO] {
            let mut value = EthtoolValue { cmd, data: 0 };
            let mut request = self.request;
            request.ifr_ifru.ifru_data = (&raw mut value).cast();
            // SAFETY: the request names the interface and points to a value that outlives the call.
            let _ = unsafe { request::ethtool(self.socket.as_raw_fd(), &raw const request) };
        }
    }
}

/// Attaches to an interface that exists. Turns its receive and segmentation offloads off.
///
/// # Errors
///
/// `ENAMETOOLONG`, `ENOENT` (no such interface), `ENETDOWN`, `EINVAL` (not a TAP), `EBUSY` (another
/// process has it), `EPERM`, and what opening `/dev/net/tun` may give.
pub fn attach(name: &OsStr) -> io::Result<Tap> {
    let name = name.as_bytes();
    let interface = Interface::new(name)?;
    if !interface.is_up()? {
        return Err(io::Error::from_raw_os_error(libc::ENETDOWN));
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    let mut request = interface.request;
    let flags = libc::IFF_TAP | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = i16::try_from(flags).unwrap_or_default();
    // SAFETY: the request names the interface and holds the flags; it outlives the call.
    unsafe { request::tun_set_iff(file.as_raw_fd(), &raw const request) }?;
    let mtu = interface.mtu()?;
    interface.disable_offloads();
    Ok(Tap {
        fd: file.into(),
        mtu,
        interface: String::from_utf8_lossy(name).into_owned(),
    })
}

/// Whether this process was started with the descriptor open.
#[must_use]
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD has no effect on any descriptor and refuses numbers that are none.
    fd >= 0 && unsafe { libc::fcntl(fd, libc::F_GETFD) } >= 0
}

/// Attaches a TAP by a descriptor that this process inherited. The caller made sure that it did.
///
/// The descriptor becomes non-blocking. Its MTU is that of its interface, 1500 if it has none.
///
/// # Errors
///
/// Whatever the host says about making it non-blocking.
pub fn attach_inherited(fd: RawFd) -> io::Result<Tap> {
    // SAFETY: the descriptor is open, and nothing in this process closes it while it is borrowed.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    // A duplicate, so that a descriptor named twice, or named together with the console, is not
    // owned twice.
    let fd = borrowed.try_clone_to_owned()?;
    fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let interface = interface_name(&fd).unwrap_or_default();
    let mtu = Interface::new(&interface).and_then(|interface| interface.mtu());
    Ok(Tap {
        fd,
        mtu: mtu.unwrap_or(DEFAULT_MTU),
        interface: String::from_utf8_lossy(&interface).into_owned(),
    })
}

/// Name of the interface that a TUN descriptor belongs to.
fn interface_name(fd: &OwnedFd) -> io::Result<Vec<u8>> {
    // SAFETY: all fields of `ifreq` are integers and arrays of them, which may be zero.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills in the request; on a descriptor of another kind it refuses to.
    unsafe { request::tun_get_iff(fd.as_raw_fd(), &raw mut request) }?;
    let name = request.ifr_name.iter().map(|&byte| byte.cast_unsigned());
    Ok(name.take_while(|&byte| byte != 0).collect())
}
