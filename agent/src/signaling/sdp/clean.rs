//! Makes an SDP from the field fit for a strict parser.

use std::collections::BTreeSet;

use crate::signaling::message::{code, quote};

/// Most lines of an SDP. Chromium's longest offers, with every codec of two m-lines, have about 200.
pub const MAX_LINES: usize = 2000;

/// Longest line in bytes.
pub const MAX_LINE: usize = 8 * 1024;

/// What is wrong with an SDP, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("SDP line {line}: {message}")]
pub struct SdpProblem {
    /// Line of the text as it came, from 1; blank lines count.
    pub line: usize,
    /// [`code::BAD_SDP`] or [`code::TOO_LARGE`].
    pub code: &'static str,
    /// What was found and what belongs there.
    pub message: String,
}

impl SdpProblem {
    pub(super) fn bad(line: usize, message: impl Into<String>) -> Self {
        Self { line, code: code::BAD_SDP, message: message.into() }
    }

    fn too_large(line: usize, message: impl Into<String>) -> Self {
        Self { line, code: code::TOO_LARGE, message: message.into() }
    }
}

/// An m-section that [`clean`] left out. An answer must name every m-line of its offer (RFC 3264 section 6), so
/// [`restore`] puts it back as a rejected one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Its place among the offer's m-lines, from 0. Later sections count one less in the cleaned text.
    pub index: usize,
    /// `application`.
    pub media: String,
    /// `DTLS/SCTP`.
    pub protocol: String,
    /// What follows the protocol on the m-line.
    pub formats: String,
    /// Its `a=mid`, if it had one.
    pub mid: Option<String>,
}

/// A cleaned SDP and what was left out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleaned {
    /// The text, with CRLF line ends.
    pub sdp: String,
    /// In the order of the offer.
    pub dropped: Vec<Dropped>,
}

/// A line with its number in the text as it came.
pub(super) type Numbered<'a> = (usize, &'a str);

/// Trims each line, drops blank ones, ends all with CRLF. Refuses what is not SDP in shape: the first line is `v=0`, each
/// has a letter and `=`, each m-line its parts, and sizes are within [`MAX_LINES`] and [`MAX_LINE`].
pub fn normalize(text: &str) -> Result<String, SdpProblem> {
    Ok(join(checked_lines(text)?.into_iter().map(|(_, line)| line)))
}

/// [`clean_noting`] for those who never answer: the text alone.
pub fn clean(text: &str) -> Result<String, SdpProblem> {
    clean_noting(text).map(|cleaned| cleaned.sdp)
}

/// [`normalize`], and: sections of the old `DTLS/SCTP` form of data channels go, a section without `a=mid` gets its
/// number as one, and where no `a=group:BUNDLE` is given, all sections are bundled. Its own result stays as it is.
pub fn clean_noting(text: &str) -> Result<Cleaned, SdpProblem> {
    let lines = checked_lines(text)?;
    let starts: Vec<usize> =
        lines.iter().enumerate().filter(|(_, (_, line))| line.starts_with("m=")).map(|(i, _)| i).collect();
    let session_end = starts.first().copied().unwrap_or(lines.len());
    let mut session: Vec<String> = lines[..session_end].iter().map(|(_, line)| (*line).to_owned()).collect();

    let mut mids = BTreeSet::new();
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(lines.len());
        let section = &lines[*start..end];
        let mid = mid_of(section, &mut mids)?;
        let (media, port, protocol, formats) = m_line_parts(section[0].1);
        if protocol.eq_ignore_ascii_case("DTLS/SCTP") {
            let (media, protocol, formats) = (media.into(), protocol.into(), formats.into());
            dropped.push(Dropped { index, media, protocol, formats, mid: mid.map(Into::into) });
        } else {
            let bundled = port != "0" || section.iter().any(|(_, line)| *line == "a=bundle-only");
            let text: Vec<String> = section.iter().map(|(_, line)| (*line).to_owned()).collect();
            kept.push((text, mid.map(ToOwned::to_owned), bundled));
        }
    }

    let mut bundle = Vec::new();
    for (index, (section, mid, bundled)) in kept.iter_mut().enumerate() {
        let mid = mid.take().unwrap_or_else(|| {
            let new = (index..).map(|n| n.to_string()).find(|n| !mids.contains(n)).unwrap_or_default();
            mids.insert(new.clone());
            insert_attribute(section, format!("a=mid:{new}"));
            new
        });
        if *bundled {
            bundle.push(mid);
        }
    }
    for gone in dropped.iter().filter_map(|d: &Dropped| d.mid.as_deref()) {
        forget_in_groups(&mut session, gone);
    }
    if !bundle.is_empty() && !session.iter().any(|line| line.starts_with("a=group:BUNDLE")) {
        insert_attribute(&mut session, format!("a=group:BUNDLE {}", bundle.join(" ")));
    }
    let sections = kept.iter().flat_map(|(section, _, _)| section);
    Ok(Cleaned { sdp: join(session.iter().chain(sections).map(String::as_str)), dropped })
}

