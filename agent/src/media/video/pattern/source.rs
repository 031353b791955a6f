//! Draws the test pattern at its frame rate. A background is drawn once; each frame is a copy of it with the moving
//! parts on top.

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::ensure;

use super::{
    strip::{self, Strip, draw_strip},
    texture::Texture,
};
use crate::media::video::{
    RawFrame, SourceFrame, SourceInfo, VideoSource, font,
    picture::{Picture, Yuv},
};

/// Smallest size whose strip cells survive a codec and whose text can be read.
const MIN_SIZE: (u32, u32) = (320, 180);
/// Largest size: what the software encoders can be asked for.
const MAX_SIZE: (u32, u32) = (1920, 1080);
/// One turn of the hand.
const HAND_PERIOD_MS: u64 = 2000;
/// The box crosses the picture in this time; the other direction takes a time that makes the path long.
const BOX_PERIOD_MS: (u64, u64) = (3000, 2300);
/// 75 % colour bars, left to right: white, yellow, cyan, green, magenta, red, blue.
const BARS: [Yuv; 7] = [
    Yuv(180, 128, 128),
    Yuv(162, 44, 142),
    Yuv(131, 156, 44),
    Yuv(112, 72, 58),
    Yuv(84, 184, 198),
    Yuv(65, 100, 212),
    Yuv(35, 212, 114),
];

/// The source of the test pattern.
pub struct PatternSource {
    info: SourceInfo,
    background: Picture,
    /// In place of the bars, in a busy one.
    texture: Option<Texture>,
    epoch: Instant,
    /// Number of the next frame, counted from the epoch; `None` before the first.
    next: Option<u64>,
}

impl PatternSource {
    /// A pattern of this size, rounded down to even, whose frame numbers count from `epoch`.
    pub fn new(width: u32, height: u32, fps: u32, epoch: Instant) -> anyhow::Result<Self> {
        let fits = (MIN_SIZE.0..=MAX_SIZE.0).contains(&width) && (MIN_SIZE.1..=MAX_SIZE.1).contains(&height);
        ensure!(
            fits,
            "the test pattern cannot be {width}x{height}: choose a size from {}x{} to {}x{} in [video]",
            MIN_SIZE.0,
            MIN_SIZE.1,
            MAX_SIZE.0,
            MAX_SIZE.1
        );
        ensure!(
            (1..=120).contains(&fps),
            "the test pattern cannot have {fps} fps: choose 1 to 120 in [video]"
        );
        let background = background(width, height);
        let (width, height) = (background.width() as u32, background.height() as u32);
        let info = SourceInfo { name: "test pattern".into(), width, height, fps, encoded: None };
        Ok(Self { info, background, texture: None, epoch, next: None })
    }

    /// The same with moving noise in place of the bars: an encoder needs all of its rate for it.
    pub fn busy(width: u32, height: u32, fps: u32, epoch: Instant) -> anyhow::Result<Self> {
        let mut source = Self::new(width, height, fps, epoch)?;
        source.info.name = "busy test pattern".into();
        source.texture = Some(Texture::new());
        Ok(source)
    }

    /// Draws the picture with this number and wall-clock time.
    pub fn draw(&self, number: u64, wall: SystemTime, captured: Instant) -> RawFrame {
        let time_ms = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_millis() as u64;
        let mut picture = self.background.clone();
        let (width, height) = (picture.width(), picture.height());
        let top = strip::cell_size(width) * strip::ROWS;
        if let Some(texture) = &self.texture {
            // The strip's lowest cells keep a calm edge.
            texture.draw(&mut picture, number, top + strip::cell_size(width), height * 3 / 4);
        }
        self.draw_box(&mut picture, time_ms, top);
        draw_hand(&mut picture, time_ms, top);
        draw_clock(&mut picture, number, time_ms);
        draw_strip(&mut picture, Strip { frame: number as u32, time_ms });
        debug_assert_eq!((picture.width(), picture.height()), (width, height));
        picture.into_frame(captured)
    }

    fn draw_box(&self, picture: &mut Picture, time_ms: u64, top: usize) {
        let side = picture.height() / 8;
        let x = bounce(time_ms, BOX_PERIOD_MS.0, picture.width() - side);
        let y = top + bounce(time_ms, BOX_PERIOD_MS.1, picture.height() * 3 / 4 - top - side);
        picture.fill(x & !1, y & !1, side, side, Yuv::WHITE);
        picture.fill((x + side / 4) & !1, (y + side / 4) & !1, side / 2, side / 2, Yuv::BLACK);
    }

