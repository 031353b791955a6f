//! What can go wrong with an open encoder, as far as it matters what is done next.

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

/// What an encoder was opened anew for, as in metrics.
pub fn reason(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref() {
        Some(EncoderFault::Hung { .. }) => "hung",
        Some(EncoderFault::Refused { .. }) => "refused",
        None => "failed",
    }
}
