//! The loader against images that break one rule each (solo5-abi sections 3.1, 4, 5.2, 6.2, 6.3).

mod common;

use std::io;
use std::ops::Range;

use common::{DATA, Elf, TEXT, exit, header};
use solo5_abi::constants::{AbiTarget, SPT_ABI_VERSION};
use solo5_abi::manifest::{ManifestEntry, TYPE_BLOCK_BASIC, TYPE_NET_BASIC};
use solo5_tender::image::{Image, ImageError, PF_R, PF_W, PF_X};
use solo5_tender::load::{GuestMemory, Loaded, Protection};

/// Guest memory in a vector, with a record of what was protected.
struct Memory {
    bytes: Vec<u8>,
    protected: Vec<(Range<u64>, Protection)>,
    /// Refuse to protect anything.
    broken: bool,
}

const MEMORY_SIZE: u64 = 2 << 20;

impl Memory {
    fn new() -> Self {
        Self {
            bytes: vec![0; 2 << 20],
            protected: Vec::new(),
            broken: false,
        }
    }
}

impl GuestMemory for Memory {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn bytes_mut(&mut self, range: Range<u64>) -> Option<&mut [u8]> {
        let (start, end) = (
            usize::try_from(range.start).ok()?,
            usize::try_from(range.end).ok()?,
        );
        self.bytes.get_mut(start..end)
    }

    fn protect(&mut self, range: Range<u64>, protection: Protection) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        self.protected.push((range, protection));
        Ok(())
    }
}

/// An image without fault: exits with status 0, declares a network device.
fn good() -> Elf {
    Elf::guest(
        &exit(0),
        &[ManifestEntry::declare("service", TYPE_NET_BASIC)],
    )
}

/// Does all that a tender does with an image.
fn run(file: &[u8], memory: &mut Memory) -> Result<Loaded, ImageError> {
    let image = Image::parse(file)?;
    image.require_abi(AbiTarget::Spt, SPT_ABI_VERSION)?;
    image.manifest()?;
    image.load(memory)
}

#[track_caller]
fn refused(elf: &Elf, want: &str) {
    let error = run(&elf.bytes(), &mut Memory::new())
        .unwrap_err()
        .to_string();
    assert_eq!(error, want);
}

#[test]
fn a_good_image_is_loaded_and_protected_segment_by_segment() {
    let mut memory = Memory::new();
    let loaded = run(&good().bytes(), &mut memory).unwrap();
    assert_eq!(
        loaded,
        Loaded {
            entry: TEXT,
            kernel_end: DATA + 0x1000
        }
    );
    let code = exit(0);
    let at = usize::try_from(TEXT).unwrap();
    assert_eq!(memory.bytes[at..at + code.len()], code);
    let text = Protection {
        read: true,
        write: false,
        execute: true,
    };
    let data = Protection {
        read: true,
        write: true,
        execute: false,
    };
    // The segment without bytes in the file is left as it is.
    assert_eq!(
        memory.protected,
        [(TEXT..DATA, text), (DATA..DATA + 0x1000, data)]
    );
}

#[test]
fn bytes_beyond_those_in_the_file_are_zero() {
    let elf = good().with(header::DATA, |data| {
        data.p_memsz = 0x2345;
        data.p_vaddr += 0x123;
    });
    let mut memory = Memory::new();
    let loaded = run(&elf.bytes(), &mut memory).unwrap();
    assert_eq!(loaded.kernel_end, DATA + 0x3000);
    assert_eq!(memory.protected[1].0, DATA..DATA + 0x3000);
}

#[test]
fn a_segment_without_bytes_in_the_file_is_not_looked_at() {
    let elf = good().with(header::BSS, |bss| {
        bss.p_vaddr = 0;
        bss.p_memsz = u64::MAX;
        bss.p_align = 3;
        bss.p_flags = PF_W | PF_X;
    });
    run(&elf.bytes(), &mut Memory::new()).unwrap();
}

#[test]
fn the_file_header_has_64_bytes() {
    for length in [0, 1, 63] {
        let error = run(&good().bytes()[..length], &mut Memory::new())
            .unwrap_err()
            .to_string();
        let problem = "elf header does not match the expected size";
        assert_eq!(
            error,
            format!("invalid executable: {problem} ({length} != 64)")
        );
    }
}

#[test]
fn every_field_of_the_file_header_that_matters_is_checked() {
    for (offset, bytes) in [
        (0, &b"\x7fELG"[..]),
        (4, &[1]),       // 32 bits
        (5, &[2]),       // big endian
        (6, &[0]),       // version of the identification
        (16, &[3, 0]),   // position independent
        (18, &[183, 0]), // aarch64
        (20, &[2]),      // version of the file
        (52, &[63, 0]),  // size of this header
        (54, &[32, 0]),  // size of a program header
    ] {
        let elf = good().with_header(offset, bytes);
        let problem = "invalid or unsupported executable (elf header invalid while loading note)";
        refused(&elf, &format!("invalid executable: {problem}"));
    }
    // Not looked at: OS ABI and its version.
    let elf = good().with_header(7, &[9, 9]);
    run(&elf.bytes(), &mut Memory::new()).unwrap();
}

