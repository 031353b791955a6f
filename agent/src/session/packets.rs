//! Encoded pictures and sound into RTP packets: payload formats, clocks and the header extensions of one track.

use std::time::Instant;

use bytes::Bytes;
use rtc::rtp::{
    self,
    codec::{h264::H264Payloader, vp8::Vp8Payloader},
    packetizer::Payloader,
};

use crate::media::video::VideoCodec;

/// Largest RTP payload in bytes. 1200 is what browsers send: it leaves room for RTP, extensions, SRTP, a TURN
/// header and an IPv6 header within the 1280 that every IPv6 path carries (RFC 8200 section 5).
const MAX_PAYLOAD: usize = 1120;

/// The negotiated ids of the header extensions that the agent writes itself (RFC 8285); 0: not negotiated.
#[derive(Clone, Debug, Default)]
pub struct ExtensionIds {
    /// urn:ietf:params:rtp-hdrext:sdes:mid (RFC 8843)
    pub mid: u8,
    /// abs-send-time: 24 bits, 6.18 fixed point seconds
    pub abs_send_time: u8,
    /// playout-delay: two times 12 bits, in 10 ms
    pub playout_delay: u8,
    /// urn:ietf:params:rtp-hdrext:ssrc-audio-level (RFC 6464)
    pub audio_level: u8,
}

impl ExtensionIds {
    /// Picks the ids from (id, uri) pairs as negotiated.
    pub fn from_negotiated<'a>(pairs: impl Iterator<Item = (u16, &'a str)>) -> Self {
        let mut ids = Self::default();
        for (id, uri) in pairs {
            let Ok(id) = u8::try_from(id) else { continue };
            match uri {
                uri::MID => ids.mid = id,
                uri::ABS_SEND_TIME => ids.abs_send_time = id,
                uri::PLAYOUT_DELAY => ids.playout_delay = id,
                uri::AUDIO_LEVEL => ids.audio_level = id,
                _ => {}
            }
        }
        ids
    }
}

/// URIs of the header extensions that are answered.
pub mod uri {
    /// RFC 8843
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    /// <https://webrtc.googlesource.com/src/+/refs/heads/main/docs/native-code/rtp-hdrext/abs-send-time>
    pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    /// <https://webrtc.googlesource.com/src/+/refs/heads/main/docs/native-code/rtp-hdrext/playout-delay>
    pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
    /// RFC 6464
    pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
}

/// What RTP time a stream gives to an instant of the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct RtpClock {
    /// Ticks per second.
    rate: u32,
    /// RTP time at `epoch` (RFC 3550 section 5.1: random).
    offset: u32,
    epoch: Instant,
}

impl RtpClock {
    /// Starts at `epoch`; `random` seeds the RTP time.
    pub fn new(rate: u32, epoch: Instant, random: u64) -> Self {
        Self { rate, offset: random as u32, epoch }
    }

    /// RTP time of an instant, also of one before the epoch (a replayed picture).
    pub fn at(&self, instant: Instant) -> u32 {
        let ticks = |d: std::time::Duration| (d.as_nanos() * u128::from(self.rate) / 1_000_000_000) as u32;
        match instant.checked_duration_since(self.epoch) {
            Some(after) => self.offset.wrapping_add(ticks(after)),
            None => self.offset.wrapping_sub(ticks(self.epoch.duration_since(instant))),
        }
    }
}

/// One outgoing RTP stream: its identity, clock and sequence.
pub struct RtpStream {
    ssrc: u32,
    payload_type: u8,
    clock: RtpClock,
    sequence: u16,
    mid: Bytes,
    extensions: ExtensionIds,
}

