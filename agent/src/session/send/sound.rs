//! The sound of one viewer as RTP: one frame, one packet.

use std::{collections::VecDeque, sync::Arc};

use super::{
    clock::RtpClock,
    packet::{Body, Stream},
    train::{Assembly, Packet},
};
use crate::media::audio::AudioFrame;

/// How far the capture times may be from the sample count before RTP time jumps to them, in seconds. Blocks of a source
/// follow each other without a gap on the monotonic clock, so this is a loss of sound; half of what sound and picture
/// may be out of step.
const RESYNC: f64 = 0.01;
/// Frames that may wait: what is older than 100 ms is no live sound any more.
const MAX_WAITING: usize = 5;

#[derive(Debug)]
struct Waiting {
    frame: Arc<AudioFrame>,
    timestamp: u32,
    marker: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Sound {
    /// Its stream.
    pub stream: Stream,
    /// Its clock.
    pub clock: RtpClock,
    /// RTP time of the next frame if the sound goes on without a gap.
    next: Option<u32>,
    waiting: VecDeque<Waiting>,
}

impl Sound {
    /// Silent so far.
    pub fn new(stream: Stream, clock: RtpClock) -> Self {
        Self { stream, clock, next: None, waiting: VecDeque::with_capacity(MAX_WAITING) }
    }

    /// The next 20 ms. RTP time counts samples, as receivers expect, and follows the capture clock over gaps. False: the
    /// oldest frame that waited was dropped for it.
    pub fn push(&mut self, frame: Arc<AudioFrame>) -> bool {
        let clock = self.clock.at(frame.captured);
        let tolerance = (RESYNC * f64::from(self.clock.rate())) as i32;
        let counted = self.next.filter(|next| (clock.wrapping_sub(*next) as i32).abs() <= tolerance);
        let timestamp = counted.unwrap_or(clock);
        self.next = Some(timestamp.wrapping_add(self.clock.rate() / 50));
        let room = self.waiting.len() < MAX_WAITING;
        if !room {
            self.waiting.pop_front();
        }
        // RFC 3551 section 4.1: the marker is on the first packet of a talkspurt.
        self.waiting.push_back(Waiting { frame, timestamp, marker: counted.is_none() });
        room
    }

    /// Whether something waits.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Writes what waits. It is not paced: it is little, and late sound is lost sound.
    pub fn write(&mut self, train: &mut Assembly<'_, '_>) {
        while let Some(Waiting { frame, timestamp, marker }) = self.waiting.front() {
            let body = Body::Bytes(&frame.data);
            if !train.takes(&self.stream, &body) {
                break;
            }
            let packet = Packet { timestamp: *timestamp, marker: *marker, level: frame.level, body };
            train.put(&mut self.stream, &packet);
            self.waiting.pop_front();
        }
    }
}
