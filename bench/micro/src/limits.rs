//! The committed limits.

use crate::Result;
use mnet_bench_micro::Operation;

/// `bench/micro/limits`: a name and a number on each line, `#` starts a comment.
const LIMITS: &str = include_str!("../limits");

/// Every operation with its limit.
pub(crate) fn all() -> Result<Vec<(Operation, u64)>> {
    Operation::ALL
        .into_iter()
        .map(|operation| {
            let number = LIMITS
                .lines()
                .filter_map(|line| line.split('#').next()?.split_once(char::is_whitespace))
                .find(|(name, _)| *name == operation.name())
                .and_then(|(_, number)| number.trim().parse().ok());
            let missing = || format!("bench/micro/limits has no limit for {}", operation.name());
            Ok((operation, number.ok_or_else(missing)?))
        })
        .collect()
}
