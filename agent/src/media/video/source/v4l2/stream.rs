//! A V4L2 stream whose end cannot panic.

use std::{
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use v4l::{
    Device,
    buffer::{Metadata, Type},
    io::{
        mmap::Stream,
        traits::{CaptureStream, Stream as _},
    },
};

/// The device is gone: nothing is left to stop.
const ENODEV: i32 = 19;
/// Buffers between driver and agent: one being filled, one waiting, one being read, one in reserve.
const BUFFERS: u32 = 4;
/// A camera may need so long for its first picture: many set their exposure or start their clock before it.
const START_PATIENCE: Duration = Duration::from_secs(3);
/// Later, a camera that gives no picture for so long has stalled.
const STALL: Duration = Duration::from_secs(1);
/// Unless it is slow: so many pictures must be missing.
const STALL_PICTURES: u32 = 3;

/// The crate's stream panics on drop if STREAMOFF fails with anything but ENODEV, and again if its buffers cannot be
/// released: a camera that breaks would take the agent with it.
///
/// Ends its stream when it is dropped.
pub struct GuardedStream {
    /// `None` only while it is being dropped.
    stream: Option<Stream<'static>>,
    /// Time from picture to picture.
    interval: Duration,
    patience: Duration,
}

impl GuardedStream {
    /// Asks the driver for buffers. Streaming starts with the first picture; they are to come every `interval`.
    pub fn new(device: &Device, interval: Duration) -> io::Result<Self> {
        let stream = Stream::with_buffers(device, Type::VideoCapture, BUFFERS)?;
        Ok(Self { stream: Some(stream), interval, patience: START_PATIENCE })
    }

    /// How long [`Self::next`] waits at most.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Waits for the next picture, at most [`Self::patience`].
    pub fn next(&mut self) -> io::Result<(&[u8], &Metadata)> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.set_timeout(self.patience);
        let picture = stream.next()?;
        self.patience = STALL.max(self.interval * STALL_PICTURES);
        Ok(picture)
    }
}

impl Drop for GuardedStream {
    fn drop(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        match stream.stop() {
            Err(error) if error.raw_os_error() != Some(ENODEV) => {
                tracing::debug!("the camera cannot be stopped: {error}");
                // Its buffers stay mapped until the agent ends.
                mem::forget(stream);
            }
            _ => {
                if catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err() {
                    tracing::debug!("the camera's buffers cannot be released");
                }
            }
        }
    }
}
