//! `solo5.toml`: which devices an image has, if its code does not say, and what to run it with.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Error, Result, anyhow, bail};
use serde::Deserialize;
use solo5_abi::declare;
use solo5_abi::manifest::{DeviceType, ManifestEntry};
use solo5_elftool::source::{self, Type};
use toml::Spanned;

use crate::cli::{HostAddress, NetworkKind, Target};

/// The file's name, beside `Cargo.toml`.
pub(crate) const FILE: &str = "solo5.toml";

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    file: File,
    /// For `run` and `test`.
    pub(crate) run: RunSettings,
    /// The devices, in the order of their handles, and where they are listed. None if the code
    /// declares them.
    listed: Vec<Spanned<Device>>,
    /// What to attach to devices that the code declares.
    in_code: BTreeMap<Spanned<String>, Keys>,
}

/// A device of an image, and what a run attaches to it.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// net: an existing TAP device.
    pub(crate) tap: Option<String>,
    /// net: the guest's hardware address.
    pub(crate) mac: Option<String>,
    /// net: address of the host's end, where a TAP device is made.
    pub(crate) host_address: Option<HostAddress>,
    /// block: a file, relative to the project.
    pub(crate) file: Option<PathBuf>,
    /// block: MiB of a file that is not there yet, or of memory if none is named.
    pub(crate) size: Option<u64>,
    /// block: bytes of a sector.
    pub(crate) sector_size: Option<u32>,
}

/// The sort of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Net,
    Block,
}

/// What `run` and `test` do if they are not told.
#[derive(Debug, Default)]
pub(crate) struct RunSettings {
    /// spt or hvt.
    pub(crate) target: Option<Target>,
    /// MiB.
    pub(crate) memory: Option<u32>,
    /// Arguments of the guest.
    pub(crate) arguments: Vec<String>,
    /// Where TAP devices are made.
    pub(crate) net: Option<NetworkKind>,
}

/// What becomes of settings for a device that a program does not declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undeclared {
    /// They are a mistake.
    Refused,
    /// They are for another program.
    Ignored,
}

/// The file, to say where in it something is wrong.
#[derive(Debug, Default)]
struct File {
    path: PathBuf,
    /// `None` if there is no such file.
    text: Option<String>,
}

/// The content of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    device: Vec<Spanned<Keys>>,
    #[serde(default)]
    run: RunKeys,
}

/// The keys of `[[device]]` and of `[run.device.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    name: Option<Spanned<String>>,
    #[serde(rename = "type")]
    kind: Option<Spanned<Kind>>,
    tap: Option<Spanned<String>>,
    mac: Option<Spanned<String>>,
    host_address: Option<Spanned<HostAddress>>,
    file: Option<Spanned<PathBuf>>,
    size: Option<Spanned<u64>>,
    sector_size: Option<Spanned<u32>>,
}

/// The keys of `[run]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunKeys {
    target: Option<Target>,
    memory: Option<u32>,
    #[serde(default)]
    arguments: Vec<String>,
    net: Option<NetworkKind>,
    #[serde(default)]
    device: BTreeMap<Spanned<String>, Keys>,
}

