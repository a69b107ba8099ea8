//! The memory of an hvt guest, and the only way in which the tender touches it while the guest runs
//! (solo5-abi sections 10.1 and 10.4).
//!
//! Guest memory is memory that somebody else changes at any time: the guest, or the kernel on
//! behalf of a read. So no reference to it is ever made once the guest runs. What the tender looks
//! at is copied once and checked after the copy; what system calls work on is passed as a pointer.

use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, mprotect, munmap};
use solo5_abi::constants::LOAD_BASE;
use solo5_abi::hvt::{MEMORY_MAX, MEMORY_STEP, RING_AREA};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::load::{GuestMemory, Protection};

/// How much memory a machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// What the guest may use, in bytes.
    pub guest: u64,
    /// All of it: with the ring's area behind it, if there is one.
    pub total: u64,
}

/// Why a machine cannot have so much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("guest memory size {0} bytes exceeds the max size {MEMORY_MAX} bytes")]
pub struct TooLarge(pub u64);

impl Size {
    /// The size of a machine for which `wanted` bytes are asked, with or without a ring's area.
    ///
    /// Sizes are rounded down to a multiple of 2 MiB, of which there is at least one.
    ///
    /// # Errors
    ///
    /// More than 4 GiB.
    pub fn new(wanted: u64, ring: bool) -> Result<Self, TooLarge> {
        let base = (wanted - wanted % MEMORY_STEP).max(MEMORY_STEP);
        if base > MEMORY_MAX {
            return Err(TooLarge(wanted));
        }
        if !ring {
            return Ok(Self {
                guest: base,
                total: base,
            });
        }
        let total = (base + RING_AREA).min(MEMORY_MAX);
        Ok(Self {
            guest: total - RING_AREA,
            total,
        })
    }
}

/// A guest's pointer that points to something that it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid guest access: gpa={gpa:#x}, sz={len}")]
pub struct BadAccess {
    /// The address.
    pub gpa: u64,
    /// Bytes from there on.
    pub len: u64,
}

/// Memory of this process that a machine uses, zero at first. Unmapped when dropped.
#[derive(Debug)]
pub struct Area {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the area is memory of the whole process; access to it is by unsafe code only.
unsafe impl Send for Area {}
// SAFETY: as above.
unsafe impl Sync for Area {}

impl Area {
    /// Maps `len` bytes, a multiple of the page size, at a multiple of 2 MiB.
    ///
    /// # Errors
    ///
    /// Whatever the host says.
    pub fn new(len: usize) -> io::Result<Self> {
        const ALIGNMENT: usize = 2 << 20;
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let padded = len.checked_add(ALIGNMENT).and_then(NonZeroUsize::new);
        let padded = padded.filter(|_| len > 0).ok_or_else(invalid)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE;
        // SAFETY: a new mapping where the kernel likes; nothing that exists changes.
        let mapped = unsafe { mmap_anonymous(None, padded, protection, flags) }?;
        let front = mapped.addr().get().wrapping_neg() % ALIGNMENT;
        // SAFETY: inside the mapping, which is longer by the alignment.
        let start = unsafe { mapped.byte_add(front) };
        // SAFETY: the parts before and behind the area belong to the new mapping and to nobody.
        unsafe {
            if front > 0 {
                munmap(mapped, front)?;
            }
            if front < ALIGNMENT {
                munmap(start.byte_add(len), ALIGNMENT - front)?;
            }
            // Large pages where there are some: a matter of speed only.
            let _ = madvise(start, len, MmapAdvise::MADV_HUGEPAGE);
        }
        Ok(Self {
            start: start.cast(),
            len,
        })
    }

    /// Where the area is.
    #[must_use]
    pub const fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Its length in bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes, which never is so.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes at these offsets, `None` if they are not all there.
    pub fn bytes_mut(&mut self, range: Range<usize>) -> Option<&mut [u8]> {
        let len = range.end.checked_sub(range.start)?;
        if range.end > self.len {
            return None;
        }
        // SAFETY: inside the mapping, which is initialised; this object is borrowed exclusively,
        // and nothing else uses the memory before a machine runs.
        Some(unsafe { std::slice::from_raw_parts_mut(self.as_ptr().add(range.start), len) })
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: `new` mapped exactly this. Whoever shares it borrows this object or lives as long
        // as the process.
        let _ = unsafe { munmap(self.start.cast(), self.len) };
    }
}

/// Guest memory from address 0 to its size, and the ring's area behind it.
#[derive(Debug)]
pub struct Ram {
    area: Area,
    size: Size,
    segments: Vec<(Range<u64>, Protection)>,
    /// Whether segments that are not writable are so for the host's kernel as well.
    protect_host: bool,
}

impl Ram {
    /// Zeroed memory of this size. With `protect_host` a loaded segment that is not writable is
    /// protected against the guest by the host's page tables.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, or whatever else the host says.
    pub fn new(size: Size, protect_host: bool) -> io::Result<Self> {
        let no_memory = |_| io::Error::from_raw_os_error(libc::ENOMEM);
        Ok(Self {
            area: Area::new(usize::try_from(size.total).map_err(no_memory)?)?,
            size,
            segments: Vec::new(),
            protect_host,
        })
    }

