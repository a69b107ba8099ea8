//! Puts the segments of an image into guest memory (solo5-abi section 6.3).

use std::io;
use std::ops::Range;

use solo5_abi::constants::{LOAD_BASE, PAGE_SIZE};
use thiserror::Error;

use crate::image::{Image, ImageError, ImageSource, PF_R, PF_W, PF_X, PT_LOAD, ProgramHeader};

/// What a guest may do with a part of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// Read it.
    pub read: bool,
    /// Write it.
    pub write: bool,
    /// Execute it.
    pub execute: bool,
}

/// The memory that a guest will run in. Zero where nothing was loaded.
pub trait GuestMemory {
    /// The end of guest memory; addresses from here on do not exist.
    fn size(&self) -> u64;

    /// The bytes at these addresses, `None` if they are not all guest memory.
    fn bytes_mut(&mut self, range: Range<u64>) -> Option<&mut [u8]>;

    /// Sets what the guest may do with these pages. Both ends are page aligned.
    ///
    /// # Errors
    ///
    /// Whatever the host says about it.
    fn protect(&mut self, range: Range<u64>, protection: Protection) -> io::Result<()>;
}

/// What a loaded image needs to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The guest's first instruction.
    pub entry: u64,
    /// End of the highest segment that was loaded.
    pub kernel_end: u64,
}

/// Why a segment is refused. The text follows `phdr[N]`.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// It starts below the load base.
    #[error(".p_vaddr outside of valid memory range ({0:#x} < {LOAD_BASE:#x})")]
    BelowBase(u64),
    /// It starts before the segment in front of it.
    #[error(".p_vaddr is not in ascending order ({vaddr:#x} < {previous:#x})")]
    NotAscending {
        /// Its address.
        vaddr: u64,
        /// Address of the segment in front of it.
        previous: u64,
    },
    /// Its alignment is no power of two.
    #[error(".p_align is not a power of two ({0})")]
    Alignment(u64),
    /// Rounded to its alignment it starts below the load base or in the segment in front of it.
    #[error(".p_vaddr outside of valid memory range (aligned to {start:#x}, below {free:#x})")]
    Overlap {
        /// Its address rounded down.
        start: u64,
        /// First address that is free.
        free: u64,
    },
    /// Its bytes from the file do not fit.
    #[error(
        " program file segment falls outside of valid range \
         ({vaddr:#x} + {filesz:#x} > {end:#x})"
    )]
    FileRange {
        /// Its address.
        vaddr: u64,
        /// Its bytes in the file.
        filesz: u64,
        /// Size of guest memory.
        end: u64,
    },
    /// It is smaller in memory than in the file.
    #[error(
        " program memory segment falls outside of valid range \
         ({memsz:#x} (p_memsz) < {filesz:#x} (p_filesz))"
    )]
    MemoryBelowFile {
        /// Its bytes in memory.
        memsz: u64,
        /// Its bytes in the file.
        filesz: u64,
    },
    /// Its bytes in memory, rounded to its alignment, do not fit.
    #[error(
        " program memory segment falls outside of valid range \
         ({vaddr:#x} + {memsz:#x} > {end:#x})"
    )]
    MemoryRange {
        /// Its address.
        vaddr: u64,
        /// Its bytes in memory.
        memsz: u64,
        /// Size of guest memory.
        end: u64,
    },
    /// The file ends within it.
    #[error(" host file segment mismatched ({got} != {want} (p_filesz))")]
    Truncated {
        /// Bytes there are.
        got: usize,
        /// Bytes it should have.
        want: usize,
    },
    /// It does not consist of whole pages.
    #[error(" is not aligned with architectural page size ({start:#x}..{end:#x})")]
    NotPageAligned {
        /// Its start, rounded to its alignment.
        start: u64,
        /// Its end, rounded to its alignment.
        end: u64,
    },
    /// Writable and executable at once.
    #[error(" requests WRITE and EXEC permissions")]
    WriteAndExecute,
}

/// Where a segment goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placement {
    /// Where its bytes from the file go.
    file: Range<u64>,
    /// The whole pages that it occupies.
    pages: Range<u64>,
}

