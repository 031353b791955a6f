//! Interceptors for RTCP: requests that the application acts on are handed up, floods of NACKs are cut, and what goes
//! out may be set right.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rtc::{
    interceptor::{Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::{
        payload_feedbacks::{
            full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication,
            receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate,
        },
        transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack},
    },
    sansio::Protocol,
    shared::error::Error,
};

/// Between pacer (3000) and NACK responder (4000) of the stack's order: what it takes away, the responder never sees.
pub const GUARD_SLOT: usize = 3_500;
/// Behind all that read RTCP (up to 12000), before the end of the chain, where RTCP is dropped.
pub const TAP_SLOT: usize = 12_500;

/// A packet is sent again at most once in this time: about the round trip of a far viewer, in which the first
/// retransmission cannot have been seen yet.
const RESEND_INTERVAL: Duration = Duration::from_millis(80);
/// Retransmissions remembered; also the most that are sent within [`RESEND_INTERVAL`]: a viewer's NACKs cannot make
/// the device send more than this many packets of 1.2 kB, about 6 Mbit/s.
const REMEMBERED: usize = 50;

/// What an interceptor does with what passes.
pub(super) trait Pass {
    /// Looks at an inbound packet and may change it. Gives what else comes in with it.
    fn inbound(&mut self, packet: &mut TaggedPacket) -> Option<TaggedPacket>;

    /// May change an outbound packet.
    fn outbound(&mut self, _packet: &mut TaggedPacket) {}

    /// A stream of ours begins.
    fn begins(&mut self, _ssrc: u32) {}

    /// A stream of ours is over.
    fn is_over(&mut self, _ssrc: u32) {}
}

/// An interceptor of one [`Pass`].
pub struct Passing<P> {
    pass: P,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

/// Hands PLI, FIR and REMB up; the stack would drop them at the end of its chain.
#[derive(Default)]
pub struct RequestTap;

/// Drops repeated NACKs, and those for streams that nothing is sent again of: some receivers ask for lost
/// retransmissions (RFC 4588 streams) without end, which must not take the room of what can be answered.
#[derive(Default)]
pub struct NackGuard {
    /// Streams of ours.
    streams: Vec<u32>,
    /// Stream, sequence number and time of what was sent again lately.
    recent: VecDeque<(u32, u16, Instant)>,
}

impl Pass for RequestTap {
    fn inbound(&mut self, packet: &mut TaggedPacket) -> Option<TaggedPacket> {
        let Packet::Rtcp(packets) = &packet.message.packet else { return None };
        let wanted: Vec<_> = packets
            .iter()
            .filter(|p| {
                let p = p.as_any();
                p.is::<PictureLossIndication>()
                    || p.is::<FullIntraRequest>()
                    || p.is::<ReceiverEstimatedMaximumBitrate>()
            })
            .map(|p| p.cloned())
            .collect();
        (!wanted.is_empty()).then(|| {
            let message = AttributedPacket::new(Packet::Rtcp(wanted)).with(Attribute::DeliverToApplication);
            TaggedPacket { now: packet.now, transport: packet.transport, message }
        })
    }
}

impl Pass for NackGuard {
    fn inbound(&mut self, packet: &mut TaggedPacket) -> Option<TaggedPacket> {
        let now = packet.now;
        let Packet::Rtcp(packets) = &mut packet.message.packet else { return None };
        for packet in packets {
            if let Some(nack) = packet.as_any().downcast_ref::<TransportLayerNack>() {
                let nacks = self.admit(nack, now);
                *packet = Box::new(TransportLayerNack { nacks, ..nack.clone() });
            }
        }
        None
    }

    fn begins(&mut self, ssrc: u32) {
        self.is_over(ssrc);
        self.streams.push(ssrc);
    }

    fn is_over(&mut self, ssrc: u32) {
        self.streams.retain(|s| *s != ssrc);
    }
}

impl NackGuard {
    /// The part of a NACK that is answered now.
    fn admit(&mut self, nack: &TransportLayerNack, now: Instant) -> Vec<NackPair> {
        while self
            .recent
            .front()
            .is_some_and(|(.., at)| now.saturating_duration_since(*at) >= RESEND_INTERVAL)
        {
            self.recent.pop_front();
        }
        let mut admitted = Vec::new();
        if !self.streams.contains(&nack.media_ssrc) {
            return admitted;
        }
        for pair in &nack.nacks {
            let mask = (0..16u16).filter(|bit| pair.lost_packets >> bit & 1 == 1);
            let numbers = std::iter::once(0).chain(mask.map(|bit| bit + 1));
            for number in numbers.map(|offset| pair.packet_id.wrapping_add(offset)) {
                let known = self.recent.iter().any(|(ssrc, n, _)| (*ssrc, *n) == (nack.media_ssrc, number));
                if !known && self.recent.len() < REMEMBERED {
                    self.recent.push_back((nack.media_ssrc, number, now));
                    admitted.push(NackPair { packet_id: number, lost_packets: 0 });
                }
            }
        }
        admitted
    }
}

impl<P: Default> Passing<P> {
    /// Ready for the chain.
    pub fn new() -> Self {
        Self::with(P::default())
    }
}

impl<P> Passing<P> {
    /// Ready for the chain.
    pub fn with(pass: P) -> Self {
        Self { pass, read: VecDeque::new(), write: VecDeque::new() }
    }
}

impl<P: Pass> Protocol<TaggedPacket, TaggedPacket, ()> for Passing<P> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        let more = self.pass.inbound(&mut packet);
        self.read.push_back(packet);
        self.read.extend(more);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        self.pass.outbound(&mut packet);
        self.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl<P: Pass + Send + Sync> Interceptor for Passing<P> {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.pass.begins(info.ssrc);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.pass.is_over(info.ssrc);
    }

    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nack(packet_id: u16, lost_packets: u16) -> TransportLayerNack {
        TransportLayerNack {
            sender_ssrc: 1,
            media_ssrc: 2,
            nacks: vec![NackPair { packet_id, lost_packets }],
        }
    }

    fn guard() -> NackGuard {
        let mut guard = NackGuard::default();
        guard.begins(2);
        guard
    }

    fn numbers(pairs: Vec<NackPair>) -> Vec<u16> {
        pairs.iter().map(|p| p.packet_id).collect()
    }

    #[test]
    fn a_packet_is_not_sent_again_before_the_first_copy_can_have_arrived() {
        let start = Instant::now();
        let mut guard = guard();
        assert_eq!(numbers(guard.admit(&nack(65535, 0b1), start)), [65535, 0]);
        assert_eq!(numbers(guard.admit(&nack(65535, 0b11), start + RESEND_INTERVAL / 2)), [1]);
        assert_eq!(numbers(guard.admit(&nack(65535, 0), start + RESEND_INTERVAL)), [65535]);
    }

    #[test]
    fn requests_for_streams_that_are_not_ours_take_no_room() {
        let start = Instant::now();
        let mut guard = guard();
        for number in 0..1000u16 {
            let other = TransportLayerNack { media_ssrc: 3, ..nack(number, 0xffff) };
            assert!(guard.admit(&other, start).is_empty());
        }
        assert_eq!(numbers(guard.admit(&nack(7, 0), start)), [7]);
    }

    #[test]
    fn a_flood_of_nacks_gets_a_bounded_answer() {
        let start = Instant::now();
        let mut guard = guard();
        let sent: usize = (0..1000u16).map(|i| guard.admit(&nack(i * 17, 0xffff), start).len()).sum();
        assert_eq!(sent, REMEMBERED);
    }
}