    /// How much there is.
    #[must_use]
    pub const fn memory_size(&self) -> Size {
        self.size
    }

    /// Where all of it is in this process.
    #[must_use]
    pub const fn area(&self) -> &Area {
        &self.area
    }

    /// What was loaded, in ascending order, and what a guest may do with it.
    #[must_use]
    pub fn segments(&self) -> &[(Range<u64>, Protection)] {
        &self.segments
    }

    /// The ring's area, if the machine has one.
    #[must_use]
    pub fn ring_area(&self) -> Option<NonNull<u8>> {
        let offset = usize::try_from(self.size.guest).ok()?;
        let there = self.size.total - self.size.guest >= RING_AREA;
        // SAFETY: the area has `total` bytes, more than `guest`.
        there.then(|| unsafe { self.area.start.add(offset) })
    }

    /// Where `len` bytes of guest memory are, for a system call to read.
    ///
    /// Nothing may be assumed about the bytes, at any time.
    ///
    /// # Errors
    ///
    /// They are not all guest memory.
    pub fn readable(&self, gpa: u64, len: u64) -> Result<NonNull<u8>, BadAccess> {
        let bad = BadAccess { gpa, len };
        let end = gpa.checked_add(len).ok_or(bad)?;
        if gpa >= self.size.guest || end > self.size.guest {
            return Err(bad);
        }
        let offset = usize::try_from(gpa).map_err(|_| bad)?;
        // SAFETY: below the size of guest memory, all of which is in the area.
        Ok(unsafe { self.area.start.add(offset) })
    }

    /// Where `len` bytes of guest memory are, for a system call to write.
    ///
    /// What the guest's page tables or the host's keep the guest from writing it cannot have written
    /// by the tender either: code and constants stay as they were loaded.
    ///
    /// # Errors
    ///
    /// They are not all guest memory, or some of them are below the image (boot information, and
    /// the tables of a guest in ring 0), or in a segment that is not writable.
    pub fn writable(&self, gpa: u64, len: u64) -> Result<NonNull<u8>, BadAccess> {
        let place = self.readable(gpa, len)?;
        if len == 0 || self.is_writable(gpa..gpa + len) {
            Ok(place)
        } else {
            Err(BadAccess { gpa, len })
        }
    }

    /// Whether the guest may write to every byte of this part of its memory.
    fn is_writable(&self, range: Range<u64>) -> bool {
        let first = self
            .segments
            .partition_point(|(pages, _)| pages.end <= range.start);
        let mut touched = self.segments[first..]
            .iter()
            .take_while(|(pages, _)| pages.start < range.end);
        range.start >= LOAD_BASE && touched.all(|(_, protection)| protection.write)
    }

    /// A copy of what the guest has there.
    ///
    /// # Errors
    ///
    /// It is not guest memory.
    pub fn read<T: FromBytes>(&self, gpa: u64) -> Result<T, BadAccess> {
        let from = self.readable(gpa, size_of::<T>() as u64)?;
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: `readable` vouches for this many bytes, and the value has room for them.
        unsafe { copy_once(from, value.as_mut_ptr().cast(), size_of::<T>()) };
        // SAFETY: every byte was written, and any bytes are a `T`.
        Ok(unsafe { value.assume_init() })
    }

    /// [`read`](Self::read), of an argument that results will be written to.
    ///
    /// # Errors
    ///
    /// It is not guest memory, or none that [`write`](Self::write) takes.
    pub fn read_in_out<T: FromBytes>(&self, gpa: u64) -> Result<T, BadAccess> {
        self.writable(gpa, size_of::<T>() as u64)?;
        self.read(gpa)
    }

