//! What the tenders' command lines have in common: from the arguments to an image and its devices
//! (solo5-abi section 8).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::path::Path;

use solo5_abi::constants::{AbiTarget, CMDLINE_SIZE, DEFAULT_MEMORY_MIB};
use thiserror::Error;

use crate::devices::{AttachError, Devices};
use crate::image::{Image, ImageError};
use crate::options::{self, FdError, Opt, OptionError, Request};
use crate::tap;

/// A tender, as its command line describes it.
#[derive(Clone, Copy, Debug)]
pub struct Tender {
    /// What images it runs.
    pub target: AbiTarget,
    /// Version of their ABI.
    pub abi_version: u32,
    /// The name of the program if it is not told.
    pub name: &'static str,
    /// Lines of the usage about options that only this tender has, each with its newline.
    pub usage: &'static str,
    /// What it is made of, for the usage.
    pub modules: &'static str,
}

/// Reads options that only one program has: whether it is one of them, or what is wrong with it.
pub type OwnOption<'a> = &'a mut dyn FnMut(&OsStr) -> Result<bool, String>;

/// Why nothing can be started. Each line of the text is printed after the program's name.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CliError {
    /// No image among the arguments.
    #[error("Missing KERNEL operand")]
    MissingKernel,
    /// The image cannot be used.
    #[error("{}: {error}", .path.to_string_lossy())]
    Image {
        /// Its file name.
        path: OsString,
        /// What is wrong with it.
        error: ImageError,
    },
    /// The size of memory makes no sense.
    #[error("{0}")]
    Memory(OptionError),
    /// The value of an option makes no sense.
    #[error("{0}")]
    Value(String),
    /// An option is unknown or cannot be carried out.
    #[error("{}Invalid option: `{}'", .reason, .option.to_string_lossy())]
    Option {
        /// Empty, or a line that says more.
        reason: String,
        /// The option.
        option: OsString,
    },
    /// The kernel makes everything readable executable.
    #[error(
        "Cowardly refusing to run with a personality of READ_IMPLIES_EXEC: \
         it makes all data executable"
    )]
    ReadImpliesExec,
    /// There is no room for the guest's arguments.
    #[error("Guest command line too long (max={} characters)", CMDLINE_SIZE - 1)]
    CommandLine,
}

impl CliError {
    /// Whether the user is better off with the usage too: not where it would push the reason out of sight.
    fn wants_usage(&self) -> bool {
        match self {
            Self::MissingKernel => true,
            Self::Option { reason, .. } => reason.is_empty(),
            _ => false,
        }
    }
}

/// A tender's program that is running.
#[derive(Debug)]
pub struct Program {
    tender: Tender,
    name: String,
}

/// What a command line asks to be run.
#[derive(Debug)]
pub struct Job {
    /// File name of the image.
    pub kernel: OsString,
    /// The image, which is for this tender.
    pub image: Image<File>,
    /// Its devices, as far as options say.
    pub devices: Devices,
    /// Other options.
    pub settings: Settings,
    /// The guest's arguments.
    pub arguments: Vec<OsString>,
}

impl Job {
    /// Says what is wrong with the image.
    #[must_use]
    pub fn refuse(&self, error: ImageError) -> CliError {
        CliError::Image {
            path: self.kernel.clone(),
            error,
        }
    }

    /// The guest's command line.
    ///
    /// # Errors
    ///
    /// It is too long.
    pub fn command_line(&self) -> Result<Vec<u8>, CliError> {
        options::command_line(&self.arguments).ok_or(CliError::CommandLine)
    }
}

/// What options say that does not concern devices.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of guest memory in bytes.
    pub memory: u64,
    /// spt: memory outside the image is executable.
    pub executable_heap: bool,
    /// What was counted is printed at the end.
    pub stats: bool,
    /// hvt: there is a network ring if there are network devices.
    pub net_ring: bool,
    /// hvt: guests start in ring 0.
    pub ring0: bool,
    /// hvt: bytes of the stack above a page that must not be touched, 0 for no such page.
    pub stack: u64,
    /// hvt: where the memory of guests that abort goes.
    pub core_directory: Option<OsString>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            memory: DEFAULT_MEMORY_MIB << 20,
            executable_heap: false,
            stats: false,
            net_ring: true,
            ring0: false,
            stack: 0,
            core_directory: None,
        }
    }
}

impl Program {
    /// The program that was started with these arguments, the program's name first, and either what
    /// it is to run or its exit status. `own` reads options that are not the tender's.
    pub fn new(
        tender: Tender,
        arguments: &[OsString],
        own: OwnOption<'_>,
    ) -> (Self, Result<Job, i32>) {
        let (name, arguments) = match arguments.split_first() {
            Some((path, arguments)) => (program_name(path), arguments),
            None => (tender.name.into(), &[][..]),
        };
        let program = Self { tender, name };
        let job = match options::scan(arguments) {
            Request::Help => {
                program.usage();
                Err(1)
            }
            Request::Version => {
                let version = env!("CARGO_PKG_VERSION");
                let (name, abi) = (&program.name, tender.abi_version);
                print(&format!(
                    "{name} tender, version {version}\nABI version {abi}\n"
                ));
                Err(0)
            }
            Request::MissingKernel => Err(program.refuse(&CliError::MissingKernel)),
            Request::Run {
                options,
                kernel,
                arguments,
            } => program
                .job(options, kernel, arguments, own)
                .map_err(|error| program.refuse(&error)),
        };
        (program, job)
    }

    /// The name under which the program prints its messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Prints why nothing can be started; the exit status.
    #[must_use]
    pub fn refuse(&self, error: &CliError) -> i32 {
        self.warn(error);
        if error.wants_usage() {
            self.usage();
        }
        1
    }

