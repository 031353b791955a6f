//! How loud a block is, in dBov.

/// The level of digital silence and of all that is quieter (RFC 6464, section 3: the scale ends at -127 dBov).
pub const SILENCE_DBOV: f64 = -127.0;

/// RMS level in dBov: 0 is a full-scale square wave, -3.01 a full-scale sine; never below -127.
pub fn rms_dbov(samples: &[i16]) -> f64 {
    if samples.is_empty() {
        return SILENCE_DBOV;
    }
    let sum: f64 = samples.iter().map(|&s| f64::from(s) * f64::from(s)).sum();
    let rms = (sum / samples.len() as f64).sqrt() / f64::from(i16::MAX);
    if rms <= 0.0 { SILENCE_DBOV } else { (20.0 * rms.log10()).clamp(SILENCE_DBOV, 0.0) }
}

/// The level for the RTP header extension of RFC 6464: 0 (loudest) to 127 (silence), in -dBov.
pub fn rfc6464_level(samples: &[i16]) -> u8 {
    (-rms_dbov(samples)).round() as u8
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// `seconds` of a sine at 48 kHz with a peak of `amplitude`.
    pub(crate) fn sine(hz: f64, amplitude: f64, seconds: f64) -> Vec<i16> {
        (0..(seconds * 48_000.0) as usize)
            .map(|n| (amplitude * (n as f64 * hz * std::f64::consts::TAU / 48_000.0).sin()).round() as i16)
            .collect()
    }

    #[test]
    fn known_signals_have_their_level() {
        assert_eq!(rfc6464_level(&[0; 960]), 127);
        assert_eq!(rfc6464_level(&[]), 127);
        assert_eq!(rfc6464_level(&[i16::MAX; 960]), 0);
        assert_eq!(rfc6464_level(&[i16::MIN; 960]), 0);
        assert_eq!(rfc6464_level(&sine(440.0, 3276.7, 1.0)), 23);
        assert!((rms_dbov(&sine(1000.0, 32767.0, 1.0)) + 3.01).abs() < 0.01);
    }
}
