//! The reference of `mnet.h` and of the headers in `posix/include`, by Doxygen.
//!
//! The headers have plain comments, for people. What Doxygen reads are copies in which those comments
//! have its marks, the errors of a function are a list, and each declaration belongs to a topic: that of
//! the source that it comes from.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cargo::workspace;
use crate::needs::find_program;
use crate::spec::files;

/// The topics, in the order of the reference: sources of `mnet-ffi`, and what their topic is called.
const TOPICS: &[(&str, &[&str], &str)] = &[
    ("basics", &["types"], "Handles, structures, versions"),
    ("errors", &["error"], "Errors"),
    ("stacks", &["stack"], "Stacks"),
    ("waiting", &["wait"], "Waiting"),
    ("tcp", &["tcp", "fast_open"], "TCP connections"),
    (
        "settings",
        &["settings", "tcp_info"],
        "TCP: settings and state",
    ),
    ("udp", &["udp", "datagrams"], "UDP"),
    ("fibers", &["fibers", "channels"], "Fibers and channels"),
    ("text", &["address"], "Addresses as text"),
    ("addresses", &["addresses", "ipv6"], "Our addresses"),
    (
        "interfaces",
        &["interfaces", "routes"],
        "Interfaces and routes",
    ),
    ("dhcp", &["dhcp"], "DHCP"),
    ("resolvers", &["resolvers"], "Name servers"),
    ("args", &["args"], "Command line"),
    ("log", &["log"], "Log"),
    ("info", &["info"], "Counters, usage, random numbers"),
];

/// Where the pages are written.
pub(crate) fn output() -> PathBuf {
    workspace().target_dir().join("reference")
}

/// Writes the reference; why it is not complete, if it is not. `None`: there is no Doxygen.
pub(crate) fn write() -> Result<Option<Result<(), String>>> {
    let Some(doxygen) = find_program("doxygen") else {
        return Ok(None);
    };
    let (root, output) = (workspace().root().to_path_buf(), output());
    let input = output.join("input");
    if output.exists() {
        fs::remove_dir_all(&output)?;
    }
    fs::create_dir_all(&input)?;
    let topics = topics(&root.join("ffi/src"))?;
    let mut groups = String::new();
    for (name, _, title) in TOPICS {
        writeln!(groups, "/** @defgroup {name} {title} */")?;
    }
    groups += "/** @defgroup posix BSD sockets */\n";
    fs::write(input.join("topics.dox"), groups)?;

    let header = fs::read_to_string(root.join("include/mnet.h"))?;
    let of_header = |name: &str| {
        let topic = topics.get(name).copied();
        topic.or_else(|| name.starts_with("MNET_VERSION").then_some("basics"))
    };
    fs::write(
        input.join("mnet.h"),
        marked(&header, Some("mnet.h"), &of_header)?,
    )?;
    let posix = root.join("posix/include");
    for path in files(&posix, &["h"])? {
        let to = input.join("posix").join(path.strip_prefix(&posix)?);
        fs::create_dir_all(to.parent().context("a path with a directory")?)?;
        let text = fs::read_to_string(&path)?;
        let marked =
            marked(&text, None, &|_| Some("posix")).with_context(|| path.display().to_string())?;
        fs::write(to, marked)?;
    }
    run(&doxygen, &root.join("docs/Doxyfile"), &input, &output).map(Some)
}

fn run(doxygen: &Path, settings: &Path, input: &Path, output: &Path) -> Result<Result<(), String>> {
    let mut text = fs::read_to_string(settings)?;
    write!(
        text,
        "INPUT = \"{}\"\nOUTPUT_DIRECTORY = \"{}\"\nSTRIP_FROM_PATH = \"{0}\"\n",
        input.display(),
        output.display()
    )?;
    let own = output.join("Doxyfile");
    fs::write(&own, text)?;
    let finished = Command::new(doxygen).arg(&own).output()?;
    if finished.status.success() {
        return Ok(Ok(()));
    }
    let text = [finished.stderr, finished.stdout].concat();
    Ok(Err(String::from_utf8_lossy(&text).into_owned()))
}

/// The topic of each name that the sources declare.
fn topics(sources: &Path) -> Result<BTreeMap<String, &'static str>> {
    let mut all = BTreeMap::new();
    for (topic, modules, _) in TOPICS {
        for module in *modules {
            let mut paths = vec![sources.join(module).with_extension("rs")];
            let folder = sources.join(module);
            if folder.is_dir() {
                paths.extend(files(&folder, &["rs"])?);
            }
            for file in paths {
                let text = fs::read_to_string(&file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                all.extend(declared(&text).map(|name| (name.to_owned(), *topic)));
            }
        }
    }
    ensure!(all.len() > 200, "only {} names were found", all.len());
    Ok(all)
}

