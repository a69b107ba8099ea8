//! `solo5-spt`: runs an image of the spt target in this very process (solo5-abi sections 8.5 and 14).

pub mod launch;
pub mod memory;
pub mod relay;
pub mod sandbox;
pub mod supervisor;

use std::ffi::OsString;
use std::io;

use solo5_abi::boot::SptBootInfo;
use solo5_abi::constants::{AbiTarget, SPT_ABI_VERSION};
use thiserror::Error;

use crate::cli::{CliError, Job, Program, Tender};
use crate::descriptors::close_others;
use crate::devices::SetupError;
use crate::errno::Strerror;
use launch::Events;
use memory::Mapping;
use sandbox::Resources;
use supervisor::{Side, Supervisor};

const TENDER: Tender = Tender {
    target: AbiTarget::Spt,
    abi_version: SPT_ABI_VERSION,
    name: "solo5-spt",
    usage: "    --x-exec-heap (make memory outside the image executable)
        WARNING: a guest that is broken into is then easier to take over.
",
    modules: "core net block",
};

/// Why no guest runs.
#[derive(Debug, Error)]
enum Error {
    #[error(transparent)]
    Cli(#[from] CliError),
    #[error("Error allocating guest memory: {}", Strerror(.0))]
    Allocate(io::Error),
    #[error("Could not set up events: {}", Strerror(.0))]
    Events(io::Error),
    #[error("Could not wait for input of device '{name}': {}", Strerror(.error))]
    Wait { name: String, error: io::Error },
    #[error(transparent)]
    Setup(#[from] SetupError),
    #[error("Could not write boot information: {}", Strerror(.0))]
    BootInfo(io::Error),
    #[error("Could not supervise the guest: {}", Strerror(.0))]
    Supervise(io::Error),
    #[error("Could not close descriptors: {}", Strerror(.0))]
    Close(io::Error),
    #[error("Could not build the system call filter: {0}")]
    Filter(seccompiler::BackendError),
    #[error("Could not install the system call filter: {0}")]
    Install(seccompiler::Error),
}

/// Runs `solo5-spt` with these arguments, the program's name first.
///
/// Returns only if no guest was started, or if one was that this process looked after: the exit
/// status.
#[must_use]
pub fn run(arguments: &[OsString]) -> i32 {
    let (program, job) = Program::new(TENDER, arguments, &mut |_| Ok(false));
    match job.map(|job| start(&program, job)) {
        Err(status) | Ok(Ok(status)) => status,
        Ok(Err(Error::Cli(error))) => program.refuse(&error),
        Ok(Err(error)) => {
            program.warn(error);
            1
        }
    }
}

fn start(program: &Program, job: Job) -> Result<i32, Error> {
    let settings = &job.settings;
    let memory = Mapping::new(settings.memory, settings.executable_heap);
    let mut memory = memory.map_err(Error::Allocate)?;
    let events = Events::new().map_err(Error::Events)?;
    let loaded = job.image.load(&mut memory);
    let loaded = loaded.map_err(|error| job.refuse(error))?;
    let cmdline = job.command_line();
    let Job {
        image,
        devices,
        settings,
        ..
    } = job;
    // The guest does not get to see the file.
    drop(image);
    let mut attached = devices.finish()?;
    let supervisor = Supervisor::new(program.name(), &mut attached, settings.stats);
    let supervisor = supervisor.map_err(Error::Supervise)?;
    for device in &attached.net {
        events.add(device).map_err(|error| Error::Wait {
            name: String::from_utf8_lossy(attached.manifest[device.index].name_bytes()).into(),
            error,
        })?;
    }
    let cmdline = cmdline?;
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
    let resources = Resources {
        epoll_fd,
        timer_fd,
        net,
        block,
    };
    let filter = sandbox::filter(resources).map_err(Error::Filter)?;
    if let Some(supervisor) = supervisor {
        // SAFETY: this program starts no threads.
        let side = unsafe { supervisor.divide() }.map_err(Error::Supervise)?;
        if let Side::Supervisor(supervisor, guest) = side {
            drop(events);
            // SAFETY: memory and descriptors are the guest's, which is another process now.
            let status = unsafe {
                memory.release();
                supervisor.supervise(guest)
            };
            return status.map_err(Error::Supervise);
        }
    }
    // SAFETY: nothing that is left has a descriptor but devices and events, and theirs are kept: they
    // are closed if the filter is refused and this returns. The image's file is dropped, and there is
    // no supervisor here.
    unsafe { close_others(&resources.descriptors()) }.map_err(Error::Close)?;
    // SAFETY: guest memory is mapped, the image is loaded with an entry point in it, and boot
    // information is in place. This program starts no threads.
    Err(Error::Install(unsafe {
        launch::enter(&filter, loaded.entry, settings.memory)
    }))
}
