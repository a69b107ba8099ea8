//! `rust-examples/kv`: what was answered with OK is there after the tender was killed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;

use anyhow::{Result, ensure};
use mnet_tests::prefix::workspace;
use mnet_tests::process::Process;
use mnet_tests::tap::Tap;
use nix::sys::signal::Signal;

use crate::Test;
use crate::cargo_solo5::{REACTION_TIME, ends_with, prints};
use crate::fixture::{Fixture, GUEST, HOST};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("what_was_acknowledged_survives_a_kill", survives),
    ("its_own_tests_pass", own_tests),
];

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect() -> Result<Self> {
        let address = SocketAddr::from((GUEST, 4000));
        let stream = TcpStream::connect_timeout(&address, REACTION_TIME)?;
        stream.set_read_timeout(Some(REACTION_TIME))?;
        Ok(Self(BufReader::new(stream)))
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }

    fn ask(&mut self, request: &str) -> Result<String> {
        self.0
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())?;
        self.line()
    }
}

fn survives(fixture: &Fixture) -> Result<()> {
    let example = workspace().join("rust-examples/kv");
    ends_with(0, fixture, &example, &["build"])?;
    let image = workspace().join("rust-examples/target/solo5/debug/kv.spt");
    let disk = fixture.directory("kv")?.join("disk.img");
    fs::write(&disk, vec![0; 4 << 20])?;
    let _tap = Tap::with_address("tap0", HOST, 24)?;
    let start = || -> Result<Process> {
        let unikernel = fixture
            .unikernel(&image)
            .option("--mem=16")
            .option("--net:service=tap0")
            .option(format!("--block:storage={}", disk.display()))
            .argument(format!("--ipv4={GUEST}/24"));
        let process = unikernel.start()?;
        process.wait_for("listening on port 4000", REACTION_TIME)?;
        Ok(process)
    };
    let mut acknowledged = 0;
    for _ in 0..4 {
        let process = start()?;
        let mut client = Client::connect()?;
        for number in 0..acknowledged {
            let value = client.ask(&format!("GET key{number:04}"))?;
            ensure!(value == format!("value {number}"), "{number}: {value}");
        }
        for _ in 0..40 {
            let request = format!("SET key{acknowledged:04} value {acknowledged}");
            let answer = client.ask(&request)?;
            ensure!(answer == "OK", "{answer}");
            acknowledged += 1;
        }
        // One more is under way when the tender is killed.
        let more = format!("SET key{acknowledged:04} value {acknowledged}\n");
        client.0.get_mut().write_all(more.as_bytes())?;
        process.signal(Signal::SIGKILL)?;
        let finished = process.wait(REACTION_TIME)?;
        // It had not ended by itself.
        ensure!(
            finished.status.signal() == Some(libc::SIGKILL),
            "{finished:?}"
        );
    }
    let _process = start()?;
    let mut client = Client::connect()?;
    ensure!(client.ask("DEL key0000")? == "OK");
    ensure!(client.ask("GET key0000")? == "NONE");
    ensure!(client.ask("nonsense")?.starts_with("ERROR"));
    let mut line = client.ask("LIST")?;
    for number in 1..acknowledged {
        ensure!(line == format!("key{number:04} value {number}"), "{line}");
        line = client.line()?;
    }
    // The one that was under way is there as a whole, or not at all.
    if line == format!("key{acknowledged:04} value {acknowledged}") {
        line = client.line()?;
    }
    ensure!(line == "END", "{line}");
    Ok(())
}

fn own_tests(fixture: &Fixture) -> Result<()> {
    let example = workspace().join("rust-examples/kv");
    let text = ends_with(0, fixture, &example, &["test"])?;
    prints(&text, "test result: ok. 3 passed")
}
