//! A buffer that the agent has: a value that is gone once it is queued.

use std::{
    fmt,
    marker::PhantomData,
    os::fd::{AsRawFd, BorrowedFd},
    result,
    sync::Arc,
    time::Duration,
};

use super::{
    abi::{self, MAX_PLANES},
    error::{Error, Result},
    ioctl::{self, Plain},
    memory::Claim,
    queue::{Capture, Core, Direction, Memory, Output},
};

/// A buffer that the agent has and the driver has not. Dropped unqueued, it is lost to its queue until the stream is
/// stopped.
pub struct Buffer<D: Direction> {
    core: Arc<Core>,
    claim: Claim,
    direction: PhantomData<D>,
}

/// A plane of another device's memory.
#[derive(Clone, Copy, Debug)]
pub struct DmabufPlane<'a> {
    /// The DMABUF. Best always the same for the same index: drivers keep what they imported last under it.
    pub fd: BorrowedFd<'a>,
    /// Bytes of memory that it has.
    pub length: u32,
    /// Bytes up to the end of the data, [`Self::offset`] included; 0 in a capture queue.
    pub bytes_used: u32,
    /// Where the data begins, in bytes; 0 for the single-planar interface.
    pub offset: u32,
}

/// A buffer that could not be queued, given back.
#[derive(Debug)]
pub struct Refused<D: Direction> {
    /// Why.
    pub error: Error,
    /// What.
    pub buffer: Buffer<D>,
}

impl<D: Direction> fmt::Display for Refused<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<D: Direction> std::error::Error for Refused<D> {}

impl<D: Direction> Buffer<D> {
    pub(super) fn new(core: Arc<Core>, claim: Claim) -> Self {
        Self { core, claim, direction: PhantomData }
    }

    /// Its place in its queue.
    pub fn index(&self) -> u32 {
        self.claim.index()
    }

    /// How many planes of mapped memory it has; none in a queue of imported memory.
    pub fn planes(&self) -> usize {
        self.claim.planes()
    }

    /// All of a plane's memory; empty if there is no such plane.
    pub fn bytes(&self, plane: usize) -> &[u8] {
        self.claim.bytes(plane)
    }

    /// The plane as a DMABUF, if the queue was made to export and the driver could.
    pub fn dmabuf(&self, plane: usize) -> Option<BorrowedFd<'_>> {
        self.claim.dmabuf(plane)
    }

    /// Queues it with another device's memory, one entry a plane. ESHUTDOWN: the queue is gone. EINVAL: the queue has
    /// memory of its own, or these are not its planes.
    pub fn queue_dmabuf(
        self,
        planes: &[DmabufPlane<'_>],
        timestamp: Duration,
    ) -> result::Result<(), Refused<D>> {
        let plane = |plane: &DmabufPlane<'_>| abi::Plane {
            bytesused: plane.bytes_used,
            length: plane.length,
            // Descriptors are not negative.
            m: plane.fd.as_raw_fd() as u32,
            data_offset: plane.offset,
            ..Plain::zeroed()
        };
        let planes: Vec<_> = planes.iter().map(plane).collect();
        self.put(Memory::Dmabuf, &planes, timestamp)
    }

    fn put(
        self,
        memory: Memory,
        planes: &[abi::Plane],
        timestamp: Duration,
    ) -> result::Result<(), Refused<D>> {
        if let Err(error) = self.check(memory, planes) {
            return Err(Refused { error, buffer: self });
        }
        let Self { core, claim, .. } = self;
        match core.queue(claim, planes, timestamp) {
            Ok(()) => Ok(()),
            Err((error, claim)) => Err(Refused { error, buffer: Self::new(core, claim) }),
        }
    }

    fn check(&self, memory: Memory, planes: &[abi::Plane]) -> Result<()> {
        let single = !self.core.type_().is_multi();
        let has_offset = planes.iter().any(|plane| plane.data_offset != 0);
        let fits = match single {
            true => planes.len() == 1 && !has_offset,
            false => (1..=MAX_PLANES).contains(&planes.len()),
        };
        let own = memory == Memory::Dmabuf || planes.len() == self.planes();
        if self.core.memory() == memory && fits && own {
            Ok(())
        } else {
            Err(Error::new(ioctl::QBUF.name(), libc::EINVAL))
        }
    }
}

