//! The task of one session: moves datagrams, media and messages between the outside and the [`Peer`].

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    end::End,
    explain::Story,
    gap::Gap,
    manager::Shared,
    peer::{Peer, PeerEvent},
    roaming::{Roaming, Surroundings},
    trickle::Trickle,
    warm_up::WarmUp,
};
use crate::{
    board::Viewer,
    media::{
        audio::{AudioFrame, AudioSubscription, TalkPacket, Talker},
        video::{AccessUnit, Bitrate, VideoSubscription},
    },
    signaling::{
        link::Doubt,
        message::{Body, Bye, Candidate, Description, Envelope, SessionId, WireError, code},
    },
    transport::{Endpoint, EndpointEvent, Servers, tcp::NextPicture},
};

/// A talker that sends nothing for this long gives the speaker back.
const TALK_IDLE: Duration = Duration::from_secs(3);
/// Between two looks at what the pictures would use.
const DEMAND_EVERY: Duration = Duration::from_secs(1);
/// A session without any deadline of its own looks around this often.
const IDLE_TICK: Duration = Duration::from_secs(1);
/// Events of one turn: a viewer's reports of two tenths of a second, and time is still heeded in a flood.
const AT_ONCE: usize = 8;

/// What the manager passes on to a session.
pub(super) enum Command {
    Description(Description),
    Candidate(Option<Candidate>),
    /// A second `connect`: its servers replace those of the first.
    Renew(Servers),
    Bye(Bye),
    Error(WireError),
}

/// One session, from `connect` to its end.
pub(super) struct Session {
    pub id: SessionId,
    pub shared: Arc<Shared>,
    pub outbox: mpsc::Sender<Envelope>,
    /// Makes the link ask whether its other end is still there.
    pub doubt: Arc<Doubt>,
    pub commands: mpsc::Receiver<Command>,
    pub stop: CancellationToken,
    pub endpoint: Endpoint,
    pub surroundings: Surroundings,
}

/// The moving parts of a running session.
pub(super) struct Running {
    pub peer: Option<Peer>,
    pub trickle: Trickle,
    pub started: Instant,
    pub roaming: Roaming,
    connected: bool,
    pub ever_connected: bool,
    pub story: Story,
    pub video: Option<VideoSubscription>,
    /// When the flow was last told what the pictures would use: a camera's own rate is known after a while only.
    demanded: Instant,
    warm_up: WarmUp,
    gap: Gap,
    pub privacy: watch::Receiver<Option<Arc<str>>>,
    /// Counts as a viewer while there is a path.
    seen: Option<Viewer>,
    pub audio: Option<AudioSubscription>,
    talker: Option<(Talker, Instant)>,
    /// The log says already that the viewer's voice is not played.
    unheard: bool,
}

impl Session {
    /// Runs to the end and says goodbye.
    pub(super) async fn run(mut self) -> End {
        let now = Instant::now();
        let mut run = Running {
            peer: None,
            trickle: Trickle::default(),
            started: now,
            roaming: Roaming::new(now),
            connected: false,
            ever_connected: false,
            story: Story::default(),
            video: None,
            demanded: now,
            warm_up: WarmUp::default(),
            gap: Gap::default(),
            privacy: self.shared.media.board.privacy.changes(),
            seen: None,
            audio: None,
            talker: None,
            unheard: false,
        };
        info!("viewer asks to connect");
        let end = self.serve(&mut run).await;
        if run.connected {
            self.shared.metrics.connected.dec();
        }
        if let Some(peer) = &mut run.peer {
            peer.close();
            self.transmit(peer, Instant::now());
        }
        let verdict = self.tell_missing_path(&mut run.story, &run.trickle, &end, run.started.elapsed());
        self.say_end(&end, verdict);
        self.shared.metrics.ended.get_or_create(&end.label()).inc();
        info!("session ended after {:.1} s: {end}", run.started.elapsed().as_secs_f32());
        end
    }

