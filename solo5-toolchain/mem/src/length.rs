//! Measuring: `strlen`.

use core::arch::asm;
use core::ffi::c_char;

/// The number of bytes before the first NUL.
///
/// # Safety
/// `text` must point to a NUL-terminated string.
#[inline]
pub unsafe fn strlen(text: *const c_char) -> usize {
    let end: usize;
    // SAFETY: aligned blocks of 16 bytes are read, beginning with the one that holds the first byte
    // and ending with the one that holds the NUL. An aligned block lies in one page, so each is
    // readable as a whole; assembly may look at the bytes around the string.
    unsafe {
        asm!(
            "pxor {zero}, {zero}",
            "mov {block}, {text}",
            "and {block}, -16",
            "mov ecx, {text:e}",
            "and ecx, 15",
            "movdqa {bytes}, [{block}]",
            "pcmpeqb {bytes}, {zero}",
            "pmovmskb {mask:e}, {bytes}",
            // Forget the bytes in front of the string.
            "shr {mask:e}, cl",
            "shl {mask:e}, cl",
            "2:",
            "test {mask:e}, {mask:e}",
            "jnz 3f",
            "add {block}, 16",
            "movdqa {bytes}, [{block}]",
            "pcmpeqb {bytes}, {zero}",
            "pmovmskb {mask:e}, {bytes}",
            "jmp 2b",
            "3:",
            "bsf {mask:e}, {mask:e}",
            "add {block}, {mask}",
            text = in(reg) text,
            block = out(reg) end,
            mask = out(reg) _,
            bytes = out(xmm_reg) _,
            zero = out(xmm_reg) _,
            out("ecx") _,
            options(nostack, readonly),
        );
    }
    end - text.addr()
}
