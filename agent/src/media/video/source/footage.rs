//! Files that cannot be passed through, decoded by FFmpeg's libraries and scaled down to the configured size.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use ffmpeg_next::{
    self as ffmpeg, Rational, codec,
    format::{self, context::Input},
    frame, media,
};

use super::{pace::Pace, scaler::Scaler};
use crate::{
    config::VideoConfig,
    media::video::{RawFrame, SourceFrame, SourceInfo, VideoSource},
};

/// What is taken for the frame rate of a file that does not say one.
const DEFAULT_FPS: f64 = 25.0;

/// A file that is decoded and played again and again.
pub struct Footage {
    info: SourceInfo,
    path: PathBuf,
    reader: Reader,
    scaler: Scaler,
    pace: Pace,
    frame_time: Duration,
    /// Media time of the last picture in this loop.
    last: Option<Duration>,
}

/// One open pass through the file.
struct Reader {
    input: Input,
    stream: usize,
    decoder: codec::decoder::Video,
    time_base: Rational,
    start: Option<i64>,
    drained: bool,
}

impl Reader {
    fn open(path: &Path) -> anyhow::Result<(Self, f64)> {
        let input = format::input(path).context("it has no format that FFmpeg knows, or cannot be read")?;
        let stream = input.streams().best(media::Type::Video).context("it has no video")?;
        let (index, time_base, rate) =
            (stream.index(), stream.time_base(), f64::from(stream.avg_frame_rate()));
        let decoder = codec::Context::from_parameters(stream.parameters())
            .and_then(|context| context.decoder().video())
            .context("FFmpeg has no decoder for its video")?;
        let fps = if rate.is_finite() && (1.0..=240.0).contains(&rate) { rate } else { DEFAULT_FPS };
        Ok((Self { input, stream: index, decoder, time_base, start: None, drained: false }, fps))
    }

    /// The next picture in order of showing; `None` at the end of the file.
    fn next(&mut self) -> Option<frame::Video> {
        let mut picture = frame::Video::empty();
        loop {
            if self.decoder.receive_frame(&mut picture).is_ok() {
                return Some(picture);
            }
            if self.drained {
                return None;
            }
            match self.input.packets().next() {
                Some((stream, packet)) if stream.index() == self.stream => {
                    // A damaged packet costs its picture, not the file.
                    let _ = self.decoder.send_packet(&packet);
                }
                Some(_) => {}
                None => {
                    self.drained = true;
                    // Fails only if it has been sent already.
                    let _ = self.decoder.send_eof();
                }
            }
        }
    }

    /// Media time since the first picture.
    fn time(&mut self, picture: &frame::Video) -> Option<Duration> {
        let pts = picture.timestamp()?;
        let ticks = pts.saturating_sub(*self.start.get_or_insert(pts));
        let seconds = ticks as f64 * f64::from(self.time_base);
        Duration::try_from_secs_f64(seconds).ok()
    }
}

impl Footage {
    /// Opens a file. Pictures larger than the configured size are scaled down to fit into it; smaller ones stay.
    pub fn open(path: &Path, config: &VideoConfig) -> anyhow::Result<Self> {
        ffmpeg::init().context("FFmpeg cannot be set up")?;
        // What FFmpeg prints by itself is not in the agent's log format.
        ffmpeg::log::set_level(ffmpeg::log::Level::Fatal);
        let (reader, fps) = Reader::open(path)?;
        let (width, height) = (reader.decoder.width(), reader.decoder.height());
        ensure!(width >= 16 && height >= 16, "its picture has a size of {width}x{height}");
        let (width, height) = fit((width, height), (config.width, config.height));
        let info = SourceInfo {
            name: format!("file {} (decoded)", path.display()),
            width,
            height,
            fps: fps.round() as u32,
            encoded: None,
        };
        let frame_time = Duration::from_secs_f64(1.0 / fps);
        let scaler = Scaler::new(width, height);
        Ok(Self { info, path: path.into(), reader, scaler, pace: Pace::new(), frame_time, last: None })
    }
}

impl VideoSource for Footage {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> anyhow::Result<SourceFrame> {
        let picture = match self.reader.next() {
            Some(picture) => picture,
            None => {
                let shown = self.path.display();
                let Some(last) = self.last.take() else {
                    bail!("the file {shown} has no picture that can be decoded")
                };
                self.pace.loop_at(last + self.frame_time);
                self.reader = Reader::open(&self.path)
                    .with_context(|| format!("the file {shown} is no longer readable"))?
                    .0;
                self.reader.next().with_context(|| format!("the file {shown} has no picture any more"))?
            }
        };
        let planes = self.scaler.convert(&picture)?;
        let guessed = self.last.map_or(Duration::ZERO, |last| last + self.frame_time);
        let time = self.reader.time(&picture).unwrap_or(guessed);
        self.last = Some(time);
        let captured = self.pace.wait(time);
        let frame = RawFrame::new(self.info.width, self.info.height, planes, captured);
        Ok(SourceFrame::Raw(frame.into()))
    }
}

/// The size that fits into `limit` with the same shape, never larger than `size`, even.
fn fit(size: (u32, u32), limit: (u32, u32)) -> (u32, u32) {
    let scale = |from: u32, to: u32| f64::from(to.max(16)) / f64::from(from);
    let factor = scale(size.0, limit.0).min(scale(size.1, limit.1)).min(1.0);
    let even = |side: u32| (((f64::from(side) * factor).round() as u32) & !1).max(16);
    (even(size.0), even(size.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn footage_is_scaled_down_to_fit_and_never_up() {
        assert_eq!(fit((1920, 1080), (1280, 720)), (1280, 720));
        assert_eq!(fit((1920, 800), (1280, 720)), (1280, 532));
        assert_eq!(fit((720, 1280), (1280, 720)), (404, 720));
        assert_eq!(fit((321, 181), (1280, 720)), (320, 180));
    }
}
