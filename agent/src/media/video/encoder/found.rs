//! Looks up the encoders of this machine.

use std::{path::Path, sync::Arc};

use super::{Backend, BoardModel, Found, m2m};
use crate::config::VideoEncoderSpec;

/// Rockchip's encoder driver.
const MPP_DEVICE: &str = "/dev/mpp_service";

impl Found {
    /// What there is. Of V4L2 devices only the one that `video.encoder` names, if it names one.
    pub fn here(spec: &VideoEncoderSpec) -> Self {
        let board = BoardModel::here();
        let mpp = match Path::new(MPP_DEVICE).exists() {
            true => Err("this build has no Rockchip MPP".into()),
            false => Err(format!("no {MPP_DEVICE}")),
        };
        let m2m = match spec {
            VideoEncoderSpec::M2m(Some(path)) => m2m::M2mDevice::named(path).map(|device| vec![device]),
            _ => m2m::discover(),
        };
        let m2m = match (m2m, board) {
            (Ok(devices), _) => {
                Ok(devices.into_iter().map(|device| Arc::new(device) as Arc<dyn Backend>).collect())
            }
            (Err(_), Some(board)) if !board.has_encoder => {
                Err(format!("a {} has no H.264 encoder", board.model))
            }
            (Err(why), _) => Err(why),
        };
        Self { mpp, m2m, board }
    }
}
