//! A stateful encoder at work, of any codec: pictures in, encoded ones out, matched by timestamp.
//!
//! It does not know what it encodes: controls, parameter sets and key frames are the business of its user.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail, ensure};
use bytes::Bytes;

use super::{
    imports::Imports,
    layout::{Layout, Short},
};
use crate::media::video::{
    DeviceFrame,
    v4l2::{
        Buffer, BufferType, Capture, Device, DmabufPlane, Format, FourCc, Fract, Memory, Output, PlaneFormat,
        Queue, Readiness, Rect, Target,
    },
};

/// Buffers for encoded pictures: one being written, one waiting, and room for headers that come on their own.
const CODED_BUFFERS: u32 = 4;
/// Buffers for pictures that are copied: they are encoded one at a time.
const COPY_BUFFERS: u32 = 2;
/// Places for pictures that are imported: more than a camera has buffers.
const IMPORT_BUFFERS: u32 = 8;
/// What the first picture's timestamp is: one that drivers cannot mistake for none.
const FIRST_TIMESTAMP: Duration = Duration::from_secs(1);

/// What an engine is opened for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// What it makes.
    pub coded: FourCc,
    /// How its pictures come. Strides of zero are the driver's choice; others must be taken as they are.
    pub layout: Layout,
    /// Whose memory they are in.
    pub memory: Memory,
    /// Pictures a second.
    pub fps: u32,
    /// Least size of a buffer for an encoded picture in bytes; 0: the driver's choice.
    pub coded_size: u32,
}

/// Names a picture that was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(Duration);

/// What came of a picture.
#[derive(Clone, Debug)]
pub struct Coded {
    /// Of which picture, if the driver says.
    pub ticket: Option<Ticket>,
    /// The bytes; empty at the end of a drained stream.
    pub data: Bytes,
    /// The driver calls it a key frame.
    pub keyframe: bool,
    /// The driver says that it is damaged.
    pub damaged: bool,
    /// The last of a drained stream.
    pub last: bool,
}

/// See the module. Dropping it stops the device and closes it.
pub struct Engine {
    device: Arc<Device>,
    // Each is dropped, which stops it, before the device is.
    output: Queue<Output>,
    coded: Queue<Capture>,
    /// OUTPUT buffers that the driver does not have, by index.
    free: Vec<Option<Buffer<Output>>>,
    imports: Imports,
    memory: Memory,
    layout: Layout,
    /// Rows of luma that a picture has in its buffer.
    rows: usize,
    first: Option<Instant>,
    last: Duration,
    /// OUTPUT buffers that came back as damaged since somebody asked.
    damaged: bool,
}

impl Engine {
    /// Opens a device and starts it (dev-encoder, "Initialization"). `set_up` sets controls, at the point where the
    /// formats are known. An error if the device does not take the layout as it is asked for.
    pub fn open(
        path: &Path,
        settings: &EngineSettings,
        set_up: impl FnOnce(&Device) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let device = Arc::new(Device::open(path)?);
        let (output_type, capture_type) =
            device.capabilities()?.mem_to_mem().context("it is no mem-to-mem device")?;
        let &Layout { width, height, .. } = &settings.layout;
        set_coded_format(&device, capture_type, settings)?;
        let raw = set_raw_format(&device, output_type, settings)?;
        // Not all drivers have a rate or a crop: one that needs neither refuses them.
        let interval = Fract { numerator: 1, denominator: settings.fps.max(1) };
        if let Err(error) = device.set_interval(output_type, interval) {
            tracing::debug!(encoder = %path.display(), "takes no frame rate: {error}");
        }
        let crop = Rect { left: 0, top: 0, width, height };
        let cropped = device.set_selection(output_type, Target::Crop, crop);
        ensure!(
            cropped == Ok(crop) || (raw.width, raw.height) == (width, height),
            "it encodes {}x{} instead of {width}x{height}",
            raw.width,
            raw.height
        );
        set_up(&device)?;
        let layout = Layout::of_format(&raw, (width, height)).context("it has another raw format")?;
        let places = if settings.memory == Memory::Dmabuf { IMPORT_BUFFERS } else { COPY_BUFFERS };
        let (output, free) = Queue::<Output>::new(&device, output_type, settings.memory, places, false)?;
        let (coded, buffers) =
            Queue::<Capture>::new(&device, capture_type, Memory::Mmap, CODED_BUFFERS, false)?;
        for buffer in buffers {
            buffer.queue()?;
        }
        output.start()?;
        coded.start()?;
        let mut by_index: Vec<_> = (0..output.len()).map(|_| None).collect();
        for buffer in free {
            let index = buffer.index() as usize;
            by_index[index] = Some(buffer);
        }
        Ok(Self {
            imports: Imports::new(output.len()),
            device,
            output,
            coded,
            free: by_index,
            memory: settings.memory,
            layout,
            rows: raw.height as usize,
            first: None,
            last: Duration::ZERO,
            damaged: false,
        })
    }

