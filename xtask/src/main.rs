//! Every chore of the project as `cargo xtask NAME`.
//!
//! Three are for everybody: `demo` shows the stack at work, `test` runs what CI runs, `dist`
//! installs what a C project needs. The others are single steps of these.

mod archive;
mod cargo;
mod demo;
mod dist;
mod machines;
mod named;
mod needs;
mod reference;
mod report;
mod rules;
mod soak;
mod soak_linux;
mod spec;
mod suites;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the mnet project.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build everything, boot the echo image in a private network, and talk to it.
    Demo,
    /// Run everything that CI runs, or only the named suites.
    Test {
        /// Suites to run; all by default.
        suites: Vec<suites::Suite>,
    },
    /// Install libmnet.a, headers, bindings, linker scripts and tools.
    Dist {
        /// Where to: a directory, made if need be. Files of an earlier installation are replaced. If the
        /// environment has DESTDIR, this is below it.
        #[arg(long, value_name = "DIR")]
        prefix: PathBuf,
    },
    /// Write the generated files anew: include/mnet.h and the bindings of solo5-sys.
    Generate,
    /// Write the reference of the headers, by Doxygen, to target/reference.
    Reference,
    /// Simulate with ever new seeds, until a time is over or a seed fails.
    Soak(soak::Arguments),
    /// Clients at random against an image under Linux, across a path that changes.
    SoakLinux(soak_linux::Options),
    #[command(flatten)]
    Suite(suites::Suite),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Demo => demo::run().map(|()| true),
        Chore::Test { suites } => suites::run_all(&suites),
        Chore::Dist { prefix } => dist::install(&dist::destination(&prefix)).map(|()| true),
        Chore::Generate => cargo::generators(false)
            .iter_mut()
            .try_for_each(cargo::succeed)
            .map(|()| true),
        Chore::Reference => write_reference(),
        Chore::Soak(arguments) => soak::run(&arguments),
        Chore::Suite(suites::Suite::Spec) => spec::print(),
        Chore::SoakLinux(options) => soak_linux::run(&options).map(|()| true),
        Chore::Suite(suite) => suites::run_all(&[suite]),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write_reference() -> anyhow::Result<bool> {
    match reference::write()? {
        None => anyhow::bail!("doxygen is not installed (apt-get install doxygen)"),
        Some(Err(warnings)) => {
            eprint!("{warnings}");
            Ok(false)
        }
        Some(Ok(())) => {
            println!("{}", reference::output().join("html/index.html").display());
            Ok(true)
        }
    }
}
