//! One RTP stream of one codec on its way from packets to samples.
//!
//! All decisions come from one figure: the delay of a sample if it were played now, over that of the fastest packet
//! that the path brought lately. It is held near the estimator's target.

use std::time::{Duration, Instant};

use super::{
    JitterCounts,
    delay::DelayEstimator,
    queue::{PacketQueue, Queued},
    wrap::{unwrap_u16, unwrap_u32},
};
use crate::media::audio::{
    AudioCodec, BLOCK, SAMPLE_RATE,
    codec::{self, AudioDecoder, MAX_PACKET_SAMPLES},
    dsp::stretch::{ENOUGH, Haste, lengthen, shorten},
    talk::TalkPacket,
};

/// Without a packet for this long the talker has stopped: silence instead of ever more made-up sound.
const STOPPED_SAMPLES: i64 = SAMPLE_RATE as i64 / 2;
/// After such a pause, what was known of the path no longer counts.
const PAUSE: Duration = Duration::from_millis(500);
/// A jump in the sequence by more is another stream: 20 s of loss is no conversation.
const MAX_SEQUENCE_JUMP: i64 = 1_000;
/// A packet whose media time is off from its arrival by more does not belong to this stream.
const MAX_TRANSIT_JUMP_US: i64 = 3_000_000;
/// Above target by more than this: sound is shortened. Wide enough that the 20 ms grid of pulls is no reason.
const HIGH_US: i64 = 20_000;
/// Below target by more than this: sound is lengthened.
const LOW_US: i64 = 10_000;
/// Off by more than this, changing the length may be heard.
const URGENT_US: i64 = 80_000;
/// Above target by more than this: whole packets are thrown away, shortening would take seconds.
const BACKLOG_US: i64 = 200_000;
/// Too little sound waits for shortening it, whatever the clock says.
const KEEP_US: i64 = 45_000;
/// Time between two changes of length: at most a quarter faster or slower.
const STRETCH_PAUSE: Duration = Duration::from_millis(60);
/// A gap is jumped over instead of filled if the sound after it is late by this much.
const JUMP_US: i64 = 100_000;
/// Share of lost packets from which on an Opus stream waits one packet longer, so that FEC finds its copy.
const LOSSY: f64 = 0.01;
/// Part of each packet's fate that enters the share: the mean of about 128 packets.
const LOSS_SMOOTHING: f64 = 1.0 / 128.0;
/// Part of a new delay that is taken over with each pull: the mean of about 0.3 s.
const SMOOTHING: f64 = 1.0 / 16.0;

/// Whether a packet belongs to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It was dealt with.
    Fits,
    /// Its numbers do not go on from the stream's; nothing was changed.
    Strange,
}

/// The packets and samples of one stream.
pub struct Stream {
    codec: AudioCodec,
    decoder: Box<dyn AudioDecoder>,
    /// Zero of the microseconds below.
    epoch: Instant,
    last_arrival: Instant,
    /// Highest sequence number and RTP timestamp so far, running on.
    newest: (i64, i64),
    estimator: DelayEstimator,
    queue: PacketQueue,
    /// Decoded, not played; ends at media time `end`.
    fifo: Vec<i16>,
    end: i64,
    next_sequence: i64,
    playing: bool,
    /// Samples made up since the last packet because none was there.
    held: i64,
    /// Mean delay in microseconds.
    smoothed: f64,
    stretched: Instant,
    /// Share of packets that were lost lately.
    loss: f64,
}

impl Stream {
    /// A stream that begins with `first`, which is still to be inserted.
    pub fn new(first: &TalkPacket) -> anyhow::Result<Self> {
        Ok(Self {
            codec: first.codec,
            decoder: codec::decoder(first.codec)?,
            epoch: first.arrival,
            last_arrival: first.arrival,
            newest: (i64::from(first.sequence) - 1, i64::from(first.timestamp) - 1),
            estimator: DelayEstimator::new(),
            queue: PacketQueue::default(),
            fifo: Vec::with_capacity(2 * MAX_PACKET_SAMPLES),
            end: i64::MIN,
            next_sequence: 0,
            playing: false,
            held: 0,
            smoothed: 0.0,
            stretched: first.arrival,
            loss: 0.0,
        })
    }

    /// What it is encoded with.
    pub fn codec(&self) -> AudioCodec {
        self.codec
    }

    /// The mean delay while it plays.
    pub fn delay(&self) -> Option<Duration> {
        self.playing.then(|| Duration::from_micros(self.smoothed.max(0.0) as u64))
    }

