//! What the value of an option may be, and is.

use core::fmt::{self, Write};
use core::net::{IpAddr, SocketAddr};
use core::str::FromStr;

use crate::address::{parse_address, parse_number, parse_prefix};

/// What an option wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is there or not.
    Flag,
    /// A whole number of this range, both ends included.
    Number {
        /// The least.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// Any text of so many bytes at most.
    Text {
        /// The most bytes.
        max_len: usize,
    },
    /// An address without a port: `10.0.0.2`, `fe80::2%1`.
    Address,
    /// An address with a port: `10.0.0.2:7`, `[2001:db8::2]:7`.
    Endpoint,
    /// An address with the length of its network's prefix: `10.0.0.2/24`.
    Prefix,
    /// A time: a whole number and its unit, `ns`, `us`, `ms`, `s`, `min`, `h` or `d`. The range is in
    /// nanoseconds.
    Duration {
        /// The least.
        min: u64,
        /// The longest.
        max: u64,
    },
    /// A size: a whole number of bytes, or with a unit: `kB`, `MB`, `GB` (1000), `KiB`, `MiB`, `GiB`
    /// (1024). The range is in bytes.
    Size {
        /// The least.
        min: u64,
        /// The largest.
        max: u64,
    },
}

/// What was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The flag is there.
    Flag,
    /// A number.
    Number(u64),
    /// A text, its quotes taken off.
    Text(&'a str),
    /// An address, with port 0.
    Address(SocketAddr),
    /// An address and a port.
    Endpoint(SocketAddr),
    /// An address and the length of its network's prefix.
    Prefix(IpAddr, u8),
    /// A time in nanoseconds.
    Duration(u64),
    /// A size in bytes.
    Size(u64),
}

/// Units of time, the longest first, in nanoseconds.
const TIMES: [(&str, u64); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];
/// Units of size, the largest first, in bytes.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("", 1),
];

impl Kind {
    /// Reads a value; `None` if it is none of this kind.
    pub(super) fn parse(self, text: &str) -> Option<Value<'_>> {
        Some(match self {
            Self::Flag => return None,
            Self::Number { min, max } => Value::Number(within(parse_number(text)?, min, max)?),
            Self::Text { max_len } => Value::Text(Some(text).filter(|t| t.len() <= max_len)?),
            Self::Address => {
                let address = parse_address(text).filter(|a| a.port() == 0)?;
                // `10.0.0.1:0` and `[::1]` have the port 0 as well.
                let bare = address.is_ipv6() || Ipv4(text).is_bare();
                Value::Address(Some(address).filter(|_| bare && !text.starts_with('['))?)
            }
            Self::Endpoint => Value::Endpoint(parse_address(text).filter(|a| a.port() != 0)?),
            Self::Prefix => {
                let (address, len) = parse_prefix(text)?;
                Value::Prefix(address, len)
            }
            Self::Duration { min, max } => {
                Value::Duration(within(with_unit(text, &TIMES)?, min, max)?)
            }
            Self::Size { min, max } => Value::Size(within(with_unit(text, &SIZES)?, min, max)?),
        })
    }

    /// What a value is called in the help, unless the program says something else.
    pub(super) fn value_name(self) -> &'static str {
        match self {
            Self::Flag => "",
            Self::Number { .. } => "NUMBER",
            Self::Text { .. } => "TEXT",
            Self::Address => "ADDRESS",
            Self::Endpoint => "ADDRESS:PORT",
            Self::Prefix => "ADDRESS/PREFIX",
            Self::Duration { .. } => "TIME",
            Self::Size { .. } => "SIZE",
        }
    }

    /// What was expected, as in "expected a number from 1 to 65535".
    pub(super) fn describe(self, out: &mut dyn Write) -> fmt::Result {
        let range = |out: &mut dyn Write, min, max, units: &[(&str, u64)]| {
            if (min, max) == (0, u64::MAX) {
                return Ok(());
            }
            out.write_str(if min == 0 { " up to " } else { " from " })?;
            if min != 0 {
                write_with_unit(out, min, units)?;
                if max == u64::MAX {
                    return out.write_str(" on");
                }
                out.write_str(" to ")?;
            }
            write_with_unit(out, max, units)
        };
        match self {
            Self::Flag => out.write_str("no value"),
            Self::Number { min, max } => {
                out.write_str("a number")?;
                range(out, min, max, &[("", 1)])
            }
            Self::Text { max_len } => {
                out.write_str("a text of at most ")?;
                write_with_unit(out, u64::try_from(max_len).unwrap_or(u64::MAX), &[("", 1)])?;
                out.write_str(" bytes")
            }
            Self::Address => out.write_str("an address such as 10.0.0.2 or 2001:db8::2"),
            Self::Endpoint => {
                out.write_str("an address and a port such as 10.0.0.2:7 or [2001:db8::2]:7")
            }
            Self::Prefix => out.write_str("an address such as 10.0.0.2/24 or 2001:db8::2/64"),
            Self::Duration { min, max } => {
                out.write_str("a time such as 250ms")?;
                range(out, min, max, &TIMES)
            }
            Self::Size { min, max } => {
                out.write_str("a size such as 64KiB")?;
                range(out, min, max, &SIZES)
            }
        }
    }
}

