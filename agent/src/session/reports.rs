//! Sender reports that tie RTP time to the time of capture (RFC 3550 section 6.4.1), so that viewers play sound and
//! picture in step (section 5.1: both timestamps are those of sampling).
//!
//! The stack ties a packet's RTP time to the moment at which the packet was sent. A picture that took 60 ms to encode
//! would be 40 ms out of step with sound that took 20.

use std::collections::BTreeMap;

use rtc::{
    interceptor::{Packet, TaggedPacket},
    rtcp::sender_report::SenderReport,
};

use super::{feedback::Pass, packets::RtpClock};

/// Below the stack's sender reports (11000): sees what they make on its way out.
pub const REPORT_SLOT: usize = 10_500;

/// Sets the RTP time of outgoing sender reports right.
pub struct CaptureReports {
    /// By SSRC.
    clocks: BTreeMap<u32, RtpClock>,
}

impl CaptureReports {
    /// The clocks of the streams that are sent, by SSRC.
    pub fn new(clocks: impl Iterator<Item = (u32, RtpClock)>) -> Self {
        Self { clocks: clocks.collect() }
    }
}

impl Pass for CaptureReports {
    fn inbound(&mut self, _: &mut TaggedPacket) -> Option<TaggedPacket> {
        None
    }

    fn outbound(&mut self, packet: &mut TaggedPacket) {
        let now = packet.now;
        let Packet::Rtcp(packets) = &mut packet.message.packet else { return };
        for packet in packets {
            let Some(report) = packet.as_any().downcast_ref::<SenderReport>() else { continue };
            if let Some(clock) = self.clocks.get(&report.ssrc) {
                *packet = Box::new(SenderReport { rtp_time: clock.at(now), ..report.clone() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use rtc::{
        interceptor::{AttributedPacket, Interceptor, Registry, Slot, StreamInfo},
        peer_connection::configuration::interceptor_registry::configure_rtcp_reports,
        rtp,
        sansio::Protocol,
        shared::TransportContext,
    };

    use super::*;
    use crate::session::feedback::Passing;

    const VIDEO: u32 = 7;
    const AUDIO: u32 = 8;

    /// The last sender report of each stream after two seconds in which a picture is sent 60 ms after its capture and
    /// sound 25 ms after its own; with the time of the report.
    fn reports(clocks: &[(u32, RtpClock)], epoch: Instant) -> BTreeMap<u32, (Instant, SenderReport)> {
        let pass = Passing::with(CaptureReports::new(clocks.iter().copied()));
        let registry = configure_rtcp_reports(Registry::new()).with(Slot::Custom(REPORT_SLOT), pass);
        let mut chain = registry.build();
        for (ssrc, clock_rate) in [(VIDEO, 90_000), (AUDIO, 48_000)] {
            chain.bind_local_stream(&StreamInfo { ssrc, clock_rate, ..Default::default() });
        }
        let mut seen = BTreeMap::new();
        for step in 1..100u32 {
            let now = epoch + Duration::from_millis(20) * step;
            for ((ssrc, clock), age) in clocks.iter().zip([60, 25]) {
                let timestamp = clock.at(now - Duration::from_millis(age));
                let header = rtp::header::Header {
                    ssrc: *ssrc,
                    timestamp,
                    sequence_number: step as u16,
                    ..Default::default()
                };
                let packet = Packet::Rtp(rtp::Packet { header, payload: Bytes::from_static(b"x") });
                let (transport, message) = (TransportContext::default(), AttributedPacket::new(packet));
                chain.handle_write(TaggedPacket { now, transport, message }).expect("taken");
            }
            chain.handle_timeout(now).expect("time passes");
            while let Some(out) = chain.poll_write() {
                let Packet::Rtcp(packets) = out.message.packet else { continue };
                for report in packets.iter().filter_map(|p| p.as_any().downcast_ref::<SenderReport>()) {
                    seen.insert(report.ssrc, (out.now, report.clone()));
                }
            }
        }
        seen
    }

    #[test]
    fn a_report_says_what_is_captured_at_its_time_however_late_packets_are_sent() {
        let epoch = Instant::now();
        let clocks = [(VIDEO, RtpClock::new(90_000, epoch, 5)), (AUDIO, RtpClock::new(48_000, epoch, 9))];
        let reports = reports(&clocks, epoch);
        for (ssrc, clock) in clocks {
            let (at, report) = &reports[&ssrc];
            assert_eq!(report.rtp_time, clock.at(*at), "stream {ssrc}");
            assert!(report.packet_count > 40);
        }
    }

    #[test]
    fn a_stream_that_is_not_ours_keeps_its_report() {
        let epoch = Instant::now();
        let mut pass = CaptureReports::new([(AUDIO, RtpClock::new(48_000, epoch, 9))].into_iter());
        let report = SenderReport { ssrc: VIDEO, rtp_time: 4711, ..Default::default() };
        let mut packet = TaggedPacket {
            now: epoch,
            transport: TransportContext::default(),
            message: AttributedPacket::new(Packet::Rtcp(vec![Box::new(report)])),
        };
        pass.outbound(&mut packet);
        let Packet::Rtcp(packets) = &packet.message.packet else { panic!("it changed its kind") };
        let report = packets[0].as_any().downcast_ref::<SenderReport>().expect("a report");
        assert_eq!(report.rtp_time, 4711);
    }
}
