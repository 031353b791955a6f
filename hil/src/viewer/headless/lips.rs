//! Whether sound and picture arrive together: their capture times, by the sender reports of both streams (RFC 3550
//! section 6.4.1), against their arrival.
//!
//! The device's clock need not be this machine's: only the difference of the two delays is told.

use std::time::Instant;

/// What a sender report ties together: the device's clock and a stream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// NTP time, 32.32 fixed point seconds.
    pub ntp: u64,
    /// RTP time at that instant.
    pub rtp: u32,
}

/// The two streams of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// 90 kHz.
    Picture,
    /// 48 kHz: Opus (RFC 7587 section 4.1).
    Sound,
}

/// Mean delays of the second that runs.
#[derive(Clone, Copy, Debug)]
pub struct Lips {
    epoch: Instant,
    sums: [(f64, u32); 2],
}

impl Lips {
    /// Begins to measure.
    pub fn new(epoch: Instant) -> Self {
        Self { epoch, sums: [(0.0, 0); 2] }
    }

    /// Takes in something of a stream that was complete `at`.
    pub fn came(&mut self, stream: Stream, report: Report, rtp_time: u32, at: Instant) {
        let rate = match stream {
            Stream::Picture => 90.0,
            Stream::Sound => 48.0,
        };
        let since_report = f64::from(rtp_time.wrapping_sub(report.rtp) as i32) / rate;
        let captured = report.ntp as f64 / f64::from(1u32 << 16) / f64::from(1u32 << 16) * 1e3 + since_report;
        let (sum, count) = &mut self.sums[stream as usize];
        *sum += at.saturating_duration_since(self.epoch).as_secs_f64() * 1e3 - captured;
        *count += 1;
    }

    /// How long sound came before the picture that was captured with it, in milliseconds, in the mean since the last
    /// call; `None` if one of them did not come.
    pub fn sound_ahead_ms(&mut self) -> Option<f64> {
        let [(picture, pictures), (sound, sounds)] = std::mem::replace(&mut self.sums, [(0.0, 0); 2]);
        (pictures > 0 && sounds > 0).then(|| picture / f64::from(pictures) - sound / f64::from(sounds))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 2026-01-01 in NTP seconds.
    const NTP: u64 = 3_976_214_400 << 32;

    #[test]
    fn sound_that_comes_40_ms_before_its_picture_is_ahead_by_40_ms() {
        let epoch = Instant::now();
        let at = |ms: u64| epoch + Duration::from_millis(ms);
        let picture = Report { ntp: NTP, rtp: u32::MAX - 44_999 };
        // The device reported sound half a second later.
        let sound = Report { ntp: NTP + (1 << 31), rtp: 1000 };
        let mut lips = Lips::new(epoch);
        for step in 0..30u32 {
            // Captured at 1 s + step * 20 ms of the device's clock; 100 ms and 60 ms on the way.
            let captured = 1000 + u64::from(step) * 20;
            let rtp = 45_000 + 1800 * step;
            lips.came(Stream::Picture, picture, rtp, at(captured + 100));
            lips.came(Stream::Sound, sound, 1000 + 24_000 + 960 * step, at(captured + 60));
        }
        let ahead = lips.sound_ahead_ms().unwrap();
        assert!((ahead - 40.0).abs() < 0.1, "{ahead} ms");
        assert_eq!(lips.sound_ahead_ms(), None, "a new second has nothing yet");
    }

    #[test]
    fn one_stream_alone_tells_nothing() {
        let epoch = Instant::now();
        let mut lips = Lips::new(epoch);
        lips.came(Stream::Sound, Report { ntp: NTP, rtp: 0 }, 960, epoch);
        assert_eq!(lips.sound_ahead_ms(), None);
    }
}
