//! How the samples of a picture lie in memory.

use std::fmt;

/// What a camera can give a picture as, and the agent can take. V4L2's four-character codes; "in its own memory" are
/// the formats of which each colour plane is a plane of a multi-planar buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// H.264 byte stream, passed through.
    H264,
    /// 4:2:0, U and V interleaved.
    Nv12,
    /// 4:2:0 in three planes (I420).
    Yu12,
    /// 4:2:0, V and U interleaved.
    Nv21,
    /// 4:2:0 in three planes, V before U.
    Yv12,
    /// As NV12, each plane in its own memory.
    Nm12,
    /// As YU12, each plane in its own memory.
    Ym12,
    /// As NV21, each plane in its own memory.
    Nm21,
    /// As YV12, each plane in its own memory.
    Ym21,
    /// 4:2:2, interleaved.
    Yuyv,
    /// 4:2:2, interleaved, chroma first.
    Uyvy,
    /// 4:2:2, interleaved, V before U.
    Yvyu,
    /// 4:2:2, interleaved, chroma first, V before U.
    Vyuy,
    /// JPEG pictures.
    Mjpeg,
}

impl PixelFormat {
    /// All of them, in the order of preference: encoded already; 4:2:0 in one piece of memory, which hardware encoders
    /// import as it is, the layouts first that all of them take; 4:2:0 in several pieces, which some take; 4:2:2, a
    /// third more to move and for some to convert; what the CPU must decode.
    pub const ALL: [Self; 14] = [
        Self::H264,
        Self::Nv12,
        Self::Yu12,
        Self::Nv21,
        Self::Yv12,
        Self::Nm12,
        Self::Ym12,
        Self::Nm21,
        Self::Ym21,
        Self::Yuyv,
        Self::Uyvy,
        Self::Yvyu,
        Self::Vyuy,
        Self::Mjpeg,
    ];

    /// The code.
    pub fn fourcc(self) -> [u8; 4] {
        *match self {
            Self::H264 => b"H264",
            Self::Nv12 => b"NV12",
            Self::Yu12 => b"YU12",
            Self::Nv21 => b"NV21",
            Self::Yv12 => b"YV12",
            Self::Nm12 => b"NM12",
            Self::Ym12 => b"YM12",
            Self::Nm21 => b"NM21",
            Self::Ym21 => b"YM21",
            Self::Yuyv => b"YUYV",
            Self::Uyvy => b"UYVY",
            Self::Yvyu => b"YVYU",
            Self::Vyuy => b"VYUY",
            Self::Mjpeg => b"MJPG",
        }
    }

    /// The format of a code; `JPEG` is what some drivers call MJPEG. `None` if the agent cannot take it.
    pub fn from_fourcc(code: [u8; 4]) -> Option<Self> {
        let code = if code == *b"JPEG" { *b"MJPG" } else { code };
        Self::ALL.into_iter().find(|format| format.fourcc() == code)
    }

    /// Position in [`Self::ALL`].
    pub fn cost(self) -> usize {
        Self::ALL.iter().position(|format| *format == self).unwrap_or(Self::ALL.len())
    }

    /// True of pictures that are samples, not a stream to decode.
    pub fn is_raw(self) -> bool {
        !matches!(self, Self::H264 | Self::Mjpeg)
    }

    /// How many planes of memory a multi-planar buffer of it has.
    pub fn memory_planes(self) -> usize {
        match self {
            Self::Nm12 | Self::Nm21 => 2,
            Self::Ym12 | Self::Ym21 => 3,
            _ => 1,
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.fourcc()))
    }
}
