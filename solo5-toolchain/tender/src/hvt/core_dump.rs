//! What a guest that aborted leaves behind (solo5-abi section 13.2).

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use kvm_bindings::{kvm_regs, kvm_sregs};
use solo5_abi::hvt::TrapFrame;
use zerocopy::IntoBytes;

use crate::errno::Strerror;
use crate::hvt::memory::Ram;

/// Where core files go.
#[derive(Debug)]
pub struct CoreDirectory {
    directory: OwnedFd,
    /// The directory as it was named, and the name of the file in it.
    path: (Vec<u8>, String),
}

/// A core file that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dumped {
    /// Pages that were in use.
    pub pages: usize,
    /// All pages of the guest.
    pub total: usize,
}

const PAGE: usize = 4096;

/// How a core file is opened: nothing that exists is opened like this.
pub const OPEN_FLAGS: i32 = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;

/// Offset of the guest's memory in a core file.
const MEMORY: u64 = 0x214;

impl CoreDirectory {
    /// Opens a directory.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or not be written to; the text says which.
    pub fn open(path: &OsStr) -> Result<Self, String> {
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY)
            .open(path)
            .map_err(|error| format!("dumpcore: cannot open dir: {}", Strerror(&error)))?;
        // SAFETY: the path is a C string, and the descriptor is open.
        let writable =
            unsafe { libc::faccessat(directory.as_raw_fd(), c".".as_ptr(), libc::W_OK, 0) == 0 };
        if !writable {
            let error = io::Error::last_os_error();
            return Err(format!("dumpcore: dir not writable: {}", Strerror(&error)));
        }
        let name = format!("core.solo5-hvt.{}", std::process::id());
        Ok(Self {
            directory: directory.into(),
            path: (path.as_bytes().to_vec(), name),
        })
    }

    /// Descriptor of the directory.
    #[must_use]
    pub fn fd(&self) -> i32 {
        self.directory.as_raw_fd()
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Where the core file goes.
    #[must_use]
    pub fn file_name(&self) -> String {
        let (directory, name) = &self.path;
        format!("{}/{name}", String::from_utf8_lossy(directory))
    }

    /// Writes the core file.
    ///
    /// # Errors
    ///
    /// It is there already, or whatever else the host says.
    pub fn dump(
        &self,
        ram: &Ram,
        registers: &(kvm_regs, kvm_sregs),
        trap: Option<TrapFrame>,
    ) -> io::Result<Dumped> {
        let name = std::ffi::CString::new(self.path.1.as_str())?;
        // SAFETY: the name is a C string, and the directory is open.
        let fd = unsafe { libc::openat(self.fd(), name.as_ptr(), OPEN_FLAGS, 0o600) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else's.
        let file = unsafe { File::from_raw_fd(fd) };
        let size = ram.memory_size().guest;
        file.write_all_at(&head(size, registers, trap), 0)?;
        file.set_len(MEMORY + size)?;
        write_memory(&file, ram)
    }
}

/// Writes those pages of guest memory that are in use.
fn write_memory(file: &File, ram: &Ram) -> io::Result<Dumped> {
    let size = usize::try_from(ram.memory_size().guest).unwrap_or(0);
    let mut resident = vec![0u8; size / PAGE];
    let start = ram.area().as_ptr();
    // SAFETY: the range is mapped, and there is a byte for each of its pages.
    if unsafe { libc::mincore(start.cast(), size, resident.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let mut pages = 0;
    for (number, _) in resident
        .iter()
        .enumerate()
        .filter(|(_, flag)| **flag & 1 != 0)
    {
        // SAFETY: a page of guest memory, which has ended: nobody writes to it.
        let page = unsafe { std::slice::from_raw_parts(start.add(number * PAGE), PAGE) };
        file.write_all_at(page, MEMORY + (number * PAGE) as u64)?;
        pages += 1;
    }
    Ok(Dumped {
        pages,
        total: size / PAGE,
    })
}

/// A program header.
fn program_header(kind: u32, offset: u64, len: u64, memory: u64) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(kind.to_le_bytes());
    header.extend([0; 4]);
    for field in [offset, 0, 0, len, memory, 0] {
        header.extend(field.to_le_bytes());
    }
    header
}

/// Everything in front of the memory: file header, program headers, and a note with the registers.
fn head(size: u64, registers: &(kvm_regs, kvm_sregs), trap: Option<TrapFrame>) -> Vec<u8> {
    const PT_LOAD: u32 = 1;
    const PT_NOTE: u32 = 4;
    const NOTE: u64 = 0xb0;
    const STATUS_LEN: usize = 336;
    const REGISTERS: usize = 112;
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\xff\0\0\0\0\0\0\0\0"); // ELF64, standalone
    file.extend([4, 0, 62, 0]); // core, x86_64
    file.extend(1u32.to_le_bytes());
    file.extend(0u64.to_le_bytes());
    file.extend(64u64.to_le_bytes()); // program headers follow
    file.extend([0; 8 + 4]);
    for field in [64u16, 56, 2, 0, 0, 0] {
        file.extend(field.to_le_bytes());
    }
    file.extend(program_header(PT_NOTE, NOTE, MEMORY - NOTE, 0));
    file.extend(program_header(PT_LOAD, MEMORY, size, size));
    for word in [8u32, 336, 1] {
        file.extend(word.to_le_bytes());
    }
    file.extend(b"CORE\0\0\0\0");
    let mut status = vec![0; STATUS_LEN];
    let registers = user_registers(registers, trap);
    status[REGISTERS..][..size_of_val(&registers)].copy_from_slice(registers.as_bytes());
    file.extend(status);
    file
}

/// The registers in the order of Linux' `user_regs_struct`.
fn user_registers((regs, sregs): &(kvm_regs, kvm_sregs), trap: Option<TrapFrame>) -> [u64; 27] {
    let here = TrapFrame {
        rip: regs.rip,
        cs: sregs.cs.selector.into(),
        rflags: regs.rflags,
        rsp: regs.rsp,
        ss: sregs.ss.selector.into(),
        ..TrapFrame::default()
    };
    let at = trap.unwrap_or(here);
    [
        regs.r15,
        regs.r14,
        regs.r13,
        regs.r12,
        regs.rbp,
        regs.rbx,
        regs.r11,
        regs.r10,
        regs.r9,
        regs.r8,
        regs.rax,
        regs.rcx,
        regs.rdx,
        regs.rsi,
        regs.rdi,
        u64::MAX, // No system call was interrupted.
        at.rip,
        at.cs,
        at.rflags,
        at.rsp,
        at.ss,
        sregs.fs.base,
        sregs.gs.base,
        sregs.ds.selector.into(),
        sregs.es.selector.into(),
        sregs.fs.selector.into(),
        sregs.gs.selector.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hvt::memory::Size;

    #[test]
    fn a_core_file_has_registers_and_the_pages_in_use() {
        let dir = std::env::temp_dir().join(format!("core-dump-test-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let cores = CoreDirectory::open(dir.as_os_str()).unwrap();
        let ram = Ram::new(Size::new(4 << 20, false).unwrap(), false).unwrap();
        ram.write(0x20_0010, &0x1122_3344_5566_7788u64).unwrap();
        let regs = kvm_regs {
            rax: 0xaa,
            rip: 0x10_0000,
            ..kvm_regs::default()
        };
        let trap = TrapFrame {
            rip: 0x10_4022,
            rsp: 0x1f_0000,
            ..TrapFrame::default()
        };
        let registers = (regs, kvm_sregs::default());
        let dumped = cores.dump(&ram, &registers, Some(trap)).unwrap();
        assert!(dumped.pages >= 1 && dumped.total == 1024, "{dumped:?}");
        let file = std::fs::read(cores.file_name()).unwrap();
        assert_eq!(file.len() as u64, MEMORY + (4 << 20));
        let word = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
        let status = 0xb0 + 20 + 112;
        assert_eq!(word(status + 10 * 8), 0xaa);
        assert_eq!(word(status + 16 * 8), 0x10_4022);
        assert_eq!(word(status + 19 * 8), 0x1f_0000);
        assert_eq!(word(0x214 + 0x20_0010), 0x1122_3344_5566_7788);
        let again = cores.dump(&ram, &registers, None).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_place_that_is_no_directory_is_refused() {
        let error = CoreDirectory::open(OsStr::new("/nonexistent/")).unwrap_err();
        assert!(error.starts_with("dumpcore: cannot open dir"), "{error}");
    }
}
