//! `solo5.toml`: which devices an image has, and what to run it with.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;
use solo5_abi::constants::MAX_DEVICES;
use solo5_elftool::source::{Device, Type};
use toml::Spanned;

use crate::cli::{HostAddress, NetworkKind, Target};

/// The file's name, beside `Cargo.toml`.
pub(crate) const FILE: &str = "solo5.toml";

/// The content of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// The devices, in the order of their handles.
    #[serde(default, rename = "device")]
    pub(crate) devices: Vec<Spanned<DeviceSettings>>,
    /// For `run` and `test`.
    #[serde(default)]
    pub(crate) run: RunSettings,
}

/// A device: what the image declares, and what a run attaches.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DeviceSettings {
    pub(crate) name: Spanned<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    /// net: an existing TAP device.
    pub(crate) tap: Option<Spanned<String>>,
    /// net: the guest's hardware address.
    pub(crate) mac: Option<Spanned<String>>,
    /// net: address of the host's end, where a TAP device is made.
    pub(crate) host_address: Option<Spanned<HostAddress>>,
    /// block: a file, relative to the project.
    pub(crate) file: Option<Spanned<PathBuf>>,
    /// block: MiB of a file that is not there yet, or of memory if none is named.
    pub(crate) size: Option<Spanned<u64>>,
    /// block: bytes of a sector.
    pub(crate) sector_size: Option<Spanned<u32>>,
}

/// The sort of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Net,
    Block,
}

/// What `run` and `test` do if they are not told.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunSettings {
    /// spt or hvt.
    pub(crate) target: Option<Target>,
    /// MiB.
    pub(crate) memory: Option<u32>,
    /// Arguments of the guest.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// Where TAP devices are made.
    pub(crate) net: Option<NetworkKind>,
}

impl Settings {
    /// Reads the file of the project in this directory.
    ///
    /// # Errors
    ///
    /// Says where in the file what is wrong.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "{}: missing. It lists the devices of the image; an empty file stands for none",
                path.display()
            ),
            Err(error) => bail!("{}: {error}", path.display()),
        };
        match Self::parse(&text) {
            Ok(settings) => Ok(settings),
            Err(fault) => bail!("{}{fault}", path.display()),
        }
    }

    /// Reads the text of the file. What is wrong starts with the place, `:LINE:COLUMN: `.
    fn parse(text: &str) -> Result<Self, String> {
        let fault = |span: Range<usize>, message: &str| {
            let before = text.get(..span.start).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default();
            format!(":{line}:{}: {message}", column.chars().count() + 1)
        };
        let settings: Self = toml::from_str(text)
            .map_err(|error| fault(error.span().unwrap_or_default(), error.message()))?;
        if let Some(first_too_many) = settings.devices.get(MAX_DEVICES) {
            let message = format!("more than {MAX_DEVICES} devices");
            return Err(fault(first_too_many.span(), &message));
        }
        for (index, device) in settings.devices.iter().enumerate() {
            let DeviceSettings { name, kind, .. } = device.get_ref();
            if let Err(problem) = Device::new(name.get_ref(), kind.in_manifest()) {
                let message = problem.to_string();
                let message = message.trim_start_matches(".devices[...]: ");
                return Err(fault(name.span(), message));
            }
            let mut earlier = settings.devices.iter().take(index);
            if earlier.any(|other| other.get_ref().name == *name) {
                let message = format!("two devices are named {}", name.get_ref());
                return Err(fault(name.span(), &message));
            }
            if let Some((key, span)) = device.get_ref().foreign_key() {
                let of = kind.other().name();
                let message = format!("`{key}` is for devices of type \"{of}\"");
                return Err(fault(span, &message));
            }
        }
        Ok(settings)
    }

    /// The devices as the image's manifest declares them.
    pub(crate) fn manifest(&self) -> Vec<Device> {
        self.devices
            .iter()
            .map(Spanned::get_ref)
            .map(|device| Device {
                name: device.name.get_ref().clone(),
                device_type: device.kind.in_manifest(),
            })
            .collect()
    }
}

