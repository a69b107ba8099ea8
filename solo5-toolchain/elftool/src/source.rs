//! Reads `manifest.json` (solo5-abi section 7.1).
//!
//! Standard JSON, and, as always, commas between elements may be left out or trail. Every complaint
//! says where: line and column, both from 1, the column in characters. A member of an object is
//! where its colon is, an element of an array where it starts.

use std::fmt;

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, ParseStringErrorKind, parse_to_ast};
use solo5_abi::constants::{MANIFEST_VERSION, MAX_DEVICES, MAX_NAME_LEN};
use solo5_abi::manifest::{TYPE_BLOCK_BASIC, TYPE_NET_BASIC, is_valid_name};
use thiserror::Error;

/// The longest source that is read, in bytes. That of 63 devices has a few thousand.
pub const MAX_SOURCE_LEN: usize = 1 << 20;

/// A device that a manifest declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// 1 to 67 ASCII letters and digits.
    pub name: String,
    /// The sort of device.
    pub device_type: Type,
}

/// The sorts of device that a manifest can declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `BLOCK_BASIC`.
    Block,
    /// `NET_BASIC`.
    Net,
}

impl Type {
    const ALL: [Self; 2] = [Self::Block, Self::Net];

    /// The name that stands in manifests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Block => "BLOCK_BASIC",
            Self::Net => "NET_BASIC",
        }
    }

    /// The number that stands in notes.
    #[must_use]
    pub const fn raw(self) -> u32 {
        match self {
            Self::Block => TYPE_BLOCK_BASIC,
            Self::Net => TYPE_NET_BASIC,
        }
    }
}

