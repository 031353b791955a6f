//! What a sound card tells of itself while it runs, for the metrics.

/// Since the last report, and now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CardReport {
    /// Overruns (capture) or underruns (playback) since the last report.
    pub xruns: u64,
    /// Suspends since the last report.
    pub suspends: u64,
    /// Frames per second that were agreed on.
    pub rate: u32,
    /// How much faster than the monotonic clock the card runs, in parts per million; None until that is known.
    pub drift_ppm: Option<f64>,
    /// Capture: frames between a block's last sample and its hand-over. Playback: frames between a sample and the
    /// loudspeaker.
    pub latency_frames: u64,
    /// Capture: by how many seconds the sound differs from the times written on it.
    pub error: f64,
}
