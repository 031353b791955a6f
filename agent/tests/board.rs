//! The agent on a booted board: run there as root, by `scripts/board test`. Elsewhere each test says that it did not run.
#![allow(clippy::unwrap_used)]

#[path = "board/boot.rs"]
mod boot;
#[path = "board/capture.rs"]
mod capture;
#[path = "board/encoder.rs"]
mod encoder;
#[path = "board/encoder_faults.rs"]
mod encoder_faults;
#[path = "board/encoder_pipeline.rs"]
mod encoder_pipeline;
#[path = "board/encoder_support.rs"]
mod encoder_support;
#[path = "board/gpio.rs"]
mod gpio;
#[path = "board/pictures.rs"]
mod pictures;
#[path = "board/service.rs"]
mod service;
#[path = "board/sound.rs"]
mod sound;
#[path = "board/sound_world.rs"]
mod sound_world;
#[path = "board/support.rs"]
mod support;
#[path = "board/unplug.rs"]
mod unplug;
#[path = "board/viewer.rs"]
mod viewer;
