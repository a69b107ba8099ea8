//! The C toolchain for Solo5 images: the host's compiler and linker with the right options
//! (solo5-abi section 17).
//!
//! Three programs in `PREFIX/bin`, each named after the target, [`TRIPLE`]:
//!
//! - `-cc` compiles against the Solo5 headers and nothing of the host's C library, and links with
//!   the bindings. Which bindings is said by `-z solo5-abi=spt`; without it those of the `stub`
//!   target are linked, so that configure scripts can link their test programs.
//! - `-ld` links with the bindings that `-z solo5-abi=` names, and with none if nothing is said.
//! - `-objcopy` is the host's.
//!
//! After everything else `-cc` links with `libsolo5_mem.a`: `memcpy` and its kin, which compilers call
//! on their own, for programs that have no C library.
//!
//! They find headers and bindings beside themselves, in `PREFIX/include` and `PREFIX/lib`. The
//! environment says which programs they run: `SOLO5_CC` (`cc` if not set; GCC and Clang work),
//! `SOLO5_LD` (`ld`), `SOLO5_OBJCOPY` (`objcopy`). `__V=1` makes them print what they run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{fs, io};

use thiserror::Error;

/// The target, and the prefix of the programs' names.
pub const TRIPLE: &str = "x86_64-solo5-none-static";

/// Which of the programs this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// The compiler.
    Cc,
    /// The linker.
    Ld,
    /// The object file editor.
    Objcopy,
}

/// Whose options the compiler understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// GCC.
    Gcc,
    /// Clang.
    Clang,
}

/// Why nothing was run.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// The program does not know where it is.
    #[error("cannot find out where this program is installed: {0}")]
    Location(io::Error),
    /// Headers or bindings are not where they belong.
    #[error("{}: missing; is the toolchain installed completely?", .0.display())]
    Missing(PathBuf),
    /// There are no bindings of this name.
    #[error("no bindings for ABI '{abi}' in {}", .dir.display())]
    UnknownAbi {
        /// The ABI asked for.
        abi: String,
        /// Where bindings are.
        dir: PathBuf,
    },
    /// The host's program cannot be run.
    #[error("cannot run {program}: {error}")]
    Run {
        /// Its name.
        program: String,
        /// What the host says.
        error: io::Error,
    },
    /// The compiler does not tell where its headers are.
    #[error("{0} does not tell where its own headers are")]
    NoHeaders(String),
    /// A directory cannot be read.
    #[error("{}: {error}", .path.display())]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the host says.
        error: io::Error,
    },
}

/// Where headers and bindings are installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Headers of Solo5: `PREFIX/include/solo5`.
    pub solo5_headers: PathBuf,
    /// Headers of the compiler: `PREFIX/include/TRIPLE`.
    pub compiler_headers: PathBuf,
    /// Bindings and linker scripts: `PREFIX/lib/TRIPLE`.
    pub bindings: PathBuf,
}

impl Layout {
    /// The layout under this prefix.
    #[must_use]
    pub fn under(prefix: &Path) -> Self {
        Self {
            solo5_headers: prefix.join("include/solo5"),
            compiler_headers: prefix.join("include").join(TRIPLE),
            bindings: prefix.join("lib").join(TRIPLE),
        }
    }

    /// The layout that this program is part of, links to it followed.
    ///
    /// # Errors
    ///
    /// The program does not know where it is, or something is missing there.
    pub fn of_this_program() -> Result<Self, Error> {
        let program = env::current_exe()
            .and_then(fs::canonicalize)
            .map_err(Error::Location)?;
        let prefix = program
            .parent()
            .and_then(Path::parent)
            .unwrap_or(Path::new("/"));
        let layout = Self::under(prefix);
        for dir in [
            &layout.solo5_headers,
            &layout.compiler_headers,
            &layout.bindings,
        ] {
            if !dir.is_dir() {
                return Err(Error::Missing(dir.clone()));
            }
        }
        Ok(layout)
    }
}

/// A command line to be run: the host's program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The program, then its arguments.
    pub words: Vec<OsString>,
}

