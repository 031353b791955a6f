//! An SDP taken apart: what each m-section offers, in plain values.

use super::{
    SdpProblem,
    clean::{Numbered, checked_lines, m_line_parts},
};
use crate::signaling::message::quote;

/// What an SDP says, as far as a session asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdpView {
    /// The mids of the first `a=group:BUNDLE`.
    pub bundle: Vec<String>,
    /// The m-sections in order.
    pub sections: Vec<Section>,
}

/// One m-section. What stands at session level (ICE, DTLS, direction) is entered into each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Line of the m-line in the text, from 1.
    pub line: usize,
    /// What is carried.
    pub kind: MediaKind,
    /// Identification tag (RFC 5888).
    pub mid: Option<String>,
    /// 0 for a section that is rejected or bundle-only.
    pub port: u16,
    /// `UDP/TLS/RTP/SAVPF`, ...
    pub protocol: String,
    /// `a=bundle-only` (RFC 9143 section 6).
    pub bundle_only: bool,
    /// Who sends.
    pub direction: Direction,
    /// The payload types in the order of preference; empty unless the protocol is an RTP one.
    pub payloads: Vec<Payload>,
    /// Header extensions (RFC 8285).
    pub extensions: Vec<Extension>,
    /// `a=ssrc` lines (RFC 5576).
    pub ssrcs: Vec<SsrcLine>,
    /// `a=ice-ufrag` (RFC 8839 section 5.4).
    pub ice_ufrag: Option<String>,
    /// `a=ice-pwd`.
    pub ice_pwd: Option<String>,
    /// The first `a=fingerprint` (RFC 8122).
    pub fingerprint: Option<Fingerprint>,
    /// `a=setup`: `actpass`, `active` or `passive` (RFC 4145).
    pub setup: Option<String>,
    /// `a=rtcp-mux` (RFC 5761).
    pub rtcp_mux: bool,
    /// `a=rtcp-rsize` (RFC 5506).
    pub rtcp_rsize: bool,
    /// `candidate:...` lines that came inside the SDP.
    pub candidates: Vec<String>,
}

/// Media of an m-line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// `audio`
    Audio,
    /// `video`
    Video,
    /// `application`: data channels.
    Application,
    /// Any other word.
    Other(String),
}

/// Who sends, as seen by the SDP's author.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both; the default (RFC 8866 section 6.7).
    #[default]
    SendRecv,
    /// The author only.
    SendOnly,
    /// The other side only.
    RecvOnly,
    /// Nobody.
    Inactive,
}

/// A payload type and what stands in its rtpmap, fmtp and rtcp-fb lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// 0 to 127.
    pub number: u8,
    /// Encoding name as written: `opus`, `VP8`, `rtx`. Empty for a dynamic number without rtpmap.
    pub name: String,
    /// RTP clock in hertz; 0 if unknown.
    pub clock: u32,
    /// Audio channels; 1 where none are given.
    pub channels: u8,
    /// Format parameters as written, without the number.
    pub fmtp: Option<String>,
    /// `nack`, `nack pli`, `ccm fir`, `goog-remb`, `transport-cc`.
    pub feedback: Vec<String>,
}

/// A header extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// 1 to 14 in the one-byte form, up to 255 in the two-byte form.
    pub id: u8,
    /// What it is.
    pub uri: String,
}

/// `a=ssrc:SSRC ATTRIBUTE[:VALUE]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsrcLine {
    /// The RTP source.
    pub ssrc: u32,
    /// `cname`, `msid`, ...
    pub attribute: String,
    /// What follows the colon.
    pub value: Option<String>,
}

/// `a=fingerprint:ALGORITHM VALUE`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// `sha-256`, in lower case.
    pub algorithm: String,
    /// Pairs of hexadecimal digits between colons.
    pub value: String,
}

impl SdpView {
    /// Takes `text` apart; bare LF and blanks before lines are no trouble. Unknown attributes are passed over, known ones
    /// out of shape are refused with their line.
    pub fn parse(text: &str) -> Result<Self, SdpProblem> {
        let lines = checked_lines(text)?;
        let first = lines.iter().position(|(_, line)| line.starts_with("m=")).unwrap_or(lines.len());
        let (session, mut rest) = lines.split_at(first);
        let mut view = Self::default();
        for (_, line) in session {
            if let (true, Some(group)) = (view.bundle.is_empty(), line.strip_prefix("a=group:BUNDLE ")) {
                view.bundle = group.split_ascii_whitespace().map(ToOwned::to_owned).collect();
            }
        }
        while let Some(((number, m_line), after)) = rest.split_first() {
            let length = after.iter().position(|(_, line)| line.starts_with("m=")).unwrap_or(after.len());
            let (body, next) = after.split_at(length);
            view.sections.push(Section::parse((*number, m_line), session, body)?);
            rest = next;
        }
        Ok(view)
    }

