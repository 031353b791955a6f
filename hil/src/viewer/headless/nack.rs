//! [`Asking`] in the stack: in the place of its own NACK generator.

use std::{collections::VecDeque, time::Instant};

use rtc::{
    interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers},
    sansio::Protocol,
    shared::{TransportContext, error::Error},
};

use super::asking::Asking;

/// A session has one video stream; more come only with simulcast.
const MAX_STREAMS: usize = 8;

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    retransmissions: Option<u32>,
    asking: Asking,
}

/// See the module.
#[derive(Default)]
pub struct Nack {
    streams: Vec<Stream>,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl Nack {
    fn ask(&mut self, now: Instant) {
        for stream in &mut self.streams {
            let numbers = stream.asking.ask(now);
            if numbers.is_empty() {
                continue;
            }
            let nack = TransportLayerNack {
                sender_ssrc: 0,
                media_ssrc: stream.ssrc,
                nacks: nack_pairs_from_sequence_numbers(&numbers),
            };
            self.write.push_back(TaggedPacket {
                now,
                transport: TransportContext::default(),
                message: AttributedPacket::new(Packet::Rtcp(vec![Box::new(nack)])),
            });
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Nack {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        let now = packet.now;
        if let Packet::Rtp(rtp) = &packet.message.packet {
            let ssrc = rtp.header.ssrc;
            for stream in &mut self.streams {
                if stream.ssrc == ssrc {
                    stream.asking.came(rtp.header.sequence_number, now);
                } else if stream.retransmissions == Some(ssrc)
                    // The original's number (RFC 4588 section 4); padding has none.
                    && let [high, low, ..] = rtp.payload[..]
                {
                    stream.asking.came(u16::from_be_bytes([high, low]), now);
                }
            }
        }
        self.read.push_back(packet);
        self.ask(now);
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

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.ask(now);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.streams.iter().filter_map(|stream| stream.asking.due()).min()
    }
}

impl Interceptor for Nack {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}

    /// Streams of retransmissions are bound on their own too, after what they repair: nobody asks for those again.
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        let takes = info.rtcp_feedback.iter().any(|kind| kind.typ == "nack" && kind.parameter.is_empty());
        let known = |stream: &Stream| [Some(stream.ssrc), stream.retransmissions].contains(&Some(info.ssrc));
        if takes && self.streams.len() < MAX_STREAMS && !self.streams.iter().any(known) {
            let asking = Asking::default();
            self.streams.push(Stream { ssrc: info.ssrc, retransmissions: info.ssrc_rtx, asking });
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams.retain(|stream| stream.ssrc != info.ssrc);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use rtc::{interceptor::RTCPFeedback, rtp};

    use super::*;

    const VIDEO: u32 = 1;
    const AGAIN: u32 = 2;

    fn bound() -> Nack {
        let mut nack = Nack::default();
        let rtcp_feedback = vec![RTCPFeedback { typ: "nack".into(), parameter: String::new() }];
        let info = StreamInfo { ssrc: VIDEO, ssrc_rtx: Some(AGAIN), rtcp_feedback, ..StreamInfo::default() };
        nack.bind_remote_stream(&info);
        nack.bind_remote_stream(&StreamInfo { ssrc: AGAIN, ssrc_rtx: None, ..info });
        nack
    }

    fn read(nack: &mut Nack, ssrc: u32, number: u16, payload: &[u8], now: Instant) {
        let header = rtp::Header { ssrc, sequence_number: number, ..Default::default() };
        let packet = rtp::Packet { header, payload: payload.to_vec().into() };
        let message = AttributedPacket::new(Packet::Rtp(packet));
        nack.handle_read(TaggedPacket { now, transport: TransportContext::default(), message }).unwrap();
        assert!(nack.poll_read().is_some(), "it is handed on");
    }

    /// What was asked for.
    fn asked(nack: &mut Nack) -> Vec<(u32, Vec<u16>)> {
        let mut asked = Vec::new();
        while let Some(packet) = nack.poll_write() {
            let Packet::Rtcp(packets) = packet.message.packet else { panic!("no RTCP") };
            let nack = packets[0].as_any().downcast_ref::<TransportLayerNack>().unwrap();
            let numbers = nack.nacks.iter().flat_map(|pair| pair.packet_list()).collect();
            asked.push((nack.media_ssrc, numbers));
        }
        asked
    }

    #[test]
    fn a_retransmission_ends_the_asking_and_a_lost_one_is_not_asked_for_itself() {
        let now = Instant::now();
        let mut nack = bound();
        read(&mut nack, VIDEO, 10, b"x", now);
        read(&mut nack, VIDEO, 13, b"x", now);
        assert_eq!(asked(&mut nack), [(VIDEO, vec![11, 12])]);
        // Of the retransmissions 70 and 71 the first is lost; then padding of a probe comes.
        read(&mut nack, AGAIN, 69, &[0, 10, 1], now);
        read(&mut nack, AGAIN, 71, &[0, 12, 1], now + Duration::from_millis(40));
        read(&mut nack, AGAIN, 72, &[], now + Duration::from_millis(41));
        assert!(asked(&mut nack).is_empty());
        let due = nack.poll_timeout().unwrap();
        nack.handle_timeout(due).unwrap();
        assert_eq!(asked(&mut nack), [(VIDEO, vec![11])]);
    }
}