impl Settings {
    /// Reads the file of the project in this directory, if there is one.
    ///
    /// # Errors
    ///
    /// Says where in the file what is wrong.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let path = directory.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(path, text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self {
                file: File { path, text: None },
                ..Self::default()
            }),
            Err(error) => bail!("{}: {error}", path.display()),
        }
    }

    /// Reads the text of the file.
    pub(crate) fn parse(path: PathBuf, text: String) -> Result<Self> {
        let content = toml::from_str(&text);
        let text = Some(text);
        let file = File { path, text };
        let Content { device, run } = content.map_err(|error: toml::de::Error| {
            file.fault(error.span().unwrap_or_default(), error.message())
        })?;
        let RunKeys {
            target,
            memory,
            arguments,
            net,
            device: in_code,
        } = run;
        let listed = file.listed(device)?;
        file.check_in_code(&in_code, &listed)?;
        let run = RunSettings {
            target,
            memory,
            arguments,
            net,
        };
        Ok(Self {
            file,
            run,
            listed,
            in_code,
        })
    }

    /// Where the file is, or would be.
    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Whether there is a file.
    pub(crate) fn exist(&self) -> bool {
        self.file.text.is_some()
    }

    /// The devices, if the file lists any.
    pub(crate) fn listed(&self) -> Option<Vec<Device>> {
        let devices = self.listed.iter().map(Spanned::get_ref).cloned();
        (!self.listed.is_empty()).then(|| devices.collect())
    }

    /// The listed devices as the image's manifest declares them.
    pub(crate) fn manifest(&self) -> Vec<source::Device> {
        self.listed
            .iter()
            .map(Spanned::get_ref)
            .map(|device| source::Device {
                name: device.name.clone(),
                device_type: device.kind.in_manifest(),
            })
            .collect()
    }

    /// What is wrong with an image that has devices in its code as well.
    pub(crate) fn declared_twice(&self) -> Error {
        let Some(first) = self.listed.first() else {
            return anyhow!(
                "it has two manifests: `manifest!` stands once in a program and what it uses"
            );
        };
        self.file.fault(
            first.span(),
            "the devices are listed here, and in the code by `manifest!`: keep one of the two",
        )
    }

    /// The devices that an image declares, with what is attached to each.
    ///
    /// # Errors
    ///
    /// No tender has such a device, or a setting is for none of them.
    pub(crate) fn declared(
        &self,
        entries: &[ManifestEntry],
        undeclared: Undeclared,
    ) -> Result<Vec<Device>> {
        if let Some(listed) = self.listed() {
            return Ok(listed);
        }
        let mut devices = Vec::new();
        for entry in entries {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let kind = match entry.device_type() {
                DeviceType::Net => Kind::Net,
                DeviceType::Block => Kind::Block,
                DeviceType::Reserved => continue,
                DeviceType::Unknown(_) => bail!("the device {name} has a type that there is not"),
            };
            let device = match self.in_code.get(name.as_str()) {
                Some(keys) => self.file.device(name, kind, keys)?,
                None => Device::bare(name, kind),
            };
            devices.push(device);
        }
        let known = |name: &str| devices.iter().any(|device| device.name == name);
        let stray = self.in_code.keys().find(|name| !known(name.get_ref()));
        if let Some(stray) = stray.filter(|_| undeclared == Undeclared::Refused) {
            let names: Vec<&str> = devices.iter().map(|device| &*device.name).collect();
            let names = match &names[..] {
                [] => "none".to_owned(),
                names => names.join(", "),
            };
            let message = format!(
                "the code declares no device {}; it declares {names}",
                stray.get_ref()
            );
            return Err(self.file.fault(stray.span(), &message));
        }
        Ok(devices)
    }
}

