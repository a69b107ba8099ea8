//! `solo5-hvt`: runs an image of the hvt target in a virtual machine (solo5-abi sections 8.5 and 10
//! to 13).
//!
//! - [`memory`]: the guest's memory, and the only way to it
//! - [`host`], [`hypercall`], [`ring`]: what a guest can ask for, what is done, and checks between
//! - [`observed`]: counts what is done, and records frames
//! - [`cpu`], [`cpuid`], [`paging`]: what a guest finds when it starts
//! - [`monitor`], [`emulate`]: the tender's part of a machine with a guest in ring 3
//! - [`vm`]: the machine; [`sandbox`]: the box around it; [`core_dump`]: what is left of a guest
//!
//! Guests start in ring 3. Page tables, descriptor tables and the map of ports are the tender's and
//! out of the guest's reach, so that code stays as it was loaded, data is never executed, and the
//! null page is not there, whatever the guest does; with `--stack` neither is a page below the stack.
//! Nor is the tender made to write where the guest cannot. Images that were made for ring 0 have the
//! few instructions emulated that need it.

pub mod core_dump;
pub mod cpu;
pub mod cpuid;
pub mod emulate;
pub mod host;
pub mod hypercall;
pub mod memory;
pub mod monitor;
pub mod observed;
pub mod paging;
pub mod ring;
pub mod sandbox;
mod signals;
pub mod vm;

use std::ffi::OsString;
use std::io;
use std::sync::Arc;

use solo5_abi::constants::{AbiTarget, EXIT_ABORT, HVT_ABI_VERSION, LOAD_BASE};
use solo5_abi::extension::FEATURE_RING3;
use solo5_abi::hvt::{BOOT_INFO, FEATURE_RING, HvtBootInfo, TrapFrame};
use thiserror::Error;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EventFd};

use crate::boot;
use crate::capture;
use crate::cli::{CliError, Job, Program, Settings, Tender};
use crate::descriptors::close_others;
use crate::devices::SetupError;
use crate::errno::Strerror;
use crate::filter::Rules;
use crate::load::GuestMemory;
use crate::stats::Lines;
use core_dump::CoreDirectory;
use host::Linux;
use memory::{Ram, Size, TooLarge};
use monitor::Monitor;
use observed::Observed;
use paging::Layout;
use ring::{HostRing, RingThread};
use sandbox::Resources;
use vm::{End, Machine, VmError};

/// `solo5-hvt`.
pub const TENDER: Tender = Tender {
    target: AbiTarget::Hvt,
    abi_version: HVT_ABI_VERSION,
    name: "solo5-hvt",
    usage: "    --ring0 (start the guest in ring 0: it can change its own page tables)
    --stack=N (keep a page N KiB below the end of memory that must not be touched)
    --no-net-ring (exchange frames by hypercalls)
    --dumpcore=DIR (write the memory of a guest that aborts to a file in DIR)
",
    modules: "core net block dumpcore",
};

/// Why no guest runs.
#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Cli(#[from] CliError),
    #[error(transparent)]
    Size(#[from] TooLarge),
    #[error("Error allocating guest memory: {}", Strerror(.0))]
    Allocate(io::Error),
    #[error("Stack of {0} bytes leaves no memory for anything else")]
    Stack(u64),
    #[error("--stack cannot be had with --ring0: page tables are the guest's there")]
    StackInRing0,
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("Could not write boot information")]
    BootInfo,
    #[error("Could not handle signals: {}", Strerror(.0))]
    Signals(io::Error),
    #[error(transparent)]
    Machine(#[from] VmError),
    #[error("{0}")]
    CoreDirectory(String),
    #[error("Could not close descriptors: {}", Strerror(.0))]
    Close(io::Error),
    #[error("dumpcore: cannot confine files: {0}")]
    Confine(landlock::RulesetError),
    #[error("{0}")]
    Driver(String),
    #[error("Could not build the system call filter: {0}")]
    Filter(seccompiler::BackendError),
    #[error("Could not install the system call filter: {0}")]
    Install(seccompiler::Error),
}

