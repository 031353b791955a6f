//! The encoder thread of one codec: takes pictures from the capture thread, encodes the newest, hands units to the
//! viewers. Ends when dropped.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use anyhow::Context;

use super::{
    AccessUnit, Bitrate, SourceFrame, VideoCodec, VideoEncoder, VideoFrame,
    decoder::H264Decoder,
    encoder::{EncoderSettings, open_encoder},
    metrics::{EncoderLabel, VideoMetrics},
    shared::{EncodeOrder, Shared},
};
use crate::{
    media::backoff::Backoff,
    telemetry::liveness::{DRIVER_PATIENCE, Liveness, Pulse},
};

/// Encoded pictures that may wait to be decoded, a second at 60 fps, besides the group that a worker starts with; none
/// of them can be left out singly, so when it is full all are dropped, and what comes up to the next key frame. Of
/// raw pictures only the newest waits.
const ENCODED_QUEUE: usize = 60;

#[derive(Default)]
struct Inbox {
    frames: VecDeque<SourceFrame>,
    /// How many pictures of the group that a worker starts with are still in it.
    group: usize,
    /// Encoded pictures were dropped: the next to be taken in is a key frame.
    broken: bool,
    stop: bool,
}

impl Inbox {
    fn empty(&mut self) -> VecDeque<SourceFrame> {
        self.group = 0;
        mem::take(&mut self.frames)
    }
}

#[derive(Default)]
struct Mailbox {
    inbox: Mutex<Inbox>,
    filled: Condvar,
}

