//! A picture that lies in a buffer of the camera's driver.

use std::{
    fmt,
    os::fd::BorrowedFd,
    sync::{Arc, OnceLock},
    time::Instant,
};

use anyhow::anyhow;

use super::{
    PixelFormat, RawFrame,
    convert::{ConvertError, device_to_i420},
};

/// Names a buffer: the same memory has the same key as long as its stream lives, and no other memory ever has it.
/// Encoders keep what they imported under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BufferKey {
    /// The stream that allocated the buffer; never given twice in a process.
    pub stream: u64,
    /// Its index in the stream's queue.
    pub index: u32,
}

/// A plane of a buffer (`struct v4l2_plane`, kernel doc: userspace-api/media/v4l/buffer).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevicePlane {
    /// Bytes from one row to the next.
    pub stride: u32,
    /// Bytes of memory that it has.
    pub length: u32,
    /// Bytes that the device wrote, at most [`Self::length`].
    pub bytes_used: u32,
    /// Where the samples begin, in bytes.
    pub offset: u32,
}

/// A driver's buffer that the agent holds. Dropping it gives it back to the driver.
pub trait DeviceBuffer: Send + Sync + fmt::Debug {
    /// Its name.
    fn key(&self) -> BufferKey;
    /// Its planes, at least one: one for all colours (YUYV; NV12 and YU12 one behind the other), or one a colour plane
    /// (NM12, YM12).
    fn planes(&self) -> &[DevicePlane];
    /// The plane as a DMABUF that another device can import, if the driver exports it.
    fn dmabuf(&self, plane: usize) -> Option<BorrowedFd<'_>>;
    /// What the device wrote into the plane, from its offset on.
    fn bytes(&self, plane: usize) -> &[u8];
}

/// See the module.
#[derive(Debug)]
pub struct DeviceFrame {
    /// How the samples lie.
    pub format: PixelFormat,
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// When the picture was taken, on the monotonic clock.
    pub captured: Instant,
    /// When the agent had it.
    pub dequeued: Instant,
    /// Where it lies.
    pub buffer: Box<dyn DeviceBuffer>,
    i420: OnceLock<Result<Arc<RawFrame>, ConvertError>>,
}

impl DeviceFrame {
    /// A picture of which nothing has been copied yet. Width and height are even.
    pub fn new(
        format: PixelFormat,
        (width, height): (u32, u32),
        captured: Instant,
        dequeued: Instant,
        buffer: Box<dyn DeviceBuffer>,
    ) -> Self {
        Self { format, width, height, captured, dequeued, buffer, i420: OnceLock::new() }
    }

    /// The picture converted, once for all who ask. An error if the device gave too few bytes.
    pub fn i420(&self) -> anyhow::Result<Arc<RawFrame>> {
        let converted = self.i420.get_or_init(|| {
            let planes: Vec<_> = self
                .buffer
                .planes()
                .iter()
                .zip(0..)
                .map(|(plane, index)| (self.buffer.bytes(index), plane.stride))
                .collect();
            let planes = device_to_i420(self.format, &planes, self.width, self.height)?;
            let &Self { width, height, captured, dequeued, .. } = self;
            Ok(Arc::new(RawFrame { width, height, planes, captured, dequeued, copies: 1 }))
        });
        converted.clone().map_err(|error| anyhow!("a camera picture cannot be converted: {error}"))
    }
}
