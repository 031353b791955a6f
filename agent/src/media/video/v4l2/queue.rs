//! A queue of a device: its buffers, and the streaming.

use std::{
    fmt,
    marker::PhantomData,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    abi::{self, MAX_BUFFERS, MAX_PLANES},
    buffer::{Buffer, Dequeued, Flags, PlaneData},
    device::{BufferType, Device},
    error::{Error, Result},
    ioctl::{self, BufferCall, Plain},
    memory::{Claim, Mapping, Pool},
};

/// Which way a queue's data goes.
pub trait Direction: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// True if the agent writes it.
    const OUTPUT: bool;
}

/// From the device to the agent.
#[derive(Debug)]
pub enum Capture {}
/// From the agent to the device.
#[derive(Debug)]
pub enum Output {}

impl Direction for Capture {
    const OUTPUT: bool = false;
}
impl Direction for Output {
    const OUTPUT: bool = true;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Capture {}
    impl Sealed for super::Output {}
}

/// Whose memory a queue's buffers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// The device's, mapped into the agent (`V4L2_MEMORY_MMAP`).
    Mmap,
    /// Another device's, imported with each buffer (`V4L2_MEMORY_DMABUF`).
    Dmabuf,
}

impl Memory {
    fn code(self) -> u32 {
        match self {
            Self::Mmap => abi::MEMORY_MMAP,
            Self::Dmabuf => abi::MEMORY_DMABUF,
        }
    }
}

/// What a queue and its buffers share.
pub(super) struct Core {
    device: Arc<Device>,
    type_: BufferType,
    memory: Memory,
    /// False when the queue is gone: another may have its indices. See [`Core::gate`].
    alive: Mutex<bool>,
}

impl Core {
    /// Calls that move buffers are made one at a time, so that none is claimed before it is released. They do not
    /// block.
    fn gate(&self) -> MutexGuard<'_, bool> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a buffer, which is the driver's from then on; or gives it back.
    pub(super) fn queue(
        &self,
        claim: Claim,
        planes: &[abi::Plane],
        timestamp: Duration,
    ) -> std::result::Result<(), (Error, Claim)> {
        let alive = self.gate();
        if !*alive {
            return Err((Error::new(ioctl::QBUF.name(), libc::ESHUTDOWN), claim));
        }
        let mut exchange = Exchange::new(self.type_, self.memory, claim.index());
        exchange.head.field = abi::FIELD_NONE;
        exchange.head.timestamp.tv_sec = timestamp.as_secs() as _;
        exchange.head.timestamp.tv_usec = timestamp.subsec_micros() as _;
        exchange.count = planes.len().min(MAX_PLANES);
        exchange.planes[..exchange.count].copy_from_slice(&planes[..exchange.count]);
        match exchange.call(&self.device, &ioctl::QBUF) {
            Ok(()) => {
                claim.release();
                Ok(())
            }
            Err(error) => Err((error, claim)),
        }
    }

    pub(super) fn type_(&self) -> BufferType {
        self.type_
    }

    pub(super) fn memory(&self) -> Memory {
        self.memory
    }
}

/// A `v4l2_buffer` of either interface, for one call: the single-planar buffer's one plane is kept as a plane.
struct Exchange {
    head: abi::BufferHead,
    planes: [abi::Plane; MAX_PLANES],
    count: usize,
}

impl Exchange {
    fn new(type_: BufferType, memory: Memory, index: u32) -> Self {
        let head = abi::BufferHead { index, type_: type_.code(), memory: memory.code(), ..Plain::zeroed() };
        Self { head, planes: [Plain::zeroed(); MAX_PLANES], count: MAX_PLANES }
    }

