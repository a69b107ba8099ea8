//! Builds guests the way that the compiler wrapper does, and runs them under our tender.
//!
//! Bindings and tender are built first, once in a process, so that a test never runs something
//! stale. Everything else is in a directory that goes away with the test.
//!
//! The environment variables `SOLO5_SPT` and `SOLO5_HVT` name other tenders to use instead of ours,
//! so that the same guests can be run under upstream's.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

use mnet_relocatable::{Recipe, Workspace, recipes};
use tempfile::TempDir;

/// What is built once: bindings and tenders.
struct Built {
    /// Holds an object and a linker script for each target.
    lib: TempDir,
    spt: PathBuf,
    hvt: PathBuf,
    debugger: PathBuf,
}

/// Where a guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `solo5-spt`.
    Spt,
    /// `solo5-hvt`, as it starts guests of its own accord: ours in ring 3.
    Hvt,
    /// `solo5-hvt` with guests in ring 0. Other tenders have no other way.
    Ring0,
}

impl Place {
    /// Everywhere where guests can run on this machine; prints why somewhere else they cannot.
    pub(crate) fn all() -> Vec<Self> {
        let mut places = vec![Self::Spt];
        if hvt_works() {
            if !other_hvt_tender() {
                places.push(Self::Hvt);
            }
            places.push(Self::Ring0);
        }
        places
    }

    /// [`Place::all`] without those where instructions may be interpreted by software, which takes a
    /// thousand times as long.
    pub(crate) fn fast() -> Vec<Self> {
        let mut places = Self::all();
        places.retain(|&place| place != Self::Ring0);
        places
    }

    /// The tender.
    pub(crate) fn tender(self) -> &'static Path {
        match self {
            Self::Spt => &BUILT.spt,
            Self::Hvt | Self::Ring0 => &BUILT.hvt,
        }
    }

    /// Options that every run gets.
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Ring0 if !other_hvt_tender() => &["--ring0"],
            _ => &[],
        }
    }
}

/// Whether hvt guests are run by a tender that is not ours. It has neither our options nor ring 3.
pub(crate) fn other_hvt_tender() -> bool {
    std::env::var_os("SOLO5_HVT").is_some()
}

/// Whether virtual machines can be run here. If not, says why.
pub(crate) fn hvt_works() -> bool {
    let kvm = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm");
    match kvm {
        Ok(_) => true,
        Err(error) => {
            println!("skipped: hvt: /dev/kvm: {error}");
            false
        }
    }
}

static BUILT: LazyLock<Built> = LazyLock::new(|| {
    let workspace = Workspace::of_this_build();
    let lib = tempfile::tempdir().expect("a temporary directory");
    for (name, recipe) in [
        ("solo5_hvt", &recipes::SOLO5_HVT),
        ("solo5_spt", &recipes::SOLO5_SPT),
        ("solo5_stub", &recipes::SOLO5_STUB),
    ] {
        build_bindings(&workspace, recipe, &lib.path().join(format!("{name}.o")));
        let script = format!("{name}.lds");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("lds");
        fs::copy(source.join(&script), lib.path().join(&script)).expect("the linker script");
    }

    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(workspace.root())
        .args(["build", "--quiet", "--package", "solo5-tender"])
        .args(["--package", "solo5-debug"])
        .args(["--bins", "--target-dir"])
        .arg(workspace.target_dir());
    succeed(&mut cargo);
    let tender = |variable, name| {
        let ours = || workspace.target_dir().join("debug").join(name);
        std::env::var_os(variable).map_or_else(ours, PathBuf::from)
    };
    let spt = tender("SOLO5_SPT", "solo5-spt");
    let hvt = tender("SOLO5_HVT", "solo5-hvt");
    let debugger = workspace.target_dir().join("debug/solo5-hvt-debug");
    Built {
        lib,
        spt,
        hvt,
        debugger,
    }
});

fn build_bindings(workspace: &Workspace, recipe: &Recipe<'_>, output: &Path) {
    if let Err(error) = recipe.object(workspace, output) {
        panic!("{error}");
    }
}

/// Runs a command that has to succeed; its output.
pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{}: {error}", command.get_program().display());
    });
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    output
}

/// `solo5-hvt-debug`, ours.
pub(crate) fn debugger() -> &'static Path {
    &BUILT.debugger
}

/// The directory with bindings and linker scripts.
pub(crate) fn lib_dir() -> &'static Path {
    BUILT.lib.path()
}

/// How to build a guest.
#[derive(Clone, Copy)]
pub(crate) struct Guest<'a> {
    /// The source in `tests/guests/`, without `.c`.
    pub(crate) name: &'a str,
    /// Names and types of its devices.
    pub(crate) devices: &'a [(&'a str, &'a str)],
    /// More options for the compiler.
    pub(crate) options: &'a [&'a str],
    /// More options for the linking step.
    pub(crate) link_options: &'a [&'a str],
}

