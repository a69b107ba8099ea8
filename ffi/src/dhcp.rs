//! The DHCPv4 client: addresses that a server of the network lends.
//!
//! The names are C's, as the header has them.
#![allow(non_camel_case_types)]

use alloc::boxed::Box;
use core::ffi::{c_char, c_int, c_void};
use core::mem::offset_of;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::str;
use core::time::Duration;

use mnet::Instant;
use mnet::mnet_core::address::Probing;
use mnet::mnet_core::device::InterfaceId;
use mnet::mnet_core::dhcp::{ClientId, DhcpConfig, Lease};

use crate::error::{Error, status};
use crate::pointer::{self, Out};
use crate::registry::{self, Opened};
use crate::types::{mnet_addr, mnet_stack};

/// mnet_dhcp.flags: use the address at once, without asking the link whether somebody has it. By
/// default it is asked for three times within 0.4 s, and declined if somebody answers.
pub const MNET_DHCP_NO_PROBE: u32 = 1;
/// mnet_dhcp.flags: ask the link as slowly as RFC 5227 section 1.1 has it: 4 to 7 s.
pub const MNET_DHCP_PROBE_FULL: u32 = 2;
/// mnet_dhcp.flags: adopt the MTU that the server names, if it is at least 576 and no larger than the
/// device's.
pub const MNET_DHCP_ADOPT_MTU: u32 = 4;
/// mnet_dhcp.flags: have a link-local address (RFC 3927) while no server has answered for 10 s.
pub const MNET_DHCP_LINK_LOCAL: u32 = 8;
/// mnet_dhcp.flags: be known by the identifier of RFC 4361 instead of by the Ethernet address.
pub const MNET_DHCP_NODE_ID: u32 = 16;

/// What a DHCP server lends.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct mnet_dhcp_lease {
    /// The address, with port 0.
    pub address: mnet_addr,
    /// The server, with port 0.
    pub server: mnet_addr,
    /// The first router that the server names, with port 0; MNET_AF_NONE: none.
    pub gateway: mnet_addr,
    /// The length of the network's prefix in bits.
    pub prefix_len: u32,
    /// The interface, counted from 1.
    pub interface: u32,
    /// The MTU that the server names; 0: none.
    pub mtu: u32,
    /// 0.
    pub reserved: u32,
    /// How long it is lent, in nanoseconds; UINT64_MAX: for ever.
    pub duration_ns: u64,
    /// From now on until the server is asked to renew it, in nanoseconds; UINT64_MAX: never.
    pub renew_ns: u64,
    /// From now on until it ends, in nanoseconds; UINT64_MAX: never.
    pub valid_ns: u64,
}

/// Decides about a lease: 0: no, look for another; otherwise it is taken.
///
/// - context: as given in struct mnet_dhcp.
/// - offered: what is offered; for the call only.
/// - previous: the lease that the interface has; NULL: none.
///
/// It is called while the stack waits, polls or steps, by the thread that does so, and must not call
/// functions on the same stack: they answer MNET_EBUSY.
pub type mnet_dhcp_accept = Option<
    unsafe extern "C" fn(
        context: *mut c_void,
        offered: *const mnet_dhcp_lease,
        previous: *const mnet_dhcp_lease,
    ) -> c_int,
>;

