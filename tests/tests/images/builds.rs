//! pkg-config, CMake and make build images with what is installed, wherever it was moved to, with our
//! compiler wrapper and with one of a Solo5 that knows nothing of mnet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mnet_tests::clients::tcp_echo_checked;
use mnet_tests::prefix::{Prefix, copy_folder, dist_command, succeed, workspace};

use crate::fixture::{Fixture, SERVICE};
use crate::{Test, needs};

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("pkg_config_knows_the_flags", pkg_config),
    ("cmake_builds_both_targets", cmake),
    ("make_builds_both_targets", make),
    ("a_package_is_staged_below_destdir", destdir),
];

const WRAPPER: &str = "bin/x86_64-solo5-none-static-cc";

/// What a project in C has to say to each of the three.
const MAKEFILE: &str = "\
MNET_POSIX = 1
include $(MNET)/share/mnet/mnet.mk

all: echo.spt echo.hvt fetch.spt
";
const CMAKE_LISTS: &str = "\
cmake_minimum_required(VERSION 3.13)
project(echo C)
find_package(mnet 0.1 REQUIRED)

foreach(abi spt hvt)
  add_executable(echo-${abi} echo.c)
  set_target_properties(echo-${abi} PROPERTIES OUTPUT_NAME echo)
  target_link_libraries(echo-${abi} PRIVATE mnet::mnet)
  mnet_unikernel(echo-${abi} ABI ${abi})
endforeach()

add_executable(fetch fetch.c)
target_link_libraries(fetch PRIVATE mnet::posix)
mnet_unikernel(fetch)
";

/// For a copy of this size compilers call `memcpy`.
const COPY: &str = "
struct large { char bytes[8192]; };
void copy_large(struct large *to, const struct large *from) { *to = *from; }
";

/// An installation that was moved, a Solo5 beside it without mnet, and a project.
struct Site {
    moved: PathBuf,
    solo5: PathBuf,
    project: PathBuf,
}

impl Site {
    fn new(fixture: &Fixture, name: &str) -> Result<Self> {
        let directory = fixture.directory(name)?;
        let site = Self {
            moved: directory.join("elsewhere"),
            solo5: directory.join("solo5"),
            project: directory.join("project"),
        };
        for folder in ["bin", "include", "lib", "share"] {
            let installed = fixture.prefix.root().join(folder);
            copy_folder(&installed, &site.moved.join(folder))?;
        }
        for folder in ["bin", "include", "lib"] {
            let installed = fixture.prefix.root().join(folder);
            copy_folder(&installed, &site.solo5.join(folder))?;
        }
        for ours in [
            "include/solo5/mnet.h",
            "include/mnet-posix",
            "lib/x86_64-solo5-none-static/libmnet.a",
            "lib/x86_64-solo5-none-static/libmnet-posix.a",
            "lib/x86_64-solo5-none-static/libsolo5_mem.a",
            "lib/cmake",
            "lib/pkgconfig",
        ] {
            let path = site.solo5.join(ours);
            if path.is_dir() {
                fs::remove_dir_all(&path)?;
            } else {
                fs::remove_file(&path).with_context(|| ours)?;
            }
        }
        fs::create_dir_all(&site.project)?;
        for file in [
            "c-examples/echo/echo.c",
            "c-examples/echo/manifest.json",
            "posix/tests/fetch.c",
        ] {
            let from = workspace().join(file);
            fs::copy(
                &from,
                site.project.join(from.file_name().unwrap_or_default()),
            )?;
        }
        // It needs what compilers call on their own, which a foreign wrapper does not bring.
        let source = site.project.join("echo.c");
        let program = fs::read_to_string(&source)? + COPY;
        fs::write(&source, program)?;
        Ok(site)
    }

    fn moved(&self, path: &str) -> PathBuf {
        self.moved.join(path)
    }

    /// A command in the project's directory, to which no other variable says anything.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.project);
        for variable in [
            "CC",
            "CFLAGS",
            "CPPFLAGS",
            "LDFLAGS",
            "MAKEFLAGS",
            "MAKELEVEL",
            "PKG_CONFIG_LIBDIR",
        ] {
            command.env_remove(variable);
        }
        command
    }

    /// The image for spt works, and that for hvt is one.
    fn works(&self, fixture: &Fixture, directory: &Path) -> Result<()> {
        let mut query = Prefix::new(self.moved.clone()).tool("solo5-elftool");
        query.arg("query-abi").arg(directory.join("echo.hvt"));
        let abi = succeed(&mut query)?;
        ensure!(directory.join("fetch.spt").is_file());
        ensure!(abi.contains("hvt"), "{abi}");
        let unikernel = fixture.echo_unikernel_of(&directory.join("echo.spt"));
        let _machine = fixture.boot(&unikernel)?;
        tcp_echo_checked(SERVICE, 1, 100_000)?;
        Ok(())
    }
}

