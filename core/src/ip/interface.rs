//! An interface and our addresses on it.

use super::v4::Ipv4Addresses;
use crate::wire::ethernet::EthernetAddress;
use core::net::IpAddr;

/// An interface.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) hardware: EthernetAddress,
    /// Largest packet that it carries.
    pub(crate) mtu: usize,
    pub(crate) v4: Ipv4Addresses,
}

impl Interface {
    pub(crate) fn new(hardware: EthernetAddress, mtu: usize) -> Self {
        Self {
            hardware,
            mtu,
            v4: Ipv4Addresses::default(),
        }
    }

    /// Whether this is one of our addresses here.
    pub(crate) fn owns(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.owns(address),
            IpAddr::V6(_) => false,
        }
    }
}
