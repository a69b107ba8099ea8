//! Bad input gets a clear message and the exit status of solo5-abi section 8.4, never a crash.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mnet_tests::prefix::Unikernel;
use mnet_tests::process::run;
use mnet_tests::tap::Tap;
use object::{Object, ObjectSection};

use crate::Test;
use crate::fixture::{Fixture, GUEST};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("images", images),
    ("options", options),
    ("interfaces", interfaces),
    ("manifests", manifests),
    ("arguments_of_echo", arguments_of_echo),
];

const SECONDS: Duration = Duration::from_secs(10);

/// Runs the tender; it must fail with status 1 and a first line of this text.
fn refuses(unikernel: &Unikernel, line: &str) -> Result<()> {
    expect(&mut unikernel.command(), 1, line)
}

/// Runs a command; it must end with this status and print this as its first line.
fn expect(command: &mut Command, status: i32, line: &str) -> Result<()> {
    let finished = run(command, SECONDS)?;
    let first = finished.text.lines().next().unwrap_or_default();
    ensure!(
        finished.status.code() == Some(status) && first == line,
        "{command:?}\n  wanted status {status} and: {line}\n  got {} and: {}",
        finished.status,
        finished.text
    );
    Ok(())
}

fn images(fixture: &Fixture) -> Result<()> {
    let directory = fixture.directory("input-images")?;
    let echo = fs::read(&fixture.echo)?;
    let path = |name: &str| directory.join(name);
    let refuses = |path: &Path, message: &str| {
        let line = format!("solo5-spt: {}: {message}", path.display());
        refuses(&fixture.unikernel(path), &line)
    };

    refuses(
        &path("missing"),
        "Could not open: No such file or directory",
    )?;

    fs::write(path("short"), b"\x7fELF")?;
    refuses(
        &path("short"),
        "invalid executable: elf header does not match the expected size (4 != 64)",
    )?;

    fs::write(path("text"), [b'x'; 4096])?;
    refuses(
        &path("text"),
        "invalid executable: invalid or unsupported executable \
         (elf header invalid while loading note)",
    )?;

    fs::write(path("hvt"), with_abi_word(&echo, 0, 1)?)?;
    refuses(&path("hvt"), "Executable is not for the solo5-spt target")?;

    fs::write(path("future"), with_abi_word(&echo, 1, 77)?)?;
    refuses(
        &path("future"),
        "Executable requests unsupported ABI version 77",
    )
}

/// The image with another word in the descriptor of its ABI note: 0 is the target, 1 the version.
fn with_abi_word(image: &[u8], word: usize, value: u32) -> Result<Vec<u8>> {
    let file = object::File::parse(image)?;
    let section = file
        .section_by_name(".note.solo5.abi")
        .context("the image has no ABI note")?;
    let (offset, _) = section.file_range().context("a note in no file")?;
    // Three words of header, and the name "Solo5" with its padding.
    let at = usize::try_from(offset)? + 20 + 4 * word;
    let mut image = image.to_vec();
    image[at..at + 4].copy_from_slice(&value.to_le_bytes());
    Ok(image)
}

fn options(fixture: &Fixture) -> Result<()> {
    let echo = fixture.unikernel(&fixture.echo);
    let spt = |arguments: &[&str], status, line: &str| {
        expect(
            fixture.prefix.tool("solo5-spt").args(arguments),
            status,
            line,
        )
    };
    spt(&[], 1, "solo5-spt: Missing KERNEL operand")?;
    spt(&["--"], 1, "solo5-spt: Missing KERNEL operand")?;

    refuses(
        &echo.clone().option("--frobnicate"),
        "solo5-spt: Invalid option: `--frobnicate'",
    )?;
    refuses(
        &echo.clone().option("--mem=none"),
        "solo5-spt: Malformed argument to --mem",
    )?;
    refuses(
        &echo.clone().option("--net:other=tap0"),
        "solo5-spt: Resource not declared in manifest: 'other'",
    )?;
    refuses(
        &echo,
        "solo5-spt: Device 'service' of type NET_BASIC declared but not attached.",
    )?;
    refuses(
        &echo.option("--block:service=/dev/null"),
        "solo5-spt: Resource not declared in manifest: 'service'",
    )
}

fn interfaces(fixture: &Fixture) -> Result<()> {
    let attach = |interface: &str, reason: &str| {
        let unikernel = fixture
            .unikernel(&fixture.echo)
            .option(format!("--net:service={interface}"));
        let line = format!("solo5-spt: Could not attach interface: {interface}: {reason}");
        refuses(&unikernel, &line)
    };
    attach("tap9", "No such file or directory")?;
    attach("a-name-that-is-longer", "File name too long")?;
    attach("lo", "Invalid argument")?;

    let down = Tap::new("tap1")?;
    attach(down.name(), "Network is down")?;

    let busy = Tap::with_address("tap2", GUEST, 24)?;
    let _owner = busy.occupy()?;
    attach(busy.name(), "Device or resource busy")
}

