//! What is wrong with a scenario file, where, and what would be right; printed as a compiler does.

use std::{fmt, ops::Range};

/// Longest piece of the file that a message repeats, in characters: a file may hold anything.
const MAX_SHOWN: usize = 60;
/// Longest line of the file that is printed above the caret, in characters.
const MAX_LINE: usize = 160;
/// More problems than this are counted, not printed.
const MAX_PRINTED: usize = 50;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The offending text, cut short if it is long.
    pub text: String,
    /// What is wrong with it.
    pub what: String,
    /// What may stand there.
    pub allowed: Option<String>,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
    /// The line as it stands in the file, for the caret.
    source: String,
    /// Characters under the caret.
    width: usize,
}

/// All that is wrong with a file, in the order of the file; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    /// The file, as it was named to the reader.
    pub file: String,
    /// What is wrong.
    pub list: Vec<Problem>,
}

impl std::error::Error for Problems {}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().take(MAX_PRINTED).enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            problem.print(&self.file, f)?;
        }
        let more = self.list.len().saturating_sub(MAX_PRINTED);
        if more > 0 {
            write!(f, "\n\n{}: and {more} more", self.file)?;
        }
        Ok(())
    }
}

impl Problem {
    /// Places what is wrong with a span of the file's bytes.
    pub(super) fn new(text: &str, span: Range<usize>, trouble: Trouble) -> Self {
        let start = floor(text, span.start);
        let end = floor(text, span.end).max(start);
        let before = text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let rest = text.get(line_start..).unwrap_or_default();
        let source = rest.lines().next().unwrap_or_default();
        let offending = text.get(start..end).unwrap_or_default();
        let column = text.get(line_start..start).unwrap_or_default().chars().count() + 1;
        Self {
            line: before.matches('\n').count() + 1,
            column,
            text: shown(offending),
            what: trouble.what,
            allowed: trouble.allowed,
            hint: trouble.hint,
            source: printable(source, MAX_LINE),
            width: offending.lines().next().unwrap_or_default().chars().count().max(1),
        }
    }

    fn print(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        writeln!(f, "{file}:{}:{}: {}", self.line, self.column, self.what)?;
        write!(f, "{margin} |\n{number} | {}", self.source)?;
        if self.column <= MAX_LINE {
            let width = self.width.min(MAX_LINE - self.column + 1);
            write!(f, "\n{margin} | {}{}", " ".repeat(self.column - 1), "^".repeat(width))?;
        }
        if let Some(allowed) = &self.allowed {
            write!(f, "\n{margin} = allowed: {allowed}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n{margin} = {hint}")?;
        }
        Ok(())
    }
}

/// What is wrong, without its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    what: String,
    allowed: Option<String>,
    hint: Option<String>,
}

impl Trouble {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), allowed: None, hint: None }
    }

    pub(super) fn allowed(mut self, allowed: impl Into<String>) -> Self {
        self.allowed = Some(allowed.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With "did you mean", if one of the words is near.
    pub(super) fn meant<'a>(self, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(word, known) {
            Some(near) => self.hint(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    /// The same, said of a key.
    pub(super) fn of(mut self, key: &str) -> Self {
        self.what = format!("`{key}`: {}", self.what);
        self
    }
}

/// The nearest of `known` to `word`, if it is near enough to be a slip. The order of the parts between hyphens does not
/// count: `router-reboot` is near `reboot-router`.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let sorted = |text: &str| {
        let mut parts: Vec<_> = text.split(['-', '_', ' ']).collect();
        parts.sort_unstable();
        parts.join("-")
    };
    let word = word.to_lowercase();
    let reach = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let straight = strsim::damerau_levenshtein(&word, &lower);
            (straight.min(strsim::damerau_levenshtein(&sorted(&word), &sorted(&lower))), candidate)
        })
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Text of a file in a message: on one line, cut short.
pub(super) fn shown(text: &str) -> String {
    let mut cut = printable(text.lines().next().unwrap_or_default(), MAX_SHOWN);
    if text.lines().nth(1).is_some() && !cut.ends_with("...") {
        cut.push_str("...");
    }
    cut
}

fn printable(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    match text.char_indices().nth(most) {
        Some((cut, _)) => text[..cut].chars().map(plain).chain("...".chars()).collect(),
        None => text.chars().map(plain).collect(),
    }
}

/// The nearest character boundary at or before an offset.
fn floor(text: &str, offset: usize) -> usize {
    let mut at = offset.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_or_of_the_order_is_recognised() {
        let words = ["reboot-router", "change-wan-address", "kill-agent"];
        assert_eq!(nearest("router-reboot", words), Some("reboot-router"));
        assert_eq!(nearest("wan_address_change", words), Some("change-wan-address"));
        assert_eq!(nearest("kil-agent", words), Some("kill-agent"));
        assert_eq!(nearest("sing", words), None);
    }

    #[test]
    fn a_problem_shows_its_line_with_a_caret() {
        let text = "a = 1\n  ü = \"bad\"\n";
        let start = text.find("\"bad\"").unwrap_or_default();
        let trouble = Trouble::new("it is bad").allowed("good, better").hint("did you mean `good`?");
        let list = vec![Problem::new(text, start..start + 5, trouble)];
        assert_eq!(
            Problems { file: "x.toml".into(), list }.to_string(),
            "x.toml:2:7: it is bad\n  |\n2 |   ü = \"bad\"\n  |       ^^^^^\n  = allowed: good, better\n  = did you mean `good`?"
        );
    }

    #[test]
    fn a_span_that_is_not_in_the_text_is_no_panic() {
        for span in [0..0, 1..2, 5..100, 100..200] {
            let problem = Problem::new("ü\u{0}\n€", span, Trouble::new("x"));
            assert!(problem.line >= 1 && problem.column >= 1);
        }
    }
}