/// How to ask a DHCP server. Fill it with mnet_dhcp_default(), change what is to be different, and
/// pass it to mnet_dhcp_start(), which copies it, with what it points to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mnet_dhcp {
    /// sizeof (struct mnet_dhcp) as the caller knows it. Set by mnet_dhcp_default().
    pub size: usize,
    /// The host's name, for the server to know. NULL (the default): none.
    pub hostname: *const c_char,
    /// Bytes of the name, at most 63; no NUL is needed.
    pub hostname_len: usize,
    /// Who the client is: the bytes of the option (RFC 2132 section 9.14), the first a type. NULL (the
    /// default): the Ethernet address.
    pub client_id: *const u8,
    /// Bytes of the identifier: 2 to 64, or 0 with client_id NULL.
    pub client_id_len: usize,
    /// Options to ask for, beside mask, routers, routes, DNS, domains, NTP, MTU and the times. NULL
    /// (the default): no others.
    pub requests: *const u8,
    /// How many there are, at most 32.
    pub requests_len: usize,
    /// An address of an earlier run: the server is asked whether it still holds; the port is ignored.
    /// MNET_AF_NONE (the default): none.
    pub previous: mnet_addr,
    /// MNET_DHCP_* combined. Default 0.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
    /// Asked about each new lease, but not about renewals. NULL (the default): each is taken.
    pub accept: mnet_dhcp_accept,
    /// Passed to it.
    pub context: *mut c_void,
}

/// Bytes of the first version of the structure.
const FIRST_SIZE: usize = offset_of!(mnet_dhcp, context) + size_of::<*mut c_void>();

/// Fills the structure with the defaults: the client is known by its Ethernet address, takes what the
/// server lends, and makes sure that nobody on the link has it.
///
/// - dhcp: the structure to fill.
/// - size: sizeof (struct mnet_dhcp), so that the library knows how old the caller is.
///
/// Returns 0, or MNET_EINVAL: dhcp is NULL, or size is not that of any version. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_dhcp_default(dhcp: *mut mnet_dhcp, size: usize) -> c_int {
    let fill = || {
        if !(FIRST_SIZE..=1 << 16).contains(&size) {
            return Err(Error::INVALID);
        }
        // SAFETY: as the header says: NULL, or `size` bytes that may be written.
        unsafe { pointer::write_sized(dhcp, size, &defaults(size)) }
    };
    status(fill())
}

/// What a client takes of the arena, generously.
const MEMORY: usize = 10 << 10;

pub(crate) fn defaults(size: usize) -> mnet_dhcp {
    mnet_dhcp {
        size,
        hostname: core::ptr::null(),
        hostname_len: 0,
        client_id: core::ptr::null(),
        client_id_len: 0,
        requests: core::ptr::null(),
        requests_len: 0,
        previous: mnet_addr::default(),
        flags: 0,
        reserved: 0,
        accept: None,
        context: core::ptr::null_mut(),
    }
}

/// Starts a DHCPv4 client on an interface (RFC 2131). The address that it is lent is ours as long as
/// the lease is renewed, with the server's routes and DNS servers; mnet_wait_address() waits for it,
/// and mnet_network_events() tells what changes. Sockets on "0.0.0.0" may be opened at once. Routes
/// that the program gives go first. Takes a few KiB of the arena.
///
/// - interface: counted from 1; 0: the first.
/// - dhcp: see struct mnet_dhcp; NULL: the defaults. Copied.
///
/// Returns 0, or
///   MNET_EINVAL         a member out of range, an unknown flag, no such interface, or it has a client
///                       already
///   MNET_ENOMEM         the arena has no 10 KiB left
///   MNET_EAFNOSUPPORT   the previous address is not IPv4
///   MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_dhcp_start(
    stack: mnet_stack,
    interface: u32,
    dhcp: *const mnet_dhcp,
) -> c_int {
    let start = || {
        let given = if dhcp.is_null() {
            defaults(size_of::<mnet_dhcp>())
        } else {
            // SAFETY: as the header says: a structure of the size in its first member. Its members
            // are integers and pointers, and every bit pattern but 0 is some function.
            unsafe { pointer::read_sized(dhcp, FIRST_SIZE) }?
        };
        // SAFETY: as the header says: what it points to exists.
        let config = unsafe { config(&given) }?;
        registry::with_arena(stack, MEMORY, |opened| {
            let id = opened.interface_of(interface)?;
            let now = opened.runtime.now();
            opened.runtime.stack_mut().dhcp_start(now, id, config)?;
            let Some(accept) = given.accept else {
                return Ok(());
            };
            let context = given.context;
            opened.runtime.set_lease_policy(
                id,
                Box::new(move |now, offered: &Lease, previous: Option<&Lease>| {
                    let offered = told(offered, id, now);
                    let previous = previous.map(|lease| told(lease, id, now));
                    let previous = previous.as_ref().map_or(core::ptr::null(), |p| p);
                    // SAFETY: a function of the caller's, with the context that belongs to it.
                    unsafe { accept(context, &raw const offered, previous) != 0 }
                }),
            );
            Ok(())
        })
    };
    status(start())
}

