//! What a user gets to read when something is wrong, and the exit status (solo5-abi sections 6, 8
//! and 9).

mod common;
#[path = "common/process.rs"]
mod process;

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use common::{Elf, exit, header};
use process::{file, spt};
use solo5_abi::manifest::{ManifestEntry, TYPE_BLOCK_BASIC, TYPE_NET_BASIC};

/// An image with a network and a block device, called `service` and `storage`.
fn image() -> String {
    let devices = [
        ManifestEntry::declare("service", TYPE_NET_BASIC),
        ManifestEntry::declare("storage", TYPE_BLOCK_BASIC),
    ];
    write("devices", &Elf::guest(&exit(0), &devices))
}

fn write(name: &str, elf: &Elf) -> String {
    file(name, &elf.bytes())
        .into_os_string()
        .into_string()
        .unwrap()
}

/// Runs `solo5-spt`: exit status, and the lines on standard error up to the usage.
#[track_caller]
fn errors(args: &[&str]) -> (Option<i32>, Vec<String>, bool) {
    let output = spt(args).stdin(Stdio::null()).output().unwrap();
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().map(String::from);
    let lines: Vec<_> = lines
        .take_while(|line| !line.starts_with("usage: solo5-spt "))
        .collect();
    let usage = text.contains("usage: solo5-spt ");
    (output.status.code(), lines, usage)
}

/// One line and status 1, without the usage.
#[track_caller]
fn fails(args: &[&str], want: &str) {
    let want = vec![format!("solo5-spt: {want}")];
    assert_eq!(errors(args), (Some(1), want, false), "{args:?}");
}

/// The option is refused: the reason and the option, or the option and the usage.
#[track_caller]
fn refuses(option: &str, reason: Option<&str>) {
    let usage = reason.is_none();
    let reason = reason.map(|reason| format!("solo5-spt: {reason}"));
    let option_line = format!("solo5-spt: Invalid option: `{option}'");
    let want: Vec<_> = reason.into_iter().chain([option_line]).collect();
    assert_eq!(
        errors(&[option, &image()]),
        (Some(1), want, usage),
        "{option}"
    );
}

