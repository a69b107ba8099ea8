//! Turns a `no_std` crate into one relocatable object in which only chosen symbols are visible.
//!
//! That is how everything which C code links against is made: the bindings `solo5_spt.o`,
//! `solo5_hvt.o` and `solo5_stub.o` (solo5-abi section 15.5) and the library `libmnet.a` (design section 5). A plain
//! Rust static library would not do: its archive carries compiler-builtins, whose `memcpy`,
//! `fmod` and friends would compete with the application's own libc and libm.
//!
//! A [`Recipe`] says what to build and what it may show. [`Recipe::object`] and
//! [`Recipe::archive`] then
//!
//! 1. run `cargo rustc --crate-type staticlib` for the package: profile `image`, static
//!    relocation, in a target directory of its own, whatever `RUSTFLAGS` says;
//! 2. link the archive into one relocatable object, keeping what the chosen symbols reach
//!    (`ld -r --gc-sections`), make every other symbol local, and shorten the names of sections
//!    (`objcopy`);
//! 3. check the result: exactly the expected symbols are global, nothing is undefined but what may
//!    be, there is no thread-local data, no constructor and no unwind table;
//! 4. put it in place with a rename, so that a reader never sees a half-written file.
//!
//! ```no_run
//! # fn main() -> Result<(), mnet_relocatable::Error> {
//! let place = mnet_relocatable::Workspace::of_this_build();
//! let object = place.target_dir().join("solo5_spt.o");
//! mnet_relocatable::recipes::SOLO5_SPT.object(&place, &object)?;
//! # Ok(())
//! # }
//! ```
//!
//! Needs `cargo`, and `ld`, `objcopy` and `ar` of the GNU binutils.

mod check;
pub mod recipes;
mod sections;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

pub use check::Violation;
use tools::run;

/// The target that images are compiled for: the host's, so that nothing has to be installed.
pub const TRIPLE: &str = "x86_64-unknown-linux-gnu";

/// Compiler options for code in images, joined by the unit separator that cargo expects.
///
/// The baseline processor: a feature beyond it is chosen at run time or not at all. No unwind
/// tables: nothing unwinds, and they would refer to a personality routine that images lack.
pub const RUSTFLAGS: &str = "-Crelocation-model=static\x1f-Ctarget-cpu=x86-64\x1f\
    -Cforce-unwind-tables=no\x1f-Cforce-frame-pointers=no";

/// Where sources are and where results go.
#[derive(Clone, Debug)]
pub struct Workspace {
    root: PathBuf,
    target_dir: PathBuf,
}

impl Workspace {
    /// The workspace in the directory `root`, building below `target_dir`.
    #[must_use]
    pub fn new(root: PathBuf, target_dir: PathBuf) -> Self {
        Self { root, target_dir }
    }

    /// The workspace that this crate was compiled in, with its usual target directory:
    /// `$CARGO_TARGET_DIR` or `target`.
    #[must_use]
    pub fn of_this_build() -> Self {
        let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest_dir
            .ancestors()
            .nth(2)
            .unwrap_or(manifest_dir)
            .to_path_buf();
        let target_dir = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || root.join("target"),
            |dir| root.join(dir), // `join` keeps an absolute path as it is.
        );
        Self::new(root, target_dir)
    }

    /// The directory with the workspace's `Cargo.toml`.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The target directory. Objects are compiled below `image/` in it.
    #[must_use]
    pub fn target_dir(&self) -> &Path {
        &self.target_dir
    }
}

/// What to build, and which symbols the result may show.
///
/// Symbols are given as exact names, or as prefixes with a `*` at the end.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// The cargo package. Its library must be `no_std` and bring a panic handler when built with
    /// `features`.
    pub package: &'a str,
    /// The name of its library target (`[lib] name`, by default the package with `_` for `-`).
    pub library: &'a str,
    /// Features to build it with; its default features are off.
    pub features: &'a [&'a str],
    /// Options for the compiler besides those of all images.
    pub compiler_options: &'a [&'a str],
    /// Symbols that stay global. Each exact name must be there, each prefix must match something.
    pub exports: &'a [&'a str],
    /// Symbols that may stay undefined.
    pub imports: &'a [&'a str],
    /// Whether a program's own symbols of the same names win without an error.
    pub weak: bool,
}

