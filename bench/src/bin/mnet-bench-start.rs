//! How long the example `hello` takes from the start of its tender until that has ended.
//!
//! All kinds in turn, again and again; other commands may take part, such as another tender's.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mnet_bench::median;
use mnet_tests::prefix::{Prefix, Unikernel};

/// Times the start and end of hello under solo5-spt, under solo5-hvt where there is KVM, and of `true`.
#[derive(Parser)]
struct Options {
    /// Prefix that `cargo xtask dist` has filled.
    #[arg(long)]
    prefix: PathBuf,
    /// How often each is started.
    #[arg(long, default_value_t = 300)]
    rounds: usize,
    /// Another command that takes part, without quotation marks: `NAME=PROGRAM ARGUMENT...`.
    #[arg(long, value_name = "NAME=COMMAND")]
    beside: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mnet-bench-start: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let prefix = Prefix::new(options.prefix.canonicalize().context("no prefix")?);
    let out = prefix.root().with_extension("bench").join("hello");
    let mut kinds = vec![("true".to_owned(), Command::new("true"))];
    for target in ["spt", "hvt"] {
        let kvm = || File::options().read(true).write(true).open("/dev/kvm");
        if target == "hvt" && kvm().is_err() {
            eprintln!("hvt is left out: /dev/kvm cannot be used");
            continue;
        }
        let image = prefix.build_image_for(target, "c-examples/hello", "hello", &out)?;
        kinds.push((target.to_owned(), Unikernel::new(&prefix, &image).command()));
    }
    for beside in &options.beside {
        let (name, words) = beside.split_once('=').context("NAME=COMMAND is wanted")?;
        let mut words = words.split_whitespace();
        let mut command = Command::new(words.next().context("an empty command")?);
        command.args(words);
        kinds.push((name.to_owned(), command));
    }
    let mut times = vec![Vec::new(); kinds.len()];
    for _ in 0..options.rounds {
        for ((name, command), times) in kinds.iter_mut().zip(&mut times) {
            command.stdin(Stdio::null()).stdout(Stdio::null());
            let start = Instant::now();
            let status = command.stderr(Stdio::null()).status()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            ensure!(status.success(), "{name}: {status}");
        }
    }
    println!(
        "Milliseconds, {} rounds\n\n| | least | lower quartile | median |\n|---|---:|---:|---:|",
        options.rounds
    );
    for ((name, _), times) in kinds.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        let least = times.first().context("no round")?;
        let half = times.get(..times.len().div_ceil(2)).unwrap_or_default();
        let (quartile, middle) = (median(half), median(times));
        println!("| {name} | {least:.2} | {quartile:.2} | {middle:.2} |");
    }
    Ok(())
}