impl RtpStream {
    /// A stream whose RTP clock starts at `epoch`; `random` seeds RTP time and sequence.
    pub fn new(
        ssrc: u32,
        payload_type: u8,
        clock_rate: u32,
        epoch: Instant,
        random: u64,
        mid: &str,
        extensions: ExtensionIds,
    ) -> Self {
        Self {
            ssrc,
            payload_type,
            clock: RtpClock::new(clock_rate, epoch, random),
            sequence: (random >> 32) as u16,
            mid: Bytes::copy_from_slice(mid.as_bytes()),
            extensions,
        }
    }

    fn packet(
        &mut self,
        timestamp: u32,
        marker: bool,
        payload: Bytes,
        now: Instant,
        extra: &[(u8, Bytes)],
    ) -> rtp::Packet {
        let mut header = rtp::header::Header {
            version: 2,
            marker,
            payload_type: self.payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: self.ssrc,
            ..Default::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        let send_time = abs_send_time(now.saturating_duration_since(self.clock.epoch));
        let own = [(self.extensions.mid, self.mid.clone()), (self.extensions.abs_send_time, send_time)];
        for (id, value) in own.iter().chain(extra) {
            if *id != 0 {
                // Only fails for ids and lengths out of range, which negotiation rules out.
                let _ = header.set_extension(*id, value.clone());
            }
        }
        rtp::Packet { header, payload }
    }
}

/// 24 bits, 6.18 fixed point seconds; only differences matter, so any epoch will do.
fn abs_send_time(since_epoch: std::time::Duration) -> Bytes {
    let fixed = ((since_epoch.as_nanos() << 18) / 1_000_000_000) as u32;
    Bytes::copy_from_slice(&fixed.to_be_bytes()[1..])
}

/// Makes the packets of a video track.
pub struct VideoPackets {
    stream: RtpStream,
    payloader: Box<dyn Payloader>,
}

impl VideoPackets {
    /// Packets of `codec` on `stream`.
    pub fn new(stream: RtpStream, codec: VideoCodec) -> Self {
        let payloader: Box<dyn Payloader> = match codec {
            VideoCodec::H264 => Box::new(H264Payloader::default()),
            VideoCodec::Vp8 => {
                let mut vp8 = Vp8Payloader::default();
                // Lets a receiver see a whole lost picture (RFC 7741 section 4.2).
                vp8.enable_picture_id = true;
                Box::new(vp8)
            }
        };
        Self { stream, payloader }
    }

    /// The packets of one access unit, the last one marked.
    pub fn packetize(
        &mut self,
        data: &Bytes,
        captured: Instant,
        now: Instant,
    ) -> Result<Vec<rtp::Packet>, rtc::shared::error::Error> {
        let payloads = self.payloader.payload(MAX_PAYLOAD, data)?;
        let timestamp = self.stream.clock.at(captured);
        let last = payloads.len().saturating_sub(1);
        // Zero minimum and maximum: show at once, this is a live view.
        let playout = (self.stream.extensions.playout_delay, Bytes::from_static(&[0, 0, 0]));
        Ok(payloads
            .into_iter()
            .enumerate()
            .map(|(i, payload)| {
                self.stream.packet(timestamp, i == last, payload, now, std::slice::from_ref(&playout))
            })
            .collect())
    }
}

/// How far the capture times may be from the sample count before RTP time jumps to them, in seconds. Blocks of a source
/// follow each other without a gap on the monotonic clock, so this is a loss of sound; half of what sound and picture
/// may be out of step.
const AUDIO_RESYNC: f64 = 0.01;

/// Makes the packets of an audio track: one frame, one packet.
pub struct AudioPackets {
    stream: RtpStream,
    /// RTP time of the next frame if the sound goes on without a gap.
    next: Option<u32>,
}

impl AudioPackets {
    /// Packets on `stream`.
    pub fn new(stream: RtpStream) -> Self {
        Self { stream, next: None }
    }

