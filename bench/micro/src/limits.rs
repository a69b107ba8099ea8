//! The committed limits.

use crate::Result;
use mnet_bench_micro::Work;

/// `bench/micro/limits`: a name and a number on each line, `#` starts a comment.
const LIMITS: &str = include_str!("../limits");

/// All work with its limits.
pub(crate) fn all() -> Result<Vec<(Work, u64)>> {
    Work::all()
        .map(|work| {
            let number = LIMITS
                .lines()
                .filter_map(|line| line.split('#').next()?.split_once(char::is_whitespace))
                .find(|(name, _)| *name == work.name())
                .and_then(|(_, number)| number.trim().parse().ok());
            let missing = || format!("bench/micro/limits has no limit for {}", work.name());
            Ok((work, number.ok_or_else(missing)?))
        })
        .collect()
}