/// Why there is no object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tool is not installed, or cannot be run.
    #[error("cannot run {tool}: {source} ({hint})")]
    Missing {
        /// The program's name.
        tool: String,
        /// Where it comes from.
        hint: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tool ran and failed.
    #[error("{command}\nfailed with {status}\n{output}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote, both streams.
        output: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not the object or archive that it should be.
    #[error("{path}: {source}", path = .path.display())]
    Malformed {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        source: object::Error,
    },
    /// The object was built, but is not as it must be. The last one built is at `path`.
    #[error("{path} breaks its contract:{list}", path = .path.display(), list = bullets(.violations))]
    Contract {
        /// The offending object.
        path: PathBuf,
        /// Everything that is wrong with it.
        violations: Vec<Violation>,
    },
}

/// One line for each violation.
fn bullets(violations: &[Violation]) -> String {
    violations
        .iter()
        .map(|violation| format!("\n  - {violation}"))
        .collect()
}

impl Recipe<'_> {
    /// Builds the object and puts it at `output`.
    ///
    /// # Errors
    ///
    /// See [`Error`]. `output` is touched only on success.
    pub fn object(&self, workspace: &Workspace, output: &Path) -> Result<(), Error> {
        let object = self.build(workspace)?;
        tools::install(&object, output)
    }

    /// Builds the object and puts an archive with it as the only member at `output`.
    ///
    /// # Errors
    ///
    /// See [`Error`]. `output` is touched only on success.
    pub fn archive(&self, workspace: &Workspace, output: &Path) -> Result<(), Error> {
        let object = self.build(workspace)?;
        let archive = object.with_extension("archive");
        tools::remove(&archive)?; // `ar` adds to what is there.
        run(Command::new("ar").arg("rcsD").arg(&archive).arg(&object))?;
        tools::install(&archive, output)
    }

    /// Compiles, links, localises and checks; the object's path.
    fn build(&self, workspace: &Workspace) -> Result<PathBuf, Error> {
        // Other features of the same package have the same archive: until it is linked, it must
        // not be replaced by another process.
        let _turn = tools::lock(&workspace.target_dir.join("image"))?;
        let archive = self.compile(workspace)?;
        let roots = check::exported_by_archive(&archive, self.exports)?;

        // Two processes may build the same object at the same time.
        let name = format!("{}-{}", self.library, self.features.join("-"));
        let stem = archive.with_file_name(format!("{name}-{}", std::process::id()));
        let linked = stem.with_extension("linked.o");
        let object = stem.with_extension("o");

        let mut link = Command::new("ld");
        link.args(["-r", "--gc-sections", "-z", "noexecstack"]);
        link.args(roots.iter().map(|root| format!("--undefined={root}")));
        run(link.arg("-o").arg(&linked).arg(&archive))?;

        let mut localise = Command::new("objcopy");
        localise.args(
            roots
                .iter()
                .map(|root| format!("--keep-global-symbol={root}")),
        );
        localise.args([
            "--strip-debug",
            "--strip-unneeded-symbol=rust_eh_personality",
        ]);
        if self.weak {
            localise.arg("--weaken");
        }
        for section in [
            ".eh_frame",
            ".comment",
            ".llvmbc",
            ".llvmcmd",
            ".note.gnu.property",
        ] {
            localise.arg("--remove-section").arg(section);
        }
        for (name, short) in sections::shorter_names(&linked)? {
            localise.arg(format!("--rename-section={name}={short}"));
        }
        run(localise.arg(&linked).arg(&object))?;
        tools::remove(&linked)?;

        let violations = check::violations(&object, self)?;
        if violations.is_empty() {
            Ok(object)
        } else {
            Err(Error::Contract {
                path: object,
                violations,
            })
        }
    }

    /// Runs cargo; the static library's path.
    fn compile(&self, workspace: &Workspace) -> Result<PathBuf, Error> {
        let target_dir = workspace.target_dir.join("image");
        let flags = [&[RUSTFLAGS], self.compiler_options].concat().join("\x1f");
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .current_dir(&workspace.root)
            .args(["rustc", "--quiet", "--lib", "--crate-type", "staticlib"])
            .args(["--profile", "image", "--target", TRIPLE])
            .args(["--package", self.package, "--no-default-features"])
            .args(["--features", &self.features.join(",")])
            .arg("--target-dir")
            .arg(&target_dir)
            .env("CARGO_ENCODED_RUSTFLAGS", flags);
        run(&mut cargo)?;
        let file = format!("lib{}.a", self.library);
        Ok(target_dir.join(TRIPLE).join("image").join(file))
    }
}
