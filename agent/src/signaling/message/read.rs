//! The tolerant reader: bytes from outside into an [`Envelope`], or a [`Refusal`] that says what to send instead.
//!
//! What it forgives stands in docs/protocol.md, section "Tolerances". Pure; fuzzed as `envelope`.

use super::{
    Body, Bye, Candidate, Description, Envelope, Refusal, Restart, SdpType, SessionId, WireError, WireNotice,
    code,
    lenient::Text,
    node::{Members, Node},
    read_connect,
    refusal::quote,
};
use crate::signaling::{candidate, sdp};

/// The keys of which an envelope has exactly one.
const BODIES: [&str; 7] = ["connect", "description", "candidate", "restart", "notice", "error", "bye"];

/// Longest text kept of an `error`, `bye` and the like from outside, in characters: it goes to logs and to people.
const MAX_WORDS: usize = 1024;

/// Reads one envelope. At most 256 KiB; an SDP in it has CRLF line ends afterwards and is SDP in shape
/// ([`sdp::normalize`]), a candidate has the form of RFC 8839.
pub fn read(bytes: &[u8]) -> Result<Envelope, Refusal> {
    let text = Text::new(bytes)?;
    let root = Node::root(&text)?;
    let members = root.object()?;
    let (key, node) = match body_of(&root, &members) {
        Ok(body) => body,
        Err(refusal) => return Err(refusal.of(session_of(&members).ok().flatten())),
    };
    if key == "error" {
        // Never refused: an answer to an `error` could go round for ever.
        let session = session_of(&members).ok().flatten();
        return Ok(Envelope { session, body: Body::Error(read_error(node)) });
    }
    let Some(session) = session_of(&members)? else {
        let what = format!(
            "names no session; put the session's id beside `{key}`: {{\"session\": \"...\", \"{key}\": ...}}"
        );
        return Err(root.refuse(code::MALFORMED, what));
    };
    match read_body(key, node) {
        Ok(body) => Ok(Envelope::new(session, body)),
        Err(refusal) => Err(refusal.of(Some(session))),
    }
}

/// Reads a body without its envelope, for a carrier that names the session elsewhere (an MQTT topic): the inner
/// objects of the capture, `{"sdp", "type"}` and `{"candidate", "sdpMLineIndex", "sdpMid"}`, the settings
/// `{"stun", "iceServers"}`, or an envelope's body with its key, as in `{"bye": {}}`.
pub fn read_inner(bytes: &[u8]) -> Result<Body, Refusal> {
    let text = Text::new(bytes)?;
    let root = Node::root(&text)?;
    let members = root.object()?;
    if members.contains_key("sdp") {
        return read_description(&root).map(Body::Description);
    }
    if members.get("candidate").is_some_and(|c| !c.is_object()) {
        return read_candidate(&root).map(Body::Candidate);
    }
    if members.contains_key("stun") || members.contains_key("iceServers") {
        return read_connect::read(&root).map(Body::Connect);
    }
    let (key, node) = body_of(&root, &members)?;
    if key == "error" { Ok(Body::Error(read_error(node))) } else { read_body(key, node) }
}

/// The one body of an envelope. A body that is null counts only where there is no other, so that writers which
/// send every key are understood; `"candidate": null` says something and counts always.
fn body_of<'m, 'a>(
    root: &Node<'a>,
    members: &'m Members<'a>,
) -> Result<(&'static str, &'m Node<'a>), Refusal> {
    let present = || BODIES.iter().filter_map(|key| members.get(*key).map(|node| (*key, node)));
    let mut speaking = present().filter(|(key, node)| !node.is_null() || *key == "candidate");
    match (speaking.next(), speaking.next()) {
        (Some((first, _)), Some((second, node))) => {
            let what = format!(
                "is a second body beside `{first}`; send `{first}` and `{second}` one after the other"
            );
            Err(node.refuse(code::MALFORMED, what))
        }
        (Some(only), None) if looks_inner(members) => {
            let what = format!(
                "is an inner object without its envelope; send {{\"session\": \"...\", \"{}\": {{...}}}}",
                only.0
            );
            Err(root.refuse(code::MALFORMED, what))
        }
        (Some(only), None) => Ok(only),
        (None, _) => match present().find(|(key, _)| matches!(*key, "connect" | "restart" | "bye")) {
            Some(empty) => Ok(empty),
            None if members.contains_key("sdp") => {
                let what = "is an inner object without its envelope; send {\"session\": \"...\", \"description\": {...}}";
                Err(root.refuse(code::MALFORMED, what))
            }
            None => Err(root.refuse(code::MALFORMED, format!("has no body; send one of {}", list(&BODIES)))),
        },
    }
}

/// `{"candidate": "candidate:...", ...}`: the capture's candidate object where an envelope should be.
fn looks_inner(members: &Members<'_>) -> bool {
    members.get("candidate").is_some_and(Node::is_string)
        && (members.contains_key("sdpMid") || members.contains_key("sdpMLineIndex"))
}