    /// The device, for its controls.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How its pictures lie.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whose memory its pictures are in.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Queues a picture in the camera's own buffer, which must be kept until [`Self::settle`]. EINVAL: the driver
    /// cannot take it.
    pub fn import(&mut self, frame: &DeviceFrame) -> anyhow::Result<Ticket> {
        let planes = frame.buffer.planes().iter().enumerate().map(|(index, plane)| {
            let fd = frame.buffer.dmabuf(index)?;
            let &crate::media::video::DevicePlane { length, bytes_used, offset, .. } = plane;
            Some(DmabufPlane {
                fd,
                length,
                bytes_used: bytes_used.saturating_add(offset).min(length),
                offset,
            })
        });
        let planes = planes.collect::<Option<Vec<_>>>().context("the camera does not export its buffers")?;
        let free = &self.free;
        let place = self
            .imports
            .place(frame.buffer.key(), |place| free[place].is_some())
            .context("it still has all its buffers")?;
        let ticket = self.ticket(frame.captured);
        let buffer = self.free[place].take().context("a buffer is in two places")?;
        self.queued(place, buffer.queue_dmabuf(&planes, ticket.0), ticket)
    }

    /// Queues a picture that `fill` writes: it is given how the picture lies, how many rows of luma there are, and
    /// the memory.
    pub fn copy(
        &mut self,
        captured: Instant,
        fill: impl FnOnce(&Layout, usize, &mut [u8]) -> Result<(), Short>,
    ) -> anyhow::Result<Ticket> {
        let place = self.free.iter().position(Option::is_some).context("it still has all its buffers")?;
        let ticket = self.ticket(captured);
        let buffer = self.free[place].as_mut().context("a buffer is in two places")?;
        fill(&self.layout, self.rows, buffer.bytes_mut(0))?;
        let used = buffer.bytes(0).len() as u32;
        let buffer = self.free[place].take().context("a buffer is in two places")?;
        self.queued(place, buffer.queue(&[used], ticket.0), ticket)
    }

    fn queued(
        &mut self,
        place: usize,
        result: Result<(), crate::media::video::v4l2::Refused<Output>>,
        ticket: Ticket,
    ) -> anyhow::Result<Ticket> {
        match result {
            Ok(()) => Ok(ticket),
            Err(refused) => {
                self.free[place] = Some(refused.buffer);
                Err(refused.error.into())
            }
        }
    }

    /// Timestamps follow the capture times, as rate controls look at them, but always grow.
    fn ticket(&mut self, captured: Instant) -> Ticket {
        let first = *self.first.get_or_insert(captured);
        let time = FIRST_TIMESTAMP + captured.saturating_duration_since(first);
        let time = Duration::from_micros(time.as_micros() as u64).max(self.last + Duration::from_micros(1));
        self.last = time;
        Ticket(time)
    }

    /// The next encoded picture, of whichever was queued; `None` if there is none until `deadline`.
    pub fn next(&mut self, deadline: Instant) -> anyhow::Result<Option<Coded>> {
        loop {
            self.reap()?;
            if let Some(done) = self.coded.dequeue()? {
                let coded = Coded {
                    ticket: (!done.timestamp.is_zero()).then_some(Ticket(done.timestamp)),
                    data: Bytes::copy_from_slice(done.data(0)),
                    keyframe: done.flags.is_keyframe(),
                    damaged: done.flags.is_error(),
                    last: done.flags.is_last(),
                };
                // After the last one the driver takes none before it is started again.
                if !coded.last {
                    done.buffer.queue()?;
                }
                return Ok(Some(coded));
            }
            if !self.wait(deadline, true)? {
                return Ok(None);
            }
        }
    }

