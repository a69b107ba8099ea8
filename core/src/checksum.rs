//! The Internet checksum (RFC 1071): one's complement sums, taken once and combined.
//!
//! A [`Sum`] is the not yet complemented sum of some bytes. Sums of neighbouring pieces
//! combine with [`Sum::append`], so data is summed while it is copied and never read again.

use core::net::IpAddr;
use core::ops::Add;

/// A one's complement sum of 16-bit words, not complemented.
///
/// It is kept 64 bits wide in the machine's byte order, and folded when it is asked for: to one's
/// complement arithmetic four words side by side are as good as one (RFC 1071 §2(C)).
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

/// Bytes that one chain of additions with carry takes.
const CHAIN: usize = 32;
/// Bytes per round of the inner loop.
const BLOCK: usize = 128;

impl Sum {
    /// The sum of nothing.
    pub const ZERO: Self = Self(0);

    /// A sum that was stored with [`Sum::folded`].
    #[must_use]
    pub const fn from_folded(sum: u16) -> Self {
        Self(sum.to_be() as u64)
    }

    /// The sum in 16 bits, for storage in a frame's descriptor.
    #[must_use]
    #[inline]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the sum was folded to 16 bits"
    )]
    pub const fn folded(self) -> u16 {
        let sum = add_end_around(self.0, self.0.rotate_right(32)) >> 32;
        let sum = (sum >> 16) + (sum & 0xffff);
        let sum = (sum >> 16) + (sum & 0xffff);
        u16::from_be(sum as u16)
    }

    /// The sum of one big-endian 16-bit word.
    #[must_use]
    pub const fn word(word: u16) -> Self {
        Self::from_folded(word)
    }

    /// The sum of this piece followed by `other`, where this piece ends at `len_so_far` bytes from
    /// the start of the summed data. After an odd number of bytes the other piece's bytes have
    /// swapped places (RFC 1071 §2(B)).
    #[must_use]
    #[inline]
    pub const fn append(self, other: Self, len_so_far: usize) -> Self {
        let other = if len_so_far % 2 == 1 {
            other.0.rotate_left(8)
        } else {
            other.0
        };
        Self(add_end_around(self.0, other))
    }

    /// The sum without `part`, which was added to it before. It may come out as the other of the
    /// two representations of zero.
    #[must_use]
    pub const fn without(self, part: Self) -> Self {
        Self(add_end_around(self.0, !part.0))
    }

    /// The checksum field's value: the complement.
    #[must_use]
    #[inline]
    pub const fn finish(self) -> u16 {
        !self.folded()
    }

    /// Whether data that includes its own checksum field is intact (RFC 1071 §1 (3)).
    #[must_use]
    #[inline]
    pub const fn is_valid(self) -> bool {
        self.folded() == 0xffff
    }
}

impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for Sum {}

impl Add for Sum {
    type Output = Self;

    /// The sum of two pieces that both start at an even offset.
    #[inline]
    fn add(self, other: Self) -> Self {
        Self(add_end_around(self.0, other.0))
    }
}

/// One's complement addition of 64 bits.
#[inline(always)]
const fn add_end_around(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry as u64)
}

/// Adds words with the carry going from each to the next, which is one instruction for each where
/// the processor has an addition with carry. The last carry is added to `carries`.
#[inline(always)]
fn add_chain(sum: &mut u64, carries: &mut u64, chain: &[u8; CHAIN]) {
    let mut carry = false;
    for word in chain.as_chunks::<8>().0 {
        (*sum, carry) = sum.carrying_add(u64::from_ne_bytes(*word), carry);
    }
    *carries += u64::from(carry);
}

/// What has been summed so far. The chains of a block do not wait for each other.
#[derive(Default)]
struct Sums {
    chains: [u64; BLOCK / CHAIN],
    carries: u64,
}

