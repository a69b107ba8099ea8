//! What a guest finds in memory when it starts.

use core::mem::{align_of, offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Boot information of the spt target, at [`crate::constants::SPT_BOOT_INFO`].
///
/// The tender passes its address as the first argument of the guest's entry point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SptBootInfo {
    /// Size of guest memory in bytes. The initial stack pointer is 8 bytes below this address.
    pub mem_size: u64,
    /// End of the highest loaded segment that has bytes in the image file. Informational: it
    /// normally leaves out `.bss`; guests use their own `_end`.
    pub kernel_end: u64,
    /// Address of the NUL-terminated command line.
    pub cmdline: u64,
    /// Address of the manifest: a [`crate::manifest::ManifestHeader`] and its entries.
    pub manifest: u64,
    /// The epoll instance with every network device and the timer in it.
    pub epoll_fd: i32,
    /// The timer that ends a `solo5_yield` at its deadline: `CLOCK_MONOTONIC`, registered in
    /// `epoll_fd` with the datum [`crate::spt::TIMER_DATUM`].
    pub timer_fd: i32,
}

const _: () = {
    assert!(size_of::<SptBootInfo>() == 40);
    assert!(align_of::<SptBootInfo>() == 8);
    assert!(offset_of!(SptBootInfo, mem_size) == 0);
    assert!(offset_of!(SptBootInfo, kernel_end) == 8);
    assert!(offset_of!(SptBootInfo, cmdline) == 16);
    assert!(offset_of!(SptBootInfo, manifest) == 24);
    assert!(offset_of!(SptBootInfo, epoll_fd) == 32);
    assert!(offset_of!(SptBootInfo, timer_fd) == 36);
};
