//! Text that is nearly JSON made into JSON: raw line breaks and tabs inside strings become escapes.
//!
//! Knows where each line of the original begins, so that an error can name the line that its sender sees.
//! Does not check the grammar: serde_json does that afterwards.

use super::{Refusal, code};

/// Longest message in bytes. The longest offers of browsers are about 10 KiB.
pub const MAX_MESSAGE: usize = 256 * 1024;

/// Deepest nesting of objects and arrays; the protocol itself needs 5, the rest is room for unknown keys.
pub const MAX_DEPTH: usize = 32;

/// JSON text without raw control characters in its strings.
pub(super) struct Text {
    json: String,
    /// Where in `json` an escape stands for a raw line break of the original; ascending.
    raw_breaks: Vec<usize>,
}

impl Text {
    /// Checks size, encoding and depth, and escapes what is raw.
    pub(super) fn new(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MAX_MESSAGE {
            let message =
                format!("the message has {} bytes; the limit is {MAX_MESSAGE} (256 KiB)", bytes.len());
            return Err(Refusal::new(code::TOO_LARGE, message));
        }
        let original = std::str::from_utf8(bytes).map_err(|e| {
            let line = 1 + newlines(&bytes[..e.valid_up_to()]);
            let message = format!(
                "line {line}: byte {} of the message is not UTF-8; send JSON in UTF-8",
                e.valid_up_to() + 1
            );
            Refusal::new(code::MALFORMED, message)
        })?;
        // A byte order mark in front, and the NUL that C programs send along with their strings.
        let original = original.strip_prefix('\u{feff}').unwrap_or(original);
        let original = original.trim_end_matches(|c: char| c == '\0' || c.is_ascii_whitespace());
        Self::escape(original)
    }

    fn escape(original: &str) -> Result<Self, Refusal> {
        let mut text = Self { json: String::with_capacity(original.len() + 256), raw_breaks: Vec::new() };
        let (mut in_string, mut after_backslash, mut depth) = (false, false, 0_usize);
        for c in original.chars() {
            if in_string && !after_backslash {
                match c {
                    '"' => in_string = false,
                    '\n' => {
                        text.raw_breaks.push(text.json.len());
                        text.json.push_str("\\n");
                        continue;
                    }
                    '\r' => {
                        text.json.push_str("\\r");
                        continue;
                    }
                    '\t' => {
                        text.json.push_str("\\t");
                        continue;
                    }
                    _ => {}
                }
                after_backslash = c == '\\';
            } else if in_string {
                after_backslash = false;
            } else {
                match c {
                    '"' => in_string = true,
                    '{' | '[' => depth += 1,
                    '}' | ']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                if depth > MAX_DEPTH {
                    let line = text.line_at(text.json.len());
                    let message =
                        format!("line {line}: objects and arrays nest deeper than {MAX_DEPTH} levels");
                    return Err(Refusal::new(code::MALFORMED, message));
                }
            }
            text.json.push(c);
        }
        Ok(text)
    }

    /// The JSON text.
    pub(super) fn json(&self) -> &str {
        &self.json
    }

    /// The original's line, from 1, of a place in [`Self::json`].
    pub(super) fn line_at(&self, offset: usize) -> usize {
        let before = &self.json.as_bytes()[..offset.min(self.json.len())];
        1 + newlines(before) + self.raw_breaks.partition_point(|b| *b < offset)
    }

    /// What the JSON parser says about [`Self::json`], in lines of the original.
    pub(super) fn syntax(&self, error: &serde_json::Error) -> Refusal {
        let line_start: usize =
            self.json.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
        let line = self.line_at(line_start + error.column().saturating_sub(1));
        let said = error.to_string();
        let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
        Refusal::new(code::MALFORMED, format!("line {line}: not JSON: {said}"))
    }
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|b| **b == b'\n').count()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn raw_breaks_and_tabs_in_strings_become_escapes() {
        let text = Text::new(b"{\n\"a\": \"x\n\ty\r\"}").unwrap();
        assert_eq!(text.json(), "{\n\"a\": \"x\\n\\ty\\r\"}");
    }

    #[test]
    fn lines_are_counted_as_the_sender_sees_them() {
        let text = Text::new(b"{\n\"a\": \"x\n\ny\",\n\"b\": 1}").unwrap();
        assert_eq!(text.line_at(text.json().find('x').unwrap()), 2);
        assert_eq!(text.line_at(text.json().find('y').unwrap()), 4);
        assert_eq!(text.line_at(text.json().find('1').unwrap()), 5);
    }

    #[test]
    fn an_escaped_quote_does_not_end_a_string() {
        let text = Text::new(br#"{"a": "\"{[", "b\\": 1}"#).unwrap();
        assert_eq!(text.json(), r#"{"a": "\"{[", "b\\": 1}"#);
    }

    #[test]
    fn byte_order_mark_and_trailing_nul_go() {
        assert_eq!(Text::new(b"\xef\xbb\xbf{}\r\n\0").unwrap().json(), "{}");
    }

    #[test]
    fn nesting_is_limited() {
        let deep = "[".repeat(MAX_DEPTH + 1);
        let refusal = Text::new(deep.as_bytes()).err().unwrap();
        assert_eq!(refusal.code, code::MALFORMED);
        assert!(refusal.message.contains("deeper than 32"), "{}", refusal.message);
    }

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        let text = format!("\"{}\"", "[".repeat(1000));
        assert!(Text::new(text.as_bytes()).is_ok());
    }
}
