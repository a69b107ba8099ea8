//! Every command of the README works, in order, and prints what the README shows; so do those of
//! examples' READMEs and of chapters. Links in the documentation lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mnet_tests::prefix::{copy_folder, workspace};
use mnet_tests::process::{Process, run};
use mnet_tests::transcript::{self, Block};
use nix::sys::signal::Signal;

use crate::Test;
use crate::fixture::Fixture;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("every_command_works", every_command_works),
    ("every_command_of_the_example_block_works", |fixture| {
        example_works(fixture, "block")
    }),
    ("every_command_of_the_example_client_works", |fixture| {
        example_works(fixture, "client")
    }),
    ("every_command_of_the_example_dhcp_works", |fixture| {
        example_works(fixture, "dhcp")
    }),
    ("every_command_of_the_example_udp_time_works", |fixture| {
        example_works(fixture, "udp-time")
    }),
    ("every_command_of_the_example_web_works", |fixture| {
        example_works(fixture, "web")
    }),
    (
        "every_step_of_the_chapter_on_web_servers_works",
        |fixture| chapter_works(fixture, "web-server"),
    ),
    ("links_lead_somewhere", links_lead_somewhere),
];

/// The command that runs this test, and so cannot be run by it.
const THIS: &str = "cargo xtask test";

/// Long enough for a first build on a slow machine.
const COMMAND_TIME: Duration = Duration::from_secs(1200);
/// Long enough for an image to boot and speak.
const REACTION_TIME: Duration = Duration::from_secs(20);

fn every_command_works(fixture: &Fixture) -> Result<()> {
    let page = fs::read_to_string(workspace().join("README.md"))?;
    let blocks = transcript::parse(&page);
    ensure!(
        page.contains(THIS) && blocks.len() > 3,
        "the README does not look like one"
    );
    let home = fixture.directory("readme")?;
    follow(&blocks, &home, &workspace(), None)
}

/// The page of an example, in a copy of its folder and with the installation on the path.
fn example_works(fixture: &Fixture, name: &str) -> Result<()> {
    let home = fixture.directory(&format!("readme-{name}"))?;
    let folder = home.join(name);
    copy_folder(&workspace().join("c-examples").join(name), &folder)?;
    let page = fs::read_to_string(folder.join("README.md"))?;
    let blocks = transcript::parse(&page);
    ensure!(
        blocks.len() > 1,
        "the page of {name} does not look like one"
    );
    follow(&blocks, &home, &folder, Some(&fixture.prefix.bin()))
}

/// A chapter that builds programs: each block of C that begins with the name of a file becomes that
/// file, then its commands are typed.
fn chapter_works(fixture: &Fixture, name: &str) -> Result<()> {
    let home = fixture.directory(&format!("chapter-{name}"))?;
    let page = fs::read_to_string(workspace().join("docs").join(name).with_extension("md"))?;
    let mut programs = 0;
    for block in page.split("```c\n").skip(1) {
        let code = block.split("```").next().unwrap_or_default();
        let file = code
            .strip_prefix("/* ")
            .and_then(|code| code.split(':').next());
        if let Some(file) = file.filter(|file| file.ends_with(".c")) {
            fs::write(home.join(file), code)?;
            programs += 1;
        }
    }
    let blocks = transcript::parse(&page);
    ensure!(
        programs > 0 && blocks.len() > 1,
        "{name} does not look like a chapter"
    );
    follow(&blocks, &home, &home, Some(&fixture.prefix.bin()))
}

/// Types all commands of a page. The terminals begin in a directory, with another one on the path.
fn follow(blocks: &[Block], home: &Path, directory: &Path, bin: Option<&Path>) -> Result<()> {
    let first = Terminal::open(home, "first", directory, bin)?;
    let second = Terminal::open(home, "second", directory, bin)?;
    let mut running: Option<(Process, String)> = None;
    for (index, block) in blocks.iter().enumerate() {
        let next_is_second = blocks
            .get(index + 1)
            .is_some_and(|next: &Block| next.second_terminal);
        if !block.second_terminal
            && let Some((process, text)) = running.take()
        {
            interrupt(process).with_context(|| format!("stopping `{text}`"))?;
        }
        let terminal = if block.second_terminal {
            &second
        } else {
            &first
        };
        for (position, command) in block.commands.iter().enumerate() {
            let text = &command.text;
            let is_last = position + 1 == block.commands.len();
            if text == THIS {
                continue;
            }
            if is_last && next_is_second && !block.second_terminal {
                let process = terminal.start(text)?;
                shows(&process, command).with_context(|| format!("`{text}`"))?;
                running = Some((process, text.clone()));
                continue;
            }
            let output = terminal.run(text)?;
            if let Some(line) = command.missing_from(&output) {
                bail!("`{text}` does not print {line:?} as the page shows, but:\n{output}");
            }
        }
    }
    ensure!(running.is_none(), "the page never stops what it started");
    Ok(())
}

