//! Figures as people read them.

use chrono::DateTime;

/// A time given in milliseconds, as `142 ms`, `1.24 s`, `12.5 s`, `3 min 20 s`.
pub fn millis(ms: f64) -> String {
    if !ms.is_finite() {
        return "?".into();
    }
    match ms.abs() {
        size if size < 9.95 => format!("{ms:.1} ms"),
        size if size < 999.5 => format!("{ms:.0} ms"),
        size if size < 9_995.0 => format!("{:.2} s", ms / 1e3),
        size if size < 99_950.0 => format!("{:.1} s", ms / 1e3),
        size => {
            let seconds = (size / 1e3).round();
            let sign = if ms < 0.0 { "-" } else { "" };
            format!("{sign}{:.0} min {:.0} s", (seconds / 60.0).floor(), seconds % 60.0)
        }
    }
}

/// A bitrate given in kilobits a second, as `850 kbit/s`, `2.4 Mbit/s`.
pub fn kbps(kbps: f64) -> String {
    if !kbps.is_finite() {
        "?".into()
    } else if kbps.abs() < 999.5 {
        format!("{kbps:.0} kbit/s")
    } else {
        format!("{:.1} Mbit/s", kbps / 1e3)
    }
}

/// Seconds since 1970 as `2026-03-01 12:00:00 UTC`.
pub fn utc(seconds: u64) -> String {
    i64::try_from(seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0)).map_or_else(
        || format!("{seconds} s after 1970"),
        |time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

/// A number and its word, as `1 cell`, `3 cells`.
pub fn count(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

/// The value below which a share (0 to 1) of them lies, nearest rank; none if there is no number among them.
pub fn quantile(values: impl IntoIterator<Item = f64>, share: f64) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil().max(1.0) as usize;
    values.get(rank - 1).copied()
}

/// See [`quantile`].
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_have_a_unit() {
        assert_eq!(millis(3.12), "3.1 ms");
        assert_eq!(millis(142.4), "142 ms");
        assert_eq!(millis(999.7), "1.00 s");
        assert_eq!(millis(12_520.0), "12.5 s");
        assert_eq!(millis(200_000.0), "3 min 20 s");
        assert_eq!(millis(f64::NAN), "?");
        assert_eq!(kbps(850.2), "850 kbit/s");
        assert_eq!(kbps(2_440.0), "2.4 Mbit/s");
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert!(utc(u64::MAX).contains("after 1970"));
    }

    #[test]
    fn a_median_is_the_middle_and_leaves_out_what_is_no_number() {
        assert_eq!(median([3.0, f64::NAN, 1.0, 2.0]), Some(2.0));
        assert_eq!(quantile([1.0, 2.0, 3.0, 4.0], 0.9), Some(4.0));
        assert_eq!(median([]), None);
    }
}
