//! What is told to a viewer every second: sender reports that tie RTP time to the time of capture, a report block on its
//! sound, and our name (RFC 3550 sections 6.4 and 6.5).
//!
//! The RTP time of a report is that of a picture or sound *captured* at the report's NTP time (section 6.4.1), however
//! late packets are sent: this keeps sound and picture in step.

use std::time::{Duration, Instant, SystemTime};

use super::{
    super::send::RtpClock,
    ntp::{self, NtpClock},
    reception::Reception,
};

/// Between compounds. RFC 3550 section 6.2 lets the minimum of 5 s sink with the bandwidth; about 130 bytes a second are
/// 5 % of less than 30 kbit/s. There are two participants, so nothing has to be spread by chance.
const INTERVAL: Duration = Duration::from_secs(1);
/// From the first report on a stream to the second: browsers need two before they play sound and picture in step.
const EARLY_INTERVAL: Duration = Duration::from_millis(250);
/// Reports that come early after the start of a stream: at once, and one [`EARLY_INTERVAL`] later.
const EARLY: u8 = 2;
/// Streams of ours in one session: picture and sound.
const MAX_STREAMS: usize = 4;
/// Longest text of an SDES item (RFC 3550 section 6.5).
const MAX_CNAME: usize = 255;
/// A round trip beyond this is no round trip but a wrong report.
const MAX_RTT: Duration = Duration::from_secs(60);

/// RTP version 2, no padding.
pub(super) const VERSION: u8 = 0x80;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
/// SDES item (RFC 3550 section 6.5.1).
const CNAME: u8 = 1;

/// A stream that we send.
#[derive(Clone, Debug)]
struct Stream {
    ssrc: u32,
    clock: RtpClock,
    packets: u32,
    octets: u32,
    /// Packets at the last report, and at the one before.
    told: [u32; 2],
    /// In the compound that is being written.
    reports: bool,
}

/// The reports of one session, without input or output.
#[derive(Clone, Debug)]
pub struct Reports {
    ntp: NtpClock,
    /// Who reports while nothing is sent.
    reporter: u32,
    cname: Vec<u8>,
    streams: Vec<Stream>,
    heard: Option<Reception>,
    due: Option<Instant>,
    early: u8,
    out: Vec<u8>,
}

impl Reports {
    /// `wall` is the time of day at `now`; later steps of it do not matter. `cname` is that of the SDP (RFC 5576
    /// section 6.1), at most 255 bytes; `reporter` the SSRC that reports on the viewer's sound while we send nothing.
    pub fn new(now: Instant, wall: SystemTime, reporter: u32, cname: &str) -> Self {
        let cname = cname.as_bytes();
        Self {
            ntp: NtpClock::new(now, wall),
            reporter,
            cname: cname[..cname.len().min(MAX_CNAME)].to_vec(),
            streams: Vec::new(),
            heard: None,
            due: None,
            early: 0,
            out: Vec::new(),
        }
    }

    /// Reports on a stream from its first packet on. Retransmissions and repair packets need none: they are not played.
    pub fn add_stream(&mut self, ssrc: u32, clock: RtpClock) {
        if self.streams.len() < MAX_STREAMS && !self.streams.iter().any(|s| s.ssrc == ssrc) {
            self.streams.push(Stream { ssrc, clock, packets: 0, octets: 0, told: [0; 2], reports: false });
        }
    }

    /// So many packets of a stream were sent since it began, modulo 2^32; `octets` are those of their payloads.
    pub fn tally(&mut self, now: Instant, ssrc: u32, packets: u32, octets: u32) {
        let Some(stream) = self.streams.iter_mut().find(|s| s.ssrc == ssrc) else { return };
        if stream.packets == 0 && packets > 0 {
            (self.due, self.early) = (Some(now), EARLY);
        }
        (stream.packets, stream.octets) = (packets, octets);
    }

    /// A packet of the viewer's sound came; `clock_rate` is its codec's, in Hz. There is one such stream: another SSRC
    /// takes its place.
    pub fn heard(&mut self, now: Instant, ssrc: u32, clock_rate: u32, sequence: u16, timestamp: u32) {
        self.due.get_or_insert(now + INTERVAL);
        if self.heard.as_ref().is_none_or(|heard| heard.ssrc != ssrc) {
            self.heard = Some(Reception::new(now, ssrc, clock_rate, sequence));
        }
        if let Some(heard) = &mut self.heard {
            heard.hear(now, clock_rate, sequence, timestamp);
        }
    }