impl Invocation {
    fn new(program: &[OsString]) -> Self {
        Self {
            words: program.to_vec(),
        }
    }

    fn args<T: Into<OsString>>(&mut self, args: impl IntoIterator<Item = T>) -> &mut Self {
        self.words.extend(args.into_iter().map(Into::into));
        self
    }

    /// The command as a shell would take it.
    #[must_use]
    pub fn quoted(&self) -> String {
        let mut line = String::new();
        for word in &self.words {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+,./:@%".contains(c);
            let separator = if line.is_empty() { "" } else { " " };
            let _ = if !word.is_empty() && word.chars().all(plain) {
                write!(line, "{separator}{word}")
            } else {
                write!(line, "{separator}'{}'", word.replace('\'', r"'\''"))
            };
        }
        line
    }

    /// Becomes the program. Returns only if that is impossible.
    fn exec(&self) -> Error {
        let [program, args @ ..] = &self.words[..] else {
            return Error::Run {
                program: String::new(),
                error: io::ErrorKind::NotFound.into(),
            };
        };
        let error = Command::new(program).args(args).exec();
        Error::Run {
            program: program.to_string_lossy().into(),
            error,
        }
    }
}

/// Takes every `-z solo5-abi=NAME` (two words) out of the arguments.
///
/// Returns the other arguments and the last NAME, if there was one.
#[must_use]
pub fn take_abi(args: &[OsString]) -> (Vec<OsString>, Option<String>) {
    let (mut rest, mut abi) = (Vec::with_capacity(args.len()), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg != "-z" {
            rest.push(arg.clone());
            continue;
        }
        let Some(value) = args.next() else {
            rest.push(arg.clone());
            break;
        };
        match value.as_bytes().strip_prefix(b"solo5-abi=") {
            Some(name) => abi = Some(String::from_utf8_lossy(name).into_owned()),
            None => rest.extend([arg.clone(), value.clone()]),
        }
    }
    (rest, abi)
}

/// Makes sure that there are bindings of this name.
fn check_abi(layout: &Layout, abi: &str) -> Result<(), Error> {
    let there = |suffix| {
        layout
            .bindings
            .join(format!("solo5_{abi}.{suffix}"))
            .is_file()
    };
    if !abi.contains('/') && there("o") && there("lds") {
        return Ok(());
    }
    Err(Error::UnknownAbi {
        abi: abi.into(),
        dir: layout.bindings.clone(),
    })
}

/// What `-cc` runs for these arguments.
///
/// `linker` goes to Clang's `-fuse-ld=`.
///
/// # Errors
///
/// It would link, and there are no bindings for the ABI that is asked for.
pub fn cc(
    compiler: &[OsString],
    family: Family,
    linker: Option<&OsStr>,
    layout: &Layout,
    args: &[OsString],
) -> Result<Invocation, Error> {
    let (args, abi) = take_abi(args);
    let links = !args
        .iter()
        .any(|arg| arg == "-c" || arg == "-S" || arg == "-E");

    let mut command = Invocation::new(compiler);
    match family {
        // The compiler's own headers come from the installation, not from its include directory:
        // that way nothing of the host's C library can slip in.
        Family::Gcc => command
            .args(["-nostdinc", "-mstack-protector-guard=global", "-isystem"])
            .args([&layout.compiler_headers]),
        // Clang can leave out the library's headers and keep its own.
        Family::Clang => command.args([
            "-nostdlibinc",
            "-Wno-unused-command-line-argument",
            "-mstack-protector-guard=global",
        ]),
    };
    command.args(["-I"]).args([&layout.solo5_headers]);
    command.args(["-ffreestanding", "-fstack-protector-strong"]);
    if links {
        let abi = abi.as_deref().unwrap_or("stub");
        check_abi(layout, abi)?;
        if let (Family::Clang, Some(linker)) = (family, linker) {
            let mut option = OsString::from("-fuse-ld=");
            option.push(linker);
            command.args([option]);
        }
        command.args(["-Wl,--build-id=none", "-no-pie", "-nostdlib", "-L"]);
        command.args([&layout.bindings]);
        command.args([
            format!("-Wl,-T,solo5_{abi}.lds"),
            "-l".into(),
            format!(":solo5_{abi}.o"),
        ]);
        command.args(["-z", "max-page-size=0x1000", "-static"]);
        if !is_partial(&args) {
            command.args(["-Wl,--gc-sections"]);
        }
    }
    let whole = links && !is_partial(&args);
    command.args(args);
    // Last: what nothing before has, a C library for example.
    if whole && layout.bindings.join("libsolo5_mem.a").is_file() {
        command.args(["-lsolo5_mem"]);
    }
    Ok(command)
}

