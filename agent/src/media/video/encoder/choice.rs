//! Which encoder makes the H.264, and why. What the machine has is looked up once, when the agent starts.

use std::sync::Arc;

use super::{Backend, BoardModel, Lineup, Software};
use crate::{
    config::{VideoConfig, VideoEncoderSpec},
    media::video::{PixelFormat, VideoCodec},
};

/// What there is to choose from.
#[derive(Clone, Debug)]
pub struct Found {
    /// Rockchip MPP, or why it cannot be had.
    pub mpp: Result<Arc<dyn Backend>, String>,
    /// The V4L2 encoders, at least one, or why there is none.
    pub m2m: Result<Vec<Arc<dyn Backend>>, String>,
    /// Whether OpenH264 is built in, or why not.
    pub software: Result<(), String>,
    /// What is known of the board.
    pub board: Option<&'static BoardModel>,
}

/// The ways to H.264.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Rockchip MPP.
    Mpp,
    /// A V4L2 mem-to-mem encoder.
    M2m,
    /// The camera encodes.
    PassThrough,
    /// Software.
    OpenH264,
}

impl Way {
    fn label(self) -> &'static str {
        match self {
            Self::Mpp => "mpp",
            Self::M2m => "m2m",
            Self::PassThrough => "pass-through",
            Self::OpenH264 => "openh264",
        }
    }
}

/// A way that was looked at.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Which one.
    pub way: Way,
    /// How to open it; none for the camera's own H.264, and for what cannot be had.
    pub backend: Option<Arc<dyn Backend>>,
    /// Why it cannot be had, or is not taken.
    pub why_not: Option<String>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Choice {
    spec: VideoEncoderSpec,
    /// In the order in which they are used; what is not used at all comes last.
    offers: Vec<Offer>,
    board: Option<&'static BoardModel>,
}

impl Choice {
    /// Looks up what the machine has and decides.
    pub fn probe(spec: &VideoEncoderSpec) -> Self {
        Self::decide(spec, Found::here(spec))
    }

    /// The order of `auto`: what is in hardware and follows bit rate and key frame requests; then the camera's own
    /// H.264, which costs nothing but follows neither; then software. Whoever names one in `video.encoder` gets it
    /// if it can be had, and software if not: a picture is better than none.
    pub fn decide(spec: &VideoEncoderSpec, found: Found) -> Self {
        use Way::{M2m, Mpp, OpenH264, PassThrough};
        let order: &[Way] = match spec {
            VideoEncoderSpec::Auto => &[Mpp, M2m, PassThrough, OpenH264],
            VideoEncoderSpec::Mpp => &[Mpp, OpenH264],
            VideoEncoderSpec::M2m(_) => &[M2m, OpenH264],
            // For what comes raw, such as the still that says "NO SIGNAL".
            VideoEncoderSpec::PassThrough => &[PassThrough, Mpp, M2m, OpenH264],
            VideoEncoderSpec::OpenH264 => &[OpenH264],
        };
        let missing = |way, why: String| vec![Offer { way, backend: None, why_not: Some(why) }];
        let present = |way, backend| Offer { way, backend: Some(backend), why_not: None };
        let offers_of = |way: Way| match way {
            Mpp => match &found.mpp {
                Ok(backend) => vec![present(way, backend.clone())],
                Err(why) => missing(way, why.clone()),
            },
            M2m => match &found.m2m {
                Ok(backends) => backends.iter().map(|backend| present(way, backend.clone())).collect(),
                Err(why) => missing(way, why.clone()),
            },
            PassThrough => vec![Offer { way, backend: None, why_not: None }],
            OpenH264 => match &found.software {
                Ok(()) => vec![present(way, Arc::new(Software(VideoCodec::H264)))],
                Err(why) => missing(way, why.clone()),
            },
        };
        let mut offers: Vec<_> = order.iter().flat_map(|way| offers_of(*way)).collect();
        for way in [Mpp, M2m, PassThrough, OpenH264] {
            if !order.contains(&way) {
                let not_named = |offer: Offer| Offer {
                    backend: None,
                    why_not: offer.why_not.or(Some(format!("video.encoder is {spec}"))),
                    ..offer
                };
                offers.extend(offers_of(way).into_iter().map(not_named));
            }
        }
        Self { spec: spec.clone(), offers, board: found.board }
    }

    /// The encoders to use one after the other. Software comes last, whatever is named.
    pub fn lineup(&self) -> Lineup {
        let mut backends: Vec<_> = self.offers.iter().filter_map(|offer| offer.backend.clone()).collect();
        let first =
            if backends.is_empty() { Arc::new(Software(VideoCodec::H264)) } else { backends.remove(0) };
        Lineup::new(first, backends)
    }

    /// In which order a camera's formats are taken when size and rate are equal: what the encoder reads from the
    /// camera's buffers without a copy, then what is cheap to convert. The camera's own H.264 stands where this
    /// choice puts it.
    pub fn formats(&self) -> Vec<PixelFormat> {
        let taken = match self.first_backend() {
            Some(backend) => backend.inputs(),
            None => Vec::new(),
        };
        let raw = PixelFormat::ALL.into_iter().filter(|format| format.is_raw());
        let direct = raw.clone().filter(|format| taken.contains(format));
        let converted = raw.filter(|format| !taken.contains(format));
        let own = [PixelFormat::H264].into_iter();
        let jpeg = [PixelFormat::Mjpeg].into_iter();
        if self.camera_first() {
            return own.chain(direct).chain(converted).chain(jpeg).collect();
        }
        match self.spec {
            // Whoever insists on software gets it also from a camera that encodes, if it gives anything else.
            VideoEncoderSpec::OpenH264 => direct.chain(converted).chain(jpeg).chain(own).collect(),
            // Rather than decode or convert on the CPU for the encoder's sake.
            _ => direct.chain(own).chain(converted).chain(jpeg).collect(),
        }
    }

