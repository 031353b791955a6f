//! What an MPP encoder is set to: its settings by MPP's names (`mpp_enc_cfg_set_s32`), and the levels.

use std::ffi::CStr;

use super::{MppCodec, abi, layout::Layout};
use crate::media::video::{
    Bitrate,
    encoder::{EncoderSettings, h264_level},
};

/// A setting.
pub type Setting = (&'static CStr, i32);

/// Constant bit rate: it may be off the target by a sixteenth, as in Rockchip's own example.
const RATE_MARGIN: u64 = 16;
/// MPP encodes no faster rate (`MPP_ENC_MAX_BPS` of rk_venc_rc.h).
const MAX_RATE: u64 = 200 << 20;

fn number(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// How the picture lies.
pub fn picture(width: u32, height: u32, layout: &Layout) -> [Setting; 5] {
    let [width, height, stride, rows] = [width, height, layout.stride, layout.rows].map(|n| number(n.into()));
    [
        (c"prep:width", width),
        (c"prep:height", height),
        (c"prep:hor_stride", stride),
        (c"prep:ver_stride", rows),
        (c"prep:format", layout.mpp_format()),
    ]
}

/// The bit rate.
pub fn rate(bitrate: Bitrate) -> [Setting; 3] {
    let target = u64::from(bitrate.0).min(MAX_RATE);
    [
        (c"rc:bps_target", number(target)),
        (c"rc:bps_max", number((target + target / RATE_MARGIN).min(MAX_RATE))),
        (c"rc:bps_min", number(target - target / RATE_MARGIN)),
    ]
}

/// Everything, for an encoder that is opened.
pub fn all(codec: MppCodec, settings: &EncoderSettings, bitrate: Bitrate, layout: &Layout) -> Vec<Setting> {
    let &EncoderSettings { width, height, fps, keyframe_interval, .. } = settings;
    let fps_number = number(fps.into());
    let mut all = vec![(c"codec:type", codec.coding())];
    all.extend(picture(width, height, layout));
    all.extend([
        // What the agent's cameras and pictures are: limited range, BT.601.
        (c"prep:range", abi::MPP_FRAME_RANGE_MPEG),
        (c"prep:colorspace", abi::MPP_FRAME_SPC_SMPTE170M),
        (c"prep:colorprim", abi::MPP_FRAME_PRI_SMPTE170M),
        (c"prep:colortrc", abi::MPP_FRAME_TRC_SMPTE170M),
        (c"rc:mode", abi::MPP_ENC_RC_MODE_CBR),
        // The same rate on both sides: MPP drops no picture.
        (c"rc:fps_in_flex", 0),
        (c"rc:fps_in_num", fps_number),
        (c"rc:fps_in_denom", 1),
        (c"rc:fps_out_flex", 0),
        (c"rc:fps_out_num", fps_number),
        (c"rc:fps_out_denom", 1),
        (c"rc:gop", number(keyframe_interval.into())),
    ]);
    all.extend(rate(bitrate));
    match codec {
        MppCodec::H264 => all.extend([
            // profile_idc 66; MPP sets the flags that make it constrained baseline.
            (c"h264:profile", 66),
            (c"h264:level", i32::from(h264_level(width, height, fps, bitrate.0 / 1000))),
            (c"h264:cabac_en", 0),
            (c"h264:trans8x8", 0),
        ]),
        MppCodec::H265 => all.extend([
            // Main profile, main tier.
            (c"h265:profile", 1),
            (c"h265:tier", 0),
            (c"h265:level", h265_level(width, height, fps)),
        ]),
    }
    all
}

/// `general_level_idc`, thirty times the level: the lowest for this size and rate (H.265 tables A.8 and A.9: samples a
/// picture and a second). The bit rates of the agent are far below what these levels allow.
fn h265_level(width: u32, height: u32, fps: u32) -> i32 {
    const LEVELS: [(i32, u64, u64); 8] = [
        (60, 122_880, 3_686_400),
        (63, 245_760, 7_372_800),
        (90, 552_960, 16_588_800),
        (93, 983_040, 33_177_600),
        (120, 2_228_224, 66_846_720),
        (123, 2_228_224, 133_693_440),
        (150, 8_912_896, 267_386_880),
        (153, 8_912_896, 534_773_760),
    ];
    let picture = u64::from(width) * u64::from(height);
    let fits =
        |(_, most, a_second): &&(i32, u64, u64)| picture <= *most && picture * u64::from(fps) <= *a_second;
    // Above 5.1 the chips encode no more than 8K at 30 pictures a second: level 6.
    LEVELS.iter().find(fits).map_or(180, |(level, ..)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_sizes_have_the_levels_that_the_standard_names() {
        assert_eq!(h265_level(1280, 720, 30), 93);
        assert_eq!(h265_level(1920, 1080, 30), 120);
        assert_eq!(h265_level(1920, 1080, 60), 123);
        assert_eq!(h265_level(3840, 2160, 30), 150);
        assert_eq!(h264_level(1280, 720, 30, 2000), 31);
    }

    #[test]
    fn the_rate_stays_within_a_sixteenth_and_within_what_mpp_takes() {
        assert_eq!(rate(Bitrate(1_600_000)).map(|(_, value)| value), [1_600_000, 1_700_000, 1_500_000]);
        let most = 200 << 20;
        assert_eq!(rate(Bitrate(u32::MAX)).map(|(_, value)| value), [most, most, most - most / 16]);
    }
}
