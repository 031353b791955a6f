//! Reads transport-wide feedback: which packet came when, on one running clock.

use rtc::rtcp::transport_feedbacks::transport_layer_cc::{
    PacketStatusChunk, SymbolTypeTcc as Symbol, TransportLayerCc,
};

/// A unit of the reference time (draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1), microseconds.
const UNIT: i64 = 64_000;
/// The reference time has 24 bits and wraps after 12 days.
const WRAP: i64 = 1 << 24;
/// The viewer's clock may be this far from where it was expected: a report that waited, not a jump.
const TOLERANCE: i64 = 10_000_000;

/// No report spans more than this: its times contradict each other.
const SPAN: i64 = 60_000_000;

/// The viewer's clock, unwrapped.
#[derive(Debug, Default)]
pub struct ViewerClock {
    /// (our time, the viewer's) of the last report taken, microseconds.
    last: Option<(i64, i64)>,
    /// Where a report that did not fit would have put it.
    doubted: Option<(i64, i64)>,
}

/// The reference time of a report on the running clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// Microseconds of the viewer's clock.
    At(i64),
    /// The same, after the clock jumped: no delay from before compares with this.
    Jumped(i64),
    /// Hours away from the one before: not to be used.
    Doubtful,
}

impl ViewerClock {
    /// Where a report that came at `now` stands.
    pub fn place(&mut self, now: i64, reference: u32) -> Reference {
        let raw = i64::from(reference) % WRAP;
        let Some(last) = self.last else {
            self.last = Some((now, raw * UNIT));
            return Reference::At(raw * UNIT);
        };
        let (at, far) = unwrapped(last, now, raw);
        if !far {
            (self.last, self.doubted) = (Some((now, at)), None);
            return Reference::At(at);
        }
        // One such report is a stray; a second that goes on from the first is a clock that was set.
        let confirmed = self.doubted.is_some_and(|doubted| !unwrapped(doubted, now, raw).1);
        if confirmed {
            (self.last, self.doubted) = (Some((now, at)), None);
            return Reference::Jumped(at);
        }
        self.doubted = Some((now, at));
        Reference::Doubtful
    }
}

/// The raw time nearest to what the time passed leads to expect; true: not near.
fn unwrapped((was_ours, was): (i64, i64), now: i64, raw: i64) -> (i64, bool) {
    let expected = was.saturating_add(now.saturating_sub(was_ours));
    let offset = (raw - expected.div_euclid(UNIT)).rem_euclid(WRAP);
    let offset = if offset >= WRAP / 2 { offset - WRAP } else { offset };
    let at = (expected.div_euclid(UNIT) + offset).saturating_mul(UNIT);
    (at, (at - expected).abs() > TOLERANCE)
}

/// Calls `each` for every packet that a report covers, in order: its number, and when it came. A report that
/// contradicts itself ends early: what was read until then holds.
pub fn read(report: &TransportLayerCc, reference: i64, mut each: impl FnMut(u16, Option<Arrived>)) {
    let mut left = report.packet_status_count;
    let mut seq = report.base_sequence_number;
    let mut deltas = report.recv_deltas.iter();
    let mut clock = reference;
    let mut one = |symbol: Symbol| -> bool {
        if left == 0 {
            return false;
        }
        let arrived = match symbol {
            Symbol::PacketNotReceived => None,
            Symbol::PacketReceivedWithoutDelta => Some(Arrived::Sometime),
            Symbol::PacketReceivedSmallDelta | Symbol::PacketReceivedLargeDelta => match deltas.next() {
                Some(delta) => {
                    clock = clock.saturating_add(delta.delta);
                    if clock.saturating_sub(reference).saturating_abs() > SPAN {
                        return false;
                    }
                    Some(Arrived::At(clock))
                }
                None => return false,
            },
        };
        each(seq, arrived);
        seq = seq.wrapping_add(1);
        left -= 1;
        true
    };
    for chunk in &report.packet_chunks {
        let whole = match chunk {
            PacketStatusChunk::RunLengthChunk(run) => {
                (0..run.run_length).all(|_| one(run.packet_status_symbol))
            }
            PacketStatusChunk::StatusVectorChunk(vector) => vector.symbol_list.iter().all(|&s| one(s)),
        };
        if !whole {
            return;
        }
    }
}

