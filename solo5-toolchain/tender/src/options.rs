//! The grammar of the command line (solo5-abi section 8).
//!
//! Option names carry the names of devices (`--net:service=tap0`), values always follow `=`, and
//! everything after the image belongs to the guest. Parsing has two steps, because a bad image is
//! reported before a bad option: [`scan`] finds the image, [`parse`] reads one option.

use std::ffi::{OsStr, OsString};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;

use solo5_abi::constants::{AbiTarget, CMDLINE_SIZE, DEFAULT_SECTOR_SIZE, MAX_NAME_LEN, PAGE_SIZE};
use thiserror::Error;

/// What a command line asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Explain the usage.
    Help,
    /// Print versions.
    Version,
    /// There is no image among the arguments.
    MissingKernel,
    /// Run an image.
    Run {
        /// What stands before the image, without a final `--`.
        options: &'a [OsString],
        /// File name of the image.
        kernel: &'a OsStr,
        /// What the guest gets.
        arguments: &'a [OsString],
    },
}

/// Finds the image among the arguments, the program's own name not included.
///
/// The first `--help` or `--version` before it wins over everything else.
#[must_use]
pub fn scan(arguments: &[OsString]) -> Request<'_> {
    let mut options = 0;
    let mut kernel = 0;
    for argument in arguments {
        match argument.as_bytes() {
            b"--" => {
                kernel += 1;
                break;
            }
            b"--help" => return Request::Help,
            b"--version" => return Request::Version,
            [b'-', ..] => {
                options += 1;
                kernel += 1;
            }
            _ => break,
        }
    }
    match arguments[kernel..].split_first() {
        None => Request::MissingKernel,
        Some((name, rest)) => Request::Run {
            options: &arguments[..options],
            kernel: name,
            arguments: rest,
        },
    }
}

/// One option before the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opt<'a> {
    /// `--mem=N`: size of guest memory in bytes; never 0, a multiple of 1 MiB.
    Memory(u64),
    /// spt, `--x-exec-heap`: memory outside the image is executable.
    ExecutableHeap,
    /// hvt, `--no-net-ring`: no network ring is offered.
    NoNetRing,
    /// hvt, `--ring0`: the guest starts in ring 0.
    Ring0,
    /// hvt, `--stack=N`: bytes of the stack above a page that must not be touched; a multiple of
    /// the page size, not 0.
    Stack(u64),
    /// `--stats`: what was counted is printed at the end.
    Stats,
    /// hvt, `--dumpcore=DIR`: where the memory of a guest that aborts goes.
    DumpCore(&'a OsStr),
    /// `--net:NAME=IFACE`: attach a TAP interface.
    Net {
        /// Name of the device in the manifest.
        name: &'a str,
        /// Name of the interface.
        interface: &'a OsStr,
    },
    /// `--net:NAME=@NN`: attach a TAP by a descriptor that the caller opened.
    NetFd {
        /// Name of the device in the manifest.
        name: &'a str,
        /// What follows the equals sign, for messages.
        interface: &'a OsStr,
        /// The descriptor.
        fd: Result<RawFd, FdError>,
    },
    /// `--net-mac:NAME=XX:XX:XX:XX:XX:XX`: the guest's MAC address.
    NetMac {
        /// Name of the device in the manifest.
        name: &'a str,
        /// The address.
        mac: [u8; 6],
    },
    /// `--net-pcap:NAME=FILE`: record the frames of a network device.
    NetPcap {
        /// Name of the device in the manifest.
        name: &'a str,
        /// The file.
        path: &'a OsStr,
    },
    /// `--block:NAME=PATH`: attach a file or a block device.
    Block {
        /// Name of the device in the manifest.
        name: &'a str,
        /// The file.
        path: &'a OsStr,
    },
    /// `--block-sector-size:NAME=N`: sector size of a block device.
    SectorSize {
        /// Name of the device in the manifest.
        name: &'a str,
        /// Bytes, a power of two from 512 to 32768.
        bytes: u16,
    },
}

/// Why the number after `@` is no descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FdError {
    /// It is not a number.
    NotANumber,
    /// It is too great.
    Range,
}

/// Why an option is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OptionError {
    /// Not an option, or one whose value makes no sense.
    #[error("not an option")]
    Invalid,
    /// The size of memory is not a positive number that fits.
    #[error("Malformed argument to --mem")]
    Memory,
    /// The sector size is not one of the sizes that are allowed.
    #[error("Block size must be a multiple of 2 greater than or equal 512")]
    SectorSize,
}

