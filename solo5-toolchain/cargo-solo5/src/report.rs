//! What the result of tests looks like: as libtest prints it, so that tools which read that read
//! this.

use std::fmt::Write as _;
use std::time::Duration;

/// How one test went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// What it printed, and why it failed if that does not show.
    Failed(String),
    /// Why, possibly empty.
    Ignored(String),
}

/// The results of one program of tests.
#[derive(Debug, Default)]
pub(crate) struct Report {
    passed: usize,
    ignored: usize,
    /// Names and outputs.
    failed: Vec<(String, String)>,
}

/// The line in front of the tests.
pub(crate) fn heading(count: usize) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("\nrunning {count} test{plural}")
}

/// What `--list` prints of tests with these names.
pub(crate) fn listing<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    let mut count = 0;
    for name in names {
        count += 1;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name}: test");
    }
    let plural = if count == 1 { "" } else { "s" };
    format!("{text}\n{count} test{plural}, 0 benchmarks")
}

impl Report {
    /// Takes a result down; the end of the test's line.
    pub(crate) fn add(&mut self, name: &str, outcome: Outcome) -> String {
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                "ok".to_owned()
            }
            Outcome::Failed(output) => {
                self.failed.push((name.to_owned(), output));
                "FAILED".to_owned()
            }
            Outcome::Ignored(reason) => {
                self.ignored += 1;
                let comma = if reason.is_empty() { "" } else { ", " };
                format!("ignored{comma}{reason}")
            }
        }
    }

    /// Whether no test has failed.
    pub(crate) fn is_good(&self) -> bool {
        self.failed.is_empty()
    }

    /// What comes after the tests.
    pub(crate) fn summary(&self, filtered_out: usize, time: Duration) -> String {
        let mut text = String::new();
        if !self.is_good() {
            text += "\nfailures:\n";
            for (name, output) in &self.failed {
                let end = if output.ends_with('\n') { "" } else { "\n" };
                let _ = write!(text, "\n---- {name} stdout ----\n{output}{end}");
            }
            text += "\n\nfailures:\n";
            let mut names: Vec<&str> = self.failed.iter().map(|(name, _)| name.as_str()).collect();
            names.sort_unstable();
            for name in names {
                let _ = writeln!(text, "    {name}");
            }
        }
        let verdict = if self.is_good() { "ok" } else { "FAILED" };
        let (passed, failed, ignored) = (self.passed, self.failed.len(), self.ignored);
        let seconds = time.as_secs_f64();
        let _ = write!(
            text,
            "\ntest result: {verdict}. {passed} passed; {failed} failed; {ignored} ignored; \
             0 measured; {filtered_out} filtered out; finished in {seconds:.2}s\n"
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_looks_like_that_of_libtest() {
        let mut report = Report::default();
        assert_eq!(heading(1), "\nrunning 1 test");
        assert_eq!(report.add("a", Outcome::Passed), "ok");
        let ignored = Outcome::Ignored("slow".to_owned());
        assert_eq!(report.add("b", ignored), "ignored, slow");
        assert_eq!(report.add("c", Outcome::Ignored(String::new())), "ignored");
        let time = Duration::from_millis(12);
        assert_eq!(
            report.summary(3, time),
            "\ntest result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out; \
             finished in 0.01s\n"
        );
        let failed = Outcome::Failed("panicked at x:1:1:\nno".to_owned());
        assert_eq!(report.add("d", failed), "FAILED");
        assert_eq!(
            report.summary(0, time),
            "\nfailures:\n\n---- d stdout ----\npanicked at x:1:1:\nno\n\n\nfailures:\n    d\n\n\
             test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; \
             finished in 0.01s\n"
        );
    }

    #[test]
    fn a_listing_ends_with_the_number() {
        let names = ["a", "b::c"];
        assert_eq!(
            listing(names.into_iter()),
            "a: test\nb::c: test\n\n2 tests, 0 benchmarks"
        );
    }
}
