//! `cargo solo5` as a user has it: installed, in projects that it made, outside of the source tree.
//! And the examples in `rust-examples/`.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mnet_tests::prefix::workspace;
use mnet_tests::process::{Finished, Process, run};
use mnet_tests::tap::Tap;
use nix::sys::signal::Signal;

use crate::Test;
use crate::fixture::{Fixture, GUEST, HOST};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_new_project_runs_and_tests_at_once", a_new_project_works),
    (
        "a_new_service_answers_in_a_network_of_its_own",
        a_new_service_answers,
    ),
    (
        "a_service_answers_on_a_tap_device_that_is_there",
        a_service_on_a_tap,
    ),
    ("a_web_server_of_tasks_answers_as_an_image", a_web_server),
    ("nothing_is_left_on_the_host_after_ctrl_c", nothing_is_left),
    ("tests_are_reported_as_libtest_does", tests_are_reported),
    ("exit_statuses_and_disks_are_passed_on", statuses_and_disks),
    ("what_is_wrong_is_said", what_is_wrong_is_said),
];

/// Long enough to compile everything on a slow machine.
pub(crate) const BUILD_TIME: Duration = Duration::from_secs(1200);
/// Long enough for an image to boot and speak.
pub(crate) const REACTION_TIME: Duration = Duration::from_secs(20);

/// The installed program, in a directory.
pub(crate) fn cargo_solo5(fixture: &Fixture, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = fixture.prefix.tool("cargo-solo5");
    command
        .arg("solo5")
        .args(arguments)
        .current_dir(directory)
        // There is no network to fetch anything from, and everything is there.
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TERM_COLOR", "never")
        // What cargo tells the tests is not for the user's cargo.
        .env_remove("CARGO_TARGET_DIR");
    command
}

fn finish(fixture: &Fixture, directory: &Path, arguments: &[&str]) -> Result<Finished> {
    run(&mut cargo_solo5(fixture, directory, arguments), BUILD_TIME)
}

/// Runs it to an end with this status; what it printed.
pub(crate) fn ends_with(
    status: i32,
    fixture: &Fixture,
    directory: &Path,
    arguments: &[&str],
) -> Result<String> {
    let finished = finish(fixture, directory, arguments)?;
    ensure!(
        finished.status.code() == Some(status),
        "cargo solo5 {arguments:?} ended with {}, not {status}:\n{}",
        finished.status,
        finished.text
    );
    Ok(finished.text)
}

pub(crate) fn prints(text: &str, wanted: &str) -> Result<()> {
    ensure!(text.contains(wanted), "no {wanted:?} in:\n{text}");
    Ok(())
}

/// A fresh project, whose build shares what others of its kind have compiled.
pub(crate) fn project(fixture: &Fixture, name: &str, options: &[&str]) -> Result<PathBuf> {
    let home = fixture.directory("cargo-solo5")?;
    let arguments = [&["new", name], options].concat();
    let text = ends_with(0, fixture, &home, &arguments)?;
    prints(&text, &format!("Created {name}"))?;
    let path = home.join(name);
    fs::create_dir_all(path.join(".cargo"))?;
    let target = home.join("target");
    let config = format!("[build]\ntarget-dir = {target:?}\n");
    fs::write(path.join(".cargo/config.toml"), config)?;
    Ok(path)
}

fn a_new_project_works(fixture: &Fixture) -> Result<()> {
    let path = project(fixture, "first-steps", &[])?;
    for target in targets() {
        let target = format!("--target={target}");
        let text = ends_with(0, fixture, &path, &["run", &target])?;
        prints(&text, "\nHello, world, from a unikernel!\n")?;
        let text = ends_with(
            0,
            fixture,
            &path,
            &["run", "-q", &target, "--", "you", "two"],
        )?;
        ensure!(text == "Hello, you two, from a unikernel!\n", "{text}");
        let text = ends_with(0, fixture, &path, &["test", &target])?;
        prints(&text, "\nrunning 3 tests\ntest a_name_is_greeted ... ok\n")?;
        prints(&text, "\ntest result: ok. 3 passed; 0 failed; 0 ignored; ")?;
    }
    // Editors and `cargo check` see an ordinary crate.
    let mut check = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    check
        .args(["check", "--offline", "--locked"])
        .current_dir(&path);
    let checked = run(&mut check, BUILD_TIME)?;
    ensure!(checked.status.success(), "{}", checked.text);
    // What is there is not overwritten.
    let again = finish(
        fixture,
        path.parent().context("a parent")?,
        &["new", "first-steps"],
    )?;
    ensure!(!again.status.success(), "{}", again.text);
    prints(&again.text, "already exists")
}

