//! `include/mnet.h` from the sources of `mnet-ffi`: declarations and comments are taken from there,
//! the introduction is below, and the version comes from the package.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use cbindgen::{Builder, Config, DocumentationLength, DocumentationStyle, Language, Style};

/// The sources, in the order in which the header presents them.
const SOURCES: [&str; 22] = [
    "types",
    "error",
    "address",
    "stack",
    "log",
    "interfaces",
    "routes",
    "ipv6",
    "resolvers",
    "addresses",
    "dhcp",
    "args",
    "tcp",
    "settings",
    "fast_open",
    "tcp_info",
    "udp",
    "datagrams",
    "wait",
    "fibers",
    "channels",
    "info",
];

const INTRODUCTION: &str = "\
/*
 * mnet.h: TCP/IP for Solo5 unikernels.
 *
 * Generated from the sources of the library by `cargo run -p mnet-codegen -- header`; do not edit.
 *
 * Link with libmnet.a, which needs the functions of solo5.h and nothing else: no libc, no malloc. A server:
 *
 *     struct mnet_config config;
 *     mnet_config_default(&config, sizeof config);
 *     config.arena = memory;
 *     config.arena_size = sizeof memory;
 *     mnet_cidr_parse(\"10.0.0.2/24\", 11, &config.address, &config.prefix_len);
 *     mnet_stack stack = mnet_open(&config);                   negative: an error, see mnet_strerror()
 *     struct mnet_addr local;
 *     mnet_addr_parse(\"0.0.0.0:7\", 9, &local);
 *     mnet_fd listener = mnet_listen(stack, &local, 16);
 *     for (;;) {
 *         mnet_fd client = mnet_accept(listener, NULL);        waits
 *         ... mnet_read(), mnet_write(), mnet_close() ...
 *     }
 *
 * FOUR WAYS TO WAIT, over the same calls, which can be mixed:
 *
 *   - Blocking, the default: a call turns the event loop until it is done, and other connections progress meanwhile.
 *   - Readiness: a non-blocking socket answers MNET_EAGAIN instead of waiting. mnet_poll() waits for some sockets
 *     (level: for as long as they are ready), mnet_events() for all (edge: when their readiness grows).
 *   - Fibers: mnet_spawn() starts a function on a stack of its own, one for each client. A call that waits lets the
 *     others run, and returns MNET_ECANCELED when the fiber is asked to end.
 *   - Driven from outside: mnet_step() does what is due, never sleeps, and says when it wants to be called again. With
 *     MNET_CONFIG_MANUAL frames go in and out by call, too.
 *
 * A non-blocking call only queues what is to be sent; it leaves with the next call that waits, polls or steps. That is
 * cheaper: an acknowledgement travels with the answer, and small writes share a segment.
 *
 * RULES that hold for every function, unless its comment says otherwise:
 *
 *   - Errors are negative, MNET_E*; mnet_strerror() and mnet_error_name() explain them. 0 and above is success.
 *   - Outputs are written on success only, and an error changes nothing.
 *   - NULL, lengths and handles are checked. A stale, foreign or invented handle is MNET_EBADF, never a crash. What
 *     cannot be checked is that a pointer other than NULL designates as much memory as it is said to.
 *   - Pointers are used during the call only, and have no alignment requirement. Memory of an arena belongs to the
 *     library: a buffer must not lie in one (MNET_EINVAL). What fibers have of it, mnet_config.fiber_memory, is
 *     theirs: buffers on their stacks are as good as any.
 *   - Sizes are bytes, times are nanoseconds.
 *   - MNET_EBUSY is the answer to a call on a stack that is inside another call: from within a solo5_* function that
 *     the caller supplies, or from another thread. A fiber that waits is inside of none.
 *   - There are two callbacks, mnet_dhcp.accept and that of mnet_log_set(). Nothing allocates after mnet_open(),
 *     mnet_dhcp_start(), mnet_log_set(), and the first mnet_spawn() or mnet_channel_open(). Fibers and channels have the
 *     caller's memory, or mnet_config.fiber_memory.
 *   - A defect of the library does not return: it prints the place on the console and calls solo5_abort().
 *
 * Usable from C99, C11 and later, and from C++.
 */";

/// The text of the header.
pub(crate) fn generate(root: &Path) -> Result<String> {
    let manifest = fs::read_to_string(root.join("Cargo.toml")).context("cannot read Cargo.toml")?;
    let config = Config {
        language: Language::C,
        cpp_compat: true,
        header: Some(INTRODUCTION.to_owned()),
        include_guard: Some("MNET_H".to_owned()),
        no_includes: true,
        sys_includes: vec!["stddef.h".to_owned(), "stdint.h".to_owned()],
        after_includes: Some(versions(&manifest)?),
        style: Style::Tag,
        usize_is_size_t: true,
        line_length: 120,
        tab_width: 4,
        documentation: true,
        documentation_style: DocumentationStyle::C,
        documentation_length: DocumentationLength::Full,
        ..Config::default()
    };
    let sources = root.join("ffi/src");
    let mut builder = Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(sources.join(source).with_extension("rs"));
    }
    let mut bytes = Vec::new();
    builder.generate().context("cbindgen")?.write(&mut bytes);
    let text = String::from_utf8(bytes).context("cbindgen gives UTF-8")?;
    Ok(polished(&text))
}

/// The version macros, from the workspace's manifest.
fn versions(manifest: &str) -> Result<String> {
    let version = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .context("Cargo.toml does not say the version")?;
    let numbers: Vec<u32> = version
        .split('.')
        .map(|number| {
            number
                .parse()
                .context("the version does not consist of numbers")
        })
        .collect::<Result<_>>()?;
    let [major, minor, patch] = numbers[..] else {
        anyhow::bail!("the version does not have three numbers");
    };
    let number = major * 1_000_000 + minor * 1_000 + patch;
    Ok(format!(
        "
/* The version of this header. mnet_version() and mnet_version_number() give the library's. */
#define MNET_VERSION \"{version}\"
#define MNET_VERSION_MAJOR {major}
#define MNET_VERSION_MINOR {minor}
#define MNET_VERSION_PATCH {patch}
#define MNET_VERSION_NUMBER {number}
"
    ))
}

/// Puts parentheses around negative constants, so that they can stand in any expression, and
/// gives comments their margin of stars.
fn polished(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 5 / 4);
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() == "/*" && lines.peek().is_some_and(|next| !next.starts_with(" * ")) {
            let indent = &line[..line.len() - 2];
            let comment: Vec<&str> = lines
                .by_ref()
                .take_while(|line| line.trim() != "*/")
                .map(|line| line.strip_prefix(indent).unwrap_or(line).trim_end())
                .collect();
            out += &commented(&comment, indent);
            continue;
        }
        let negative = line
            .strip_prefix("#define ")
            .and_then(|rest| rest.split_once(" -"));
        out += &match negative {
            Some((name, number)) => format!("#define {name} (-{number})\n"),
            None => format!("{line}\n"),
        };
    }
    out.replace("\n\n\n", "\n\n")
}

