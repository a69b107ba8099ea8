//! Measuring and comparing without vector instructions: byte by byte.

use core::arch::asm;
use core::ffi::c_char;

/// The number of bytes before the first NUL.
///
/// # Safety
/// `text` must point to a NUL-terminated string.
#[cfg_attr(
    not(feature = "moves-only"),
    allow(unreachable_pub, reason = "public only where it is the one in use")
)]
#[inline]
pub unsafe fn strlen(text: *const c_char) -> usize {
    let length: usize;
    // SAFETY: bytes are read up to the NUL.
    unsafe {
        asm!(
            "xor {at:e}, {at:e}",
            "2:",
            "cmp byte ptr [{text} + {at}], 0",
            "je 3f",
            "inc {at}",
            "jmp 2b",
            "3:",
            text = in(reg) text,
            at = out(reg) length,
            options(nostack, readonly),
        );
    }
    length
}

/// How many bytes are equal from the start on: the offset of the first difference, or `count`.
///
/// # Safety
/// `left` and `right` must be readable for `count` bytes.
#[inline]
pub(crate) unsafe fn common_prefix(left: *const u8, right: *const u8, count: usize) -> usize {
    let mut at = 0;
    // SAFETY: bytes are read where at < count.
    unsafe {
        asm!(
            "2:",
            "cmp {at}, {count}",
            "je 3f",
            "movzx {byte:e}, byte ptr [{left} + {at}]",
            "cmp {byte:l}, byte ptr [{right} + {at}]",
            "jne 3f",
            "inc {at}",
            "jmp 2b",
            "3:",
            at = inout(reg) at,
            count = in(reg) count,
            left = in(reg) left,
            right = in(reg) right,
            byte = out(reg) _,
            options(nostack, readonly),
        );
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_end_at_their_first_nul() {
        for (text, length) in [
            (&b"\0"[..], 0),
            (b"a\0", 1),
            (b"--solo5:quiet\0x\0", 13),
            (b"\xff\x80\0", 2),
        ] {
            // SAFETY: there is a NUL.
            assert_eq!(unsafe { strlen(text.as_ptr().cast()) }, length);
        }
    }

    #[test]
    fn prefixes_end_at_the_first_difference_or_at_the_end() {
        for (left, right, length) in [
            (&b""[..], &b""[..], 0),
            (b"abc", b"abc", 3),
            (b"abc", b"abd", 2),
            (b"xbc", b"abc", 0),
            (b"\x80\xff", b"\x80\x7f", 1),
        ] {
            // SAFETY: both have this length.
            let got = unsafe { common_prefix(left.as_ptr(), right.as_ptr(), left.len()) };
            assert_eq!(got, length);
        }
    }
}
