//! The estimate of one path: what was sent and reported goes in, the target comes out.

use std::time::{Duration, Instant};

use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;

use super::{
    Limits, Packet, Probe,
    arrivals::{self, Arrived, Reference, ViewerClock},
    delivery::Delivery,
    fallback::Fallback,
    history::{History, News},
    loss::Loss,
    outage::Outage,
    probing::Probing,
    queue::{Base, Explained},
    rate::{Change, Rate, View},
    sending::Sending,
    trend::Trend,
};

/// Pictures leave this much faster than the target, or key frames would wait: one five times the usual size is out within
/// two picture times.
const PACING: f64 = 2.5;
/// The same while the path carries all that is wanted and more: a usual picture leaves in one train then, which spares calls and
/// timers, and there is no bottleneck whose queue it could fill.
const WIDE_PACING: f64 = 4.0;
/// The part of the ceiling from which on that is so.
const WIDE: f64 = 0.99;
/// While a queue is to be emptied little goes faster than the target, 0.93 of what the link carries at most: the link is
/// busy anyway, and a key frame must not fill the queue again that has just run over.
const DRAIN_PACING: f64 = 1.5;
/// Beyond what the encoders want, room for sound, repair and their own overshoot.
const WANTED: f64 = 1.2;
/// Below this part of the target the sender does not use it: whether there is more is then asked by probes alone.
const LIMITED: f64 = 0.7;
/// Without transport-wide reports for this long, what else the viewer says counts.
const REPORTS_HOLD: Duration = Duration::from_secs(5);
/// Half a second of arrivals: several reports, many pictures.
const ARRIVING: i64 = 500_000;
/// Of what a probe showed this much is used.
const TRUST: f64 = 0.95;
/// A probe that met a full link and yet gained this factor is followed by another after [`AGAIN`].
const WORTH_MORE: f64 = 1.2;
const AGAIN: i64 = 800_000;
/// A fall to less than this part is large: soon after, a probe looks whether it was only a moment.
const LARGE_FALL: f64 = 0.66;
const AFTER_FALL: i64 = 1_500_000;
/// While no probe may be sent, it is asked again after this, microseconds.
const PROBE_AGAIN: i64 = 200_000;
/// Before any round trip is known, milliseconds.
const RTT: f64 = 100.0;

/// Estimates the path to one viewer. All methods take the time; it never goes back.
///
/// The driver tells of each packet ([`Self::sent`]) and each report; calls [`Self::handle_timeout`] when
/// [`Self::poll_timeout`] says so; and after each report and timeout reads the target and the pacing rate and asks for a
/// [`Self::probe`].
pub struct Controller {
    began: Instant,
    rate: Rate,
    history: History,
    sending: Sending,
    explained: Explained,
    clock: ViewerClock,
    base: Base,
    trend: Trend,
    delivery: Delivery,
    loss: Loss,
    probing: Probing,
    outage: Outage,
    fallback: Fallback,
    reported: Option<i64>,
    /// Milliseconds: told, or seen in the reports.
    rtt: f64,
    rtt_told: bool,
    demand: f64,
    start: f64,
    max: f64,
    newest: Option<Newest>,
}

/// The newest packet that a report told of.
#[derive(Clone, Copy)]
struct Newest {
    at: i64,
    end: u64,
    queue: i64,
}

impl Controller {
    /// Begins at the start rate.
    pub fn new(now: Instant, limits: Limits) -> Self {
        let rate = Rate::new(&limits);
        Self {
            began: now,
            history: History::new(),
            sending: Sending::default(),
            explained: Explained::default(),
            clock: ViewerClock::default(),
            base: Base::new(),
            trend: Trend::new(),
            delivery: Delivery::new(),
            loss: Loss::new(),
            probing: Probing::new(rate.target()),
            outage: Outage::default(),
            fallback: Fallback::default(),
            reported: None,
            rtt: RTT,
            rtt_told: false,
            demand: f64::INFINITY,
            start: rate.target(),
            max: limits.max as f64,
            newest: None,
            rate,
        }
    }

    /// A packet with a transport-wide sequence number left. Numbers go up by one.
    pub fn sent(&mut self, packet: &Packet) {
        let now = self.micros(packet.at);
        let bytes = u32::try_from(packet.bytes).unwrap_or(u32::MAX);
        let explained = self.explained.sent(now, bytes, self.rate.target());
        let probe = self.probing.sent(packet.probe, self.history.total(), bytes);
        self.history.push(packet.twcc, now, bytes, explained, probe);
        self.sending.sent(now, bytes);
        self.outage.sent(now, (self.rtt * 1e3) as i64);
    }

