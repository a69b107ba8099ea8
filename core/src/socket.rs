//! Handles of sockets, their readiness, and the events that announce a change of it.

use bitflags::bitflags;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a [`SocketId`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// A TCP listener.
    Listener,
    /// A TCP connection.
    Connection,
    /// A UDP socket.
    Udp,
}

/// A socket's handle: kind, place in its table, and the generation of that place.
///
/// A closed socket's place is given to another one with the next generation, so a stale handle is
/// recognised. It is never a panic to use one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketId {
    kind: SocketKind,
    index: u32,
    generation: u32,
}

/// Bits of an index in [`SocketId::to_bits`]: 16 million sockets of a kind.
const INDEX_BITS: u32 = 24;

impl SocketId {
    pub(crate) fn new(kind: SocketKind, index: u32, generation: u32) -> Self {
        Self {
            kind,
            index,
            generation,
        }
    }

    /// What kind of socket this is.
    #[must_use]
    pub fn kind(self) -> SocketKind {
        self.kind
    }

    /// The place in the kind's table: below the configured maximum, and unique among the live
    /// sockets of the kind, so a caller may index its own table with it.
    #[must_use]
    pub fn index(self) -> usize {
        self.index as usize
    }

    pub(crate) fn generation(self) -> u32 {
        self.generation
    }

    /// The handle as an integer below 2^58, never 0: for foreign interfaces.
    #[must_use]
    pub fn to_bits(self) -> u64 {
        let kind = match self.kind {
            SocketKind::Listener => 1,
            SocketKind::Connection => 2,
            SocketKind::Udp => 3,
        };
        (u64::from(self.generation) << (INDEX_BITS + 2)) | (u64::from(self.index) << 2) | kind
    }

    /// The handle that [`SocketId::to_bits`] gave; `None` if none could have.
    #[must_use]
    pub fn from_bits(bits: u64) -> Option<Self> {
        let kind = match bits & 3 {
            1 => SocketKind::Listener,
            2 => SocketKind::Connection,
            3 => SocketKind::Udp,
            _ => return None,
        };
        let index = u32::try_from((bits >> 2) & ((1 << INDEX_BITS) - 1)).ok()?;
        let generation = u32::try_from(bits >> (INDEX_BITS + 2)).ok()?;
        Some(Self {
            kind,
            index,
            generation,
        })
    }
}

bitflags! {
    /// What a socket can do now without waiting (level, not edge).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Readiness: u8 {
        /// A read gives data, the end of the stream or an error; a listener has a connection.
        const READABLE = 1;
        /// A write takes data or gives an error; a connect has completed.
        const WRITABLE = 2;
        /// The connection failed: reads and writes give the error.
        const ERROR = 4;
        /// Both directions have ended.
        const CLOSED = 8;
    }
}

/// "The readiness of this socket may have grown." Drained with `Stack::poll_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The socket.
    pub socket: SocketId,
    /// Its readiness now.
    pub readiness: Readiness,
}

/// "Any address" of the same family.
pub(crate) fn unspecified_like(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_survive_the_way_through_an_integer() {
        for kind in [
            SocketKind::Listener,
            SocketKind::Connection,
            SocketKind::Udp,
        ] {
            for (index, generation) in [(0, 0), (1, u32::MAX), ((1 << INDEX_BITS) - 1, 7)] {
                let id = SocketId::new(kind, index, generation);
                assert_eq!(SocketId::from_bits(id.to_bits()), Some(id));
                assert!(id.to_bits() != 0 && id.to_bits() < 1 << 58);
            }
        }
    }

    #[test]
    fn integers_that_no_handle_has_are_refused() {
        assert_eq!(SocketId::from_bits(0), None);
        assert_eq!(SocketId::from_bits(u64::MAX), None);
        assert_eq!(SocketId::from_bits(1 << 58 | 1), None);
    }
}
