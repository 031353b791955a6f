//! The structs and numbers of `linux/videodev2.h` that the agent uses, laid out as the kernel has them.
//!
//! Where the kernel has a union, the struct here holds the member that the agent uses, and filler for the rest. A
//! filler `[usize; 0]` or `[u64; 0]` takes no room: it aligns what follows as the union is aligned. Every struct is
//! plain numbers, for which any bytes are valid; `abi_tests.rs` checks sizes and places.

/// Planes that a buffer has at most (`VIDEO_MAX_PLANES`).
pub const MAX_PLANES: usize = 8;
/// Buffers that a queue has at most (`VIDEO_MAX_FRAME`).
pub const MAX_BUFFERS: u32 = 32;

/// Filler of unions that hold a pointer or descriptor beside a 32-bit number.
const REST_OF_POINTER: usize = size_of::<usize>() / 4 - 1;

pub const CAP_VIDEO_CAPTURE: u32 = 0x0000_0001;
pub const CAP_VIDEO_OUTPUT: u32 = 0x0000_0002;
pub const CAP_VIDEO_CAPTURE_MPLANE: u32 = 0x0000_1000;
pub const CAP_VIDEO_OUTPUT_MPLANE: u32 = 0x0000_2000;
pub const CAP_VIDEO_M2M_MPLANE: u32 = 0x0000_4000;
pub const CAP_VIDEO_M2M: u32 = 0x0000_8000;
pub const CAP_STREAMING: u32 = 0x0400_0000;
pub const CAP_DEVICE_CAPS: u32 = 0x8000_0000;

/// `struct v4l2_capability`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Capability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus_info: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_caps: u32,
    pub reserved: [u32; 3],
}

/// `struct v4l2_fmtdesc`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FmtDesc {
    pub index: u32,
    pub type_: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub pixelformat: [u8; 4],
    pub mbus_code: u32,
    pub reserved: [u32; 3],
}

pub const FRAME_DISCRETE: u32 = 1;

/// `struct v4l2_frmsizeenum`: `body` is width and height, or for ranges least, largest and step of both.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FrmSizeEnum {
    pub index: u32,
    pub pixel_format: [u8; 4],
    pub type_: u32,
    pub body: [u32; 6],
    pub reserved: [u32; 2],
}

/// A fraction (`struct v4l2_fract`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Fract {
    /// Above the line.
    pub numerator: u32,
    /// Below the line; 0 is a driver's fault.
    pub denominator: u32,
}

/// `struct v4l2_frmivalenum`: `body` is the interval, or for ranges the shortest, longest and step.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct FrmIvalEnum {
    pub index: u32,
    pub pixel_format: [u8; 4],
    pub width: u32,
    pub height: u32,
    pub type_: u32,
    pub body: [Fract; 3],
    pub reserved: [u32; 2],
}

/// `V4L2_PIX_FMT_PRIV_MAGIC`: the fields after `private` are meant.
pub const PIX_FMT_PRIV_MAGIC: u32 = 0xfeed_cafe;
/// `V4L2_FIELD_NONE`: whole pictures.
pub const FIELD_NONE: u32 = 1;

/// `struct v4l2_pix_format`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PixFormat {
    pub width: u32,
    pub height: u32,
    pub pixelformat: [u8; 4],
    pub field: u32,
    pub bytesperline: u32,
    pub sizeimage: u32,
    pub colorspace: u32,
    pub private: u32,
    pub flags: u32,
    pub ycbcr_enc: u32,
    pub quantization: u32,
    pub xfer_func: u32,
}

/// `struct v4l2_format` of a single-planar type
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SingleFormat {
    pub type_: u32,
    pub align: [usize; 0],
    pub pix: PixFormat,
    pub rest: [u32; 38],
}

/// `struct v4l2_plane_pix_format`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PlanePixFormat {
    pub sizeimage: u32,
    pub bytesperline: u32,
    pub reserved: [u16; 6],
}

/// `struct v4l2_pix_format_mplane`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PixFormatMplane {
    pub width: u32,
    pub height: u32,
    pub pixelformat: [u8; 4],
    pub field: u32,
    pub colorspace: u32,
    pub plane_fmt: [PlanePixFormat; MAX_PLANES],
    pub num_planes: u8,
    pub flags: u8,
    pub ycbcr_enc: u8,
    pub quantization: u8,
    pub xfer_func: u8,
    pub reserved: [u8; 7],
}

/// `struct v4l2_format` of a multi-planar type
#[derive(Clone, Copy)]
#[repr(C)]
pub struct MultiFormat {
    pub type_: u32,
    pub align: [usize; 0],
    pub pix: PixFormatMplane,
    pub rest: [u32; 2],
}

pub const CAP_TIMEPERFRAME: u32 = 0x1000;

/// `struct v4l2_streamparm`; its two members, for capture and output, are alike.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct StreamParm {
    pub type_: u32,
    pub capability: u32,
    pub mode: u32,
    pub timeperframe: Fract,
    pub extendedmode: u32,
    pub buffers: u32,
    pub reserved: [u32; 4],
    pub rest: [u8; 160],
}

