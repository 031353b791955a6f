//! The calls into the kernel: ioctl(2) and poll(2), each with a type that fits.

#![allow(unsafe_code)]

use std::{
    io,
    marker::PhantomData,
    mem,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    time::Instant,
};

use super::{
    abi::{
        BufferHead, Capability, Control, EncoderCmd, Event, EventSubscription, ExportBuffer, ExtControl,
        ExtControls, FmtDesc, FrmIvalEnum, FrmSizeEnum, MAX_PLANES, MEMORY_DMABUF, MEMORY_MMAP, MultiBuffer,
        MultiFormat, Plane, QueryExtCtrl, QueryMenu, RequestBuffers, Selection, SingleBuffer, SingleFormat,
        StreamParm,
    },
    error::{Error, Result},
};

/// A struct of the kernel that is numbers all through.
///
/// # Safety
///
/// Any bytes, also zeros, must be a valid value, and there is no pointer that the kernel follows.
pub unsafe trait Plain: Copy {
    /// All bytes zero, as the kernel wants what is reserved.
    fn zeroed() -> Self {
        // SAFETY: the trait's promise.
        unsafe { mem::zeroed() }
    }
}

macro_rules! plain {
    ($($kind:ty),*) => { $(
        // SAFETY: integers and arrays of them in `abi.rs`, without a pointer. What V4L2 takes for an address in a
        // `SingleBuffer` is one only with V4L2_MEMORY_USERPTR, which `buffer_single` refuses.
        unsafe impl Plain for $kind {}
    )* };
}
plain!(
    u32,
    BufferHead,
    Capability,
    Control,
    EncoderCmd,
    Event,
    EventSubscription,
    ExportBuffer,
    ExtControl,
    FmtDesc,
    FrmIvalEnum,
    FrmSizeEnum,
    MultiFormat,
    Plane,
    QueryExtCtrl,
    QueryMenu,
    RequestBuffers,
    Selection,
    SingleBuffer,
    SingleFormat,
    StreamParm
);

/// A call by its name and number. The number holds the size of `T`: the kernel moves just as many bytes.
pub struct Request<T> {
    /// "VIDIOC_QUERYCAP"
    pub name: &'static str,
    /// As `_IOC()` makes it.
    pub number: libc::Ioctl,
    argument: PhantomData<T>,
}

impl<T> Request<T> {
    const fn reads(name: &'static str, number: u32) -> Self {
        Self { name, number: libc::_IOR::<T>(b'V' as u32, number), argument: PhantomData }
    }

    const fn writes(name: &'static str, number: u32) -> Self {
        Self { name, number: libc::_IOW::<T>(b'V' as u32, number), argument: PhantomData }
    }

    const fn both(name: &'static str, number: u32) -> Self {
        Self { name, number: libc::_IOWR::<T>(b'V' as u32, number), argument: PhantomData }
    }
}