    /// The delay aimed for.
    pub fn target(&self) -> Duration {
        Duration::from_micros(self.estimator.target() as u64)
    }

    /// Puts a packet of `samples` (48 kHz) into its place.
    pub fn insert(&mut self, packet: &TalkPacket, samples: i64, counts: &mut JitterCounts) -> Fit {
        let sequence = unwrap_u16(self.newest.0, packet.sequence);
        let timestamp = unwrap_u32(self.newest.1, packet.timestamp);
        let time = timestamp * i64::from(SAMPLE_RATE / self.codec.clock_rate());
        let transit = self.micros(packet.arrival) - media_micros(time);
        let paused = packet.arrival.saturating_duration_since(self.last_arrival) > PAUSE;
        let known = !paused && !self.estimator.is_empty();
        let order = (sequence - self.newest.0).signum() == (timestamp - self.newest.1).signum();
        if !order
            || (sequence - self.newest.0).abs() > MAX_SEQUENCE_JUMP
            || known && (transit - self.estimator.base()).abs() > MAX_TRANSIT_JUMP_US
        {
            return Fit::Strange;
        }
        self.newest = self.newest.max((sequence, timestamp));
        self.last_arrival = self.last_arrival.max(packet.arrival);
        if self.queue.is_duplicate(sequence) {
            counts.duplicated += 1;
            return Fit::Fits;
        }
        if paused {
            self.estimator.restart();
        }
        self.estimator.insert(packet.arrival, transit);
        if time + samples <= self.end {
            counts.late += 1;
            return Fit::Fits;
        }
        let queued = Queued { sequence, time, samples, payload: packet.payload.clone() };
        counts.dropped += u64::from(self.queue.push(queued).is_some());
        Fit::Fits
    }

    /// See [`super::JitterBuffer::pull`].
    pub fn pull(&mut self, now: Instant, out: &mut [i16], counts: &mut JitterCounts) -> bool {
        if !self.playing && !self.begin(now) {
            out.fill(0);
            return false;
        }
        self.skip_backlog(now, counts);
        self.fill(now, out.len(), counts);
        self.steer(now, out.len(), counts);
        self.fill(now, out.len(), counts);
        out.copy_from_slice(&self.fifo[..out.len()]);
        self.fifo.drain(..out.len());
        if self.held >= STOPPED_SAMPLES {
            self.playing = false;
            self.held = 0;
            self.fifo.clear();
        }
        true
    }

    /// Starts to play once the first packet has waited for the target.
    fn begin(&mut self, now: Instant) -> bool {
        let Some((sequence, time)) = self.queue.first().map(|first| (first.sequence, first.time)) else {
            return false;
        };
        let delay = self.delay_of(now, time);
        if delay < self.estimator.target() {
            return false;
        }
        self.playing = true;
        self.fifo.clear();
        self.end = time;
        self.next_sequence = sequence;
        self.held = 0;
        self.smoothed = delay as f64;
        true
    }

    /// After a stall of the path or the sink: what is far too old is not played at all.
    fn skip_backlog(&mut self, now: Instant, counts: &mut JitterCounts) {
        let target = self.estimator.target();
        let mut skipped = false;
        while self.current(now) > target + BACKLOG_US
            && self.buffered() > target.max(KEEP_US) + BACKLOG_US / 10
        {
            let Some(old) = self.queue.pop() else { break };
            self.fifo.clear();
            self.end = old.end();
            counts.lost += (old.sequence - self.next_sequence).max(0) as u64;
            counts.dropped += 1;
            self.next_sequence = old.sequence + 1;
            skipped = true;
        }
        if skipped {
            self.smoothed = self.current(now) as f64;
        }
    }

    /// Brings at least `wanted` samples into the fifo, real ones where there are any.
    fn fill(&mut self, now: Instant, wanted: usize, counts: &mut JitterCounts) {
        while self.fifo.len() < wanted {
            let Some(next) = self.queue.first() else {
                // Not there yet, or lost, or the talker stopped: the next packet will tell.
                let missing = wanted - self.fifo.len();
                self.decoder.conceal(missing, None, &mut self.fifo);
                self.held += missing as i64;
                continue;
            };
            let (gap, samples, lost) =
                (next.time - self.end, next.samples, next.sequence > self.next_sequence);
            if gap <= 0 || self.jumps(now, next.time) {
                self.decode_next(now, counts);
                continue;
            }
            // In-band FEC restores the end of the gap, as much as the next packet is long.
            let (part, copy) = if gap <= samples && lost {
                (gap, Some(next.payload.clone()))
            } else if lost {
                ((gap - samples).min(BLOCK as i64), None)
            } else {
                (gap.min(BLOCK as i64), None)
            };
            self.decoder.conceal(part as usize, copy.as_deref(), &mut self.fifo);
            self.end += part;
            // A gap without a lost packet is a talker's own pause (DTX).
            counts.concealed += if lost { part as u64 } else { 0 };
        }
    }

