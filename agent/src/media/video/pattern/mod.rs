//! The test pattern: colour bars, a bouncing box, a sweeping hand, a running clock with the frame number, and a
//! strip that a program can read the same two values from; the busy one has noise in place of the bars.

mod source;
mod strip;
mod texture;

#[cfg(test)]
mod busy_tests;

pub use source::PatternSource;
pub use strip::{COLUMNS, MARKER, ROWS, Strip, VERSION, cell_size, draw_strip, read_strip};
