//! What waits to be written to one viewer's connection: whole frames only, and pictures that come in time or not at all.
//!
//! A TCP connection that is slower than the pictures would make a queue of them, and the viewer would see the past. So a
//! picture (or a piece of sound) whose first packet has waited for longer than [`IN_TIME`] is left out, all of it; one
//! that was begun is finished, lest a large key frame never comes through. What is no media is not left out for its age.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};

use super::frame;
use crate::transport::demux::{Packet, classify};

/// More than the pause after one lost segment (RFC 6298: a second at first, 200 ms and two round trips on Linux), and
/// less than a lag that a person bears.
pub(super) const IN_TIME: Duration = Duration::from_millis(500);
/// Room for the key frame of a large picture at a high bit rate.
pub(super) const MAX_BYTES: usize = 512 * 1024;
/// Room on top for what is no media: checks, keys and RTCP.
pub(super) const RESERVE: usize = 32 * 1024;
/// What a waiting frame costs besides its content, so that many small ones are bounded too.
const OVERHEAD: usize = 64;
/// Frames written in one call: some ten segments.
const BATCH: usize = 16 * 1024;
/// Media streams whose newest picture is remembered: picture, its repetitions, sound, and one to spare.
const STREAMS: usize = 4;

/// One picture of one stream, or a piece of sound: all packets with this SSRC and RTP time (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    ssrc: u32,
    timestamp: u32,
}

#[derive(Debug)]
struct Waiting {
    data: Bytes,
    since: Instant,
    picture: Option<Picture>,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Waiting>,
    bytes: usize,
    /// Of each stream, the newest picture for which there was no room.
    holed: Newest<()>,
    /// Of each stream, the newest picture that came to be written, and whether it was in time.
    begun: Newest<bool>,
}

impl Outbox {
    /// Takes a datagram to be sent. Gives how many are dropped for it: none, or it alone, or with it what else waits of
    /// its picture.
    pub fn push(&mut self, now: Instant, data: &[u8]) -> u64 {
        let picture = picture(data);
        if let Some(picture) = picture
            && self.holed.get(picture).is_some()
        {
            return 1;
        }
        let room = if picture.is_some() { MAX_BYTES } else { MAX_BYTES + RESERVE };
        if self.bytes + cost(data) > room || frame::header(data).is_none() {
            return 1 + picture.map_or(0, |picture| self.leave_out(picture));
        }
        self.bytes += cost(data);
        self.queue.push_back(Waiting { data: Bytes::copy_from_slice(data), since: now, picture });
        0
    }

    /// Adds the next frames to `batch`, whole, until it has [`BATCH`] bytes or nothing waits. Gives how many were put
    /// in and how many were too late.
    pub fn fill(&mut self, now: Instant, batch: &mut BytesMut) -> (u64, u64) {
        let (mut sent, mut late) = (0, 0);
        while batch.len() < BATCH
            && let Some(next) = self.queue.pop_front()
        {
            self.bytes -= cost(&next.data);
            match frame::header(&next.data) {
                Some(header) if next.picture.is_none_or(|p| self.is_in_time(p, next.since, now)) => {
                    batch.put_slice(&header);
                    batch.put_slice(&next.data);
                    sent += 1;
                }
                _ => late += 1,
            }
        }
        (sent, late)
    }

    /// The first packet of a picture decides for all of it.
    fn is_in_time(&mut self, picture: Picture, since: Instant, now: Instant) -> bool {
        *self.begun.get_or_set(picture, now.saturating_duration_since(since) <= IN_TIME)
    }

    /// There is no room for all of a picture: the rest of it is worth nothing. Gives how many packets go.
    fn leave_out(&mut self, picture: Picture) -> u64 {
        self.holed.get_or_set(picture, ());
        let before = self.queue.len();
        self.queue.retain(|waiting| waiting.picture != Some(picture));
        self.bytes = self.queue.iter().map(|waiting| cost(&waiting.data)).sum();
        (before - self.queue.len()) as u64
    }
}

fn cost(data: &[u8]) -> usize {
    data.len() + OVERHEAD
}

/// What is known of the newest picture of each of a few streams.
#[derive(Debug)]
struct Newest<T>(VecDeque<(Picture, T)>);

impl<T> Default for Newest<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Newest<T> {
    fn get(&self, picture: Picture) -> Option<&T> {
        self.0.iter().find(|(known, _)| *known == picture).map(|(_, what)| what)
    }

    /// If the picture is new, it takes the place of the one before in its stream.
    fn get_or_set(&mut self, picture: Picture, what: T) -> &T {
        if self.get(picture).is_none() {
            self.0.retain(|(known, _)| known.ssrc != picture.ssrc);
            self.0.truncate(STREAMS - 1);
            self.0.push_front((picture, what));
        }
        &self.0[self.0.iter().position(|(known, _)| *known == picture).unwrap_or_default()].1
    }
}

/// The picture that an RTP packet is part of; encryption leaves the header alone (RFC 3711 section 3.1). `None`: no RTP.
fn picture(datagram: &[u8]) -> Option<Picture> {
    // RTCP has its packet type where RTP has marker and payload type (RFC 5761 section 4).
    let is_rtcp = datagram.get(1).is_some_and(|kind| (192..=223).contains(kind));
    if classify(datagram) != Packet::Media || is_rtcp {
        return None;
    }
    let (_, header) = datagram.split_first_chunk::<4>()?;
    let (timestamp, header) = header.split_first_chunk::<4>()?;
    let ssrc = header.first_chunk::<4>()?;
    Some(Picture { ssrc: u32::from_be_bytes(*ssrc), timestamp: u32::from_be_bytes(*timestamp) })
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