impl Guest<'_> {
    /// A guest without devices.
    pub(crate) const fn new(name: &str) -> Guest<'_> {
        Guest {
            name,
            devices: &[],
            options: &[],
            link_options: &[],
        }
    }

    /// Compiles and links it for spt.
    pub(crate) fn build(self) -> Image {
        self.link_for("spt", Place::Spt)
    }

    /// Compiles and links it for this place.
    pub(crate) fn build_for(self, place: Place) -> Image {
        let guest = |options| Guest { options, ..self };
        let own = self.options;
        match place {
            Place::Spt => self.link_for("spt", place),
            Place::Hvt => guest(&[own, &["-DHVT"]].concat()).link_for("hvt", place),
            // Where ring 0 is interpreted by software, there are no vector instructions.
            Place::Ring0 => {
                let options = [own, &["-DHVT", "-mgeneral-regs-only"]].concat();
                guest(&options).link_for("hvt", place)
            }
        }
    }

    /// Compiles it and links it with the bindings for `abi`, to be run at this place.
    pub(crate) fn link_for(self, abi: &str, place: Place) -> Image {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let manifest = dir.path().join("manifest.c");
        fs::write(&manifest, manifest_source(self.devices)).expect("a file");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
        let source = source.join(self.name).with_extension("c");

        let objects = [manifest, source].map(|source| {
            let name = source.file_stem().expect("a file name");
            let object = dir.path().join(name).with_extension("o");
            let mut compile = compiler();
            compile.args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror"]);
            compile.args(["-Wno-array-bounds", "-Wno-stringop-overflow"]);
            compile.args(self.options);
            succeed(compile.arg("-c").arg(&source).arg("-o").arg(&object));
            object
        });

        let image = dir.path().join(self.name).with_extension(abi);
        let mut link = compiler();
        link.args(["-Wl,--build-id=none", "-no-pie", "-nostdlib", "-static"])
            .args(["-z", "max-page-size=0x1000"])
            .arg("-L")
            .arg(lib_dir())
            .arg(format!("-Wl,-T,solo5_{abi}.lds"))
            .args(["-l", &format!(":solo5_{abi}.o")])
            .args(self.link_options);
        succeed(link.args(&objects).arg("-o").arg(&image));
        Image { dir, image, place }
    }
}

/// gcc with the options that the wrapper gives it, for compiling and for linking.
fn compiler() -> Command {
    let include = Workspace::of_this_build().root().join("include");
    let mut gcc = Command::new("gcc");
    gcc.arg("-I").arg(include);
    gcc.args(["-ffreestanding", "-fstack-protector-strong"]);
    gcc.arg("-mstack-protector-guard=global");
    gcc
}

/// What `solo5-elftool gen-manifest` makes of these devices.
fn manifest_source(devices: &[(&str, &str)]) -> String {
    let count = devices.len() + 1;
    let mut source = format!(
        "#define MFT_ENTRIES {count}\n\
         #include \"mft_abi.h\"\n\
         MFT1_NOTE_DECLARE_BEGIN\n\
         {{ .version = MFT_VERSION, .entries = {count}, .e = {{\n\
         {{ .name = \"\", .type = MFT_RESERVED_FIRST }},\n"
    );
    for (name, kind) in devices {
        let _ = writeln!(source, "{{ .name = \"{name}\", .type = MFT_DEV_{kind} }},");
    }
    source.push_str("} }\nMFT1_NOTE_DECLARE_END\n");
    source
}

/// A linked image, and the directory it is in.
pub(crate) struct Image {
    dir: TempDir,
    image: PathBuf,
    place: Place,
}

impl Image {
    /// Where the image is.
    pub(crate) fn path(&self) -> &Path {
        &self.image
    }

    /// Where it is to be run.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// A file of `len` zero bytes beside the image.
    pub(crate) fn file(&self, name: &str, len: u64) -> PathBuf {
        let path = self.dir.path().join(name);
        let file = fs::File::create(&path).expect("a file");
        file.set_len(len).expect("a file system with space");
        path
    }

    /// Runs it in 2 MiB, with these arguments.
    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with(&["--mem=2"], arguments)
    }

    /// Runs it with these options for the tender and these arguments.
    pub(crate) fn run_with(&self, options: &[&str], arguments: &[&str]) -> Outcome {
        let mut command = Command::new("timeout");
        command.arg("60").arg(self.place.tender());
        command.args(self.place.options()).args(options).arg("--");
        command.arg(&self.image).args(arguments);
        Outcome::of(&mut command)
    }
}

/// How a guest ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// As a shell shows it: 128 and the number of the signal for a process that one killed.
    pub(crate) status: i32,
    /// What the guest wrote.
    pub(crate) console: String,
    /// What the tender wrote.
    pub(crate) messages: String,
}

impl Outcome {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().expect("the command");
        let signal = output.status.signal().unwrap_or(0);
        Self {
            status: output.status.code().unwrap_or(128 + signal),
            console: String::from_utf8_lossy(&output.stdout).into_owned(),
            messages: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The guest found everything as it expected.
    #[track_caller]
    pub(crate) fn succeeded(&self) {
        assert_eq!(self.status, 0, "{self:#?}");
        assert!(self.console.contains("\nSUCCESS\n"), "{self:#?}");
    }

    /// The guest ended with this status, after it wrote `text`, and never succeeded.
    #[track_caller]
    pub(crate) fn failed(&self, status: i32, text: &str) {
        assert_eq!(self.status, status, "{self:#?}");
        assert!(self.console.contains(text), "{self:#?}");
        assert!(!self.console.contains("SUCCESS"), "{self:#?}");
    }
}
