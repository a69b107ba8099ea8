//! `cargo solo5 test`: each test in a guest of its own.
//!
//! A guest takes about a millisecond to start, and a panic ends it. So a test that fails disturbs no
//! other, and each starts with fresh memory, a fresh TAP device and a fresh disk. The guest's side,
//! and the form of its list, are in the crate `solo5`, `testing.rs`.

use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, ExitCode, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;

use crate::build::{self, Builder, shown};
use crate::cli::{Choice, Rest, TestOptions};
use crate::guest::Starter;
use crate::project::Project;
use crate::report::{self, Outcome, Report};
use crate::run::{QUIET, dies_with_us};
use crate::settings::{Device, Undeclared};
use crate::toolchain::Toolchain;

/// How a guest that aborts ends, and so one that panics.
const ABORTED: i32 = 255;

/// A test, as its program lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Test {
    name: String,
    panic: Panic,
    /// Why it is left out.
    ignored: Option<String>,
}

/// What it means that a test panics.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Panic {
    Fails,
    /// It is as it should be, if the message has this in it.
    Wanted(String),
}

/// How a guest ended, and what it printed.
#[derive(Debug)]
struct Ended {
    /// `None` when it was stopped because its time was over.
    status: Option<ExitStatus>,
    text: String,
}

/// Builds the tests and runs them.
pub(crate) fn test(options: &TestOptions) -> Result<ExitCode> {
    let rest = Rest::try_parse_from(&options.rest).unwrap_or_else(|error| error.exit());
    let choice = options.choice.and(&rest.choice);
    let filters = [&options.filters[..], &rest.filters].concat();
    let project = Project::find(&options.selection)?;
    let toolchain = Toolchain::find()?;
    let starter = |devices: &[Device]| Starter::new(&toolchain, &project, devices, &options.guest);
    let listed = project.settings.listed();
    let listed = listed.as_deref().map(starter).transpose()?;
    let builder = Builder::new(&toolchain, &project, &options.selection)?;
    let mut programs = Vec::new();
    for name in chosen(&project, &options.test)? {
        programs.push((builder.image("--test", &name)?, name));
    }
    if options.no_run {
        return Ok(ExitCode::SUCCESS);
    }
    let mut starters = Vec::new();
    match listed {
        Some(starter) => starters.resize(programs.len(), starter),
        // Each may declare its own, and the settings are for those of the package's programs too.
        None => {
            for (image, _) in &programs {
                let devices = build::devices(image, &project, Undeclared::Ignored)?;
                starters.push(starter(&devices)?);
            }
        }
    }
    Starter::enter_network(&starters)?;
    let timeout = Duration::from_secs(options.timeout);
    let mut all_good = true;
    for ((image, name), starter) in programs.iter().zip(&starters) {
        if !options.selection.quiet && !choice.list {
            eprintln!("     Running tests {name} ({})", shown(image));
        }
        let runner = Runner {
            starter,
            image,
            timeout,
        };
        all_good &= runner.run(&choice, &filters)?;
    }
    Ok(if all_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    })
}

/// The programs to build: those that are named, or all.
fn chosen(project: &Project, wanted: &[String]) -> Result<Vec<String>> {
    let there = project.tests();
    if let Some(unknown) = wanted.iter().find(|name| !there.contains(name)) {
        bail!(
            "there are no tests {unknown}; there are: {}",
            there.join(", ")
        );
    }
    ensure!(
        !there.is_empty(),
        "{} has no tests: they are in tests/NAME.rs, and in Cargo.toml as `[[test]]` with `name = \
         \"NAME\"` and `harness = false`",
        project.package()
    );
    Ok(if wanted.is_empty() {
        there
    } else {
        wanted.to_vec()
    })
}

/// Runs the tests of one program.
struct Runner<'a> {
    starter: &'a Starter,
    image: &'a Path,
    timeout: Duration,
}