/// Checks one segment against guest memory of `size` bytes and the segment in front of it, whose
/// address is `previous` and behind which everything from `free` on is unused.
fn place(
    segment: &ProgramHeader,
    size: u64,
    previous: u64,
    free: u64,
) -> Result<Placement, SegmentError> {
    let &ProgramHeader {
        p_vaddr: vaddr,
        p_filesz: filesz,
        p_memsz: memsz,
        ..
    } = segment;
    if vaddr < LOAD_BASE {
        return Err(SegmentError::BelowBase(vaddr));
    }
    if vaddr < previous {
        return Err(SegmentError::NotAscending { vaddr, previous });
    }
    if !segment.p_align.is_power_of_two() {
        return Err(SegmentError::Alignment(segment.p_align));
    }
    let mask = segment.p_align - 1;
    let start = vaddr & !mask;
    if start < free {
        return Err(SegmentError::Overlap { start, free });
    }
    let file_end = vaddr.checked_add(filesz).filter(|&end| end <= size);
    let Some(file_end) = file_end else {
        return Err(SegmentError::FileRange {
            vaddr,
            filesz,
            end: size,
        });
    };
    if memsz < filesz {
        return Err(SegmentError::MemoryBelowFile { memsz, filesz });
    }
    let end = vaddr
        .checked_add(memsz)
        .and_then(|end| end.checked_add(mask));
    let Some(end) = end.map(|end| end & !mask).filter(|&end| end <= size) else {
        return Err(SegmentError::MemoryRange {
            vaddr,
            memsz,
            end: size,
        });
    };
    if !start.is_multiple_of(PAGE_SIZE) || !end.is_multiple_of(PAGE_SIZE) {
        return Err(SegmentError::NotPageAligned { start, end });
    }
    if segment.p_flags & PF_W != 0 && segment.p_flags & PF_X != 0 {
        return Err(SegmentError::WriteAndExecute);
    }
    Ok(Placement {
        file: vaddr..file_end,
        pages: start..end,
    })
}

impl<S> Image<S> {
    /// The end of the highest segment in memory, those without bytes in the file included.
    #[must_use]
    pub fn memory_end(&self) -> u64 {
        let load = self.segments.iter().filter(|s| s.p_type == PT_LOAD);
        load.map(|s| s.p_vaddr.saturating_add(s.p_memsz))
            .max()
            .unwrap_or(0)
    }
}

impl<S: ImageSource> Image<S> {
    /// Copies every segment that has bytes in the file to its place and protects it.
    ///
    /// Segments without bytes in the file (`.bss`) need nothing: memory is zero and writable. They
    /// are not even looked at.
    ///
    /// # Errors
    ///
    /// The entry point or a segment breaks a rule, or the host refuses to read or protect. Memory
    /// then holds the segments before that one.
    pub fn load(&self, memory: &mut impl GuestMemory) -> Result<Loaded, ImageError> {
        let size = memory.size();
        let entry = self.entry;
        if !(LOAD_BASE..size).contains(&entry) {
            return Err(ImageError::Entry {
                entry,
                min: LOAD_BASE,
                end: size,
            });
        }
        let (mut previous, mut free) = (LOAD_BASE, LOAD_BASE);
        for (index, segment) in self.segments.iter().enumerate() {
            if segment.p_type != PT_LOAD || segment.p_filesz == 0 {
                continue;
            }
            let refuse = |error| ImageError::Segment { index, error };
            let placement = place(segment, size, previous, free).map_err(refuse)?;
            let Placement { file, pages } = placement;
            let want = file.end - file.start;
            let Some(bytes) = memory.bytes_mut(file) else {
                let vaddr = segment.p_vaddr;
                return Err(refuse(SegmentError::FileRange {
                    vaddr,
                    filesz: want,
                    end: size,
                }));
            };
            let got = self
                .source
                .read_at(bytes, segment.p_offset)
                .map_err(ImageError::Read)?;
            if got != bytes.len() {
                return Err(refuse(SegmentError::Truncated {
                    got,
                    want: bytes.len(),
                }));
            }
            let protection = Protection {
                read: segment.p_flags & PF_R != 0,
                write: segment.p_flags & PF_W != 0,
                execute: segment.p_flags & PF_X != 0,
            };
            memory
                .protect(pages.clone(), protection)
                .map_err(ImageError::Protect)?;
            (previous, free) = (segment.p_vaddr, pages.end);
        }
        Ok(Loaded {
            entry,
            kernel_end: free,
        })
    }
}
