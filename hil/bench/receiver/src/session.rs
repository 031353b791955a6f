//! One viewer: its socket, its connection, its stream.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant, SystemTime},
};

use anyhow::Context;
use mio::net::UdpSocket;
use socket2::{Domain, Socket, Type};
use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::{SdpAnswer, SdpPendingOffer},
    format::{Codec as Format, FormatParams},
    media::{Direction, Frequency, KeyframeRequestKind, MediaKind},
    net::{Protocol, Receive},
    rtp::{RtpPacket, Ssrc},
};

use crate::{
    assembler::{Assembler, Packet},
    figures::Figures,
    picture::Codec,
};

/// Constrained baseline, level 3.1: what every sender here knows.
const PROFILE: u32 = 0x42e01f;
/// Payload types of the picture and of its repetitions.
const PAYLOAD_TYPE: u8 = 96;
const RTX_PAYLOAD_TYPE: u8 = 97;
/// A second of a stream of 16 Mbit/s: the kernel must lose nothing while other viewers are served.
const SOCKET_BUFFER: usize = 2 << 20;

/// Something that happened once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// ICE and DTLS are done.
    Connected,
    /// The first packet of video.
    Packet,
    /// The first whole key frame.
    Picture,
    /// The connection is gone.
    Closed,
}

/// A viewer.
pub struct Session {
    rtc: Rtc,
    /// Where it receives.
    pub socket: UdpSocket,
    local: SocketAddr,
    pending: Option<SdpPendingOffer>,
    codec: Codec,
    assembler: Assembler,
    /// Counts since the last report.
    pub figures: Figures,
    ssrc: Option<Ssrc>,
    /// RTP time of the picture, as a time of the sender's clock.
    taken: Option<(SystemTime, u64)>,
    pictured: bool,
    /// Key frames that it asked for.
    pub asked: u64,
    /// When the offer was made.
    pub opened: Instant,
    /// When it has something to do without packets.
    pub due: Instant,
    milestones: Vec<Milestone>,
}

impl Session {
    /// A new viewer at an address of this machine, and its offer.
    pub fn open(address: IpAddr, codec: Codec) -> anyhow::Result<(Self, String)> {
        let now = Instant::now();
        let socket = socket(address)?;
        let local = socket.local_addr()?;

        let mut config = Rtc::builder().clear_codecs().set_rtp_mode(true);
        match codec {
            Codec::H264 => {
                let config = config.codec_config();
                config.add_h264(PAYLOAD_TYPE.into(), Some(RTX_PAYLOAD_TYPE.into()), true, PROFILE);
            }
            Codec::Vp8 => config.codec_config().add_config(
                PAYLOAD_TYPE.into(),
                Some(RTX_PAYLOAD_TYPE.into()),
                Format::Vp8,
                Frequency::NINETY_KHZ,
                None,
                FormatParams::default(),
            ),
        }
        let mut rtc = config.build(now);
        rtc.add_local_candidate(Candidate::host(local, Protocol::Udp)?);
        let mut changes = rtc.sdp_api();
        changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().context("an offer with a picture")?;
        let session = Self {
            rtc,
            socket,
            local,
            pending: Some(pending),
            codec,
            assembler: Assembler::default(),
            figures: Figures::default(),
            ssrc: None,
            taken: None,
            pictured: false,
            asked: 0,
            opened: now,
            due: now,
            milestones: Vec::new(),
        };
        Ok((session, offer.to_sdp_string()))
    }

    /// The sender's answer came.
    pub fn answer(&mut self, sdp: &str) -> anyhow::Result<()> {
        let answer = SdpAnswer::from_sdp_string(sdp).context("the answer")?;
        let pending = self.pending.take().context("an answer that nobody waits for")?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        self.drive(Instant::now())
    }

    /// A candidate of the sender came after its answer.
    pub fn candidate(&mut self, line: &str) -> anyhow::Result<()> {
        // Kinds that this viewer does not know (TCP, names) are passed over, as in an answer.
        if let Ok(candidate) = Candidate::from_sdp_string(line) {
            self.rtc.add_remote_candidate(candidate);
        }
        self.drive(Instant::now())
    }

