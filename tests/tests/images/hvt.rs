//! The echo image in a virtual machine serves Linux clients as it does as a process.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{ping, tcp_echo_checked, udp_echo};
use mnet_tests::process::run;

use crate::Test;
use crate::fixture::{Fixture, GUEST, Machine, SERVICE};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("hello_runs_in_a_virtual_machine", hello_runs),
    ("echo_serves_through_the_ring", serves_through_the_ring),
    ("echo_serves_by_hypercalls", serves_by_hypercalls),
];

/// Whether there is KVM. If not, says so.
fn has_kvm() -> bool {
    let kvm = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    match kvm {
        Ok(_) => true,
        Err(error) => {
            println!("skipped: /dev/kvm: {error}");
            false
        }
    }
}

fn hello_runs(fixture: &Fixture) -> Result<()> {
    if !has_kvm() {
        return Ok(());
    }
    let directory = fixture.directory("hvt-hello")?;
    let (folder, name) = ("c-examples/hello", "hello");
    let image = fixture
        .prefix
        .build_image_for("hvt", folder, name, &directory)?;
    let unikernel = fixture.unikernel(&image).argument("--solo5:quiet");
    let finished = run(&mut unikernel.command(), Duration::from_secs(10))?;
    ensure!(
        finished.status.success() && finished.text.contains("Hello from a unikernel!"),
        "{} (signal {:?}): {}",
        finished.status,
        finished.status.signal(),
        finished.text
    );
    Ok(())
}

/// Boots the echo image as a virtual machine with these options; `None` if there is no KVM.
fn boot(fixture: &Fixture, test: &str, options: &[&str]) -> Result<Option<Machine>> {
    if !has_kvm() {
        return Ok(None);
    }
    let directory = fixture.directory(test)?;
    let (folder, name) = ("c-examples/echo", "echo");
    let image = fixture
        .prefix
        .build_image_for("hvt", folder, name, &directory)?;
    let unikernel = options
        .iter()
        .fold(fixture.echo_unikernel_of(&image), |unikernel, option| {
            unikernel.option(*option)
        });
    fixture.boot(&unikernel).map(Some)
}

/// Pings and datagrams of many sizes, one stream of some length, and many clients at once.
fn serve(machine: &Machine, bytes: u64) -> Result<()> {
    for (sequence, size) in (0..).zip([0, 1, 56, 1471, 1472]) {
        ping(GUEST, sequence, size, Duration::from_secs(5))?;
    }
    for size in [0, 1, 2, 63, 64, 500, 1471, 1472] {
        udp_echo(SERVICE, size.try_into()?, size)?;
    }
    let transfer = tcp_echo_checked(SERVICE, 1, bytes)?;
    println!(
        "{} MiB there and back in {:.1?}",
        bytes >> 20,
        transfer.elapsed
    );
    let clients: Vec<_> = (0..64)
        .map(|seed| thread::spawn(move || tcp_echo_checked(SERVICE, seed, 100_000)))
        .collect();
    for (number, client) in clients.into_iter().enumerate() {
        let result = client.join().expect("a client does not panic");
        result.with_context(|| format!("client {number}; {}", machine.account()))?;
    }
    Ok(())
}

fn serves_through_the_ring(fixture: &Fixture) -> Result<()> {
    match boot(fixture, "hvt-ring", &[])? {
        Some(machine) => serve(&machine, 64 << 20),
        None => Ok(()),
    }
}

fn serves_by_hypercalls(fixture: &Fixture) -> Result<()> {
    match boot(fixture, "hvt-hypercalls", &["--no-net-ring"])? {
        Some(machine) => serve(&machine, 8 << 20),
        None => Ok(()),
    }
}
