//! The ELF notes that make an ELF file a Solo5 image: which ABI it was linked for (ABI1) and which
//! devices it needs (MFT1), and one that only serves to make OpenBSD heed `PT_INTERP`.
//!
//! The note types here are complete notes, header included, to be placed in a section of their own
//! by the guest side; [`find`] takes the descriptor out of the bytes of a `PT_NOTE` segment.

use core::mem::{align_of, offset_of, size_of};

use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::constants::{AbiTarget, MANIFEST_VERSION, MAX_MANIFEST_ENTRIES};
use crate::manifest::{ManifestEntry, ManifestHeader};

/// Section of an image that holds its [`Abi1Note`].
pub const ABI1_SECTION: &str = ".note.solo5.abi";
/// Section of an image that holds its [`Mft1Note`].
pub const MFT1_SECTION: &str = ".note.solo5.manifest";
/// Section of an image that holds its [`OpenBsdNote`].
pub const OPENBSD_SECTION: &str = ".note.solo5.not_openbsd";

/// Note type `ABI1`.
pub const TYPE_ABI1: u32 = u32::from_le_bytes(*b"ABI1");
/// Note type `MFT1`.
pub const TYPE_MFT1: u32 = u32::from_le_bytes(*b"MFT1");

/// Length in bytes of the longest note that is accepted: a manifest with 64 entries.
pub const MAX_NOTE_LEN: usize = 20 + 12 + 64 * 104;

/// Length of the name in a Solo5 note, its NUL included.
const NAME_LEN: u32 = 6;
/// The name as it is stored: padded to a multiple of four.
const NAME: [u8; 8] = *b"Solo5\0\0\0";

/// What every Solo5 note starts with: the ELF note header and the padded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct NoteHeader {
    /// Length of the name with its NUL: 6.
    pub name_len: u32,
    /// Length of the descriptor in bytes.
    pub desc_len: u32,
    /// [`TYPE_ABI1`] or [`TYPE_MFT1`].
    pub note_type: u32,
    /// `Solo5`, padded with NULs.
    pub name: [u8; 8],
}

impl NoteHeader {
    const fn new(note_type: u32, desc_len: u32) -> Self {
        Self {
            name_len: NAME_LEN,
            desc_len,
            note_type,
            name: NAME,
        }
    }
}

/// The descriptor of an ABI1 note.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Abi1 {
    /// Number of an [`AbiTarget`].
    pub target: u32,
    /// ABI version of that target.
    pub version: u32,
}

/// A complete ABI1 note, 36 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Abi1Note {
    /// Header and name.
    pub header: NoteHeader,
    /// What the note says.
    pub abi: Abi1,
    /// Zero.
    pub reserved: [u32; 2],
}

impl Abi1Note {
    /// The note of an image for `target`.
    #[must_use]
    pub const fn new(target: AbiTarget, version: u32) -> Self {
        Self {
            header: NoteHeader::new(TYPE_ABI1, 16),
            abi: Abi1 {
                target: target.raw(),
                version,
            },
            reserved: [0; 2],
        }
    }
}

/// Everything of an MFT1 note but its entries, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Mft1NoteStart {
    /// Header and name.
    pub header: NoteHeader,
    /// Zero. Counted in the descriptor's length; puts the manifest at a multiple of 8 from the
    /// start of the note.
    pub padding: u32,
    /// Start of the manifest.
    pub manifest: ManifestHeader,
}

impl Mft1NoteStart {
    /// The start of a note with this many entries, the reserved first one included.
    ///
    /// # Panics
    ///
    /// When `entries` is not 1 to 64; in a constant that stops compilation.
    #[must_use]
    pub const fn new(entries: usize) -> Self {
        assert!(
            entries >= 1 && entries <= MAX_MANIFEST_ENTRIES,
            "a manifest has 1 to 64 entries"
        );
        #[allow(clippy::cast_possible_truncation, reason = "there are at most 64")]
        let (desc_len, entries) = (
            (12 + entries * size_of::<ManifestEntry>()) as u32,
            entries as u32,
        );
        Self {
            header: NoteHeader::new(TYPE_MFT1, desc_len),
            padding: 0,
            manifest: ManifestHeader {
                version: MANIFEST_VERSION,
                entries,
            },
        }
    }
}

/// A complete MFT1 note with `N` entries, the reserved first one included.
///
/// A program in Rust gets its from [`declare::note`](crate::declare::note) or from `cargo solo5`, one in
/// C from `solo5-elftool gen-manifest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Mft1Note<const N: usize> {
    /// Note header and manifest header.
    pub start: Mft1NoteStart,
    /// The entries of the manifest.
    pub entries: [ManifestEntry; N],
}

