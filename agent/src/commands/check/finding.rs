//! A finding: how something stands, and what to do about it.

use std::fmt;

use serde::Serialize;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should.
    Ok,
    /// Viewers get less than they could.
    Warn,
    /// It keeps viewers from a picture, or the agent from starting.
    Fail,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub level: Level,
    /// The thing, as in `STUN stun.example.net:3478`.
    pub what: String,
    /// What was found.
    pub detail: String,
    /// What to do; empty if nothing.
    pub advice: String,
}

impl Finding {
    pub fn ok(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { level: Level::Ok, what: what.into(), detail: detail.into(), advice: String::new() }
    }

    pub fn warn(what: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Warn, what: what.into(), detail: detail.into(), advice: advice.into() }
    }

    pub fn fail(what: impl Into<String>, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fail, what: what.into(), detail: detail.into(), advice: advice.into() }
    }
}

/// Why a question to the network has no good answer.
#[derive(Debug)]
pub struct Trouble {
    detail: String,
    advice: String,
}

impl Trouble {
    pub fn new(detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { detail: detail.into(), advice: advice.into() }
    }

    /// As a failure of `what`.
    pub fn finding(self, what: impl Into<String>) -> Finding {
        Finding::fail(what, self.detail, self.advice)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.level {
            Level::Ok => '✓',
            Level::Warn => '!',
            Level::Fail => '✗',
        };
        write!(f, "{mark} {}: {}", self.what, self.detail)?;
        if !self.advice.is_empty() {
            write!(f, "\n    {}", self.advice)?;
        }
        Ok(())
    }
}

/// The last line of the output.
pub fn summary(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => "All is well.".into(),
        (0, warnings) => format!("Nothing must be fixed; {warnings} to look at (!)."),
        (failures, 0) => format!("{failures} to fix (✗)."),
        (failures, warnings) => format!("{failures} to fix (✗), {warnings} to look at (!)."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_a_line_with_its_advice_below() {
        let finding = Finding::fail("clock", "1970", "set it");
        assert_eq!(finding.to_string(), "✗ clock: 1970\n    set it");
        assert_eq!(Finding::ok("clock", "right").to_string(), "✓ clock: right");
    }

    #[test]
    fn the_summary_counts_what_needs_hands() {
        let (warn, fail) = (Finding::warn("a", "b", "c"), Finding::fail("a", "b", "c"));
        assert_eq!(summary(&[Finding::ok("a", "b")]), "All is well.");
        assert_eq!(summary(std::slice::from_ref(&warn)), "Nothing must be fixed; 1 to look at (!).");
        assert_eq!(summary(&[warn, fail]), "1 to fix (✗), 1 to look at (!).");
    }
}
