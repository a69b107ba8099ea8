//! A command line as words.

/// A word, its quotes taken off. None is longer.
pub(super) type Word = heapless::String<1024>;

/// Why a line has no further word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WordError {
    /// A quotation mark has no partner.
    Unclosed(char),
    /// There is nothing after the last backslash.
    Backslash,
    /// A word is longer than a [`Word`] can be.
    TooLong,
}

/// The words of a line. Spaces, tabs and newlines separate them, except within quotation marks:
/// between `'` and `'` everything stands for itself; between `"` and `"` a backslash takes the meaning
/// off a quotation mark or a backslash that follows; elsewhere off whatever follows.
#[derive(Debug)]
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }

    /// The next word; `None` at the end of the line.
    pub(super) fn next(&mut self) -> Option<Result<Word, WordError>> {
        self.rest = self.rest.trim_start_matches(is_space);
        if self.rest.is_empty() {
            return None;
        }
        Some(self.word())
    }

    /// The first character of what follows; a word that begins with it may be quoted.
    pub(super) fn peek(&self) -> Option<char> {
        self.rest.trim_start_matches(is_space).chars().next()
    }

    fn word(&mut self) -> Result<Word, WordError> {
        let mut word = Word::new();
        let mut quote = None;
        let mut characters = self.rest.chars();
        while let Some(character) = characters.next() {
            let taken = match (character, quote) {
                ('\'' | '"', None) => {
                    quote = Some(character);
                    continue;
                }
                (_, Some(mark)) if mark == character => {
                    quote = None;
                    continue;
                }
                ('\\', None) => characters.next().ok_or(WordError::Backslash)?,
                ('\\', Some('"')) => {
                    let mut ahead = characters.clone();
                    match ahead.next() {
                        Some(next @ ('"' | '\\')) => {
                            characters = ahead;
                            next
                        }
                        _ => character,
                    }
                }
                (_, None) if is_space(character) => break,
                _ => character,
            };
            word.push(taken).map_err(|_| WordError::TooLong)?;
        }
        self.rest = characters.as_str();
        match quote {
            None => Ok(word),
            Some(mark) => Err(WordError::Unclosed(mark)),
        }
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn words(line: &str) -> Result<Vec<String>, WordError> {
        let mut words = Words::new(line);
        let mut all = Vec::new();
        while let Some(word) = words.next() {
            all.push(word?.to_string());
        }
        Ok(all)
    }

    #[test]
    fn quotes_keep_words_together() {
        for (line, expected) in [
            ("", &[][..]),
            (" \t\n ", &[]),
            ("a bc", &["a", "bc"]),
            ("  a   b  ", &["a", "b"]),
            ("'a b' c", &["a b", "c"]),
            ("a'b c'd", &["ab cd"]),
            ("--x=\"a b\"", &["--x=a b"]),
            (r#""a\"b" "a\\b" "a\nb""#, &["a\"b", r"a\b", r"a\nb"]),
            (r"a\ b \' \\", &["a b", "'", r"\"]),
            (r"'a\b'", &[r"a\b"]),
            ("'' \"\"", &["", ""]),
            ("'\"' \"'\"", &["\"", "'"]),
            (
                "\u{e4}\u{20ac} '\u{1f600}'",
                &["\u{e4}\u{20ac}", "\u{1f600}"],
            ),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line:?}");
        }
    }

    #[test]
    fn what_does_not_end_is_refused() {
        for (line, error) in [
            ("'a", WordError::Unclosed('\'')),
            ("a \"b", WordError::Unclosed('"')),
            ("\"a\\\"", WordError::Unclosed('"')),
            ("a\\", WordError::Backslash),
            (&"x".repeat(1_025), WordError::TooLong),
        ] {
            assert_eq!(words(line), Err(error), "{line:?}");
        }
        assert!(words(&"x".repeat(1_024)).is_ok());
    }
}
