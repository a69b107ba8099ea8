//! Counts the instructions that the stack spends on a packet, and compares or checks the counts.

mod count;
mod limits;

use clap::{Parser, Subcommand};
use mnet_bench_micro::Work;
use mnet_bench_micro::mnet::Mnet;
use mnet_bench_micro::scale;
use mnet_bench_micro::styles::Style;
use std::process::ExitCode;

/// Counts user instructions per packet, round trip and connection.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the counts of mnet.
    Count,
    /// Prints the counts of mnet and of smoltcp, and their ratios.
    Compare,
    /// Fails if a count lies above its limit in `bench/micro/limits`.
    Check,
    /// Prints the functions in which an operation spends its instructions.
    Profile {
        /// `receive`, `send`, `round-trip` or `connection`; over IPv6 with `-ipv6` at its end.
        #[arg(value_parser = work)]
        work: Work,
    },
    /// Does an operation: what the other commands run under valgrind.
    Run {
        /// Its name.
        #[arg(value_parser = work)]
        work: Work,
        /// How often.
        times: usize,
    },
    /// Prints what a round trip costs with 10 and with 100,000 connections open, and fails if the
    /// second costs more than 1.2 times the first.
    Scale,
    /// Prints what a round trip costs with blocking calls and as a task, and fails if the second
    /// costs more than 1.3 times the first.
    Styles,
    /// Makes round trips in a style: what `styles` runs under valgrind.
    Echo {
        /// `blocking` or `tasks`.
        #[arg(value_parser = style)]
        style: Style,
        /// How many.
        times: usize,
    },
    /// Opens connections and makes round trips among them: what `scale` runs under valgrind.
    RoundTrips {
        /// How many connections.
        connections: usize,
        /// How many round trips.
        times: usize,
    },
}

/// What can go wrong is told in words: the caller is a person.
type Result<T> = std::result::Result<T, String>;

fn work(name: &str) -> Result<Work> {
    Work::named(name).ok_or_else(|| "no such operation".to_owned())
}

fn style(name: &str) -> Result<Style> {
    Style::named(name).ok_or_else(|| "no such style".to_owned())
}

fn main() -> ExitCode {
    match run(&Options::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-micro: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What a round trip costs among many connections, against few.
fn check_scale() -> Result<()> {
    if !count::valgrind_is_there() {
        println!("skipped: valgrind is not installed");
        return Ok(());
    }
    let mnet = count::build_mnet()?;
    let few = count::round_trip_among(&mnet, scale::FEW)?;
    let many = count::round_trip_among(&mnet, scale::MANY)?;
    println!("round trip among {:>6} connections {few:>8}", scale::FEW);
    println!("round trip among {:>6} connections {many:>8}", scale::MANY);
    if many * 10 > few * 12 {
        return Err("a round trip costs more the more connections there are".to_owned());
    }
    Ok(())
}

/// What a round trip costs as a task, against blocking calls.
fn check_styles() -> Result<()> {
    if !count::valgrind_is_there() {
        println!("skipped: valgrind is not installed");
        return Ok(());
    }
    let mnet = count::build_mnet()?;
    let blocking = count::echo(&mnet, Style::Blocking)?;
    let tasks = count::echo(&mnet, Style::Tasks)?;
    println!("echo, blocking {blocking:>8}");
    println!("echo, as a task{tasks:>8}");
    if tasks * 10 > blocking * 13 {
        return Err("a task costs too much more than blocking calls".to_owned());
    }
    Ok(())
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Echo { style, times } => style.run(*times),
        Command::Styles => check_styles()?,
        Command::Run { work, times } => work.run::<Mnet>(*times),
        Command::RoundTrips { connections, times } => scale::round_trips(*connections, *times),
        Command::Scale => check_scale()?,
        Command::Count => {
            let mnet = count::build_mnet()?;
            for work in Work::all() {
                let count = count::instructions(&mnet, work)?;
                println!("{:16}{count:>8}", work.name());
            }
        }
        Command::Compare => {
            let (mnet, smoltcp) = (count::build_mnet()?, count::build_smoltcp()?);
            println!("| instructions per | mnet | smoltcp | ratio |\n|---|---|---|---|");
            for work in Work::all() {
                let ours = count::instructions(&mnet, work)?;
                let theirs = count::instructions(&smoltcp, work)?;
                let percent = ours * 100 / theirs.max(1);
                let (whole, hundredths) = (percent / 100, percent % 100);
                let name = work.name();
                println!("| {name} | {ours} | {theirs} | {whole}.{hundredths:02} |");
            }
        }
        Command::Check => {
            if !count::valgrind_is_there() {
                println!("skipped: valgrind is not installed");
                return Ok(());
            }
            let mnet = count::build_mnet()?;
            let mut exceeded = Vec::new();
            for (work, limit) in limits::all()? {
                let count = count::instructions(&mnet, work)?;
                let name = work.name();
                println!("{name:16}{count:>8}   limit {limit:>6}");
                if count > limit {
                    exceeded.push(name);
                }
            }
            check_scale()?;
            check_styles()?;
            if !exceeded.is_empty() {
                return Err(format!("above the limit: {}", exceeded.join(", ")));
            }
        }
        Command::Profile { work } => {
            print!("{}", count::profile(&count::build_mnet()?, *work)?);
        }
    }
    Ok(())
}
