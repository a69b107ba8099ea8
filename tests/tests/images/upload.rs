//! `rust-examples/upload`: files in, an archive out, in a guest with less memory than a file.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{Pattern, reset_on_close};
use mnet_tests::prefix::workspace;
use mnet_tests::process::{Process, run};
use mnet_tests::statistics;
use mnet_tests::tap::Tap;

use crate::Test;
use crate::cargo_solo5::{REACTION_TIME, ends_with, prints};
use crate::fixture::{Fixture, GUEST, HOST};
use crate::ipv6::within;

pub(crate) const TESTS: &[(&str, Test)] = &[
    (
        "a_file_larger_than_the_guest_comes_back",
        larger_than_memory,
    ),
    ("an_archive_goes_to_another_connection", another_connection),
    ("who_takes_nothing_is_not_read_from", back_pressure),
    ("clients_that_vanish_leave_nothing", vanishing_clients),
    ("what_is_no_upload_is_refused", refusals),
    ("its_own_tests_pass", own_tests),
];

/// The guest's memory, in MiB, and the length of a file that does not fit into it.
const MEMORY: &str = "--mem=32";
const LARGE: usize = 40 << 20;
/// What the host may see in use of the guest and its tender, in KiB.
const MOST_RESIDENT: u64 = 12 << 10;

/// A running image, and a directory.
pub(crate) struct Server {
    _tap: Tap,
    process: Process,
    pub(crate) directory: PathBuf,
}

pub(crate) fn start(fixture: &Fixture, test: &str, arguments: &[&str]) -> Result<Server> {
    let example = workspace().join("rust-examples/upload");
    ends_with(0, fixture, &example, &["build"])?;
    let image = workspace().join("rust-examples/target/solo5/debug/upload.spt");
    let tap = Tap::with_address("tap0", HOST, 24)?;
    let process = fixture
        .unikernel(&image)
        .option(MEMORY)
        .option("--net:service=tap0")
        .argument(format!("--ipv4={GUEST}/24"))
        .arguments(arguments)
        .start()?;
    process.wait_for("listening on port 80", REACTION_TIME)?;
    Ok(Server {
        _tap: tap,
        process,
        directory: fixture.directory(&format!("upload-{test}"))?,
    })
}

impl Server {
    pub(crate) fn bash(&self, script: &str) -> Result<String> {
        let mut command = Command::new("bash");
        command
            .args(["-e", "-o", "pipefail", "-c", script])
            .current_dir(&self.directory);
        let finished = run(&mut command, Duration::from_secs(120))?;
        ensure!(
            finished.status.success(),
            "{script}: {}\n{}",
            finished.status,
            finished.text
        );
        Ok(finished.text)
    }
}

/// A file of bytes that do not get smaller.
pub(crate) fn noise(path: &Path, len: usize, seed: u64) -> Result<()> {
    let mut bytes = vec![0; len];
    Pattern::new(seed).fill(&mut bytes);
    Ok(fs::write(path, bytes)?)
}

fn larger_than_memory(fixture: &Fixture) -> Result<()> {
    let server = start(fixture, "large", &[])?;
    noise(&server.directory.join("large.bin"), LARGE, 1)?;
    fs::write(
        server.directory.join("text.txt"),
        "many times\n".repeat(500_000),
    )?;
    let text = server.bash(
        "curl -sS --fail -F field=value -F a=@large.bin -F b=@text.txt \
            -F 'c=@text.txt;filename=../../x/text.txt' http://10.0.0.2/zip -o all.zip
        unzip -tq all.zip
        unzip -p all.zip large.bin | cmp - large.bin
        unzip -p all.zip text.txt | cmp - text.txt
        unzip -p all.zip 3-text.txt | cmp - text.txt
        unzip -l all.zip",
    )?;
    prints(&text, "No errors detected in compressed data")?;
    prints(&text, " 3 files")?;
    // What passed through was never kept.
    let resident = statistics::memory(server.process.pid()?, "VmHWM")?;
    println!("{resident} KiB at most");
    ensure!(resident < MOST_RESIDENT, "{resident} KiB were in use");
    // One connection for several uploads.
    server.bash(
        "curl -sS --fail -v -F a=@text.txt http://10.0.0.2/zip -o 1.zip \
            --next -F a=@text.txt http://10.0.0.2/zip -o 2.zip 2> log
        grep 'Re-using existing connection' log
        cmp 1.zip 2.zip
        unzip -tq 1.zip",
    )?;
    Ok(())
}

