//! mnet and Linux across impaired paths, in the same conditions, and what came of it as tables.

mod flood;
mod loss;
mod rate;
mod stacks;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use mnet_tests::namespace;

/// Compares mnet with Linux across paths that lose, reorder, limit.
#[derive(Parser)]
struct Options {
    /// Prefix that `cargo xtask dist` has filled.
    #[arg(long)]
    prefix: PathBuf,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Goodput of one connection, each direction, at several rates of loss.
    Loss(loss::Options),
    /// A path of limited rate: filling it alone, and sharing it.
    Rate(rate::Options),
    /// A flood of SYNs, and what a transfer and new clients see of it.
    Flood(flood::Options),
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mnet-bench-paths: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    namespace::check_tun()?;
    namespace::become_capable()?;
    match &options.what {
        What::Loss(loss) => loss::run(&options.prefix, loss),
        What::Rate(rate) => rate::run(&options.prefix, rate),
        What::Flood(flood) => flood::run(&options.prefix, flood),
    }
}
