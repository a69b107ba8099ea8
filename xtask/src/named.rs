//! Whether the tests that a page's table names exist, and whether it names all of those that it is about.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, ensure};

use crate::cargo::workspace;
use crate::spec::sources;

/// A page with a table whose last column, "Tests", names tests in backquotes.
struct Page {
    path: &'static str,
    /// Starts of paths: every test below, and every guest's source, is in some row. A row that names a
    /// test program's file names all of its tests.
    complete: &'static [&'static str],
}

const PAGES: &[Page] = &[
    Page {
        path: "SECURITY.md",
        complete: &[],
    },
    Page {
        path: "docs/targets.md",
        complete: &[
            "solo5-toolchain/guest/tests/",
            "solo5-toolchain/tender/tests/",
            "tests/tests/images/hvt.rs",
        ],
    },
];

/// Where tests are, and the extensions of their files: Rust, scripts of connections, guests.
const FOLDERS: &[&str] = &[
    "core",
    "mnet",
    "ffi",
    "tests",
    "fuzz/harness",
    "fuzz/fuzz_targets",
    "solo5-toolchain",
    "xtask",
];
const EXTENSIONS: &[&str] = &["rs", "script", "c"];

/// A file that has tests or is one.
struct File {
    path: String,
    tests: BTreeSet<String>,
}

impl File {
    fn new(path: String, text: &str) -> Self {
        let tests = match path.ends_with(".rs") {
            true => tests_of(text),
            false => BTreeSet::new(),
        };
        Self { path, tests }
    }

    /// Its name without folders.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// Whether this is what a table calls so: the file itself, a test in it, a script, a fuzz target.
    fn has(&self, name: &str) -> bool {
        self.name() == name
            || self.tests.contains(name)
            || self.name() == format!("{name}.script")
            || self.path == format!("fuzz/fuzz_targets/{name}.rs")
    }

    /// Whether it is the source of a guest.
    fn is_guest(&self) -> bool {
        self.path.contains("/guests/") && self.path.ends_with(".c")
    }
}

/// The tests in a file: functions with the attribute, and the names in a list called `TESTS`.
fn tests_of(text: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut attribute = false;
    for line in text.lines().map(str::trim) {
        attribute |= line == "#[test]";
        if let Some((_, rest)) = line.split_once("fn ").filter(|_| attribute) {
            tests.insert(rest.split('(').next().unwrap_or_default().to_owned());
            attribute = false;
        }
    }
    if let Some((_, list)) = text.split_once("const TESTS: ")
        && let Some((_, list)) = list.split_once("= &[")
    {
        tests.extend(names_in(list));
    }
    tests
}

/// What the entries of a list begin with, which are names: other strings are what a test is given.
fn names_in(list: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    // Brackets that are open, and whether there was nothing yet after one of an entry.
    let (mut depth, mut is_start) = (0_u32, false);
    let mut rest = list.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                let text: String = rest.by_ref().take_while(|c| *c != '"').collect();
                if is_start {
                    names.insert(text);
                }
            }
            '(' | '[' | '{' => depth += 1,
            ']' if depth == 0 => break,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        is_start = depth == 1 && (c == '(' || is_start && c.is_whitespace());
    }
    names
}

/// What the last column of the table names, by row.
fn rows(text: &str) -> Vec<(String, Vec<String>)> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let table = text.lines().skip_while(|line| {
        !line.starts_with('|') || cells(line).last().is_none_or(|cell| cell != "Tests")
    });
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells = cells(line);
        let last = cells.last().map(String::as_str).unwrap_or_default();
        let names = last.split('`').skip(1).step_by(2).map(str::to_owned);
        (cells[0].clone(), names.collect())
    })
    .collect()
}

/// What is wrong with a page: names of no test, and tests without a row.
fn faults_of(page: &Page, text: &str, files: &[File]) -> Result<String> {
    let path = page.path;
    let rows = rows(text);
    ensure!(!rows.is_empty(), "{path} has no table of tests");
    let mut wrong = String::new();
    for (row, names) in &rows {
        for name in names {
            if !files.iter().any(|file| file.has(name)) {
                let _ = writeln!(wrong, "{path}: row {row:?} names {name}, which is no test");
            }
        }
    }
    let is_named = |name: &str| {
        rows.iter()
            .any(|(_, names)| names.iter().any(|n| n == name))
    };
    let of_page = |file: &&File| {
        page.complete
            .iter()
            .any(|start| file.path.starts_with(start))
    };
    for file in files.iter().filter(of_page) {
        let here = &file.path;
        if file.is_guest() && !is_named(file.name()) {
            let _ = writeln!(wrong, "{path}: no row names the guest {here}");
        }
        if !is_named(file.name()) {
            for test in file.tests.iter().filter(|test| !is_named(test)) {
                let _ = writeln!(wrong, "{path}: no row names {test} of {here}");
            }
        }
    }
    Ok(wrong)
}

/// What is wrong with all pages.
pub(crate) fn faults() -> Result<String> {
    let files: Vec<File> = sources(FOLDERS, EXTENSIONS)?
        .into_iter()
        .map(|(path, text)| File::new(path, &text))
        .collect();
    let mut wrong = String::new();
    for page in PAGES {
        let text = fs::read_to_string(workspace().root().join(page.path))?;
        wrong += &faults_of(page, &text, &files)?;
    }
    Ok(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<File> {
        let program =
            "#[test]\nfn one() {}\nfn helper() {}\n#[test]\n#[should_panic]\nfn two() {}\n";
        let list = "const TESTS: &[(&str, Test)] = &[\n(\"three\", f),\n(\n\"four\",\n|x| {\n\
            g(x, \"five\", (\"five\", [\"five\"]))\n},\n),\n];\nfn f() { say(\"five\", (\"five\")) }\n";
        [
            ("a/tests/some.rs", program),
            ("a/tests/listed.rs", list),
            ("a/tests/guests/six.c", "int main;"),
            ("core/tests/scripts/seven.script", ""),
            ("fuzz/fuzz_targets/eight.rs", ""),
        ]
        .map(|(path, text)| File::new(path.to_owned(), text))
        .into()
    }

    const PAGE: Page = Page {
        path: "page.md",
        complete: &["a/tests/"],
    };

    #[test]
    fn a_name_of_no_test_is_reported_with_its_row() {
        let table = "| other | table |\n|---|---|\n| x | `nothing` |\n\n\
            | # | Class | Tests |\n|---|---|---|\n\
            | 5 | loops | `one`, `helper`, `five` and `some.rs` |\n\
            | 6 | `x` | `two`, `three`, `four`, `six.c`, `seven`, `eight`, not `ome.rs` |\n";
        let page = Page {
            complete: &[],
            ..PAGE
        };
        assert_eq!(
            faults_of(&page, table, &files()).unwrap(),
            "page.md: row \"5\" names helper, which is no test\n\
             page.md: row \"5\" names five, which is no test\n\
             page.md: row \"6\" names ome.rs, which is no test\n"
        );
        assert!(faults_of(&page, "| # | Class |\n", &files()).is_err());
    }

    #[test]
    fn a_test_or_guest_without_a_row_is_reported() {
        let table = "| Property | Tests |\n|---|---|\n| x | `one`, `listed.rs` |\n";
        assert_eq!(
            faults_of(&PAGE, table, &files()).unwrap(),
            "page.md: no row names two of a/tests/some.rs\n\
             page.md: no row names the guest a/tests/guests/six.c\n"
        );
    }
}
