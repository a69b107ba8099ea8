//! The guest's side of `cargo solo5 test`.
//!
//! A program of tests is an image. It is booted once with `--list` to say which tests it has, and
//! then once for each test, with `--run NAME`: so a test that panics, which ends its guest, does not
//! disturb the others, and each starts with fresh memory and devices.
//!
//! The list has a line for each test, fields separated by tabs, free text escaped as in a string:
//!
//! ```text
//! test NAME fails|panics EXPECTED runs|ignored REASON
//! ```
//!
//! and `end COUNT` after them, which tells a complete list from one that was cut off.

use core::ffi::c_int;

use crate::println;
use crate::start::StartInfo;

/// A test.
#[derive(Clone, Copy, Debug)]
pub struct Test {
    /// Its path, which starts with the name of the program.
    pub name: &'static str,
    /// Runs it; 0 is success.
    pub run: fn(StartInfo) -> c_int,
    /// What it means that it panics.
    pub panic: Panic,
    /// Why it is left out; the reason may be empty.
    pub ignored: Option<&'static str>,
}

/// What it means that a test panics.
#[derive(Clone, Copy, Debug)]
pub enum Panic {
    /// It has failed.
    Fails,
    /// It has passed, if the message has this text in it.
    Wanted(Option<&'static str>),
}

/// Answers the command line. `tests` are those of this image.
#[must_use]
pub fn run(tests: &[Test], start: StartInfo) -> c_int {
    let mut words = start.cmdline().to_str().unwrap_or_default().split(' ');
    match (words.next(), words.next(), words.next()) {
        (Some("--list"), None, None) => {
            tests.iter().for_each(list);
            println!("end {}", tests.len());
            0
        }
        (Some("--run"), Some(name), None) => {
            match tests.iter().find(|test| short_name(test) == name) {
                Some(test) => (test.run)(start),
                None => {
                    println!("there is no test {name}");
                    2
                }
            }
        }
        _ => {
            println!("These are tests: `cargo solo5 test` runs them.");
            2
        }
    }
}

/// The name without that of the program.
fn short_name(test: &Test) -> &'static str {
    match test.name.split_once("::") {
        Some((_, name)) => name,
        None => test.name,
    }
}

fn list(test: &Test) {
    let (panic, expected) = match test.panic {
        Panic::Fails => ("fails", None),
        Panic::Wanted(expected) => ("panics", expected),
    };
    let expected = expected.unwrap_or_default().escape_default();
    let (runs, reason) = match test.ignored {
        None => ("runs", ""),
        Some(reason) => ("ignored", reason),
    };
    let (name, reason) = (short_name(test), reason.escape_default());
    println!("test\t{name}\t{panic}\t{expected}\t{runs}\t{reason}");
}

/// The tests that the linker has collected.
///
/// # Safety
///
/// The image was linked with a linker script that defines both symbols around the section
/// `solo5_tests`.
#[doc(hidden)]
#[must_use]
pub unsafe fn collected() -> &'static [Test] {
    unsafe extern "C" {
        static __start_solo5_tests: u8;
        static __stop_solo5_tests: u8;
    }
    let start = (&raw const __start_solo5_tests).cast::<Test>();
    let end = (&raw const __stop_solo5_tests).cast::<Test>();
    let count = (end.addr() - start.addr()) / size_of::<Test>();
    // SAFETY: the attribute `test` puts values of this type there and nothing else.
    unsafe { core::slice::from_raw_parts(start, count) }
}

/// The start of a program of tests: everything that is marked with `test` in it, and in its
/// modules, is one that `cargo solo5 test` runs.
#[macro_export]
macro_rules! test_main {
    () => {
        #[$crate::main]
        fn __solo5_tests(start: $crate::StartInfo) -> u8 {
            // SAFETY: `cargo solo5` links with a script that has the symbols.
            let tests = unsafe { $crate::testing::collected() };
            u8::try_from($crate::testing::run(tests, start)).unwrap_or(255)
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::World;

    const TESTS: [Test; 2] = [
        Test {
            name: "guest::adds",
            run: |_| 7,
            panic: Panic::Fails,
            ignored: Some("it \"rains\"\t"),
        },
        Test {
            name: "guest::deep::panics",
            run: |_| 8,
            panic: Panic::Wanted(Some("out of\nrange")),
            ignored: None,
        },
    ];

    fn answer(cmdline: &'static core::ffi::CStr) -> (c_int, std::string::String) {
        let world = World::new();
        let mut memory = [0; 16];
        let info = solo5_sys::solo5_start_info {
            cmdline: cmdline.as_ptr(),
            heap_start: memory.as_mut_ptr() as usize,
            heap_size: memory.len(),
        };
        // SAFETY: the structure is valid and the string static.
        let start = unsafe { StartInfo::from_raw(&raw const info) }.unwrap();
        let status = run(&TESTS, start);
        (
            status,
            std::string::String::from_utf8(world.console()).unwrap(),
        )
    }

    #[test]
    fn the_list_tells_everything_on_one_line_each() {
        let (status, text) = answer(c"--list");
        assert_eq!(status, 0);
        assert_eq!(
            text,
            "test\tadds\tfails\t\tignored\tit \\\"rains\\\"\\t\n\
             test\tdeep::panics\tpanics\tout of\\nrange\truns\t\n\
             end 2\n"
        );
    }

    #[test]
    fn one_test_runs_by_its_name() {
        assert_eq!(answer(c"--run adds").0, 7);
        assert_eq!(answer(c"--run deep::panics").0, 8);
        assert_eq!(answer(c"--run deep").0, 2);
        assert_eq!(answer(c"").0, 2);
    }
}
