//! Guests of hvt under KVM as real processors have it: in a virtual machine whose processor, with AMD's
//! virtualisation, QEMU emulates.
//!
//! Where this machine has a KVM of its own, it may be one that interprets ring 0 or leaves out what
//! processors do. This suite needs none. It boots a kernel of Debian's with an archive of files as
//! its only disk, runs guests there one after the other, and compares how each ended. At the end gdb,
//! on this machine, looks at two.

mod debugger;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use mnet_tests::prefix::{Prefix, succeed};

use crate::cargo::workspace;
use crate::needs::find_program;
use crate::report::Outcome;
use crate::{archive, dist};

/// Seconds for everything: about a hundred on a busy machine.
const PATIENCE: &str = "600";

/// The archive of files.
const DISK: &str = "disk.cpio";

/// Modules of the kernel, in the order in which they are loaded.
const MODULES: [&str; 3] = ["irqbypass", "kvm", "kvm-amd"];

/// A guest and how it has to end: its source, options of the tender, its argument, the exit status,
/// and something that it or the tender prints.
type Case = (&'static str, &'static str, &'static str, i32, &'static str);

/// Guests in ring 3 and in ring 0.
const CASES: &[Case] = &[
    ("cmdline", "", "x", 0, "[x]"),
    ("globals", "", "", 0, "SUCCESS"),
    ("tls", "", "", 0, "SUCCESS"),
    ("fpu", "", "", 0, "SUCCESS"),
    ("avx", "", "", 0, "AVX"),
    ("time", "", "", 0, "SUCCESS"),
    ("start", "", "", 0, "SUCCESS"),
    ("notls", "", "", 255, "trap: cr2=0x28"),
    ("fault", "", "unmapped", 255, "trap: cr2=0x400000000"),
    ("fault", "", "zero", 255, "trap: type=#PF ec=0x6 "),
    ("fault", "", "zero-call", 255, "ec=0x14 rip=0x0 "),
    ("fault", "", "beyond", 255, "trap: cr2=0x400000"),
    ("fault", "", "text", 1, "translation fault"),
    ("fault", "", "rodata", 1, "translation fault"),
    ("fault", "", "boot-info", 1, "trap: cr2=0x10000"),
    ("fault", "", "data-call", 1, "ec=0x15 "),
    ("fault", "", "rodata-call", 1, "ec=0x15 "),
    ("fault", "", "heap-call", 1, "ec=0x15 "),
    ("fault", "", "stack-call", 1, "ec=0x15 "),
    ("fault", "", "page-tables", 255, "trap: cr2=0x2000"),
    ("fault", "", "monitor", 1, "trap: cr2=0x100000000"),
    ("fault", "", "illegal", 255, "trap: type=#UD"),
    ("fault", "", "divide", 255, "trap: type=#DE"),
    ("fault", "", "breakpoint", 255, "trap: type=#BP"),
    ("fault", "", "halt", 255, "trap: type=#GP"),
    ("fault", "", "cr3", 255, "trap: type=#GP"),
    (
        "fault",
        "",
        "port",
        1,
        "Invalid guest port access: port=0x80",
    ),
    (
        "fault",
        "",
        "handler-port",
        1,
        "Invalid guest port access: port=0xce",
    ),
    ("fault", "", "call-0", 1, "Invalid guest hypercall: num=0"),
    (
        "fault",
        "",
        "pointer",
        1,
        "Invalid guest access: gpa=0xfffffff8",
    ),
    ("fault", "--stack=64", "stack", 255, "trap: cr2=0x3ef"),
    ("cmdline", "--ring0", "x", 0, "[x]"),
    ("globals", "--ring0", "", 0, "SUCCESS"),
    ("tls", "--ring0", "", 0, "SUCCESS"),
    ("fpu", "--ring0", "", 0, "SUCCESS"),
    ("avx", "--ring0", "", 0, "AVX"),
    ("time", "--ring0", "", 0, "SUCCESS"),
    ("notls", "--ring0", "", 255, "trap: cr2=0x28"),
    (
        "fault",
        "--ring0",
        "unmapped",
        255,
        "Solo5: trap: cr2=0x400000000",
    ),
    ("fault", "--ring0", "zero", 255, "Solo5: ABORT: Fatal trap"),
    ("fault", "--ring0", "text", 1, "translation fault"),
    ("fault", "--ring0", "rodata", 1, "translation fault"),
    ("fault", "--ring0", "illegal", 255, "Solo5: trap: type=#UD"),
    ("fault", "--ring0", "dup", 255, "Solo5: trap: "),
    (
        "fault",
        "--ring0",
        "call-0",
        1,
        "Invalid guest hypercall: num=0",
    ),
    (
        "fault",
        "--ring0",
        "pointer",
        1,
        "Invalid guest access: gpa=0xfffffff8",
    ),
    (
        "fault",
        "--ring0",
        "port",
        1,
        "Invalid guest port access: port=0x80",
    ),
];