/// Waits until a running command has printed what the page shows.
fn shows(process: &Process, command: &transcript::Command) -> Result<()> {
    let start = Instant::now();
    while let Some(line) = command.missing_from(&process.text()) {
        ensure!(
            start.elapsed() < REACTION_TIME && !process.has_ended(Duration::from_millis(10))?,
            "does not print {line:?}, but:\n{}",
            process.text()
        );
    }
    Ok(())
}

/// Ctrl-C.
fn interrupt(process: Process) -> Result<()> {
    ensure!(
        !process.has_ended(Duration::ZERO)?,
        "it has ended by itself:\n{}",
        process.text()
    );
    process.signal(Signal::SIGINT)?;
    process.wait(REACTION_TIME)?;
    Ok(())
}

/// A terminal: keeps its directory and its exported variables from command to command.
struct Terminal {
    home: PathBuf,
    state: PathBuf,
}

impl Terminal {
    fn open(home: &Path, name: &str, directory: &Path, bin: Option<&Path>) -> Result<Self> {
        let state = home.join(format!(".{name}"));
        let mut script = format!("cd '{}'\n", directory.display());
        if let Some(bin) = bin {
            script += &format!("export PATH='{}':\"$PATH\"\n", bin.display());
        }
        fs::write(&state, script)?;
        Ok(Self {
            home: home.to_path_buf(),
            state,
        })
    }

    /// Runs a command to its end; what it printed.
    fn run(&self, text: &str) -> Result<String> {
        let save =
            "status=$?; { export -p; printf 'cd %q\\n' \"$PWD\"; } > \"$STATE\"; exit $status";
        let finished = run(&mut self.bash(&format!("{text}\n{save}")), COMMAND_TIME)?;
        ensure!(
            finished.status.success(),
            "`{text}` ended with {}:\n{}",
            finished.status,
            finished.text
        );
        Ok(finished.text)
    }

    /// Starts a command that keeps running.
    fn start(&self, text: &str) -> Result<Process> {
        Process::start(&mut self.bash(&format!("exec {text}")))
    }

    fn bash(&self, script: &str) -> Command {
        // Where cargo and rustup keep their things if nothing says otherwise.
        let real_home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .unwrap_or_default();
        let mut command = Command::new("bash");
        for (variable, directory) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(variable).is_none() {
                command.env(variable, real_home.join(directory));
            }
        }
        command
            .args(["--noprofile", "--norc", "-c"])
            .arg(format!(". \"$STATE\"; sudo() {{ \"$@\"; }}\n{script}"))
            .env("STATE", &self.state)
            .env("HOME", &self.home)
            .env("USER", "root")
            // There is no network to fetch anything from, and everything is there.
            .env("CARGO_NET_OFFLINE", "true");
        command
    }
}

fn links_lead_somewhere(_: &Fixture) -> Result<()> {
    let mut checked = 0;
    for directory in [workspace(), workspace().join("docs")] {
        for entry in fs::read_dir(&directory)? {
            let page = entry?.path();
            if page.extension().is_none_or(|extension| extension != "md") {
                continue;
            }
            let text = fs::read_to_string(&page)?;
            for link in text.split("](").skip(1) {
                let target = link.split([')', '#']).next().unwrap_or_default();
                if target.is_empty() || target.contains("://") {
                    continue;
                }
                ensure!(
                    directory.join(target).exists(),
                    "{} links to {target}, which is not there",
                    page.display()
                );
                checked += 1;
            }
        }
    }
    ensure!(checked > 10, "only {checked} links were found");
    Ok(())
}
