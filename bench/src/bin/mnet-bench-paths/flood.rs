//! A flood of SYNs against an image that serves.

use std::net::SocketAddrV4;
use std::path::Path as FilePath;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use mnet_tests::flood::{Outcome, Plan, endure, gateway};
use mnet_tests::impair::Impairment;
use mnet_tests::path::{IMAGE, Path};
use mnet_tests::prefix::{Prefix, Unikernel};
use mnet_tests::statistics::{self, Statistics};

#[derive(Args)]
pub(crate) struct Options {
    /// SYNs per second.
    #[arg(long, default_value_t = 100_000)]
    rate: u32,
    /// Seconds before the flood, with it, and after it.
    #[arg(long, num_args = 3, default_values_t = [5, 30, 5])]
    seconds: Vec<usize>,
    /// What the path of the transfers does, each direction.
    #[arg(
        long = "path",
        value_name = "SPEC",
        default_value = "rate=100mbit,delay=5ms,queue=250k"
    )]
    path: Impairment,
}

/// The image's hardware address.
const MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
const SERVICE: SocketAddrV4 = SocketAddrV4::new(IMAGE, 7);
const STATISTICS: SocketAddrV4 = SocketAddrV4::new(IMAGE, 8);

pub(crate) fn run(prefix: &FilePath, options: &Options) -> Result<()> {
    let prefix = Prefix::new(prefix.canonicalize()?);
    let echo = prefix.build_example("echo", &prefix.root().with_extension("echo"))?;
    let path = Path::new(&options.path, &options.path, 1)?;
    let unikernel = Unikernel::new(&prefix, &echo)
        .option("--mem=32")
        .option("--net:service=tap0")
        .option("--net-mac:service=02:00:00:00:00:02")
        .argument(format!("--ipv4={IMAGE}/24"))
        .argument(format!("--ipv4-gateway={}", gateway()))
        .argument(format!("--stats-port={}", STATISTICS.port()));
    let process = path.server.within(|| unikernel.start())?;
    process.wait_for("listening", Duration::from_secs(10))?;

    let ask = || path.client.within(|| statistics::ask(STATISTICS));
    let memory = || statistics::memory(process.pid()?, "VmRSS");
    let plan = Plan {
        service: SERVICE,
        mac: MAC,
        per_second: options.rate,
        seconds: [options.seconds[0], options.seconds[1], options.seconds[2]],
    };
    let (statistics_before, memory_before) = (ask()?, memory()?);
    let outcome = endure(&path, &plan)?;
    let (statistics_after, memory_after) = (ask()?, memory()?);
    show(options, &outcome);
    println!(
        "| memory of the tender's process, KiB | {memory_before} before, {memory_after} after |"
    );
    println!(
        "\nThe image's counters that changed: {}.",
        changed(&statistics_before, &statistics_after)
    );
    for failure in &outcome.failures {
        eprintln!("a client failed: {failure}");
    }
    Ok(())
}

fn show(options: &Options, outcome: &Outcome) {
    let Outcome {
        rates: [before, during, after],
        syns_per_second,
        clients,
        failures,
    } = outcome;
    let mut times = clients.clone();
    times.sort_unstable();
    let time = |part: usize| times.get(times.len().saturating_sub(1) * part / 100);
    println!("| what | |\n|---|---|");
    println!("| path of the transfer, each way | `{}` |", options.path);
    println!("| SYNs per second | {:.0} |", syns_per_second);
    for (when, rate) in [("before", before), ("during", during), ("after", after)] {
        println!(
            "| goodput of an echo stream {when} the flood | {:.1} Mbit/s, {:.2} of before |",
            rate / 1e6,
            rate / before
        );
    }
    println!(
        "| new clients during the flood | {} served, {} failed |",
        clients.len(),
        failures.len()
    );
    println!(
        "| connect and first answer, median, 99th of 100, slowest | {:.1?}, {:.1?}, {:.1?} |",
        time(50).copied().unwrap_or_default(),
        time(99).copied().unwrap_or_default(),
        time(100).copied().unwrap_or_default()
    );
}

/// What is different, as `name +N`.
fn changed(before: &Statistics, after: &Statistics) -> String {
    let mut changes = Vec::new();
    for (name, after) in after {
        let before = before.get(name).copied().unwrap_or(0);
        if *after > before {
            changes.push(format!("{name} +{}", after - before));
        } else if *after < before {
            changes.push(format!("{name} -{}", before - after));
        }
    }
    changes.join(", ")
}
