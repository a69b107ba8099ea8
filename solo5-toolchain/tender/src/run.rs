//! `solo5-spt` from its arguments to the guest's first instruction (solo5-abi section 8.5).

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::path::Path;

use solo5_abi::boot::SptBootInfo;
use solo5_abi::constants::{AbiTarget, CMDLINE_SIZE, DEFAULT_MEMORY_MIB, SPT_ABI_VERSION};
use thiserror::Error;

use crate::devices::{AttachError, Devices, SetupError};
use crate::errno::Strerror;
use crate::image::{Image, ImageError};
use crate::launch::{self, Events};
use crate::memory::Mapping;
use crate::options::{self, FdError, Opt, OptionError, Request};
use crate::sandbox::{self, Resources};
use crate::tap;

/// Why no guest runs. Each line of the text is printed after the program's name.
#[derive(Debug, Error)]
enum Error {
    #[error("Missing KERNEL operand")]
    MissingKernel,
    #[error("{}: {error}", .path.to_string_lossy())]
    Image { path: OsString, error: ImageError },
    #[error("{0}")]
    Memory(OptionError),
    #[error("{}Invalid option: `{}'", .reason, .option.to_string_lossy())]
    Option { reason: String, option: OsString },
    #[error(
        "Cowardly refusing to run with a personality of READ_IMPLIES_EXEC: \
         it makes all data executable"
    )]
    ReadImpliesExec,
    #[error("Error allocating guest memory: {}", Strerror(.0))]
    Allocate(io::Error),
    #[error("Could not set up events: {}", Strerror(.0))]
    Events(io::Error),
    #[error("Could not wait for input of device '{name}': {}", Strerror(.error))]
    Wait { name: String, error: io::Error },
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("Guest command line too long (max={} characters)", CMDLINE_SIZE - 1)]
    CommandLine,
    #[error("Could not write boot information: {}", Strerror(.0))]
    BootInfo(io::Error),
    #[error("Could not build the system call filter: {0}")]
    Filter(seccompiler::BackendError),
    #[error("Could not install the system call filter: {0}")]
    Install(seccompiler::Error),
}

impl Error {
    /// Whether the user is better off with the usage too.
    fn wants_usage(&self) -> bool {
        matches!(self, Self::MissingKernel | Self::Option { .. })
    }
}

/// Prints one diagnostic. When not even that works there is nobody to tell.
fn warn(program: &str, message: impl Display) {
    let text: String = message
        .to_string()
        .lines()
        .map(|l| format!("{program}: {l}\n"))
        .collect();
    let _ = io::stderr().write_all(text.as_bytes());
}