    /// Packets without a transport-wide sequence number left, of so many bytes: of them only their rate is known.
    pub fn sent_unnumbered(&mut self, now: Instant, bytes: usize) {
        let now = self.micros(now);
        self.sending.sent(now, u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Transport-wide feedback. What it says of packets that were never sent, or says twice, is passed over, as are
    /// times hours away from those before.
    pub fn feedback(&mut self, now: Instant, report: &TransportLayerCc) {
        let now = self.micros(now);
        // First of all whether it is news: a report that comes again must not move the viewer's clock.
        let mut fresh = false;
        arrivals::read(report, 0, |seq, arrived| fresh |= arrived.is_some() && self.history.awaits(seq));
        if !fresh {
            return;
        }
        let reference = match self.clock.place(now, report.reference_time) {
            Reference::At(reference) => reference,
            Reference::Jumped(reference) => {
                self.forget_times();
                reference
            }
            Reference::Doubtful => return,
        };
        arrivals::read(report, reference, |seq, arrived| {
            if let Some(news) = self.history.report(seq, arrived.is_some()) {
                Self::take(
                    &news,
                    arrived,
                    now,
                    (&mut self.base, &mut self.trend, &mut self.delivery),
                    (&mut self.loss, &mut self.probing, &mut self.newest),
                );
            }
        });
        self.reported = Some(now);
        if let Some(before) = self.outage.answered() {
            // The path is back: whether as wide as before, a probe tells at once.
            self.trend.clear();
            self.loss.excuse(now);
            self.probing.abort();
            self.probing.ask(now, before);
        }
        self.decide(now);
    }

    /// What a report says of one packet. Not a method, as the history is borrowed meanwhile.
    fn take(
        news: &News,
        arrived: Option<Arrived>,
        now: i64,
        (base, trend, delivery): (&mut Base, &mut Trend, &mut Delivery),
        (loss, probing, newest): (&mut Loss, &mut Probing, &mut Option<Newest>),
    ) {
        let sent = match news {
            News::Lost(sent) => {
                loss.lost();
                delivery.lost(sent.bytes);
                return;
            }
            // Its time is that of another path or of a long way round.
            News::Late => {
                loss.late();
                return;
            }
            News::Arrived(sent) => sent,
        };
        loss.arrived();
        let Some(Arrived::At(arrival)) = arrived else { return };
        let end = sent.before + u64::from(sent.bytes);
        let queue = base.queue(now, arrival - sent.at);
        trend.arrived(sent.at, (queue - i64::from(sent.explained)).max(0));
        delivery.arrived(arrival, end, queue);
        if sent.probe {
            probing.arrived(sent, arrival);
        }
        if newest.is_none_or(|newest| newest.end < end) {
            *newest = Some(Newest { at: sent.at, end, queue });
        }
    }

    fn decide(&mut self, now: i64) {
        let Some(newest) = self.newest else { return };
        if !self.rtt_told {
            // The pause before the report is in it, so the least of late is nearest to the truth.
            let seen = (now - newest.at) as f64 / 1e3;
            self.rtt = if seen < self.rtt { seen } else { self.rtt + (seen - self.rtt) * 0.02 };
        }
        let limited = self.limited(now);
        self.probing.suit(limited, self.rate.knows_the_link());
        let view = View {
            now,
            usage: self.trend.usage(),
            in_flight: (
                self.history.total().saturating_sub(newest.end) as f64,
                (now - newest.at).max(0) as f64 / 1e6,
            ),
            queue: newest.queue as f64 / 1e6,
            arriving: self.delivery.rate(ARRIVING),
            full: self.delivery.full(),
            overflows: self.loss.overflows(),
            rtt: self.rtt / 1e3,
            limited,
            ceiling: self.ceiling(),
        };
        match self.rate.step(&view) {
            Change::None => {}
            Change::Fell => self.explained.clear(),
            Change::Drained(before) => {
                self.trend.clear();
                if self.rate.target() < before * LARGE_FALL {
                    self.probing.ask(now + AFTER_FALL, before * 0.85);
                }
            }
            Change::Futile(queue) => {
                self.trend.clear();
                self.base.accept((queue * 1e6) as i64);
            }
        }
        if let Some(outcome) = self.probing.judge(now, newest.end) {
            self.probed(now, outcome.rate, outcome.full);
        }
        if self.rate.drains() {
            self.loss.excuse(now);
        } else if let Some(loss) = self.loss.judge(now) {
            self.rate.lower(self.rate.target() * (1.0 - loss).max(0.3));
        }
    }

    fn probed(&mut self, now: i64, rate: f64, full: bool) {
        if self.rate.drains() || rate * TRUST <= self.rate.target() {
            return;
        }
        let before = self.rate.target();
        self.rate.set((rate * TRUST).min(self.ceiling().max(before)));
        if !full {
            self.probing.follow(now, rate);
        } else if rate > before * WORTH_MORE {
            // Jitter and loss make a free link look full: what gained so much deserves a second look.
            self.probing.ask(now + AGAIN, self.rate.target() * 2.0);
        }
    }

    /// Packets take another path from now on: nothing measured on the old one holds. Begins anew at the start rate, with a
    /// probe at the old one.
    pub fn path_changed(&mut self, now: Instant) {
        let now = self.micros(now);
        let before = self.rate.target();
        self.forget_times();
        self.explained.clear();
        self.loss.excuse(now);
        self.rate.restart(self.start);
        (self.rtt, self.rtt_told) = (RTT, false);
        if self.rate.target() < before {
            self.probing.ask(now, before);
        }
    }

    /// The viewer's own estimate (REMB), bits a second; counts only without transport-wide feedback.
    pub fn remb(&mut self, now: Instant, bits: u64) {
        let now = self.micros(now);
        if self.reports_hold(now) || bits == 0 {
            return;
        }
        self.outage.excused();
        let target = self.fallback.remb(now, bits as f64, self.rate.target());
        self.rate.set(target.min(self.ceiling().max(self.rate.target())));
    }

    /// The fraction lost of a receiver report, 1/256; counts only without transport-wide feedback.
    pub fn receiver_report(&mut self, now: Instant, fraction_lost: u8) {
        let now = self.micros(now);
        if self.reports_hold(now) {
            return;
        }
        self.outage.excused();
        let loss = f64::from(fraction_lost) / 256.0;
        self.loss.told(loss);
        let sending = self.sending.rate(now).unwrap_or(0.0);
        let target = self.fallback.report(now, loss, sending, self.rate.target());
        self.rate.set(target.min(self.ceiling().max(self.rate.target())));
    }

    /// The round trip as RTCP or STUN measured it.
    pub fn rtt(&mut self, rtt: Duration) {
        let ms = rtt.as_secs_f64() * 1e3;
        self.rtt = if self.rtt_told { self.rtt + (ms - self.rtt) * 0.25 } else { ms };
        self.rtt_told = true;
    }

    /// What pictures, sound and repair would use at most, bits a second: nothing beyond a margin over it is asked for.
    pub fn set_demand(&mut self, bits: u64) {
        self.demand = bits as f64;
    }

    /// Bits a second that may be sent, all packets together, counted as [`Packet::bytes`].
    pub fn target(&self) -> u64 {
        self.rate.target() as u64
    }

    /// For [`super::Pacer::set_rate`], bits a second.
    pub fn pacing_rate(&self) -> u64 {
        let target = self.rate.target();
        let pacing = match () {
            () if self.rate.drains() => DRAIN_PACING,
            () if target >= self.ceiling() * WIDE => WIDE_PACING,
            () => PACING,
        };
        (target * pacing) as u64
    }

    /// A probe to send now. Ask after each report and timeout.
    pub fn probe(&mut self, now: Instant) -> Option<Probe> {
        let now = self.micros(now);
        if !self.may_probe(now) {
            return None;
        }
        let (target, ceiling) = (self.rate.target(), self.ceiling());
        self.probing.begin(now, target, ceiling)
    }

    /// When [`Self::handle_timeout`] wants to be called, at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        // Without numbers in reports, nobody would see what a probe shows.
        let seen = self.sending.any() && (self.probing.is_new() || self.reported.is_some());
        let probing = self.probing.due(self.rate.target(), self.ceiling()).filter(|_| seen);
        let next = [self.outage.due(), probing].into_iter().flatten().min()?;
        Some(self.began + Duration::from_micros(u64::try_from(next).unwrap_or(0)))
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.micros(now);
        if let Some(target) = self.outage.tick(now, self.rate.target()) {
            self.probing.abort();
            self.rate.lower(target);
        }
        // Nothing was heard of it to its end: it showed nothing.
        self.probing.judge(now, 0);
        if !self.may_probe(now) {
            self.probing.postpone(now + PROBE_AGAIN);
        }
    }

    /// The viewer has said nothing for so long that [`Self::target`] falls by the clock alone: of its path that says nothing.
    pub fn is_silence(&self) -> bool {
        self.outage.is_silence()
    }

    /// The path carries less than before, or nothing is heard of it: what the viewer says next decides what is sent.
    pub fn is_pressed(&self) -> bool {
        self.rate.drains() || self.trend.usage().over || self.is_silence()
    }

    /// The share of packets lost of late, 0 to 1.
    pub fn loss(&self) -> f32 {
        self.loss.fraction() as f32
    }

    /// The round trip, milliseconds; what is assumed before it is known is 100.
    pub fn rtt_ms(&self) -> f32 {
        self.rtt as f32
    }

    /// Nothing waits and the viewer answers, or it is the very beginning.
    fn may_probe(&self, now: i64) -> bool {
        let answered = self.reports_hold(now) || self.probing.is_new();
        answered
            && self.sending.any()
            && !self.rate.drains()
            && !self.outage.lasts()
            && !self.trend.usage().over
    }

    fn ceiling(&self) -> f64 {
        (self.demand * WANTED).min(self.max)
    }

    fn limited(&self, now: i64) -> bool {
        self.sending.rate(now).is_some_and(|rate| rate < self.rate.target() * LIMITED)
    }

    fn reports_hold(&self, now: i64) -> bool {
        self.reported.is_some_and(|at| now - at < REPORTS_HOLD.as_micros() as i64)
    }

    fn forget_times(&mut self) {
        self.base.clear();
        self.trend.clear();
        self.delivery.clear();
        self.probing.abort();
        self.newest = None;
    }

    fn micros(&self, at: Instant) -> i64 {
        i64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(i64::MAX)
    }
}
