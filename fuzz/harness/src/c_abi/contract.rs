//! Which errors the header allows each function: read from its comments, so that what is promised and
//! what is checked cannot drift apart.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_int};
use std::sync::OnceLock;

use mnet_ffi::mnet_error_name;

const HEADER: &str = include_str!("../../../../include/mnet.h");
/// Functions that return what others return say so in one of these ways.
const REFERENCES: [&str; 4] = ["as mnet_", "what mnet_", "by mnet_", "(mnet_"];

/// The errors of each function, by its name.
fn contract() -> &'static BTreeMap<&'static str, BTreeSet<c_int>> {
    static CONTRACT: OnceLock<BTreeMap<&str, BTreeSet<c_int>>> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let comments = comments();
        let mut all = BTreeMap::new();
        for (&name, comment) in &comments {
            let mut errors = named(comment);
            for other in referred(comment) {
                // One reference further: mnet_sendmsg() is as mnet_sendto().
                let there = comments.get(other).copied().unwrap_or_default();
                errors.extend(named(there));
                for next in referred(there) {
                    errors.extend(named(comments.get(next).copied().unwrap_or_default()));
                }
            }
            all.insert(name, errors);
        }
        all
    })
}

/// The comment in front of each function.
fn comments() -> BTreeMap<&'static str, &'static str> {
    let mut all = BTreeMap::new();
    for part in HEADER.split("/*").skip(1) {
        let Some((comment, behind)) = part.split_once("*/\n") else {
            continue;
        };
        let declaration = behind.split(';').next().unwrap_or_default();
        let Some((head, _)) = declaration.split_once('(') else {
            continue;
        };
        let name = head.rsplit([' ', '*']).next().unwrap_or_default();
        if name.starts_with("mnet_") && !head.contains(['{', '#']) {
            all.insert(name, comment);
        }
    }
    all
}

/// The error codes that a text names.
fn named(text: &str) -> BTreeSet<c_int> {
    (-64..0)
        .filter(|&code| {
            // SAFETY: the function's text is static.
            let name = unsafe { CStr::from_ptr(mnet_error_name(code)) };
            let name = name.to_str().expect("names are ASCII");
            words(text).any(|word| word == name)
        })
        .collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

/// The functions whose errors a text takes over.
fn referred(text: &'static str) -> BTreeSet<&'static str> {
    let forms: &[&str] = if text.contains("what these functions return") {
        &["mnet_"]
    } else {
        &REFERENCES
    };
    let starts = forms.iter().flat_map(|form| {
        text.match_indices(form)
            .map(move |(at, found)| at + found.len() - "mnet_".len())
    });
    starts
        .filter_map(|at| words(text.get(at..)?).next())
        .collect()
}

/// The result of a call is a success, or an error that its comment names.
#[track_caller]
pub(crate) fn check(function: &str, result: i64) {
    if result >= 0 {
        return;
    }
    let errors = contract()
        .get(function)
        .unwrap_or_else(|| panic!("{function}() is not in the header"));
    let code = c_int::try_from(result).unwrap_or(c_int::MIN);
    assert!(
        errors.contains(&code),
        "{function}() returns {}, which its comment does not name",
        name(result)
    );
}

/// What an error is called.
pub(super) fn name(code: i64) -> &'static str {
    let name = mnet_error_name(c_int::try_from(code).unwrap_or(1));
    // SAFETY: the text is static.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mnet_ffi::{MNET_EBADF, MNET_ECONNRESET, MNET_EISCONN, MNET_ELIMIT, MNET_EPIPE};

    #[test]
    fn each_function_of_the_library_has_a_comment() {
        let symbols = include_str!("../../../../ffi/symbols.txt");
        let known: BTreeSet<&str> = contract().keys().copied().collect();
        let missing: Vec<&str> = symbols.lines().filter(|s| !known.contains(s)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn errors_are_those_of_the_comment_and_of_those_it_refers_to() {
        let of = |name: &str| &contract()[name];
        assert!(of("mnet_write").contains(&MNET_EPIPE));
        assert!(!of("mnet_write").contains(&MNET_ELIMIT));
        assert!(of("mnet_peek").contains(&MNET_ECONNRESET), "as mnet_read()");
        assert!(
            of("mnet_sendmsg").contains(&MNET_EISCONN),
            "as mnet_sendto()"
        );
        assert!(of("mnet_index").contains(&MNET_EBADF) && of("mnet_index").len() == 1);
        assert!(of("mnet_now").is_empty());
    }
}
