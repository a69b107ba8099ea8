//! The boxes that the tenders' own processes are in while a guest runs: what they have open, and what
//! becomes of a process that leaves its box. A debugger's interface stands for whoever took it over.

mod common;
#[path = "common/process.rs"]
mod process;

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{Elf, SPIN, TEXT, exit, hypercall, print, syscall};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace;
use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use process::{file, hvt, path, spt};
use solo5_abi::hvt::BOOT_INFO;
use solo5_abi::manifest::{ManifestEntry, TYPE_NET_BASIC};

const PATIENCE: Duration = Duration::from_secs(30);

/// An spt guest that prints a byte and then computes for ever.
fn spinning(devices: &[ManifestEntry]) -> Elf {
    Elf::guest(&[&print(TEXT, 1)[..], &SPIN].concat(), devices)
}

/// A tender, killed with the test.
struct Tender(Child);

impl Tender {
    /// Starts one and waits until its guest has printed a byte.
    fn start(command: &mut Command) -> Self {
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut tender = Self(child.spawn().unwrap());
        tender.console().read_exact(&mut [0]).unwrap();
        tender
    }

    fn console(&mut self) -> &mut impl Read {
        self.0.stdout.as_mut().unwrap()
    }

    fn id(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().unwrap())
    }

    /// The process that is the guest, of a tender that looks after one.
    fn guest(&self) -> Pid {
        let ours = self.id();
        let children = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let id: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            let parent = stat.rsplit(") ").next()?.split(' ').nth(1)?;
            (parent == ours.to_string()).then(|| Pid::from_raw(id))
        });
        let children: Vec<_> = children.collect();
        assert_eq!(children.len(), 1, "{children:?}");
        children[0]
    }

    /// Waits until no process has its console any more, and it has ended.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let patience = PollTimeout::try_from(PATIENCE).unwrap();
        let console = self.0.stdout.as_ref().unwrap();
        let mut events = [PollFd::new(console.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut events, patience), Ok(1), "somebody lives on");
        assert_eq!(self.console().read(&mut [0]).unwrap(), 0);
        self.0.wait().unwrap().signal()
    }
}

impl Drop for Tender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until this holds.
#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

/// Waits until a process is behind a filter and can get no more rights.
#[track_caller]
fn boxed(process: Pid) {
    eventually("behind a filter", || {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        status.contains("Seccomp:\t2\n") && status.contains("NoNewPrivs:\t1\n")
    });
}

/// What a process has open besides the three standard descriptors, in order.
fn open_files(process: Pid) -> Vec<PathBuf> {
    let entries = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let others = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| !["0", "1", "2"].iter().any(|fd| entry.file_name() == *fd));
    let mut links: Vec<_> = others
        .map(|entry| fs::read_link(entry.path()).unwrap())
        .collect();
    links.sort();
    links
}

