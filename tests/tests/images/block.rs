//! The example `block`: what was acknowledged is there after every end of the tender, and devices that
//! are no stores are refused.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mnet_tests::prefix::{copy_folder, workspace};
use mnet_tests::process::Process;
use mnet_tests::tap::Tap;
use nix::sys::signal::Signal;

use crate::fixture::{Fixture, GUEST, HOST};
use crate::hvt::has_kvm;
use crate::{Skipped, Test};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("keys_are_there_after_a_restart", |fixture| {
        survives_restarts(fixture, "spt")
    }),
    ("keys_are_there_after_a_restart_on_hvt", |fixture| {
        if !has_kvm() {
            bail!(Skipped("/dev/kvm cannot be used"));
        }
        survives_restarts(fixture, "hvt")
    }),
    ("what_was_acknowledged_survives_kills", survives_kills),
    ("devices_that_are_no_stores_are_refused", refuses_devices),
    ("lines_of_any_form_are_answered", answers_lines),
];

/// Generous: a loaded machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);
const PORT: u16 = 7000;

/// The image, the device, and a TAP.
struct Machine<'a> {
    fixture: &'a Fixture,
    image: PathBuf,
    storage: PathBuf,
    _tap: Tap,
}

impl<'a> Machine<'a> {
    fn new(fixture: &'a Fixture, test: &str, blocks: u64) -> Result<Self> {
        Self::new_for(fixture, "spt", test, blocks)
    }

    fn new_for(fixture: &'a Fixture, target: &str, test: &str, blocks: u64) -> Result<Self> {
        let directory = fixture.directory(test)?;
        copy_folder(&workspace().join("c-examples/block"), &directory)?;
        let sources = ["block.c", "store.c"];
        let image = fixture
            .prefix
            .build_there(target, "block", &sources, &directory)?;
        let storage = directory.join("storage.img");
        fs::File::create(&storage)?.set_len(blocks * 512)?;
        Ok(Self {
            fixture,
            image,
            storage,
            _tap: Tap::with_address("tap0", HOST, 24)?,
        })
    }

    fn start(&self, arguments: &[&str]) -> Result<Process> {
        self.fixture
            .unikernel(&self.image)
            .option("--mem=16")
            .option("--net:service=tap0")
            .option(format!("--block:storage={}", self.storage.display()))
            .argument(format!("--ipv4={GUEST}/24"))
            .arguments(arguments)
            .start()
    }

    /// Starts it; it must come to the point where it listens.
    fn boot(&self, arguments: &[&str]) -> Result<Process> {
        let process = self.start(arguments)?;
        process.wait_for("keys at 10.0.0.2:7000", PATIENCE)?;
        Ok(process)
    }

    /// Starts it; it must end with this message.
    fn refuses(&self, message: &str) -> Result<()> {
        let finished = self.start(&[])?.wait(PATIENCE)?;
        ensure!(
            finished.status.code() == Some(1) && finished.text.contains(message),
            "{}: {}",
            finished.status,
            finished.text
        );
        Ok(())
    }
}

/// A client, line by line.
struct Client {
    sending: TcpStream,
    receiving: BufReader<TcpStream>,
}

impl Client {
    fn connect() -> Result<Self> {
        let stream = TcpStream::connect_timeout(&SocketAddr::from((GUEST, PORT)), PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            sending: stream.try_clone()?,
            receiving: BufReader::new(stream),
        })
    }

    fn send(&mut self, lines: &str) -> Result<()> {
        Ok(self.sending.write_all(lines.as_bytes())?)
    }

    /// The next line of answer; none at the end.
    fn answer(&mut self) -> Result<Option<String>> {
        let mut line = String::new();
        self.receiving.read_line(&mut line)?;
        Ok(line.strip_suffix('\n').map(str::to_owned))
    }

    fn ask(&mut self, line: &str) -> Result<String> {
        self.send(&format!("{line}\n"))?;
        self.answer()?.context("the connection was closed")
    }

    /// All keys and values.
    fn everything(&mut self) -> Result<BTreeMap<String, String>> {
        self.send("list\n")?;
        let mut keys = Vec::new();
        loop {
            match self.answer()?.context("the connection was closed")? {
                end if end == "end" => break,
                line => keys.push(line.strip_prefix("key ").context("no key")?.to_owned()),
            }
        }
        ensure!(keys.is_sorted(), "{keys:?}");
        let mut all = BTreeMap::new();
        for key in keys {
            let value = self.ask(&format!("get {key}"))?;
            let value = value.strip_prefix("value ").context("no value")?.to_owned();
            all.insert(key, value);
        }
        Ok(all)
    }
}

