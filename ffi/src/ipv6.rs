//! IPv6: letting a stack speak it, and the addresses that it has then.
//!
//! The names are C's, as the header has them.
#![allow(non_camel_case_types)]

use core::ffi::c_int;
use core::mem::offset_of;
use core::net::{Ipv6Addr, SocketAddr};

use mnet::mnet_core::config::{Dhcp6Mode, InterfaceIdentifiers, Ipv6Config};

use crate::error::{Error, status};
use crate::pointer;
use crate::registry;
use crate::types::{mnet_addr, mnet_stack};

/// mnet_ipv6.flags: addresses that the stack makes itself end in the Ethernet address (EUI-64,
/// RFC 4291 appendix A), instead of in a number that tells nothing (RFC 7217).
pub const MNET_IPV6_EUI64: u32 = 1;
/// mnet_ipv6.flags: beside each address that is made of a router's prefix, one that changes every
/// day, from which connections leave (RFC 8981).
pub const MNET_IPV6_TEMPORARY: u32 = 2;
/// mnet_ipv6.flags: routers are neither asked nor believed: there are only the link-local address,
/// and what the program gives.
pub const MNET_IPV6_NO_ROUTERS: u32 = 4;

/// mnet_ipv6.flags: DHCPv6 servers are asked for DNS servers and search domains (RFC 8415) as soon as
/// there is an address, instead of when a router says so. See mnet_dns_server().
pub const MNET_IPV6_DHCP: u32 = 8;
/// mnet_ipv6.flags: DHCPv6 servers are never asked.
pub const MNET_IPV6_NO_DHCP: u32 = 16;

/// How a stack speaks IPv6. Fill it with mnet_ipv6_default(), change what is to be different, and
/// pass it to mnet_enable_ipv6(), which copies it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct mnet_ipv6 {
    /// sizeof (struct mnet_ipv6) as the caller knows it. Set by mnet_ipv6_default().
    pub size: usize,
    /// An address of ours; the port is ignored. MNET_AF_NONE (the default): only those that the
    /// stack makes itself.
    pub address: mnet_addr,
    /// The default gateway, link-local or on the network of the address; the port is ignored.
    /// MNET_AF_NONE (the default): what routers say.
    pub gateway: mnet_addr,
    /// The length of the network's prefix in bits, 1 to 128. Default 64.
    pub prefix_len: u32,
    /// MNET_IPV6_* combined. Default 0.
    pub flags: u32,
    /// 16 secret bytes, from which the ends of our addresses are made: with the same secret a
    /// unikernel has the same addresses after every start. NULL (the default): new ones each time.
    pub secret: *const u8,
    /// Bytes of the secret: 16, or 0 with secret NULL.
    pub secret_len: usize,
    /// Which interface, counted from 1; 0 (the default): the first.
    pub interface: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// Bytes of the first version of the structure.
const FIRST_SIZE: usize = offset_of!(mnet_ipv6, secret_len) + size_of::<usize>();

fn defaults(size: usize) -> mnet_ipv6 {
    mnet_ipv6 {
        size,
        address: mnet_addr::default(),
        gateway: mnet_addr::default(),
        prefix_len: 64,
        flags: 0,
        secret: core::ptr::null(),
        secret_len: 0,
        interface: 0,
        reserved: 0,
    }
}

/// Fills the structure with the defaults: a link-local address, and what routers give.
///
/// - ipv6: the structure to fill.
/// - size: sizeof (struct mnet_ipv6), so that the library knows how old the caller is.
///
/// Returns 0, or MNET_EINVAL: ipv6 is NULL, or size is not that of any version. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_ipv6_default(ipv6: *mut mnet_ipv6, size: usize) -> c_int {
    let fill = || {
        if !(FIRST_SIZE..=1 << 16).contains(&size) {
            return Err(Error::INVALID);
        }
        // SAFETY: as the header says: NULL, or `size` bytes that may be written.
        unsafe { pointer::write_sized(ipv6, size, &defaults(size)) }
    };
    status(fill())
}

