//! The sound: one capture and one encode per codec shared by all viewers, and talk-back.

mod card;
mod card_metrics;
mod cards;
mod clock;
pub mod codec;
mod dsp;
mod metrics;
mod pace;
mod pipeline;
mod reopening;
mod report;
pub mod sink;
pub mod source;
mod spec;
pub mod talk;
mod types;
mod words;

pub use self::card::{forbidden, try_open};
pub use self::card_metrics::CardMetrics;
pub use self::cards::{SoundCardInfo, list_sound_cards};
pub use self::metrics::{AudioMetrics, TalkMetrics};
pub use self::pipeline::{AudioPipeline, AudioSubscription};
pub use self::report::CardReport;
pub use self::spec::{AudioSinkSpec, AudioSourceSpec};
pub use self::talk::{TalkBack, TalkPacket, Talker};
pub use types::*;
