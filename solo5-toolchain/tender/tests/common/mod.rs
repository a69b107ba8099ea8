//! Makes small images to order: an ELF file from its parts, and machine code from system calls.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its own part of this"
)]

use solo5_abi::constants::{AbiTarget, SPT_ABI_VERSION};
use solo5_abi::manifest::ManifestEntry;
use solo5_abi::note::{Abi1Note, Mft1Note, OpenBsdNote};
use solo5_tender::image::{PF_R, PF_W, PF_X, PT_LOAD, PT_NOTE, ProgramHeader};
use zerocopy::IntoBytes;

/// Where images made here have their code.
pub const TEXT: u64 = 0x10_0000;
/// Where images made here have a page of data that they may write to.
pub const DATA: u64 = 0x10_1000;

/// Positions of the program headers of [`Elf::guest`].
pub mod header {
    pub const TEXT: usize = 0;
    pub const DATA: usize = 1;
    pub const BSS: usize = 2;
    pub const OPENBSD: usize = 3;
    pub const ABI: usize = 4;
    pub const MANIFEST: usize = 5;
}

/// An ELF file in parts, each of which can be spoilt before the file is put together.
#[derive(Clone)]
pub struct Elf {
    /// The file header, 64 bytes.
    pub header: Vec<u8>,
    /// Program headers and the bytes of each. `p_offset` is where the bytes end up.
    pub segments: Vec<(ProgramHeader, Vec<u8>)>,
}

impl Elf {
    /// An image that runs `code` and declares these devices.
    pub fn guest(code: &[u8], devices: &[ManifestEntry]) -> Self {
        let mut header = Vec::new();
        header.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"); // ELF64, little endian
        header.extend([2, 0, 62, 0]); // executable, x86_64
        header.extend(1u32.to_le_bytes());
        header.extend(TEXT.to_le_bytes()); // entry
        header.extend(64u64.to_le_bytes()); // program headers follow
        header.extend([0; 8 + 4]); // no sections, no flags
        for field in [64u16, 56, 0, 0, 0, 0] {
            header.extend(field.to_le_bytes());
        }
        let mut elf = Self {
            header,
            segments: Vec::new(),
        };
        elf.load(PF_R | PF_X, TEXT, code);
        elf.load(PF_R | PF_W, DATA, &[0; 16]);
        elf.load(PF_R | PF_W, DATA + 0x1000, &[]);
        elf.segments[header::BSS].0.p_memsz = 0x1000;
        elf.note(OpenBsdNote::NOTE.as_bytes());
        elf.note(Abi1Note::new(AbiTarget::Spt, SPT_ABI_VERSION).as_bytes());
        elf.note(&manifest_note(devices));
        elf
    }

    fn load(&mut self, p_flags: u32, p_vaddr: u64, bytes: &[u8]) {
        self.segment(PT_LOAD, p_flags, p_vaddr, 0x1000, bytes);
    }

    fn note(&mut self, bytes: &[u8]) {
        self.segment(PT_NOTE, PF_R, 0, 4, bytes);
    }

    fn segment(&mut self, p_type: u32, p_flags: u32, p_vaddr: u64, p_align: u64, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let program_header = ProgramHeader {
            p_type,
            p_flags,
            p_offset: 0,
            p_vaddr,
            p_paddr: p_vaddr,
            p_filesz: length,
            p_memsz: length,
            p_align,
        };
        self.segments.push((program_header, bytes.to_vec()));
    }

    /// One of the program headers, to be changed.
    pub fn program_header(&mut self, index: usize) -> &mut ProgramHeader {
        &mut self.segments[index].0
    }

    /// The image with one program header changed.
    pub fn with(mut self, index: usize, change: impl FnOnce(&mut ProgramHeader)) -> Self {
        change(self.program_header(index));
        self
    }

