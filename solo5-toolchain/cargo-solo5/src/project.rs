//! The user's project: what cargo knows about it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, Package, TargetKind};

use crate::cli::{Selection, Target};
use crate::settings::Settings;
use crate::toolchain::cargo;

/// A package, its settings, and where it is built.
#[derive(Debug)]
pub(crate) struct Project {
    package: Package,
    /// The directory of its `Cargo.toml`.
    pub(crate) directory: PathBuf,
    /// What `solo5.toml` says.
    pub(crate) settings: Settings,
    /// Where images and what they are made of go: apart from what cargo builds for the host.
    pub(crate) target_dir: PathBuf,
    /// What to build for.
    pub(crate) target: Target,
}

impl Project {
    /// Finds the package and reads its settings.
    ///
    /// # Errors
    ///
    /// No or several packages; or what is wrong with `solo5.toml`.
    pub(crate) fn find(selection: &Selection) -> Result<Self> {
        let mut command = MetadataCommand::new();
        command.cargo_path(cargo().get_program()).no_deps();
        if let Some(path) = &selection.manifest_path {
            command.manifest_path(path);
        }
        let metadata = command.exec().map_err(|error| match error {
            cargo_metadata::Error::CargoMetadata { stderr } => {
                let text = stderr.trim().trim_start_matches("error: ").to_owned();
                anyhow::Error::msg(text)
            }
            other => other.into(),
        })?;
        let place = match &selection.manifest_path {
            Some(path) => fs::canonicalize(path)?,
            None => env::current_dir()?,
        };
        let package = choose(&metadata, selection.package.as_deref(), &place)?;
        let directory = package.manifest_path.parent();
        let directory = directory.context("a manifest is in a directory")?;
        let directory = directory.as_std_path().to_path_buf();
        let settings = Settings::read(&directory)?;
        let target = selection.target.or(settings.run.target);
        Ok(Self {
            package: package.clone(),
            directory,
            settings,
            target_dir: metadata.target_directory.as_std_path().join("solo5"),
            target: target.unwrap_or_default(),
        })
    }

    /// The package's name, as cargo wants it.
    pub(crate) fn package(&self) -> &str {
        &self.package.name
    }

    /// The package's `Cargo.toml`.
    pub(crate) fn manifest_path(&self) -> &Path {
        self.package.manifest_path.as_std_path()
    }

    /// The program to build: the one that is named, or the only one.
    ///
    /// # Errors
    ///
    /// There is none, or there are several to choose from.
    pub(crate) fn program(&self, wanted: Option<&str>) -> Result<String> {
        let names = self.names(TargetKind::Bin);
        let name = match (wanted, &names[..]) {
            (Some(wanted), names) => names.iter().find(|name| *name == wanted),
            (None, [only]) => Some(only),
            (None, _) => self
                .package
                .default_run
                .as_ref()
                .and_then(|default| names.iter().find(|name| *name == default)),
        };
        let Some(name) = name else {
            let package = self.package();
            let names = names.join(", ");
            match wanted {
                _ if names.is_empty() => bail!("{package} has no program (src/main.rs)"),
                Some(wanted) => bail!("{package} has no program {wanted}; it has {names}"),
                None => bail!("{package} has several programs: choose with --bin from {names}"),
            }
        };
        Ok(name.clone())
    }

    /// The names of the programs in `tests/`.
    pub(crate) fn tests(&self) -> Vec<String> {
        self.names(TargetKind::Test)
    }

    fn names(&self, kind: TargetKind) -> Vec<String> {
        let targets = self.package.targets.iter();
        targets
            .filter(|target| target.kind.contains(&kind))
            .map(|target| target.name.clone())
            .collect()
    }
}

/// The package that is meant: the one that is named, or that of a directory.
fn choose<'a>(metadata: &'a Metadata, wanted: Option<&str>, place: &Path) -> Result<&'a Package> {
    let members = metadata.workspace_packages();
    if let Some(wanted) = wanted {
        let mut members = members.into_iter();
        let found = members.find(|package| package.name == wanted);
        return found.with_context(|| format!("there is no package {wanted} here"));
    }
    // As cargo does: the package whose directory this is in, the innermost one.
    let inside = members.iter().filter(|package| {
        let directory = package.manifest_path.parent();
        // Cargo says it as it was told, and the place has no symbolic links.
        let directory = directory.and_then(|directory| fs::canonicalize(directory).ok());
        directory.is_some_and(|directory| place.starts_with(directory))
    });
    let nearest = inside.max_by_key(|package| package.manifest_path.components().count());
    if let Some(nearest) = nearest {
        return Ok(nearest);
    }
    match &members[..] {
        [only] => Ok(only),
        _ => {
            let names: Vec<&str> = members
                .iter()
                .map(|package| package.name.as_str())
                .collect();
            bail!("choose a package with -p from {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_manifest_behind_a_symbolic_link_is_that_of_its_package() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real");
        let write = |file: &str, text: &str| {
            let path = real.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n");
        for name in ["a", "b"] {
            write(
                &format!("{name}/Cargo.toml"),
                &format!("[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n"),
            );
            write(&format!("{name}/src/lib.rs"), "");
        }
        let link = directory.path().join("link");
        symlink(&real, &link).unwrap();
        let manifest = link.join("b/Cargo.toml");
        let mut command = MetadataCommand::new();
        command.cargo_path(cargo().get_program()).no_deps();
        let metadata = command.manifest_path(&manifest).exec().unwrap();
        let place = fs::canonicalize(&manifest).unwrap();
        assert_eq!(choose(&metadata, None, &place).unwrap().name, "b");
    }
}