impl<const N: usize> Mft1Note<N> {
    /// The note of an image with these entries, the first of which is
    /// [`ManifestEntry::RESERVED`].
    ///
    /// # Panics
    ///
    /// When `N` is not 1 to 64 or the first entry is not reserved; in a constant that stops
    /// compilation.
    #[must_use]
    pub const fn new(entries: [ManifestEntry; N]) -> Self {
        assert!(
            entries[0].type_raw == ManifestEntry::RESERVED.type_raw,
            "entry 0 is ManifestEntry::RESERVED"
        );
        Self {
            start: Mft1NoteStart::new(N),
            entries,
        }
    }
}

/// The note that makes OpenBSD heed `PT_INTERP`, 24 bytes. It must be the first of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct OpenBsdNote {
    /// 8.
    pub name_len: u32,
    /// 4.
    pub desc_len: u32,
    /// 1.
    pub note_type: u32,
    /// `OpenBSD` and its NUL.
    pub name: [u8; 8],
    /// Zero.
    pub desc: u32,
}

impl OpenBsdNote {
    /// The only such note there is.
    pub const NOTE: Self = Self {
        name_len: 8,
        desc_len: 4,
        note_type: 1,
        name: *b"OpenBSD\0",
        desc: 0,
    };
}

/// Which Solo5 note to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoteKind {
    /// The ABI an image was linked for.
    Abi1,
    /// The manifest.
    Mft1,
}

impl NoteKind {
    const fn note_type(self) -> u32 {
        match self {
            Self::Abi1 => TYPE_ABI1,
            Self::Mft1 => TYPE_MFT1,
        }
    }

    /// The shortest descriptor that is accepted: one that has room for some payload, and in ABI1
    /// for all of an [`Abi1`].
    const fn min_desc_len(self) -> u32 {
        match self {
            Self::Abi1 => 8,
            Self::Mft1 => 5,
        }
    }

    /// The longest descriptor that is accepted.
    const fn max_desc_len(self) -> u32 {
        match self {
            Self::Abi1 => 32,
            Self::Mft1 => 12 + 64 * 104,
        }
    }

    /// Offset of the payload in the note: the name's end, rounded up to the payload's alignment.
    const fn payload_offset(self) -> usize {
        match self {
            Self::Abi1 => 20,
            Self::Mft1 => 24,
        }
    }
}

/// Why a note is refused.
///
/// Each text contains `note does not fall within valid size`, which scripts look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoteError {
    /// The segment cannot hold the header of any note.
    #[error(
        "p_filesz note does not fall within valid size ({got} < {want}); \
         were a manifest and -z solo5-abi=TARGET given when it was linked?"
    )]
    Header {
        /// Bytes in the segment.
        got: u64,
        /// Bytes of a note header.
        want: u64,
    },
    /// The descriptor is shorter or longer than such a note may be.
    #[error("note does not fall within valid size (descsz {got} not in {min}..={max})")]
    Descriptor {
        /// Length that the note claims.
        got: u32,
        /// Least length that is accepted.
        min: u32,
        /// Greatest length that is accepted.
        max: u32,
    },
    /// The descriptor reaches beyond the segment.
    #[error("note does not fall within valid size ({want} > {got})")]
    Segment {
        /// Bytes in the segment.
        got: u64,
        /// Bytes that the note claims.
        want: u64,
    },
}

/// Looks at the first note of one `PT_NOTE` segment: its payload if it is the note that is wanted,
/// `None` if it is another.
///
/// The payload of an ABI1 note is an [`Abi1`] and whatever follows it; that of an MFT1 note is the
/// manifest without the padding before it, ready for [`crate::manifest::Manifest::parse`].
///
/// # Errors
///
/// The segment cannot hold a note at all, or the note is the one that is wanted and its sizes are
/// impossible (solo5-abi section 6.2). A descriptor too short for an [`Abi1`] is refused as well.
pub fn find(segment: &[u8], kind: NoteKind) -> Result<Option<&[u8]>, NoteError> {
    const ELF_NOTE_HEADER: usize = 12;
    let len = segment.len() as u64;
    if segment.len() < ELF_NOTE_HEADER {
        return Err(NoteError::Header {
            got: len,
            want: ELF_NOTE_HEADER as u64,
        });
    }
    let Ok((header, rest)) = NoteHeader::read_from_prefix(segment) else {
        return Ok(None);
    };
    if header != NoteHeader::new(kind.note_type(), header.desc_len) {
        return Ok(None);
    }
    let min = kind.min_desc_len();
    let max = kind.max_desc_len();
    if !(min..=max).contains(&header.desc_len) {
        return Err(NoteError::Descriptor {
            got: header.desc_len,
            min,
            max,
        });
    }
    let desc_len = header.desc_len as usize;
    let padding = kind.payload_offset() - size_of::<NoteHeader>();
    rest.get(padding..desc_len)
        .map(Some)
        .ok_or(NoteError::Segment {
            got: len,
            want: size_of::<NoteHeader>() as u64 + u64::from(header.desc_len),
        })
}

