//! What a board has besides media: GPIO lines, watchdog, temperature, and word of devices that come and go.

pub mod hotplug;