/// The machine that a tender runs.
pub type Guest = Machine<Observed<Linux>>;

/// How a machine is run once it is ready.
pub trait Driver {
    /// Reads an option of its own: whether it is one, or what is wrong with it.
    ///
    /// # Errors
    ///
    /// The value makes no sense.
    fn option(&mut self, _option: &std::ffi::OsStr) -> Result<bool, String> {
        Ok(false)
    }

    /// Gets ready, before the tender is in its box.
    ///
    /// # Errors
    ///
    /// Says why no guest runs.
    fn prepare(&mut self, _program: &Program, _kernel: &str, _: &mut Guest) -> Result<(), String> {
        Ok(())
    }

    /// Descriptors that it needs in the box.
    fn descriptors(&self) -> Vec<i32> {
        Vec::new()
    }

    /// Lets through what else it needs.
    ///
    /// # Errors
    ///
    /// Those of the filter.
    fn allow(&self, _rules: &mut Rules, _vcpu: i32) -> Result<(), seccompiler::BackendError> {
        Ok(())
    }

    /// Runs the guest to its end.
    fn run(&mut self, machine: &mut Guest) -> End {
        machine.run()
    }
}

/// Runs a guest and nothing else.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Driver for Plain {}

/// Runs `solo5-hvt` with these arguments, the program's name first: the exit status.
#[must_use]
pub fn run(arguments: &[OsString]) -> i32 {
    run_with(TENDER, arguments, &mut Plain)
}

/// [`run`], for a tender that is `solo5-hvt` but for what the driver does.
#[must_use]
pub fn run_with(tender: Tender, arguments: &[OsString], driver: &mut impl Driver) -> i32 {
    let own = &mut |option: &std::ffi::OsStr| driver.option(option);
    let (program, job) = Program::new(tender, arguments, own);
    match job.map(|job| start(&program, job, driver)) {
        Err(status) | Ok(Ok(status)) => status,
        Ok(Err(Error::Cli(error))) => program.refuse(&error),
        Ok(Err(error)) => {
            program.warn(error);
            1
        }
    }
}

