//! Reads `connect`: STUN and TURN servers in the note's form and in W3C's.

use super::{
    Connect, IceServer, Refusal, StunAddress, code,
    node::{Node, is_host},
    refusal::quote,
};

/// Most servers in one `connect`: each one that is asked costs the device a socket's attention and time.
pub const MAX_ICE_SERVERS: usize = 32;

/// Most URLs of one server, and longest of them in bytes.
const MAX_URLS: usize = 32;
const MAX_URL: usize = 512;

/// STUN's port where none is given (RFC 8489 section 18.4).
const STUN_PORT: u16 = 3478;

pub(super) fn read(node: &Node<'_>) -> Result<Connect, Refusal> {
    if node.is_null() {
        return Ok(Connect::default());
    }
    let members = node.object()?;
    let given = |key| members.get(key).filter(|n: &&Node<'_>| !n.is_null());
    let stun = given("stun").map(read_stun).transpose()?;
    let ice_servers = given("iceServers").map(read_servers).transpose()?.unwrap_or_default();
    Ok(Connect { stun, ice_servers })
}

/// `{"ip", "port"}`, `{"host", "port"}`, `{"url"}`, or `stun:HOST:PORT` as a string.
fn read_stun(node: &Node<'_>) -> Result<StunAddress, Refusal> {
    if node.is_string() {
        let text = node.string()?;
        return stun_from_url(text.trim()).ok_or_else(|| {
            let what = format!("is {}; send {{\"ip\": \"203.0.113.10\", \"port\": 3478}}", quote(&text));
            node.refuse(code::MALFORMED, what)
        });
    }
    let members = node.object()?;
    let Some(host) = ["ip", "host"].iter().find_map(|key| members.get(*key)) else {
        let url = ["url", "urls"].iter().find_map(|key| members.get(*key)).filter(|url| url.is_string());
        return url.map_or_else(|| Err(node.refuse(code::MALFORMED, "lacks `ip`")), read_stun);
    };
    let port = members.get("port").filter(|p| !p.is_null()).map_or(Ok(STUN_PORT), Node::port)?;
    Ok(StunAddress { ip: host.host()?, port })
}

/// RFC 7064, or the same without its scheme.
fn stun_from_url(url: &str) -> Option<StunAddress> {
    let rest = match url.split_at_checked(5) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("stun:") => rest,
        _ => url,
    };
    let (host, port) = if let Some(bracketed) = rest.strip_prefix('[') {
        let (host, after) = bracketed.split_once(']')?;
        (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
    } else {
        rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
    };
    let port = port.map_or(Some(STUN_PORT), |p| p.parse().ok().filter(|p| *p != 0))?;
    is_host(host).then(|| StunAddress { ip: host.to_owned(), port })
}

fn read_servers(node: &Node<'_>) -> Result<Vec<IceServer>, Refusal> {
    // A lone server without its array is a common slip.
    let servers = if node.is_object() { vec![node.clone()] } else { node.array()? };
    if servers.len() > MAX_ICE_SERVERS {
        let what = format!("has {} servers; the limit is {MAX_ICE_SERVERS}", servers.len());
        return Err(node.refuse(code::TOO_LARGE, what));
    }
    servers.iter().map(read_server).collect()
}

fn read_server(node: &Node<'_>) -> Result<IceServer, Refusal> {
    let members = node.object()?;
    let Some(urls) = ["urls", "url"].iter().find_map(|key| members.get(*key)) else {
        return Err(node.refuse(code::MALFORMED, "lacks `urls`"));
    };
    let urls = if urls.is_string() { vec![urls.clone()] } else { urls.array()? };
    if urls.is_empty() || urls.len() > MAX_URLS {
        let what = format!("has {} URLs; send 1 to {MAX_URLS}", urls.len());
        return Err(node.refuse(code::MALFORMED, what));
    }
    let text =
        |key| members.get(key).filter(|n: &&Node<'_>| !n.is_null()).map(Node::string_or_number).transpose();
    Ok(IceServer {
        urls: urls.iter().map(read_url).collect::<Result<_, _>>()?,
        username: text("username")?,
        credential: text("credential")?,
    })
}

/// Only the scheme is checked here: what each server can be used for is for the one who uses it.
fn read_url(node: &Node<'_>) -> Result<String, Refusal> {
    let url = node.string()?;
    let url = url.trim();
    let known = url.split_once(':').is_some_and(|(scheme, rest)| {
        !rest.is_empty() && ["stun", "stuns", "turn", "turns"].iter().any(|s| scheme.eq_ignore_ascii_case(s))
    });
    if !known || url.len() > MAX_URL || url.contains(|c: char| c.is_control() || c.is_whitespace()) {
        let what = format!("is {}; send a URL like `turn:turn.example:3478?transport=udp`", quote(url));
        return Err(node.refuse(code::MALFORMED, what));
    }
    Ok(url.to_owned())
}
