//! A camera's stream: takes pictures from the driver in time, and sees to it that each buffer finds its way back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::media::video::v4l2::{
    BufferType, Capture, Dequeued, Device, Error, Memory, Queue, Readiness, Refused,
};

/// Buffers between driver and agent: one being filled and one waiting to be taken; and for each of the two encoders,
/// H.264 and VP8, one that it reads and one that waits for it.
const BUFFERS: u32 = 6;
/// With fewer, a picture that an encoder holds could leave the driver without: they are copied at once instead.
const LENDABLE: u32 = 4;
/// A camera may need so long for its first picture: many set their exposure or start their clock before it.
const START_PATIENCE: Duration = Duration::from_secs(3);
/// Later, a camera that gives no picture for so long has stalled.
const STALL: Duration = Duration::from_secs(1);
/// Unless it is slow: so many pictures must be missing.
const STALL_PICTURES: u32 = 3;

/// Why no picture came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPicture {
    /// A call failed.
    Refused(Error),
    /// None came for so long.
    Stalled(Duration),
    /// None could come for so long: all so many buffers are held in the agent.
    AllHeld(Duration, u32),
}

impl From<Error> for NoPicture {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// See the module. Ends when it is dropped; pictures that are still held stay readable.
pub struct Stream {
    queue: Queue<Capture>,
    id: u64,
    started: bool,
    /// Time from picture to picture.
    interval: Duration,
    patience: Duration,
}

impl Stream {
    /// Asks the driver for buffers and hands them all to it. Streaming starts with the first picture; they are to come
    /// every `interval`. With `export`, buffers come as DMABUFs too, if the driver can.
    pub fn new(
        device: &Arc<Device>,
        type_: BufferType,
        interval: Duration,
        export: bool,
    ) -> Result<Self, Error> {
        static STREAMS: AtomicU64 = AtomicU64::new(0);
        let (queue, buffers) = Queue::<Capture>::new(device, type_, Memory::Mmap, BUFFERS, export)?;
        for buffer in buffers {
            buffer.queue().map_err(|Refused { error, .. }| error)?;
        }
        let id = STREAMS.fetch_add(1, Ordering::Relaxed);
        Ok(Self { queue, id, started: false, interval, patience: START_PATIENCE })
    }

    /// A number that no other stream of this process has.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether there are enough buffers for pictures to be held in them.
    pub fn can_lend(&self) -> bool {
        self.queue.len() >= LENDABLE
    }

    /// Waits for the next picture: at most 3 s for the first, then 1 s or three pictures' time.
    pub fn next(&mut self) -> Result<Dequeued<Capture>, NoPicture> {
        if !self.started {
            self.queue.start()?;
            self.started = true;
        }
        let deadline = Instant::now() + self.patience;
        let mut held_all_along = true;
        loop {
            held_all_along &= self.queue.queued() == 0;
            if let Some(picture) = self.queue.dequeue()? {
                self.patience = STALL.max(self.interval * STALL_PICTURES);
                return Ok(picture);
            }
            let ready =
                self.queue.device().poll(Readiness { readable: true, ..Readiness::default() }, deadline)?;
            if ready.is_none() {
                return Err(if held_all_along && self.queue.queued() == 0 {
                    NoPicture::AllHeld(self.patience, self.queue.len())
                } else {
                    NoPicture::Stalled(self.patience)
                });
            }
            if ready.error && !ready.readable {
                // The call that takes a picture knows the reason.
                let picture = self.queue.dequeue()?;
                return picture.ok_or(NoPicture::Refused(Error::new("poll", libc::EIO)));
            }
        }
    }
}
