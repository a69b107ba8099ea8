//! The command line of a unikernel.
//!
//! A line comes as one text, as Solo5 hands it over. A program says which options it has of its own
//! ([`Opt`]); those of the network, and `--help`, every program has ([`NetworkArgs`]). From the same
//! tables the line is read, errors are explained and the help is made.
//!
//! - `words`: words and quotation marks; `value`: what values may be; `table`, `options`: the options
//!   of a program; `network`: those of the network; `help`: the text.
//!
//! Nothing here allocates but for the texts of [`Opt::text`], so that it can be called before a stack
//! has its memory. That is why there is no crate behind it: those for `no_std` want the words to lie
//! in memory one beside the other, which words with quotation marks do not.
//!
//! Programs use it as `mnet::cli`. It is a package of its own so that images have it in few bytes: it
//! runs once.
#![no_std]

extern crate alloc;

pub mod address;
#[cfg(feature = "solo5")]
mod console;
mod help;
mod network;
mod options;
mod table;
mod value;
mod words;

#[cfg(feature = "solo5")]
pub use console::ConsoleLines;
pub use network::{
    Hostname, InterfaceArgs, Ipv4Args, Ipv6Args, LogFilter, MAX_DEVICES, MAX_NAMESERVERS,
    NetworkArgs,
};
pub use options::Opt;
pub use table::{NoOptions, Spec, Table};
pub use value::{Kind, Value};

use core::fmt::Write;

use network::{Builtin, Known, Offered, Taken};
use words::{Word, WordError, Words};

/// What the help says of a program.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its name, in front of every message.
    pub name: &'a str,
    /// What it does, in one line; may be empty.
    pub summary: &'a str,
    /// The names of its network devices, as its manifest has them: at most [`MAX_DEVICES`]. Options
    /// of the network are about the first, or about the one that they name: `--ipv4:NAME=...`.
    pub devices: &'a [&'a str],
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Begin: all options have their values.
    Run,
    /// End with success: the line asked for the help, and that was written.
    Help,
    /// End with failure: the reason and the usage were written.
    Refused,
}

/// Reads a line.
///
/// Options of the program go into `table`, those of the network into `network`; without that, there
/// are none. What there is to be said, the help or one error, is written to `out`; whether it can be
/// written does not matter.
///
/// Words may be quoted with `'`, `"` and `\`, as in a shell. After the word `--` there are no further
/// options.
pub fn parse(
    line: &str,
    program: &Program<'_>,
    table: &mut dyn Table,
    network: Option<&mut NetworkArgs>,
    out: &mut dyn Write,
) -> Outcome {
    let offered = Offered::by(network.as_deref());
    let mut reader = Reader {
        program,
        table,
        network,
        positional: 0,
        help: false,
        out,
    };
    if let Some(network) = &mut reader.network {
        network.reset();
        for _ in program.devices.iter().take(MAX_DEVICES) {
            let _ = network.interfaces.push(InterfaceArgs::default());
        }
    }
    let read = reader.check().and_then(|()| reader.line(line));
    let Reader {
        table, out, help, ..
    } = reader;
    // What cannot be written is lost.
    if help {
        let _ = help::help(out, program, table, offered);
        return Outcome::Help;
    }
    match read {
        Ok(()) => Outcome::Run,
        Err(Refused) => {
            let _ = help::usage(out, program, table, offered);
            Outcome::Refused
        }
    }
}

/// An error, which was written.
struct Refused;

struct Reader<'a> {
    program: &'a Program<'a>,
    table: &'a mut dyn Table,
    network: Option<&'a mut NetworkArgs>,
    /// Which positional word comes next.
    positional: usize,
    help: bool,
    out: &'a mut dyn Write,
}

