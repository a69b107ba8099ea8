//! The C headers of the ABI compile cleanly and lay everything out as the Rust types do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use solo5_abi::constants::{AbiTarget, SPT_ABI_VERSION};
use solo5_abi::manifest::{ManifestEntry, TYPE_BLOCK_BASIC, TYPE_NET_BASIC};
use solo5_abi::note::{Abi1Note, Mft1Note};
use zerocopy::IntoBytes;

/// Sizes and offsets; an assertion that fails makes an array of negative size.
const LAYOUT: &str = r"
#include <stddef.h>
#define CHECK(name, condition) extern char name[(condition) ? 1 : -1]
#define AT(type, member, offset) offsetof(type, member) == (offset)
CHECK(entry_size, sizeof(struct mft_entry) == 104);
CHECK(entry_name, AT(struct mft_entry, name, 0));
CHECK(entry_type, AT(struct mft_entry, type, 68));
CHECK(entry_capacity, AT(struct mft_entry, u.block_basic.capacity, 72));
CHECK(entry_block_size, AT(struct mft_entry, u.block_basic.block_size, 80));
CHECK(entry_mac, AT(struct mft_entry, u.net_basic.mac, 72));
CHECK(entry_mtu, AT(struct mft_entry, u.net_basic.mtu, 78));
CHECK(entry_fd, AT(struct mft_entry, b.hostfd, 88));
CHECK(entry_attached, AT(struct mft_entry, attached, 96));
CHECK(mft_entries, AT(struct mft, entries, 4));
CHECK(mft_e, AT(struct mft, e, 8));
CHECK(boot_size, sizeof(struct spt_boot_info) == 40);
CHECK(boot_kernel_end, AT(struct spt_boot_info, kernel_end, 8));
CHECK(boot_cmdline, AT(struct spt_boot_info, cmdline, 16));
CHECK(boot_mft, AT(struct spt_boot_info, mft, 24));
CHECK(boot_epollfd, AT(struct spt_boot_info, epollfd, 32));
CHECK(boot_timerfd, AT(struct spt_boot_info, timerfd, 36));
CHECK(hvt_boot_size, sizeof(struct hvt_boot_info) == 56);
CHECK(hvt_boot_freq, AT(struct hvt_boot_info, cpu_cycle_freq, 16));
CHECK(hvt_boot_cmdline, AT(struct hvt_boot_info, cmdline, 24));
CHECK(hvt_boot_mft, AT(struct hvt_boot_info, mft, 32));
CHECK(hvt_boot_host, AT(struct hvt_boot_info, host_features, 40));
CHECK(hvt_boot_guest, AT(struct hvt_boot_info, guest_features, 44));
CHECK(hvt_boot_ring, AT(struct hvt_boot_info, net_ring, 48));
CHECK(walltime_size, sizeof(struct hvt_hc_walltime) == 8);
CHECK(puts_size, sizeof(struct hvt_hc_puts) == 16);
CHECK(puts_len, AT(struct hvt_hc_puts, len, 8));
CHECK(poll_size, sizeof(struct hvt_hc_poll) == 24);
CHECK(poll_set, AT(struct hvt_hc_poll, ready_set, 8));
CHECK(poll_ret, AT(struct hvt_hc_poll, ret, 16));
CHECK(block_size, sizeof(struct hvt_hc_block_io) == 40);
CHECK(block_offset, AT(struct hvt_hc_block_io, offset, 8));
CHECK(block_data, AT(struct hvt_hc_block_io, data, 16));
CHECK(block_len, AT(struct hvt_hc_block_io, len, 24));
CHECK(block_ret, AT(struct hvt_hc_block_io, ret, 32));
CHECK(net_size, sizeof(struct hvt_hc_net_io) == 32);
CHECK(net_data, AT(struct hvt_hc_net_io, data, 8));
CHECK(net_len, AT(struct hvt_hc_net_io, len, 16));
CHECK(net_ret, AT(struct hvt_hc_net_io, ret, 24));
CHECK(halt_size, sizeof(struct hvt_hc_halt) == 16);
CHECK(halt_status, AT(struct hvt_hc_halt, exit_status, 8));
CHECK(trap_size, sizeof(struct hvt_trap_frame) == 56);
CHECK(trap_rip, AT(struct hvt_trap_frame, rip, 16));
CHECK(ring_size, sizeof(struct hvt_ring) == 49280);
CHECK(ring_com_head, AT(struct hvt_ring, com_head, 4));
CHECK(ring_ent_head, AT(struct hvt_ring, ent_head, 64));
CHECK(ring_com_tail, AT(struct hvt_ring, com_tail, 68));
CHECK(ring_kick, AT(struct hvt_ring, needs_kick, 72));
CHECK(ring_entries, AT(struct hvt_ring, entries, 128));
CHECK(ring_commits, AT(struct hvt_ring, commits, 32896));
CHECK(entry_len, AT(struct hvt_ring_entry, len, 16));
CHECK(entry_id, AT(struct hvt_ring_entry, id, 20));
CHECK(commit_len, AT(struct hvt_ring_commit, len, 8));
CHECK(abi1_size, sizeof(struct abi1_note) == 36);
CHECK(openbsd_size, sizeof(struct openbsd_note) == 24);
CHECK(interp_size, sizeof SOLO5_ELF_INTERP <= SOLO5_ELF_INTERP_SIZE);
";

