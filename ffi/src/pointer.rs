//! The checks on what comes from C, in one place.
//!
//! Structures are copied in and out byte by byte, so their alignment does not matter and no
//! reference to them exists. Buffers become slices for the length of one call, after the checks.

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::{ptr, slice};

use crate::arena;
use crate::error::Error;

/// A place for one output. Checked when the call begins, written when it succeeds.
pub(crate) struct Out<T>(*mut T);

impl<T: Copy> Out<T> {
    /// `NULL` is an error.
    ///
    /// # Safety
    /// `place` is NULL or may be written until the call returns.
    pub(crate) unsafe fn required(place: *mut T) -> Result<Self, Error> {
        // SAFETY: the caller's promise is the one asked for.
        let out = unsafe { Self::optional(place) }?;
        if out.0.is_null() {
            Err(Error::INVALID)
        } else {
            Ok(out)
        }
    }

    /// `NULL` means that the caller does not want the value.
    ///
    /// # Safety
    /// `place` is NULL or may be written until the call returns.
    pub(crate) unsafe fn optional(place: *mut T) -> Result<Self, Error> {
        if arena::overlaps(place.cast(), size_of::<T>()) {
            return Err(Error::INVALID);
        }
        Ok(Self(place))
    }

    pub(crate) fn write(self, value: T) {
        if !self.0.is_null() {
            // SAFETY: not NULL, so the promise given to the constructor says it may be written.
            unsafe { self.0.write_unaligned(value) };
        }
    }
}

/// Copies a structure in.
///
/// # Safety
/// `place` is NULL or points to a `T`. Every bit pattern is a value of `T`.
pub(crate) unsafe fn read<T: Copy>(place: *const T) -> Result<T, Error> {
    if place.is_null() {
        return Err(Error::INVALID);
    }
    // SAFETY: not NULL, so it points to a `T`.
    Ok(unsafe { place.read_unaligned() })
}

/// Copies in a structure that starts with its size (`usize`) and may be older or newer than ours:
/// members that the caller does not know are zero, and what we do not know must be.
///
/// # Safety
/// `place` is NULL or points to as many bytes as the `usize` at its start says. Every bit pattern
/// is a value of `T`, which also starts with the size.
pub(crate) unsafe fn read_sized<T: Copy>(place: *const T, smallest: usize) -> Result<T, Error> {
    // SAFETY: the structure starts with a `usize`.
    let size = unsafe { read(place.cast::<usize>()) }?;
    // Nobody's structure is this large: the size was not filled in.
    if size < smallest || size > 1 << 16 {
        return Err(Error::INVALID);
    }
    let known = size.min(size_of::<T>());
    let mut copy = MaybeUninit::<T>::zeroed();
    // SAFETY: there are `size` bytes at `place`, and `copy` has room for `known` of them.
    let copy = unsafe {
        ptr::copy_nonoverlapping(place.cast::<u8>(), copy.as_mut_ptr().cast(), known);
        copy.assume_init()
    };
    // SAFETY: the rest of the `size` bytes.
    let rest = unsafe { slice::from_raw_parts(place.cast::<u8>().add(known), size - known) };
    if rest.iter().any(|byte| *byte != 0) {
        return Err(Error::INVALID);
    }
    Ok(copy)
}

/// Copies as much of a structure out as the caller has room for, and clears what we do not know.
///
/// # Safety
/// `place` is NULL or `size` bytes there may be written.
pub(crate) unsafe fn write_sized<T: Copy>(
    place: *mut T,
    size: usize,
    value: &T,
) -> Result<(), Error> {
    // SAFETY: the caller's promise is the one asked for.
    let bytes = unsafe { output(place.cast(), size) }?;
    let known = size.min(size_of::<T>());
    bytes.fill(0);
    // SAFETY: `value` is a structure of integers without padding, and has at least `known` bytes.
    let value = unsafe { slice::from_raw_parts(ptr::from_ref(value).cast::<u8>(), known) };
    for (to, from) in bytes.iter_mut().zip(value) {
        *to = *from;
    }
    Ok(())
}

/// A buffer to read from. It must not lie in an arena, whose content changes under the reader.
///
/// # Safety
/// `start` is NULL, or `len` bytes there can be read, and nobody writes them while the slice lives.
pub(crate) unsafe fn input<'a>(start: *const c_void, len: usize) -> Result<&'a [u8], Error> {
    check(start.cast(), len)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: not NULL, not longer than memory can be, outside the stacks, and the caller vouches
    // for the rest.
    Ok(unsafe { slice::from_raw_parts(start.cast(), len) })
}

/// A buffer to write to. It must not lie in an arena.
///
/// # Safety
/// `start` is NULL, or `len` bytes there may be written, and nobody else uses them while the slice
/// lives.
pub(crate) unsafe fn output<'a>(start: *mut c_void, len: usize) -> Result<&'a mut [u8], Error> {
    check(start.cast(), len)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: as for `input`. Bytes of foreign memory always have some value.
    Ok(unsafe { slice::from_raw_parts_mut(start.cast(), len) })
}

/// Longest text of a name or a help, longest filter, and longest command line.
const MAX_TEXT: usize = 1 << 16;

/// Text of C's, UTF-8.
///
/// # Safety
/// `text` is NULL or a string, which lives as long as what is made of it.
pub(crate) unsafe fn text<'a>(text: *const core::ffi::c_char) -> Result<&'a str, Error> {
    if text.is_null() {
        return Err(Error::INVALID);
    }
    // SAFETY: not NULL, so it is a string.
    let text = unsafe { core::ffi::CStr::from_ptr(text) };
    let bytes = text.to_bytes();
    if bytes.len() > MAX_TEXT {
        return Err(Error::TOO_LONG);
    }
    core::str::from_utf8(bytes).map_err(|_| Error::INVALID)
}

/// A count of elements of `T` as a length in bytes.
pub(crate) fn array_len<T>(count: usize) -> Result<usize, Error> {
    count.checked_mul(size_of::<T>()).ok_or(Error::INVALID)
}

/// NULL with a length, lengths that no object has, and the insides of stacks. What takes something away
/// checks with it where the rest of its answer goes, before it does.
pub(crate) fn check(start: *const u8, len: usize) -> Result<(), Error> {
    if is_possible(start, len) && !arena::overlaps(start, len) {
        Ok(())
    } else {
        Err(Error::INVALID)
    }
}

/// Whether there can be an object of so many bytes here, or there are none.
pub(crate) fn is_possible(start: *const u8, len: usize) -> bool {
    let fits = len <= isize::MAX.unsigned_abs() && start.addr().checked_add(len).is_some();
    fits && (len == 0 || !start.is_null())
}
