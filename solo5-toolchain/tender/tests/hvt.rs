//! Guests in a virtual machine: what they find, what they ask for, and how they and their tender end
//! (solo5-abi sections 8, 10, 11 and 13). Skipped without KVM.

mod common;
#[path = "common/process.rs"]
mod process;

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

use common::{DATA, Elf, SPIN, TEXT, halt, header, hypercall, store_quad};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use process::{file, hvt};
use solo5_abi::hvt::{BOOT_INFO, HvtBootInfo};
use solo5_abi::manifest::{ManifestEntry, ManifestHeader, TYPE_BLOCK_BASIC};
use zerocopy::FromBytes;

const MIB: u64 = 1 << 20;

/// Whether there is KVM. If not, says so.
fn has_kvm() -> bool {
    match OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        Ok(_) => true,
        Err(error) => {
            println!("skipped: /dev/kvm: {error}");
            false
        }
    }
}

/// An image for hvt that runs `code`.
fn guest(code: &[u8], devices: &[ManifestEntry]) -> Elf {
    Elf::guest(code, devices).with_abi(1, 2)
}

fn run(name: &str, elf: &Elf, options: &[&str], arguments: &[&str]) -> Output {
    let image = file(name, &elf.bytes());
    hvt(options).arg(image).args(arguments).output().unwrap()
}

