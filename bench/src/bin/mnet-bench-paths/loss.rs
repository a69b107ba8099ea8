//! Goodput of one connection at several rates of loss.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use mnet_tests::bulk::{Direction, LinuxServices, transfer};
use mnet_tests::impair::Impairment;
use mnet_tests::path::{IMAGE, LINUX, Path};
use mnet_tests::prefix::{Prefix, Unikernel};

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
    /// Only directions whose name contains this.
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

/// The sender and the receiver.
const DIRECTIONS: &[(&str, Direction)] = &[
    ("server to client", Direction::Receive),
    ("client to server", Direction::Send),
];

pub(crate) fn run(prefix: &FilePath, options: &Options) -> Result<()> {
    let prefix = Prefix::new(prefix.canonicalize()?);
    let directory = prefix.root().with_extension("bench");
    let image = prefix.build_image("bench/image", "services", &directory)?;
    let unikernel = Unikernel::new(&prefix, &image);
    let paths = if options.paths.is_empty() {
        PATHS
            .iter()
            .map(|path| path.parse())
            .collect::<Result<_>>()?
    } else {
        options.paths.clone()
    };
    let mut work = Vec::new();
    for seed in 1..=options.seeds {
        for path in 0..paths.len() {
            for (number, (name, _)) in DIRECTIONS.iter().enumerate() {
                for mnet in [true, false] {
                    if name.contains(&options.only) {
                        work.push((path, number, mnet, seed));
                    }
                }
            }
        }
    }
    let next = AtomicUsize::new(0);
    let samples: Mutex<BTreeMap<(usize, usize, bool), Vec<f64>>> = Mutex::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..options.parallel)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    while let Some(&(path, direction, mnet, seed)) =
                        work.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        let (name, way) = DIRECTIONS[direction];
                        let rate = measure(&unikernel, &paths[path], way, mnet, seed, options)?;
                        eprintln!(
                            "{} seed {seed} {name} {}: {:.2} Mbit/s",
                            paths[path],
                            if mnet { "mnet" } else { "linux" },
                            rate / 1e6
                        );
                        let mut samples = samples.lock().expect("no worker panics");
                        samples
                            .entry((path, direction, mnet))
                            .or_default()
                            .push(rate);
                    }
                    Ok(())
                })
            })
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("no worker panics"))
    })?;
    print!(
        "{}",
        table(&paths, &samples.into_inner().expect("no worker panics"))
    );
    Ok(())
}

/// The rate of one connection, in bits per second.
fn measure(
    unikernel: &Unikernel,
    impairment: &Impairment,
    direction: Direction,
    mnet: bool,
    seed: u64,
    options: &Options,
) -> Result<f64> {
    let path = Path::new(impairment, impairment, seed)?;
    if let Some(folder) = &options.pcap {
        let stack = if mnet { "mnet" } else { "linux" };
        for (port, end) in ["client", "server"].iter().enumerate() {
            let name = format!("{impairment}-{direction:?}-{stack}-{seed}-{end}.pcap");
            path.forwarder
                .record(port, &folder.join(name.replace(['/', '%'], "_")))?;
        }
    }
    let _server: Box<dyn std::any::Any> = if mnet {
        let unikernel = unikernel
            .clone()
            .option("--mem=64")
            .option("--net:service=tap0")
            .argument("--solo5:quiet")
            .argument(format!("--ipv4={IMAGE}/24"));
        Box::new(path.server.within(|| unikernel.start())?)
    } else {
        Box::new(LinuxServices::start(&path.server, LINUX)?)
    };
    let service = SocketAddrV4::new(if mnet { IMAGE } else { LINUX }, direction.port());
    let series = path
        .client
        .within(|| transfer(service, direction, Duration::from_secs(1), options.seconds))
        .with_context(|| format!("{impairment}, seed {seed}"))?;
    Ok(series.rate(0))
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn table(paths: &[Impairment], samples: &BTreeMap<(usize, usize, bool), Vec<f64>>) -> String {
    let mut out = String::from(
        "| path, each way | direction | mnet, Mbit/s | Linux, Mbit/s | ratio |\n\
         |---|---|---:|---:|---:|\n",
    );
    for (number, path) in paths.iter().enumerate() {
        for (direction, (name, _)) in DIRECTIONS.iter().enumerate() {
            let (Some(mnet), Some(linux)) = (
                samples.get(&(number, direction, true)),
                samples.get(&(number, direction, false)),
            ) else {
                continue;
            };
            let show = |samples: &[f64]| {
                let low = samples.iter().copied().fold(f64::INFINITY, f64::min);
                let high = samples.iter().copied().fold(0.0, f64::max);
                format!(
                    "{:.2} ({:.2} - {:.2})",
                    median(samples) / 1e6,
                    low / 1e6,
                    high / 1e6
                )
            };
            out += &format!(
                "| `{path}` | {name} | {} | {} | {:.2} |\n",
                show(mnet),
                show(linux),
                median(mnet) / median(linux)
            );
        }
    }
    out
}