    /// A copy of up to `len` bytes of what the guest has there; fewer at the end of its memory.
    #[must_use]
    pub fn peek(&self, gpa: u64, len: u64) -> Vec<u8> {
        let len = len.min(self.size.guest.saturating_sub(gpa));
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
        if let Ok(from) = self.readable(gpa, len) {
            // SAFETY: `readable` vouches for this many bytes, and so many are in the vector.
            unsafe { copy_once(from, bytes.as_mut_ptr(), bytes.len()) };
        }
        bytes
    }

    /// Changes what the guest has there.
    ///
    /// # Errors
    ///
    /// It is not guest memory, or the guest itself could not write to it.
    pub fn write<T: IntoBytes + Immutable>(&self, gpa: u64, value: &T) -> Result<(), BadAccess> {
        self.writable(gpa, size_of_val(value) as u64)?;
        self.provide(gpa, value.as_bytes())
    }

    /// Changes guest memory for a debugger, whoever is kept from writing there.
    ///
    /// # Errors
    ///
    /// It is not guest memory.
    pub fn patch(&self, gpa: u64, bytes: &[u8]) -> Result<(), BadAccess> {
        let len = bytes.len() as u64;
        let bad = |_| BadAccess { gpa, len };
        self.readable(gpa, len)?;
        let guarded = self.segments.iter().filter(|(pages, protection)| {
            self.protect_host && !protection.write && pages.start < gpa + len && gpa < pages.end
        });
        let guarded: Vec<_> = guarded.map(|(pages, _)| pages.clone()).collect();
        for pages in &guarded {
            let both = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            self.protect_pages(pages, both).map_err(bad)?;
        }
        self.provide(gpa, bytes)?;
        for pages in &guarded {
            self.protect_pages(pages, ProtFlags::PROT_READ)
                .map_err(bad)?;
        }
        Ok(())
    }

    /// Sets what the host's kernel, and a guest in ring 0, may do with pages.
    fn protect_pages(&self, pages: &Range<u64>, flags: ProtFlags) -> io::Result<()> {
        let invalid = |_| io::Error::from_raw_os_error(libc::EINVAL);
        let len = usize::try_from(pages.end - pages.start).map_err(invalid)?;
        let start = self.readable(pages.start, pages.end - pages.start);
        let start = start.map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        // SAFETY: inside the area, in which no Rust object lives.
        unsafe { mprotect(start.cast(), len, flags) }?;
        Ok(())
    }

    /// Puts what the tender itself has for the guest into its memory: where the guest cannot write,
    /// too, unless the host protects it.
    pub(super) fn provide(&self, gpa: u64, bytes: &[u8]) -> Result<(), BadAccess> {
        let to = self.readable(gpa, bytes.len() as u64)?;
        for (at, &byte) in bytes.iter().enumerate() {
            // SAFETY: `readable` vouches for this many bytes. Others may write there too.
            unsafe { to.add(at).write_volatile(byte) };
        }
        Ok(())
    }
}

/// Copies guest memory, each byte once.
///
/// The guest's processor is stopped while the tender looks, but the thread of the network ring has
/// the host's kernel write wherever the guest said. So the reads are volatile, which keeps the
/// compiler from reading a second time what was checked.
///
/// # Safety
///
/// `from` is mapped for `len` bytes, and `to` is the caller's and has room for them.
unsafe fn copy_once(from: NonNull<u8>, to: *mut u8, len: usize) {
    for at in 0..len {
        // SAFETY: the caller vouches for both.
        unsafe { to.add(at).write(from.add(at).read_volatile()) };
    }
}

impl GuestMemory for Ram {
    fn size(&self) -> u64 {
        self.size.guest
    }

    fn bytes_mut(&mut self, range: Range<u64>) -> Option<&mut [u8]> {
        if range.end > self.size.guest {
            return None;
        }
        let offset = |address: u64| usize::try_from(address).ok();
        self.area
            .bytes_mut(offset(range.start)?..offset(range.end)?)
    }

