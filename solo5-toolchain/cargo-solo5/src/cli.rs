//! The command line.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use solo5_abi::constants::AbiTarget;

/// What cargo passes on.
#[derive(Debug, Parser)]
#[command(name = "cargo", bin_name = "cargo", disable_help_subcommand = true)]
pub(crate) enum Cli {
    /// Unikernels in Rust.
    #[command(version, arg_required_else_help = true)]
    Solo5 {
        #[command(subcommand)]
        chore: Chore,
    },
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Chore {
    /// Start a project: a program, its devices, a test, and a page that says what to type.
    New(NewOptions),
    /// Compile and link an image.
    Build(BuildOptions),
    /// Build an image and print the devices that it declares, as JSON.
    Manifest(BuildOptions),
    /// Build an image and run it.
    Run(RunOptions),
    /// Build tests and run each in a guest of its own.
    Test(TestOptions),
}

/// The kind of image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// A process under seccomp, on any Linux.
    #[default]
    Spt,
    /// A virtual machine, where there is /dev/kvm.
    Hvt,
}

impl Target {
    /// Its name in Solo5.
    pub(crate) fn name(self) -> &'static str {
        self.abi().name()
    }

    /// As images have it.
    pub(crate) fn abi(self) -> AbiTarget {
        match self {
            Self::Spt => AbiTarget::Spt,
            Self::Hvt => AbiTarget::Hvt,
        }
    }
}

/// `cargo solo5 new`.
#[derive(Debug, Args)]
pub(crate) struct NewOptions {
    /// Directory to make; its last part is the name of the package.
    pub(crate) path: PathBuf,
    /// Start with a TCP service instead of a greeting.
    #[arg(long)]
    pub(crate) net: bool,
    /// What `build`, `run` and `test` make of it if they are not told.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) target: Target,
}

/// What to build, in cargo's words.
#[derive(Clone, Debug, Args)]
pub(crate) struct Selection {
    /// Package to build.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) package: Option<String>,
    /// The project's Cargo.toml.
    #[arg(long, value_name = "PATH")]
    pub(crate) manifest_path: Option<PathBuf>,
    /// What to build for; the default is in solo5.toml, and otherwise spt.
    #[arg(long, value_enum)]
    pub(crate) target: Option<Target>,
    /// Build with optimisations.
    #[arg(short, long)]
    pub(crate) release: bool,
    /// Build with this profile.
    #[arg(long, value_name = "NAME", conflicts_with = "release")]
    pub(crate) profile: Option<String>,
    /// Features of the package to switch on.
    #[arg(short = 'F', long, value_name = "FEATURES")]
    pub(crate) features: Vec<String>,
    /// Switch on all features of the package.
    #[arg(long)]
    pub(crate) all_features: bool,
    /// Leave the package's default features off.
    #[arg(long)]
    pub(crate) no_default_features: bool,
    /// Fail when Cargo.lock is not up to date.
    #[arg(long)]
    pub(crate) locked: bool,
    /// Do not use the network.
    #[arg(long)]
    pub(crate) offline: bool,
    /// Say nothing but what goes wrong.
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Print the commands that are run.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// `cargo solo5 build` and `cargo solo5 manifest`.
#[derive(Debug, Args)]
pub(crate) struct BuildOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Program to build, if the package has several.
    #[arg(long, value_name = "NAME")]
    pub(crate) bin: Option<String>,
}

/// What a guest gets.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GuestOptions {
    /// Memory of the guest in MiB.
    #[arg(long, value_name = "MIB")]
    pub(crate) mem: Option<u32>,
    /// Attach a TAP device that is there already. The name of ours is needed if there are several.
    #[arg(long, value_name = "[DEVICE=]TAP")]
    pub(crate) tap: Vec<Assignment>,
    /// Make TAP devices for the duration of the run: in a network of its own (`private`, which
    /// needs no root), or in the host's (`host`).
    #[arg(long, value_enum, value_name = "WHERE", num_args = 0..=1, require_equals = true,
          default_missing_value = "private")]
    pub(crate) net: Option<NetworkKind>,
    /// Address of the host's end of a TAP device that is made.
    #[arg(long, value_name = "[DEVICE=]ADDRESS/PREFIX")]
    pub(crate) host_address: Vec<Assignment>,
    /// Attach a file as a block device.
    #[arg(long, value_name = "[DEVICE=]FILE")]
    pub(crate) block: Vec<Assignment>,
    /// Another option for the tender, such as --tender-option=--dumpcore=/tmp.
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub(crate) tender_option: Vec<String>,
}

