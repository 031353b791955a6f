//! Arithmetic on samples: levels, rates, pitch, time-scale, limiting. Pure functions of their input.

mod kaiser;
pub mod level;
pub mod limiter;
pub mod pitch;
pub mod resample;
pub mod steered;
pub mod stretch;
