//! What is sent with which codec: the choice between what a viewer offers and what the agent has.

use crate::{
    media::{audio::AudioCodec, video::VideoCodec},
    signaling::sdp::Payload,
};

/// One parameter of the fmtp line, by name without regard to case.
fn parameter<'a>(payload: &'a Payload, name: &str) -> Option<&'a str> {
    payload.fmtp.as_deref()?.split(';').find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        key.trim().eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn is(payload: &Payload, name: &str, clock: u32) -> bool {
    payload.name.eq_ignore_ascii_case(name) && payload.clock == clock
}

/// What the viewer's video m-section will carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoChoice {
    /// What is sent.
    pub codec: VideoCodec,
    /// The offer's entry for it.
    pub offered: Payload,
    /// Payload type of its retransmissions (RFC 4588), if offered.
    pub rtx: Option<u8>,
    /// The offer's entry for its repair packets (`flexfec-03`), if there is one.
    pub fec: Option<Payload>,
}

/// What the viewer's audio m-section will carry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioChoice {
    /// What is sent.
    pub send: AudioCodec,
    /// All codecs in common with the offer's entries, the one that is sent first: any of them may come back.
    pub common: Vec<(AudioCodec, Payload)>,
}

/// Profiles that a decoder of constrained baseline may be named by, best first (RFC 6184 section 8.1): the
/// profile_idc and the constraint bits that matter.
const H264_PROFILES: [&str; 5] = ["42e0", "4200", "4d00", "6400", "640c"];

/// Picks the video codec: H.264 with packetization-mode 1 before VP8, by what `ours` has.
pub fn choose_video(offered: &[Payload], ours: &[VideoCodec]) -> Option<VideoChoice> {
    let best = ours.iter().find_map(|&codec| {
        let entry = match codec {
            VideoCodec::H264 => offered
                .iter()
                .filter(|o| is(o, "H264", 90_000) && parameter(o, "packetization-mode") == Some("1"))
                .min_by_key(|o| {
                    let profile = parameter(o, "profile-level-id").unwrap_or("42e01f").to_ascii_lowercase();
                    H264_PROFILES.iter().position(|p| profile.starts_with(p)).unwrap_or(H264_PROFILES.len())
                }),
            VideoCodec::Vp8 => offered.iter().find(|o| is(o, "VP8", 90_000)),
        };
        entry.map(|entry| (codec, entry.clone()))
    })?;
    let (codec, entry) = best;
    let apt = entry.number.to_string();
    let rtx = offered
        .iter()
        .find(|o| is(o, "rtx", 90_000) && parameter(o, "apt") == Some(apt.as_str()))
        .map(|o| o.number);
    let fec = offered.iter().find(|o| is(o, "flexfec-03", 90_000)).cloned();
    Some(VideoChoice { codec, offered: entry, rtx, fec })
}

/// Picks the audio codecs in common: Opus before G.711.
pub fn choose_audio(offered: &[Payload], ours: &[AudioCodec]) -> Option<AudioChoice> {
    let common: Vec<_> = ours
        .iter()
        .filter_map(|&codec| {
            let entry = offered.iter().find(|o| match codec {
                AudioCodec::Opus => is(o, "opus", 48_000),
                AudioCodec::Pcmu => is(o, "PCMU", 8_000),
                AudioCodec::Pcma => is(o, "PCMA", 8_000),
            })?;
            Some((codec, entry.clone()))
        })
        .collect();
    Some(AudioChoice { send: common.first()?.0, common })
}