impl Buffer<Capture> {
    /// Queues it, to be filled. ESHUTDOWN: the queue is gone.
    pub fn queue(self) -> result::Result<(), Refused<Capture>> {
        let planes = vec![abi::Plane::zeroed(); self.planes()];
        self.put(Memory::Mmap, &planes, Duration::ZERO)
    }
}

impl Buffer<Output> {
    /// All of a plane's memory, to be filled; empty if there is no such plane.
    pub fn bytes_mut(&mut self, plane: usize) -> &mut [u8] {
        self.claim.bytes_mut(plane)
    }

    /// Queues it with so many bytes in each of its planes. The device carries the timestamp, in whole microseconds,
    /// over to what it makes of it. ESHUTDOWN: the queue is gone.
    pub fn queue(self, bytes_used: &[u32], timestamp: Duration) -> result::Result<(), Refused<Output>> {
        let plane = |(index, used): (usize, &u32)| {
            let length = self.bytes(index).len() as u32;
            abi::Plane { bytesused: (*used).min(length), length, ..Plain::zeroed() }
        };
        let planes: Vec<_> = bytes_used.iter().enumerate().map(plane).collect();
        self.put(Memory::Mmap, &planes, timestamp)
    }
}

impl<D: Direction> fmt::Debug for Buffer<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.claim.fmt(f)
    }
}

/// What the driver says of a dequeued buffer (`V4L2_BUF_FLAG_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u32);

impl Flags {
    /// The data may be damaged.
    pub fn is_error(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// The last of a drained stream; it may be empty.
    pub fn is_last(self) -> bool {
        self.0 & 0x10_0000 != 0
    }

    /// An encoded picture at which decoding can start.
    pub fn is_keyframe(self) -> bool {
        self.0 & 0x8 != 0
    }

    /// The timestamp is of CLOCK_MONOTONIC.
    pub fn is_monotonic(self) -> bool {
        self.0 & 0xe000 == 0x2000
    }

    /// The timestamp is the one that the data was queued with.
    pub fn is_copied(self) -> bool {
        self.0 & 0xe000 == 0x4000
    }
}

/// How much there is in a plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlaneData {
    /// Bytes of memory that it has.
    pub length: u32,
    /// Bytes up to the end of the data, [`Self::offset`] included; at most [`Self::length`].
    pub bytes_used: u32,
    /// Where the data begins, in bytes, at most [`Self::bytes_used`].
    pub offset: u32,
}

/// A buffer that the driver is done with.
#[derive(Debug)]
pub struct Dequeued<D: Direction> {
    /// It, the agent's again.
    pub buffer: Buffer<D>,
    /// What the driver says of it.
    pub flags: Flags,
    /// What [`Self::flags`] say; whole microseconds.
    pub timestamp: Duration,
    /// Counts up with every buffer of the stream; a gap is a picture that the driver left out.
    pub sequence: u32,
    /// One for each plane of memory.
    pub planes: Vec<PlaneData>,
}

impl<D: Direction> Dequeued<D> {
    /// What is in a mapped plane; empty if there is no such plane.
    pub fn data(&self, plane: usize) -> &[u8] {
        let Some(&PlaneData { bytes_used, offset, .. }) = self.planes.get(plane) else { return &[] };
        self.buffer.bytes(plane).get(offset as usize..bytes_used as usize).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_the_kernel_means() {
        assert!(Flags(0x40).is_error() && Flags(0x10_0000).is_last() && Flags(0x8).is_keyframe());
        assert!(Flags(0x2000).is_monotonic() && !Flags(0x4000).is_monotonic() && Flags(0x4000).is_copied());
        assert!(!Flags(0xe000).is_monotonic(), "an unknown clock");
    }
}
