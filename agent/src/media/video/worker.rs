//! The encoder thread of one rendition of a codec: takes pictures from the capture thread, encodes the newest, hands units to the
//! viewers, and opens an encoder that fails anew, or the next one. Ends when dropped.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, MutexGuard},
    thread,
    time::Instant,
};

use anyhow::{Context, bail};

use super::{
    AccessUnit, Bitrate, SourceFrame, VideoCodec, VideoEncoder, VideoFrame,
    decoder::H264Decoder,
    encoder::{
        EncoderFault, EncoderKind, EncoderSettings, Lineup, Next, SOFTWARE_CENTIBITS_PER_PIXEL,
        SOFTWARE_FLOOR, software_limits,
    },
    mailbox::Mailbox,
    metrics::{EncoderLabel, RestartLabel, VideoMetrics},
    pacing::Pacing,
    rate::{Floor, Rendition},
    scale::Scale,
    shared::{EncodeOrder, Shared},
};
use crate::{
    media::backoff::Backoff,
    telemetry::{
        health::Level,
        liveness::{DRIVER_PATIENCE, Liveness, Pulse},
    },
};

/// Pictures in a row that an encoder may refuse, or give no key frame for after a refused one, before it is opened
/// anew: a second at 30 fps.
const MAX_UNUSABLE: u32 = 30;

/// Scaled pictures have such sides for encoders in software: chroma is halved.
const EVEN: u32 = 2;
/// And such for those in hardware: rows of whole macroblocks are read as they are.
const MACROBLOCK: u32 = 16;

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
        rendition: Rendition,
        keyframe_interval_s: u32,
        group: &[Arc<AccessUnit>],
    ) -> anyhow::Result<Self> {
        let mailbox = Arc::new(Mailbox::new(group));
        let epoch = shared.lock().channel(codec).new_epoch(rendition);
        let job = Job {
            shared: shared.clone(),
            codec,
            rendition,
            epoch,
            keyframe_interval_s,
            decoder: None,
            pacing: Pacing::default(),
            scale: None,
            encoder: None,
            backoff: Backoff::default(),
            failing: false,
            needs_keyframe: false,
            unusable: 0,
        };
        let inbox = mailbox.clone();
        thread::Builder::new()
            .name(thread_name(codec, rendition))
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
        self.mailbox.stop();
    }
}

