//! The process that is left where the guest has become another one: with `--net-pcap` it passes
//! frames on, with `--stats` it looks at what the kernel counted, and it ends as the guest does.
//!
//! It looks at nothing of the guest's but its frames, and is behind a filter of its own.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Instant;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{ForkResult, Pid, fork};
use seccompiler::{BackendError, BpfProgram, SeccompCmpOp as Op};

use crate::capture;
use crate::descriptors::{STANDARD, close_others};
use crate::devices::Attached;
use crate::filter::{Rules, register};
use crate::spt::relay::Line;
use crate::stats::{Lines, Seconds, Usage};

/// Signals that are passed on to the guest.
const PASSED_ON: [Signal; 5] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
];

/// Numbers that the kernel has about an interface, in the guest's words, and their columns.
const INTERFACE_COUNTERS: [(&str, usize); 6] = [
    ("in frames", 9),
    ("bytes", 8),
    ("dropped", 11),
    ("out frames", 1),
    ("bytes", 0),
    ("dropped", 3),
];

/// A network device's counters in the kernel at the start; none if they are not known.
#[derive(Debug)]
struct Interface {
    name: String,
    interface: String,
    start: Option<Columns>,
}

/// The numbers of one interface.
type Columns = [u64; 16];

/// The kernel's list of interfaces, of the network that this process started in.
#[derive(Debug)]
struct Interfaces(File);

impl Interfaces {
    fn open() -> Option<Self> {
        File::open("/proc/thread-self/net/dev").ok().map(Self)
    }

    /// The numbers of an interface.
    fn of(&self, interface: &str) -> Option<Columns> {
        /// A line for each of a thousand interfaces.
        const ROOM: usize = 128 << 10;
        let mut text = vec![0; ROOM];
        let mut len = 0;
        while let Some(more) = read_at(&self.0, len, &mut text[len..]).filter(|&more| more > 0) {
            len += more;
        }
        let text = str::from_utf8(&text[..len]).ok()?;
        let columns = text.lines().find_map(|line| {
            let (name, columns) = line.trim_start().split_once(':')?;
            (name == interface).then_some(columns)
        })?;
        let mut numbers = Columns::default();
        for (number, column) in numbers.iter_mut().zip(columns.split_ascii_whitespace()) {
            *number = column.parse().ok()?;
        }
        Some(numbers)
    }
}

/// What there is to be done besides the guest.
#[derive(Debug)]
pub struct Supervisor {
    program: String,
    lines: Vec<Line>,
    stats: bool,
    interfaces: Vec<Interface>,
    counters: Option<Interfaces>,
    without_lines: usize,
    blocks: bool,
    start: Instant,
    signals: SignalFd,
    /// Signals that were blocked before.
    mask: SigSet,
}

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Side {
    /// The one that becomes the guest.
    Guest,
    /// The other, and the process of the guest.
    Supervisor(Box<Supervisor>, Pid),
}

fn read_at(file: &File, at: usize, room: &mut [u8]) -> Option<usize> {
    let (to, len) = (room.as_mut_ptr(), room.len());
    let at = i64::try_from(at).ok()?;
    // SAFETY: there is so much room.
    let read = unsafe { libc::pread(file.as_raw_fd(), to.cast(), len, at) };
    usize::try_from(read).ok()
}

