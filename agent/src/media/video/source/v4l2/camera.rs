//! A camera as a source.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use v4l::{
    Device, Format, FourCC,
    buffer::{Flags, Metadata},
    capability::Flags as Capability,
    video::{Capture, capture::Parameters},
};

use super::{
    compose::fill_buffer,
    list::{guarded, modes},
    negotiate::{Wanted, choose},
    stream::GuardedStream,
};
use crate::{
    config::VideoConfig,
    media::video::{
        AccessUnit, PixelFormat, RawFrame, SourceFrame, SourceInfo, VideoCodec, VideoSource,
        annexb::{Assembler, nal_units},
        convert::{Planes, jpeg_to_i420, packed_to_i420},
        source::monotonic::{instant_of, kernel_now},
    },
};

/// Cameras send a damaged picture now and then, above all the first ones; so many in a row are a fault.
const MAX_DAMAGED: u32 = 30;

/// An open camera. Fields are dropped in order: the stream goes before its device.
pub struct Camera {
    stream: GuardedStream,
    _device: Device,
    info: SourceInfo,
    path: PathBuf,
    format: PixelFormat,
    stride: u32,
    assembler: Assembler,
    /// Capture time of the last picture: times must grow.
    last: Option<Instant>,
}

impl Camera {
    /// Opens a camera in the mode that is nearest to the configured one. Streaming starts with the first picture.
    pub fn open(path: &Path, config: &VideoConfig) -> anyhow::Result<Self> {
        guarded(path, || Self::open_unguarded(path, config, None))
    }

    /// The same among its modes of one pixel format.
    pub fn open_format(path: &Path, config: &VideoConfig, format: PixelFormat) -> anyhow::Result<Self> {
        guarded(path, || Self::open_unguarded(path, config, Some(format)))
    }

    fn open_unguarded(path: &Path, config: &VideoConfig, only: Option<PixelFormat>) -> anyhow::Result<Self> {
        let shown = path.display();
        let wanted = Wanted { width: config.width, height: config.height, fps: config.fps };
        let device = Device::with_path(path).map_err(|error| anyhow!(open_words(path, &error)))?;
        let caps = device.query_caps().with_context(|| {
            format!("{shown} is no V4L2 device: `p2pcam-agent devices` lists the cameras")
        })?;
        ensure!(
            !caps.capabilities.contains(Capability::VIDEO_CAPTURE_MPLANE),
            "{shown} ({}) is a multi-planar camera, which the agent cannot take yet",
            caps.card
        );
        ensure!(
            caps.capabilities.contains(Capability::VIDEO_CAPTURE | Capability::STREAMING),
            "{shown} ({}) gives no pictures that the agent can take: `p2pcam-agent devices` lists the cameras",
            caps.card
        );
        let mut offered =
            modes(&device, wanted).with_context(|| format!("the camera {shown} cannot be asked"))?;
        offered.retain(|mode| only.is_none_or(|format| mode.format == format));
        let mode = choose(&offered, wanted)
            .with_context(|| format!("the camera {shown} has no format that the agent can take"))?;
        let codes = device.enum_formats()?;
        let code = codes
            .iter()
            .map(|entry| entry.fourcc)
            .find(|code| PixelFormat::from_fourcc(code.repr) == Some(mode.format))
            .unwrap_or(FourCC::new(&mode.format.fourcc()));

        let set = device.set_format(&Format::new(mode.width, mode.height, code)).map_err(|error| {
            anyhow!(setup_words(path, &format!("{} at {}x{}", mode.format, mode.width, mode.height), &error))
        })?;
        let Some(format) = PixelFormat::from_fourcc(set.fourcc.repr) else {
            bail!("the camera {shown} insists on the format {}, which the agent cannot take", set.fourcc);
        };
        ensure!(
            set.width >= 16 && set.height >= 16 && set.width % 2 == 0 && set.height % 2 == 0,
            "the camera {shown} insists on a picture of {}x{}",
            set.width,
            set.height
        );
        if let Err(error) = fill_buffer(&device, set.width, set.height) {
            tracing::trace!(camera = %shown, "the place of the picture is fixed: {error}");
        }
        // Some drivers cannot change the rate: they keep their own.
        let rate = device.set_params(&Parameters::with_fps(mode.rate_for(wanted.fps))).ok();
        let fps = rate.map(|set| set.interval).filter(|interval| interval.numerator > 0).map_or(
            mode.rate_for(wanted.fps),
            |interval| {
                // To the nearest: 30000/1001 is 30.
                let rate = f64::from(interval.denominator) / f64::from(interval.numerator);
                (rate.round() as u32).clamp(1, 240)
            },
        );
        let stream = GuardedStream::new(&device, Duration::from_secs(1) / fps)
            .map_err(|error| anyhow!(setup_words(path, "memory-mapped buffers", &error)))?;
        let info = SourceInfo {
            name: format!("camera {shown} ({}, {format})", caps.card),
            width: set.width,
            height: set.height,
            fps,
            encoded: (format == PixelFormat::H264).then_some(VideoCodec::H264),
        };
        Ok(Self {
            stream,
            _device: device,
            info,
            path: path.into(),
            format,
            stride: set.stride,
            assembler: Assembler::default(),
            last: None,
        })
    }