#[test]
fn there_is_at_least_one_program_header() {
    let mut elf = good();
    elf.segments.clear();
    assert!(matches!(
        run(&elf.bytes(), &mut Memory::new()),
        Err(ImageError::Header)
    ));
}

#[test]
fn program_headers_are_in_the_file() {
    let problem = "program header does not match the expected size";
    let elf = good().with_header(32, &u64::MAX.to_le_bytes());
    let want = format!("invalid executable: {problem} (0 != 336 while loading note)");
    refused(&elf, &want);
    let file = good().bytes();
    let error = run(&file[..64 + 56], &mut Memory::new())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        format!("invalid executable: {problem} (56 != 336 while loading note)")
    );
}

#[test]
fn a_note_segment_has_room_for_a_note() {
    let elf = good().with(header::OPENBSD, |note| note.p_filesz = 0);
    let problem = "p_filesz note does not fall within valid size (0 < 12); \
                   were a manifest and -z solo5-abi=TARGET given when it was linked?";
    refused(&elf, &format!("invalid executable: phdr[3].{problem}"));
    // One that has, but none for a note of Solo5, is skipped.
    let elf = good().with(header::OPENBSD, |note| note.p_filesz = 12);
    run(&elf.bytes(), &mut Memory::new()).unwrap();
}

#[test]
fn both_notes_are_there() {
    let not_a_note = |elf: Elf, index| elf.with(index, |note| note.p_type = 0x6474_e551);
    refused(
        &not_a_note(good(), header::ABI),
        "No Solo5 ABI information found in executable",
    );
    refused(
        &not_a_note(good(), header::MANIFEST),
        "No Solo5 manifest found in executable",
    );
    // Only the first note of a segment counts.
    let mut elf = good();
    let abi = elf.segments.remove(header::ABI).1;
    elf.segments[header::OPENBSD].1.extend(abi);
    elf.program_header(header::OPENBSD).p_filesz = 24 + 36;
    refused(&elf, "No Solo5 ABI information found in executable");
}

#[test]
fn notes_have_possible_sizes() {
    let size = |bytes: u32| bytes.to_le_bytes();
    let problem = "invalid executable: phdr[5] note does not fall within valid size";
    // The image that upstream's test suite has for this.
    refused(
        &good().with_manifest(4, &size(1)),
        &format!("{problem} (descsz 1 not in 5..=6668)"),
    );
    refused(
        &good().with_manifest(4, &size(6669)),
        &format!("{problem} (descsz 6669 not in 5..=6668)"),
    );
    refused(
        &good().with(header::MANIFEST, |note| note.p_filesz -= 1),
        &format!("{problem} (240 > 239)"),
    );
    // The segment claims more than the file has.
    let elf = good().with(header::MANIFEST, |note| note.p_offset = u64::MAX);
    let problem = "p_filesz note does not fall within valid size (0 < 12); \
                   were a manifest and -z solo5-abi=TARGET given when it was linked?";
    refused(&elf, &format!("invalid executable: phdr[5].{problem}"));
}

#[test]
fn the_image_is_for_this_tender() {
    for target in [0, 1, 3, 6, 77] {
        let elf = good().with_abi(target, SPT_ABI_VERSION);
        refused(&elf, "Executable is not for the solo5-spt target");
    }
    for version in [0, 1, 3] {
        let want = format!("Executable requests unsupported ABI version {version}");
        refused(&good().with_abi(2, version), &want);
    }
}

#[test]
fn the_manifest_is_valid() {
    for (offset, bytes, problem) in [
        (24, &[2][..], "manifest version is 2, expected 1"),
        (28, &[65], "65 entries are more than 64"),
        (28, &[3], "manifest takes 320 bytes but has 216"),
        (28, &[0], "manifest takes 8 bytes but has 216"),
        (32 + 68, &[2, 0, 0, 0], "entry 0 is not the reserved entry"),
        (32, b"x", "entry 0 is not the reserved entry"),
        (32 + 104 + 67, b"x", "name of entry 1 is not terminated"),
        (32 + 104 + 96, &[1], "entry 1 claims to be attached"),
    ] {
        let elf = good().with_manifest(offset, bytes);
        refused(&elf, &format!("Solo5 manifest is invalid: {problem}"));
    }
}

#[test]
fn a_manifest_holds_63_devices() {
    let device = |i| ManifestEntry::declare(&format!("storage{i}"), TYPE_BLOCK_BASIC);
    let devices: Vec<_> = (0..64).map(device).collect();
    let entries = |devices: &[_]| Image::parse(&Elf::guest(&[], devices).bytes()[..])?.manifest();
    assert_eq!(entries(&devices[..63]).unwrap().len(), 64);
    assert!(matches!(entries(&devices), Err(ImageError::Note { .. })));
}

#[test]
fn the_entry_point_is_in_memory() {
    for entry in [0, TEXT - 1, MEMORY_SIZE, u64::MAX] {
        let elf = good().with_header(24, &entry.to_le_bytes());
        let problem = "e_entry does not fall within the memory allocation range";
        let range = format!("({entry:#x} not in 0x100000..0x200000)");
        refused(&elf, &format!("invalid executable: {problem} {range}"));
    }
}

