//! The tools of thc-ipv6 against the echo image: what it answers to strange packets, and that floods
//! of them take nothing from it but time.
//!
//! What the image answers is in `docs/thc-ipv6.md`, with Linux beside it and a reason for each
//! difference. That table is what the test compares with.

use std::io::{Read, Write};
use std::net::{SocketAddrV6, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mnet_tests::clients::tcp_echo_checked;
use mnet_tests::process::Process;

use crate::Test;
use crate::fixture::{Fixture, Machine, SERVICE};
use crate::ipv6::{GUEST, boot, eventually, ping};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("implementation6_gets_the_answers_of_the_table", answers),
    ("floods_end_and_leave_nothing", floods),
    ("malformed_packets_end_and_leave_nothing", oddities),
];

/// The table, as a person reads it.
const TABLE: &str = include_str!("../../../docs/thc-ipv6.md");
/// For a tool that does a number of things and ends by itself.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a flood lasts: as many packets as a core can make in that time.
const FLOOD: Duration = Duration::from_secs(2);

/// The image over IPv6, known to its neighbour.
fn start(fixture: &Fixture) -> Result<Machine> {
    let machine = boot(fixture, &format!("{GUEST}/64"))?;
    eventually("the first ping", || ping(&GUEST.to_string(), 56))?;
    Ok(machine)
}

fn tool(name: &str, arguments: &[&str]) -> Result<Process> {
    Process::start(Command::new(format!("atk6-{name}")).args(arguments))
}

/// A row of the table: the number of the test, and what the image answers.
fn expected() -> Vec<(usize, &'static str)> {
    let cells = |line: &'static str| -> Vec<&str> { line.split('|').map(str::trim).collect() };
    TABLE
        .lines()
        .map(cells)
        .filter_map(|cells| Some((cells.get(1)?.parse().ok()?, *cells.get(3)?)))
        .collect()
}

/// What `implementation6` says of each of its tests: "reply", "nothing", or type and code of an
/// ICMPv6 error.
fn answered(output: &str) -> Vec<(usize, String)> {
    output
        .lines()
        .filter_map(|line| {
            let (number, rest) = line.strip_prefix("Test ")?.split_once(':')?;
            let answer = match rest.rsplit_once(" - ")?.1 {
                "we got a reply" => "reply",
                "no reply" => "nothing",
                error => error.strip_prefix("error reply [")?.strip_suffix(']')?,
            };
            Some((number.trim().parse().ok()?, answer.to_owned()))
        })
        .collect()
}

fn answers(fixture: &Fixture) -> Result<()> {
    let machine = start(fixture)?;
    let guest = GUEST.to_string();
    let run = tool("implementation6", &["tap0", &guest])?.wait(PATIENCE)?;
    let got = answered(&run.text);
    let wanted = expected();
    ensure!(
        wanted.len() == 59 && got.len() == 59,
        "the tool was cut short:\n{}",
        run.text
    );
    for ((number, answer), (row, wanted)) in got.iter().zip(&wanted) {
        ensure!(number == row, "test {number}, and row {row} of the table");
        // A reply that is lost on a loaded machine is one that comes at the second try.
        if answer != wanted {
            let number = number.to_string();
            let again =
                tool("implementation6", &["-p", "tap0", &guest, &number])?.wait(PATIENCE)?;
            let answer = answered(&again.text).pop().map(|(_, answer)| answer);
            ensure!(
                answer.as_deref() == Some(wanted),
                "test {number}: {answer:?}, and docs/thc-ipv6.md says {wanted:?}\n{}",
                again.text
            );
        }
    }
    is_well(&machine)
}

/// The image serves: a ping and a stream.
fn is_well(machine: &Machine) -> Result<()> {
    eventually("a ping", || ping(&GUEST.to_string(), 1000))?;
    let service = SocketAddrV6::new(GUEST, SERVICE.port(), 0, 0);
    tcp_echo_checked(service, 9, 1 << 20).with_context(|| machine.account())?;
    Ok(())
}

/// A tool, and the arguments before and after the interface's name.
type Tool = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

/// The floods.
const FLOODS: &[Tool] = &[
    ("flood_advertise6", &[], &["2001:db8::2"]),
    ("flood_solicitate6", &[], &["2001:db8::2"]),
    (
        "flood_solicitate6",
        &["-a"],
        &["2001:db8::2", "2001:db8::2"],
    ),
    ("flood_router6", &[], &[]),
    ("flood_router26", &[], &[]),
    ("flood_router26", &["-F"], &[]),
    ("flood_router26", &["-A"], &[]),
    ("flood_redir6", &[], &["2001:db8::2"]),
    ("flood_rs6", &["-S"], &[]),
    ("flood_unreach6", &["-p", "-R"], &["2001:db8::2"]),
    ("flood_mld6", &[], &[]),
    ("flood_mld26", &[], &[]),
    ("flood_mldrouter6", &[], &[]),
    ("ndpexhaust26", &["-r"], &["2001:db8::2"]),
    ("ndpexhaust26", &["-p", "-R", "-m"], &["2001:db8::2"]),
    ("thcsyn6", &["-r"], &["2001:db8::2", "7"]),
    ("thcsyn6", &["-R", "-f"], &["2001:db8::2", "7"]),
    ("smurf6", &[], &["2001:db8::2"]),
    ("rsmurf6", &[], &["2001:db8::2"]),
    ("fuzz_dhcps6", &[], &[]),
];

