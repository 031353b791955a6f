//! Tells what the policy decided: in metrics, and in the log once for each change.

use super::{
    VideoCodec,
    channel::{Changes, Channel},
    metrics::{RateMetrics, RenditionLabel, SeatLabel},
    rate::{Rendition, Seat, Share, Target},
};

/// See the module.
pub struct RateReport<'a> {
    /// Whose viewers it is about.
    pub codec: VideoCodec,
    /// Where it is counted.
    pub metrics: &'a RateMetrics,
}

impl RateReport<'_> {
    /// What is not as before.
    pub fn changed(&self, Changes { before, after }: &Changes) {
        if before == after {
            return;
        }
        for rendition in Rendition::ALL {
            self.rendition(rendition, before.target(rendition), after.target(rendition));
        }
        for (id, seat) in &after.seats {
            if let Some(was) = before.seat(*id).filter(|was| was != seat) {
                self.metrics.moves.get_or_create(&self.codec.into()).inc();
                self.moved(*id, was, *seat);
            }
        }
        for id in after.starved.iter().filter(|id| !before.starved.contains(id)) {
            tracing::warn!(
                codec = self.codec.label(),
                viewer = id,
                "a viewer's path does not even carry key frames within {} s each: its picture stands still",
                super::rate::Policy::SLOWEST_KEYFRAME.as_secs()
            );
        }
        let starved = self.metrics.starved.get_or_create(&self.codec.into());
        starved.set(i64::try_from(after.starved.len()).unwrap_or(i64::MAX));
    }

    fn rendition(&self, rendition: Rendition, before: Option<Target>, after: Option<Target>) {
        let codec = self.codec.label();
        let rendition_label = rendition.label();
        let shape = |target: Option<Target>| target.map(|target| target.shape);
        match (shape(before), shape(after)) {
            (Some(was), Some(is)) if was != is => {
                self.metrics.steps.get_or_create(&RenditionLabel::new(self.codec, rendition)).inc();
                tracing::info!(
                    codec,
                    rendition = rendition_label,
                    "pictures are {}x{} at {} fps from now on",
                    is.width,
                    is.height,
                    is.fps
                );
            }
            (None, Some(is)) if rendition == Rendition::Sub => tracing::info!(
                codec,
                "a sub rendition of {}x{} at {} fps is made for viewers with slow paths",
                is.width,
                is.height,
                is.fps
            ),
            (Some(_), None) if rendition == Rendition::Sub => {
                tracing::info!(codec, "nobody needs the sub rendition any more");
            }
            _ => {}
        }
    }

    fn moved(&self, viewer: u64, was: Seat, is: Seat) {
        tracing::info!(
            codec = self.codec.label(),
            viewer,
            "a viewer gets {} of the {} rendition, no longer {} of the {} one",
            words(is.share),
            is.rendition.label(),
            words(was.share),
            was.rendition.label()
        );
    }

    /// The figures of now.
    pub fn count(&self, channel: &Channel) {
        for rendition in Rendition::ALL {
            self.metrics.tell(self.codec, rendition, channel.target(rendition));
            for share in Share::ALL {
                let count = channel.seats().filter(|seat| *seat == Seat { rendition, share }).count();
                let gauge = self.metrics.seats.get_or_create(&SeatLabel::new(self.codec, rendition, share));
                gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
    }
}

fn words(share: Share) -> &'static str {
    match share {
        Share::Whole => "all pictures",
        Share::Thinned => "every second picture",
        Share::Keyframes => "the key frames",
    }
}
