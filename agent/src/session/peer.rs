//! One WebRTC peer, the answering side, without input or output: datagrams, pictures, sound and time go in,
//! datagrams and events come out.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use bytes::{Buf, Bytes, BytesMut};
use rtc::peer_connection::{
    certificate::RTCCertificate, sdp::RTCSessionDescription, state::RTCPeerConnectionState,
    transport::RTCIceCandidateInit,
};

use super::{
    authentic::is_authentic,
    connection::Connection,
    flight::Flight,
    flow::{Flow, Streams, Wish},
    negotiation::{AudioChoice, VideoChoice},
    nominations::Nominations,
    send::Train,
    srtp::KeyTap,
    stack,
    tracks::{self, Seeds},
    verdict::Ends,
};
use crate::{
    media::{audio::AudioCodec, video::VideoCodec},
    transport::Path,
};

/// How long a peer may be without any packet before its path counts as lost, and before it counts as gone.
#[derive(Clone, Copy, Debug)]
pub struct PathTimeouts {
    /// To `Disconnected`.
    pub disconnected: Duration,
    /// From there to `Failed`.
    pub failed: Duration,
}

/// What is needed to answer an offer.
pub struct Answering<'a> {
    /// The offer with nothing but the sections below (CRLF, BUNDLE, directions named).
    pub offer: &'a str,
    /// The video m-section's identification tag and choice.
    pub video: Option<(&'a str, VideoChoice)>,
    /// The audio m-section's identification tag and choice.
    pub audio: Option<(&'a str, AudioChoice)>,
    /// Whether the viewer wants our sound; else its section only brings its voice.
    pub listens: bool,
    /// `a=setup` of the offer (RFC 5763 section 5), if any.
    pub setup: Option<&'a str>,
    /// The agent's DTLS certificate.
    pub certificate: &'a RTCCertificate,
    /// See there.
    pub timeouts: PathTimeouts,
}

/// A datagram to send.
#[derive(Debug)]
pub struct Transmit {
    /// How it goes out.
    pub path: Path,
    /// DTLS, STUN, SRTP or SRTCP.
    pub data: BytesMut,
}

/// A packet of talk-back.
#[derive(Clone, Debug)]
pub struct Heard {
    /// By its payload type.
    pub codec: AudioCodec,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP time in the codec's clock.
    pub timestamp: u32,
    /// RTP payload.
    pub payload: Bytes,
}

/// What happened inside.
#[derive(Debug)]
pub enum PeerEvent {
    /// ICE and DTLS are done: media flows.
    Connected,
    /// The viewer has chosen another path; nothing is interrupted.
    Moved,
    /// No packet for a while; it may come back.
    Disconnected,
    /// There is no path, or none any more.
    Failed,
    /// The viewer closed the DTLS association.
    Closed,
    /// The viewer needs a key frame: it says so (PLI, FIR), or it lost pictures that waited too long.
    KeyframeRequest,
    /// The viewer's estimate of what its path carries, bits a second.
    Remb(u64),
    /// What the path carries of pictures, bits a second, by what the viewer reports.
    Estimate(u64),
    /// Sound from the viewer.
    Heard(Heard),
}

/// The answering side of one session.
pub struct Peer {
    connection: Connection,
    tap: KeyTap,
    flow: Flow,
    video: Option<VideoCodec>,
    audio: Option<AudioCodec>,
    heard: Vec<(u8, AudioCodec)>,
    /// Id of the transport-wide sequence numbers of the viewer's sound; 0: it has none.
    numbering: u8,
    mids: Vec<String>,
    ufrag: String,
    password: String,
    nominations: Nominations,
    flight: Flight,
    events: VecDeque<PeerEvent>,
}

type Result<T> = std::result::Result<T, rtc::shared::error::Error>;

impl Peer {
    /// Answers an offer; gives the peer and the answer's SDP. Nothing here waits for anything.
    pub fn answer(now: Instant, with: Answering<'_>) -> Result<(Self, String)> {
        let seeds = Seeds::new();
        let (mut pc, tap) = stack::connection(now, &with)?;
        let video_sender = match &with.video {
            Some((_, choice)) => {
                Some(pc.add_track(tracks::video_track(choice, seeds.video_ssrc, seeds.rtx_ssrc))?)
            }
            None => None,
        };
        let audio_sender = match &with.audio {
            Some((_, choice)) if with.listens => {
                Some(pc.add_track(tracks::audio_track(choice, seeds.audio_ssrc))?)
            }
            _ => None,
        };
        pc.set_remote_description(now, RTCSessionDescription::offer(with.offer.to_owned())?)?;
        let answer = pc.create_answer(None)?;
        let sdp = answer.sdp.clone();
        pc.set_local_description(now, answer)?;

        let mids = [with.video.as_ref().map(|v| v.0), with.audio.as_ref().map(|a| a.0)];
        let mids = mids.into_iter().flatten().map(ToOwned::to_owned).collect();
        let video = with.video.as_ref().zip(video_sender);
        let audio = with.audio.as_ref().zip(audio_sender);
        let streams = Streams {
            video: video
                .map(|((mid, choice), sender)| tracks::video_stream(&mut pc, sender, mid, choice, &seeds)),
            sound: audio
                .map(|((mid, choice), sender)| tracks::sound_stream(&mut pc, sender, mid, choice, &seeds)),
            reporter: seeds.audio_ssrc,
        };
        let heard = with.audio.iter().flat_map(|(_, c)| &c.common).map(|(c, o)| (o.number, *c)).collect();
        let peer = Self {
            connection: Connection::new(now, pc),
            tap,
            flow: Flow::new(now, SystemTime::now(), &streams),
            video: video.map(|((_, choice), _)| choice.codec),
            audio: audio.map(|((_, choice), _)| choice.send),
            heard,
            numbering: streams.sound.as_ref().map_or(0, |sound| sound.extensions.transport_cc),
            mids,
            ufrag: ufrag_of(&sdp),
            password: attribute_of(&sdp, "a=ice-pwd:"),
            nominations: Nominations::default(),
            flight: Flight::default(),
            events: VecDeque::new(),
        };
        Ok((peer, sdp))
    }

    /// Answers a later offer of the same session: an ICE restart, after which [`Self::ufrag`] is another and all
    /// candidates are to be told again, or a change of direction. The codecs stay.
    pub fn answer_again(&mut self, now: Instant, offer: &str) -> Result<String> {
        let stack = self.connection.stack();
        stack.set_remote_description(now, RTCSessionDescription::offer(offer.to_owned())?)?;
        let answer = stack.create_answer(None)?;
        let sdp = answer.sdp.clone();
        stack.set_local_description(now, answer)?;
        let ufrag = ufrag_of(&sdp);
        self.password = attribute_of(&sdp, "a=ice-pwd:");
        if std::mem::replace(&mut self.ufrag, ufrag) != self.ufrag {
            // RFC 8445 section 9: media goes on by the old pair until there is a new one.
            self.nominations = Nominations::after(&self.nominations);
        }
        Ok(sdp)
    }

    /// Identification tags of the m-sections that were agreed on.
    pub fn mids(&self) -> &[String] {
        &self.mids
    }

    /// What is sent, if video was agreed on.
    pub fn video_codec(&self) -> Option<VideoCodec> {
        self.video
    }

    /// What is sent, if audio was agreed on.
    pub fn audio_codec(&self) -> Option<AudioCodec> {
        self.audio
    }

    /// What was agreed on, in words: "video H264, audio Opus".
    pub fn words(&self) -> String {
        let video = self.video_codec().map_or("none".into(), |c| format!("{c:?}"));
        let audio = self.audio_codec().map_or("none".into(), |c| format!("{c:?}"));
        format!("video {video}, audio {audio}")
    }

    /// A local candidate, as `candidate:...`.
    pub fn add_local_candidate(&mut self, line: &str) -> Result<()> {
        let init = RTCIceCandidateInit { candidate: line.into(), ..Default::default() };
        self.connection.stack().add_local_candidate(init)?;
        self.nominations.told_local(line);
        Ok(())
    }

    /// A remote candidate, as `candidate:...`.
    pub fn add_remote_candidate(&mut self, line: &str) -> Result<()> {
        let init = RTCIceCandidateInit { candidate: line.into(), ..Default::default() };
        self.connection.stack().add_remote_candidate(init)?;
        self.nominations.told_remote(line);
        Ok(())
    }

    /// A datagram that came by `path`.
    pub fn handle_datagram(&mut self, now: Instant, path: Path, data: BytesMut) {
        if !is_authentic(&data, &self.password) {
            tracing::trace!("unsigned check from {} dropped", path.remote);
            return;
        }
        if is_report(&data) && self.flow.is_open() {
            if self.flow.handle_report(now, &data) {
                self.nominations.heard(now, path);
            }
            return;
        }
        self.flight.received(&data);
        let known = self.nominations.incoming(now, path, &data);
        self.connection.handle_datagram(now, known, data);
    }

    /// There is a path, and no other is sought.
    pub fn is_calm(&self) -> bool {
        self.connection.is_calm()
    }

    /// Time has come that [`Self::poll_timeout`] named.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.flight.handle_timeout(now);
        self.flow.handle_timeout(now);
        self.connection.handle_timeout(now);
    }

    /// When [`Self::handle_timeout`] wants to be called, or media wants to leave.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        // Without a path nothing of the flow can leave, whatever is due.
        let flow = self.nominations.in_use().and_then(|_| self.flow.poll_timeout(now));
        [self.connection.poll_timeout(), self.flight.due(), flow].into_iter().flatten().min()
    }

    /// The next packets of pictures and sound to send, and their path; after [`Self::poll_transmit`] and before the next
    /// thing that happens.
    pub fn next_train(&mut self, now: Instant) -> Option<(Path, Train<'_>)> {
        let path = self.nominations.in_use()?;
        Some((path, self.flow.next_train(now)?))
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if let Some((path, data)) = self.flight.poll() {
            return Some(Transmit { path, data });
        }
        if !self.connection.is_settled() {
            if let Some((at, path, data)) = self.connection.poll_transmit() {
                let path = self.nominations.outgoing(at, path, &data);
                self.flight.sent(at, path, &data);
                return Some(Transmit { path, data });
            }
            if let Some(base) = self.connection.base() {
                self.nominations.selected(base);
            }
        }
        let path = self.nominations.in_use()?;
        Some(Transmit { path, data: self.flow.next_report(now)? })
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self, now: Instant) -> Option<PeerEvent> {
        if !self.connection.is_settled() {
            self.ask_stack(now);
        }
        if self.nominations.take_move() {
            self.flow.path_changed(now);
            self.events.push_back(PeerEvent::Moved);
        }
        let event = self.events.pop_front().or_else(|| self.flow.estimate(now).map(PeerEvent::Estimate));
        event.or_else(|| match self.flow.next_wish()? {
            Wish::Keyframe => Some(PeerEvent::KeyframeRequest),
            Wish::Remb(bits) => Some(PeerEvent::Remb(bits)),
        })
    }

    fn ask_stack(&mut self, now: Instant) {
        while let Some(packet) = self.connection.poll_packet() {
            self.heard(now, packet);
        }
        while let Some(state) = self.connection.poll_state() {
            let event = match state {
                RTCPeerConnectionState::Connected => self.connected(now),
                RTCPeerConnectionState::Disconnected => Some(PeerEvent::Disconnected),
                RTCPeerConnectionState::Failed => Some(PeerEvent::Failed),
                RTCPeerConnectionState::Closed => Some(PeerEvent::Closed),
                _ => None,
            };
            self.events.extend(event);
        }
    }

    fn connected(&mut self, now: Instant) -> Option<PeerEvent> {
        self.flight.end();
        if self.flow.is_open() {
            self.flow.path_changed(now);
        } else {
            let Some(keys) = self.tap.keys() else {
                tracing::error!(
                    "the session's keys are not to be had: this build of the agent cannot send media"
                );
                return Some(PeerEvent::Failed);
            };
            self.flow.open(&keys);
        }
        Some(PeerEvent::Connected)
    }

    fn heard(&mut self, now: Instant, packet: rtc::rtp::Packet) {
        let header = &packet.header;
        let number = (self.numbering != 0).then(|| header.get_extension(self.numbering)).flatten();
        let number = number.and_then(|mut value| value.try_get_u16().ok());
        if let Some(number) = number {
            self.flow.arrived(now, header.ssrc, number);
        }
        // Pictures from the viewer have payload types that are not in the table: they are not looked at.
        if let Some((_, codec)) = self.heard.iter().find(|(pt, _)| *pt == header.payload_type) {
            let (sequence, timestamp) = (header.sequence_number, header.timestamp);
            self.flow.heard(now, header, codec.clock_rate());
            let heard = Heard { codec: *codec, sequence, timestamp, payload: packet.payload };
            self.events.push_back(PeerEvent::Heard(heard));
        }
    }

    /// The session's media: what goes out leaves by [`Self::next_train`].
    pub fn flow(&mut self) -> &mut Flow {
        &mut self.flow
    }

    /// The ICE user name fragment of the answer; a new one after an ICE restart. Viewers' checks name it.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    /// The path in words: "host 192.0.2.1:5000 to prflx 198.51.100.1:6000"; over TCP "host (tcp) ... to ...".
    pub fn path(&mut self) -> String {
        self.nominations.elsewhere().unwrap_or_else(|| self.connection.path())
    }

    /// What is sent goes by this path, if there is one.
    pub fn path_in_use(&self) -> Option<Path> {
        self.nominations.in_use()
    }

    /// Both ends of the path in use; `None` before there is one.
    pub fn ends(&mut self) -> Option<Ends> {
        self.nominations.ends().or_else(|| self.connection.ends())
    }

    /// Ends the session: the last datagrams (DTLS close_notify) come out of [`Self::poll_transmit`].
    pub fn close(&mut self) {
        self.connection.close();
    }
}

/// RTCP by its packet types (RFC 5761 section 4), behind what is no media at all (RFC 7983).
fn is_report(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, 192..=223, ..])
}

/// The stack's own answer has one; where it had none, no check would ever find the session.
fn ufrag_of(answer: &str) -> String {
    attribute_of(answer, "a=ice-ufrag:")
}

fn attribute_of(answer: &str, name: &str) -> String {
    answer.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
#[path = "peer_network_tests.rs"]
mod network_tests;