impl File {
    /// Says what is wrong behind its place, `PATH:LINE:COLUMN: `.
    fn fault(&self, span: Range<usize>, message: &str) -> Error {
        let text = self.text.as_deref().unwrap_or_default();
        let before = text.get(..span.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default();
        let column = column.chars().count() + 1;
        anyhow!("{}:{line}:{column}: {message}", self.path.display())
    }

    /// Checks the list of devices.
    fn listed(&self, tables: Vec<Spanned<Keys>>) -> Result<Vec<Spanned<Device>>> {
        let mut declared = Vec::new();
        for table in &tables {
            let missing = |key: &str| self.fault(table.span(), &format!("missing field `{key}`"));
            let Keys { name, kind, .. } = table.get_ref();
            let name = name.as_ref().ok_or_else(|| missing("name"))?;
            let kind = kind.as_ref().ok_or_else(|| missing("type"))?;
            declared.push((name, *kind.get_ref()));
        }
        let names: Vec<&str> = declared.iter().map(|(name, _)| &**name.get_ref()).collect();
        if let Some(fault) = declare::check(&names) {
            let span = match fault.problem {
                declare::Problem::TooMany => tables[fault.index].span(),
                _ => declared[fault.index].0.span(),
            };
            return Err(self.fault(span, fault.describe(&names).as_str()));
        }
        let devices = tables.iter().zip(&declared).map(|(table, (name, kind))| {
            let device = self.device(name.get_ref().clone(), *kind, table.get_ref())?;
            Ok(Spanned::new(table.span(), device))
        });
        devices.collect()
    }

    /// Checks the settings of devices that the code declares, as far as that is possible without
    /// the code.
    fn check_in_code(
        &self,
        in_code: &BTreeMap<Spanned<String>, Keys>,
        listed: &[Spanned<Device>],
    ) -> Result<()> {
        for (name, keys) in in_code {
            let foreign = [
                ("name", keys.name.as_ref().map(Spanned::span)),
                ("type", keys.kind.as_ref().map(Spanned::span)),
            ];
            if let Some((key, span)) = first(foreign) {
                let message = format!(
                    "`{key}` is for [[device]]; this is about a device that the code declares"
                );
                return Err(self.fault(span, &message));
            }
            if !listed.is_empty() {
                let message = "this is for devices that the code declares; for those of \
                               [[device]] it stands there";
                return Err(self.fault(name.span(), message));
            }
        }
        Ok(())
    }

    /// A device with its settings, which must be of its sort.
    fn device(&self, name: String, kind: Kind, keys: &Keys) -> Result<Device> {
        fn span<T>(value: Option<&Spanned<T>>) -> Option<Range<usize>> {
            value.map(Spanned::span)
        }
        fn plain<T: Clone>(value: Option<&Spanned<T>>) -> Option<T> {
            value.map(|value| value.get_ref().clone())
        }
        let net = [
            ("tap", span(keys.tap.as_ref())),
            ("mac", span(keys.mac.as_ref())),
            ("host-address", span(keys.host_address.as_ref())),
        ];
        let block = [
            ("file", span(keys.file.as_ref())),
            ("size", span(keys.size.as_ref())),
            ("sector-size", span(keys.sector_size.as_ref())),
        ];
        let (foreign, of) = match kind {
            Kind::Net => (block, Kind::Block),
            Kind::Block => (net, Kind::Net),
        };
        if let Some((key, span)) = first(foreign) {
            let message = format!("`{key}` is for devices of type \"{}\"", of.name());
            return Err(self.fault(span, &message));
        }
        Ok(Device {
            name,
            kind,
            tap: plain(keys.tap.as_ref()),
            mac: plain(keys.mac.as_ref()),
            host_address: plain(keys.host_address.as_ref()),
            file: plain(keys.file.as_ref()),
            size: plain(keys.size.as_ref()),
            sector_size: plain(keys.sector_size.as_ref()),
        })
    }
}

/// The first key that is there.
fn first<const N: usize>(
    keys: [(&'static str, Option<Range<usize>>); N],
) -> Option<(&'static str, Range<usize>)> {
    keys.into_iter().find_map(|(key, span)| Some((key, span?)))
}

impl Device {
    /// One that nothing is said about.
    fn bare(name: String, kind: Kind) -> Self {
        Self {
            name,
            kind,
            tap: None,
            mac: None,
            host_address: None,
            file: None,
            size: None,
            sector_size: None,
        }
    }
}

impl Kind {
    const fn in_manifest(self) -> Type {
        match self {
            Self::Net => Type::Net,
            Self::Block => Type::Block,
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

    fn parse(text: &str) -> Result<Settings> {
        Settings::parse(PathBuf::new(), text.to_owned())
    }

    #[track_caller]
    fn refuses(text: &str, want: &str) {
        let got = parse(text).unwrap_err().to_string();
        assert!(got.starts_with(want), "{got:?}");
    }

    #[test]
    fn devices_keep_their_order() {
        let text = "[[device]]\nname = \"service\"\ntype = \"net\"\n\
                    [[device]]\nname = \"a\"\ntype = \"block\"\nfile = \"a.img\"\nsize = 1\n\
                    [run]\nmemory = 32\narguments = [\"--x\"]\nnet = \"private\"\n";
        let settings = parse(text).unwrap();
        let names: Vec<String> = settings
            .manifest()
            .into_iter()
            .map(|device| format!("{} {}", device.name, device.device_type))
            .collect();
        assert_eq!(names, ["service NET_BASIC", "a BLOCK_BASIC"]);
        assert_eq!(settings.run.net, Some(NetworkKind::Private));
        assert_eq!(settings.listed().unwrap()[1].size, Some(1));
        let empty = parse("").unwrap();
        assert!(empty.exist() && empty.listed().is_none() && empty.manifest().is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        refuses("[[device]\n", ":1:10: ");
        refuses("nmae = 1\n", ":1:1: unknown field `nmae`");
        refuses("[run]\nmemroy = 1\n", ":2:1: unknown field `memroy`");
        refuses("[run]\nmemory = \"1\"\n", ":2:10: invalid type");
        refuses("[run]\ntarget = \"xen\"\n", ":2:10: unknown variant `xen`");
        refuses("[[device]]\ntype = \"net\"\n", ":1:1: missing field `name`");
        refuses("[[device]]\nname = \"a\"\n", ":1:1: missing field `type`");
        refuses(
            "[[device]]\nname = \"a\"\ntype = \"disk\"\n",
            ":3:8: unknown variant `disk`, expected `net` or `block`",
        );
    }

    #[test]
    fn names_are_checked() {
        let device = |name: &str| format!("[[device]]\nname = \"{name}\"\ntype = \"net\"\n");
        refuses(&device(""), ":2:8: the name of a device may not be empty");
        refuses(&device("a-b"), ":2:8: name is not alphanumeric: a-b");
        refuses(&device(&"a".repeat(68)), ":2:8: name too long, maximum 67");
        assert!(parse(&device(&"a".repeat(67))).is_ok());
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

    /// What the code of an image declares.
    fn image() -> [ManifestEntry; 3] {
        [
            ManifestEntry::RESERVED,
            ManifestEntry::declare("service", Type::Net.raw()),
            ManifestEntry::declare("storage", Type::Block.raw()),
        ]
    }

    #[test]
    fn settings_find_the_devices_that_the_code_declares() {
        let text = "[run.device.storage]\nsize = 4\n[run.device.service]\nmac = \"x\"\n";
        let settings = parse(text).unwrap();
        assert!(settings.listed().is_none());
        let devices = settings.declared(&image(), Undeclared::Refused).unwrap();
        let [service, storage] = &devices[..] else {
            panic!("{devices:?}");
        };
        assert_eq!((&*service.name, service.kind), ("service", Kind::Net));
        assert_eq!(service.mac.as_deref(), Some("x"));
        assert_eq!((storage.kind, storage.size), (Kind::Block, Some(4)));
        // Nothing has to be said about a device.
        let none = parse("").unwrap();
        let devices = none.declared(&image(), Undeclared::Refused).unwrap();
        assert_eq!(devices[1].size, None);
    }

    #[test]
    fn settings_that_the_code_has_no_use_for_are_refused_with_their_place() {
        let refuses = |text: &str, want: &str| {
            let declared = parse(text).unwrap().declared(&image(), Undeclared::Refused);
            assert_eq!(declared.unwrap_err().to_string(), want);
        };
        let stray = "[run]\nmemory = 1\n[run.device.storge]\nsize = 4\n";
        refuses(
            stray,
            ":3:13: the code declares no device storge; it declares service, storage",
        );
        refuses(
            "[run.device]\nservice = { size = 4 }\n",
            ":2:20: `size` is for devices of type \"block\"",
        );
        let settings = parse(stray).unwrap();
        let devices = settings.declared(&image(), Undeclared::Ignored).unwrap();
        assert_eq!(devices.len(), 2);
        let strange = ManifestEntry::declare("strange", 77);
        let refused = settings.declared(&[strange], Undeclared::Ignored);
        assert!(refused.unwrap_err().to_string().contains("strange"));
    }

    #[test]
    fn devices_are_in_the_file_or_in_the_code() {
        let listed = "[[device]]\nname = \"a\"\ntype = \"net\"\n";
        refuses(
            &format!("{listed}[run.device.a]\nmac = \"x\"\n"),
            ":4:13: this is for devices that the code declares; for those of [[device]] it stands",
        );
        refuses(
            "[run.device.a]\ntype = \"net\"\n",
            ":2:8: `type` is for [[device]]; this is about a device that the code declares",
        );
        let twice = parse(listed).unwrap().declared_twice().to_string();
        assert!(twice.starts_with(":1:1: the devices are listed here, and in the code"));
    }
}
