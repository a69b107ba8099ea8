//! An impaired path between two interfaces of this machine, until it is interrupted.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use mnet_tests::impair::{Forwarder, Impairment, Port};
use mnet_tests::tap::Tap;
use nix::sys::signal::{SigSet, Signal};

/// Joins two interfaces by a path that loses, delays, reorders, limits: like a long cable.
///
/// The first is a TAP device, made if it is not there: the kernel's own network reaches the path
/// through it. The second may be the TAP device of a running unikernel, or any other interface.
/// Ends at SIGINT or SIGTERM and prints what happened.
///
/// SPEC is a list: loss=1%, burst=0.1%/5 (chance, mean length), duplicate=1%, corrupt=1%,
/// reorder=1%/10ms (chance, held back for), delay=25ms, jitter=5ms, rate=100mbit, queue=625k,
/// mark=64k (ECN, with so many bytes queued), mtu=1400, icmp (answer longer packets).
#[derive(Parser)]
#[command(name = "mnet-impair", version)]
struct Options {
    /// The TAP device at the kernel's end.
    tap: String,
    /// The interface at the other end.
    interface: String,
    /// Both directions.
    #[arg(long, value_name = "SPEC", conflicts_with_all = ["forth", "back"])]
    both: Option<Impairment>,
    /// From the TAP device to the interface.
    #[arg(long, value_name = "SPEC", default_value = "")]
    forth: Impairment,
    /// From the interface to the TAP device.
    #[arg(long, value_name = "SPEC", default_value = "")]
    back: Impairment,
    /// What chance starts from: the same seed, the same fate of the n-th packet.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Records what passes the TAP device, for Wireshark.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// Records what passes the interface.
    #[arg(long, value_name = "FILE")]
    far_pcap: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mnet-impair: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    // Before there is a second thread, so that it does not take the signals.
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;

    let tap = Tap::new(&options.tap)?;
    tap.up()?;
    let other = Tap::existing(&options.interface)?;
    other.up()?;
    let ports = [Port::tap(&tap)?, Port::interface(&other)?];
    let (forth, back) = match options.both {
        Some(both) => (both.clone(), both),
        None => (options.forth, options.back),
    };
    println!("forth: {}", or_nothing(&forth));
    println!("back: {}", or_nothing(&back));
    let forwarder = Forwarder::start(ports, [forth, back], options.seed)?;
    for (port, file) in [options.pcap, options.far_pcap].iter().enumerate() {
        if let Some(file) = file {
            forwarder.record(port, file)?;
        }
    }
    signals.wait().context("waiting for a signal")?;
    let [forth, back] = forwarder.stop()?;
    println!("forth: {forth}");
    println!("back: {back}");
    Ok(())
}

fn or_nothing(impairment: &Impairment) -> String {
    match impairment.to_string() {
        text if text.is_empty() => "nothing".to_owned(),
        text => text,
    }
}
