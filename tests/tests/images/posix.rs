//! Programs in plain BSD style do the same under Linux, with its C library, and as unikernels with the
//! `posix` headers: the same source, the same arguments, the same peer, the same output.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::{reset_on_close, tcp_echo_checked};
use mnet_tests::prefix::{succeed, workspace};
use mnet_tests::process::{Finished, Process};
use mnet_tests::tap::Tap;

use crate::Test;
use crate::fixture::{Fixture, GUEST, HOST};
use crate::ipv6::eventually;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("what_goes_wrong_has_the_error_that_linux_has", errors),
    ("a_server_with_select_serves_many", select_echo),
    ("a_server_out_of_a_textbook_passes_lines_on", chat),
    ("printed_text_is_the_same_to_the_byte", text),
    ("a_client_with_getaddrinfo_fetches", fetch),
    ("a_server_with_poll_answers_datagrams", poll_udp),
    ("a_unikernel_has_its_own_stack_if_it_likes", own_main),
    ("a_socket_may_change_while_a_fiber_waits_for_it", fibers),
];

const PATIENCE: Duration = Duration::from_secs(30);

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Linux,
    Image,
}

impl Place {
    /// The address of a program that runs there.
    fn address(self) -> Ipv4Addr {
        match self {
            Self::Linux => HOST,
            Self::Image => GUEST,
        }
    }
}

/// A program, built for both, and the network between them.
struct Both<'a> {
    fixture: &'a Fixture,
    linux: PathBuf,
    image: PathBuf,
    _tap: Tap,
}

impl<'a> Both<'a> {
    fn new(fixture: &'a Fixture, name: &str) -> Result<Self> {
        let directory = fixture.directory(&format!("posix-{name}"))?;
        let source = workspace().join(format!("posix/tests/{name}.c"));
        let strict = ["-O2", "-Wall", "-Wextra", "-Werror"];
        let linux = directory.join(name);
        let mut native = Command::new("gcc");
        native.arg("-D_GNU_SOURCE").args(strict).arg("-o");
        succeed(native.arg(&linux).arg(&source))?;
        let image = build(fixture, &source, &directory, &strict)?;
        let tap = Tap::with_address("tap0", HOST, 24)?;
        // Linux talks to itself as well.
        succeed(Command::new("ip").args(["link", "set", "lo", "up"]))?;
        Ok(Self {
            fixture,
            linux,
            image,
            _tap: tap,
        })
    }

    fn start(&self, place: Place, arguments: &[String]) -> Result<Process> {
        if place == Place::Linux {
            return Process::start(Command::new(&self.linux).args(arguments));
        }
        let unikernel = self
            .fixture
            .unikernel(&self.image)
            .option("--mem=16")
            .option("--net:service=tap0")
            .argument("--solo5:quiet")
            .argument(format!("--ipv4={GUEST}/24"))
            .argument("--");
        unikernel.arguments(arguments).start()
    }

    /// Does the same in both places, and insists on the same end and the same output.
    fn compare<T: PartialEq + std::fmt::Debug>(
        &self,
        arguments: impl Fn(Place) -> Vec<String>,
        talk: impl Fn(Place, &Process) -> Result<T>,
    ) -> Result<(Finished, T)> {
        let [linux, image] = [Place::Linux, Place::Image].map(|place| {
            let process = self.start(place, &arguments(place))?;
            let heard = talk(place, &process).with_context(|| process.text())?;
            Ok::<_, anyhow::Error>((process.wait(PATIENCE)?, heard))
        });
        let (linux, image) = (linux.context("Linux")?, image.context("the image")?);
        for (theirs, ours) in linux.0.text.lines().zip(image.0.text.lines()) {
            ensure!(theirs == ours, "Linux: {theirs:?}, we: {ours:?}");
        }
        ensure!(
            linux.0.text == image.0.text && linux.0.status.code() == image.0.status.code(),
            "Linux: {linux:?}\nwe: {image:?}"
        );
        ensure!(linux.1 == image.1, "{:?} and {:?}", linux.1, image.1);
        ensure!(image.0.status.success(), "{image:?}");
        Ok(image)
    }
}

/// Builds a program with what is installed.
fn build(fixture: &Fixture, source: &Path, directory: &Path, more: &[&str]) -> Result<PathBuf> {
    let manifest = workspace().join("c-examples/echo/manifest.json");
    let mut generate = fixture.prefix.tool("solo5-elftool");
    generate.arg("gen-manifest").arg(manifest).arg("manifest.c");
    succeed(generate.current_dir(directory))?;
    let image = directory.join(source.with_extension("spt").file_name().unwrap_or_default());
    let mut compile = fixture.prefix.tool("x86_64-solo5-none-static-cc");
    compile.args(["-z", "solo5-abi=spt"]).args(more).arg("-I");
    compile.arg(fixture.prefix.root().join("include/mnet-posix"));
    compile.arg("-o").arg(&image).arg(source);
    succeed(
        compile
            .args(["manifest.c", "-lmnet-posix", "-lmnet"])
            .current_dir(directory),
    )?;
    Ok(image)
}

