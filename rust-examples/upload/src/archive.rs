//! A zip archive that is written while its files arrive: nothing is known of a file when it begins,
//! neither its length nor its checksum, so they follow it in a data descriptor. What is kept in
//! memory is the compressor, a piece of its output, and a name and five numbers for each file, for
//! the directory at the end.
//!
//! The format is that of PKWARE's APPNOTE.TXT 6.3.10; the sections are given. Files may have more
//! than 4 GiB (Zip64).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use crc32fast::Hasher;
use embedded_io_async::Write;
use miniz_oxide::deflate::core::{
    CompressorOxide, TDEFLFlush, TDEFLStatus, compress, create_comp_flags_from_zip_params,
};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes, Unaligned};

/// Files in an archive; the directory of one more would take memory that others may need.
pub const MAX_FILES: usize = 512;
/// Bytes of a file's name.
const MAX_NAME: usize = 200;
/// Bytes of compressed data that are handed on together.
const PIECE: usize = 16 << 10;
/// From 1, fast, to 9, small. The network is not to wait for us.
const LEVEL: i32 = 1;
/// Deflate without a header around it (RFC 1951), as a zip archive has it.
const RAW: i32 = -15;

/// The version that is needed for Zip64 (§4.4.3).
const ZIP64: U16 = U16::new(45);
/// Sizes and checksum are in a data descriptor; the name is UTF-8 (§4.4.4).
const FLAGS: U16 = U16::new(1 << 3 | 1 << 11);
/// Deflate (§4.4.5).
const METHOD: U16 = U16::new(8);
/// 1 January 1980: a form does not tell when a file was changed (§4.4.6).
const DATE: U16 = U16::new(1 << 5 | 1);
/// Made on Unix, where it is an ordinary file that everybody may read (§4.4.2, §4.4.15).
const MADE_BY: U16 = U16::new(3 << 8 | 45);
const ATTRIBUTES: U32 = U32::new(0o100_644 << 16);
/// "Look into the Zip64 field" (§4.4.8).
const ELSEWHERE: U32 = U32::new(u32::MAX);

/// Before a file (§4.3.7), with the Zip64 field (§4.5.3) that makes the sizes in the descriptor
/// 8 bytes long.
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct LocalHeader {
    signature: [u8; 4],
    version: U16,
    flags: U16,
    method: U16,
    time: U16,
    date: U16,
    crc: U32,
    compressed: U32,
    uncompressed: U32,
    name_len: U16,
    extra_len: U16,
}

#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Zip64Sizes {
    id: U16,
    len: U16,
    uncompressed: U64,
    compressed: U64,
}

/// Behind a file (§4.3.9).
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct DataDescriptor {
    signature: [u8; 4],
    crc: U32,
    compressed: U64,
    uncompressed: U64,
}

/// In the directory (§4.3.12).
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct DirectoryEntry {
    signature: [u8; 4],
    made_by: U16,
    version: U16,
    flags: U16,
    method: U16,
    time: U16,
    date: U16,
    crc: U32,
    compressed: U32,
    uncompressed: U32,
    name_len: U16,
    extra_len: U16,
    comment_len: U16,
    disk: U16,
    internal_attributes: U16,
    external_attributes: U32,
    offset: U32,
}

#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Zip64Entry {
    sizes: Zip64Sizes,
    offset: U64,
}

/// Where the directory is, in 64 bits (§4.3.14), and where that is said (§4.3.15).
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct Zip64End {
    signature: [u8; 4],
    len: U64,
    made_by: U16,
    version: U16,
    disk: U32,
    directory_disk: U32,
    entries_here: U64,
    entries: U64,
    directory_len: U64,
    directory: U64,
    locator_signature: [u8; 4],
    end_disk: U32,
    end: U64,
    disks: U32,
}

/// The end (§4.3.16).
#[derive(IntoBytes, Immutable, Unaligned)]
#[repr(C)]
struct End {
    signature: [u8; 4],
    disk: U16,
    directory_disk: U16,
    entries_here: U16,
    entries: U16,
    directory_len: U32,
    directory: U32,
    comment_len: U16,
}

/// A number in the field of 32 bits, or the value that says that it is in the Zip64 field.
fn narrow(value: u64) -> U32 {
    U32::new(u32::try_from(value).unwrap_or(u32::MAX))
}

/// A length that [`MAX_NAME`] and [`MAX_FILES`] keep small.
fn short(len: usize) -> U16 {
    U16::new(u16::try_from(len).unwrap_or(u16::MAX))
}

