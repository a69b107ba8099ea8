//! Programs and libraries that the tests need from the system.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};
use nix::unistd::Uid;

use crate::cargo::{cargo, succeed};
use crate::suites::Suite;

/// Something to look for, the Debian package that has it, and the suites that use it.
struct Need {
    what: What,
    package: &'static str,
    suites: &'static [Suite],
}

enum What {
    Program(&'static str),
    LibClang,
}

const NEEDS: &[Need] = &[
    Need {
        what: What::Program("gcc"),
        package: "gcc",
        suites: &[Suite::Headers, Suite::Units, Suite::Images],
    },
    Need {
        what: What::Program("g++"),
        package: "g++",
        suites: &[Suite::Headers, Suite::Units],
    },
    Need {
        what: What::Program("objcopy"),
        package: "binutils",
        suites: &[Suite::Units, Suite::Images],
    },
    Need {
        what: What::LibClang, // bindgen reads solo5.h with it.
        package: "libclang-dev",
        suites: &[Suite::Generated, Suite::Units],
    },
    Need {
        what: What::Program("ip"),
        package: "iproute2",
        suites: &[Suite::Units, Suite::Images],
    },
    Need {
        what: What::Program("ping"),
        package: "iputils-ping",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("radvd"),
        package: "radvd",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("dnsmasq"),
        package: "dnsmasq-base", // The program without the system's service.
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("curl"),
        package: "curl",
        suites: &[Suite::Units, Suite::Images],
    },
    Need {
        what: What::Program("python3"), // Its web server, for the example client.
        package: "python3",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("rdate"),
        package: "rdate",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("chronyd"),
        package: "chrony",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("wrk"),
        package: "wrk",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("ab"),
        package: "apache2-utils",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("mosquitto"),
        package: "mosquitto",
        suites: &[Suite::Units],
    },
    Need {
        what: What::Program("mosquitto_rr"),
        package: "mosquitto-clients",
        suites: &[Suite::Units],
    },
    Need {
        what: What::Program("atk6-implementation6"),
        package: "thc-ipv6",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("traceroute"),
        package: "traceroute",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("ndisc6"),
        package: "ndisc6",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("unzip"),
        package: "unzip",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("nc"),
        package: "netcat-openbsd",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("gdb"), // Guests under solo5-hvt-debug.
        package: "gdb",
        suites: &[Suite::Units],
    },
    Need {
        what: What::Program("valgrind"),
        package: "valgrind",
        suites: &[Suite::Instructions],
    },
];

/// What single tests use, which are skipped without it.
const HELPFUL: &[Need] = &[
    Need {
        what: What::Program("make"),
        package: "make",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("cmake"),
        package: "cmake",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("pkg-config"),
        package: "pkgconf",
        suites: &[Suite::Images],
    },
    Need {
        what: What::Program("doxygen"),
        package: "doxygen",
        suites: &[Suite::Docs],
    },
];

/// Installs what these suites need and is missing, as root on a Debian system. Otherwise says what
/// is missing, unless only single tests are skipped for that.
pub(crate) fn provide(suites: &[Suite]) -> Result<()> {
    provide_components(suites)?;
    let absent = |needs: &'static [Need]| {
        needs
            .iter()
            .filter(|need| need.suites.iter().any(|suite| suites.contains(suite)))
            .filter(|need| !need.is_there())
            .map(|need| need.package)
    };
    let mut missing: Vec<&str> = absent(NEEDS).collect();
    let can_install = Uid::effective().is_root() && find_program("apt-get").is_some();
    if can_install {
        missing.extend(absent(HELPFUL));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let install = ["install", "--yes", "--no-install-recommends"];
    if !can_install {
        bail!(
            "missing: {list}. On Debian, as root: apt-get install {list}",
            list = missing.join(" ")
        );
    }
    println!("installing {}", missing.join(" "));
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    succeed(apt.arg("--quiet").arg("update"))?;
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    // In single-user mode a package does not start its daemon: the tests do, in their namespaces.
    apt.env("RUNLEVEL", "1");
    succeed(apt.arg("--quiet").args(install).args(&missing))
}

/// rustfmt and clippy are parts of the toolchain that a minimal installation leaves out.
fn provide_components(suites: &[Suite]) -> Result<()> {
    let components = [
        (Suite::Fmt, "fmt", "rustfmt"),
        (Suite::Generated, "fmt", "rustfmt"),
        (Suite::Lint, "clippy", "clippy"),
    ];
    for (suite, subcommand, component) in components {
        if !suites.contains(&suite) {
            continue;
        }
        let works = cargo(&[subcommand, "--version"])
            .output()
            .is_ok_and(|output| output.status.success());
        if works {
            continue;
        }
        if find_program("rustup").is_none() {
            bail!("missing: `cargo {subcommand}`; it is part of the Rust toolchain");
        }
        succeed(Command::new("rustup").args(["component", "add", component]))?;
    }
    Ok(())
}

impl Need {
    fn is_there(&self) -> bool {
        match self.what {
            What::Program(name) => find_program(name).is_some(),
            What::LibClang => has_libclang(),
        }
    }
}

/// Looks for a program on the path, and where system programs are.
pub(crate) fn find_program(name: &str) -> Option<std::path::PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|directory| directory.join(name))
        .find(|file| file.is_file())
}

/// Looks where bindgen would.
fn has_libclang() -> bool {
    if env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let versions = fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"))
        .map(|entry| entry.path().join("lib"));
    let system = ["/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
    versions
        .chain(system.iter().map(|path| Path::new(path).to_path_buf()))
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .flatten()
        .any(|file| is_libclang(&file.file_name().to_string_lossy()))
}

/// Whether a file is libclang, in any version; its sister `libclang-cpp` is of no use to bindgen.
fn is_libclang(name: &str) -> bool {
    name.starts_with("libclang.so")
        || name.strip_prefix("libclang-").is_some_and(|version| {
            version.starts_with(|first: char| first.is_ascii_digit()) && version.contains(".so")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libclang_is_told_from_its_sister() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so.1"] {
            assert!(is_libclang(name), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclang-14", "libclangAST.a"] {
            assert!(!is_libclang(name), "{name}");
        }
    }
}
