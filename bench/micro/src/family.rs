//! What differs between the two versions of IP.

use mnet_core::checksum;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Where the server listens.
    #[must_use]
    pub fn server(self) -> SocketAddr {
        SocketAddr::new(self.host(1), 80)
    }

    /// The length of the network's prefix in bits.
    #[must_use]
    pub fn prefix_len(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 64,
        }
    }

    /// Payload of a full segment: MTU 1500 with timestamps.
    #[must_use]
    pub fn mss(self) -> usize {
        1500 - self.header() - 20 - 12
    }

    /// The usual address of the peer.
    pub(crate) fn peer(self) -> IpAddr {
        self.host(2)
    }

    /// A host of the network.
    fn host(self, number: u8) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::new(10, 0, 0, number).into(),
            Self::V6 => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()).into(),
        }
    }

    /// Bytes of the IP header.
    pub(crate) fn header(self) -> usize {
        match self {
            Self::V4 => 20,
            Self::V6 => 40,
        }
    }

    /// Writes the EtherType and the header of a packet with so many bytes of TCP. Both are zero
    /// before.
    pub(crate) fn write_header(
        self,
        ethernet: &mut [u8],
        ip: &mut [u8],
        (source, destination): (IpAddr, IpAddr),
        len: usize,
    ) {
        let length = |len: usize| u16::try_from(len).expect("a frame").to_be_bytes();
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                ethernet[12] = 8;
                ip[0] = 0x45;
                ip[2..4].copy_from_slice(&length(self.header() + len));
                (ip[6], ip[8], ip[9]) = (0x40, 64, 6);
                ip[12..16].copy_from_slice(&source.octets());
                ip[16..20].copy_from_slice(&destination.octets());
                let sum = checksum::sum(ip).finish();
                ip[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                ethernet[12..14].copy_from_slice(&[0x86, 0xdd]);
                ip[0] = 0x60;
                ip[4..6].copy_from_slice(&length(len));
                (ip[6], ip[7]) = (6, 64);
                ip[8..24].copy_from_slice(&source.octets());
                ip[24..40].copy_from_slice(&destination.octets());
            }
            _ => unreachable!("both addresses are of one family"),
        }
    }
}