/// An open encoder, counted as long as it is open.
struct Open {
    encoder: Box<dyn VideoEncoder>,
    /// Which one, for people.
    words: String,
    /// In the lineup.
    place: usize,
    size: (u32, u32),
    fps: u32,
    bitrate: Bitrate,
    layered: bool,
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

/// "video-h264", "video-h264-sub"
fn thread_name(codec: VideoCodec, rendition: Rendition) -> String {
    match rendition {
        Rendition::Main => format!("video-{}", codec.label()),
        Rendition::Sub => format!("video-{}-sub", codec.label()),
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
    rendition: Rendition,
    epoch: u64,
    keyframe_interval_s: u32,
    decoder: Option<H264Decoder>,
    pacing: Pacing,
    scale: Option<Scale>,
    encoder: Option<Open>,
    /// After a failure the encoder is left alone for a while.
    backoff: Backoff,
    /// The failure that lasts has been logged.
    failing: bool,
    /// A picture was refused: what follows it can only be shown from a key frame on.
    needs_keyframe: bool,
    /// Pictures in a row of which nothing came that can be shown.
    unusable: u32,
}

impl Job {
    fn run(mut self, mailbox: &Mailbox) {
        let pulse = Liveness::process().watch(thread_name(self.codec, self.rendition), DRIVER_PATIENCE);
        while let Some(frames) = next(mailbox, &pulse) {
            let mut newest = None;
            for frame in frames {
                pulse.beat(Instant::now());
                newest = self.decoded(frame).or(newest);
            }
            let Some(frame) = newest else { continue };
            let Some(order) = self.shared.order(self.codec, self.rendition, self.epoch) else { continue };
            if order.slower && !self.pacing.takes(frame.captured(), order.fps, order.keyframe) {
                continue;
            }
            if !self.backoff.due(Instant::now()) {
                continue;
            }
            match self.encode(&frame, order) {
                Ok(()) => {
                    self.backoff.worked(Instant::now());
                    if mem::take(&mut self.failing) {
                        tracing::info!(codec = self.codec.label(), "video encoder works again");
                    }
                }
                Err(error) => self.failed(&error),
            }
        }
        // Closing a device can hang too.
        pulse.beat(Instant::now());
        self.close();
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

    fn lineup(&self) -> MutexGuard<'_, Lineup> {
        self.shared.lineup(self.codec, self.rendition)
    }

    /// The picture in the size that is ordered; as it is if it is not larger than that.
    fn scaled(&mut self, frame: &VideoFrame, order: EncodeOrder) -> anyhow::Result<VideoFrame> {
        let from = frame.size();
        let Some(to) = order.size.filter(|to| *to != from && to.0 <= from.0 && to.1 <= from.1) else {
            return Ok(frame.clone());
        };
        if !self.scale.as_ref().is_some_and(|scale| scale.is(from, to)) {
            self.scale = Some(Scale::new(from, to)?);
        }
        let scale = self.scale.as_ref().context("there is no scaler")?;
        Ok(scale.run(&*frame.i420()?)?.into())
    }

    fn encode(&mut self, frame: &VideoFrame, order: EncodeOrder) -> anyhow::Result<()> {
        let frame = &self.scaled(frame, order)?;
        let size = frame.size();
        let place = self.lineup().current(Instant::now()).0;
        let fits = |open: &Open| (open.place, open.size, open.fps) == (place, size, order.fps);
        if !self.encoder.as_ref().is_some_and(fits) {
            self.close();
            self.encoder = Some(self.open(size, order)?);
            (self.needs_keyframe, self.unusable) = (false, 0);
        }
        let Some(open) = self.encoder.as_mut() else { return Ok(()) };
        if open.bitrate != order.bitrate {
            open.encoder.set_bitrate(order.bitrate)?;
            open.bitrate = order.bitrate;
        }
        if open.layered != order.layered {
            open.encoder.set_layers(order.layered)?;
            open.layered = order.layered;
        }
        let start = Instant::now();
        let unit = open.encoder.encode(frame, order.keyframe || self.needs_keyframe)?;
        let metrics = &self.shared.metrics;
        metrics.encode_seconds.get_or_create(&self.codec.into()).observe(start.elapsed().as_secs_f64());
        let Some(unit) = unit else { return Ok(()) };
        if self.needs_keyframe && !unit.keyframe {
            self.unusable += 1;
            if self.unusable > MAX_UNUSABLE {
                bail!("it gives no key frame after a picture that it refused");
            }
            return Ok(());
        }
        (self.needs_keyframe, self.unusable) = (false, 0);
        metrics.encoded.get_or_create(&self.codec.into()).inc();
        metrics.copies.get_or_create(&self.codec.into()).inc_by(unit.copies.into());
        let recovered = self.shared.lineup(self.codec, self.rendition).worked(place, Instant::now());
        if recovered {
            self.shared.encoder_health(Level::Ok, format!("{} works again", open.words));
        }
        self.shared.publish(&Arc::new(unit), self.rendition, self.epoch);
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
        let (place, backend) = self.lineup().current(Instant::now());
        if backend.kind() == EncoderKind::Hardware {
            self.shared.closer.check()?;
        }
        let encoder = backend.open(&settings)?;
        let words = backend.words();
        let rendition = self.rendition.label();
        tracing::info!(encoder = %words, rendition, width, height, fps = order.fps, "video encoder opened");
        let least = *encoder.limits().start();
        // One that holds what software holds does so at any other size too.
        let floor = match least == *software_limits(width, height, order.fps).start() {
            true => Floor { least: SOFTWARE_FLOOR, centibits_per_pixel: SOFTWARE_CENTIBITS_PER_PIXEL },
            false => Floor { least, centibits_per_pixel: 0 },
        };
        let align = if backend.kind() == EncoderKind::Hardware { MACROBLOCK } else { EVEN };
        self.shared.lock().channel(self.codec).opened(self.rendition, floor, encoder.has_layers(), align);
        let metrics = self.shared.metrics.clone();
        let size = (width, height);
        let open = Open {
            encoder,
            words,
            place,
            size,
            fps: order.fps,
            bitrate: order.bitrate,
            layered: false,
            metrics,
        };
        open.metrics.encoders.get_or_create(&open.label()).inc();
        Ok(open)
    }

    fn close(&mut self) {
        if let Some(open) = self.encoder.take() {
            self.shared.closer.close(open);
        }
    }

    /// Decides how to go on.
    fn failed(&mut self, error: &anyhow::Error) {
        let codec = self.codec.label();
        if let (Some(open), Some(EncoderFault::Refused { .. })) = (&self.encoder, EncoderFault::of(error)) {
            self.shared.metrics.refused.get_or_create(&open.label()).inc();
            self.needs_keyframe = true;
            self.unusable += 1;
            if self.unusable == 1 {
                tracing::warn!(codec, "a picture is left out, a key frame follows: {error:#}");
            }
            if self.unusable <= MAX_UNUSABLE {
                return;
            }
        }
        let now = Instant::now();
        let was_open = self.encoder.is_some();
        let (place, backend) = match &self.encoder {
            Some(open) => (open.place, self.lineup().backend(open.place)),
            None => self.lineup().current(now),
        };
        let reason = if was_open { EncoderFault::reason(error) } else { "open" };
        let label = RestartLabel { encoder: backend.name(), reason };
        self.shared.metrics.encoder_restarts.get_or_create(&label).inc();
        self.close();
        let next = self.lineup().failed(place, was_open, now);
        let first = !mem::replace(&mut self.failing, true);
        match next {
            Next::AgainAtOnce | Next::AgainLater if first => {
                tracing::warn!(codec, encoder = %backend.words(), "video encoder failed, is opened again: {error:#}");
            }
            Next::AgainAtOnce | Next::AgainLater => {}
            Next::Other { rest } => {
                let other = self.lineup().current(now).1.words();
                let words = format!(
                    "{} fails ({error:#}): {other} takes its place, until it is tried again in {} s",
                    backend.words(),
                    rest.as_secs()
                );
                tracing::warn!(codec, encoder = %backend.words(), "video encoder failed, the next one takes its place: {error:#}");
                self.shared.encoder_health(Level::Degraded, words);
                self.backoff = Backoff::default();
            }
        }
        if next == Next::AgainLater {
            self.backoff.failed(now);
        }
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
