//! The receiving end: notes when packets come and reports it (draft-holmer-rmcat-transport-wide-cc-extensions-01).

use std::collections::VecDeque;

use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, RecvDelta, StatusVectorChunk, SymbolSizeTypeTcc, SymbolTypeTcc, TransportLayerCc,
};

use super::pop_if;

const REFERENCE: u64 = 64_000;
const TICK: u64 = 250;
/// Symbols in a vector chunk of two bits each.
const SYMBOLS: usize = 7;

#[derive(Default)]
pub struct Viewer {
    /// Came, or will: (number, microseconds), in order.
    coming: VecDeque<(u16, u64)>,
    next: Option<u16>,
    count: u8,
}

impl Viewer {
    pub fn comes(&mut self, twcc: u16, at: u64) {
        self.coming.push_back((twcc, at));
    }

    /// What has come since the last report.
    pub fn report(&mut self, now: u64) -> Option<TransportLayerCc> {
        let came: Vec<(u16, u64)> =
            std::iter::from_fn(|| pop_if(&mut self.coming, |(_, at)| *at <= now)).collect();
        let (&(first, first_at), &(last, _)) = (came.first()?, came.last()?);
        let base = self.next.unwrap_or(first);
        self.next = Some(last.wrapping_add(1));
        let reference = first_at / REFERENCE;
        let mut clock = reference * REFERENCE / TICK;
        let count = last.wrapping_sub(base).wrapping_add(1);
        let (mut symbols, mut deltas) = (Vec::new(), Vec::new());
        let mut came = came.iter().peekable();
        for i in 0..count {
            let Some(&(_, at)) = came.next_if(|(seq, _)| *seq == base.wrapping_add(i)) else {
                symbols.push(SymbolTypeTcc::PacketNotReceived);
                continue;
            };
            let delta = at / TICK - clock;
            clock = at / TICK;
            let symbol = if delta < 256 {
                SymbolTypeTcc::PacketReceivedSmallDelta
            } else {
                SymbolTypeTcc::PacketReceivedLargeDelta
            };
            symbols.push(symbol);
            deltas.push(RecvDelta { type_tcc_packet: symbol, delta: (delta * TICK) as i64 });
        }
        self.count = self.count.wrapping_add(1);
        let chunk = |symbols: &[SymbolTypeTcc]| {
            PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                symbol_size: SymbolSizeTypeTcc::TwoBit,
                symbol_list: symbols.to_vec(),
                ..Default::default()
            })
        };
        Some(TransportLayerCc {
            base_sequence_number: base,
            packet_status_count: count,
            reference_time: reference as u32 & 0xff_ffff,
            fb_pkt_count: self.count,
            packet_chunks: symbols.chunks(SYMBOLS).map(chunk).collect(),
            recv_deltas: deltas,
            ..Default::default()
        })
    }
}