    /// Whether the sound at `time` shall be played now although something before it is missing.
    fn jumps(&self, now: Instant, time: i64) -> bool {
        let delay = self.delay_of(now, time) + media_micros(self.fifo.len() as i64);
        let target = self.estimator.target();
        if self.held > 0 { delay >= target - LOW_US } else { delay >= target + JUMP_US }
    }

    /// Decodes the first packet to the end of the fifo.
    fn decode_next(&mut self, now: Instant, counts: &mut JitterCounts) {
        let Some(packet) = self.queue.pop() else { return };
        let lost = (packet.sequence - self.next_sequence).max(0) as u64;
        counts.lost += lost;
        self.measure_loss(lost > 0, packet.samples);
        if self.held > 0 {
            if lost > 0 || packet.time <= self.end {
                counts.concealed += self.held as u64;
            }
            self.held = 0;
            self.smoothed = self.delay_of(now, packet.time) as f64;
        }
        self.next_sequence = packet.sequence + 1;
        // A packet that overlaps what is decoded already keeps its new part only.
        let overlap = (self.end - packet.time).clamp(0, packet.samples) as usize;
        let before = self.fifo.len();
        if self.decoder.decode(&packet.payload, &mut self.fifo).is_err() {
            counts.dropped += 1;
            self.fifo.truncate(before);
        }
        // What a broken packet leaves open is made up, so that media time stays true.
        let got = self.fifo.len() - before;
        let expected = packet.samples as usize;
        if got < expected {
            self.decoder.conceal(expected - got, None, &mut self.fifo);
        }
        self.fifo.truncate(before + expected);
        self.fifo.drain(before..before + overlap);
        self.end = packet.end();
    }

    fn measure_loss(&mut self, lost: bool, packet_samples: i64) {
        self.loss += (f64::from(u8::from(lost)) - self.loss) * LOSS_SMOOTHING;
        let fec = self.codec == AudioCodec::Opus && self.loss > LOSSY;
        self.estimator.wait_longer(if fec { media_micros(packet_samples) } else { 0 });
    }

    /// Moves the delay towards the target by changing the length of what is about to be played.
    fn steer(&mut self, now: Instant, block: usize, counts: &mut JitterCounts) {
        if self.held > 0 {
            return;
        }
        self.smoothed += (self.current(now) as f64 - self.smoothed) * SMOOTHING;
        if now.saturating_duration_since(self.stretched) < STRETCH_PAUSE {
            return;
        }
        let off = self.smoothed as i64 - self.estimator.target();
        let haste = if off.abs() > URGENT_US { Haste::Urgent } else { Haste::Gentle };
        let changed = if off > HIGH_US && self.buffered() >= media_micros(block as i64) + KEEP_US / 2 {
            while self.fifo.len() < ENOUGH && self.queue.first().is_some_and(|next| next.time <= self.end) {
                self.decode_next(now, counts);
            }
            -(shorten(&mut self.fifo, haste) as i64)
        } else if off < -LOW_US {
            lengthen(&mut self.fifo, haste) as i64
        } else {
            0
        };
        if changed != 0 {
            self.stretched = now;
            self.smoothed += media_micros(changed) as f64;
        }
    }

    /// The delay of the next sample in microseconds.
    fn current(&self, now: Instant) -> i64 {
        self.delay_of(now, self.end - self.fifo.len() as i64)
    }

    /// The delay of media time `time` if it were played now, over that of the fastest packet.
    fn delay_of(&self, now: Instant, time: i64) -> i64 {
        self.micros(now) - media_micros(time) - self.estimator.base()
    }

    /// Sound that waits, decoded or not, in microseconds.
    fn buffered(&self) -> i64 {
        let from = self.queue.first().map_or(self.end, |first| first.time.max(self.end));
        let queued = self.queue.end().map_or(0, |end| (end - from).max(0));
        media_micros(self.fifo.len() as i64 + queued)
    }

    fn micros(&self, at: Instant) -> i64 {
        match at.checked_duration_since(self.epoch) {
            Some(after) => after.as_micros() as i64,
            None => -(self.epoch.duration_since(at).as_micros() as i64),
        }
    }
}

/// Samples at 48 kHz in microseconds.
fn media_micros(samples: i64) -> i64 {
    samples * 125 / 6
}
