//! The routes of a stack.
//!
//! The names are C's, as the header has them.
#![allow(non_camel_case_types)]

use core::ffi::c_int;
use core::mem::offset_of;
use core::net::SocketAddr;

use mnet::mnet_core::route::{NextHop, RouteEntry};

use crate::error::{Error, status};
use crate::interfaces::number_of;
use crate::pointer;
use crate::registry::{self, Opened};
use crate::types::{MNET_NEVER, mnet_addr, mnet_stack};

/// mnet_route.flags: packets that match it are not sent. Calls are refused with MNET_ENETUNREACH.
pub const MNET_ROUTE_UNREACHABLE: u32 = 1;
/// mnet_route.flags, of a list only: a router tells of it (RFC 4861, RFC 4191).
pub const MNET_ROUTE_ADVERTISED: u32 = 2;
/// mnet_route.flags, of a list only: the gateway did not answer when it was asked for last. Other ways
/// go first.
pub const MNET_ROUTE_SILENT: u32 = 4;

/// A route. Set all members to 0, size to sizeof (struct mnet_route), and then what is wanted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mnet_route {
    /// sizeof (struct mnet_route) as the caller knows it.
    pub size: usize,
    /// The first of the addresses that it leads to: 0.0.0.0 or :: with prefix_len 0 for a default
    /// route. The port is ignored.
    pub destination: mnet_addr,
    /// The router, a neighbour on the interface, of the same family; its port is ignored.
    /// MNET_AF_NONE: the destinations are neighbours themselves.
    pub gateway: mnet_addr,
    /// Bits that all destinations share: 0 to 32, or 0 to 128.
    pub prefix_len: u32,
    /// The interface, counted from 1; 0: the first. Ignored with MNET_ROUTE_UNREACHABLE.
    pub interface: u32,
    /// Among routes to the same destinations the least goes first, as long as its gateway answers.
    pub metric: u32,
    /// MNET_ROUTE_UNREACHABLE, or 0.
    pub flags: u32,
    /// In a list: when a route of MNET_ROUTE_ADVERTISED ends, MNET_NEVER for others. Otherwise 0.
    pub expires: u64,
}

/// Bytes of the first version of the structure.
const FIRST_SIZE: usize = offset_of!(mnet_route, expires) + size_of::<u64>();

/// Adds a route. The longest prefix wins; among routes to the same destinations a gateway that
/// answers goes before one that does not (which is asked again every minute), then what is added here
/// before what routers advertise, then the least metric. A route to the same destinations over the
/// same interface with the same metric is replaced.
///
/// Packets from an address of ours take the routes of the interface that has it, if one of these
/// leads to their destination, and any other if not (RFC 1122 section 3.3.4.2): with a default route
/// on each of two interfaces, who has come in by one of them is answered by it.
///
/// - route: see struct mnet_route. Copied.
///
/// Returns 0, or
///   MNET_EINVAL          NULL, no such interface, an unknown flag, expires not 0
///   MNET_EADDRNOTAVAIL   two families, a prefix longer than an address, or one that leaves out bits
///                        of the destination
///   MNET_EGATEWAY        the gateway is no neighbour on the interface, or is ourselves
///   MNET_EAFNOSUPPORT    no destination; or IPv6, which the interface does not speak
///   MNET_ELIMIT          64 routes are there, those to the networks of our addresses included
///   MNET_EBADF, MNET_EBUSY
/// On an error nothing has changed. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_add_route(stack: mnet_stack, route: *const mnet_route) -> c_int {
    let add = || {
        // SAFETY: as the header says: NULL, or a structure of the size in its first member.
        let given = unsafe { Given::read(route) }?;
        registry::with_stack(stack, |opened| {
            let next_hop = given.next_hop(opened)?;
            let stack = opened.runtime.stack_mut();
            let destination = given.destination.ip();
            Ok(stack.add_route_with(destination, given.prefix_len, next_hop, given.metric)?)
        })
    };
    status(add())
}

/// Removes a route that mnet_add_route() has added, or the configuration.
///
/// - route: as it was added; metric is ignored.
///
/// Returns 0, or
///   MNET_ENETUNREACH   there is no such route
///   MNET_EINVAL, MNET_EADDRNOTAVAIL, MNET_EAFNOSUPPORT as for mnet_add_route()
///   MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_remove_route(stack: mnet_stack, route: *const mnet_route) -> c_int {
    let remove = || {
        // SAFETY: as the header says: NULL, or a structure of the size in its first member.
        let given = unsafe { Given::read(route) }?;
        registry::with_stack(stack, |opened| {
            let next_hop = given.next_hop(opened)?;
            let stack = opened.runtime.stack_mut();
            Ok(stack.remove_route_by(given.destination.ip(), given.prefix_len, next_hop)?)
        })
    };
    status(remove())
}

