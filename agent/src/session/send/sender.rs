//! One viewer's outgoing media: pictures and sound come in, trains of encrypted packets come out.

use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    clock::RtpClock,
    extensions::ExtensionIds,
    header::Kind,
    packet::Stream,
    sound::Sound,
    train::{Assembly, Outlet, Probe, Session, Train},
    video::Video,
};
use crate::media::{audio::AudioFrame, video::AccessUnit};

/// What the negotiation says of the pictures' streams.
#[derive(Clone, Debug)]
pub struct VideoStream {
    /// Synchronization source.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// Synchronization source and payload type of retransmissions (RFC 4588), if the viewer takes them.
    pub rtx: Option<(u32, u8)>,
    /// The same of repair packets, if the viewer takes them.
    pub repair: Option<(u32, u8)>,
    /// The m-section's name.
    pub mid: String,
    /// The m-section's header extensions.
    pub extensions: ExtensionIds,
    /// Where RTP time (its lower half) and sequence numbers begin.
    pub random: u64,
}

/// What the negotiation says of the sound's stream.
#[derive(Clone, Debug)]
pub struct SoundStream {
    /// Synchronization source.
    pub ssrc: u32,
    /// Payload type.
    pub payload_type: u8,
    /// Ticks of RTP time a second.
    pub clock_rate: u32,
    /// The m-section's name.
    pub mid: String,
    /// The m-section's header extensions.
    pub extensions: ExtensionIds,
    /// Where RTP time (its lower half) and sequence numbers begin.
    pub random: u64,
}

/// What happened since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that left, of all kinds.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that left again because the viewer missed them.
    pub retransmitted: u64,
    /// Repair packets that left.
    pub repairs: u64,
    /// Packets that the viewer missed and that were not sent again: forgotten, sent again just now, or too many.
    pub nacks_refused: u64,
    /// Bytes that left as a part of probes, media included.
    pub probe_bytes: u64,
    /// Frames of sound that waited too long.
    pub sound_dropped: u64,
}

impl Counts {
    /// Packets were missed or a path is being measured: what the viewer says next is needed soon.
    pub fn is_urgent(&self) -> bool {
        self.retransmitted + self.nacks_refused + self.probe_bytes > 0
    }
}

/// What a sender report says of a stream (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug)]
pub struct StreamReport {
    /// Its synchronization source.
    pub ssrc: u32,
    /// Its RTP time.
    pub clock: RtpClock,
    /// Packets sent, modulo 2^32.
    pub packets: u32,
    /// Payload bytes sent, modulo 2^32.
    pub octets: u32,
}

