//! What a board has besides media: GPIO lines, watchdog, temperature, and word of devices that come and go.

pub(crate) mod backoff;
pub mod gpio;
pub mod hotplug;
mod privacy;
mod viewers;

pub use self::{
    gpio::Gpio,
    hotplug::Hotplug,
    privacy::Privacy,
    viewers::{Viewer, Viewers},
};
use crate::telemetry::health::Health;

/// What the parts above need of the board and tell it. The default has no word of devices and no privacy switch.
#[derive(Clone, Default)]
pub struct Board {
    /// Word of devices that come and go, where the kernel gives it.
    pub hotplug: Option<Hotplug>,
    /// Whether camera and microphone must stay closed.
    pub privacy: Privacy,
    /// How the parts do.
    pub health: Health,
    /// Who watches.
    pub viewers: Viewers,
}
