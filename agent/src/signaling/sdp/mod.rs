//! SDP as text (RFC 8866): made fit for a parser, taken apart, and told in words. Pure; fuzzed as `sdp`.
//!
//! Does not negotiate: which codec is taken is the session's matter.

mod clean;
mod select;
mod view;
mod words;

pub use clean::{Cleaned, Dropped, MAX_LINE, MAX_LINES, SdpProblem, clean, clean_noting, normalize, restore};
pub use select::select;
pub use view::{Direction, Extension, Fingerprint, MediaKind, Payload, SdpView, Section, SsrcLine};
pub use words::codecs_in_words;