/// `struct v4l2_selection`, with its `struct v4l2_rect`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Selection {
    pub type_: u32,
    pub target: u32,
    pub flags: u32,
    pub left: i32,
    pub top: i32,
    pub width: u32,
    pub height: u32,
    pub reserved: [u32; 9],
}

/// `struct v4l2_control`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Control {
    pub id: u32,
    pub value: i32,
}

/// `struct v4l2_ext_control`
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct ExtControl {
    pub id: u32,
    pub size: u32,
    pub reserved2: u32,
    pub value64: i64,
}

/// `struct v4l2_ext_controls`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ExtControls {
    pub which: u32,
    pub count: u32,
    pub error_idx: u32,
    pub request_fd: i32,
    pub reserved: u32,
    pub controls: *mut ExtControl,
}

pub const CTRL_FLAG_DISABLED: u32 = 0x0001;
pub const CTRL_FLAG_GRABBED: u32 = 0x0002;
pub const CTRL_FLAG_READ_ONLY: u32 = 0x0004;
pub const CTRL_FLAG_INACTIVE: u32 = 0x0010;
pub const CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;

/// `struct v4l2_query_ext_ctrl`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct QueryExtCtrl {
    pub id: u32,
    pub type_: u32,
    pub name: [u8; 32],
    pub minimum: i64,
    pub maximum: i64,
    pub step: u64,
    pub default_value: i64,
    pub flags: u32,
    pub elem_size: u32,
    pub elems: u32,
    pub nr_of_dims: u32,
    pub dims: [u32; 4],
    pub reserved: [u32; 32],
}

/// `struct v4l2_querymenu`: `body` is a name, or a 64-bit number in its first bytes.
#[derive(Clone, Copy)]
#[repr(C, packed)]
pub struct QueryMenu {
    pub id: u32,
    pub index: u32,
    pub body: [u8; 32],
    pub reserved: u32,
}

pub const ENC_CMD_START: u32 = 0;
pub const ENC_CMD_STOP: u32 = 1;

/// `struct v4l2_encoder_cmd`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EncoderCmd {
    pub cmd: u32,
    pub flags: u32,
    pub raw: [u32; 8],
}

/// `struct v4l2_event_subscription`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct EventSubscription {
    pub type_: u32,
    pub id: u32,
    pub flags: u32,
    pub reserved: [u32; 5],
}

pub const EVENT_EOS: u32 = 2;
pub const EVENT_CTRL: u32 = 3;
pub const EVENT_SOURCE_CHANGE: u32 = 5;

/// `struct v4l2_event`: `changes` is of `V4L2_EVENT_SOURCE_CHANGE` and `V4L2_EVENT_CTRL`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Event {
    pub type_: u32,
    pub align: [u64; 0],
    pub changes: u32,
    pub rest: [u32; 15],
    pub pending: u32,
    pub sequence: u32,
    pub timestamp: libc::timespec,
    pub id: u32,
    pub reserved: [u32; 8],
}

pub const MEMORY_MMAP: u32 = 1;
pub const MEMORY_DMABUF: u32 = 4;

/// `struct v4l2_requestbuffers`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct RequestBuffers {
    pub count: u32,
    pub type_: u32,
    pub memory: u32,
    pub capabilities: u32,
    pub flags: u8,
    pub reserved: [u8; 3],
}

/// `struct v4l2_exportbuffer`
#[derive(Clone, Copy)]
#[repr(C)]
pub struct ExportBuffer {
    pub type_: u32,
    pub index: u32,
    pub plane: u32,
    pub flags: u32,
    pub fd: i32,
    pub reserved: [u32; 11],
}

/// `struct v4l2_plane`: `m` is the offset to map at, or the DMABUF's descriptor.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Plane {
    pub bytesused: u32,
    pub length: u32,
    pub align: [usize; 0],
    pub m: u32,
    pub m_rest: [u32; REST_OF_POINTER],
    pub data_offset: u32,
    pub reserved: [u32; 11],
}

/// `struct v4l2_buffer`; the members before its union
#[derive(Clone, Copy)]
#[repr(C)]
pub struct BufferHead {
    pub index: u32,
    pub type_: u32,
    pub bytesused: u32,
    pub flags: u32,
    pub field: u32,
    pub timestamp: libc::timeval,
    pub timecode: [u32; 4],
    pub sequence: u32,
    pub memory: u32,
}

/// `struct v4l2_buffer` of a single-planar type: `m` is the offset to map at, or the DMABUF's descriptor.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct SingleBuffer {
    pub head: BufferHead,
    pub align: [usize; 0],
    pub m: u32,
    pub m_rest: [u32; REST_OF_POINTER],
    pub length: u32,
    pub reserved2: u32,
    pub request_fd: i32,
}

/// `struct v4l2_buffer` of a multi-planar type: `length` is the number of planes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct MultiBuffer {
    pub head: BufferHead,
    pub planes: *mut Plane,
    pub length: u32,
    pub reserved2: u32,
    pub request_fd: i32,
}
