//! Who watches: one trait for the rig's own viewer and for Chromium, and what each of them reports.

pub mod chromium;
pub mod headless;
mod lines;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{lab::Lab, record::Artefact, scenario::plan::ViewerKind};

/// A time without a picture that a person notices.
pub const FREEZE: Duration = Duration::from_millis(500);

/// Whom to watch, and how.
#[derive(Clone, Debug)]
pub struct Watch {
    /// `HOST:PORT` of the hub, plain HTTP.
    pub hub: String,
    /// The device's name there.
    pub device: String,
    /// The viewers' token.
    pub token: String,
    /// Uses relays only.
    pub relay_only: bool,
    /// The own address that its line leads to; `None`: all there are.
    pub address: Option<Ipv4Addr>,
    /// PEM certificate that `turns:` servers are to be trusted by.
    pub turn_ca: Option<String>,
    /// Goes on as a person would: after a session that had a picture and broke, it asks for another one.
    pub retry: bool,
    /// How long, from the request to connect on. What takes longer is cut off.
    pub time: Duration,
    /// Where its logs go.
    pub folder: PathBuf,
    /// Its name in the scenario.
    pub name: String,
}

/// Why a viewer could not watch, which is no word about the device.
#[derive(Debug, thiserror::Error)]
#[error("the viewer {name}: {what}")]
pub struct ViewerError {
    /// Its name.
    pub name: String,
    /// What is missing or went wrong, and what to do.
    pub what: String,
}

/// Somebody who watches from the viewer's side of a lab. Dropping the future ends whatever it started.
#[async_trait::async_trait]
pub trait Viewer: Send {
    /// Which it is.
    fn kind(&self) -> ViewerKind;

    /// Watches; tells each event as it happens. A device that gives nothing is no error, but an [`Event::End`].
    async fn watch(
        &mut self,
        lab: &Lab,
        watch: &Watch,
        events: mpsc::Sender<Event>,
    ) -> Result<Vec<Artefact>, ViewerError>;
}

/// A viewer of a kind. `program` is `p2pcam-hil` itself, which the headless one runs again.
pub fn open(kind: ViewerKind, program: &Path) -> Box<dyn Viewer> {
    match kind {
        ViewerKind::Headless => Box::new(headless::HeadlessViewer::new(program)),
        ViewerKind::Chromium => Box::new(chromium::ChromiumViewer),
    }
}

/// What a viewer tells while it watches; one JSON object a line on the standard output of `p2pcam-hil watch`. Times
/// are milliseconds since the request to connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// The hub gave a session.
    Session {
        /// When.
        ms: f64,
        /// Its id.
        id: String,
    },
    /// A candidate, of this side or the other.
    Candidate {
        /// When.
        ms: f64,
        /// True if the device sent it.
        remote: bool,
        /// The candidate attribute (RFC 8839 section 5.1).
        candidate: String,
    },
    /// The device's answer.
    Answer {
        /// When.
        ms: f64,
    },
    /// The connection's state (W3C RTCPeerConnectionState).
    State {
        /// When.
        ms: f64,
        /// `connected`, `disconnected`, `failed` and so on.
        state: String,
    },
    /// More than [`FREEZE`] without a picture, once there was one: told as soon as it is over, or at the end.
    Freeze {
        /// When it began.
        ms: f64,
        /// How long it was, in milliseconds.
        lasted_ms: f64,
    },
    /// The first picture that could be decoded.
    FirstPicture {
        /// When.
        ms: f64,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The path in use, at the first picture and whenever it changes.
    Path {
        /// When.
        ms: f64,
        /// Type of the own candidate: `host`, `srflx`, `prflx`, `relay`; `host tcp` and so on over TCP (RFC 6544).
        local: String,
        /// Type of the device's.
        remote: String,
        /// Round trip in milliseconds, if measured.
        rtt_ms: Option<f64>,
    },
    /// Once a second.
    Second {
        /// When.
        ms: f64,
        /// Pictures decoded since the last one.
        pictures: u32,
        /// Kilobits a second of pictures, RTP payload.
        kbps: f64,
        /// Longest time without a picture, that ended since the last one or still lasts, in milliseconds.
        longest_gap_ms: f64,
        /// Packets of sound since the last one.
        sound_packets: u32,
        /// Pictures that the device numbered and that were not seen, since the start.
        numbers_missing: u64,
        /// How far sound was before (positive) or behind the picture, in milliseconds, where both can be told: as they
        /// arrived (headless), as they were played (Chromium).
        av_ms: Option<f64>,
        /// Mean time from the pictures' burnt-in clock to their decoding in milliseconds. It means something only where
        /// device and viewer have one clock.
        glass_ms: Option<f64>,
        /// Kilobits a second of pictures and sound, with RTP, UDP and IPv4 headers.
        #[serde(default)]
        wire_kbps: Option<f64>,
        /// Freezes that the browser counted in this session (`freezeCount` of W3C webrtc-stats): a picture that stood for
        /// three times the mean, or 150 ms more than that.
        #[serde(default)]
        freeze_count: Option<u32>,
        /// How long they were together, in milliseconds (`totalFreezesDuration`).
        #[serde(default)]
        frozen_ms: Option<f64>,
    },
    /// The device or the hub said why it does not go on.
    Error {
        /// When.
        ms: f64,
        /// As in docs/protocol.md; of the viewer itself: `token-refused`, `hub-unreachable`, `hub-refused`, `no-picture`.
        code: String,
        /// For people.
        message: String,
    },
    /// The end.
    End {
        /// When.
        ms: f64,
        /// Why.
        reason: String,
    },
}

impl Event {
    /// Its time, in milliseconds since the request to connect.
    pub fn ms(&self) -> f64 {
        match self {
            Self::Session { ms, .. }
            | Self::Candidate { ms, .. }
            | Self::Answer { ms }
            | Self::State { ms, .. }
            | Self::Freeze { ms, .. }
            | Self::FirstPicture { ms, .. }
            | Self::Path { ms, .. }
            | Self::Second { ms, .. }
            | Self::Error { ms, .. }
            | Self::End { ms, .. } => *ms,
        }
    }
}
