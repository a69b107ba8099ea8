//! Interface identifiers: the second half of an address that a host makes for itself.

use crate::wire::ethernet::EthernetAddress;
use core::hash::Hasher;
use core::net::Ipv6Addr;
use siphasher::sip::SipHasher24;

/// A stable identifier that says nothing about the hardware (RFC 7217 §5): the same for the same
/// secret, prefix and interface, and after `dad_counter` conflicts another one.
pub(crate) fn opaque(
    secret: &[u8; 16],
    prefix: Ipv6Addr,
    hardware: EthernetAddress,
    interface: u8,
    dad_counter: u8,
) -> u64 {
    let mut hasher = SipHasher24::new_with_key(secret);
    hasher.write(&prefix.octets()[..8]);
    hasher.write(&hardware.0);
    hasher.write(&[interface, dad_counter]);
    hasher.finish()
}

/// The bytes of a UUID by which servers know this host (RFC 6355), the same for the same secret.
pub(crate) fn uuid(secret: &[u8; 16]) -> [u8; 16] {
    let half = |which| {
        let mut hasher = SipHasher24::new_with_key(secret);
        hasher.write(b"DUID");
        hasher.write(&[which]);
        hasher.finish()
    };
    (u128::from(half(0)) << 64 | u128::from(half(1))).to_be_bytes()
}

/// The identifier that is made of the hardware address (RFC 4291 appendix A).
pub(crate) fn eui_64(hardware: EthernetAddress) -> u64 {
    let [a, b, c, d, e, f] = hardware.0;
    u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// Whether an identifier has a meaning of its own (RFC 5453): no host takes it by chance.
pub(crate) fn is_reserved(identifier: u64) -> bool {
    // Subnet-router anycast; the range of IANA's own EUI-64; subnet anycast (RFC 2526).
    identifier == 0
        || identifier & 0xffff_ffff_ff00_0000 == 0x0200_5eff_fe00_0000
        || (0xfdff_ffff_ffff_ff80..=0xfdff_ffff_ffff_ffff).contains(&identifier)
}

/// The address of a prefix of 64 bits with this identifier.
pub(crate) fn address(prefix: Ipv6Addr, identifier: u64) -> Ipv6Addr {
    let network = prefix.to_bits() >> 64 << 64;
    Ipv6Addr::from_bits(network | u128::from(identifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HW: EthernetAddress = EthernetAddress([0x02, 0, 0x5e, 0x10, 0, 0x42]);

    #[test]
    fn an_opaque_identifier_depends_on_all_of_its_parts() {
        let prefix: Ipv6Addr = "2001:db8:1:2::".parse().unwrap();
        let other: Ipv6Addr = "2001:db8:1:3::".parse().unwrap();
        let base = opaque(&[1; 16], prefix, HW, 0, 0);
        assert_eq!(base, opaque(&[1; 16], prefix, HW, 0, 0));
        for changed in [
            opaque(&[2; 16], prefix, HW, 0, 0),
            opaque(&[1; 16], other, HW, 0, 0),
            opaque(&[1; 16], prefix, EthernetAddress([2; 6]), 0, 0),
            opaque(&[1; 16], prefix, HW, 1, 0),
            opaque(&[1; 16], prefix, HW, 0, 1),
        ] {
            assert_ne!(base, changed);
        }
    }

    #[test]
    fn a_uuid_depends_on_the_secret_and_its_halves_differ() {
        let made = uuid(&[1; 16]);
        assert_eq!(made, uuid(&[1; 16]));
        assert_ne!(made, uuid(&[2; 16]));
        assert_ne!(made[..8], made[8..]);
    }

    #[test]
    fn eui_64_inverts_the_local_bit() {
        let made = address("fe80::".parse().unwrap(), eui_64(HW));
        assert_eq!(made, "fe80::5eff:fe10:42".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn reserved_identifiers_are_known() {
        for reserved in [
            0,
            0x0200_5eff_fe00_5213,
            0xfdff_ffff_ffff_ff80,
            0xfdff_ffff_ffff_ffff,
        ] {
            assert!(is_reserved(reserved), "{reserved:x}");
        }
        for free in [
            1,
            0x0200_5eff_fd00_5213,
            0xfdff_ffff_ffff_ff7f,
            0xfe00_0000_0000_0000,
        ] {
            assert!(!is_reserved(free), "{free:x}");
        }
    }
}