    fn call(&mut self, device: &Device, call: &BufferCall) -> Result<()> {
        if self.head.type_ == BufferType::CaptureMulti.code()
            || self.head.type_ == BufferType::OutputMulti.code()
        {
            let mut buffer = ioctl::multi_buffer();
            buffer.head = self.head;
            ioctl::buffer_multi(device.as_fd(), call, &mut buffer, &mut self.planes[..self.count])?;
            self.head = buffer.head;
            self.count = (buffer.length as usize).min(self.count);
        } else {
            let plane = &mut self.planes[0];
            let mut buffer = abi::SingleBuffer { m: plane.m, length: plane.length, ..Plain::zeroed() };
            buffer.head = abi::BufferHead { bytesused: plane.bytesused, ..self.head };
            ioctl::buffer_single(device.as_fd(), call, &mut buffer)?;
            self.head = buffer.head;
            (plane.m, plane.length, plane.bytesused) = (buffer.m, buffer.length, buffer.head.bytesused);
            self.count = 1;
        }
        Ok(())
    }
}

/// A queue with its buffers. Dropping it stops the stream and gives the memory back to the driver; buffers that are
/// still held stay readable until they are dropped, and can no longer be queued.
pub struct Queue<D: Direction> {
    core: Arc<Core>,
    /// `None` only while it is being dropped.
    pool: Option<Arc<Pool>>,
    direction: PhantomData<D>,
}

impl<D: Direction> Queue<D> {
    /// Asks for buffers (`VIDIOC_REQBUFS`, and for [`Memory::Mmap`] maps them); the driver may give more or fewer. All
    /// come with it and are the caller's. With `export`, mapped planes are exported as DMABUFs where the driver can.
    ///
    /// EBUSY: another program streams, or an older queue of this device is still there. ENOMEM: no memory. EINVAL:
    /// the driver has not this kind of memory, or the type goes the other way.
    pub fn new(
        device: &Arc<Device>,
        type_: BufferType,
        memory: Memory,
        count: u32,
        export: bool,
    ) -> Result<(Self, Vec<Buffer<D>>)> {
        if type_.is_output() != D::OUTPUT {
            return Err(Error::new(ioctl::REQBUFS.name, libc::EINVAL));
        }
        let core = Core { device: device.clone(), type_, memory, alive: Mutex::new(true) };
        let given = request(&core, count)?;
        // From here on, dropping the queue gives the buffers back.
        let mut queue = Self { core: Arc::new(core), pool: None, direction: PhantomData };
        let mut pool = Pool::default();
        for index in 0..given.min(MAX_BUFFERS) {
            let (mappings, exported) = match memory {
                Memory::Mmap => queue.map(index, export)?,
                Memory::Dmabuf => (Vec::new(), Vec::new()),
            };
            pool.push(mappings, exported);
        }
        if pool.len() == 0 {
            return Err(Error::new(ioctl::REQBUFS.name, libc::ENOMEM));
        }
        queue.pool = Some(Arc::new(pool));
        let buffers = queue.take_all();
        Ok((queue, buffers))
    }

    fn map(&self, index: u32, export: bool) -> Result<(Vec<Mapping>, Vec<Option<OwnedFd>>)> {
        let Core { device, type_, memory, .. } = &*self.core;
        let mut exchange = Exchange::new(*type_, *memory, index);
        exchange.call(device, &ioctl::QUERYBUF)?;
        let mut mappings = Vec::new();
        let mut exported = Vec::new();
        for (plane, number) in exchange.planes[..exchange.count].iter().zip(0..) {
            mappings.push(Mapping::new(device.as_fd(), plane.m, plane.length)?);
            let dmabuf = export.then(|| ioctl::export(device.as_fd(), type_.code(), index, number));
            exported.push(dmabuf.and_then(|dmabuf| {
                dmabuf.inspect_err(|error| tracing::trace!("plane {number} cannot be exported: {error}")).ok()
            }));
        }
        Ok((mappings, exported))
    }

    /// The device that it is a queue of.
    pub fn device(&self) -> &Arc<Device> {
        &self.core.device
    }

    /// How many buffers it has.
    pub fn len(&self) -> u32 {
        self.pool.as_ref().map_or(0, |pool| pool.len())
    }

