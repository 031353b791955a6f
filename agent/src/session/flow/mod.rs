//! The media of one session, without input or output: pictures and sound go in, trains of encrypted packets and reports
//! come out; what the viewer reports decides how much leaves and when.
//!
//! What can be sent is known from the answer on, the keys only when DTLS is done: see [`Flow::open`].

mod budget;
mod fall;
mod patience;
mod round_trip;
mod under_way;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::BytesMut;
use rtc::rtp::header::Header;

pub use self::budget::AUDIO_RATE;
use self::{budget::Budget, fall::Fall, patience::Patience, round_trip::RoundTrip, under_way::UnderWay};
use super::{
    congestion::{Controller, Limits, Pacer, Packet},
    fec::{Mutable, Protection},
    rtcp::{self, Arrivals, Feedback, Reports},
    send::{Counts, Outlet, Repair, Seal, Sender, Sent, SoundStream, Train, VideoStream},
    srtp::{Keys, Outbound, Srtcp},
};
use crate::{
    media::{audio::AudioFrame, video::AccessUnit},
    transport::coarse::lazy,
};

/// The estimate before the viewer has reported anything: what nearly all paths carry, and enough for a first key frame of
/// 40 kB within a tenth of a second at the pace of pictures.
const START: u64 = 1_000_000;
/// Sound and a picture now and then.
const MIN: u64 = 60_000;
/// More than any encoder of such boards makes.
const MAX: u64 = 50_000_000;
/// Assumed before it is measured.
const RTT: Duration = Duration::from_millis(100);
/// The name of all our streams in reports (RFC 3550 section 6.5.1); the session's own is in its SSRCs.
const CNAME: &str = "p2pcam";

/// What a viewer's report asks of others than the flow itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// PLI or FIR, or pictures were left out and the way is clear again.
    Keyframe,
    /// The viewer's own estimate, bits a second.
    Remb(u64),
}

/// What the answer says of the session's streams.
#[derive(Clone, Debug, Default)]
pub struct Streams {
    /// The pictures.
    pub video: Option<VideoStream>,
    /// The sound.
    pub sound: Option<SoundStream>,
    /// Names the agent in reports while it sends nothing.
    pub reporter: u32,
}

/// Both ends of the encryption.
struct Cipher {
    outbound: Outbound,
    srtcp: Srtcp,
}

impl Repair for Protection {
    fn push(&mut self, packet: &[u8]) {
        Self::push(self, packet);
    }

    fn take(&mut self, payload: &mut Vec<u8>) -> Option<u32> {
        Self::take(self, payload)
    }
}

impl Seal for Outbound {
    fn overhead(&self) -> usize {
        Self::overhead(self)
    }

    fn seal(&mut self, packet: &mut [u8], header: usize, index: u64) {
        self.protect(packet, header, index);
    }
}

/// See the module.
pub struct Flow {
    sender: Sender,
    /// Where the viewer takes repair packets.
    repair: Option<Protection>,
    cipher: Option<Cipher>,
    controller: Controller,
    pacer: Pacer,
    reports: Reports,
    /// Of the viewer's packets.
    arrivals: Arrivals,
    budget: Budget,
    patience: Patience,
    fall: Fall,
    under_way: UnderWay,
    video_ssrc: Option<u32>,
    round_trip: RoundTrip,
    rtt: Duration,
    /// Nothing can leave before something happens, though something waits.
    stuck: bool,
    wishes: VecDeque<Wish>,
}

impl Flow {
    /// Of a session that is being answered at `now`, at this time of day.
    pub fn new(now: Instant, wall: SystemTime, streams: &Streams) -> Self {
        let sender = Sender::new(now, streams.video.as_ref(), streams.sound.as_ref());
        let mut reports = Reports::new(now, wall, streams.reporter, CNAME);
        for (ssrc, clock) in sender.clocks() {
            reports.add_stream(ssrc, clock);
        }
        let controller = Controller::new(now, Limits { start: START, min: MIN, max: MAX });
        let pacer = Pacer::new(now, controller.pacing_rate());
        let repair = streams.video.as_ref().filter(|video| video.repair.is_some()).map(|video| {
            let ids = &video.extensions;
            let mutable = Mutable { transport_cc: ids.transport_cc, abs_send_time: ids.abs_send_time };
            Protection::new(video.ssrc, mutable)
        });
        Self {
            sender,
            repair,
            cipher: None,
            controller,
            pacer,
            reports,
            arrivals: Arrivals::new(now, streams.reporter),
            budget: Budget::new(streams.sound.is_some()),
            patience: Patience::default(),
            fall: Fall::default(),
            under_way: UnderWay::default(),
            video_ssrc: streams.video.as_ref().map(|video| video.ssrc),
            round_trip: RoundTrip::default(),
            rtt: RTT,
            stuck: false,
            wishes: VecDeque::new(),
        }
    }

    /// DTLS is done: media may leave, reports can be read.
    pub fn open(&mut self, keys: &Keys) {
        self.cipher = Some(Cipher { outbound: Outbound::new(keys), srtcp: Srtcp::new(keys) });
    }