/// An option that a word names.
#[derive(Clone, Copy)]
enum Named {
    Program(usize),
    Network(&'static Known, usize),
}

impl Reader<'_> {
    /// Two options must not have one name.
    fn check(&mut self) -> Result<(), Refused> {
        for index in 0..self.table.count() {
            let spec = self.table.spec(index);
            let (name, short) = (spec.name, spec.short);
            if spec.positional {
                continue;
            }
            let mut before = (0..index).map(|index| self.table.spec(index));
            let twice = before.any(|other| {
                !other.positional
                    && (other.name == name || (short.is_some() && other.short == short))
            });
            let taken = self
                .known()
                .any(|known| known.name == name || (short.is_some() && known.short == short));
            if twice || taken || name.is_empty() {
                let name = cut(name);
                return self
                    .refuse(&["a mistake of the program: two options are called --", &name]);
            }
        }
        Ok(())
    }

    /// The options that are not the program's.
    fn known(&self) -> impl Iterator<Item = &'static Known> + use<> {
        Offered::by(self.network.as_deref()).options()
    }

    fn line(&mut self, line: &str) -> Result<(), Refused> {
        let mut words = Words::new(line);
        let mut options_end = false;
        while let Some(word) = words.next() {
            let word = self.word(word)?;
            let option = word.strip_prefix('-').filter(|rest| !rest.is_empty());
            match option {
                Some("-") if !options_end => options_end = true,
                Some(option) if !options_end => self.option(option, &word, &mut words)?,
                _ => self.positional(&word)?,
            }
            if self.help {
                return Ok(());
            }
        }
        self.all_there()
    }

    fn word(&mut self, word: Result<Word, WordError>) -> Result<Word, Refused> {
        match word {
            Ok(word) => Ok(word),
            Err(WordError::Unclosed('\'')) => self.refuse(&["a quotation mark (') is not closed"]),
            Err(WordError::Unclosed(_)) => self.refuse(&["a quotation mark (\") is not closed"]),
            Err(WordError::Backslash) => self.refuse(&["there is nothing after the last \\"]),
            Err(WordError::TooLong) => self.refuse(&["a word is longer than 1024 bytes"]),
        }
    }

    /// An option; `option` is the word without its first hyphen.
    fn option(&mut self, option: &str, word: &str, words: &mut Words<'_>) -> Result<(), Refused> {
        let (named, given) = match option.strip_prefix('-') {
            Some(long) => {
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value)),
                    None => (long, None),
                };
                (self.find_long(name)?, value)
            }
            None => {
                let mut characters = option.chars();
                let letter = characters.next();
                let rest = characters.as_str();
                let value = rest.strip_prefix('=').unwrap_or(rest);
                let value = (!rest.is_empty()).then_some(value);
                (self.find_short(letter, word)?, value)
            }
        };
        if !self.wants_value(named) {
            if given.is_some() {
                return self.complain(named, "takes no value");
            }
            return self.take(named, "");
        }
        match given {
            Some(value) => self.take(named, value),
            None => match words.peek() {
                None | Some('-') => {
                    self.begin(named);
                    self.write("needs a value: ");
                    self.expected(named);
                    self.end()
                }
                Some(_) => {
                    let next = words.next().unwrap_or(Ok(Word::new()));
                    let value = self.word(next)?;
                    self.take(named, &value)
                }
            },
        }
    }

    fn find_long(&mut self, name: &str) -> Result<Named, Refused> {
        for index in 0..self.table.count() {
            let spec = self.table.spec(index);
            if !spec.positional && spec.name == name {
                return Ok(Named::Program(index));
            }
        }
        let (plain, device) = match name.split_once(':') {
            Some((plain, device)) => (plain, Some(device)),
            None => (name, None),
        };
        let Some(known) = self.known().find(|known| known.name == plain) else {
            return self.unknown(name);
        };
        let Some(device) = device else {
            return Ok(Named::Network(known, 0));
        };
        if !known.for_device {
            return self.refuse(&["--", known.name, " is not about one device"]);
        }
        let devices = self.program.devices.iter().take(MAX_DEVICES);
        match devices.into_iter().position(|name| *name == device) {
            Some(place) => Ok(Named::Network(known, place)),
            None => {
                let device = cut(device);
                self.start();
                self.write("there is no network device ");
                self.write(&device);
                self.write("; there is");
                let program = self.program;
                for name in program.devices {
                    self.write(" ");
                    self.write(name);
                }
                self.end()
            }
        }
    }

    fn find_short(&mut self, letter: Option<char>, word: &str) -> Result<Named, Refused> {
        for index in 0..self.table.count() {
            let spec = self.table.spec(index);
            if !spec.positional && spec.short.is_some() && spec.short == letter {
                return Ok(Named::Program(index));
            }
        }
        match self
            .known()
            .find(|k| k.short.is_some() && k.short == letter)
        {
            Some(known) => Ok(Named::Network(known, 0)),
            None => {
                let word = cut(word);
                self.refuse(&["unknown option ", &word])
            }
        }
    }

    fn unknown(&mut self, name: &str) -> Result<Named, Refused> {
        let own = (0..self.table.count()).map(|index| self.table.spec(index));
        let own = own.filter(|spec| !spec.positional).map(|spec| spec.name);
        let names = own.chain(self.known().map(|known| known.name));
        let nearest = names
            .map(|known| (distance(name, known), known))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, known)| *distance <= 2 && *distance < known.len());
        let nearest = nearest.map(|(_, name)| cut(name));
        let name = cut(name);
        match nearest {
            Some(near) => {
                self.refuse(&["unknown option --", &name, "; did you mean --", &near, "?"])
            }
            None => self.refuse(&["unknown option --", &name]),
        }
    }

    fn wants_value(&self, named: Named) -> bool {
        match named {
            Named::Program(index) => self.table.spec(index).kind != Kind::Flag,
            Named::Network(known, _) => !known.value_name.is_empty(),
        }
    }

    fn take(&mut self, named: Named, text: &str) -> Result<(), Refused> {
        let index = match named {
            Named::Program(index) => index,
            Named::Network(known, device) => {
                if known.builtin == Builtin::Help {
                    self.help = true;
                    return Ok(());
                }
                let network = self.network.as_deref_mut();
                let taken = network.map(|args| args.take(known.builtin, device, text));
                return match taken {
                    Some(Taken::Yes) => Ok(()),
                    Some(Taken::Again) => self.again(named),
                    Some(Taken::Bad) | None => self.bad(named, text),
                };
            }
        };
        let spec = self.table.spec(index);
        let value = match spec.kind {
            Kind::Flag => Some(Value::Flag),
            kind => kind.parse(text),
        };
        if self.table.given(index) >= spec.times {
            return self.again(named);
        }
        match value {
            Some(value) => {
                self.table.set(index, value);
                Ok(())
            }
            None => self.bad(named, text),
        }
    }

    fn positional(&mut self, word: &str) -> Result<(), Refused> {
        while self.positional < self.table.count() {
            let spec = self.table.spec(self.positional);
            if spec.positional && self.table.given(self.positional) < spec.times {
                return self.take(Named::Program(self.positional), word);
            }
            self.positional += 1;
        }
        let word = cut(word);
        self.refuse(&["unexpected word ", &word])
    }

    /// Whether nothing is missing.
    fn all_there(&mut self) -> Result<(), Refused> {
        for index in 0..self.table.count() {
            if self.table.spec(index).required && self.table.given(index) == 0 {
                return self.complain(Named::Program(index), "is missing");
            }
        }
        let is_dhcp = |args: &InterfaceArgs| args.ipv4 == Some(Ipv4Args::Dhcp);
        let useless = self.network.as_deref().is_some_and(|network| {
            !network.dhcp_hostname.is_empty() && !network.interfaces.iter().any(is_dhcp)
        });
        if useless {
            return self.refuse(&["--dhcp-hostname is of no use without --ipv4=dhcp"]);
        }
        let network = self.network.as_deref().into_iter();
        let interfaces = network.flat_map(|network| network.interfaces.iter().enumerate());
        let missing = interfaces.flat_map(|(device, args)| {
            let silent = device == 0 && args.ipv4.is_none() && args.ipv6.is_none();
            let no_ipv4 = args.ipv4_gateway.is_some() && args.ipv4.is_none();
            let no_ipv6 = args.ipv6_gateway.is_some() && args.ipv6.is_none();
            let neither = silent && !no_ipv4 && !no_ipv6;
            let missing = [
                (no_ipv4, Builtin::Ipv4, "is missing"),
                (no_ipv6, Builtin::Ipv6, "is missing"),
                (neither, Builtin::Ipv4, "or --ipv6 is missing"),
            ];
            let missing = missing.into_iter().filter(|(missing, ..)| *missing);
            missing.map(move |(_, builtin, what)| (builtin, what, device))
        });
        let first = missing.into_iter().next();
        for known in self.known() {
            if let Some((builtin, what, device)) = first
                && known.builtin == builtin
            {
                return self.complain(Named::Network(known, device), what);
            }
        }
        Ok(())
    }

    fn bad<T>(&mut self, named: Named, text: &str) -> Result<T, Refused> {
        self.begin(named);
        self.write("expected ");
        self.expected(named);
        self.write(", not ");
        let text = cut(text);
        self.write(if text.is_empty() { "nothing" } else { &text });
        self.end()
    }

    fn again<T>(&mut self, named: Named) -> Result<T, Refused> {
        self.complain(named, "was given too often")
    }

    fn complain<T>(&mut self, named: Named, what: &str) -> Result<T, Refused> {
        self.begin(named);
        self.write(what);
        self.end()
    }

    fn refuse<T>(&mut self, pieces: &[&str]) -> Result<T, Refused> {
        self.start();
        for piece in pieces {
            self.write(piece);
        }
        self.end()
    }

    fn start(&mut self) {
        let name = self.program.name;
        self.write(name);
        self.write(": ");
    }

    /// The beginning of a message about an option.
    fn begin(&mut self, named: Named) {
        self.start();
        match named {
            Named::Program(index) => {
                let spec = self.table.spec(index);
                let hyphens = if spec.positional { "" } else { "--" };
                let _ = self.out.write_str(hyphens);
                let _ = self.out.write_str(spec.name);
            }
            Named::Network(known, device) => {
                self.write("--");
                self.write(known.name);
                if device > 0
                    && let Some(name) = self.program.devices.get(device)
                {
                    self.write(":");
                    self.write(name);
                }
            }
        }
        self.write(" ");
    }

    fn expected(&mut self, named: Named) {
        let _ = match named {
            Named::Program(index) => self.table.spec(index).kind.describe(self.out),
            Named::Network(known, _) => self.out.write_str(known.expected),
        };
    }

    fn write(&mut self, text: &str) {
        // What cannot be written is lost.
        let _ = self.out.write_str(text);
    }

    fn end<T>(&mut self) -> Result<T, Refused> {
        self.write("\n");
        Err(Refused)
    }
}

/// What is shown of a word: its beginning, without control characters.
fn cut(text: &str) -> heapless::String<80> {
    let mut shown = heapless::String::new();
    for character in text.chars() {
        let character = if character.is_control() {
            '?'
        } else {
            character
        };
        if shown.len() + character.len_utf8() > 64 {
            let _ = shown.push_str("...");
            break;
        }
        let _ = shown.push(character);
    }
    shown
}

/// Longest name that is compared.
const NAME_LEN: usize = 32;

/// How many letters have to be changed, added or taken away to make one name of another (Levenshtein
/// distance); much for long ones.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() > NAME_LEN || b.len() > NAME_LEN {
        return usize::MAX;
    }
    let mut row = [0; NAME_LEN + 1];
    for (place, cost) in row.iter_mut().enumerate() {
        *cost = place;
    }
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests;
