//! Cuts an offer down to the m-sections that are taken, in a form that a strict parser understands.

use super::{
    Cleaned, Direction, Dropped, SdpProblem, SdpView,
    clean::{checked_lines, forget_in_groups, join, m_line_parts},
};

/// Lines that are not for the parser: candidates go another way, simulcast (RFC 8853) is not taken.
const LEFT_OUT: [&str; 5] =
    ["a=candidate:", "a=end-of-candidates", "a=rid:", "a=simulcast:", "a=bundle-only"];

/// What a bundled section may leave to the first one of its group (RFC 9143 section 7.1.3).
const TRANSPORT: [&str; 4] = ["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:"];

/// Only the sections with the identification tags `mids`; the others are noted as dropped, so that
/// [`restore`](super::restore) answers them with port 0. Each kept section gets what it leaves to another place: its
/// direction, and the transport attributes of the first section of `cleaned` that has them.
///
/// # Errors
/// Where `cleaned` is no SDP in shape; the result of [`clean_noting`](super::clean_noting) is.
pub fn select(cleaned: &Cleaned, mids: &[&str]) -> Result<Cleaned, SdpProblem> {
    let view = SdpView::parse(&cleaned.sdp)?;
    let lines: Vec<&str> = checked_lines(&cleaned.sdp)?.into_iter().map(|(_, line)| line).collect();
    let starts: Vec<usize> =
        lines.iter().enumerate().filter(|(_, line)| line.starts_with("m=")).map(|(i, _)| i).collect();
    let session_end = starts.first().copied().unwrap_or(lines.len());
    let mut session: Vec<String> = lines[..session_end].iter().map(|line| (*line).to_owned()).collect();
    let bodies: Vec<&[&str]> = starts
        .iter()
        .enumerate()
        .map(|(i, start)| &lines[*start..starts.get(i + 1).copied().unwrap_or(lines.len())])
        .collect();

    let mut dropped = cleaned.dropped.clone();
    // Sections that went before keep their numbers: the rest has those in between.
    let numbers = (0..).filter(|n| !cleaned.dropped.iter().any(|d| d.index == *n));
    let mut kept: Vec<String> = Vec::new();
    for ((body, section), index) in bodies.iter().zip(&view.sections).zip(numbers) {
        let (media, _, protocol, formats) = m_line_parts(body[0]);
        let mid = section.mid.as_deref();
        if !mid.is_some_and(|mid| mids.contains(&mid)) {
            let (media, protocol, formats) = (media.into(), protocol.into(), formats.into());
            dropped.push(Dropped { index, media, protocol, formats, mid: mid.map(Into::into) });
            continue;
        }
        // 9 is the port of a section whose candidates come later (RFC 8840 section 4.1.1).
        kept.push(format!("m={media} 9 {protocol} {formats}"));
        let own = body[1..].iter().filter(|line| !LEFT_OUT.iter().any(|out| line.starts_with(out)));
        kept.extend(own.map(|line| (*line).to_owned()));
        if !body.iter().any(|line| ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"].contains(line)) {
            kept.push(direction(section.direction).into());
        }
        for name in TRANSPORT {
            let has = |lines: &[&str]| lines.iter().any(|line| line.starts_with(name));
            if !has(body) && !session.iter().any(|line| line.starts_with(name)) {
                let lent = bodies.iter().find(|body| has(body));
                let lent = lent.and_then(|body| body.iter().find(|line| line.starts_with(name)));
                kept.extend(lent.map(|line| (*line).to_owned()));
            }
        }
    }
    dropped.sort_by_key(|d| d.index);
    for gone in dropped.iter().filter_map(|d| d.mid.as_deref()) {
        forget_in_groups(&mut session, gone);
    }
    Ok(Cleaned { sdp: join(session.iter().chain(&kept).map(String::as_str)), dropped })
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "a=sendrecv",
        Direction::SendOnly => "a=sendonly",
        Direction::RecvOnly => "a=recvonly",
        Direction::Inactive => "a=inactive",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::signaling::sdp::{clean_noting, restore};

    const OFFER: &str = "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=group:BUNDLE a v d\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 0\na=mid:a\na=ice-ufrag:u\na=ice-pwd:p\na=setup:active\n\
        a=candidate:1 1 udp 1 192.0.2.1 9 typ host\n\
        m=application 9 DTLS/SCTP 5000\na=mid:old\n\
        m=video 0 UDP/TLS/RTP/SAVPF 96\na=bundle-only\na=mid:v\na=ice-ufrag:u\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:d\n";

    #[test]
    fn what_a_bundled_section_leaves_to_another_is_entered() {
        let selected = select(&clean_noting(OFFER).unwrap(), &["v"]).unwrap();
        let view = SdpView::parse(&selected.sdp).unwrap();
        assert_eq!(view.bundle, ["v"]);
        let [video] = &view.sections[..] else { panic!("{}", selected.sdp) };
        assert_eq!((video.port, video.direction, video.bundle_only), (9, Direction::SendRecv, false));
        let ice = (video.ice_ufrag.as_deref(), video.ice_pwd.as_deref(), video.setup.as_deref());
        assert_eq!(ice, (Some("u"), Some("p"), Some("active")));
        assert!(selected.sdp.contains("a=sendrecv\r\n"), "{}", selected.sdp);
    }

    #[test]
    fn the_answer_names_every_section_of_the_offer_in_its_place() {
        let selected = select(&clean_noting(OFFER).unwrap(), &["a", "v"]).unwrap();
        assert!(!selected.sdp.contains("candidate"), "{}", selected.sdp);
        let view = SdpView::parse(&restore(&selected.sdp, &selected.dropped)).unwrap();
        let sections: Vec<_> =
            view.sections.iter().map(|s| (s.mid.as_deref().unwrap(), s.port, s.protocol.as_str())).collect();
        assert_eq!(
            sections,
            [
                ("a", 9, "UDP/TLS/RTP/SAVPF"),
                ("old", 0, "DTLS/SCTP"),
                ("v", 9, "UDP/TLS/RTP/SAVPF"),
                ("d", 0, "UDP/DTLS/SCTP")
            ]
        );
        assert_eq!(view.bundle, ["a", "v"]);
    }
}