impl StreamReport {
    fn of(stream: &Stream, clock: RtpClock) -> Self {
        let (packets, octets) = (stream.tally.packets as u32, stream.tally.octets as u32);
        Self { ssrc: stream.ssrc, clock, packets, octets }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Sender {
    session: Session,
    video: Option<Video>,
    sound: Option<Sound>,
    /// The trains' memory.
    buffer: Vec<u8>,
    /// Bytes that encryption adds to a packet, as far as is known.
    overhead: usize,
    counts: Counts,
    finished: Option<(Arc<AccessUnit>, Instant)>,
}

impl Sender {
    /// Has sent nothing yet. RTP time and send times count from `epoch`.
    pub fn new(epoch: Instant, video: Option<&VideoStream>, sound: Option<&SoundStream>) -> Self {
        let video = video.map(|of| {
            let stream = |kind, (ssrc, payload_type), random| {
                Stream::new(kind, payload_type, ssrc, &of.mid, &of.extensions, random)
            };
            let pictures = stream(Kind::Video, (of.ssrc, of.payload_type), of.random >> 32);
            let rtx = of.rtx.map(|rtx| stream(Kind::Video, rtx, of.random >> 48));
            let repairs = of.repair.map(|repair| stream(Kind::Repair, repair, of.random >> 40));
            Video::new(pictures, rtx, repairs, RtpClock::new(90_000, epoch, of.random))
        });
        let sound = sound.map(|of| {
            let random = of.random >> 32;
            let stream = Stream::new(Kind::Sound, of.payload_type, of.ssrc, &of.mid, &of.extensions, random);
            Sound::new(stream, RtpClock::new(of.clock_rate, epoch, of.random))
        });
        Self {
            session: Session { epoch, number: 0, probe: None, probed: 0 },
            video,
            sound,
            buffer: Vec::new(),
            overhead: 0,
            counts: Counts::default(),
            finished: None,
        }
    }

    /// A picture to be sent after all those before it. False: too many wait, and it was not taken; the viewer needs a key
    /// frame then. A picture that cannot be cut into packets is taken and leaves no trace.
    #[must_use]
    pub fn push(&mut self, now: Instant, unit: Arc<AccessUnit>) -> bool {
        self.video.as_mut().is_none_or(|video| {
            let timestamp = video.clock.at(unit.captured);
            video.pictures.push(now, unit, timestamp)
        })
    }

    /// 20 ms of sound. At most five wait; the oldest goes for the sixth.
    pub fn push_sound(&mut self, frame: Arc<AudioFrame>) {
        if let Some(sound) = &mut self.sound
            && !sound.push(frame)
        {
            self.counts.sound_dropped += 1;
        }
    }

    /// The viewer misses packets of the pictures with these sequence numbers (RFC 4585 section 6.2.1). Those that are kept
    /// leave again, each at most once within `rtt` or 20 ms, and all together at most half of what is sent.
    pub fn nack(&mut self, now: Instant, rtt: Duration, missing: &[u16]) {
        if let Some(video) = &mut self.video {
            video.forget(now);
            self.counts.nacks_refused += video.nack(now, rtt, missing);
        }
    }

    /// The next `bytes` that leave are the probe `id`: first what waits anyway, then retransmissions or padding. Takes the
    /// place of a probe before. Without transport-wide sequence numbers on the pictures' stream nobody could see its
    /// outcome, and there is none.
    pub fn probe(&mut self, bytes: usize, id: u32) {
        let is_numbered = self.video.as_ref().is_some_and(|video| video.stream.is_numbered());
        self.session.probe = (is_numbered && bytes > 0).then_some(Probe { id, left: bytes });
    }

    /// Writes the next packets, of at most `budget` bytes; if it is not 0 and less than the first of them has, that one. Sound
    /// leaves without regard to the budget. `None`: nothing waits, or there is no budget.
    pub fn next_train(&mut self, now: Instant, budget: usize, outlet: Outlet<'_>) -> Option<Train<'_>> {
        self.overhead = outlet.seal.overhead();
        let mut train = Assembly::new(now, budget, &mut self.buffer, &mut self.session, outlet);
        if let Some(sound) = self.sound.as_mut().filter(|sound| sound.waits()) {
            train.unpaced();
            sound.write(&mut train);
        } else if let Some(video) = &mut self.video {
            video.forget(now);
            self.counts.retransmitted += video.write_again(&mut train);
            if let Some(repairs) = &mut video.repairs {
                self.counts.repairs += repairs.write(&mut train);
            }
            if !video.mends() {
                let finished = video.write_pictures(&mut train);
                self.finished =
                    finished.map(|picture| (picture.unit, picture.since)).or(self.finished.take());
            }
            if !video.mends() && !video.waits() {
                video.write_probe(&mut train);
            }
        }
        let (segment, count) = train.finish()?;
        self.counts.packets += count as u64;
        self.counts.bytes += self.buffer.len() as u64;
        Some(Train { data: &self.buffer, segment, count })
    }

    /// Lets go of what is too old to be sent again.
    pub fn forget(&mut self, now: Instant) {
        if let Some(video) = &mut self.video {
            video.forget(now);
        }
    }

    /// Whether there is something that leaves as soon as there is budget.
    pub fn waits(&self) -> bool {
        let video = self.video.as_ref();
        self.sound.as_ref().is_some_and(Sound::waits)
            || video.is_some_and(|video| video.waits() || video.mends())
            || self.session.probe.is_some()
    }

    /// The bytes of the pictures that wait, as they will be on the wire, and since when the oldest does.
    pub fn queued(&self) -> (usize, Option<Instant>) {
        let Some(video) = &self.video else { return (0, None) };
        let (bytes, packets) = video.pictures.size();
        let oldest = video.pictures.front().map(|picture| picture.since);
        (bytes + packets * (video.stream.header.len() + self.overhead), oldest)
    }

    /// Drops the pictures that wait, but the one of which packets have left. How many; after any, the viewer needs a key frame.
    pub fn skip_queued(&mut self) -> usize {
        self.video.as_mut().map_or(0, |video| video.pictures.skip())
    }

    /// The bytes of the pictures' packets that wait to be sent again.
    pub fn mending(&self) -> usize {
        self.video.as_ref().map_or(0, |video| video.mending(self.overhead))
    }

    /// Drops all that waits of the pictures, also the rest of one that has begun, and sends nothing again of what has left.
    /// How many pictures were dropped; the viewer needs a key frame in any case.
    pub fn give_up(&mut self) -> usize {
        self.video.as_mut().map_or(0, Video::give_up)
    }

    /// The last picture that left as a whole since the last call, and when it was pushed.
    pub fn take_finished(&mut self) -> Option<(Arc<AccessUnit>, Instant)> {
        self.finished.take()
    }

    /// What happened since the last call.
    pub fn take_counts(&mut self) -> Counts {
        self.counts.probe_bytes = mem::take(&mut self.session.probed);
        mem::take(&mut self.counts)
    }

    /// The streams of pictures and sound, and the clock of each.
    pub fn clocks(&self) -> impl Iterator<Item = (u32, RtpClock)> + '_ {
        let video = self.video.iter().map(|video| (video.stream.ssrc, video.clock));
        video.chain(self.sound.iter().map(|sound| (sound.stream.ssrc, sound.clock)))
    }

    /// What sender reports say now of each stream on which something was sent.
    pub fn reports(&self) -> impl Iterator<Item = StreamReport> + '_ {
        let video = self.video.iter().flat_map(|video| {
            // A retransmission carries the time of what it repeats (RFC 4588 section 4).
            std::iter::once(&video.stream)
                .chain(&video.rtx)
                .map(|stream| StreamReport::of(stream, video.clock))
        });
        let sound = self.sound.iter().map(|sound| StreamReport::of(&sound.stream, sound.clock));
        video.chain(sound).filter(|report| report.packets > 0)
    }
}

#[cfg(test)]
#[path = "sender_tests.rs"]
mod tests;
