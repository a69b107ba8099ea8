//! Where bindings, linker scripts, tenders and crates are: in an installation, or in a clone.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use mnet_relocatable::{Recipe, Workspace, recipes};
use solo5_cc::Layout;

use crate::cli::Target;

/// What an installation has below its prefix: the crates that a project depends on.
const SOURCES: &str = "src/mnet";

/// Where everything is.
#[derive(Debug)]
pub(crate) struct Toolchain {
    /// Programs.
    bin: PathBuf,
    /// Bindings and linker scripts.
    place: Place,
    /// The workspace with the crates `solo5` and `mnet`.
    sources: PathBuf,
}

/// Bindings and linker scripts.
#[derive(Debug)]
enum Place {
    /// This directory has all.
    Installed(PathBuf),
    /// They are built when they are needed.
    Clone(Workspace),
}

/// What an image is linked with.
#[derive(Debug)]
pub(crate) struct Bindings {
    /// Content of the object.
    pub(crate) object: Vec<u8>,
    /// Content of the linker script.
    pub(crate) script: Vec<u8>,
}

impl Toolchain {
    /// The one that this program is part of.
    ///
    /// # Errors
    ///
    /// The program is neither installed nor where cargo built it.
    pub(crate) fn find() -> Result<Self> {
        if let Ok(layout) = Layout::of_this_program() {
            let prefix = layout.bindings.ancestors().nth(2).unwrap_or(Path::new("/"));
            return Ok(Self {
                bin: prefix.join("bin"),
                sources: prefix.join(SOURCES),
                place: Place::Installed(layout.bindings.clone()),
            });
        }
        let program = env::current_exe().context("cannot find out where this program is")?;
        let built = program.parent().unwrap_or(Path::new("/"));
        let workspace = Workspace::of_this_build();
        ensure!(
            workspace
                .root()
                .join("solo5-toolchain/cargo-solo5")
                .is_dir(),
            "{}: not part of an installation (`cargo xtask dist`), and the clone that it was built \
             from is gone",
            program.display()
        );
        // Beside this program, whatever variables said when it was built.
        let target_dir = built.parent().unwrap_or(built).to_path_buf();
        let workspace = Workspace::new(workspace.root().to_path_buf(), target_dir);
        Ok(Self {
            bin: built.to_path_buf(),
            sources: workspace.root().to_path_buf(),
            place: Place::Clone(workspace),
        })
    }

    /// The bindings for a target.
    ///
    /// # Errors
    ///
    /// They are not there, or cannot be built.
    pub(crate) fn bindings(&self, target: Target) -> Result<Bindings> {
        let name = format!("solo5_{}", target.name());
        let (object, script) = match &self.place {
            Place::Installed(directory) => (
                directory.join(format!("{name}.o")),
                directory.join(format!("{name}.lds")),
            ),
            Place::Clone(workspace) => {
                let recipe: Recipe<'_> = match target {
                    Target::Spt => recipes::SOLO5_SPT,
                    Target::Hvt => recipes::SOLO5_HVT,
                };
                let object = workspace.target_dir().join(format!("{name}.o"));
                recipe.object(workspace, &object)?;
                let scripts = workspace.root().join("solo5-toolchain/guest/lds");
                (object, scripts.join(format!("{name}.lds")))
            }
        };
        let read =
            |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
        Ok(Bindings {
            object: read(&object)?,
            script: read(&script)?,
        })
    }

    /// The tender of a target.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be built.
    pub(crate) fn tender(&self, target: Target) -> Result<PathBuf> {
        let name = format!("solo5-{}", target.name());
        if let Place::Clone(workspace) = &self.place {
            let profile = self.bin.file_name().unwrap_or_default();
            let profile = if profile == "debug" {
                "dev".as_ref()
            } else {
                profile
            };
            let mut command = cargo();
            command
                .current_dir(workspace.root())
                .args([
                    "build",
                    "--quiet",
                    "--package",
                    "solo5-tender",
                    "--bin",
                    &name,
                ])
                .arg("--target-dir")
                .arg(workspace.target_dir())
                .arg("--profile")
                .arg(profile);
            let status = command.status().context("cannot run cargo")?;
            ensure!(status.success(), "{name} cannot be built");
        }
        let path = self.bin.join(&name);
        ensure!(path.is_file(), "{}: missing", path.display());
        Ok(path)
    }

    /// The directory of a crate of ours.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub(crate) fn package(&self, folder: &str) -> Result<PathBuf> {
        let path = self.sources.join(folder);
        ensure!(path.is_dir(), "{}: missing", path.display());
        Ok(path)
    }

    /// The versions of dependencies that were tested together.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.sources.join("Cargo.lock")
    }
}

/// Cargo: the one that started this program, or that of the path.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