    /// Prints one diagnostic. When not even that works there is nobody to tell.
    pub fn warn(&self, message: impl Display) {
        let line = |line| format!("{}: {line}\n", self.name);
        let text: String = message.to_string().lines().map(line).collect();
        print(&text);
    }

    fn usage(&self) {
        let Self { tender, name } = self;
        let (own, modules) = (tender.usage, tender.modules);
        print(&format!(
            "usage: {name} [OPTIONS] [--] KERNEL [ARGS...]
KERNEL is the file name of the image to run.
ARGS are passed to it as its command line.
Core options:
  [ --mem=512 ] (guest memory in MiB)
    --help (print this text)
    --version (print versions)
  [ --stats ] (print at the end what was counted)
Compiled-in modules: {modules}
Compiled-in module options:
{own}    --net:NAME=IFACE | @NN (attach TAP interface IFACE, or descriptor NN, as network NAME)
  [ --net-mac:NAME=HWADDR ] (MAC address of the guest on network NAME; random if not given)
  [ --net-pcap:NAME=FILE ] (write what passes network NAME to FILE, for Wireshark)
    --block:NAME=PATH (attach file or block device PATH as block device NAME)
  [ --block-sector-size:NAME=N ] (sector size of block device NAME in bytes:
        a power of two from 512 to 32768; 512 if not given)
"
        ));
    }

    /// Opens the image and carries out the options.
    fn job(
        &self,
        options: &[OsString],
        kernel: &OsStr,
        arguments: &[OsString],
        own: OwnOption<'_>,
    ) -> Result<Job, CliError> {
        let refuse = |error| CliError::Image {
            path: kernel.into(),
            error,
        };
        // Asked before this process opens anything itself.
        let inherited = self.inherited_fds(options);
        let image = Image::open(kernel).map_err(refuse)?;
        image
            .require_abi(self.tender.target, self.tender.abi_version)
            .map_err(refuse)?;
        let mut devices = Devices::new(image.manifest().map_err(refuse)?);
        let settings = self.apply(options, &inherited, &mut devices, own)?;
        if read_implies_exec() {
            return Err(CliError::ReadImpliesExec);
        }
        Ok(Job {
            kernel: kernel.into(),
            image,
            devices,
            settings,
            arguments: arguments.into(),
        })
    }

    /// Those descriptors named by options that are open.
    fn inherited_fds(&self, options: &[OsString]) -> BTreeSet<RawFd> {
        let named =
            options
                .iter()
                .filter_map(|option| match options::parse(self.tender.target, option) {
                    Ok(Opt::NetFd { fd, .. }) => fd.ok(),
                    _ => None,
                });
        named.filter(|&fd| tap::is_open(fd)).collect()
    }

    /// Carries out the options in their order.
    fn apply(
        &self,
        options: &[OsString],
        inherited: &BTreeSet<RawFd>,
        devices: &mut Devices,
        own: OwnOption<'_>,
    ) -> Result<Settings, CliError> {
        let mut settings = Settings::default();
        for option in options {
            let invalid = |reason: String| CliError::Option {
                reason,
                option: option.clone(),
            };
            if own(option).map_err(CliError::Value)? {
                continue;
            }
            let parsed =
                options::parse(self.tender.target, option).map_err(|error| match error {
                    OptionError::Memory => CliError::Memory(error),
                    OptionError::Invalid => invalid(String::new()),
                    OptionError::SectorSize => invalid(format!("{error}\n")),
                })?;
            let done: Result<(), AttachError> = match parsed {
                Opt::Memory(bytes) => {
                    settings.memory = bytes;
                    Ok(())
                }
                Opt::ExecutableHeap => {
                    self.warn(
                        "WARNING: The use of --x-exec-heap is not recommended: \
                         data of the guest becomes executable.",
                    );
                    settings.executable_heap = true;
                    Ok(())
                }
                Opt::Stats => {
                    settings.stats = true;
                    Ok(())
                }
                Opt::NoNetRing => {
                    settings.net_ring = false;
                    Ok(())
                }
                Opt::Ring0 => {
                    settings.ring0 = true;
                    Ok(())
                }
                Opt::Stack(bytes) => {
                    settings.stack = bytes;
                    Ok(())
                }
                Opt::DumpCore(directory) => {
                    settings.core_directory = Some(directory.into());
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
                Opt::NetPcap { name, path } => devices.record(name, path, &self.name),
                Opt::Block { name, path } => devices.attach_block(name, path),
                Opt::SectorSize { name, bytes } => devices.set_sector_size(name, bytes),
            };
            done.map_err(|error| invalid(format!("{error}\n")))?;
        }
        Ok(settings)
    }
}

/// Writes to standard error.
fn print(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn program_name(path: &OsStr) -> String {
    Path::new(path)
        .file_name()
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned()
}

/// Whether the kernel makes everything readable executable too, which defeats the separation of
/// code and data.
fn read_implies_exec() -> bool {
    use nix::sys::personality::{self, Persona};
    personality::get().is_ok_and(|persona| persona.contains(Persona::READ_IMPLIES_EXEC))
}

/// The arguments of this process, once its standard descriptors are fit for use.
///
/// Opens `/dev/null` for each of the first three descriptors that is closed, so that no file opened
/// later can take its place and receive console output.
#[must_use]
pub fn arguments() -> Vec<OsString> {
    for fd in 0..3 {
        if !tap::is_open(fd) {
            // SAFETY: the path is a C string. The lowest free descriptor is the one that is closed.
            unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
        }
    }
    // Collected by the C library's start-up hook, not by Rust's.
    std::env::args_os().collect()
}