impl Supervisor {
    /// What there is to be supervised of a guest with these devices; `None` if nothing. Recorded
    /// devices get another descriptor.
    ///
    /// # Errors
    ///
    /// Whatever the host says.
    pub fn new(program: &str, attached: &mut Attached, stats: bool) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        let mut interfaces = Vec::new();
        let counters = stats.then(Interfaces::open).flatten();
        for device in &mut attached.net {
            if stats {
                let start = counters.as_ref();
                interfaces.push(Interface {
                    name: device.name.clone(),
                    interface: device.interface.clone(),
                    start: start.and_then(|counters| counters.of(&device.interface)),
                });
            }
            if let Some(line) = Line::insert(device)? {
                attached.manifest[device.index].host_fd = device.fd;
                lines.push(line);
            }
        }
        if lines.is_empty() && !stats {
            return Ok(None);
        }
        capture::ignore_signals();
        let mut watched: SigSet = PASSED_ON.into_iter().collect();
        watched.add(Signal::SIGCHLD);
        let mask = SigSet::thread_get_mask()?;
        watched.thread_block()?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Some(Self {
            program: program.into(),
            without_lines: attached.net.len() - lines.len(),
            lines,
            stats,
            interfaces,
            counters,
            blocks: !attached.block.is_empty(),
            start: Instant::now(),
            signals: SignalFd::with_flags(&watched, flags)?,
            mask,
        }))
    }

    /// Divides this process in two: one to become the guest, the other to look after it.
    ///
    /// # Errors
    ///
    /// The host has no more processes.
    ///
    /// # Safety
    ///
    /// This process has one thread.
    pub unsafe fn divide(self) -> io::Result<Side> {
        let parent = std::process::id();
        // SAFETY: there is one thread, so the new process may do anything.
        match unsafe { fork() }? {
            ForkResult::Child => {
                self.become_guest(parent)?;
                Ok(Side::Guest)
            }
            ForkResult::Parent { child } => Ok(Side::Supervisor(Box::new(self), child)),
        }
    }

    /// Leaves everything that is not the guest's.
    fn become_guest(self, parent: u32) -> io::Result<()> {
        // SAFETY: a guest does not outlive its relay. Nothing else changes.
        let result = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        if std::os::unix::process::parent_id() != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        capture::restore_signals();
        self.mask.thread_set_mask()?;
        // Interfaces and files are closed with it.
        drop(self);
        Ok(())
    }

    /// Passes frames and signals on until the guest has ended: the exit status. All descriptors that
    /// only the guest needs are closed. Its memory is the caller's to give up before.
    ///
    /// # Errors
    ///
    /// The host refuses the filter, or to wait. Then the guest is ended.
    ///
    /// # Safety
    ///
    /// Nobody uses any other descriptor from now on, not even to close it.
    pub unsafe fn supervise(self, guest: Pid) -> io::Result<i32> {
        // SAFETY: the caller vouches for descriptors.
        let status = unsafe { self.try_supervise(guest) };
        if status.is_err() {
            // It must not run without anybody to look after it.
            let _ = nix::sys::signal::kill(guest, Signal::SIGKILL);
        }
        status
    }

    /// # Safety
    ///
    /// That of [`supervise`](Self::supervise).
    unsafe fn try_supervise(mut self, guest: Pid) -> io::Result<i32> {
        let io = File::open(format!("/proc/{guest}/io")).ok();
        // SAFETY: the caller vouches for all others.
        unsafe { close_others(&self.descriptors(io.as_ref())) }?;
        let filter = self.filter(guest, io.as_ref());
        let filter = filter.map_err(io::Error::other)?;
        seccompiler::apply_filter(&filter).map_err(io::Error::other)?;
        loop {
            self.wait()?;
            for line in &mut self.lines {
                line.pass();
            }
            let mut ended = false;
            while let Some(signal) = self.signals.read_signal()? {
                let signal = i32::try_from(signal.ssi_signo).unwrap_or(0);
                if signal == libc::SIGCHLD {
                    ended = has_ended(guest);
                } else {
                    // SAFETY: the guest was not waited for, so the number is still its.
                    unsafe { libc::kill(guest.as_raw(), signal) };
                }
            }
            if ended {
                break;
            }
        }
        // What the guest sent last.
        for line in &mut self.lines {
            while line.pass_out() {}
        }
        // While the guest is still there to be asked.
        let transfers = io.as_ref().and_then(Transfers::read);
        let mut status = 0;
        // SAFETY: all fields are integers, which may be zero.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel fills both in.
        unsafe { libc::wait4(guest.as_raw(), &raw mut status, 0, &raw mut usage) };
        if self.stats {
            let _ = self.print(&Usage::of(usage), transfers.as_ref());
        }
        Ok(end_like(status))
    }

    /// Waits until there is something to do.
    fn wait(&self) -> io::Result<()> {
        let mut events: Vec<_> = self.lines.iter().flat_map(Line::events).collect();
        events.push(libc::pollfd {
            fd: self.signals.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        });
        let (fds, count) = (events.as_mut_ptr(), events.len() as u64);
        // SAFETY: so many descriptors are there.
        let ready = unsafe { libc::ppoll(fds, count, std::ptr::null(), std::ptr::null()) };
        if ready < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(())
    }

    fn print(&self, usage: &Usage, transfers: Option<&Transfers>) -> std::fmt::Result {
        let prefix = &self.program;
        let out = &mut Lines::default();
        let ran = Seconds(self.start.elapsed());
        writeln!(out, "{prefix}: stats: ran {ran}, {usage}")?;
        for line in &self.lines {
            writeln!(out, "{prefix}: stats: net {}: {}", line.name, line.counters)?;
        }
        for device in &self.interfaces {
            write!(
                out,
                "{prefix}: stats: net {}: the interface counted",
                device.name
            )?;
            let now = self.counters.as_ref();
            let now = now.and_then(|counters| counters.of(&device.interface));
            match now.zip(device.start) {
                Some((now, start)) => {
                    for (words, column) in INTERFACE_COUNTERS {
                        write!(
                            out,
                            " {words} {}",
                            now[column].saturating_sub(start[column])
                        )?;
                    }
                    writeln!(out)?;
                }
                None => writeln!(out, " nothing that can be read here")?,
            }
        }
        if let Some(transfers) = transfers {
            let Transfers {
                reads,
                bytes_read,
                writes,
                bytes_written,
            } = transfers;
            writeln!(
                out,
                "{prefix}: stats: all devices and console: {reads} reads {bytes_read} bytes, \
                 {writes} writes {bytes_written} bytes"
            )?;
        }
        writeln!(
            out,
            "{prefix}: stats: not known, as an spt guest makes its own system calls: \
             calls by kind, time asleep{}{}",
            if self.without_lines > 0 {
                ", empty reads of networks without --net-pcap"
            } else {
                ""
            },
            if self.blocks {
                ", what each block device did"
            } else {
                ""
            }
        )
    }

    /// Everything in use, with the three standard descriptors.
    fn descriptors(&self, io: Option<&File>) -> BTreeSet<RawFd> {
        let lines = self.lines.iter().flat_map(Line::descriptors);
        let counters = self.counters.as_ref().map(|Interfaces(file)| file);
        let files = counters.into_iter().chain(io).map(AsRawFd::as_raw_fd);
        let signals = self.signals.as_raw_fd();
        STANDARD
            .into_iter()
            .chain(lines)
            .chain(files)
            .chain([signals])
            .collect()
    }

    /// Compiles the filter of this process.
    fn filter(&self, guest: Pid, io: Option<&File>) -> Result<BpfProgram, BackendError> {
        let call = |number: libc::c_long| number.cast_unsigned();
        let mut rules = Rules::of_words();
        let mut allow = |number, fd: RawFd| rules.allow(call(number), &[(0, Op::Eq, register(fd))]);
        for line in &self.lines {
            allow(libc::SYS_read, line.interface_fd())?;
            allow(libc::SYS_write, line.interface_fd())?;
            allow(libc::SYS_recvfrom, line.guest_fd())?;
            allow(libc::SYS_sendto, line.guest_fd())?;
            allow(libc::SYS_write, line.capture_fd())?;
            allow(libc::SYS_ftruncate, line.capture_fd())?;
        }
        let counters = self.counters.as_ref().map(|Interfaces(file)| file);
        for file in counters.into_iter().chain(io) {
            allow(libc::SYS_pread64, file.as_raw_fd())?;
        }
        allow(libc::SYS_read, self.signals.as_raw_fd())?;
        allow(libc::SYS_write, 2)?;
        for process in [guest.as_raw(), this_process().as_raw()] {
            allow(libc::SYS_kill, process)?;
        }
        let executable = u64::from(libc::PROT_EXEC.cast_unsigned());
        let anonymous = u64::from(libc::MAP_ANONYMOUS.cast_unsigned());
        let not_executable = (2, Op::MaskedEq(executable), 0);
        let anonymous = (3, Op::MaskedEq(anonymous), anonymous);
        rules.allow(call(libc::SYS_mmap), &[not_executable.clone(), anonymous])?;
        rules.allow(call(libc::SYS_mprotect), &[not_executable])?;
        let dumpable = register(libc::PR_SET_DUMPABLE);
        rules.allow(call(libc::SYS_prctl), &[(0, Op::Eq, dumpable)])?;
        for number in [
            libc::SYS_ppoll,
            libc::SYS_waitid,
            libc::SYS_wait4,
            libc::SYS_clock_gettime,
            libc::SYS_brk,
            libc::SYS_munmap,
            libc::SYS_mremap,
            libc::SYS_madvise,
            libc::SYS_close,
            libc::SYS_fcntl,
            libc::SYS_sigaltstack,
            libc::SYS_rt_sigaction,
            libc::SYS_rt_sigprocmask,
            libc::SYS_rt_sigreturn,
            libc::SYS_restart_syscall,
            libc::SYS_getpid,
            libc::SYS_exit_group,
        ] {
            rules.allow_always(call(number));
        }
        rules.compile()
    }
}

