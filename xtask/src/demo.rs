//! The stack at work: the echo image in a private network, and a Linux client that talks to it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mnet_tests::boot::time_to_first_syn_ack;
use mnet_tests::clients::{Transfer, connect, ping, tcp_echo_checked, udp_echo};
use mnet_tests::frame::Link;
use mnet_tests::namespace;
use mnet_tests::prefix::{Prefix, Unikernel};
use mnet_tests::process::Process;
use mnet_tests::tap::Tap;
use nix::unistd::Uid;

use crate::cargo::workspace;
use crate::dist;

const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const GUEST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const PORT: u16 = 7;

/// How often the image is started to measure its start.
const STARTS: usize = 5;

/// Builds, boots, talks, stops, and prints what happened.
pub(crate) fn run() -> Result<()> {
    namespace::check_tun()?;
    let target = workspace().target_dir().to_path_buf();
    let prefix = Prefix::new(target.join("dist"));

    println!("Building the library, the toolchain and the echo image ...");
    let start = Instant::now();
    dist::install(prefix.root())?;
    let image = prefix.build_example("echo", &target.join("demo"))?;
    let seconds = start.elapsed().as_secs_f64();
    println!("  {} ({seconds:.1} s)", image.display());

    let ordinary_user = !Uid::effective().is_root();
    namespace::become_capable()?;
    namespace::enter_new_network()?;
    let tap = Tap::with_address("tap0", HOST, 24)?;
    println!("Private network: tap0 with {HOST}/24, seen by this process only");
    if ordinary_user {
        println!("  in a user namespace: nothing here needs root");
    }

    let unikernel = Unikernel::new(&prefix, &image)
        .option("--mem=8")
        .option("--net:service=tap0")
        .option("--net-mac:service=02:00:00:00:00:02")
        .argument("--solo5:quiet")
        .argument(format!("--ipv4={GUEST}/24"))
        .argument(format!("--port={PORT}"));
    println!("Booting: {}", command_line(&unikernel));
    let process = boot(&unikernel, &tap)?;
    talk(SocketAddrV4::new(GUEST, PORT))?;
    stop(process)?;
    println!("All of it was correct. README.md does the same by hand.");
    Ok(())
}

/// Starts the image several times, measuring; the last one keeps running.
fn boot(unikernel: &Unikernel, tap: &Tap) -> Result<Process> {
    let link = Link {
        host_mac: tap.mac()?,
        guest_mac: GUEST_MAC,
        host: HOST,
        guest: GUEST,
    };
    let mut times = Vec::with_capacity(STARTS);
    loop {
        let (process, time) = time_to_first_syn_ack(unikernel, tap, &link, PORT)?;
        times.push(time);
        if times.len() == STARTS {
            times.sort_unstable();
            println!(
                "  from starting solo5-spt to the first SYN-ACK: {:.1} ms \
                 (median of {STARTS} starts, {:.1} to {:.1} ms)",
                milliseconds(times[STARTS / 2]),
                milliseconds(times[0]),
                milliseconds(times[STARTS - 1]),
            );
            return Ok(process);
        }
    }
}

/// Exchanges data with the image in every way that it knows.
fn talk(service: SocketAddrV4) -> Result<()> {
    const TCP_BYTES: u64 = 64 << 20;
    const CLIENTS: u64 = 32;
    const CLIENT_BYTES: u64 = 1 << 20;

    let mut fastest = Duration::MAX;
    for sequence in 0..5 {
        let time = ping(*service.ip(), sequence, 56, Duration::from_secs(5))?;
        fastest = fastest.min(time);
    }
    println!(
        "ping: 5 of 5 answered, fastest in {:.3} ms",
        milliseconds(fastest)
    );

    let sizes = [1, 100, 1000, 1472];
    for (seed, size) in (0..).zip(sizes) {
        udp_echo(service, seed, size)?;
    }
    println!("UDP: datagrams of {sizes:?} bytes came back unchanged");

    let transfer = tcp_echo_checked(service, 1, TCP_BYTES)?;
    print_transfer("TCP: ", &transfer);

    let start = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| thread::spawn(move || tcp_echo_checked(service, seed, CLIENT_BYTES)))
        .collect();
    for client in clients {
        client.join().expect("a client does not panic")?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("TCP: {CLIENTS} clients at once, each 1 MiB, all correct ({seconds:.2} s)");

    let refused = connect(SocketAddrV4::new(*service.ip(), 9));
    ensure!(refused.is_err(), "a port where nobody listens accepts");
    println!("TCP: a port where nobody listens refuses");
    Ok(())
}

fn print_transfer(what: &str, transfer: &Transfer) {
    let mebibytes = transfer.bytes >> 20;
    let seconds = transfer.elapsed.as_secs_f64();
    let hash: String = transfer
        .received
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    println!(
        "{what}{mebibytes} MiB there and back in {seconds:.2} s, SHA-256 of both {}...",
        &hash[..16]
    );
}

/// Stops the image as its owner would.
fn stop(process: Process) -> Result<()> {
    use std::os::unix::process::ExitStatusExt;

    process.signal(nix::sys::signal::Signal::SIGTERM)?;
    let finished = process.wait(Duration::from_secs(5))?;
    ensure!(
        finished.status.signal() == Some(15),
        "solo5-spt ended with {}:\n{}",
        finished.status,
        finished.text
    );
    println!("Stopped with SIGTERM; the network is gone with this process");
    Ok(())
}

fn command_line(unikernel: &Unikernel) -> String {
    let command = unikernel.command();
    let program = Path::new(command.get_program()).file_name();
    let words: Vec<String> = program
        .into_iter()
        .chain(command.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    words.join(" ")
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
