//! The header and `libmnet.a` in the hands of a C compiler and a linker.
//!
//! Needs `gcc` (which brings `g++` where C++ is to be tested) and the binutils. Everything is made in
//! a directory of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use mnet_relocatable::{Workspace, recipes};

/// The symbols that the library shows, one a line.
const SYMBOLS: &str = include_str!("../symbols.txt");

/// Where the built library is. One build for all tests of this program.
static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let workspace = Workspace::of_this_build();
    let library = workspace.target_dir().join("c-programs/libmnet.a");
    std::fs::create_dir_all(library.parent().unwrap()).unwrap();
    recipes::LIBMNET
        .archive(&workspace, &library)
        .unwrap_or_else(|error| panic!("{error}"));
    library
});

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c")
}

/// Runs a program that must succeed; what it wrote.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}",
        output.status
    );
    text
}

fn compiler(program: &str, standard: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg(format!("-std={standard}"))
        .args(["-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg("-I")
        .arg(root().join("include"));
    command
}

/// `nm` of the library's only member: the names of the global symbols that are defined there, or
/// are not.
fn symbols(sort: &str) -> Vec<String> {
    let mut nm = Command::new("nm");
    let text = run(nm
        .args(["--extern-only", sort, "--format=just-symbols"])
        .arg(&*LIBRARY));
    let mut names: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.ends_with(':'))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

#[test]
fn the_library_shows_exactly_the_committed_symbols() {
    let shown = symbols("--defined-only");
    let committed: Vec<&str> = SYMBOLS.lines().collect();
    assert_eq!(
        shown, committed,
        "ffi/symbols.txt says what programs may rely on"
    );
}

#[test]
fn the_library_needs_solo5_and_nothing_else() {
    let needed = symbols("--undefined-only");
    assert!(!needed.is_empty());
    let others: Vec<_> = needed
        .iter()
        .filter(|name| !name.starts_with("solo5_"))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    let size = std::fs::metadata(&*LIBRARY).unwrap().len();
    println!("libmnet.a: {} KiB", size >> 10);
    // The aim is 800 KiB: see `echo_is_small` in tests/tests/images/dist.rs.
    assert!(size < 1052 << 10, "{size} bytes");
}

#[test]
fn the_header_declares_exactly_the_committed_symbols() {
    let header = std::fs::read_to_string(root().join("include/mnet.h")).unwrap();
    let mut declared: Vec<&str> = header
        .lines()
        .filter(|line| !line.starts_with([' ', '#', '/']) && line.contains('('))
        // The types of callbacks are no functions of ours.
        .filter(|line| !line.starts_with("typedef "))
        .filter_map(|line| line.split('(').next()?.rsplit([' ', '*']).next())
        .collect();
    declared.sort_unstable();
    assert_eq!(declared, SYMBOLS.lines().collect::<Vec<_>>());
}

#[test]
fn the_header_compiles_in_every_standard_and_keeps_its_layout() {
    let directory = tempfile::tempdir().unwrap();
    let object = directory.path().join("layout.o");
    for (program, language, standard) in [
        ("gcc", "c", "c99"),
        ("gcc", "c", "c11"),
        ("gcc", "c", "c17"),
        ("g++", "c++", "c++11"),
        ("g++", "c++", "c++17"),
    ] {
        run(compiler(program, standard)
            .args(["-x", language, "-c"])
            .arg(sources().join("layout.c"))
            .arg("-o")
            .arg(&object));
    }
}

/// Links `two_stacks.c` with a full libm and libc in front of the library and behind it, and
/// statically, where a clash of symbols would be an error; then runs it.
#[test]
fn the_library_works_beside_a_full_libc_and_libm() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("two_stacks");
    let library = LIBRARY.to_str().unwrap();
    for order in [
        vec!["-no-pie", library, "-lm"],
        vec!["-no-pie", "-lm", "-lc", library, "-lm", "-lc"],
        vec![
            "-static",
            "-Wl,--whole-archive",
            "-lm",
            "-Wl,--no-whole-archive",
            library,
        ],
        vec![
            "-static",
            "-Wl,--whole-archive",
            library,
            "-Wl,--no-whole-archive",
            "-lm",
        ],
    ] {
        run(compiler("gcc", "gnu11")
            .arg("-O2")
            .arg(sources().join("two_stacks.c"))
            .args(&order)
            .arg("-o")
            .arg(&program));
        assert_eq!(
            run(&mut Command::new(&program)),
            "a megabyte arrived\n",
            "{order:?}"
        );
    }
}

#[test]
fn the_library_neither_uses_nor_disturbs_the_programs_own_functions() {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("own_libc");
    run(Command::new("gcc")
        .args([
            "-std=c11",
            "-O1",
            "-ffreestanding",
            "-fno-builtin",
            "-fno-stack-protector",
        ])
        .args([
            "-fno-tree-loop-distribute-patterns",
            "-w",
            "-nostdlib",
            "-static",
            "-no-pie",
        ])
        .arg("-I")
        .arg(root().join("include"))
        .arg(sources().join("own_libc.c"))
        .arg(&*LIBRARY)
        .arg("-o")
        .arg(&program));
    run(&mut Command::new(&program));
}

/// Builds `fibers.c` with this level of optimisation.
fn fibers_program(directory: &Path, optimisation: &str) -> PathBuf {
    let program = directory.join("fibers");
    run(compiler("gcc", "c11")
        .arg(optimisation)
        .arg(sources().join("fibers.c"))
        .args(["-no-pie", LIBRARY.to_str().unwrap(), "-o"])
        .arg(&program));
    program
}

/// The least memory of a fiber must do for every call, with a quarter left; what the program's own
/// frames need is in the measure, and little.
#[test]
fn fibers_serve_and_their_stacks_stay_shallow() {
    let directory = tempfile::tempdir().unwrap();
    let program = fibers_program(directory.path(), "-O2");
    let text = run(&mut Command::new(program));
    println!("deepest stack of a fiber, with what is kept of it: {text}");
    let deepest: usize = text.trim().parse().unwrap();
    let own = 2 * 3_000;
    let guard = 256;
    assert!(
        deepest - own + guard < mnet_ffi::MNET_FIBER_SIZE_MIN * 3 / 4,
        "{deepest}"
    );
}

#[test]
fn a_fiber_that_overflows_its_stack_is_stopped_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let program = fibers_program(directory.path(), "-O0");
    for (how, said) in [
        (
            "deep",
            "mnet: stack overflow in fiber 0x2000000000000008, function 0x",
        ),
        (
            "large",
            "mnet: stack overflow in fiber 0x2000000000000008, function 0x",
        ),
        (
            "neighbour",
            "mnet: what is kept of the fiber with the memory at 0x",
        ),
    ] {
        let output = Command::new(&program).arg(how).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            text.starts_with(said) && text.ends_with("\naborted\n"),
            "{how}: {text}"
        );
        assert_eq!(output.status.code(), Some(255), "{how}: {text}");
    }
}

/// A panic prints one line with its place and ends by `solo5_abort`. The library has no defect to
/// show that with, but `solo5_abort` and the console must be what it would call.
#[test]
fn a_panic_has_its_way_out() {
    let needed = symbols("--undefined-only");
    for name in ["solo5_abort", "solo5_console_write"] {
        assert!(needed.iter().any(|needed| needed == name), "{name}");
    }
}
