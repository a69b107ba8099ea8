//! System call filters under construction.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen as ArgLen, SeccompCmpOp as Op,
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// The rules of a filter, by system call. What no rule lets through kills the process.
pub struct Rules {
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    width: ArgLen,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Rules").field(&self.rules.keys()).finish()
    }
}

/// A descriptor as it stands in a register. Descriptors are never negative.
#[must_use]
pub fn register(fd: i32) -> u64 {
    u64::from(fd.cast_unsigned())
}

impl Rules {
    /// No rules. Arguments are compared as whole registers.
    #[must_use]
    pub fn of_registers() -> Self {
        Self {
            rules: BTreeMap::new(),
            width: ArgLen::Qword,
        }
    }

    /// No rules. Of arguments the lower 32 bits are compared, which is what the kernel looks at in
    /// a descriptor or a request.
    #[must_use]
    pub fn of_words() -> Self {
        Self {
            width: ArgLen::Dword,
            ..Self::of_registers()
        }
    }

    /// Lets a system call through when all conditions hold.
    ///
    /// # Errors
    ///
    /// There are no conditions, or one names an argument that there is not.
    pub fn allow(&mut self, number: u64, conditions: &[(u8, Op, u64)]) -> Result<(), BackendError> {
        let conditions = conditions
            .iter()
            .map(|&(arg, ref op, value)| {
                SeccompCondition::new(arg, self.width.clone(), op.clone(), value)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let rules = self.rules.entry(number.cast_signed()).or_default();
        rules.push(SeccompRule::new(conditions)?);
        Ok(())
    }

    /// Lets a system call through whatever its arguments, and whatever was said before.
    pub fn allow_always(&mut self, number: u64) {
        // No rule at all means just that.
        self.rules.insert(number.cast_signed(), Vec::new());
    }

    /// Compiles the filter.
    ///
    /// # Errors
    ///
    /// The program is longer than the kernel takes.
    pub fn compile(self) -> Result<BpfProgram, BackendError> {
        let (otherwise, matched) = (SeccompAction::KillProcess, SeccompAction::Allow);
        SeccompFilter::new(self.rules, otherwise, matched, TargetArch::x86_64)?.try_into()
    }
}