/// A place in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Position {
    /// The position of a byte in a text.
    fn of(text: &str, byte: usize) -> Self {
        let before = &text[..text.floor_char_boundary(byte)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

/// Why a source is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It is not JSON.
    #[error("problem on line {} in JSON data (column {}): {reason}", .at.line, .at.column)]
    Syntax {
        /// Where.
        at: Position,
        /// What is wrong.
        reason: String,
    },
    /// It ends too early.
    #[error("premature EOF in JSON data (line {}, column {}): {reason}", .at.line, .at.column)]
    PrematureEof {
        /// Where what has no end starts.
        at: Position,
        /// What is wrong.
        reason: String,
    },
    /// It is JSON but not a manifest.
    #[error("{path}:{}: {problem} (column {})", .at.line, .at.column)]
    Content {
        /// Name of the source.
        path: String,
        /// Where.
        at: Position,
        /// Which part, and what is wrong with it.
        problem: Problem,
    },
}

/// Which part of a manifest is wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// A value of another type than it must have.
    #[error("{part}: expected {want}, got {got}")]
    Expected {
        /// Which value.
        part: &'static str,
        /// The type it must have.
        want: &'static str,
        /// The type it has.
        got: &'static str,
    },
    /// A member that no manifest has.
    #[error("{0}: unknown key: {1}")]
    UnknownKey(&'static str, String),
    /// A member that is there twice.
    #[error("{0}: duplicate key: {1}")]
    DuplicateKey(&'static str, String),
    /// A member of the manifest that must be there.
    #[error("missing {0}")]
    Missing(&'static str),
    /// A member of a device that must be there.
    #[error(".devices[...]: missing {0}")]
    DeviceMissing(&'static str),
    /// A file of another sort.
    #[error(".type: invalid value, expected \"solo5.manifest\"")]
    NotAManifest,
    /// A version that this tool does not know.
    #[error(".version: invalid version {0}, expected {MANIFEST_VERSION}")]
    Version(String),
    /// More devices than an image can have.
    #[error(".devices[]: too many entries, maximum {MAX_DEVICES}")]
    TooMany,
    /// A device without a name.
    #[error(".devices[...]: .name may not be empty")]
    NameEmpty,
    /// A name that does not fit.
    #[error(".devices[...]: name too long, maximum {MAX_NAME_LEN}")]
    NameTooLong,
    /// A name that cannot be given on a command line.
    #[error(".devices[...]: name is not alphanumeric")]
    NameNotAlphanumeric,
    /// Only the first of two such devices could ever be attached.
    #[error(".devices[...]: duplicate name: {0}")]
    DuplicateName(String),
    /// No such device exists.
    #[error(
        ".devices[...]: unknown device type: {0}, expected {known}",
        known = Type::ALL.map(Type::name).join(" or ")
    )]
    UnknownType(String),
}

impl Device {
    /// A device of this name.
    ///
    /// # Errors
    ///
    /// The name is not one.
    pub fn new(name: &str, device_type: Type) -> Result<Self, Problem> {
        if name.is_empty() {
            return Err(Problem::NameEmpty);
        }
        if name.len() > MAX_NAME_LEN {
            return Err(Problem::NameTooLong);
        }
        if !is_valid_name(name.as_bytes()) {
            return Err(Problem::NameNotAlphanumeric);
        }
        Ok(Self {
            name: name.into(),
            device_type,
        })
    }
}

/// A problem and where it is.
type Finding = (usize, Problem);

/// Reads a manifest. `path` names the source in errors.
///
/// # Errors
///
/// See [`SourceError`]; the first one found is given.
pub fn parse(path: &str, source: &[u8]) -> Result<Vec<Device>, SourceError> {
    let text = str::from_utf8(source).map_err(|error| {
        let valid = String::from_utf8_lossy(&source[..error.valid_up_to()]);
        let at = Position::of(&valid, valid.len());
        SourceError::Syntax {
            at,
            reason: "not UTF-8".into(),
        }
    })?;
    let options = ParseOptions {
        allow_comments: false,
        allow_loose_object_property_names: false,
        allow_trailing_commas: true,
        allow_missing_commas: true,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    };
    let parsed = parse_to_ast(text, &CollectOptions::default(), &options);
    let root = parsed.map_err(|error| syntax(text, &error))?.value;
    let root = root.ok_or_else(|| SourceError::PrematureEof {
        at: Position::of(text, text.len()),
        reason: "there is no value".into(),
    })?;
    manifest(text, &root).map_err(|(byte, problem)| SourceError::Content {
        path: path.into(),
        at: Position::of(text, byte),
        problem,
    })
}

fn syntax(text: &str, error: &ParseError) -> SourceError {
    let at = Position::of(text, error.range().start);
    let mut reason = error.kind().to_string();
    // It stands in the middle of a line.
    if let Some(first) = reason.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    match error.kind() {
        ParseErrorKind::UnterminatedArray
        | ParseErrorKind::UnterminatedObject
        | ParseErrorKind::String(ParseStringErrorKind::UnterminatedStringLiteral) => {
            SourceError::PrematureEof { at, reason }
        }
        _ => SourceError::Syntax { at, reason },
    }
}

/// The JSON type of a value as messages name it.
fn type_name(value: &Value<'_>) -> &'static str {
    match value {
        Value::StringLit(_) => "STRING",
        Value::NumberLit(number) if is_integer(number.value) => "INTEGER",
        Value::NumberLit(_) => "REAL",
        Value::BooleanLit(_) => "BOOLEAN",
        Value::Object(_) => "OBJECT",
        Value::Array(_) => "ARRAY",
        Value::NullKeyword(_) => "NULL",
    }
}

fn is_integer(number: &str) -> bool {
    number
        .strip_prefix('-')
        .unwrap_or(number)
        .bytes()
        .all(|byte| byte.is_ascii_digit())
}

/// Where a member is said to be: its colon, of which there is exactly one between name and value.
fn colon(text: &str, member: &ObjectProp<'_>) -> usize {
    let (from, to) = (member.name.end(), member.value.start());
    from + text
        .get(from..to)
        .and_then(|between| between.find(':'))
        .unwrap_or(0)
}

/// An object's member of this name.
struct Member<'a, 'b> {
    at: usize,
    value: &'b Value<'a>,
}

/// Sorts the members of an object by `keys`. The rest are errors, and so are duplicates.
fn members<'a, 'b, const N: usize>(
    text: &str,
    part: &'static str,
    object: &'b Object<'a>,
    keys: [&str; N],
) -> Result<[Option<Member<'a, 'b>>; N], Finding> {
    let mut found = [const { None }; N];
    for member in &object.properties {
        let (name, at) = (member.name.as_str(), colon(text, member));
        let Some(key) = keys.iter().position(|&key| key == name) else {
            return Err((
                at,
                Problem::UnknownKey(part, name.escape_debug().to_string()),
            ));
        };
        let slot = &mut found[key];
        if slot.is_some() {
            return Err((at, Problem::DuplicateKey(part, name.into())));
        }
        *slot = Some(Member {
            at,
            value: &member.value,
        });
    }
    Ok(found)
}

fn expected(part: &'static str, want: &'static str, got: &Value<'_>) -> Problem {
    Problem::Expected {
        part,
        want,
        got: type_name(got),
    }
}

/// The text of a member that must be a string.
fn string<'b>(part: &'static str, member: &'b Member<'_, '_>) -> Result<&'b str, Finding> {
    match member.value {
        Value::StringLit(string) => Ok(&string.value),
        other => Err((member.at, expected(part, "STRING", other))),
    }
}

fn manifest(text: &str, root: &Value<'_>) -> Result<Vec<Device>, Finding> {
    let start = root.start();
    let Value::Object(object) = root else {
        return Err((start, expected("(root)", "OBJECT", root)));
    };
    let keys = ["type", "version", "devices"];
    let [file_type, version, devices] = members(text, "(root)", object, keys)?;
    let file_type = file_type.ok_or((start, Problem::Missing(".type")))?;
    if string(".type", &file_type)? != "solo5.manifest" {
        return Err((file_type.at, Problem::NotAManifest));
    }
    let version = version.ok_or((start, Problem::Missing(".version")))?;
    match version.value {
        Value::NumberLit(number) if is_integer(number.value) => {
            if number.value.parse() != Ok(MANIFEST_VERSION) {
                return Err((version.at, Problem::Version(number.value.into())));
            }
        }
        other => return Err((version.at, expected(".version", "INTEGER", other))),
    }
    let devices = devices.ok_or((start, Problem::Missing(".devices[]")))?;
    let Value::Array(array) = devices.value else {
        return Err((devices.at, expected(".devices", "ARRAY", devices.value)));
    };
    if array.elements.len() > MAX_DEVICES {
        return Err((devices.at, Problem::TooMany));
    }
    let mut list: Vec<Device> = Vec::with_capacity(array.elements.len());
    for element in &array.elements {
        let device = device(text, element)?;
        if list.contains(&device) {
            return Err((element.start(), Problem::DuplicateName(device.name)));
        }
        list.push(device);
    }
    Ok(list)
}

fn device(text: &str, element: &Value<'_>) -> Result<Device, Finding> {
    const PART: &str = ".devices[...]";
    let start = element.start();
    let Value::Object(object) = element else {
        return Err((start, expected(".devices[]", "OBJECT", element)));
    };
    let [name, device_type] = members(text, PART, object, ["name", "type"])?;
    let name_member = name.ok_or((start, Problem::DeviceMissing(".name")))?;
    let name = string(PART, &name_member)?;
    let at = name_member.at;
    let type_member = device_type.ok_or((start, Problem::DeviceMissing(".type")))?;
    let type_name = string(PART, &type_member)?;
    let device_type = Type::ALL
        .into_iter()
        .find(|known| known.name() == type_name);
    let unknown = || Problem::UnknownType(type_name.escape_debug().to_string());
    let device_type = device_type.ok_or_else(|| (type_member.at, unknown()))?;
    Device::new(name, device_type).map_err(|problem| (at, problem))
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests;
