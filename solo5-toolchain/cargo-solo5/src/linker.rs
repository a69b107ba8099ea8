//! This program as the linker that rustc starts.
//!
//! Cargo builds the programs of a package whenever it builds its tests, and gives options for the
//! last step only to what it was asked for. So rustc gets this program for a linker: what has the
//! bindings among its arguments is linked, and what has not is of no use as an image and is left
//! empty, where otherwise it would fail for want of a C library.
//!
//! A program whose code declares no devices has a note that says so. Only when a program is linked it
//! turns out whether it has one, so those without are linked once more.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use solo5_tender::image::{Image, ImageError};

/// Set where this program is a linker: the file that all images are linked with.
pub(crate) const VARIABLE: &str = "CARGO_SOLO5_BINDINGS";
/// Names the file with the manifest of images that have none.
pub(crate) const MANIFEST_VARIABLE: &str = "CARGO_SOLO5_MANIFEST";

/// Links, if that is what this program was started for.
pub(crate) fn main() -> Option<ExitCode> {
    let bindings = env::var_os(VARIABLE)?;
    let manifest = env::var_os(MANIFEST_VARIABLE);
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    Some(match link(&bindings, manifest.as_deref(), &arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cargo-solo5: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn link(bindings: &OsStr, manifest: Option<&OsStr>, arguments: &[OsString]) -> Result<ExitCode> {
    // rustc puts arguments that are too long for a command line into a file.
    let is_image = arguments.iter().any(|argument| {
        argument == bindings
            || argument
                .to_str()
                .and_then(|argument| argument.strip_prefix('@'))
                .and_then(|file| fs::read_to_string(file).ok())
                .is_some_and(|text| text.contains(&*bindings.to_string_lossy()))
    });
    let output = arguments.iter().skip_while(|argument| *argument != "-o");
    let output = output.skip(1).map(Path::new).next();
    let output = output.context("there is no -o");
    if !is_image {
        fs::write(output?, "").context("cannot write the output")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut ld = Command::new("ld");
    ld.args(arguments);
    let cannot = "cannot run ld (Debian: apt-get install binutils)";
    if let Some(manifest) = manifest {
        if !ld.status().context(cannot)?.success() {
            return Ok(ExitCode::FAILURE);
        }
        match Image::open(output?.as_os_str()).and_then(|image| image.manifest()) {
            Err(error) if is_missing(&error) => ld.arg(manifest),
            // What else is wrong with it is said later.
            _ => return Ok(ExitCode::SUCCESS),
        };
    }
    Err(ld.exec()).context(cannot)
}

/// Whether this means that an image of our linker scripts has no manifest: its segment is there and
/// empty.
pub(crate) fn is_missing(error: &ImageError) -> bool {
    matches!(
        error,
        ImageError::NoManifest | ImageError::NoteSegment { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_image_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("program");
        let arguments = ["x.o".into(), "-o".into(), output.clone().into_os_string()];
        link("bindings.o".as_ref(), None, &arguments).unwrap();
        assert_eq!(fs::read(output).unwrap(), b"");
        assert!(link("bindings.o".as_ref(), None, &["x.o".into()]).is_err());
    }
}