impl Mailbox {
    /// With the pictures since the last key frame.
    fn new(group: &[Arc<AccessUnit>]) -> Self {
        let frames = group.iter().cloned().map(SourceFrame::Encoded).collect();
        let inbox = Inbox { frames, group: group.len(), ..Inbox::default() };
        Self { inbox: Mutex::new(inbox), filled: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many pictures were dropped for it.
    fn push(&self, frame: SourceFrame) -> usize {
        let mut inbox = self.lock();
        let mut dropped = 0;
        match &frame {
            SourceFrame::Raw(_) => dropped = inbox.empty().len(),
            SourceFrame::Encoded(unit) => {
                inbox.broken &= !unit.keyframe;
                if inbox.frames.len() >= ENCODED_QUEUE + inbox.group {
                    dropped = inbox.empty().len();
                    inbox.broken = !unit.keyframe;
                }
                if inbox.broken {
                    return dropped + 1;
                }
            }
        }
        inbox.frames.push_back(frame);
        self.filled.notify_one();
        dropped
    }

    /// Waits for pictures; `None` when it is over.
    fn take(&self) -> Option<VecDeque<SourceFrame>> {
        let mut inbox = self
            .filled
            .wait_while(self.lock(), |inbox| inbox.frames.is_empty() && !inbox.stop)
            .unwrap_or_else(PoisonError::into_inner);
        (!inbox.stop).then(|| inbox.empty())
    }
}

/// The capture thread's end of an encoder thread. The thread ends by itself after this is dropped.
pub struct Worker {
    mailbox: Arc<Mailbox>,
    codec: VideoCodec,
    metrics: VideoMetrics,
}

impl Worker {
    /// Starts the thread. `group` are the encoded pictures since the last key frame, if the source gives such:
    /// they are decoded first.
    pub fn spawn(
        shared: &Arc<Shared>,
        codec: VideoCodec,
        keyframe_interval_s: u32,
        group: &[Arc<AccessUnit>],
    ) -> anyhow::Result<Self> {
        let mailbox = Arc::new(Mailbox::new(group));
        let epoch = shared.lock().channel(codec).new_epoch();
        let job = Job {
            shared: shared.clone(),
            codec,
            epoch,
            keyframe_interval_s,
            decoder: None,
            encoder: None,
            backoff: Backoff::default(),
            failing: false,
        };
        let inbox = mailbox.clone();
        thread::Builder::new()
            .name(format!("video-{}", codec.label()))
            .spawn(move || job.run(&inbox))
            .context("no thread can be started for a video encoder: are there too many?")?;
        Ok(Self { mailbox, codec, metrics: shared.metrics.clone() })
    }

    /// Hands over a picture. Never blocks: what the encoder has not got round to is dropped.
    pub fn push(&self, frame: SourceFrame) {
        let dropped = self.mailbox.push(frame);
        if dropped > 0 {
            self.metrics.dropped_busy.get_or_create(&self.codec.into()).inc_by(dropped as u64);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.mailbox.lock().stop = true;
        self.mailbox.filled.notify_one();
    }
}

/// An open encoder, counted as long as it is open.
struct Open {
    encoder: Box<dyn VideoEncoder>,
    size: (u32, u32),
    bitrate: Bitrate,
    metrics: VideoMetrics,
}

impl Open {
    fn label(&self) -> EncoderLabel {
        EncoderLabel::new(self.encoder.codec(), self.encoder.name())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.metrics.encoders.get_or_create(&self.label()).dec();
    }
}

/// Waits for pictures; whoever waits does not hang.
fn next(mailbox: &Mailbox, pulse: &Pulse) -> Option<VecDeque<SourceFrame>> {
    pulse.rest();
    mailbox.take()
}

struct Job {
    shared: Arc<Shared>,
    codec: VideoCodec,
    epoch: u64,
    keyframe_interval_s: u32,
    decoder: Option<H264Decoder>,
    encoder: Option<Open>,
    /// After a failure the encoder is left alone for a while.
    backoff: Backoff,
    /// The failure that lasts has been logged.
    failing: bool,
}

impl Job {
    fn run(mut self, mailbox: &Mailbox) {
        let pulse = Liveness::process().watch(format!("video-{}", self.codec.label()), DRIVER_PATIENCE);
        while let Some(frames) = next(mailbox, &pulse) {
            let mut newest = None;
            for frame in frames {
                pulse.beat(Instant::now());
                newest = self.decoded(frame).or(newest);
            }
            let Some(frame) = newest else { continue };
            let Some(order) = self.shared.order(self.codec, self.epoch) else { continue };
            if !self.backoff.due(Instant::now()) {
                continue;
            }
            let result = self.encode(&frame, order);
            let was_failing = mem::replace(&mut self.failing, result.is_err());
            match result {
                Ok(()) => {
                    self.backoff.worked(Instant::now());
                    if was_failing {
                        tracing::info!(codec = self.codec.label(), "video encoder works again");
                    }
                }
                Err(error) => {
                    self.encoder = None;
                    self.backoff.failed(Instant::now());
                    if !was_failing {
                        tracing::warn!(codec = self.codec.label(), "video encoder failed: {error:#}");
                    }
                }
            }
        }
        // Closing a device can hang too.
        pulse.beat(Instant::now());
        self.encoder = None;
    }

    /// The picture itself. Encoded ones that cannot be decoded are passed over up to the next key frame.
    fn decoded(&mut self, frame: SourceFrame) -> Option<VideoFrame> {
        let unit = match frame {
            SourceFrame::Raw(frame) => return Some(frame),
            SourceFrame::Encoded(unit) => unit,
        };
        if unit.codec != VideoCodec::H264 || (self.decoder.is_none() && !unit.keyframe) {
            return None;
        }
        if self.decoder.is_none() {
            self.decoder = H264Decoder::new().ok();
        }
        match self.decoder.as_mut()?.decode(&unit) {
            Ok(frame) => frame.map(VideoFrame::from),
            Err(error) => {
                tracing::debug!("the source's H.264 cannot be decoded up to its next key frame: {error:#}");
                self.decoder = None;
                None
            }
        }
    }

    fn encode(&mut self, frame: &VideoFrame, order: EncodeOrder) -> anyhow::Result<()> {
        let size = frame.size();
        if self.encoder.as_ref().is_none_or(|open| open.size != size) {
            self.encoder = None;
            self.encoder = Some(self.open(size, order)?);
        }
        let Some(open) = self.encoder.as_mut() else { return Ok(()) };
        if open.bitrate != order.bitrate {
            open.encoder.set_bitrate(order.bitrate)?;
            open.bitrate = order.bitrate;
        }
        let start = Instant::now();
        let unit = open.encoder.encode(frame, order.keyframe)?;
        let metrics = &self.shared.metrics;
        metrics.encode_seconds.get_or_create(&self.codec.into()).observe(start.elapsed().as_secs_f64());
        if let Some(unit) = unit {
            metrics.encoded.get_or_create(&self.codec.into()).inc();
            metrics.copies.get_or_create(&self.codec.into()).inc_by(unit.copies.into());
            self.shared.publish(&Arc::new(unit), self.epoch);
        }
        Ok(())
    }

    fn open(&self, (width, height): (u32, u32), order: EncodeOrder) -> anyhow::Result<Open> {
        let settings = EncoderSettings {
            width,
            height,
            fps: order.fps,
            bitrate: order.bitrate,
            keyframe_interval: self.keyframe_interval_s.saturating_mul(order.fps).max(1),
        };
        let encoder = open_encoder(self.codec, &settings)?;
        tracing::info!(encoder = encoder.name(), width, height, fps = order.fps, "video encoder opened");
        let metrics = self.shared.metrics.clone();
        let open = Open { encoder, size: (width, height), bitrate: order.bitrate, metrics };
        open.metrics.encoders.get_or_create(&open.label()).inc();
        Ok(open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::video::RawFrame;

    fn raw() -> SourceFrame {
        let planes = [16 * 16, 64, 64].map(|length| vec![0; length].into());
        SourceFrame::Raw(RawFrame::new(16, 16, planes, Instant::now()).into())
    }

    fn encoded(keyframe: bool) -> SourceFrame {
        let now = Instant::now();
        let unit = AccessUnit::passed(VideoCodec::H264, vec![1].into(), keyframe, (16, 16), (now, now));
        SourceFrame::Encoded(Arc::new(unit))
    }

    #[test]
    fn of_raw_pictures_only_the_newest_waits() {
        let mailbox = Mailbox::default();
        assert_eq!((0..5).map(|_| mailbox.push(raw())).sum::<usize>(), 4);
        assert_eq!(mailbox.take().map(|frames| frames.len()), Some(1));
    }

    #[test]
    fn encoded_pictures_are_dropped_up_to_the_next_key_frame_when_too_many_wait() {
        let mailbox = Mailbox::default();
        (0..ENCODED_QUEUE).for_each(|index| assert_eq!(mailbox.push(encoded(index == 0)), 0));
        assert_eq!(mailbox.push(encoded(false)), ENCODED_QUEUE + 1);
        assert_eq!(mailbox.push(encoded(false)), 1);
        assert_eq!(mailbox.push(encoded(true)), 0);
        assert_eq!(mailbox.take().map(|frames| frames.len()), Some(1));
    }

    #[test]
    fn the_group_that_a_worker_starts_with_is_not_dropped_before_the_worker_has_seen_it() {
        let unit = |keyframe| match encoded(keyframe) {
            SourceFrame::Encoded(unit) => unit,
            SourceFrame::Raw(_) => unreachable!(),
        };
        let group: Vec<_> = (0..5 * ENCODED_QUEUE).map(|index| unit(index == 0)).collect();
        let mailbox = Mailbox::new(&group);
        (0..ENCODED_QUEUE).for_each(|_| assert_eq!(mailbox.push(encoded(false)), 0));
        assert_eq!(mailbox.take().map(|frames| frames.len()), Some(6 * ENCODED_QUEUE));
        (0..ENCODED_QUEUE).for_each(|_| assert_eq!(mailbox.push(encoded(false)), 0));
        assert_eq!(mailbox.push(encoded(false)), ENCODED_QUEUE + 1, "it is an exception for the group alone");
    }

    #[test]
    fn a_worker_that_is_told_to_stop_takes_nothing_more() {
        let mailbox = Mailbox::default();
        mailbox.push(raw());
        mailbox.lock().stop = true;
        assert!(mailbox.take().is_none());
    }
}
