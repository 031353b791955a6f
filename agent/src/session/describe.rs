//! The viewer's offers in the course of a session: the first one makes the peer, later ones restart ICE or change
//! directions.

use std::time::Instant;

use tracing::info;

use super::{
    driver::{Running, Session},
    end::End,
    offer::{Answer, Codecs, Offer},
    peer::Peer,
};
use crate::signaling::{
    message::{Body, Description, SdpType, WireError, code},
    sdp::MediaKind,
};

impl Session {
    pub(super) fn description(&mut self, run: &mut Running, description: &Description) -> Option<End> {
        if description.kind == SdpType::Answer {
            self.refuse(code::WRONG_STATE, "the device answers offers and made none: send an offer");
            return None;
        }
        let arrived = Instant::now();
        let Some(mut peer) = run.peer.take() else {
            return self.answer(run, &description.sdp, arrived).err().map(|error| {
                self.shared.metrics.offers_refused.inc();
                End::OfferRefused(error)
            });
        };
        let answered = if run.ever_connected {
            self.answer_again(run, &mut peer, &description.sdp, arrived)
        } else {
            let words = "an offer is pending: wait until its path is up, or start another session";
            Err(WireError { code: code::WRONG_STATE.into(), message: words.into() })
        };
        if let Err(error) = answered {
            // The session goes on as agreed before.
            self.shared.metrics.offers_refused.inc();
            self.refuse(&error.code, &error.message);
        }
        run.peer = Some(peer);
        None
    }

    fn answer(&mut self, run: &mut Running, sdp: &str, arrived: Instant) -> Result<(), WireError> {
        let shared = self.shared.clone();
        let offer = Offer::read(sdp)?;
        let with = Answer {
            codecs: Codecs { video: shared.media.video.codecs(), audio: shared.media.audio.codecs() },
            certificate: &shared.certificate,
            disconnect_timeout: shared.disconnect_timeout,
        };
        let (mut peer, answer) = offer.answer(arrived, &with)?;
        // Before the answer goes out: the first check comes right after it.
        self.endpoint.answer_to(peer.ufrag());
        self.send(Body::Description(Description { sdp: answer, kind: SdpType::Answer }));
        shared.metrics.answer.observe(arrived.elapsed().as_secs_f64());
        info!("offer answered in {:.1} ms: {}", arrived.elapsed().as_secs_f32() * 1e3, peer.words());
        run.trickle.place = offer.place(&peer);
        self.tell_candidates(&run.trickle, &mut peer);
        let closed = run.privacy.borrow_and_update().clone();
        self.tell_privacy(closed.as_deref(), false);
        self.take_candidates(&mut run.trickle, &mut peer, &offer);
        // The camera and the encoder wake up while the path is being made.
        run.video = peer.video_codec().map(|codec| shared.media.video.subscribe(codec));
        run.peer = Some(peer);
        Ok(())
    }

    /// Answers a later offer: an ICE restart, or a change of direction.
    fn answer_again(
        &self,
        run: &mut Running,
        peer: &mut Peer,
        sdp: &str,
        arrived: Instant,
    ) -> Result<(), WireError> {
        let before = peer.ufrag().to_owned();
        let offer = Offer::read(sdp)?;
        let answer = offer.answer_again(arrived, peer)?;
        let restarted = peer.ufrag() != before;
        if restarted {
            self.endpoint.answer_to(peer.ufrag());
        }
        self.send(Body::Description(Description { sdp: answer, kind: SdpType::Answer }));
        run.trickle.place = offer.place(peer);
        if restarted {
            info!("the viewer looks for a new path (ICE restart)");
            self.shared.metrics.restarts.inc();
            run.roaming.restarted(arrived);
            self.endpoint.refresh();
            run.trickle.restart();
            self.tell_candidates(&run.trickle, peer);
        } else {
            info!("answered another offer of the viewer");
        }
        self.take_candidates(&mut run.trickle, peer, &offer);
        self.attend(run, peer, &offer);
        Ok(())
    }

    /// Sends what the viewer receives from now on, and nothing else: nobody encodes for a section that is inactive.
    fn attend(&self, run: &mut Running, peer: &mut Peer, offer: &Offer) {
        let media = &self.shared.media;
        let codec = peer.video_codec().filter(|_| offer.receives(peer, MediaKind::Video));
        if codec.is_some() != run.video.is_some() {
            run.video = codec.map(|codec| media.video.subscribe(codec));
            match codec {
                Some(codec) => peer.flow().set_demand(media.video.demand(codec).0.into()),
                None => peer.flow().rest(),
            }
        }
        let codec = peer.audio_codec().filter(|_| offer.receives(peer, MediaKind::Audio));
        if codec.is_some() != run.audio.is_some() {
            run.audio = codec.map(|codec| media.audio.subscribe(codec));
        }
    }
}
