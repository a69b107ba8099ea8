//! A table in Rust: options whose values go into variables.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::ops::RangeInclusive;
use core::time::Duration;

use super::table::{Spec, Table};
use crate::value::{Kind, Value};

/// Where a value goes.
enum Place<'a> {
    Flag(&'a mut bool),
    Number(&'a mut u64),
    Port(&'a mut u16),
    Text(&'a mut String),
    Address(&'a mut Option<IpAddr>),
    Endpoint(&'a mut Option<SocketAddr>),
    Duration(&'a mut Duration),
    Each(&'a mut dyn FnMut(Value<'_>)),
}

/// An option of a program. The variable that its value goes to has the default before.
///
/// ```
/// use mnet_cli::{self as cli, NetworkArgs, Opt, Outcome, Program};
///
/// let (mut port, mut verbose) = (7, false);
/// let mut options = [
///     Opt::port("port", &mut port, "the port to listen on; default 7"),
///     Opt::flag("verbose", &mut verbose, "tell of each client").short('v'),
/// ];
/// let program = Program { name: "echo", summary: "Says everything back.", devices: &["service"] };
/// let (mut network, mut said) = (NetworkArgs::default(), String::new());
/// let line = "--ipv4=10.0.0.2/24 --port=8 -v";
/// let outcome = cli::parse(line, &program, &mut options, Some(&mut network), &mut said);
/// assert_eq!((outcome, said.as_str()), (Outcome::Run, ""));
/// assert_eq!((port, verbose), (8, true));
/// ```
pub struct Opt<'a> {
    spec: Spec<'a>,
    place: Place<'a>,
    given: u32,
}

impl fmt::Debug for Opt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (spec, given) = (&self.spec, &self.given);
        f.debug_struct("Opt")
            .field("spec", spec)
            .field("given", given)
            .finish_non_exhaustive()
    }
}

impl<'a> Opt<'a> {
    fn new(name: &'a str, kind: Kind, place: Place<'a>, help: &'a str) -> Self {
        Self {
            spec: Spec {
                name,
                short: None,
                kind,
                value_name: "",
                help,
                positional: false,
                required: false,
                times: 1,
            },
            place,
            given: 0,
        }
    }

    /// There or not.
    pub fn flag(name: &'a str, place: &'a mut bool, help: &'a str) -> Self {
        Self::new(name, Kind::Flag, Place::Flag(place), help)
    }

    /// A whole number.
    pub fn number(
        name: &'a str,
        range: RangeInclusive<u64>,
        place: &'a mut u64,
        help: &'a str,
    ) -> Self {
        let (min, max) = range.into_inner();
        Self::new(name, Kind::Number { min, max }, Place::Number(place), help)
    }

    /// A port, 1 to 65535.
    pub fn port(name: &'a str, place: &'a mut u16, help: &'a str) -> Self {
        let kind = Kind::Number {
            min: 1,
            max: u16::MAX.into(),
        };
        Self::new(name, kind, Place::Port(place), help).value_name("PORT")
    }

    /// A text of at most 1,024 bytes.
    pub fn text(name: &'a str, place: &'a mut String, help: &'a str) -> Self {
        Self::new(
            name,
            Kind::Text { max_len: 1_024 },
            Place::Text(place),
            help,
        )
    }

    /// An address without a port.
    pub fn address(name: &'a str, place: &'a mut Option<IpAddr>, help: &'a str) -> Self {
        Self::new(name, Kind::Address, Place::Address(place), help)
    }

    /// An address and a port.
    pub fn endpoint(name: &'a str, place: &'a mut Option<SocketAddr>, help: &'a str) -> Self {
        Self::new(name, Kind::Endpoint, Place::Endpoint(place), help)
    }

    /// A time.
    pub fn duration(
        name: &'a str,
        range: RangeInclusive<Duration>,
        place: &'a mut Duration,
        help: &'a str,
    ) -> Self {
        let nanos = |time: &Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let kind = Kind::Duration {
            min: nanos(range.start()),
            max: nanos(range.end()),
        };
        Self::new(name, kind, Place::Duration(place), help)
    }

    /// A size in bytes.
    pub fn size(
        name: &'a str,
        range: RangeInclusive<u64>,
        place: &'a mut u64,
        help: &'a str,
    ) -> Self {
        let (min, max) = range.into_inner();
        Self::new(name, Kind::Size { min, max }, Place::Number(place), help)
    }

    /// Something that may be there several times: each value is handed over.
    pub fn each(
        name: &'a str,
        kind: Kind,
        times: u32,
        place: &'a mut dyn FnMut(Value<'_>),
        help: &'a str,
    ) -> Self {
        let mut option = Self::new(name, kind, Place::Each(place), help);
        option.spec.times = times.max(1);
        option
    }

    /// With a letter for short.
    #[must_use]
    pub fn short(mut self, letter: char) -> Self {
        self.spec.short = Some(letter);
        self
    }

    /// With another word for its value in the help.
    #[must_use]
    pub fn value_name(mut self, name: &'a str) -> Self {
        self.spec.value_name = name;
        self
    }

    /// It must be there.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.spec.required = true;
        self
    }

    /// A word that is no option, and what the help calls it.
    #[must_use]
    pub fn positional(mut self) -> Self {
        self.spec.positional = true;
        self
    }

    /// How often it was given.
    #[must_use]
    pub fn given(&self) -> u32 {
        self.given
    }
}

impl<'a> Table for [Opt<'a>] {
    fn count(&self) -> usize {
        self.len()
    }

    fn spec(&self, index: usize) -> Spec<'_> {
        self[index].spec
    }

    fn given(&self, index: usize) -> u32 {
        self[index].given
    }

    fn set(&mut self, index: usize, value: Value<'_>) {
        let option = &mut self[index];
        option.given += 1;
        match (&mut option.place, value) {
            (Place::Flag(place), Value::Flag) => **place = true,
            (Place::Number(place), Value::Number(number) | Value::Size(number)) => **place = number,
            (Place::Port(place), Value::Number(number)) => {
                **place = u16::try_from(number).unwrap_or(u16::MAX);
            }
            (Place::Text(place), Value::Text(text)) => text.clone_into(place),
            (Place::Address(place), Value::Address(address)) => **place = Some(address.ip()),
            (Place::Endpoint(place), Value::Endpoint(address)) => **place = Some(address),
            (Place::Duration(place), Value::Duration(nanos)) => {
                **place = Duration::from_nanos(nanos);
            }
            (Place::Each(place), value) => place(value),
            // The constructors join each kind with its place.
            _ => {}
        }
    }
}

impl<'a, const N: usize> Table for [Opt<'a>; N] {
    fn count(&self) -> usize {
        N
    }

    fn spec(&self, index: usize) -> Spec<'_> {
        self.as_slice().spec(index)
    }

    fn given(&self, index: usize) -> u32 {
        self.as_slice().given(index)
    }

    fn set(&mut self, index: usize, value: Value<'_>) {
        self.as_mut_slice().set(index, value);
    }
}
