//! Looks up the encoders of this machine.

use std::sync::Arc;

use super::{Backend, BoardModel, Found, Mpp, MppCodec, MppEncoder, Software, m2m};
use crate::{config::VideoEncoderSpec, media::video::VideoCodec};

impl Found {
    /// What there is. Of V4L2 devices only the one that `video.encoder` names, if it names one.
    pub fn here(spec: &VideoEncoderSpec) -> Self {
        let board = BoardModel::here();
        let mpp = match MppEncoder::probe() {
            Ok(info) if info.codecs.contains(&MppCodec::H264) => Ok(Arc::new(Mpp(info)) as Arc<dyn Backend>),
            Ok(info) => Err(format!("{} was built without H.264", info.library)),
            Err(why) => Err(why.to_string()),
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
        Self { mpp, m2m, software: Software(VideoCodec::H264).built_in(), board }
    }
}
