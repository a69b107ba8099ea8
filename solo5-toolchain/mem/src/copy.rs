//! Copying: `memcpy` and `memmove`.
//!
//! Both are the same function. Up to 128 bytes everything is loaded before anything is stored, so
//! overlap does not matter; above, one comparison tells in which direction to go.

use core::arch::asm;
use core::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_storeu_si128};

/// From this size on the processor's own string move is at least as fast as the loop of 16-byte
/// moves.
const STRING_MOVE: usize = 4096;

/// Copies `count` bytes from `src` to `dest` and returns `dest`.
///
/// The regions may overlap: this is [`memmove`].
///
/// # Safety
/// `src` must be readable and `dest` writable for `count` bytes.
#[inline]
pub unsafe fn memcpy(dest: *mut u8, src: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller's promise is the one asked for.
    unsafe { memmove(dest, src, count) }
}

/// Copies `count` bytes from `src` to `dest`, as if through a third place, and returns `dest`.
///
/// # Safety
/// `src` must be readable and `dest` writable for `count` bytes. They may overlap.
#[inline]
pub unsafe fn memmove(dest: *mut u8, src: *const u8, count: usize) -> *mut u8 {
    // SAFETY: each arm is given sizes in the range it asks for, and the caller's regions.
    unsafe {
        match count {
            0 => {}
            1..=3 => move_up_to_3(dest, src, count),
            4..=7 => move_ends::<u32>(dest, src, count),
            8..=15 => move_ends::<u64>(dest, src, count),
            16..=32 => move_ends::<u128>(dest, src, count),
            33..=64 => move_up_to_64(dest, src, count),
            65..=128 => move_up_to_128(dest, src, count),
            _ => {
                // Distance from source to destination, modulo the address space. Going forward is
                // wrong only when the destination starts inside the source; that is exactly when
                // this is below `count`.
                let distance = dest.addr().wrapping_sub(src.addr());
                if distance < count {
                    move_backward(dest, src, count);
                } else if count >= STRING_MOVE && distance.wrapping_neg() >= count {
                    string_move(dest, src, count);
                } else {
                    move_forward(dest, src, count);
                }
            }
        }
    }
    dest
}

/// One to three bytes.
///
/// # Safety
/// As [`memmove`], with `count` in 1..=3.
#[inline]
unsafe fn move_up_to_3(dest: *mut u8, src: *const u8, count: usize) {
    // SAFETY: the offsets 0, count / 2 and count - 1 are below count; together they are all
    // offsets.
    unsafe {
        let first = src.read();
        let middle = src.add(count / 2).read();
        let last = src.add(count - 1).read();
        dest.write(first);
        dest.add(count / 2).write(middle);
        dest.add(count - 1).write(last);
    }
}

/// As many bytes as two values of type `T` cover: one at the front, one at the end, overlapping in
/// between.
///
/// # Safety
/// As [`memmove`], with `count` between one and two sizes of `T`.
#[inline]
unsafe fn move_ends<T: Copy>(dest: *mut u8, src: *const u8, count: usize) {
    let last = count - size_of::<T>();
    // SAFETY: `count` is at least the size of a `T`, so both accesses are inside the regions.
    unsafe {
        let head = src.cast::<T>().read_unaligned();
        let tail = src.add(last).cast::<T>().read_unaligned();
        dest.cast::<T>().write_unaligned(head);
        dest.add(last).cast::<T>().write_unaligned(tail);
    }
}

/// # Safety
/// 16 bytes at `at` are readable.
#[inline]
unsafe fn load(at: *const u8) -> __m128i {
    // SAFETY: the caller's promise; SSE2 is part of x86-64.
    unsafe { _mm_loadu_si128(at.cast()) }
}

/// # Safety
/// 16 bytes at `at` are writable.
#[inline]
unsafe fn store(at: *mut u8, value: __m128i) {
    // SAFETY: the caller's promise; SSE2 is part of x86-64.
    unsafe { _mm_storeu_si128(at.cast(), value) }
}

/// # Safety
/// As [`memmove`], with `count` in 32..=64.
#[inline]
unsafe fn move_up_to_64(dest: *mut u8, src: *const u8, count: usize) {
    // SAFETY: every offset is at most count - 16.
    unsafe {
        let (a, b) = (load(src), load(src.add(16)));
        let (y, z) = (load(src.add(count - 32)), load(src.add(count - 16)));
        store(dest, a);
        store(dest.add(16), b);
        store(dest.add(count - 32), y);
        store(dest.add(count - 16), z);
    }
}

