//! The stacks that are compared, at the far end of a path.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path as FilePath;
use std::time::Duration;

use anyhow::{Result, ensure};
use mnet_tests::bulk::{Direction, LinuxServices, Series, transfer};
use mnet_tests::path::{IMAGE, LINUX, Path};
use mnet_tests::prefix::{Prefix, Unikernel};
use mnet_tests::process::Process;

/// A TCP whose services are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stack {
    Mnet,
    Linux,
}

impl Stack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mnet => "mnet",
            Self::Linux => "Linux",
        }
    }

    pub(crate) fn address(self) -> Ipv4Addr {
        match self {
            Self::Mnet => IMAGE,
            Self::Linux => LINUX,
        }
    }
}

/// The image of the benchmarks, ready to be started.
#[derive(Debug)]
pub(crate) struct Image(Unikernel);

/// Services that run; they end when dropped.
#[derive(Debug)]
pub(crate) struct Servers {
    image: Process,
    _linux: LinuxServices,
}

impl Image {
    /// Builds it with what is installed there.
    pub(crate) fn build(prefix: &FilePath) -> Result<Self> {
        let prefix = Prefix::new(prefix.canonicalize()?);
        let directory = prefix.root().with_extension("bench");
        let image = prefix.build_image("bench/image", "services", &directory)?;
        let unikernel = Unikernel::new(&prefix, &image)
            .option("--mem=64")
            .option("--net:service=tap0")
            .argument("--solo5:quiet")
            .argument(format!("--ipv4={IMAGE}/24"));
        Ok(Self(unikernel))
    }

    /// Starts it, and Linux's services beside it.
    pub(crate) fn start(&self, path: &Path) -> Result<Servers> {
        Ok(Servers {
            image: path.server.within(|| self.0.start())?,
            _linux: LinuxServices::start(&path.server, LINUX)?,
        })
    }
}

impl Servers {
    /// Insists that the image still runs.
    pub(crate) fn check(&self) -> Result<()> {
        let ended = self.image.has_ended(Duration::ZERO)?;
        ensure!(!ended, "the image has ended:\n{}", self.image.text());
        Ok(())
    }
}

/// One connection to a stack's service, measured each second.
pub(crate) fn measure(
    path: &Path,
    stack: Stack,
    direction: Direction,
    seconds: usize,
) -> Result<Series> {
    let service = SocketAddrV4::new(stack.address(), direction.port());
    path.client
        .within(|| transfer(service, direction, Duration::from_secs(1), seconds))
}