/// Reads one option.
///
/// Trailing text after the number in `--mem=` and `--block-sector-size:` and after a complete MAC
/// address is ignored, as it always was (`--mem=64M`).
///
/// # Errors
///
/// See [`OptionError`].
pub fn parse(target: AbiTarget, option: &OsStr) -> Result<Opt<'_>, OptionError> {
    let bytes = option.as_bytes();
    if let Some(value) = bytes.strip_prefix(b"--mem=") {
        return memory(value).map(Opt::Memory).ok_or(OptionError::Memory);
    }
    if bytes == b"--stats" {
        return Ok(Opt::Stats);
    }
    if let Some(own) = match target {
        AbiTarget::Spt => spt_option(bytes),
        AbiTarget::Hvt => hvt_option(bytes),
        _ => None,
    } {
        return Ok(own);
    }
    if let Some((name, value)) = device(bytes, b"--net:") {
        let interface = OsStr::from_bytes(value);
        return Ok(match value.strip_prefix(b"@") {
            Some(number) => Opt::NetFd {
                name,
                interface,
                fd: descriptor(number),
            },
            None => Opt::Net { name, interface },
        });
    }
    if let Some((name, value)) = device(bytes, b"--net-mac:") {
        let mac = mac_address(value).ok_or(OptionError::Invalid)?;
        return Ok(Opt::NetMac { name, mac });
    }
    if let Some((name, value)) = device(bytes, b"--net-pcap:") {
        let path = OsStr::from_bytes(value);
        return Ok(Opt::NetPcap { name, path });
    }
    if let Some((name, value)) = device(bytes, b"--block:") {
        return Ok(Opt::Block {
            name,
            path: OsStr::from_bytes(value),
        });
    }
    if let Some((name, value)) = device(bytes, b"--block-sector-size:") {
        if !value[0].is_ascii_digit() {
            return Err(OptionError::Invalid);
        }
        let bytes = leading_number(value).and_then(|number| u16::try_from(number).ok());
        let bytes = bytes.filter(|&n| n >= DEFAULT_SECTOR_SIZE && n.is_power_of_two());
        return Ok(Opt::SectorSize {
            name,
            bytes: bytes.ok_or(OptionError::SectorSize)?,
        });
    }
    Err(OptionError::Invalid)
}

/// An option that only `solo5-spt` has.
fn spt_option(option: &[u8]) -> Option<Opt<'_>> {
    option
        .starts_with(b"--x-exec-heap")
        .then_some(Opt::ExecutableHeap)
}

/// An option that only `solo5-hvt` has.
fn hvt_option(option: &[u8]) -> Option<Opt<'_>> {
    const KIB: u64 = 1 << 10;
    match option {
        b"--no-net-ring" => return Some(Opt::NoNetRing),
        b"--ring0" => return Some(Opt::Ring0),
        _ => {}
    }
    if let Some(value) = option.strip_prefix(b"--stack=") {
        let bytes = leading_number(value)?.checked_mul(KIB)?;
        let bytes = bytes.checked_next_multiple_of(PAGE_SIZE)?;
        return (bytes > 0).then_some(Opt::Stack(bytes));
    }
    let directory = option.strip_prefix(b"--dumpcore=")?;
    (!directory.is_empty()).then(|| Opt::DumpCore(OsStr::from_bytes(directory)))
}

/// Splits `PREFIX NAME=VALUE`. The name obeys the rules for names, the value is not empty.
fn device<'a>(option: &'a [u8], prefix: &[u8]) -> Option<(&'a str, &'a [u8])> {
    let rest = option.strip_prefix(prefix)?;
    let equals = rest
        .iter()
        .take(MAX_NAME_LEN + 1)
        .position(|&byte| byte == b'=')?;
    let (name, value) = (&rest[..equals], &rest[equals + 1..]);
    if value.is_empty() || !solo5_abi::manifest::is_valid_name(name) {
        return None;
    }
    Some((str::from_utf8(name).ok()?, value))
}

/// The decimal number that `text` starts with; what follows it is ignored. `None` if there is none
/// or it does not fit.
fn leading_number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    str::from_utf8(&text[..digits]).ok()?.parse().ok()
}

