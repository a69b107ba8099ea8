//! Reads an ELF file: its header, its program headers and its Solo5 notes (solo5-abi sections 3, 4
//! and 6.2).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use solo5_abi::constants::AbiTarget;
use solo5_abi::extension::{self, Extensions};
use solo5_abi::manifest::{Manifest, ManifestEntry, ManifestError};
use solo5_abi::note::{self, Abi1, Mft1NoteStart, NoteError, NoteKind};
use thiserror::Error;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use crate::errno::Strerror;
use crate::load::SegmentError;

/// Where the bytes of an image come from.
pub trait ImageSource {
    /// Fills `buffer` from the byte at `offset` on, as far as there are bytes; returns how many.
    ///
    /// # Errors
    ///
    /// Whatever the host says about reading.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ImageSource for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            // The kernel takes offsets as signed numbers; nothing is beyond the largest.
            let Some(at) = offset
                .checked_add(done as u64)
                .filter(|&at| at <= i64::MAX as u64)
            else {
                break;
            };
            match FileExt::read_at(self, &mut buffer[done..], at) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl ImageSource for &[u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|at| self.get(at..))
            .unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// Why an image is refused. The text follows the name of the file and a colon.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The host refuses to open the file.
    #[error("Could not open: {}", Strerror(.0))]
    Open(io::Error),
    /// The host refuses to read the file.
    #[error("Could not read: {}", Strerror(.0))]
    Read(io::Error),
    /// Too short for an ELF header.
    #[error(
        "invalid executable: elf header does not match the expected size ({0} != {want})",
        want = size_of::<FileHeader>()
    )]
    Truncated(usize),
    /// Not an ELF file, or not one that a tender can load.
    #[error(
        "invalid executable: invalid or unsupported executable \
         (elf header invalid while loading note)"
    )]
    Header,
    /// The file ends within its program headers.
    #[error(
        "invalid executable: program header does not match the expected size \
         ({got} != {want} while loading note)"
    )]
    ProgramHeaders {
        /// Bytes there are.
        got: usize,
        /// Bytes that the header announces.
        want: usize,
    },
    /// A segment is too small to be a note.
    #[error("invalid executable: phdr[{index}].{error}")]
    NoteSegment {
        /// Number of the program header.
        index: usize,
        /// What is wrong.
        error: NoteError,
    },
    /// A note that is wanted has impossible sizes.
    #[error("invalid executable: phdr[{index}] {error}")]
    Note {
        /// Number of the program header.
        index: usize,
        /// What is wrong.
        error: NoteError,
    },
    /// No ABI1 note.
    #[error("No Solo5 ABI information found in executable")]
    NoAbi,
    /// No MFT1 note.
    #[error("No Solo5 manifest found in executable")]
    NoManifest,
    /// Linked for another tender.
    #[error("Executable is not for the solo5-{name} target", name = .0.name())]
    WrongTarget(AbiTarget),
    /// Linked for another version of the tender.
    #[error("Executable requests unsupported ABI version {0}")]
    UnsupportedVersion(u32),
    /// The manifest breaks a rule.
    #[error("Solo5 manifest is invalid: {0}")]
    Manifest(ManifestError),
    /// The entry point is not in guest memory.
    #[error(
        "invalid executable: e_entry does not fall within the memory allocation range \
         ({entry:#x} not in {min:#x}..{end:#x})"
    )]
    Entry {
        /// The entry point.
        entry: u64,
        /// Lowest address of an image.
        min: u64,
        /// Size of guest memory.
        end: u64,
    },
    /// A segment cannot be loaded.
    #[error("invalid executable: phdr[{index}]{error}")]
    Segment {
        /// Number of the program header.
        index: usize,
        /// What is wrong.
        error: SegmentError,
    },
    /// The host refuses to protect a segment.
    #[error("mprotect failed: {}", Strerror(.0))]
    Protect(io::Error),
}