    async fn serve(&mut self, run: &mut Running) -> End {
        let mut rare = self.rare(run);
        let mut alarm = pin!(tokio::time::sleep(IDLE_TICK));
        loop {
            // Here and not beside the select below: a flood of datagrams must not make it late.
            let now = Instant::now();
            if !run.peer.as_ref().is_some_and(Peer::is_calm) {
                self.endpoint.hurry(now);
            }
            if let Some(end) = self.tick(run, now).or_else(|| self.pump(run, now)) {
                return end;
            }
            let wake = self.wake_at(run, now).into();
            if alarm.deadline() != wake {
                // No reset: a timer that is put off still wakes up at its old time, for nothing.
                alarm.set(tokio::time::sleep_until(wake));
            }
            tokio::select! {
                _ = &mut rare => {
                    if let Some(end) = self.rarities(run) {
                        return end;
                    }
                    rare = self.rare(run);
                }
                command = self.commands.recv() => match command {
                    Some(command) => if let Some(end) = self.command(run, command) { return end },
                    None => return End::LinkGone,
                },
                event = self.endpoint.next() => self.network(run, event),
                lines = run.trickle.remote.next() => self.use_made(run.peer.as_mut(), &lines),
                unit = next_unit(&mut run.video) => self.picture(run, unit),
                frame = next_frame(&mut run.audio) => self.sound(run, frame),
                () = &mut alarm => {}
            }
            self.take_the_rest(run);
        }
    }

    /// Takes what waits beside the event that woke it up, so that all of it costs one turn. A session that is not connected yet
    /// is heard event by event: how its stack answers to one decides what the next one means.
    fn take_the_rest(&mut self, run: &mut Running) {
        for _ in 0..AT_ONCE {
            let Some(event) = run.connected.then(|| self.endpoint.try_next()).flatten() else { break };
            self.network(run, event);
        }
        if run.connected
            && let Some(unit) = next_unit(&mut run.video).now_or_never()
        {
            self.picture(run, unit);
        }
    }

    /// Does what time is due for.
    fn tick(&self, run: &mut Running, now: Instant) -> Option<End> {
        self.roam(&mut run.roaming, now);
        if let Some(peer) = &mut run.peer {
            peer.handle_timeout(now);
        }
        if run.talker.as_ref().is_some_and(|(_, heard)| now.duration_since(*heard) > TALK_IDLE) {
            run.talker = None;
        }
        let late = !run.ever_connected && now >= run.started + self.shared.connect_timeout;
        if !late && run.story.due(run.started).is_some_and(|due| due <= now) {
            self.forecast(&mut run.story, &run.trickle);
        }
        late.then_some(End::NoPath)
    }

    fn wake_at(&self, run: &mut Running, now: Instant) -> Instant {
        let mut wake = now + IDLE_TICK;
        if let Some(timer) = run.peer.as_mut().and_then(|peer| peer.poll_timeout(now)) {
            wake = wake.min(timer);
        }
        if let Some(due) = run.roaming.due() {
            wake = wake.min(due);
        }
        if !run.ever_connected {
            wake = wake.min(run.started + self.shared.connect_timeout);
        }
        if let Some(due) = run.story.due(run.started) {
            wake = wake.min(due);
        }
        wake
    }

    /// Sends what the peer wants sent and acts on what happened in it.
    fn pump(&mut self, run: &mut Running, now: Instant) -> Option<End> {
        let mut end = None;
        while let Some(event) = run.peer.as_mut().and_then(|peer| peer.poll_event(now)) {
            end = end.or(self.happened(run, event));
        }
        if let Some(peer) = &mut run.peer {
            self.transmit(peer, now);
        }
        end
    }

    fn transmit(&self, peer: &mut Peer, now: Instant) {
        while let Some(out) = peer.poll_transmit(now) {
            self.endpoint.send(out.path, &out.data);
        }
        while let Some((path, train)) = peer.next_train(now) {
            self.endpoint.send_media(path, train.data, train.segment);
            if let Some((unit, packetized)) = peer.flow().take_finished() {
                self.shared.media.video.latency().sent(&unit, packetized, Instant::now());
            }
        }
        let counts = peer.flow().take_counts();
        if counts.0.is_urgent() || peer.flow().is_urgent() {
            self.endpoint.hurry(now);
        }
        self.shared.metrics.flow(counts);
    }

