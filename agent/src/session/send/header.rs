//! The RTP header of one stream (RFC 3550 section 5.1) with its extensions (RFC 8285): made once, copied and filled in for
//! each packet, so that all packets of the stream have headers of one length.

use super::extensions::ExtensionIds;

/// Without extensions.
const FIXED: usize = 12;
/// Announces extensions of the one-byte form.
const ONE_BYTE_FORM: [u8; 2] = [0xbe, 0xde];
const VERSION: u8 = 2 << 6;
const PADDING: u8 = 1 << 5;
const EXTENSION: u8 = 1 << 4;
const MARKER: u8 = 1 << 7;
/// The longest value that the one-byte form has.
const MAX_VALUE: usize = 16;

/// What a packet carries for the receiver to estimate the path by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stamp {
    /// Nothing.
    None,
    /// Its number among all packets of the session.
    Transport,
    /// When it left.
    SendTime,
}

/// What streams carry besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The wish that pictures are shown at once.
    Video,
    /// How loud it is.
    Sound,
    /// Nothing.
    Repair,
}

/// What differs from packet to packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fields {
    /// M bit
    pub marker: bool,
    /// P bit
    pub padding: bool,
    /// The last 16 bits of the packet's index
    pub sequence: u16,
    /// RTP time
    pub timestamp: u32,
    /// The number or the time that [`Stamp`] says, in its last 16 or 24 bits
    pub stamp: u32,
    /// -dBov, 0 to 127
    pub level: u8,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Header {
    bytes: Vec<u8>,
    stamp: Stamp,
    stamp_at: usize,
    level_at: Option<usize>,
}

impl Header {
    /// The header of a stream. The send time is left out where packets are numbered, which says more.
    pub fn new(kind: Kind, payload_type: u8, ssrc: u32, mid: &str, ids: &ExtensionIds) -> Self {
        let mut bytes = vec![VERSION, payload_type & 0x7f, 0, 0, 0, 0, 0, 0];
        bytes.extend_from_slice(&ssrc.to_be_bytes());
        let mut extensions = Vec::new();
        // The place of the value in the header, if the extension is there.
        let mut add = |id: u8, value: &[u8]| {
            let fits = (1..=14).contains(&id) && (1..=MAX_VALUE).contains(&value.len());
            fits.then(|| {
                extensions.push(id << 4 | (value.len() as u8 - 1));
                extensions.extend_from_slice(value);
                FIXED + 4 + extensions.len() - value.len()
            })
        };
        let (stamp, stamp_at) = if let Some(at) = add(ids.transport_cc, &[0; 2]) {
            (Stamp::Transport, at)
        } else if let Some(at) = add(ids.abs_send_time, &[0; 3]) {
            (Stamp::SendTime, at)
        } else {
            (Stamp::None, 0)
        };
        let level_at = match kind {
            // Zero minimum and maximum: show at once, this is a live view.
            Kind::Video => add(ids.playout_delay, &[0; 3]).and(None),
            Kind::Sound => add(ids.audio_level, &[0]),
            Kind::Repair => None,
        };
        add(ids.mid, mid.as_bytes());
        if !extensions.is_empty() {
            extensions.resize(extensions.len().next_multiple_of(4), 0);
            bytes[0] |= EXTENSION;
            bytes.extend_from_slice(&ONE_BYTE_FORM);
            bytes.extend_from_slice(&(extensions.len() as u16 / 4).to_be_bytes());
            bytes.extend_from_slice(&extensions);
        }
        Self { bytes, stamp, stamp_at, level_at }
    }

    /// Bytes of it.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What its packets carry.
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Puts the header of a packet behind what is there.
    pub fn write(&self, to: &mut Vec<u8>, fields: &Fields) {
        let start = to.len();
        to.extend_from_slice(&self.bytes);
        let header = &mut to[start..];
        header[0] |= if fields.padding { PADDING } else { 0 };
        header[1] |= if fields.marker { MARKER } else { 0 };
        header[2..4].copy_from_slice(&fields.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&fields.timestamp.to_be_bytes());
        let at = self.stamp_at;
        match (self.stamp, fields.stamp.to_be_bytes()) {
            (Stamp::None, _) => {}
            (Stamp::Transport, [_, _, number @ ..]) => header[at..at + 2].copy_from_slice(&number),
            (Stamp::SendTime, [_, time @ ..]) => header[at..at + 3].copy_from_slice(&time),
        }
        if let Some(at) = self.level_at {
            header[at] = fields.level & 0x7f;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use rtc::{rtp::header::Header as Read, shared::marshal::Unmarshal};

    use super::*;

    const ALL: ExtensionIds =
        ExtensionIds { mid: 9, abs_send_time: 2, transport_cc: 3, playout_delay: 5, audio_level: 14 };

    fn read(header: &Header, fields: &Fields) -> Read {
        let mut bytes = Vec::new();
        header.write(&mut bytes, fields);
        assert_eq!(bytes.len(), header.len());
        Read::unmarshal(&mut Bytes::from(bytes)).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let fields = Fields {
            marker: true,
            sequence: 0xfffe,
            timestamp: 0x8000_0001,
            stamp: 0x1_1234,
            ..Fields::default()
        };
        let got = read(&Header::new(Kind::Video, 96, 7, "video", &ALL), &fields);
        assert!(got.marker && !got.padding);
        let identity = (got.ssrc, got.payload_type, got.sequence_number, got.timestamp);
        assert_eq!(identity, (7, 96, 0xfffe, 0x8000_0001));
        assert_eq!(got.get_extension(9).unwrap(), "video");
        assert_eq!(got.get_extension(3).unwrap()[..], [0x12, 0x34]);
        assert_eq!(got.get_extension(5).unwrap()[..], [0, 0, 0]);
        assert_eq!(got.extensions.len(), 3, "no send time beside the number, and no level");
    }

    #[test]
    fn sound_tells_its_level_and_the_send_time_where_packets_have_no_number() {
        let header = Header::new(Kind::Sound, 111, 7, "0", &ExtensionIds { transport_cc: 0, ..ALL });
        let got = read(&header, &Fields { stamp: 0x04_0000, level: 30, padding: true, ..Fields::default() });
        assert_eq!(got.get_extension(14).unwrap()[..], [30]);
        assert_eq!(got.get_extension(2).unwrap()[..], [4, 0, 0]);
        assert_eq!((got.extensions.len(), got.padding, header.stamp()), (3, true, Stamp::SendTime));
    }

    #[test]
    fn without_extensions_the_header_is_bare() {
        let header = Header::new(Kind::Video, 96, 7, "0", &ExtensionIds::default());
        assert_eq!((header.len(), header.stamp()), (FIXED, Stamp::None));
        assert!(read(&header, &Fields { stamp: 5, ..Fields::default() }).extensions.is_empty());
    }

    #[test]
    fn a_mid_that_is_too_long_for_the_form_is_left_out() {
        let header = Header::new(Kind::Video, 96, 7, "a mid of seventeen", &ALL);
        assert_eq!(read(&header, &Fields::default()).get_extension(9), None);
    }

    #[test]
    fn the_extensions_of_a_usual_answer_leave_the_payload_its_room() {
        assert!(Header::new(Kind::Video, 96, 7, "eight ch", &ALL).len() <= FIXED + 20);
    }
}
