//! Files of a folder as C source, so that an image has them without a file system.
//!
//! [`collect`] reads a folder, and [`c_source`] writes the table that `solo5_embed.h` declares: for
//! each file its path, media type, entity tag and content. The same files make the same text,
//! wherever the folder is.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use walkdir::{DirEntry, WalkDir};

/// A file that is to be in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// From the folder on, with `/` in front and between: `/css/style.css`.
    pub path: String,
    /// Its media type, with the charset of text.
    pub media_type: String,
    /// What it has in it.
    pub content: Vec<u8>,
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What was named is no folder.
    #[error("{}: not a folder", .0.display())]
    NoFolder(PathBuf),
    /// The folder, or something in it, cannot be read.
    #[error("{0}")]
    Walk(#[from] walkdir::Error),
    /// A file cannot be read.
    #[error("{}: {error}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// A name is not UTF-8, or has a control character in it.
    #[error("{}: not a name that an image can have", .0.display())]
    Name(PathBuf),
    /// The folder has no file.
    #[error("{}: no files", .0.display())]
    Empty(PathBuf),
}

/// Whether something belongs to the content of a folder: names with a dot in front are those of
/// tools and editors, but for one of the web's own (RFC 8615).
fn is_wanted(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    !name.starts_with('.') || name == ".well-known"
}

/// Reads all files of a folder and of the folders in it, in the order of their paths' bytes.
///
/// Links are followed. Names that begin with a dot are left out, except for `.well-known`.
///
/// # Errors
///
/// See [`Error`].
pub fn collect(folder: &Path) -> Result<Vec<Embedded>, Error> {
    let mut files = Vec::new();
    if fs::metadata(folder).is_ok_and(|named| !named.is_dir()) {
        return Err(Error::NoFolder(folder.to_path_buf()));
    }
    // What is not there is the walk's error.
    let walk = WalkDir::new(folder).min_depth(1).follow_links(true);
    for entry in walk.into_iter().filter_entry(is_wanted) {
        let entry = entry?;
        if !entry.file_type().is_file() {
            continue;
        }
        let name = || Error::Name(entry.path().to_path_buf());
        let relative = entry.path().strip_prefix(folder).map_err(|_| name())?;
        let mut path = String::new();
        for part in relative {
            let part = part.to_str().ok_or_else(name)?;
            if part.contains(char::is_control) {
                return Err(name());
            }
            path += "/";
            path += part;
        }
        let content = fs::read(entry.path()).map_err(|error| Error::Read {
            path: entry.path().to_path_buf(),
            error,
        })?;
        let media_type = media_type(&path, &content);
        files.push(Embedded {
            path,
            media_type,
            content,
        });
    }
    if files.is_empty() {
        return Err(Error::Empty(folder.to_path_buf()));
    }
    files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    Ok(files)
}

/// The media type that a name stands for; what is text in UTF-8 says so.
fn media_type(path: &str, content: &[u8]) -> String {
    let guess = mime_guess::from_path(path).first_or_octet_stream();
    let textual = guess.type_() == mime_guess::mime::TEXT
        || matches!(guess.subtype().as_str(), "javascript" | "json" | "xml")
        || guess.suffix() == Some(mime_guess::mime::XML);
    let mut text = guess.essence_str().to_owned();
    if textual && std::str::from_utf8(content).is_ok() {
        text += "; charset=utf-8";
    }
    text
}

impl Embedded {
    /// A strong entity tag (RFC 9110 §8.8.3) with its quotation marks: 128 bits of the content's
    /// SHA-256.
    #[must_use]
    pub fn etag(&self) -> String {
        let mut etag = String::from("\"");
        for byte in Sha256::digest(&self.content).iter().take(16) {
            let _ = write!(etag, "{byte:02x}");
        }
        etag + "\""
    }
}

/// Bytes of a literal before it goes on in the next line.
const LINE: usize = 96;

/// Writes bytes as a literal of C, or several in a row, without one that another byte could change.
fn literal(bytes: &[u8], indent: &str) -> String {
    let mut text = String::from("\"");
    let mut column = 0;
    for byte in bytes {
        if column >= LINE {
            let _ = write!(text, "\"\n{indent}\"");
            column = 0;
        }
        let before = text.len();
        match byte {
            // A question mark might begin a trigraph.
            b'"' | b'\\' | b'?' => {
                text.push('\\');
                text.push(char::from(*byte));
            }
            b'\n' => text += "\\n",
            b' '..=b'~' => text.push(char::from(*byte)),
            // Three digits, so that none behind it is taken for one of them.
            _ => {
                let _ = write!(text, "\\{byte:03o}");
            }
        }
        column += text.len() - before;
    }
    text + "\""
}

/// The table of these files, as `solo5_embed.h` declares it.
///
/// They must be in the order of [`collect`].
#[must_use]
pub fn c_source(files: &[Embedded]) -> String {
    let mut text = String::from(
        "/* Written by solo5-embed; do not edit. */\n\
         #include <solo5_embed.h>\n\n\
         #if defined(__GNUC__)\n\
         #pragma GCC diagnostic ignored \"-Woverlength-strings\"\n\
         #endif\n",
    );
    for (number, file) in files.iter().enumerate() {
        let data = literal(&file.content, "    ");
        let _ = write!(text, "\nstatic const char file_{number}[] =\n    {data};\n");
    }
    text += "\nconst struct solo5_file solo5_files[] = {\n";
    for (number, file) in files.iter().enumerate() {
        let _ = writeln!(
            text,
            "    {{ {}, {}, {}, file_{number}, {} }},",
            literal(file.path.as_bytes(), "      "),
            literal(file.media_type.as_bytes(), "      "),
            literal(file.etag().as_bytes(), "      "),
            file.content.len(),
        );
    }
    let _ = write!(
        text,
        "}};\n\nconst size_t solo5_file_count = {};\n",
        files.len()
    );
    text
}