/// The session named; `None` if the key is missing or null.
fn session_of(members: &Members<'_>) -> Result<Option<SessionId>, Refusal> {
    let Some(node) = members.get("session").filter(|node| !node.is_null()) else { return Ok(None) };
    let id = node.string()?;
    SessionId::new(id.as_str()).map(Some).ok_or_else(|| {
        let what = format!("is {}; a session id has 1 to 64 characters of A-Z a-z 0-9 - _ . ~", quote(&id));
        node.refuse(code::MALFORMED, what)
    })
}

fn read_body(key: &str, node: &Node<'_>) -> Result<Body, Refusal> {
    match key {
        "connect" => read_connect::read(node).map(Body::Connect),
        "description" => read_description(node).map(Body::Description),
        "candidate" => read_candidate(node).map(Body::Candidate),
        "restart" => Ok(Body::Restart(Restart { reason: words(node, "reason") })),
        "notice" => Ok(Body::Notice(read_notice(node))),
        _ => Ok(Body::Bye(Bye { reason: words(node, "reason") })),
    }
}

fn read_description(node: &Node<'_>) -> Result<Description, Refusal> {
    let members = node.object()?;
    let kind = required(node, &members, "type")?;
    let sdp_type = match kind.string()?.trim() {
        t if t.eq_ignore_ascii_case("offer") => SdpType::Offer,
        t if t.eq_ignore_ascii_case("answer") => SdpType::Answer,
        other => {
            let what = format!("is {}; send `offer` or `answer`", quote(other));
            return Err(kind.refuse(code::MALFORMED, what));
        }
    };
    let field = required(node, &members, "sdp")?;
    let sdp = sdp::normalize(&field.string()?)
        .map_err(|p| field.refuse(p.code, format_args!("SDP line {}: {}", p.line, p.message)))?;
    Ok(Description { sdp, kind: sdp_type })
}

fn read_candidate(node: &Node<'_>) -> Result<Option<Candidate>, Refusal> {
    if node.is_null() {
        return Ok(None);
    }
    if node.is_string() {
        if node.string()?.trim().is_empty() {
            return Ok(None);
        }
        let what = "is a string; send the object {\"candidate\": \"candidate:...\", \"sdpMLineIndex\": 0, \"sdpMid\": \"0\"}";
        return Err(node.refuse(code::MALFORMED, what));
    }
    let members = node.object()?;
    let Some(field) = members.get("candidate").filter(|c| !c.is_null()) else {
        if members.is_empty() || members.contains_key("candidate") {
            return Ok(None);
        }
        return Err(missing(node, "candidate"));
    };
    let text = field.string()?;
    let text = text.trim();
    let text = text.strip_prefix("a=").unwrap_or(text).trim();
    if text.is_empty() {
        return Ok(None);
    }
    candidate::parse(text).map_err(|p| field.refuse(code::BAD_CANDIDATE, p))?;
    let given = |key| members.get(key).filter(|n: &&Node<'_>| !n.is_null());
    let sdp_mid = given("sdpMid").map(Node::string_or_number).transpose()?;
    let index = given("sdpMLineIndex").map(Node::u16).transpose()?;
    // With BUNDLE all candidates belong to the first m-line's transport (RFC 9143 section 7.1).
    let sdp_m_line_index = if sdp_mid.is_none() { Some(index.unwrap_or(0)) } else { index };
    Ok(Some(Candidate { candidate: text.to_owned(), sdp_m_line_index, sdp_mid }))
}

fn read_notice(node: &Node<'_>) -> WireNotice {
    WireNotice { code: read_code(node).unwrap_or_default(), message: words(node, "message") }
}

fn read_code(node: &Node<'_>) -> Option<String> {
    let members = node.object().ok()?;
    members.get("code").and_then(|c| c.string_or_number().ok()).map(|c| shorten(&c, 64))
}

fn read_error(node: &Node<'_>) -> WireError {
    let code = read_code(node).unwrap_or_else(|| code::INTERNAL.to_owned());
    WireError { code, message: words(node, "message") }
}

/// A text for people: the string itself, or the member `key` of the object; else nothing.
fn words(node: &Node<'_>, key: &str) -> String {
    let text = match node.object() {
        Ok(members) => members.get(key).and_then(|n| n.string_or_number().ok()),
        Err(_) => node.string().ok(),
    };
    shorten(&text.unwrap_or_default(), MAX_WORDS)
}

fn shorten(text: &str, limit: usize) -> String {
    text.chars().take(limit).collect()
}

fn required<'m, 'a>(node: &Node<'a>, members: &'m Members<'a>, key: &str) -> Result<&'m Node<'a>, Refusal> {
    members.get(key).filter(|n| !n.is_null()).ok_or_else(|| missing(node, key))
}

fn missing(node: &Node<'_>, key: &str) -> Refusal {
    node.refuse(code::MALFORMED, format_args!("lacks `{key}`"))
}

fn list(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}
