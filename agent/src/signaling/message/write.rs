//! The strict writer: an [`Envelope`] as one line of JSON, keys in the capture's order.

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Body, Candidate, Description, Envelope};

impl Envelope {
    /// One line of JSON, without a line end. `session` comes first (null in an `error` that belongs to none), then the
    /// body; an SDP has CRLF line ends. [`super::read`] gives back an equal envelope.
    pub fn to_json(&self) -> String {
        debug_assert!(
            self.session.is_some() || matches!(self.body, Body::Error(_)),
            "only an error may belong to no session"
        );
        // Strings, numbers and maps with string keys only: nothing that JSON cannot say.
        serde_json::to_string(&Written(self)).unwrap_or_default()
    }
}

struct Written<'a>(&'a Envelope);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("session", &self.0.session)?;
        match &self.0.body {
            Body::Connect(connect) => map.serialize_entry("connect", connect)?,
            Body::Description(description) => {
                let strict = Description { sdp: crlf(&description.sdp), kind: description.kind };
                map.serialize_entry("description", &strict)?;
            }
            Body::Candidate(candidate) => map.serialize_entry("candidate", &strict(candidate.as_ref()))?,
            Body::Restart(restart) => map.serialize_entry("restart", restart)?,
            Body::Notice(notice) => map.serialize_entry("notice", notice)?,
            Body::Error(error) => map.serialize_entry("error", error)?,
            Body::Bye(bye) => map.serialize_entry("bye", bye)?,
        }
        map.end()
    }
}

/// An empty candidate string is W3C's older way to say null; a candidate of no m-line is of the first.
fn strict(candidate: Option<&Candidate>) -> Option<Candidate> {
    let mut candidate = candidate.filter(|c| !c.candidate.is_empty())?.clone();
    if candidate.sdp_mid.is_none() {
        candidate.sdp_m_line_index.get_or_insert(0);
    }
    Some(candidate)
}

/// CRLF line ends (RFC 8866 section 5), also where the session's text has bare LF.
fn crlf(sdp: &str) -> String {
    let mut text = String::with_capacity(sdp.len() + 2);
    for line in sdp.lines() {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}
