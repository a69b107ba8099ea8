//! The ECN field of an IP header (RFC 3168 §5): the two low bits of IPv4's differentiated services
//! byte and of IPv6's traffic class.

/// What the field says of its packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Ecn {
    /// The transport does not know what to do with a mark: a congested router drops the packet.
    #[default]
    NotEct = 0b00,
    /// ECN-capable transport, as ECT(0) but for senders that keep queues very short (RFC 9331).
    Ect1 = 0b01,
    /// ECN-capable transport: a congested router marks the packet.
    Ect0 = 0b10,
    /// Congestion experienced: a router has marked the packet.
    Ce = 0b11,
}

impl Ecn {
    /// The field of a differentiated services byte or traffic class.
    #[must_use]
    #[inline]
    pub const fn of_class(class: u8) -> Self {
        match class & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The field as it stands in the byte.
    #[must_use]
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_the_two_low_bits() {
        for ecn in [Ecn::NotEct, Ecn::Ect1, Ecn::Ect0, Ecn::Ce] {
            assert_eq!(Ecn::of_class(0b1011_1000 | ecn.bits()), ecn);
        }
        assert_eq!(Ecn::of_class(0b1111_1101), Ecn::Ect1);
        assert_eq!(Ecn::default().bits(), 0);
    }
}