    /// The first that can be opened, and what is used for pictures that come raw.
    fn first_backend(&self) -> Option<&Arc<dyn Backend>> {
        self.offers.iter().find_map(|offer| offer.backend.as_ref())
    }

    /// Whether the camera's own H.264 comes before every encoder that there is.
    fn camera_first(&self) -> bool {
        let usable = |offer: &&Offer| offer.why_not.is_none();
        self.offers.iter().find(usable).is_some_and(|offer| offer.way == Way::PassThrough)
    }

    /// The place of what is in effect in [`Self::offers`], if the source gives H.264 (`encoded`) or raw pictures. None if
    /// nothing can be had, as in a build without software encoders.
    fn chosen(&self, encoded: bool) -> Option<usize> {
        let is_it = |offer: &Offer| match encoded {
            true => offer.way == Way::PassThrough,
            false => offer.backend.is_some(),
        };
        self.offers.iter().position(is_it)
    }

    /// All ways, each with whether it is the one in effect and why, or why not; the one in effect first.
    pub fn verdicts(&self, encoded: bool) -> Vec<(Offer, bool, String)> {
        let chosen = self.chosen(encoded);
        let mut verdicts: Vec<_> = self
            .offers
            .iter()
            .enumerate()
            .map(|(place, offer)| match Some(place) == chosen {
                true => (offer.clone(), true, self.because(offer, encoded)),
                false => (offer.clone(), false, self.why_not(offer, encoded)),
            })
            .collect();
        verdicts.sort_by_key(|(_, chosen, _)| !chosen);
        verdicts
    }

    fn because(&self, offer: &Offer, encoded: bool) -> String {
        if encoded {
            return match self.camera_first() {
                true if self.spec == VideoEncoderSpec::PassThrough => "video.encoder names it".into(),
                true => "the source gives H.264 and there is no encoder in hardware".into(),
                false => "the source gives H.264 and nothing better at this size and rate".into(),
            };
        }
        let named = match self.spec {
            VideoEncoderSpec::Auto => None,
            VideoEncoderSpec::Mpp => Some(Way::Mpp),
            VideoEncoderSpec::M2m(_) => Some(Way::M2m),
            VideoEncoderSpec::PassThrough => Some(Way::PassThrough),
            VideoEncoderSpec::OpenH264 => Some(Way::OpenH264),
        };
        match (named, offer.way) {
            (Some(named), way) if named == way => "video.encoder names it".into(),
            (Some(Way::PassThrough), _) | (None, Way::OpenH264) => "nothing before it can be had".into(),
            (Some(named), _) => format!("{}, which video.encoder names, cannot be had", named.label()),
            (None, _) => "it is the first in hardware".into(),
        }
    }

    fn why_not(&self, offer: &Offer, encoded: bool) -> String {
        match (&offer.why_not, offer.way) {
            (Some(why), _) => why.clone(),
            (None, Way::PassThrough) if !encoded && self.camera_first() => {
                "the source gives raw pictures".into()
            }
            (None, Way::PassThrough) => {
                "an encoder on the board follows bit rate and key frame requests, a camera's own does not"
                    .into()
            }
            (None, _) if encoded => "for raw pictures".into(),
            (None, _) => "stands in if those before it fail".into(),
        }
    }

    /// One line for the log: what is in effect and why, and why nothing that comes before it.
    pub fn line(&self, encoded: bool) -> String {
        let verdicts = self.verdicts(encoded);
        let mut line = String::from("video encoder: ");
        if !verdicts.iter().any(|(_, chosen, _)| *chosen) {
            line += "none";
        }
        for (offer, chosen, why) in &verdicts {
            let words = offer.words();
            if *chosen {
                line += &format!("{words} because {why}");
            } else if offer.backend.is_none() {
                line += &format!("; not {words}: {why}");
            }
        }
        line
    }

    /// The configuration with the picture that software can hold on this board, and words for the log, if raw
    /// pictures are encoded in software and the configured one is too much. Whoever insists on software by name, or on
    /// the camera's own H.264, is only warned.
    pub fn limited(&self, config: &VideoConfig) -> Option<(VideoConfig, String)> {
        let software =
            self.first_backend().is_none_or(|backend| backend.kind() == super::EncoderKind::Software);
        let board = self.board.filter(|_| software && !config.source.starts_with("file:"))?;
        let ((width, height), fps) = board.limited((config.width, config.height), config.fps)?;
        let &VideoConfig { width: w, height: h, fps: f, .. } = config;
        let model = board.model;
        let too_much = format!(
            "{w}x{h} at {f} fps is more than software encoding holds on a {model} ({})",
            board.reason
        );
        if matches!(self.spec, VideoEncoderSpec::OpenH264 | VideoEncoderSpec::PassThrough) {
            let words =
                format!("{too_much}: pictures will be left out; {width}x{height} at {fps} fps should do");
            return Some((config.clone(), words));
        }
        let words = format!(
            "{too_much}: {width}x{height} at {fps} fps is taken; set video.encoder to \"openh264\" to insist"
        );
        Some((VideoConfig { width, height, fps, ..config.clone() }, words))
    }
}

impl Offer {
    /// For people: which encoder it is.
    pub fn words(&self) -> String {
        match &self.backend {
            Some(backend) => backend.words(),
            None => self.way.label().into(),
        }
    }
}

#[cfg(test)]
#[path = "choice_tests.rs"]
mod tests;
