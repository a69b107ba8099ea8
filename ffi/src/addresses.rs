//! The addresses of a stack: adding and removing them, what state they are in, and waiting for
//! changes.
//!
//! The names are C's, as the header has them.
#![allow(non_camel_case_types)]

use core::ffi::c_int;
use core::net::SocketAddr;
use core::time::Duration;

use mnet::Stack;
use mnet::mnet_core::AddressInfo;
use mnet::mnet_core::address::{
    AddressOptions, AddressOrigin, AddressState, NetworkChanges, OnConflict, Probing,
};
use mnet::mnet_core::device::InterfaceId;

use crate::address;
use crate::error::{Error, length, status, value};
use crate::pointer::{self, Out};
use crate::registry;
use crate::resolvers::{MNET_ORIGIN_DHCPV4, MNET_ORIGIN_ROUTER, MNET_ORIGIN_STATIC};
use crate::types::{MNET_AF_INET, MNET_AF_INET6, MNET_AF_NONE, mnet_addr, mnet_stack};
use crate::wait;

/// Where an address comes from: the stack made it, for its link only (RFC 3927, RFC 4862 section
/// 5.3). Others: MNET_ORIGIN_STATIC, _DHCPV4, _ROUTER.
pub const MNET_ORIGIN_LINK_LOCAL: u32 = 5;
/// Where an address comes from: made of a router's prefix at random, for a day (RFC 8981).
pub const MNET_ORIGIN_TEMPORARY: u32 = 6;

/// mnet_add_address() flags: ask first whether somebody has the address, three times within 0.4 s.
/// IPv4 only: IPv6 addresses are always asked for.
pub const MNET_ADDRESS_PROBE: u32 = 1;
/// mnet_add_address() flags: the same as slowly as RFC 5227 section 1.1 has it: 4 to 7 s.
pub const MNET_ADDRESS_PROBE_FULL: u32 = 2;
/// mnet_add_address() flags: when somebody else uses the address later, defend it once, and give it
/// up if that happens again within 10 s (RFC 5227 section 2.4 (b)). Otherwise it is kept and defended
/// every 10 s at most.
pub const MNET_ADDRESS_DEFEND_ONCE: u32 = 4;
/// mnet_add_address() flags: when somebody else uses the address later, give it up at once (RFC 5227
/// section 2.4 (a)).
pub const MNET_ADDRESS_GIVE_UP: u32 = 8;

/// State of an address: it is being asked for, and not usable yet.
pub const MNET_ADDRESS_TENTATIVE: u32 = 1;
/// State of an address: it is ours.
pub const MNET_ADDRESS_USABLE: u32 = 2;
/// State of an address: what is open goes on, and new connections leave from others where there are
/// some (RFC 4862 section 5.5.4).
pub const MNET_ADDRESS_DEPRECATED: u32 = 3;
/// State of an address: somebody else has it. It stays in the list until it is removed or added
/// again.
pub const MNET_ADDRESS_DUPLICATE: u32 = 4;

/// mnet_network_event.changes: an address became usable.
pub const MNET_CHANGE_ADDRESS_USABLE: u32 = 1;
/// mnet_network_event.changes: an address is not ours any more.
pub const MNET_CHANGE_ADDRESS_GONE: u32 = 2;
/// mnet_network_event.changes: somebody else uses an address of ours, or one that was to become
/// ours.
pub const MNET_CHANGE_ADDRESS_CONFLICT: u32 = 4;
/// mnet_network_event.changes: a default route came, went, or leads to another gateway.
pub const MNET_CHANGE_DEFAULT_ROUTE: u32 = 8;
/// mnet_network_event.changes: DNS servers or search domains came or went.
pub const MNET_CHANGE_DNS: u32 = 16;

/// One of the addresses of a stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct mnet_address_info {
    /// The address, with port 0; a link-local one of IPv6 with its zone.
    pub address: mnet_addr,
    /// The length of its network's prefix in bits.
    pub prefix_len: u32,
    /// The interface, counted from 1.
    pub interface: u32,
    /// MNET_ADDRESS_TENTATIVE, _USABLE, _DEPRECATED or _DUPLICATE.
    pub state: u32,
    /// MNET_ORIGIN_*: where it comes from.
    pub origin: u32,
    /// How long from now on it is preferred, in nanoseconds; UINT64_MAX: for ever.
    pub preferred_ns: u64,
    /// How long from now on it is ours, in nanoseconds; UINT64_MAX: for ever.
    pub valid_ns: u64,
}

