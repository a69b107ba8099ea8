//! What can be tested: `tests/guest.rs`.
#![no_std]

use core::fmt;
use core::net::Ipv4Addr;
use core::str::FromStr;

/// Our address, and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: Ipv4Addr,
    /// Bits of it that say which network it is in.
    pub prefix_len: u8,
}

/// The text is not an address with a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAddress;

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let (ip, prefix_len) = text.trim().split_once('/').ok_or(NotAnAddress)?;
        let ip = ip.parse().map_err(|_| NotAnAddress)?;
        let prefix_len = prefix_len.parse().map_err(|_| NotAnAddress)?;
        if prefix_len > 32 {
            return Err(NotAnAddress);
        }
        Ok(Self { ip, prefix_len })
    }
}

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address such as 10.0.0.2/24 is wanted")
    }
}

impl core::error::Error for NotAnAddress {}