impl Sums {
    #[inline(always)]
    fn add_block(&mut self, block: &[u8; BLOCK]) {
        for (sum, chain) in self.chains.iter_mut().zip(block.as_chunks().0) {
            add_chain(sum, &mut self.carries, chain);
        }
    }

    /// The sum of the blocks and of fewer than [`BLOCK`] bytes that follow.
    #[inline(always)]
    fn finish(self, tail: &[u8]) -> Sum {
        let Self {
            chains,
            mut carries,
        } = self;
        let mut sum = chains.into_iter().fold(0, add_end_around);
        let (more, tail) = tail.as_chunks();
        for chain in more {
            add_chain(&mut sum, &mut carries, chain);
        }
        let (words, tail) = tail.as_chunks();
        for word in words {
            sum = add_end_around(sum, u64::from_ne_bytes(*word));
        }
        sum = add_end_around(sum, sum_tail(tail));
        Sum(add_end_around(sum, carries))
    }
}

/// The sum of fewer than 8 bytes, an odd last one padded with zero.
#[inline(always)]
fn sum_tail(mut bytes: &[u8]) -> u64 {
    let mut sum = 0;
    if let [a, b, c, d, rest @ ..] = bytes {
        sum = u64::from(u32::from_ne_bytes([*a, *b, *c, *d]));
        bytes = rest;
    }
    if let [a, b, rest @ ..] = bytes {
        sum += u64::from(u16::from_ne_bytes([*a, *b]));
        bytes = rest;
    }
    match bytes {
        [byte] => sum + u64::from(u16::from_ne_bytes([*byte, 0])),
        _ => sum,
    }
}

/// The sum of a header of `N` bytes, a multiple of 4 up to 64: known when it is compiled, so there
/// is no loop.
#[must_use]
#[inline(always)]
pub fn sum_header<const N: usize>(header: &[u8; N]) -> Sum {
    const { assert!(N.is_multiple_of(4) && N <= 64) };
    let mut sum = 0;
    for word in header.as_chunks::<4>().0 {
        sum += u64::from(u32::from_ne_bytes(*word));
    }
    Sum(sum)
}

/// The sum of `data`. An odd last byte is padded with zero (RFC 1071 §1).
#[must_use]
pub fn sum(data: &[u8]) -> Sum {
    let (blocks, tail) = data.as_chunks::<BLOCK>();
    let mut sums = Sums::default();
    for block in blocks {
        sums.add_block(block);
    }
    sums.finish(tail)
}

/// Copies `src` to the start of `dst` and sums it on the way. Copies what fits if `dst` is
/// shorter; the sum covers what was copied.
#[must_use]
pub fn copy_and_sum(dst: &mut [u8], src: &[u8]) -> Sum {
    let len = dst.len().min(src.len());
    let (from_blocks, from_tail) = src[..len].as_chunks::<BLOCK>();
    let (to_blocks, to_tail) = dst[..len].as_chunks_mut::<BLOCK>();
    let mut sums = Sums::default();
    for (to, from) in to_blocks.iter_mut().zip(from_blocks) {
        *to = *from;
        sums.add_block(from);
    }
    to_tail.copy_from_slice(from_tail);
    sums.finish(from_tail)
}

/// The sum of a transport checksum's pseudo-header: RFC 9293 §3.1 for IPv4, RFC 8200 §8.1 for
/// IPv6. `len` is the length of the transport header and its payload. Addresses of different
/// families have no pseudo-header: the callers never mix them.
#[must_use]
#[inline(always)]
pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, len: usize) -> Sum {
    let addresses = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let (source, destination) = (source.octets(), destination.octets());
            let source = u64::from(u32::from_ne_bytes(source));
            Sum(source + u64::from(u32::from_ne_bytes(destination)))
        }
        (source, destination) => sum_v6_addresses(source, destination),
    };
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the length is taken apart into its halves"
    )]
    let (high, low) = ((len >> 16) as u16, len as u16);
    addresses + Sum::word(u16::from(protocol)) + Sum::word(high) + Sum::word(low)
}