/// Runs all guests. Skipped where something is missing that is not installed for this alone.
pub(crate) fn run() -> Result<Outcome> {
    for (program, package) in [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
        ("gdb", "gdb"),
        ("timeout", "coreutils"),
    ] {
        if find_program(program).is_none() {
            let reason = format!("{program} is not installed (apt-get install {package})");
            return Ok(Outcome::skip(&reason));
        }
    }
    let directory = workspace().target_dir().join("machines");
    fs::create_dir_all(&directory)?;
    let kernel = match kernel(&directory) {
        Ok(kernel) => kernel,
        Err(error) => return Ok(Outcome::skip(&format!("no kernel: {error:#}"))),
    };
    fs::write(directory.join(DISK), files(&directory, &kernel)?)?;
    let (log, sessions) = boot(&kernel, &directory)?;
    let mut outcome = judge(&log);
    let debugged = debugger::judge(&log, &sessions);
    outcome.add(&debugged);
    outcome.notes += &debugged.notes;
    Ok(outcome)
}

/// A kernel of Debian's and its modules, below `directory`; fetched once.
fn kernel(directory: &Path) -> Result<PathBuf> {
    let unpacked = directory.join("kernel");
    if !unpacked.is_dir() {
        let depends =
            succeed(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
        let package = depends
            .lines()
            .find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))
            .context("Debian's package lists have none")?;
        let package = format!("linux-image-{package}");
        let mut fetch = Command::new("apt-get");
        fetch.args(["download", "--quiet", &package]);
        succeed(fetch.current_dir(directory))?;
        let archive = fs::read_dir(directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
            .context("the package is not where it was fetched to")?;
        // In one step, so that a run that is interrupted leaves nothing half done.
        let part = directory.join("kernel.part");
        let _ = fs::remove_dir_all(&part);
        succeed(Command::new("dpkg").arg("-x").args([&archive, &part]))?;
        fs::rename(&part, &unpacked)?;
        fs::remove_file(archive)?;
    }
    Ok(unpacked)
}

/// A file below `directory` whose name starts like this.
fn find(directory: &Path, start: &str) -> Result<PathBuf> {
    let mut open = vec![directory.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() {
                open.push(path);
            } else if name.starts_with(start) {
                return Ok(path);
            }
        }
    }
    bail!("{} has no {start}", directory.display())
}

/// Everything that the machine has to run, as an archive.
fn files(directory: &Path, kernel: &Path) -> Result<Vec<u8>> {
    let prefix = workspace().target_dir().join("dist");
    dist::install(&prefix)?;
    let prefix = Prefix::new(prefix);
    let tender = prefix.bin().join("solo5-hvt");
    let busybox = find_program("busybox").context("busybox is gone")?;

    let mut archive = archive::Archive::new();
    for folder in [
        "bin", "dev", "guests", "lib", "lib64", "modules", "proc", "sys",
    ] {
        archive.directory(folder);
    }
    archive.file("bin/busybox", &fs::read(busybox)?);
    archive.file("bin/solo5-hvt", &fs::read(&tender)?);
    let debugger = prefix.bin().join("solo5-hvt-debug");
    archive.file("bin/solo5-hvt-debug", &fs::read(debugger)?);
    archive.file("init", script().as_bytes());
    for library in libraries(&tender)? {
        archive.file_in_folders(&library, &fs::read(&library)?);
    }
    for module in MODULES {
        let file = find(kernel, &format!("{module}.ko"))?;
        archive.file(&format!("modules/{module}.ko"), &fs::read(file)?);
    }
    let mut built: Vec<&str> = CASES.iter().map(|case| case.0).collect();
    built.sort_unstable();
    built.dedup();
    for name in built {
        let image = guest(&prefix, directory, name, &[])?;
        archive.file(&format!("guests/{name}"), &fs::read(image)?);
    }
    let name = debugger::GUEST;
    let image = guest(&prefix, directory, name, debugger::OPTIONS)?;
    archive.file(&format!("guests/{name}"), &fs::read(image)?);
    Ok(archive.finish())
}

/// Shared libraries that a program needs.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let list = succeed(Command::new("ldd").arg(program))?;
    let paths = list.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

