//! `solo5-elftool`: turns a manifest into C source, and shows what is in an image.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use solo5_elftool::source::{MAX_SOURCE_LEN, SourceError};
use solo5_elftool::{generate, query, source};
use solo5_tender::errno::Strerror;
use solo5_tender::image::{Image, ImageError};
use thiserror::Error;

/// Why a command failed.
#[derive(Debug, Error)]
enum Error {
    #[error("{}: Could not open for reading: {}", .path.to_string_lossy(), Strerror(.error))]
    OpenSource { path: OsString, error: io::Error },
    #[error("{}: Could not read: {}", .path.to_string_lossy(), Strerror(.error))]
    ReadSource { path: OsString, error: io::Error },
    #[error("{}: longer than {MAX_SOURCE_LEN} bytes", .0.to_string_lossy())]
    SourceTooLong(OsString),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{}: Could not open for writing: {}", .path.to_string_lossy(), Strerror(.error))]
    OpenOutput { path: OsString, error: io::Error },
    #[error("{}: Could not write: {}", .path.to_string_lossy(), Strerror(.error))]
    WriteOutput { path: OsString, error: io::Error },
    #[error("{}: {error}", .path.to_string_lossy())]
    Image { path: OsString, error: ImageError },
    #[error("{}: Manifest validation failed: {error}", .path.to_string_lossy())]
    Manifest {
        path: OsString,
        error: solo5_abi::manifest::ManifestError,
    },
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_else(|| "solo5-elftool".into());
    let program = Path::new(&program)
        .file_name()
        .unwrap_or(&program)
        .to_string_lossy();
    let arguments: Vec<OsString> = arguments.collect();
    let words: Vec<&OsStr> = arguments.iter().map(OsString::as_os_str).collect();
    let command = words.first().and_then(|command| command.to_str());
    let result = match (command, &words[..]) {
        (Some("gen-manifest"), [_, source, output]) => gen_manifest(source, output),
        (Some("query-abi"), [_, binary]) => query_abi(binary),
        (Some("query-manifest"), [_, binary]) => query_manifest(binary),
        _ => {
            usage(&program);
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // When not even that works there is nobody to tell.
            let _ = writeln!(io::stderr(), "{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage(program: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let _ = write!(
        io::stderr(),
        "usage: {program} COMMAND ...
{program} version {version}

COMMAND is:
    gen-manifest SOURCE OUTPUT:
        Turn the manifest SOURCE (JSON) into OUTPUT (C); - is standard input or output.
    query-abi BINARY:
        Show what the image BINARY was linked for.
    query-manifest BINARY:
        Show the manifest of the image BINARY.
"
    );
}

fn gen_manifest(path: &OsStr, output: &OsStr) -> Result<(), Error> {
    let text = read_source(path)?;
    let devices = source::parse(&path.to_string_lossy(), &text)?;
    write_output(output, generate::c_source(&devices).as_bytes())
}

/// Reads a source of limited length.
fn read_source(path: &OsStr) -> Result<Vec<u8>, Error> {
    let reader: Box<dyn Read> = if path == "-" {
        Box::new(io::stdin())
    } else {
        let file = File::open(path);
        Box::new(file.map_err(|error| Error::OpenSource {
            path: path.into(),
            error,
        })?)
    };
    let mut text = Vec::new();
    let read = reader
        .take(MAX_SOURCE_LEN as u64 + 1)
        .read_to_end(&mut text);
    read.map_err(|error| Error::ReadSource {
        path: path.into(),
        error,
    })?;
    if text.len() > MAX_SOURCE_LEN {
        Err(Error::SourceTooLong(path.into()))
    } else {
        Ok(text)
    }
}

/// Writes all of an output or nothing: a file appears under its name when it is complete.
fn write_output(path: &OsStr, text: &[u8]) -> Result<(), Error> {
    let opening = |error| Error::OpenOutput {
        path: path.into(),
        error,
    };
    let writing = |error| Error::WriteOutput {
        path: path.into(),
        error,
    };
    if path == "-" {
        return io::stdout()
            .write_all(text)
            .and_then(|()| io::stdout().flush())
            .map_err(writing);
    }
    // A link stays a link; what it leads to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| PathBuf::from(path));
    let existing = fs::metadata(&target).ok();
    if existing.as_ref().is_some_and(|meta| !meta.is_file()) {
        // A terminal, a pipe: there is nothing to replace.
        let mut file = OpenOptions::new()
            .write(true)
            .open(&target)
            .map_err(opening)?;
        return file.write_all(text).map_err(writing);
    }
    let directory = target.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mode = existing.map_or(0o666, |meta| meta.permissions().mode());
    let mut file = tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(directory.unwrap_or(Path::new(".")))
        .map_err(opening)?;
    file.write_all(text).map_err(writing)?;
    file.persist(&target)
        .map_err(|error| writing(error.error))?;
    Ok(())
}

fn query_abi(path: &OsStr) -> Result<(), Error> {
    let refuse = |error| Error::Image {
        path: path.into(),
        error,
    };
    let abi = open_image(path)
        .and_then(|image| image.abi())
        .map_err(refuse)?;
    write_output("-".as_ref(), query::abi_json(abi).as_bytes())
}

fn query_manifest(path: &OsStr) -> Result<(), Error> {
    let manifest = open_image(path).and_then(|image| image.manifest());
    let entries = manifest.map_err(|error| match error {
        ImageError::Manifest(error) => Error::Manifest {
            path: path.into(),
            error,
        },
        error => Error::Image {
            path: path.into(),
            error,
        },
    })?;
    write_output("-".as_ref(), query::manifest_json(&entries).as_bytes())
}

fn open_image(path: &OsStr) -> Result<Image<File>, ImageError> {
    Image::open(path)
}
