//! Whether the tests that a page's tables name exist, and whether they name all of those that they are
//! about; and whether the C names of a page are in the headers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Result, ensure};

use crate::cargo::workspace;
use crate::spec::sources;

/// A page with tables whose last column, "Tests", names tests in backquotes.
struct Page {
    path: &'static str,
    /// Starts of paths: every test below, and every guest's source, is in some row. A row that names a
    /// test program's file names all of its tests.
    complete: &'static [&'static str],
    /// Every row names a test, or says why not, and what begins as a name of the headers is one.
    promises: bool,
}

const PAGES: &[Page] = &[
    Page {
        path: "SECURITY.md",
        complete: &[],
        promises: false,
    },
    Page {
        path: "docs/targets.md",
        complete: &[
            "solo5-toolchain/guest/tests/",
            "solo5-toolchain/tender/tests/",
            "tests/tests/images/hvt.rs",
        ],
        promises: false,
    },
    Page {
        path: "docs/from-ocaml.md",
        complete: &[],
        promises: true,
    },
];

/// What a row without a test says: why, or where the tests are.
const REASONS: &[&str] = &["not yet", "left out", "not shown", "as for", "as above"];
/// How names of the headers begin.
const PREFIXES: &[&str] = &["mnet_", "MNET_", "solo5_"];

/// Where tests are, and the extensions of their files: Rust, scripts of connections, guests.
const FOLDERS: &[&str] = &[
    "core",
    "cli",
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
    // The type has brackets of its own, and rustfmt may begin a line behind the sign.
    if let Some((_, list)) = text.split_once("const TESTS: ")
        && let Some((_, list)) = list.split_once('=')
        && let Some((_, list)) = list.split_once("&[")
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

/// A row of a table of tests.
struct Row {
    /// Its first cell.
    title: String,
    /// What its last cell names.
    tests: Vec<String>,
    /// It says why it names none.
    has_reason: bool,
}

/// The rows of all tables of tests.
fn rows(text: &str) -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_matches('|');
        line.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let mut rows = Vec::new();
    // Lines of the table so far, and whether it is one of tests.
    let (mut line_of_table, mut is_of_tests) = (0, false);
    for line in text.lines() {
        if !line.starts_with('|') {
            line_of_table = 0;
            continue;
        }
        line_of_table += 1;
        let cells = cells(line);
        let last = cells.last().map(String::as_str).unwrap_or_default();
        match line_of_table {
            1 => is_of_tests = last == "Tests",
            3.. if is_of_tests => rows.push(Row {
                title: cells[0].clone(),
                tests: quoted(last).map(str::to_owned).collect(),
                has_reason: REASONS.iter().any(|reason| line.contains(reason)),
            }),
            _ => {}
        }
    }
    rows
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The identifiers in code of C or Markdown.
fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

/// The identifiers of a header, but not those in its comments.
fn declared(header: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for part in header.split("/*") {
        let code = part.split_once("*/").map_or(part, |(_, code)| code);
        let lines = code
            .lines()
            .map(|line| line.split("//").next().unwrap_or(""));
        names.extend(lines.flat_map(identifiers).map(str::to_owned));
    }
    names
}

/// The names of headers on a page: what begins as one, and the member that follows behind a dot.
fn names_of_headers(text: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for word in text
        .lines()
        .flat_map(quoted)
        .flat_map(|code| code.split([' ', '(', ',', ':', '=']))
    {
        if PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
            names.extend(identifiers(word));
        }
    }
    names
}

/// What is wrong with a page: names of no test or of no header, and tests without a row.
fn faults_of(
    page: &Page,
    text: &str,
    files: &[File],
    headers: &BTreeSet<String>,
) -> Result<String> {
    let path = page.path;
    let rows = rows(text);
    ensure!(!rows.is_empty(), "{path} has no table of tests");
    let mut wrong = String::new();
    for Row { title, tests, .. } in &rows {
        for name in tests {
            if !files.iter().any(|file| file.has(name)) {
                let _ = writeln!(
                    wrong,
                    "{path}: row {title:?} names {name}, which is no test"
                );
            }
        }
    }
    if page.promises {
        let unshown = |row: &&Row| row.tests.is_empty() && !row.has_reason;
        for Row { title, .. } in rows.iter().filter(unshown) {
            let _ = writeln!(
                wrong,
                "{path}: row {title:?} names no test and says not why"
            );
        }
        for name in names_of_headers(text) {
            if !headers.contains(name) {
                let _ = writeln!(wrong, "{path}: {name} is in no header");
            }
        }
    }
    let is_named = |name: &str| {
        rows.iter()
            .any(|row| row.tests.iter().any(|test| test == name))
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
    let headers = sources(&["include"], &["h"])?
        .iter()
        .flat_map(|(_, text)| declared(text))
        .collect();
    let mut wrong = String::new();
    for page in PAGES {
        let text = fs::read_to_string(workspace().root().join(page.path))?;
        wrong += &faults_of(page, &text, &files, &headers)?;
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
        promises: false,
    };

    fn faults_in(page: &Page, text: &str) -> Result<String> {
        let header = "/* mnet_said() */\nint mnet_open(struct mnet_config *config); // mnet_told\n\
            struct mnet_config {\n/* Its size. */ size_t size;\n};\n#define MNET_NEVER 1\n";
        faults_of(page, text, &files(), &declared(header))
    }

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
            faults_in(&page, table).unwrap(),
            "page.md: row \"5\" names helper, which is no test\n\
             page.md: row \"5\" names five, which is no test\n\
             page.md: row \"6\" names ome.rs, which is no test\n"
        );
        assert!(faults_in(&page, "| # | Class |\n").is_err());
    }

    #[test]
    fn a_test_or_guest_without_a_row_is_reported() {
        let table = "| Property | Tests |\n|---|---|\n| x | `one`, `listed.rs` |\n";
        assert_eq!(
            faults_in(&PAGE, table).unwrap(),
            "page.md: no row names two of a/tests/some.rs\n\
             page.md: no row names the guest a/tests/guests/six.c\n"
        );
    }

    #[test]
    fn promises_are_shown_or_not_kept_for_a_reason_and_names_of_c_are_in_a_header() {
        let page = Page {
            complete: &[],
            promises: true,
            ..PAGE
        };
        let text = "| There | In C | Tests |\n|---|---|---|\n\
            | open | `mnet_open`, `mnet_config.size`, not `mnet_config.len` | `one` |\n\
            | read | `mnet_said(x)`, `MNET_NEVER` | |\n\n\
            and `mnet_told`, mnet_prose, `struct mnet_config`\n\n\
            | There | In C | Tests |\n|---|---|---|\n\
            | tls | not yet | |\n| x | `y` | as for open |\n| z | | `seven`, `nine` |\n";
        assert_eq!(
            faults_in(&page, text).unwrap(),
            "page.md: row \"z\" names nine, which is no test\n\
             page.md: row \"read\" names no test and says not why\n\
             page.md: len is in no header\n\
             page.md: mnet_said is in no header\n\
             page.md: mnet_told is in no header\n"
        );
    }
}