/// What the page does in a browser, which reads no answer before it has sent everything.
fn another_connection(fixture: &Fixture) -> Result<()> {
    let server = start(fixture, "other", &["--patience=2s"])?;
    noise(&server.directory.join("file.bin"), 8 << 20, 2)?;
    for order in ["taker & sender", "sender & taker"] {
        let text = server.bash(&format!(
            "taker() {{ curl -sS --fail http://10.0.0.2/zip/word -o taken.zip; }}
            sender() {{ curl -sS --fail -F a=@file.bin http://10.0.0.2/zip/word; }}
            {order}
            wait
            unzip -p taken.zip file.bin | cmp - file.bin
            rm taken.zip"
        ))?;
        prints(&text, "1 files")?;
    }
    // Nobody waits for ever.
    let text = server.bash(
        "curl -sS -w '%{http_code}\\n' http://10.0.0.2/zip/alone
        curl -sS -w '%{http_code}\\n' -F a=@file.bin http://10.0.0.2/zip/alone",
    )?;
    prints(&text, "There is no such upload.\n404\n")?;
    prints(&text, "Nobody asks for the archive.\n409\n")?;
    prints(&server.bash("curl -sS --fail http://10.0.0.2/")?, "<form")
}

fn connect() -> Result<TcpStream> {
    let address = SocketAddr::from((GUEST, 80));
    let stream = TcpStream::connect_timeout(&address, REACTION_TIME)?;
    stream.set_read_timeout(Some(REACTION_TIME))?;
    Ok(stream)
}

/// Begins to upload a file; what is answered is not read yet.
fn begin() -> Result<TcpStream> {
    let mut stream = connect()?;
    let head = "POST /zip HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\
        Content-Type: multipart/form-data; boundary=word\r\n\r\n--word\r\n\
        Content-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n";
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

/// The first line of an answer.
fn status(stream: &mut TcpStream) -> Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.push(byte[0]);
    }
    Ok(String::from_utf8(line)?.trim_end().to_owned())
}

/// Somebody who sends and does not read is read from only until the buffers on the way are full,
/// and then dropped when our patience ends.
fn back_pressure(fixture: &Fixture) -> Result<()> {
    let _server = start(fixture, "pressure", &["--patience=3s"])?;
    let mut stream = begin()?;
    stream.set_write_timeout(Some(REACTION_TIME))?;
    let mut piece = vec![0; 64 << 10];
    let mut pattern = Pattern::new(3);
    let mut sent = 0;
    let deadline = Instant::now() + REACTION_TIME;
    let ended = loop {
        pattern.fill(&mut piece);
        match stream.write(&piece) {
            Ok(len) => sent += len,
            Err(error) => break error.kind(),
        }
        ensure!(Instant::now() < deadline, "{sent} bytes were taken");
    };
    ensure!(
        matches!(ended, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        "{ended}"
    );
    // The buffers of both ends, in both directions.
    ensure!(sent < 24 << 20, "{sent} bytes were taken");
    Ok(())
}

/// As many uploads as there may be at once are broken off, again and again: together they would take
/// more memory than there is. Then there is place for as many as before.
fn vanishing_clients(fixture: &Fixture) -> Result<()> {
    const PLACES: usize = 16;
    let server = start(fixture, "vanish", &[])?;
    for round in 0..8 {
        let mut clients = Vec::new();
        for _ in 0..PLACES {
            let mut client = begin()?;
            ensure!(status(&mut client)? == "HTTP/1.1 200 OK");
            clients.push(client);
        }
        let mut late = begin()?;
        let answer = status(&mut late)?;
        ensure!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        for (index, client) in clients.iter_mut().enumerate() {
            client.write_all(&vec![7; 10_000 * index])?;
            if (round + index) % 2 == 0 {
                // A reset instead of an end that is too early.
                reset_on_close(client)?;
            }
        }
        drop(clients);
        // The last of them may still be on their way out.
        within(REACTION_TIME, "a place", || {
            let answer = status(&mut begin()?)?;
            ensure!(answer == "HTTP/1.1 200 OK", "after round {round}: {answer}");
            Ok(())
        })?;
        within(REACTION_TIME, "all places", || have_places(PLACES))?;
    }
    noise(&server.directory.join("file.bin"), 1 << 20, 4)?;
    server
        .bash("curl -sS --fail -F a=@file.bin http://10.0.0.2/zip -o a.zip && unzip -tq a.zip")?;
    Ok(())
}

/// So many uploads can begin at once. Lets go of them.
fn have_places(places: usize) -> Result<()> {
    let mut begun = Vec::new();
    for _ in 0..places {
        let mut client = begin()?;
        let answer = status(&mut client)?;
        ensure!(
            answer == "HTTP/1.1 200 OK",
            "only {} places: {answer}",
            begun.len()
        );
        begun.push(client);
    }
    Ok(())
}

fn refusals(fixture: &Fixture) -> Result<()> {
    let server = start(fixture, "refusals", &["--verbosity=info", "--log=tcp"])?;
    // What the log says of all this.
    let added = "info ip: interface 1: static address 10.0.0.2/24 is ours\n";
    server.process.wait_for(added, REACTION_TIME)?;
    fs::write(server.directory.join("small"), "some text")?;
    let text = server.bash(
        "status() { curl -sS -o answer -w '%{http_code}\\n' \"$@\"; cat answer; }
        status -d x=y http://10.0.0.2/zip
        status http://10.0.0.2/nothing
        status -X PUT http://10.0.0.2/zip
        curl -sS -o broken.zip -w '%{http_code} %{exitcode}\n' \
            -H 'Content-Type: multipart/form-data; boundary=x' -d nonsense http://10.0.0.2/zip ||
            true",
    )?;
    // The archive has begun, and breaks off.
    prints(&text, "200 56\n")?;
    prints(&text, "415\nA form with files is wanted")?;
    prints(&text, "404\nThere is no such page.\n404\n")?;
    // A form with more files than the directory at the end can have.
    let part = "--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n\r\n";
    let form = part.repeat(513) + "--x--\r\n";
    fs::write(server.directory.join("many"), form)?;
    let text = server.bash(
        "curl -sS -o many.zip -w '%{http_code} %{exitcode}\n' \
            -H 'Content-Type: multipart/form-data; boundary=x' --data-binary @many \
            http://10.0.0.2/zip || true
        curl -sS --fail -F a=@small http://10.0.0.2/zip -o a.zip
        unzip -p a.zip small",
    )?;
    prints(&text, "200 56\n")?;
    prints(&text, "some text")?;
    let log = server.process.text();
    prints(&log, "debug tcp: 10.0.0.2:80 opened by peer 10.0.0.1:")?;
    prints(&log, " ended: closed by both sides\n")
}

fn own_tests(fixture: &Fixture) -> Result<()> {
    let example = workspace().join("rust-examples/upload");
    let text = ends_with(0, fixture, &example, &["test"]).context("cargo solo5 test")?;
    prints(&text, "test result: ok. 6 passed")
}
