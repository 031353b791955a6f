//! What a viewer is told while its session goes on: the privacy switch.

use super::driver::Session;
use crate::signaling::message::{Body, WireNotice, notice};

impl Session {
    /// Why there is no picture, or (`changed`: it was told before) that there is one again.
    pub(super) fn tell_privacy(&self, closed: Option<&str>, changed: bool) {
        let (code, message) = match closed {
            Some(why) => (notice::PRIVACY_ON, why),
            None if changed => (notice::PRIVACY_OFF, "camera and microphone are allowed again"),
            None => return,
        };
        self.send(Body::Notice(WireNotice { code: code.into(), message: message.into() }));
    }
}