    fn protect(&mut self, range: Range<u64>, protection: Protection) -> io::Result<()> {
        if self.protect_host && !protection.write {
            self.protect_pages(&range, ProtFlags::PROT_READ)?;
        }
        self.segments.push((range, protection));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn sizes_are_rounded_and_limited() {
        let size = |wanted, ring| Size::new(wanted, ring).map(|s| (s.guest / MIB, s.total / MIB));
        assert_eq!(size(512 * MIB, false), Ok((512, 512)));
        assert_eq!(size(512 * MIB, true), Ok((512, 514)));
        assert_eq!(size(3 * MIB, false), Ok((2, 2)));
        assert_eq!(size(MIB, true), Ok((2, 4)));
        assert_eq!(size(4096 * MIB, false), Ok((4096, 4096)));
        assert_eq!(size(4096 * MIB, true), Ok((4094, 4096)));
        assert_eq!(size(4097 * MIB, false), Ok((4096, 4096)));
        let wanted = 4098 * MIB;
        assert_eq!(size(wanted, false), Err(TooLarge(wanted)));
        assert_eq!(
            TooLarge(5 << 30).to_string(),
            "guest memory size 5368709120 bytes exceeds the max size 4294967296 bytes"
        );
    }

    fn ram() -> Ram {
        Ram::new(Size::new(2 * MIB, true).unwrap(), false).unwrap()
    }

    #[test]
    fn only_guest_memory_is_reached() {
        let ram = ram();
        let end = 2 * MIB;
        assert!(ram.readable(0, end).is_ok());
        assert!(ram.readable(end - 8, 8).is_ok());
        assert!(ram.readable(0, 0).is_ok());
        for (gpa, len) in [
            (end, 0),
            (end - 8, 9),
            (0, end + 1),
            (end, 1),
            (u64::MAX, 1),
            (8, u64::MAX - 7),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(ram.readable(gpa, len), Err(BadAccess { gpa, len }));
        }
        assert_eq!(
            BadAccess { gpa: 0x20, len: 3 }.to_string(),
            "Invalid guest access: gpa=0x20, sz=3"
        );
    }

    #[test]
    fn what_the_guest_cannot_write_is_not_written_for_it() {
        let mut ram = ram();
        let protection = |write| Protection {
            read: true,
            write,
            execute: !write,
        };
        ram.protect(0x10_0000..0x10_2000, protection(false))
            .unwrap();
        ram.protect(0x10_3000..0x10_4000, protection(true)).unwrap();
        ram.protect(0x10_4000..0x10_5000, protection(false))
            .unwrap();
        for (gpa, len) in [
            (0, 8),
            (0x2000, 8),
            (0x1_0000, 8),
            (0xf_ffff, 1),
            (0xf_fff8, 0x20_0000 - 0xf_fff8),
            (0x10_0000, 1),
            (0x10_1fff, 1),
            (0x10_1ff9, 8),
            (0x10_1fff, 0x1000),
            (0x10_3ff9, 8),
            (0x10_2000, 0x2001),
            (0x10_4fff, 0x1000),
        ] {
            assert_eq!(ram.writable(gpa, len), Err(BadAccess { gpa, len }));
            assert!(ram.readable(gpa, len).is_ok());
        }
        assert!(ram.write(0x10_1ff9, &0u64).is_err());
        assert!(ram.read_in_out::<u64>(0x10_1ff9).is_err());
        assert_eq!(ram.read::<u64>(0x10_1ff9), Ok(0));
        for (gpa, len) in [
            (0x10_2000, 0x2000),
            (0x10_2000, 8),
            (0x10_3ff8, 8),
            (0x10_5000, 0x20_0000 - 0x10_5000),
            // Nothing is written.
            (0, 0),
            (0x10_0000, 0),
        ] {
            assert!(ram.writable(gpa, len).is_ok(), "{gpa:#x} {len:#x}");
        }
        assert!(ram.writable(2 * MIB - 8, 9).is_err());
    }

    #[test]
    fn values_are_copied_whatever_their_alignment() {
        let ram = ram();
        ram.write(0x10_1001, &0x0102_0304_0506_0708u64).unwrap();
        assert_eq!(ram.read::<u64>(0x10_1001), Ok(0x0102_0304_0506_0708));
        assert_eq!(ram.peek(0x10_1001, 2), [8, 7]);
        ram.provide(0x1_0001, &[1, 2]).unwrap();
        assert_eq!(ram.read::<[u8; 3]>(0x1_0000), Ok([0, 1, 2]));
        assert_eq!(ram.peek(2 * MIB - 1, 8), [0]);
        assert!(ram.peek(2 * MIB, 8).is_empty() && ram.peek(u64::MAX, 8).is_empty());
        assert!(ram.read::<u64>(2 * MIB - 7).is_err());
        assert!(ram.write(2 * MIB - 7, &0u64).is_err());
    }

    #[test]
    fn areas_are_aligned_and_zero() {
        let mut area = Area::new(3 << 12).unwrap();
        assert!(area.as_ptr().addr().is_multiple_of(2 << 20));
        assert!(
            area.bytes_mut(0..3 << 12)
                .unwrap()
                .iter()
                .all(|&byte| byte == 0)
        );
        assert!(area.bytes_mut(0..(3 << 12) + 1).is_none());
        assert!(Area::new(0).is_err());
    }
}