/// The targets that work on this machine.
pub(crate) fn targets() -> Vec<&'static str> {
    let kvm = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    match kvm {
        Ok(_) => vec!["spt", "hvt"],
        Err(_) => vec!["spt"],
    }
}

fn a_new_service_answers(fixture: &Fixture) -> Result<()> {
    let path = project(fixture, "service", &["--net"])?;
    let client = format!("echo Hello | nc -N {GUEST} 7; ping -c 1 {GUEST}");
    for target in targets() {
        let target = format!("--target={target}");
        let text = ends_with(0, fixture, &path, &["run", &target, "--with", &client])?;
        prints(&text, "listening on 10.0.0.2:7\n")?;
        prints(&text, "\nHello\n")?;
        prints(&text, "1 received")?;
        let text = ends_with(0, fixture, &path, &["test", &target])?;
        prints(&text, "\ntest the_network_device_is_there ... ok\n")?;
    }
    // The command's exit status is that of the whole.
    ends_with(7, fixture, &path, &["run", "--with", "exit 7"])?;
    let text = ends_with(1, fixture, &path, &["run", "--", "nonsense"])?;
    prints(&text, "Error: NotAnAddress")
}

/// The example of this repository, on a TAP device that somebody made before.
fn a_service_on_a_tap(fixture: &Fixture) -> Result<()> {
    let directory = workspace().join("rust-examples/echo");
    let _tap = Tap::with_address("tap7", HOST, 24)?;
    ends_with(0, fixture, &directory, &["build"])?;
    let mut command = cargo_solo5(fixture, &directory, &["run", "-q", "--tap", "tap7"]);
    let process = Process::start(&mut command)?;
    process.wait_for("listening on 10.0.0.2:7", BUILD_TIME)?;
    talk()?;
    process.signal(Signal::SIGTERM)?;
    process.wait(REACTION_TIME)?;
    Ok(())
}

/// The example with a task for each client.
fn a_web_server(fixture: &Fixture) -> Result<()> {
    let path = workspace().join("rust-examples/web");
    let curl = "curl -sS http://10.0.0.2/hello/you && \
        head -c 3000000 /dev/zero | curl -sS --data-binary @- http://10.0.0.2/length";
    let text = ends_with(0, fixture, &path, &["run", "--with", curl])?;
    prints(&text, "Hello, you!\n3000000\n")
}

/// Sends something to the echo service and reads it back.
fn talk() -> Result<()> {
    let address = SocketAddr::from((GUEST, 7));
    let mut client = TcpStream::connect_timeout(&address, REACTION_TIME)?;
    client.set_read_timeout(Some(REACTION_TIME))?;
    client.write_all(b"some bytes")?;
    let mut answer = [0; 10];
    client.read_exact(&mut answer)?;
    ensure!(&answer == b"some bytes", "{answer:?}");
    Ok(())
}

/// `--net=host` makes a TAP device where others can reach the guest; here that is this test's
/// network.
fn nothing_is_left(fixture: &Fixture) -> Result<()> {
    let path = workspace().join("rust-examples/echo");
    ends_with(0, fixture, &path, &["build"])?;
    let arguments = ["run", "--net=host", "--host-address=10.0.0.1/24"];
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        ensure!(interfaces()? == ["lo"], "{:?}", interfaces()?);
        let process = Process::start(&mut cargo_solo5(fixture, &path, &arguments))?;
        process.wait_for("listening on 10.0.0.2:7", BUILD_TIME)?;
        ensure!(interfaces()? == ["lo", "tap0"], "{:?}", interfaces()?);
        talk()?;
        process.signal(signal)?;
        process.wait(REACTION_TIME)?;
        // The kernel removes the device when the last descriptor is closed, a moment later.
        let deadline = Instant::now() + REACTION_TIME;
        while interfaces()? != ["lo"] {
            ensure!(Instant::now() < deadline, "{:?} are left", interfaces()?);
        }
    }
    Ok(())
}