    /// The first section of `kind` that is not rejected.
    pub fn first(&self, kind: &MediaKind) -> Option<&Section> {
        self.sections.iter().find(|s| s.kind == *kind && !s.rejected())
    }
}

impl Section {
    /// True if the section is refused by its author (port 0) and not merely carried by another.
    pub fn rejected(&self) -> bool {
        self.port == 0 && !self.bundle_only
    }

    /// The payload type `number`.
    pub fn payload(&self, number: u8) -> Option<&Payload> {
        self.payloads.iter().find(|p| p.number == number)
    }

    fn parse(
        (line, m_line): Numbered<'_>,
        session: &[Numbered<'_>],
        body: &[Numbered<'_>],
    ) -> Result<Self, SdpProblem> {
        let (media, port, protocol, formats) = m_line_parts(m_line);
        let mut section = Self {
            line,
            kind: match media {
                "audio" => MediaKind::Audio,
                "video" => MediaKind::Video,
                "application" => MediaKind::Application,
                other => MediaKind::Other(other.to_owned()),
            },
            mid: None,
            port: port.split_once('/').map_or(port, |(p, _)| p).parse().unwrap_or(0),
            protocol: protocol.to_owned(),
            bundle_only: false,
            direction: Direction::default(),
            payloads: Vec::new(),
            extensions: Vec::new(),
            ssrcs: Vec::new(),
            ice_ufrag: None,
            ice_pwd: None,
            fingerprint: None,
            setup: None,
            rtcp_mux: false,
            rtcp_rsize: false,
            candidates: Vec::new(),
        };
        if protocol.contains("RTP/") {
            for word in formats.split_ascii_whitespace() {
                let number = payload_number(line, word)?;
                if section.payload(number).is_none() {
                    section.payloads.push(Payload::fixed(number));
                }
            }
        }
        // Session level first, so that the section's own lines win.
        for (number, text) in session {
            if let Some(attribute) = text.strip_prefix("a=") {
                section.take_shared(*number, attribute)?;
            }
        }
        for (number, text) in body {
            if let Some(attribute) = text.strip_prefix("a=") {
                section.take_shared(*number, attribute)?;
                section.take(*number, attribute)?;
            }
        }
        Ok(section)
    }

    /// Attributes that stand at either level.
    fn take_shared(&mut self, line: usize, attribute: &str) -> Result<(), SdpProblem> {
        let (name, value) = split_attribute(attribute);
        match name {
            "sendrecv" => self.direction = Direction::SendRecv,
            "sendonly" => self.direction = Direction::SendOnly,
            "recvonly" => self.direction = Direction::RecvOnly,
            "inactive" => self.direction = Direction::Inactive,
            "ice-ufrag" => self.ice_ufrag = Some(value.to_owned()),
            "ice-pwd" => self.ice_pwd = Some(value.to_owned()),
            "setup" => self.setup = Some(value.to_owned()),
            "fingerprint" => {
                let Some((algorithm, digest)) = value.split_once(' ') else {
                    return Err(shape(line, attribute, "a=fingerprint:sha-256 AA:BB:..."));
                };
                let algorithm = algorithm.to_ascii_lowercase();
                self.fingerprint = Some(Fingerprint { algorithm, value: digest.trim().to_owned() });
            }
            "extmap" => {
                let mut words = value.split_ascii_whitespace();
                let id = words.next().and_then(|w| w.split('/').next()).and_then(|id| id.parse().ok());
                // Ids from 4096 on are placeholders (RFC 8285 section 7), which nobody sends with.
                let (Some(id), Some(uri)) = (id, words.next()) else {
                    let placeholder =
                        value.split(['/', ' ']).next().is_some_and(|id| id.parse::<u16>().is_ok());
                    return if placeholder { Ok(()) } else { Err(shape(line, attribute, "a=extmap:ID URI")) };
                };
                self.extensions.retain(|e| e.id != id);
                self.extensions.push(Extension { id, uri: uri.to_owned() });
            }
            _ => {}
        }
        Ok(())
    }

    fn take(&mut self, line: usize, attribute: &str) -> Result<(), SdpProblem> {
        let (name, value) = split_attribute(attribute);
        match name {
            "mid" => self.mid = Some(value.to_owned()),
            "bundle-only" => self.bundle_only = true,
            "rtcp-mux" => self.rtcp_mux = true,
            "rtcp-rsize" => self.rtcp_rsize = true,
            "candidate" => self.candidates.push(attribute.to_owned()),
            "rtpmap" => self.take_rtpmap(line, attribute, value)?,
            "fmtp" => {
                if let Some((number, parameters)) = value.split_once(' ') {
                    let number = payload_number(line, number)?;
                    if let Some(payload) = self.payload_mut(number) {
                        payload.fmtp = Some(parameters.trim().to_owned());
                    }
                }
            }
            "rtcp-fb" => {
                let Some((number, feedback)) = value.split_once(' ') else {
                    return Err(shape(line, attribute, "a=rtcp-fb:NUMBER FEEDBACK"));
                };
                let feedback = feedback.trim();
                let wanted = if number == "*" { None } else { Some(payload_number(line, number)?) };
                for payload in self.payloads.iter_mut().filter(|p| wanted.is_none_or(|n| p.number == n)) {
                    payload.feedback.push(feedback.to_owned());
                }
            }
            "ssrc" => {
                let (ssrc, attribute_text) = value.split_once(' ').unwrap_or((value, ""));
                let Ok(ssrc) = ssrc.parse() else {
                    return Err(shape(line, attribute, "a=ssrc:NUMBER ATTRIBUTE:VALUE"));
                };
                let (name, value) = match attribute_text.split_once(':') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (attribute_text, None),
                };
                self.ssrcs.push(SsrcLine { ssrc, attribute: name.to_owned(), value });
            }
            _ => {}
        }
        Ok(())
    }

    fn take_rtpmap(&mut self, line: usize, attribute: &str, value: &str) -> Result<(), SdpProblem> {
        let wanted = || shape(line, attribute, "a=rtpmap:NUMBER NAME/CLOCK");
        let (number, encoding) = value.split_once(' ').ok_or_else(wanted)?;
        let number = payload_number(line, number)?;
        let mut parts = encoding.trim().split('/');
        let name = parts.next().filter(|name| !name.is_empty()).ok_or_else(wanted)?;
        let clock = parts.next().and_then(|clock| clock.parse().ok()).ok_or_else(wanted)?;
        let channels = parts.next().map_or(Ok(1), str::parse).map_err(|_| wanted())?;
        if let Some(payload) = self.payload_mut(number) {
            payload.name = name.to_owned();
            payload.clock = clock;
            payload.channels = channels;
        }
        Ok(())
    }

    fn payload_mut(&mut self, number: u8) -> Option<&mut Payload> {
        self.payloads.iter_mut().find(|p| p.number == number)
    }
}

impl Payload {
    /// A payload type before its rtpmap is seen: the static ones need none (RFC 3551 section 6).
    fn fixed(number: u8) -> Self {
        let (name, clock) = match number {
            0 => ("PCMU", 8000),
            3 => ("GSM", 8000),
            8 => ("PCMA", 8000),
            9 => ("G722", 8000),
            13 => ("CN", 8000),
            18 => ("G729", 8000),
            26 => ("JPEG", 90_000),
            34 => ("H263", 90_000),
            _ => ("", 0),
        };
        Self { number, name: name.to_owned(), clock, channels: 1, fmtp: None, feedback: Vec::new() }
    }
}

fn payload_number(line: usize, word: &str) -> Result<u8, SdpProblem> {
    word.parse::<u8>().ok().filter(|n| *n < 128).ok_or_else(|| {
        SdpProblem::bad(line, format!("the payload type {} is not a number up to 127", quote(word)))
    })
}

fn split_attribute(attribute: &str) -> (&str, &str) {
    attribute.split_once(':').map_or((attribute, ""), |(name, value)| (name, value.trim()))
}

fn shape(line: usize, attribute: &str, wanted: &str) -> SdpProblem {
    SdpProblem::bad(line, format!("is {}; it is `{wanted}`", quote(&format!("a={attribute}"))))
}

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