    fn happened(&mut self, run: &mut Running, event: PeerEvent) -> Option<End> {
        match event {
            PeerEvent::Connected => self.connected(run),
            PeerEvent::Moved => {
                if let Some(peer) = &mut run.peer {
                    info!("the viewer chose another path, {}", peer.path());
                }
                self.judge(run);
            }
            PeerEvent::Disconnected => warn!("path lost; waiting for it to come back"),
            PeerEvent::Failed => return Some(if run.ever_connected { End::PathLost } else { End::NoPath }),
            PeerEvent::Closed => return Some(End::ViewerClosed),
            PeerEvent::KeyframeRequest => {
                self.shared.metrics.keyframe_requests.inc();
                if let Some(video) = &run.video {
                    video.request_keyframe();
                }
            }
            PeerEvent::Remb(bits) => {
                self.shared.metrics.remb.set(i64::try_from(bits).unwrap_or(i64::MAX));
            }
            PeerEvent::Estimate(bits) => {
                debug!("the path carries {} kbit/s of pictures", bits / 1000);
                if let Some(video) = &run.video {
                    video.estimate(Bitrate(u32::try_from(bits).unwrap_or(u32::MAX)));
                }
            }
            PeerEvent::Heard(heard) => {
                let now = Instant::now();
                // Speech that comes in lumps would wait longer for its end.
                self.endpoint.hurry(now);
                if run.talker.is_none() {
                    match self.shared.media.talkback.open(self.id.as_str()) {
                        Ok(talker) => (run.talker, run.unheard) = (Some((talker, now)), false),
                        Err(e) if !std::mem::replace(&mut run.unheard, true) => {
                            warn!("the viewer talks and is not played: {e}");
                        }
                        Err(_) => {}
                    }
                }
                if let Some((talker, last)) = &mut run.talker {
                    *last = now;
                    talker.push(TalkPacket {
                        codec: heard.codec,
                        sequence: heard.sequence,
                        timestamp: heard.timestamp,
                        payload: heard.payload,
                        arrival: now,
                    });
                }
            }
        }
        None
    }

    fn connected(&mut self, run: &mut Running) {
        run.roaming.connected(Instant::now());
        if run.connected {
            self.reconnected(run);
            return;
        }
        run.connected = true;
        let now = Instant::now();
        if !std::mem::replace(&mut run.ever_connected, true) {
            self.shared.metrics.path.observe(run.started.elapsed().as_secs_f64());
        }
        self.shared.metrics.connected.inc();
        run.seen = Some(self.shared.media.board.viewers.join());
        let Some(peer) = &mut run.peer else { return };
        let path = peer.path();
        info!("connected after {} ms, {path}", run.started.elapsed().as_millis());
        if let Some(ends) = peer.ends() {
            self.tell_path(&mut run.story, ends, &run.trickle, run.started.elapsed());
        }
        if let Some(codec) = peer.video_codec() {
            peer.flow().set_demand(self.shared.media.video.demand(codec).0.into());
        }
        let units = run.warm_up.finish();
        if units.is_empty() {
            run.video = peer.video_codec().map(|codec| self.shared.media.video.subscribe(codec));
        }
        for unit in units {
            peer.flow().push_video(now, Arc::new(unit));
        }
        run.audio = peer.audio_codec().map(|codec| self.shared.media.audio.subscribe(codec));
    }

    /// The verdict on the path that is now in use.
    fn judge(&self, run: &mut Running) {
        if let Some(ends) = run.peer.as_mut().and_then(Peer::ends) {
            self.tell_path(&mut run.story, ends, &run.trickle, run.started.elapsed());
        }
    }

    /// The path is back, or there is a new one.
    fn reconnected(&self, run: &mut Running) {
        if let Some(peer) = &mut run.peer {
            info!("connected again, {}", peer.path());
        }
        self.judge(run);
        // What was sent meanwhile is lost: the picture goes on with the next key frame.
        if let Some(video) = &run.video {
            video.request_keyframe();
        }
    }

