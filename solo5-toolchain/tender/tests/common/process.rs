//! Runs the tenders on images made to order.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its own part of this"
)]

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use solo5_abi::boot::SptBootInfo;
use solo5_abi::constants::SPT_BOOT_INFO;
use solo5_abi::manifest::{ManifestEntry, ManifestHeader};
use zerocopy::FromBytes;

use crate::common::{DATA, Elf, exit, print, store_stack_and_argument};

/// Where an image's file is, below a directory that belongs to the running test program.
pub fn path(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(program.file_stem().unwrap());
    fs::create_dir_all(&dir).unwrap();
    dir.join(name)
}

/// Writes a file; its path. Tests run side by side: under its name a file is always complete.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let complete = path(name);
    let new = path(&format!("{name}.{:?}", std::thread::current().id()));
    fs::write(&new, bytes).unwrap();
    fs::rename(new, &complete).unwrap();
    complete
}

/// A command that runs `solo5-spt`.
pub fn spt<T: AsRef<OsStr>>(args: impl IntoIterator<Item = T>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_solo5-spt"));
    command.args(args);
    command
}

/// A command that runs `solo5-hvt`.
pub fn hvt<T: AsRef<OsStr>>(args: impl IntoIterator<Item = T>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_solo5-hvt"));
    command.args(args);
    command
}

/// Bytes from the start of the boot information that [`dumper`] prints: as much as a manifest
/// with 64 entries and a full command line take.
const DUMP: usize = 40 + 8 + 64 * 104 + 8192;

/// An image with these devices that prints what it finds when it starts; see [`Start::parse`].
pub fn dumper(devices: &[ManifestEntry]) -> Elf {
    let print = [print(DATA, 16), print(SPT_BOOT_INFO, DUMP)].concat();
    Elf::guest(
        &[store_stack_and_argument(), print, exit(0)].concat(),
        devices,
    )
}

/// What a guest finds when it starts.
pub struct Start {
    pub stack: u64,
    pub argument: u64,
    pub boot: SptBootInfo,
    pub header: ManifestHeader,
    pub entries: Vec<ManifestEntry>,
    pub cmdline: Vec<u8>,
}

impl Start {
    /// Reads what a [`dumper`] printed.
    #[track_caller]
    pub fn parse(output: &Output) -> Self {
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{errors}");
        let bytes = &output.stdout[..];
        let (stack, bytes) = u64::read_from_prefix(bytes).unwrap();
        let (argument, memory) = u64::read_from_prefix(bytes).unwrap();
        let at = |address: u64| &memory[usize::try_from(address - SPT_BOOT_INFO).unwrap()..];
        let boot = SptBootInfo::read_from_prefix(memory).unwrap().0;
        let (header, bytes) = ManifestHeader::read_from_prefix(at(boot.manifest)).unwrap();
        let entries = bytes
            .chunks_exact(104)
            .take(usize::try_from(header.entries).unwrap());
        let entries = entries.map(|entry| ManifestEntry::read_from_bytes(entry).unwrap());
        let cmdline = at(boot.cmdline);
        let end = cmdline.iter().position(|&byte| byte == 0).unwrap();
        Self {
            stack,
            argument,
            boot,
            header,
            entries: entries.collect(),
            cmdline: cmdline[..end].to_vec(),
        }
    }
}