    /// Whether [`Self::open`] was called.
    pub fn is_open(&self) -> bool {
        self.cipher.is_some()
    }

    /// Media goes another way from now on, or the same one again after a while: what is known of it is void.
    pub fn path_changed(&mut self, now: Instant) {
        self.controller.path_changed(now);
        self.round_trip = RoundTrip::default();
        self.fall.forget();
        self.under_way.gone();
        self.steer(now);
    }

    /// What pictures would use at most, bits a second: no path is probed for more.
    pub fn set_demand(&mut self, bits: u64) {
        self.controller.set_demand(self.budget.whole(bits));
    }

    /// No more pictures come for now, and none that waits is sent; [`Self::set_demand`] when they come again, whose maker then hears
    /// the estimate as if it were new.
    pub fn rest(&mut self) {
        self.controller.set_demand(self.budget.whole(0));
        self.budget.forget();
        self.sender.skip_queued();
        self.under_way.gone();
    }

    /// A picture. What comes too late or after a gap is left out, up to the next key frame.
    pub fn push_video(&mut self, now: Instant, unit: Arc<AccessUnit>) {
        self.stuck = false;
        if !self.is_open() {
            return;
        }
        let (_, oldest) = self.sender.queued();
        if self.patience.is_over(now, oldest) {
            let skipped = self.sender.skip_queued();
            self.patience.lost(skipped);
            if skipped > 0 {
                self.under_way.gone();
            }
        }
        let keyframe = unit.keyframe;
        if !self.patience.takes(now, oldest, &unit) {
            // No timer may be set that would see that the way is clear.
            self.ask_when_clear();
            return;
        }
        if !self.sender.push(now, unit) {
            self.patience.lost(1);
        } else if keyframe {
            self.under_way.pushed(now);
        }
    }

    /// 20 ms of sound.
    pub fn push_sound(&mut self, now: Instant, frame: Arc<AudioFrame>) {
        if self.is_open() {
            self.budget.sounds(now, frame.data.len());
            self.stuck = false;
            self.sender.push_sound(frame);
        }
    }

