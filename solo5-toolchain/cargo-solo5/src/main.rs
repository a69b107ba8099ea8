//! `cargo solo5`: unikernels in Rust with one command.
//!
//! - [`cli`]: the command line; [`new`]: a project to start with
//! - [`settings`]: `solo5.toml`; [`project`]: what cargo knows
//! - [`toolchain`]: where bindings, linker scripts, tenders and crates are
//! - [`build`]: from a program to an image, and what it declares; [`linker`]: the last step
//! - [`guest`]: an image, its devices, and a tender's command line; [`run`]: running it
//! - [`test`](mod@test): running tests, one guest for each; [`report`]: what they look like

mod build;
mod cli;
mod guest;
mod linker;
mod new;
mod project;
mod report;
mod run;
mod settings;
mod test;
mod toolchain;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use cli::{Chore, Cli};

fn main() -> ExitCode {
    if let Some(code) = linker::main() {
        return code;
    }
    // As a subcommand of cargo it is started as `cargo-solo5 solo5 ...`.
    let Cli::Solo5 { chore } = Cli::parse();
    match carry_out(chore) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            // What libtest's programs and cargo itself end with.
            ExitCode::from(101)
        }
    }
}

fn carry_out(chore: Chore) -> Result<ExitCode> {
    match chore {
        Chore::New(options) => new::new(&options).map(|()| ExitCode::SUCCESS),
        Chore::Build(options) => build::build(&options).map(|()| ExitCode::SUCCESS),
        Chore::Manifest(options) => build::manifest(&options).map(|()| ExitCode::SUCCESS),
        Chore::Run(options) => run::run(&options),
        Chore::Test(options) => test::test(&options),
    }
}