    /// Takes one picture from the driver; `None` if it is damaged or not whole yet.
    fn take(&mut self) -> anyhow::Result<Option<SourceFrame>> {
        let path = &self.path;
        let patience = self.stream.patience();
        let (buffer, meta) =
            self.stream.next().map_err(|error| anyhow!(stream_words(path, patience, &error)))?;
        let data = &buffer[..buffer.len().min(meta.bytesused as usize)];
        if meta.flags.contains(Flags::ERROR) || data.is_empty() {
            return Ok(None);
        }
        let dequeued = Instant::now();
        let captured = capture_time(meta, self.last);
        let SourceInfo { width, height, .. } = self.info;
        let frame = match self.format {
            PixelFormat::H264 => self.assembler.assemble(nal_units(data)).map(|unit| {
                SourceFrame::Encoded(Arc::new(AccessUnit::passed(
                    VideoCodec::H264,
                    unit.data,
                    unit.keyframe,
                    (width, height),
                    (captured, dequeued),
                )))
            }),
            format => {
                let raw = |planes: Planes| RawFrame { width, height, planes, captured, dequeued, copies: 1 };
                let planes = match format {
                    PixelFormat::Mjpeg => jpeg_to_i420(data, width, height),
                    _ => packed_to_i420(format, data, width, height, self.stride),
                };
                match planes {
                    Ok(planes) => Some(SourceFrame::Raw(raw(planes).into())),
                    Err(error) => {
                        tracing::trace!(camera = %path.display(), "a picture is left out: {error}");
                        None
                    }
                }
            }
        };
        self.last = Some(captured);
        Ok(frame)
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
        bail!("the camera {} sends damaged pictures only: check its cable", self.path.display())
    }
}

/// The driver's time of a picture if it is of the monotonic clock; always later than the one before.
fn capture_time(meta: &Metadata, last: Option<Instant>) -> Instant {
    let now = Instant::now();
    let kernel = Duration::try_from_secs_f64(meta.timestamp.sec as f64).unwrap_or_default()
        + Duration::from_micros(meta.timestamp.usec.clamp(0, 999_999) as u64);
    let monotonic = meta.flags & Flags::TIMESTAMP_MASK == Flags::TIMESTAMP_MONOTONIC;
    let captured = if monotonic { instant_of(kernel, kernel_now(), now) } else { now };
    last.map_or(captured, |last| captured.max(last + Duration::from_micros(100)))
}

/// Why a device cannot be opened.
fn open_words(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => format!("camera {shown} is unplugged"),
        Some(libc::EACCES | libc::EPERM) => {
            format!("the agent may not use the camera {shown}: add its user to the group video")
        }
        Some(libc::EBUSY) => format!("another program uses the camera {shown}: stop it"),
        _ => format!("the camera {shown} cannot be opened: {error}"),
    }
}

/// Why a device cannot be set up.
fn setup_words(path: &Path, what: &str, error: &io::Error) -> String {
    let shown = path.display();
    match error.raw_os_error() {
        Some(libc::EBUSY) => format!("another program uses the camera {shown}: stop it"),
        Some(libc::ENODEV) => format!("camera {shown} is unplugged"),
        _ => format!("the camera {shown} refuses {what}: {error}"),
    }
}

/// Why no picture comes.
fn stream_words(path: &Path, patience: Duration, error: &io::Error) -> String {
    let shown = path.display();
    match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::TimedOut, _) => {
            format!("camera {shown} has given no picture for {} s: check its cable", patience.as_secs())
        }
        (_, Some(libc::ENODEV)) => format!("camera {shown} is unplugged"),
        (_, Some(libc::ENOSPC)) => {
            format!("the USB bus has no room for the camera {shown}: use another port or a smaller picture")
        }
        (_, Some(libc::EBUSY)) => format!("another program uses the camera {shown}: stop it"),
        _ => format!("the camera {shown} gives no picture: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn words(code: i32) -> String {
        stream_words(Path::new("/dev/video7"), SECOND, &io::Error::from_raw_os_error(code))
    }

    #[test]
    fn faults_are_told_in_words_that_a_technician_can_act_on() {
        assert_eq!(words(libc::ENODEV), "camera /dev/video7 is unplugged");
        assert!(words(libc::ENOSPC).contains("another port"));
        assert!(words(libc::EIO).contains("/dev/video7 gives no picture"));
        let error = io::Error::new(io::ErrorKind::TimedOut, "x");
        let timeout = stream_words(Path::new("/dev/video7"), SECOND, &error);
        assert!(timeout.contains("no picture for 1 s"), "{timeout}");
        let denied = open_words(Path::new("/dev/video7"), &io::Error::from_raw_os_error(libc::EACCES));
        assert!(denied.contains("group video"), "{denied}");
    }

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
        let kernel = kernel_now();
        let old = kernel - Duration::from_millis(20);
        let meta = |flags| Metadata {
            timestamp: v4l::Timestamp::new(old.as_secs() as _, old.subsec_micros().into()),
            flags,
            ..Metadata::default()
        };
        let age = capture_time(&meta(Flags::TIMESTAMP_MONOTONIC), None).elapsed();
        assert!(age >= Duration::from_millis(20), "{age:?}");
        let last = Instant::now() + Duration::from_secs(1);
        assert!(capture_time(&meta(Flags::TIMESTAMP_MONOTONIC), Some(last)) > last);
        let now = Instant::now();
        assert!(capture_time(&meta(Flags::TIMESTAMP_UNKNOWN), None) >= now);
    }
}
