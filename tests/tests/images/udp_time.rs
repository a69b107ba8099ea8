//! The example `udp-time` with rdate, chrony, and questions that no client asks.

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use mnet_tests::process::{Process, run};
use mnet_tests::tap::Tap;

use crate::Test;
use crate::fixture::{Fixture, GUEST, HOST};
use crate::ipv6::{dual_tap, eventually};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("chrony_and_rdate_take_the_time", clients),
    ("only_questions_of_clients_are_answered", questions),
];

const PATIENCE: Duration = Duration::from_secs(60);
/// Seconds from 1900 to 1970.
const EPOCH: u64 = 2_208_988_800;

fn start(fixture: &Fixture, test: &str) -> Result<(Process, Tap)> {
    let directory = fixture.directory(test)?;
    let image = fixture.prefix.build_example("udp-time", &directory)?;
    let tap = dual_tap()?;
    let process = fixture
        .unikernel(&image)
        .option("--mem=16")
        .option("--net:service=tap0")
        .argument(format!("--ipv4={GUEST}/24"))
        .argument("--ipv6=2001:db8::2/64")
        .start()?;
    process.wait_for("the Time Protocol at [::]:37", PATIENCE)?;
    Ok((process, tap))
}

fn clients(fixture: &Fixture) -> Result<()> {
    let (_image, _tap) = start(fixture, "time-clients")?;
    for address in ["10.0.0.2", "2001:db8::2"] {
        eventually("the first answer", || {
            let mut command = Command::new("chronyd");
            command.args(["-Q", "-t", "20", "-u", "root", "-f", "/dev/null"]);
            let server = format!("server {address} iburst maxsamples 1");
            let finished = run(command.args([&server, "cmdport 0"]), PATIENCE)?;
            // "System clock wrong by 0.000012 seconds (ignored)"
            let wrong = finished
                .text
                .split("wrong by ")
                .nth(1)
                .and_then(|rest| rest.split(' ').next())
                .with_context(|| finished.text.clone())?;
            let wrong: f64 = wrong.parse()?;
            ensure!(wrong.abs() < 1.0, "{}", finished.text);
            Ok(())
        })?;
    }
    let finished = run(
        Command::new("rdate").args(["-p", "-u", "10.0.0.2"]),
        PATIENCE,
    )?;
    ensure!(finished.status.success(), "{}", finished.text);
    let mut told = Command::new("date");
    let told = run(told.args(["+%s", "--date", finished.text.trim()]), PATIENCE)?;
    let told: u64 = told
        .text
        .trim()
        .parse()
        .with_context(|| told.text.clone())?;
    ensure!(told.abs_diff(now()?.as_secs()) < 30, "{}", finished.text);
    Ok(())
}

fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

/// The answers to these datagrams, sent one after the other from one port; the last one must have one.
fn ask(port: u16, questions: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    let service = SocketAddr::from((GUEST, port));
    let socket = UdpSocket::bind((HOST, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(service)?;
    for question in questions {
        socket.send(question)?;
    }
    // In order: what is not answered before the last answer is not answered at all.
    let mut answers = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let length = socket.recv(&mut buffer)?;
        answers.push(buffer[..length].to_vec());
        let last = questions.last().context("no questions")?;
        if port == 37 || buffer[24..32] == last[40..48] {
            return Ok(answers);
        }
    }
}

fn questions(fixture: &Fixture) -> Result<()> {
    let (_image, _tap) = start(fixture, "time-questions")?;
    // Version 4, client; the time by which the client knows its answer.
    let question = |flags: u8, mark: u8| {
        let mut packet = vec![0; 48];
        packet[0] = flags;
        packet[2] = 6;
        packet[40..48].fill(mark);
        packet
    };
    let mut unanswered: Vec<Vec<u8>> = vec![vec![], vec![0x23], question(0x23, 1)[..47].to_vec()];
    // Every mode but the client's, and versions that do not exist.
    for mode in [0, 1, 2, 4, 5, 6, 7] {
        unanswered.push(question(4 << 3 | mode, 2));
    }
    for version in [0, 5, 6, 7] {
        unanswered.push(question(version << 3 | 3, 3));
    }
    let mut all: Vec<&[u8]> = unanswered.iter().map(Vec::as_slice).collect();
    let good = question(0x23, 4);
    all.push(&good);
    let answers = ask(123, &all)?;
    ensure!(answers.len() == 1, "{} answers", answers.len());
    let answer = &answers[0];
    ensure!(answer.len() == 48 && answer[0] == 4 << 3 | 4, "{answer:?}");
    ensure!(answer[1] == 10 && answer[2] == 6, "{answer:?}");
    let word = |at: usize| {
        let bytes = answer.get(at..at + 4)?;
        Some(u64::from(u32::from_be_bytes(bytes.try_into().ok()?)))
    };
    let (received, sent) = (word(32).context("short")?, word(40).context("short")?);
    let real = now()?.as_secs() + EPOCH;
    ensure!(
        received <= sent && sent.abs_diff(real) < 30,
        "{received} {sent} {real}"
    );
    // An older version, and more than a header: the answer is a header of that version.
    let longer = [question(1 << 3 | 3, 5), vec![0; 400]].concat();
    let answers = ask(123, &[&longer])?;
    ensure!(
        answers[0].len() == 48 && answers[0][0] == 1 << 3 | 4,
        "{answers:?}"
    );

    let answers = ask(37, &[b""])?;
    let seconds = u32::from_be_bytes(answers[0].as_slice().try_into()?);
    ensure!(u64::from(seconds).abs_diff(now()?.as_secs() + EPOCH) < 30);
    Ok(())
}
