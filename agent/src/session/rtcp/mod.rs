//! RTCP of one viewer, without input or output: what comes in as [`Feedback`], what goes out by [`Reports`].
//!
//! Retransmissions, key frames and estimates are decided elsewhere. RTCP XR (RFC 3611), APP, SDES and everything
//! unknown is skipped; we ask for no key frames, as no viewer's picture is taken.

mod arrivals;
mod inbound;
mod ntp;
mod reception;
mod reports;

pub use arrivals::Arrivals;
pub use inbound::{Feedback, Feedbacks, MAX_FEEDBACKS, MAX_LOST, MAX_STATUSES, parse};
pub use ntp::NtpClock;
pub use reports::Reports;
