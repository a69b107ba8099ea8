//! What `cargo xtask test` runs, suite by suite.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Subcommand;

use crate::cargo::{cargo, generators, metadata, succeed, workspace};
use crate::report::{self, Outcome};
use crate::spec::files;
use crate::{dist, machines, needs, reference, rules, spec};

/// One line of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand, clap::ValueEnum)]
pub(crate) enum Suite {
    /// Formatting.
    Fmt,
    /// No dependency needs a newer compiler than `rust-version`.
    RustVersion,
    /// Dependencies between crates point the right way.
    Layers,
    /// Every MUST of RFC 9293 is implemented and tested; the tests that SECURITY.md, docs/targets.md
    /// and docs/from-ocaml.md name exist, none of guests is missing in the second, and each promise of the
    /// third has one or a reason.
    /// Alone it prints all requirements and where each stands.
    Spec,
    /// Licences and sources of dependencies, by cargo-deny, if it is installed.
    Deny,
    /// Headers compile as C99, C11 and C++17 without a warning.
    Headers,
    /// Warnings of rustc and clippy; among them, use of anything newer than `rust-version`.
    Lint,
    /// Generated files are up to date.
    Generated,
    /// Unit, integration and documentation tests of all crates.
    Units,
    /// The corpora of the fuzzers.
    Corpora,
    /// Instructions per packet, counted by valgrind, stay below their limits.
    Instructions,
    /// Documentation builds without a warning.
    Docs,
    /// Whole images against Linux, bad input, and every command of the README.
    Images,
    /// Guests of hvt under KVM with AMD's virtualisation, emulated by QEMU, if it is installed.
    Machines,
}

/// All of them, quick ones first.
const ALL: &[Suite] = &[
    Suite::Fmt,
    Suite::RustVersion,
    Suite::Layers,
    Suite::Spec,
    Suite::Deny,
    Suite::Headers,
    Suite::Lint,
    Suite::Generated,
    Suite::Units,
    Suite::Corpora,
    Suite::Instructions,
    Suite::Docs,
    Suite::Images,
    Suite::Machines,
];

/// What is linted: everything, and then what only images are built with.
const LINTED: &[&[&str]] = &[
    &["--workspace", "--all-targets"],
    &["--package=solo5-guest", "--lib", "--features=hvt"],
    &["--package=solo5-guest", "--lib", "--features=spt"],
    &["--package=solo5-guest", "--lib", "--features=stub"],
    &["--package=mnet-ffi", "--lib", "--features=freestanding"],
    &["--package=mnet", "--lib", "--features=image"],
    &["--package=solo5", "--lib", "--features=image"],
];

/// The workspace of unikernels in Rust. Its lock file follows that of this one by itself.
const RUST_EXAMPLES: &str = "--manifest-path=rust-examples/Cargo.toml";

/// Runs suites, all of them when none is named. Whether everything passed.
pub(crate) fn run_all(suites: &[Suite]) -> Result<bool> {
    let suites = if suites.is_empty() { ALL } else { suites };
    needs::provide(suites)?;
    let mut total = Outcome::default();
    for suite in suites {
        print!("{:14}", suite.name());
        std::io::stdout().flush()?;
        let start = Instant::now();
        let outcome = suite
            .run()
            .unwrap_or_else(|error| Outcome::fail(format!("{error:#}\n")));
        println!("{}", report::line(&outcome, start.elapsed()));
        for line in outcome.notes.lines() {
            println!("    {line}");
        }
        total.add(&outcome);
    }
    println!("\n{total}");
    Ok(total.failed == 0)
}

