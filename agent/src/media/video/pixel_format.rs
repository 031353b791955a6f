//! How the samples of a picture lie in memory.

use std::fmt;

/// What a camera can give a picture as, and the agent can take. V4L2's four-character codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelFormat {
    /// H.264 byte stream, passed through.
    H264,
    /// 4:2:0, U and V interleaved.
    Nv12,
    /// 4:2:0 in three planes (I420).
    Yu12,
    /// 4:2:2, interleaved.
    Yuyv,
    /// JPEG pictures.
    Mjpeg,
}

impl PixelFormat {
    /// All of them, cheapest first.
    pub const ALL: [Self; 5] = [Self::H264, Self::Nv12, Self::Yu12, Self::Yuyv, Self::Mjpeg];

    /// The code.
    pub fn fourcc(self) -> [u8; 4] {
        *match self {
            Self::H264 => b"H264",
            Self::Nv12 => b"NV12",
            Self::Yu12 => b"YU12",
            Self::Yuyv => b"YUYV",
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
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.fourcc()))
    }
}
