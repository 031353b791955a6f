//! What a board has besides media: GPIO lines, watchdog, temperature.