/// Puts sections that [`clean_noting`] left out of an offer into the answer, rejected (port 0).
pub fn restore(answer: &str, dropped: &[Dropped]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for line in answer.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if parts.is_empty() || line.starts_with("m=") {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(line);
            part.push_str("\r\n");
        }
    }
    for d in dropped {
        let mut part = format!("m={} 0 {} {}\r\nc=IN IP4 0.0.0.0\r\n", d.media, d.protocol, d.formats);
        if let Some(mid) = &d.mid {
            part.push_str(&format!("a=mid:{mid}\r\n"));
        }
        part.push_str("a=inactive\r\n");
        // Part 0 is the session's.
        parts.insert((d.index + 1).min(parts.len()), part);
    }
    parts.concat()
}

/// The trimmed lines that are not blank, each checked for shape.
pub(super) fn checked_lines(text: &str) -> Result<Vec<Numbered<'_>>, SdpProblem> {
    let line_end = if text.contains('\n') { '\n' } else { '\r' };
    let mut lines = Vec::new();
    for (index, raw) in text.split(line_end).enumerate() {
        let number = index + 1;
        if raw.len() > MAX_LINE {
            let message = format!("has {} bytes; the limit is {MAX_LINE}", raw.len());
            return Err(SdpProblem::too_large(number, message));
        }
        if number > MAX_LINES + 1 {
            return Err(SdpProblem::too_large(number, format!("the limit is {MAX_LINES} lines")));
        }
        let line = raw.trim();
        if line.is_empty() {
            continue;
        }
        if lines.len() == MAX_LINES {
            return Err(SdpProblem::too_large(number, format!("the limit is {MAX_LINES} lines")));
        }
        check_line(number, line, lines.is_empty())?;
        lines.push((number, if line == "s=" { "s=-" } else { line }));
    }
    if lines.is_empty() {
        return Err(SdpProblem::bad(1, "the SDP is empty"));
    }
    Ok(lines)
}

fn check_line(number: usize, line: &str, first: bool) -> Result<(), SdpProblem> {
    if first && line != "v=0" {
        let message = if line.contains("\\n") || line.contains("\\r") {
            "the line breaks are the characters \\r\\n: the text was escaped twice; send it as one JSON string".into()
        } else {
            format!("is {}; an SDP begins with `v=0`", quote(line))
        };
        return Err(SdpProblem::bad(number, message));
    }
    let bytes = line.as_bytes();
    if !(bytes[0].is_ascii_lowercase() && bytes.get(1) == Some(&b'=')) {
        let message = format!("is {}; each line is a letter, `=` and a value", quote(line));
        return Err(SdpProblem::bad(number, message));
    }
    if line.contains(|c: char| c.is_control() && c != '\t') {
        return Err(SdpProblem::bad(number, format!("has a control character: {}", quote(line))));
    }
    if line.starts_with("m=") {
        let (_, port, _, formats) = m_line_parts(line);
        let port = port.split_once('/').map_or(port, |(port, _)| port);
        if formats.is_empty() || port.parse::<u16>().is_err() {
            let message = format!("is {}; an m-line is `m=KIND PORT PROTOCOL FORMAT ...`", quote(line));
            return Err(SdpProblem::bad(number, message));
        }
    }
    Ok(())
}

/// Media, port, protocol and formats of an m-line; empty where it ends early.
pub(super) fn m_line_parts(line: &str) -> (&str, &str, &str, &str) {
    let rest = line.strip_prefix("m=").unwrap_or(line);
    let mut parts = rest.splitn(4, ' ').map(str::trim);
    let mut part = || parts.next().unwrap_or_default();
    (part(), part(), part(), part())
}

/// The section's mid, entered into `mids`; one that comes twice is refused.
fn mid_of<'a>(section: &[Numbered<'a>], mids: &mut BTreeSet<String>) -> Result<Option<&'a str>, SdpProblem> {
    let Some((number, mid)) = section.iter().find_map(|(n, l)| Some((*n, l.strip_prefix("a=mid:")?.trim())))
    else {
        return Ok(None);
    };
    if mid.is_empty() || mid.contains(char::is_whitespace) {
        return Err(SdpProblem::bad(number, format!("the mid is {}; it is one word", quote(mid))));
    }
    if !mids.insert(mid.to_owned()) {
        return Err(SdpProblem::bad(number, format!("the mid {} is another section's", quote(mid))));
    }
    Ok(Some(mid))
}

/// Before the first attribute, which keeps the order of line types (RFC 8866 section 5), else at the end.
fn insert_attribute(lines: &mut Vec<String>, attribute: String) {
    let place = lines.iter().position(|line| line.starts_with("a=")).unwrap_or(lines.len());
    lines.insert(place, attribute);
}

/// Takes a section that is gone out of the session's groups; a group without sections goes too.
pub(super) fn forget_in_groups(session: &mut Vec<String>, mid: &str) {
    session.retain_mut(|line| {
        let Some(group) = line.strip_prefix("a=group:") else { return true };
        let mut words = group.split_ascii_whitespace();
        let semantics = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.filter(|word| *word != mid).collect();
        let kept = !rest.is_empty();
        *line = format!("a=group:{semantics} {}", rest.join(" "));
        kept
    });
}

pub(super) fn join<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.fold(String::new(), |mut text, line| {
        text.push_str(line);
        text.push_str("\r\n");
        text
    })
}

#[cfg(test)]
#[path = "clean_tests.rs"]
mod tests;
