//! Sizes and places as a C compiler gives them for `linux/videodev2.h` of 64-bit Linux; the numbers of calls hold the
//! sizes.

use std::mem::offset_of;

use super::{abi::*, ioctl::*};

#[test]
#[cfg(target_pointer_width = "64")]
fn calls_have_the_kernels_numbers_and_so_their_structs_the_kernels_sizes() {
    assert_eq!(QUERYCAP.number, 0x8068_5600);
    assert_eq!(ENUM_FMT.number, 0xc040_5602);
    assert_eq!((G_FMT.number, G_FMT_MULTI.number), (0xc0d0_5604, 0xc0d0_5604));
    assert_eq!((S_FMT.number, S_FMT_MULTI.number), (0xc0d0_5605, 0xc0d0_5605));
    assert_eq!((TRY_FMT.number, TRY_FMT_MULTI.number), (0xc0d0_5640, 0xc0d0_5640));
    assert_eq!(REQBUFS.number, 0xc014_5608);
    assert_eq!(QUERYBUF.numbers(), (0xc058_5609, 0xc058_5609));
    assert_eq!(QBUF.numbers(), (0xc058_560f, 0xc058_560f));
    assert_eq!(DQBUF.numbers(), (0xc058_5611, 0xc058_5611));
    assert_eq!(EXPBUF.number, 0xc040_5610);
    assert_eq!((STREAMON.number, STREAMOFF.number), (0x4004_5612, 0x4004_5613));
    assert_eq!((G_PARM.number, S_PARM.number), (0xc0cc_5615, 0xc0cc_5616));
    assert_eq!((G_CTRL.number, S_CTRL.number), (0xc008_561b, 0xc008_561c));
    assert_eq!(QUERYMENU.number, 0xc02c_5625);
    assert_eq!((G_EXT_CTRLS.number(), S_EXT_CTRLS.number()), (0xc020_5647, 0xc020_5648));
    assert_eq!(ENUM_FRAMESIZES.number, 0xc02c_564a);
    assert_eq!(ENUM_FRAMEINTERVALS.number, 0xc034_564b);
    assert_eq!(ENCODER_CMD.number, 0xc028_564d);
    assert_eq!(DQEVENT.number, 0x8088_5659);
    assert_eq!(SUBSCRIBE_EVENT.number, 0x4020_565a);
    assert_eq!((G_SELECTION.number, S_SELECTION.number), (0xc040_565e, 0xc040_565f));
    assert_eq!(QUERY_EXT_CTRL.number, 0xc0e8_5667);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn members_stand_where_the_kernel_has_them() {
    assert_eq!((size_of::<Plane>(), size_of::<ExtControl>()), (64, 20));
    assert_eq!(
        (size_of::<PixFormat>(), size_of::<PixFormatMplane>(), size_of::<PlanePixFormat>()),
        (48, 192, 20)
    );
    assert_eq!((offset_of!(BufferHead, timestamp), offset_of!(BufferHead, sequence)), (24, 56));
    assert_eq!(offset_of!(BufferHead, memory), 60);
    assert_eq!((offset_of!(SingleBuffer, m), offset_of!(SingleBuffer, length)), (64, 72));
    assert_eq!((offset_of!(MultiBuffer, planes), offset_of!(MultiBuffer, length)), (64, 72));
    assert_eq!((offset_of!(Plane, m), offset_of!(Plane, data_offset)), (8, 16));
    assert_eq!((offset_of!(SingleFormat, pix), offset_of!(MultiFormat, pix)), (8, 8));
    assert_eq!((offset_of!(PixFormat, private), offset_of!(PixFormat, quantization)), (28, 40));
    assert_eq!((offset_of!(PixFormatMplane, plane_fmt), offset_of!(PixFormatMplane, num_planes)), (20, 180));
    assert_eq!(offset_of!(PixFormatMplane, xfer_func), 184);
    assert_eq!((offset_of!(Event, changes), offset_of!(Event, pending)), (8, 72));
    assert_eq!((offset_of!(Event, timestamp), offset_of!(Event, id)), (80, 96));
    assert_eq!((offset_of!(QueryExtCtrl, minimum), offset_of!(QueryExtCtrl, flags)), (40, 72));
    assert_eq!((offset_of!(ExportBuffer, fd), offset_of!(Selection, left)), (16, 12));
    assert_eq!((offset_of!(ExtControls, controls), offset_of!(Capability, device_caps)), (24, 88));
    assert_eq!((offset_of!(StreamParm, capability), offset_of!(StreamParm, timeperframe)), (4, 12));
    assert_eq!((offset_of!(FrmIvalEnum, body), offset_of!(RequestBuffers, capabilities)), (20, 12));
    assert_eq!((offset_of!(FrmSizeEnum, body), offset_of!(EncoderCmd, raw)), (12, 8));
}