/// Where a guest's image is.
fn image(directory: &Path, name: &str) -> PathBuf {
    directory.join(name).with_extension("hvt")
}

/// Builds a guest of the bindings' tests.
fn guest(prefix: &Prefix, directory: &Path, name: &str, options: &[&str]) -> Result<PathBuf> {
    let (json, manifest) = (
        directory.join("manifest.json"),
        directory.join("manifest.c"),
    );
    fs::write(
        &json,
        r#"{ "type": "solo5.manifest", "version": 1, "devices": [] }"#,
    )?;
    let mut generate = prefix.tool("solo5-elftool");
    succeed(generate.arg("gen-manifest").args([&json, &manifest]))?;
    let source = workspace()
        .root()
        .join("solo5-toolchain/guest/tests/guests")
        .join(name)
        .with_extension("c");
    let image = image(directory, name);
    let mut compile = prefix.tool("x86_64-solo5-none-static-cc");
    compile.args(["-z", "solo5-abi=hvt", "-std=c11", "-O1", "-DHVT"]);
    compile.args([
        "-DINITIALISED",
        "-Wno-array-bounds",
        "-Wno-stringop-overflow",
    ]);
    compile.args(options);
    succeed(compile.arg("-o").args([&image, &source, &manifest]))?;
    Ok(image)
}

/// What the machine does: it runs each guest between two marks, and ends.
fn script() -> String {
    let mut script = String::from(
        "#!/bin/busybox sh\n\
         /bin/busybox --install -s /bin\n\
         mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev\n",
    );
    for module in MODULES {
        script += &format!("insmod /modules/{module}.ko\n");
    }
    for (number, (name, options, argument, ..)) in CASES.iter().enumerate() {
        script += &format!(
            "echo; echo \"<<< {number}\"\n\
             timeout 60 solo5-hvt --mem=4 {options} -- /guests/{name} {argument} 2>&1\n\
             status=$?; echo; echo \">>> {number} $status\"\n"
        );
    }
    script + &debugger::script() + "poweroff -f\n"
}

/// Runs the machine to its end; what it printed, and what gdb did.
fn boot(kernel: &Path, directory: &Path) -> Result<(String, Vec<String>)> {
    let mut machine = Command::new("timeout");
    machine
        .args([PATIENCE, "qemu-system-x86_64", "-accel", "tcg"])
        // One processor: with more, emulation has been seen to stand still.
        .args(["-machine", "q35", "-cpu", "max", "-smp", "1", "-m", "512"])
        .args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-serial", "stdio", "-no-reboot"])
        .args(debugger::serial_line())
        .arg("-kernel")
        .arg(find(kernel, "vmlinuz")?)
        .args(["-initrd", DISK])
        .args(["-append", "console=ttyS0 quiet panic=-1 mitigations=off"])
        // Names of sockets are short.
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut machine = machine.spawn().context("cannot run qemu-system-x86_64")?;
    let mut console = BufReader::new(machine.stdout.take().context("a pipe")?);
    let (mut text, mut sessions) = (String::new(), Vec::new());
    let mut line = Vec::new();
    while console.read_until(b'\n', &mut line)? > 0 {
        let printed = String::from_utf8_lossy(&line).replace('\r', "");
        let session = debugger::session(&printed, directory, &image(directory, debugger::GUEST))?;
        sessions.extend(session);
        text += &printed;
        line.clear();
    }
    let output = machine.wait_with_output()?;
    ensure!(
        text.contains("<<< 0"),
        "the machine did not start: {}\n{text}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((text, sessions))
}

/// Compares what was printed with what has to be.
fn judge(log: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for (number, (name, options, argument, status, text)) in CASES.iter().enumerate() {
        let (start, end) = (format!("<<< {number}\n"), format!("\n>>> {number} "));
        let printed = log
            .split_once(&start)
            .and_then(|(_, rest)| rest.split_once(&end));
        let ended = printed.map(|(printed, rest)| {
            let status = rest.lines().next().unwrap_or_default();
            (printed, status.parse::<i32>().ok())
        });
        match ended {
            Some((printed, got)) if got == Some(*status) && printed.contains(text) => {
                outcome.passed += 1;
            }
            ended => {
                let (printed, got) = ended.unwrap_or(("nothing", None));
                outcome.failed += 1;
                outcome.notes += &format!(
                    "{name} {options} {argument}: status {got:?}, not {status}, or no {text:?} in:\n\
                     {printed}\n"
                );
            }
        }
    }
    outcome
}
