//! `cargo solo5 run`.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};

use anyhow::{Context, Result};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid};

use crate::build;
use crate::cli::RunOptions;
use crate::guest::{Guest, Starter};
use crate::project::Project;
use crate::settings::{Device, Undeclared};
use crate::toolchain::Toolchain;

/// Hides the start-up messages of the bindings.
pub(crate) const QUIET: &str = "--solo5:quiet";

/// Builds an image, makes what it needs, and becomes its tender: so its exit status, signals and
/// Ctrl-C are the tender's own.
pub(crate) fn run(options: &RunOptions) -> Result<ExitCode> {
    let selection = &options.build.selection;
    let project = Project::find(selection)?;
    let toolchain = Toolchain::find()?;
    let starter = |devices: &[Device]| Starter::new(&toolchain, &project, devices, &options.guest);
    // What is wrong with the command line is said before anything takes time, if that is possible.
    let listed = project.settings.listed();
    let listed = listed.as_deref().map(starter).transpose()?;
    let image = build::program(&toolchain, &project, &options.build)?;
    let starter = match listed {
        Some(starter) => starter,
        None => starter(&build::devices(&image, &project, Undeclared::Refused)?)?,
    };

    let mut arguments = Vec::new();
    if !selection.verbose {
        arguments.push(QUIET.to_owned());
    }
    arguments.extend_from_slice(if options.arguments.is_empty() {
        &project.settings.run.arguments
    } else {
        &options.arguments
    });
    let was_root = Uid::effective().is_root();
    Starter::enter_network([&starter])?;
    let mut guest = starter.guest(&image, &arguments)?;
    if selection.verbose {
        eprintln!("{:?}", guest.command);
    }
    if let Some(command) = &options.with {
        return beside(guest, command);
    }
    if starter.is_private() && !selection.quiet {
        let pid = std::process::id();
        let how = if was_root {
            ""
        } else {
            " -U --preserve-credentials"
        };
        eprintln!("     Network nobody else's; a shell in it: nsenter -t {pid}{how} -n");
    }
    let error = guest.command.exec();
    let tender = guest.command.get_program().display();
    Err(error).with_context(|| format!("cannot run {tender}"))
}

/// Runs the guest beside a command; the exit status of the command, or of the guest if that has
/// ended by itself and failed.
pub(crate) fn beside(mut guest: Guest, command: &str) -> Result<ExitCode> {
    let mut tender = dies_with_us(&mut guest.command)
        .spawn()
        .context("cannot run the tender")?;
    // The devices are the tender's now: neither the command nor what it leaves behind has them.
    drop(guest);
    let mut shell = Command::new("sh");
    shell.args(["-c", command]);
    let outcome = dies_with_us(&mut shell).status();
    let ended = tender.try_wait()?;
    if ended.is_none() {
        kill(Pid::from_raw(tender.id().try_into()?), Signal::SIGTERM)?;
    }
    let stopped = tender.wait()?;
    let outcome = outcome.context("cannot run sh")?;
    if !outcome.success() || ended.is_none() || stopped.success() {
        return Ok(code(outcome));
    }
    eprintln!("error: the guest ended with {stopped}");
    Ok(code(stopped))
}

/// Has the kernel kill the child when this thread ends, however that happens.
pub(crate) fn dies_with_us(command: &mut Command) -> &mut Command {
    // SAFETY: the closure runs between fork and exec, makes one system call and allocates nothing.
    unsafe { command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?)) }
}

/// An exit status as a shell has it.
fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| code.try_into().ok()).unwrap_or(255))
}
