//! The memory of an spt guest: a mapping at fixed addresses in this process (solo5-abi section
//! 14.1), and what the tender itself writes into it.

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::raw::c_void;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use solo5_abi::boot::SptBootInfo;
use solo5_abi::constants::{SPT_BOOT_INFO, SPT_MAP_BASE};
use solo5_abi::manifest::ManifestEntry;

use crate::boot;
use crate::load::{GuestMemory, Protection};

/// Guest memory: everything from [`SPT_MAP_BASE`] to its size. It is never unmapped.
#[derive(Debug)]
pub struct Mapping {
    size: u64,
}

impl Mapping {
    /// Maps zeroed guest memory that ends at address `size`, readable and writable, and executable
    /// if asked for.
    ///
    /// Addresses that this process uses already are left alone: then there is an error.
    ///
    /// # Errors
    ///
    /// `EEXIST` if part of the range is in use, `ENOMEM` if it is too large, `EINVAL` if there is
    /// nothing above [`SPT_MAP_BASE`], `EPERM` if the host reserves such low addresses.
    pub fn new(size: u64, executable: bool) -> io::Result<Self> {
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let too_large = |_| io::Error::from_raw_os_error(libc::ENOMEM);
        let base = usize::try_from(SPT_MAP_BASE).map_err(too_large)?;
        let base = NonZeroUsize::new(base).ok_or_else(invalid)?;
        let end = usize::try_from(size).map_err(too_large)?;
        let length = end.checked_sub(base.get()).and_then(NonZeroUsize::new);
        let length = length.ok_or_else(invalid)?;

        let mut protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        protection.set(ProtFlags::PROT_EXEC, executable);
        let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
        // SAFETY: MAP_FIXED_NOREPLACE replaces no mapping that exists, so nothing that Rust code
        // relies on changes.
        let start = unsafe { mmap_anonymous(Some(base), length, protection, flags) }?;
        if start.addr() == base {
            return Ok(Self { size });
        }
        // Kernels before 4.17 take the address as a hint only.
        Err(io::Error::from_raw_os_error(libc::EEXIST))
    }

    /// Unmaps it.
    ///
    /// # Safety
    ///
    /// Nobody uses it from now on.
    pub unsafe fn release(&self) {
        let (base, end) = (usize::try_from(SPT_MAP_BASE), usize::try_from(self.size));
        let (Ok(base), Ok(end)) = (base, end) else {
            return;
        };
        let length = end.saturating_sub(base);
        if let Some(start) = NonNull::new(std::ptr::with_exposed_provenance_mut::<c_void>(base)) {
            // SAFETY: what `new` mapped, and nobody uses any more.
            let _ = unsafe { munmap(start, length) };
        }
    }

    /// Puts boot information, manifest and command line where the guest finds them.
    ///
    /// `boot` is completed with the addresses of the other two. `cmdline` has no NUL; one is added.
    ///
    /// # Errors
    ///
    /// `E2BIG` if the manifest or the command line has no room; callers have limited both before.
    pub fn write_boot_info(
        &mut self,
        mut boot: SptBootInfo,
        manifest: &[ManifestEntry],
        cmdline: &[u8],
    ) -> io::Result<()> {
        let too_big = || io::Error::from_raw_os_error(libc::E2BIG);
        let boot_size = size_of::<SptBootInfo>();
        let places = boot::places(SPT_BOOT_INFO, boot_size, manifest, cmdline);
        let places = places.ok_or_else(too_big)?;
        boot.manifest = places.manifest;
        boot.cmdline = places.cmdline;
        let room = self.bytes_mut(SPT_BOOT_INFO..places.end);
        let room = room.ok_or_else(too_big)?;
        let bytes = boot::bytes(&boot, manifest, cmdline);
        room[..bytes.len()].copy_from_slice(&bytes);
        Ok(())
    }
}

impl GuestMemory for Mapping {
    fn size(&self) -> u64 {
        self.size
    }

    fn bytes_mut(&mut self, range: Range<u64>) -> Option<&mut [u8]> {
        let (start, end) = (range.start, range.end);
        if start < SPT_MAP_BASE || start > end || end > self.size {
            return None;
        }
        let length = usize::try_from(end - start).ok()?;
        let start = std::ptr::with_exposed_provenance_mut(usize::try_from(start).ok()?);
        // SAFETY: the range is within the mapping that `new` made and that lives as long as the
        // process; all of it is initialised, and only this object, borrowed exclusively, gives
        // access to it. The loader asks for bytes of a segment only before it protects them.
        Some(unsafe { std::slice::from_raw_parts_mut(start, length) })
    }

    fn protect(&mut self, range: Range<u64>, protection: Protection) -> io::Result<()> {
        let out_of_range = || io::Error::from_raw_os_error(libc::ENOMEM);
        if range.start < SPT_MAP_BASE || range.start > range.end || range.end > self.size {
            return Err(out_of_range());
        }
        let length = usize::try_from(range.end - range.start).map_err(|_| out_of_range())?;
        let start = usize::try_from(range.start).map_err(|_| out_of_range())?;
        let start = std::ptr::with_exposed_provenance_mut::<c_void>(start);
        let start = NonNull::new(start).ok_or_else(out_of_range)?;
        let mut flags = ProtFlags::PROT_NONE;
        flags.set(ProtFlags::PROT_READ, protection.read);
        flags.set(ProtFlags::PROT_WRITE, protection.write);
        flags.set(ProtFlags::PROT_EXEC, protection.execute);
        // SAFETY: the range is within the guest's mapping, which no Rust object lives in.
        unsafe { mprotect(start, length, flags) }.map_err(io::Error::from)
    }
}