/// mnet_network_event.changes: a DHCP lease was obtained, says something else, or is over.
pub const MNET_CHANGE_LEASE: u32 = 32;

/// Something changed on an interface. Of each interface there is one at most that waits, so none gets
/// lost, and what came and went again is told as both.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct mnet_network_event {
    /// The interface, counted from 1.
    pub interface: u32,
    /// MNET_CHANGE_* combined.
    pub changes: u32,
}

fn number(interface: InterfaceId) -> u32 {
    u32::try_from(interface.index() + 1).unwrap_or(0)
}

/// Gives an interface an address, with a route to the hosts that share its prefix. An IPv4 address is
/// ours at once, announced (RFC 5227 section 2.3) and kept whatever others say, unless the flags say
/// otherwise; an IPv6 address is ours a second or two later, if nobody has it (RFC 4862 section 5.4).
/// mnet_address() and mnet_network_events() tell what becomes of it. One that turned out to be
/// somebody else's may be added again.
///
/// - interface: counted from 1; 0: the first.
/// - addr: the address; its port is ignored.
/// - prefix_len: the length of the network's prefix in bits, 1 to 32 or 1 to 128.
/// - flags: MNET_ADDRESS_PROBE, _PROBE_FULL, _DEFEND_ONCE, _GIVE_UP combined, or 0. They mean nothing
///   for IPv6.
///
/// Returns 0, or
///   MNET_EINVAL          NULL, no address, no such interface, an unknown flag, or two that exclude
///                        each other
///   MNET_EADDRNOTAVAIL   not an address that a host can have on such a network, or it is ours
///   MNET_EAFNOSUPPORT    IPv6, which the interface does not speak; or another family
///   MNET_ELIMIT          8 IPv4 or 16 IPv6 addresses are there, or 64 routes
///   MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_add_address(
    stack: mnet_stack,
    interface: u32,
    addr: *const mnet_addr,
    prefix_len: u32,
    flags: u32,
) -> c_int {
    let add = || {
        // SAFETY: as the header says: NULL, or an address.
        let address = unsafe { address::read(addr) }?.ip();
        let prefix_len = u8::try_from(prefix_len).map_err(|_| Error::INVALID)?;
        let options = options(flags)?;
        registry::with_stack(stack, |opened| {
            let interface = opened.interface_of(interface)?;
            let now = opened.runtime.now();
            let stack = opened.runtime.stack_mut();
            Ok(stack.add_address_with(now, interface, address, prefix_len, options)?)
        })
    };
    status(add())
}

fn options(flags: u32) -> Result<AddressOptions, Error> {
    const PROBES: u32 = MNET_ADDRESS_PROBE | MNET_ADDRESS_PROBE_FULL;
    const CONFLICTS: u32 = MNET_ADDRESS_DEFEND_ONCE | MNET_ADDRESS_GIVE_UP;
    if flags & !(PROBES | CONFLICTS) != 0 {
        return Err(Error::INVALID);
    }
    let probing = match flags & PROBES {
        0 => Probing::Off,
        MNET_ADDRESS_PROBE => Probing::Brief,
        MNET_ADDRESS_PROBE_FULL => Probing::Full,
        _ => return Err(Error::INVALID),
    };
    let on_conflict = match flags & CONFLICTS {
        0 => OnConflict::Keep,
        MNET_ADDRESS_DEFEND_ONCE => OnConflict::DefendOnce,
        MNET_ADDRESS_GIVE_UP => OnConflict::GiveUp,
        _ => return Err(Error::INVALID),
    };
    Ok(AddressOptions {
        probing,
        on_conflict,
    })
}

/// Takes an address away that the program gave. Its connections end with MNET_EADDRGONE and without a
/// word to their peers; sockets that are bound to it get nothing more until it is ours again. With it
/// go the route to its network, and those whose gateways no other address of the interface reaches.
///
/// - interface: counted from 1; 0: the first.
/// - addr: the address; its port is ignored.
///
/// Returns 0, or
///   MNET_EINVAL          NULL, no address, or no such interface
///   MNET_EADDRNOTAVAIL   the interface has no such address that the program gave
///   MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_remove_address(
    stack: mnet_stack,
    interface: u32,
    addr: *const mnet_addr,
) -> c_int {
    let remove = || {
        // SAFETY: as the header says: NULL, or an address.
        let address = unsafe { address::read(addr) }?.ip();
        registry::with_stack(stack, |opened| {
            let interface = opened.interface_of(interface)?;
            let now = opened.runtime.now();
            let stack = opened.runtime.stack_mut();
            Ok(stack.remove_address(now, interface, address)?)
        })
    };
    status(remove())
}

