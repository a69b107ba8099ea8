//! The core's simulations with ever new seeds, for as long as one likes.

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use crate::cargo::cargo;

/// The simulations: test programs of `mnet-core` with a test `chosen_seeds`.
const SIMULATIONS: &[&str] = &["simulation", "adversary"];
/// The variable that tells them which seeds.
const VARIABLE: &str = "MNET_SIMULATION_SEEDS";
/// Seeds between two lines of progress.
const ROUND: u64 = 2_000;

/// What to do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long; for ever if it is not said.
    #[arg(long)]
    minutes: Option<u64>,
    /// The first seed; from the clock if it is not said.
    #[arg(long)]
    seed: Option<u64>,
}

/// Runs until the time is over or a seed fails, which is printed with what replays it.
pub(crate) fn run(arguments: &Arguments) -> Result<bool> {
    let start = Instant::now();
    let duration = arguments
        .minutes
        .map(|minutes| Duration::from_secs(60 * minutes));
    let mut seed = match arguments.seed {
        Some(seed) => seed,
        // Far above those that the tests run every time.
        None => SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() << 20,
    };
    let mut count = 0;
    while duration.is_none_or(|duration| start.elapsed() < duration) {
        let end = seed + ROUND;
        for simulation in SIMULATIONS {
            let output = cargo(&["test", "--quiet", "--locked", "--package=mnet-core"])
                .args(["--test", simulation, "chosen_seeds"])
                .env(VARIABLE, format!("{seed}..{end}"))
                .stdin(Stdio::null())
                .output()
                .context("cannot run cargo")?;
            if !output.status.success() {
                print!("{}", String::from_utf8_lossy(&output.stderr));
                print!("{}", String::from_utf8_lossy(&output.stdout));
                return Ok(false);
            }
            count += ROUND;
        }
        let minutes = start.elapsed().as_secs_f64() / 60.0;
        println!(
            "{minutes:7.1} min  {count:9} runs, the last with seed {}",
            end - 1
        );
        seed = end;
    }
    Ok(true)
}
