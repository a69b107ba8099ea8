//! Which events somebody wants to hear of.

use super::{Level, Module};
use core::fmt;

/// The least important level of each part of the stack that is told.
///
/// Written as `tcp=debug,*=warn`: names of parts ([`Module`]) with a level each, in any order; `*` is
/// all that are not named. A level alone stands for `*`, and a name alone for its `debug`. `off` is no
/// level. What is neither named nor covered by `*` stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    levels: [Option<Level>; Module::ALL.len()],
}

/// The text is not a filter; the filter is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFilter;

impl fmt::Display for BadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a list such as tcp=debug,*=warn")
    }
}

impl core::error::Error for BadFilter {}

impl Default for Filter {
    /// Warnings and errors.
    fn default() -> Self {
        Self::all(Some(Level::Warn))
    }
}

impl Filter {
    /// The same level for all; `None`: nothing.
    #[must_use]
    pub const fn all(level: Option<Level>) -> Self {
        Self {
            levels: [level; Module::ALL.len()],
        }
    }

    /// The filter that a text describes; what it does not say is as in `self`.
    ///
    /// # Errors
    /// [`BadFilter`]: a name or a level that there is not.
    pub fn changed(mut self, text: &str) -> Result<Self, BadFilter> {
        // What is named is named: `*` is about the others, wherever it stands.
        for named in [false, true] {
            for part in text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
            {
                let (name, level) = match part.split_once('=') {
                    Some((name, level)) => (name.trim(), Level::named(level.trim())?),
                    None => {
                        Level::named(part).map_or((part, Some(Level::Debug)), |level| ("*", level))
                    }
                };
                let module = Module::ALL.iter().position(|module| module.name() == name);
                match module {
                    Some(module) if named => self.levels[module] = level,
                    None if name != "*" => return Err(BadFilter),
                    None if !named => self.levels = Self::all(level).levels,
                    _ => {}
                }
            }
        }
        Ok(self)
    }

    /// Sets the level of one part.
    pub fn set(&mut self, module: Module, level: Option<Level>) {
        self.levels[module as usize] = level;
    }

    /// The level of one part.
    #[must_use]
    pub fn level(&self, module: Module) -> Option<Level> {
        self.levels[module as usize]
    }

    /// Whether an event passes.
    #[must_use]
    pub fn lets_through(&self, module: Module, level: Level) -> bool {
        self.levels[module as usize].is_some_and(|least| level <= least)
    }
}

impl Level {
    /// The level with a name, as filters have them; `None`: `off` or `quiet`.
    ///
    /// # Errors
    /// [`BadFilter`]: not a level.
    pub fn named(text: &str) -> Result<Option<Self>, BadFilter> {
        if matches!(text, "off" | "quiet") {
            return Ok(None);
        }
        let text = if text == "warning" { "warn" } else { text };
        let found = Self::ALL.into_iter().find(|level| level.name() == text);
        found.map(Some).ok_or(BadFilter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> Filter {
        Filter::default().changed(text).unwrap()
    }

    #[test]
    fn what_is_named_does_not_depend_on_the_order() {
        for text in ["tcp=debug,*=error", " *=error , tcp=debug", "error,tcp"] {
            let filter = filter(text);
            assert_eq!(filter.level(Module::Tcp), Some(Level::Debug), "{text}");
            assert_eq!(filter.level(Module::Ip), Some(Level::Error), "{text}");
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let filter = filter("dhcp=info,udp=off");
        assert_eq!(filter.level(Module::Dhcp), Some(Level::Info));
        assert_eq!(filter.level(Module::Udp), None);
        assert_eq!(filter.level(Module::Tcp), Some(Level::Warn));
        assert!(filter.lets_through(Module::Dhcp, Level::Error));
        assert!(!filter.lets_through(Module::Dhcp, Level::Debug));
        assert!(!filter.lets_through(Module::Udp, Level::Error));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "tcp=loud",
            "quic=debug",
            "loud",
            "=debug",
            "tcp=",
            "tcp=debug=info",
        ] {
            assert_eq!(Filter::default().changed(text), Err(BadFilter), "{text}");
        }
        assert_eq!(filter(""), Filter::default());
    }

    #[test]
    fn modules_are_in_the_order_of_their_numbers() {
        for (index, module) in Module::ALL.into_iter().enumerate() {
            assert_eq!(module as usize, index);
        }
    }
}
