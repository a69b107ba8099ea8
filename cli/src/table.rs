//! The options of a program: one table from which the line is read and the help is made.

use crate::value::{Kind, Value};

/// One option, or one positional word.
#[derive(Clone, Copy, Debug)]
pub struct Spec<'a> {
    /// Its name: `port` is written `--port=VALUE` or `--port VALUE`. Of a positional word what the
    /// help calls it: `HOST`.
    pub name: &'a str,
    /// A letter for short: `-p VALUE`, `-pVALUE`.
    pub short: Option<char>,
    /// What it wants.
    pub kind: Kind,
    /// What the help calls its value; empty: by its kind.
    pub value_name: &'a str,
    /// One line of help.
    pub help: &'a str,
    /// A word that is no option. They are taken in the order of the table.
    pub positional: bool,
    /// It must be there.
    pub required: bool,
    /// How often it may be there, at least 1.
    pub times: u32,
}

impl Spec<'_> {
    /// What the help calls its value.
    pub(super) fn value_name(&self) -> &str {
        if self.value_name.is_empty() {
            self.kind.value_name()
        } else {
            self.value_name
        }
    }
}

/// Options, and where their values go.
pub trait Table {
    /// How many there are.
    fn count(&self) -> usize;
    /// One of them; `index` is less than [`Table::count`].
    fn spec(&self, index: usize) -> Spec<'_>;
    /// How often it was given.
    fn given(&self, index: usize) -> u32;
    /// It is given, with a value of its kind, not more often than it may.
    fn set(&mut self, index: usize, value: Value<'_>);
}

/// A program without options of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOptions;

impl Table for NoOptions {
    fn count(&self) -> usize {
        0
    }

    fn spec(&self, _: usize) -> Spec<'_> {
        Spec {
            name: "",
            short: None,
            kind: Kind::Flag,
            value_name: "",
            help: "",
            positional: false,
            required: false,
            times: 1,
        }
    }

    fn given(&self, _: usize) -> u32 {
        0
    }

    fn set(&mut self, _: usize, _: Value<'_>) {}
}
