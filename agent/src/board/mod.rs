//! What a board has besides media: GPIO lines, watchdog, temperature, and word of devices that come and go.

pub mod hotplug;
mod privacy;

pub use self::{hotplug::Hotplug, privacy::Privacy};

/// What picture and sound need of the board. The default has no word of devices and no privacy switch.
#[derive(Clone, Default)]
pub struct Board {
    /// Word of devices that come and go, where the kernel gives it.
    pub hotplug: Option<Hotplug>,
    /// Whether camera and microphone must stay closed.
    pub privacy: Privacy,
}
