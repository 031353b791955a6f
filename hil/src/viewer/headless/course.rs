//! The course of watching: hub, sessions, pictures and time brought together. What breaks is repaired as the hub's page
//! repairs it, so that the rig's viewer recovers when a person's would.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant, SystemTime},
};

use rtc::shared::marshal::MarshalSize;
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until};
use webrtc::peer_connection::RTCPeerConnectionState;

use super::{
    lips::Lips,
    mending::Need,
    peer::{Peer, Told},
    pictures::age_ms,
    servers::Servers,
    session::{Overdue, Session},
    signaling::{Link, Tiding},
    tally::Tally,
    wanted::Wanted,
};
use crate::viewer::Event;

const SECOND: Duration = Duration::from_secs(1);
/// How often it is looked whether pictures have stopped.
const LOOK: Duration = Duration::from_millis(250);
/// Pause before the next session.
const AGAIN: Duration = Duration::from_secs(1);
/// Errors after which another session may well do, so that a viewer that retries does not tell them: the device
/// restarted, or lost a message.
const TRY_AGAIN: [&str; 3] = ["unknown-session", "wrong-state", "duplicate-session"];
/// Errors about one message (docs/protocol.md); the session goes on.
const HARMLESS: [&str; 4] = ["bad-candidate", "too-many-messages", "malformed", "too-large"];

/// See the module.
pub struct Course<T> {
    wanted: Wanted,
    tell: T,
    link: Link,
    linked: bool,
    /// The hub's word that a session may be had: its id and servers.
    chance: Option<(String, Value)>,
    session: Option<Session>,
    /// No session before.
    not_before: Instant,
    tally: Tally,
    lips: Lips,
    told: BTreeSet<String>,
    deadline: Instant,
    second: Interval,
    look: Interval,
}

enum Happening {
    TimeIsOver,
    Second,
    Look,
    Hub(Tiding),
    Told(Option<Told>),
}

/// Why the watching ends, if it does.
type End = Option<String>;

impl<T: FnMut(Event)> Course<T> {
    /// Begins to open the link to the hub; times count from `started`.
    pub fn new(wanted: Wanted, started: Instant, tell: T) -> Self {
        let ticking = |period| {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.reset();
            ticks
        };
        Self {
            link: Link::open(&wanted.hub, &wanted.device, &wanted.token),
            deadline: started + wanted.time,
            wanted,
            tell,
            linked: false,
            chance: None,
            session: None,
            not_before: started,
            tally: Tally::new(started),
            lips: Lips::new(started),
            told: BTreeSet::new(),
            second: ticking(SECOND),
            look: ticking(LOOK),
        }
    }

    /// Watches until the time is over or it cannot go on.
    pub async fn run(mut self) {
        let reason = loop {
            if let Some(reason) = self.begin_if_due().await {
                break reason;
            }
            let end = match self.happening().await {
                Happening::TimeIsOver => Some("the time is over".to_owned()),
                Happening::Second => {
                    let now = Instant::now();
                    let av = self.lips.sound_ahead_ms();
                    let second = self.tally.second(av, now);
                    (self.tell)(second);
                    self.tell_path().await;
                    None
                }
                Happening::Look => self.look().await,
                Happening::Hub(tiding) => self.hub(tiding).await,
                Happening::Told(Some(told)) => self.told(told).await,
                Happening::Told(None) => self.over("the viewer's stack ended", true).await,
            };
            if let Some(reason) = end {
                break reason;
            }
        };
        self.end(reason).await;
    }

    async fn end(mut self, reason: String) {
        let now = Instant::now();
        if let Some(freeze) = self.tally.end(now) {
            (self.tell)(freeze);
        }
        (self.tell)(Event::End { ms: self.tally.ms(now), reason });
        if let Some(session) = self.session.take() {
            self.link.send(json!({"session": session.id, "bye": {"reason": "viewer stopped"}}));
            session.peer.close().await;
        }
        self.link.close().await;
    }