impl Runner<'_> {
    /// Runs the tests that are chosen, or lists them; whether none failed.
    fn run(&self, choice: &Choice, filters: &[String]) -> Result<bool> {
        let all = self.list()?;
        let count = all.len();
        let (tests, filtered_out): (Vec<Test>, Vec<Test>) = all
            .into_iter()
            .partition(|test| test.is_chosen(choice, filters));
        if choice.list {
            println!(
                "{}",
                report::listing(tests.iter().map(|test| test.name.as_str()))
            );
            return Ok(true);
        }
        debug_assert_eq!(tests.len() + filtered_out.len(), count);
        let start = Instant::now();
        let mut report = Report::default();
        println!("{}", report::heading(tests.len()));
        for test in &tests {
            print!("test {}{} ... ", test.name, test.mark());
            io::stdout().flush()?;
            let outcome = match &test.ignored {
                Some(reason) if !choice.ignored && !choice.include_ignored => {
                    Outcome::Ignored(reason.clone())
                }
                _ => {
                    let words = ["--run", &test.name];
                    test.judge(&self.boot(&words, choice.nocapture)?, self.timeout)
                }
            };
            println!("{}", report.add(&test.name, outcome));
        }
        println!("{}", report.summary(filtered_out.len(), start.elapsed()));
        Ok(report.is_good())
    }

    /// Asks the program which tests it has.
    fn list(&self) -> Result<Vec<Test>> {
        let ended = self.boot(&["--list"], false)?;
        let mut tests = parse_list(&ended.text).with_context(|| {
            let image = self.image.display();
            format!(
                "{image} does not list its tests (`solo5::test_main!()`), but prints:\n{}",
                ended.text
            )
        })?;
        tests.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tests)
    }

    /// Starts a guest and waits for its end.
    fn boot(&self, words: &[&str], show: bool) -> Result<Ended> {
        let mut arguments = vec![QUIET.to_owned()];
        arguments.extend(words.iter().map(|word| (*word).to_owned()));
        let mut guest = self.starter.guest(self.image, &arguments)?;
        let (reader, writer) = io::pipe()?;
        guest.command.stdout(writer.try_clone()?).stderr(writer);
        let child = dies_with_us(&mut guest.command)
            .spawn()
            .context("cannot run the tender")?;
        // The command has the writing ends; without them the pipe ends with the guest.
        drop(guest);
        wait(child, reader, self.timeout, show)
    }
}

/// Collects what a child prints until it ends, or its time is over.
fn wait(
    mut child: Child,
    mut reader: io::PipeReader,
    timeout: Duration,
    show: bool,
) -> Result<Ended> {
    let (sender, pieces) = mpsc::channel::<Vec<u8>>();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(len @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..len].to_vec()).is_err() {
                return;
            }
        }
    });
    // `None`: later than there are times.
    let deadline = Instant::now().checked_add(timeout);
    let mut bytes = Vec::new();
    let in_time = loop {
        let left = deadline.map_or(Duration::MAX, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        match pieces.recv_timeout(left) {
            Ok(piece) => {
                if show {
                    io::stdout().write_all(&piece)?;
                }
                bytes.extend(piece);
            }
            Err(error) => break error == mpsc::RecvTimeoutError::Disconnected,
        }
    };
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    Ok(Ended {
        status: in_time.then_some(status),
        text: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

/// Reads the list of a program.
fn parse_list(text: &str) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["test", name, panic, expected, runs, reason] => tests.push(Test {
                name: name.to_owned(),
                panic: match panic {
                    "panics" => Panic::Wanted(unescape(expected)),
                    _ => Panic::Fails,
                },
                ignored: (runs == "ignored").then(|| unescape(reason)),
            }),
            [end] if end == format!("end {}", tests.len()) => return Ok(tests),
            _ => bail!("a line that is not of a list: {line:?}"),
        }
    }
    bail!("the list has no end")
}

/// Undoes `str::escape_default`.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match rest.next() {
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('u') => {
                let digits = rest.by_ref().skip(1).take_while(|digit| *digit != '}');
                let code = u32::from_str_radix(&digits.collect::<String>(), 16);
                plain.extend(code.ok().and_then(char::from_u32));
            }
            other => plain.extend(other),
        }
    }
    plain
}

impl Test {
    fn is_chosen(&self, choice: &Choice, filters: &[String]) -> bool {
        let matches = |filter: &String| {
            if choice.exact {
                self.name == *filter
            } else {
                self.name.contains(filter.as_str())
            }
        };
        (filters.is_empty() || filters.iter().any(matches))
            && !choice.skip.iter().any(matches)
            && (!choice.ignored || self.ignored.is_some())
    }