    fn network(&mut self, run: &mut Running, event: EndpointEvent) {
        match event {
            EndpointEvent::Candidate(candidate) => {
                if let Some(peer) = &mut run.peer {
                    self.tell_candidate(&run.trickle, peer, &candidate);
                }
                run.trickle.found(candidate);
            }
            EndpointEvent::CandidateGone(candidate) => run.trickle.lost(&candidate),
            EndpointEvent::GatheringDone => {
                run.trickle.done = true;
                if run.peer.is_some() {
                    self.send(Body::Candidate(None));
                }
            }
            EndpointEvent::Datagram { path, data, at } => {
                run.roaming.heard(at);
                if !run.ever_connected {
                    let chosen = run.peer.as_ref().is_some_and(|peer| peer.path_in_use().is_some());
                    run.story.heard(&data, chosen);
                }
                if let Some(peer) = &mut run.peer {
                    peer.handle_datagram(at, path, data);
                }
            }
        }
    }

    fn command(&mut self, run: &mut Running, command: Command) -> Option<End> {
        match command {
            Command::Description(description) => return self.description(run, &description),
            Command::Candidate(Some(candidate)) => {
                self.take_candidate(&mut run.trickle, run.peer.as_mut(), candidate.candidate);
            }
            Command::Renew(servers) => self.endpoint.renew(&servers),
            Command::Candidate(None) => debug!("viewer has no more candidates"),
            Command::Bye(bye) => return Some(End::ViewerLeft(bye.reason)),
            // A hub that was restarted knows no session, and an error about one message ends none: the path needs neither.
            Command::Error(error) if run.connected && error.code != code::INTERNAL => {
                debug!("reported ({}): {}", error.code, error.message);
            }
            Command::Error(error) => return Some(End::ViewerError(error.message)),
        }
        None
    }

    fn picture(&mut self, run: &mut Running, unit: Option<Arc<AccessUnit>>) {
        let Some(unit) = unit else {
            run.video = None;
            return;
        };
        let Some(peer) = run.peer.as_mut() else { return };
        let now = Instant::now();
        if let Some(video) = run.video.as_ref().filter(|_| now >= run.demanded + DEMAND_EVERY) {
            run.demanded = now;
            peer.flow().set_demand(self.shared.media.video.demand(video.codec()).0.into());
        }
        if run.connected {
            match run.gap.next(self.endpoint.next_picture(peer.path_in_use(), unit.keyframe), unit.keyframe) {
                NextPicture::Send => peer.flow().push_video(now, unit),
                NextPicture::Skip => {}
                NextPicture::Renew => run.video.iter().for_each(VideoSubscription::request_keyframe),
            }
        } else if !run.warm_up.keep(unit) {
            // It takes long: the camera sleeps again until there is a path.
            run.video = None;
        }
    }

    fn sound(&mut self, run: &mut Running, frame: Option<Arc<AudioFrame>>) {
        let (Some(frame), Some(peer)) = (frame, run.peer.as_mut()) else {
            run.audio = None;
            return;
        };
        peer.flow().push_sound(Instant::now(), frame);
    }

    pub(super) fn refuse(&self, code: &str, message: &str) {
        debug!("refused ({code}): {message}");
        self.send(Body::Error(WireError { code: code.into(), message: message.into() }));
    }

    pub(super) fn send(&self, body: Body) {
        if self.outbox.try_send(Envelope::new(self.id.clone(), body)).is_err() {
            self.shared.metrics.messages_dropped.inc();
            debug!("message not sent: the link is down and its queue is full");
        }
    }

    /// Tells the viewer why it is over, unless it said so itself.
    fn say_end(&self, end: &End, verdict: Option<String>) {
        match end {
            End::ViewerLeft(_) | End::ViewerError(_) | End::LinkGone => {}
            End::OfferRefused(error) => self.send(Body::Error(error.clone())),
            End::NoPath => self.refuse(code::NO_PATH, &verdict.unwrap_or_else(|| end.to_string())),
            End::Shutdown | End::PathLost | End::ViewerClosed => {
                self.send(Body::Bye(Bye { reason: end.to_string() }));
            }
        }
    }
}

async fn next_unit(video: &mut Option<VideoSubscription>) -> Option<Arc<AccessUnit>> {
    match video {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}

async fn next_frame(audio: &mut Option<AudioSubscription>) -> Option<Arc<AudioFrame>> {
    match audio {
        Some(subscription) => subscription.next().await,
        None => std::future::pending().await,
    }
}
