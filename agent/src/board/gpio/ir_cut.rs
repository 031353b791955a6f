//! The infrared filter before the sensor: a level, or a pulse on one of the two lines of an H-bridge.

use std::time::{Duration, Instant};

use super::slot::OutputSlot;

/// See the module.
pub struct IrCut {
    /// The only line, or the one that puts the filter in place.
    day: OutputSlot,
    /// The line that takes it away, if there are two.
    night: Option<OutputSlot>,
    pulse: Duration,
    /// Where the filter is, as far as we have put it; None: not known, or the line was lost meanwhile.
    placed: Option<bool>,
    pulse_ends: Option<Instant>,
}

impl IrCut {
    /// Nothing is moved before [`Self::step`].
    pub fn new(day: OutputSlot, night: Option<OutputSlot>, pulse: Duration) -> Self {
        Self { day, night, pulse, placed: None, pulse_ends: None }
    }

    /// Brings the filter to where it belongs; returns when to be called again at the latest.
    pub fn step(&mut self, is_night: bool, now: Instant, eager: bool) -> Option<Instant> {
        let Some(away) = &mut self.night else {
            self.day.show(!is_night, now, eager);
            return self.day.retry_at();
        };
        if self.pulse_ends.is_some_and(|end| now >= end) {
            self.pulse_ends = None;
        }
        if self.pulse_ends.is_some() {
            // A coil that is driven is let go before the other one is driven.
            return self.pulse_ends;
        }
        if !self.day.is_held() || !away.is_held() {
            // Where it is when the lines are back nobody knows.
            self.placed = None;
        }
        self.day.show(false, now, eager);
        away.show(false, now, eager);
        if self.placed != Some(is_night) && self.day.is_held() && away.is_held() {
            let coil = if is_night { away } else { &mut self.day };
            coil.show(true, now, false);
            self.placed = Some(is_night);
            self.pulse_ends = Some(now + self.pulse);
        }
        let retry = self.night.as_ref().and_then(OutputSlot::retry_at);
        [self.day.retry_at(), retry, self.pulse_ends].into_iter().flatten().min()
    }

    /// No coil stays driven when the lines are given back.
    pub fn rest(&mut self) {
        if let Some(away) = &mut self.night {
            self.day.rest();
            away.rest();
        }
    }
}