/// What the directory tells of a file.
struct Entry {
    name: String,
    offset: u64,
    crc: u32,
    compressed: u64,
    uncompressed: u64,
}

/// Why there can be no more files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused<E> {
    /// There are [`MAX_FILES`].
    TooMany,
    /// The output has failed.
    Output(E),
}

impl<E> From<E> for Refused<E> {
    fn from(error: E) -> Self {
        Self::Output(error)
    }
}

/// An archive on its way to `output`.
///
/// [`begin`](Archive::begin) a file, [`append`](Archive::append) to it, [`end`](Archive::end) it, and
/// [`finish`](Archive::finish) at the end. Each waits until the output has taken what there is:
/// whoever feeds the archive goes no faster than whoever takes it.
pub struct Archive<W> {
    output: W,
    deflate: Box<CompressorOxide>,
    piece: Box<[u8]>,
    entries: Vec<Entry>,
    checksum: Hasher,
    /// Bytes that the output has taken.
    offset: u64,
}

impl<W: Write> Archive<W> {
    /// An archive without files.
    pub fn new(output: W) -> Self {
        let flags = create_comp_flags_from_zip_params(LEVEL, RAW, 0);
        Self {
            output,
            deflate: Box::new(CompressorOxide::new(flags)),
            piece: vec![0; PIECE].into_boxed_slice(),
            entries: Vec::new(),
            checksum: Hasher::new(),
            offset: 0,
        }
    }

