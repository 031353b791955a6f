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
/// A camera that gives no picture for so long has stalled.
pub const TIMEOUT: Duration = Duration::from_secs(1);

/// The crate's stream panics on drop if STREAMOFF fails with anything but ENODEV, and again if its buffers cannot be
/// released: a camera that breaks would take the agent with it.
///
/// `None` only while it is being dropped.
pub struct GuardedStream(Option<Stream<'static>>);

impl GuardedStream {
    /// Asks the driver for buffers. Streaming starts with the first picture.
    pub fn new(device: &Device) -> io::Result<Self> {
        let mut stream = Stream::with_buffers(device, Type::VideoCapture, BUFFERS)?;
        stream.set_timeout(TIMEOUT);
        Ok(Self(Some(stream)))
    }

    /// Waits for the next picture, at most [`TIMEOUT`].
    pub fn next(&mut self) -> io::Result<(&[u8], &Metadata)> {
        self.0.as_mut().ok_or(io::ErrorKind::NotConnected)?.next()
    }
}

impl Drop for GuardedStream {
    fn drop(&mut self) {
        let Some(mut stream) = self.0.take() else { return };
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