fn usage(program: &str) {
    let text = format!(
        "usage: {program} [OPTIONS] [--] KERNEL [ARGS...]
KERNEL is the file name of the image to run.
ARGS are passed to it as its command line.
Core options:
  [ --mem=512 ] (guest memory in MiB)
    --help (print this text)
    --version (print versions)
Compiled-in modules: core net block
Compiled-in module options:
    --x-exec-heap (make memory outside the image executable)
        WARNING: a guest that is broken into is then easier to take over.
    --net:NAME=IFACE | @NN (attach TAP interface IFACE, or descriptor NN, as network NAME)
  [ --net-mac:NAME=HWADDR ] (MAC address of the guest on network NAME; random if not given)
    --block:NAME=PATH (attach file or block device PATH as block device NAME)
  [ --block-sector-size:NAME=N ] (sector size of block device NAME in bytes:
        a power of two from 512 to 32768; 512 if not given)
"
    );
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Runs `solo5-spt` with these arguments, the program's name first.
///
/// Returns only if no guest was started: the exit status.
#[must_use]
pub fn run(arguments: &[OsString]) -> i32 {
    let (program, arguments) = match arguments.split_first() {
        Some((path, arguments)) => (program_name(path), arguments),
        None => ("solo5-spt".into(), &[][..]),
    };
    match options::scan(arguments) {
        Request::Help => {
            usage(&program);
            1
        }
        Request::Version => {
            let version = env!("CARGO_PKG_VERSION");
            let text =
                format!("{program} tender, version {version}\nABI version {SPT_ABI_VERSION}\n");
            let _ = io::stderr().write_all(text.as_bytes());
            0
        }
        Request::MissingKernel => fail(&program, &Error::MissingKernel),
        Request::Run {
            options,
            kernel,
            arguments,
        } => match start(&program, options, kernel, arguments) {
            Ok(never) => match never {},
            Err(error) => fail(&program, &error),
        },
    }
}

fn fail(program: &str, error: &Error) -> i32 {
    warn(program, error);
    if error.wants_usage() {
        usage(program);
    }
    1
}

fn program_name(path: &OsStr) -> String {
    Path::new(path)
        .file_name()
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

fn start(
    program: &str,
    options: &[OsString],
    kernel: &OsStr,
    arguments: &[OsString],
) -> Result<Infallible, Error> {
    let refuse = |error| Error::Image {
        path: kernel.into(),
        error,
    };
    // Asked before this process opens anything itself.
    let inherited = inherited_fds(options);

    let image = Image::open(kernel).map_err(refuse)?;
    image
        .require_abi(AbiTarget::Spt, SPT_ABI_VERSION)
        .map_err(refuse)?;
    let mut devices = Devices::new(image.manifest().map_err(refuse)?);
    let settings = apply(program, options, &inherited, &mut devices)?;

    if launch::read_implies_exec() {
        return Err(Error::ReadImpliesExec);
    }
    let memory = Mapping::new(settings.memory, settings.executable_heap);
    let mut memory = memory.map_err(Error::Allocate)?;
    let events = Events::new().map_err(Error::Events)?;
    let loaded = image.load(&mut memory).map_err(refuse)?;
    // The guest does not get to see the file.
    drop(image);
    let attached = devices.finish()?;
    for device in &attached.net {
        events.add(device).map_err(|error| Error::Wait {
            name: String::from_utf8_lossy(attached.manifest[device.index].name_bytes()).into(),
            error,
        })?;
    }
    let cmdline = options::command_line(arguments).ok_or(Error::CommandLine)?;
    let (epoll_fd, timer_fd) = (events.epoll_fd(), events.timer_fd());
    let boot = SptBootInfo {
        mem_size: settings.memory,
        kernel_end: loaded.kernel_end,
        cmdline: 0,
        manifest: 0,
        epoll_fd,
        timer_fd,
    };
    memory
        .write_boot_info(boot, &attached.manifest, &cmdline)
        .map_err(Error::BootInfo)?;
    let (net, block) = (&attached.net[..], &attached.block[..]);
    let filter = sandbox::filter(Resources {
        epoll_fd,
        timer_fd,
        net,
        block,
    });
    let filter = filter.map_err(Error::Filter)?;
    // SAFETY: guest memory is mapped, the image is loaded with an entry point in it, and boot
    // information is in place. This program starts no threads.
    Err(Error::Install(unsafe {
        launch::enter(&filter, loaded.entry, settings.memory)
    }))
}

/// Those descriptors named by options that are open.
fn inherited_fds(options: &[OsString]) -> BTreeSet<RawFd> {
    let named = options
        .iter()
        .filter_map(|option| match options::parse(option) {
            Ok(Opt::NetFd { fd, .. }) => fd.ok(),
            _ => None,
        });
    named.filter(|&fd| tap::is_open(fd)).collect()
}

/// What options say that does not concern devices.
struct Settings {
    /// Size of guest memory in bytes.
    memory: u64,
    /// Memory outside the image is executable.
    executable_heap: bool,
}

/// Carries out the options in their order.
fn apply(
    program: &str,
    options: &[OsString],
    inherited: &BTreeSet<RawFd>,
    devices: &mut Devices,
) -> Result<Settings, Error> {
    let mut settings = Settings {
        memory: DEFAULT_MEMORY_MIB << 20,
        executable_heap: false,
    };
    for option in options {
        let invalid = |reason: String| Error::Option {
            reason,
            option: option.clone(),
        };
        let parsed = options::parse(option).map_err(|error| match error {
            OptionError::Memory => Error::Memory(error),
            OptionError::Invalid => invalid(String::new()),
            OptionError::SectorSize => invalid(format!("{error}\n")),
        })?;
        let done: Result<(), AttachError> = match parsed {
            Opt::Memory(bytes) => {
                settings.memory = bytes;
                Ok(())
            }
            Opt::ExecutableHeap => {
                warn(
                    program,
                    "WARNING: The use of --x-exec-heap is not recommended: \
                     data of the guest becomes executable.",
                );
                settings.executable_heap = true;
                Ok(())
            }
            Opt::Net { name, interface } => {
                devices.attach_net(name, interface, || tap::attach(interface))
            }
            Opt::NetFd {
                name,
                interface,
                fd,
            } => devices.attach_net(name, interface, || {
                let error = match fd {
                    Ok(fd) if inherited.contains(&fd) => return tap::attach_inherited(fd),
                    Ok(_) => libc::EBADF,
                    Err(FdError::NotANumber) => libc::EINVAL,
                    Err(FdError::Range) => libc::ERANGE,
                };
                Err(io::Error::from_raw_os_error(error))
            }),
            Opt::NetMac { name, mac } => devices.set_mac(name, mac),
            Opt::Block { name, path } => devices.attach_block(name, path),
            Opt::SectorSize { name, bytes } => devices.set_sector_size(name, bytes),
        };
        done.map_err(|error| invalid(format!("{error}\n")))?;
    }
    Ok(settings)
}