    /// The next packets to send now.
    pub fn next_train(&mut self, now: Instant) -> Option<Train<'_>> {
        let cipher = self.cipher.as_mut().filter(|_| !self.stuck)?;
        let budget = self.pacer.budget(now);
        let (controller, mut numbered) = (&mut self.controller, false);
        let mut sent = |sent: Sent| {
            numbered = true;
            let Sent { twcc, bytes, at, probe } = sent;
            controller.sent(&Packet { twcc, bytes, at, probe });
        };
        let repair = self.repair.as_mut().map(|repair| repair as &mut dyn Repair);
        let outlet = Outlet { seal: &mut cipher.outbound, repair, sent: &mut sent };
        self.under_way.sent(now, self.sender.queued().1);
        let train = self.sender.next_train(now, budget, outlet);
        match &train {
            Some(train) => {
                self.pacer.spend(train.data.len());
                if !numbered {
                    self.controller.sent_unnumbered(now, train.data.len());
                }
            }
            None => self.stuck = budget > 0,
        }
        train
    }

    /// The next report to send now, encrypted.
    pub fn next_report(&mut self, now: Instant) -> Option<BytesMut> {
        let cipher = self.cipher.as_mut()?;
        if self.reports.poll_timeout().is_none_or(|due| due <= now) {
            for stream in self.sender.reports() {
                self.reports.tally(now, stream.ssrc, stream.packets, stream.octets);
            }
        }
        let compound = self.reports.handle_timeout(now).or_else(|| self.arrivals.handle_timeout(now))?;
        match cipher.srtcp.protect(compound) {
            Ok(datagram) => Some(datagram),
            Err(e) => {
                tracing::debug!("report not sent: {e}");
                None
            }
        }
    }

    /// An encrypted report of the viewer's; whether it really was one.
    pub fn handle_report(&mut self, now: Instant, datagram: &[u8]) -> bool {
        let Some(cipher) = &mut self.cipher else { return false };
        let compound = match cipher.srtcp.unprotect(datagram) {
            Ok(compound) => compound,
            Err(e) => {
                tracing::trace!("report dropped: {e}");
                return false;
            }
        };
        for feedback in rtcp::parse(&compound) {
            self.heed(now, feedback);
        }
        self.steer(now);
        true
    }

    fn heed(&mut self, now: Instant, feedback: Feedback) {
        match feedback {
            Feedback::Twcc(report) => {
                self.budget.measured();
                self.controller.feedback(now, &report);
            }
            Feedback::Nack { ssrc, lost } if Some(ssrc) == self.video_ssrc => {
                self.stuck = false;
                let before = self.sender.mending();
                self.sender.nack(now, self.rtt, &lost);
                self.fall.asked(self.sender.mending().saturating_sub(before));
            }
            Feedback::KeyframeRequest { ssrc } if Some(ssrc) == self.video_ssrc => {
                if !self.under_way.answers(now, self.rtt) {
                    self.wish(Wish::Keyframe);
                }
            }
            Feedback::Remb(bits) => {
                self.budget.measured();
                self.controller.remb(now, bits);
                self.wish(Wish::Remb(bits));
            }
            Feedback::Report { ssrc, fraction_lost, lsr, dlsr, .. } => {
                if let Some(rtt) = self.reports.rtt(now, lsr, dlsr) {
                    self.rtt = self.round_trip.measured(rtt);
                    self.controller.rtt(self.rtt);
                }
                if Some(ssrc) == self.video_ssrc {
                    self.budget.measured();
                    self.controller.receiver_report(now, fraction_lost);
                }
            }
            Feedback::SenderReport { ssrc, ntp, .. } => self.reports.sender_report(now, ssrc, ntp),
            Feedback::Bye { ssrc } => self.reports.goodbye(ssrc),
            Feedback::Nack { .. } | Feedback::KeyframeRequest { .. } => {}
        }
    }

    /// A viewer that says the same often is heard once a turn.
    fn wish(&mut self, wish: Wish) {
        self.wishes.retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&wish));
        self.wishes.push_back(wish);
    }

    /// A packet of the viewer's came with this transport-wide number, of whatever kind.
    pub fn arrived(&mut self, now: Instant, ssrc: u32, number: u16) {
        self.arrivals.heard(now, ssrc, number);
    }

    /// A packet of the viewer's sound came; `clock_rate` in Hz.
    pub fn heard(&mut self, now: Instant, packet: &Header, clock_rate: u32) {
        self.reports.heard(now, packet.ssrc, clock_rate, packet.sequence_number, packet.timestamp);
    }

    /// Goes by what the controller says now.
    fn steer(&mut self, now: Instant) {
        if let Some(probe) = self.controller.probe(now) {
            self.sender.probe(probe.bytes, probe.id);
            self.pacer.probe(now, &probe);
            self.stuck = false;
        }
        self.pacer.set_rate(now, self.controller.pacing_rate());
        self.give_up(now);
        if let Some(repair) = &mut self.repair {
            let amount = repair.amount().next(self.controller.loss(), self.rtt);
            if amount != repair.amount() {
                repair.set(amount);
            }
        }
    }

    /// After a fall, leaves out what was made for the old rate, if that would take too long.
    fn give_up(&mut self, now: Instant) {
        let target = self.controller.target();
        self.fall.note(now, target);
        let (first, again) = (self.sender.queued().0, self.sender.mending());
        if self.fall.gives_up(now, target, first, again) {
            tracing::debug!(
                "{first} and again {again} bytes are given up: the path carries no more than {target} bit/s"
            );
            let skipped = self.sender.give_up();
            self.patience.gave_up(skipped);
            self.under_way.gone();
            self.wish(Wish::Keyframe);
        }
    }

    /// What is wanted of others. Take [`Self::estimate`] first: a key frame that is wanted after a fall is to be made for
    /// the new rate.
    pub fn next_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// What the path carries of pictures, bits a second, if that is news.
    pub fn estimate(&mut self, now: Instant) -> Option<u64> {
        if self.controller.is_silence() {
            // No path is no slow path: when it is back, the viewer is to have at once what it had.
            return None;
        }
        let target = self.controller.target();
        let target = self.repair.as_ref().map_or(target, |repair| repair.amount().without(target));
        self.budget.news(now, target, self.controller.loss())
    }

    /// When [`Self::handle_timeout`], [`Self::next_train`] or [`Self::next_report`] is to be called at the latest. What is not
    /// urgent is due earlier, for those who come by.
    pub fn poll_timeout(&mut self, now: Instant) -> Option<Instant> {
        if !self.is_open() {
            return None;
        }
        let waits = !self.stuck && self.sender.waits();
        let train = waits.then(|| self.pacer.due(now).unwrap_or(now));
        let reports = [self.reports.poll_timeout(), self.arrivals.poll_timeout()];
        // What is held back in a silence waits for its end, and not for a time.
        let estimate = self.budget.due().filter(|_| !self.controller.is_silence());
        let others = [self.controller.poll_timeout(), estimate];
        let later = reports.into_iter().chain(others).flatten().min().map(lazy);
        [train, later].into_iter().flatten().min()
    }

    /// Time passed; costs little where nothing is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.controller.poll_timeout().is_some_and(|due| due <= now) {
            self.controller.handle_timeout(now);
            self.steer(now);
        }
        self.sender.forget(now);
        self.ask_when_clear();
    }

    fn ask_when_clear(&mut self) {
        if self.patience.asks(self.sender.queued().1.is_none()) {
            self.wish(Wish::Keyframe);
        }
    }

    /// The path is overused or silent: what the viewer says next is needed soon.
    pub fn is_urgent(&self) -> bool {
        self.controller.is_pressed()
    }

    /// The last picture that left as a whole since the last call, and when it came.
    pub fn take_finished(&mut self) -> Option<(Arc<AccessUnit>, Instant)> {
        self.sender.take_finished()
    }

    /// Counts since the last call, and pictures left out.
    pub fn take_counts(&mut self) -> (Counts, u64) {
        (self.sender.take_counts(), self.patience.take_lost())
    }
}
