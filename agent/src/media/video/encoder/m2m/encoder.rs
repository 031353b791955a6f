//! H.264 by a stateful V4L2 encoder: one picture in, one access unit out.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};

use super::{
    Coded, Engine, EngineSettings, M2mDevice, RateControls, Ticket,
    controls::set_up_h264,
    layout::{self, Layout, Short},
};
use crate::media::video::{
    AccessUnit, Bitrate, DeviceFrame, PixelFormat, RawFrame, VideoCodec, VideoEncoder, VideoFrame,
    annexb::{Assembled, Assembler, nal_units},
    encoder::{EncoderFault, EncoderSettings},
    v4l2::{Device, FourCc, Memory},
};

/// What gives nothing for so long hangs: firmware encodes a picture within a few frame intervals or not at all.
const PATIENCE: Duration = Duration::from_secs(1);
/// Draining ends a stream in which nothing waits any more: it takes as long as a picture.
const DRAIN_PATIENCE: Duration = Duration::from_millis(200);
/// A picture that the driver called damaged going in may still give something coming out, which is thrown away.
const REMNANT_PATIENCE: Duration = Duration::from_millis(50);

/// See the module.
pub struct M2mEncoder {
    device: M2mDevice,
    settings: EncoderSettings,
    controls: RateControls,
    /// Started with the first picture, which says how pictures lie.
    engine: Option<Engine>,
    /// Pictures that the engine has been given.
    pictures: u64,
    assembler: Assembler,
    /// The camera's buffers cannot be read; that has been logged.
    copies_only: bool,
    /// When a key frame was last forced.
    forced: Option<Instant>,
    /// It hangs or broke: nothing is drained.
    broken: bool,
}