/// That a packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    /// Microseconds of the viewer's clock.
    At(i64),
    /// The viewer does not say when.
    Sometime,
}

#[cfg(test)]
mod tests {
    use rtc::rtcp::transport_feedbacks::transport_layer_cc::{RecvDelta, RunLengthChunk, StatusVectorChunk};

    use super::*;

    fn delta(us: i64) -> RecvDelta {
        RecvDelta { type_tcc_packet: Symbol::PacketReceivedSmallDelta, delta: us }
    }

    #[test]
    fn numbers_wrap_and_deltas_add_up() {
        let report = TransportLayerCc {
            base_sequence_number: 65_534,
            packet_status_count: 4,
            packet_chunks: vec![
                PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                    packet_status_symbol: Symbol::PacketReceivedSmallDelta,
                    run_length: 2,
                    ..Default::default()
                }),
                PacketStatusChunk::StatusVectorChunk(StatusVectorChunk {
                    symbol_list: vec![Symbol::PacketNotReceived, Symbol::PacketReceivedSmallDelta],
                    ..Default::default()
                }),
            ],
            recv_deltas: vec![delta(250), delta(500), delta(1000)],
            ..Default::default()
        };
        let mut seen = Vec::new();
        read(&report, 1_000, |seq, at| seen.push((seq, at)));
        let at = |us| Some(Arrived::At(us));
        assert_eq!(seen, [(65_534, at(1_250)), (65_535, at(1_750)), (0, None), (1, at(2_750))]);
    }

    #[test]
    fn a_report_short_of_times_ends_early() {
        let report = TransportLayerCc {
            packet_status_count: 9,
            packet_chunks: vec![PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                packet_status_symbol: Symbol::PacketReceivedLargeDelta,
                run_length: 8191,
                ..Default::default()
            })],
            recv_deltas: vec![delta(0); 3],
            ..Default::default()
        };
        let mut seen = 0;
        read(&report, 0, |_, _| seen += 1);
        assert_eq!(seen, 3);
    }

    #[test]
    fn times_that_span_more_than_a_minute_end_the_report() {
        for far in [61_000_000, -61_000_000, i64::MAX, i64::MIN] {
            let report = TransportLayerCc {
                packet_status_count: 3,
                packet_chunks: vec![PacketStatusChunk::RunLengthChunk(RunLengthChunk {
                    packet_status_symbol: Symbol::PacketReceivedLargeDelta,
                    run_length: 3,
                    ..Default::default()
                })],
                recv_deltas: vec![delta(250), delta(far), delta(far)],
                ..Default::default()
            };
            let mut seen = Vec::new();
            read(&report, 0, |_, at| seen.push(at));
            assert_eq!(seen, [Some(Arrived::At(250))], "{far}");
        }
    }

    #[test]
    fn the_clock_runs_on_over_its_wrap() {
        let mut clock = ViewerClock::default();
        assert_eq!(clock.place(0, 0xff_ffff), Reference::At(0xff_ffff * UNIT));
        assert_eq!(clock.place(64_000, 0), Reference::At((1 << 24) * UNIT));
        // A report that was overtaken.
        assert_eq!(clock.place(128_000, 0xff_fffe), Reference::At(0xff_fffe * UNIT));
    }

    #[test]
    fn a_jump_of_hours_is_ignored_once_and_believed_when_it_lasts() {
        let mut clock = ViewerClock::default();
        assert_eq!(clock.place(0, 1_000), Reference::At(1_000 * UNIT));
        assert_eq!(clock.place(64_000, 500_000), Reference::Doubtful);
        assert_eq!(clock.place(128_000, 1_002), Reference::At(1_002 * UNIT));
        assert_eq!(clock.place(192_000, 500_002), Reference::Doubtful);
        assert_eq!(clock.place(256_000, 500_003), Reference::Jumped(500_003 * UNIT));
        assert_eq!(clock.place(320_000, 500_004), Reference::At(500_004 * UNIT));
    }
}
