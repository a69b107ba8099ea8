//! What a guest finds besides its image: boot information, manifest and command line, one after the
//! other.

use solo5_abi::constants::{CMDLINE_SIZE, LOAD_BASE, MANIFEST_VERSION};
use solo5_abi::manifest::{ManifestEntry, ManifestHeader};
use zerocopy::{Immutable, IntoBytes};

/// Addresses of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    /// The manifest.
    pub manifest: u64,
    /// The command line.
    pub cmdline: u64,
    /// The end of the room for the command line.
    pub end: u64,
}

/// Where the parts go when boot information of `boot_size` bytes is at address `at`.
///
/// `None` if the manifest or the command line has no room; callers have limited both before.
#[must_use]
pub fn places(
    at: u64,
    boot_size: usize,
    manifest: &[ManifestEntry],
    cmdline: &[u8],
) -> Option<Places> {
    let header = size_of::<ManifestHeader>();
    let places = Places {
        manifest: at + boot_size as u64,
        cmdline: at + (boot_size + header + size_of_val(manifest)) as u64,
        end: at + (boot_size + header + size_of_val(manifest) + CMDLINE_SIZE) as u64,
    };
    (cmdline.len() < CMDLINE_SIZE && places.end <= LOAD_BASE).then_some(places)
}

/// The bytes of all parts. The NUL behind the command line is not there: memory is zero.
#[must_use]
pub fn bytes(
    boot: &(impl IntoBytes + Immutable),
    manifest: &[ManifestEntry],
    cmdline: &[u8],
) -> Vec<u8> {
    let header = ManifestHeader {
        version: MANIFEST_VERSION,
        entries: u32::try_from(manifest.len()).unwrap_or(u32::MAX),
    };
    [
        boot.as_bytes(),
        header.as_bytes(),
        manifest.as_bytes(),
        cmdline,
    ]
    .concat()
}
