//! The lowest H.264 level that holds a picture size, rate and bit rate (H.264 table A-1).

use openh264::encoder::Level;

/// (level, macroblocks a second, macroblocks a picture, kilobits a second in baseline)
const LEVELS: [(Level, u32, u32, u32); 14] = [
    (Level::Level_1_0, 1_485, 99, 64),
    (Level::Level_1_1, 3_000, 396, 192),
    (Level::Level_1_2, 6_000, 396, 384),
    (Level::Level_1_3, 11_880, 396, 768),
    (Level::Level_2_0, 11_880, 396, 2_000),
    (Level::Level_2_1, 19_800, 792, 4_000),
    (Level::Level_2_2, 20_250, 1_620, 4_000),
    (Level::Level_3_0, 40_500, 1_620, 10_000),
    (Level::Level_3_1, 108_000, 3_600, 14_000),
    (Level::Level_3_2, 216_000, 5_120, 20_000),
    (Level::Level_4_0, 245_760, 8_192, 20_000),
    (Level::Level_4_2, 522_240, 8_704, 50_000),
    (Level::Level_5_0, 589_824, 22_080, 135_000),
    (Level::Level_5_1, 983_040, 36_864, 240_000),
];

/// The lowest level for these; 5.2 for anything larger.
pub fn lowest(width: u32, height: u32, fps: u32, kbps: u32) -> Level {
    let picture = width.div_ceil(16) * height.div_ceil(16);
    let rate = picture.saturating_mul(fps);
    let fits = |(_, max_rate, max_picture, max_kbps): &&(Level, u32, u32, u32)| {
        rate <= *max_rate && picture <= *max_picture && kbps <= *max_kbps
    };
    LEVELS.iter().find(fits).map_or(Level::Level_5_2, |(level, ..)| *level)
}

/// The same as `level_idc`: ten times the level.
pub fn lowest_idc(width: u32, height: u32, fps: u32, kbps: u32) -> u8 {
    match lowest(width, height, fps, kbps) {
        Level::Level_1_0 | Level::Level_1_B => 10,
        Level::Level_1_1 => 11,
        Level::Level_1_2 => 12,
        Level::Level_1_3 => 13,
        Level::Level_2_0 => 20,
        Level::Level_2_1 => 21,
        Level::Level_2_2 => 22,
        Level::Level_3_0 => 30,
        Level::Level_3_1 => 31,
        Level::Level_3_2 => 32,
        Level::Level_4_0 => 40,
        Level::Level_4_1 => 41,
        Level::Level_4_2 => 42,
        Level::Level_5_0 => 50,
        Level::Level_5_1 => 51,
        Level::Level_5_2 => 52,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_sizes_have_the_levels_that_the_standard_names() {
        assert!(matches!(lowest(640, 360, 30, 1000), Level::Level_3_0));
        assert!(matches!(lowest(1280, 720, 30, 2000), Level::Level_3_1));
        assert!(matches!(lowest(1920, 1080, 30, 4000), Level::Level_4_0));
        assert!(matches!(lowest(1920, 1080, 60, 8000), Level::Level_4_2));
        assert!(matches!(lowest(3840, 2160, 60, 8000), Level::Level_5_2));
    }
}
