//! ARP packets for IPv4 over Ethernet (RFC 826).

use super::ethernet::EthernetAddress;
use core::fmt;
use core::net::Ipv4Addr;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes of a packet.
pub const PACKET_LEN: usize = 28;

/// Hardware type Ethernet.
const ETHERNET: u16 = 1;
/// Protocol type IPv4.
const IPV4: u16 = 0x0800;
/// The operations of RFC 826.
const REQUEST: u16 = 1;
const REPLY: u16 = 2;

/// What a packet asks or says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Who has the target address?
    Request,
    /// The sender has the sender address.
    Reply,
}

/// A packet, as it lies on the wire.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub struct ArpPacket {
    hardware_type: U16,
    protocol_type: U16,
    hardware_len: u8,
    protocol_len: u8,
    operation: U16,
    sender_hardware: EthernetAddress,
    sender_protocol: [u8; 4],
    target_hardware: EthernetAddress,
    target_protocol: [u8; 4],
}

/// Why a packet was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ArpError {
    /// Shorter than [`PACKET_LEN`].
    Truncated,
    /// Not about Ethernet and IPv4 addresses.
    AddressTypes,
    /// Neither request nor reply.
    Operation,
}

impl fmt::Display for ArpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "shorter than an ARP packet",
            Self::AddressTypes => "ARP for other address types",
            Self::Operation => "unknown ARP operation",
        })
    }
}

impl core::error::Error for ArpError {}

impl ArpPacket {
    /// A packet for IPv4 over Ethernet.
    #[must_use]
    pub fn new(
        operation: Operation,
        sender: (EthernetAddress, Ipv4Addr),
        target: (EthernetAddress, Ipv4Addr),
    ) -> Self {
        Self {
            hardware_type: U16::new(ETHERNET),
            protocol_type: U16::new(IPV4),
            hardware_len: 6,
            protocol_len: 4,
            operation: U16::new(match operation {
                Operation::Request => REQUEST,
                Operation::Reply => REPLY,
            }),
            sender_hardware: sender.0,
            sender_protocol: sender.1.octets(),
            target_hardware: target.0,
            target_protocol: target.1.octets(),
        }
    }

    /// The addresses of the host that sent it.
    #[must_use]
    pub fn sender(&self) -> (EthernetAddress, Ipv4Addr) {
        (self.sender_hardware, self.sender_protocol.into())
    }

    /// The addresses that it is about; the Ethernet address of a request means nothing.
    #[must_use]
    pub fn target(&self) -> (EthernetAddress, Ipv4Addr) {
        (self.target_hardware, self.target_protocol.into())
    }
}

/// Reads a packet; what follows it is padding.
///
/// # Errors
/// [`ArpError`].
pub fn parse(bytes: &[u8]) -> Result<(Operation, &ArpPacket), ArpError> {
    let (packet, _) = ArpPacket::ref_from_prefix(bytes).map_err(|_| ArpError::Truncated)?;
    if packet.hardware_type.get() != ETHERNET
        || packet.protocol_type.get() != IPV4
        || packet.hardware_len != 6
        || packet.protocol_len != 4
    {
        return Err(ArpError::AddressTypes);
    }
    let operation = match packet.operation.get() {
        REQUEST => Operation::Request,
        REPLY => Operation::Reply,
        _ => return Err(ArpError::Operation),
    };
    Ok((operation, packet))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: (EthernetAddress, Ipv4Addr) = (
        EthernetAddress([2, 0, 0, 0, 0, 1]),
        Ipv4Addr::new(10, 0, 0, 1),
    );
    const B: (EthernetAddress, Ipv4Addr) = (
        EthernetAddress([2, 0, 0, 0, 0, 2]),
        Ipv4Addr::new(10, 0, 0, 2),
    );

    #[test]
    fn packets_have_the_layout_of_rfc_826() {
        let packet = ArpPacket::new(Operation::Reply, A, B);
        assert_eq!(
            packet.as_bytes(),
            [
                0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0,
                2
            ]
        );
        let (operation, read) = parse(packet.as_bytes()).unwrap();
        assert_eq!(
            (operation, read.sender(), read.target()),
            (Operation::Reply, A, B)
        );
    }

    #[test]
    fn each_wrong_field_is_named() {
        let packet = ArpPacket::new(Operation::Request, A, B);
        for len in 0..PACKET_LEN {
            assert_eq!(parse(&packet.as_bytes()[..len]), Err(ArpError::Truncated));
        }
        for (at, error) in [
            (1, ArpError::AddressTypes),
            (2, ArpError::AddressTypes),
            (4, ArpError::AddressTypes),
            (5, ArpError::AddressTypes),
            (7, ArpError::Operation),
        ] {
            let mut bytes = [0; PACKET_LEN];
            bytes.copy_from_slice(packet.as_bytes());
            bytes[at] ^= 0x12;
            assert_eq!(parse(&bytes), Err(error), "byte {at}");
        }
    }
}