/// The routes that there are now, one for each index from 0 on, best first: those that were added,
/// those to the networks of our addresses, and those that routers advertise. These come and go, so
/// indices change with time.
///
/// - route: receives it.
/// - size: sizeof (struct mnet_route). A shorter structure of an older version is filled as far as it
///   goes; members that this version does not know become 0.
///
/// Returns 1, or 0 if there are not so many (nothing is written), or MNET_EINVAL (NULL), MNET_EBADF,
/// MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_route_list(
    stack: mnet_stack,
    index: usize,
    route: *mut mnet_route,
    size: usize,
) -> c_int {
    let read = || {
        if route.is_null() || size > 1 << 16 {
            return Err(Error::INVALID);
        }
        let found = registry::with_stack(stack, |opened| {
            Ok(opened.runtime.stack().routes().nth(index))
        })?;
        let Some(found) = found else {
            return Ok(0);
        };
        // SAFETY: as the header says: `size` bytes that may be written.
        unsafe { pointer::write_sized(route, size, &listed(size, &found)) }?;
        Ok(1)
    };
    read().unwrap_or_else(Error::code)
}

/// A route as C has it.
fn listed(size: usize, route: &RouteEntry) -> mnet_route {
    let (interface, gateway) = match route.next_hop {
        NextHop::Gateway { interface, address } => (number_of(interface), Some(address)),
        NextHop::OnLink { interface } => (number_of(interface), None),
        NextHop::Unreachable => (0, None),
    };
    let gateway = gateway.map_or(mnet_addr::default(), |address| {
        let mut address = mnet_addr::new(SocketAddr::new(address, 0));
        if address.needs_zone() {
            address.zone = interface;
        }
        address
    });
    let flag = |set: bool, flag: u32| if set { flag } else { 0 };
    mnet_route {
        size,
        destination: mnet_addr::new(SocketAddr::new(route.destination, 0)),
        gateway,
        prefix_len: route.prefix_len.into(),
        interface,
        metric: route.metric,
        flags: flag(
            route.next_hop == NextHop::Unreachable,
            MNET_ROUTE_UNREACHABLE,
        ) | flag(route.expires.is_some(), MNET_ROUTE_ADVERTISED)
            | flag(!route.answers, MNET_ROUTE_SILENT),
        expires: route.expires.map_or(MNET_NEVER, |at| at.as_nanos()),
    }
}

/// What a caller has given, checked.
struct Given {
    destination: SocketAddr,
    gateway: Option<SocketAddr>,
    prefix_len: u8,
    interface: u32,
    metric: u32,
    unreachable: bool,
}

impl Given {
    /// # Safety
    /// `route` is NULL, or points to as many bytes as the structure's size says.
    unsafe fn read(route: *const mnet_route) -> Result<Self, Error> {
        // SAFETY: the caller's promise is the one asked for; members are integers, so every bit
        // pattern is a value.
        let given = unsafe { pointer::read_sized(route, FIRST_SIZE) }?;
        let unreachable = given.flags == MNET_ROUTE_UNREACHABLE;
        let gateway = given.gateway.optional()?;
        let known = given.flags & !MNET_ROUTE_UNREACHABLE == 0 && given.expires == 0;
        if !known || (unreachable && gateway.is_some()) {
            return Err(Error::INVALID);
        }
        Ok(Self {
            destination: given.destination.optional()?.ok_or(Error::FAMILY)?,
            gateway,
            prefix_len: u8::try_from(given.prefix_len).map_err(|_| Error::ADDRESS)?,
            interface: given.interface,
            metric: given.metric,
            unreachable,
        })
    }

    fn next_hop(&self, opened: &Opened) -> Result<NextHop, Error> {
        if self.unreachable {
            return Ok(NextHop::Unreachable);
        }
        let interface = opened.interface_of(self.interface)?;
        Ok(match self.gateway {
            None => NextHop::OnLink { interface },
            Some(gateway) => NextHop::Gateway {
                interface,
                address: gateway.ip(),
            },
        })
    }
}
