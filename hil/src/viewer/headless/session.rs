//! One session of a viewer: its connection, and the way of its packets to pictures.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rtc::rtp;
use webrtc::media_stream::track_remote::TrackRemote;

use super::{
    assembler::Assembler,
    lips::{Lips, Stream},
    mending::Mending,
    peer::{PathInUse, Peer, ask_for_keyframe},
    pictures::{Decoding, Picture},
};

/// A key frame, or the wish for it, can get lost: it is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// From the start of a session to its first picture. The page's.
const CONNECT: Duration = Duration::from_secs(20);

/// See the module.
pub struct Session {
    /// The hub's name for it.
    pub id: String,
    /// The connection.
    pub peer: Peer,
    /// It has a path, and keys.
    pub connected: bool,
    /// It had a picture.
    pub seen: bool,
    /// Where the picture comes from.
    pub track: Option<Arc<dyn TrackRemote>>,
    /// Servers that the stack could not use, with the reason.
    pub unusable: Vec<String>,
    began: Instant,
    /// Looks after its path, once it had a picture.
    pub mending: Mending,
    stream: u32,
    assembler: Assembler,
    decoding: Decoding,
    asked: Instant,
    last_picture: Instant,
    path: Option<String>,
}

/// What is wrong with a session that takes too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Connected, but no picture.
    Picture,
    /// Not even connected.
    Path,
}

impl Session {
    /// One whose offer was just sent.
    pub fn new(id: String, peer: Peer, unusable: Vec<String>, now: Instant) -> Self {
        Self {
            id,
            peer,
            connected: false,
            seen: false,
            track: None,
            unusable,
            began: now,
            mending: Mending::new(now),
            stream: 0,
            assembler: Assembler::default(),
            decoding: Decoding::default(),
            asked: now,
            last_picture: now,
            path: None,
        }
    }

    /// What should have happened by now.
    pub fn overdue(&self, now: Instant) -> Option<Overdue> {
        let late = !self.seen && now.saturating_duration_since(self.began) >= CONNECT;
        late.then_some(if self.connected { Overdue::Picture } else { Overdue::Path })
    }

    /// Takes in a packet of the picture; the pictures that are complete with it.
    pub fn picture(&mut self, packet: rtp::Packet, at: Instant, lips: &mut Lips) -> Vec<Picture> {
        self.mending.packet(at);
        self.stream = packet.header.ssrc;
        let report = self.peer.reports().of(self.stream);
        let mut pictures = Vec::new();
        for unit in self.assembler.push(packet, at) {
            if let Some(report) = report {
                lips.came(Stream::Picture, report, unit.rtp_time, unit.complete);
            }
            pictures.extend(self.decoding.decode(unit));
        }
        if !pictures.is_empty() {
            self.seen = true;
            self.last_picture = at;
        }
        pictures
    }

    /// Takes in a packet of sound.
    pub fn sound(&mut self, packet: &rtp::Packet, at: Instant, lips: &mut Lips) {
        self.mending.packet(at);
        if let Some(report) = self.peer.reports().of(packet.header.ssrc) {
            lips.came(Stream::Sound, report, packet.header.timestamp, at);
        }
    }

    /// Asks for a key frame where only one can help.
    pub async fn ask(&mut self, now: Instant) {
        let stopped = now.saturating_duration_since(self.last_picture) > ASK_AGAIN;
        let wanted = stopped || self.decoding.needs_keyframe();
        if let Some(track) = &self.track
            && wanted
            && self.connected
            && self.stream != 0
            && now.saturating_duration_since(self.asked) >= ASK_AGAIN
        {
            self.asked = now;
            ask_for_keyframe(track.as_ref(), self.stream).await;
        }
    }

    /// The pair in use once there are pictures, if it is another one than the last time.
    pub async fn other_path(&mut self) -> Option<PathInUse> {
        if !self.seen {
            return None;
        }
        let path = self.peer.path().await.filter(|path| self.path.as_ref() != Some(&path.pair))?;
        self.path = Some(path.pair.clone());
        Some(path)
    }
}
