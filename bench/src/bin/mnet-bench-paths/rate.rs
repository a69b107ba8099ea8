//! A path of limited rate: how soon a connection fills it, whether it stays full, and whether two
//! connections share it.

use std::path::Path as FilePath;
use std::thread;

use anyhow::Result;
use clap::Args;
use mnet_bench::median;
use mnet_tests::bulk::{Direction, Series, jain};
use mnet_tests::impair::Impairment;
use mnet_tests::path::Path;

use crate::stacks::{Image, Stack, measure};

#[derive(Args)]
pub(crate) struct Options {
    /// What the path does, each direction. By default 100 Mbit/s, 100 ms there and back, a queue of
    /// as much.
    #[arg(
        long = "path",
        value_name = "SPEC",
        default_value = "rate=100mbit,delay=50ms,queue=1250k"
    )]
    path: Impairment,
    /// How often each is done.
    #[arg(long, default_value_t = 3)]
    rounds: u64,
    /// Seconds that one connection is alone.
    #[arg(long, default_value_t = 15)]
    seconds: usize,
    /// Seconds that two share the path; 0: they do not.
    #[arg(long, default_value_t = 60)]
    shared_seconds: usize,
}

/// Part of what a path carries that is payload: 1448 of the 1514 bytes of a full frame.
const PAYLOAD: f64 = 1448.0 / 1514.0;

pub(crate) fn run(prefix: &FilePath, options: &Options) -> Result<()> {
    let image = Image::build(prefix)?;
    let goodput = options.path.rate.map_or(f64::NAN, rate_of) * PAYLOAD;
    println!(
        "`{}`, in shares of {:.1} Mbit/s of payload:\n",
        options.path,
        goodput / 1e6
    );
    println!(
        "| connection | 90 % reached after | from then on | its worst second | dropped by the queue |"
    );
    println!("|---|---:|---:|---:|---:|");
    let directions = [Direction::Receive, Direction::Send];
    for direction in directions {
        for stack in [Stack::Mnet, Stack::Linux] {
            let mut rows = Vec::new();
            for round in 0..options.rounds {
                rows.push(alone(&image, options, stack, direction, round, goodput)?);
            }
            let column =
                |column: usize| median(&rows.iter().map(|row| row[column]).collect::<Vec<_>>());
            let who = match direction {
                Direction::Send => format!("Linux to {}", stack.name()),
                Direction::Receive | Direction::Echo => format!("{} to Linux", stack.name()),
            };
            println!(
                "| {who} | {:.0} s | {:.2} | {:.2} | {:.0} |",
                column(0),
                column(1),
                column(2),
                column(3)
            );
        }
    }
    if options.shared_seconds == 0 {
        return Ok(());
    }
    println!(
        "\n| two connections | share of the first | of the second | Jain's index | its range |"
    );
    println!("|---|---:|---:|---:|---|");
    for pair in [
        [Stack::Mnet, Stack::Linux],
        [Stack::Mnet, Stack::Mnet],
        [Stack::Linux, Stack::Linux],
    ] {
        let mut rows = Vec::new();
        for round in 0..options.rounds {
            rows.push(together(&image, options, pair, round)?);
        }
        let column = |column: usize| rows.iter().map(|row| row[column]).collect::<Vec<_>>();
        let indices: Vec<f64> = rows.iter().map(|row| jain(row)).collect();
        let low = indices.iter().copied().fold(f64::INFINITY, f64::min);
        let high = indices.iter().copied().fold(0.0, f64::max);
        println!(
            "| {} and {} | {:.2} | {:.2} | {:.3} | {low:.3} - {high:.3} |",
            pair[0].name(),
            pair[1].name(),
            median(&column(0)) / goodput,
            median(&column(1)) / goodput,
            median(&indices)
        );
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
fn rate_of(rate: u64) -> f64 {
    rate as f64
}

/// One connection: seconds until 90 %, the mean share after that, the worst, and drops.
#[allow(clippy::cast_precision_loss, reason = "seconds, and a count of drops")]
fn alone(
    image: &Image,
    options: &Options,
    stack: Stack,
    direction: Direction,
    round: u64,
    goodput: f64,
) -> Result<[f64; 4]> {
    let path = Path::new(&options.path, &options.path, round)?;
    let servers = image.start(&path)?;
    let series = measure(&path, stack, direction, options.seconds)?;
    servers.check()?;
    tell(stack.name(), &series);
    let stats = path.forwarder.stop()?;
    let shares: Vec<f64> = series.rates().iter().map(|rate| rate / goodput).collect();
    let dropped: u64 = stats.iter().map(|stats| stats.queue_full).sum();
    let Some(first) = shares.iter().position(|share| *share >= 0.9) else {
        let all = series.rate(0) / goodput;
        return Ok([f64::INFINITY, all, 0.0, dropped as f64]);
    };
    let worst = shares[first..]
        .iter()
        .copied()
        .fold(f64::INFINITY, f64::min);
    Ok([
        (first + 1) as f64,
        series.rate(first) / goodput,
        worst,
        dropped as f64,
    ])
}

/// Two connections that start together: the rate of each.
fn together(image: &Image, options: &Options, pair: [Stack; 2], round: u64) -> Result<[f64; 2]> {
    let path = Path::new(&options.path, &options.path, round)?;
    let servers = image.start(&path)?;
    let flows = thread::scope(|scope| {
        let (path, seconds) = (&path, options.shared_seconds);
        pair.map(|stack| scope.spawn(move || measure(path, stack, Direction::Receive, seconds)))
            .map(|flow| flow.join().expect("a connection does not panic"))
    });
    let [first, second] = flows;
    let (first, second) = (first?, second?);
    servers.check()?;
    tell(pair[0].name(), &first);
    tell(pair[1].name(), &second);
    Ok([first.rate(0), second.rate(0)])
}

fn tell(who: &str, series: &Series) {
    let rates = series.rates().into_iter();
    let rates: Vec<String> = rates.map(|rate| format!("{:.0}", rate / 1e6)).collect();
    eprintln!("{who}, Mbit/s each second: {}", rates.join(" "));
}