/// `cargo solo5 run`.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) build: BuildOptions,
    #[command(flatten)]
    pub(crate) guest: GuestOptions,
    /// Run a shell command beside the guest, in its network, and stop the guest when it has ended.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) with: Option<String>,
    /// Arguments of the guest, instead of those in solo5.toml.
    #[arg(last = true)]
    pub(crate) arguments: Vec<String>,
}

/// `cargo solo5 test`.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) guest: GuestOptions,
    /// Programs of tests to run, of those in tests/; all by default.
    #[arg(long, value_name = "NAME")]
    pub(crate) test: Vec<String>,
    /// Build, and run nothing.
    #[arg(long)]
    pub(crate) no_run: bool,
    /// Seconds that a test may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout: u64,
    /// Run only tests with one of these texts in their names.
    pub(crate) filters: Vec<String>,
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// The same as libtest takes them, after `--`.
    #[arg(last = true, allow_hyphen_values = true)]
    pub(crate) rest: Vec<String>,
}

/// Which tests run, and what is shown: options of libtest.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Choice {
    /// Take the filters for whole names.
    #[arg(long)]
    pub(crate) exact: bool,
    /// Leave out tests with this text in their names.
    #[arg(long, value_name = "TEXT")]
    pub(crate) skip: Vec<String>,
    /// Say which tests there are.
    #[arg(long)]
    pub(crate) list: bool,
    /// Run only tests that are ignored.
    #[arg(long, conflicts_with = "include_ignored")]
    pub(crate) ignored: bool,
    /// Run ignored tests as well.
    #[arg(long)]
    pub(crate) include_ignored: bool,
    /// Show what tests print as they print it.
    #[arg(long)]
    pub(crate) nocapture: bool,
}

/// What may follow `--`.
#[derive(Debug, Parser)]
#[command(name = "cargo solo5 test --", no_binary_name = true)]
pub(crate) struct Rest {
    pub(crate) filters: Vec<String>,
    #[command(flatten)]
    pub(crate) choice: Choice,
}

impl Choice {
    /// These options and those.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            exact: self.exact || other.exact,
            skip: [&self.skip[..], &other.skip].concat(),
            list: self.list || other.list,
            ignored: self.ignored || other.ignored,
            include_ignored: self.include_ignored || other.include_ignored,
            nocapture: self.nocapture || other.nocapture,
        }
    }
}

/// Where TAP devices are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NetworkKind {
    /// In a network of the run's own.
    Private,
    /// In the host's network.
    Host,
}

/// Something for a device, which is named if it has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) device: Option<String>,
    pub(crate) value: String,
}

impl FromStr for Assignment {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (device, value) = match text.split_once('=') {
            Some((device, value)) => (Some(device.to_owned()), value),
            None => (None, text),
        };
        let value = value.to_owned();
        Ok(Self { device, value })
    }
}

/// An address and the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct HostAddress {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_len: u32,
}

impl FromStr for HostAddress {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let wanted = || format!("{text}: an address such as 10.0.0.1/24 is wanted");
        let (address, prefix_len) = text.split_once('/').with_context(wanted)?;
        let parsed = Self {
            address: address.parse().with_context(wanted)?,
            prefix_len: prefix_len.parse().with_context(wanted)?,
        };
        ensure!((1..=32).contains(&parsed.prefix_len), wanted());
        Ok(parsed)
    }
}

impl TryFrom<String> for HostAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse::<Self>().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        Rest::command().debug_assert();
    }

    #[test]
    fn a_device_may_be_named() {
        let parse = |text: &str| text.parse::<Assignment>().unwrap();
        let (device, value) = (Some("service".to_owned()), "tap0".to_owned());
        assert_eq!(parse("service=tap0"), Assignment { device, value });
        assert_eq!(parse("tap0").device, None);
    }

    #[test]
    fn addresses_have_a_prefix() {
        let parse = |text: &str| text.parse::<HostAddress>();
        let good = parse("10.0.0.1/24").unwrap();
        assert_eq!(good.address, Ipv4Addr::new(10, 0, 0, 1));
        for bad in ["10.0.0.1", "10.0.0.1/0", "10.0.0.1/33", "x/24", "10.0.0/24"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