    /// The viewer's report on its own stream came, with its NTP time (32.32 bits).
    pub fn sender_report(&mut self, now: Instant, ssrc: u32, ntp: u64) {
        if let Some(heard) = self.heard.as_mut().filter(|heard| heard.ssrc == ssrc) {
            heard.sender_report(now, ntp);
        }
    }

    /// The viewer's stream is over.
    pub fn goodbye(&mut self, ssrc: u32) {
        self.heard = self.heard.take().filter(|heard| heard.ssrc != ssrc);
    }

    /// The round trip by a report block (RFC 3550 section 6.4.1): `lsr` in 16.16 bits of a second, `dlsr` in 1/65536 s.
    /// `None` if it has seen no report of ours or contradicts itself.
    pub fn rtt(&self, now: Instant, lsr: u32, dlsr: u32) -> Option<Duration> {
        let round = ntp::middle(self.ntp.at(now)).wrapping_sub(lsr).wrapping_sub(dlsr);
        // The viewer's clock may run a little faster over the delay.
        let round = if round as i32 >= 0 {
            round
        } else if round > u32::MAX - 655 {
            0
        } else {
            return None;
        };
        let rtt = Duration::from_nanos((u64::from(round) * 1_000_000_000) >> 16);
        (lsr != 0 && rtt <= MAX_RTT).then_some(rtt)
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` before anything was sent or heard.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The compound to send, if it is due: sender reports of what was sent lately, else a receiver report; then SDES.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<&[u8]> {
        if self.due? > now {
            return None;
        }
        self.early = self.early.saturating_sub(1);
        self.due = Some(now + if self.early > 0 { EARLY_INTERVAL } else { INTERVAL });
        self.out.clear();
        let ntp = self.ntp.at(now);
        let mut heard = self.heard.as_mut();
        for stream in &mut self.streams {
            // RFC 3550 section 6.4: a sender is who has sent since the report before the last one.
            let [last, before] = stream.told;
            stream.told = [stream.packets, last];
            stream.reports = stream.packets != before;
            if stream.reports {
                let rtp = stream.clock.at(now);
                let sender = [(ntp >> 32) as u32, ntp as u32, rtp, stream.packets, stream.octets];
                report(&mut self.out, SENDER_REPORT, stream.ssrc, &sender, now, heard.take());
            }
        }
        if self.out.is_empty() {
            report(&mut self.out, RECEIVER_REPORT, self.reporter, &[], now, heard);
        }
        self.describe();
        Some(&self.out)
    }

    /// The name of every source that reports in this compound (RFC 3550 section 6.5).
    fn describe(&mut self) {
        let start = self.out.len();
        let senders = self.streams.iter().filter(|s| s.reports).map(|s| s.ssrc);
        let count = senders.clone().count().max(1);
        // The reporter only where nobody else reports.
        let alone = [self.reporter].into_iter().take(usize::from(senders.clone().next().is_none()));
        self.out.extend_from_slice(&[VERSION | count as u8, SOURCE_DESCRIPTION, 0, 0]);
        for ssrc in senders.chain(alone) {
            self.out.extend_from_slice(&ssrc.to_be_bytes());
            self.out.extend_from_slice(&[CNAME, self.cname.len() as u8]);
            self.out.extend_from_slice(&self.cname);
            // At least one zero ends the list of items; the chunk ends at a word.
            let used = self.out.len() - start;
            self.out.resize(start + used / 4 * 4 + 4, 0);
        }
        finish(&mut self.out, start);
    }
}

/// Appends a report of one source; the first of a compound tells how the viewer's sound arrives.
fn report(
    out: &mut Vec<u8>,
    kind: u8,
    ssrc: u32,
    sender: &[u32],
    now: Instant,
    heard: Option<&mut Reception>,
) {
    let start = out.len();
    out.extend_from_slice(&[VERSION, kind, 0, 0]);
    for word in [ssrc].iter().chain(sender) {
        out.extend_from_slice(&word.to_be_bytes());
    }
    if heard.is_some_and(|heard| heard.report(now, out)) {
        out[start] |= 1;
    }
    finish(out, start);
}

/// Enters the length of the packet that began at `start`, in words less one.
pub(super) fn finish(out: &mut [u8], start: usize) {
    let words = (out.len() - start) / 4 - 1;
    out[start + 2..start + 4].copy_from_slice(&(words as u16).to_be_bytes());
}

#[cfg(test)]
#[path = "reports_tests.rs"]
mod tests;