    /// The image with bytes of its file header changed.
    pub fn with_header(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.header[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The image with this ABI note.
    pub fn with_abi(mut self, target: u32, version: u32) -> Self {
        let mut note = Abi1Note::new(AbiTarget::Spt, version);
        note.abi.target = target;
        self.segments[header::ABI].1 = note.as_bytes().to_vec();
        self
    }

    /// The image with bytes of its manifest note changed.
    pub fn with_manifest(mut self, offset: usize, bytes: &[u8]) -> Self {
        let note = &mut self.segments[header::MANIFEST].1;
        note[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// The file. Headers keep an offset that is not zero; all others get that of their bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let mut file = self.header.clone();
        let count = u16::try_from(self.segments.len()).unwrap();
        file[56..58].copy_from_slice(&count.to_le_bytes());
        let mut offset = (64 + 56 * self.segments.len()) as u64;
        for (program_header, bytes) in &self.segments {
            let mut program_header = *program_header;
            if program_header.p_offset == 0 {
                program_header.p_offset = offset;
            }
            file.extend(program_header.as_bytes());
            offset += bytes.len() as u64;
        }
        file.extend(self.segments.iter().flat_map(|(_, bytes)| bytes));
        file
    }
}

/// The MFT1 note of an image with these devices.
pub fn manifest_note(devices: &[ManifestEntry]) -> Vec<u8> {
    let mut start = Mft1Note::new([ManifestEntry::RESERVED]).start;
    let count = u32::try_from(devices.len()).unwrap();
    start.header.desc_len += 104 * count;
    start.manifest.entries += count;
    let entries = [&[ManifestEntry::RESERVED], devices].concat();
    [start.as_bytes(), entries.as_bytes()].concat()
}

/// An argument of a system call.
#[derive(Clone, Copy)]
pub enum Arg {
    /// This number.
    Value(u64),
    /// The 32-bit number at this address, which is below 2 GiB.
    Word(u64),
    /// The 64-bit number at this address, which is below 2 GiB.
    Quad(u64),
    /// What the register `rax` holds: the result of the system call before.
    Result,
}

impl From<u64> for Arg {
    fn from(value: u64) -> Self {
        Self::Value(value)
    }
}

fn address(address: u64) -> [u8; 4] {
    u32::try_from(address).unwrap().to_le_bytes()
}

/// Machine code of a system call with up to six arguments.
pub fn syscall(number: u64, args: &[Arg]) -> Vec<u8> {
    // For rdi, rsi, rdx, r10, r8 and r9 in turn: whether REX has to extend the register's number,
    // and the low three bits of that.
    const REGISTERS: [(bool, u8); 6] = [
        (false, 7),
        (false, 6),
        (false, 2),
        (true, 2),
        (true, 0),
        (true, 1),
    ];
    let mut code = Vec::new();
    for (&arg, (extended, register)) in args.iter().zip(REGISTERS) {
        let absolute = (register << 3) | 4; // ModRM: address in SIB and displacement
        match arg {
            Arg::Value(value) => {
                code.extend([0x48 | u8::from(extended), 0xb8 | register]); // mov r, imm64
                code.extend(value.to_le_bytes());
            }
            Arg::Word(from) => {
                // mov r32, [address]
                code.extend([0x40 | u8::from(extended) << 2, 0x8b, absolute, 0x25]);
                code.extend(address(from));
            }
            Arg::Quad(from) => {
                // mov r64, [address]
                code.extend([0x48 | u8::from(extended) << 2, 0x8b, absolute, 0x25]);
                code.extend(address(from));
            }
            // mov r64, rax
            Arg::Result => {
                code.extend([0x48 | u8::from(extended), 0x89, 0xc0 | register]);
            }
        }
    }
    code.push(0xb8); // mov eax, imm32
    code.extend(u32::try_from(number).unwrap().to_le_bytes());
    code.extend([0x0f, 0x05]);
    code
}

/// Machine code that writes guest memory to the console.
pub fn print(from: u64, length: usize) -> Vec<u8> {
    syscall(
        solo5_abi::spt::SYS_WRITE,
        &[1.into(), from.into(), (length as u64).into()],
    )
}

/// Machine code that ends the guest.
pub fn exit(status: impl Into<Arg>) -> Vec<u8> {
    syscall(solo5_abi::spt::SYS_EXIT_GROUP, &[status.into()])
}

/// Machine code that stores `rsp` and `rdi` at [`DATA`].
pub fn store_stack_and_argument() -> Vec<u8> {
    let mut code = vec![0x48, 0x89, 0x24, 0x25];
    code.extend(address(DATA));
    code.extend([0x48, 0x89, 0x3c, 0x25]);
    code.extend(address(DATA + 8));
    code
}

/// Machine code that stores `rax` at this address.
pub fn store_result(to: u64) -> Vec<u8> {
    let mut code = vec![0x48, 0x89, 0x04, 0x25];
    code.extend(address(to));
    code
}

/// Machine code that stores a zero byte at this address.
pub fn store_byte(to: u64) -> Vec<u8> {
    let mut code = vec![0xc6, 0x04, 0x25];
    code.extend(address(to));
    code.push(0);
    code
}

/// Machine code that calls this address.
pub fn jump(to: u64) -> Vec<u8> {
    let mut code = vec![0xb8]; // mov eax, imm32
    code.extend(address(to));
    code.extend([0xff, 0xe0]); // jmp rax
    code
}

/// Machine code that stores a 64-bit number at this address.
pub fn store_quad(to: u64, value: u64) -> Vec<u8> {
    let mut code = vec![0x48, 0xb8]; // mov rax, imm64
    code.extend(value.to_le_bytes());
    code.extend(store_result(to));
    code
}

/// Machine code of a hypercall whose argument, at the start of the page of data, is these words.
pub fn hypercall(number: u16, argument: &[u64]) -> Vec<u8> {
    let mut code = Vec::new();
    for (at, &word) in (DATA..).step_by(8).zip(argument) {
        code.extend(store_quad(at, word));
    }
    code.push(0xba); // mov edx, imm32
    code.extend(u32::from(0x500 + number).to_le_bytes());
    code.push(0xb8); // mov eax, imm32
    code.extend(address(DATA));
    code.push(0xef); // out dx, eax
    code
}

/// Machine code that halts an hvt guest.
pub fn halt(status: u64) -> Vec<u8> {
    hypercall(8, &[0, status])
}

/// Machine code that does nothing for ever.
pub const SPIN: [u8; 2] = [0xeb, 0xfe];