/// Size of memory in bytes from a number of MiB.
fn memory(value: &[u8]) -> Option<u64> {
    const MIB: u64 = 1 << 20;
    let mib = leading_number(value.strip_prefix(b"+").unwrap_or(value))?;
    mib.checked_mul(MIB).filter(|&bytes| bytes > 0)
}

/// A descriptor: decimal digits, nothing else.
fn descriptor(text: &[u8]) -> Result<RawFd, FdError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return Err(FdError::NotANumber);
    }
    str::from_utf8(text)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(FdError::Range)
}

/// Six groups of one or two hexadecimal digits between colons; what follows them is ignored.
fn mac_address(text: &[u8]) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut rest = text;
    for (index, byte) in mac.iter_mut().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix(b":")?;
        }
        let digits = rest
            .iter()
            .take(2)
            .take_while(|digit| digit.is_ascii_hexdigit())
            .count();
        *byte = u8::from_str_radix(str::from_utf8(&rest[..digits]).ok()?, 16).ok()?;
        rest = &rest[digits..];
    }
    Some(mac)
}

/// The guest's command line: its arguments joined with single spaces, without a NUL.
///
/// `None` if it would not fit into the room that guests have for it, 8191 bytes.
#[must_use]
pub fn command_line(arguments: &[OsString]) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            line.push(b' ');
        }
        line.extend_from_slice(argument.as_bytes());
        if line.len() >= CMDLINE_SIZE {
            return None;
        }
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[track_caller]
    fn runs(words: &[&str], want: (&[&str], &str, &[&str])) {
        let words = strings(words);
        let (options, kernel, arguments) =
            (strings(want.0), OsString::from(want.1), strings(want.2));
        let want = Request::Run {
            options: &options,
            kernel: &kernel,
            arguments: &arguments,
        };
        assert_eq!(scan(&words), want);
    }

    #[track_caller]
    fn option(text: &str) -> Result<Opt<'_>, OptionError> {
        parse(AbiTarget::Spt, OsStr::new(text))
    }

    #[test]
    fn the_first_word_without_a_dash_is_the_image() {
        runs(&["a"], (&[], "a", &[]));
        runs(
            &["--mem=2", "-", "a", "--mem=3"],
            (&["--mem=2", "-"], "a", &["--mem=3"]),
        );
        runs(&["a", "--", "--help"], (&[], "a", &["--", "--help"]));
    }

    #[test]
    fn a_double_dash_ends_options_once() {
        runs(&["--mem=2", "--", "-a", "b"], (&["--mem=2"], "-a", &["b"]));
        runs(&["--", "--help"], (&[], "--help", &[]));
        runs(&["--", "--", "a"], (&[], "--", &["a"]));
    }

    #[test]
    fn help_and_version_work_without_an_image_and_the_first_wins() {
        assert_eq!(
            scan(&strings(&["--bad", "--help", "--version"])),
            Request::Help
        );
        assert_eq!(
            scan(&strings(&["--version", "--help", "a"])),
            Request::Version
        );
    }

    #[test]
    fn without_an_image_nothing_runs() {
        for words in [&[][..], &["--mem=2"], &["--"], &["-"]] {
            assert_eq!(scan(&strings(words)), Request::MissingKernel);
        }
    }

    #[test]
    fn memory_is_in_mib_and_positive() {
        assert_eq!(option("--mem=64"), Ok(Opt::Memory(64 << 20)));
        assert_eq!(option("--mem=64M"), Ok(Opt::Memory(64 << 20)));
        for bad in ["", "0", "x", "-1", "17592186044416", "99999999999999999999"] {
            assert_eq!(
                option(&format!("--mem={bad}")).unwrap_err(),
                OptionError::Memory
            );
        }
        assert_eq!(option("--mem"), Err(OptionError::Invalid));
    }

    #[test]
    fn executable_heap_is_recognised_by_its_prefix() {
        assert_eq!(option("--x-exec-heap"), Ok(Opt::ExecutableHeap));
        assert_eq!(option("--x-exec-hea"), Err(OptionError::Invalid));
    }

    #[test]
    fn options_of_hvt_are_its_own() {
        for (text, want) in [
            ("--no-net-ring", Opt::NoNetRing),
            ("--ring0", Opt::Ring0),
            ("--stack=64", Opt::Stack(64 << 10)),
            ("--stack=1", Opt::Stack(4096)),
            ("--dumpcore=/tmp/a b", Opt::DumpCore(OsStr::new("/tmp/a b"))),
        ] {
            assert_eq!(parse(AbiTarget::Hvt, OsStr::new(text)), Ok(want), "{text}");
            assert_eq!(option(text), Err(OptionError::Invalid), "{text}");
        }
        for text in [
            "--x-exec-heap",
            "--ring00",
            "--ring",
            "--no-net-rings",
            "--stack=0",
            "--stack=",
            "--stack=x",
            "--stack=18446744073709551615",
            "--stack=18014398509481983",
            "--dumpcore=",
            "--dumpcore",
        ] {
            let got = parse(AbiTarget::Hvt, OsStr::new(text));
            assert_eq!(got, Err(OptionError::Invalid), "{text}");
        }
    }

    #[test]
    fn net_takes_an_interface_or_a_descriptor() {
        let name = "service";
        let tap = |text| OsStr::new(text);
        assert_eq!(
            option("--net:service=tap 0"),
            Ok(Opt::Net {
                name,
                interface: tap("tap 0")
            })
        );
        for (text, fd) in [
            ("@3", Ok(3)),
            ("@2147483648", Err(FdError::Range)),
            ("@", Err(FdError::NotANumber)),
            ("@-1", Err(FdError::NotANumber)),
            ("@3x", Err(FdError::NotANumber)),
        ] {
            let want = Opt::NetFd {
                name,
                interface: tap(text),
                fd,
            };
            assert_eq!(option(&format!("--net:service={text}")), Ok(want));
        }
    }

    #[test]
    fn names_that_cannot_be_in_a_manifest_make_an_option_invalid() {
        let long = "n".repeat(68);
        for name in ["", "a-b", "a b", &long] {
            for option_name in ["net", "block"] {
                let text = format!("--{option_name}:{name}=x");
                assert_eq!(option(&text), Err(OptionError::Invalid), "{text}");
            }
        }
        let text = format!("--block:{}=x", &long[1..]);
        assert!(matches!(option(&text), Ok(Opt::Block { .. })));
        for text in [
            "--net:service",
            "--net:service=",
            "--net:=",
            "--net=tap0",
            "-",
            "--nett:a=b",
        ] {
            assert_eq!(option(text), Err(OptionError::Invalid), "{text}");
        }
    }

    #[test]
    fn mac_addresses_have_six_groups() {
        let name = "n";
        let mac = [0, 0x1a, 2, 0xFF, 4, 5];
        assert_eq!(
            option("--net-mac:n=0:1a:02:fF:4:05"),
            Ok(Opt::NetMac { name, mac })
        );
        assert_eq!(
            option("--net-mac:n=0:1a:02:fF:4:05x"),
            Ok(Opt::NetMac { name, mac })
        );
        for bad in [
            "0:1:2:3:4",
            "0:1:2:3:4:",
            "0:1:2:3:4:g",
            "001:2:3:4:5:6",
            "0-1-2-3-4-5",
        ] {
            assert_eq!(
                option(&format!("--net-mac:n={bad}")).unwrap_err(),
                OptionError::Invalid
            );
        }
    }

    #[test]
    fn sector_sizes_are_powers_of_two_that_fit_the_manifest() {
        let name = "b";
        for bytes in [512, 4096, 32768] {
            let want = Opt::SectorSize { name, bytes };
            assert_eq!(option(&format!("--block-sector-size:b={bytes}")), Ok(want));
        }
        for bad in ["0", "256", "521", "1000", "65536", "99999999999999999999"] {
            let got = option(&format!("--block-sector-size:b={bad}")).unwrap_err();
            assert_eq!(got, OptionError::SectorSize);
        }
        assert_eq!(option("--block-sector-size:b=x"), Err(OptionError::Invalid));
    }

    #[test]
    fn block_paths_may_contain_blanks() {
        let want = Opt::Block {
            name: "b",
            path: OsStr::new("/tmp/a b"),
        };
        assert_eq!(option("--block:b=/tmp/a b"), Ok(want));
    }

    #[test]
    fn arguments_are_joined_up_to_the_limit() {
        assert_eq!(command_line(&[]).unwrap(), b"");
        assert_eq!(
            command_line(&strings(&["a", "", "b c"])).unwrap(),
            b"a  b c"
        );
        let word = OsString::from("x".repeat(8191));
        assert_eq!(
            command_line(std::slice::from_ref(&word)).unwrap().len(),
            8191
        );
        assert_eq!(command_line(&[word, OsString::new()]), None);
    }
}
