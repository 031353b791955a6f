//! Sizes and places of the kernel's structs on 32-bit boards, where no tests run: the compiler checks them. As
//! `linux/videodev2.h` has them with glibc's 32-bit `time_t`, by `sizeof` and `offsetof` of arm-linux-gnueabihf-gcc 12.

use std::mem::offset_of;

use super::abi::*;

const _: () = {
    assert!(size_of::<Capability>() == 104);
    assert!(size_of::<FmtDesc>() == 64);
    assert!(size_of::<FrmSizeEnum>() == 44);
    assert!(size_of::<FrmIvalEnum>() == 52);
    assert!(size_of::<SingleFormat>() == 204);
    assert!(size_of::<MultiFormat>() == 204);
    assert!(size_of::<StreamParm>() == 204);
    assert!(size_of::<Selection>() == 64);
    assert!(size_of::<Control>() == 8);
    assert!(size_of::<ExtControl>() == 20);
    assert!(size_of::<ExtControls>() == 24);
    assert!(size_of::<QueryExtCtrl>() == 232);
    assert!(size_of::<QueryMenu>() == 44);
    assert!(size_of::<EncoderCmd>() == 40);
    assert!(size_of::<EventSubscription>() == 32);
    assert!(size_of::<Event>() == 128);
    assert!(offset_of!(Event, id) == 88);
    assert!(size_of::<RequestBuffers>() == 20);
    assert!(size_of::<ExportBuffer>() == 64);
    assert!(size_of::<Plane>() == 60);
    assert!(size_of::<SingleBuffer>() == 68);
    assert!(offset_of!(SingleBuffer, m) == 52);
    assert!(size_of::<MultiBuffer>() == 68);
    assert!(offset_of!(MultiBuffer, planes) == 52);
};