    /// The packet of one 20 ms frame; `level` in -dBov, 0 to 127. RTP time counts samples, as receivers expect, and
    /// follows the capture clock over gaps.
    pub fn packetize(&mut self, data: Bytes, level: u8, captured: Instant, now: Instant) -> rtp::Packet {
        let clock = self.stream.clock.at(captured);
        let tolerance = (AUDIO_RESYNC * f64::from(self.stream.clock.rate)) as i32;
        let counted = self.next.filter(|next| (clock.wrapping_sub(*next) as i32).abs() <= tolerance);
        let timestamp = counted.unwrap_or(clock);
        self.next = Some(timestamp.wrapping_add(self.stream.clock.rate / 50));
        // RFC 3551 section 4.1: the marker is on the first packet of a talkspurt.
        let marker = counted.is_none();
        let level = (self.stream.extensions.audio_level, Bytes::copy_from_slice(&[level & 0x7f]));
        self.stream.packet(timestamp, marker, data, now, &[level])
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn stream(epoch: Instant, extensions: ExtensionIds) -> RtpStream {
        RtpStream::new(1, 96, 90_000, epoch, 0xffff_0000_0000 | 100, "1", extensions)
    }

    #[test]
    fn rtp_time_follows_the_capture_clock_in_both_directions() {
        let epoch = Instant::now();
        let s = stream(epoch, ExtensionIds::default());
        assert_eq!(s.clock.at(epoch + Duration::from_millis(500)), 45_100);
        assert_eq!(s.clock.at(epoch - Duration::from_millis(10)), 100u32.wrapping_sub(900));
    }

    #[test]
    fn the_last_packet_of_a_picture_is_marked_and_sequence_numbers_wrap() {
        let epoch = Instant::now();
        let mut packets = VideoPackets::new(stream(epoch, ExtensionIds::default()), VideoCodec::Vp8);
        let unit = Bytes::from(vec![7u8; MAX_PAYLOAD * 2 + 10]);
        let out = packets.packetize(&unit, epoch, epoch).unwrap();
        assert_eq!(out.iter().map(|p| p.header.marker).collect::<Vec<_>>(), [false, false, true]);
        assert_eq!(out.iter().map(|p| p.header.sequence_number).collect::<Vec<_>>(), [0xffff, 0, 1]);
        assert!(out.iter().all(|p| p.header.timestamp == 100 && p.payload.len() <= MAX_PAYLOAD));
    }

    #[test]
    fn negotiated_extensions_are_written_and_others_are_not() {
        let pairs = [(9u16, uri::MID), (3, uri::ABS_SEND_TIME), (1, uri::AUDIO_LEVEL)];
        let ids = ExtensionIds::from_negotiated(pairs.into_iter());
        let epoch = Instant::now();
        let mut packets = AudioPackets::new(stream(epoch, ids));
        let packet = packets.packetize(Bytes::from_static(b"x"), 30, epoch, epoch + Duration::from_secs(1));
        assert_eq!(packet.header.get_extension(9).unwrap(), "1");
        assert_eq!(packet.header.get_extension(3).unwrap()[..], [0x04, 0, 0]);
        assert_eq!(packet.header.get_extension(1).unwrap()[..], [30]);
        assert_eq!(packet.header.extensions.len(), 3);
    }

    #[test]
    fn audio_time_counts_samples_through_jitter_and_follows_the_clock_over_a_gap() {
        let epoch = Instant::now();
        let mut packets =
            AudioPackets::new(RtpStream::new(1, 0, 8_000, epoch, 0, "0", ExtensionIds::default()));
        let mut at = |ms: u64| {
            let t = epoch + Duration::from_millis(ms);
            let header = packets.packetize(Bytes::from_static(b"x"), 0, t, t).header;
            (header.timestamp, header.marker)
        };
        assert_eq!(at(0), (0, true));
        assert_eq!(at(25), (160, false));
        assert_eq!(at(38), (320, false));
        // An overrun lost one frame.
        assert_eq!(at(80), (640, true));
        assert_eq!(at(1000), (8000, true));
    }
}
