//! A picture in the camera's own buffer: goes back to the driver when it is dropped.

use std::{fmt, os::fd::BorrowedFd};

use crate::media::video::{
    BufferKey, DeviceBuffer, DevicePlane, PixelFormat,
    convert::{ConvertError, check_whole},
    v4l2::{Buffer, Capture, Dequeued, PlaneData},
};

/// A dequeued buffer. Dropping it queues it again, once; after the stream's end, or the device's, it is let go.
pub struct Held {
    key: BufferKey,
    planes: Vec<DevicePlane>,
    /// `None` only while it is being dropped.
    buffer: Option<Buffer<Capture>>,
}

impl Held {
    /// What was dequeued from the stream of this number; for each plane of memory the driver's bytes a row.
    pub fn new(stream: u64, picture: Dequeued<Capture>, strides: &[u32]) -> Self {
        let Dequeued { buffer, planes, .. } = picture;
        let strides = strides.iter().copied().chain(std::iter::repeat(0));
        let plane = |(plane, stride): (&PlaneData, u32)| {
            let &PlaneData { length, bytes_used, offset } = plane;
            DevicePlane { stride, length, bytes_used, offset }
        };
        let planes = planes.iter().zip(strides).map(plane).collect();
        Self { key: BufferKey { stream, index: buffer.index() }, planes, buffer: Some(buffer) }
    }

    /// What the device wrote into the first plane: all of an encoded picture.
    pub fn first_plane(&self) -> &[u8] {
        self.bytes(0)
    }

    /// Finds out whether the device wrote as much as a picture of this size has.
    pub fn check_whole(&self, format: PixelFormat, (width, height): (u32, u32)) -> Result<(), ConvertError> {
        let planes: Vec<_> =
            self.planes.iter().zip(0..).map(|(plane, index)| (self.bytes(index), plane.stride)).collect();
        check_whole(format, &planes, width, height)
    }
}

impl DeviceBuffer for Held {
    fn key(&self) -> BufferKey {
        self.key
    }

    fn planes(&self) -> &[DevicePlane] {
        &self.planes
    }

    fn dmabuf(&self, plane: usize) -> Option<BorrowedFd<'_>> {
        self.buffer.as_ref()?.dmabuf(plane)
    }

    fn bytes(&self, plane: usize) -> &[u8] {
        let (Some(buffer), Some(data)) = (&self.buffer, self.planes.get(plane)) else { return &[] };
        buffer.bytes(plane).get(data.offset as usize..data.bytes_used as usize).unwrap_or_default()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(Err(refused)) = self.buffer.take().map(Buffer::<Capture>::queue) {
            // The stream has ended or will find the device gone: then there is nobody to give it back to.
            tracing::trace!(buffer = ?self.key, "is not taken back: {refused}");
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("key", &self.key).field("planes", &self.planes).finish_non_exhaustive()
    }
}
