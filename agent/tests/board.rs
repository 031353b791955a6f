//! The agent on a booted board, as root in it: `scripts/board test` runs this there. Elsewhere each test says that it did not run.
#![allow(clippy::unwrap_used)]

#[path = "board/service.rs"]
mod service;
#[path = "board/viewer.rs"]
mod viewer;
