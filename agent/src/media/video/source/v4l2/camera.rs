//! A camera as a source.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::bail;

use super::{
    held::Held,
    open::{self, Opened},
    stream::Stream,
    words,
};
use crate::{
    config::VideoConfig,
    media::video::{
        AccessUnit, DeviceFrame, PixelFormat, RawFrame, SourceFrame, SourceInfo, VideoCodec, VideoFrame,
        VideoSource,
        annexb::{Assembler, nal_units},
        convert::jpeg_to_i420,
        source::monotonic::{instant_of, kernel_now},
        v4l2::{Dequeued, Flags},
    },
};

/// Cameras send a damaged picture now and then, above all the first ones; so many in a row are a fault.
const MAX_DAMAGED: u32 = 30;

/// An open camera. Raw pictures are handed over in its own buffers, uncopied; a JPEG is decoded.
pub struct Camera {
    stream: Stream,
    info: SourceInfo,
    path: PathBuf,
    format: PixelFormat,
    strides: Vec<u32>,
    remarks: Vec<String>,
    assembler: Assembler,
    /// What was wrong with the last damaged picture.
    damage: String,
    /// Capture time of the last picture: times must grow.
    last: Option<Instant>,
}

impl Camera {
    /// Opens a camera in the mode that is nearest to the configured one, with the configured controls. Streaming
    /// starts with the first picture.
    pub fn open(path: &Path, config: &VideoConfig) -> anyhow::Result<Self> {
        Self::open_preferring(path, config, &PixelFormat::ALL)
    }

    /// The same among its modes of these pixel formats, the preferred first: which those are is the encoder's matter.
    pub fn open_preferring(
        path: &Path,
        config: &VideoConfig,
        formats: &[PixelFormat],
    ) -> anyhow::Result<Self> {
        Self::of(path, open::open(path, config, formats)?)
    }

    /// The same among its modes of one pixel format.
    pub fn open_format(path: &Path, config: &VideoConfig, format: PixelFormat) -> anyhow::Result<Self> {
        Self::open_preferring(path, config, &[format])
    }

    fn of(path: &Path, opened: Opened) -> anyhow::Result<Self> {
        let Opened { device, type_, format, strides, info, remarks } = opened;
        let interval = Duration::from_secs(1) / info.fps;
        let stream = Stream::new(&device, type_, interval, format.is_raw())
            .map_err(|error| words::setup(path, "memory-mapped buffers", error))?;
        let (path, assembler) = (path.into(), Assembler::default());
        Ok(Self {
            stream,
            info,
            path,
            format,
            strides,
            remarks,
            assembler,
            damage: String::new(),
            last: None,
        })
    }

    /// Controls of the configuration that could not be set, in words.
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Takes one picture from the driver; `None` if it is damaged or not whole yet. What is not handed over goes back
    /// to the driver here.
    fn take(&mut self) -> anyhow::Result<Option<SourceFrame>> {
        let picture = self.stream.next().map_err(|why| words::stream(&self.path, why))?;
        let dequeued = Instant::now();
        let Dequeued { flags, timestamp, .. } = picture;
        let held = Held::new(self.stream.id(), picture, &self.strides);
        if flags.is_error() || held.first_plane().is_empty() {
            self.left_out(&"the driver calls it damaged or left it empty");
            return Ok(None);
        }
        let captured = capture_time(flags, timestamp, dequeued, self.last);
        self.last = Some(captured);
        let frame = match self.format {
            PixelFormat::H264 => self.encoded(&held, captured, dequeued),
            PixelFormat::Mjpeg => self.decoded(&held, captured, dequeued),
            _ => self.lent(held, captured, dequeued),
        };
        Ok(frame)
    }