/// # Safety
/// What the structure points to exists.
unsafe fn config(given: &mnet_dhcp) -> Result<DhcpConfig, Error> {
    const FLAGS: u32 = MNET_DHCP_NO_PROBE
        | MNET_DHCP_PROBE_FULL
        | MNET_DHCP_ADOPT_MTU
        | MNET_DHCP_LINK_LOCAL
        | MNET_DHCP_NODE_ID;
    let has = |flag: u32| given.flags & flag != 0;
    let probing = match (has(MNET_DHCP_NO_PROBE), has(MNET_DHCP_PROBE_FULL)) {
        (false, false) => Probing::Brief,
        (true, false) => Probing::Off,
        (false, true) => Probing::Full,
        (true, true) => return Err(Error::INVALID),
    };
    if given.flags & !FLAGS != 0 || given.reserved != 0 {
        return Err(Error::INVALID);
    }
    // SAFETY: the caller vouches for the name.
    let hostname = unsafe { pointer::input(given.hostname.cast(), given.hostname_len) }?;
    let hostname = str::from_utf8(hostname).map_err(|_| Error::INVALID)?;
    let hostname = match hostname {
        "" => None,
        name => Some(name.try_into().map_err(|_| Error::INVALID)?),
    };
    // SAFETY: the caller vouches for the identifier.
    let client_id = unsafe { pointer::input(given.client_id.cast(), given.client_id_len) }?;
    let client_id = match (client_id.len(), has(MNET_DHCP_NODE_ID)) {
        (0, false) => ClientId::Hardware,
        (0, true) => ClientId::Node,
        (2.., false) => {
            let bytes = client_id.try_into().map_err(|_| Error::INVALID)?;
            ClientId::Given(bytes)
        }
        _ => return Err(Error::INVALID),
    };
    // SAFETY: the caller vouches for the list.
    let requests = unsafe { pointer::input(given.requests.cast(), given.requests_len) }?;
    let requests = requests.try_into().map_err(|_| Error::INVALID)?;
    let previous = match given.previous.optional()? {
        None => None,
        Some(SocketAddr::V4(address)) => Some(*address.ip()),
        Some(SocketAddr::V6(_)) => return Err(Error::FAMILY),
    };
    Ok(DhcpConfig {
        client_id,
        hostname,
        requests,
        previous,
        probing,
        ask: given.accept.is_some(),
        adopt_mtu: has(MNET_DHCP_ADOPT_MTU),
        link_local: has(MNET_DHCP_LINK_LOCAL),
    })
}

fn told(lease: &Lease, interface: InterfaceId, now: Instant) -> mnet_dhcp_lease {
    let address = |address: Ipv4Addr| mnet_addr::new(SocketAddr::new(IpAddr::V4(address), 0));
    let left = |until: Instant| match until {
        Instant::FAR_FUTURE => u64::MAX,
        until => until.as_nanos().saturating_sub(now.as_nanos()),
    };
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    mnet_dhcp_lease {
        address: address(lease.address),
        server: address(lease.server),
        gateway: lease.routers().next().map(address).unwrap_or_default(),
        prefix_len: u32::from(lease.prefix_len),
        interface: u32::try_from(interface.index() + 1).unwrap_or(0),
        mtu: lease.mtu().map_or(0, u32::from),
        reserved: 0,
        duration_ns: lease.duration.map_or(u64::MAX, nanos),
        renew_ns: left(lease.renew_at),
        valid_ns: left(lease.expires_at),
    }
}