/// The names of the interfaces in this thread's network.
fn interfaces() -> Result<Vec<String>> {
    let text = fs::read_to_string("/proc/thread-self/net/dev")?;
    let names = text
        .lines()
        .skip(2)
        .filter_map(|line| line.split(':').next());
    let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

/// Tests of every sort.
const GUEST_TESTS: &str = r#"
#![no_std]
#![no_main]

extern crate alloc;

solo5::test_main!();

#[solo5::test]
fn passes() {
    solo5::println!("nobody sees this");
}

#[solo5::test]
fn fails() {
    assert_eq!(1 + 1, 3, "arithmetic");
}

#[solo5::test]
#[should_panic(expected = "out of")]
fn panics_as_it_should() {
    panic!("out of range");
}

#[solo5::test]
#[should_panic]
fn does_not_panic() {}

#[solo5::test]
#[ignore = "takes long"]
fn slow() {}

#[solo5::test]
fn returns_an_error() -> Result<(), &'static str> {
    Err("a reason")
}

#[solo5::test]
fn ends_by_itself() {
    solo5::exit(3);
}

mod deep {
    #[solo5::test]
    fn memory_is_fresh(start: solo5::StartInfo) {
        let heap = start.heap().len();
        let most = alloc::vec![1_u8; heap / 2];
        assert_eq!(most.iter().map(|byte| usize::from(*byte)).sum::<usize>(), heap / 2);
    }
}
"#;

fn tests_are_reported(fixture: &Fixture) -> Result<()> {
    let path = project(fixture, "tested", &[])?;
    fs::write(path.join("tests/guest.rs"), GUEST_TESTS)?;
    let text = ends_with(101, fixture, &path, &["test", "--timeout=30"])?;
    let shown = [
        "\nrunning 8 tests\n",
        "\ntest deep::memory_is_fresh ... ok\n",
        "\ntest does_not_panic - should panic ... FAILED\n",
        "\ntest ends_by_itself ... FAILED\n",
        "\ntest fails ... FAILED\n",
        "\ntest panics_as_it_should - should panic ... ok\n",
        "\ntest passes ... ok\n",
        "\ntest returns_an_error ... FAILED\n",
        "\ntest slow ... ignored, takes long\n",
        "\nfailures:\n\n---- does_not_panic stdout ----\nnote: test did not panic as expected\n",
        "\n---- ends_by_itself stdout ----\nnote: the guest ended with exit status: 3\n",
        "\n---- fails stdout ----\npanicked at tests/guest.rs:",
        "\nassertion `left == right` failed: arithmetic\n  left: 2\n right: 3\n",
        "\n---- returns_an_error stdout ----\nError: \"a reason\"\n",
        "\nfailures:\n    does_not_panic\n    ends_by_itself\n    fails\n    returns_an_error\n",
        "\ntest result: FAILED. 3 passed; 4 failed; 1 ignored; 0 measured; 0 filtered out; finished",
    ];
    let mut rest = text.as_str();
    for line in shown {
        // One line's end is the next one's beginning.
        let at = rest
            .find(line)
            .with_context(|| format!("no {line:?}, in order, in:\n{text}"))?;
        rest = &rest[at + line.len() - 1..];
    }
    ensure!(!text.contains("nobody sees this"), "{text}");

    let chosen = |arguments: &[&str], status: i32, wanted: &str| {
        let text = ends_with(status, fixture, &path, &[&["test"], arguments].concat())?;
        prints(&text, wanted)
    };
    chosen(&["passes", "--", "--nocapture"], 0, "nobody sees this\n")?;
    chosen(
        &["--exact", "fails"],
        101,
        "0 passed; 1 failed; 0 ignored; 0 measured; 7 filtered",
    )?;
    chosen(
        &["pass", "slow", "--include-ignored"],
        0,
        " 2 passed; 0 failed; 0 ignored; ",
    )?;
    chosen(&["--", "--ignored"], 0, "test slow ... ok\n")?;
    chosen(&["--skip=fail", "panics"], 0, " 1 passed; 0 failed; ")?;
    chosen(&["--list"], 0, "\nslow: test\n\n8 tests, 0 benchmarks\n")
}

/// A guest that reads a block of its disk, counts in it, and returns the count as its status.
const COUNTER: &str = r#"
#![no_std]
#![no_main]

