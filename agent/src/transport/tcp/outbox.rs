//! What waits to be written to one viewer's connection: whole frames only, and pictures that come in time or not at all.
//!
//! A TCP connection that is slower than the pictures would make a queue of them, and the viewer would see the past. So a
//! picture (or a piece of sound) whose first packet has waited for longer than [`IN_TIME`] is left out, all of it; one
//! that was begun is finished, lest a large key frame never comes through. What is no media is not left out for its age.
//! After a picture that was left out those that build on it are worth nothing: the session is told to wait for room, and
//! to go on with a key frame.

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
/// Frames are given to the kernel until they have this many bytes: a few segments. What it has cannot be left out.
const BATCH: usize = 4 * 1024;
/// Pictures go on once no more waits than the next two batches, ...
const ROOM: usize = 2 * BATCH;
/// ... and nothing for longer than this, a few pictures.
const FRESH: Duration = Duration::from_millis(100);
/// Pictures left out that are remembered of each stream: those of a second or more. A viewer asks for their packets again.
const LEFT_OUT: usize = 64;
/// Media streams whose newest picture is remembered: picture, its repetitions, sound, and one to spare.
const STREAMS: usize = 4;

/// One picture of one stream, or a piece of sound: all packets with this SSRC and RTP time (RFC 3550 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Picture {
    ssrc: u32,
    timestamp: u32,
}

/// What is to be done with a picture before it is made into packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextPicture {
    /// Send it.
    Send,
    /// Leave it out: the viewer is still behind.
    Skip,
    /// Leave it out and make a key frame: the viewer has caught up.
    Renew,
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
    /// What was left out, by stream. Repetitions have the RTP time of what they repeat (RFC 4588 section 4).
    left_out: VecDeque<(u32, VecDeque<u32>)>,
    /// Of each stream, the newest picture that came to be written, and whether it was in time.
    begun: VecDeque<(Picture, bool)>,
    /// Something was left out since the last key frame.
    behind: bool,
}

impl Outbox {
    /// Takes a datagram to be sent. Gives how many are dropped for it: none, or it alone, or with it what else waits of
    /// its picture.
    pub fn push(&mut self, now: Instant, data: &[u8]) -> u64 {
        let picture = picture(data);
        let is_left_out = |picture: Picture| {
            self.left_out.iter().any(|(_, timestamps)| timestamps.contains(&picture.timestamp))
        };
        if picture.is_some_and(is_left_out) {
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

    /// What is to be done with the session's next picture.
    pub fn next_picture(&mut self, now: Instant, keyframe: bool) -> NextPicture {
        let is_fresh = |first: &Waiting| now.saturating_duration_since(first.since) <= FRESH;
        match (self.behind, self.bytes <= ROOM && self.queue.front().is_none_or(is_fresh)) {
            (false, _) => NextPicture::Send,
            (true, false) => NextPicture::Skip,
            (true, true) if !keyframe => NextPicture::Renew,
            (true, true) => {
                self.behind = false;
                NextPicture::Send
            }
        }
    }

    /// The first packet of a picture decides for all of it.
    fn is_in_time(&mut self, picture: Picture, since: Instant, now: Instant) -> bool {
        if let Some((_, in_time)) = self.begun.iter().find(|(known, _)| *known == picture) {
            return *in_time;
        }
        let in_time = now.saturating_duration_since(since) <= IN_TIME;
        self.begun.retain(|(known, _)| known.ssrc != picture.ssrc);
        self.begun.truncate(STREAMS - 1);
        self.begun.push_front((picture, in_time));
        if !in_time {
            self.note(picture);
        }
        in_time
    }

    fn note(&mut self, picture: Picture) {
        self.behind = true;
        let of_stream = self.left_out.iter().position(|(ssrc, _)| *ssrc == picture.ssrc);
        let (ssrc, mut timestamps) =
            of_stream.and_then(|n| self.left_out.remove(n)).unwrap_or((picture.ssrc, VecDeque::new()));
        timestamps.truncate(LEFT_OUT - 1);
        timestamps.push_front(picture.timestamp);
        self.left_out.truncate(STREAMS - 1);
        self.left_out.push_front((ssrc, timestamps));
    }

    /// There is no room for all of a picture: the rest of it is worth nothing. Gives how many packets go.
    fn leave_out(&mut self, picture: Picture) -> u64 {
        self.note(picture);
        let before = self.queue.len();
        self.queue.retain(|waiting| waiting.picture != Some(picture));
        self.bytes = self.queue.iter().map(|waiting| cost(&waiting.data)).sum();
        (before - self.queue.len()) as u64
    }
}

fn cost(data: &[u8]) -> usize {
    data.len() + OVERHEAD
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
