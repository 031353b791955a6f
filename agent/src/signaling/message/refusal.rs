//! A refusal: why a message was not taken, in words that go back to its sender.

use super::{Envelope, SessionId};

/// What was wrong with a message that came in. The link answers it with an `error` and lives on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The session that the message named, if that much could be read.
    pub session: Option<SessionId>,
    /// One of the codes in [`super::code`].
    pub code: &'static str,
    /// Names the field, the line (of the JSON text or of the SDP), what was found and what to send instead.
    /// Never quotes a credential.
    pub message: String,
}

impl Refusal {
    /// A refusal that belongs to no session.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { session: None, code, message: message.into() }
    }

    /// The same refusal for `session`.
    pub fn of(mut self, session: Option<SessionId>) -> Self {
        self.session = session;
        self
    }

    /// The `error` message that tells the sender.
    pub fn into_envelope(self) -> Envelope {
        Envelope::error(self.session, self.code, self.message)
    }
}

/// A piece of somebody's input for an error text: short, on one line, without control characters.
pub(crate) fn quote(text: &str) -> String {
    // Enough to recognise the value by, and an error stays readable on a terminal.
    const SHOWN: usize = 48;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}
