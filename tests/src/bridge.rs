//! Bridges: several interfaces as one network.

use anyhow::{Context, Result};
use std::ffi::CString;

use crate::tap::{Tap, check, ioctl, request};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Makes a bridge (`SIOCBRADDBR` of the kernel's interface).
const ADD_BRIDGE: libc::Ioctl = 0x89a0;
/// Adds an interface to it (`SIOCBRADDIF`).
const ADD_INTERFACE: libc::Ioctl = 0x89a2;

/// Makes a bridge in the network of the calling thread and joins these devices by it; all are
/// brought up. The bridge is an interface too, which may have an address.
///
/// # Errors
///
/// When the kernel refuses, or has no bridges.
pub fn join(name: &str, devices: &[&Tap]) -> Result<Tap> {
    let text = CString::new(name)?;
    // SAFETY: `socket` takes no pointer.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    check(socket)?;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    // SAFETY: the request reads a string that ends with zero and outlives the call.
    let made = unsafe { libc::ioctl(socket.as_raw_fd(), ADD_BRIDGE, text.as_ptr()) };
    check(made).with_context(|| format!("cannot make the bridge {name}"))?;
    let bridge = Tap::existing(name)?;
    for device in devices {
        add(&bridge, device)?;
    }
    bridge.up()?;
    Ok(bridge)
}

/// Adds a device to a bridge, and brings it up.
///
/// # Errors
///
/// When the kernel refuses.
pub fn add(bridge: &Tap, device: &Tap) -> Result<()> {
    let mut request = request(bridge.name())?;
    request.ifr_ifru.ifru_ifindex = device.index()?;
    ioctl(ADD_INTERFACE, &mut request)
        .with_context(|| format!("cannot add {} to {}", device.name(), bridge.name()))?;
    device.up()
}