/// The names that a Rust source declares for C.
fn declared(source: &str) -> impl Iterator<Item = &str> {
    source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("pub "))
        .flat_map(|line| words(line).filter(|word| is_ours(word)).take(1))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

fn is_ours(word: &str) -> bool {
    word.starts_with("mnet_") || word.starts_with("MNET_")
}

/// A header with the marks of Doxygen. The first comment is about the file, and the main page if it has
/// a `title`.
fn marked(
    header: &str,
    title: Option<&str>,
    topic: &dyn Fn(&str) -> Option<&'static str>,
) -> Result<String> {
    let mut out = String::new();
    let mut lines = header.lines();
    // What the comment above says of the lines below it, up to an empty one.
    let mut about: Option<Vec<String>> = None;
    let (mut is_first, mut is_start, mut depth) = (true, true, 0_usize);
    while let Some(line) = lines.next() {
        let bare = line.trim();
        if bare.starts_with("/*") {
            let comment = comment(bare, &mut lines);
            if is_first {
                is_first = false;
                let body = with_code(&comment).join("\n");
                out += "/** @file\n */\n";
                if let Some(title) = title {
                    writeln!(out, "/** @mainpage {title}\n{body}\n*/")?;
                }
                continue;
            }
            about = Some(comment);
            is_start = true;
            continue;
        }
        let is_code = !bare.is_empty() && !bare.starts_with('}') && is_declaration(bare);
        if bare.is_empty() && depth == 0 {
            about = None;
        }
        if let Some(comment) = about.as_ref().filter(|_| is_code && is_start) {
            let name = name(bare).with_context(|| format!("what does this declare: {bare}"))?;
            // Members belong to what they are members of.
            let group = if depth > 0 {
                String::new()
            } else {
                let topic = topic(name).with_context(|| format!("{name} has no topic"))?;
                format!("@ingroup {topic}\n")
            };
            writeln!(out, "/**\n{group}{}\n\n*/", listed(comment).join("\n"))?;
        }
        writeln!(out, "{line}")?;
        if bare.contains("extern \"C\"") {
            continue;
        }
        depth = (depth + line.matches('{').count()).saturating_sub(line.matches('}').count());
        // What does not end goes on in the next line.
        is_start = bare.is_empty()
            || bare.ends_with([';', '{', '}'])
            || (bare.starts_with('#') && !bare.ends_with('\\'));
    }
    Ok(out)
}

fn is_declaration(line: &str) -> bool {
    let directive = line.strip_prefix('#').map(str::trim_start);
    let is_marker = line.starts_with("MNET_POSIX_BEGIN") || line.starts_with("MNET_POSIX_END");
    let is_linkage = line.starts_with("extern \"C\"");
    !is_marker && !is_linkage && directive.is_none_or(|text| text.starts_with("define "))
}

/// The name that a line declares: of a macro, a structure, a function, a type or a variable.
fn name(line: &str) -> Option<&str> {
    if let Some(rest) = line.strip_prefix("#define ") {
        return words(rest).next();
    }
    if let Some(rest) = line
        .strip_prefix("struct ")
        .filter(|rest| rest.ends_with('{'))
    {
        return words(rest).next();
    }
    if let Some(rest) = line.strip_prefix("typedef ")
        && let Some((_, pointer)) = rest.split_once("(*")
    {
        return words(pointer).next();
    }
    let head = line.split(['(', '[', ';', '{']).next().unwrap_or(line);
    words(head).filter(|word| !word.is_empty()).last()
}

/// The text of a comment that begins with this line.
fn comment<'a>(first: &'a str, rest: &mut impl Iterator<Item = &'a str>) -> Vec<String> {
    let first = first.strip_prefix("/*").unwrap_or(first);
    if let Some(text) = first.strip_suffix("*/") {
        return vec![text.trim().to_owned()];
    }
    let mut lines = vec![first.trim().to_owned()];
    for line in rest {
        let bare = line.trim();
        if let Some(text) = bare.strip_suffix("*/") {
            let text = text.trim_start_matches('*').trim();
            lines.extend((!text.is_empty()).then(|| text.to_owned()));
            break;
        }
        let text = bare.strip_prefix('*').unwrap_or(bare);
        lines.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
    }
    lines.retain({
        let mut begun = false;
        move |line| {
            begun |= !line.is_empty();
            begun
        }
    });
    lines
}

