//! Running programs and moving files, with errors that name both.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::Error;

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| Error::Missing {
        hint: if tool.ends_with("cargo") {
            "see https://rustup.rs"
        } else {
            "Debian: apt-get install binutils"
        },
        tool,
        source,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(Error::Failed {
        command: format!("{command:?}"),
        status: output.status,
        output: String::from_utf8_lossy(&text).into_owned(),
    })
}

/// Attaches a path to an I/O error.
pub(crate) fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error::File {
        path: path.to_path_buf(),
        source,
    })
}

/// Waits until no other process holds the lock of the directory `dir`, which is made if need be.
/// Dropping the result gives the lock back.
pub(crate) fn lock(dir: &Path) -> Result<fs::File, Error> {
    at(dir, fs::create_dir_all(dir))?;
    let path = dir.join(".relocatable.lock");
    let file = at(&path, fs::File::create(&path))?;
    at(&path, file.lock())?;
    Ok(file)
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => at(path, other),
    }
}

/// Moves `from` to `to` in one step, across file systems if need be.
pub(crate) fn install(from: &Path, to: &Path) -> Result<(), Error> {
    if let Some(parent) = to.parent() {
        at(parent, fs::create_dir_all(parent))?;
    }
    let mut name = to.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    let beside = to.with_file_name(name);
    at(&beside, fs::copy(from, &beside))?;
    at(to, fs::rename(&beside, to))?;
    remove(from)
}