/// Sets a machine up, runs it, and clears it away: the exit status.
fn start(program: &Program, job: Job, driver: &mut impl Driver) -> Result<i32, Error> {
    signals::handle(program.name()).map_err(Error::Signals)?;
    let settings = job.settings.clone();
    if settings.ring0 && settings.stack != 0 {
        return Err(Error::StackInRing0);
    }
    let with_ring = settings.net_ring && job.devices.has_attached_net();
    let size = Size::new(settings.memory, with_ring)?;
    let base = Size::new(settings.memory, false)?.guest;
    if base != settings.memory {
        program.warn(format!("adjusting memory to {base} bytes"));
    }

    let mut ram = Ram::new(size, settings.ring0).map_err(Error::Allocate)?;
    let loaded = job.image.load(&mut ram);
    let loaded = loaded.map_err(|error| job.refuse(error))?;
    let cores = settings.core_directory.as_deref();
    let cores = cores.map(CoreDirectory::open).transpose();
    let cores = cores.map_err(Error::CoreDirectory)?;
    let kernel = job.kernel.to_string_lossy().into_owned();
    let extensions = job.image.extensions();
    let image_end = job.image.memory_end();
    let cmdline = job.command_line();
    let mut attached = job.devices.finish()?;
    drop(job.image);
    let cmdline = cmdline?;

    let host = Observed::new(&mut attached, Linux::new);
    let host = Arc::new(host);
    let report = Report {
        prefix: format!("{}: ", program.name()),
        host: Arc::clone(&host),
    };
    if settings.stats {
        signals::report_at_end(report.clone());
    }
    if host.capture_fds().next().is_some() {
        capture::ignore_signals();
    }
    let ring = with_ring.then(|| HostRing::new(&ram)).flatten();
    if let Some(extensions) = extensions
        && !settings.ring0
        && extensions.features & FEATURE_RING3 != 0
        && extensions.answer >= LOAD_BASE
    {
        // Into the guest's own image, or not at all.
        let _ = ram.provide(extensions.answer, &FEATURE_RING3.to_le_bytes());
    }
    let places = boot::places(
        BOOT_INFO,
        size_of::<HvtBootInfo>(),
        &attached.manifest,
        &cmdline,
    );
    let places = places.ok_or(Error::BootInfo)?;
    if settings.ring0 {
        prepare_ring0(&mut ram).ok_or(Error::BootInfo)?;
    }
    let monitor = monitor(&ram, places.end, image_end, ring.is_some(), &settings)?;
    let ram = Arc::new(ram);
    let mut machine = Machine::new(loaded.entry, Arc::clone(&ram), monitor, Arc::clone(&host))?;
    if let Some(cores) = &cores {
        // Before there is another thread. Without a core file no file is opened at all.
        sandbox::confine_files(cores.directory()).map_err(Error::Confine)?;
    }
    let thread = ring.and_then(|ring| serve_ring(program, &machine, ring, &ram, &host));

    let boot = HvtBootInfo {
        mem_size: size.guest,
        kernel_end: loaded.kernel_end,
        cpu_cycle_freq: machine.clock_frequency()?,
        cmdline: places.cmdline,
        manifest: places.manifest,
        host_features: if thread.is_some() { FEATURE_RING } else { 0 },
        guest_features: 0,
        net_ring: if thread.is_some() { size.guest } else { 0 },
    };
    for entry in &mut attached.manifest {
        // Of no use to the guest.
        entry.host_fd = 0;
    }
    let boot = boot::bytes(&boot, &attached.manifest, &cmdline);
    ram.provide(BOOT_INFO, &boot).map_err(|_| Error::BootInfo)?;

    let doorbells = thread.iter().flat_map(RingThread::descriptors).collect();
    let resources = Resources {
        vm: machine.vm_fd(),
        vcpu: machine.vcpu_fd(),
        net: host.inner().net_fds().collect(),
        block: host.inner().block_fds().collect(),
        captures: host.capture_fds().collect(),
        stats: settings.stats,
        doorbells,
        core: cores.as_ref().map(CoreDirectory::fd),
        others: Vec::new(),
    };
    driver
        .prepare(program, &kernel, &mut machine)
        .map_err(Error::Driver)?;
    let resources = Resources {
        others: driver.descriptors(),
        ..resources
    };
    // SAFETY: the image is closed; whoever has a descriptor now has one of these.
    unsafe { close_others(&resources.descriptors()) }.map_err(Error::Close)?;
    let filter = sandbox::filter(&resources, |rules| driver.allow(rules, resources.vcpu));
    let filter = filter.map_err(Error::Filter)?;
    seccompiler::apply_filter_all_threads(&filter).map_err(Error::Install)?;

    let end = driver.run(&mut machine);
    if let Some(thread) = thread {
        thread.stop();
    }
    let (status, trap) = describe(program, &end);
    if settings.stats {
        report.print();
    }
    if let Some(cores) = cores
        && status == EXIT_ABORT
    {
        dump(program, &cores, &ram, &machine, trap);
    }
    Ok(status)
}

/// Puts descriptors and page tables of a guest in ring 0 into its memory; `None` if there is no room.
#[must_use]
pub fn prepare_ring0(ram: &mut Ram) -> Option<()> {
    let descriptors = cpu::RING0_DESCRIPTORS.map(u64::to_le_bytes).concat();
    let tables = paging::ring0_tables(ram.memory_size().total);
    for (at, bytes) in [(cpu::RING0_GDT, descriptors), (paging::RING0_ROOT, tables)] {
        let room = ram.bytes_mut(at..at + bytes.len() as u64)?;
        room.copy_from_slice(&bytes);
    }
    Some(())
}

