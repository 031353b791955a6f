//! The binary interface of Rockchip's MPP as far as the agent uses it: values and layouts of its public headers
//! (`inc/` of github.com/rockchip-linux/mpp), under their names there. `headers_tests` compares them with the headers.

#![allow(non_upper_case_globals)] // some of the names there

use std::ffi::{c_int, c_void};

macro_rules! constants {
    ($($name:ident = $value:expr;)*) => {
        $(pub const $name: c_int = $value;)*
        /// All of them, for the comparison with the headers.
        #[cfg(test)]
        pub const CONSTANTS: &[(&str, c_int)] = &[$((stringify!($name), $name)),*];
    };
}

constants! {
    // rk_type.h
    MPP_CTX_ENC = 1;
    MPP_VIDEO_CodingAVC = 7;
    MPP_VIDEO_CodingHEVC = 0x0100_0004;
    // mpp_err.h
    MPP_OK = 0;
    MPP_NOK = -1;
    MPP_ERR_UNKNOW = -2;
    MPP_ERR_NULL_PTR = -3;
    MPP_ERR_MALLOC = -4;
    MPP_ERR_OPEN_FILE = -5;
    MPP_ERR_VALUE = -6;
    MPP_ERR_TIMEOUT = -8;
    MPP_ERR_PERM = -9;
    MPP_ERR_INIT = -1002;
    MPP_ERR_VPU_CODEC_INIT = -1003;
    MPP_ERR_NOMEM = -1006;
    MPP_ERR_VPUHW = -1009;
    // rk_mpi_cmd.h
    MPP_SET_INPUT_TIMEOUT = 0x0020_0006;
    MPP_SET_OUTPUT_TIMEOUT = 0x0020_0007;
    MPP_ENC_SET_CFG = 0x0032_0001;
    MPP_ENC_GET_CFG = 0x0032_0002;
    MPP_ENC_SET_IDR_FRAME = 0x0032_0009;
    MPP_ENC_GET_HDR_SYNC = 0x0032_000d;
    MPP_ENC_SET_SEI_CFG = 0x0032_000f;
    MPP_ENC_SET_HEADER_MODE = 0x0032_8001;
    // rk_venc_cmd.h
    MPP_ENC_HEADER_MODE_EACH_IDR = 1;
    MPP_ENC_SEI_MODE_DISABLE = 0;
    // rk_venc_rc.h
    MPP_ENC_RC_MODE_CBR = 1;
    // mpp_buffer.h
    MPP_BUFFER_INTERNAL = 0;
    MPP_BUFFER_TYPE_DRM = 3;
    // mpp_frame.h
    MPP_FMT_YUV420SP = 0;
    MPP_FMT_YUV420P = 4;
    MPP_FMT_YUV422_YUYV = 8;
    MPP_FRAME_RANGE_MPEG = 1;
    MPP_FRAME_PRI_SMPTE170M = 6;
    MPP_FRAME_TRC_SMPTE170M = 6;
    MPP_FRAME_SPC_SMPTE170M = 6;
}

/// A function of [`MppApi`] that is not called.
type Unused = *const c_void;

/// `MppApi` of rk_mpi.h up to the last function that is called; the library's is longer.
#[repr(C)]
pub struct MppApi {
    /// Bytes of the library's table.
    pub size: u32,
    pub version: u32,
    pub decode: [Unused; 3],
    pub encode: Unused,
    pub encode_put_frame: Option<unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int>,
    pub encode_get_packet: Option<unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> c_int>,
    pub isp: [Unused; 3],
    pub poll: Unused,
    pub dequeue: Unused,
    pub enqueue: Unused,
    pub reset: Unused,
    pub control: Option<unsafe extern "C" fn(*mut c_void, c_int, *mut c_void) -> c_int>,
}

/// `MppBufferInfo` of mpp_buffer.h.
#[repr(C)]
pub struct MppBufferInfo {
    pub kind: c_int,
    pub size: usize,
    pub pointer: *mut c_void,
    pub handle: *mut c_void,
    pub fd: c_int,
    pub index: c_int,
}
