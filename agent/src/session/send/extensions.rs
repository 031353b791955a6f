//! The RTP header extensions that are written: their names, and the ids that were negotiated for them.

/// The greatest id that the one-byte form has (RFC 8285 section 4.2).
const MAX_ID: u16 = 14;

/// URIs of the header extensions that are answered.
pub mod uri {
    /// RFC 8843
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
    /// <https://webrtc.googlesource.com/src/+/refs/heads/main/docs/native-code/rtp-hdrext/abs-send-time>
    pub const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01
    pub const TRANSPORT_CC: &str =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    /// <https://webrtc.googlesource.com/src/+/refs/heads/main/docs/native-code/rtp-hdrext/playout-delay>
    pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
    /// RFC 6464
    pub const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
}

/// The negotiated ids of the header extensions that are written; 0: not negotiated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// [`uri::MID`]
    pub mid: u8,
    /// [`uri::ABS_SEND_TIME`]: 24 bits, 6.18 fixed point seconds
    pub abs_send_time: u8,
    /// [`uri::TRANSPORT_CC`]: 16 bits, counts the packets of all streams
    pub transport_cc: u8,
    /// [`uri::PLAYOUT_DELAY`]: two times 12 bits, in 10 ms
    pub playout_delay: u8,
    /// [`uri::AUDIO_LEVEL`]: 7 bits, -dBov
    pub audio_level: u8,
}

impl ExtensionIds {
    /// Picks the ids from (id, uri) pairs as negotiated. Ids that need the two-byte form are not used.
    pub fn from_negotiated<'a>(pairs: impl Iterator<Item = (u16, &'a str)>) -> Self {
        let mut ids = Self::default();
        for (id, uri) in pairs.filter(|(id, _)| (1..=MAX_ID).contains(id)) {
            let id = id as u8;
            match uri {
                uri::MID => ids.mid = id,
                uri::ABS_SEND_TIME => ids.abs_send_time = id,
                uri::TRANSPORT_CC => ids.transport_cc = id,
                uri::PLAYOUT_DELAY => ids.playout_delay = id,
                uri::AUDIO_LEVEL => ids.audio_level = id,
                _ => {}
            }
        }
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_extensions_are_picked_if_their_ids_fit_the_one_byte_form() {
        let pairs =
            [(9u16, uri::MID), (3, uri::TRANSPORT_CC), (15, uri::PLAYOUT_DELAY), (0, uri::AUDIO_LEVEL)];
        let other = [(4, "urn:3gpp:video-orientation"), (300, uri::ABS_SEND_TIME)];
        let ids = ExtensionIds::from_negotiated(pairs.into_iter().chain(other));
        assert_eq!(ids, ExtensionIds { mid: 9, transport_cc: 3, ..ExtensionIds::default() });
    }
}
