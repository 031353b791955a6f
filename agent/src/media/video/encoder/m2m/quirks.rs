//! What single drivers need, by the name that VIDIOC_QUERYCAP gives, each with its reason.

use std::time::Duration;

use crate::media::video::{Bitrate, PixelFormat};

/// See the module. Each field is what is done; [`QUIRKS`] says for whom and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quirks {
    /// Drivers that it is for; none: all others.
    pub drivers: &'static [&'static str],
    /// Bytes that a row of an imported picture must be a multiple of, for each format that has a rule.
    pub strides: &'static [(PixelFormat, u32)],
    /// Least size of a buffer for an encoded picture: bytes at all, and hundredths of a byte for each pixel. Zeros
    /// leave it to the driver.
    pub coded_bytes: (u32, u32),
    /// The lowest target rate that works, and what it must be a multiple of, besides what the control says.
    pub bitrate: (Bitrate, u32),
    /// The rate control is to be variable: else the driver's own choice stays.
    pub variable_rate: bool,
    /// Forced key frames are at least so far apart.
    pub keyframe_spacing: Duration,
    /// The first picture of a stream may come back with the timestamp 0.
    pub zero_timestamp: bool,
}

/// What is right for a driver that does as the kernel's document says.
const NONE: Quirks = Quirks {
    drivers: &[],
    strides: &[],
    coded_bytes: (0, 0),
    bitrate: (Bitrate(0), 1),
    variable_rate: false,
    // A button that is pushed again before its key frame has come would only force another one.
    keyframe_spacing: Duration::from_millis(100),
    zero_timestamp: false,
};

/// The first whose drivers hold the name; the last is for all others.
const QUIRKS: [Quirks; 2] = [
    Quirks {
        drivers: &["bcm2835-codec"],
        // The ISP in front of the encoder reads rows of such multiples; the driver rounds up what it is asked for,
        // so that a camera's buffer with other rows must be copied.
        strides: &[(PixelFormat::Yu12, 64), (PixelFormat::Nv12, 32), (PixelFormat::Yuyv, 64)],
        // It offers 512 KB, and 768 KB above 720p, which an IDR of 1080p at a high rate does not fit in: what does
        // not fit is cut. 1.5 MB hold it; 0.75 byte a pixel are that at 1080p.
        coded_bytes: (512 * 1024, 75),
        // The control goes down to 25 kbit/s in steps of 25, but then QBUF fails: seen at 100 kbit/s, never at 700.
        bitrate: (Bitrate(700_000), 25_000),
        // Constant bit rate with main profile hangs at 1080p (raspberrypi/linux#5360); VBR is the default, but
        // stays as an earlier program set it nowhere else than in its own file: said here all the same.
        variable_rate: true,
        // A storm of forced key frames can lock the firmware up (pikvm#1704).
        keyframe_spacing: Duration::from_millis(250),
        // Seen on the first picture after STREAMON.
        zero_timestamp: true,
    },
    NONE,
];

impl Quirks {
    /// Those of a driver.
    pub fn of_driver(name: &str) -> &'static Self {
        QUIRKS.iter().find(|quirks| quirks.drivers.contains(&name)).unwrap_or(&QUIRKS[QUIRKS.len() - 1])
    }

    /// Whether the encoder reads rows of so many bytes.
    pub fn takes_stride(&self, format: PixelFormat, stride: u32) -> bool {
        let rule = self.strides.iter().find(|(ruled, _)| *ruled == format);
        rule.is_none_or(|(_, multiple)| stride.is_multiple_of(*multiple))
    }

    /// Size of a buffer for an encoded picture, in bytes; 0 leaves it to the driver.
    pub fn coded_size(&self, width: u32, height: u32) -> u32 {
        let (least, hundredths) = self.coded_bytes;
        let pixels = u64::from(width) * u64::from(height);
        let wanted = u32::try_from(pixels * u64::from(hundredths) / 100).unwrap_or(u32::MAX);
        wanted.max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_raspberry_pis_encoder_has_its_own_and_an_unknown_driver_none() {
        let pi = Quirks::of_driver("bcm2835-codec");
        assert!(pi.zero_timestamp && pi.bitrate == (Bitrate(700_000), 25_000));
        assert_eq!(Quirks::of_driver("p2pcam-venc"), &NONE);
        assert_eq!(Quirks::of_driver(""), &NONE);
    }

    #[test]
    fn an_idr_of_full_hd_has_one_and_a_half_megabytes() {
        let pi = Quirks::of_driver("bcm2835-codec");
        assert!((1_500_000..1_600_000).contains(&pi.coded_size(1920, 1080)));
        assert_eq!(pi.coded_size(320, 180), 512 * 1024);
        assert_eq!(NONE.coded_size(1920, 1080), 0);
    }

    #[test]
    fn rows_that_the_encoder_cannot_read_are_known() {
        let pi = Quirks::of_driver("bcm2835-codec");
        assert!(pi.takes_stride(PixelFormat::Yu12, 640) && !pi.takes_stride(PixelFormat::Yu12, 672));
        assert!(pi.takes_stride(PixelFormat::Nv12, 672));
        assert!(NONE.takes_stride(PixelFormat::Yu12, 642));
    }
}
