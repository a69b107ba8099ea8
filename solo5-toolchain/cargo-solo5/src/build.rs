//! From a program to an image.
//!
//! Cargo compiles as for any program of the host's target, so nothing has to be installed, but with
//! the options of images: static relocation, the baseline processor, nothing that unwinds. The last
//! step links with the bindings and their linker script instead of the host's C library. What comes
//! out is checked as a tender would check it.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::Message;
use mnet_relocatable::{RUSTFLAGS, TRIPLE};
use solo5_abi::constants::{HVT_ABI_VERSION, SPT_ABI_VERSION};
use solo5_elftool::{generate, query};
use solo5_tender::image::Image;

use crate::cli::{BuildOptions, Selection, Target};
use crate::linker;
use crate::project::Project;
use crate::settings::{Device, Settings, Undeclared};
use crate::toolchain::{Toolchain, cargo};

/// The bindings, which every image is linked with.
const BINDINGS: &str = "bindings.o";
/// The note that declares the devices of `solo5.toml`, or that there are none.
const MANIFEST: &str = "manifest.o";

/// `cargo solo5 build`.
pub(crate) fn build(options: &BuildOptions) -> Result<()> {
    let project = Project::find(&options.selection)?;
    let image = program(&Toolchain::find()?, &project, options)?;
    if !options.selection.quiet {
        let size = fs::metadata(&image)?.len().div_ceil(1024);
        eprintln!("       Image {} ({size} KiB)", shown(&image));
    }
    Ok(())
}

/// `cargo solo5 manifest`.
pub(crate) fn manifest(options: &BuildOptions) -> Result<()> {
    let project = Project::find(&options.selection)?;
    let image = program(&Toolchain::find()?, &project, options)?;
    let entries = Image::open(image.as_os_str())?.manifest()?;
    let text = query::manifest_json(&entries);
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// The devices of an image, with what a run attaches to each.
pub(crate) fn devices(
    image: &Path,
    project: &Project,
    undeclared: Undeclared,
) -> Result<Vec<Device>> {
    let entries = Image::open(image.as_os_str())?.manifest()?;
    project.settings.declared(&entries, undeclared)
}

/// Builds the program that the options choose; the image.
pub(crate) fn program(
    toolchain: &Toolchain,
    project: &Project,
    options: &BuildOptions,
) -> Result<PathBuf> {
    let name = project.program(options.bin.as_deref())?;
    let builder = Builder::new(toolchain, project, &options.selection)?;
    builder.image("--bin", &name)
}

/// A path as it is shown: relative to the current directory, if it is below it.
pub(crate) fn shown(path: &Path) -> String {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(here)
        .unwrap_or(path)
        .display()
        .to_string()
}

/// Builds images of one project for one target.
#[derive(Debug)]
pub(crate) struct Builder<'a> {
    project: &'a Project,
    selection: &'a Selection,
    /// Has the bindings, the linker script, and the manifest if it is not in the code.
    link_dir: PathBuf,
}

impl<'a> Builder<'a> {
    /// Puts what is linked to every image in place.
    ///
    /// # Errors
    ///
    /// There are no bindings, or files cannot be written.
    pub(crate) fn new(
        toolchain: &Toolchain,
        project: &'a Project,
        selection: &'a Selection,
    ) -> Result<Self> {
        let bindings = toolchain.bindings(project.target)?;
        let settings = &project.settings;
        let files = [
            (BINDINGS, bindings.object),
            ("image.lds", bindings.script),
            (MANIFEST, generate::object(&settings.manifest())?),
        ];
        // Cargo links again when an argument changes, and does not look into files: their content
        // is in the name of their directory.
        let mut hasher = DefaultHasher::new();
        (&files, ManifestFor::new(settings)).hash(&mut hasher);
        let name = format!("{:016x}", hasher.finish());
        let link_dir = project.target_dir.join("link").join(name);
        if !link_dir.is_dir() {
            let parent = project.target_dir.join("link");
            fs::create_dir_all(&parent)
                .with_context(|| format!("cannot make {}", parent.display()))?;
            let fresh = tempfile::tempdir_in(&parent)?;
            for (name, content) in &files {
                fs::write(fresh.path().join(name), content)?;
            }
            // Another process may have been faster, with the same files.
            if fs::rename(fresh.path(), &link_dir).is_ok() {
                let _ = fresh.keep();
            }
        }
        Ok(Self {
            project,
            selection,
            link_dir,
        })
    }

    /// Builds a program (`--bin`) or tests (`--test`); the image.
    ///
    /// # Errors
    ///
    /// What cargo has printed, or what is wrong with the image.
    pub(crate) fn image(&self, kind: &str, name: &str) -> Result<PathBuf> {
        let program = self.compile(kind, name)?;
        let target = self.project.target;
        check(&program, target, self.project)
            .with_context(|| format!("{} is not an image that can run", program.display()))?;
        let directory = self.project.target_dir.join(self.profile_directory());
        fs::create_dir_all(&directory)?;
        // Of tests cargo's name has a number: other packages may have tests that are called the same.
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let image = directory.join(format!("{name}.{}", target.name()));
        // In one step: a guest of the last build may be running.
        let beside = tempfile::Builder::new().tempfile_in(&directory)?;
        fs::copy(&program, beside.path())?;
        beside.persist(&image)?;
        Ok(image)
    }

