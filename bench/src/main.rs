//! Runs the same work on mnet and on its peers, interleaved, and prints ratios.
//!
//! Server on one core, load on the other; a TAP for the stacks in user space, a veth pair for the
//! Linux kernel, both with offloads off. Times on a shared machine vary from minute to minute:
//! rounds are interleaved, medians are compared, and only ratios within one run mean anything.
//! Needs root (network namespaces); everything it makes it removes.

mod build;
mod network;
mod table;
mod work;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares mnet with the Linux kernel and with the ceiling of a TAP.
#[derive(Parser)]
struct Options {
    /// Prefix that `cargo xtask dist` has filled.
    #[arg(long)]
    prefix: PathBuf,
    /// How often each piece of work is done on each stack.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds per piece of work.
    #[arg(long, default_value_t = 2)]
    seconds: u32,
    /// Only work whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Only stacks whose name contains this (Linux always runs: it is the base).
    #[arg(long, default_value = "")]
    stack: String,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What can go wrong is told in words: the caller is a person.
type Result<T> = std::result::Result<T, String>;

fn run(options: &Options) -> Result<()> {
    let programs = build::all(&options.prefix)?;
    let network = network::Network::new()?;
    let mut samples = table::Samples::default();
    for round in 0..options.rounds {
        for work in work::ALL.iter().filter(|w| w.name.contains(&options.only)) {
            for stack in network::STACKS {
                let wanted = stack.name == "linux" || stack.name.contains(&options.stack);
                if !wanted || !work.runs_on(stack) {
                    continue;
                }
                let sample = work::measure(work, stack, &network, &programs, options.seconds)?;
                eprintln!(
                    "round {round}: {} on {}: {sample:.2} {}",
                    work.name, stack.name, work.unit
                );
                samples.add(work, stack, sample);
            }
        }
    }
    print!("{}", samples.markdown());
    Ok(())
}
