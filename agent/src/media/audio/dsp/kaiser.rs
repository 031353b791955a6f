//! The windowed sinc from which both resamplers make their filters.

/// Kaiser's beta for 70 dB of stop-band attenuation (0.1102 * (70 - 8.7)): below what G.711 itself adds.
const BETA: f64 = 6.755;

/// A low-pass' impulse response at `t` samples from its centre; `cutoff` in cycles per sample, `half` is where the
/// window ends. Not scaled.
pub fn windowed_sinc(t: f64, cutoff: f64, half: f64) -> f64 {
    let x = std::f64::consts::TAU * cutoff * t;
    let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
    let edge = t / half;
    sinc * bessel_i0(BETA * (1.0 - edge * edge).max(0.0).sqrt())
}

/// The modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}
