//! An open V4L2 device, and what it is.

use std::{
    fs::{File, OpenOptions},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
    time::Instant,
};

use super::{
    abi::{self, Fract},
    error::{Error, Result},
    ioctl::{self, Plain},
};

/// What a queue carries and how (`enum v4l2_buf_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BufferType {
    /// Out of the device, one plane of memory a picture.
    Capture = 1,
    /// Into the device, one plane of memory a picture.
    Output = 2,
    /// Out of the device, as many planes of memory as the format has.
    CaptureMulti = 9,
    /// Into the device, as many planes of memory as the format has.
    OutputMulti = 10,
}

impl BufferType {
    /// The number of the kernel.
    pub fn code(self) -> u32 {
        self as u32
    }

    /// True of the multi-planar interface.
    pub fn is_multi(self) -> bool {
        matches!(self, Self::CaptureMulti | Self::OutputMulti)
    }

    /// True if the agent writes the data.
    pub fn is_output(self) -> bool {
        matches!(self, Self::Output | Self::OutputMulti)
    }
}

/// What a device says of itself (`VIDIOC_QUERYCAP`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// "uvcvideo"
    pub driver: String,
    /// "HD USB Camera"
    pub card: String,
    /// "usb-0000:00:14.0-1"
    pub bus: String,
    /// `V4L2_CAP_*` of this node.
    flags: u32,
}

impl Capabilities {
    fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// What a camera captures with; `None` if it is no camera that can stream. A device that also takes pictures in
    /// is a codec or scaler.
    pub fn camera(&self) -> Option<BufferType> {
        let takes = abi::CAP_VIDEO_OUTPUT | abi::CAP_VIDEO_OUTPUT_MPLANE;
        if !self.has(abi::CAP_STREAMING) || self.mem_to_mem().is_some() || self.flags & takes != 0 {
            return None;
        }
        let multi = self.has(abi::CAP_VIDEO_CAPTURE_MPLANE).then_some(BufferType::CaptureMulti);
        multi.or(self.has(abi::CAP_VIDEO_CAPTURE).then_some(BufferType::Capture))
    }

    /// What a mem-to-mem device (codec, scaler) takes and gives: its output and its capture type.
    pub fn mem_to_mem(&self) -> Option<(BufferType, BufferType)> {
        let old_multi = abi::CAP_VIDEO_CAPTURE_MPLANE | abi::CAP_VIDEO_OUTPUT_MPLANE;
        let old_single = abi::CAP_VIDEO_CAPTURE | abi::CAP_VIDEO_OUTPUT;
        if !self.has(abi::CAP_STREAMING) {
            None
        } else if self.has(abi::CAP_VIDEO_M2M_MPLANE) || self.has(old_multi) {
            Some((BufferType::OutputMulti, BufferType::CaptureMulti))
        } else if self.has(abi::CAP_VIDEO_M2M) || self.has(old_single) {
            Some((BufferType::Output, BufferType::Capture))
        } else {
            None
        }
    }
}

/// A part of the picture that can be chosen (`V4L2_SEL_TGT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// What is cut out of the source.
    Crop = 0x0000,
    /// What the crop may be at most.
    CropBounds = 0x0002,
    /// Where in the buffer the picture is put.
    Compose = 0x0100,
}

/// A part of a picture, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// From the left edge.
    pub left: i32,
    /// From the upper edge.
    pub top: i32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// What to wait for, and what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A buffer of the capture queue can be dequeued.
    pub readable: bool,
    /// A buffer of the output queue can be dequeued.
    pub writable: bool,
    /// An event can be dequeued.
    pub event: bool,
    /// Nothing more will come: no queue streams, it failed, or the device is gone. Always waited for.
    pub error: bool,
}

impl Readiness {
    /// Nothing of it: what [`Device::poll`] gives when the time is over.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// What a device tells besides buffers (`V4L2_EVENT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The last buffer has been encoded or decoded.
    EndOfStream = 2,
    /// A control changed: the identifier says which.
    Control = 3,
    /// The source changed its size or signal.
    SourceChange = 5,
}

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which; `None` of a kind that the agent does not know.
    pub kind: Option<EventKind>,
    /// Of which control or input.
    pub id: u32,
    /// `V4L2_EVENT_CTRL_CH_*` or `V4L2_EVENT_SRC_CH_*`.
    pub changes: u32,
}

