//! The echo service in its other two ways: with a poll for all clients, and with a fiber for each.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{connect, ping, tcp_echo_checked, udp_echo};
use mnet_tests::prefix::succeed;
use mnet_tests::process::Process;
use mnet_tests::tap::Tap;

use crate::Test;
use crate::echo::{last_words, no_service_is_answered, send_and_reset, silent_clients};
use crate::fixture::{Fixture, GUEST, HOST, SERVICE};
use crate::ipv6::eventually;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_poll_serves_many_clients", |fixture| {
        serves(fixture, "echo-poll", "echo: one poll for all clients")
    }),
    ("fibers_serve_many_clients", |fixture| {
        serves(fixture, "echo-fibers", "echo: a fiber for each client")
    }),
    (
        "fibers_of_clients_that_left_are_gone",
        memory_of_fibers_comes_back,
    ),
    ("fibers_end_and_the_image_with_them", ends_in_order),
    (
        "only_an_image_with_fibers_has_their_code",
        only_fibers_have_code,
    ),
];

/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(30);

fn image(fixture: &Fixture, name: &str) -> Result<PathBuf> {
    fixture.built(name, |directory| {
        fixture
            .prefix
            .build_image("c-examples/echo", name, directory)
    })
}

/// Starts one of the two on `tap0`.
fn boot(
    fixture: &Fixture,
    name: &str,
    mem: u32,
    more: &[&str],
    ready: &str,
) -> Result<(Process, Tap)> {
    let tap = Tap::with_address("tap0", HOST, 24)?;
    let process = fixture
        .unikernel(&image(fixture, name)?)
        .option(format!("--mem={mem}"))
        .option("--net:service=tap0")
        .argument(format!("--ipv4={GUEST}/24"))
        .arguments(more)
        .start()?;
    process.wait_for(ready, PATIENCE)?;
    eventually("the first ping", || {
        ping(GUEST, 1, 56, Duration::from_secs(1))
    })?;
    Ok((process, tap))
}

/// Many clients at once, while others reset their connection or do not read what they are sent.
fn serves(fixture: &Fixture, name: &str, ready: &str) -> Result<()> {
    const CLIENTS: u64 = 64;
    let (process, _tap) = boot(fixture, name, 16, &[], ready)?;
    let _silent = silent_clients(5)?;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|seed| thread::spawn(move || tcp_echo_checked(SERVICE, seed, 1 << 18)))
        .collect();
    for size in (0..=64).chain([1000, 1472, 9_000]) {
        udp_echo(SERVICE, size.try_into()?, size)?;
    }
    no_service_is_answered()?;
    for _ in 0..10 {
        send_and_reset(10_000)?;
    }
    for client in clients {
        let result = client.join().expect("a client does not panic");
        result.with_context(|| process.text())?;
    }
    last_words()?;
    ensure!(!process.has_ended(Duration::ZERO)?, "{}", process.text());
    Ok(())
}

/// Twenty times as many clients as there is memory for at a time.
fn memory_of_fibers_comes_back(fixture: &Fixture) -> Result<()> {
    let (process, _tap) = boot(fixture, "echo-fibers", 8, &[], "echo: a fiber")?;
    for round in 0..100 {
        let clients: Vec<_> = (0..40)
            .map(|seed| thread::spawn(move || tcp_echo_checked(SERVICE, seed, 1000)))
            .collect();
        for client in clients {
            let result = client.join().expect("a client does not panic");
            result.with_context(|| format!("round {round}: {}", process.text()))?;
        }
    }
    Ok(())
}

/// After so many clients the service stops listening, lets those that are there finish, and ends.
fn ends_in_order(fixture: &Fixture) -> Result<()> {
    let (process, _tap) = boot(fixture, "echo-fibers", 16, &["--limit=3"], "echo: a fiber")?;
    let mut first = connect(SERVICE)?;
    first.write_all(b"first")?;
    for seed in 0..2 {
        tcp_echo_checked(SERVICE, seed, 100_000)?;
    }
    let mut answer = [0; 5];
    first.read_exact(&mut answer)?;
    ensure!(&answer == b"first", "{answer:?}");
    ensure!(connect(SERVICE).is_err(), "nobody listens any more");
    first.write_all(b"there")?;
    first.read_exact(&mut answer)?;
    ensure!(&answer == b"there", "{answer:?}");
    ensure!(!process.has_ended(Duration::ZERO)?, "{}", process.text());
    drop(first);
    let finished = process.wait(PATIENCE)?;
    ensure!(
        finished.status.success() && finished.text.contains("echo: all clients have left"),
        "{}: {}",
        finished.status,
        finished.text
    );
    Ok(())
}

/// What a program does not use is not linked into it.
fn only_fibers_have_code(fixture: &Fixture) -> Result<()> {
    let symbols = |image: &std::path::Path| {
        let mut nm = std::process::Command::new("nm");
        succeed(nm.arg(image))
    };
    let with = image(fixture, "echo-fibers")?;
    for (name, image) in [
        ("echo", fixture.echo.clone()),
        ("echo-poll", image(fixture, "echo-poll")?),
        ("echo-fibers", with.clone()),
    ] {
        let stripped = fixture.directory("echo-ways-size")?.join(name);
        let mut strip = fixture.prefix.tool("x86_64-solo5-none-static-objcopy");
        succeed(strip.arg("--strip-all").arg(&image).arg(&stripped))?;
        println!("{name}: {} bytes", std::fs::metadata(&stripped)?.len());
        let text = symbols(&image)?;
        for part in ["corosensei", "rbtree", "scheduler"] {
            ensure!(
                text.contains(part) == (image == with),
                "{name} and {part} of fibers"
            );
        }
    }
    Ok(())
}
