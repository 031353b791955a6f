//! Markup that cannot forget to escape: only text known at compile time goes in as it is.

use std::fmt::{self, Display, Write};

/// A page in the making.
#[derive(Default)]
pub struct Html(String);

impl Html {
    /// Markup of our own.
    pub fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Text from anywhere, for content and for quoted attributes.
    pub fn text(&mut self, text: impl Display) {
        // Writing to a string does not fail; a `Display` that does loses its rest.
        let _ = write!(Escape(&mut self.0), "{text}");
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.0
    }
}

/// Puts into a page, one after the other: `"literals"` as markup and `(expressions)` as text.
macro_rules! put {
    ($page:ident;) => { () };
    ($page:ident; $markup:literal $($rest:tt)*) => {{
        $page.raw($markup);
        $crate::report::html::markup::put!($page; $($rest)*)
    }};
    ($page:ident; ($text:expr) $($rest:tt)*) => {{
        $page.text(&$text);
        $crate::report::html::markup::put!($page; $($rest)*)
    }};
}
pub(super) use put;

struct Escape<'a>(&'a mut String);

impl Write for Escape<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for letter in text.chars() {
            match letter {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '\n' | '\t' => self.0.push(letter),
                // HTML allows no control characters: shown as their pictures.
                '\0'..='\x1f' => {
                    self.0.push(char::from_u32(0x2400 + u32::from(letter)).unwrap_or('\u{fffd}'))
                }
                // These could make text read otherwise than it stands (bidirectional overrides and isolates).
                '\x7f'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    self.0.push('\u{fffd}')
                }
                _ => self.0.push(letter),
            }
        }
        Ok(())
    }
}

/// A number for a coordinate, to a tenth; what is no number is 0.
pub fn at(value: f64) -> String {
    if value.is_finite() { format!("{:.1}", value.clamp(-1e6, 1e6)) } else { "0".into() }
}

/// A relative path as a link: every part percent-encoded (RFC 3986); none if it leaves the report's folder.
pub fn link(path: &std::path::Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            std::path::Component::Normal(name) => {
                let mut encoded = String::new();
                for byte in name.as_encoded_bytes() {
                    if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
                        encoded.push(char::from(*byte));
                    } else {
                        let _ = write!(encoded, "%{byte:02X}");
                    }
                }
                parts.push(encoded);
            }
            std::path::Component::CurDir => {}
            _ => return None,
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_a_device_says_stays_text() {
        let mut page = Html::default();
        let hostile = "</td><script>alert('1')</script>&\"\u{1b}[31m\u{202e}";
        put!(page; "<td title=\"" (hostile) "\">" (hostile) "</td>");
        let escaped =
            "&lt;/td&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\u{241b}[31m\u{fffd}";
        assert_eq!(page.finish(), format!("<td title=\"{escaped}\">{escaped}</td>"));
    }

    #[test]
    fn links_stay_in_the_folder_and_have_no_scheme() {
        assert_eq!(link(Path::new("a b/ü&.log")).as_deref(), Some("a%20b/%C3%BC%26.log"));
        assert_eq!(link(Path::new("javascript:alert(1)")).as_deref(), Some("javascript%3Aalert%281%29"));
        for outside in ["/etc/passwd", "../x", "a/../../x", ""] {
            assert_eq!(link(Path::new(outside)), None, "{outside}");
        }
    }
}