#[solo5::main]
fn main() -> u8 {
    let mut disk = solo5::Block::acquire("storage").unwrap();
    assert_eq!(disk.info().capacity, 1 << 20);
    assert_eq!(disk.info().block_size, 4096);
    let mut block = [0; 4096];
    disk.read(4096, &mut block).unwrap();
    block[0] += 1;
    disk.write(4096, &block).unwrap();
    block[0]
}
"#;

const DISK: &str =
    "[[device]]\nname = \"storage\"\ntype = \"block\"\nsector-size = 4096\nsize = 1\n";

fn statuses_and_disks(fixture: &Fixture) -> Result<()> {
    let path = project(fixture, "counter", &[])?;
    fs::write(path.join("src/main.rs"), COUNTER)?;
    // A disk in memory is new each time; a file stays.
    fs::write(path.join("solo5.toml"), DISK)?;
    for _ in 0..2 {
        ends_with(1, fixture, &path, &["run"])?;
    }
    fs::write(
        path.join("solo5.toml"),
        format!("{DISK}file = \"disk.img\"\n"),
    )?;
    for count in 1..=2 {
        ends_with(count, fixture, &path, &["run"])?;
    }
    ensure!(fs::read(path.join("disk.img"))?[4096] == 2, "not the file");
    let other = path.join("other.img");
    fs::write(&other, vec![7; 1 << 20])?;
    let other = other.display().to_string();
    ends_with(8, fixture, &path, &["run", "--block", &other])?;
    ends_with(
        9,
        fixture,
        &path,
        &["run", "--block", &format!("storage={other}")],
    )?;
    // A panic is an abort, and says where.
    fs::write(path.join("small.img"), vec![0; 8192])?;
    let text = ends_with(255, fixture, &path, &["run", "--block", "small.img"])?;
    prints(&text, "panicked at src/main.rs:")
}

fn what_is_wrong_is_said(fixture: &Fixture) -> Result<()> {
    let path = project(fixture, "wrong", &[])?;
    let settings = path.join("solo5.toml");
    let device = |name: &str| format!("[[device]]\nname = \"{name}\"\ntype = \"net\"\n");
    let many: String = (0..64)
        .map(|number| device(&format!("d{number}")))
        .collect();
    let cases = [
        (
            "[run]\nmemroy = 1\n".to_owned(),
            "solo5.toml:2:1: unknown field `memroy`",
        ),
        (device("a-b"), "solo5.toml:2:8: name is not alphanumeric"),
        (
            device("a") + &device("a"),
            "solo5.toml:5:8: two devices are named a",
        ),
        (many, "solo5.toml:190:1: more than 63 devices"),
        (
            "[[device]]\n".to_owned(),
            "solo5.toml:1:1: missing field `name`",
        ),
    ];
    for (text, wanted) in cases {
        fs::write(&settings, &text)?;
        let output = ends_with(101, fixture, &path, &["build"])?;
        prints(&output, wanted)?;
    }
    fs::write(&settings, device("service"))?;
    let refusals = [
        (
            &["run"][..],
            "the device service needs a TAP device: --tap NAME",
        ),
        (&["run", "--tap=nosuch"], "nosuch"),
        (&["run", "--tap=other=tap0"], "there is no net device other"),
        (&["run", "--block=x"], "the image has no block device"),
        (
            &["run", "--mem=1", "--net"],
            "1 MiB of memory are too few: the image alone takes ",
        ),
        (
            &["build", "--bin=nosuch"],
            "wrong has no program nosuch; it has wrong",
        ),
        (&["build", "--target=xen"], "invalid value 'xen'"),
    ];
    for (arguments, wanted) in refusals {
        let finished = finish(fixture, &path, arguments)?;
        ensure!(
            !finished.status.success(),
            "{arguments:?}: {}",
            finished.text
        );
        prints(&finished.text, wanted)?;
    }
    fs::remove_file(&settings)?;
    let output = ends_with(101, fixture, &path, &["build"])?;
    prints(
        &output,
        "solo5.toml: missing, and there is no `manifest!` in the code.",
    )?;
    let Err(error) = project(fixture, "1st", &[]) else {
        bail!("a package is called 1st");
    };
    prints(&format!("{error:#}"), "the name cannot start with a digit")
}
