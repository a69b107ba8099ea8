//! What a guest gets: its devices, made or found, and the command line of its tender.
//!
//! TAP devices that are made belong to descriptors which the tender inherits, and disks without a
//! file are memory that only a descriptor names. So nothing has to be removed: all of it is gone
//! with the last process that has the descriptor, however that ends.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use solo5_network::namespace;
use solo5_network::tap::Tap;
use solo5_tender::image::Image;

use crate::cli::{Assignment, GuestOptions, HostAddress, NetworkKind};
use crate::project::Project;
use crate::settings::{Device, Kind};
use crate::toolchain::Toolchain;

/// MiB in bytes.
const MIB: u64 = 1 << 20;

/// Starts guests of one project.
#[derive(Clone, Debug)]
pub(crate) struct Starter {
    tender: PathBuf,
    options: Vec<OsString>,
    devices: Vec<Attachment>,
    network: Option<NetworkKind>,
    /// MiB of the guest, if something says how many.
    memory: Option<u32>,
}

/// A device and what is to be attached.
#[derive(Clone, Debug)]
enum Attachment {
    /// A TAP device that is there.
    Tap { name: String, tap: String },
    /// One that is made for each guest.
    NewTap {
        name: String,
        address: Option<HostAddress>,
    },
    /// A file that is there when the guest starts.
    File {
        name: String,
        path: PathBuf,
        size: Option<u64>,
    },
    /// A disk in memory, in bytes.
    Memory { name: String, size: u64 },
}

/// A tender that is ready to be started, and the descriptors that it inherits.
#[derive(Debug)]
pub(crate) struct Guest {
    pub(crate) command: Command,
    /// What is made for it, closed when this value is dropped.
    _held: Vec<OwnedFd>,
}

impl Starter {
    /// Finds out what guests with these devices need. Nothing is made yet.
    ///
    /// # Errors
    ///
    /// What is missing to start one, and how to say it.
    pub(crate) fn new(
        toolchain: &Toolchain,
        project: &Project,
        devices: &[Device],
        options: &GuestOptions,
    ) -> Result<Self> {
        let settings = &project.settings;
        let taps = assign("--tap", &options.tap, devices, Kind::Net)?;
        let addresses = assign("--host-address", &options.host_address, devices, Kind::Net)?;
        let files = assign("--block", &options.block, devices, Kind::Block)?;
        let network = options.net.or(settings.run.net);
        let mut starter = Self {
            tender: toolchain.tender(project.target)?,
            options: Vec::new(),
            devices: Vec::new(),
            network: None,
            memory: options.mem.or(settings.run.memory),
        };
        if let Some(mib) = starter.memory {
            starter.options.push(format!("--mem={mib}").into());
        }
        for (index, device) in devices.iter().enumerate() {
            let name = device.name.clone();
            let attachment = match device.kind {
                Kind::Net => {
                    if let Some(mac) = &device.mac {
                        let option = format!("--net-mac:{name}={mac}");
                        starter.options.push(option.into());
                    }
                    let address = match taken(&addresses, index) {
                        Some(text) => Some(text.parse()?),
                        None => device.host_address,
                    };
                    let tap = taken(&taps, index).map(str::to_owned);
                    // A network that is asked for goes before a device in the file.
                    let in_file = device.tap.clone();
                    match tap.or(in_file.filter(|_| options.net.is_none())) {
                        Some(tap) => Attachment::Tap { name, tap },
                        None => Attachment::NewTap { name, address },
                    }
                }
                Kind::Block => {
                    if let Some(bytes) = device.sector_size {
                        let option = format!("--block-sector-size:{name}={bytes}");
                        starter.options.push(option.into());
                    }
                    disk(device, taken(&files, index), &project.directory)?
                }
            };
            starter.devices.push(attachment);
        }
        starter
            .options
            .extend(options.tender_option.iter().map(OsString::from));
        starter.choose_network(network)?;
        Ok(starter)
    }

    /// Decides where TAP devices are made, if any are.
    fn choose_network(&mut self, network: Option<NetworkKind>) -> Result<()> {
        let made = self.devices.iter().find_map(|device| match device {
            Attachment::NewTap { name, .. } => Some(name),
            _ => None,
        });
        let found = self.devices.iter().find_map(|device| match device {
            Attachment::Tap { tap, .. } => Some(tap),
            _ => None,
        });
        let Some(made) = made else {
            return Ok(());
        };
        let Some(network) = network else {
            bail!(
                "the device {made} needs a TAP device: --tap NAME takes one that is there; --net \
                 makes one in a network of its own, without root; --net=host makes one on this host"
            );
        };
        if let (NetworkKind::Private, Some(tap)) = (network, found) {
            bail!("{tap} is on this host, and a private network is asked for the device {made}");
        }
        self.network = Some(network);
        Ok(())
    }