/// The tender's part of a machine with a guest in ring 3.
fn monitor(
    ram: &Ram,
    boot_end: u64,
    image_end: u64,
    ring: bool,
    settings: &Settings,
) -> Result<Option<Monitor>, Error> {
    if settings.ring0 {
        return Ok(None);
    }
    let size = ram.memory_size().guest;
    let guard = match settings.stack {
        0 => None,
        stack => {
            let page = size
                .checked_sub(stack)
                .and_then(|top| top.checked_sub(solo5_abi::constants::PAGE_SIZE))
                .filter(|&page| page >= image_end);
            Some(page.ok_or(Error::Stack(stack))?)
        }
    };
    let layout = Layout {
        boot_end: boot_end.next_multiple_of(solo5_abi::constants::PAGE_SIZE),
        segments: ram.segments(),
        size,
        ring: ring.then_some(size),
        guard,
    };
    Monitor::new(layout).map(Some).map_err(Error::Allocate)
}

/// Starts to serve the ring, if the host can; otherwise frames go by hypercalls.
fn serve_ring(
    program: &Program,
    machine: &Guest,
    ring: HostRing,
    ram: &Arc<Ram>,
    host: &Arc<Observed<Linux>>,
) -> Option<RingThread> {
    let name = program.name().to_owned();
    let broken = move |why| {
        signals::end(&format!("{name}: {why}\n"));
    };
    let started = EventFd::new(EFD_CLOEXEC).and_then(|doorbell| {
        let (ram, host) = (Arc::clone(ram), Arc::clone(host));
        let thread = RingThread::start(ring, ram, host, doorbell, broken)?;
        // Last, so that there is no port where there is no ring.
        match machine.connect_doorbell(thread.doorbell()) {
            Ok(()) => Ok(thread),
            Err(error) => {
                thread.stop();
                Err(error)
            }
        }
    });
    match started {
        Ok(thread) => Some(thread),
        Err(error) => {
            program.warn(format!(
                "Could not set up the network ring: {}; falling back to hypercalls",
                Strerror(&error)
            ));
            None
        }
    }
}

/// What is printed at the end.
#[derive(Clone, Debug)]
struct Report {
    prefix: String,
    host: Arc<Observed<Linux>>,
}

impl Report {
    /// Prints it, without taking memory or locks.
    fn print(&self) {
        let _ = self.host.print(&self.prefix, &mut Lines::default());
    }
}

/// Prints how a guest ended, if it was not its own wish. Its exit status, and its trap if it was one.
fn describe(program: &Program, end: &End) -> (i32, Option<TrapFrame>) {
    match end {
        End::Halt { status, trap } => return (status & 0xff, *trap),
        _ => program.warn(end),
    }
    let End::Exception { exception, cr2 } = end else {
        return (1, None);
    };
    let frame = exception.frame;
    let trap = TrapFrame {
        cr2: *cr2,
        error_code: exception.error_code,
        rip: frame.rip,
        cs: frame.cs,
        rflags: frame.rflags,
        rsp: frame.rsp,
        ss: frame.ss,
    };
    let status = if end.is_violation() { 1 } else { EXIT_ABORT };
    (status, Some(trap))
}

fn dump(
    program: &Program,
    cores: &CoreDirectory,
    ram: &Ram,
    machine: &Guest,
    trap: Option<TrapFrame>,
) {
    let name = cores.file_name();
    program.warn(format!("dumpcore: dumping guest core to: {name}"));
    let dumped = machine
        .registers()
        .and_then(|registers| cores.dump(ram, &registers, trap));
    match dumped {
        Ok(dumped) => program.warn(format!(
            "dumpcore: dumped {} pages of total {} pages",
            dumped.pages, dumped.total
        )),
        Err(error) => program.warn(format!("dumpcore: {name}: {}", Strerror(&error))),
    }
}
