//! What an SDP offers, in a sentence for people.

use super::{MediaKind, SdpView};

/// What goes along with a codec and is none: repair, redundancy, comfort noise, key tones.
const HELPERS: [&str; 6] = ["rtx", "red", "ulpfec", "flexfec-03", "CN", "telephone-event"];

/// Most names of one kind in the sentence, and characters of a name: the text goes to a viewer's screen.
const MAX_NAMES: usize = 16;
const MAX_NAME: usize = 24;

/// "video: VP9, AV1; audio: ISAC": the codecs of each section in order, without the helpers; "nothing" where there is
/// no audio and no video.
pub fn codecs_in_words(view: &SdpView) -> String {
    let kinds = [("video", MediaKind::Video), ("audio", MediaKind::Audio)];
    let parts: Vec<String> = kinds
        .iter()
        .filter(|(_, kind)| view.sections.iter().any(|s| s.kind == *kind))
        .map(|(word, kind)| format!("{word}: {}", names(view, kind)))
        .collect();
    if parts.is_empty() { "nothing".into() } else { parts.join("; ") }
}

fn names(view: &SdpView, kind: &MediaKind) -> String {
    let mut names: Vec<String> = Vec::new();
    for payload in view.sections.iter().filter(|s| s.kind == *kind && !s.rejected()).flat_map(|s| &s.payloads)
    {
        let helper = HELPERS.iter().any(|h| h.eq_ignore_ascii_case(&payload.name));
        let name: String = match payload.name.as_str() {
            "" => format!("unnamed {}", payload.number),
            name => name.chars().filter(char::is_ascii_graphic).take(MAX_NAME).collect(),
        };
        if !helper && !names.iter().any(|n| n.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(MAX_NAMES);
    names.truncate(MAX_NAMES);
    match (names.is_empty(), more) {
        (true, _) => "nothing".into(),
        (_, 0) => names.join(", "),
        (_, more) => format!("{} and {more} more", names.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn words(media: &str) -> String {
        codecs_in_words(
            &SdpView::parse(&format!("v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\n{media}")).unwrap(),
        )
    }

    #[test]
    fn codecs_are_named_without_their_helpers() {
        let media = "m=audio 9 UDP/TLS/RTP/SAVPF 103 13\na=rtpmap:103 ISAC/16000\n\
            m=video 9 UDP/TLS/RTP/SAVPF 98 99 45 46\na=rtpmap:98 VP9/90000\na=rtpmap:99 rtx/90000\n\
            a=rtpmap:45 AV1/90000\na=rtpmap:46 VP9/90000\n";
        assert_eq!(words(media), "video: VP9, AV1; audio: ISAC");
    }

    #[test]
    fn an_offer_of_nothing_says_so() {
        assert_eq!(words(""), "nothing");
        assert_eq!(words("m=video 0 UDP/TLS/RTP/SAVPF 96\na=rtpmap:96 VP8/90000\n"), "video: nothing");
    }

    #[test]
    fn a_long_list_is_cut() {
        let numbers: Vec<String> = (0..20).map(|n| (96 + n).to_string()).collect();
        let maps: String = numbers.iter().map(|n| format!("a=rtpmap:{n} X{n}/90000\n")).collect();
        let text = words(&format!("m=video 9 UDP/TLS/RTP/SAVPF {}\n{maps}", numbers.join(" ")));
        assert!(text.ends_with("X111 and 4 more"), "{text}");
    }
}
