//! Times, rates, shares and sizes as scenario files write them.

use std::time::Duration;

use super::problem::Trouble;

const TIMES: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("min", 60.0), ("h", 3600.0)];
const RATES: [(&str, f64); 4] = [("bit", 1.0), ("kbit", 1e3), ("Mbit", 1e6), ("Gbit", 1e9)];
const SIZES: [(&str, f64); 2] = [("B", 1.0), ("kB", 1e3)];

/// Forms of a time, for messages.
pub(super) const TIME_FORM: &str = "a number with ms, s, min or h, as in \"200ms\", \"1.5s\", \"2min\"";
/// Forms of a rate.
pub(super) const RATE_FORM: &str =
    "a number with bit, kbit, Mbit or Gbit (a second), as in \"500kbit\", \"3Mbit\"";
/// Forms of a share.
pub(super) const SHARE_FORM: &str = "a number with %, as in \"0.5%\", from 0% to 100%";
/// Forms of a size.
pub(super) const SIZE_FORM: &str = "a number with B (bytes) or kB (1000 bytes), as in \"1280B\"";

/// A length of time.
pub(super) fn time(text: &str) -> Result<Duration, Trouble> {
    let seconds = quantity(text, &TIMES, "time", TIME_FORM)?;
    // Whole microseconds: finer than anything that the lab does, and without the noise of binary fractions.
    Duration::try_from_secs_f64((seconds * 1e6).round() / 1e6)
        .map_err(|_| Trouble::new(format!("{text:?} is too long a time")).allowed(TIME_FORM))
}

/// Seconds forwards (`"1h"`, `"+1h"`) or back (`"-1h"`), whole ones.
pub(super) fn jump(text: &str) -> Result<i64, Trouble> {
    let trimmed = text.trim();
    let (sign, size) = match trimmed.strip_prefix('-') {
        Some(size) => (-1.0, size),
        None => (1.0, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let seconds = quantity(size, &TIMES, "time", TIME_FORM)?;
    if seconds.fract() != 0.0 {
        return Err(Trouble::new(format!("{text:?} is no whole number of seconds"))
            .allowed("whole seconds, as in \"1h\", \"-90s\""));
    }
    // Saturates; whoever asks has limits of its own.
    #[allow(clippy::cast_possible_truncation)]
    Ok((sign * seconds) as i64)
}

/// Bits a second.
pub(super) fn rate(text: &str) -> Result<u64, Trouble> {
    let number = text.trim().strip_suffix("/s").unwrap_or(text);
    let bits = quantity(number, &RATES, "rate", RATE_FORM)?;
    // Saturates; whoever asks has limits of its own.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(bits.round() as u64)
}

/// A part of all, 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, Trouble> {
    let percent = quantity(text, &[("%", 1.0)], "share", SHARE_FORM)?;
    if percent > 100.0 {
        return Err(Trouble::new(format!("{text:?} is more than all")).allowed(SHARE_FORM));
    }
    Ok(percent / 100.0)
}

/// Bytes.
pub(super) fn size(text: &str) -> Result<u64, Trouble> {
    let bytes = quantity(text, &SIZES, "size", SIZE_FORM)?;
    if bytes.fract() != 0.0 {
        return Err(Trouble::new(format!("{text:?} is no whole number of bytes")).allowed(SIZE_FORM));
    }
    // Saturates; whoever asks has limits of its own.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(bytes as u64)
}

/// `number unit`, in the base unit: finite and not negative.
fn quantity(text: &str, units: &[(&str, f64)], what: &str, form: &str) -> Result<f64, Trouble> {
    let bad = |why: String| Err(Trouble::new(why).allowed(form));
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let unit = unit.trim();
    let Ok(number) = number.parse::<f64>() else {
        return bad(format!("{text:?} is no {what}"));
    };
    if unit.is_empty() {
        let example = units.iter().map(|(unit, _)| format!("\"{trimmed}{unit}\"")).collect::<Vec<_>>();
        return Err(Trouble::new(format!("{text:?} has no unit"))
            .allowed(form)
            .hint(format!("write {}", example.join(" or "))));
    }
    let known = units
        .iter()
        .find(|(name, _)| *name == unit)
        .or_else(|| units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)));
    match known {
        Some((_, factor)) => Ok(number * factor),
        None => Err(Trouble::new(format!("{text:?} has the unknown unit `{unit}`"))
            .allowed(form)
            .meant(unit, units.iter().map(|(unit, _)| *unit))),
    }
}

/// As a person would write it: `1.5s`, `200ms`.
pub(super) fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds >= 60.0 && seconds % 60.0 == 0.0 {
        format!("{}min", seconds / 60.0)
    } else if seconds >= 1.0 || time.is_zero() {
        format!("{seconds}s")
    } else {
        format!("{}ms", seconds * 1e3)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_read_with_their_units() {
        assert_eq!(time("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(time(" 1.5 s"), Ok(Duration::from_millis(1500)));
        assert_eq!(time("2min"), Ok(Duration::from_secs(120)));
        assert_eq!(rate("3Mbit"), Ok(3_000_000));
        assert_eq!(rate("500kbit/s"), Ok(500_000));
        assert_eq!(share("0.5%"), Ok(0.005));
        assert_eq!(size("1280B"), Ok(1280));
        assert_eq!(size("1.5kB"), Ok(1500));
        assert_eq!(jump("-90s"), Ok(-90));
        assert_eq!(jump("+1h"), Ok(3600));
    }

    #[test]
    fn what_has_no_unit_or_another_is_told_what_to_write() {
        let told = |trouble: Trouble| format!("{trouble:?}");
        assert!(told(time("200").unwrap_err()).contains("write \\\"200ms\\\""));
        assert!(told(rate("3Mbits").unwrap_err()).contains("did you mean `Mbit`?"));
        assert!(told(share("150%").unwrap_err()).contains("more than all"));
        assert!(told(jump("0.5s").unwrap_err()).contains("whole"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*|-?[0-9.]{0,400}[a-zA-Z%/ ]{0,4}") {
            let _ = (time(&text), rate(&text), share(&text), size(&text), jump(&text));
        }

        #[test]
        fn times_are_read_as_they_are_shown(ms in 0_u64..10_000_000) {
            let written = Duration::from_millis(ms);
            prop_assert_eq!(time(&shown(written)), Ok(written));
        }
    }
}