pub const QUERYCAP: Request<Capability> = Request::reads("VIDIOC_QUERYCAP", 0);
pub const ENUM_FMT: Request<FmtDesc> = Request::both("VIDIOC_ENUM_FMT", 2);
pub const G_FMT: Request<SingleFormat> = Request::both("VIDIOC_G_FMT", 4);
pub const G_FMT_MULTI: Request<MultiFormat> = Request::both("VIDIOC_G_FMT", 4);
pub const S_FMT: Request<SingleFormat> = Request::both("VIDIOC_S_FMT", 5);
pub const S_FMT_MULTI: Request<MultiFormat> = Request::both("VIDIOC_S_FMT", 5);
pub const REQBUFS: Request<RequestBuffers> = Request::both("VIDIOC_REQBUFS", 8);
pub const EXPBUF: Request<ExportBuffer> = Request::both("VIDIOC_EXPBUF", 16);
pub const STREAMON: Request<u32> = Request::writes("VIDIOC_STREAMON", 18);
pub const STREAMOFF: Request<u32> = Request::writes("VIDIOC_STREAMOFF", 19);
pub const G_PARM: Request<StreamParm> = Request::both("VIDIOC_G_PARM", 21);
pub const S_PARM: Request<StreamParm> = Request::both("VIDIOC_S_PARM", 22);
pub const G_CTRL: Request<Control> = Request::both("VIDIOC_G_CTRL", 27);
pub const S_CTRL: Request<Control> = Request::both("VIDIOC_S_CTRL", 28);
pub const QUERYMENU: Request<QueryMenu> = Request::both("VIDIOC_QUERYMENU", 37);
pub const TRY_FMT: Request<SingleFormat> = Request::both("VIDIOC_TRY_FMT", 64);
pub const TRY_FMT_MULTI: Request<MultiFormat> = Request::both("VIDIOC_TRY_FMT", 64);
pub const ENUM_FRAMESIZES: Request<FrmSizeEnum> = Request::both("VIDIOC_ENUM_FRAMESIZES", 74);
pub const ENUM_FRAMEINTERVALS: Request<FrmIvalEnum> = Request::both("VIDIOC_ENUM_FRAMEINTERVALS", 75);
pub const ENCODER_CMD: Request<EncoderCmd> = Request::both("VIDIOC_ENCODER_CMD", 77);
pub const DQEVENT: Request<Event> = Request::reads("VIDIOC_DQEVENT", 89);
pub const SUBSCRIBE_EVENT: Request<EventSubscription> = Request::writes("VIDIOC_SUBSCRIBE_EVENT", 90);
pub const G_SELECTION: Request<Selection> = Request::both("VIDIOC_G_SELECTION", 94);
pub const S_SELECTION: Request<Selection> = Request::both("VIDIOC_S_SELECTION", 95);
pub const QUERY_EXT_CTRL: Request<QueryExtCtrl> = Request::both("VIDIOC_QUERY_EXT_CTRL", 103);

pub const QUERYBUF: BufferCall = BufferCall::new("VIDIOC_QUERYBUF", 9);
pub const QBUF: BufferCall = BufferCall::new("VIDIOC_QBUF", 15);
pub const DQBUF: BufferCall = BufferCall::new("VIDIOC_DQBUF", 17);
pub const G_EXT_CTRLS: ExtCall = ExtCall(Request::both("VIDIOC_G_EXT_CTRLS", 71));
pub const S_EXT_CTRLS: ExtCall = ExtCall(Request::both("VIDIOC_S_EXT_CTRLS", 72));

/// A call about a buffer, of either kind of buffer.
pub struct BufferCall {
    single: Request<SingleBuffer>,
    multi: Request<MultiBuffer>,
}

impl BufferCall {
    const fn new(name: &'static str, number: u32) -> Self {
        Self { single: Request::both(name, number), multi: Request::both(name, number) }
    }

    /// "VIDIOC_QBUF"
    pub const fn name(&self) -> &'static str {
        self.single.name
    }

    #[cfg(test)]
    pub fn numbers(&self) -> (libc::Ioctl, libc::Ioctl) {
        (self.single.number, self.multi.number)
    }
}

/// A call about controls of 64 bits.
pub struct ExtCall(Request<ExtControls>);

impl ExtCall {
    #[cfg(test)]
    pub fn number(&self) -> libc::Ioctl {
        self.0.number
    }
}

/// Makes the call; again if a signal came between.
pub fn call<T: Plain>(fd: BorrowedFd<'_>, request: &Request<T>, value: &mut T) -> Result<()> {
    // SAFETY: `T` is plain.
    unsafe { raw(fd, request, value) }
}

/// A call about a single-planar buffer.
pub fn buffer_single(fd: BorrowedFd<'_>, request: &BufferCall, buffer: &mut SingleBuffer) -> Result<()> {
    if !matches!(buffer.head.memory, MEMORY_MMAP | MEMORY_DMABUF) {
        return Err(Error::new(request.name(), libc::EINVAL));
    }
    call(fd, &request.single, buffer)
}