    /// Moves this process to where the TAP devices of all starters are made. Comes before the first
    /// thread.
    ///
    /// # Errors
    ///
    /// Says what this machine does not allow, and how to allow it.
    pub(crate) fn enter_network<'a>(starters: impl IntoIterator<Item = &'a Self>) -> Result<()> {
        // Those that make any make them in the same network.
        let Some(network) = starters.into_iter().find_map(|starter| starter.network) else {
            return Ok(());
        };
        namespace::check_tun()?;
        if network == NetworkKind::Private {
            namespace::become_capable()?;
            namespace::enter_new_network()?;
        }
        Ok(())
    }

    /// Whether TAP devices are in a network that nobody else is in.
    pub(crate) fn is_private(&self) -> bool {
        self.network == Some(NetworkKind::Private)
    }

    /// Makes the devices of a guest.
    ///
    /// # Errors
    ///
    /// What cannot be made, or that the image does not fit into the memory.
    pub(crate) fn guest(&self, image: &Path, arguments: &[String]) -> Result<Guest> {
        if let Some(mib) = self.memory {
            has_room(mib, Image::open(image.as_os_str())?.memory_end())?;
        }
        let mut command = Command::new(&self.tender);
        let mut held = Vec::new();
        command.args(&self.options);
        for device in &self.devices {
            let option: OsString = match device {
                Attachment::Tap { name, tap } => format!("--net:{name}={tap}").into(),
                Attachment::NewTap { name, address } => {
                    let fd = new_tap(*address)?;
                    let option = format!("--net:{name}=@{}", fd.as_raw_fd());
                    held.push(fd);
                    option.into()
                }
                Attachment::File { name, path, size } => {
                    provide(path, *size)
                        .with_context(|| format!("the disk {name}: {}", path.display()))?;
                    let mut option = OsString::from(format!("--block:{name}="));
                    option.push(path);
                    option
                }
                Attachment::Memory { name, size } => {
                    let fd = memfd_create(c"disk", MFdFlags::empty())?;
                    let file = File::from(fd);
                    file.set_len(*size)?;
                    let option = format!("--block:{name}=/proc/self/fd/{}", file.as_raw_fd());
                    held.push(file.into());
                    option.into()
                }
            };
            command.arg(option);
        }
        command.arg("--").arg(image).args(arguments);
        Ok(Guest {
            command,
            _held: held,
        })
    }
}

/// An image that ends at this address fits into that many MiB. The tender's own message does not say what
/// to do about it.
fn has_room(mib: u32, end: u64) -> Result<()> {
    let needed = end.div_ceil(MIB);
    ensure!(
        u64::from(mib) >= needed,
        "{mib} MiB of memory are too few: the image alone takes {needed}; \
         `--mem` or `memory` in solo5.toml gives more"
    );
    Ok(())
}

/// Makes a TAP device that lasts as long as the descriptor, which children inherit.
fn new_tap(address: Option<HostAddress>) -> Result<OwnedFd> {
    let (tap, fd) = Tap::temporary()
        .context("cannot make a TAP device (on this host only root can; --net needs no root)")?;
    match address {
        Some(HostAddress {
            address,
            prefix_len,
        }) => tap.set_address(address, prefix_len)?,
        None => tap.up()?,
    }
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(fd)
}

/// What a block device is attached to.
fn disk(device: &Device, chosen: Option<&str>, directory: &Path) -> Result<Attachment> {
    let name = device.name.clone();
    let size = match device.size {
        Some(mib) => {
            let too_large = || format!("the disk {name}: {mib} MiB are too many");
            Some(mib.checked_mul(MIB).with_context(too_large)?)
        }
        None => None,
    };
    let path = match (chosen, &device.file) {
        (Some(path), _) => Some(PathBuf::from(path)),
        (None, Some(file)) => Some(directory.join(file)),
        (None, None) => None,
    };
    match (path, size) {
        (Some(path), size) => Ok(Attachment::File { name, path, size }),
        (None, Some(size)) => Ok(Attachment::Memory { name, size }),
        (None, None) => bail!(
            "the device {name} needs a disk: --block FILE, or `file` or `size` (MiB) in solo5.toml"
        ),
    }
}

/// Makes a file of that many bytes, all zero, if there is none.
fn provide(path: &Path, size: Option<u64>) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    let size = size.context("missing, and no `size` in solo5.toml says how large it should be")?;
    // No file is better than one of the wrong size.
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let file = tempfile::NamedTempFile::new_in(parent.unwrap_or(Path::new(".")))?;
    file.as_file().set_len(size)?;
    file.persist_noclobber(path)?;
    Ok(())
}