    fn encoded(&mut self, held: &Held, captured: Instant, dequeued: Instant) -> Option<SourceFrame> {
        let SourceInfo { width, height, .. } = self.info;
        let unit = self.assembler.assemble(nal_units(held.first_plane()))?;
        let times = (captured, dequeued);
        let unit = AccessUnit::passed(VideoCodec::H264, unit.data, unit.keyframe, (width, height), times);
        Some(SourceFrame::Encoded(Arc::new(unit)))
    }

    fn decoded(&mut self, held: &Held, captured: Instant, dequeued: Instant) -> Option<SourceFrame> {
        let SourceInfo { width, height, .. } = self.info;
        let planes = jpeg_to_i420(held.first_plane(), width, height);
        let planes = planes.inspect_err(|error| self.left_out(error)).ok()?;
        Some(SourceFrame::Raw(RawFrame { width, height, planes, captured, dequeued, copies: 1 }.into()))
    }

    fn lent(&mut self, held: Held, captured: Instant, dequeued: Instant) -> Option<SourceFrame> {
        let size = (self.info.width, self.info.height);
        // An encoder that imports the buffer would not see that the end is missing.
        if let Err(error) = held.check_whole(self.format, size) {
            self.left_out(&error);
            return None;
        }
        let frame = DeviceFrame::new(self.format, size, captured, dequeued, Box::new(held));
        if self.stream.can_lend() {
            return Some(SourceFrame::Raw(VideoFrame::Device(Arc::new(frame))));
        }
        let copied = frame.i420().inspect_err(|error| self.left_out(error)).ok()?;
        Some(SourceFrame::Raw(VideoFrame::Memory(copied)))
    }

    fn left_out(&mut self, why: &dyn fmt::Display) {
        tracing::trace!(camera = %self.path.display(), "a picture is left out: {why}");
        self.damage = why.to_string();
    }
}

impl VideoSource for Camera {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn next(&mut self) -> anyhow::Result<SourceFrame> {
        for _ in 0..MAX_DAMAGED {
            if let Some(frame) = self.take()? {
                return Ok(frame);
            }
        }
        let Self { path, damage, .. } = self;
        bail!("the camera {} sends damaged pictures only ({damage}): check its cable", path.display())
    }
}

/// The driver's time of a picture if it is of the monotonic clock and not later than when the agent had it, else the
/// latter; always later than the one before.
fn capture_time(flags: Flags, timestamp: Duration, dequeued: Instant, last: Option<Instant>) -> Instant {
    let captured =
        if flags.is_monotonic() { instant_of(timestamp, kernel_now(), dequeued) } else { dequeued };
    last.map_or(captured, |last| captured.max(last + Duration::from_micros(100)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_is_not_there_is_unplugged() {
        let error = Camera::open(Path::new("/dev/video-none"), &VideoConfig::default()).err();
        assert_eq!(
            error.map(|error| error.to_string()).as_deref(),
            Some("camera /dev/video-none is unplugged")
        );
    }

    #[test]
    fn a_file_that_is_no_device_is_refused_with_advice() {
        let error =
            Camera::open(Path::new("/dev/null"), &VideoConfig::default()).err().map(|e| e.to_string());
        assert!(error.as_ref().is_some_and(|words| words.contains("p2pcam-agent devices")), "{error:?}");
    }

    #[test]
    fn capture_times_are_the_drivers_and_always_grow() {
        let (monotonic, unknown) = (Flags(0x2000), Flags(0));
        let old = kernel_now() - Duration::from_millis(20);
        let now = Instant::now();
        let age = now - capture_time(monotonic, old, now, None);
        assert!((Duration::from_millis(20)..Duration::from_secs(1)).contains(&age), "{age:?}");
        let last = now + Duration::from_secs(1);
        assert!(capture_time(monotonic, old, now, Some(last)) > last);
        assert_eq!(capture_time(unknown, old, now, None), now);
        // As drivers stamp the end of a picture that they give early.
        let future = kernel_now() + Duration::from_secs(60);
        assert_eq!(capture_time(monotonic, future, now, None), now);
    }
}
