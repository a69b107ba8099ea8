//! Filling: `memset`.

use core::arch::asm;
#[cfg(not(feature = "moves-only"))]
use core::arch::x86_64::{_mm_set1_epi8, _mm_storeu_si128};
use core::ffi::c_int;

/// From this size on the processor's own string store is at least as fast as the loop of 16-byte
/// stores.
#[cfg(not(feature = "moves-only"))]
const STRING_STORE: usize = 1024;

/// Sets `count` bytes at `dest` to the low 8 bits of `value` and returns `dest`.
///
/// # Safety
/// `dest` must be writable for `count` bytes.
#[inline]
pub unsafe fn memset(dest: *mut u8, value: c_int, count: usize) -> *mut u8 {
    let byte = value.to_le_bytes()[0];
    let word = u64::from(byte) * 0x0101_0101_0101_0101;
    // SAFETY: each arm stores at offsets below `count`: a value at the front and one at the end of
    // the region, which overlap in between. SSE2 is part of x86-64. The loop stores [0, end) with
    // end in 16.. below count, in turns of 16.
    unsafe {
        match count {
            0 => {}
            1..=3 => {
                dest.write(byte);
                dest.add(count / 2).write(byte);
                dest.add(count - 1).write(byte);
            }
            4..=7 => {
                #[expect(clippy::cast_possible_truncation, reason = "every byte is the same")]
                let word = word as u32;
                dest.cast::<u32>().write_unaligned(word);
                dest.add(count - 4).cast::<u32>().write_unaligned(word);
            }
            8..=15 => {
                dest.cast::<u64>().write_unaligned(word);
                dest.add(count - 8).cast::<u64>().write_unaligned(word);
            }
            #[cfg(not(feature = "moves-only"))]
            16.. if count < STRING_STORE => {
                let block = _mm_set1_epi8(byte.cast_signed());
                _mm_storeu_si128(dest.add(count - 16).cast(), block);
                let end = count.div_ceil(16) * 16 - 16;
                asm!(
                    "2:",
                    "sub {end}, 16",
                    "jb 3f",
                    "movdqu [{dest} + {end}], {block}",
                    "jmp 2b",
                    "3:",
                    end = inout(reg) end => _,
                    dest = in(reg) dest,
                    block = in(xmm_reg) block,
                    options(nostack),
                );
            }
            // The direction flag is clear on entry to a function (System V ABI).
            _ => asm!(
                "rep stosb",
                inout("rcx") count => _,
                inout("rdi") dest => _,
                in("al") byte,
                options(nostack, preserves_flags),
            ),
        }
    }
    dest
}