/// Whether the linker is to make an object file. It must keep what nothing in it refers to; out of
/// an image that is left, unless the arguments say `--no-gc-sections`: they come last.
fn is_partial(args: &[OsString]) -> bool {
    let partial = ["-r", "-i", "--relocatable", "-Wl,-r", "-Wl,--relocatable"];
    args.iter()
        .any(|arg| partial.iter().any(|name| arg == name))
}

/// What `-ld` runs for these arguments.
///
/// # Errors
///
/// There are no bindings for the ABI that is asked for.
pub fn ld(linker: &[OsString], layout: &Layout, args: &[OsString]) -> Result<Invocation, Error> {
    let (args, abi) = take_abi(args);
    let mut command = Invocation::new(linker);
    command.args(["-nostdlib", "-L"]).args([&layout.bindings]);
    command.args(["-z", "max-page-size=0x1000", "-static"]);
    if let Some(abi) = abi {
        check_abi(layout, &abi)?;
        command.args(["-T".into(), format!("solo5_{abi}.lds")]);
        command.args(["-l".into(), format!(":solo5_{abi}.o")]);
        if !is_partial(&args) {
            command.args(["--gc-sections"]);
        }
    }
    command.args(args);
    Ok(command)
}

/// The command in an environment variable, split at blanks; `default` if it is empty or not set.
#[must_use]
pub fn program(variable: &str, default: &str) -> Vec<OsString> {
    let value = env::var_os(variable).unwrap_or_default();
    let words = value
        .as_bytes()
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let words: Vec<_> = words
        .map(|word| OsStr::from_bytes(word).to_owned())
        .collect();
    if words.is_empty() {
        vec![default.into()]
    } else {
        words
    }
}

/// Runs a compiler to learn something about it; what it prints.
fn ask(compiler: &[OsString], question: &str) -> Result<String, Error> {
    let run = |error| Error::Run {
        program: Invocation::new(compiler).quoted(),
        error,
    };
    let [program, args @ ..] = compiler else {
        return Err(run(io::ErrorKind::NotFound.into()));
    };
    let output = Command::new(program)
        .args(args)
        .arg(question)
        .output()
        .map_err(run)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Finds out whose options a compiler understands: by its name, or else by asking it.
///
/// # Errors
///
/// The compiler has to be asked and cannot be run.
pub fn family(compiler: &[OsString]) -> Result<Family, Error> {
    let name = compiler
        .last()
        .map(Path::new)
        .and_then(Path::file_name)
        .unwrap_or_default();
    let name = name.to_string_lossy();
    if name.contains("clang") {
        return Ok(Family::Clang);
    }
    if name.contains("gcc") {
        return Ok(Family::Gcc);
    }
    let clang = ask(compiler, "--version")?.contains("clang");
    Ok(if clang { Family::Clang } else { Family::Gcc })
}

/// A compiler's own headers, which an installation copies to `PREFIX/include/TRIPLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompilerHeaders {
    /// Where they are.
    pub dir: PathBuf,
    /// The files, relative to `dir`, sorted.
    pub files: Vec<PathBuf>,
}

