//! What the manifest declares and what the command line attaches to it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::IntoRawFd;
use std::sync::{Arc, Mutex, PoisonError};

use solo5_abi::constants::DEFAULT_SECTOR_SIZE;
use solo5_abi::manifest::{DeviceType, ManifestEntry};
use thiserror::Error;

use crate::block::{self, BlockError, BlockFile};
use crate::capture::{CaptureFile, Recorder};
use crate::errno::Strerror;
use crate::tap::Tap;

/// Why a device cannot be attached.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttachError {
    /// The manifest has no device of this name and type.
    #[error("Resource not declared in manifest: '{0}'")]
    NotDeclared(String),
    /// The interface cannot be attached.
    #[error("Could not attach interface: {}: {}", .0.to_string_lossy(), Strerror(.1))]
    Interface(OsString, io::Error),
    /// The file cannot be attached.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// Frames cannot be recorded there.
    #[error("Could not open capture file: {}: {}", .0.to_string_lossy(), Strerror(.1))]
    Capture(OsString, io::Error),
}

/// Why a guest cannot be given its devices.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The last sector of a block device would not be complete.
    #[error("{name}: Backing storage size must be block aligned ({sector} bytes)")]
    NotBlockAligned {
        /// Name of the device.
        name: String,
        /// Its sector size.
        sector: u16,
    },
    /// A block device has no sectors.
    #[error("{name}: Backing storage must be at least 1 block ({sector} bytes) in size")]
    Empty {
        /// Name of the device.
        name: String,
        /// Its sector size.
        sector: u16,
    },
    /// What is recorded cannot be written.
    #[error("Could not write capture file: {}: {}", .0.to_string_lossy(), Strerror(.1))]
    Capture(OsString, io::Error),
    /// The host has no random numbers for a MAC address.
    #[error("Could not generate a MAC address: {0}")]
    Random(getrandom::Error),
    /// Devices are declared but not attached: name and type of each.
    #[error(
        "{}All declared devices must be attached. See --help for syntax.",
        .0.iter().map(|(name, kind)| {
            format!("Device '{name}' of type {kind} declared but not attached.\n")
        }).collect::<String>()
    )]
    NotAttached(Vec<(String, &'static str)>),
}

/// What stands behind a device.
#[derive(Debug)]
enum Backing {
    Net(Tap),
    Block(BlockFile),
}

/// A manifest entry and what the command line says about it.
#[derive(Debug)]
struct Slot {
    name: String,
    declared: ManifestEntry,
    backing: Option<Backing>,
    mac: Option<[u8; 6]>,
    sector_size: Option<u16>,
    capture: Option<Arc<Mutex<CaptureFile>>>,
}

/// The devices of a guest that is being set up.
#[derive(Debug)]
pub struct Devices {
    slots: Vec<Slot>,
}

/// A network device that is ready to be used.
#[derive(Debug, Default)]
pub struct NetDevice {
    /// Its index in the manifest.
    pub index: usize,
    /// Its name in the manifest.
    pub name: String,
    /// Its descriptor.
    pub fd: i32,
    /// Name of the host's interface; empty if it is not known.
    pub interface: String,
    /// Records its frames.
    pub recorder: Option<Recorder>,
}

/// A block device that is ready to be used.
#[derive(Debug, Default)]
pub struct BlockDevice {
    /// Its index in the manifest.
    pub index: usize,
    /// Its name in the manifest.
    pub name: String,
    /// Its descriptor.
    pub fd: i32,
    /// Its sector size in bytes.
    pub sector_size: u16,
    /// Its capacity in bytes, a multiple of the sector size, not 0.
    pub capacity: u64,
}

/// The devices of a guest that can be started. Their descriptors stay open as long as the process
/// lives.
#[derive(Debug)]
pub struct Attached {
    /// The manifest as the guest will see it.
    pub manifest: Vec<ManifestEntry>,
    /// All network devices.
    pub net: Vec<NetDevice>,
    /// All block devices.
    pub block: Vec<BlockDevice>,
}

impl Devices {
    /// The devices of this manifest, none attached.
    #[must_use]
    pub fn new(manifest: Vec<ManifestEntry>) -> Self {
        let slot = |declared: ManifestEntry| Slot {
            name: String::from_utf8_lossy(declared.name_bytes()).into_owned(),
            declared,
            backing: None,
            mac: None,
            sector_size: None,
            capture: None,
        };
        Self {
            slots: manifest.into_iter().map(slot).collect(),
        }
    }

    fn find(&mut self, name: &str, device_type: DeviceType) -> Result<&mut Slot, AttachError> {
        self.slots
            .iter_mut()
            .find(|slot| {
                slot.declared.device_type() == device_type
                    && slot.declared.name_bytes() == name.as_bytes()
            })
            .ok_or_else(|| AttachError::NotDeclared(name.into()))
    }

    /// Attaches the TAP that `open` gives to a network device; `interface` names it in messages.
    /// A TAP that was attached before is given back.
    ///
    /// # Errors
    ///
    /// There is no such network device, or `open` fails.
    pub fn attach_net(
        &mut self,
        name: &str,
        interface: &OsStr,
        open: impl FnOnce() -> io::Result<Tap>,
    ) -> Result<(), AttachError> {
        let slot = self.find(name, DeviceType::Net)?;
        // Closed first, so that the same interface can be named twice.
        slot.backing = None;
        let tap = open().map_err(|error| AttachError::Interface(interface.into(), error))?;
        slot.backing = Some(Backing::Net(tap));
        Ok(())
    }

    /// Sets the MAC address of a network device, attached or not.
    ///
    /// # Errors
    ///
    /// There is no such network device.
    pub fn set_mac(&mut self, name: &str, mac: [u8; 6]) -> Result<(), AttachError> {
        self.find(name, DeviceType::Net)?.mac = Some(mac);
        Ok(())
    }

    /// Records the frames of a network device, attached or not, in this file. Devices can share one.
    /// `program` stands in front of messages.
    ///
    /// # Errors
    ///
    /// There is no such network device, or the file cannot be made.
    pub fn record(&mut self, name: &str, path: &OsStr, program: &str) -> Result<(), AttachError> {
        self.find(name, DeviceType::Net)?;
        let is_this = |file: &&Arc<Mutex<CaptureFile>>| {
            file.lock().unwrap_or_else(PoisonError::into_inner).path() == path
        };
        let mut captures = self.slots.iter().filter_map(|slot| slot.capture.as_ref());
        let file = match captures.find(is_this).cloned() {
            Some(file) => file,
            None => CaptureFile::create(path, program)
                .map(|file| Arc::new(Mutex::new(file)))
                .map_err(|error| AttachError::Capture(path.into(), error))?,
        };
        self.find(name, DeviceType::Net)?.capture = Some(file);
        Ok(())
    }

    /// Attaches a file to a block device.
    ///
    /// # Errors
    ///
    /// There is no such block device, or the file cannot be attached.
    pub fn attach_block(&mut self, name: &str, path: &OsStr) -> Result<(), AttachError> {
        let slot = self.find(name, DeviceType::Block)?;
        slot.backing = Some(Backing::Block(block::attach(path)?));
        Ok(())
    }

    /// Sets the sector size of a block device, attached or not.
    ///
    /// # Errors
    ///
    /// There is no such block device.
    pub fn set_sector_size(&mut self, name: &str, bytes: u16) -> Result<(), AttachError> {
        self.find(name, DeviceType::Block)?.sector_size = Some(bytes);
        Ok(())
    }

    /// Whether a network device is attached.
    #[must_use]
    pub fn has_attached_net(&self) -> bool {
        let is_net = |slot: &Slot| matches!(slot.backing, Some(Backing::Net(_)));
        self.slots.iter().any(is_net)
    }

    /// Ends the setting up: every device is attached and fit for use.
    ///
    /// Network devices without a MAC address get a random one. Whatever else an image stored in
    /// its entries is dropped.
    ///
    /// # Errors
    ///
    /// See [`SetupError`].
    pub fn finish(self) -> Result<Attached, SetupError> {
        let mut attached = Attached {
            manifest: Vec::new(),
            net: Vec::new(),
            block: Vec::new(),
        };
        let mut missing = Vec::new();
        for (index, slot) in self.slots.into_iter().enumerate() {
            let Slot {
                name,
                declared,
                backing,
                mac,
                sector_size,
                capture,
            } = slot;
            let mut entry = ManifestEntry {
                details: [0; 16],
                host_fd: 0,
                ..declared
            };
            entry.host_fd_high = 0;
            match backing {
                Some(Backing::Net(Tap { fd, mtu, interface })) => {
                    entry.set_mac(mac.map_or_else(random_mac, Ok)?);
                    entry.set_mtu(mtu);
                    entry.host_fd = fd.into_raw_fd();
                    entry.attached = 1;
                    let recorder = capture.map(|file| recorder(&file, &name, entry.mac()));
                    attached.net.push(NetDevice {
                        index,
                        name,
                        fd: entry.host_fd,
                        interface,
                        recorder: recorder.transpose()?,
                    });
                }
                Some(Backing::Block(BlockFile { fd, capacity })) => {
                    let sector = sector_size.unwrap_or(DEFAULT_SECTOR_SIZE);
                    if !capacity.is_multiple_of(sector.into()) {
                        return Err(SetupError::NotBlockAligned { name, sector });
                    }
                    if capacity < sector.into() {
                        return Err(SetupError::Empty { name, sector });
                    }
                    entry.set_capacity(capacity);
                    entry.set_block_size(sector);
                    entry.host_fd = fd.into_raw_fd();
                    entry.attached = 1;
                    let fd = entry.host_fd;
                    attached.block.push(BlockDevice {
                        index,
                        name,
                        fd,
                        sector_size: sector,
                        capacity,
                    });
                }
                None if declared.device_type() == DeviceType::Reserved => {}
                None => missing.push((name, declared.device_type().name())),
            }
            attached.manifest.push(entry);
        }
        if missing.is_empty() {
            Ok(attached)
        } else {
            Err(SetupError::NotAttached(missing))
        }
    }
}

/// A recorder for the device of this name and address.
fn recorder(
    capture: &Arc<Mutex<CaptureFile>>,
    name: &str,
    mac: [u8; 6],
) -> Result<Recorder, SetupError> {
    let mut file = capture.lock().unwrap_or_else(PoisonError::into_inner);
    match file.add_interface(name, mac) {
        Ok(interface) => Ok(Recorder::new(Arc::clone(capture), interface)),
        Err(error) => Err(SetupError::Capture(file.path().into(), error)),
    }
}

/// A random MAC address: unicast, locally administered.
fn random_mac() -> Result<[u8; 6], SetupError> {
    let mut mac = [0; 6];
    getrandom::fill(&mut mac).map_err(SetupError::Random)?;
    mac[0] = mac[0] & !0x01 | 0x02;
    Ok(mac)
}