/// This process, whose number the filter knows.
fn this_process() -> Pid {
    nix::unistd::getpid()
}

/// Whether a child has ended; it can still be waited for.
fn has_ended(child: Pid) -> bool {
    // SAFETY: all fields are integers and pointers, which may be zero.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = child.as_raw().cast_unsigned();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the kernel fills in the structure.
    let result = unsafe { libc::waitid(libc::P_PID, id, &raw mut info, options) };
    // SAFETY: filled in, or zero.
    result == 0 && unsafe { info.si_pid() } == child.as_raw()
}

/// What the kernel counted of a process's reads and writes.
#[derive(Debug, Default)]
struct Transfers {
    reads: u64,
    bytes_read: u64,
    writes: u64,
    bytes_written: u64,
}

impl Transfers {
    fn read(file: &File) -> Option<Self> {
        let mut text = [0; 512];
        let len = read_at(file, 0, &mut text)?;
        let text = str::from_utf8(&text[..len]).ok()?;
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            line.strip_prefix(": ")?.parse().ok()
        };
        Some(Self {
            reads: value("syscr")?,
            bytes_read: value("rchar")?,
            writes: value("syscw")?,
            bytes_written: value("wchar")?,
        })
    }
}

/// The exit status of a process that ended with this one; if a signal ended it, one ends this process
/// too.
fn end_like(status: i32) -> i32 {
    if libc::WIFEXITED(status) {
        return libc::WEXITSTATUS(status);
    }
    let signal = libc::WTERMSIG(status);
    // SAFETY: the default action runs no code of this process. The guest's core file, if it made one,
    // is the one that is wanted.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0);
        libc::signal(signal, libc::SIG_DFL);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, signal);
        libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut());
        libc::kill(this_process().as_raw(), signal);
    }
    128 + signal
}
