//! What is counted of one stream between two reports.

use std::{
    collections::VecDeque,
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;

use crate::assembler::Picture;

/// RTP clock of video.
const CLOCK: f64 = 90_000.0;
/// Intervals that the mean of W3C's freezeCount goes over.
const MEAN_OVER: usize = 30;
/// W3C webrtc-stats, freezeCount: a gap counts from the mean plus this.
const FREEZE: Duration = Duration::from_millis(150);
/// Samples kept of each distribution between two reports: five minutes at 30 pictures a second.
const MOST_SAMPLES: usize = 9000;

/// Counts of one stream.
#[derive(Debug, Default)]
pub struct Figures {
    window: Window,
    last: Option<Instant>,
    intervals: VecDeque<Duration>,
    /// Arrival minus RTP time of the fastest picture so far, seconds; times of arrival count from `origin`.
    fastest: Option<f64>,
    origin: Option<Instant>,
}

#[derive(Debug, Default)]
struct Window {
    pictures: u64,
    keys: u64,
    datagrams: u64,
    wire_bytes: u64,
    media_bytes: u64,
    freezes: u64,
    frozen: Duration,
    gap: Duration,
    queue_ms: Vec<f64>,
    latency_ms: Vec<f64>,
}

/// A report, for the time since the one before.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whole pictures that a decoder could show.
    pub pictures: u64,
    /// Key frames among them.
    pub keys: u64,
    /// RTP datagrams.
    pub datagrams: u64,
    /// Their bytes, as UDP payload.
    pub wire_bytes: u64,
    /// Bytes of video in them, without headers, repetitions and padding.
    pub media_bytes: u64,
    /// Freezes (W3C freezeCount).
    pub freezes: u64,
    /// Their length (W3C totalFreezesDuration).
    pub frozen_ms: f64,
    /// Longest time between two pictures, also one that still lasts.
    pub gap_ms: f64,
    /// How much later than the fastest pictures came: median, 95 %, most.
    pub queue_ms: Option<[f64; 3]>,
    /// From the time that sender reports give a picture to the whole picture here: median, 95 %, most.
    pub latency_ms: Option<[f64; 3]>,
}

impl Figures {
    /// An RTP datagram came.
    pub fn datagram(&mut self, bytes: usize) {
        self.window.datagrams += 1;
        self.window.wire_bytes += bytes as u64;
    }

    /// A packet of video that was not there before.
    pub fn media(&mut self, bytes: usize) {
        self.window.media_bytes += bytes as u64;
    }

    /// A picture is whole; `taken` is when it was, by the sender's clock.
    pub fn picture(&mut self, picture: Picture, now: Instant, taken: Option<SystemTime>) {
        let window = &mut self.window;
        window.pictures += 1;
        window.keys += u64::from(picture.key);
        if let Some(last) = self.last.replace(now) {
            let interval = now.duration_since(last);
            window.gap = window.gap.max(interval);
            if self.intervals.len() == MEAN_OVER {
                let mean = self.intervals.iter().sum::<Duration>() / MEAN_OVER as u32;
                if interval > (3 * mean).max(mean + FREEZE) {
                    window.freezes += 1;
                    window.frozen += interval;
                }
                self.intervals.pop_front();
            }
            self.intervals.push_back(interval);
        }
        let origin = *self.origin.get_or_insert(now);
        let transit = now.duration_since(origin).as_secs_f64() - picture.time as f64 / CLOCK;
        let fastest = self.fastest.map_or(transit, |fastest| fastest.min(transit));
        self.fastest = Some(fastest);
        if window.queue_ms.len() < MOST_SAMPLES {
            window.queue_ms.push((transit - fastest) * 1e3);
        }
        let latency = taken.and_then(|taken| SystemTime::now().duration_since(taken).ok());
        if let Some(latency) = latency.filter(|_| window.latency_ms.len() < MOST_SAMPLES) {
            window.latency_ms.push(latency.as_secs_f64() * 1e3);
        }
    }

    /// The counts since the last call.
    pub fn report(&mut self, now: Instant) -> Report {
        let window = std::mem::take(&mut self.window);
        let lasting = self.last.map_or(Duration::ZERO, |last| now.duration_since(last));
        Report {
            pictures: window.pictures,
            keys: window.keys,
            datagrams: window.datagrams,
            wire_bytes: window.wire_bytes,
            media_bytes: window.media_bytes,
            freezes: window.freezes,
            frozen_ms: window.frozen.as_secs_f64() * 1e3,
            gap_ms: window.gap.max(lasting).as_secs_f64() * 1e3,
            queue_ms: spread(window.queue_ms),
            latency_ms: spread(window.latency_ms),
        }
    }
}

/// Median, 95 % and most.
fn spread(mut values: Vec<f64>) -> Option<[f64; 3]> {
    values.sort_by(f64::total_cmp);
    let at =
        |share: f64| values.get(((values.len().saturating_sub(1)) as f64 * share).round() as usize).copied();
    Some([at(0.5)?, at(0.95)?, at(1.0)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_freeze_when_it_is_longer_than_the_mean_and_150_ms() {
        let mut figures = Figures::default();
        let mut now = Instant::now();
        for index in 0..60 {
            now += Duration::from_millis(if index == 40 { 200 } else { 33 });
            figures.picture(Picture { time: index * 3000, key: index == 0 }, now, None);
        }
        let report = figures.report(now);
        assert_eq!((report.pictures, report.keys, report.freezes), (60, 1, 1));
        assert_eq!(report.frozen_ms.round(), 200.0);
        assert_eq!(figures.report(now + Duration::from_secs(1)).gap_ms.round(), 1000.0);
    }
}