fn floods(fixture: &Fixture) -> Result<()> {
    all_end(fixture, FLOODS, FLOOD)
}

/// The oddities: tools that send a number of packets and end, or go on for ever with different ones.
/// Those that begin with asking whether the image is alive, to a hardware address that is not the
/// image's, are told not to.
const ODDITIES: &[Tool] = &[
    ("fragmentation6", &[], &["2001:db8::2"]),
    ("exploit6", &[], &["2001:db8::2"]),
    ("denial6", &[], &["2001:db8::2", "1"]),
    ("denial6", &[], &["2001:db8::2", "2"]),
    ("denial6", &[], &["2001:db8::2", "3"]),
    ("denial6", &[], &["2001:db8::2", "4"]),
    ("denial6", &[], &["2001:db8::2", "5"]),
    ("denial6", &[], &["2001:db8::2", "6"]),
    ("denial6", &[], &["2001:db8::2", "7"]),
    ("randicmp6", &["-p"], &["2001:db8::2"]),
    ("node_query6", &[], &["2001:db8::2"]),
    ("toobig6", &["-u"], &["2001:db8::2", "2001:db8::1", "68"]),
    ("fuzz_ip6", &["-1"], &["2001:db8::2"]),
    ("fuzz_ip6", &["-a", "-2"], &["2001:db8::2"]),
    ("fuzz_ip6", &["-a", "-3"], &["2001:db8::2"]),
    ("fuzz_ip6", &["-a", "-4"], &["2001:db8::2"]),
    ("fuzz_ip6", &["-a", "-7"], &["2001:db8::2"]),
    ("fuzz_ip6", &["-a", "-9"], &["2001:db8::2"]),
    (
        "fuzz_ip6",
        &["-1", "-I", "-F", "-S", "-D", "-H"],
        &["2001:db8::2"],
    ),
];

fn oddities(fixture: &Fixture) -> Result<()> {
    all_end(fixture, ODDITIES, Duration::from_secs(8))
}

/// How many frames of a tool have to come, at least.
fn least(name: &str) -> u64 {
    match name {
        "toobig6" => 1,
        "node_query6" => 3,
        "fragmentation6" => 6,
        _ => 11,
    }
}

/// Runs tools one after the other, each for at most so long. Frames of each have to come, and the
/// image has to go on afterwards.
fn all_end(fixture: &Fixture, tools: &[Tool], longest: Duration) -> Result<()> {
    let machine = start(fixture)?;
    let service = SocketAddrV6::new(GUEST, SERVICE.port(), 0, 0);
    let mut client = TcpStream::connect(service)?;
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    let before = frames_in_use(&machine)?;
    for (name, options, target) in tools {
        let mut arguments = options.to_vec();
        arguments.push("tap0");
        arguments.extend(*target);
        let received = machine.statistic("rx_frames")?;
        let run = tool(name, &arguments)?;
        let _ = run.has_ended(longest)?;
        let text = run.text();
        drop(run);
        // Before anything else is sent that would be counted: what asks for this is one of them.
        let came = machine.statistic("rx_frames")? - received - 1;
        let at_work = came >= least(name) && !text.contains("Error:");
        ensure!(at_work, "{name} {arguments:?} sent {came} frames: {text}");
        survives(&machine, &mut client).with_context(|| format!("{name} {arguments:?}"))?;
    }
    nothing_is_held(&machine, before)
}

/// A connection that was there before still works, and a new one comes about.
fn survives(machine: &Machine, client: &mut TcpStream) -> Result<()> {
    let check = |client: &mut TcpStream| -> Result<()> {
        client.write_all(b"still there?")?;
        let mut answer = [0; 12];
        client.read_exact(&mut answer)?;
        ensure!(&answer == b"still there?", "a wrong answer");
        Ok(())
    };
    check(client).with_context(|| machine.account())?;
    let service = SocketAddrV6::new(GUEST, SERVICE.port(), 0, 0);
    eventually("a new connection", || {
        let address = service.into();
        let mut client = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        check(&mut client)
    })
    .with_context(|| machine.account())
}

fn frames_in_use(machine: &Machine) -> Result<u64> {
    Ok(machine.statistic("frames_total")? - machine.statistic("frames_free")?)
}

/// Fragments are forgotten after a minute, half-open connections sooner.
fn nothing_is_held(machine: &Machine, before: u64) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(90);
    loop {
        let now = frames_in_use(machine)?;
        if now <= before && machine.statistic("half_open")? == 0 {
            return is_well(machine);
        }
        if Instant::now() > deadline {
            bail!(
                "{now} frames in use, {before} before: {}",
                machine.account()
            );
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}