    /// What cargo calls the directory of the profile.
    fn profile_directory(&self) -> &str {
        match self.selection.profile.as_deref() {
            None if self.selection.release => "release",
            None | Some("dev") => "debug",
            Some(name) => name,
        }
    }

    /// Runs cargo; the program.
    fn compile(&self, kind: &str, name: &str) -> Result<PathBuf> {
        let selection = self.selection;
        let mut command = cargo();
        command.args(["rustc", "--message-format=json-render-diagnostics"]);
        command.args(["--target", TRIPLE, kind, name]);
        command.args(["--package", self.project.package()]);
        command
            .arg("--manifest-path")
            .arg(self.project.manifest_path());
        command.arg("--target-dir").arg(&self.project.target_dir);
        let profile = match selection.profile.as_deref() {
            Some(name) => name,
            None if selection.release => "release",
            None => "dev",
        };
        command.args(["--profile", profile]);
        for features in &selection.features {
            command.args(["--features", features]);
        }
        let flags = [
            (selection.all_features, "--all-features"),
            (selection.no_default_features, "--no-default-features"),
            (selection.locked, "--locked"),
            (selection.offline, "--offline"),
            (selection.quiet, "--quiet"),
            (selection.verbose, "--verbose"),
        ];
        command.args(
            flags
                .iter()
                .filter(|(is_on, _)| *is_on)
                .map(|(_, flag)| flag),
        );
        command.arg("--").args(self.linker_options());
        // The project's own settings for programs of the host are left alone, and do not apply.
        let this_program = env::current_exe().context("cannot find out where this program is")?;
        let flags = format!(
            "{RUSTFLAGS}\x1f-Cpanic=abort\x1f-Clinker={}\x1f-Clinker-flavor=ld",
            this_program.display()
        );
        command.env("CARGO_ENCODED_RUSTFLAGS", flags);
        command.env(linker::VARIABLE, self.link_dir.join(BINDINGS));
        if ManifestFor::new(&self.project.settings) == ManifestFor::ProgramsWithout {
            command.env(linker::MANIFEST_VARIABLE, self.link_dir.join(MANIFEST));
        }
        // Cargo ignores the profile's word for tests: without it both are compiled the same way, once.
        let variable = match profile {
            "release" | "bench" => "RELEASE".to_owned(),
            "dev" | "test" => "DEV".to_owned(),
            name => name.to_uppercase().replace('-', "_"),
        };
        command.env(format!("CARGO_PROFILE_{variable}_PANIC"), "unwind");
        if selection.verbose {
            eprintln!("{command:?}");
        }
        output_of(command, name)
    }

    /// rustc's options for the last step.
    fn linker_options(&self) -> Vec<String> {
        let file = |name: &str| self.link_dir.join(name).display().to_string();
        let mut arguments = vec![
            "-static".to_owned(),
            "-nostdlib".into(),
            "--build-id=none".into(),
            "-zmax-page-size=0x1000".into(),
            "-znoexecstack".into(),
            // The precompiled `core` and `alloc` have tables and calls for unwinding, which nothing
            // does.
            "--defsym=rust_eh_personality=solo5_abort".into(),
            "--defsym=_Unwind_Resume=solo5_abort".into(),
            format!("-T{}", file("image.lds")),
            file(BINDINGS),
        ];
        if ManifestFor::new(&self.project.settings) == ManifestFor::AllPrograms {
            arguments.push(file(MANIFEST));
        }
        let arguments = arguments.iter();
        arguments
            .map(|argument| format!("-Clink-arg={argument}"))
            .collect()
    }
}

/// Which programs our note is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ManifestFor {
    /// The file lists devices.
    AllPrograms,
    /// It lists none, so those of the code count, if there are any.
    ProgramsWithout,
    /// There is no file, and the code must say.
    None,
}

impl ManifestFor {
    fn new(settings: &Settings) -> Self {
        match (settings.exist(), settings.listed()) {
            (_, Some(_)) => Self::AllPrograms,
            (true, None) => Self::ProgramsWithout,
            (false, None) => Self::None,
        }
    }
}

/// Runs cargo, which prints what there is to say; the program of that name that it made.
fn output_of(mut command: Command, name: &str) -> Result<PathBuf> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run cargo")?;
    let stdout = child.stdout.take().context("cargo has an output")?;
    let mut program = None;
    for message in Message::parse_stream(BufReader::new(stdout)) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.target.name == name
            && let Some(executable) = artifact.executable
        {
            program = Some(executable.into_std_path_buf());
        }
    }
    let status = child.wait()?;
    // Cargo has said why.
    ensure!(status.success(), "{name} cannot be built");
    program.with_context(|| format!("cargo has not said where {name} is"))
}

/// Looks at an image as its tender will.
fn check(path: &Path, target: Target, project: &Project) -> Result<()> {
    let image = Image::open(path.as_os_str())?;
    let version = match target {
        Target::Spt => SPT_ABI_VERSION,
        Target::Hvt => HVT_ABI_VERSION,
    };
    image.require_abi(target.abi(), version)?;
    let settings = &project.settings;
    match image.manifest() {
        Err(error) if linker::is_missing(&error) && !settings.exist() => bail!(
            "{}: missing, and there is no `manifest!` in the code. One of them lists the devices of \
             the image; an empty file stands for none",
            settings.path().display()
        ),
        other => other?,
    };
    if image.has_second_manifest()? {
        return Err(settings.declared_twice());
    }
    Ok(())
}
