//! What a Rust unikernel starts in, and the parts that it may replace: the panic handler and the
//! global allocator. Programs of one package, each run as a guest.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::Test;
use crate::cargo_solo5::{ends_with, prints, project};
use crate::fixture::Fixture;

pub(crate) const TESTS: &[(&str, Test)] = &[
    ("a_program_starts_in_every_shape_of_main", shapes_of_main),
    (
        "a_program_may_have_its_own_panic_handler",
        own_panic_handler,
    ),
    ("a_program_may_have_its_own_allocator", own_allocator),
];

/// A package with nothing but `mnet`, whose features it passes on, and these programs.
fn package(fixture: &Fixture, name: &str, programs: &[(&str, String)]) -> Result<PathBuf> {
    let path = project(fixture, name, &["--net"])?;
    fs::remove_dir_all(path.join("src"))?;
    fs::remove_dir_all(path.join("tests"))?;
    fs::create_dir_all(path.join("src/bin"))?;
    let sources = fixture.prefix.root().join("src/mnet");
    let (mnet, solo5) = (sources.join("mnet"), sources.join("solo5-toolchain/solo5"));
    let manifest = format!(
        "[package]
name = \"{name}\"
version = \"0.1.0\"
edition = \"2024\"

[features]
image = [\"mnet/image\"]
own-panic-handler = [\"mnet/rt\", \"mnet/allocator\"]
own-allocator = [\"mnet/rt\", \"mnet/panic-handler\", \"solo5/heap\"]

[dependencies]
mnet = {{ path = {mnet:?}, default-features = false }}
solo5 = {{ path = {solo5:?} }}
"
    );
    fs::write(path.join("Cargo.toml"), manifest)?;
    fs::write(path.join("solo5.toml"), "[run]\nmemory = 4\n")?;
    for (name, source) in programs {
        let source =
            format!("#![no_std]\n#![no_main]\n#![allow(unused)]\nextern crate alloc;\n{source}");
        fs::write(path.join(format!("src/bin/{name}.rs")), source)?;
    }
    Ok(path)
}

/// Runs a program that ends with a status; all that it printed, and nothing else.
fn run(status: i32, fixture: &Fixture, path: &Path, feature: &str, bin: &str) -> Result<String> {
    let arguments = [
        "run",
        "-q",
        "--features",
        feature,
        "--bin",
        bin,
        "--",
        "one",
        "two",
    ];
    ends_with(status, fixture, path, &arguments)
}

/// A function, the status that the guest ends with, and what it prints.
type Shape = (&'static str, i32, &'static str);

const SHAPES: &[Shape] = &[
    ("fn main() { println!(\"ran\") }", 0, "ran\n"),
    ("fn main() -> u8 { 7 }", 7, ""),
    ("fn main() -> Result<(), Failure> { Ok(()) }", 0, ""),
    (
        "fn main() -> Result<u8, Failure> { Err(Failure::OutOfPaper(3)) }",
        1,
        "Error: OutOfPaper(3)\n",
    ),
    ("fn main() -> ! { solo5::exit(200) }", 200, ""),
    (
        "fn start_here(info: StartInfo) { println!(\"{:?}\", info.cmdline()) }",
        0,
        "\"one two\"\n",
    ),
    (
        "fn main(info: StartInfo) -> u8 { info.cmdline().count_bytes() as u8 }",
        7,
        "",
    ),
    (
        "fn main(_: StartInfo) -> Result<(), Failure> { Err(Failure::OutOfPaper(4)) }",
        1,
        "Error: OutOfPaper(4)\n",
    ),
    (
        "fn main(_: StartInfo) -> Result<u8, Failure> { Ok(255) }",
        255,
        "",
    ),
];

const SHAPE: &str = "
use solo5::{StartInfo, println};

#[derive(Debug)]
enum Failure {
    OutOfPaper(u32),
}

#[mnet::main]
";

fn shapes_of_main(fixture: &Fixture) -> Result<()> {
    let mut programs: Vec<(&str, String)> = Vec::new();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    ensure!(names.len() == SHAPES.len(), "a shape without a name");
    for (name, (function, ..)) in names.iter().zip(SHAPES) {
        programs.push((name, format!("{SHAPE}{function}")));
    }
    programs.push(("wrong", format!("{SHAPE}fn main(_: u32) {{}}")));
    programs.push((
        "odd",
        format!("{SHAPE}fn main() -> &'static str {{ \"\" }}"),
    ));
    let path = package(fixture, "shapes", &programs)?;
    for (name, (function, status, output)) in names.iter().zip(SHAPES) {
        let text = run(*status, fixture, &path, "image", name)?;
        ensure!(text == *output, "{function} printed {text:?}");
    }
    let text = run(101, fixture, &path, "image", "wrong")?;
    prints(&text, "a unikernel cannot start with this function")?;
    let text = run(101, fixture, &path, "image", "odd")?;
    prints(&text, "returns nothing, a `u8`, or a `Result` of these")
}

/// What a program says that panics.
const PANIC_HANDLER: &str = "
use core::panic::PanicInfo;
use solo5::println;

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    let line = info.location().map_or(0, |place| place.line());
    println!(\"mine: {} in line {line}\", info.message());
    solo5::exit(42)
}

#[mnet::main]
fn main() {
    let list = alloc::vec![1, 2, 3];
    let index = list.len() + usize::from(solo5::clock_monotonic() == 0);
    println!(\"{}\", list[index]);
}
";

fn own_panic_handler(fixture: &Fixture) -> Result<()> {
    let program = PANIC_HANDLER.to_owned();
    let path = package(fixture, "panics", &[("panics", program)])?;
    let text = run(42, fixture, &path, "own-panic-handler", "panics")?;
    let wanted = "mine: index out of bounds: the len is 3 but the index is 3 in line 20\n";
    ensure!(text == wanted, "{text}");
    // It is the only one: beside that of `mnet` it is refused.
    let text = run(101, fixture, &path, "image", "panics")?;
    prints(&text, "found duplicate lang item `panic_impl`")
}

/// An allocator over the first half MiB of what Solo5 reports, with the heap that `solo5` brings.
const HEAP: &str = "
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr;
use solo5::heap::Heap;
use solo5::{StartInfo, println};

const SIZE: usize = 512 << 10;

struct Mine(UnsafeCell<Option<Heap>>);

// A unikernel has one thread.
unsafe impl Sync for Mine {}

impl Mine {
    fn heap(&self) -> Option<&mut Heap> {
        unsafe { &mut *self.0.get() }.as_mut()
    }
}

unsafe impl GlobalAlloc for Mine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.heap().map_or(ptr::null_mut(), |heap| unsafe { heap.allocate(layout) })
    }
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(heap) = self.heap() {
            unsafe { heap.free(block, layout) }
        }
    }
}

#[global_allocator]
static HEAP: Mine = Mine(UnsafeCell::new(None));

#[mnet::main]
fn main(start: StartInfo) -> u8 {
    // Before it has memory it has none to give.
    assert!(Vec::<u8>::new().try_reserve(1).is_err());
    let memory = start.heap();
    assert!(memory.len() > 2 * SIZE);
    unsafe { *HEAP.0.get() = Heap::new(memory.cast().as_ptr(), SIZE, true) };
    // As much as it has, and again when that is given back, but no more at a time.
    for round in 1..=3_u8 {
        let mut list: Vec<u8> = Vec::new();
        list.try_reserve_exact(SIZE * 3 / 4).unwrap();
        list.resize(SIZE * 3 / 4, round);
        let place = list.as_ptr().addr() - memory.cast::<u8>().as_ptr().addr();
        assert!(place < SIZE);
        assert!(Vec::<u8>::new().try_reserve_exact(SIZE / 2).is_err());
        println!(\"{round}: {}\", list.iter().map(|byte| usize::from(*byte)).sum::<usize>());
    }
    5
}
";

/// An allocator over an array of the program's own, which takes nothing back.
const BUMP: &str = "
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use solo5::println;

const SIZE: usize = 64 << 10;
static mut MEMORY: [u8; SIZE] = [0; SIZE];

struct Bump(AtomicUsize);

unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = (&raw mut MEMORY).cast::<u8>();
        let start = (base.addr() + self.0.load(Ordering::Relaxed)).next_multiple_of(layout.align());
        let start = start - base.addr();
        if start + layout.size() > SIZE {
            return ptr::null_mut();
        }
        self.0.store(start + layout.size(), Ordering::Relaxed);
        unsafe { base.add(start) }
    }
    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static BUMP: Bump = Bump(AtomicUsize::new(0));

#[mnet::main]
fn main() -> u8 {
    let words: Vec<alloc::string::String> = [\"own\", \"memory\"].map(Into::into).into();
    println!(\"{}\", words.join(\" \"));
    let taken = BUMP.0.load(Ordering::Relaxed);
    assert!((60..1024).contains(&taken), \"{taken}\");
    // The end of it is a panic, which the handler of `mnet` reports.
    alloc::vec![0_u8; SIZE].len() as u8
}
";

fn own_allocator(fixture: &Fixture) -> Result<()> {
    let programs = [("heap", HEAP.to_owned()), ("bump", BUMP.to_owned())];
    let path = package(fixture, "allocators", &programs)?;
    let text = run(5, fixture, &path, "own-allocator", "heap")?;
    ensure!(text == "1: 393216\n2: 786432\n3: 1179648\n", "{text}");
    let text = run(255, fixture, &path, "own-allocator", "bump")?;
    prints(&text, "own memory\npanicked at ")?;
    prints(&text, "memory allocation of 65536 bytes failed\n")?;
    // It is the only one.
    let text = run(101, fixture, &path, "image", "bump")?;
    prints(
        &text,
        "the `#[global_allocator]` in this crate conflicts with global allocator",
    )
}