/// The image with its data segment changed is refused, with this text after its number.
#[track_caller]
fn data_refused(change: impl FnOnce(&mut solo5_tender::image::ProgramHeader), want: &str) {
    refused(
        &good().with(header::DATA, change),
        &format!("invalid executable: phdr[1]{want}"),
    );
}

#[test]
fn segments_are_above_the_load_base_and_ascend() {
    let problem = ".p_vaddr outside of valid memory range";
    data_refused(
        |data| data.p_vaddr = 0xf_f000,
        &format!("{problem} (0xff000 < 0x100000)"),
    );
    data_refused(
        |data| data.p_vaddr = 0,
        &format!("{problem} (0x0 < 0x100000)"),
    );
    let elf = good().with(header::TEXT, |text| text.p_vaddr = DATA + 0x1000);
    let problem = ".p_vaddr is not in ascending order (0x101000 < 0x102000)";
    refused(&elf, &format!("invalid executable: phdr[1]{problem}"));
}

#[test]
fn alignments_are_powers_of_two() {
    for align in [0, 3, 0x1001, u64::MAX] {
        let problem = ".p_align is not a power of two";
        data_refused(|data| data.p_align = align, &format!("{problem} ({align})"));
    }
}

#[test]
fn segments_do_not_overlap_when_rounded_to_their_alignment() {
    let problem = ".p_vaddr outside of valid memory range";
    // Its own page is that of the text.
    data_refused(
        |data| data.p_vaddr = TEXT + 0x800,
        &format!("{problem} (aligned to 0x100000, below 0x101000)"),
    );
    // Rounded down it starts below the load base.
    data_refused(
        |data| data.p_align = 1 << 24,
        &format!("{problem} (aligned to 0x0, below 0x101000)"),
    );
    // The one in front of it ends within it.
    let elf = good().with(header::TEXT, |text| text.p_memsz = 0x1001);
    let want = "(aligned to 0x101000, below 0x102000)";
    refused(
        &elf,
        &format!("invalid executable: phdr[1]{problem} {want}"),
    );
}

#[test]
fn segments_end_within_memory() {
    let file = " program file segment falls outside of valid range";
    data_refused(
        |data| data.p_vaddr = MEMORY_SIZE,
        &format!("{file} (0x200000 + 0x10 > 0x200000)"),
    );
    data_refused(
        |data| data.p_filesz = u64::MAX,
        &format!("{file} (0x101000 + 0xffffffffffffffff > 0x200000)"),
    );
    data_refused(
        |data| (data.p_filesz, data.p_memsz) = (0xff_001, 0xff_001),
        &format!("{file} (0x101000 + 0xff001 > 0x200000)"),
    );
    let memory = " program memory segment falls outside of valid range";
    data_refused(
        |data| data.p_memsz = 15,
        &format!("{memory} (0xf (p_memsz) < 0x10 (p_filesz))"),
    );
    for memsz in [0xff_001, u64::MAX, u64::MAX - DATA, u64::MAX - DATA - 0xfff] {
        let want = format!("{memory} (0x101000 + {memsz:#x} > 0x200000)");
        data_refused(|data| data.p_memsz = memsz, &want);
    }
    let elf = good().with(header::DATA, |data| data.p_memsz = 0xff_000);
    run(&elf.bytes(), &mut Memory::new()).unwrap();
}

#[test]
fn segments_consist_of_whole_pages() {
    let problem = " is not aligned with architectural page size";
    data_refused(
        |data| data.p_align = 16,
        &format!("{problem} (0x101000..0x101010)"),
    );
    data_refused(
        |data| (data.p_align, data.p_vaddr) = (16, DATA + 0x20),
        &format!("{problem} (0x101020..0x101030)"),
    );
}

#[test]
fn nothing_is_writable_and_executable() {
    let want = " requests WRITE and EXEC permissions";
    data_refused(|data| data.p_flags = PF_W | PF_X, want);
    data_refused(|data| data.p_flags = PF_R | PF_W | PF_X, want);
}

#[test]
fn segments_are_complete() {
    let want = " host file segment mismatched (0 != 16 (p_filesz))";
    data_refused(|data| data.p_offset = 1 << 40, want);
    data_refused(|data| data.p_offset = u64::MAX, want);
}

#[test]
fn what_the_host_says_about_protection_is_passed_on() {
    let mut memory = Memory {
        broken: true,
        ..Memory::new()
    };
    let error = run(&good().bytes(), &mut memory).unwrap_err().to_string();
    assert_eq!(error, "mprotect failed: Cannot allocate memory");
}

#[test]
fn no_file_cut_short_or_changed_in_one_byte_makes_the_loader_panic() {
    let file = good().bytes();
    let mut memory = Memory::new();
    for length in 0..file.len() {
        let _ = run(&file[..length], &mut memory);
    }
    for index in 0..file.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut file = file.clone();
            file[index] ^= flip;
            let _ = run(&file, &mut memory);
        }
    }
}