/// "video: H264 (packetization-mode=1), VP8; audio: OPUS": what the agent has, in words.
pub fn ours_in_words(video: &[VideoCodec], audio: &[AudioCodec]) -> String {
    let video = join(video.iter().map(|c| match c {
        VideoCodec::H264 => "H264 (packetization-mode=1)",
        VideoCodec::Vp8 => "VP8",
    }));
    let audio = join(audio.iter().map(|c| match c {
        AudioCodec::Opus => "opus",
        AudioCodec::Pcmu => "PCMU",
        AudioCodec::Pcma => "PCMA",
    }));
    format!("video: {video}; audio: {audio}")
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let list: Vec<_> = names.collect();
    if list.is_empty() { "nothing".into() } else { list.join(", ") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn offered(number: u8, name: &str, clock: u32, fmtp: &str) -> Payload {
        let fmtp = (!fmtp.is_empty()).then(|| fmtp.into());
        Payload { number, name: name.into(), clock, channels: 1, fmtp, feedback: Vec::new() }
    }

    const OURS: [VideoCodec; 2] = [VideoCodec::H264, VideoCodec::Vp8];

    #[test]
    fn constrained_baseline_with_packetization_mode_1_is_preferred() {
        let offer = [
            offered(96, "VP8", 90_000, ""),
            offered(102, "H264", 90_000, "packetization-mode=0;profile-level-id=42e01f"),
            offered(104, "H264", 90_000, "packetization-mode=1;profile-level-id=640c1f"),
            offered(
                106,
                "H264",
                90_000,
                "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            ),
            offered(107, "rtx", 90_000, "apt=106"),
        ];
        let choice = choose_video(&offer, &OURS).unwrap();
        assert_eq!((choice.codec, choice.offered.number, choice.rtx), (VideoCodec::H264, 106, Some(107)));
    }

    #[test]
    fn an_offer_without_h264_gets_vp8() {
        let offer = [
            offered(98, "VP9", 90_000, ""),
            offered(96, "VP8", 90_000, ""),
            offered(97, "rtx", 90_000, "apt=96"),
            offered(100, "red", 90_000, ""),
            offered(127, "ulpfec", 90_000, ""),
        ];
        let choice = choose_video(&offer, &OURS).unwrap();
        assert_eq!((choice.codec, choice.offered.number, choice.rtx), (VideoCodec::Vp8, 96, Some(97)));
    }

    #[test]
    fn repair_packets_are_taken_if_they_are_of_the_kind_that_is_sent() {
        let mut offer = vec![
            offered(96, "VP8", 90_000, ""),
            offered(120, "ulpfec", 90_000, ""),
            offered(121, "flexfec", 90_000, "repair-window=10000000"),
        ];
        assert_eq!(choose_video(&offer, &OURS).unwrap().fec, None);
        offer.push(offered(49, "flexfec-03", 90_000, "repair-window=10000000"));
        assert_eq!(choose_video(&offer, &OURS).unwrap().fec, offer.last().cloned());
    }

    #[test]
    fn nothing_in_common_is_told_with_both_lists() {
        let video = [offered(98, "VP9", 90_000, ""), offered(35, "AV1", 90_000, "")];
        let audio = [offered(103, "ISAC", 16_000, ""), offered(104, "ISAC", 32_000, "")];
        assert_eq!(choose_video(&video, &OURS), None);
        assert_eq!(choose_audio(&audio, &[AudioCodec::Opus, AudioCodec::Pcmu]), None);
        assert_eq!(
            ours_in_words(&OURS, &[AudioCodec::Opus]),
            "video: H264 (packetization-mode=1), VP8; audio: opus"
        );
    }

    #[test]
    fn all_common_audio_codecs_may_come_back_and_the_best_is_sent() {
        let offer =
            [offered(0, "PCMU", 8_000, ""), offered(111, "OPUS", 48_000, ""), offered(13, "CN", 8_000, "")];
        let ours = [AudioCodec::Opus, AudioCodec::Pcmu, AudioCodec::Pcma];
        let choice = choose_audio(&offer, &ours).unwrap();
        assert_eq!(choice.send, AudioCodec::Opus);
        let types: Vec<_> = choice.common.iter().map(|(_, o)| o.number).collect();
        assert_eq!(types, [111, 0]);
    }
}
