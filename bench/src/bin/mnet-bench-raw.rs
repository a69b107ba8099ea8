//! Ethernet frames per second through a guest that sends each back, without any stack: what target,
//! tender and network ring cost.
//!
//! Some frames are always under way: each that comes back makes room for one more. Rounds of all kinds
//! are interleaved, medians are compared, and only ratios within one run mean anything.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mnet_bench::median;
use mnet_tests::namespace::{self, Network};
use mnet_tests::packet::PacketSocket;
use mnet_tests::prefix::{Prefix, succeed};
use mnet_tests::tap::Tap;

/// Counts frames per second through spt, and through hvt with its ring and without.
#[derive(Parser)]
struct Options {
    /// Prefix that `cargo xtask dist` has filled.
    #[arg(long)]
    prefix: PathBuf,
    /// How often each kind is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds for each.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Bytes of a frame, from 60 to 1514.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(60..=1514))]
    size: u16,
    /// Frames that are under way at once, one measurement for each number; 0 for a guest that only sends.
    #[arg(long, value_delimiter = ',', default_value = "1,16,128,0")]
    under_way: Vec<usize>,
}

/// How frames are exchanged: words, target, options of the tender.
const KINDS: [(&str, &str, &[&str]); 3] = [
    ("spt", "spt", &[]),
    ("hvt, ring", "hvt", &[]),
    ("hvt, hypercalls", "hvt", &["--no-net-ring"]),
];
/// The kind that ratios are of.
const BASE: usize = 2;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x2a];
/// The EtherType for experiments.
const KIND: [u8; 2] = [0x88, 0xb5];

/// One measurement.
#[derive(Clone, Copy, Default)]
struct Sample {
    per_second: f64,
    /// Hypercalls that carry or look for a frame, for each frame; 0 where that is not known.
    calls: f64,
    /// How often the ring's thread was woken, for each frame.
    wakes: f64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mnet-bench-raw: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    namespace::check_tun()?;
    namespace::become_capable()?;
    let prefix = Prefix::new(options.prefix.canonicalize().context("no prefix")?);
    let out = prefix.root().with_extension("bench");
    let image = |target| {
        let guests = "solo5-toolchain/guest/tests/guests";
        prefix.build_image_for(target, guests, "ethernet", &out)
    };
    let images = [image("spt")?, image("hvt")?];
    let mut samples = vec![vec![Vec::new(); KINDS.len()]; options.under_way.len()];
    for round in 0..options.rounds {
        for (&under_way, samples) in options.under_way.iter().zip(&mut samples) {
            for (kind, samples) in KINDS.iter().zip(samples) {
                let image = &images[usize::from(kind.1 == "hvt")];
                let sample = measure(&prefix, image, kind, under_way, options)?;
                eprintln!(
                    "round {round}: {under_way} under way, {}: {:.0}/s",
                    kind.0, sample.per_second
                );
                samples.push(sample);
            }
        }
    }
    print!("{}", table(options, &samples));
    Ok(())
}

fn measure(
    prefix: &Prefix,
    image: &Path,
    &(_, target, options): &(&str, &str, &[&str]),
    under_way: usize,
    settings: &Options,
) -> Result<Sample> {
    let network = Network::new()?;
    let (tap, mut child) = network.within(|| {
        let ipv6 = "/proc/sys/net/ipv6/conf/default/disable_ipv6";
        let _ = std::fs::write(ipv6, "1");
        let tap = Tap::new("tap0")?;
        tap.up()?;
        let mac = MAC.map(|byte| format!("{byte:02x}")).join(":");
        let mut tender = Command::new(prefix.bin().join(format!("solo5-{target}")));
        tender
            .args(["--mem=16", "--net:service=tap0"])
            .args(options);
        tender.arg(format!("--net-mac:service={mac}"));
        if target == "hvt" {
            tender.arg("--stats");
        }
        tender.arg("--").arg(image).arg("--solo5:quiet");
        if under_way == 0 {
            tender.arg("send");
        }
        tender
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok((tap, tender.spawn().context("cannot start the tender")?))
    })?;
    let mut console = BufReader::new(child.stdout.take().context("a pipe")?);
    let mut line = String::new();
    console.read_line(&mut line)?;
    let counted = (|| {
        ensure!(line.ends_with("ing\n"), "the guest says {line:?}");
        if under_way == 0 {
            return network.within(|| sent(settings));
        }
        // What the standard library has for datagrams fits any socket that keeps them apart.
        let socket: OwnedFd = network.within(|| PacketSocket::open(&tap))?.into();
        exchange(&UdpSocket::from(socket), under_way, settings)
    })();
    succeed(Command::new("kill").arg(child.id().to_string()))?;
    let mut said = String::new();
    child
        .stderr
        .take()
        .context("a pipe")?
        .read_to_string(&mut said)?;
    child.wait()?;
    let per_second = counted?;
    let number = |words: &str| -> f64 {
        let digits = said.split_once(words).map_or("", |(_, rest)| rest);
        let end = digits
            .find(|byte: char| !byte.is_ascii_digit())
            .unwrap_or(0);
        digits[..end].parse().unwrap_or(0.0)
    };
    let frames = number("net service: in ")
        .max(number(" bytes, out "))
        .max(1.0);
    Ok(Sample {
        per_second,
        calls: (number(" poll ") + number(" net_write ") + number(" net_read ")) / frames,
        wakes: number("ring woken ") / frames,
    })
}