/// Ends the DHCP client of an interface; its address goes, and connections of it end with
/// MNET_EADDRGONE.
///
/// - interface: counted from 1; 0: the first.
/// - release: not 0: tell the server that it may lend the address to others. With 0 it stays set
///   aside, and the same client gets it again.
///
/// Returns 0, or MNET_EINVAL (no such interface, or it has no client), MNET_EBADF, MNET_EBUSY. Sends
/// the message at once, unless the stack is manual. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_dhcp_stop(stack: mnet_stack, interface: u32, release: c_int) -> c_int {
    status(registry::with_stack(stack, |opened| {
        let interface = opened.interface_of(interface)?;
        let now = opened.runtime.now();
        let stack = opened.runtime.stack_mut();
        stack.dhcp_stop(now, interface, release != 0)?;
        if !opened.manual {
            opened.runtime.flush();
        }
        Ok(())
    }))
}

/// The lease of an interface.
///
/// - interface: counted from 1; 0: the first.
/// - lease: receives it.
/// - size: sizeof (struct mnet_dhcp_lease). A shorter structure of an older version is filled as far
///   as it goes; members that this version does not know become 0.
///
/// Returns 1, or 0 if there is none (nothing is written), or MNET_EINVAL (lease is NULL, or no such
/// interface), MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_dhcp_lease(
    stack: mnet_stack,
    interface: u32,
    lease: *mut mnet_dhcp_lease,
    size: usize,
) -> c_int {
    let read = || {
        if lease.is_null() || size > 1 << 16 {
            return Err(Error::INVALID);
        }
        let found = with_lease(stack, interface, |lease, id, now| Ok(told(lease, id, now)))?;
        let Some(found) = found else {
            return Ok(0);
        };
        // SAFETY: as the header says: `size` bytes that may be written.
        unsafe { pointer::write_sized(lease, size, &found) }?;
        Ok(1)
    };
    read().unwrap_or_else(|error: Error| error.code())
}

/// An option that the server has sent with the lease, as it lies in the message (RFC 2132); parts of a
/// long one joined (RFC 3396).
///
/// - interface: counted from 1; 0: the first.
/// - tag: which option, 1 to 254.
/// - buf, len: where its bytes go.
/// - option_len: receives how many there are.
///
/// Returns 1, or 0 if there is no lease, or no such option in it (nothing is written), or
///   MNET_EINVAL     NULL, or no such interface
///   MNET_EMSGSIZE   it does not fit; nothing was written
///   MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_dhcp_option(
    stack: mnet_stack,
    interface: u32,
    tag: u8,
    buf: *mut c_void,
    len: usize,
    option_len: *mut usize,
) -> c_int {
    let read = || {
        // SAFETY: as the header says: NULL, or `len` bytes that may be written.
        let buffer = unsafe { pointer::output(buf, len) }?;
        // SAFETY: as the header says: NULL, or a place for a number.
        let out = unsafe { Out::required(option_len) }?;
        let found = with_lease(stack, interface, |lease, _, _| {
            match lease.option(tag, &mut []) {
                Some(needed) if needed > buffer.len() => Err(Error::TOO_LONG),
                _ => Ok(lease.option(tag, buffer)),
            }
        })?;
        let Some(Some(found)) = found else {
            return Ok(0);
        };
        out.write(found);
        Ok(1)
    };
    read().unwrap_or_else(|error: Error| error.code())
}

/// Does something with the lease of an interface, if it has one.
fn with_lease<T>(
    stack: mnet_stack,
    interface: u32,
    action: impl FnOnce(&Lease, InterfaceId, Instant) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    registry::with_stack(stack, |opened: &mut Opened| {
        let interface = opened.interface_of(interface)?;
        let now = opened.runtime.now();
        let lease = opened.runtime.stack().dhcp_lease(interface);
        lease.map(|lease| action(lease, interface, now)).transpose()
    })
}
