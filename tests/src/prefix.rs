//! Where the toolchain is installed, and running images with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::process::Process;

/// An installation made by `cargo xtask dist`.
#[derive(Clone, Debug)]
pub struct Prefix {
    root: PathBuf,
}

/// The workspace's root directory.
///
/// For programs that cargo runs, and whose package is a folder of that directory. Cargo is asked
/// again at run time, because it does not rebuild a program when its checkout is moved.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    match package.parent() {
        Some(root) => root.to_path_buf(),
        None => package,
    }
}

/// The directory that cargo builds in.
#[must_use]
pub fn target_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    workspace().join(target)
}

impl Prefix {
    /// The installation at `root`.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The installation that tests use: `$MNET_PREFIX`, or else one made now.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn for_tests() -> Result<Self> {
        if let Some(root) = std::env::var_os("MNET_PREFIX") {
            return Ok(Self::new(root.into()));
        }
        let root = target_dir().join("dist");
        let status = dist_command(&root).status().context("cannot run cargo")?;
        ensure!(status.success(), "`cargo xtask dist` failed");
        Ok(Self::new(root))
    }

    /// Its root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its directory of programs.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// A command that runs one of its programs.
    #[must_use]
    pub fn tool(&self, name: &str) -> Command {
        Command::new(self.bin().join(name))
    }

    /// Builds an example for spt in a directory of its own; the image's path.
    ///
    /// # Errors
    ///
    /// When a tool fails. The message has what it printed.
    pub fn build_example(&self, name: &str, directory: &Path) -> Result<PathBuf> {
        self.build_image(&format!("c-examples/{name}"), name, directory)
    }

    /// Builds `NAME.c` and `manifest.json` of a folder of the workspace for spt, in a directory of
    /// its own; the image's path.
    ///
    /// # Errors
    ///
    /// When a tool fails. The message has what it printed.
    pub fn build_image(&self, folder: &str, name: &str, directory: &Path) -> Result<PathBuf> {
        self.build_image_for("spt", folder, name, directory)
    }

    /// Builds `NAME.c` and `manifest.json` of a folder of the workspace for a target, in a directory
    /// of its own; the image's path.
    ///
    /// The files are copied there first, so that nothing but the installation is within reach.
    ///
    /// # Errors
    ///
    /// When a tool fails. The message has what it printed.
    pub fn build_image_for(
        &self,
        target: &str,
        folder: &str,
        name: &str,
        directory: &Path,
    ) -> Result<PathBuf> {
        let source = workspace().join(folder);
        std::fs::create_dir_all(directory)?;
        for file in [format!("{name}.c"), "manifest.json".to_owned()] {
            let from = source.join(&file);
            std::fs::copy(&from, directory.join(&file))
                .with_context(|| format!("cannot copy {}", from.display()))?;
        }
        self.build_there(target, name, &[&format!("{name}.c")], directory)
    }

    /// Builds an image of some C files and the `manifest.json` of a directory, there; the image's
    /// path. If there is a folder `www`, it becomes `files.c` first.
    ///
    /// # Errors
    ///
    /// When a tool fails. The message has what it printed.
    pub fn build_there(
        &self,
        target: &str,
        name: &str,
        sources: &[&str],
        directory: &Path,
    ) -> Result<PathBuf> {
        let mut manifest = self.tool("solo5-elftool");
        manifest.args(["gen-manifest", "manifest.json", "manifest.c"]);
        succeed(manifest.current_dir(directory))?;
        if directory.join("www").is_dir() {
            let mut embed = self.tool("solo5-embed");
            succeed(embed.args(["www", "files.c"]).current_dir(directory))?;
        }
        let image = format!("{name}.{target}");
        let abi = format!("solo5-abi={target}");
        let mut compile = self.tool("x86_64-solo5-none-static-cc");
        compile.args(["-z", &abi, "-O2", "-o", &image]);
        compile.args(sources).args(["manifest.c", "-lmnet"]);
        succeed(compile.current_dir(directory))?;
        Ok(directory.join(image))
    }
}

/// A command that installs to `prefix`: `cargo xtask dist`.
#[must_use]
pub fn dist_command(prefix: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace())
        .args(["run", "--quiet", "--package", "xtask", "--", "dist"])
        .arg("--prefix")
        .arg(prefix);
    command
}

/// Copies a folder with all that is in it.
///
/// # Errors
///
/// When something cannot be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    let entries =
        std::fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
    for entry in entries {
        let entry = entry?;
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &copy)?;
        } else {
            std::fs::copy(&source, &copy)
                .with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Runs a command that must succeed; what it printed.
///
/// # Errors
///
/// When it fails. The message has what it printed.
pub fn succeed(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    ensure!(
        output.status.success(),
        "{command:?} failed with {}\n{text}",
        output.status
    );
    Ok(text)
}

/// An image and what to start it with.
#[derive(Clone, Debug)]
pub struct Unikernel {
    prefix: Prefix,
    image: PathBuf,
    options: Vec<String>,
    arguments: Vec<String>,
}

impl Unikernel {
    /// An image, to be started by a tender of this installation: `NAME.hvt` by `solo5-hvt`, every
    /// other by `solo5-spt`.
    #[must_use]
    pub fn new(prefix: &Prefix, image: &Path) -> Self {
        Self {
            prefix: prefix.clone(),
            image: image.to_path_buf(),
            options: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// Adds an option of the tender.
    #[must_use]
    pub fn option(mut self, option: impl Into<String>) -> Self {
        self.options.push(option.into());
        self
    }

    /// Adds several options of the tender.
    #[must_use]
    pub fn options(mut self, options: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let options = options.into_iter().map(|option| option.as_ref().to_owned());
        self.options.extend(options);
        self
    }

    /// Adds an argument of the image.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds several arguments of the image.
    #[must_use]
    pub fn arguments(mut self, arguments: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let arguments = arguments.into_iter().map(|word| word.as_ref().to_owned());
        self.arguments.extend(arguments);
        self
    }

    /// The command line.
    #[must_use]
    pub fn command(&self) -> Command {
        let hvt = self.image.extension().is_some_and(|target| target == "hvt");
        let tender = if hvt { "solo5-hvt" } else { "solo5-spt" };
        let mut command = self.prefix.tool(tender);
        command
            .args(&self.options)
            .arg("--")
            .arg(&self.image)
            .args(&self.arguments);
        command
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// When the tender cannot be started.
    pub fn start(&self) -> Result<Process> {
        Process::start(&mut self.command())
    }
}
