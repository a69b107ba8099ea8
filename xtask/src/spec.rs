//! Where each requirement of RFC 9293 stands, from the identifiers in comments of the source.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::cargo::workspace;
use crate::named;
use crate::report::Outcome;

/// The table of requirements.
const TABLE: &str = "docs/rfc9293.md";
/// Where requirements are implemented and tested.
const SOURCES: &[&str] = &["core", "mnet", "ffi"];

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    id: String,
    section: String,
    text: String,
    /// Why it is not followed; empty if it is.
    exception: String,
}

/// Where a requirement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Tested,
    Implemented,
    Excepted,
    Open,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tested => "implemented and tested",
            Self::Implemented => "implemented",
            Self::Excepted => "excepted",
            Self::Open => "open",
        })
    }
}

/// The identifiers that occur in comments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tags {
    implemented: BTreeSet<String>,
    tested: BTreeSet<String>,
    /// The first place of each.
    places: BTreeMap<String, String>,
}

impl Tags {
    fn standing(&self, requirement: &Requirement) -> Standing {
        let implemented = self.implemented.contains(&requirement.id);
        let tested = self.tested.contains(&requirement.id);
        match (requirement.exception.is_empty(), implemented, tested) {
            (false, ..) => Standing::Excepted,
            (true, true, true) => Standing::Tested,
            (true, true, false) => Standing::Implemented,
            (true, false, _) => Standing::Open,
        }
    }

    /// Notes the identifiers in the comments of a file. In Rust, what follows `mod tests` is tests,
    /// as everything is in a folder `tests`.
    fn read(&mut self, path: &str, text: &str) {
        let mut in_tests = path.contains("/tests/") || path.ends_with("/tests.rs");
        let marker = if path.ends_with(".rs") { "//" } else { "#" };
        for (number, line) in (1..).zip(text.lines()) {
            in_tests |= line.starts_with("mod tests {");
            let Some((_, comment)) = line.split_once(marker) else {
                continue;
            };
            for id in identifiers(comment) {
                let place = format!("{path}:{number}");
                self.places.entry(id.clone()).or_insert(place);
                let tags = if in_tests {
                    &mut self.tested
                } else {
                    &mut self.implemented
                };
                tags.insert(id);
            }
        }
    }
}

/// The requirement identifiers in a text.
fn identifiers(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| {
            word.split_once('-').is_some_and(|(kind, number)| {
                ["MUST", "SHLD", "MAY", "REC"].contains(&kind)
                    && !number.is_empty()
                    && number.chars().all(|c| c.is_ascii_digit())
            })
        })
        .map(str::to_owned)
}

/// Reads the rows of a Markdown table whose first column is an identifier.
fn requirements(text: &str) -> Result<Vec<Requirement>> {
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, section, text, exception, _] = cells[..] else {
            bail!("{TABLE}: not four columns: {line}");
        };
        if identifiers(id).next().as_deref() != Some(id) {
            continue;
        }
        ensure!(seen.insert(id), "{TABLE}: {id} is there twice");
        all.push(Requirement {
            id: id.to_owned(),
            section: section.to_owned(),
            text: text.to_owned(),
            exception: exception.to_owned(),
        });
    }
    ensure!(!all.is_empty(), "{TABLE} has no requirements");
    Ok(all)
}

/// All files below a folder that have one of these extensions, builds aside.
pub(crate) fn files(folder: &Path, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                found.extend(files(&path, extensions)?);
            }
        } else if path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| extensions.contains(&extension))
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The files of some folders of the workspace, with their contents.
pub(crate) fn sources(folders: &[&str], extensions: &[&str]) -> Result<Vec<(String, String)>> {
    let root = workspace().root().to_owned();
    let mut all = Vec::new();
    for folder in folders {
        for path in files(&root.join(folder), extensions)? {
            let text = fs::read_to_string(&path)?;
            let name = path.strip_prefix(&root).unwrap_or(&path);
            all.push((name.display().to_string(), text));
        }
    }
    Ok(all)
}