fn pkg_config(fixture: &Fixture) -> Result<()> {
    needs("pkg-config")?;
    let site = Site::new(fixture, "builds-pkg-config")?;
    let ask = |question: &[&str], package: &str| {
        let mut command = site.command("pkg-config");
        command.env("PKG_CONFIG_PATH", site.moved("lib/pkgconfig"));
        succeed(command.args(question).arg(package))
    };
    ensure!(ask(&["--modversion"], "libmnet")?.trim() == env!("CARGO_PKG_VERSION"));
    let flags = ask(&["--cflags", "--libs"], "libmnet")?;
    let posix = ask(&["--cflags", "--libs"], "libmnet-posix")?;
    let mut manifest = Prefix::new(site.moved.clone()).tool("solo5-elftool");
    manifest.args(["gen-manifest", "manifest.json", "manifest.c"]);
    succeed(manifest.current_dir(&site.project))?;
    for wrapper in [&site.moved, &site.solo5] {
        for abi in ["spt", "hvt"] {
            let mut compile = Command::new(wrapper.join(WRAPPER));
            compile.args(["-z", &format!("solo5-abi={abi}"), "-O2"]);
            compile.args(["-o", &format!("echo.{abi}"), "echo.c", "manifest.c"]);
            compile.args(flags.split_whitespace());
            succeed(compile.current_dir(&site.project))?;
        }
        let mut compile = Command::new(wrapper.join(WRAPPER));
        compile.args([
            "-z",
            "solo5-abi=spt",
            "-o",
            "fetch.spt",
            "fetch.c",
            "manifest.c",
        ]);
        compile.args(posix.split_whitespace());
        succeed(compile.current_dir(&site.project))?;
        site.works(fixture, &site.project)?;
    }
    Ok(())
}

fn cmake(fixture: &Fixture) -> Result<()> {
    needs("cmake")?;
    needs("make")?;
    let site = Site::new(fixture, "builds-cmake")?;
    fs::write(site.project.join("CMakeLists.txt"), CMAKE_LISTS)?;
    for (name, wrapper) in [("ours", None), ("foreign", Some(&site.solo5))] {
        let mut option = std::ffi::OsString::from("-DCMAKE_TOOLCHAIN_FILE=");
        option.push(site.moved("share/mnet/toolchain.cmake"));
        let mut configure = site.command("cmake");
        configure.args(["-S", ".", "-B", name]).arg(option);
        if let Some(wrapper) = wrapper {
            let mut option = std::ffi::OsString::from("-DCMAKE_C_COMPILER=");
            option.push(wrapper.join(WRAPPER));
            configure.arg(option);
        }
        succeed(&mut configure)?;
        succeed(site.command("cmake").args(["--build", name]))?;
        site.works(fixture, &site.project.join(name))?;
    }
    // Nothing is done twice, and a device more makes another image.
    let build = || succeed(site.command("cmake").args(["--build", "ours"]));
    ensure!(!build()?.contains("Linking"), "it was up to date");
    fs::write(
        site.project.join("manifest.json"),
        r#"{ "type": "solo5.manifest", "version": 1, "devices": [ { "name": "other", "type": "NET_BASIC" } ] }"#,
    )?;
    build()?;
    let mut query = Prefix::new(site.moved.clone()).tool("solo5-elftool");
    query
        .arg("query-manifest")
        .arg(site.project.join("ours/echo.spt"));
    ensure!(succeed(&mut query)?.contains("\"other\""));
    // Another series of versions is not what was asked for.
    let lists = CMAKE_LISTS.replace("mnet 0.1", "mnet 0.0.1");
    fs::write(site.project.join("CMakeLists.txt"), lists)?;
    let mut refused = site.command("cmake");
    refused.args(["-S", ".", "-B", "ours"]);
    ensure!(succeed(&mut refused).is_err(), "0.0.1 was found");
    Ok(())
}

fn make(fixture: &Fixture) -> Result<()> {
    needs("make")?;
    let site = Site::new(fixture, "builds-make")?;
    fs::write(site.project.join("Makefile"), MAKEFILE)?;
    let prefix = format!("MNET={}", site.moved.display());
    for wrapper in [None, Some(&site.solo5)] {
        let make = |more: &[&str]| {
            let mut make = site.command("make");
            make.arg(&prefix).arg("CFLAGS=-O2").args(more);
            if let Some(wrapper) = wrapper {
                make.arg(format!("CC={}", wrapper.join(WRAPPER).display()));
            }
            succeed(&mut make)
        };
        make(&["--always-make"])?;
        site.works(fixture, &site.project)?;
        let again = make(&[])?;
        ensure!(again.contains("Nothing to be done"), "{again}");
    }
    Ok(())
}

/// Only where the files go: what is in them does not depend on it.
fn destdir(fixture: &Fixture) -> Result<()> {
    let root = fixture.directory("builds-destdir")?;
    let mut install = dist_command(Path::new("/opt/mnet"));
    succeed(install.env("DESTDIR", &root))?;
    for file in [
        "bin/solo5-spt",
        "lib/pkgconfig/libmnet.pc",
        "share/mnet/mnet.mk",
    ] {
        let (staged, installed) = (
            root.join("opt/mnet").join(file),
            fixture.prefix.root().join(file),
        );
        ensure!(fs::read(staged)? == fs::read(installed)?, "{file} differs");
    }
    ensure!(
        !Path::new("/opt/mnet").exists(),
        "something went to the host"
    );
    Ok(())
}
