//! Installing what a project needs (solo5-abi section 17.1).
//!
//! | Path | Content |
//! |---|---|
//! | `bin/` | `solo5-hvt`, `solo5-hvt-debug`, `solo5-spt`, `solo5-elftool`, `solo5-embed`, `cargo-solo5`, `TRIPLE-cc`, `TRIPLE-ld`, `TRIPLE-objcopy` |
//! | `include/solo5/` | `solo5.h`, `mnet.h` and the headers of the binary interface |
//! | `include/mnet-posix/` | BSD sockets, for programs without a C library |
//! | `include/TRIPLE/` | headers of the C compiler itself: `stdint.h`, `stdarg.h`, ... |
//! | `lib/TRIPLE/` | `libmnet.a`, `libmnet-posix.a`, `libsolo5_mem.a`; bindings and linker script of each target |
//! | `lib/pkgconfig/`, `lib/cmake/`, `share/mnet/` | what pkg-config, CMake and make want to know, from `xtask/dist` |
//! | `src/mnet/` | the crates that a unikernel in Rust depends on |

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use mnet_relocatable::{Workspace, recipes};

use crate::cargo::{cargo, succeed, workspace};

/// The target of images, in the names of tools and directories.
const TRIPLE: &str = "x86_64-solo5-none-static";

/// Packages with host programs.
const HOST_PACKAGES: &[&str] = &[
    "cargo-solo5",
    "solo5-tender",
    "solo5-debug",
    "solo5-elftool",
    "solo5-embed",
    "solo5-cc",
];

/// The programs that they build.
const PROGRAMS: &[&str] = &[
    "cargo-solo5",
    "solo5-hvt",
    "solo5-hvt-debug",
    "solo5-spt",
    "solo5-elftool",
    "solo5-embed",
    "x86_64-solo5-none-static-cc",
    "x86_64-solo5-none-static-ld",
    "x86_64-solo5-none-static-objcopy",
];

/// Targets with a linker script `solo5_NAME.lds`.
const TARGETS: &[&str] = &["stub", "hvt", "spt"];

/// The crates `solo5` and `mnet`, and those that they depend on.
const SOURCES: &[&str] = &[
    "cli",
    "core",
    "mnet",
    "solo5-toolchain/abi",
    "solo5-toolchain/macros",
    "solo5-toolchain/mem",
    "solo5-toolchain/solo5",
    "solo5-toolchain/sys",
];

/// Files for the build systems of others, in `xtask/dist`, and where each goes.
///
/// They find the installation by their own place in it, so that it can be moved.
const BUILD_FILES: &[(&str, &str)] = &[
    ("libmnet-posix.pc", "lib/pkgconfig"),
    ("libmnet.pc", "lib/pkgconfig"),
    ("mnet-config.cmake", "lib/cmake/mnet"),
    ("mnet-config-version.cmake", "lib/cmake/mnet"),
    ("mnet.mk", "share/mnet"),
    ("toolchain.cmake", "share/mnet"),
];

/// Where to install for a `prefix`, below `$DESTDIR` if that is set: the root of a package.
pub(crate) fn destination(prefix: &Path) -> PathBuf {
    staged(env::var_os("DESTDIR"), prefix)
}

fn staged(root: Option<OsString>, prefix: &Path) -> PathBuf {
    let root = root.filter(|root| !root.is_empty()).map(PathBuf::from);
    root.map_or_else(
        || prefix.to_path_buf(),
        |root| root.join(prefix.strip_prefix("/").unwrap_or(prefix)),
    )
}

/// Builds everything and installs it below `prefix`.
pub(crate) fn install(prefix: &Path) -> Result<()> {
    let workspace = workspace();
    progress("the tools");
    let programs = build_programs(&workspace)?;
    for program in PROGRAMS {
        copy(&programs.join(program), &prefix.join("bin").join(program))?;
    }

    progress("bindings and libraries");
    let library = prefix.join("lib").join(TRIPLE);
    recipes::SOLO5_HVT.object(&workspace, &library.join("solo5_hvt.o"))?;
    recipes::SOLO5_SPT.object(&workspace, &library.join("solo5_spt.o"))?;
    recipes::SOLO5_STUB.object(&workspace, &library.join("solo5_stub.o"))?;
    recipes::LIBMNET.archive(&workspace, &library.join("libmnet.a"))?;
    recipes::SOLO5_MEM.archive(&workspace, &library.join("libsolo5_mem.a"))?;
    for target in TARGETS {
        let script = format!("solo5_{target}.lds");
        let scripts = workspace.root().join("solo5-toolchain/guest/lds");
        copy(&scripts.join(&script), &library.join(&script))?;
    }

    let include = prefix.join("include");
    copy_tree(&workspace.root().join("include"), &include.join("solo5"))?;
    let headers = solo5_cc::compiler_headers(&solo5_cc::program("SOLO5_CC", "cc"))
        .context("the C compiler (apt-get install gcc)")?;
    for file in &headers.files {
        // GCC's limits.h asks this one for that of a C library. There is none, and it would fail.
        let from = if Path::new(file) == Path::new("syslimits.h") {
            workspace.root().join("xtask/dist/syslimits.h")
        } else {
            headers.dir.join(file)
        };
        copy(&from, &include.join(TRIPLE).join(file))?;
    }
    install_posix(&workspace, prefix)?;
    install_build_files(&workspace, prefix)?;
    install_sources(&workspace, &prefix.join("src/mnet"))
}