fn survives_restarts(fixture: &Fixture, target: &str) -> Result<()> {
    let directory = format!("block-restart-{target}");
    let machine = Machine::new_for(fixture, target, &directory, 2_048)?;
    let process = machine.boot(&[])?;
    let mut client = Client::connect()?;
    let long = "x".repeat(4_096);
    ensure!(client.ask("set colour deep  blue")? == "ok");
    ensure!(client.ask(&format!("set long {long}"))? == "ok");
    ensure!(client.ask("set gone soon")? == "ok");
    ensure!(client.ask("set size 12")? == "ok" && client.ask("set size 13")? == "ok");
    ensure!(client.ask("delete gone")? == "ok" && client.ask("delete gone")? == "none");
    process.signal(Signal::SIGTERM)?;
    process.wait(PATIENCE)?;
    let _process = machine.boot(&[])?;
    let all = Client::connect()?.everything()?;
    let expected = [("colour", "deep  blue"), ("long", &long), ("size", "13")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    ensure!(all == BTreeMap::from(expected), "{all:?}");
    Ok(())
}

/// A call of the test's clients, and what it changes.
fn call(random: &mut fastrand::Rng, model: &mut BTreeMap<String, String>) -> String {
    let key = format!("key{}", random.u32(..40));
    if random.u32(..5) == 0 {
        model.remove(&key);
        return format!("delete {key}\n");
    }
    let longest = if random.bool() { 3_000 } else { 30 };
    let length = random.usize(..longest);
    let value: String = std::iter::repeat_with(|| random.alphanumeric())
        .take(length)
        .collect();
    let line = format!("set {key} v{value}\n");
    model.insert(key, format!("v{value}"));
    line
}

/// The tender is killed while calls are under way, again and again. The store is small, so that it
/// is compacted now and then.
fn survives_kills(fixture: &Fixture) -> Result<()> {
    const ROUNDS: usize = 25;
    const CALLS: usize = 200;
    let machine = Machine::new(fixture, "block-kill", 1_024)?;
    let mut random = fastrand::Rng::with_seed(7);
    let mut model = BTreeMap::new();
    let mut under_way = 0;
    for round in 0..ROUNDS {
        let process = machine.boot(&[])?;
        let mut client = Client::connect()?;
        let all = client.everything()?;
        ensure!(
            all == model,
            "round {round}: {} keys, not {}",
            all.len(),
            model.len()
        );
        // What there is after so many calls.
        let mut states = vec![model.clone()];
        let mut lines = String::new();
        for _ in 0..CALLS {
            lines += &call(&mut random, &mut model);
            states.push(model.clone());
        }
        let mut sending = client.sending.try_clone()?;
        // It ends with an error when the tender is killed.
        let sender = std::thread::spawn(move || sending.write_all(lines.as_bytes()).is_ok());
        let kill_after = random.usize(..CALLS * 9 / 10);
        let mut acknowledged = 0;
        while acknowledged < kill_after {
            let answer = client.answer()?.context("the connection was closed")?;
            ensure!(["ok", "none"].contains(&&*answer), "{answer}");
            acknowledged += 1;
        }
        process.signal(Signal::SIGKILL)?;
        process.wait(PATIENCE)?;
        // What had been acknowledged by then and has arrived. Nobody is there any more to say so.
        client.sending.set_nonblocking(true)?;
        while let Ok(Some(_)) = client.answer() {
            acknowledged += 1;
        }
        let _ = client.sending.shutdown(Shutdown::Both);
        let _ = sender.join();
        let process = machine.boot(&[])?;
        let all = Client::connect()?.everything()?;
        let done = (acknowledged..=CALLS).find(|calls| states[*calls] == all);
        let done = done.with_context(|| {
            let earlier = states.iter().position(|state| *state == all);
            format!("round {round}, {acknowledged} acknowledged, but {earlier:?} done")
        })?;
        under_way += usize::from(done > acknowledged);
        model = all;
        drop(process);
    }
    println!("{ROUNDS} kills, {under_way} with calls that were done and not acknowledged");
    Ok(())
}

fn refuses_devices(fixture: &Fixture) -> Result<()> {
    let machine = Machine::new(fixture, "block-refuse", 256)?;
    let storage = &machine.storage;
    let resize = |file: &Path, bytes: u64| -> Result<()> {
        Ok(fs::File::options().write(true).open(file)?.set_len(bytes)?)
    };
    let process = machine.boot(&[])?;
    let mut client = Client::connect()?;
    for number in 0..20 {
        ensure!(client.ask(&format!("set key{number} {number}"))? == "ok");
    }
    drop(process);
    let good = fs::read(storage)?;
    // Sizes: one that the tender refuses, and two that the program does.
    resize(storage, 255 * 512 + 100)?;
    machine.refuses("solo5-spt: ")?;
    resize(storage, 100 * 512)?;
    machine.refuses("block: the device is too small: it has 100 blocks, and needs 255\n")?;
    fs::write(storage, vec![0; 32 * 512])?;
    machine.refuses("block: the device is too small: it has 32 blocks, and needs 33\n")?;
    // Something else.
    let mut other = vec![0; 256 * 512];
    other[1_024] = 1;
    fs::write(storage, &other)?;
    machine.refuses("block: something else is on the device; --format makes a store of it")?;
    let process = machine.boot(&["--format"])?;
    ensure!(
        process.text().contains("block: 0 keys"),
        "{}",
        process.text()
    );
    drop(process);
    // A damage in the middle of the log: its sixth block.
    let mut damaged = good.clone();
    damaged[7 * 512 + 40] ^= 1;
    fs::write(storage, &damaged)?;
    machine.refuses("block: the store is damaged, at block 7; --salvage goes on")?;
    let process = machine.boot(&["--salvage"])?;
    ensure!(
        process.text().contains("block: 19 keys"),
        "{}",
        process.text()
    );
    drop(process);
    // And from then on without being told.
    let process = machine.boot(&[])?;
    ensure!(
        process.text().contains("block: 19 keys"),
        "{}",
        process.text()
    );
    ensure!(Client::connect()?.ask("get key19")? == "value 19");
    Ok(())
}

fn answers_lines(fixture: &Fixture) -> Result<()> {
    let machine = Machine::new(fixture, "block-lines", 256)?;
    let process = machine.boot(&[])?;
    let mut client = Client::connect()?;
    for (line, answer) in [
        ("", "error there are"),
        ("get", "none"),
        ("get nothing", "none"),
        ("set", "error a key has"),
        ("set key", "ok"),
        ("get key", "value"),
        ("set key a\r", "ok"),
        ("get key\r", "value a"),
        ("list all", "error there are"),
        ("GET key", "error there are"),
    ] {
        let got = client.ask(line)?;
        ensure!(got.starts_with(answer), "{line:?}: {got}");
    }
    let long = "k".repeat(65);
    ensure!(
        client
            .ask(&format!("set {long} x"))?
            .starts_with("error a key has")
    );
    ensure!(
        client
            .ask(&format!("set k {}", "x".repeat(4_097)))?
            .starts_with("error a key has")
    );
    // A line that is too long is answered before its end, and once.
    client.send(&"x".repeat(20_000))?;
    ensure!(client.answer()?.as_deref() == Some("error the line is too long"));
    client.send("the rest of it\n")?;
    ensure!(client.ask("get key")? == "value a");
    // A list longer than what is on its way at a time, to a client that reads only then, byte for byte.
    let mut client = Client::connect()?;
    let mut lines = String::new();
    for number in 0..80 {
        lines += &format!("set {number:064} x\n");
    }
    client.send(&lines)?;
    for _ in 0..80 {
        ensure!(client.answer()?.as_deref() == Some("ok"));
    }
    client.send(&"list\n".repeat(300))?;
    client.send("quit\n")?;
    let mut count = 0;
    while let Some(line) = client.answer()? {
        count += usize::from(line.starts_with("key "));
    }
    ensure!(count == 300 * 81, "{count} keys");
    // One client more than there are places; the first one here still has one.
    let clients: Result<Vec<Client>> = (0..63).map(|_| Client::connect()).collect();
    let mut clients = clients?;
    for client in &mut clients {
        ensure!(client.ask("get key")? == "value a");
    }
    let mut more = Client::connect()?;
    ensure!(more.answer()?.as_deref() == Some("error there are too many clients"));
    drop(clients.pop());
    crate::ipv6::eventually("a place", || {
        let answer = Client::connect()?.ask("get key")?;
        ensure!(answer == "value a", "{answer}; {}", process.text());
        Ok(())
    })
}