fn read() -> Result<(Vec<Requirement>, Tags)> {
    let table = fs::read_to_string(workspace().root().join(TABLE))?;
    let mut tags = Tags::default();
    for (path, text) in sources(SOURCES, &["rs", "script"])? {
        tags.read(&path, &text);
    }
    Ok((requirements(&table)?, tags))
}

/// Prints every requirement and how many there are of each standing.
pub(crate) fn print() -> Result<bool> {
    let (requirements, tags) = read()?;
    let mut counts: BTreeMap<Standing, usize> = BTreeMap::new();
    for requirement in &requirements {
        let Requirement {
            id,
            section,
            text,
            exception,
        } = requirement;
        let standing = tags.standing(requirement);
        *counts.entry(standing).or_default() += 1;
        println!("{id:8}§{section:11}{standing:24}{text}");
        if !exception.is_empty() {
            println!("{:44}  ({exception})", "");
        }
    }
    println!();
    for (standing, count) in counts {
        println!("{count:4} {standing}");
    }
    let outcome = check()?;
    print!("{}", outcome.notes);
    Ok(outcome.failed == 0)
}

/// What is wrong with requirements and tags.
fn faults(requirements: &[Requirement], tags: &Tags) -> String {
    let mut wrong = String::new();
    for requirement in requirements {
        let id = &requirement.id;
        let is_must = id.starts_with("MUST");
        match tags.standing(requirement) {
            Standing::Open if is_must => {
                let _ = writeln!(wrong, "{id} is open: {}", requirement.text);
            }
            Standing::Implemented if is_must => {
                let _ = writeln!(wrong, "{id} has no test: {}", requirement.text);
            }
            _ => {}
        }
    }
    for (id, place) in &tags.places {
        if !requirements.iter().any(|requirement| requirement.id == *id) {
            let _ = writeln!(wrong, "{place}: {id} is not in {TABLE}");
        }
    }
    wrong
}

/// Fails if a MUST is open or untested, if a tag is unknown, or if a page names a test that is not
/// there or misses one.
pub(crate) fn check() -> Result<Outcome> {
    let (requirements, tags) = read()?;
    let wrong = faults(&requirements, &tags) + &named::faults()?;
    Ok(if wrong.is_empty() {
        Outcome::pass()
    } else {
        Outcome::fail(wrong)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = "| Id | Section | Requirement | Not followed, because |\n|---|---|---|---|\n\
        | MUST-1 | 3.1 | one | |\n| MUST-2 | 3.1 | two | |\n| MUST-3 | 3.2 | three | |\n\
        | MUST-4 | 3.2 | four | for a reason |\n| SHLD-1 | 3.3 | five | |\n";

    #[test]
    fn comments_in_code_and_in_tests_decide_where_a_requirement_stands() {
        let all = requirements(ROWS).unwrap();
        let mut tags = Tags::default();
        let code = "/// So (MUST-1), and (RFC 9293 §3.1 MUST-2).\nlet no = \"MUST-3\";\n\
            #[cfg(test)]\nmod tests { // MUST-1\n}";
        tags.read("core/src/a.rs", code);
        tags.read("core/tests/scripts/b.script", "# XMUST-1 MUST-x MUST-3\n");
        let standing: Vec<Standing> = all.iter().map(|r| tags.standing(r)).collect();
        use Standing::{Excepted, Implemented, Open, Tested};
        assert_eq!(standing, [Tested, Implemented, Open, Excepted, Open]);
        assert_eq!(
            faults(&all, &tags),
            "MUST-2 has no test: two\nMUST-3 is open: three\n"
        );
    }

    #[test]
    fn an_unknown_identifier_is_reported_with_its_place() {
        let mut tags = Tags::default();
        tags.read("core/src/a.rs", "\n// RFC 9293 §3.1 (MUST-70)\n");
        let wrong = faults(&[], &tags);
        assert_eq!(
            wrong,
            "core/src/a.rs:2: MUST-70 is not in docs/rfc9293.md\n"
        );
        assert!(requirements(&format!("{ROWS}| MUST-1 | 1 | again | |\n")).is_err());
    }
}