/// Looks for an IPv4 address of 169.254/16, which only hosts on the same link can reach (RFC 3927),
/// or ends that. It is usable after 4 to 7 s; when somebody else insists on it, another one is tried.
///
/// - interface: counted from 1; 0: the first.
/// - enable: not 0: look for one; 0: give it up.
///
/// Returns 0, or
///   MNET_EINVAL          no such interface, or it looks for one already
///   MNET_EADDRNOTAVAIL   there is none to be given up
///   MNET_ELIMIT          there are 8 addresses, or 64 routes
///   MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_link_local(stack: mnet_stack, interface: u32, enable: c_int) -> c_int {
    status(registry::with_stack(stack, |opened| {
        let interface = opened.interface_of(interface)?;
        let now = opened.runtime.now();
        let stack = opened.runtime.stack_mut();
        match enable {
            0 => stack.disable_link_local(now, interface)?,
            _ => stack.enable_link_local(now, interface)?,
        }
        Ok(())
    }))
}

/// The addresses of an interface, one for each index from 0 on: IPv4 first, then IPv6. Also those that
/// are not usable yet, and those that turned out to be somebody else's. They come and go, so indices
/// change with time.
///
/// - interface: counted from 1; 0: the first.
/// - info: receives the address and what is known of it.
/// - size: sizeof (struct mnet_address_info). A shorter structure of an older version is filled as
///   far as it goes; members that this version does not know become 0.
///
/// Returns 1, or 0 if there are not so many (nothing is written), or MNET_EINVAL (info is NULL, or no
/// such interface), MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_address(
    stack: mnet_stack,
    interface: u32,
    index: usize,
    info: *mut mnet_address_info,
    size: usize,
) -> c_int {
    let read = || {
        if info.is_null() || size > 1 << 16 {
            return Err(Error::INVALID);
        }
        let found = registry::with_stack(stack, |opened| {
            let interface = opened.interface_of(interface)?;
            let mut all = opened.runtime.stack().address_list(interface);
            Ok(all.nth(index).map(|found| (found, interface)))
        })?;
        let Some((found, interface)) = found else {
            return Ok(0);
        };
        // SAFETY: as the header says: `size` bytes that may be written.
        unsafe { pointer::write_sized(info, size, &told(&found, interface)) }?;
        Ok(1)
    };
    read().unwrap_or_else(|error: Error| error.code())
}

fn told(info: &AddressInfo, interface: InterfaceId) -> mnet_address_info {
    let left = |time: Option<Duration>| {
        let nanos = time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        nanos.unwrap_or(u64::MAX)
    };
    let mut address = mnet_addr::new(SocketAddr::new(info.address, 0));
    if address.needs_zone() {
        address.zone = number(interface);
    }
    mnet_address_info {
        address,
        prefix_len: u32::from(info.prefix_len),
        interface: number(interface),
        state: match info.state {
            AddressState::Tentative => MNET_ADDRESS_TENTATIVE,
            AddressState::Usable => MNET_ADDRESS_USABLE,
            AddressState::Deprecated => MNET_ADDRESS_DEPRECATED,
            AddressState::Duplicate => MNET_ADDRESS_DUPLICATE,
        },
        origin: match info.origin {
            AddressOrigin::Static => MNET_ORIGIN_STATIC,
            AddressOrigin::Dhcp => MNET_ORIGIN_DHCPV4,
            AddressOrigin::Router => MNET_ORIGIN_ROUTER,
            AddressOrigin::LinkLocal => MNET_ORIGIN_LINK_LOCAL,
            AddressOrigin::Temporary => MNET_ORIGIN_TEMPORARY,
        },
        preferred_ns: left(info.preferred),
        valid_ns: left(info.valid),
    }
}

