//! A viewer's offer, read and answered: from SDP text to a [`Peer`].

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use rtc::peer_connection::certificate::RTCCertificate;

use super::{
    negotiation::{self, AudioChoice, VideoChoice},
    peer::{Answering, PathTimeouts, Peer},
};
use crate::{
    media::{audio::AudioCodec, video::VideoCodec},
    signaling::{
        candidate::{self, Address, Transport},
        message::{WireError, code},
        sdp::{self, Cleaned, Direction, MediaKind, SdpProblem, SdpView, Section},
    },
};

/// An offer that was read.
pub(super) struct Offer {
    cleaned: Cleaned,
    view: SdpView,
    /// Whether its sections may share one transport. Else only one of them can be taken: there is one transport.
    bundled: bool,
}

/// What is taken of an offer.
struct Taken<'a> {
    video: Option<(&'a str, VideoChoice)>,
    audio: Option<(&'a str, AudioChoice)>,
    /// Whether the viewer wants our sound.
    listens: bool,
}

impl Offer {
    /// Cleans and reads the text.
    pub(super) fn read(text: &str) -> Result<Self, WireError> {
        let cleaned = sdp::clean_noting(text).map_err(wire)?;
        let view = SdpView::parse(&cleaned.sdp).map_err(wire)?;
        // Cleaning enters a group where there is none.
        let bundled = text.split(['\n', '\r']).any(|line| line.trim().starts_with("a=group:BUNDLE"));
        Ok(Self { cleaned, view, bundled })
    }

    /// The sections of a kind that can be taken, with their tags.
    fn sections(&self, kind: MediaKind) -> impl Iterator<Item = (&str, &Section)> {
        let usable =
            move |s: &&Section| s.kind == kind && !s.rejected() && s.direction != Direction::Inactive;
        let sections = self.view.sections.iter().filter(usable);
        sections
            .filter_map(|s| Some((s.mid.as_deref()?, s)))
            .filter(|(mid, _)| self.view.bundle.iter().any(|bundled| bundled == mid))
    }

    /// The first section in which the viewer wants to see, and with what.
    fn video(&self, ours: &[VideoCodec]) -> Option<(&str, VideoChoice)> {
        self.sections(MediaKind::Video)
            .filter(|(_, section)| wants(section))
            .find_map(|(mid, section)| Some((mid, negotiation::choose_video(&section.payloads, ours)?)))
    }

    /// The first section in which the viewer wants to hear, else the first in which it wants to talk.
    fn audio(&self, ours: &[AudioCodec]) -> Option<(&str, AudioChoice, bool)> {
        let mut common: Vec<_> = self
            .sections(MediaKind::Audio)
            .filter_map(|(mid, section)| {
                Some((mid, negotiation::choose_audio(&section.payloads, ours)?, wants(section)))
            })
            .collect();
        common.sort_by_key(|(.., listens)| !listens);
        common.into_iter().next()
    }

    fn take(&self, ours: &Codecs) -> Result<Taken<'_>, WireError> {
        let (video, audio) = (self.video(&ours.video), self.audio(&ours.audio));
        let asks_for_video = self.sections(MediaKind::Video).any(|(_, section)| wants(section));
        if video.is_none() && (audio.is_none() || asks_for_video) {
            if !asks_for_video && self.sections(MediaKind::Audio).next().is_none() {
                let words = "the offer asks for no picture and no sound: its sections are rejected, inactive or \
                             only send; offer one that receives";
                return Err(error(code::BAD_SDP, words.into()));
            }
            let ours = negotiation::ours_in_words(&ours.video, &ours.audio);
            let offered = sdp::codecs_in_words(&self.view);
            let words = format!("the offer has {offered}; this camera has {ours}");
            return Err(error(code::NO_COMMON_CODEC, words));
        }
        let audio = audio.filter(|_| self.bundled || video.is_none());
        let listens = audio.as_ref().is_some_and(|(.., listens)| *listens);
        Ok(Taken { video, audio: audio.map(|(mid, choice, _)| (mid, choice)), listens })
    }

    /// The part of the offer with these sections and nothing else.
    fn part(&self, mids: &[&str]) -> Result<Cleaned, WireError> {
        let part = sdp::select(&self.cleaned, mids).map_err(wire)?;
        let view = SdpView::parse(&part.sdp).map_err(wire)?;
        for section in view.sections {
            let missing = match (section.ice_ufrag, section.ice_pwd, section.fingerprint) {
                (None, ..) => "a=ice-ufrag",
                (_, None, _) => "a=ice-pwd",
                (.., None) => "a=fingerprint",
                _ => continue,
            };
            let mid = section.mid.unwrap_or_default();
            let message = format!("the m-section {mid:?} has no {missing}: send the offer unchanged");
            return Err(error(code::BAD_SDP, message));
        }
        Ok(part)
    }

    /// The peer and the SDP to send back: what cannot be taken of the offer is rejected in it.
    pub(super) fn answer(&self, now: Instant, with: &Answer<'_>) -> Result<(Peer, String), WireError> {
        let taken = self.take(&with.codecs)?;
        let mids = [taken.video.as_ref().map(|v| v.0), taken.audio.as_ref().map(|a| a.0)];
        let mids: Vec<&str> = mids.into_iter().flatten().collect();
        let part = self.part(&mids)?;
        let setup = SdpView::parse(&part.sdp).map_err(wire)?.sections.into_iter().find_map(|s| s.setup);
        let answering = Answering {
            offer: &part.sdp,
            video: taken.video,
            audio: taken.audio,
            listens: taken.listens,
            setup: setup.as_deref(),
            certificate: with.certificate,
            timeouts: PathTimeouts { disconnected: PATH_LOST_AFTER, failed: with.disconnect_timeout },
        };
        let (peer, answer) = Peer::answer(now, answering).map_err(|e| bad_sdp(&e))?;
        Ok((peer, self.complete(&answer, &part)))
    }

    /// Answers this offer within a running session. What was agreed on stays; more is rejected.
    pub(super) fn answer_again(&self, now: Instant, peer: &mut Peer) -> Result<String, WireError> {
        let agreed = peer.mids().to_owned();
        for mid in &agreed {
            let there = self.view.sections.iter().any(|s| s.mid.as_deref() == Some(mid) && !s.rejected());
            if !there {
                let words = format!(
                    "the m-section {mid:?} is agreed on and missing here: offer it as inactive, or start another session"
                );
                return Err(error(code::BAD_SDP, words));
            }
        }
        let part = self.part(&agreed.iter().map(String::as_str).collect::<Vec<_>>())?;
        let answer = peer.answer_again(now, &part.sdp).map_err(|e| bad_sdp(&e))?;
        Ok(self.complete(&answer, &part))
    }

    /// Whether the viewer receives what was agreed on of a kind: a later offer may stop it and begin it again.
    pub(super) fn receives(&self, peer: &Peer, kind: MediaKind) -> bool {
        let agreed = |mid: &str| peer.mids().iter().any(|agreed| agreed == mid);
        self.sections(kind).any(|(mid, section)| agreed(mid) && wants(section))
    }

    /// The answer with all sections of the offer, and no group where the offer has none (RFC 9143 section 7.3).
    fn complete(&self, answer: &str, part: &Cleaned) -> String {
        let whole = sdp::restore(answer, &part.dropped);
        if self.bundled {
            return whole;
        }
        whole.split_inclusive('\n').filter(|line| !line.starts_with("a=group:BUNDLE")).collect()
    }

    /// Identification tag and number of the first m-section of the offer that is in the answer: candidates are told
    /// for it.
    pub(super) fn place(&self, peer: &Peer) -> (String, u16) {
        let agreed = peer.mids();
        let mut sections = self.view.sections.iter().map(|s| s.mid.clone().unwrap_or_default());
        // Sections that cleaning took out have their numbers too.
        let numbers = (0..).filter(|n| !self.cleaned.dropped.iter().any(|d| d.index == usize::from(*n)));
        let found = numbers.zip(&mut sections).find(|(_, mid)| agreed.contains(mid));
        found.map(|(number, mid)| (mid, number)).unwrap_or_default()
    }

    /// Candidates that came inside the SDP.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &str> {
        self.view.sections.iter().flat_map(|s| &s.candidates).map(String::as_str)
    }
}