impl Suite {
    fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::RustVersion => "rust-version",
            Self::Layers => "layers",
            Self::Spec => "spec",
            Self::Deny => "deny",
            Self::Headers => "headers",
            Self::Lint => "lint",
            Self::Generated => "generated",
            Self::Units => "units",
            Self::Corpora => "corpora",
            Self::Instructions => "instructions",
            Self::Docs => "docs",
            Self::Images => "images",
            Self::Machines => "machines",
        }
    }

    fn run(self) -> Result<Outcome> {
        match self {
            Self::Fmt => check_all([&[][..], &[RUST_EXAMPLES]].map(|what| {
                let mut command = cargo(&["fmt", "--all", "--check"]);
                command.args(what).args(["--", "--color=never"]);
                command
            })),
            Self::RustVersion => rules::rust_version(&metadata(&[])?),
            Self::Layers => rules::layers(&metadata(&["--no-deps"])?),
            Self::Spec => spec::check(),
            Self::Deny => deny(),
            Self::Headers => headers(),
            Self::Lint => check_all(
                LINTED
                    .iter()
                    .map(|what| {
                        let mut command = cargo(&["clippy", "--quiet", "--locked"]);
                        command.args(*what);
                        command
                    })
                    .chain([cargo(&["clippy", "--quiet", RUST_EXAMPLES])])
                    .map(|mut command| {
                        command.args(["--", "-D", "warnings"]);
                        command
                    }),
            ),
            Self::Generated => check_all(generators(true)),
            Self::Units => check(&mut cargo(&[
                "test",
                "--locked",
                "--no-fail-fast",
                "--workspace",
                "--exclude=mnet-tests",
                "--exclude=mnet-fuzz-harness",
            ])),
            Self::Corpora => check(&mut cargo(&[
                "test",
                "--locked",
                "--package=mnet-fuzz-harness",
            ])),
            Self::Instructions => check(&mut cargo(&[
                "run",
                "--quiet",
                "--locked",
                "--package=mnet-bench-micro",
                "--",
                "check",
            ])),
            Self::Docs => docs(),
            Self::Images => images(),
            Self::Machines => machines::run(),
        }
    }
}

/// Runs a command, counting the tests that it reports.
fn check(command: &mut Command) -> Result<Outcome> {
    let name = command.get_program().display().to_string();
    let output = command
        .env("CARGO_TERM_COLOR", "never")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    // Compiler messages first, then what tests print.
    let text = [output.stderr, output.stdout].concat();
    let text = String::from_utf8_lossy(&text);
    Ok(Outcome::of_tests(&text, output.status.success()))
}

/// Runs several commands and adds up.
fn check_all(commands: impl IntoIterator<Item = Command>) -> Result<Outcome> {
    let mut total = Outcome::default();
    for mut command in commands {
        let outcome = check(&mut command)?;
        total.add(&outcome);
        total.notes += &outcome.notes;
    }
    Ok(total)
}

fn deny() -> Result<Outcome> {
    if needs::find_program("cargo-deny").is_none() {
        return Ok(Outcome::skip(
            "cargo-deny is not installed (cargo install --locked cargo-deny)",
        ));
    }
    check(&mut cargo(&[
        "deny",
        "--offline",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// Compiles each header alone, so that it includes what it needs.
fn headers() -> Result<Outcome> {
    const MODES: [(&str, &str, &str); 3] = [
        ("gcc", "c", "c99"),
        ("gcc", "c", "c11"),
        ("g++", "c++", "c++17"),
    ];
    let root = workspace().root().to_path_buf();
    let (include, posix) = (root.join("include"), root.join("posix/include"));
    let mut commands = Vec::new();
    for header in [files(&include, &["h"])?, files(&posix, &["h"])?].concat() {
        for (compiler, language, standard) in MODES {
            let mut command = Command::new(compiler);
            command
                .args(["-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-pedantic"])
                .arg(format!("-std={standard}"));
            if header.starts_with(&posix) {
                command.arg("-I").arg(&posix);
            }
            command
                .arg("-I")
                .arg(&include)
                .arg("-include")
                .arg(&header)
                // Without it the manifest is a flexible array, which C++ does not have.
                .args(if language == "c++" {
                    &["-DMFT_ENTRIES=1"][..]
                } else {
                    &[]
                })
                .args(["-x", language, "/dev/null"]);
            commands.push(command);
        }
    }
    check_all(commands)
}

/// The documentation of the crates, and the reference of the headers.
fn docs() -> Result<Outcome> {
    let mut total = check(
        cargo(&["doc", "--quiet", "--locked", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    let of_headers = match reference::write()? {
        None => Outcome::skip("doxygen is not installed (apt-get install doxygen)"),
        Some(Ok(())) => Outcome::pass(),
        Some(Err(warnings)) => Outcome::fail(warnings),
    };
    total.add(&of_headers);
    total.notes += &of_headers.notes;
    Ok(total)
}

fn images() -> Result<Outcome> {
    // The tests build these without a network.
    succeed(&mut cargo(&["fetch", "--quiet", "--locked", RUST_EXAMPLES]))?;
    let prefix = workspace().target_dir().join("dist");
    dist::install(&prefix)?;
    check(cargo(&["test", "--locked", "--package=mnet-tests"]).env("MNET_PREFIX", &prefix))
}