#[inline(never)]
fn sum_v6_addresses(source: IpAddr, destination: IpAddr) -> Sum {
    sum_header(&octets(source)) + sum_header(&octets(destination))
}

fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use std::vec;
    use std::vec::Vec;

    /// RFC 1071 §4.1, word by word.
    fn naive(data: &[u8]) -> u16 {
        let mut sum: u32 = 0;
        for pair in data.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap()
    }

    /// Bytes without a pattern that a wrong byte order could hide in.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        (0..len)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect()
    }

    #[test]
    fn agrees_with_rfc_1071_at_all_lengths_and_alignments() {
        let data = noise(2_100);
        for offset in 0..8 {
            for len in (0..300).chain(1_440..1_520).chain([2_047, 2_048]) {
                let piece = &data[offset..offset + len];
                assert_eq!(
                    sum(piece).folded(),
                    naive(piece),
                    "offset {offset} len {len}"
                );
            }
        }
    }

    #[test]
    fn the_copy_is_exact_and_has_the_same_sum() {
        let data = noise(1_600);
        for len in (0..200).chain([1_448, 1_460, 1_500]) {
            for offset in 0..3 {
                let mut copy = vec![0xaa; len + 5];
                let piece = &data[offset..offset + len];
                assert_eq!(copy_and_sum(&mut copy[..len], piece), sum(piece));
                assert_eq!(&copy[..len], piece);
                assert_eq!(
                    &copy[len..],
                    [0xaa; 5],
                    "nothing beyond the copy is touched"
                );
            }
        }
    }

    #[test]
    fn a_copy_into_too_small_a_place_stops_there() {
        let mut place = [0; 3];
        assert_eq!(copy_and_sum(&mut place, &[1, 2, 3, 4]), sum(&[1, 2, 3]));
        assert_eq!(place, [1, 2, 3]);
    }

    #[test]
    fn pieces_combine_to_the_whole_wherever_it_is_cut() {
        let data = noise(99);
        for cut in 0..=data.len() {
            let (a, b) = data.split_at(cut);
            assert_eq!(sum(a).append(sum(b), cut), sum(&data), "cut at {cut}");
        }
    }

    #[test]
    fn a_part_comes_out_again() {
        let (a, b) = (sum(&noise(64)), sum(&noise(30)));
        assert_eq!((a + b).without(b), a);
    }

    #[test]
    fn all_ones_do_not_overflow() {
        let data = vec![0xff; 65_535];
        assert_eq!(sum(&data).folded(), naive(&data));
        assert_eq!(sum(&data[..65_534]).folded(), 0xffff);
    }

    #[test]
    fn data_with_its_checksum_is_valid_and_any_flipped_bit_is_seen() {
        let mut data = noise(60);
        data[10..12].fill(0);
        let check = sum(&data).finish();
        data[10..12].copy_from_slice(&check.to_be_bytes());
        assert!(sum(&data).is_valid());
        for bit in 0..data.len() * 8 {
            data[bit / 8] ^= 1 << (bit % 8);
            assert!(!sum(&data).is_valid(), "bit {bit}");
            data[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn pseudo_headers_have_the_layout_of_their_rfc() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 7, 0, 17, 0x12, 0x34];
        let (a, b) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7));
        assert_eq!(
            pseudo_header(a.into(), b.into(), 17, 0x1234).folded(),
            naive(&v4)
        );

        let (a, b) = (
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1),
            Ipv6Addr::LOCALHOST,
        );
        let mut v6 = Vec::new();
        v6.extend(a.octets());
        v6.extend(b.octets());
        v6.extend([0, 1, 0x02, 0x03, 0, 0, 0, 6]);
        assert_eq!(
            pseudo_header(a.into(), b.into(), 6, 0x1_0203).folded(),
            naive(&v6)
        );
    }
}
