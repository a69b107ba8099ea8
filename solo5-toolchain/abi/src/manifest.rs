//! The manifest: which devices an image needs, and, once a tender has filled it in, what it got.
//!
//! An image carries its manifest in an MFT1 note ([`crate::note::Mft1Note`]) with everything but
//! names and types zero. The tender copies it into guest memory, fills in what each device turned
//! out to be, and passes the address of the copy in the boot information.
//!
//! The index of an entry is the handle of its device and its bit in the set of ready handles.

use core::mem::{align_of, offset_of, size_of};

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::constants::{MANIFEST_VERSION, MAX_MANIFEST_ENTRIES, MAX_NAME_LEN};

/// Type number of a block device.
pub const TYPE_BLOCK_BASIC: u32 = 1;
/// Type number of a network device.
pub const TYPE_NET_BASIC: u32 = 2;
/// First type number that names no device; entry 0 of every manifest has it.
pub const TYPE_RESERVED_FIRST: u32 = 0x4000_0000;

/// The start of a manifest; `entries` times [`ManifestEntry`] follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ManifestHeader {
    /// Layout version, [`MANIFEST_VERSION`].
    pub version: u32,
    /// Number of entries, the reserved first one included: 1 to 64.
    pub entries: u32,
}

/// The sort of device that an entry declares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceType {
    /// `BLOCK_BASIC`: a block device.
    Block,
    /// `NET_BASIC`: an Ethernet device.
    Net,
    /// No device: the reserved first entry, or a type that later versions may define. Tenders
    /// neither attach these nor insist on them.
    Reserved,
    /// A type that no version defines. It can never be attached, so such a guest cannot start.
    Unknown(u32),
}

impl DeviceType {
    /// The type with this number.
    #[must_use]
    pub const fn from_raw(raw: u32) -> Self {
        match raw {
            TYPE_BLOCK_BASIC => Self::Block,
            TYPE_NET_BASIC => Self::Net,
            TYPE_RESERVED_FIRST.. => Self::Reserved,
            _ => Self::Unknown(raw),
        }
    }

    /// The name used in manifests and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "BLOCK_BASIC",
            Self::Net => "NET_BASIC",
            Self::Reserved => "RESERVED_FIRST",
            Self::Unknown(_) => "<undefined type>",
        }
    }
}

/// One entry of a manifest, 104 bytes.
///
/// What is at offset 72 depends on the type; the accessors [`mac`](Self::mac),
/// [`mtu`](Self::mtu), [`capacity`](Self::capacity) and [`block_size`](Self::block_size) know
/// where each value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C, align(8))]
pub struct ManifestEntry {
    /// Name, NUL terminated: use [`name`](Self::name_bytes).
    pub name: [u8; MAX_NAME_LEN + 1],
    /// Type number: use [`device_type`](Self::device_type).
    pub type_raw: u32,
    /// Net: MAC address and MTU. Block: capacity and block size.
    pub details: [u8; 16],
    /// The host's descriptor for the device. Guests of the spt target read and write it.
    pub host_fd: i32,
    /// Upper half of the field that `host_fd` starts, zero.
    pub host_fd_high: u32,
    /// 1 once a tender attached the device; must be 0 in an image.
    pub attached: u8,
    /// Zero.
    pub padding: [u8; 7],
}

impl ManifestEntry {
    /// Entry 0 of every manifest.
    pub const RESERVED: Self = Self::with_type([0; MAX_NAME_LEN + 1], TYPE_RESERVED_FIRST);

    const fn with_type(name: [u8; MAX_NAME_LEN + 1], type_raw: u32) -> Self {
        Self {
            name,
            type_raw,
            details: [0; 16],
            host_fd: 0,
            host_fd_high: 0,
            attached: 0,
            padding: [0; 7],
        }
    }