/// A listener of ours, and what it does with each connection.
fn serve(act: fn(TcpStream) -> std::io::Result<()>) -> Result<u16> {
    let listener = TcpListener::bind((HOST, 0))?;
    let port = listener.local_addr()?.port();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || act(client));
        }
    });
    Ok(port)
}

fn errors(fixture: &Fixture) -> Result<()> {
    let both = Both::new(fixture, "errors")?;
    let hello = serve(|mut client| {
        client.write_all(b"hello")?;
        client.read_to_end(&mut Vec::new())?;
        Ok(())
    })?;
    let reset = serve(|mut client| {
        client.read_exact(&mut [0])?;
        reset_on_close(&client)
    })?;
    let holds = serve(|_client| {
        loop {
            thread::park();
        }
    })?;
    let closed = TcpListener::bind((HOST, 0))?.local_addr()?.port();
    let arguments = |place: Place| {
        let ports = [hello, reset, closed, holds].map(|port| port.to_string());
        let ends = [HOST, place.address()].map(|address| address.to_string());
        let [host, own] = ends;
        [&[host][..], &ports, &[own]].concat()
    };
    let (finished, ()) = both.compare(arguments, |_, _| Ok(()))?;
    let lines = finished.text.lines().count();
    ensure!(lines > 390, "only {lines} lines:\n{}", finished.text);
    Ok(())
}

/// Until a server answers.
fn connect(address: Ipv4Addr, port: u16) -> Result<TcpStream> {
    let service = SocketAddrV4::new(address, port);
    let attempt = || Ok(TcpStream::connect_timeout(&service.into(), PATIENCE)?);
    eventually(&service.to_string(), attempt)
}

fn select_echo(fixture: &Fixture) -> Result<()> {
    const CLIENTS: u64 = 24;
    let both = Both::new(fixture, "select_echo")?;
    let arguments = |_| vec!["7007".to_owned(), (CLIENTS + 1).to_string()];
    let (finished, ()) = both.compare(arguments, |place, _| {
        let mut first = connect(place.address(), 7007)?;
        let service = SocketAddrV4::new(place.address(), 7007);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|seed| thread::spawn(move || tcp_echo_checked(service, seed, 300_000)))
            .collect();
        for client in clients {
            client.join().expect("a client does not panic")?;
        }
        // The first one was there all the time.
        first.write_all(b"still here")?;
        first.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        first.read_to_string(&mut answer)?;
        ensure!(answer == "still here", "{answer:?}");
        Ok(())
    })?;
    ensure!(finished.text == "done\n", "{:?}", finished.text);
    Ok(())
}

fn chat(fixture: &Fixture) -> Result<()> {
    let both = Both::new(fixture, "chat")?;
    let arguments = |_| vec!["7007".to_owned(), "2".to_owned()];
    let (finished, ()) = both.compare(arguments, |place, _| {
        let mut first = connect(place.address(), 7007)?;
        let mut second = connect(place.address(), 7007)?;
        second.write_all(b"anybody there?\n")?;
        expect(&mut first, "anybody there?\n")?;
        first.write_all(b"I am\n")?;
        expect(&mut second, "I am\n")?;
        drop(first);
        Ok(())
    })?;
    let want = "waiting on port 7007 for 2\n4: from 10.0.0.1\n5: from 10.0.0.1\n\
                5: anybody there?\n4: I am\n4: has gone\n5: has gone\n";
    ensure!(finished.text == want, "{}", finished.text);
    Ok(())
}

fn text(fixture: &Fixture) -> Result<()> {
    let both = Both::new(fixture, "text")?;
    let arguments = |_| vec!["one".to_owned(), "two".to_owned()];
    let (finished, ()) = both.compare(arguments, |_, _| Ok(()))?;
    let lines = finished.text.lines().count();
    ensure!(lines >= 65, "only {lines} lines:\n{}", finished.text);
    Ok(())
}

fn fetch(fixture: &Fixture) -> Result<()> {
    let both = Both::new(fixture, "fetch")?;
    let port = serve(|mut client| {
        let mut asked = String::new();
        client.read_to_string(&mut asked)?;
        let words = asked.lines().rev().collect::<Vec<_>>().join("\n");
        client.write_all(format!("{words}\n{}\n", "x".repeat(100_000)).as_bytes())
    })?;
    let port = port.to_string();
    let arguments = |_| {
        [&HOST.to_string(), &port, "one", "'two words'", "three"]
            .map(str::to_owned)
            .to_vec()
    };
    // A shell would have taken the quotation marks away; the image does so itself.
    let linux = |place| {
        let words: Vec<String> = arguments(place);
        match place {
            Place::Linux => words.iter().map(|word| word.replace('\'', "")).collect(),
            Place::Image => words,
        }
    };
    let (finished, ()) = both.compare(linux, |_, _| Ok(()))?;
    ensure!(finished.text.starts_with("three\ntwo words\none\nxxx"));
    ensure!(finished.text.len() > 100_000);
    Ok(())
}

