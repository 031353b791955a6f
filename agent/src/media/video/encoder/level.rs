//! The lowest H.264 level that holds a picture size, rate and bit rate (H.264 table A-1).

/// (ten times the level, macroblocks a second, macroblocks a picture, kilobits a second in baseline)
const LEVELS: [(u8, u32, u32, u32); 14] = [
    (10, 1_485, 99, 64),
    (11, 3_000, 396, 192),
    (12, 6_000, 396, 384),
    (13, 11_880, 396, 768),
    (20, 11_880, 396, 2_000),
    (21, 19_800, 792, 4_000),
    (22, 20_250, 1_620, 4_000),
    (30, 40_500, 1_620, 10_000),
    (31, 108_000, 3_600, 14_000),
    (32, 216_000, 5_120, 20_000),
    (40, 245_760, 8_192, 20_000),
    (42, 522_240, 8_704, 50_000),
    (50, 589_824, 22_080, 135_000),
    (51, 983_040, 36_864, 240_000),
];

/// The lowest level for these, as `level_idc` has it: ten times the level; 5.2 for anything larger.
pub fn lowest_idc(width: u32, height: u32, fps: u32, kbps: u32) -> u8 {
    let picture = width.div_ceil(16) * height.div_ceil(16);
    let rate = picture.saturating_mul(fps);
    let fits = |(_, max_rate, max_picture, max_kbps): &&(u8, u32, u32, u32)| {
        rate <= *max_rate && picture <= *max_picture && kbps <= *max_kbps
    };
    LEVELS.iter().find(fits).map_or(52, |(level, ..)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_sizes_have_the_levels_that_the_standard_names() {
        assert_eq!(lowest_idc(640, 360, 30, 1000), 30);
        assert_eq!(lowest_idc(1280, 720, 30, 2000), 31);
        assert_eq!(lowest_idc(1920, 1080, 30, 4000), 40);
        assert_eq!(lowest_idc(1920, 1080, 60, 8000), 42);
        assert_eq!(lowest_idc(3840, 2160, 60, 8000), 52);
    }
}