/// What options assign, by the index of the device.
type Assigned<'a> = Vec<(usize, &'a str)>;

fn taken<'a>(assigned: &Assigned<'a>, index: usize) -> Option<&'a str> {
    let found = assigned.iter().find(|(device, _)| *device == index);
    found.map(|(_, value)| *value)
}

/// Finds the device that each assignment means.
fn assign<'a>(
    option: &str,
    assignments: &'a [Assignment],
    devices: &[Device],
    kind: Kind,
) -> Result<Assigned<'a>> {
    let mut assigned: Assigned<'a> = Vec::new();
    for Assignment { device, value } in assignments {
        let fits = |candidate: &Device| {
            candidate.kind == kind && device.as_ref().is_none_or(|name| candidate.name == *name)
        };
        let mut found = devices
            .iter()
            .enumerate()
            .filter(|(_, device)| fits(device));
        let (first, second) = (found.next(), found.next());
        let sort = kind.name();
        let (index, device) = match (device, first) {
            (Some(name), None) => bail!("{option}: there is no {sort} device {name}"),
            (None, None) => bail!("{option}: the image has no {sort} device"),
            (_, Some(found)) => found,
        };
        ensure!(
            second.is_none(),
            "{option}: say which {sort} device is meant, as in {option} {}={value}",
            device.name
        );
        ensure!(
            taken(&assigned, index).is_none(),
            "{option}: given twice for the device {}",
            device.name
        );
        assigned.push((index, value));
    }
    Ok(assigned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    use std::process::ExitCode;

    use crate::run;
    use crate::settings::Settings;

    const SETTINGS: &str = "[[device]]\nname = \"a\"\ntype = \"net\"\n\
                            [[device]]\nname = \"b\"\ntype = \"net\"\n\
                            [[device]]\nname = \"c\"\ntype = \"block\"\n";

    fn assigned(option: &str, texts: &[&str], kind: Kind) -> Result<Vec<(usize, String)>> {
        let settings = Settings::parse(PathBuf::new(), SETTINGS.to_owned())?;
        let devices = settings.listed().unwrap();
        let assignments: Vec<Assignment> = texts.iter().map(|text| text.parse().unwrap()).collect();
        let assigned = assign(option, &assignments, &devices, kind)?;
        let owned = assigned.into_iter();
        Ok(owned
            .map(|(index, value)| (index, value.to_owned()))
            .collect())
    }

    #[test]
    fn assignments_find_their_device() {
        let got = assigned("--tap", &["b=tap1", "a=tap0"], Kind::Net).unwrap();
        assert_eq!(got, [(1, "tap1".to_owned()), (0, "tap0".to_owned())]);
        let got = assigned("--block", &["disk.img"], Kind::Block).unwrap();
        assert_eq!(got, [(2, "disk.img".to_owned())]);
    }

    #[test]
    fn assignments_that_mean_no_device_or_several_are_refused() {
        let refused = |texts: &[&str], want: &str| {
            let error = assigned("--tap", texts, Kind::Net).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        refused(
            &["tap0"],
            "say which net device is meant, as in --tap a=tap0",
        );
        refused(&["c=tap0"], "there is no net device c");
        refused(&["a=x", "a=y"], "given twice for the device a");
    }

    #[test]
    fn a_disk_is_made_once_and_has_its_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        assert!(provide(&path, None).is_err());
        provide(&path, Some(MIB)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), MIB);
        fs::write(&path, "mine").unwrap();
        provide(&path, Some(MIB)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }

    #[test]
    fn what_runs_beside_a_guest_has_none_of_its_devices() {
        let starter = Starter {
            tender: "true".into(),
            options: Vec::new(),
            devices: vec![Attachment::Memory {
                name: "a".to_owned(),
                size: 4096,
            }],
            network: None,
            memory: None,
        };
        let guest = starter.guest(Path::new("image"), &[]).unwrap();
        let fd = guest._held[0].as_raw_fd();
        // What the command leaves behind would keep them, and a TAP device on this host with them.
        let code = run::beside(guest, &format!("test ! -e /proc/self/fd/{fd}"));
        assert_eq!(code.unwrap(), ExitCode::SUCCESS);
    }

    #[test]
    fn an_image_fits_into_the_memory() {
        assert!(has_room(3, 3 * MIB).is_ok());
        let error = has_room(3, 3 * MIB + 1).unwrap_err().to_string();
        assert!(error.contains("3 MiB of memory are too few: the image alone takes 4;"));
    }
}
