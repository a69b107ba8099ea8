//! TAP devices: made, given an address, brought up.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use anyhow::{Context, Result, bail};

/// A TAP device in the network of the thread that made it. It lasts as long as that network.
#[derive(Clone, Debug)]
pub struct Tap {
    name: String,
}

impl Tap {
    /// Makes the device. It is down and has no address.
    ///
    /// # Errors
    ///
    /// When the name is longer than 15 bytes, or the kernel refuses.
    pub fn new(name: &str) -> Result<Self> {
        let (tun, _) = open_queue(name)?;
        // SAFETY: the request takes an integer and touches no memory of ours.
        let result = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETPERSIST, 1) };
        check(result).with_context(|| format!("cannot keep {name}"))?;
        Ok(Self {
            name: name.to_owned(),
        })
    }

    /// Makes the device, with an address on a network of `prefix_len` bits, and brings it up.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn with_address(name: &str, address: Ipv4Addr, prefix_len: u32) -> Result<Self> {
        let tap = Self::new(name)?;
        tap.set_address(address, prefix_len)?;
        Ok(tap)
    }

    /// Makes a device with a name that is free, `tap` and a number, which lasts as long as the
    /// descriptor. Whoever has that, this process or one that inherits it, is attached. It is down
    /// and has no address.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn temporary() -> Result<(Self, OwnedFd)> {
        let (tun, name) = open_queue("tap%d")?;
        Ok((Self { name }, tun))
    }

    /// An interface that is there already, of whatever kind.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub fn existing(name: &str) -> Result<Self> {
        let tap = Self {
            name: name.to_owned(),
        };
        tap.index()
            .with_context(|| format!("no interface {name}"))?;
        Ok(tap)
    }

    /// Has so many frames wait for whoever is attached; the kernel drops what comes on top. A new
    /// device has room for 1000, less than the windows of a few fast connections.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn set_queue(&self, frames: u16) -> Result<()> {
        let mut request = request(&self.name)?;
        request.ifr_ifru.ifru_metric = frames.into();
        ioctl(libc::SIOCSIFTXQLEN, &mut request)
            .with_context(|| format!("cannot change the queue of {}", self.name))
    }

    /// Brings it up.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn up(&self) -> Result<()> {
        set_up(&self.name).with_context(|| format!("cannot bring up {}", self.name))
    }

    /// Gives it an address on a network of `prefix_len` bits, and brings it up.
    ///
    /// # Errors
    ///
    /// When the kernel refuses.
    pub fn set_address(&self, address: Ipv4Addr, prefix_len: u32) -> Result<()> {
        let name = &self.name;
        let mask = u32::MAX.checked_shl(32 - prefix_len).unwrap_or(0);
        set_address(name, libc::SIOCSIFADDR, address)
            .and_then(|()| set_address(name, libc::SIOCSIFNETMASK, Ipv4Addr::from(mask)))
            .with_context(|| format!("cannot give {name} the address {address}/{prefix_len}"))?;
        self.up()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Attaches to the device, so that nobody else can.
    ///
    /// # Errors
    ///
    /// When somebody is attached already.
    pub fn occupy(&self) -> Result<OwnedFd> {
        Ok(open_queue(&self.name)?.0)
    }

    /// Its index, for packet sockets.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn index(&self) -> Result<i32> {
        let mut request = request(&self.name)?;
        ioctl(libc::SIOCGIFINDEX, &mut request)?;
        // SAFETY: the kernel filled in this member of the union.
        Ok(unsafe { request.ifr_ifru.ifru_ifindex })
    }

    /// The hardware address of the host's end.
    ///
    /// # Errors
    ///
    /// When the device is gone.
    pub fn mac(&self) -> Result<[u8; 6]> {
        let mut request = request(&self.name)?;
        ioctl(libc::SIOCGIFHWADDR, &mut request)?;
        // SAFETY: the kernel filled in this member of the union.
        let data = unsafe { request.ifr_ifru.ifru_hwaddr.sa_data };
        let mut mac = [0; 6];
        for (byte, from) in mac.iter_mut().zip(data) {
            *byte = from.to_ne_bytes()[0];
        }
        Ok(mac)
    }
}

/// Brings an interface up.
///
/// # Errors
///
/// When there is none of that name, or the kernel refuses.
pub fn set_up(name: &str) -> Result<()> {
    let mut request = request(name)?;
    ioctl(libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: the kernel filled in this member of the union. `IFF_UP` is 1.
    unsafe { request.ifr_ifru.ifru_flags |= 1 };
    ioctl(libc::SIOCSIFFLAGS, &mut request)
}

/// Opens the TAP device of that name, and makes it if it is not there. `%d` in the name stands for
/// the first free number. The name that it has in the end.
fn open_queue(name: &str) -> Result<(OwnedFd, String)> {
    const PATH: &str = "/dev/net/tun";
    let tun = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(PATH)
        .with_context(|| format!("cannot open {PATH}"))?;
    let mut request = request(name)?;
    let flags = libc::IFF_TAP | libc::IFF_NO_PI;
    request.ifr_ifru.ifru_flags = flags.try_into()?;
    // SAFETY: the request reads and writes one `ifreq`, which outlives the call.
    let result = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    check(result).with_context(|| format!("cannot attach to {name}"))?;
    let name = request.ifr_name.iter().take_while(|byte| **byte != 0);
    let name = name.map(|byte| byte.cast_unsigned()).collect();
    Ok((tun.into(), String::from_utf8(name)?))
}

fn set_address(name: &str, what: libc::Ioctl, address: Ipv4Addr) -> Result<()> {
    let mut request = request(name)?;
    // `sockaddr_in`: a port of two bytes, zero here, then the address.
    let mut data = [0; 14];
    for (to, from) in data[2..6].iter_mut().zip(address.octets()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    request.ifr_ifru.ifru_addr = libc::sockaddr {
        sa_family: libc::AF_INET.try_into()?,
        sa_data: data,
    };
    ioctl(what, &mut request)
}

/// A request about the interface `name`, otherwise zero.
///
/// # Errors
///
/// When the name is longer than 15 bytes.
pub fn request(name: &str) -> Result<libc::ifreq> {
    // SAFETY: zero is a value of every member.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    let room = request.ifr_name.len() - 1;
    if name.len() > room {
        bail!("{name}: an interface has at most {room} bytes in its name");
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

/// Asks the kernel about an interface in this thread's network.
///
/// # Errors
///
/// When the kernel refuses.
pub fn ioctl(what: libc::Ioctl, request: &mut libc::ifreq) -> Result<()> {
    // SAFETY: `socket` takes no pointer.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(socket)?;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: these requests read and write one `ifreq`, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), what, request) })?;
    Ok(())
}

/// Turns the C convention into a result.
///
/// # Errors
///
/// The last error of this thread, if the result is negative.
pub fn check(result: RawFd) -> io::Result<RawFd> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
