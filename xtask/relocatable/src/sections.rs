//! Short names for sections.
//!
//! The compiler names the section of each function and constant after it, mangled and in full, and the
//! section's relocations once more: a sixth of an object. The symbols tell the names of functions to
//! debuggers and linker maps, and constants whose names begin with `.L` have none; of a section a linker
//! only wants to know the kind.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use object::{Object, ObjectSection};

use crate::Error;
use crate::tools::at;

/// Kinds of sections, as linker scripts select them by the beginning of their names.
const KINDS: [&str; 4] = [".text", ".rodata", ".data", ".bss"];

/// The sections of an object whose names can be short: their names, and shorter ones. Where several
/// have the same name, all of them keep it.
pub(crate) fn shorter_names(path: &Path) -> Result<Vec<(String, String)>, Error> {
    let bytes = at(path, fs::read(path))?;
    let file = object::File::parse(&*bytes).map_err(|source| Error::Malformed {
        path: path.to_path_buf(),
        source,
    })?;
    let mut names = BTreeMap::<&str, u32>::new();
    for name in file.sections().filter_map(|section| section.name().ok()) {
        *names.entry(name).or_default() += 1;
    }
    let alone = names.iter().filter(|(_, count)| **count == 1);
    Ok(alone
        .enumerate()
        .filter_map(|(number, (name, _))| Some(((*name).to_owned(), shorter(name, number)?)))
        .collect())
}

/// The name of one of many sections, if it is shorter.
fn shorter(name: &str, number: usize) -> Option<String> {
    let kind = KINDS.iter().find(|kind| {
        name.strip_prefix(**kind)
            .is_some_and(|rest| rest.starts_with("._") || rest.starts_with("..L"))
    })?;
    Some(format!("{kind}.{number}")).filter(|short| short.len() < name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_after_a_symbol_gets_a_number() {
        let short = |name| shorter(name, 12);
        assert_eq!(short(".text._ZN4mnet4openE").as_deref(), Some(".text.12"));
        assert_eq!(short(".rodata._ZN1a1bE").as_deref(), Some(".rodata.12"));
        assert_eq!(short(".bss._ZN1a1bE").as_deref(), Some(".bss.12"));
        assert_eq!(short(".rodata..Lanon.1.2").as_deref(), Some(".rodata.12"));
        for kept in [
            ".text",
            ".text.mnet_open",
            ".rodata.cst16",
            ".rodata.str1.1",
            ".note._ZN1a1bE",
            ".text._a",
        ] {
            assert_eq!(short(kept), None, "{kept}");
        }
    }
}