    async fn emit(&mut self, bytes: &[u8]) -> Result<(), W::Error> {
        self.output.write_all(bytes).await?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Begins a file. Its name is what a client says, so it is made harmless: no directories, and
    /// no name twice.
    ///
    /// # Errors
    /// There are too many, or the output has failed.
    pub async fn begin(&mut self, name: &str) -> Result<(), Refused<W::Error>> {
        if self.entries.len() == MAX_FILES {
            return Err(Refused::TooMany);
        }
        let name = self.unique(harmless(name));
        let header = LocalHeader {
            signature: *b"PK\x03\x04",
            version: ZIP64,
            flags: FLAGS,
            method: METHOD,
            time: U16::new(0),
            date: DATE,
            crc: U32::new(0),
            compressed: ELSEWHERE,
            uncompressed: ELSEWHERE,
            name_len: short(name.len()),
            extra_len: short(size_of::<Zip64Sizes>()),
        };
        let sizes = Zip64Sizes {
            id: U16::new(1),
            len: U16::new(16),
            uncompressed: U64::new(0),
            compressed: U64::new(0),
        };
        let offset = self.offset;
        let header = [header.as_bytes(), name.as_bytes(), sizes.as_bytes()].concat();
        self.entries.push(Entry {
            name,
            offset,
            crc: 0,
            compressed: 0,
            uncompressed: 0,
        });
        self.deflate.reset();
        self.checksum = Hasher::new();
        Ok(self.emit(&header).await?)
    }

    /// The next bytes of the file that was begun last.
    ///
    /// # Errors
    /// The output has failed.
    pub async fn append(&mut self, data: &[u8]) -> Result<(), W::Error> {
        self.checksum.update(data);
        if let Some(entry) = self.entries.last_mut() {
            entry.uncompressed += data.len() as u64;
        }
        self.compress(data, TDEFLFlush::None).await
    }

    async fn compress(&mut self, mut data: &[u8], flush: TDEFLFlush) -> Result<(), W::Error> {
        loop {
            let (status, taken, made) = compress(&mut self.deflate, data, &mut self.piece, flush);
            data = data.get(taken..).unwrap_or_default();
            if made > 0 {
                self.output.write_all(&self.piece[..made]).await?;
                self.offset += made as u64;
                if let Some(entry) = self.entries.last_mut() {
                    entry.compressed += made as u64;
                }
            }
            // A piece that is not full is all that there is for now. At the end there may be more behind
            // what waited from before.
            let all = match flush {
                TDEFLFlush::Finish => false,
                _ => data.is_empty() && made < PIECE,
            };
            if all || status != TDEFLStatus::Okay {
                return Ok(());
            }
        }
    }

    /// Ends the file that was begun last.
    ///
    /// # Errors
    /// The output has failed.
    pub async fn end(&mut self) -> Result<(), W::Error> {
        self.compress(&[], TDEFLFlush::Finish).await?;
        let crc = core::mem::take(&mut self.checksum).finalize();
        let Some(entry) = self.entries.last_mut() else {
            return Ok(());
        };
        entry.crc = crc;
        let descriptor = DataDescriptor {
            signature: *b"PK\x07\x08",
            crc: U32::new(entry.crc),
            compressed: U64::new(entry.compressed),
            uncompressed: U64::new(entry.uncompressed),
        };
        self.emit(descriptor.as_bytes()).await
    }

    /// Writes the directory, which ends the archive. How many files there are in it.
    ///
    /// # Errors
    /// The output has failed.
    pub async fn finish(mut self) -> Result<usize, W::Error> {
        let directory = self.offset;
        let entries = core::mem::take(&mut self.entries);
        for entry in &entries {
            let header = directory_entry(entry);
            self.emit(&header).await?;
        }
        let end = self.offset;
        let directory_len = end - directory;
        if directory >= u64::from(u32::MAX) {
            let end = zip64_end(entries.len(), directory, directory_len, end);
            self.emit(end.as_bytes()).await?;
        }
        let end = End {
            signature: *b"PK\x05\x06",
            disk: U16::new(0),
            directory_disk: U16::new(0),
            entries_here: short(entries.len()),
            entries: short(entries.len()),
            directory_len: narrow(directory_len),
            directory: narrow(directory),
            comment_len: U16::new(0),
        };
        self.emit(end.as_bytes()).await?;
        self.output.flush().await?;
        Ok(entries.len())
    }

    /// The name, or one near to it that no file has yet.
    fn unique(&self, name: String) -> String {
        let taken = |name: &str| self.entries.iter().any(|entry| entry.name == name);
        let mut candidate = name;
        // Each round makes a name longer, so there is an end.
        while taken(&candidate) {
            candidate = format!("{}-{candidate}", self.entries.len() + 1);
        }
        candidate
    }
}

fn directory_entry(entry: &Entry) -> Vec<u8> {
    let wide = [entry.compressed, entry.uncompressed, entry.offset]
        .iter()
        .any(|value| *value >= u64::from(u32::MAX));
    // All or none of them are in the Zip64 field.
    let field = |value| if wide { ELSEWHERE } else { narrow(value) };
    let header = DirectoryEntry {
        signature: *b"PK\x01\x02",
        made_by: MADE_BY,
        version: ZIP64,
        flags: FLAGS,
        method: METHOD,
        time: U16::new(0),
        date: DATE,
        crc: U32::new(entry.crc),
        compressed: field(entry.compressed),
        uncompressed: field(entry.uncompressed),
        name_len: short(entry.name.len()),
        extra_len: short(if wide { size_of::<Zip64Entry>() } else { 0 }),
        comment_len: U16::new(0),
        disk: U16::new(0),
        internal_attributes: U16::new(0),
        external_attributes: ATTRIBUTES,
        offset: field(entry.offset),
    };
    let mut bytes = [header.as_bytes(), entry.name.as_bytes()].concat();
    if wide {
        let extra = Zip64Entry {
            sizes: Zip64Sizes {
                id: U16::new(1),
                len: U16::new(24),
                uncompressed: U64::new(entry.uncompressed),
                compressed: U64::new(entry.compressed),
            },
            offset: U64::new(entry.offset),
        };
        bytes.extend_from_slice(extra.as_bytes());
    }
    bytes
}

fn zip64_end(entries: usize, directory: u64, directory_len: u64, end: u64) -> Zip64End {
    Zip64End {
        signature: *b"PK\x06\x06",
        // Of the record, without its first two fields.
        len: U64::new(44),
        made_by: MADE_BY,
        version: ZIP64,
        disk: U32::new(0),
        directory_disk: U32::new(0),
        entries_here: U64::new(entries as u64),
        entries: U64::new(entries as u64),
        directory_len: U64::new(directory_len),
        directory: U64::new(directory),
        locator_signature: *b"PK\x06\x07",
        end_disk: U32::new(0),
        end: U64::new(end),
        disks: U32::new(1),
    }
}

/// The last part of a path, without what means something to some system.
fn harmless(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut kept = String::new();
    for letter in last
        .chars()
        .filter(|letter| !letter.is_control() && *letter != ':')
    {
        if kept.len() + letter.len_utf8() > MAX_NAME {
            break;
        }
        kept.push(letter);
    }
    match kept.as_str() {
        "" | "." | ".." => String::from("file"),
        _ => kept,
    }
}