/// What the agent brings to an answer.
pub(super) struct Answer<'a> {
    /// What can be sent.
    pub codecs: Codecs,
    /// The agent's DTLS certificate.
    pub certificate: &'a RTCCertificate,
    /// How long a lost path may stay lost.
    pub disconnect_timeout: Duration,
}

/// Codecs that the agent has.
pub(super) struct Codecs {
    /// Best first.
    pub video: Vec<VideoCodec>,
    /// Best first.
    pub audio: Vec<AudioCodec>,
}

/// Whether the viewer receives in this section.
fn wants(section: &Section) -> bool {
    matches!(section.direction, Direction::SendRecv | Direction::RecvOnly)
}

/// No packet for this long, and the path counts as interrupted; ICE keepalives come every 2 s.
const PATH_LOST_AFTER: Duration = Duration::from_secs(5);

/// What the WebRTC stack says of an SDP that it does not take.
pub(super) fn bad_sdp(e: &rtc::shared::error::Error) -> WireError {
    error(code::BAD_SDP, format!("the offer cannot be answered: {e}"))
}

/// The address of a candidate that checks can be sent to: UDP and not a hidden name.
pub(super) fn candidate_address(line: &str) -> Option<SocketAddr> {
    let line = candidate::parse(line).ok()?;
    match (line.transport, line.address) {
        (Transport::Udp, Address::Ip(ip)) => Some(SocketAddr::new(ip, line.port)),
        _ => None,
    }
}

fn wire(problem: SdpProblem) -> WireError {
    error(problem.code, problem.to_string())
}

fn error(code: &str, message: String) -> WireError {
    WireError { code: code.into(), message }
}

#[cfg(test)]
#[path = "offer_tests.rs"]
mod tests;
