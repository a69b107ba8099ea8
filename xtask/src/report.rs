//! What came out of a suite, and the line that says so.

use std::fmt;
use std::time::Duration;

/// The result of a suite, in tests. A suite that is one check counts as one test.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// What to show besides: reasons for skipping, or everything that a failed suite printed.
    pub(crate) notes: String,
}

impl Outcome {
    /// A check that found nothing wrong.
    pub(crate) fn pass() -> Self {
        Self {
            passed: 1,
            ..Self::default()
        }
    }

    /// A check that did, and what.
    pub(crate) fn fail(notes: String) -> Self {
        Self {
            failed: 1,
            notes,
            ..Self::default()
        }
    }

    /// A check that could not be made, and why.
    pub(crate) fn skip(reason: &str) -> Self {
        Self {
            skipped: 1,
            notes: format!("skipped: {reason}\n"),
            ..Self::default()
        }
    }

    /// Reads what `cargo test` printed.
    ///
    /// Without tests in it, a suite that `succeeded` is one passed check.
    pub(crate) fn of_tests(text: &str, succeeded: bool) -> Self {
        let mut outcome = Self::default();
        for line in text.lines() {
            if let Some(counts) = line.strip_prefix("test result: ") {
                outcome.passed += count(counts, "passed");
                outcome.failed += count(counts, "failed");
                outcome.skipped += count(counts, "ignored");
            } else if line.starts_with("test ") && line.contains(" ... ignored") {
                outcome.notes.push_str(line);
                outcome.notes.push('\n');
            }
        }
        if !succeeded {
            outcome.failed = outcome.failed.max(1);
            outcome.notes = text
                .lines()
                .filter(|line| !is_progress(line))
                .map(|line| format!("{line}\n"))
                .collect();
        } else if outcome == Self::default() {
            outcome.passed = 1;
        }
        outcome
    }

    /// Adds the counts of another suite.
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Whether a line of output says only that something went well.
fn is_progress(line: &str) -> bool {
    (line.starts_with("test ") && line.ends_with(" ... ok"))
        || line.starts_with("   Compiling ")
        || line.is_empty()
}

/// The number before `word` in `3 passed; 0 failed; ...`.
fn count(counts: &str, word: &str) -> u64 {
    let words: Vec<&str> = counts
        .split([' ', ';', '.'])
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(2)
        .find(|pair| pair[1] == word)
        .and_then(|pair| pair[0].parse().ok())
        .unwrap_or(0)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
            notes: _,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

/// The line of one suite.
pub(crate) fn line(outcome: &Outcome, elapsed: Duration) -> String {
    let word = match outcome {
        Outcome { failed: 1.., .. } => "FAILED",
        Outcome { passed: 0, .. } => "skipped",
        Outcome { .. } => "ok",
    };
    let counts = outcome.to_string();
    format!("{word:8}{counts:42}{:7.1} s", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "running 2 tests\n\
        test a ... ok\n\
        test b ... ignored, no /dev/kvm\n\
        test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n\
        test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn sums_the_results_of_all_test_programs() {
        let outcome = Outcome::of_tests(TEXT, true);
        assert_eq!(outcome.to_string(), "4 passed, 2 failed, 1 skipped");
        assert_eq!(outcome.notes, "test b ... ignored, no /dev/kvm\n");
    }

    #[test]
    fn a_suite_that_fails_without_a_failed_test_has_failed() {
        let text = "   Compiling it\ntest a ... ok\n\nerror: it does not compile";
        let outcome = Outcome::of_tests(text, false);
        assert_eq!((outcome.passed, outcome.failed), (0, 1));
        assert_eq!(outcome.notes, "error: it does not compile\n");
    }

    #[test]
    fn a_check_without_tests_is_one_test() {
        assert_eq!(Outcome::of_tests("", true), Outcome::pass());
    }
}
