//! The sum of the packets that one repair packet covers.

/// Bytes of an RTP header without CSRCs and extensions: what comes after is summed as it is.
pub(super) const FIXED: usize = 12;
/// Positions in the masks that are used: the first two of the three that the format has.
pub(super) const POSITIONS: u16 = 15 + 31;
/// What comes before the sums of the bytes, with both masks.
pub(super) const MAX_HEADER: usize = 24;

/// An exclusive-or of packets, by position from the first one of their block.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// Bit `n`: the packet at position `n`.
    covered: u64,
    /// P, X, CC, M, PT, length and timestamp: the first eight bytes with the length for the sequence number.
    fields: [u8; 8],
    /// What comes after the fixed header.
    bytes: Vec<u8>,
}

impl Row {
    /// Whether nothing is covered.
    pub fn is_empty(&self) -> bool {
        self.covered == 0
    }

    pub fn clear(&mut self) {
        (self.covered, self.fields) = (0, [0; 8]);
        self.bytes.clear();
    }

    /// Adds a packet of at least [`FIXED`] bytes.
    pub fn add(&mut self, position: u16, packet: &[u8]) {
        let (header, bytes) = packet.split_at(FIXED);
        let length = (bytes.len() as u16).to_be_bytes();
        let fields = [header[0], header[1], length[0], length[1], header[4], header[5], header[6], header[7]];
        self.sum(1 << position, fields, bytes);
    }

    /// Adds all that is covered by another row.
    pub fn merge(&mut self, other: &Self) {
        self.sum(other.covered, other.fields, &other.bytes);
    }

    /// Takes bytes of a packet out of the sum, as if they had been zero.
    pub fn remove(&mut self, packet: &[u8], at: std::ops::Range<usize>) {
        for i in at {
            self.bytes[i - FIXED] ^= packet[i];
        }
    }

    fn sum(&mut self, covered: u64, fields: [u8; 8], bytes: &[u8]) {
        self.covered |= covered;
        for (sum, byte) in self.fields.iter_mut().zip(fields) {
            *sum ^= byte;
        }
        // A shorter packet counts as if zeros followed.
        let (both, more) = bytes.split_at(bytes.len().min(self.bytes.len()));
        for (sum, byte) in self.bytes.iter_mut().zip(both) {
            *sum ^= byte;
        }
        self.bytes.extend_from_slice(more);
    }

    /// Appends the payload of the repair packet: FEC header (draft-ietf-payload-flexible-fec-scheme-03 section 4.2),
    /// then the sums. `base` is the sequence number of position 0.
    pub fn write(&self, ssrc: u32, base: u16, out: &mut Vec<u8>) {
        // R and F are zero: a flexible mask, no retransmission.
        out.push(self.fields[0] & 0x3f);
        out.extend_from_slice(&self.fields[1..]);
        // One stream is protected.
        out.extend_from_slice(&[1, 0, 0, 0]);
        out.extend_from_slice(&ssrc.to_be_bytes());
        out.extend_from_slice(&base.to_be_bytes());
        // Position 0 is the highest bit but one of the first mask. The highest says that no mask follows.
        let mask = self.covered.reverse_bits();
        let (first, second) = ((mask >> 49) as u16, (mask << 15 >> 33) as u32);
        if second == 0 {
            out.extend_from_slice(&(1 << 15 | first).to_be_bytes());
        } else {
            out.extend_from_slice(&first.to_be_bytes());
            out.extend_from_slice(&(1 << 31 | second).to_be_bytes());
        }
        out.extend_from_slice(&self.bytes);
    }
}