fn poll_udp(fixture: &Fixture) -> Result<()> {
    let both = Both::new(fixture, "poll_udp")?;
    let arguments = |_| vec!["7009".to_owned()];
    let (finished, heard) = both.compare(arguments, |place, process| {
        let socket = UdpSocket::bind((HOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(200)))?;
        let (start, mut heard) = (Instant::now(), Vec::new());
        for size in [0, 1, 100, 1_472, 1_473, 9_000, 60_000] {
            let text: Vec<u8> = (b'a'..=b'z').cycle().take(size).collect();
            let mut buffer = vec![0; 65_536];
            // It may not have begun to listen.
            let len = loop {
                socket.send_to(&text, (place.address(), 7009))?;
                match socket.recv(&mut buffer) {
                    Ok(len) if len == size => break len,
                    _ => ensure!(start.elapsed() < PATIENCE, "{size}: {}", process.text()),
                }
            };
            heard.push(buffer[..len].to_vec());
        }
        socket.send_to(b"quit", (place.address(), 7009))?;
        Ok(heard)
    })?;
    ensure!(heard[2][..27] == *b"ABCDEFGHIJKLMNOPQRSTUVWXYZA");
    ensure!(finished.text == "quit\n", "{:?}", finished.text);
    Ok(())
}

/// With `solo5_app_main` and a stack opened by hand, sockets work all the same, and the handle of one
/// goes to a call of `mnet.h`.
fn own_main(fixture: &Fixture) -> Result<()> {
    let directory = fixture.directory("posix-own")?;
    let source = workspace().join("posix/tests/own_main.c");
    let image = build(fixture, &source, &directory, &["-O2", "-Wall", "-Werror"])?;
    let _tap = Tap::with_address("tap0", HOST, 24)?;
    let unikernel = fixture
        .unikernel(&image)
        .option("--net:service=tap0")
        .argument("--solo5:quiet");
    let process = unikernel.start()?;
    let mut client = connect(GUEST, 7)?;
    let mut text = String::new();
    client.read_to_string(&mut text)?;
    ensure!(
        text == "CLOSE-WAIT? ESTABLISHED",
        "{text}: {}",
        process.text()
    );
    let finished = process.wait(PATIENCE)?;
    ensure!(finished.status.success(), "{finished:?}");
    Ok(())
}

/// What Linux leaves open, or does not have: descriptors that are closed, and fibers that are canceled,
/// while a call waits.
fn fibers(fixture: &Fixture) -> Result<()> {
    let directory = fixture.directory("posix-fibers")?;
    let source = workspace().join("posix/tests/fibers.c");
    let image = build(fixture, &source, &directory, &["-O2", "-Wall", "-Werror"])?;
    let _tap = Tap::with_address("tap0", HOST, 24)?;
    let port = serve(|mut client| {
        client.read_to_end(&mut Vec::new())?;
        Ok(())
    })?;
    let unikernel = fixture
        .unikernel(&image)
        .option("--net:service=tap0")
        .argument("--solo5:quiet")
        .argument(port.to_string());
    let process = unikernel.start()?;
    let talk = || {
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(connect(GUEST, 7)?);
        }
        let mut client = connect(GUEST, 7)?;
        expect(&mut client, "it still works")?;
        client.write_all(b"y")?;
        expect(&mut client, "\n")?;
        let mut last = connect(GUEST, 7)?;
        expect(&mut last, "welcome\n")?;
        last.write_all(b"z")?;
        last.read_to_end(&mut Vec::new())?;
        Ok::<_, anyhow::Error>(())
    };
    talk().with_context(|| process.text())?;
    let finished = process.wait(PATIENCE)?;
    ensure!(finished.text == FIBERS, "{}", finished.text);
    ensure!(finished.status.success(), "{finished:?}");
    Ok(())
}

fn expect(client: &mut TcpStream, words: &str) -> Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let mut heard = vec![0; words.len()];
    client.read_exact(&mut heard)?;
    ensure!(heard == words.as_bytes(), "{words:?}, not {heard:?}");
    Ok(())
}

const FIBERS: &str = "\
user timeout of a listener: 7000
without delay, as the stack: 1
close: 0
poll: 1
what there is: 32
close: 0
select: -1, errno 9
close: 0
the same descriptor: 1
recv: -1, errno 9
send: 3
recv: -1, errno 125
send: 6
send: 5
recv without waiting: 1
set: 0
user timeout: 30000
set: 0
user timeout: 0
set: 0
user timeout: 100
close what is not there: -1, errno 9
send: 1
what was accepted: 1
send: 8
the same descriptor: 1
connect: -1, errno 9
it has a handle: 0
close: 0
recv of all: 1
";
