//! The words on the wire and the links that carry them. Knows no WebRTC library type.

pub mod candidate;
pub mod link;
pub mod message;
pub mod sdp;
