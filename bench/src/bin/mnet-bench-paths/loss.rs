//! Goodput of one connection at several rates of loss.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result};
use clap::Args;
use mnet_bench::median;
use mnet_tests::bulk::Direction;
use mnet_tests::impair::Impairment;
use mnet_tests::path::Path;

use crate::stacks::{Image, Stack};

#[derive(Args)]
pub(crate) struct Options {
    /// What the path does, each direction; can be given several times. By default 1 % and 5 % loss,
    /// and less, with 50 ms there and back and 0.5 % reordering.
    #[arg(long = "path", value_name = "SPEC")]
    paths: Vec<Impairment>,
    /// How many seeds.
    #[arg(long, default_value_t = 7)]
    seeds: u64,
    /// Seconds per connection.
    #[arg(long, default_value_t = 10)]
    seconds: usize,
    /// Connections measured at the same time, each with a path of its own.
    #[arg(long, default_value_t = 4)]
    parallel: usize,
    /// Only directions whose name contains this, such as `mnet sends`.
    #[arg(long, default_value = "")]
    only: String,
    /// Folder for a recording of each connection, at both ends of its path.
    #[arg(long)]
    pcap: Option<PathBuf>,
}

/// What is compared by default.
const PATHS: &[&str] = &[
    "delay=25ms",
    "delay=25ms,reorder=0.5%/10ms",
    "delay=25ms,loss=0.1%",
    "delay=25ms,loss=1%",
    "delay=25ms,loss=1%,reorder=0.5%/10ms",
    "delay=25ms,loss=5%",
    "delay=25ms,loss=5%,reorder=0.5%/10ms",
];

/// What mnet does; its peer is Linux in any case.
const DIRECTIONS: &[(&str, Direction)] = &[
    ("mnet sends", Direction::Receive),
    ("mnet receives", Direction::Send),
];

/// One connection to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sample {
    seed: u64,
    path: usize,
    direction: usize,
    stack: Stack,
}

/// Rates in bits per second.
type Rates = BTreeMap<Sample, f64>;

pub(crate) fn run(prefix: &FilePath, options: &Options) -> Result<()> {
    let image = Image::build(prefix)?;
    let paths: Vec<Impairment> = if options.paths.is_empty() {
        let paths = PATHS.iter().map(|path| path.parse());
        paths.collect::<Result<_>>()?
    } else {
        options.paths.clone()
    };
    let work = work(options, paths.len());
    let next = AtomicUsize::new(0);
    let rates: Mutex<Rates> = Mutex::default();
    let worker = || -> Result<()> {
        while let Some(sample) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = &paths[sample.path];
            let rate = measure(&image, path, *sample, options)
                .with_context(|| format!("{path}, {sample:?}"))?;
            eprintln!("{path} {sample:?}: {:.2} Mbit/s", rate / 1e6);
            let mut rates = rates.lock().expect("no worker panics");
            rates.insert(*sample, rate);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.parallel).map(|_| scope.spawn(worker)).collect();
        let mut workers = workers.into_iter();
        workers.try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    print!(
        "{}",
        table(&paths, &rates.into_inner().expect("no worker panics"))
    );
    Ok(())
}

/// Everything to measure. Both stacks in turn, so that they meet the same machine.
fn work(options: &Options, paths: usize) -> Vec<Sample> {
    let mut work = Vec::new();
    for seed in 1..=options.seeds {
        for path in 0..paths {
            for (direction, (name, _)) in DIRECTIONS.iter().enumerate() {
                for stack in [Stack::Mnet, Stack::Linux] {
                    if name.contains(&options.only) {
                        work.push(Sample {
                            seed,
                            path,
                            direction,
                            stack,
                        });
                    }
                }
            }
        }
    }
    work
}

fn measure(image: &Image, path: &Impairment, sample: Sample, options: &Options) -> Result<f64> {
    let (_, direction) = DIRECTIONS[sample.direction];
    let Sample { seed, stack, .. } = sample;
    let impairment = path;
    let path = Path::new(impairment, impairment, seed)?;
    if let Some(folder) = &options.pcap {
        for (port, end) in ["client", "server"].iter().enumerate() {
            let name = format!(
                "{impairment}-{direction:?}-{}-{seed}-{end}.pcap",
                stack.name()
            );
            let file = folder.join(name.replace(['/', '%'], "_"));
            path.forwarder.record(port, &file)?;
        }
    }
    let servers = image.start(&path)?;
    let series = crate::stacks::measure(&path, stack, direction, options.seconds)?;
    servers.check()?;
    Ok(series.rate(0))
}

fn table(paths: &[Impairment], rates: &Rates) -> String {
    let mut out = String::from(
        "| path, each way | direction | mnet, Mbit/s | Linux in its place | ratio of medians | \
         median of ratios |\n|---|---|---:|---:|---:|---:|\n",
    );
    for (number, path) in paths.iter().enumerate() {
        for (direction, (name, _)) in DIRECTIONS.iter().enumerate() {
            let of = |stack| -> Vec<f64> {
                let wanted = |sample: &Sample| {
                    (sample.path, sample.direction, sample.stack) == (number, direction, stack)
                };
                // In the order of seeds.
                let rates = rates.iter().filter(|(sample, _)| wanted(sample));
                rates.map(|(_, rate)| *rate).collect()
            };
            let (mnet, linux) = (of(Stack::Mnet), of(Stack::Linux));
            if mnet.is_empty() {
                continue;
            }
            let ratios: Vec<f64> = mnet.iter().zip(&linux).map(|(m, l)| m / l).collect();
            out += &format!(
                "| `{path}` | {name} | {} | {} | {:.2} | {:.2} |\n",
                range(&mnet),
                range(&linux),
                median(&mnet) / median(&linux),
                median(&ratios)
            );
        }
    }
    out
}

/// The median, and between what.
fn range(rates: &[f64]) -> String {
    let low = rates.iter().copied().fold(f64::INFINITY, f64::min);
    let high = rates.iter().copied().fold(0.0, f64::max);
    let [middle, low, high] = [median(rates), low, high].map(|rate| rate / 1e6);
    format!("{middle:.2} ({low:.2} - {high:.2})")
}