/// A call about a multi-planar buffer with so many planes. Sets the buffer's pointer and number of planes.
pub fn buffer_multi(
    fd: BorrowedFd<'_>,
    request: &BufferCall,
    buffer: &mut MultiBuffer,
    planes: &mut [Plane],
) -> Result<()> {
    if !matches!(buffer.head.memory, MEMORY_MMAP | MEMORY_DMABUF) || planes.len() > MAX_PLANES {
        return Err(Error::new(request.name(), libc::EINVAL));
    }
    buffer.planes = planes.as_mut_ptr();
    buffer.length = planes.len() as u32;
    // SAFETY: the one pointer is to as many planes as `length` says, which live through the call; the kernel writes
    // back at most as many (`length` also bounds what it copies out). The planes hold no addresses, as the memory is
    // not V4L2_MEMORY_USERPTR.
    let result = unsafe { raw(fd, &request.multi, buffer) };
    buffer.planes = ptr::null_mut();
    result
}

/// An empty buffer for [`buffer_multi`].
pub fn multi_buffer() -> MultiBuffer {
    // SAFETY: numbers and a pointer, for which null is valid.
    unsafe { mem::zeroed() }
}

/// Reads or sets one control.
pub fn ext_control(fd: BorrowedFd<'_>, request: &ExtCall, control: &mut ExtControl) -> Result<()> {
    // No payload: with one, the kernel would take the value for an address.
    control.size = 0;
    let mut controls = ExtControls {
        which: 0,
        count: 1,
        error_idx: 0,
        request_fd: 0,
        reserved: 0,
        controls: ptr::from_mut(control),
    };
    // SAFETY: the one pointer is to as many controls as `count` says, which live through the call; a control of size
    // 0 is a number (the kernel answers ENOSPC for a control with a payload).
    unsafe { raw(fd, &request.0, &mut controls) }
}

/// # Safety
///
/// All pointers in `value` must be good for what the call does with them.
unsafe fn raw<T>(fd: BorrowedFd<'_>, request: &Request<T>, value: &mut T) -> Result<()> {
    loop {
        // SAFETY: the descriptor is open as long as it is borrowed; the kernel reads and writes as many bytes as the
        // number says, the size of `T`, where a `T` is; pointers in it are the caller's promise.
        let result = unsafe { libc::ioctl(fd.as_raw_fd(), request.number, ptr::from_mut(value)) };
        if result >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(Error::of(request.name, &error));
        }
    }
}

/// Exports a plane as a DMABUF. It can be written too: some importers map it so whatever they do with it.
pub fn export(fd: BorrowedFd<'_>, type_: u32, index: u32, plane: u32) -> Result<OwnedFd> {
    let flags = (libc::O_CLOEXEC | libc::O_RDWR) as u32;
    let mut request = ExportBuffer { type_, index, plane, flags, fd: -1, ..ExportBuffer::zeroed() };
    call(fd, &EXPBUF, &mut request)?;
    if request.fd < 0 {
        return Err(Error::new(EXPBUF.name, libc::EIO));
    }
    // SAFETY: the kernel has just made this descriptor, for us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(request.fd) })
}

/// Waits until one of `events` (POLLIN, POLLOUT, POLLPRI) or an error, at most until `deadline`: returns what
/// happened, 0 if nothing did.
pub fn poll(fd: BorrowedFd<'_>, events: i16, deadline: Instant) -> Result<i16> {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    loop {
        // Whole milliseconds, rounded up: none is waited through in a circle.
        let rest = deadline.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
        let timeout = i32::try_from(rest).unwrap_or(i32::MAX);
        // SAFETY: the pointer is to one pollfd that lives through the call.
        match unsafe { libc::poll(&raw mut entry, 1, timeout) } {
            0 if timeout == i32::MAX => {}
            result if result >= 0 => return Ok(entry.revents),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(Error::of("poll", &error));
                }
            }
        }
    }
}