/// Text that may be an IPv4 address and nothing else.
struct Ipv4<'a>(&'a str);

impl Ipv4<'_> {
    fn is_bare(&self) -> bool {
        core::net::Ipv4Addr::from_str(self.0).is_ok()
    }
}

fn within(value: u64, min: u64, max: u64) -> Option<u64> {
    (min..=max).contains(&value).then_some(value)
}

/// A number and one of the units.
fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    parse_number::<u64>(number)?.checked_mul(*factor)
}

/// A number in the largest unit that divides it.
pub(super) fn write_with_unit(
    out: &mut dyn Write,
    value: u64,
    units: &[(&str, u64)],
) -> fmt::Result {
    let unit = units
        .iter()
        .find(|(name, factor)| value.is_multiple_of(*factor) && (value != 0 || name.len() < 2));
    let (name, factor) = unit.copied().unwrap_or(("", 1));
    write!(out, "{}{name}", value / factor)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;

    #[test]
    fn values_are_read_with_their_units() {
        let any = (0, u64::MAX);
        let time = |text| {
            Kind::Duration {
                min: any.0,
                max: any.1,
            }
            .parse(text)
        };
        for (text, expected) in [
            ("0s", Some(0)),
            ("250ms", Some(250_000_000)),
            ("1d", Some(86_400_000_000_000)),
            ("3min", Some(180_000_000_000)),
            ("7us", Some(7_000)),
            ("18446744073709551615ns", Some(u64::MAX)),
            ("18446744073709551616ns", None),
            ("213504d", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("1S", None),
        ] {
            assert_eq!(time(text), expected.map(Value::Duration), "{text}");
        }
        let size = |text| {
            Kind::Size {
                min: 1,
                max: 1 << 40,
            }
            .parse(text)
        };
        for (text, expected) in [
            ("1", Some(1)),
            ("64KiB", Some(65_536)),
            ("3MB", Some(3_000_000)),
            ("0", None),
            ("1TiB", None),
            ("1k", None),
            ("1024GiB", Some(1 << 40)),
            ("1025GiB", None),
        ] {
            assert_eq!(size(text), expected.map(Value::Size), "{text}");
        }
    }

    #[test]
    fn addresses_have_a_port_where_one_is_expected() {
        for (text, address, endpoint) in [
            ("10.0.0.2", true, false),
            ("10.0.0.2:0", false, false),
            ("10.0.0.2:7", false, true),
            ("2001:db8::2", true, false),
            ("fe80::2%1", true, false),
            ("[2001:db8::2]", false, false),
            ("[2001:db8::2]:7", false, true),
            ("10.0.0", false, false),
            ("host", false, false),
            ("", false, false),
        ] {
            assert_eq!(Kind::Address.parse(text).is_some(), address, "{text}");
            assert_eq!(Kind::Endpoint.parse(text).is_some(), endpoint, "{text}");
        }
    }

    #[test]
    fn what_is_expected_is_said_with_its_range() {
        for (kind, expected) in [
            (
                Kind::Number {
                    min: 1,
                    max: 65_535,
                },
                "a number from 1 to 65535",
            ),
            (Kind::Number { min: 0, max: 9 }, "a number up to 9"),
            (
                Kind::Number {
                    min: 2,
                    max: u64::MAX,
                },
                "a number from 2 on",
            ),
            (
                Kind::Number {
                    min: 0,
                    max: u64::MAX,
                },
                "a number",
            ),
            (
                Kind::Duration {
                    min: 1_000_000,
                    max: 120_000_000_000,
                },
                "a time such as 250ms from 1ms to 2min",
            ),
            (
                Kind::Size {
                    min: 0,
                    max: 3 << 20,
                },
                "a size such as 64KiB up to 3MiB",
            ),
            (Kind::Text { max_len: 63 }, "a text of at most 63 bytes"),
        ] {
            let mut text = String::new();
            kind.describe(&mut text).unwrap();
            assert_eq!(text, expected);
        }
    }
}