/// The errors of a function, which are lines like `  MNET_EBADF   no such stack`, as a list.
fn listed(comment: &[String]) -> Vec<String> {
    let mut in_list = false;
    let mut out = Vec::new();
    for line in comment {
        let indent = line.len() - line.trim_start().len();
        let bare = line.trim();
        let names = bare
            .split_once("  ")
            .map_or(bare, |(names, _)| names)
            .split([',', ' '])
            .filter(|word| !word.is_empty());
        let is_errors = (2..4).contains(&indent)
            && bare.starts_with("MNET_")
            && names.clone().all(|word| word.starts_with("MNET_"));
        if is_errors {
            if !in_list {
                out.push(String::new());
            }
            in_list = true;
            let list: Vec<String> = names.map(|name| format!("#{name}")).collect();
            let text = bare.split_once("  ").map_or("", |(_, text)| text.trim());
            let text = if text.is_empty() {
                String::new()
            } else {
                format!(": {text}")
            };
            out.push(format!("- {}{text}", list.join(", ")));
        } else if in_list && indent >= 4 {
            out.push(format!("  {bare}"));
        } else if in_list && indent >= 2 && bare.starts_with("MNET_") {
            out.push(format!("- {bare}"));
        } else {
            if in_list && !bare.is_empty() {
                out.push(String::new());
            }
            in_list = false;
            out.push(line.clone());
        }
    }
    with_code(&out)
}

/// A line in which nothing looks like a command or a tag but what is one.
fn escaped(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    for c in line.chars() {
        if matches!(c, '\\' | '@' | '<' | '>' | '%' | '"') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// Lines that are set off, as a program.
fn with_code(lines: &[String]) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut in_code = false;
    for line in lines {
        let is_set_off = line.starts_with("    ");
        let begins = is_set_off && out.last().is_none_or(String::is_empty);
        if !in_code && begins {
            out.push("@code{.c}".to_owned());
            in_code = true;
        } else if in_code && !is_set_off && !line.is_empty() {
            out.push("@endcode".to_owned());
            in_code = false;
        }
        out.push(if in_code { line.clone() } else { escaped(line) });
    }
    out.extend(in_code.then(|| "@endcode".to_owned()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "\
/* h: a header. */

#include <stddef.h>

/* A number. */
#define MNET_A 1

/*
 * Reads.
 *
 * Returns 0, or
 *   MNET_EBADF   no such
 *                thing
 *   MNET_EINVAL, MNET_EBUSY
 * Does not block.
 */
int mnet_read(int fd,
              void *buf);

/* Two of them. */
struct mnet_pair {
    /* One. */
    int one;
    int other;
};
";

    fn in_one_topic(_: &str) -> Option<&'static str> {
        Some("t")
    }

    #[test]
    fn comments_become_those_of_doxygen_and_belong_to_a_topic() {
        let text = marked(HEADER, Some("title"), &in_one_topic).unwrap();
        assert!(text.starts_with("/** @file\n */\n/** @mainpage title\nh: a header.\n*/\n"));
        assert!(text.contains("/**\n@ingroup t\nA number.\n\n*/\n#define MNET_A 1\n"));
        assert!(
            text.contains("- #MNET_EBADF: no such\n  thing\n- #MNET_EINVAL, #MNET_EBUSY\n\nDoes")
        );
        assert_eq!(text.matches("@ingroup").count(), 3);
        assert!(text.contains("/**\nOne.\n\n*/\n    int one;\n"));
        assert!(
            !text.contains("*/\n              void"),
            "in the middle of a declaration"
        );
    }

    #[test]
    fn a_name_without_a_topic_is_found() {
        let error = marked(HEADER, None, &|name| (name != "mnet_read").then_some("t"));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("mnet_read has no topic")
        );
    }

    #[test]
    fn names_of_declarations() {
        for (line, wanted) in [
            ("#define MNET_A 1", "MNET_A"),
            ("#define FD_SET(fd, set) 1", "FD_SET"),
            ("struct mnet_pair {", "mnet_pair"),
            ("typedef int64_t mnet_fd;", "mnet_fd"),
            ("typedef int (*mnet_accept)(void *context,", "mnet_accept"),
            ("const char *mnet_version(void);", "mnet_version"),
            ("struct addrinfo *ai_next;", "ai_next"),
            ("uint8_t ip[16];", "ip"),
        ] {
            assert_eq!(name(line), Some(wanted), "{line}");
        }
    }
}
