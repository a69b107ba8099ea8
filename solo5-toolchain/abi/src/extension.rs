//! What images and tenders of this project agree on beyond Solo5: a note that other tenders do not
//! see, and an answer that stays zero where nobody gives one.
//!
//! The note is in the section [`SECTION`], behind the ABI1 note in the same `PT_NOTE` segment. All
//! readers of Solo5 notes look at the first note of a segment only, so the image is an ordinary
//! one to them.

use core::mem::{align_of, offset_of, size_of};

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Section of an image that holds its [`Note`].
pub const SECTION: &str = ".note.mnet";

/// Type of the note.
pub const TYPE: u32 = u32::from_le_bytes(*b"MEXT");

/// Feature of an hvt image, and the tender's answer to it: the image starts in ring 3 as well.
///
/// A tender that answers with it owns the descriptor tables and page tables. The guest then has no
/// privileged instruction to execute at start; its thread pointer is set by `wrfsbase`, which the
/// tender emulates where the processor does not have it.
pub const FEATURE_RING3: u64 = 1;

const NAME: [u8; 8] = *b"mnet\0\0\0\0";
const NAME_LEN: u32 = 5;
const DESC_LEN: u32 = 16;

/// The note, 36 bytes. `A` is how the address of the answer is stored: a `u64`, or in the guest's
/// source a pointer, which is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(4))]
pub struct Note<A> {
    header: Header,
    features: u64,
    answer: A,
}

/// An ELF note header and the padded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct Header {
    name_len: u32,
    desc_len: u32,
    note_type: u32,
    name: [u8; 8],
}

/// What a note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extensions {
    /// What the image can do: [`FEATURE_RING3`].
    pub features: u64,
    /// Address of 8 bytes in the image. A tender stores those features there that it makes use of.
    pub answer: u64,
}

impl<A> Note<A> {
    /// The note of an image that has these features and wants the answer there.
    pub const fn new(features: u64, answer: A) -> Self {
        Self {
            header: Header {
                name_len: NAME_LEN,
                desc_len: DESC_LEN,
                note_type: TYPE,
                name: NAME,
            },
            features,
            answer,
        }
    }
}

/// Looks for the note among all notes of one `PT_NOTE` segment.
///
/// A segment that is malformed before the note is reached has none.
#[must_use]
pub fn find(segment: &[u8]) -> Option<Extensions> {
    /// Lengths are rounded up to this between the parts of notes.
    const PADDING: usize = 4;
    let mut rest = segment;
    loop {
        let ([name_len, desc_len, note_type], body) = <[u32; 3]>::read_from_prefix(rest).ok()?;
        let round = |len: u32| usize::try_from(len).ok()?.checked_next_multiple_of(PADDING);
        let name = body.get(..round(name_len)?)?;
        let body = body.get(round(name_len)?..)?;
        if (name_len, desc_len, note_type, name) == (NAME_LEN, DESC_LEN, TYPE, &NAME[..]) {
            let (features, body) = u64::read_from_prefix(body).ok()?;
            let (answer, _) = u64::read_from_prefix(body).ok()?;
            return Some(Extensions { features, answer });
        }
        rest = body.get(round(desc_len)?..)?;
    }
}

const _: () = {
    assert!(size_of::<Note<u64>>() == 36);
    assert!(align_of::<Note<u64>>() == 4);
    assert!(offset_of!(Note<u64>, features) == 20);
    assert!(offset_of!(Note<u64>, answer) == 28);
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::constants::{AbiTarget, HVT_ABI_VERSION};
    use crate::note::{self, Abi1Note, NoteKind, OpenBsdNote};

    /// The note as it stands in an image.
    fn bytes(features: u64, answer: u64) -> [u8; 36] {
        let mut bytes = [0; 36];
        bytes[..20].copy_from_slice(Note::new(features, answer).header.as_bytes());
        bytes[20..28].copy_from_slice(&features.to_le_bytes());
        bytes[28..].copy_from_slice(&answer.to_le_bytes());
        bytes
    }

    /// An ABI1 note and ours behind it, as the linker script puts them together.
    fn segment() -> [u8; 72] {
        let mut segment = [0; 72];
        let abi = Abi1Note::new(AbiTarget::Hvt, HVT_ABI_VERSION);
        segment[..36].copy_from_slice(abi.as_bytes());
        segment[36..].copy_from_slice(&bytes(FEATURE_RING3, 0x10_7008));
        segment
    }

    #[test]
    fn the_note_is_found_behind_another_and_hides_neither() {
        let want = Extensions {
            features: FEATURE_RING3,
            answer: 0x10_7008,
        };
        assert_eq!(find(&segment()), Some(want));
        assert_eq!(find(&segment()[36..]), Some(want));
        let segment = segment();
        let abi = note::find(&segment, NoteKind::Abi1).unwrap().unwrap();
        assert_eq!(abi[..8], [1, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn segments_without_it_have_none() {
        assert_eq!(find(&[]), None);
        assert_eq!(find(OpenBsdNote::NOTE.as_bytes()), None);
        assert_eq!(find(&segment()[..36]), None);
    }

    #[test]
    fn cut_and_impossible_notes_are_none() {
        let segment = segment();
        for len in 0..segment.len() {
            assert_eq!(find(&segment[..len]), None, "{len}");
        }
        for (at, byte) in [(0, 0xff), (3, 0xff), (7, 0xff), (36, 6), (40, 12), (44, 0)] {
            let mut spoilt = segment;
            spoilt[at] = byte;
            assert_eq!(find(&spoilt), None, "{at}");
        }
    }
}
