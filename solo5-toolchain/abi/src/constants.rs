//! Numbers that guest, tender and tools agree on: ABI targets and versions, memory layout, limits.

/// Version of the `hvt` ABI that this crate describes.
pub const HVT_ABI_VERSION: u32 = 2;

/// Version of the `spt` ABI that this crate describes.
pub const SPT_ABI_VERSION: u32 = 2;

/// Version of the manifest layout that this crate describes.
pub const MANIFEST_VERSION: u32 = 1;

/// Lowest address that an image may occupy; every image is linked here.
pub const LOAD_BASE: u64 = 0x10_0000;

/// Page size of guest memory in bytes. Segments start and end on page boundaries.
pub const PAGE_SIZE: u64 = 0x1000;

/// Where an spt tender starts to map guest memory. Everything below stays unmapped.
pub const SPT_MAP_BASE: u64 = 0x1_0000;

/// Where an spt tender puts the boot information ([`crate::boot::SptBootInfo`]).
///
/// The manifest follows it directly, then the command line. A guest follows the pointers instead of
/// relying on that.
pub const SPT_BOOT_INFO: u64 = 0x1_1000;

/// Size in bytes of the guest's command line, terminating NUL included.
pub const CMDLINE_SIZE: usize = 8192;

/// Size of guest memory in MiB when `--mem` is not given.
pub const DEFAULT_MEMORY_MIB: u64 = 512;

/// Bytes that must be free above the image; bindings refuse to start with less.
pub const MIN_FREE_MEMORY: u64 = 512 * 1024;

/// Most entries in a manifest, the reserved first one included.
pub const MAX_MANIFEST_ENTRIES: usize = 64;

/// Most devices that an image can declare.
pub const MAX_DEVICES: usize = MAX_MANIFEST_ENTRIES - 1;

/// Longest device name in bytes, without its NUL.
pub const MAX_NAME_LEN: usize = 67;

/// Bytes of an Ethernet header. A guest's frames may be this much longer than its device's MTU.
pub const ETHERNET_HEADER_LEN: usize = 14;

/// Sector size of a block device in bytes when none is given, and the smallest that is allowed.
pub const DEFAULT_SECTOR_SIZE: u16 = 512;

/// Exit status of a guest that aborts, panics or is stopped by its own stack protector.
pub const EXIT_ABORT: i32 = 255;

/// What an image was linked for: the first number of its ABI1 note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum AbiTarget {
    /// Hardware virtualisation, run by `solo5-hvt`.
    Hvt = 1,
    /// A process in a seccomp sandbox, run by `solo5-spt`.
    Spt = 2,
    /// A virtual machine with virtio devices.
    Virtio = 3,
    /// The Muen separation kernel.
    Muen = 4,
    /// The Genode framework (no longer built by anyone).
    Genode = 5,
    /// Xen PVH.
    Xen = 6,
}

impl AbiTarget {
    /// The target with this number, `None` if no target has it.
    #[must_use]
    pub const fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            1 => Self::Hvt,
            2 => Self::Spt,
            3 => Self::Virtio,
            4 => Self::Muen,
            5 => Self::Genode,
            6 => Self::Xen,
            _ => return None,
        })
    }

    /// The number that stands in an ABI1 note.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self as u32
    }

    /// The name used by `solo5-elftool query-abi`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hvt => "hvt",
            Self::Spt => "spt",
            Self::Virtio => "virtio",
            Self::Muen => "muen",
            Self::Genode => "genode",
            Self::Xen => "xen",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AbiTarget;

    #[test]
    fn abi_targets_survive_a_round_trip_and_the_rest_is_unknown() {
        for raw in 0..10 {
            match AbiTarget::from_raw(raw) {
                Some(target) => assert_eq!(target.raw(), raw),
                None => assert!(raw == 0 || raw > 6),
            }
        }
    }
}