    /// What libtest puts behind the name.
    fn mark(&self) -> &'static str {
        match self.panic {
            Panic::Fails => "",
            Panic::Wanted(_) => " - should panic",
        }
    }

    /// Whether a guest ended as it should.
    fn judge(&self, ended: &Ended, timeout: Duration) -> Outcome {
        let failed = |why: String| {
            let end = if ended.text.is_empty() || ended.text.ends_with('\n') {
                ""
            } else {
                "\n"
            };
            Outcome::Failed(format!("{}{end}{why}", ended.text))
        };
        let Some(status) = ended.status else {
            return failed(format!(
                "note: still running after {timeout:?}, and stopped\n"
            ));
        };
        let panicked = status.code() == Some(ABORTED);
        match &self.panic {
            Panic::Fails if status.success() => Outcome::Passed,
            Panic::Fails if panicked => failed(String::new()),
            Panic::Fails => failed(format!("note: the guest ended with {status}\n")),
            Panic::Wanted(_) if !panicked => {
                let how = if status.success() {
                    String::new()
                } else {
                    format!(", the guest ended with {status}")
                };
                failed(format!("note: test did not panic as expected{how}\n"))
            }
            Panic::Wanted(expected) if ended.text.contains(expected) => Outcome::Passed,
            Panic::Wanted(expected) => failed(format!(
                "note: panic did not contain expected string\n expected substring: {expected:?}\n"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    fn test(name: &str) -> Test {
        Test {
            name: name.to_owned(),
            panic: Panic::Fails,
            ignored: None,
        }
    }

    #[test]
    fn a_list_is_read_and_must_be_complete() {
        let text = "test\ta\tfails\t\tignored\tit \\\"rains\\\"\\t\\u{e9}\n\
                    test\tb::c\tpanics\tout of\\nrange\truns\t\n";
        let tests = parse_list(&format!("{text}end 2\n")).unwrap();
        assert_eq!(tests[0].ignored.as_deref(), Some("it \"rains\"\té"));
        assert_eq!(tests[1].panic, Panic::Wanted("out of\nrange".to_owned()));
        assert_eq!(tests[1].ignored, None);
        assert!(parse_list(text).is_err());
        assert!(parse_list(&format!("{text}end 3\n")).is_err());
        assert!(parse_list("Hello\n").is_err());
        assert_eq!(parse_list("end 0\n").unwrap(), []);
    }

    #[test]
    fn filters_choose_as_those_of_libtest() {
        let chosen = |choice: Choice, filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|text| (*text).to_owned()).collect();
            let mut tests = [test("adds"), test("adds::more"), test("slow")];
            tests[2].ignored = Some(String::new());
            let chosen = tests
                .iter()
                .filter(|test| test.is_chosen(&choice, &filters));
            chosen.map(|test| test.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(chosen(Choice::default(), &[]).len(), 3);
        assert_eq!(chosen(Choice::default(), &["add"]), ["adds", "adds::more"]);
        let exact = Choice {
            exact: true,
            ..Choice::default()
        };
        assert_eq!(chosen(exact, &["adds"]), ["adds"]);
        let skip = Choice {
            skip: vec!["more".to_owned()],
            ..Choice::default()
        };
        assert_eq!(chosen(skip, &[]), ["adds", "slow"]);
        let ignored = Choice {
            ignored: true,
            ..Choice::default()
        };
        assert_eq!(chosen(ignored, &[]), ["slow"]);
    }

    #[test]
    fn there_may_be_no_limit_of_time() {
        for seconds in [10, u64::MAX] {
            let (reader, writer) = io::pipe().unwrap();
            let child = Command::new("echo").stdout(writer).spawn().unwrap();
            let ended = wait(child, reader, Duration::from_secs(seconds), false).unwrap();
            assert!(ended.status.is_some_and(|status| status.success()));
            assert_eq!(ended.text, "\n");
        }
    }

    #[test]
    fn the_end_of_a_guest_is_judged() {
        let ended = |code: Option<i32>, text: &str| Ended {
            status: code.map(|code| ExitStatus::from_raw(code << 8)),
            text: text.to_owned(),
        };
        let judge = |test: &Test, ended: Ended| test.judge(&ended, Duration::from_secs(1));
        let plain = test("a");
        assert_eq!(judge(&plain, ended(Some(0), "")), Outcome::Passed);
        let failed = |outcome: Outcome, want: &str| match outcome {
            Outcome::Failed(text) => assert!(text.contains(want), "{text}"),
            other => panic!("{other:?}"),
        };
        failed(
            judge(&plain, ended(Some(255), "panicked at")),
            "panicked at",
        );
        failed(
            judge(&plain, ended(Some(1), "")),
            "ended with exit status: 1",
        );
        failed(judge(&plain, ended(None, "")), "still running");

        let panics = Test {
            panic: Panic::Wanted("range".to_owned()),
            ..test("b")
        };
        let output = "panicked at x:\nout of range\n";
        assert_eq!(judge(&panics, ended(Some(255), output)), Outcome::Passed);
        failed(
            judge(&panics, ended(Some(0), "")),
            "did not panic as expected",
        );
        failed(
            judge(&panics, ended(Some(1), "")),
            "did not panic as expected",
        );
        failed(judge(&panics, ended(Some(255), "x")), "expected string");
    }
}