/// Lists the headers that belong to a compiler itself (`stddef.h`, intrinsics).
///
/// # Errors
///
/// The compiler cannot be run, or has no such headers.
pub fn compiler_headers(compiler: &[OsString]) -> Result<CompilerHeaders, Error> {
    let dir = PathBuf::from(ask(compiler, "-print-file-name=include")?.trim_end());
    // A compiler that has no such directory repeats the name that it was asked for.
    if !dir.is_absolute() || !dir.join("stddef.h").is_file() {
        return Err(Error::NoHeaders(Invocation::new(compiler).quoted()));
    }
    let (mut files, mut unread) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(relative) = unread.pop() {
        let path = dir.join(&relative);
        let failed = |error| Error::Read {
            path: path.clone(),
            error,
        };
        for entry in fs::read_dir(&path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let relative = relative.join(entry.file_name());
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                unread.push(relative)
            } else {
                files.push(relative)
            }
        }
    }
    files.sort();
    Ok(CompilerHeaders { dir, files })
}

/// What the three programs do. Returns only if the host's program was not run.
#[must_use]
pub fn main(tool: Tool) -> ExitCode {
    let mut args: Vec<OsString> = env::args_os().collect();
    let name = if args.is_empty() {
        OsString::from(TRIPLE)
    } else {
        args.remove(0)
    };
    let name = Path::new(&name)
        .file_name()
        .unwrap_or(&name)
        .to_string_lossy()
        .into_owned();
    if tool == Tool::Cc && args.is_empty() {
        println!("{name}: No input files. Compilation terminated.");
        return ExitCode::FAILURE;
    }
    let error = match invocation(tool, &args) {
        Ok(command) => {
            if env::var_os("__V").is_some_and(|value| !value.is_empty()) {
                eprintln!("{}", command.quoted());
            }
            command.exec()
        }
        Err(error) => error,
    };
    eprintln!("{name}: {error}");
    ExitCode::FAILURE
}

