//! What an object shows and needs, compared with what its recipe allows.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol};

use crate::tools::at;
use crate::{Error, Recipe};

/// One way in which an object breaks its contract.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// A global symbol that the recipe does not export.
    Exposed(String),
    /// An export that is not there, or a prefix that matches nothing.
    NotExported(String),
    /// An undefined symbol that the recipe does not import.
    Undefined(String),
    /// A section that must not be in an image: what it is, and its name.
    Section(&'static str, String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exposed(name) => write!(f, "{name} is visible and should not be"),
            Self::NotExported(name) => write!(f, "{name} is not exported"),
            Self::Undefined(name) => write!(f, "{name} is undefined"),
            Self::Section(what, name) => write!(f, "section {name} holds {what}"),
        }
    }
}

/// Whether `pattern`, an exact name or a prefix with `*`, covers `name`.
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// Whether any of `patterns` covers `name`.
fn any_covers(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| covers(pattern, name))
}

/// The global symbols defined by the members of an archive that `exports` covers.
pub(crate) fn exported_by_archive(
    path: &Path,
    exports: &[&str],
) -> Result<BTreeSet<String>, Error> {
    let malformed = |source| Error::Malformed {
        path: path.to_path_buf(),
        source,
    };
    let bytes = at(path, fs::read(path))?;
    let archive = ArchiveFile::parse(&*bytes).map_err(malformed)?;
    let mut found = BTreeSet::new();
    for member in archive.members() {
        let data = member.and_then(|m| m.data(&*bytes)).map_err(malformed)?;
        // Besides objects there is rustc's own metadata.
        let Ok(file) = object::File::parse(data) else {
            continue;
        };
        let names = file
            .symbols()
            .filter(|symbol| symbol.is_global() && symbol.is_definition())
            .filter_map(|symbol| symbol.name().ok().map(str::to_owned));
        found.extend(names.filter(|name| any_covers(exports, name)));
    }
    Ok(found)
}

/// Compares the object at `path` with `recipe`.
pub(crate) fn violations(path: &Path, recipe: &Recipe<'_>) -> Result<Vec<Violation>, Error> {
    let bytes = at(path, fs::read(path))?;
    let file = object::File::parse(&*bytes).map_err(|source| Error::Malformed {
        path: path.to_path_buf(),
        source,
    })?;

    let mut defined = BTreeSet::new();
    let mut undefined = BTreeSet::new();
    for symbol in file.symbols().filter(ObjectSymbol::is_global) {
        let name = symbol.name().unwrap_or("<not UTF-8>").to_owned();
        if symbol.is_undefined() {
            undefined.insert(name);
        } else {
            defined.insert(name);
        }
    }

    let mut found = Vec::new();
    for export in recipe.exports {
        if !defined.iter().any(|name| covers(export, name)) {
            found.push(Violation::NotExported((*export).to_owned()));
        }
    }
    defined.retain(|name| !any_covers(recipe.exports, name));
    found.extend(defined.into_iter().map(Violation::Exposed));
    undefined.retain(|name| !any_covers(recipe.imports, name));
    found.extend(undefined.into_iter().map(Violation::Undefined));
    for section in file.sections().filter(|section| section.size() > 0) {
        let name = section.name().unwrap_or("<not UTF-8>");
        if let Some(what) = forbidden(name) {
            found.push(Violation::Section(what, name.to_owned()));
        }
    }
    Ok(found)
}

/// What a section of this name holds, if images must not have it.
fn forbidden(name: &str) -> Option<&'static str> {
    const FORBIDDEN: [(&str, &str); 6] = [
        (".tdata", "thread-local data"),
        (".tbss", "thread-local data"),
        (".init_array", "constructors"),
        (".ctors", "constructors"),
        (".eh_frame", "unwind tables"),
        (".gcc_except_table", "unwind tables"),
    ];
    FORBIDDEN
        .into_iter()
        .find(|(prefix, _)| name.starts_with(prefix))
        .map(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What gcc makes of a C source.
    fn object(dir: &Path, source: &str) -> std::path::PathBuf {
        let file = dir.join("source.c");
        fs::write(&file, source).expect("a file");
        let object = dir.join("source.o");
        let mut gcc = std::process::Command::new("gcc");
        gcc.args(["-ffreestanding", "-c", "-o"])
            .arg(&object)
            .arg(&file);
        crate::tools::run(&mut gcc).expect("gcc");
        object
    }

    const RECIPE: Recipe<'_> = Recipe {
        package: "",
        library: "",
        features: &[],
        compiler_options: &[],
        exports: &["wanted", "some_*"],
        imports: &["given", "also_*"],
        weak: false,
    };

    #[test]
    fn an_object_as_it_should_be_has_no_violations() {
        let dir = tempfile::tempdir().expect("a directory");
        let source = "void given(void), also_this(void);\n\
                      static int hidden(void) { given(); return 1; }\n\
                      int wanted(void) { also_this(); return hidden(); }\n\
                      int some_thing;";
        let gcc_object = object(dir.path(), source);
        // gcc writes unwind tables; the real thing has them removed.
        let clean = dir.path().join("clean.o");
        let mut objcopy = std::process::Command::new("objcopy");
        objcopy.args(["--remove-section", ".eh_frame"]);
        crate::tools::run(objcopy.arg(&gcc_object).arg(&clean)).expect("objcopy");
        assert_eq!(violations(&clean, &RECIPE).expect("an object"), []);
    }

    #[test]
    fn everything_that_is_wrong_with_an_object_is_found() {
        let dir = tempfile::tempdir().expect("a directory");
        let source = "void missing(void);\n\
                      _Thread_local int some_local = 1;\n\
                      __attribute__((constructor)) void leaked(void) { missing(); }";
        let found = violations(&object(dir.path(), source), &RECIPE).expect("an object");
        let name = |name: &str| name.to_owned();
        let expected = [
            Violation::NotExported(name("wanted")),
            Violation::Exposed(name("leaked")),
            Violation::Undefined(name("missing")),
            Violation::Section("thread-local data", name(".tdata")),
            Violation::Section("constructors", name(".init_array")),
            Violation::Section("unwind tables", name(".eh_frame")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn patterns_are_names_or_prefixes() {
        assert!(covers("solo5_exit", "solo5_exit"));
        assert!(!covers("solo5_exit", "solo5_exit_now"));
        assert!(covers("mnet_*", "mnet_open"));
        assert!(!covers("mnet_*", "mne"));
        assert!(any_covers(&["a", "b*"], "bc"));
        assert!(!any_covers(&[], "bc"));
    }
}