/// Tells somebody who waits at a terminal what takes so long.
fn progress(what: &str) {
    if io::stderr().is_terminal() {
        eprintln!("building {what} ...");
    }
}

/// Installs the headers of `posix`, and its library, built by the wrapper that was installed before.
fn install_posix(workspace: &Workspace, prefix: &Path) -> Result<()> {
    let posix = workspace.root().join("posix");
    copy_tree(&posix.join("include"), &prefix.join("include/mnet-posix"))?;
    let mut sources: Vec<PathBuf> = fs::read_dir(posix.join("src"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<_>>()?;
    sources.retain(|source| source.extension().is_some_and(|kind| kind == "c"));
    sources.sort();
    let directory = workspace.target_dir().join("posix");
    fs::create_dir_all(&directory)?;
    let archive = directory.join("libmnet-posix.a");
    let mut ar = Command::new("ar");
    ar.arg("rcsD").arg(&archive);
    for source in &sources {
        let object = directory.join(source.with_extension("o").file_name().unwrap_or_default());
        let mut compile = Command::new(prefix.join(format!("bin/{TRIPLE}-cc")));
        compile.args(["-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror"]);
        compile.args(["-ffunction-sections", "-fdata-sections", "-I"]);
        compile.arg(posix.join("include")).arg("-c").arg("-o");
        succeed(compile.arg(&object).arg(source))?;
        ar.arg(&object);
    }
    // Nothing stays of an earlier one.
    if archive.exists() {
        fs::remove_file(&archive)?;
    }
    succeed(&mut ar)?;
    let library = prefix.join("lib").join(TRIPLE);
    copy(&archive, &library.join("libmnet-posix.a"))
}

/// Installs what other build systems want to know. All packages have one version, also xtask's.
fn install_build_files(workspace: &Workspace, prefix: &Path) -> Result<()> {
    for (name, folder) in BUILD_FILES {
        let source = workspace.root().join("xtask/dist").join(name);
        let text = fs::read_to_string(&source)
            .with_context(|| format!("cannot read {}", source.display()))?
            .replace("@VERSION@", env!("CARGO_PKG_VERSION"));
        let to = prefix.join(folder);
        fs::create_dir_all(&to)
            .and_then(|()| fs::write(to.join(name), text))
            .with_context(|| format!("cannot write to {}", to.display()))?;
    }
    Ok(())
}

/// Installs the crates, as a workspace of their own, with the versions that were tested together.
fn install_sources(workspace: &Workspace, to: &Path) -> Result<()> {
    for folder in SOURCES {
        copy_tree(&workspace.root().join(folder), &to.join(folder))?;
    }
    copy(&workspace.root().join("Cargo.lock"), &to.join("Cargo.lock"))?;
    let manifest = fs::read_to_string(workspace.root().join("Cargo.toml"))?;
    let shared = shared_part(&manifest).context("Cargo.toml has another form than this expects")?;
    let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {SOURCES:?}\n\n{shared}");
    fs::write(to.join("Cargo.toml"), manifest)
        .with_context(|| format!("cannot write to {}", to.display()))
}

/// What the crates of a workspace have in common: from `[workspace.package]` up to the profiles.
fn shared_part(manifest: &str) -> Option<&str> {
    let start = manifest.find("[workspace.package]")?;
    let shared = manifest.get(start..)?;
    shared.get(..shared.find("[profile.")?)
}

/// Builds the host's programs; the directory that they are in.
fn build_programs(workspace: &Workspace) -> Result<PathBuf> {
    let mut command = cargo(&["build", "--quiet", "--release", "--bins"]);
    for package in HOST_PACKAGES {
        command.args(["--package", package]);
    }
    command.arg("--target-dir").arg(workspace.target_dir());
    succeed(&mut command)?;
    Ok(workspace.target_dir().join("release"))
}

/// Copies a directory with all that is in it.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    let entries = fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, destination) = (entry.path(), to.join(entry.file_name()));
        if fs::metadata(&source)?.is_dir() {
            copy_tree(&source, &destination)?;
        } else {
            copy(&source, &destination)?;
        }
    }
    Ok(())
}

/// Puts a copy of a file in place in one step, so that a running program is not disturbed and a
/// reader sees the old file or the new one. A copy that is there already stays.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().context("a path without a directory")?;
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    if is_copy(from, to).with_context(|| format!("cannot read {}", from.display()))? {
        return Ok(());
    }
    let mut name = OsString::from(".new-");
    name.push(std::process::id().to_string());
    name.push("-");
    name.push(to.file_name().unwrap_or_default());
    let beside = to.with_file_name(name);
    fs::copy(from, &beside)
        .and_then(|_| fs::rename(&beside, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

fn is_copy(from: &Path, to: &Path) -> io::Result<bool> {
    let source = fs::read(from)?;
    Ok(fs::read(to).is_ok_and(|content| content == source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_staged_below_its_root() {
        let usr = Path::new("/usr");
        assert_eq!(staged(None, usr), usr);
        assert_eq!(staged(Some("".into()), usr), usr);
        assert_eq!(
            staged(Some("/staging".into()), usr),
            Path::new("/staging/usr")
        );
        assert_eq!(
            staged(Some("root".into()), Path::new("opt")),
            Path::new("root/opt")
        );
    }
}