impl DeviceSettings {
    /// A key that is there and belongs to the other sort of device.
    fn foreign_key(&self) -> Option<(&'static str, Range<usize>)> {
        fn span<T>(value: Option<&Spanned<T>>) -> Option<Range<usize>> {
            value.map(Spanned::span)
        }
        let net = [
            ("tap", span(self.tap.as_ref())),
            ("mac", span(self.mac.as_ref())),
            ("host-address", span(self.host_address.as_ref())),
        ];
        let block = [
            ("file", span(self.file.as_ref())),
            ("size", span(self.size.as_ref())),
            ("sector-size", span(self.sector_size.as_ref())),
        ];
        let foreign = match self.kind {
            Kind::Net => block,
            Kind::Block => net,
        };
        foreign
            .into_iter()
            .find_map(|(key, span)| Some((key, span?)))
    }
}

impl Kind {
    const fn in_manifest(self) -> Type {
        match self {
            Self::Net => Type::Net,
            Self::Block => Type::Block,
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Net => Self::Block,
            Self::Block => Self::Net,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Net => "net",
            Self::Block => "block",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(text: &str, want: &str) {
        let got = Settings::parse(text).map(|_| ()).unwrap_err();
        assert!(got.starts_with(want), "{got:?}");
    }

    #[test]
    fn devices_keep_their_order() {
        let text = "[[device]]\nname = \"service\"\ntype = \"net\"\n\
                    [[device]]\nname = \"a\"\ntype = \"block\"\nfile = \"a.img\"\nsize = 1\n\
                    [run]\nmemory = 32\narguments = [\"--x\"]\nnet = \"private\"\n";
        let settings = Settings::parse(text).unwrap();
        let names: Vec<String> = settings
            .manifest()
            .into_iter()
            .map(|device| format!("{} {}", device.name, device.device_type))
            .collect();
        assert_eq!(names, ["service NET_BASIC", "a BLOCK_BASIC"]);
        assert_eq!(settings.run.net, Some(NetworkKind::Private));
        assert!(Settings::parse("").unwrap().manifest().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        refuses("[[device]\n", ":1:10: ");
        refuses("nmae = 1\n", ":1:1: unknown field `nmae`");
        refuses("[run]\nmemroy = 1\n", ":2:1: unknown field `memroy`");
        refuses("[run]\nmemory = \"1\"\n", ":2:10: invalid type");
        refuses("[run]\ntarget = \"xen\"\n", ":2:10: unknown variant `xen`");
        refuses("[[device]]\nname = \"a\"\n", ":1:1: missing field `type`");
        refuses(
            "[[device]]\nname = \"a\"\ntype = \"disk\"\n",
            ":3:8: unknown variant `disk`, expected `net` or `block`",
        );
    }

    #[test]
    fn names_are_checked() {
        let device = |name: &str| format!("[[device]]\nname = \"{name}\"\ntype = \"net\"\n");
        refuses(&device(""), ":2:8: .name may not be empty");
        refuses(&device("a-b"), ":2:8: name is not alphanumeric");
        refuses(&device(&"a".repeat(68)), ":2:8: name too long, maximum 67");
        assert!(Settings::parse(&device(&"a".repeat(67))).is_ok());
        let two = device("a") + "[[device]]\ntype = \"block\"\nname = \"a\"\n";
        refuses(&two, ":6:8: two devices are named a");
        let many: String = (0..64)
            .map(|number| device(&format!("a{number}")))
            .collect();
        refuses(&many, ":190:1: more than 63 devices");
    }

    #[test]
    fn keys_belong_to_a_sort_of_device() {
        let text = "[[device]]\nname = \"a\"\ntype = \"net\"\nfile = \"x\"\n";
        refuses(text, ":4:8: `file` is for devices of type \"block\"");
        let text = "[[device]]\nname = \"a\"\ntype = \"block\"\nmac = \"x\"\n";
        refuses(text, ":4:7: `mac` is for devices of type \"net\"");
        let text = "[[device]]\nname = \"a\"\ntype = \"net\"\nhost-address = \"10.0.0.1\"\n";
        refuses(
            text,
            ":4:16: 10.0.0.1: an address such as 10.0.0.1/24 is wanted",
        );
    }
}