    /// An entry as it stands in an image, not attached.
    ///
    /// Usable in constants, so that a Rust image can declare its devices without generated C.
    ///
    /// # Panics
    ///
    /// When `name` is not 1 to 67 ASCII letters and digits; in a constant that stops compilation.
    #[must_use]
    pub const fn declare(name: &str, type_raw: u32) -> Self {
        let bytes = name.as_bytes();
        assert!(
            is_valid_name(bytes),
            "a device name is 1 to 67 ASCII letters and digits"
        );
        let mut stored = [0; MAX_NAME_LEN + 1];
        let mut i = 0;
        while i < bytes.len() {
            stored[i] = bytes[i];
            i += 1;
        }
        Self::with_type(stored, type_raw)
    }

    /// The name without its NUL. Bytes after the first NUL mean nothing.
    #[must_use]
    pub fn name_bytes(&self) -> &[u8] {
        let end = self
            .name
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(self.name.len());
        &self.name[..end]
    }

    /// The sort of device.
    #[must_use]
    pub const fn device_type(&self) -> DeviceType {
        DeviceType::from_raw(self.type_raw)
    }

    /// Whether a tender attached the device.
    #[must_use]
    pub const fn is_attached(&self) -> bool {
        self.attached != 0
    }

    /// MAC address of a network device.
    #[must_use]
    pub const fn mac(&self) -> [u8; 6] {
        let d = &self.details;
        [d[0], d[1], d[2], d[3], d[4], d[5]]
    }

    /// Sets the MAC address of a network device.
    pub fn set_mac(&mut self, mac: [u8; 6]) {
        self.details[..6].copy_from_slice(&mac);
    }

    /// MTU of a network device in bytes, without the Ethernet header.
    #[must_use]
    pub const fn mtu(&self) -> u16 {
        u16::from_le_bytes([self.details[6], self.details[7]])
    }

    /// Sets the MTU of a network device.
    pub fn set_mtu(&mut self, mtu: u16) {
        self.details[6..8].copy_from_slice(&mtu.to_le_bytes());
    }

    /// Capacity of a block device in bytes.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        let d = &self.details;
        u64::from_le_bytes([d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]])
    }

    /// Sets the capacity of a block device.
    pub fn set_capacity(&mut self, bytes: u64) {
        self.details[..8].copy_from_slice(&bytes.to_le_bytes());
    }

    /// Sector size of a block device in bytes.
    #[must_use]
    pub const fn block_size(&self) -> u16 {
        u16::from_le_bytes([self.details[8], self.details[9]])
    }

    /// Sets the sector size of a block device.
    pub fn set_block_size(&mut self, bytes: u16) {
        self.details[8..10].copy_from_slice(&bytes.to_le_bytes());
    }
}

/// Whether a device may be called this: 1 to 67 ASCII letters and digits.
#[must_use]
pub const fn is_valid_name(name: &[u8]) -> bool {
    if name.is_empty() || name.len() > MAX_NAME_LEN {
        return false;
    }
    let mut i = 0;
    while i < name.len() {
        if !name[i].is_ascii_alphanumeric() {
            return false;
        }
        i += 1;
    }
    true
}

/// Why a manifest is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// The header does not fit.
    #[error("{got} bytes are too few for a manifest")]
    Truncated {
        /// Bytes there are.
        got: usize,
    },
    /// A layout that this crate does not know.
    #[error("manifest version is {0}, expected {MANIFEST_VERSION}")]
    Version(u32),
    /// More entries than handles.
    #[error("{0} entries are more than {MAX_MANIFEST_ENTRIES}")]
    TooManyEntries(u32),
    /// Not even the reserved first entry.
    #[error("there are no entries")]
    Empty,
    /// The entries take more or less room than there is.
    #[error("manifest takes {want} bytes but has {got}")]
    Length {
        /// Bytes there are.
        got: usize,
        /// Bytes that the header asks for.
        want: usize,
    },
    /// The first entry is not the reserved one.
    #[error("entry 0 is not the reserved entry")]
    FirstNotReserved,
    /// A name without NUL.
    #[error("name of entry {0} is not terminated")]
    UnterminatedName(usize),
    /// An image claims that a device is attached already.
    #[error("entry {0} claims to be attached")]
    Attached(usize),
}

