//! A sender whose viewer's side can be looked at.
#![allow(clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rtc::{rtp::Packet as Rtp, shared::marshal::Unmarshal};

use super::{ExtensionIds, Outlet, Repair, Seal, Sender, Sent, SoundStream, VideoStream};
use crate::media::{
    audio::{AudioCodec, AudioFrame},
    video::{AccessUnit, VideoCodec},
};

pub const VIDEO: u32 = 10;
pub const RTX: u32 = 11;
pub const SOUND: u32 = 12;
pub const REPAIR: u32 = 13;
pub const IDS: ExtensionIds =
    ExtensionIds { mid: 1, abs_send_time: 2, transport_cc: 3, playout_delay: 4, audio_level: 5 };
pub const RTT: Duration = Duration::from_millis(50);

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Appends a tag that tells the index, and leaves the rest readable.
pub struct Plain;

impl Seal for Plain {
    fn overhead(&self) -> usize {
        8
    }

    fn seal(&mut self, packet: &mut [u8], header: usize, index: u64) {
        let end = packet.len() - 8;
        assert!(header >= 12 && header <= end);
        packet[end..].copy_from_slice(&index.to_be_bytes());
    }
}

pub fn video(rtx: bool, extensions: ExtensionIds) -> VideoStream {
    let rtx = rtx.then_some((RTX, 97));
    // Sequence numbers begin just before their end, RTP time anywhere.
    let random = 0x0005_7ffe_0000_0000 | 1_000_000;
    VideoStream { ssrc: VIDEO, payload_type: 96, rtx, repair: None, mid: "0".into(), extensions, random }
}

pub fn sound() -> SoundStream {
    SoundStream {
        ssrc: SOUND,
        payload_type: 0,
        clock_rate: 8_000,
        mid: "1".into(),
        extensions: IDS,
        random: 0,
    }
}

/// A packet as it came.
pub struct Received {
    pub rtp: Rtp,
    pub index: u64,
    /// With its tag.
    pub bytes: usize,
}

/// Repairs each third packet and the two before by telling their lengths.
#[derive(Default)]
pub struct Counting {
    /// All that came, as it came.
    pub packets: Vec<Vec<u8>>,
    due: bool,
}

impl Repair for Counting {
    fn push(&mut self, packet: &[u8]) {
        self.packets.push(packet.to_vec());
        self.due = self.packets.len().is_multiple_of(3);
    }

    fn take(&mut self, payload: &mut Vec<u8>) -> Option<u32> {
        if !std::mem::take(&mut self.due) {
            return None;
        }
        let from = self.packets.len() - 3;
        payload.extend(self.packets[from..].iter().map(|packet| packet.len() as u8));
        Some(from as u32)
    }
}

/// A sender and what its viewer has.
pub struct Lab {
    pub sender: Sender,
    pub now: Instant,
    pub start: Instant,
    pub received: Vec<Received>,
    pub sent: Vec<Sent>,
    pub trains: Vec<(usize, usize)>,
    pub repair: Option<Counting>,
}

impl Lab {
    pub fn new(video: Option<VideoStream>, sound: Option<SoundStream>) -> Self {
        let start = Instant::now();
        let sender = Sender::new(start, video.as_ref(), sound.as_ref());
        Self { sender, now: start, start, received: vec![], sent: vec![], trains: vec![], repair: None }
    }

    pub fn with_rtx() -> Self {
        Self::new(Some(video(true, IDS)), Some(sound()))
    }

    pub fn unit(&self, codec: VideoCodec, data: &[u8]) -> Arc<AccessUnit> {
        let data = Bytes::copy_from_slice(data);
        Arc::new(AccessUnit::passed(codec, data, false, (2, 2), (self.now, self.now)))
    }

    /// A VP8 picture of as many packets.
    pub fn push(&mut self, packets: usize) {
        let unit = self.unit(VideoCodec::Vp8, &vec![7; packets * 1139]);
        assert_eq!(unit.payloads().len(), packets);
        assert!(self.sender.push(self.now, unit));
    }

    pub fn push_sound(&mut self) {
        let frame = AudioFrame {
            codec: AudioCodec::Pcmu,
            data: Bytes::from_static(&[9; 160]),
            level: 30,
            captured: self.now,
        };
        self.sender.push_sound(frame.into());
    }

    /// One train.
    pub fn train(&mut self, budget: usize) -> usize {
        let sent = &mut |packet| self.sent.push(packet);
        let repair = self.repair.as_mut().map(|repair| repair as &mut dyn Repair);
        let outlet = Outlet { seal: &mut Plain, repair, sent };
        let Some(train) = self.sender.next_train(self.now, budget, outlet) else {
            return 0;
        };
        assert_eq!(train.data.len().div_ceil(train.segment), train.count);
        assert!(train.count <= 64 && train.data.len() <= 65_487);
        self.trains.push((train.segment, train.count));
        for bytes in train.data.chunks(train.segment) {
            let (packet, tag) = bytes.split_at(bytes.len() - 8);
            let rtp = Rtp::unmarshal(&mut Bytes::copy_from_slice(packet)).unwrap();
            let index = u64::from_be_bytes(tag.try_into().unwrap());
            assert_eq!(rtp.header.sequence_number, index as u16);
            self.received.push(Received { rtp, index, bytes: bytes.len() });
        }
        train.data.len()
    }

    /// All that waits.
    pub fn drain(&mut self) {
        while self.train(usize::MAX) > 0 {}
        assert!(!self.sender.waits());
    }

    /// Packets of a stream.
    pub fn of(&self, ssrc: u32) -> impl Iterator<Item = &Received> {
        self.received.iter().filter(move |packet| packet.rtp.header.ssrc == ssrc)
    }

    pub fn sequences(&self) -> Vec<u16> {
        self.of(VIDEO).map(|packet| packet.rtp.header.sequence_number).collect()
    }

    pub fn nack(&mut self, missing: &[u16]) {
        self.sender.nack(self.now, RTT, missing);
    }
}

pub fn number(packet: &Received) -> u16 {
    let value = packet.rtp.header.get_extension(IDS.transport_cc).unwrap();
    u16::from_be_bytes(value[..].try_into().unwrap())
}
