//! Looks up the encoders of this machine.

use std::path::Path;

use super::{Board, Found};
use crate::config::VideoEncoderSpec;

/// Rockchip's encoder driver.
const MPP_DEVICE: &str = "/dev/mpp_service";

impl Found {
    /// What there is; of what `video.encoder` does not name, only as much as `devices` tells.
    pub fn here(_spec: &VideoEncoderSpec) -> Self {
        let board = Board::here();
        let mpp = match Path::new(MPP_DEVICE).exists() {
            true => Err("this build has no Rockchip MPP".into()),
            false => Err(format!("no {MPP_DEVICE}")),
        };
        let m2m = match board {
            Some(board) if !board.has_encoder => Err(format!("a {} has no H.264 encoder", board.model)),
            _ => Err("no V4L2 device encodes H.264".into()),
        };
        Self { mpp, m2m, board }
    }
}