/// Waits until something has changed in the network, and says on which interfaces: look there what is
/// true now, with mnet_address() and mnet_dns_server(). Each change is told once. mnet_events() and
/// mnet_poll() tell a program that waits there when to call it, with timeout 0: see MNET_NETWORK.
///
/// - events, max: where the events go, and room for how many (at least 1). Events that find no room
///   wait for the next call.
/// - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
///
/// Returns the number of events; 0 when the time is over; or
///   MNET_EINVAL   events is NULL or max is 0
///   MNET_EBADF    no such stack
///   MNET_EBUSY
/// Sends what is queued and takes in what has arrived, also with timeout 0. BLOCKS for as long as
/// said; a manual stack never does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_network_events(
    stack: mnet_stack,
    events: *mut mnet_network_event,
    max: usize,
    timeout_ns: i64,
) -> i64 {
    let wait_for_events = || {
        let len = pointer::array_len::<mnet_network_event>(max)?;
        // SAFETY: as the header says: NULL, or room for `max` events.
        let bytes = unsafe { pointer::output(events.cast(), len) }?;
        if max == 0 {
            return Err(Error::INVALID);
        }
        let first = bytes.as_mut_ptr().cast::<mnet_network_event>();
        let count = wait::wait(stack, timeout_ns, |runtime, _| {
            let mut count = 0;
            while count < max
                && let Some(event) = runtime.stack_mut().poll_network_event()
            {
                let event = mnet_network_event {
                    interface: number(event.interface),
                    changes: changes(event.changes),
                };
                // SAFETY: `pointer::output` has checked the array, `count` is below its length,
                // and the caller vouches for it.
                unsafe { first.add(count).write_unaligned(event) };
                count += 1;
            }
            (count > 0).then_some(count)
        })?;
        Ok(length(count.unwrap_or(0)))
    };
    value(wait_for_events())
}

fn changes(changes: NetworkChanges) -> u32 {
    [
        (NetworkChanges::ADDRESS_USABLE, MNET_CHANGE_ADDRESS_USABLE),
        (NetworkChanges::ADDRESS_GONE, MNET_CHANGE_ADDRESS_GONE),
        (
            NetworkChanges::ADDRESS_CONFLICT,
            MNET_CHANGE_ADDRESS_CONFLICT,
        ),
        (NetworkChanges::DEFAULT_ROUTE, MNET_CHANGE_DEFAULT_ROUTE),
        (NetworkChanges::DNS, MNET_CHANGE_DNS),
        (NetworkChanges::LEASE, MNET_CHANGE_LEASE),
    ]
    .into_iter()
    .filter_map(|(flag, bit)| changes.contains(flag).then_some(bit))
    .sum()
}

/// Waits until an interface has a usable address that others than its neighbours can reach: not a
/// link-local one. For programs that get theirs from DHCP or from a router.
///
/// - interface: counted from 1; 0: the first.
/// - family: MNET_AF_INET, MNET_AF_INET6, or MNET_AF_NONE for either.
/// - timeout_ns: how long, in nanoseconds; 0: do not wait; negative: for ever.
/// - addr: receives the address, with port 0. NULL: not asked for.
///
/// Returns 1, or 0 when the time is over (nothing is written), or
///   MNET_EINVAL         no such interface
///   MNET_EAFNOSUPPORT   another family
///   MNET_EBADF, MNET_EBUSY
/// BLOCKS for as long as said; a manual stack never does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_wait_address(
    stack: mnet_stack,
    interface: u32,
    family: u16,
    timeout_ns: i64,
    addr: *mut mnet_addr,
) -> c_int {
    let wait_for_address = || {
        // SAFETY: as the header says: NULL, or a place for an address.
        let out = unsafe { Out::optional(addr) }?;
        if ![MNET_AF_NONE, MNET_AF_INET, MNET_AF_INET6].contains(&family) {
            return Err(Error::FAMILY);
        }
        let id = registry::with_stack(stack, |opened| opened.interface_of(interface))?;
        let found = wait::wait(stack, timeout_ns, |runtime, _| {
            usable(runtime.stack(), id, family)
        })?;
        let Some(found) = found else {
            return Ok(0);
        };
        out.write(found.address);
        Ok(1)
    };
    wait_for_address().unwrap_or_else(|error: Error| error.code())
}

/// The first usable address of a family that is not for the link only.
fn usable(stack: &Stack, interface: InterfaceId, family: u16) -> Option<mnet_address_info> {
    let all = stack.address_list(interface).map(|a| told(&a, interface));
    let mut usable = all
        .filter(|info| info.state == MNET_ADDRESS_USABLE && info.origin != MNET_ORIGIN_LINK_LOCAL);
    usable.find(|info| [MNET_AF_NONE, info.address.family].contains(&family))
}