fn messages(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Machine code that prints guest memory.
fn print(from: u64, len: u64) -> Vec<u8> {
    hypercall(2, &[from, len])
}

#[test]
fn a_guest_exits_with_the_low_byte_of_its_status() {
    if !has_kvm() {
        return;
    }
    for (status, want) in [(0, 0), (7, 7), (255, 255), (256, 0), (0xffff_fffe, 254)] {
        let output = run(
            &format!("halt{status}"),
            &guest(&halt(status), &[]),
            &["--mem=2"],
            &[],
        );
        assert_eq!(output.status.code(), Some(want), "{}", messages(&output));
        assert_eq!(messages(&output), "");
    }
}

#[test]
fn a_guest_finds_boot_information_manifest_and_command_line() {
    if !has_kvm() {
        return;
    }
    let mut code = vec![0x48, 0x89, 0x24, 0x25]; // mov [DATA + 0x100], rsp
    code.extend(u32::try_from(DATA + 0x100).unwrap().to_le_bytes());
    code.extend([0x48, 0x89, 0x3c, 0x25]); // mov [DATA + 0x108], rdi
    code.extend(u32::try_from(DATA + 0x108).unwrap().to_le_bytes());
    code.extend(print(DATA + 0x100, 16));
    code.extend(print(BOOT_INFO, 0x1000));
    code.extend(halt(0));
    let storage = ManifestEntry::declare("storage", TYPE_BLOCK_BASIC);
    let elf = guest(&code, &[storage]);
    let disk = file("disk", &[0; 4096]);
    let attach = format!("--block:storage={}", disk.display());
    for (ring0, mem, size) in [(false, 2, 2), (true, 5, 4), (false, 64, 64)] {
        let mem = format!("--mem={mem}");
        let mut options = vec![mem.as_str(), attach.as_str()];
        if ring0 {
            options.push("--ring0");
        }
        let output = run("boot_info", &elf, &options, &["two words", "", "x"]);
        assert_eq!(output.status.code(), Some(0), "{}", messages(&output));
        let adjusted = format!("solo5-hvt: adjusting memory to {} bytes\n", size * MIB);
        let want = if ring0 { adjusted.as_str() } else { "" };
        assert_eq!(messages(&output), want);

        let (stack, rest) = u64::read_from_prefix(&output.stdout).unwrap();
        let (argument, memory) = u64::read_from_prefix(rest).unwrap();
        assert_eq!((stack, argument), (size * MIB - 8, BOOT_INFO));
        let boot = HvtBootInfo::read_from_prefix(memory).unwrap().0;
        assert_eq!(boot.mem_size, size * MIB);
        assert_eq!(boot.kernel_end, DATA + 0x1000);
        assert!(boot.cpu_cycle_freq > 100_000_000, "{boot:?}");
        assert_eq!((boot.host_features, boot.guest_features), (0, 0));
        assert_eq!(boot.ring(), None);
        let at = |address: u64| &memory[usize::try_from(address - BOOT_INFO).unwrap()..];
        let (header, entries) = ManifestHeader::read_from_prefix(at(boot.manifest)).unwrap();
        assert_eq!((header.version, header.entries), (1, 2));
        let entry = ManifestEntry::read_from_prefix(&entries[104..]).unwrap().0;
        assert!(entry.is_attached() && entry.name_bytes() == b"storage");
        assert_eq!((entry.capacity(), entry.block_size()), (4096, 512));
        assert_eq!(entry.host_fd, 0, "the host's business");
        assert!(at(boot.cmdline).starts_with(b"two words  x\0"));
    }
}

#[test]
fn sizes_that_cannot_be_are_refused() {
    let elf = guest(&halt(0), &[]);
    let output = run("size", &elf, &["--mem=4098"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(messages(&output).contains("guest memory size 4297064448 bytes exceeds the max size"));
    let output = run("size", &elf, &["--mem=0"], &[]);
    assert!(messages(&output).contains("Malformed argument to --mem"));
}

#[test]
fn images_and_options_of_the_other_tender_are_refused() {
    let spt = Elf::guest(&halt(0), &[]);
    let output = run("for_spt", &spt, &[], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(messages(&output).contains("Executable is not for the solo5-hvt target"));
    let elf = guest(&halt(0), &[]);
    let output = run("options", &elf, &["--x-exec-heap"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(messages(&output).contains("Invalid option: `--x-exec-heap'"));
    let help = hvt(["--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(1));
    for option in ["--ring0", "--stack=N", "--no-net-ring", "--dumpcore=DIR"] {
        assert!(messages(&help).contains(option), "{option}");
    }
    let version = hvt(["--version"]).output().unwrap();
    assert_eq!(version.status.code(), Some(0));
    assert!(messages(&version).ends_with("ABI version 2\n"));
}

#[test]
fn disks_are_read_and_written_in_any_length_within_their_capacity() {
    if !has_kvm() {
        return;
    }
    const BUFFER: u64 = DATA + 0x200;
    const RET: u64 = DATA + 32;
    let io = |number, offset, len| hypercall(number, &[1, offset, BUFFER, len]);
    let code = [
        store_quad(BUFFER, u64::from_le_bytes(*b"abcdefgh")),
        io(4, 100, 1000),
        print(RET, 4),
        io(5, 104, 8),
        print(BUFFER, 8),
        io(5, 4096, 0),
        print(RET, 4),
        io(5, 4000, 97),
        print(RET, 4),
        io(5, u64::MAX - 3, 8),
        print(RET, 4),
        hypercall(5, &[7, 0, BUFFER, 8]),
        print(RET, 4),
        halt(0),
    ]
    .concat();
    // The results are where the next argument goes: the first words of which are addresses.
    let storage = ManifestEntry::declare("storage", TYPE_BLOCK_BASIC);
    let disk = file("any_length", &[0; 4096]);
    let attach = format!("--block:storage={}", disk.display());
    let output = run(
        "any_length_image",
        &guest(&code, &[storage]),
        &["--mem=2", &attach],
        &[],
    );
    assert_eq!(output.status.code(), Some(0), "{}", messages(&output));
    let (ok, invalid) = ([0u8, 0, 0, 0], [2u8, 0, 0, 0]);
    let want = [
        &ok[..],
        b"efgh\0\0\0\0",
        &invalid,
        &invalid,
        &invalid,
        &invalid,
    ]
    .concat();
    assert_eq!(output.stdout, want);
    assert_eq!(fs::read(disk).unwrap()[100..108], *b"abcdefgh");
}

#[test]
fn a_disk_is_not_read_into_code_whichever_ring_the_guest_is_in() {
    if !has_kvm() {
        return;
    }
    let code = [hypercall(5, &[1, 0, TEXT + 0x800, 8]), halt(0)].concat();
    let storage = ManifestEntry::declare("storage", TYPE_BLOCK_BASIC);
    let disk = file("into_code", &[0; 4096]);
    let attach = format!("--block:storage={}", disk.display());
    let elf = guest(&code, &[storage]);
    for options in [&["--mem=2", &attach][..], &["--mem=2", &attach, "--ring0"]] {
        let output = run("into_code_image", &elf, options, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", messages(&output));
        let want = "solo5-hvt: Invalid guest access: gpa=0x100800, sz=8\n";
        assert_eq!(messages(&output), want);
    }
}

#[test]
fn a_page_below_the_stack_is_below_no_part_of_the_image_and_not_in_ring_0() {
    let elf = guest(&halt(0), &[]);
    let output = run(
        "stack_ring0",
        &elf,
        &["--mem=2", "--ring0", "--stack=64"],
        &[],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(messages(&output).contains("--stack cannot be had with --ring0"));
    if !has_kvm() {
        return;
    }
    // What has no bytes in the file is a part of the image as well.
    let end = 2 * MIB - 64 * 1024 - 4096;
    for (bss_end, status) in [(end, 0), (end + 1, 1)] {
        let elf = guest(&halt(0), &[]).with(header::BSS, |bss| {
            bss.p_memsz = bss_end - bss.p_vaddr;
        });
        let output = run("stack_bss", &elf, &["--mem=2", "--stack=64"], &[]);
        assert_eq!(output.status.code(), Some(status), "{}", messages(&output));
        let refused = messages(&output).contains("leaves no memory for anything else");
        assert_eq!(refused, status == 1);
    }
}

#[test]
fn lost_output_is_lost_and_nothing_else() {
    if !has_kvm() {
        return;
    }
    let code = [print(BOOT_INFO, 100), halt(9)].concat();
    let image = file("full", &guest(&code, &[]).bytes());
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = hvt(["--mem=2"]).arg(image).stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(9));
}

/// Waits until a guest has printed a byte.
fn started(child: &mut Child) {
    let mut byte = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut byte)
        .unwrap();
}

/// A guest that says so when it runs, and then does this.
fn start(name: &str, then: &[u8], options: &[&str]) -> Child {
    let code = [&print(BOOT_INFO, 1)[..], then].concat();
    let image = file(name, &guest(&code, &[]).bytes());
    let mut command = hvt(options);
    command.arg("--mem=2").arg(image);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    started(&mut child);
    child
}

#[test]
fn signals_end_a_guest_that_spins_and_one_that_waits() {
    if !has_kvm() {
        return;
    }
    let wait = hypercall(3, &[u64::MAX]);
    for (name, code) in [("spins", &SPIN[..]), ("waits", &wait)] {
        for (signal, number) in [(Signal::SIGINT, 2), (Signal::SIGTERM, 15)] {
            let child = start(name, code, &[]);
            kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
            let sent = Instant::now();
            let output = child.wait_with_output().unwrap();
            assert!(sent.elapsed() < Duration::from_secs(10));
            assert_eq!(output.status.code(), Some(1), "{name}");
            let want = format!("solo5-hvt: Exiting on signal {number}\n");
            assert_eq!(messages(&output), want);
        }
    }
}

#[test]
fn a_wait_for_nothing_ends_when_its_time_has_come() {
    if !has_kvm() {
        return;
    }
    let code = [hypercall(3, &[20_000_000, 7]), print(DATA + 8, 12), halt(0)].concat();
    let start = Instant::now();
    let output = run("poll", &guest(&code, &[]), &["--mem=2"], &[]);
    assert!(start.elapsed() >= Duration::from_millis(20));
    assert_eq!(output.status.code(), Some(0));
    // The length of what is printed is in the place of the set: 8 bytes of it, then the count.
    assert_eq!(output.stdout[8..], [0; 4]);
}

#[test]
fn the_tender_is_in_a_box_while_the_guest_runs() {
    if !has_kvm() {
        return;
    }
    let mut child = start("boxed", &SPIN, &[]);
    let tasks = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    for task in tasks {
        let status = task.unwrap().path().join("status");
        let mut text = String::new();
        File::open(status)
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        // Threads of the kernel that belong to the machine are not the tender's.
        if !text.starts_with("Name:\tkvm-") {
            assert!(text.contains("Seccomp:\t2\n"), "{text}");
            assert!(text.contains("NoNewPrivs:\t1\n"), "{text}");
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn the_tender_keeps_no_descriptor_that_it_does_not_need() {
    if !has_kvm() {
        return;
    }
    let secret = file("secret", b"of whoever starts the tender");
    let open = OpenOptions::new().write(true).open(&secret).unwrap();
    // Such a descriptor is inherited.
    fcntl(&open, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let mut child = start("descriptors", &SPIN, &[]);
    let links: Vec<_> = fs::read_dir(format!("/proc/{}/fd", child.id()))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| !["0", "1", "2"].iter().any(|fd| entry.file_name() == *fd))
        .map(|entry| fs::read_link(entry.path()).unwrap())
        .collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(links.len(), 2, "{links:?}");
    for name in ["anon_inode:kvm-vm", "anon_inode:kvm-vcpu:0"] {
        assert!(
            links.iter().any(|link| link.as_os_str() == name),
            "{links:?}"
        );
    }
}

#[test]
fn an_image_without_our_note_starts_in_ring_3_and_its_privileged_instructions_work() {
    if !has_kvm() {
        return;
    }
    let mut code = vec![0x8c, 0xc8]; // mov eax, cs
    code.extend([0x83, 0xe0, 0x03]); // and eax, 3
    code.extend([0x89, 0xc3]); // mov ebx, eax
    // A thread pointer that is set by wrmsr can be used: mov ecx, 0xc0000100.
    code.extend([0xb9, 0x00, 0x01, 0x00, 0xc0]);
    code.push(0xb8); // mov eax, DATA + 0x300
    code.extend(u32::try_from(DATA + 0x300).unwrap().to_le_bytes());
    code.extend([0x31, 0xd2, 0x0f, 0x30]); // xor edx, edx; wrmsr
    code.extend([0x0f, 0x01, 0x14, 0x25]); // lgdt [DATA]
    code.extend(u32::try_from(DATA).unwrap().to_le_bytes());
    code.extend([0x64, 0x89, 0x1c, 0x25, 8, 0, 0, 0]); // mov fs:[8], ebx
    code.extend(print(DATA + 0x308, 1));
    code.extend(halt(0));
    let elf = guest(&code, &[]);
    let ring3 = run("ring", &elf, &["--mem=2"], &[]);
    assert_eq!(ring3.stdout, [3], "{}", messages(&ring3));
    let ring0 = run("ring", &elf, &["--mem=2", "--ring0"], &[]);
    assert_eq!(ring0.stdout, [0], "{}", messages(&ring0));
}
