//! The p2pcam agent: a camera that gives every viewer a WebRTC session straight from the board.
//!
//! Floors, top to bottom; an import never climbs:
//! [`hub`], [`session`] -> [`signaling`], [`transport`], [`media`] -> [`board`], [`telemetry`], [`config`].

pub mod board;
pub mod config;
#[cfg(feature = "hub")]
pub mod hub;
pub mod media;
pub mod session;
pub mod signaling;
pub mod telemetry;
pub mod transport;
