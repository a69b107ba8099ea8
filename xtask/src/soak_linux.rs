//! `cargo xtask soak-linux`: clients at random against an image, across a path at random.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use mnet_tests::namespace;
use mnet_tests::prefix::Prefix;
use mnet_tests::soak::{self, Plan};

use crate::cargo::workspace;
use crate::dist;

#[derive(Args)]
pub(crate) struct Options {
    /// For how long new clients come.
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Clients at the same time.
    #[arg(long, default_value_t = 24)]
    clients: u64,
    /// What chance starts from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let prefix = workspace().target_dir().join("dist");
    dist::install(&prefix)?;
    namespace::check_tun()?;
    namespace::become_capable()?;
    let plan = Plan {
        duration: Duration::try_from_secs_f64(options.minutes * 60.0)?,
        clients: options.clients,
        seed: options.seed,
    };
    println!("{plan:?}");
    let outcome = soak::run(&Prefix::new(prefix), &plan)?;
    println!("{outcome}\nnothing is left");
    Ok(())
}
