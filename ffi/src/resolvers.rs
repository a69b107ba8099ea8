//! DNS servers and search domains: what is known of name service, and from whom.

use core::ffi::{c_char, c_int};
use core::net::SocketAddr;

use mnet::mnet_core::{Instant, ResolverOrigin};

use crate::address;
use crate::error::{Error, length, status, value};
use crate::pointer::{self, Out};
use crate::registry;
use crate::types::{mnet_addr, mnet_stack};

/// Who has named a DNS server or a search domain: the program, by mnet_add_dns_server().
pub const MNET_ORIGIN_STATIC: u32 = 1;
/// Who has named it: a DHCPv4 server (RFC 2132 section 3.8).
pub const MNET_ORIGIN_DHCPV4: u32 = 2;
/// Who has named it: a DHCPv6 server (RFC 3646).
pub const MNET_ORIGIN_DHCPV6: u32 = 3;
/// Who has named it: a router of the link (RFC 8106).
pub const MNET_ORIGIN_ROUTER: u32 = 4;

fn number(origin: ResolverOrigin) -> u32 {
    match origin {
        ResolverOrigin::Static => MNET_ORIGIN_STATIC,
        ResolverOrigin::Dhcpv4 => MNET_ORIGIN_DHCPV4,
        ResolverOrigin::Dhcpv6 => MNET_ORIGIN_DHCPV6,
        ResolverOrigin::Router => MNET_ORIGIN_ROUTER,
    }
}

/// Nanoseconds that are left; `u64::MAX` for ever.
fn remaining(until: Instant, now: Instant) -> u64 {
    if until == Instant::FAR_FUTURE {
        return u64::MAX;
    }
    until.as_nanos().saturating_sub(now.as_nanos())
}

/// Names a DNS server. It comes before those that DHCP and routers name, and stays. The stack itself
/// resolves no names: this is for what reads mnet_dns_server().
///
/// - interface: counted from 1; 0: the first.
/// - server: the address; its port is ignored.
///
/// Returns 0, or
///   MNET_EINVAL          NULL, no address, or no such interface
///   MNET_EADDRNOTAVAIL   not an address that a host can have
///   MNET_ELIMIT          there are 4 on this interface
///   MNET_EAFNOSUPPORT, MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_add_dns_server(
    stack: mnet_stack,
    interface: u32,
    server: *const mnet_addr,
) -> c_int {
    let add = || {
        // SAFETY: as the header says: NULL, or an address.
        let server = unsafe { address::read(server) }?;
        registry::with_stack(stack, |opened| {
            let interface = opened.interface_of(interface)?;
            let stack = opened.runtime.stack_mut();
            Ok(stack.add_dns_server(interface, server.ip())?)
        })
    };
    status(add())
}

/// Forgets the servers that mnet_add_dns_server() has named on an interface.
///
/// - interface: counted from 1; 0: the first.
///
/// Returns 0, or MNET_EINVAL (no such interface), MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub extern "C" fn mnet_clear_dns_servers(stack: mnet_stack, interface: u32) -> c_int {
    status(registry::with_stack(stack, |opened| {
        let interface = opened.interface_of(interface)?;
        Ok(opened.runtime.stack_mut().clear_dns_servers(interface)?)
    }))
}

/// The DNS servers that are known, one for each index from 0 on, the one to ask first at 0: those of
/// mnet_add_dns_server(), then of DHCP, then of router advertisements (RFC 8106 section 5.3.1), at
/// most 4 of each. They come and go, so indices change with time.
///
/// - interface: counted from 1; 0: the first.
/// - server: receives the address, with port 0; a link-local one with its zone.
/// - origin: receives MNET_ORIGIN_*: who has named it. NULL: not asked for.
/// - lifetime_ns: receives for how long that holds from now on, in nanoseconds; UINT64_MAX: for ever.
///   NULL: not asked for.
///
/// Returns 1, or 0 if there are not so many (nothing is written), or MNET_EINVAL (server is NULL, or
/// no such interface), MNET_EBADF, MNET_EBUSY. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_dns_server(
    stack: mnet_stack,
    interface: u32,
    index: usize,
    server: *mut mnet_addr,
    origin: *mut u32,
    lifetime_ns: *mut u64,
) -> c_int {
    let read = || {
        // SAFETY: as the header says: NULL, or a place for an address.
        let out_server = unsafe { Out::required(server) }?;
        // SAFETY: as the header says: NULL, or a place for a number.
        let out_origin = unsafe { Out::optional(origin) }?;
        // SAFETY: as the header says: NULL, or a place for a number.
        let out_lifetime = unsafe { Out::optional(lifetime_ns) }?;
        let found = registry::with_stack(stack, |opened| {
            let interface = opened.interface_of(interface)?;
            let now = opened.runtime.now();
            let found = opened.runtime.stack().dns_servers(interface).nth(index);
            Ok(found.map(|found| (found, interface, now)))
        })?;
        let Some((found, interface, now)) = found else {
            return Ok(0);
        };
        let mut address = mnet_addr::new(SocketAddr::new(found.address, 0));
        if address.needs_zone() {
            address.zone = u32::try_from(interface.index() + 1).unwrap_or(0);
        }
        out_server.write(address);
        out_origin.write(number(found.origin));
        out_lifetime.write(remaining(found.until, now));
        Ok(1)
    };
    read().unwrap_or_else(|error: Error| error.code())
}

/// The search domains that are known, one for each index from 0 on: in which to look up names that
/// are not complete, in this order. At most 3 of each origin. They come and go, so indices change
/// with time.
///
/// - interface: counted from 1; 0: the first.
/// - buf, len: where the name goes, without a dot at its end, and a NUL; 254 bytes are enough for
///   every name.
/// - origin: receives MNET_ORIGIN_*: who has named it. NULL: not asked for.
/// - lifetime_ns: receives for how long that holds from now on, in nanoseconds; UINT64_MAX: for ever.
///   NULL: not asked for.
///
/// Returns the length of the name without the NUL, at least 1; 0 if there are not so many (nothing is
/// written); or
///   MNET_EINVAL     NULL, or no such interface
///   MNET_EMSGSIZE   the name does not fit; nothing was written
///   MNET_EBADF, MNET_EBUSY
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_search_domain(
    stack: mnet_stack,
    interface: u32,
    index: usize,
    buf: *mut c_char,
    len: usize,
    origin: *mut u32,
    lifetime_ns: *mut u64,
) -> i64 {
    let read = || {
        if buf.is_null() {
            return Err(Error::INVALID);
        }
        // SAFETY: as the header says: NULL, or `len` bytes that may be written.
        let place = unsafe { pointer::output(buf.cast(), len) }?;
        // SAFETY: as the header says: NULL, or a place for a number.
        let out_origin = unsafe { Out::optional(origin) }?;
        // SAFETY: as the header says: NULL, or a place for a number.
        let out_lifetime = unsafe { Out::optional(lifetime_ns) }?;
        registry::with_stack(stack, |opened| {
            let interface = opened.interface_of(interface)?;
            let now = opened.runtime.now();
            let Some(found) = opened.runtime.stack().search_domains(interface).nth(index) else {
                return Ok(0);
            };
            address::write_text(place, found.name.as_bytes())?;
            out_origin.write(number(found.origin));
            out_lifetime.write(remaining(found.until, now));
            Ok(length(found.name.len()))
        })
    };
    value(read())
}
