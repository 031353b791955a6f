//! From the rates of the viewers' paths to what the encoders do: see `docs/adaptation.md`.
//!
//! Pure: time is an argument, nothing is read, sent or logged here. Knows neither pictures nor encoders, only their
//! figures.

mod ladder;
mod lasting;
mod policy;
mod seating;
mod steady;

pub use ladder::Ladder;
pub use policy::Policy;

use std::time::Instant;

use super::Bitrate;

/// An encode of the source that viewers share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rendition {
    /// For most viewers.
    Main,
    /// For those whose paths carry much less than the others'.
    Sub,
}

impl Rendition {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Main, Self::Sub];

    /// As in metrics and logs: "main", "sub".
    pub fn label(self) -> &'static str {
        match self {
            Self::Main => "main",
            Self::Sub => "sub",
        }
    }
}

/// Which pictures of a rendition a viewer gets. What comes later is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// All of them.
    Whole,
    /// Those that others refer to: every second one of an encoder with two temporal layers.
    Thinned,
    /// Key frames only.
    Keyframes,
}

impl Share {
    /// All.
    pub const ALL: [Self; 3] = [Self::Whole, Self::Thinned, Self::Keyframes];

    /// As in metrics and logs: "whole", "thinned", "keyframes".
    pub fn label(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Thinned => "thinned",
            Self::Keyframes => "keyframes",
        }
    }
}

/// What a viewer gets. What comes later is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    /// Of which encode.
    pub rendition: Rendition,
    /// Which pictures.
    pub share: Share,
}

impl Seat {
    /// All pictures of the main rendition.
    pub const BEST: Self = Self { rendition: Rendition::Main, share: Share::Whole };
}

/// Size and frame rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Width in pixels, even.
    pub width: u32,
    /// Height in pixels, even.
    pub height: u32,
    /// Pictures a second, 1 to 120.
    pub fps: u32,
}

impl Shape {
    /// Pixels a second.
    pub fn pixel_rate(self) -> u64 {
        u64::from(self.width) * u64::from(self.height) * u64::from(self.fps)
    }
}

/// The lowest rate that an encoder really holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// At any size.
    pub least: Bitrate,
    /// Hundredths of a bit for each pixel of each picture.
    pub centibits_per_pixel: u32,
}

impl Floor {
    /// The lowest rate at this size and frame rate.
    pub fn at(self, shape: Shape) -> Bitrate {
        let needed = shape.pixel_rate().saturating_mul(self.centibits_per_pixel.into()) / 100;
        self.least.max(bits(needed))
    }
}

/// What a rendition's encoder can, or the camera that encodes in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ability {
    /// The lowest rate that it holds.
    pub floor: Floor,
    /// Some of its pictures can be left out without harm, or will be as soon as that is asked for.
    pub layers: bool,
    /// The stream comes encoded from the source at this rate, and cannot be changed.
    pub passed: Option<Bitrate>,
    /// Bits of its last key frame; 0 if there was none yet.
    pub keyframe_bits: u64,
    /// Sides of scaled pictures are multiples of this: 2, or 16 where the hardware wants whole macroblocks.
    pub align: u32,
}

/// A viewer as the policy sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watcher {
    /// Its name, the same as long as it watches.
    pub id: u64,
    /// When it came.
    pub since: Instant,
    /// What its path carries for pictures; `None` before anything is known of it.
    pub estimate: Option<Bitrate>,
}

/// What does not change while the pipeline lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// False: everybody gets everything at [`Self::max`], whatever the paths carry.
    pub adapt: bool,
    /// A second, smaller encode may be made.
    pub sub: bool,
    /// The configured rate: never more is aimed at.
    pub max: Bitrate,
    /// The main rendition does not go below this for its slowest viewer.
    pub min: Bitrate,
}

/// What the policy decides on.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// All viewers of one codec.
    pub watchers: &'a [Watcher],
    /// The source's size and rate.
    pub source: Shape,
    /// The main rendition.
    pub main: Ability,
    /// The sub rendition, if it can be had.
    pub sub: Option<Ability>,
}

/// What an encoder is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The rate to aim at.
    pub bitrate: Bitrate,
    /// Size and frame rate.
    pub shape: Shape,
    /// Whether pictures are to be scaled, that is whether the size is not the source's.
    pub scaled: bool,
    /// Every second picture is to be one that none refers to.
    pub layered: bool,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What the main encoder does; `None` if nobody is to watch it.
    pub main: Option<Target>,
    /// What the sub encoder does; `None` if nobody is to watch it.
    pub sub: Option<Target>,
    /// What each viewer gets, by its name, in ascending order.
    pub seats: Vec<(u64, Seat)>,
    /// Viewers whose paths do not even carry key frames: one would take longer than [`Policy::SLOWEST_KEYFRAME`].
    pub starved: Vec<u64>,
}

impl Plan {
    /// What an encoder is to do.
    pub fn target(&self, rendition: Rendition) -> Option<Target> {
        match rendition {
            Rendition::Main => self.main,
            Rendition::Sub => self.sub,
        }
    }

    /// What a viewer gets.
    pub fn seat(&self, id: u64) -> Option<Seat> {
        let at = self.seats.binary_search_by_key(&id, |(id, _)| *id).ok()?;
        self.seats.get(at).map(|(_, seat)| *seat)
    }
}

fn bits(value: u64) -> Bitrate {
    Bitrate(u32::try_from(value).unwrap_or(u32::MAX))
}
