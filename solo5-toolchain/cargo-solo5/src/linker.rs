//! This program as the linker that rustc starts.
//!
//! Cargo builds the programs of a package whenever it builds its tests, and gives options for the
//! last step only to what it was asked for. So rustc gets this program for a linker: what has the
//! manifest among its arguments is linked, and what has not is of no use as an image and is left
//! empty, where otherwise it would fail for want of a C library.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

/// Set where this program is a linker: the file that images are linked with.
pub(crate) const VARIABLE: &str = "CARGO_SOLO5_MANIFEST";

/// Links, if that is what this program was started for.
pub(crate) fn main() -> Option<ExitCode> {
    let manifest = env::var_os(VARIABLE)?;
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    Some(match link(&manifest, &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cargo-solo5: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn link(manifest: &OsString, arguments: &[OsString]) -> Result<()> {
    // rustc puts arguments that are too long for a command line into a file.
    let is_image = arguments.iter().any(|argument| {
        argument == manifest
            || argument
                .to_str()
                .and_then(|argument| argument.strip_prefix('@'))
                .and_then(|file| fs::read_to_string(file).ok())
                .is_some_and(|text| text.contains(&*manifest.to_string_lossy()))
    });
    if is_image {
        let error = Command::new("ld").args(arguments).exec();
        return Err(error).context("cannot run ld (Debian: apt-get install binutils)");
    }
    let output = arguments.iter().skip_while(|argument| *argument != "-o");
    let output = output.skip(1).map(Path::new).next();
    fs::write(output.context("there is no -o")?, "").context("cannot write the output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_image_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("program");
        let arguments = ["x.o".into(), "-o".into(), output.clone().into_os_string()];
        link(&"manifest.o".into(), &arguments).unwrap();
        assert_eq!(fs::read(output).unwrap(), b"");
        assert!(link(&"manifest.o".into(), &["x.o".into()]).is_err());
    }
}
