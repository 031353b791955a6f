//! The agent on a booted board: run there as root, by `scripts/board test`. Elsewhere each test says that it did not run.
#![allow(clippy::unwrap_used)]

#[path = "board/boot.rs"]
mod boot;
#[path = "board/encoder.rs"]
mod encoder;
#[path = "board/encoder_faults.rs"]
mod encoder_faults;
#[path = "board/encoder_pipeline.rs"]
mod encoder_pipeline;
#[path = "board/encoder_support.rs"]
mod encoder_support;
#[path = "board/support.rs"]
mod support;