/// The header of an ELF64 file.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
struct FileHeader {
    e_ident: [u8; 16],
    e_type: u16,
    e_machine: u16,
    e_version: u32,
    e_entry: u64,
    e_phoff: u64,
    e_shoff: u64,
    e_flags: u32,
    e_ehsize: u16,
    e_phentsize: u16,
    e_phnum: u16,
    e_shentsize: u16,
    e_shnum: u16,
    e_shstrndx: u16,
}

const _: () = assert!(size_of::<FileHeader>() == 64);

impl FileHeader {
    /// Whether a tender on this machine can load such a file. Says nothing about addresses.
    fn is_loadable(&self) -> bool {
        const ELFCLASS64: u8 = 2;
        const ELFDATA2LSB: u8 = 1;
        const EV_CURRENT: u8 = 1;
        const ET_EXEC: u16 = 2;
        #[cfg(target_arch = "x86_64")]
        const EM_HOST: u16 = 62;
        let [m0, m1, m2, m3, class, data, version, ..] = self.e_ident;
        [m0, m1, m2, m3] == *b"\x7fELF"
            && (class, data, version) == (ELFCLASS64, ELFDATA2LSB, EV_CURRENT)
            && self.e_type == ET_EXEC
            && self.e_machine == EM_HOST
            && self.e_version == u32::from(EV_CURRENT)
            && usize::from(self.e_ehsize) == size_of::<FileHeader>()
            && usize::from(self.e_phentsize) == size_of::<ProgramHeader>()
            && self.e_phnum > 0
    }
}

/// A program header of an ELF64 file, under the names of the ELF specification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct ProgramHeader {
    /// What it describes: [`PT_LOAD`], [`PT_NOTE`] or something that a tender ignores.
    pub p_type: u32,
    /// Permissions: [`PF_X`], [`PF_W`], [`PF_R`].
    pub p_flags: u32,
    /// Position of its bytes in the file.
    pub p_offset: u64,
    /// Its address in the guest.
    pub p_vaddr: u64,
    /// Not used.
    pub p_paddr: u64,
    /// Bytes in the file.
    pub p_filesz: u64,
    /// Bytes in the guest; those beyond `p_filesz` are zero.
    pub p_memsz: u64,
    /// Alignment of its address, a power of two.
    pub p_align: u64,
}

const _: () = assert!(size_of::<ProgramHeader>() == 56);

/// A segment to be loaded.
pub const PT_LOAD: u32 = 1;
/// A note.
pub const PT_NOTE: u32 = 4;
/// The segment is executable.
pub const PF_X: u32 = 1;
/// The segment is writable.
pub const PF_W: u32 = 2;
/// The segment is readable.
pub const PF_R: u32 = 4;

/// An ELF file that this machine could run, opened but not loaded.
#[derive(Debug)]
pub struct Image<S> {
    pub(crate) source: S,
    pub(crate) entry: u64,
    pub(crate) segments: Vec<ProgramHeader>,
}

impl Image<File> {
    /// Opens a file and reads its headers. Does not wait if the file turns out to be a pipe.
    ///
    /// # Errors
    ///
    /// The file cannot be opened, and see [`Image::parse`].
    pub fn open(path: &OsStr) -> Result<Self, ImageError> {
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        Self::parse(file.map_err(ImageError::Open)?)
    }
}

impl<S: ImageSource> Image<S> {
    /// Reads the headers of an image: at most 64 bytes and 65,535 program headers.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no ELF file, or one of another kind than solo5-abi section 3.1
    /// says.
    pub fn parse(source: S) -> Result<Self, ImageError> {
        let mut header = FileHeader::new_zeroed();
        let got = source
            .read_at(header.as_mut_bytes(), 0)
            .map_err(ImageError::Read)?;
        if got != size_of::<FileHeader>() {
            return Err(ImageError::Truncated(got));
        }
        if !header.is_loadable() {
            return Err(ImageError::Header);
        }
        let mut segments = vec![ProgramHeader::new_zeroed(); header.e_phnum.into()];
        let bytes = segments.as_mut_bytes();
        let got = source
            .read_at(bytes, header.e_phoff)
            .map_err(ImageError::Read)?;
        if got != bytes.len() {
            return Err(ImageError::ProgramHeaders {
                got,
                want: bytes.len(),
            });
        }
        Ok(Self {
            source,
            entry: header.e_entry,
            segments,
        })
    }