/// A manifest that passed validation, still in its bytes, whatever their alignment.
#[derive(Clone, Copy, Debug)]
pub struct Manifest<'a> {
    entries: &'a [u8],
}

impl<'a> Manifest<'a> {
    /// Validates a manifest as it stands in an image, from its header to its last entry.
    ///
    /// Types, characters of names and their uniqueness are not looked at: a device that cannot be
    /// attached is found out when the guest is started.
    ///
    /// # Errors
    ///
    /// The first rule of solo5-abi section 5.2 that `bytes` violates.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ManifestError> {
        let (header, entries) = ManifestHeader::read_from_prefix(bytes)
            .map_err(|_| ManifestError::Truncated { got: bytes.len() })?;
        if header.version != MANIFEST_VERSION {
            return Err(ManifestError::Version(header.version));
        }
        let count = usize::try_from(header.entries).unwrap_or(usize::MAX);
        if count > MAX_MANIFEST_ENTRIES {
            return Err(ManifestError::TooManyEntries(header.entries));
        }
        let want = size_of::<ManifestHeader>() + count * size_of::<ManifestEntry>();
        if bytes.len() != want {
            return Err(ManifestError::Length {
                got: bytes.len(),
                want,
            });
        }
        let manifest = Self { entries };
        let first = manifest.entries().next().ok_or(ManifestError::Empty)?;
        if first.type_raw != TYPE_RESERVED_FIRST || first.name[0] != 0 {
            return Err(ManifestError::FirstNotReserved);
        }
        for (index, entry) in manifest.entries().enumerate() {
            if entry.name[MAX_NAME_LEN] != 0 {
                return Err(ManifestError::UnterminatedName(index));
            }
            if entry.attached != 0 {
                return Err(ManifestError::Attached(index));
            }
        }
        Ok(manifest)
    }

    /// All entries, the reserved first one included; the position of each is its handle.
    pub fn entries(self) -> impl Iterator<Item = ManifestEntry> + 'a {
        self.entries
            .chunks_exact(size_of::<ManifestEntry>())
            .filter_map(|bytes| ManifestEntry::read_from_bytes(bytes).ok())
    }
}