/// An open device: non-blocking, and closed when a program is started. Closed on drop.
#[derive(Debug)]
pub struct Device {
    file: File,
    path: PathBuf,
}

impl Device {
    /// Opens a node such as `/dev/video0`.
    pub fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = file.map_err(|error| Error::of("open", &error))?;
        Ok(Self { file, path: path.into() })
    }

    /// What it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn call<T: Plain>(&self, request: &ioctl::Request<T>, value: &mut T) -> Result<()> {
        ioctl::call(self.as_fd(), request, value)
    }

    /// What it is. An error (ENOTTY) for a file that is no V4L2 device.
    pub fn capabilities(&self) -> Result<Capabilities> {
        let mut caps = abi::Capability::zeroed();
        self.call(&ioctl::QUERYCAP, &mut caps)?;
        let own = caps.capabilities & abi::CAP_DEVICE_CAPS != 0;
        Ok(Capabilities {
            driver: text(&caps.driver),
            card: text(&caps.card),
            bus: text(&caps.bus_info),
            flags: if own { caps.device_caps } else { caps.capabilities },
        })
    }

    /// Seconds from picture to picture, as a fraction; `None` if the device has no such setting.
    pub fn interval(&self, type_: BufferType) -> Result<Option<Fract>> {
        let mut parm = abi::StreamParm { type_: type_.code(), ..Plain::zeroed() };
        self.call(&ioctl::G_PARM, &mut parm)?;
        Ok(known_interval(&parm))
    }

    /// Sets the time from picture to picture; returns what the device took, `None` if it has no such setting.
    pub fn set_interval(&self, type_: BufferType, interval: Fract) -> Result<Option<Fract>> {
        let mut parm = abi::StreamParm { type_: type_.code(), timeperframe: interval, ..Plain::zeroed() };
        self.call(&ioctl::S_PARM, &mut parm)?;
        Ok(known_interval(&parm))
    }

    /// A part of the picture.
    pub fn selection(&self, type_: BufferType, target: Target) -> Result<Rect> {
        let mut selection = selection_of(type_, target);
        self.call(&ioctl::G_SELECTION, &mut selection)?;
        Ok(rect_of(&selection))
    }

    /// Chooses a part of the picture; returns what the device took.
    pub fn set_selection(&self, type_: BufferType, target: Target, rect: Rect) -> Result<Rect> {
        let Rect { left, top, width, height } = rect;
        let mut selection = abi::Selection { left, top, width, height, ..selection_of(type_, target) };
        self.call(&ioctl::S_SELECTION, &mut selection)?;
        Ok(rect_of(&selection))
    }

    /// Makes a drained encoder go on (`V4L2_ENC_CMD_START`).
    pub fn start_encoder(&self) -> Result<()> {
        self.encoder_cmd(abi::ENC_CMD_START)
    }

    /// Drains an encoder: what is queued is encoded, the last buffer is marked as such (`V4L2_ENC_CMD_STOP`).
    pub fn stop_encoder(&self) -> Result<()> {
        self.encoder_cmd(abi::ENC_CMD_STOP)
    }

    fn encoder_cmd(&self, cmd: u32) -> Result<()> {
        self.call(&ioctl::ENCODER_CMD, &mut abi::EncoderCmd { cmd, ..Plain::zeroed() })
    }

    /// Asks for events; `id` is a control's for [`EventKind::Control`], else 0.
    pub fn subscribe(&self, kind: EventKind, id: u32) -> Result<()> {
        let mut subscription = abi::EventSubscription { type_: kind as u32, id, ..Plain::zeroed() };
        self.call(&ioctl::SUBSCRIBE_EVENT, &mut subscription)
    }

    /// The next event; `None` if there is none yet.
    pub fn dequeue_event(&self) -> Result<Option<Event>> {
        let mut event = abi::Event::zeroed();
        match self.call(&ioctl::DQEVENT, &mut event) {
            Ok(()) => {}
            // The kernel says ENOENT where nothing waits.
            Err(error) if matches!(error.errno, libc::ENOENT | libc::EAGAIN) => return Ok(None),
            Err(error) => return Err(error),
        }
        let kind = match event.type_ {
            abi::EVENT_EOS => Some(EventKind::EndOfStream),
            abi::EVENT_CTRL => Some(EventKind::Control),
            abi::EVENT_SOURCE_CHANGE => Some(EventKind::SourceChange),
            _ => None,
        };
        Ok(Some(Event { kind, id: event.id, changes: event.changes }))
    }

    /// Waits until something of `interest` or an error happens, at most until `deadline`. Waits also for what is
    /// queued meanwhile by another thread.
    pub fn poll(&self, interest: Readiness, deadline: Instant) -> Result<Readiness> {
        let bit = |wanted, bits| if wanted { bits } else { 0 };
        let events = bit(interest.readable, libc::POLLIN)
            | bit(interest.writable, libc::POLLOUT)
            | bit(interest.event, libc::POLLPRI);
        let happened = ioctl::poll(self.as_fd(), events, deadline)?;
        let any = |bits| happened & bits != 0;
        Ok(Readiness {
            readable: any(libc::POLLIN),
            writable: any(libc::POLLOUT),
            event: any(libc::POLLPRI),
            error: any(libc::POLLERR | libc::POLLHUP | libc::POLLNVAL),
        })
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn known_interval(parm: &abi::StreamParm) -> Option<Fract> {
    let Fract { numerator, denominator } = parm.timeperframe;
    let known = parm.capability & abi::CAP_TIMEPERFRAME != 0 && numerator > 0 && denominator > 0;
    known.then_some(parm.timeperframe)
}

/// Selections are asked with the single-planar type also of multi-planar devices: older kernels know no other.
fn selection_of(type_: BufferType, target: Target) -> abi::Selection {
    let plain = if type_.is_output() { BufferType::Output } else { BufferType::Capture };
    abi::Selection { type_: plain.code(), target: target as u32, ..Plain::zeroed() }
}

fn rect_of(selection: &abi::Selection) -> Rect {
    let &abi::Selection { left, top, width, height, .. } = selection;
    Rect { left, top, width, height }
}

/// A text of the kernel up to its zero, whatever the driver wrote.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn device(flags: u32) -> Capabilities {
        let [driver, card, bus] = [const { String::new() }; 3];
        Capabilities { driver, card, bus, flags: flags | abi::CAP_STREAMING }
    }

    #[test]
    fn cameras_are_told_from_codecs() {
        assert_eq!(device(abi::CAP_VIDEO_CAPTURE).camera(), Some(BufferType::Capture));
        assert_eq!(device(abi::CAP_VIDEO_CAPTURE_MPLANE).camera(), Some(BufferType::CaptureMulti));
        let codecs = [
            abi::CAP_VIDEO_M2M,
            abi::CAP_VIDEO_M2M_MPLANE,
            abi::CAP_VIDEO_CAPTURE_MPLANE | abi::CAP_VIDEO_OUTPUT_MPLANE,
            abi::CAP_VIDEO_CAPTURE | abi::CAP_VIDEO_OUTPUT,
        ];
        for flags in codecs {
            assert_eq!(device(flags).camera(), None, "{flags:#x}");
            assert!(device(flags).mem_to_mem().is_some(), "{flags:#x}");
        }
        assert_eq!(device(abi::CAP_VIDEO_CAPTURE).mem_to_mem(), None);
        assert_eq!(device(abi::CAP_VIDEO_OUTPUT).camera(), None);
    }

    #[test]
    fn a_file_that_is_no_device_is_told_by_the_first_call() {
        let null = Device::open(Path::new("/dev/null")).unwrap();
        assert_eq!(null.capabilities(), Err(Error::new("VIDIOC_QUERYCAP", libc::ENOTTY)));
        let missing = Device::open(Path::new("/dev/video-none")).err();
        assert!(missing.is_some_and(|error| error.is_unplugged()));
    }

    #[test]
    fn texts_end_at_their_zero_and_may_be_anything() {
        assert_eq!(text(b"vivid\0rest"), "vivid");
        assert_eq!(text(b"no zero "), "no zero");
        assert_eq!(text(&[0xff, b'a', 0]), "\u{fffd}a");
    }
}
