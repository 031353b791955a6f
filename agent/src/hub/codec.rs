//! JSON to envelope and back, as far as the hub needs it to pass messages on.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::signaling::message::{Body, Envelope, SessionId, code};

/// Longest message read, in bytes.
pub(super) const MAX_MESSAGE: usize = 256 * 1024;

/// Input that is not a message, and what to tell its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub session: Option<SessionId>,
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    fn new(session: Option<SessionId>, code: &'static str, message: impl Into<String>) -> Self {
        Self { session, code, message: message.into() }
    }
}

/// Reads one envelope.
pub(super) fn read(bytes: &[u8]) -> Result<Envelope, Refusal> {
    if bytes.len() > MAX_MESSAGE {
        let message = format!("the message has {} bytes, at most {MAX_MESSAGE} are taken", bytes.len());
        return Err(Refusal::new(None, code::TOO_LARGE, message));
    }
    let mut map: Map<String, Value> = serde_json::from_slice(bytes)
        .map_err(|e| Refusal::new(None, code::MALFORMED, format!("not a JSON object: {e}")))?;
    let session = match map.remove("session") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) => Some(SessionId::new(id).ok_or_else(|| {
            Refusal::new(None, code::MALFORMED, "session: not 1 to 64 characters of A-Z a-z 0-9 - _ . ~")
        })?),
        Some(_) => return Err(Refusal::new(None, code::MALFORMED, "session: not a string")),
    };
    let body = if let Some(v) = map.remove("connect") {
        part("connect", v).map(Body::Connect)
    } else if let Some(v) = map.remove("description") {
        part("description", v).map(Body::Description)
    } else if let Some(v) = map.remove("candidate") {
        part("candidate", v).map(Body::Candidate)
    } else if let Some(v) = map.remove("error") {
        part("error", v).map(Body::Error)
    } else if let Some(v) = map.remove("bye") {
        part("bye", v).map(Body::Bye)
    } else {
        Err("none of connect, description, candidate, error, bye is there".into())
    };
    match body {
        Ok(body) => Ok(Envelope { session, body }),
        Err(message) => Err(Refusal::new(session, code::MALFORMED, message)),
    }
}

fn part<T: DeserializeOwned>(key: &str, value: Value) -> Result<T, String> {
    serde_json::from_value(value).map_err(|e| format!("{key}: {e}"))
}

/// Writes one envelope.
pub(super) fn to_json(envelope: &Envelope) -> String {
    let (key, value) = match &envelope.body {
        Body::Connect(v) => ("connect", json!(v)),
        Body::Description(v) => ("description", json!(v)),
        Body::Candidate(v) => ("candidate", json!(v)),
        Body::Error(v) => ("error", json!(v)),
        Body::Bye(v) => ("bye", json!(v)),
    };
    let mut map = Map::new();
    if let Some(session) = &envelope.session {
        map.insert("session".into(), json!(session));
    }
    map.insert(key.into(), value);
    Value::Object(map).to_string()
}
