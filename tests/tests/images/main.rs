//! Whole images against Linux.
//!
//! Each test runs in a network of its own: a thread that has left the common one, a TAP device, an
//! image under `solo5-spt` or `solo5-hvt`. Where networks cannot be made the tests are skipped, with the reason;
//! under CI (`CI=true`) that is a failure.
//!
//! `$MNET_PREFIX` names an installation made by `cargo xtask dist`; without it one is made.

mod block;
mod browser;
mod builds;
mod cargo_solo5;
mod client;
mod dhcp;
mod dhcp6;
mod dhcp_example;
mod dist;
mod echo;
mod echo_ways;
mod fixture;
mod flood;
mod fragments;
mod hostile;
mod hvt;
mod input;
mod interfaces;
mod ipv6;
mod kv;
mod leaks;
mod manifest_code;
mod multicast;
mod path_changes;
mod path_mtu;
mod paths;
mod posix;
mod readme;
mod rust_parts;
mod thc_ipv6;
mod tools;
mod udp_time;
mod upload;
mod web;

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use mnet_tests::namespace;

use fixture::Fixture;

/// A test: fails with an error or a panic.
type Test = fn(&Fixture) -> Result<()>;

/// All tests: each module lists its own.
const TESTS: &[(&str, &[(&str, Test)])] = &[
    ("block", block::TESTS),
    ("browser", browser::TESTS),
    ("builds", builds::TESTS),
    ("cargo_solo5", cargo_solo5::TESTS),
    ("client", client::TESTS),
    ("dhcp6", dhcp6::TESTS),
    ("dhcp_example", dhcp_example::TESTS),
    ("dhcp", dhcp::TESTS),
    ("dist", dist::TESTS),
    ("echo", echo::TESTS),
    ("echo_ways", echo_ways::TESTS),
    ("flood", flood::TESTS),
    ("fragments", fragments::TESTS),
    ("hostile", hostile::TESTS),
    ("hvt", hvt::TESTS),
    ("input", input::TESTS),
    ("interfaces", interfaces::TESTS),
    ("ipv6", ipv6::TESTS),
    ("kv", kv::TESTS),
    ("leaks", leaks::TESTS),
    ("manifest_code", manifest_code::TESTS),
    ("multicast", multicast::TESTS),
    ("path_changes", path_changes::TESTS),
    ("path_mtu", path_mtu::TESTS),
    ("paths", paths::TESTS),
    ("posix", posix::TESTS),
    ("readme", readme::TESTS),
    ("rust_parts", rust_parts::TESTS),
    ("thc_ipv6", thc_ipv6::TESTS),
    ("tools", tools::TESTS),
    ("udp_time", udp_time::TESTS),
    ("upload", upload::TESTS),
    ("web", web::TESTS),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    // Must come before the first thread, and before anything is opened or made.
    let capable = namespace::check_tun().and_then(|()| namespace::become_capable());
    let fixture = if arguments.list {
        None
    } else {
        match Fixture::new() {
            Ok(fixture) => Some(Arc::new(fixture)),
            Err(error) => {
                eprintln!("images: cannot build what is tested: {error:#}");
                return ExitCode::FAILURE;
            }
        }
    };
    let missing = capable.err().map(|error| format!("{error:#}"));
    let trials = TESTS
        .iter()
        .flat_map(|(module, tests)| tests.iter().map(move |test| (module, test)))
        .map(|(module, &(name, test))| {
            let (fixture, missing) = (fixture.clone(), missing.clone());
            Trial::ignorable_test(format!("{module}::{name}"), move || {
                if let Some(reason) = missing {
                    return skip(reason);
                }
                let fixture = fixture.context("tests run only with a fixture")?;
                match isolated(&fixture, test) {
                    Ok(()) => Ok(Completion::Completed),
                    Err(error) if error.is::<Skipped>() => {
                        Ok(Completion::ignored_with(error.to_string()))
                    }
                    Err(error) => match error.downcast::<Missing>() {
                        Ok(missing) => skip(missing.to_string()),
                        Err(error) => Err(format!("{error:#}").into()),
                    },
                }
            })
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test that cannot run here.
fn skip(reason: String) -> Result<Completion, Failed> {
    if std::env::var_os("CI").is_some_and(|value| value == "true") {
        return Err(format!("skipped under CI: {reason}").into());
    }
    Ok(Completion::ignored_with(reason))
}

/// A program that a test needs is not installed, so the test is skipped.
#[derive(Debug)]
struct Missing(&'static str);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not installed", self.0)
    }
}

impl std::error::Error for Missing {}

/// Why a test has nothing to do, under CI as well: what it is about is not worth installing for it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Skipped(&'static str);

/// Asks for a program of the host that not every test needs.
fn needs(program: &'static str) -> Result<()> {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    });
    if found {
        Ok(())
    } else {
        Err(Missing(program).into())
    }
}

/// Runs a test in a thread and a network of its own.
fn isolated(fixture: &Fixture, test: Test) -> Result<()> {
    let result = thread::scope(|scope| {
        let test = scope.spawn(|| {
            namespace::enter_new_network()?;
            test(fixture)
        });
        test.join()
    });
    result.unwrap_or_else(|_| bail!("panicked"))
}