    /// Waits until the driver has no more use for any picture that was queued; false if that is not so by `deadline`.
    /// True also if it called one of them damaged: see [`Self::take_damaged`].
    pub fn settle(&mut self, deadline: Instant) -> anyhow::Result<bool> {
        loop {
            self.reap()?;
            if self.output.queued() == 0 {
                return Ok(true);
            }
            if !self.wait(deadline, false)? {
                return Ok(false);
            }
        }
    }

    /// Whether the driver called a picture damaged, and nobody has taken note yet.
    pub fn is_damaged(&self) -> bool {
        self.damaged
    }

    /// Takes note of it: whether the driver called a picture damaged since this was last asked.
    pub fn take_damaged(&mut self) -> bool {
        std::mem::take(&mut self.damaged)
    }

    /// Takes back the OUTPUT buffers that the driver is done with.
    fn reap(&mut self) -> anyhow::Result<()> {
        while let Some(done) = self.output.dequeue()? {
            self.damaged |= done.flags.is_error();
            let index = done.buffer.index() as usize;
            self.free[index] = Some(done.buffer);
        }
        Ok(())
    }

    /// False if the time is over.
    fn wait(&self, deadline: Instant, readable: bool) -> anyhow::Result<bool> {
        let writable = self.output.queued() > 0;
        let happened =
            self.device.poll(Readiness { readable, writable, ..Readiness::default() }, deadline)?;
        ensure!(!happened.error, "the device stopped by itself");
        Ok(!happened.is_none())
    }

    /// Ends the stream (dev-encoder, "Drain"): gives what was queued and is not out yet. Nothing can be queued
    /// afterwards. An error if the driver does not end it by `deadline`.
    pub fn drain(&mut self, deadline: Instant) -> anyhow::Result<Vec<Coded>> {
        self.device.stop_encoder()?;
        let mut rest = Vec::new();
        // A driver that never says that it was the last is not followed further than what it can hold.
        for _ in 0..=(CODED_BUFFERS + IMPORT_BUFFERS) {
            let coded = self.next(deadline)?.ok_or_else(|| anyhow!("it does not end its stream"))?;
            let last = coded.last;
            if !coded.data.is_empty() {
                rest.push(coded);
            }
            if last {
                return Ok(rest);
            }
        }
        bail!("it gives more pictures at the end than it was given")
    }
}

fn set_coded_format(device: &Device, type_: BufferType, settings: &EngineSettings) -> anyhow::Result<()> {
    let &EngineSettings { coded, ref layout, coded_size, .. } = settings;
    let planes = vec![PlaneFormat { stride: 0, size: coded_size }];
    let wanted = Format { planes, ..Format::new(coded, layout.width, layout.height, 1) };
    let set = device.set_format(type_, &wanted)?;
    ensure!(set.fourcc == coded, "it makes {} instead of {coded}", set.fourcc);
    Ok(())
}

/// What the driver took of a raw format. It may be larger, which the crop makes good.
fn set_raw_format(device: &Device, type_: BufferType, settings: &EngineSettings) -> anyhow::Result<Format> {
    let layout = &settings.layout;
    let fourcc = layout.fourcc();
    let planes: Vec<_> =
        layout.strides.iter().map(|stride| PlaneFormat { stride: *stride, size: 0 }).collect();
    let wanted = Format { planes, ..Format::new(fourcc, layout.width, layout.height, layout.strides.len()) };
    let set = device.set_format(type_, &wanted)?;
    ensure!(set.fourcc == fourcc, "it takes {} instead of {fourcc}", set.fourcc);
    ensure!(
        set.width >= layout.width && set.height >= layout.height,
        "it encodes at most {}x{}, not {}x{}",
        set.width,
        set.height,
        layout.width,
        layout.height
    );
    let as_asked = |(wanted, set): (&u32, &PlaneFormat)| *wanted == 0 || *wanted == set.stride;
    ensure!(
        set.planes.len() == layout.strides.len() && layout.strides.iter().zip(&set.planes).all(as_asked),
        "it wants rows of {:?} bytes instead of {:?}",
        set.planes.iter().map(|plane| plane.stride).collect::<Vec<_>>(),
        layout.strides
    );
    // Chroma that lies behind luma would be looked for below the added rows.
    let moved = set.height != layout.height && settings.memory == Memory::Dmabuf && layout.strides.len() == 1;
    ensure!(!moved, "it wants {} rows instead of {}", set.height, layout.height);
    Ok(set)
}