fn invocation(tool: Tool, args: &[OsString]) -> Result<Invocation, Error> {
    let layout = Layout::of_this_program()?;
    match tool {
        Tool::Cc => {
            let compiler = program("SOLO5_CC", "cc");
            if args == ["-v"] {
                let mut command = Invocation::new(&compiler);
                command.args(args.iter().cloned());
                return Ok(command);
            }
            let linker = env::var_os("SOLO5_LD").filter(|linker| !linker.is_empty());
            cc(
                &compiler,
                family(&compiler)?,
                linker.as_deref(),
                &layout,
                args,
            )
        }
        Tool::Ld => ld(&program("SOLO5_LD", "ld"), &layout, args),
        Tool::Objcopy => {
            let mut command = Invocation::new(&program("SOLO5_OBJCOPY", "objcopy"));
            command.args(args.iter().cloned());
            Ok(command)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    /// A layout that has bindings called `stub` and `spt`, without content.
    fn layout(name: &str) -> Layout {
        let prefix = env::temp_dir().join(format!("solo5-cc-{}-{name}", std::process::id()));
        let layout = Layout::under(&prefix);
        fs::create_dir_all(&layout.bindings).unwrap();
        for file in [
            "solo5_stub.o",
            "solo5_stub.lds",
            "solo5_spt.o",
            "solo5_spt.lds",
        ] {
            fs::write(layout.bindings.join(file), "").unwrap();
        }
        layout
    }

    /// The command with the layout's directories shortened, then the layout's files are removed.
    #[track_caller]
    fn text(layout: &Layout, command: Result<Invocation, Error>) -> String {
        let text = command.map(|command| command.quoted());
        let prefix = layout.bindings.ancestors().nth(2).unwrap();
        fs::remove_dir_all(prefix).unwrap();
        text.unwrap_or_else(|error| error.to_string())
            .replace(prefix.to_str().unwrap(), "P")
    }

    #[test]
    fn only_an_abi_in_two_words_is_taken() {
        let args = words("-z now -z solo5-abi=hvt a.o -zsolo5-abi=x -z solo5-abi=spt -z");
        let (rest, abi) = take_abi(&args);
        assert_eq!(rest, words("-z now a.o -zsolo5-abi=x -z"));
        assert_eq!(abi.as_deref(), Some("spt"));
        assert_eq!(take_abi(&words("-c a.c")), (words("-c a.c"), None));
    }

    #[test]
    fn compiling_takes_no_bindings() {
        let layout = layout("compile");
        let args = words("-z solo5-abi=spt -O2 -c a.c");
        let command = cc(&words("gcc"), Family::Gcc, None, &layout, &args);
        assert_eq!(
            text(&layout, command),
            "gcc -nostdinc -mstack-protector-guard=global \
             -isystem P/include/x86_64-solo5-none-static -I P/include/solo5 \
             -ffreestanding -fstack-protector-strong -O2 -c a.c"
        );
    }

    #[test]
    fn linking_puts_the_bindings_before_the_objects() {
        let layout = layout("link");
        let args = words("-z solo5-abi=spt a.o -o a.spt");
        let command = cc(
            &words("gcc"),
            Family::Gcc,
            Some("lld".as_ref()),
            &layout,
            &args,
        );
        let text = text(&layout, command);
        let (_, link) = text.split_once("-fstack-protector-strong ").unwrap();
        assert_eq!(
            link,
            "-Wl,--build-id=none -no-pie -nostdlib -L P/lib/x86_64-solo5-none-static \
             -Wl,-T,solo5_spt.lds -l :solo5_spt.o -z max-page-size=0x1000 -static -Wl,--gc-sections \
             a.o -o a.spt"
        );
    }

    #[test]
    fn an_image_is_linked_with_memcpy_last_and_an_object_is_not() {
        for (args, end) in [
            ("a.o", "a.o -lsolo5_mem"),
            ("-r a.o", "-r a.o"),
            ("-c a.c", "-c a.c"),
        ] {
            let layout = layout("mem");
            fs::write(layout.bindings.join("libsolo5_mem.a"), "").unwrap();
            let command = cc(&words("gcc"), Family::Gcc, None, &layout, &words(args));
            let text = text(&layout, command);
            assert!(text.ends_with(end), "{text}");
        }
    }

    #[test]
    fn what_nothing_refers_to_stays_in_an_object_file() {
        for partial in ["-r a.o", "a.o -Wl,-r"] {
            let layout = layout("partial");
            let command = cc(&words("gcc"), Family::Gcc, None, &layout, &words(partial));
            let text = text(&layout, command);
            assert!(!text.contains("gc-sections"), "{text}");
        }
    }

    #[test]
    fn the_compiler_links_stubs_unless_told_otherwise_and_clang_is_told_the_linker() {
        let layout = layout("clang");
        let command = cc(
            &words("clang"),
            Family::Clang,
            Some("lld".as_ref()),
            &layout,
            &words("a.c"),
        );
        let text = text(&layout, command);
        assert!(text.starts_with("clang -nostdlibinc "), "{text}");
        assert!(
            text.contains(" -fuse-ld=lld ") && text.contains(" -l :solo5_stub.o "),
            "{text}"
        );
    }

    #[test]
    fn the_linker_takes_no_bindings_unless_told_to() {
        let plain = layout("ld");
        let command = ld(&words("ld"), &plain, &words("-r a.o"));
        let flags =
            "ld -nostdlib -L P/lib/x86_64-solo5-none-static -z max-page-size=0x1000 -static";
        assert_eq!(text(&plain, command), format!("{flags} -r a.o"));
        let spt = layout("ld-spt");
        let command = ld(&words("ld"), &spt, &words("-z solo5-abi=spt a.o"));
        assert_eq!(
            text(&spt, command),
            format!("{flags} -T solo5_spt.lds -l :solo5_spt.o --gc-sections a.o")
        );
    }

    #[test]
    fn bindings_that_are_not_installed_are_named() {
        let layout = layout("unknown");
        let command = ld(&words("ld"), &layout, &words("-z solo5-abi=hvt a.o"));
        assert_eq!(
            text(&layout, command),
            "no bindings for ABI 'hvt' in P/lib/x86_64-solo5-none-static"
        );
    }

    #[test]
    fn commands_are_printed_as_a_shell_takes_them() {
        let command = Invocation {
            words: vec!["a b".into(), "it's".into(), "".into(), "-x".into()],
        };
        assert_eq!(command.quoted(), r"'a b' 'it'\''s' '' -x");
    }
}
