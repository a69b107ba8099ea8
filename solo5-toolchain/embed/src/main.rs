//! `solo5-embed FOLDER OUTPUT`: the files of a folder as C source.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let message = match words[..] {
        [folder, output] if !folder.to_string_lossy().starts_with('-') => {
            match embed(Path::new(folder), Path::new(output)) {
                Ok(()) => return ExitCode::SUCCESS,
                Err(message) => format!("solo5-embed: {message}"),
            }
        }
        _ => format!(
            "usage: solo5-embed FOLDER OUTPUT\nsolo5-embed version {}\n\n\
             Turn the files of FOLDER into OUTPUT (C), a table that solo5_embed.h declares.",
            env!("CARGO_PKG_VERSION")
        ),
    };
    // When not even that works there is nobody to tell.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::FAILURE
}

/// Writes all of the table or nothing: the file appears under its name when it is complete.
fn embed(folder: &Path, output: &Path) -> Result<(), String> {
    let files = solo5_embed::collect(folder).map_err(|error| error.to_string())?;
    let failed = |error: io::Error| format!("{}: {error}", output.display());
    let directory = output.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory.unwrap_or(Path::new(".")))
        .map_err(failed)?;
    file.write_all(solo5_embed::c_source(&files).as_bytes())
        .map_err(failed)?;
    file.persist(output).map_err(|error| failed(error.error))?;
    Ok(())
}
