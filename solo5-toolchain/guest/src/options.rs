//! The options that the bindings take from the front of the command line (solo5-abi section 15.2).

/// How much the bindings say. A message is shown when its level is not above the one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Only what ends the unikernel.
    Error = 0,
    /// What is probably not meant.
    Warn = 1,
    /// Start and end, and the memory map. The default.
    Info = 2,
    /// Everything.
    Debug = 3,
}

/// What starts every option of ours.
const PREFIX: &[u8] = b"--solo5:";

/// The options, without [`PREFIX`].
const OPTIONS: [(&[u8], Level); 5] = [
    (b"quiet", Level::Error),
    (b"error", Level::Error),
    (b"warn", Level::Warn),
    (b"info", Level::Info),
    (b"debug", Level::Debug),
];

/// What a command line says to the bindings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The last level that was given, or [`Level::Info`].
    pub level: Level,
    /// Offset at which the application's command line starts.
    pub rest: usize,
}

/// Takes our options from the front of `cmdline`.
///
/// White space before, between and after them is skipped; the first other word ends them. What
/// follows is the application's, unchanged. An option counts only as a whole word: `--solo5:quietx`
/// is the application's.
#[must_use]
pub fn parse(cmdline: &[u8]) -> Options {
    let mut level = Level::Info;
    let mut text = skip_white_space(cmdline);
    while let Some((option, after)) = option(text) {
        level = option;
        text = skip_white_space(after);
    }
    Options {
        level,
        rest: cmdline.len() - text.len(),
    }
}

/// The option that `text` starts with, and what follows it.
fn option(text: &[u8]) -> Option<(Level, &[u8])> {
    let word = text.strip_prefix(PREFIX)?;
    OPTIONS.into_iter().find_map(|(name, level)| {
        let after = word.strip_prefix(name)?;
        let ends = after.first().is_none_or(|&byte| is_white_space(byte));
        ends.then_some((level, after))
    })
}

fn skip_white_space(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|&byte| !is_white_space(byte));
    &text[start.unwrap_or(text.len())..]
}

/// C's `isspace`.
const fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The level and the application's command line.
    fn parsed(cmdline: &str) -> (Level, &str) {
        let options = parse(cmdline.as_bytes());
        (options.level, &cmdline[options.rest..])
    }

    #[test]
    fn without_options_only_leading_white_space_goes() {
        assert_eq!(parsed(""), (Level::Info, ""));
        assert_eq!(parsed("Hello_Solo5"), (Level::Info, "Hello_Solo5"));
        assert_eq!(parsed(" \t\n\x0b\x0c\r a  b  "), (Level::Info, "a  b  "));
        assert_eq!(parsed("   "), (Level::Info, ""));
    }

    #[test]
    fn every_option_sets_its_level_and_disappears() {
        assert_eq!(parsed("--solo5:quiet"), (Level::Error, ""));
        assert_eq!(parsed("--solo5:error x"), (Level::Error, "x"));
        assert_eq!(parsed("--solo5:warn  x "), (Level::Warn, "x "));
        assert_eq!(parsed("--solo5:info\tx"), (Level::Info, "x"));
        assert_eq!(parsed(" --solo5:debug x y"), (Level::Debug, "x y"));
    }

    #[test]
    fn the_last_of_several_options_wins() {
        let cmdline = "--solo5:quiet --solo5:debug --solo5:warn go";
        assert_eq!(parsed(cmdline), (Level::Warn, "go"));
    }

    #[test]
    fn options_behind_the_applications_first_word_are_the_applications() {
        let cmdline = "go --solo5:quiet";
        assert_eq!(parsed(cmdline), (Level::Info, cmdline));
        let cmdline = "--solo5:warn go --solo5:quiet";
        assert_eq!(parsed(cmdline), (Level::Warn, "go --solo5:quiet"));
    }

    #[test]
    fn only_whole_known_words_are_options() {
        for cmdline in [
            "--solo5:quietx",
            "--solo5:",
            "--solo5:verbose",
            "--solo5:quiet=1",
            "--solo5",
            "-solo5:quiet",
        ] {
            assert_eq!(parsed(cmdline), (Level::Info, cmdline));
        }
        let cmdline = "--solo5:quiet --solo5:quietx";
        assert_eq!(parsed(cmdline), (Level::Error, "--solo5:quietx"));
    }
}
