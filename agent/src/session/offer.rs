//! A viewer's offer, read and answered: from SDP text to a [`Peer`].

use std::{net::SocketAddr, time::Instant};

use super::{
    manager::Shared,
    negotiation::{self, AudioChoice, VideoChoice},
    peer::{Answering, IceCredentials, PathTimeouts, Peer},
};
use crate::signaling::{
    candidate::{self, Address, Transport},
    message::{WireError, code},
    sdp::{self, Cleaned, MediaKind, SdpProblem, SdpView, Section},
};

/// An offer that was read, and what is taken of it.
pub(super) struct Offer {
    cleaned: Cleaned,
    view: SdpView,
}

impl Offer {
    /// Cleans and reads the text.
    pub(super) fn read(text: &str) -> Result<Self, WireError> {
        let cleaned = sdp::clean_noting(text).map_err(wire)?;
        let view = SdpView::parse(&cleaned.sdp).map_err(wire)?;
        for section in view.sections.iter().filter(|s| !s.rejected()) {
            let missing = match (&section.ice_ufrag, &section.ice_pwd, &section.fingerprint) {
                (None, ..) => "a=ice-ufrag",
                (_, None, _) => "a=ice-pwd",
                (.., None) => "a=fingerprint",
                _ => continue,
            };
            let message =
                format!("the m-section in line {} has no {missing}: send the offer unchanged", section.line);
            return Err(error(code::BAD_SDP, message));
        }
        Ok(Self { cleaned, view })
    }

    /// The section of a kind that carries it: the first that is not rejected.
    fn section(&self, kind: &MediaKind) -> Option<&Section> {
        self.view.first(kind)
    }

    fn video(&self, shared: &Shared) -> Option<(&str, VideoChoice)> {
        let section = self.section(&MediaKind::Video)?;
        let choice = negotiation::choose_video(&section.payloads, &shared.media.video.codecs())?;
        Some((section.mid.as_deref()?, choice))
    }

    fn audio(&self, shared: &Shared) -> Option<(&str, AudioChoice)> {
        let section = self.section(&MediaKind::Audio)?;
        let choice = negotiation::choose_audio(&section.payloads, &shared.media.audio.codecs())?;
        Some((section.mid.as_deref()?, choice))
    }

    /// The peer and the SDP to send back.
    pub(super) fn answer(
        &self,
        now: Instant,
        ice: &IceCredentials,
        shared: &Shared,
    ) -> Result<(Peer, String), WireError> {
        let (video, audio) = (self.video(shared), self.audio(shared));
        if video.is_none() && (audio.is_none() || self.section(&MediaKind::Video).is_some()) {
            let ours = negotiation::ours_in_words(&shared.media.video.codecs(), &shared.media.audio.codecs());
            let offered = sdp::codecs_in_words(&self.view);
            return Err(error(
                code::NO_COMMON_CODEC,
                format!("the offer has {offered}; this camera has {ours}"),
            ));
        }
        let answering = Answering {
            offer: &self.cleaned.sdp,
            video,
            audio,
            ice,
            certificate: &shared.certificate,
            timeouts: PathTimeouts { disconnected: PATH_LOST_AFTER, failed: shared.disconnect_timeout },
        };
        let (peer, answer) = Peer::answer(now, answering).map_err(|e| bad_sdp(&e))?;
        Ok((peer, sdp::restore(&answer, &self.cleaned.dropped)))
    }

    /// Identification tag of the first m-section.
    pub(super) fn first_mid(&self) -> &str {
        self.view.sections.first().and_then(|s| s.mid.as_deref()).unwrap_or("0")
    }

    /// Candidates that came inside the SDP.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &str> {
        self.view.sections.iter().flat_map(|s| &s.candidates).map(String::as_str)
    }
}

/// No packet for this long, and the path counts as interrupted; ICE keepalives come every 2 s.
const PATH_LOST_AFTER: std::time::Duration = std::time::Duration::from_secs(5);

/// Cleans a later offer of a running session.
pub(super) fn clean(text: &str) -> Result<String, WireError> {
    Offer::read(text).map(|offer| offer.cleaned.sdp)
}

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
