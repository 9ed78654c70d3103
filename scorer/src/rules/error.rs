//! Why a rule cannot be used.

use std::fmt;

/// A rule that cannot be used. The problem names the place in the condition, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Name of the rule, as it is written.
    pub rule: String,
    /// What is wrong with it, for people.
    pub problem: String,
}

impl RuleError {
    pub(super) fn new(rule: &str, problem: impl Into<String>) -> Self {
        // A name is written by people, and has not been checked when this is made.
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        Self {
            rule: rule.chars().map(plain).take(80).collect(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule `{}`: {}", self.rule, self.problem)
    }
}

impl std::error::Error for RuleError {}
