//! What can go wrong with an open encoder, as far as it matters what is done next.

use super::{MppEncoder, MppError};

/// An error of [`VideoEncoder::encode`](crate::media::video::VideoEncoder::encode) that calls for something else than
/// waiting and opening it again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncoderFault {
    /// The device swallowed a picture and gave nothing: it is opened anew, at once the first time.
    #[error("{encoder} has given nothing for {} s", waited.as_secs())]
    Hung {
        /// Which one, in words.
        encoder: String,
        /// How long it was waited for.
        waited: std::time::Duration,
    },
    /// The device did not encode this one picture, but goes on: the next is to be an IDR.
    #[error("{encoder} refused a picture: {why}")]
    Refused {
        /// Which one, in words.
        encoder: String,
        /// What it said.
        why: String,
    },
}

impl EncoderFault {
    /// What an error of an encoder calls for; `None`: that it is opened anew after a while.
    pub fn of(error: &anyhow::Error) -> Option<Self> {
        if let Some(fault) = error.downcast_ref() {
            return Some(Self::clone(fault));
        }
        let encoder = MppEncoder::NAME.to_owned();
        match error.downcast_ref()? {
            MppError::Stalled(waited) => Some(Self::Hung { encoder, waited: *waited }),
            MppError::Empty => Some(Self::Refused { encoder, why: error.to_string() }),
            MppError::Refused(..) => None,
        }
    }

    /// What an encoder was opened anew for, as in metrics.
    pub fn reason(error: &anyhow::Error) -> &'static str {
        match Self::of(error) {
            Some(Self::Hung { .. }) => "hung",
            Some(Self::Refused { .. }) => "refused",
            None => "failed",
        }
    }
}
