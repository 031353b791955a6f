//! What is counted while watching: pictures, gaps between them, bytes, sound, once a second told.

use std::time::{Duration, Instant};

use super::pictures::{Numbers, Picture};
use crate::{
    record::ms,
    viewer::{Event, FREEZE},
};

/// Headers of UDP (8) and IPv4 (20) in bytes.
const LOWER_HEADERS: usize = 28;

/// See the module.
#[derive(Clone, Debug)]
pub struct Tally {
    started: Instant,
    /// When the last picture was seen, if there was one.
    last: Option<Instant>,
    numbers: Numbers,
    second: Second,
}

/// Since the last one was told.
#[derive(Clone, Copy, Debug)]
struct Second {
    since: Instant,
    pictures: u32,
    bytes: u64,
    wire: u64,
    sound_packets: u32,
    longest: Duration,
    glass: (f64, u32),
}

impl Second {
    fn new(since: Instant) -> Self {
        Self {
            since,
            pictures: 0,
            bytes: 0,
            wire: 0,
            sound_packets: 0,
            longest: Duration::ZERO,
            glass: (0.0, 0),
        }
    }
}

impl Tally {
    /// Times are told since `started`.
    pub fn new(started: Instant) -> Self {
        Self { started, last: None, numbers: Numbers::default(), second: Second::new(started) }
    }

    /// Milliseconds since the start.
    pub fn ms(&self, at: Instant) -> f64 {
        ms(at.saturating_duration_since(self.started))
    }

    /// True once there was a picture.
    pub fn has_seen(&self) -> bool {
        self.last.is_some()
    }

    /// RTP payload of the picture's stream.
    pub fn bytes(&mut self, count: usize) {
        self.second.bytes += count as u64;
    }

    /// An RTP packet of any stream, so many bytes long before encryption.
    pub fn packet(&mut self, bytes: usize) {
        self.second.wire += (bytes + LOWER_HEADERS) as u64;
    }

    /// A packet of sound.
    pub fn sound(&mut self) {
        self.second.sound_packets += 1;
    }

    /// A picture was decoded `now`; `age_ms` is what its burnt-in clock and this machine's make of its way. What there
    /// is to tell: the first one, the end of a freeze.
    pub fn picture(&mut self, picture: Picture, age_ms: Option<f64>, now: Instant) -> Option<Event> {
        let before = self.last.replace(now);
        self.second.pictures += 1;
        if let Some(strip) = picture.strip {
            self.numbers.saw(strip.frame);
        }
        if let Some(age) = age_ms {
            self.second.glass.0 += age;
            self.second.glass.1 += 1;
        }
        let Some(before) = before else {
            let Picture { width, height, .. } = picture;
            return Some(Event::FirstPicture { ms: self.ms(now), width, height });
        };
        self.second.longest = self.second.longest.max(now.saturating_duration_since(before));
        self.freeze(before, now)
    }

    /// A freeze that lasts when the watching ends.
    pub fn end(&self, now: Instant) -> Option<Event> {
        self.freeze(self.last?, now)
    }

    fn freeze(&self, from: Instant, to: Instant) -> Option<Event> {
        let lasted = to.saturating_duration_since(from);
        (lasted > FREEZE).then(|| Event::Freeze { ms: self.ms(from), lasted_ms: ms(lasted) })
    }

    /// Tells what was counted since the last time.
    pub fn second(&mut self, av_ms: Option<f64>, now: Instant) -> Event {
        let second = std::mem::replace(&mut self.second, Second::new(now));
        let time = now.saturating_duration_since(second.since).as_secs_f64().max(1e-3);
        let lasting = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let (glass, aged) = second.glass;
        Event::Second {
            ms: self.ms(now),
            pictures: second.pictures,
            kbps: second.bytes as f64 * 8.0 / 1e3 / time,
            longest_gap_ms: ms(second.longest.max(lasting)),
            sound_packets: second.sound_packets,
            numbers_missing: self.numbers.missing(),
            av_ms,
            glass_ms: (aged > 0).then(|| glass / f64::from(aged)),
            wire_kbps: Some(second.wire as f64 * 8.0 / 1e3 / time),
            freeze_count: None,
            frozen_ms: None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use p2pcam_agent::media::video::pattern::Strip;

    use super::*;

    fn picture(frame: u32) -> Picture {
        Picture { width: 640, height: 360, strip: Some(Strip { frame, time_ms: 0 }) }
    }

    #[test]
    fn a_second_of_pictures_with_a_gap_is_told_as_it_was() {
        let started = Instant::now();
        let at = |ms: u64| started + Duration::from_millis(ms);
        let mut tally = Tally::new(started);
        let first = tally.picture(picture(10), Some(50.0), at(200));
        assert_eq!(first, Some(Event::FirstPicture { ms: 200.0, width: 640, height: 360 }));
        assert_eq!(tally.picture(picture(11), Some(70.0), at(240)), None);
        assert_eq!(tally.picture(picture(15), None, at(640)), None, "400 ms are no freeze");
        tally.bytes(125_000);
        tally.sound();
        tally.packet(72);
        let told = tally.second(Some(-3.0), at(1000));
        assert_eq!(
            told,
            Event::Second {
                ms: 1000.0,
                pictures: 3,
                kbps: 1000.0,
                longest_gap_ms: 400.0,
                sound_packets: 1,
                numbers_missing: 3,
                av_ms: Some(-3.0),
                glass_ms: Some(60.0),
                wire_kbps: Some(0.8),
                freeze_count: None,
                frozen_ms: None,
            }
        );
        let Event::Second { pictures, kbps, longest_gap_ms, glass_ms, .. } = tally.second(None, at(2000))
        else {
            panic!("no second");
        };
        assert_eq!((pictures, kbps, longest_gap_ms.round(), glass_ms), (0, 0.0, 1360.0, None));
    }

    #[test]
    fn a_freeze_is_told_when_it_is_over_or_when_the_watching_is() {
        let started = Instant::now();
        let at = |ms: u64| started + Duration::from_millis(ms);
        let mut tally = Tally::new(started);
        assert_eq!(tally.end(at(9000)), None, "no picture yet, so no freeze");
        tally.picture(picture(1), None, at(1000));
        let freeze = tally.picture(picture(2), None, at(1800));
        assert_eq!(freeze, Some(Event::Freeze { ms: 1000.0, lasted_ms: 800.0 }));
        assert_eq!(tally.end(at(2000)), None);
        assert_eq!(tally.end(at(4000)), Some(Event::Freeze { ms: 1800.0, lasted_ms: 2200.0 }));
    }
}