const INCLUDES: &str = "#include \"mft_abi.h\"\n#include \"spt_abi.h\"\n#include \"elf_abi.h\"\n\
    #include \"hvt_abi.h\"\n#include \"hvt_ring.h\"\n";

/// A generated manifest in the form that solo5-elftool writes, upstream's or ours, and an ABI note.
const NOTES: &str = r#"
#define MFT_ENTRIES 3
#include "mft_abi.h"
#include "elf_abi.h"
#include "spt_abi.h"
#include <stdio.h>

MFT1_NOTE_DECLARE_BEGIN
{
  .version = MFT_VERSION, .entries = 3,
  .e = {
    { .name = "", .type = MFT_RESERVED_FIRST },
    { .name = "service0", .type = MFT_DEV_NET_BASIC },
    { .name = "storage", .type = MFT_DEV_BLOCK_BASIC },
  }
}
MFT1_NOTE_DECLARE_END

ABI1_NOTE_DECLARE(SPT_ABI_TARGET, SPT_ABI_VERSION);

int main(void)
{
    fwrite(&solo5_abi1_note, sizeof solo5_abi1_note, 1, stdout);
    fwrite(&__solo5_mft1_note, sizeof __solo5_mft1_note, 1, stdout);
    return 0;
}
"#;

fn include_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../include")
}

/// Compiles `source` with `args`; the path of what came out.
#[track_caller]
fn compile(compiler: &str, name: &str, source: &str, args: &[&str]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (input, output) = (dir.join(format!("{name}.c")), dir.join(name));
    fs::write(&input, source).unwrap();
    let result = Command::new(compiler)
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(include_dir())
        .args(args)
        .arg("-o")
        .args([&output, &input])
        .output()
        .unwrap_or_else(|error| panic!("cannot run {compiler}: {error}"));
    assert!(
        result.status.success(),
        "{}",
        String::from_utf8_lossy(&result.stderr)
    );
    output
}

/// `cc`, and the other compiler too where it is installed.
fn compilers() -> Vec<&'static str> {
    let clang = Command::new("clang").arg("--version").output().is_ok();
    if clang {
        vec!["cc", "clang"]
    } else {
        vec!["cc"]
    }
}

#[test]
fn headers_compile_alone_and_have_the_layout_of_the_abi() {
    for compiler in compilers() {
        for standard in ["-std=c99", "-std=c11"] {
            let source = format!("{INCLUDES}{LAYOUT}");
            let name = format!("layout_{compiler}{standard}");
            compile(compiler, &name, &source, &[standard, "-c"]);
        }
    }
}

#[test]
fn declared_notes_have_the_bytes_of_the_rust_types() {
    let abi = Abi1Note::new(AbiTarget::Spt, SPT_ABI_VERSION);
    let mft = Mft1Note::new([
        ManifestEntry::RESERVED,
        ManifestEntry::declare("service0", TYPE_NET_BASIC),
        ManifestEntry::declare("storage", TYPE_BLOCK_BASIC),
    ]);
    let want = [abi.as_bytes(), mft.start.as_bytes(), mft.entries.as_bytes()].concat();
    for compiler in compilers() {
        for standard in ["-std=c99", "-std=c11"] {
            let program = compile(
                compiler,
                &format!("notes_{compiler}{standard}"),
                NOTES,
                &[standard],
            );
            let output = Command::new(program).output().unwrap();
            assert!(output.stdout == want, "{compiler} {standard}");
        }
    }
}

#[test]
fn the_manifest_section_has_four_byte_alignment() {
    let object = compile("cc", "notes.o", NOTES, &["-c"]);
    let output = Command::new("objdump")
        .arg("-h")
        .arg(object)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text
        .lines()
        .find(|line| line.contains(".note.solo5.manifest"))
        .unwrap();
    assert!(line.ends_with("2**2"), "{line}");
}