    fn number_at(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.epoch);
        (elapsed.as_nanos() * u128::from(self.info.fps) / 1_000_000_000) as u64
    }

    fn due(&self, number: u64) -> Instant {
        // Rounded up, so that the number at this instant is this number.
        let nanos = (u128::from(number) * 1_000_000_000).div_ceil(u128::from(self.info.fps));
        self.epoch + Duration::from_nanos(nanos as u64)
    }
}

impl VideoSource for PatternSource {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// The first picture comes at once, each other when it is due; numbers that were missed are left out.
    fn next(&mut self) -> anyhow::Result<SourceFrame> {
        if let Some(next) = self.next {
            thread::sleep(self.due(next).saturating_duration_since(Instant::now()));
        }
        let now = Instant::now();
        let number = self.number_at(now);
        self.next = Some(number + 1);
        Ok(SourceFrame::Raw(self.draw(number, SystemTime::now(), now).into()))
    }
}

/// Where something is that goes to and fro over `range` pixels.
fn bounce(time_ms: u64, period_ms: u64, range: usize) -> usize {
    let phase = time_ms % (2 * period_ms);
    let way = if phase < period_ms { phase } else { 2 * period_ms - phase };
    (way * range as u64 / period_ms) as usize
}

fn background(width: u32, height: u32) -> Picture {
    let mut picture = Picture::new(width, height, Yuv::BLACK);
    let (width, height) = (picture.width(), picture.height());
    let top = strip::cell_size(width) * strip::ROWS;
    let bars_end = height * 3 / 4;
    for (index, colour) in BARS.iter().enumerate() {
        let (left, right) = (index * width / BARS.len(), (index + 1) * width / BARS.len());
        picture.fill(left & !1, top, (right & !1) - (left & !1), bars_end - top, *colour);
    }
    // A grey ramp between bars and clock shows crushed blacks and whites.
    const STEPS: usize = 16;
    for step in 0..STEPS {
        let (left, right) = (step * width / STEPS, (step + 1) * width / STEPS);
        let luma = 16 + (step * 219 / (STEPS - 1)) as u8;
        picture.fill(left, bars_end, right - left, height / 16, Yuv(luma, 128, 128));
    }
    picture
}

fn draw_hand(picture: &mut Picture, time_ms: u64, top: usize) {
    let (centre_x, centre_y) = (picture.width() / 2, (top + picture.height() * 3 / 4) / 2);
    let length = (picture.height() * 3 / 4 - top) as f64 * 0.42;
    let thick = (picture.height() / 90).max(2);
    let angle = (time_ms % HAND_PERIOD_MS) as f64 / HAND_PERIOD_MS as f64 * std::f64::consts::TAU;
    let (sin, cos) = angle.sin_cos();
    let steps = (length / thick as f64 * 2.0) as usize;
    for step in 0..=steps {
        let radius = length * step as f64 / steps as f64;
        let x = (centre_x as f64 + radius * sin) as usize & !1;
        let y = (centre_y as f64 - radius * cos) as usize & !1;
        picture.fill(x, y, thick, thick, Yuv::BLACK);
    }
}

/// "12:34:56.789  #000123" under the ramp.
fn draw_clock(picture: &mut Picture, number: u64, time_ms: u64) {
    let (seconds, millis) = (time_ms / 1000, time_ms % 1000);
    let (hours, minutes) = (seconds / 3600 % 24, seconds / 60 % 60);
    let text = format!("{hours:02}:{minutes:02}:{:02}.{millis:03} #{:06}", seconds % 60, number % 1_000_000);
    let band_top = picture.height() * 3 / 4 + picture.height() / 16;
    let band = picture.height() - band_top;
    let scale = (picture.width() / ((text.len() + 2) * font::ADVANCE)).min(band / (font::HEIGHT + 2)).max(1);
    let left = picture.width().saturating_sub(text.len() * font::ADVANCE * scale) / 2;
    let top = band_top + band.saturating_sub(font::HEIGHT * scale) / 2;
    picture.text(left, top, scale, &text, 235);
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