/// How a picture gets into the encoder.
enum Entry<'a> {
    Import(&'a DeviceFrame),
    /// From the camera's buffer.
    CopyDevice(&'a DeviceFrame),
    CopyMemory(std::sync::Arc<RawFrame>),
}

impl M2mEncoder {
    /// For logs and metrics.
    pub const NAME: &'static str = "v4l2-m2m";

    /// Looks whether the device can encode this; it starts with the first picture, which is an IDR.
    pub fn open(device: &M2mDevice, settings: &EncoderSettings) -> anyhow::Result<Self> {
        let node = Device::open(&device.path)?;
        let controls = RateControls::of(&node, device.quirks());
        drop(node);
        let mut encoder = Self {
            device: device.clone(),
            settings: *settings,
            controls,
            engine: None,
            pictures: 0,
            assembler: Assembler::default(),
            copies_only: !device.dmabuf,
            forced: None,
            broken: false,
        };
        // That it starts at all is found out here, so that another encoder can be taken at once.
        let layout = encoder.copied(PixelFormat::Yu12).context("it takes no raw format of the agent's")?;
        drop(encoder.start(layout, Memory::Mmap)?);
        encoder.settings.bitrate = encoder.controls.rounded(settings.bitrate);
        Ok(encoder)
    }

    fn words(&self) -> String {
        format!("{} ({})", self.device.card, self.device.path.display())
    }

    fn takes(&self, format: PixelFormat) -> bool {
        self.device.inputs.contains(&FourCc(format.fourcc()))
    }

    /// How pictures of a format are copied in: as they are, or as I420 or NV12.
    fn copied(&self, format: PixelFormat) -> Option<Layout> {
        let mut formats = [format, PixelFormat::Yu12, PixelFormat::Nv12].into_iter();
        let &EncoderSettings { width, height, .. } = &self.settings;
        let format = formats.find(|format| format.memory_planes() == 1 && self.takes(*format))?;
        Some(Layout { format, width, height, strides: vec![0] })
    }

    fn start(&self, layout: Layout, memory: Memory) -> anyhow::Result<Engine> {
        let (quirks, settings) = (self.device.quirks(), &self.settings);
        let engine = EngineSettings {
            coded: FourCc(*b"H264"),
            layout,
            memory,
            fps: settings.fps,
            coded_size: quirks.coded_size(settings.width, settings.height),
        };
        Engine::open(&self.device.path, &engine, |device| {
            set_up_h264(device, quirks, settings);
            self.controls.set_bitrate(device, settings.bitrate)?;
            Ok(())
        })
    }

    /// Takes the picture where it lies if the encoder can read it there.
    fn enter<'a>(&mut self, frame: &'a VideoFrame) -> anyhow::Result<Entry<'a>> {
        match frame {
            VideoFrame::Memory(frame) => {
                let layout = self.copied(PixelFormat::Yu12).context("it takes no I420 and no NV12")?;
                self.engine_for(&layout, Memory::Mmap)?;
                Ok(Entry::CopyMemory(frame.clone()))
            }
            VideoFrame::Device(device) => {
                if let Some(layout) = self.importable(device) {
                    match self.engine_for(&layout, Memory::Dmabuf) {
                        Ok(()) => return Ok(Entry::Import(device)),
                        Err(error) => self.copy_from_now_on(&error),
                    }
                }
                let layout =
                    self.copied(device.format).context("it takes none of the agent's raw formats")?;
                self.engine_for(&layout, Memory::Mmap)?;
                let as_it_is = layout.format == device.format;
                if as_it_is { Ok(Entry::CopyDevice(device)) } else { Ok(Entry::CopyMemory(frame.i420()?)) }
            }
        }
    }

    fn importable(&self, frame: &DeviceFrame) -> Option<Layout> {
        let layout = Layout::of_device(frame)?;
        let planes = frame.buffer.planes();
        let exported = (0..planes.len()).all(|plane| frame.buffer.dmabuf(plane).is_some());
        let readable =
            planes.iter().all(|plane| self.device.quirks().takes_stride(frame.format, plane.stride));
        let taken = self.takes(layout.format);
        (!self.copies_only && exported && readable && taken).then_some(layout)
    }

    fn copy_from_now_on(&mut self, error: &anyhow::Error) {
        self.copies_only = true;
        tracing::info!(encoder = %self.words(), "pictures are copied, as the camera's buffers cannot be read: {error:#}");
    }

    /// Makes sure that the engine takes pictures that lie so: else it is drained and started anew.
    fn engine_for(&mut self, layout: &Layout, memory: Memory) -> anyhow::Result<()> {
        let same = |engine: &Engine| {
            let strides = layout.strides.iter().zip(&engine.layout().strides);
            engine.memory() == memory
                && engine.layout().format == layout.format
                && engine.layout().strides.len() == layout.strides.len()
                && strides.into_iter().all(|(wanted, set)| *wanted == 0 || wanted == set)
        };
        if self.engine.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.retire();
        self.engine = Some(self.start(layout.clone(), memory)?);
        (self.pictures, self.forced) = (0, None);
        Ok(())
    }

    /// Ends the engine. It has given all pictures: what is drained is the stream's end.
    fn retire(&mut self) {
        let Some(mut engine) = self.engine.take() else { return };
        if !self.broken
            && self.pictures > 0
            && let Err(error) = engine.drain(Instant::now() + DRAIN_PATIENCE)
        {
            tracing::debug!(encoder = %self.words(), "cannot be drained: {error:#}");
        }
    }

    fn force_key_frame(&mut self) -> anyhow::Result<()> {
        if self.pictures == 0 {
            return Ok(());
        }
        if !self.controls.can_force_key_frame() {
            // A stream that begins anew begins with one.
            self.retire();
            return Ok(());
        }
        let now = Instant::now();
        let spacing = self.device.quirks().keyframe_spacing;
        if self.forced.is_some_and(|forced| now < forced + spacing) {
            return Ok(());
        }
        self.forced = Some(now);
        if let Some(engine) = &self.engine {
            self.controls.force_key_frame(engine.device())?;
        }
        Ok(())
    }

    /// Queues the picture, by a copy if it cannot be imported; returns how often the CPU has copied it.
    fn submit(&mut self, frame: &VideoFrame, entry: Entry<'_>) -> anyhow::Result<(Ticket, u32)> {
        let Some(engine) = self.engine.as_mut() else { bail!("it is not started") };
        let short = |result: anyhow::Result<Ticket>, words: String| match result {
            Err(error) if error.is::<Short>() => {
                let why = error.to_string();
                Err(EncoderFault::Refused { encoder: words, why }.into())
            }
            result => result,
        };
        match entry {
            Entry::Import(device) => match engine.import(device) {
                Ok(ticket) => Ok((ticket, 0)),
                Err(error) if self.pictures == 0 => {
                    self.copy_from_now_on(&error);
                    let entry = self.enter(frame)?;
                    self.submit(frame, entry)
                }
                Err(error) => {
                    let refused = error.downcast_ref::<crate::media::video::v4l2::Error>();
                    if refused.is_some_and(|error| error.errno == libc::EINVAL) {
                        let why = error.to_string();
                        bail!(EncoderFault::Refused { encoder: self.words(), why });
                    }
                    Err(error)
                }
            },
            Entry::CopyDevice(device) => {
                let source = Layout::of_device(device).context("the camera's picture is not raw")?;
                let ticket = engine.copy(device.captured, |target, rows, memory| {
                    layout::copy((&source, device.buffer.bytes(0)), (target, rows, memory))
                });
                Ok((short(ticket, self.words())?, 1))
            }
            Entry::CopyMemory(raw) => {
                let write = |target: &Layout, rows, memory: &mut [u8]| target.write(&raw, rows, memory);
                let ticket = engine.copy(raw.captured, write);
                Ok((short(ticket, self.words())?, raw.copies + 1))
            }
        }
    }

    /// Waits for what comes of a picture, and until the driver has no more use for the picture itself.
    fn collect(&mut self, ticket: Ticket, deadline: Instant) -> anyhow::Result<Assembled> {
        let zero_timestamp = self.device.quirks().zero_timestamp && self.pictures == 1;
        let words = self.words();
        let hung = || EncoderFault::Hung { encoder: words.clone(), waited: PATIENCE };
        let refused = |why: &str| EncoderFault::Refused { encoder: words.clone(), why: why.into() };
        let engine = self.engine.as_mut().context("it is not started")?;
        let assembled = loop {
            let until =
                if engine.is_damaged() { deadline.min(Instant::now() + REMNANT_PATIENCE) } else { deadline };
            let Some(Coded { ticket: of, data, damaged, .. }) = engine.next(until)? else {
                if engine.take_damaged() {
                    bail!(refused("the driver calls it damaged"));
                }
                bail!(hung());
            };
            // What comes late belongs to a picture that was given up.
            if of.map_or(!zero_timestamp, |of| of < ticket) {
                continue;
            }
            if damaged || engine.is_damaged() || data.is_empty() {
                engine.settle(deadline)?;
                engine.take_damaged();
                bail!(refused(if data.is_empty() {
                    "nothing came of it"
                } else {
                    "the driver calls it damaged"
                }));
            }
            let mut has_slice = false;
            let nals = nal_units(&data).inspect(|nal| has_slice |= is_slice(nal));
            let assembled = self.assembler.assemble(nals);
            match assembled {
                Some(assembled) => break assembled,
                // Parameter sets alone, as some drivers give them first.
                None if !has_slice => {}
                None => bail!(refused("its parameter sets are missing")),
            }
        };
        if !engine.settle(deadline)? {
            bail!(hung());
        }
        Ok(assembled)
    }

    fn encode_now(&mut self, frame: &VideoFrame, keyframe: bool) -> anyhow::Result<AccessUnit> {
        let size = (self.settings.width, self.settings.height);
        ensure!(frame.size() == size, "the picture has another size than the encoder");
        if keyframe {
            self.force_key_frame()?;
        }
        let entry = self.enter(frame)?;
        let (ticket, copies) = self.submit(frame, entry)?;
        self.pictures += 1;
        let Assembled { data, keyframe } = self.collect(ticket, Instant::now() + PATIENCE)?;
        let (captured, dequeued) = match frame {
            VideoFrame::Memory(frame) => (frame.captured, frame.dequeued),
            VideoFrame::Device(frame) => (frame.captured, frame.dequeued),
        };
        let (width, height) = size;
        let unit =
            AccessUnit::passed(VideoCodec::H264, data, keyframe, (width, height), (captured, dequeued));
        Ok(AccessUnit { copies, ..unit })
    }
}

/// A coded slice of a picture (H.264 section 7.4.1, types 1 to 5).
fn is_slice(nal: &[u8]) -> bool {
    (1..=5).contains(&crate::media::video::annexb::nal_type(nal))
}

impl VideoEncoder for M2mEncoder {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn codec(&self) -> VideoCodec {
        VideoCodec::H264
    }

    fn limits(&self) -> RangeInclusive<Bitrate> {
        self.controls.limits()
    }

    fn encode(&mut self, frame: &VideoFrame, keyframe: bool) -> anyhow::Result<Option<AccessUnit>> {
        let result = self.encode_now(frame, keyframe);
        if let Err(error) = &result {
            self.broken |= !matches!(EncoderFault::of(error), Some(EncoderFault::Refused { .. }));
        }
        result.map(Some)
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) -> anyhow::Result<()> {
        let bitrate = self.controls.rounded(bitrate);
        self.settings.bitrate = bitrate;
        if let Some(engine) = &self.engine {
            self.controls
                .set_bitrate(engine.device(), bitrate)
                .with_context(|| format!("a bit rate of {} bit/s", bitrate.0))?;
        }
        Ok(())
    }
}

impl Drop for M2mEncoder {
    fn drop(&mut self) {
        self.retire();
    }
}