fn manifests(fixture: &Fixture) -> Result<()> {
    let directory = fixture.directory("input-manifests")?;
    let cases = [
        (
            "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 2,\n  \"devices\": []\n}\n",
            "3",
            ".version: invalid version 2, expected 1",
        ),
        (
            "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1\n}\n",
            "1",
            "missing .devices[]",
        ),
        (
            "{\n  \"type\": \"solo5.manifest\",\n  \"version\": 1,\n  \"devices\": [\n    \
             { \"name\": \"not-alphanumeric\", \"type\": \"NET_BASIC\" }\n  ]\n}\n",
            "5",
            "name is not alphanumeric",
        ),
        ("{\n  \"type\": solo5\n}\n", "2", "JSON"),
    ];
    for (number, (json, line, problem)) in cases.iter().enumerate() {
        let source = directory.join(format!("{number}.json"));
        fs::write(&source, json)?;
        let mut command = fixture.prefix.tool("solo5-elftool");
        command.arg("gen-manifest").arg(&source);
        let finished = run(command.arg(directory.join("manifest.c")), SECONDS)?;
        let text = finished.text.trim_end();
        ensure!(
            finished.status.code() == Some(1),
            "{json}: {}",
            finished.status
        );
        ensure!(
            text.lines().count() == 1 && text.contains(problem),
            "{json}: wanted one line with {problem:?}, got: {text}"
        );
        ensure!(
            text.split(|c: char| !c.is_ascii_digit())
                .any(|n| n == *line),
            "{json}: wanted line {line} in: {text}"
        );
    }
    Ok(())
}

/// What echo says of a line, and its status.
fn echo_says(fixture: &Fixture, arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let unikernel = fixture
        .unikernel(&fixture.echo)
        .option("--net:service=tap0")
        .argument("--solo5:quiet")
        .arguments(arguments);
    let finished = run(&mut unikernel.command(), SECONDS)?;
    Ok((finished.status.code(), finished.text))
}

fn arguments_of_echo(fixture: &Fixture) -> Result<()> {
    let _tap = Tap::with_address("tap0", crate::fixture::HOST, 24)?;
    let usage = "usage: echo --ipv4=ADDRESS/PREFIX [OPTIONS]\n";
    let ours = "--ipv4=10.0.0.2/24";
    let address = "an address such as 10.0.0.2/24, dhcp or link-local";
    let cases: &[(&[&str], &str)] = &[
        (&[], "--ipv4 or --ipv6 is missing"),
        (
            &["--ipv4=10.0.0.2"],
            &format!("--ipv4 expected {address}, not 10.0.0.2"),
        ),
        (
            &["--ipv4=10.0.0.2/33"],
            &format!("--ipv4 expected {address}, not 10.0.0.2/33"),
        ),
        (
            &["--ipv4", "10.0.0/24"],
            &format!("--ipv4 expected {address}, not 10.0.0/24"),
        ),
        (
            &[ours, "--port=65536"],
            "--port expected a number from 1 to 65535, not 65536",
        ),
        (
            &[ours, "--port=0"],
            "--port expected a number from 1 to 65535, not 0",
        ),
        (
            &[ours, "--ipv4-gateway=nowhere"],
            "--ipv4-gateway expected an address such as 10.0.0.1, not nowhere",
        ),
        (
            &[ours, "--prot=8"],
            "unknown option --prot; did you mean --port?",
        ),
        (&[ours, "'--port=8"], "a quotation mark (') is not closed"),
        (&[ours, "7"], "unexpected word 7"),
    ];
    for (arguments, expected) in cases {
        let (status, text) = echo_says(fixture, arguments)?;
        ensure!(
            status == Some(1) && text == format!("echo: {expected}\n{usage}"),
            "{arguments:?}: {status:?}\n{text}"
        );
    }
    // What the stack refuses.
    let (status, text) = echo_says(fixture, &["--ipv4=224.0.0.1/24"])?;
    ensure!(
        status == Some(1) && text.starts_with("echo: cannot open the network: "),
        "{text}"
    );
    // Without a network, for nothing is opened.
    let (status, text) = echo_says(fixture, &["--help"])?;
    ensure!(status == Some(0), "{status:?}\n{text}");
    let options = [
        "port=PORT",
        "busy-poll=MICROSECONDS",
        "ipv6=random|eui64|ADDRESS/PREFIX",
    ];
    for option in options {
        ensure!(text.contains(&format!("  --{option}")), "{option}: {text}");
    }
    ensure!(
        text.starts_with(&format!("{usage}\nThe echo service")),
        "{text}"
    );
    Ok(())
}
