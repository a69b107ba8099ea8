//! What all tests share: an installation, and the echo image built with it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mnet_tests::boot::time_to_first_syn_ack;
use mnet_tests::frame::Link;
use mnet_tests::packet::PacketSocket;
use mnet_tests::prefix::{Prefix, Unikernel};
use mnet_tests::process::Process;
use mnet_tests::statistics::{self, Statistics};
use mnet_tests::tap::Tap;

/// Our address.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// The image's address.
pub(crate) const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
/// The image's hardware address.
pub(crate) const GUEST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];
/// The echo service.
pub(crate) const SERVICE: SocketAddrV4 = SocketAddrV4::new(GUEST, 7);
/// Its statistics, to every datagram: one `name value` a line.
pub(crate) const STATISTICS: SocketAddrV4 = SocketAddrV4::new(GUEST, 8);

/// Built once, used by every test.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) prefix: Prefix,
    /// The echo example, built outside the source tree.
    pub(crate) echo: PathBuf,
    /// The services of the benchmarks.
    pub(crate) services: PathBuf,
    directory: tempfile::TempDir,
    /// Images that several tests use, by the names of their directories.
    images: Mutex<BTreeMap<String, Image>>,
}

/// An image, once it is built. Locked while that goes on.
type Image = Arc<Mutex<Option<PathBuf>>>;

/// A running echo image, and the link to it.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) process: Process,
    pub(crate) tap: Tap,
    pub(crate) link: Link,
}

impl Fixture {
    pub(crate) fn new() -> Result<Self> {
        let prefix = Prefix::for_tests()?;
        let directory = tempfile::tempdir()?;
        let echo = prefix.build_example("echo", &directory.path().join("echo"))?;
        let folder = directory.path().join("services");
        let services = prefix.build_image("bench/image", "services", &folder)?;
        Ok(Self {
            prefix,
            echo,
            services,
            directory,
            images: Mutex::default(),
        })
    }

    /// An image that several tests use. The first of them builds it, in a directory of that name, and
    /// the others wait for it: tests run in threads of this program.
    pub(crate) fn built(
        &self,
        name: &str,
        build: impl FnOnce(&Path) -> Result<PathBuf>,
    ) -> Result<PathBuf> {
        let image = {
            let mut images = self.images.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(images.entry(name.to_owned()).or_default())
        };
        let mut image = image.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &*image {
            return Ok(path.clone());
        }
        let path = build(&self.directory(name)?)?;
        Ok(image.insert(path).clone())
    }

    /// A directory for the files of one test, removed at the end of the run.
    pub(crate) fn directory(&self, test: &str) -> Result<PathBuf> {
        let path = self.directory.path().join(test);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The tender with an image, and nothing else.
    pub(crate) fn unikernel(&self, image: &Path) -> Unikernel {
        Unikernel::new(&self.prefix, image)
    }

    /// The echo image in 8 MiB, as the tests start it.
    pub(crate) fn echo_unikernel(&self) -> Unikernel {
        self.echo_unikernel_of(&self.echo)
    }

    /// An echo image for some target, as the tests start it.
    pub(crate) fn echo_unikernel_of(&self, image: &Path) -> Unikernel {
        self.unikernel(image)
            .option("--mem=8")
            .option("--net:service=tap0")
            .option("--net-mac:service=02:00:00:00:00:02")
            .argument(format!("--ipv4={GUEST}/24"))
            .argument(format!("--port={}", SERVICE.port()))
            .argument(format!("--stats-port={}", STATISTICS.port()))
    }

    /// Makes `tap0`, starts the echo image on it, and waits until it answers.
    pub(crate) fn boot_echo(&self) -> Result<Machine> {
        self.boot(&self.echo_unikernel())
    }

    /// Makes `tap0`, starts an echo image on it, and waits until it answers.
    pub(crate) fn boot(&self, unikernel: &Unikernel) -> Result<Machine> {
        self.boot_after(unikernel, |_| Ok(()))
    }

    /// The same, with something to do to the device before the image starts.
    pub(crate) fn boot_after(
        &self,
        unikernel: &Unikernel,
        prepare: impl FnOnce(&Tap) -> Result<()>,
    ) -> Result<Machine> {
        let tap = Tap::with_address("tap0", HOST, 24)?;
        prepare(&tap)?;
        let link = Link {
            host_mac: tap.mac()?,
            guest_mac: GUEST_MAC,
            host: HOST,
            guest: GUEST,
        };
        let (process, _) = time_to_first_syn_ack(unikernel, &tap, &link, SERVICE.port())?;
        let machine = Machine { process, tap, link };
        // Linux has reset the connection that it did not ask for, but perhaps not yet its last SYN.
        let deadline = Instant::now() + Duration::from_secs(10);
        while machine.statistic("half_open")? > 0 {
            ensure!(
                Instant::now() < deadline,
                "the first SYN is never forgotten"
            );
        }
        Ok(machine)
    }
}

impl Machine {
    /// A socket for raw frames on the link.
    pub(crate) fn packets(&self) -> Result<PacketSocket> {
        PacketSocket::open(&self.tap)
    }
}

impl Machine {
    /// What the image has in use, and all its counters.
    pub(crate) fn statistics(&self) -> Result<Statistics> {
        statistics::ask(STATISTICS)
    }

    /// What is not zero of these, for the message of a failed test.
    pub(crate) fn account(&self) -> String {
        let statistics = match self.statistics() {
            Ok(statistics) => statistics,
            Err(error) => return format!("{error:#}"),
        };
        statistics::text(&statistics)
    }

    /// One of them.
    pub(crate) fn statistic(&self, name: &str) -> Result<u64> {
        self.statistics()?
            .get(name)
            .copied()
            .with_context(|| format!("the image has no statistic {name}"))
    }
}
