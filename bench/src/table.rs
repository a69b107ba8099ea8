//! Collects samples and prints medians and ratios as a Markdown table.

use crate::network::{STACKS, Stack};
use crate::work::{ALL, Work};
use mnet_bench::median;
use std::collections::BTreeMap;
use std::fmt::Write;

/// All samples, by work and stack.
#[derive(Default)]
pub(crate) struct Samples(BTreeMap<(&'static str, &'static str), Vec<f64>>);

impl Samples {
    pub(crate) fn add(&mut self, work: &Work, stack: &Stack, sample: f64) {
        self.0
            .entry((work.name, stack.name))
            .or_default()
            .push(sample);
    }

    /// One row per work and stack: median, range, ratio of the median to Linux's.
    pub(crate) fn markdown(&self) -> String {
        let mut out = String::from(
            "| work | stack | median | min - max | ratio to Linux | runs |\n|---|---|---:|---:|---:|---:|\n",
        );
        for work in ALL {
            let base = self.0.get(&(work.name, STACKS[0].name)).map(|v| median(v));
            for stack in STACKS {
                let Some(samples) = self.0.get(&(work.name, stack.name)) else {
                    continue;
                };
                let digits = if work.unit == "/s" { 0 } else { 2 };
                let (low, high) = samples
                    .iter()
                    .fold((f64::MAX, 0.0_f64), |(l, h), s| (l.min(*s), h.max(*s)));
                let ratio = base.map_or(String::new(), |b| format!("{:.2}", median(samples) / b));
                let _ = writeln!(
                    out,
                    "| {} ({}) | {} | {:.digits$} {} | {low:.digits$} - {high:.digits$} | {ratio} | {} |",
                    work.name,
                    work.what,
                    stack.name,
                    median(samples),
                    work.unit,
                    samples.len(),
                );
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_medians() {
        let mut samples = Samples::default();
        for (stack, values) in [(&STACKS[0], [1.0, 2.0, 9.0]), (&STACKS[1], [3.0, 4.0, 5.0])] {
            for value in values {
                samples.add(&ALL[0], stack, value);
            }
        }
        let table = samples.markdown();
        assert!(
            table.contains("| mnet | 4.00 Gbit/s | 3.00 - 5.00 | 2.00 | 3 |"),
            "{table}"
        );
    }
}