/// Frames that the interface got from the guest in each second.
fn sent(settings: &Options) -> Result<f64> {
    let count = || -> Result<f64> {
        let counters = std::fs::read_to_string("/proc/thread-self/net/dev")?;
        let line = counters
            .lines()
            .find_map(|line| line.trim().strip_prefix("tap0:"));
        let frames = line.and_then(|line| line.split_ascii_whitespace().nth(1));
        Ok(frames.context("no interface")?.parse()?)
    };
    let (start, before) = (Instant::now(), count()?);
    std::thread::sleep(Duration::from_secs(settings.seconds));
    Ok((count()? - before) / start.elapsed().as_secs_f64())
}

/// Exchanges frames with the guest: how many came back each second.
fn exchange(socket: &UdpSocket, under_way: usize, settings: &Options) -> Result<f64> {
    const PATIENCE: Duration = Duration::from_millis(200);
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut frame = vec![0; settings.size.into()];
    frame[..6].copy_from_slice(&MAC);
    frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    frame[12..14].copy_from_slice(&KIND);
    let mut room = [0; 2048];
    let (mut start, mut back) = (Instant::now(), 0u32);
    // The first part is not measured.
    let warm = Duration::from_millis(200);
    let time = Duration::from_secs(settings.seconds);
    let mut is_warm = false;
    let fill = || (0..under_way).try_for_each(|_| socket.send(&frame).map(drop));
    fill()?;
    loop {
        match socket.recv(&mut room) {
            Ok(len) if len >= 14 && room[12..14] == KIND => {
                back += 1;
                socket.send(&frame)?;
            }
            Ok(_) => {}
            // All were lost.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => fill()?,
            Err(error) => return Err(error.into()),
        }
        let elapsed = start.elapsed();
        if !is_warm && elapsed >= warm {
            (start, back, is_warm) = (Instant::now(), 0, true);
        } else if is_warm && elapsed >= time {
            return Ok(f64::from(back) / elapsed.as_secs_f64());
        }
    }
}

fn table(options: &Options, samples: &[Vec<Vec<Sample>>]) -> String {
    let mut out = format!(
        "Frames of {} bytes, {} rounds\n\n\
         | under way | kind | frames/s | ratio to hypercalls | hypercalls per frame | wake-ups per frame |\n\
         |---:|---|---:|---:|---:|---:|\n",
        options.size, options.rounds
    );
    for (under_way, samples) in options.under_way.iter().zip(samples) {
        let middle = |kind: &[Sample], value: fn(&Sample) -> f64| {
            median(&kind.iter().map(value).collect::<Vec<_>>())
        };
        let rate = |kind: &[Sample]| middle(kind, |sample| sample.per_second);
        let base = rate(&samples[BASE]);
        for ((name, target, _), kind) in KINDS.iter().zip(samples) {
            let (rate, ratio) = (rate(kind), rate(kind) / base);
            let _ = write!(out, "| {under_way} | {name} | {rate:.0} | {ratio:.2} |");
            let _ = if *target == "hvt" {
                let calls = middle(kind, |sample| sample.calls);
                let wakes = middle(kind, |sample| sample.wakes);
                writeln!(out, " {calls:.2} | {wakes:.3} |")
            } else {
                writeln!(out, " | |")
            };
        }
    }
    out
}
