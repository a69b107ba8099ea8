//! Running a simulation for many seeds: a failing one is printed with the command that replays it,
//! and run again with a capture for Wireshark.

use super::pcap::{Capture, Recorder};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// A simulation: everything follows from the seed. It records what it sends, if it is to.
pub type Simulation = fn(u64, Option<Recorder>);

/// The variable of the environment that chooses seeds: `7`, or `5000..9000`.
pub const VARIABLE: &str = "MNET_SIMULATION_SEEDS";

/// Runs one seed. `target` is the name of the test program, for the command that replays it.
pub fn run(target: &str, seed: u64, simulation: Simulation) {
    let Err(panic) = catch_unwind(|| simulation(seed, None)) else {
        return;
    };
    let recorder = Recorder::new(Capture::new(["server", "client"]).into());
    let record = Some(Rc::clone(&recorder));
    let again = catch_unwind(AssertUnwindSafe(|| simulation(seed, record)));
    eprintln!("failing seed: {seed}");
    eprintln!("replay: {VARIABLE}={seed} cargo test -p mnet-core --test {target} chosen_seeds");
    let path = recorder.borrow().save(&format!("{target}-{seed}"));
    eprintln!("capture: {}", path.display());
    if again.is_ok() {
        eprintln!("the second run did not fail: the simulation does not repeat itself");
    }
    resume_unwind(panic);
}

/// Runs a range of seeds.
pub fn run_all(target: &str, range: Range<u64>, simulation: Simulation) {
    for seed in range {
        run(target, seed, simulation);
    }
}

/// Runs the seeds that the environment names.
pub fn run_chosen(target: &str, simulation: Simulation) {
    let Ok(chosen) = std::env::var(VARIABLE) else {
        return;
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let range = match chosen.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&chosen)..number(&chosen) + 1,
    };
    run_all(target, range, simulation);
}
