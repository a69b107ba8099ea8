//! Several interfaces of one stack, those of VLANs among them.
//!
//! The names are C's, as the header has them.
#![allow(non_camel_case_types)]

use core::ffi::{c_char, c_int};

use mnet::mnet_core::config::VlanConfig;
use mnet::mnet_core::device::InterfaceId;
use mnet::mnet_core::error::ConfigError;
use mnet::{Device, InterfaceConfig};

use crate::error::{Error, status};
use crate::pointer;
use crate::registry::{self, DEVICE_NAME_SIZE, Opened};
use crate::stack::{acquire, size};
use crate::types::mnet_stack;

/// An interface of a stack. Members are appended in later versions.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mnet_interface {
    /// Its number, counted from 1 in the order in which interfaces were added. The zones of
    /// addresses are these numbers, too.
    pub number: u32,
    /// The number of the interface whose device carries its frames, if it is a VLAN; 0: it is none.
    pub parent: u32,
    /// The VLAN identifier, 1 to 4094; 0: it is no VLAN.
    pub vlan: u32,
    /// The priority in the tags of what a VLAN sends, 0 to 7.
    pub priority: u32,
    /// Largest IP packet, in bytes.
    pub mtu: u32,
    /// 0.
    pub reserved: u32,
    /// Our Ethernet address on it; a VLAN has its parent's.
    pub hardware_address: [u8; 6],
    /// 0.
    pub reserved2: [u8; 2],
    /// Frames received. Those of a VLAN count on its parent as well.
    pub rx_frames: u64,
    /// Their bytes, Ethernet headers and tags included.
    pub rx_bytes: u64,
    /// Those that were dropped as frames: not for us, malformed, or of a kind or a VLAN that nobody
    /// here speaks. The counters whose names begin with "eth_" say why.
    pub rx_dropped: u64,
    /// Frames given to the device.
    pub tx_frames: u64,
    /// Their bytes.
    pub tx_bytes: u64,
    /// The name of its device in the manifest, NUL terminated; empty for a VLAN, and on a manual
    /// stack.
    pub device: [c_char; 72],
}

/// Adds an interface with another network device of the manifest. Give it an address next, with
/// mnet_add_address().
///
/// The frames of a stack are as large as its configuration says: set max_mtu of struct mnet_config
/// if this device's MTU is larger than that of the first one, and max_interfaces if there are more than its
/// default.
///
/// - device: the name in the manifest.
///
/// Returns the number of the interface (2 for the first that is added so), or
///   MNET_EINVAL     NULL, or a manual stack
///   MNET_ENODEV     the manifest has no network device of this name
///   MNET_EBUSY      the device belongs to another stack, or to this one; or a call on this stack has
///                   not returned
///   MNET_EMSGSIZE   the device's MTU is larger than the stack's frames
///   MNET_ELIMIT     max_interfaces are there
///   MNET_ENOMEM     DHCP clients have taken the arena's last 10 KiB
///   MNET_EBADF
/// On an error nothing has changed. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_add_interface(stack: mnet_stack, device: *const c_char) -> c_int {
    number(registry::with_arena(stack, ROOM, |opened| {
        if opened.manual {
            return Err(Error::INVALID);
        }
        // SAFETY: as the header says: NULL, or a string.
        let (device, name) = unsafe { acquire(device) }?;
        let mtu = device.mtu();
        let id = opened.runtime.attach(device).map_err(too_large)?;
        Ok(opened.added(id, mtu, name))
    }))
}

/// Adds an interface to a manual stack (MNET_CONFIG_MANUAL): its frames go in and out with
/// mnet_frame_in_on() and mnet_frame_out_on().
///
/// - hardware_address: 6 bytes, our Ethernet address on it.
/// - mtu: 576 to max_mtu of struct mnet_config, without the Ethernet header; 0: 1500.
///
/// Returns the number of the interface, or
///   MNET_EINVAL     NULL, a group address, an MTU below 576, or not a manual stack
///   MNET_EMSGSIZE   the MTU is larger than the stack's frames
///   MNET_ELIMIT     max_interfaces are there
///   MNET_ENOMEM     DHCP clients have taken the arena's last 10 KiB
///   MNET_EBADF, MNET_EBUSY
/// On an error nothing has changed. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_add_manual_interface(
    stack: mnet_stack,
    hardware_address: *const u8,
    mtu: u32,
) -> c_int {
    let add = || {
        // SAFETY: as the header says: NULL, or six bytes.
        let hardware_address = unsafe { pointer::read(hardware_address.cast::<[u8; 6]>()) }?;
        let mtu = if mtu == 0 { 1_500 } else { size(mtu) };
        registry::with_arena(stack, ROOM, |opened| {
            if !opened.manual || mtu < 576 {
                return Err(Error::INVALID);
            }
            let now = opened.runtime.now();
            let interface = InterfaceConfig {
                hardware_address,
                mtu,
            };
            let stack = opened.runtime.stack_mut();
            let id = stack.add_interface(now, interface).map_err(too_large)?;
            Ok(opened.added(id, mtu, [0; DEVICE_NAME_SIZE]))
        })
    };
    number(add())
}