    async fn happening(&mut self) -> Happening {
        let session = self.session.as_mut();
        let pause = (session.is_none() && self.chance.is_some()).then_some(self.not_before);
        let told = async {
            match session {
                Some(session) => session.peer.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // Packets last: they must not keep time from passing.
            biased;
            () = sleep_until(self.deadline.into()) => Happening::TimeIsOver,
            _ = self.second.tick() => Happening::Second,
            _ = self.look.tick() => Happening::Look,
            () = sleep_until(pause.unwrap_or(self.deadline).into()), if pause.is_some() => Happening::Look,
            tiding = self.link.next() => Happening::Hub(tiding),
            told = told => Happening::Told(told),
        }
    }

    fn ms(&self) -> f64 {
        self.tally.ms(Instant::now())
    }

    fn error(&mut self, code: &str, message: impl Into<String>) {
        let message = message.into();
        // What is said while it waits, as by a hub that is away, is said once.
        if self.told.insert(format!("{code} {message}")) {
            let ms = self.ms();
            (self.tell)(Event::Error { ms, code: code.to_owned(), message });
        }
    }

    async fn begin_if_due(&mut self) -> End {
        if self.session.is_some() || Instant::now() < self.not_before || !self.linked {
            return None;
        }
        let (id, connect) = self.chance.take()?;
        let servers = Servers::of(&connect);
        for server in &servers.unusable {
            eprintln!("not used: {server}");
        }
        // First of all, so that the device gathers while this side still writes its offer.
        self.link.send(json!({"session": id, "connect": {}}));
        let ms = self.ms();
        (self.tell)(Event::Session { ms, id: id.clone() });
        let opened = async {
            let mut peer = Peer::open(&self.wanted.addresses, servers.usable, self.wanted.relay_only).await?;
            let offer = peer.offer(false).await?;
            anyhow::Ok((peer, offer))
        };
        let (peer, offer) = match opened.await {
            Ok(opened) => opened,
            Err(error) => return Some(format!("the viewer cannot begin: {error:#}")),
        };
        self.link.send(json!({"session": id, "description": offer}));
        self.link.resume(Some(&id));
        self.session = Some(Session::new(id, peer, servers.unusable, Instant::now()));
        None
    }

    /// Another session may be asked for. A device that was never seen would only be asked in a circle.
    fn goes_on(&self) -> bool {
        self.wanted.retry && self.tally.has_seen()
    }

    /// Ends the session; the watching too, unless another session may be had.
    async fn over(&mut self, why: &str, say: bool) -> End {
        let session = self.session.take()?;
        let again = self.goes_on();
        eprintln!("session {} is over: {why}", session.id);
        if say {
            self.link.send(json!({"session": session.id, "bye": {"reason": "broken"}}));
        }
        self.link.resume(None);
        session.peer.close().await;
        self.not_before = Instant::now() + AGAIN;
        if again {
            return None;
        }
        Some(match session.unusable.as_slice() {
            [] => why.to_owned(),
            unusable => format!("{why}; this viewer did not use {}", unusable.join(", ")),
        })
    }

    async fn hub(&mut self, tiding: Tiding) -> End {
        match tiding {
            Tiding::Opened => {
                self.linked = true;
                if self
                    .session
                    .as_mut()
                    .is_some_and(|session| session.seen && session.mending.linked_again(Instant::now()))
                {
                    return self.restart().await;
                }
            }
            Tiding::Broke(why) => {
                self.linked = false;
                self.chance = None;
                eprintln!("the link to the hub broke: {why}");
                // The picture needs no hub, and many a path comes back by itself.
                if self.session.as_ref().is_some_and(|session| !session.connected && !session.seen) {
                    return self.over("the hub is lost, and there is no path", false).await;
                }
            }
            Tiding::Unreachable(why) => {
                let connected = self.session.as_ref().is_some_and(|session| session.connected);
                if !connected {
                    self.error("hub-unreachable", why);
                }
                if !connected && !self.wanted.retry {
                    return Some("the hub cannot be reached".into());
                }
            }
            Tiding::Refused { code, message } => {
                self.error(code, message.clone());
                return Some(message);
            }
            Tiding::Heard(envelope) => return self.heard(&envelope).await,
        }
        None
    }

    async fn heard(&mut self, envelope: &Value) -> End {
        let id = envelope["session"].as_str();
        if let (Some(id), Some(connect)) = (id, envelope.get("connect")) {
            // New credentials for the session that runs: this viewer keeps those that it has.
            if self.session.as_ref().is_some_and(|session| session.id == id) {
                return None;
            }
            self.chance = Some((id.to_owned(), connect.clone()));
            return None;
        }
        if let Some(error) = envelope.get("error") {
            return self.refused(id, error).await;
        }
        let ms = self.ms();
        let session = self.session.as_mut().filter(|session| Some(session.id.as_str()) == id)?;
        if let Some(description) = envelope.get("description") {
            (self.tell)(Event::Answer { ms });
            session.mending.answered(Instant::now());
            if let Err(error) = session.peer.describe(description).await {
                self.error("bad-sdp", format!("{error:#}"));
                return self.over("the device's answer cannot be used", true).await;
            }
        } else if let Some(candidate) = envelope.get("candidate").filter(|candidate| !candidate.is_null()) {
            match session.peer.candidate(candidate).await {
                Ok(candidate) => (self.tell)(Event::Candidate { ms, remote: true, candidate }),
                Err(error) => eprintln!("{error:#}"),
            }
        } else if let Some(restart) = envelope.get("restart") {
            eprintln!("the device asks for a new path: {}", restart["reason"]);
            if session.seen && session.mending.mend(Instant::now(), self.linked) {
                return self.restart().await;
            }
        } else if let Some(notice) = envelope.get("notice") {
            eprintln!("notice: {notice}");
        } else if let Some(bye) = envelope.get("bye") {
            let reason = bye["reason"].as_str().unwrap_or_default();
            return self.over(&format!("the device said goodbye: {reason}"), false).await;
        }
        None
    }

    async fn refused(&mut self, id: Option<&str>, error: &Value) -> End {
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        let (code, message) = (text("code"), text("message"));
        let running = self.session.as_ref();
        let connected = running.is_some_and(|session| session.connected);
        if HARMLESS.contains(&code.as_str()) || (id.is_some() && id != running.map(|s| s.id.as_str())) {
            eprintln!("{code}: {message}");
            return None;
        }
        // Without a session it is about the link or the device: a picture that runs does not mind.
        if id.is_none() && connected {
            eprintln!("{code}: {message}");
            return None;
        }
        let why = format!("{code}: {message}");
        if TRY_AGAIN.contains(&code.as_str()) && self.goes_on() {
            return self.over(&why, false).await;
        }
        self.error(&code, message);
        if code == "device-offline" {
            self.chance = None;
            self.over(&why, false).await;
            return (!self.wanted.retry).then_some(why);
        }
        if self.session.is_none() {
            return Some(why);
        }
        self.over(&why, false).await
    }

    async fn told(&mut self, told: Told) -> End {
        let ms = self.ms();
        let session = self.session.as_mut()?;
        match told {
            Told::Candidate(candidate) => {
                let body = json!({"candidate": candidate, "sdpMLineIndex": 0});
                self.link.send(json!({"session": session.id, "candidate": body}));
                (self.tell)(Event::Candidate { ms, remote: false, candidate });
            }
            Told::AllCandidates => {
                self.link.send(json!({"session": session.id, "candidate": null}));
            }
            Told::State(state) => {
                session.connected = state == RTCPeerConnectionState::Connected;
                let seen = session.seen;
                (self.tell)(Event::State { ms, state: state.to_string() });
                let failed = state == RTCPeerConnectionState::Failed;
                if seen && (failed || state == RTCPeerConnectionState::Disconnected) {
                    if session.mending.mend(Instant::now(), self.linked) {
                        return self.restart().await;
                    }
                } else if failed {
                    self.error("no-path", "no way through the network was found: all checks failed");
                    return self.over("the connection failed", true).await;
                }
            }
            Told::Track(track) => session.track = Some(track),
            Told::Picture(at, packet) => {
                self.tally.bytes(packet.payload.len());
                self.tally.packet(packet.marshal_size());
                self.picture(at, packet).await;
                if self.wanted.until_picture && self.tally.has_seen() {
                    return Some("there was a picture".into());
                }
            }
            Told::Sound(at, packet) => {
                self.tally.sound();
                self.tally.packet(packet.marshal_size());
                session.sound(&packet, at, &mut self.lips);
            }
        }
        None
    }

    async fn picture(&mut self, at: Instant, packet: rtc::rtp::Packet) {
        let Some(session) = self.session.as_mut() else { return };
        let was_seen = session.seen;
        for picture in session.picture(packet, at, &mut self.lips) {
            let age = picture.strip.map(|strip| age_ms(strip, SystemTime::now()));
            if let Some(event) = self.tally.picture(picture, age, Instant::now()) {
                (self.tell)(event);
            }
        }
        session.ask(Instant::now()).await;
        if session.seen && !was_seen {
            // What was said on the way here may be said again.
            self.told.clear();
            self.tell_path().await;
        }
    }

    /// What time alone brings about.
    async fn look(&mut self) -> End {
        let now = Instant::now();
        let session = self.session.as_mut()?;
        session.ask(now).await;
        if session.seen {
            return match session.mending.look(now, session.connected, self.linked)? {
                Need::Restart => self.restart().await,
                Need::Another => self.over("new candidates did not bring the path back", true).await,
            };
        }
        let (code, message) = match session.overdue(now)? {
            Overdue::Picture => ("no-picture", "connected, but no picture came"),
            Overdue::Path => ("no-path", "no way through the network was found in time"),
        };
        self.error(code, message);
        self.over(message, true).await
    }

    /// New candidates over the same session.
    async fn restart(&mut self) -> End {
        let session = self.session.as_mut()?;
        match session.peer.offer(true).await {
            Ok(offer) => {
                self.link.send(json!({"session": session.id, "description": offer}));
                None
            }
            Err(error) => self.over(&format!("the viewer cannot offer anew: {error:#}"), true).await,
        }
    }

    async fn tell_path(&mut self) {
        let Some(session) = self.session.as_mut() else { return };
        if let Some(path) = session.other_path().await {
            let ms = self.tally.ms(Instant::now());
            (self.tell)(Event::Path { ms, local: path.local, remote: path.remote, rtt_ms: path.rtt_ms });
        }
    }
}
