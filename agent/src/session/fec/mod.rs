//! Forward error correction of pictures for viewers that are far away and lose packets: FlexFEC as browsers have it
//! (`flexfec-03`, draft-ietf-payload-flexible-fec-scheme-03; not the later RFC 8627, whose packets differ).
//!
//! [`Amount`] says how much is worth it, [`Protection`] makes the payloads of repair packets. Their RTP headers, with a
//! stream of their own, and their sending are the business of the sender. Nothing is received here.

mod amount;
mod protection;
mod row;

pub use amount::{Amount, MAX_SHARE};
pub use protection::{MAX_GROWTH, Mutable, Protection};