/// Adds an interface for a VLAN (IEEE 802.1Q). Its frames travel with a tag over the device of
/// another interface, its parent, whose Ethernet address it has. It is configured and used as any
/// other: mnet_add_address(), mnet_enable_ipv6(), mnet_add_route(). The parent need not have
/// addresses.
///
/// - interface: the parent, which is no VLAN itself; counted from 1; 0: the first.
/// - vlan: the VLAN identifier, 1 to 4094.
/// - priority: 0, best effort, to 7, in the tags of what we send.
/// - mtu: largest IP packet, 576 to the parent's MTU; 0: the parent's. The parent's device must carry
///   four bytes more.
///
/// Returns the number of the new interface, or
///   MNET_EINVAL       a number out of range, no such interface, or the parent is a VLAN
///   MNET_EADDRINUSE   the interface has this VLAN already
///   MNET_ELIMIT       max_interfaces are there
///   MNET_ENOMEM       DHCP clients have taken the arena's last 10 KiB
///   MNET_EBADF, MNET_EBUSY
/// On an error nothing has changed. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_add_vlan(
    stack: mnet_stack,
    interface: u32,
    vlan: u32,
    priority: u32,
    mtu: u32,
) -> c_int {
    number(registry::with_arena(stack, ROOM, |opened| {
        let parent = opened.interface_of(interface)?;
        let config = VlanConfig {
            id: u16::try_from(vlan).map_err(|_| Error::INVALID)?,
            priority: u8::try_from(priority).map_err(|_| Error::INVALID)?,
            mtu: (mtu != 0).then(|| size(mtu)),
        };
        let now = opened.runtime.now();
        let stack = opened.runtime.stack_mut();
        let id = stack.add_vlan(now, parent, config)?;
        let mtu = stack.interfaces().nth(id.index()).map_or(0, |i| i.mtu);
        Ok(opened.added(id, mtu + TAG, [0; DEVICE_NAME_SIZE]))
    }))
}

/// At most what an interface allocates. The arena has that for each of max_interfaces, unless DHCP
/// clients took it.
const ROOM: usize = 10 << 10;

/// Bytes of an 802.1Q tag.
const TAG: usize = 4;

/// An interface of a stack, and what passed it.
///
/// - interface: counted from 1; 0: the first.
/// - info: receives it.
/// - size: sizeof (struct mnet_interface). A shorter structure of an older version is filled as far as
///   it goes; members that this version does not know become 0.
///
/// Returns 1, or 0 if there are not so many interfaces (nothing is written), or MNET_EINVAL (NULL),
/// MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_interface_info(
    stack: mnet_stack,
    interface: u32,
    info: *mut mnet_interface,
    size: usize,
) -> c_int {
    let read = || {
        if info.is_null() || size > 1 << 16 {
            return Err(Error::INVALID);
        }
        let found = registry::with_stack(stack, |opened| {
            let place = interface.saturating_sub(1);
            let place = usize::try_from(place).map_err(|_| Error::INVALID)?;
            let found = opened.runtime.stack().interfaces().nth(place);
            Ok(found.map(|found| (found, opened.device_name(place))))
        })?;
        let Some((found, name)) = found else {
            return Ok(0);
        };
        let counters = found.counters;
        let vlan = found.vlan;
        let known = mnet_interface {
            number: number_of(found.id),
            parent: vlan.map_or(0, |vlan| number_of(vlan.parent)),
            vlan: vlan.map_or(0, |vlan| vlan.id.into()),
            priority: vlan.map_or(0, |vlan| vlan.priority.into()),
            mtu: u32::try_from(found.mtu).unwrap_or(u32::MAX),
            reserved: 0,
            hardware_address: found.hardware_address,
            reserved2: [0; 2],
            rx_frames: counters.rx_frames,
            rx_bytes: counters.rx_bytes,
            rx_dropped: counters.rx_dropped,
            tx_frames: counters.tx_frames,
            tx_bytes: counters.tx_bytes,
            device: name.map(|byte| c_char::from_ne_bytes([byte])),
        };
        // SAFETY: as the header says: `size` bytes that may be written.
        unsafe { pointer::write_sized(info, size, &known) }?;
        Ok(1)
    };
    read().unwrap_or_else(Error::code)
}

/// The number that an interface has in C.
pub(crate) fn number_of(id: InterfaceId) -> u32 {
    u32::try_from(id.index() + 1).unwrap_or(0)
}

/// What a function returns that adds an interface.
fn number(added: Result<InterfaceId, Error>) -> c_int {
    match added {
        Ok(id) => c_int::try_from(number_of(id)).unwrap_or(c_int::MAX),
        Err(error) => status(Err(error)),
    }
}

/// The only MTU that a caller can do nothing about here is one that is larger than the frames.
fn too_large(error: ConfigError) -> Error {
    match error {
        ConfigError::MtuOutOfRange => Error::TOO_LONG,
        error => error.into(),
    }
}

impl Opened {
    /// Notes a new interface: the longest frame, without its tag, and the name of the device.
    fn added(&mut self, id: InterfaceId, mtu: usize, name: [u8; DEVICE_NAME_SIZE]) -> InterfaceId {
        self.note_interface(mtu, name);
        id
    }
}
