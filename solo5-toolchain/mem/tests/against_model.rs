//! Every function against the obvious definition, for every small size and alignment and for sizes
//! around each of the limits at which the code takes another path. Guard bytes around each region
//! must survive.

use core::ffi::CStr;

/// All sizes below 300, then the neighbourhoods of the larger limits.
fn sizes() -> impl Iterator<Item = usize> {
    (0..300)
        .chain(500..530)
        .chain(1010..1040)
        .chain(1440..1520)
        .chain(4080..4110)
        .chain([9000, 65536])
}

/// Bytes that do not repeat with any small period.
fn pattern(len: usize) -> Vec<u8> {
    (0u32..)
        .map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .take(len)
        .collect()
}

#[test]
fn memcpy_copies_exactly_the_region() {
    for count in sizes() {
        for (from, to) in [(0, 0), (1, 0), (0, 1), (3, 7), (15, 8), (8, 15), (13, 13)] {
            let source = pattern(count + 64);
            let mut target = vec![0xa5u8; count + 64];
            let mut expected = target.clone();
            expected[to..to + count].copy_from_slice(&source[from..from + count]);
            let dest = target[to..].as_mut_ptr();
            // SAFETY: both vectors have 64 bytes more than `count`, and the offsets are below 16.
            let result = unsafe { solo5_mem::memcpy(dest, source[from..].as_ptr(), count) };
            assert_eq!(result, dest);
            assert!(target == expected, "count {count} from {from} to {to}");
        }
    }
}

#[test]
fn memmove_is_right_at_every_distance_of_overlap() {
    for count in sizes() {
        let distances = [
            0isize, 1, 2, 3, 8, 15, 16, 17, 31, 63, 64, 65, 127, 129, 1000,
        ];
        for distance in distances.into_iter().flat_map(|d| [d, -d]) {
            for align in [0, 5] {
                let mut bytes = pattern(count + 2100);
                let from: usize = 1040 + align;
                let to = from.strict_add_signed(distance);
                let mut expected = bytes.clone();
                expected.copy_within(from..from + count, to);
                let base = bytes.as_mut_ptr();
                // SAFETY: both regions lie inside the vector: 40 <= to, and from + 1000 + count <=
                // its length.
                let result = unsafe { solo5_mem::memmove(base.add(to), base.add(from), count) };
                assert_eq!(result, base.wrapping_add(to));
                assert!(bytes == expected, "count {count} distance {distance}");
            }
        }
    }
}

#[test]
fn memset_fills_exactly_the_region() {
    for count in sizes() {
        for at in [0, 1, 7, 8, 15] {
            let mut target = vec![0x11u8; count + 32];
            let mut expected = target.clone();
            expected[at..at + count].fill(0xc3);
            let dest = target[at..].as_mut_ptr();
            // SAFETY: the vector has 32 bytes more than `count`, and the offset is below 16.
            let result = unsafe { solo5_mem::memset(dest, 0x7fff_ffc3, count) };
            assert_eq!(result, dest);
            assert!(target == expected, "count {count} at {at}");
        }
    }
}

#[test]
fn comparison_finds_the_first_difference_and_nothing_behind_the_end() {
    for count in sizes() {
        let left = pattern(count + 16);
        let mut right = left.clone();
        right[count] ^= 0xff;
        let compare = |left: &[u8], right: &[u8]| {
            // SAFETY: both have 16 bytes more than `count`.
            unsafe {
                (
                    solo5_mem::memcmp(left.as_ptr(), right.as_ptr(), count),
                    solo5_mem::bcmp(left.as_ptr(), right.as_ptr(), count),
                )
            }
        };
        assert_eq!(compare(&left, &right), (0, 0), "count {count}");
        let step = if count < 300 { 1 } else { 37 };
        for at in (0..count).step_by(step) {
            let mut other = right.clone();
            other[at] ^= 0x80;
            let expected = left[..count].cmp(&other[..count]) as i32;
            let (order, differs) = compare(&left, &other);
            assert_eq!(order.signum(), expected, "count {count} at {at}");
            assert_ne!(differs, 0, "count {count} at {at}");
        }
    }
}

#[test]
fn strlen_stops_at_the_first_nul_at_every_alignment() {
    for align in 0..32 {
        for len in 0..200 {
            let mut bytes = vec![0u8; align];
            bytes.extend(std::iter::repeat_n(b'x', len));
            bytes.extend([0, b'y', 0]);
            let text = CStr::from_bytes_until_nul(&bytes[align..]).expect("it has a NUL");
            // SAFETY: a `CStr` is NUL terminated.
            let measured = unsafe { solo5_mem::strlen(text.as_ptr()) };
            assert_eq!(measured, len, "align {align}");
        }
    }
}