    /// What the image was linked for.
    ///
    /// # Errors
    ///
    /// There is no such note, or it is malformed.
    pub fn abi(&self) -> Result<Abi1, ImageError> {
        let payload = self.note(NoteKind::Abi1)?.ok_or(ImageError::NoAbi)?;
        let (abi, _) = Abi1::read_from_prefix(&payload).map_err(|_| ImageError::NoAbi)?;
        Ok(abi)
    }

    /// Makes sure that the image was linked for this target and version.
    ///
    /// # Errors
    ///
    /// It was not, or does not say.
    pub fn require_abi(&self, target: AbiTarget, version: u32) -> Result<(), ImageError> {
        let abi = self.abi()?;
        if abi.target != target.raw() {
            return Err(ImageError::WrongTarget(target));
        }
        if abi.version != version {
            return Err(ImageError::UnsupportedVersion(abi.version));
        }
        Ok(())
    }

    /// The entries of the manifest, the reserved first one included: 1 to 64.
    ///
    /// # Errors
    ///
    /// There is no such note, or it is malformed, or the manifest breaks a rule of solo5-abi
    /// section 5.2.
    pub fn manifest(&self) -> Result<Vec<ManifestEntry>, ImageError> {
        let payload = self.note(NoteKind::Mft1)?.ok_or(ImageError::NoManifest)?;
        let manifest = Manifest::parse(&payload).map_err(ImageError::Manifest)?;
        Ok(manifest.entries().collect())
    }

    /// Whether something follows the manifest in its segment, where no reader looks: the manifest of
    /// somebody else who thought that the image was his.
    ///
    /// # Errors
    ///
    /// As for [`manifest`](Self::manifest).
    pub fn has_second_manifest(&self) -> Result<bool, ImageError> {
        const START: usize = size_of::<Mft1NoteStart>();
        let taken = START + self.manifest()?.len() * size_of::<ManifestEntry>();
        let mut notes = self.segments.iter().filter(|s| s.p_type == PT_NOTE);
        let segment = notes.find(|segment| {
            let bytes = self.note_bytes(segment).unwrap_or_default();
            matches!(note::find(&bytes, NoteKind::Mft1), Ok(Some(_)))
        });
        Ok(segment.is_some_and(|segment| segment.p_filesz > taken as u64))
    }

    /// What the image can do beyond Solo5. An image that does not say, or not in a form that is
    /// understood, can do nothing.
    pub fn extensions(&self) -> Option<Extensions> {
        let notes = self.segments.iter().filter(|s| s.p_type == PT_NOTE);
        notes
            .filter_map(|segment| self.note_bytes(segment).ok())
            .find_map(|bytes| extension::find(&bytes))
    }

    /// The bytes of a segment that holds notes. No note that is accepted is longer than this,
    /// whatever the segment claims.
    fn note_bytes(&self, segment: &ProgramHeader) -> io::Result<Vec<u8>> {
        let len = usize::try_from(segment.p_filesz)
            .unwrap_or(usize::MAX)
            .min(note::MAX_NOTE_LEN);
        let mut bytes = vec![0; len];
        let got = self.source.read_at(&mut bytes, segment.p_offset)?;
        bytes.truncate(got);
        Ok(bytes)
    }

    /// The payload of the first note of this kind. Only the first note of each segment counts.
    fn note(&self, kind: NoteKind) -> Result<Option<Vec<u8>>, ImageError> {
        let notes = self
            .segments
            .iter()
            .enumerate()
            .filter(|(_, s)| s.p_type == PT_NOTE);
        for (index, segment) in notes {
            let bytes = self.note_bytes(segment).map_err(ImageError::Read)?;
            match note::find(&bytes, kind) {
                Ok(None) => {}
                Ok(Some(payload)) => return Ok(Some(payload.to_vec())),
                Err(error @ NoteError::Header { .. }) => {
                    return Err(ImageError::NoteSegment { index, error });
                }
                Err(error) => return Err(ImageError::Note { index, error }),
            }
        }
        Ok(None)
    }
}
