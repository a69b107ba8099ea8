//! Where sockets without a peer have lately sent datagrams that a path may not carry.
//!
//! What a router says of a path's MTU is believed about these and no others (RFC 8085 §3.2). A server
//! talks to more hosts than each socket could remember, and the answer of a router comes after many
//! other datagrams. To believe whatever quotes a socket's address and port would be too much: anybody
//! can make such a message (RFC 5927 §7), and make a server cut what it sends to somebody else into
//! fragments, which are easily forged. So nothing is believed about whom a server has sent little, or
//! nothing at all in the last minute.
//!
//! A table of a fixed size, without the addresses: a destination has a few places, found by a keyed
//! hash, and the one that was sent to least recently goes first.

use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec;

/// Sets of places, and places of a set.
const SETS: usize = 128;
const WAYS: usize = 4;
/// How long a router may take to answer, in seconds: no packet lives longer than this in practice.
const SECONDS: u32 = 60;

/// "Nobody", as a socket.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Place {
    /// The half of the hash that has not found the set.
    tag: u32,
    /// The place of the socket.
    socket: u32,
    /// When, in seconds.
    at: u32,
}

/// The table.
#[derive(Debug)]
pub(super) struct Recent(Box<[[Place; WAYS]]>);

#[allow(
    clippy::cast_possible_truncation,
    reason = "136 years; each half of a hash is as good"
)]
fn parts(hash: u64, now: Instant) -> (usize, u32, u32) {
    let seconds = now.as_millis() / 1_000;
    (hash as usize % SETS, (hash >> 32) as u32, seconds as u32)
}

impl Recent {
    /// The only allocation.
    pub(super) fn new() -> Self {
        let empty = Place {
            tag: 0,
            socket: NONE,
            at: 0,
        };
        Self(vec![[empty; WAYS]; SETS].into_boxed_slice())
    }

    /// A socket has sent to the addresses and ports that have this keyed hash.
    pub(super) fn note(&mut self, hash: u64, socket: u32, now: Instant) {
        let (set, tag, at) = parts(hash, now);
        let set = &mut self.0[set];
        let known = set.iter().position(|place| place.tag == tag);
        // The others grow older by one.
        set.copy_within(..known.unwrap_or(WAYS - 1), 1);
        set[0] = Place { tag, socket, at };
    }

    /// The socket that has sent there, in the last minute.
    pub(super) fn sender(&self, hash: u64, now: Instant) -> Option<u32> {
        let (set, tag, at) = parts(hash, now);
        let is_it = |place: &&Place| place.socket != NONE && place.tag == tag;
        let place = self.0[set].iter().find(is_it)?;
        (at.wrapping_sub(place.at) <= SECONDS).then_some(place.socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siphasher::sip::SipHasher13;

    fn hash(of: u32) -> u64 {
        SipHasher13::new_with_key(&[3; 16]).hash(&of.to_be_bytes())
    }

    #[test]
    fn a_minute_is_remembered() {
        let mut recent = Recent::new();
        let at = |seconds: u64| Instant::from_millis(seconds * 1_000);
        assert_eq!(recent.sender(0, at(0)), None, "nobody has sent");
        recent.note(hash(1), 7, at(5));
        assert_eq!(recent.sender(hash(1), at(65)), Some(7));
        assert_eq!(recent.sender(hash(1), at(66)), None);
        assert_eq!(recent.sender(hash(2), at(5)), None);
        recent.note(hash(1), 8, at(66));
        assert_eq!(recent.sender(hash(1), at(66)), Some(8));
    }

    #[test]
    fn the_latest_of_each_set_are_remembered_and_the_table_does_not_grow() {
        let mut recent = Recent::new();
        let now = Instant::from_millis(1_000);
        for of in 0..10_000 {
            recent.note(hash(0), 0, now);
            recent.note(hash(of), 0, now);
            assert_eq!(recent.sender(hash(0), now), Some(0), "{of}");
        }
        let known = |range: core::ops::Range<u32>| {
            let known = |of: &u32| recent.sender(hash(*of), now).is_some();
            range.filter(known).count()
        };
        assert!(known(0..10_000) <= SETS * WAYS);
        assert!(known(9_900..10_000) >= 98, "a hundred others in between");
    }
}
