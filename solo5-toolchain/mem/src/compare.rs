//! Comparing: `memcmp` and `bcmp`.

#[cfg(not(feature = "moves-only"))]
use core::arch::asm;
use core::ffi::c_int;

#[cfg(feature = "moves-only")]
use crate::scalar::common_prefix;

/// Compares `count` bytes: negative, zero or positive as the first byte that differs is smaller on
/// the left, absent, or larger on the left.
///
/// # Safety
/// `left` and `right` must be readable for `count` bytes.
#[inline]
pub unsafe fn memcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    // SAFETY: the caller's promise is the one asked for; the result is `count` or the offset of a
    // byte of both.
    unsafe {
        let at = common_prefix(left, right, count);
        if at == count {
            0
        } else {
            c_int::from(left.add(at).read()) - c_int::from(right.add(at).read())
        }
    }
}

/// Compares `count` bytes: zero when all are equal, something else otherwise.
///
/// # Safety
/// As [`memcmp`].
#[inline]
pub unsafe fn bcmp(left: *const u8, right: *const u8, count: usize) -> c_int {
    // SAFETY: the caller's promise is the one asked for.
    c_int::from(unsafe { common_prefix(left, right, count) } != count)
}

/// How many bytes are equal from the start on: the offset of the first difference, or `count`.
///
/// # Safety
/// As [`memcmp`].
#[cfg(not(feature = "moves-only"))]
#[inline]
unsafe fn common_prefix(left: *const u8, right: *const u8, count: usize) -> usize {
    let mut at = 0;
    // SAFETY: the assembly reads [at, at + 16) only where at + 16 <= count, and single bytes only
    // where at < count. It leaves `at` at the first difference or at `count`.
    unsafe {
        asm!(
            // 16 bytes a turn, while that many are left.
            "2:",
            "lea {scratch}, [{at} + 16]",
            "cmp {scratch}, {count}",
            "ja 4f",
            "movdqu {a}, [{left} + {at}]",
            "movdqu {b}, [{right} + {at}]",
            "pcmpeqb {a}, {b}",
            "pmovmskb {mask:e}, {a}",
            "xor {mask:e}, 0xffff",
            "jnz 3f",
            "mov {at}, {scratch}",
            "jmp 2b",
            // The lowest bit of the mask is the first byte that differs.
            "3:",
            "bsf {mask:e}, {mask:e}",
            "add {at}, {mask}",
            "jmp 5f",
            // The last 15 or fewer, one by one.
            "4:",
            "cmp {at}, {count}",
            "je 5f",
            "movzx {scratch:e}, byte ptr [{left} + {at}]",
            "cmp {scratch:l}, byte ptr [{right} + {at}]",
            "jne 5f",
            "inc {at}",
            "jmp 4b",
            "5:",
            at = inout(reg) at,
            count = in(reg) count,
            left = in(reg) left,
            right = in(reg) right,
            scratch = out(reg) _,
            mask = out(reg) _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            options(nostack, readonly),
        );
    }
    at
}
