//! Where in its buffer a device puts the picture (kernel doc: userspace-api/media/v4l, "Selection API").

#![allow(unsafe_code)]

use std::io;

use v4l::{
    Device,
    buffer::Type,
    v4l_sys::{V4L2_SEL_TGT_COMPOSE, v4l2_rect, v4l2_selection},
    v4l2::{self, vidioc::_IOC_TYPE},
};

/// `_IOWR('V', 95, struct v4l2_selection)`; the crate does not name it.
const VIDIOC_S_SELECTION: u32 = 0xc040_565f;
const _: () = assert!(size_of::<v4l2_selection>() == 0x40, "the size is a part of the call's number");

/// Lets the picture fill the buffer. A device with a scaler keeps the place that an earlier program set, also when the
/// format gets larger: the rest would stay black. Most devices have no such choice and refuse with ENOTTY or EINVAL.
pub fn fill_buffer(device: &Device, width: u32, height: u32) -> io::Result<()> {
    let mut selection = v4l2_selection {
        type_: Type::VideoCapture as u32,
        target: V4L2_SEL_TGT_COMPOSE,
        flags: 0,
        r: v4l2_rect { left: 0, top: 0, width, height },
        reserved: [0; 9],
    };
    // SAFETY: the call reads and writes one v4l2_selection, which lives through it; its size is checked above. The
    // descriptor is open as long as `device`.
    unsafe { v4l2::ioctl(device.handle().fd(), VIDIOC_S_SELECTION as _IOC_TYPE, (&raw mut selection).cast()) }
}