/// A comment of one line, or of several with a star each.
fn commented(lines: &[&str], indent: &str) -> String {
    match lines {
        [line] => format!("{indent}/*{line} */\n"),
        lines => {
            let body: String = lines
                .iter()
                .map(|line| format!("{indent} *{line}\n"))
                .collect();
            format!("{indent}/*\n{body}{indent} */\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_manifest() {
        let macros = versions("[workspace.package]\nversion = \"1.2.3\"\n").unwrap();
        assert!(macros.contains("#define MNET_VERSION \"1.2.3\"\n"));
        assert!(macros.contains("#define MNET_VERSION_NUMBER 1002003\n"));
        assert!(versions("version = \"1.2\"").is_err());
        assert!(versions("name = \"x\"").is_err());
    }

    #[test]
    fn negative_constants_get_parentheses() {
        assert_eq!(
            polished("#define A -1\n#define B 2\nint a - b;\n"),
            "#define A (-1)\n#define B 2\nint a - b;\n"
        );
    }

    #[test]
    fn comments_get_their_stars() {
        assert_eq!(
            polished("/*\n one\n */\nx\n    /*\n     a\n\n     b\n     */\n"),
            "/* one */\nx\n    /*\n     * a\n     *\n     * b\n     */\n"
        );
        let already = "/*\n * one\n * two\n */\n";
        assert_eq!(polished(already), already);
    }
}