    /// Takes what came in; gives what happened for the first time.
    pub fn receive(&mut self, buffer: &mut [u8]) -> anyhow::Result<()> {
        loop {
            let (length, source) = match self.socket.recv_from(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // A port that is not there yet answers with ICMP.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let datagram = &buffer[..length];
            if is_rtp(datagram) {
                self.figures.datagram(length);
            }
            let now = Instant::now();
            let Ok(received) = Receive::new(Protocol::Udp, source, self.local, datagram) else { continue };
            self.rtc.handle_input(Input::Receive(now, received))?;
            self.poll(now)?;
        }
        Ok(())
    }

    /// Time has passed, or there is something to say.
    pub fn drive(&mut self, now: Instant) -> anyhow::Result<()> {
        self.rtc.handle_input(Input::Timeout(now))?;
        self.poll(now)
    }

    /// What happened for the first time since the last call.
    pub fn milestones(&mut self) -> Vec<Milestone> {
        std::mem::take(&mut self.milestones)
    }

    /// Tells the sender that it is over.
    pub fn close(&mut self) {
        // Nothing depends on it: the driver tells the sender too.
        let _ = self.rtc.close();
        let _ = self.poll(Instant::now());
    }

    fn poll(&mut self, now: Instant) -> anyhow::Result<()> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => {
                    self.due = due.max(now + Duration::from_millis(1));
                    return Ok(());
                }
                Output::Transmit(transmit) => {
                    // What does not fit is lost, as on a line.
                    let _ = self.socket.send_to(&transmit.contents, transmit.destination);
                }
                Output::Event(Event::Connected) => self.milestones.push(Milestone::Connected),
                Output::Event(Event::RtpPacket(packet)) => self.packet(&packet, now),
                Output::Event(Event::Closed) => self.milestones.push(Milestone::Closed),
                Output::Event(_) => {}
            }
        }
    }

    fn packet(&mut self, packet: &RtpPacket, now: Instant) {
        if self.ssrc.is_none() {
            self.milestones.push(Milestone::Packet);
        }
        self.ssrc = Some(packet.header.ssrc);
        self.figures.media(packet.payload.len());
        if let Some(report) = &packet.last_sender_info {
            self.taken = Some((report.ntp_time, report.rtp_time.numer()));
        }
        let input = Packet {
            seq: *packet.seq_no,
            time: packet.time.numer(),
            marker: packet.header.marker,
            parts: self.codec.parts(&packet.payload),
            at: now,
        };
        let (taken, figures) = (self.taken, &mut self.figures);
        let mut key = false;
        self.assembler.push(input, |picture| {
            key |= picture.key;
            figures.picture(picture, now, taken.and_then(|taken| time_of(picture.time, taken)));
        });
        if key && !self.pictured {
            self.pictured = true;
            self.milestones.push(Milestone::Picture);
        }
        if self.assembler.wants_key(now) {
            let mut direct = self.rtc.direct_api();
            if let Some(stream) = direct.stream_rx(&packet.header.ssrc) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
                self.asked += 1;
            }
        }
    }
}

/// A viewer's socket at an address of this machine.
pub fn socket(address: IpAddr) -> anyhow::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address((address, 0).into()), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.bind(&SocketAddr::new(address, 0).into()).with_context(|| format!("{address} is not ours"))?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// When a picture was taken, by the sender's report of another time.
fn time_of(time: u64, (at, reported): (SystemTime, u64)) -> Option<SystemTime> {
    // 32 bits on the wire; whoever extends them may begin elsewhere.
    let ticks = (time as u32).wrapping_sub(reported as u32) as i32;
    let difference = Duration::from_secs_f64(f64::from(ticks.unsigned_abs()) / 90_000.0);
    if ticks < 0 { at.checked_sub(difference) } else { at.checked_add(difference) }
}

/// RTP and not RTCP, STUN or DTLS (RFC 7983, RFC 5761).
fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, kind, ..] if !(192..=223).contains(kind))
}
