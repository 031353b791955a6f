//! A talker, a network and a listener under a virtual clock, for tests.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{JitterBuffer, JitterCounts};
use crate::media::audio::{
    AudioCodec, BLOCK,
    codec::{AudioEncoder, OpusEncoder},
    dsp::level::tests::sine,
    talk::TalkPacket,
};

const BLOCK_TIME: Duration = Duration::from_millis(20);

/// A repeatable source of numbers from 0 to below `n`.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n.max(1)
    }
}

/// A talker and the way to us.
pub struct Network {
    pub codec: AudioCodec,
    pub packet_ms: u64,
    /// Sender's clock against ours, in parts per million.
    pub drift_ppm: f64,
    pub jitter_ms: u64,
    pub loss_percent: u64,
    pub duplicate_percent: u64,
    pub seed: u64,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            codec: AudioCodec::Pcmu,
            packet_ms: 20,
            drift_ppm: 0.0,
            jitter_ms: 0,
            loss_percent: 0,
            duplicate_percent: 0,
            seed: 1,
        }
    }
}

impl Network {
    /// The packets of `seconds` of talk beginning at `start`, in the order of their arrival.
    pub fn send(&self, start: Instant, seconds: u64) -> Vec<TalkPacket> {
        let mut dice = Dice(self.seed);
        let mut encoder = OpusEncoder::new(32).unwrap();
        let tone = sine(300.0, 8000.0, 0.02);
        let mut packets = Vec::new();
        for n in 0..seconds * 1000 / self.packet_ms {
            let payload = match self.codec {
                AudioCodec::Opus => encoder.encode(&tone).unwrap(),
                _ => Bytes::from(vec![(n % 100) as u8; self.packet_ms as usize * 8]),
            };
            let sent = start
                + Duration::from_secs_f64(
                    (n * self.packet_ms) as f64 / 1000.0 * (1.0 - self.drift_ppm * 1e-6),
                );
            let packet = TalkPacket {
                codec: self.codec,
                // Both counters wrap within the first seconds.
                sequence: 65_500_u16.wrapping_add(n as u16),
                timestamp: (u32::MAX - 20_000)
                    .wrapping_add((n * self.packet_ms * u64::from(self.codec.clock_rate()) / 1000) as u32),
                payload,
                arrival: sent + Duration::from_millis(40 + dice.roll(self.jitter_ms + 1)),
            };
            if dice.roll(100) < self.loss_percent {
                continue;
            }
            if dice.roll(100) < self.duplicate_percent {
                packets.push(TalkPacket {
                    arrival: packet.arrival + Duration::from_millis(5),
                    ..packet.clone()
                });
            }
            packets.push(packet);
        }
        packets.sort_by_key(|packet| packet.arrival);
        packets
    }
}

/// A listener who pulls each 20 ms.
pub struct Ear {
    pub buffer: JitterBuffer,
    pub now: Instant,
    pub heard: Vec<i16>,
    pub counts: JitterCounts,
    pub delays_ms: Vec<f64>,
    pub playing: Vec<bool>,
}

impl Ear {
    pub fn new(now: Instant) -> Self {
        Self {
            buffer: JitterBuffer::new(),
            now,
            heard: vec![],
            counts: JitterCounts::default(),
            delays_ms: vec![],
            playing: vec![],
        }
    }

    /// Listens until 300 ms after the last packet.
    pub fn listen(&mut self, packets: &[TalkPacket]) {
        let end = packets.last().map_or(self.now, |last| last.arrival) + Duration::from_millis(300);
        let mut packets = packets.iter().peekable();
        while self.now < end {
            while let Some(packet) = packets.next_if(|packet| packet.arrival <= self.now) {
                self.buffer.insert(packet);
            }
            self.pull();
        }
    }

    pub fn pull(&mut self) {
        let mut block = [0; BLOCK];
        self.playing.push(self.buffer.pull(self.now, &mut block));
        self.heard.extend_from_slice(&block);
        if let Some(delay) = self.buffer.delay() {
            self.delays_ms.push(delay.as_secs_f64() * 1000.0);
        }
        let counts = self.buffer.take_counts();
        self.counts.received += counts.received;
        self.counts.lost += counts.lost;
        self.counts.late += counts.late;
        self.counts.duplicated += counts.duplicated;
        self.counts.dropped += counts.dropped;
        self.counts.concealed += counts.concealed;
        self.now += BLOCK_TIME;
    }

    pub fn concealed_ms(&self) -> u64 {
        self.counts.concealed / 48
    }
}

/// What an ear hears of `seconds` of talk.
pub fn heard_from(network: &Network, seconds: u64) -> Ear {
    let start = Instant::now();
    let mut ear = Ear::new(start);
    ear.listen(&network.send(start, seconds));
    ear
}