#[test]
fn help_prints_the_usage_and_fails() {
    let (status, lines, usage) = errors(&["--net:x=y", "--help", "image"]);
    assert_eq!((status, lines.len(), usage), (Some(1), 0, true));
    let output = spt(["--help"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    for part in [
        "Compiled-in modules: core net block",
        "--mem=512",
        "--version",
        "--net:NAME=IFACE | @NN",
        "--net-mac:NAME=HWADDR",
        "--block:NAME=PATH",
        "--block-sector-size:NAME=N",
        "--x-exec-heap",
    ] {
        assert!(text.contains(part), "{part}");
    }
}

#[test]
fn version_prints_the_versions() {
    let want = format!("solo5-spt tender, version {}", env!("CARGO_PKG_VERSION"));
    let want = vec![want, "ABI version 2".into()];
    assert_eq!(errors(&["--version"]), (Some(0), want, false));
}

#[test]
fn messages_carry_the_name_the_program_was_called_by() {
    let output = spt(["/nonexistent"])
        .arg0("/some/where/tender")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        text,
        "tender: /nonexistent: Could not open: No such file or directory\n"
    );
}

#[test]
fn an_image_is_needed() {
    for args in [&[][..], &["--mem=2"], &["--"], &["-"]] {
        let want = vec!["solo5-spt: Missing KERNEL operand".to_string()];
        assert_eq!(errors(args), (Some(1), want, true));
    }
}

#[test]
fn images_that_are_none_are_named() {
    fails(
        &["/nonexistent"],
        "/nonexistent: Could not open: No such file or directory",
    );
    fails(&["/"], "/: Could not read: Is a directory");
    let script = file("script", b"#!/bin/sh\n")
        .into_os_string()
        .into_string()
        .unwrap();
    let problem = "elf header does not match the expected size (10 != 64)";
    fails(
        &[&script],
        &format!("{script}: invalid executable: {problem}"),
    );
    let text = file("text", &[b'x'; 100])
        .into_os_string()
        .into_string()
        .unwrap();
    let problem = "invalid or unsupported executable (elf header invalid while loading note)";
    fails(&[&text], &format!("{text}: invalid executable: {problem}"));
    // A program of the host: position independent.
    fails(
        &["/bin/sh"],
        &format!("/bin/sh: invalid executable: {problem}"),
    );
}

#[test]
fn images_for_other_tenders_are_named() {
    let hvt = write("hvt", &Elf::guest(&exit(0), &[]).with_abi(1, 2));
    fails(
        &[&hvt],
        &format!("{hvt}: Executable is not for the solo5-spt target"),
    );
    let old = write("old", &Elf::guest(&exit(0), &[]).with_abi(2, 1));
    fails(
        &[&old],
        &format!("{old}: Executable requests unsupported ABI version 1"),
    );
    let bare = Elf::guest(&exit(0), &[]).with(header::ABI, |note| note.p_type = 0);
    let bare = write("bare", &bare);
    fails(
        &[&bare],
        &format!("{bare}: No Solo5 ABI information found in executable"),
    );
    // What the stub target links: note segments without notes.
    let stub = Elf::guest(&exit(0), &[]).with(header::OPENBSD, |note| note.p_filesz = 0);
    let stub = write("stub", &stub);
    let problem = "phdr[3].p_filesz note does not fall within valid size (0 < 12); \
                   were a manifest and -z solo5-abi=TARGET given when it was linked?";
    fails(&[&stub], &format!("{stub}: invalid executable: {problem}"));
}

#[test]
fn manifests_that_are_none_are_named() {
    let none = Elf::guest(&exit(0), &[]).with(header::MANIFEST, |note| note.p_type = 0);
    let none = write("none", &none);
    fails(
        &[&none],
        &format!("{none}: No Solo5 manifest found in executable"),
    );
    let bad = write("bad", &Elf::guest(&exit(0), &[]).with_manifest(24, &[2]));
    let problem = "manifest version is 2, expected 1";
    fails(
        &[&bad],
        &format!("{bad}: Solo5 manifest is invalid: {problem}"),
    );
    let short = write(
        "short",
        &Elf::guest(&exit(0), &[]).with_manifest(4, &[1, 0]),
    );
    let problem = "phdr[5] note does not fall within valid size (descsz 1 not in 5..=6668)";
    fails(
        &[&short],
        &format!("{short}: invalid executable: {problem}"),
    );
}

#[test]
fn a_bad_image_is_reported_before_a_bad_option() {
    let want = "/nonexistent: Could not open: No such file or directory";
    fails(&["--nonsense", "/nonexistent"], want);
}

#[test]
fn memory_must_be_a_size_that_the_image_fits_into() {
    for bad in ["", "0", "x", "-1", "99999999999999999999"] {
        fails(
            &[&format!("--mem={bad}"), &image()],
            "Malformed argument to --mem",
        );
    }
    let image = write("plain", &Elf::guest(&exit(0), &[]));
    let problem = "e_entry does not fall within the memory allocation range";
    let want =
        format!("{image}: invalid executable: {problem} (0x100000 not in 0x100000..0x100000)");
    fails(&["--mem=1", &image], &want);
    // More than there are addresses, and so much that this process would be in the way.
    for huge in ["--mem=10000000000", "--mem=134217727"] {
        let (status, lines, usage) = errors(&[huge, &image]);
        assert_eq!((status, lines.len(), usage), (Some(1), 1, false));
        assert!(
            lines[0].starts_with("solo5-spt: Error allocating guest memory: "),
            "{lines:?}"
        );
    }
    assert_eq!(errors(&["--mem=2M", &image]), (Some(0), vec![], false));
}

#[test]
fn unknown_options_are_named() {
    for option in [
        "--nonsense",
        "-x",
        "-",
        "--mem",
        "--net",
        "--gdb",
        "--dumpcore=.",
        "--help=x",
    ] {
        refuses(option, None);
    }
    for option in [
        "--net:service",
        "--net:service=",
        "--net:=tap0",
        "--net:ser-vice=tap0",
        "--net-mac:service=00:11:22:33:44",
        "--net-mac:service=nonsense",
        "--block:storage=",
        "--block-sector-size:storage=x",
    ] {
        refuses(option, None);
    }
}

#[test]
fn devices_that_the_image_does_not_declare_are_named() {
    for option in [
        "--net:nosuch=tap0",
        "--net:nosuch=@0",
        "--net-mac:nosuch=0:0:0:0:0:0",
        "--block:nosuch=/dev/null",
        "--block-sector-size:nosuch=512",
        // Declared, but of the other type.
        "--net:storage=tap0",
        "--block:service=/dev/null",
    ] {
        let name = option.split_once(':').unwrap().1.split_once('=').unwrap().0;
        refuses(
            option,
            Some(&format!("Resource not declared in manifest: '{name}'")),
        );
    }
}

#[test]
fn interfaces_that_cannot_be_attached_are_named() {
    let long = "x".repeat(16);
    for (interface, problem) in [
        ("nosuchtap", "No such file or directory"),
        (&long, "File name too long"),
        ("@", "Invalid argument"),
        ("@x", "Invalid argument"),
        ("@3x", "Invalid argument"),
        ("@99999999999", "Numerical result out of range"),
        ("@99", "Bad file descriptor"),
        // The lowest free ones, which the tender uses itself.
        ("@3", "Bad file descriptor"),
        ("@4", "Bad file descriptor"),
    ] {
        let want = format!("Could not attach interface: {interface}: {problem}");
        refuses(&format!("--net:service={interface}"), Some(&want));
    }
}

#[test]
fn a_descriptor_that_one_cannot_wait_for_is_no_network_device() {
    let disk = file("regular", &[0; 512]);
    let block = format!("--block:storage={}", disk.display());
    let input = std::fs::File::open(&disk).unwrap();
    let mut command = spt(["--net:service=@0", &block, &image()]);
    let output = command.stdin(input).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let want = "solo5-spt: Could not wait for input of device 'service': Operation not permitted\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), want);
}

#[test]
fn block_devices_that_cannot_be_attached_are_named() {
    for (path, problem) in [
        ("/nonexistent", "No such file or directory"),
        ("/", "Is a directory"),
    ] {
        let want = format!("Could not open block device: {path}: {problem}");
        refuses(&format!("--block:storage={path}"), Some(&want));
    }
    let want = "Block size must be a multiple of 2 greater than or equal 512";
    for size in ["256", "521", "65536", "0"] {
        refuses(&format!("--block-sector-size:storage={size}"), Some(want));
    }
}

#[test]
fn block_devices_consist_of_whole_sectors() {
    let device = [ManifestEntry::declare("storage", TYPE_BLOCK_BASIC)];
    let image = write("block", &Elf::guest(&exit(0), &device));
    let disk =
        |name: &str, length| format!("--block:storage={}", file(name, &vec![0; length]).display());
    let sector = "--block-sector-size:storage=4096";
    let want = "storage: Backing storage size must be block aligned (4096 bytes)";
    fails(&[sector, &disk("6k", 6144), &image], want);
    fails(&[&disk("6k", 6144), sector, &image], want);
    let want = "storage: Backing storage must be at least 1 block (512 bytes) in size";
    fails(&[&disk("empty", 0), &image], want);
    assert_eq!(
        errors(&[&disk("6k", 6144), &image]),
        (Some(0), vec![], false)
    );
}

#[test]
fn every_declared_device_must_be_attached() {
    let all =
        "solo5-spt: All declared devices must be attached. See --help for syntax.".to_string();
    let line = |name: &str, kind: &str| {
        format!("solo5-spt: Device '{name}' of type {kind} declared but not attached.")
    };
    let (net, block) = (line("service", "NET_BASIC"), line("storage", "BLOCK_BASIC"));
    assert_eq!(
        errors(&[&image()]),
        (Some(1), vec![net.clone(), block, all.clone()], false)
    );
    let disk = format!("--block:storage={}", file("one", &[0; 512]).display());
    assert_eq!(
        errors(&[&disk, &image()]),
        (Some(1), vec![net, all.clone()], false)
    );

    // A type that nothing can be attached to, and a name that is there twice.
    let strange = [ManifestEntry::declare("strange", 77)];
    let strange = write("strange", &Elf::guest(&exit(0), &strange));
    let want = vec![line("strange", "<undefined type>"), all.clone()];
    assert_eq!(errors(&[&strange]), (Some(1), want, false));
    let twice = [ManifestEntry::declare("storage", TYPE_BLOCK_BASIC); 2];
    let twice = write("twice", &Elf::guest(&exit(0), &twice));
    let want = vec![line("storage", "BLOCK_BASIC"), all];
    assert_eq!(errors(&[&disk, &twice]), (Some(1), want, false));
    // Types that are reserved need nothing.
    let reserved = [ManifestEntry::declare("later", 0x4000_0001)];
    let reserved = write("reserved", &Elf::guest(&exit(0), &reserved));
    assert_eq!(errors(&[&reserved]), (Some(0), vec![], false));
}

#[test]
fn a_command_line_that_does_not_fit_is_refused() {
    let image = write("plain2", &Elf::guest(&exit(0), &[]));
    let want = "Guest command line too long (max=8191 characters)";
    fails(&[&image, &"x".repeat(8192)], want);
    fails(&[&image, &"x".repeat(8190), "y"], want);
    assert_eq!(
        errors(&[&image, &"x".repeat(8191)]),
        (Some(0), vec![], false)
    );
}

#[test]
fn segments_that_break_a_rule_are_named() {
    let elf = Elf::guest(&exit(0), &[]).with(header::DATA, |data| data.p_flags = 7);
    let image = write("wx", &elf);
    let problem = "phdr[1] requests WRITE and EXEC permissions";
    fails(
        &[&image],
        &format!("{image}: invalid executable: {problem}"),
    );
}

#[test]
fn frames_are_recorded_of_devices_that_there_are_in_files_that_can_be_made() {
    let path = "/nonexistent/file";
    let want = format!("Could not open capture file: {path}: No such file or directory");
    refuses(&format!("--net-pcap:service={path}"), Some(&want));
    let undeclared = "Resource not declared in manifest: 'storage'";
    refuses("--net-pcap:storage=/dev/null", Some(undeclared));
    let full = "Could not open capture file: /dev/full: No space left on device";
    refuses("--net-pcap:service=/dev/full", Some(full));
    refuses("--net-pcap:service=", None);
    refuses("--stats=1", None);
}