    /// True if it has no buffers, which never is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many buffers the driver has: with none, [`Self::dequeue`] gives nothing.
    pub fn queued(&self) -> u32 {
        self.pool.as_ref().map_or(0, |pool| pool.released())
    }

    /// Starts the stream.
    pub fn start(&self) -> Result<()> {
        self.core.device.call(&ioctl::STREAMON, &mut self.core.type_.code())
    }

    /// Stops the stream; returns the buffers that the driver had, whatever was in them.
    pub fn stop(&self) -> Result<Vec<Buffer<D>>> {
        let _gate = self.core.gate();
        self.core.device.call(&ioctl::STREAMOFF, &mut self.core.type_.code())?;
        Ok(self.take_all())
    }

    /// Claims what the driver has no more.
    fn take_all(&self) -> Vec<Buffer<D>> {
        let Some(pool) = &self.pool else { return Vec::new() };
        let claims = (0..pool.len()).filter_map(|index| pool.claim(index));
        claims.map(|claim| Buffer::new(self.core.clone(), claim)).collect()
    }

    /// The next buffer that the driver is done with; `None` if there is none yet, see [`Device::poll`].
    ///
    /// EPIPE: the last buffer of a drained stream has been dequeued. ENODEV: the device is gone. EPROTO: the driver
    /// gave a buffer that it did not have. EIO: it failed, and the stream must be stopped.
    pub fn dequeue(&self) -> Result<Option<Dequeued<D>>> {
        let Some(pool) = &self.pool else { return Ok(None) };
        let mut exchange = Exchange::new(self.core.type_, self.core.memory, 0);
        let _gate = self.core.gate();
        match exchange.call(&self.core.device, &ioctl::DQBUF) {
            Ok(()) => {}
            Err(error) if error.errno == libc::EAGAIN => return Ok(None),
            Err(error) => return Err(error),
        }
        let Exchange { head, planes, count } = exchange;
        let claim = pool.claim(head.index).ok_or(Error::new(ioctl::DQBUF.name(), libc::EPROTO))?;
        let data = |plane: &abi::Plane| PlaneData {
            length: plane.length,
            bytes_used: plane.bytesused.min(plane.length),
            offset: plane.data_offset.min(plane.bytesused.min(plane.length)),
        };
        let seconds = Duration::from_secs(u64::try_from(head.timestamp.tv_sec).unwrap_or_default());
        let micros = u64::try_from(head.timestamp.tv_usec).unwrap_or_default().min(999_999);
        Ok(Some(Dequeued {
            buffer: Buffer::new(self.core.clone(), claim),
            flags: Flags(head.flags),
            timestamp: seconds.saturating_add(Duration::from_micros(micros)),
            sequence: head.sequence,
            planes: planes[..count].iter().map(data).collect(),
        }))
    }
}

impl<D: Direction> Drop for Queue<D> {
    fn drop(&mut self) {
        *self.core.gate() = false;
        // A device that is gone refuses both calls, and has nothing left to stop or free.
        if let Err(error) = self.core.device.call(&ioctl::STREAMOFF, &mut self.core.type_.code()) {
            tracing::trace!(device = %self.core.device.path().display(), "at the end of a queue: {error}");
        }
        // Unmapped first unless buffers are held: older kernels do not free what is mapped.
        self.pool = None;
        if let Err(error) = request(&self.core, 0) {
            tracing::trace!(device = %self.core.device.path().display(), "at the end of a queue: {error}");
        }
    }
}

impl<D: Direction> fmt::Debug for Queue<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} queue of {}", self.core.type_, self.core.device.path().display())
    }
}

fn request(core: &Core, count: u32) -> Result<u32> {
    let mut buffers = abi::RequestBuffers {
        count: count.min(MAX_BUFFERS),
        type_: core.type_.code(),
        memory: core.memory.code(),
        ..Plain::zeroed()
    };
    core.device.call(&ioctl::REQBUFS, &mut buffers)?;
    Ok(buffers.count)
}
