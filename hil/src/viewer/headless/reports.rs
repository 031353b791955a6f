//! Remembers the device's sender reports as they pass through the stack, which keeps them to itself.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use rtc::{
    interceptor::{Interceptor, Packet, Slot, StreamInfo, TaggedPacket},
    rtcp::sender_report::SenderReport,
    sansio::Protocol,
    shared::error::Error,
};

use super::lips::Report;

/// In the chain behind all that read RTCP (up to 12000).
pub const SLOT: Slot = Slot::Custom(12_500);
/// A session has two streams and their retransmissions.
const MAX_STREAMS: usize = 8;

/// The last report of each stream, by SSRC; its clones are one.
#[derive(Clone, Debug, Default)]
pub struct Reports(Arc<Mutex<BTreeMap<u32, Report>>>);

impl Reports {
    /// The last one of a stream.
    pub fn of(&self, ssrc: u32) -> Option<Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&ssrc).copied()
    }

    fn keep(&self, report: &SenderReport) {
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.len() < MAX_STREAMS || reports.contains_key(&report.ssrc) {
            reports.insert(report.ssrc, Report { ntp: report.ntp_time, rtp: report.rtp_time });
        }
    }
}

/// The interceptor: everything passes, sender reports are looked at.
#[derive(Default)]
pub struct Listening {
    reports: Reports,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl Listening {
    /// Writes down what it hears.
    pub fn new(reports: Reports) -> Self {
        Self { reports, ..Self::default() }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Listening {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            for report in packets.iter().filter_map(|p| p.as_any().downcast_ref::<SenderReport>()) {
                self.reports.keep(report);
            }
        }
        self.read.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl Interceptor for Listening {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
