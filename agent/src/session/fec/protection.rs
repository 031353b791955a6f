//! Repair packets of one stream of pictures: blocks of packets, each summed up in interleaved rows.

use super::{
    amount::{Amount, MAX_SHARE},
    row::{FIXED, MAX_HEADER, POSITIONS, Row},
};

/// Repair packets of a block at most, a power of two. A burst of so many losses can be mended.
const ROWS: u16 = 8;
/// What may be saved up for the next block, in repair packets.
const MAX_CREDIT: f32 = 2.0;
/// How much longer the payload of a repair packet may be than the longest packet it covers, that one's fixed header
/// being left out.
pub const MAX_GROWTH: usize = MAX_HEADER;
/// RTP ticks of pictures per second (RFC 6184 section 8.2.1, RFC 7741 section 6.1).
const CLOCK: u128 = 90_000;
/// Extensions of the one-byte form (RFC 8285 section 4.2).
const ONE_BYTE_FORM: [u8; 2] = [0xbe, 0xde];

/// Header extensions that change between protection and sending: Chromium's receiver takes their values as zeros when it
/// recovers a packet, so they are protected as such. 0: not negotiated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mutable {
    /// draft-holmer-rmcat-transport-wide-cc-extensions-01
    pub transport_cc: u8,
    /// abs-send-time
    pub abs_send_time: u8,
}

/// Packets since the last repair packets.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// Sequence number of position 0.
    base: u16,
    /// RTP time of the first and of the last packet.
    first: u32,
    last: u32,
}

/// Protects one stream. Holds sums of at most eight packets, however long it runs.
///
/// Each packet falls into one of eight rows in turn. When a block ends, rows are added up until as many are left as
/// repair packets may be sent: neighbours stay in different rows, so that bursts can be mended.
#[derive(Clone, Debug)]
pub struct Protection {
    ssrc: u32,
    mutable: Mutable,
    amount: Amount,
    /// Repair packets that may be sent.
    credit: f32,
    block: Option<Block>,
    rows: Vec<Row>,
    /// Rows of the block that ended, still to be taken.
    ready: std::ops::Range<usize>,
}

impl Protection {
    /// Of the stream `ssrc`; nothing is protected before [`Self::set`].
    pub fn new(ssrc: u32, mutable: Mutable) -> Self {
        let rows = vec![Row::default(); usize::from(ROWS)];
        let amount = Amount::default();
        Self { ssrc, mutable, amount, credit: 0.0, block: None, rows, ready: 0..0 }
    }

    /// From now on, so much. A share of 0 drops what was begun.
    pub fn set(&mut self, amount: Amount) {
        self.amount = Amount { share: amount.share.clamp(0.0, MAX_SHARE), ..amount };
        if self.amount.share <= 0.0 {
            (self.block, self.credit, self.ready) = (None, 0.0, 0..0);
        }
    }

    /// How much there is.
    pub fn amount(&self) -> Amount {
        self.amount
    }

    /// Adds a packet of the stream as it is sent, before SRTP, in the order of sequence numbers. After it,
    /// [`Self::take`] may give repair packets; they belong right behind it and are gone at the next packet.
    pub fn push(&mut self, packet: &[u8]) {
        if self.amount.share <= 0.0 {
            return;
        }
        let Some(&[_, second, s0, s1, t0, t1, t2, t3, ..]) = packet.first_chunk::<FIXED>() else { return };
        let (sequence, time) = (u16::from_be_bytes([s0, s1]), u32::from_be_bytes([t0, t1, t2, t3]));
        let open = self.block.filter(|block| self.ready.is_empty() && self.fits(block, sequence, time));
        let mut block = open.unwrap_or_else(|| {
            self.rows.iter_mut().for_each(Row::clear);
            self.ready = 0..0;
            Block { base: sequence, first: time, last: time }
        });
        block.last = time;
        self.block = Some(block);
        self.credit += self.amount.share;
        let position = sequence.wrapping_sub(block.base);
        let row = &mut self.rows[usize::from(position % ROWS)];
        row.add(position, packet);
        for at in values(packet, self.mutable) {
            row.remove(packet, at);
        }
        let marker = second & 0x80 != 0;
        let full = position + 1 == POSITIONS || self.credit >= f32::from(ROWS);
        if self.credit >= 1.0 && (marker || full) {
            self.finish(position + 1);
        }
    }

    /// Whether a packet still belongs to the block: it has a place in the masks, and the block is not too old.
    fn fits(&self, block: &Block, sequence: u16, time: u32) -> bool {
        let window = (self.amount.window.as_nanos() * CLOCK / 1_000_000_000) as u32;
        let same_picture = time == block.last;
        sequence.wrapping_sub(block.base) < POSITIONS
            && (same_picture || time.wrapping_sub(block.first) <= window)
    }

    /// Ends a block of so many positions.
    fn finish(&mut self, positions: u16) {
        // More would send most of them twice: rather save it up.
        let most = (self.credit as u16).min(positions.div_ceil(2)).min(ROWS);
        let rows = usize::from(1u16 << most.ilog2());
        let (kept, others) = self.rows.split_at_mut(rows);
        for (i, other) in others.iter().enumerate() {
            kept[i % rows].merge(other);
        }
        self.credit = (self.credit - rows as f32).min(MAX_CREDIT);
        self.ready = 0..rows;
    }

    /// Appends the payload of the next repair packet and gives its RTP time, that of the last packet it covers.
    pub fn take(&mut self, out: &mut Vec<u8>) -> Option<u32> {
        let block = self.block.filter(|_| !self.ready.is_empty())?;
        // A row may be empty where sequence numbers were left out.
        let row = self.ready.find(|row| !self.rows[*row].is_empty());
        if self.ready.is_empty() {
            self.block = None;
        }
        self.rows[row?].write(self.ssrc, block.base, out);
        Some(block.last)
    }
}

/// Where the values of mutable extensions are in a packet.
fn values(packet: &[u8], mutable: Mutable) -> impl Iterator<Item = std::ops::Range<usize>> {
    let start = FIXED + 4 * usize::from(packet[0] & 0x0f);
    let there = packet[0] & 0x10 != 0 && packet.get(start..start + 2) == Some(&ONE_BYTE_FORM[..]);
    let words = packet.get(start + 2..start + 4).map_or(0, |b| usize::from(u16::from_be_bytes([b[0], b[1]])));
    let mut at = start + 4;
    let end = if there { (at + 4 * words).min(packet.len()) } else { at };
    std::iter::from_fn(move || {
        while at < end {
            let (id, length) = (packet[at] >> 4, usize::from(packet[at] & 0x0f) + 1);
            at += 1;
            if id == 0 {
                continue;
            }
            let value = at..at + length;
            at = value.end;
            if at <= end && (id == mutable.transport_cc || id == mutable.abs_send_time) {
                return Some(value);
            }
        }
        None
    })
}

#[cfg(test)]
#[path = "protection_tests.rs"]
mod tests;