/// Has a process that waits in a system call make another one, with zeros as its arguments.
fn make_it_call(process: Pid, number: libc::c_long) {
    ptrace::seize(process, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(process).unwrap();
    waitpid(process, None).unwrap();
    let mut registers = ptrace::getregs(process).unwrap();
    // Back onto the instruction, and the call that was interrupted is not begun again.
    registers.rip -= 2;
    registers.orig_rax = u64::MAX;
    registers.rax = number.cast_unsigned();
    for argument in [
        &mut registers.rdi,
        &mut registers.rsi,
        &mut registers.rdx,
        &mut registers.r10,
        &mut registers.r8,
        &mut registers.r9,
    ] {
        *argument = 0;
    }
    ptrace::setregs(process, registers).unwrap();
    ptrace::detach(process, None).unwrap();
}

/// Waits until a process waits in this system call.
#[track_caller]
fn waits_in(process: Pid, number: libc::c_long) {
    let start = format!("{number} ");
    eventually("in a system call", || {
        fs::read_to_string(format!("/proc/{process}/syscall"))
            .is_ok_and(|call| call.starts_with(&start))
    });
}

/// A file that is open, and inherited by whoever is started.
fn secret() -> fs::File {
    let secret = file("secret", b"of whoever starts the tender");
    let open = OpenOptions::new().write(true).open(secret).unwrap();
    fcntl(&open, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    open
}

#[test]
fn an_spt_guest_has_no_descriptor_but_its_events_and_devices() {
    let secret = secret();
    let image = file("alone", &spinning(&[]).bytes());
    let tender = Tender::start(spt(["--mem=2"]).arg(image));
    boxed(tender.id());
    let want = ["anon_inode:[eventpoll]", "anon_inode:[timerfd]"].map(PathBuf::from);
    assert_eq!(open_files(tender.id()), want);
    drop(secret);
}

#[test]
fn guest_and_supervisor_are_in_a_box_each_and_have_what_is_theirs_only() {
    let secret = secret();
    let service = ManifestEntry::declare("service", TYPE_NET_BASIC);
    let image = file("supervised", &spinning(&[service]).bytes());
    let (_ours, theirs) = UnixDatagram::pair().unwrap();
    let recording = path("supervised.pcapng");
    let record = format!("--net-pcap:service={}", recording.display());
    let mut command = spt(["--mem=2", "--net:service=@0", &record, "--stats"]);
    let command = command.arg(image).stdin(OwnedFd::from(theirs));
    let tender = Tender::start(command);
    let guest = tender.guest();
    boxed(guest);
    boxed(tender.id());
    let kinds = |process| -> Vec<String> {
        let kind = |link: PathBuf| {
            let text = link.display().to_string();
            // Sockets by kind, files of the kernel by their last name.
            let start = text.split(':').next().unwrap_or_default();
            match text.starts_with("/proc") {
                true => text.rsplit('/').next().unwrap_or_default().to_owned(),
                false if start == "socket" => start.to_owned(),
                false => text,
            }
        };
        open_files(process).into_iter().map(kind).collect()
    };
    let want = ["anon_inode:[eventpoll]", "anon_inode:[timerfd]", "socket"];
    assert_eq!(kinds(guest), want);
    let mut supervisor = kinds(tender.id());
    supervisor.sort();
    let mut want = [
        recording.to_str().unwrap(),
        "anon_inode:[signalfd]",
        "dev",
        "io",
        // The interface, and both ends of what replaces it.
        "socket",
        "socket",
        "socket",
    ];
    want.sort_unstable();
    assert_eq!(supervisor, want);
    drop(secret);
}

#[test]
fn a_supervisor_that_leaves_its_box_is_killed_and_the_guest_with_it() {
    let image = file("leaves", &spinning(&[]).bytes());
    let mut tender = Tender::start(spt(["--mem=2", "--stats"]).arg(image));
    boxed(tender.id());
    for _ in 0..2 {
        // What the filter lets through changes nothing.
        waits_in(tender.id(), libc::SYS_ppoll);
        make_it_call(tender.id(), libc::SYS_getpid);
    }
    waits_in(tender.id(), libc::SYS_ppoll);
    make_it_call(tender.id(), libc::SYS_openat);
    assert_eq!(tender.end(), Some(libc::SIGSYS));
}

#[test]
fn a_tender_of_a_machine_that_leaves_its_box_is_killed() {
    if let Err(error) = OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        println!("skipped: /dev/kvm: {error}");
        return;
    }
    let wait = hypercall(3, &[u64::MAX]);
    let code = [&hypercall(2, &[BOOT_INFO, 1])[..], &wait].concat();
    let image = file("machine", &Elf::guest(&code, &[]).with_abi(1, 2).bytes());
    let mut tender = Tender::start(hvt(["--mem=2"]).arg(image));
    boxed(tender.id());
    waits_in(tender.id(), libc::SYS_ppoll);
    make_it_call(tender.id(), libc::SYS_openat);
    assert_eq!(tender.end(), Some(libc::SIGSYS));
}

#[test]
fn what_the_kernel_is_asked_to_write_to_code_it_does_not() {
    let clock = solo5_abi::spt::CLOCK_MONOTONIC;
    let read = |to: u64| {
        syscall(
            solo5_abi::spt::SYS_CLOCK_GETTIME,
            &[clock.into(), to.into()],
        )
    };
    let code = [read(TEXT), exit(common::Arg::Result)].concat();
    let image = file("into_code", &Elf::guest(&code, &[]).bytes());
    let status = spt(["--mem=2"]).arg(image).status().unwrap();
    // The low byte of -EFAULT.
    assert_eq!(status.code(), Some(256 - libc::EFAULT));
}