/// Lets an interface speak IPv6 beside IPv4 (RFC 8200). It makes itself a link-local address, asks
/// whether somebody has it (RFC 4862), and then asks routers for prefixes and routes (RFC 4861).
/// Addresses are usable a second or two later, as soon as mnet_address() tells them; listeners and
/// sockets on "::" may be opened at once.
///
/// - ipv6: see struct mnet_ipv6; NULL: the defaults. Copied.
///
/// Returns 0, or
///   MNET_EINVAL          a member out of range, no such interface, an unknown or contradicting
///                        flag; or it speaks IPv6 already
///   MNET_EADDRINUSE      MNET_IPV6_EUI64, and another interface with the same Ethernet address has
///                        it, too: VLANs would have the same link-local address as their parent
///   MNET_EADDRNOTAVAIL   not an address that a host can have (multicast, ::, ::1)
///   MNET_EGATEWAY        the gateway is neither link-local nor on the network of the address
///   MNET_ELIMIT          no room for another address or route
///   MNET_EAFNOSUPPORT    not an IPv6 address
///   MNET_EBADF, MNET_EBUSY
/// MNET_EINVAL also if the device's MTU is below 1280 (RFC 8200 section 5). After
/// MNET_EADDRNOTAVAIL, MNET_EGATEWAY and MNET_ELIMIT the interface speaks IPv6, without that address or
/// gateway.
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_enable_ipv6(stack: mnet_stack, ipv6: *const mnet_ipv6) -> c_int {
    let enable = || {
        let given = if ipv6.is_null() {
            defaults(size_of::<mnet_ipv6>())
        } else {
            // SAFETY: as the header says: a structure of the size in its first member. Its members
            // are integers and pointers, so every bit pattern is a value.
            unsafe { pointer::read_sized(ipv6, FIRST_SIZE) }?
        };
        const FLAGS: u32 = MNET_IPV6_EUI64
            | MNET_IPV6_TEMPORARY
            | MNET_IPV6_NO_ROUTERS
            | MNET_IPV6_DHCP
            | MNET_IPV6_NO_DHCP;
        let prefix_len = u8::try_from(given.prefix_len).map_err(|_| Error::INVALID)?;
        if given.flags & !FLAGS != 0 || given.reserved != 0 || !(1..=128).contains(&prefix_len) {
            return Err(Error::INVALID);
        }
        let (address, gateway) = (of_family(given.address)?, of_family(given.gateway)?);
        let identifiers = if given.flags & MNET_IPV6_EUI64 != 0 {
            InterfaceIdentifiers::Eui64
        } else {
            InterfaceIdentifiers::Opaque
        };
        let dhcp6 = match given.flags & (MNET_IPV6_DHCP | MNET_IPV6_NO_DHCP) {
            0 => Dhcp6Mode::FollowRouters,
            MNET_IPV6_DHCP => Dhcp6Mode::Always,
            MNET_IPV6_NO_DHCP => Dhcp6Mode::Never,
            _ => return Err(Error::INVALID),
        };
        let config = Ipv6Config {
            identifiers,
            dhcp6,
            // SAFETY: as the header says: NULL, or as many bytes as the structure says.
            secret: unsafe { secret(&given) }?,
            accept_router_advertisements: given.flags & MNET_IPV6_NO_ROUTERS == 0,
            temporary_addresses: given.flags & MNET_IPV6_TEMPORARY != 0,
            ..Ipv6Config::default()
        };
        registry::with_stack(stack, |opened| {
            let interface = opened.interface_of(given.interface)?;
            let now = opened.runtime.now();
            let stack = opened.runtime.stack_mut();
            stack.enable_ipv6(now, interface, config)?;
            if let Some(address) = address {
                stack.add_address(now, interface, address.into(), prefix_len)?;
            }
            if let Some(gateway) = gateway {
                let everything = Ipv6Addr::UNSPECIFIED.into();
                stack.add_route(everything, 0, gateway.into(), interface)?;
            }
            Ok(())
        })
    };
    status(enable())
}

/// An address that is IPv6 or none.
fn of_family(address: mnet_addr) -> Result<Option<Ipv6Addr>, Error> {
    match address.optional()? {
        None => Ok(None),
        Some(SocketAddr::V6(address)) => Ok(Some(*address.ip())),
        Some(SocketAddr::V4(_)) => Err(Error::FAMILY),
    }
}

/// # Safety
/// The secret is NULL or has as many bytes as the structure says.
unsafe fn secret(given: &mnet_ipv6) -> Result<Option<[u8; 16]>, Error> {
    if given.secret.is_null() && given.secret_len == 0 {
        return Ok(None);
    }
    // SAFETY: the caller's promise is the one asked for.
    let bytes = unsafe { pointer::input(given.secret.cast(), given.secret_len) }?;
    bytes.try_into().map(Some).map_err(|_| Error::INVALID)
}
