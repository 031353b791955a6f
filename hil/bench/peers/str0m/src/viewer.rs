//! One viewer's connection.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    bwe::{Bitrate, BweKind},
    change::SdpOffer,
    format::Codec,
    media::{Mid, Pt},
    net::{Protocol, Receive},
    rtp::{RtpWrite, SeqNo, Ssrc},
};

use crate::socket::Endpoint;

/// What is due by then is done now: the least that the kernel's poll can wait.
const AT_ONCE: Duration = Duration::from_millis(1);
/// Packets of one viewer before another one's turn.
const MOST_AT_ONCE: usize = 64;

/// A picture's packets, made once for all viewers.
pub type Payloads = Vec<Arc<[u8]>>;

/// A viewer.
pub struct Viewer {
    rtc: Rtc,
    mid: Mid,
    payload_type: Pt,
    ssrc: Ssrc,
    seq: u64,
    connected: bool,
    /// Pictures can be sent: it had a key frame.
    started: bool,
    /// It asked for a key frame.
    pub wants_key: bool,
    /// What its path carries, in bits a second.
    pub estimate: u64,
    /// When it has something to do without packets.
    pub due: Instant,
    /// It is gone.
    pub over: bool,
}

impl Viewer {
    /// From a viewer's offer; gives the answer with it. The estimate begins at `start` bits a second; `desired` is
    /// what the sender would use at most.
    pub fn accept(
        offer: &str,
        local: SocketAddr,
        start: u64,
        desired: u64,
    ) -> anyhow::Result<(Self, String)> {
        let now = Instant::now();
        let mut rtc = Rtc::builder().set_rtp_mode(true).enable_bwe(Some(Bitrate::from(start))).build(now);
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp)?);
        // One medium, whose name is the offer's.
        let mid = offer.lines().find_map(|line| line.trim_end().strip_prefix("a=mid:"));
        let mid = Mid::from(mid.context("the offer names no medium")?);
        let offer = SdpOffer::from_sdp_string(offer).context("the offer")?;
        let answer = rtc.sdp_api().accept_offer(offer)?;
        let formats = rtc.media(mid).context("the offer's medium")?.remote_pts().to_vec();
        let h264 = rtc
            .codec_config()
            .params()
            .iter()
            .find(|params| params.spec().codec == Codec::H264 && formats.contains(&params.pt()));
        let payload_type = h264.context("the viewer takes no H.264")?.pt();
        let ssrc = {
            let mut direct = rtc.direct_api();
            direct.stream_tx_by_mid(mid, None).context("a stream to send")?.ssrc()
        };
        rtc.bwe().set_bitrate(Bitrate::ZERO, desired.into());
        let viewer = Self {
            rtc,
            mid,
            payload_type,
            ssrc,
            seq: u64::from(rand_seq(local)),
            connected: false,
            started: false,
            wants_key: false,
            estimate: start,
            due: now,
            over: false,
        };
        Ok((viewer, answer.to_sdp_string()))
    }

    /// Whether a datagram is for it.
    pub fn accepts(&self, source: SocketAddr, local: SocketAddr, datagram: &[u8]) -> bool {
        Receive::new(Protocol::Udp, source, local, datagram)
            .is_ok_and(|received| self.rtc.accepts(&Input::Receive(Instant::now(), received)))
    }

    /// Takes a datagram.
    pub fn receive(&mut self, source: SocketAddr, datagram: &[u8], now: Instant, out: &mut Endpoint) {
        if let Ok(received) = Receive::new(Protocol::Udp, source, out.local, datagram) {
            let taken = self.rtc.handle_input(Input::Receive(now, received));
            self.over |= taken.is_err();
            self.poll(now, out);
        }
    }

    /// Time has passed.
    pub fn drive(&mut self, now: Instant, out: &mut Endpoint) {
        self.over |= self.rtc.handle_input(Input::Timeout(now)).is_err();
        self.poll(now, out);
    }

    /// Whether a path is there.
    pub fn connected(&self) -> bool {
        self.connected && !self.over
    }

    /// Sends a picture; what comes before its first key frame is left out.
    pub fn write(&mut self, payloads: &Payloads, key: bool, time: u32, now: Instant, out: &mut Endpoint) {
        self.started |= key;
        if !self.connected() || !self.started {
            return;
        }
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx(&self.ssrc) else { return };
        for (index, payload) in payloads.iter().enumerate() {
            let seq = SeqNo::from(self.seq);
            self.seq += 1;
            let packet = RtpWrite::new(self.payload_type, seq, time, now, payload.clone())
                .marker(index + 1 == payloads.len())
                .nackable(true);
            stream.write_rtp(packet);
        }
        self.drive(now, out);
    }

    /// Ends it.
    pub fn close(&mut self, out: &mut Endpoint) {
        let _ = self.rtc.close();
        self.poll(Instant::now(), out);
        self.over = true;
    }

    fn poll(&mut self, now: Instant, out: &mut Endpoint) {
        // The pacer gives one packet each time it is asked, microseconds apart where it lets several go: taken at once,
        // they make a train.
        let mut asked = 0;
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(due)) if due <= now + AT_ONCE && asked < MOST_AT_ONCE => {
                    asked += 1;
                    self.over |= self.rtc.handle_input(Input::Timeout(due.max(now))).is_err();
                }
                Ok(Output::Timeout(due)) => {
                    self.due = due.max(now);
                    break;
                }
                Ok(Output::Transmit(transmit)) => out.send(transmit.destination, &transmit.contents),
                Ok(Output::Event(event)) => self.event(event),
                Err(error) => {
                    eprintln!("bench-peer-str0m: {error}");
                    self.over = true;
                    break;
                }
            }
        }
        out.flush();
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::KeyframeRequest(request) if request.mid == self.mid => self.wants_key = true,
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => self.estimate = estimate.as_u64(),
            Event::Closed => self.over = true,
            _ => {}
        }
    }
}

/// Where sequence numbers begin: below 2^15, so that the receiver's first guess of the rollover counter is right
/// (RFC 3711 section 3.3.1).
fn rand_seq(local: SocketAddr) -> u16 {
    local.port() & 0x7fff
}
