//! Addresses as text, and as the stack has them.

use core::ffi::{c_char, c_int};
use core::fmt::Write;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use core::str;

use mnet::address::{is_of_one_link, parse_address, parse_prefix};

use crate::error::{Error, length, status, value};
use crate::pointer::{self, Out};
use crate::types::{MNET_AF_INET, MNET_AF_INET6, MNET_AF_NONE, mnet_addr};

impl mnet_addr {
    pub(crate) fn new(address: SocketAddr) -> Self {
        let mut out = Self {
            port: address.port(),
            ..Self::default()
        };
        match address {
            SocketAddr::V4(v4) => {
                out.family = MNET_AF_INET;
                out.ip[..4].copy_from_slice(&v4.ip().octets());
            }
            SocketAddr::V6(v6) => {
                out.family = MNET_AF_INET6;
                out.zone = v6.scope_id();
                out.ip = v6.ip().octets();
            }
        }
        out
    }

    /// The address, if there is one.
    pub(crate) fn optional(self) -> Result<Option<SocketAddr>, Error> {
        match self.family {
            MNET_AF_NONE => Ok(None),
            MNET_AF_INET => {
                let [a, b, c, d, rest @ ..] = self.ip;
                if rest != [0; 12] || self.zone != 0 {
                    return Err(Error::INVALID);
                }
                Ok(Some(SocketAddr::new(
                    Ipv4Addr::new(a, b, c, d).into(),
                    self.port,
                )))
            }
            MNET_AF_INET6 => {
                let ip = Ipv6Addr::from(self.ip);
                if self.zone != 0 && !is_of_one_link(ip) {
                    return Err(Error::INVALID);
                }
                let address = SocketAddrV6::new(ip, self.port, 0, self.zone);
                Ok(Some(SocketAddr::V6(address)))
            }
            _ => Err(Error::FAMILY),
        }
    }

    /// Whether the same address can be on several links.
    pub(crate) fn needs_zone(self) -> bool {
        self.family == MNET_AF_INET6 && is_of_one_link(Ipv6Addr::from(self.ip))
    }

    /// The address; there must be one.
    pub(crate) fn required(self) -> Result<SocketAddr, Error> {
        self.optional()?.ok_or(Error::INVALID)
    }
}

/// Copies in an address that must be there.
///
/// # Safety
/// `place` is NULL or points to an address.
pub(crate) unsafe fn read(place: *const mnet_addr) -> Result<SocketAddr, Error> {
    // SAFETY: every bit pattern is an `mnet_addr`; the caller vouches for the rest.
    unsafe { pointer::read(place) }?.required()
}

/// Text from C.
///
/// # Safety
/// As [`pointer::input`].
unsafe fn text<'a>(text: *const c_char, len: usize) -> Result<&'a str, Error> {
    // SAFETY: the caller's promise is the one asked for.
    let bytes = unsafe { pointer::input(text.cast(), len) }?;
    str::from_utf8(bytes).map_err(|_| Error::INVALID)
}

/// Parses an address with an optional port: "10.0.0.2", "10.0.0.2:7", "2001:db8::2". An IPv6 address
/// stands in brackets if a port follows (RFC 3986 section 3.2.2). A link-local one may have a zone:
/// "fe80::2%1".
///
/// - text, text_len: the text; no NUL is needed at its end, none may be inside.
/// - addr: receives the address; the port is 0 if the text has none.
///
/// Returns 0, or MNET_EINVAL: NULL, or not such a text. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_addr_parse(
    text: *const c_char,
    text_len: usize,
    addr: *mut mnet_addr,
) -> c_int {
    let parse = || {
        // SAFETY: as the header says: NULL, or `text_len` bytes.
        let text = unsafe { self::text(text, text_len) }?;
        // SAFETY: as the header says: NULL, or a place for an address.
        let out = unsafe { Out::required(addr) }?;
        let address = parse_address(text).ok_or(Error::INVALID)?;
        out.write(mnet_addr::new(address));
        Ok(())
    };
    status(parse())
}

/// Parses an address with the length of its network's prefix: "10.0.0.2/24" or "2001:db8::2/64".
///
/// - text, text_len: the text; no NUL is needed at its end, none may be inside.
/// - addr: receives the address, with port 0.
/// - prefix_len: receives the length in bits, 1 to 32 or 1 to 128.
///
/// Returns 0, or MNET_EINVAL: NULL, or not such a text. Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_cidr_parse(
    text: *const c_char,
    text_len: usize,
    addr: *mut mnet_addr,
    prefix_len: *mut u32,
) -> c_int {
    let parse = || {
        // SAFETY: as the header says: NULL, or `text_len` bytes.
        let text = unsafe { self::text(text, text_len) }?;
        // SAFETY: as the header says: NULL, or a place for an address.
        let out_addr = unsafe { Out::required(addr) }?;
        // SAFETY: as the header says: NULL, or a place for a number.
        let out_len = unsafe { Out::required(prefix_len) }?;
        let (ip, len) = parse_prefix(text).ok_or(Error::INVALID)?;
        out_addr.write(mnet_addr::new(SocketAddr::new(ip, 0)));
        out_len.write(u32::from(len));
        Ok(())
    };
    status(parse())
}

/// Writes an address as text, as mnet_addr_parse() reads it: "10.0.0.2:7", or "10.0.0.2" if the port
/// is 0, and a NUL.
///
/// - addr: the address.
/// - buf, len: where the text goes; 64 bytes are enough for every address.
///
/// Returns the length of the text without the NUL, or
///   MNET_EINVAL         NULL, or not an address
///   MNET_EAFNOSUPPORT   the family is not supported
///   MNET_EMSGSIZE       the text does not fit; nothing was written
/// Does not block.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mnet_addr_format(
    addr: *const mnet_addr,
    buf: *mut c_char,
    len: usize,
) -> i64 {
    let format = || {
        // SAFETY: as the header says: NULL, or an address.
        let address = unsafe { read(addr) }?;
        // SAFETY: as the header says: NULL, or `len` bytes that may be written.
        let buffer = unsafe { pointer::output(buf.cast(), len) }?;
        let mut text = Text {
            bytes: [0; 64],
            len: 0,
        };
        let written = match address {
            SocketAddr::V6(v6) if v6.port() == 0 && v6.scope_id() != 0 => {
                write!(text, "{}%{}", v6.ip(), v6.scope_id())
            }
            address if address.port() == 0 => write!(text, "{}", address.ip()),
            address => write!(text, "{address}"),
        };
        let text = written.ok().and_then(|()| text.bytes.get(..text.len));
        let text = text.ok_or(Error::TOO_LONG)?;
        write_text(buffer, text)?;
        Ok(length(text.len()))
    };
    value(format())
}

/// Writes text and a NUL into a buffer of C's, or nothing if it does not fit.
pub(crate) fn write_text(buffer: &mut [u8], text: &[u8]) -> Result<(), Error> {
    let (place, nul) = buffer
        .split_at_mut_checked(text.len())
        .ok_or(Error::TOO_LONG)?;
    *nul.first_mut().ok_or(Error::TOO_LONG)? = 0;
    place.copy_from_slice(text);
    Ok(())
}

/// A place to format into.
struct Text {
    bytes: [u8; 64],
    len: usize,
}

impl Write for Text {
    fn write_str(&mut self, piece: &str) -> core::fmt::Result {
        let place = self.bytes.get_mut(self.len..self.len + piece.len());
        place
            .ok_or(core::fmt::Error)?
            .copy_from_slice(piece.as_bytes());
        self.len += piece.len();
        Ok(())
    }
}
