//! What a packet's payload says of the picture that it belongs to: H.264 (RFC 6184) and VP8 (RFC 7741).

/// The viewer's codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Codec {
    /// Constrained baseline, packetization mode 1.
    H264,
    /// VP8.
    Vp8,
}

/// Parts of pictures that begin in a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// What a decoder can begin with: parameter sets, or the head of a VP8 key frame.
    pub entry: bool,
    /// A picture that needs no other.
    pub key: bool,
}

impl Codec {
    /// Looks into a payload.
    pub fn parts(self, payload: &[u8]) -> Parts {
        match self {
            Self::H264 => h264(payload),
            Self::Vp8 => vp8(payload),
        }
    }
}

fn h264(payload: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let mut see = |kind: u8| match kind & 0x1f {
        5 => parts.key = true,
        7 => parts.entry = true,
        _ => {}
    };
    match payload {
        [first, rest @ ..] if first & 0x1f == 24 => {
            let mut rest = rest;
            while let [high, low, nal @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*high, *low])).min(nal.len());
                if let Some(kind) = nal[..length].first() {
                    see(*kind);
                }
                rest = &nal[length..];
            }
        }
        // Only the first fragment counts.
        [first, header, ..] if first & 0x1f == 28 && header & 0x80 != 0 => see(*header),
        [first, ..] if matches!(first & 0x1f, 1..=23) => see(*first),
        _ => {}
    }
    parts
}

fn vp8(payload: &[u8]) -> Parts {
    let key = vp8_frame_head(payload).is_some_and(|head| head & 1 == 0);
    Parts { entry: key, key }
}

/// The first byte of a VP8 frame, if it is in this packet.
fn vp8_frame_head(payload: &[u8]) -> Option<u8> {
    let (first, mut rest) = payload.split_first()?;
    // S bit, partition 0.
    if first & 0x10 == 0 || first & 0x07 != 0 {
        return None;
    }
    if first & 0x80 != 0 {
        let (extension, after) = rest.split_first()?;
        rest = after;
        if extension & 0x80 != 0 {
            let long = rest.first()? & 0x80 != 0;
            rest = rest.get(if long { 2 } else { 1 }..)?;
        }
        if extension & 0x40 != 0 {
            rest = rest.get(1..)?;
        }
        if extension & 0x30 != 0 {
            rest = rest.get(1..)?;
        }
    }
    rest.first().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_told_from_others() {
        let together = [24, 0, 2, 0x67, 1, 0, 1, 0x68];
        assert_eq!(Codec::H264.parts(&together), Parts { entry: true, key: false });
        assert_eq!(Codec::H264.parts(&[0x7c, 0x85, 1]), Parts { entry: false, key: true });
        assert_eq!(Codec::H264.parts(&[0x7c, 0x45, 1]), Parts::default());
        assert_eq!(Codec::H264.parts(&[0x41, 1]), Parts::default());
        assert_eq!(Codec::Vp8.parts(&[0x90, 0x80, 0x81, 2, 0x10]), Parts { entry: true, key: true });
        assert_eq!(Codec::Vp8.parts(&[0x10, 0x11]), Parts::default());
        assert_eq!(Codec::H264.parts(&[24, 0xff]), Parts::default());
    }
}
