//! Addresses as text, and as the stack has them.

use core::ffi::{c_char, c_int};
use core::fmt::Write;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::str::{self, FromStr};

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
            _ => Err(Error::FAMILY),
        }
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

/// A number in decimal digits and nothing else (no sign).
fn number<T: FromStr>(text: &str) -> Result<T, Error> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then(|| text.parse().ok())
        .flatten()
        .ok_or(Error::INVALID)
}

/// Parses an address with an optional port: "10.0.0.2" or "10.0.0.2:7".
///
/// - text, text_len: the text; no NUL is needed at its end, none may be inside.
/// - addr: receives the address; the port is 0 if the text has none.
///
/// Returns 0, or MNET_EINVAL: NULL, or not such a text. IPv6 addresses are not parsed yet.
/// Does not block.
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
        let (ip, port) = match text.split_once(':') {
            Some((ip, port)) => (ip, number(port)?),
            None => (text, 0),
        };
        let ip = Ipv4Addr::from_str(ip).map_err(|_| Error::INVALID)?;
        out.write(mnet_addr::new(SocketAddr::new(ip.into(), port)));
        Ok(())
    };
    status(parse())
}

/// Parses an address with the length of its network's prefix: "10.0.0.2/24".
///
/// - text, text_len: the text; no NUL is needed at its end, none may be inside.
/// - addr: receives the address, with port 0.
/// - prefix_len: receives the length in bits, 1 to 32.
///
/// Returns 0, or MNET_EINVAL: NULL, or not such a text. IPv6 addresses are not parsed yet.
/// Does not block.
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
        let (ip, len) = text.split_once('/').ok_or(Error::INVALID)?;
        let ip = Ipv4Addr::from_str(ip).map_err(|_| Error::INVALID)?;
        let len: u32 = number(len)?;
        if !(1..=32).contains(&len) {
            return Err(Error::INVALID);
        }
        out_addr.write(mnet_addr::new(SocketAddr::new(ip.into(), 0)));
        out_len.write(len);
        Ok(())
    };
    status(parse())
}

/// Writes an address as text: "10.0.0.2:7", or "10.0.0.2" if the port is 0, and a NUL.
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
        let written = match (address.ip(), address.port()) {
            (ip, 0) => write!(text, "{ip}"),
            (IpAddr::V4(ip), port) => write!(text, "{ip}:{port}"),
            (IpAddr::V6(ip), port) => write!(text, "[{ip}]:{port}"),
        };
        let text = written.ok().and_then(|()| text.bytes.get(..text.len));
        let text = text.ok_or(Error::TOO_LONG)?;
        let (place, nul) = buffer
            .split_at_mut_checked(text.len())
            .ok_or(Error::TOO_LONG)?;
        *nul.first_mut().ok_or(Error::TOO_LONG)? = 0;
        place.copy_from_slice(text);
        Ok(length(text.len()))
    };
    value(format())
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