const _: () = {
    assert!(size_of::<ManifestHeader>() == 8);
    assert!(size_of::<ManifestEntry>() == 104);
    assert!(align_of::<ManifestEntry>() == 8);
    assert!(offset_of!(ManifestEntry, name) == 0);
    assert!(offset_of!(ManifestEntry, type_raw) == 68);
    assert!(offset_of!(ManifestEntry, details) == 72);
    assert!(offset_of!(ManifestEntry, host_fd) == 88);
    assert!(offset_of!(ManifestEntry, attached) == 96);
};

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes;

    /// A manifest of three entries in one piece.
    #[derive(IntoBytes, Immutable)]
    #[repr(C)]
    struct Bytes {
        header: ManifestHeader,
        entries: [ManifestEntry; 3],
    }

    fn sample() -> Bytes {
        Bytes {
            header: ManifestHeader {
                version: 1,
                entries: 3,
            },
            entries: [
                ManifestEntry::RESERVED,
                ManifestEntry::declare("service0", TYPE_NET_BASIC),
                ManifestEntry::declare("storage", TYPE_BLOCK_BASIC),
            ],
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Bytes), why: ManifestError) {
        let mut bytes = sample();
        change(&mut bytes);
        assert_eq!(Manifest::parse(bytes.as_bytes()).err(), Some(why));
    }

    #[test]
    fn a_valid_manifest_gives_its_entries_in_order() {
        let bytes = sample();
        let manifest = Manifest::parse(bytes.as_bytes()).unwrap();
        let mut entries = manifest.entries();
        assert_eq!(entries.next().unwrap().device_type(), DeviceType::Reserved);
        let net = entries.next().unwrap();
        assert_eq!(
            (net.name_bytes(), net.device_type()),
            (&b"service0"[..], DeviceType::Net)
        );
        let block = entries.next().unwrap();
        assert_eq!(
            (block.name_bytes(), block.device_type()),
            (&b"storage"[..], DeviceType::Block)
        );
        assert!(entries.next().is_none());
    }

    #[test]
    fn alignment_of_the_bytes_does_not_matter() {
        let mut shifted = [0; 8 + 3 * 104 + 1];
        shifted[1..].copy_from_slice(sample().as_bytes());
        assert_eq!(Manifest::parse(&shifted[1..]).unwrap().entries().count(), 3);
    }

    #[test]
    fn every_rule_is_checked() {
        use ManifestError as E;
        assert_eq!(
            Manifest::parse(&[0; 7]).err(),
            Some(E::Truncated { got: 7 })
        );
        refused(|m| m.header.version = 2, E::Version(2));
        refused(|m| m.header.entries = 65, E::TooManyEntries(65));
        refused(|m| m.header.entries = u32::MAX, E::TooManyEntries(u32::MAX));
        refused(
            |m| m.header.entries = 2,
            E::Length {
                got: 320,
                want: 216,
            },
        );
        refused(
            |m| m.header.entries = 4,
            E::Length {
                got: 320,
                want: 424,
            },
        );
        let none = ManifestHeader {
            version: 1,
            entries: 0,
        };
        assert_eq!(Manifest::parse(none.as_bytes()).err(), Some(E::Empty));
        refused(
            |m| m.entries[0].type_raw = TYPE_NET_BASIC,
            E::FirstNotReserved,
        );
        refused(|m| m.entries[0].name[0] = b'x', E::FirstNotReserved);
        refused(|m| m.entries[1].name[67] = b'x', E::UnterminatedName(1));
        refused(|m| m.entries[2].attached = 1, E::Attached(2));
    }

    #[test]
    fn net_and_block_details_are_where_the_abi_says() {
        let mut net = ManifestEntry::declare("n", TYPE_NET_BASIC);
        net.set_mac([1, 2, 3, 4, 5, 6]);
        net.set_mtu(9000);
        assert_eq!(net.as_bytes()[72..80], [1, 2, 3, 4, 5, 6, 0x28, 0x23]);
        assert_eq!((net.mac(), net.mtu()), ([1, 2, 3, 4, 5, 6], 9000));

        let mut block = ManifestEntry::declare("b", TYPE_BLOCK_BASIC);
        block.set_capacity(0x0102_0304_0506_0708);
        block.set_block_size(4096);
        assert_eq!(block.as_bytes()[72..82], [8, 7, 6, 5, 4, 3, 2, 1, 0, 16]);
        assert_eq!(
            (block.capacity(), block.block_size()),
            (0x0102_0304_0506_0708, 4096)
        );
    }

    #[test]
    fn names_are_letters_and_digits_and_not_too_long() {
        assert!(is_valid_name(&[b'a'; 67]));
        for bad in [
            &[b'a'; 68][..],
            b"",
            b"net-0",
            b"a b",
            b"caf\xc3\xa9",
            b"a\0",
        ] {
            assert!(!is_valid_name(bad));
        }
    }

    #[test]
    fn types_beyond_the_reserved_one_are_reserved_too() {
        assert_eq!(DeviceType::from_raw(u32::MAX), DeviceType::Reserved);
        assert_eq!(
            DeviceType::from_raw(0x3fff_ffff),
            DeviceType::Unknown(0x3fff_ffff)
        );
        assert_eq!(DeviceType::from_raw(0), DeviceType::Unknown(0));
    }
}