const _: () = {
    assert!(size_of::<NoteHeader>() == 20);
    assert!(size_of::<Abi1Note>() == 36);
    assert!(align_of::<Abi1Note>() == 4);
    assert!(size_of::<Abi1>() == 8);
    assert!(offset_of!(Abi1Note, abi) == 20);
    assert!(size_of::<OpenBsdNote>() == 24);
    assert!(size_of::<Mft1Note<1>>() == 136);
    assert!(size_of::<Mft1Note<64>>() == MAX_NOTE_LEN);
    assert!(offset_of!(Mft1NoteStart, manifest) == 24);
    assert!(offset_of!(Mft1Note<1>, entries) == 32);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constants::SPT_ABI_VERSION;
    use crate::manifest::{Manifest, TYPE_NET_BASIC};

    const ABI: Abi1Note = Abi1Note::new(AbiTarget::Spt, SPT_ABI_VERSION);
    const MFT: Mft1Note<2> = Mft1Note::new([
        ManifestEntry::RESERVED,
        ManifestEntry::declare("service", TYPE_NET_BASIC),
    ]);

    /// The note [`MFT`] with its start changed, as it would stand in an image.
    fn mft_bytes(change: impl FnOnce(&mut Mft1NoteStart)) -> [u8; 32 + 2 * 104] {
        let mut start = MFT.start;
        change(&mut start);
        let mut bytes = [0; 32 + 2 * 104];
        bytes[..32].copy_from_slice(start.as_bytes());
        bytes[32..].copy_from_slice(MFT.entries.as_bytes());
        bytes
    }

    #[test]
    fn abi_note_has_the_documented_bytes() {
        let mut want = *b"\x06\0\0\0\x10\0\0\0ABI1Solo5\0\0\0\x02\0\0\0\x02\0\0\0________";
        want[28..].fill(0);
        assert_eq!(ABI.as_bytes(), want);
    }

    #[test]
    fn manifest_note_has_the_documented_header() {
        let bytes = mft_bytes(|_| ());
        assert_eq!(
            bytes[..28],
            *b"\x06\0\0\0\xdc\0\0\0MFT1Solo5\0\0\0\0\0\0\0\x01\0\0\0"
        );
        assert_eq!(bytes[28..32], [2, 0, 0, 0]);
        assert_eq!(&bytes[32 + 104..][..8], b"service\0");
    }

    #[test]
    fn notes_are_found_and_told_apart() {
        let abi = find(ABI.as_bytes(), NoteKind::Abi1).unwrap().unwrap();
        let (abi, _) = Abi1::read_from_prefix(abi).unwrap();
        assert_eq!(
            abi,
            Abi1 {
                target: 2,
                version: 2
            }
        );
        assert_eq!(find(ABI.as_bytes(), NoteKind::Mft1), Ok(None));
        assert_eq!(find(OpenBsdNote::NOTE.as_bytes(), NoteKind::Abi1), Ok(None));

        let bytes = mft_bytes(|_| ());
        let manifest = find(&bytes, NoteKind::Mft1).unwrap().unwrap();
        assert_eq!(Manifest::parse(manifest).unwrap().entries().count(), 2);
    }

    #[test]
    fn a_segment_without_room_for_a_note_is_an_error_and_a_short_one_is_skipped() {
        let want = Err(NoteError::Header { got: 0, want: 12 });
        assert_eq!(find(&[], NoteKind::Abi1), want);
        assert!(find(&ABI.as_bytes()[..11], NoteKind::Abi1).is_err());
        assert_eq!(find(&ABI.as_bytes()[..12], NoteKind::Abi1), Ok(None));
        assert_eq!(find(&ABI.as_bytes()[..19], NoteKind::Abi1), Ok(None));
    }

    #[test]
    fn impossible_descriptors_are_refused() {
        for desc_len in [0, 1, 7, 33, u32::MAX] {
            let mut note = ABI;
            note.header.desc_len = desc_len;
            let got = find(note.as_bytes(), NoteKind::Abi1);
            assert_eq!(
                got,
                Err(NoteError::Descriptor {
                    got: desc_len,
                    min: 8,
                    max: 32
                })
            );
        }
        for desc_len in [0, 1, 4, 6669] {
            let note = mft_bytes(|start| start.header.desc_len = desc_len);
            let got = find(&note, NoteKind::Mft1);
            assert_eq!(
                got,
                Err(NoteError::Descriptor {
                    got: desc_len,
                    min: 5,
                    max: 6668
                })
            );
        }
        assert_eq!(
            find(&mft_bytes(|_| ())[..239], NoteKind::Mft1),
            Err(NoteError::Segment {
                got: 239,
                want: 240
            })
        );
    }
}