/// # Safety
/// As [`memmove`], with `count` in 64..=128.
#[inline]
unsafe fn move_up_to_128(dest: *mut u8, src: *const u8, count: usize) {
    // SAFETY: every offset is at most count - 16.
    unsafe {
        let (a, b) = (load(src), load(src.add(16)));
        let (c, d) = (load(src.add(32)), load(src.add(48)));
        let (w, x) = (load(src.add(count - 64)), load(src.add(count - 48)));
        let (y, z) = (load(src.add(count - 32)), load(src.add(count - 16)));
        store(dest, a);
        store(dest.add(16), b);
        store(dest.add(32), c);
        store(dest.add(48), d);
        store(dest.add(count - 64), w);
        store(dest.add(count - 48), x);
        store(dest.add(count - 32), y);
        store(dest.add(count - 16), z);
    }
}

/// Large moves whose destination does not start inside the source: upwards, 64 bytes a turn, to
/// aligned addresses.
///
/// # Safety
/// As [`memmove`], with `count` above 128 and `dest` not in `src..src + count`.
#[inline]
unsafe fn move_forward(dest: *mut u8, src: *const u8, count: usize) {
    // SAFETY: The first 16 and the last 64 bytes are loaded before anything is stored and stored
    // after everything else, because the loop may overwrite them in the source. The loop covers
    // [skip, end) in turns of 64 bytes, where end < count and end + 64 >= count; it reads each 64
    // bytes before it writes at or below them.
    unsafe {
        let head = load(src);
        let (w, x) = (load(src.add(count - 64)), load(src.add(count - 48)));
        let (y, z) = (load(src.add(count - 32)), load(src.add(count - 16)));
        // 1..=16: brings the destination to a multiple of 16.
        let skip = 16 - (dest.addr() & 15);
        // At least one turn: count - skip is above 112.
        let end = skip + (count - skip - 1) / 64 * 64;
        asm!(
            "2:",
            "movdqu {a}, [{src} + {at}]",
            "movdqu {b}, [{src} + {at} + 16]",
            "movdqu {c}, [{src} + {at} + 32]",
            "movdqu {d}, [{src} + {at} + 48]",
            "movdqa [{dest} + {at}], {a}",
            "movdqa [{dest} + {at} + 16], {b}",
            "movdqa [{dest} + {at} + 32], {c}",
            "movdqa [{dest} + {at} + 48], {d}",
            "add {at}, 64",
            "cmp {at}, {end}",
            "jne 2b",
            at = inout(reg) skip => _,
            end = in(reg) end,
            src = in(reg) src,
            dest = in(reg) dest,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
        store(dest, head);
        store(dest.add(count - 64), w);
        store(dest.add(count - 48), x);
        store(dest.add(count - 32), y);
        store(dest.add(count - 16), z);
    }
}

/// Large moves whose destination starts inside the source: downwards, 64 bytes a turn.
///
/// # Safety
/// As [`memmove`], with `count` above 128.
#[inline]
unsafe fn move_backward(dest: *mut u8, src: *const u8, count: usize) {
    // SAFETY: The first 64 bytes are loaded before anything is stored and stored last. The loop
    // covers [rest, count) from the top in turns of 64 bytes with rest in 1..=64; it reads each 64
    // bytes before it writes at or above them.
    unsafe {
        let (a, b) = (load(src), load(src.add(16)));
        let (c, d) = (load(src.add(32)), load(src.add(48)));
        let rest = (count - 1) % 64 + 1;
        asm!(
            "2:",
            "movdqu {a}, [{src} + {at} - 16]",
            "movdqu {b}, [{src} + {at} - 32]",
            "movdqu {c}, [{src} + {at} - 48]",
            "movdqu {d}, [{src} + {at} - 64]",
            "movdqu [{dest} + {at} - 16], {a}",
            "movdqu [{dest} + {at} - 32], {b}",
            "movdqu [{dest} + {at} - 48], {c}",
            "movdqu [{dest} + {at} - 64], {d}",
            "sub {at}, 64",
            "cmp {at}, {rest}",
            "jne 2b",
            at = inout(reg) count => _,
            rest = in(reg) rest,
            src = in(reg) src,
            dest = in(reg) dest,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
        store(dest, a);
        store(dest.add(16), b);
        store(dest.add(32), c);
        store(dest.add(48), d);
    }
}

/// Very large moves without any overlap: the processor's string move.
///
/// # Safety
/// As [`memmove`], without overlap.
#[inline]
unsafe fn string_move(dest: *mut u8, src: *const u8, count: usize) {
    // SAFETY: the regions are the caller's. The direction flag is clear on entry to a function
    // (System V ABI).
    unsafe {
        asm!(
            "rep movsb",
            inout("rcx") count => _,
            inout("rdi") dest => _,
            inout("rsi") src => _,
            options(nostack, preserves_flags),
        );
    }
}
