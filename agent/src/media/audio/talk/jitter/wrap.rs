//! RTP counters that wrap, made to run on.

/// The value nearest to `last` whose low 16 bits are `value`.
pub fn unwrap_u16(last: i64, value: u16) -> i64 {
    last + i64::from(value.wrapping_sub(last as u16) as i16)
}

/// The value nearest to `last` whose low 32 bits are `value`.
pub fn unwrap_u32(last: i64, value: u32) -> i64 {
    last + i64::from(value.wrapping_sub(last as u32) as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_run_on_over_their_end_in_both_directions() {
        assert_eq!(unwrap_u16(65_535, 0), 65_536);
        assert_eq!(unwrap_u16(65_536, 65_535), 65_535);
        assert_eq!(unwrap_u16(0, 65_535), -1);
        assert_eq!(unwrap_u32(u32::MAX.into(), 959), i64::from(u32::MAX) + 960);
        assert_eq!(unwrap_u32(1 << 32, u32::MAX - 959), (1 << 32) - 960);
    }
}
