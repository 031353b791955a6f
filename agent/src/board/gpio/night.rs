//! When it is night: by configuration, or by a light sensor that must be sure.

use std::time::{Duration, Instant};

use crate::config::NightMode;

/// How long the sensor must say the same before filter and light are switched. A car's headlights pass sooner, and
/// an infrared light that shines on the sensor makes it change its mind at most this often.
const SURE: Duration = Duration::from_secs(5);

/// Day or night. Time is given, so that it can be tested.
#[derive(Debug)]
pub struct Night {
    mode: NightMode,
    night: bool,
    /// What the sensor says otherwise, and since when.
    doubt_since: Option<Instant>,
    /// The sensor has been heard: its first word counts at once.
    heard: bool,
}

impl Night {
    /// Day, unless it is always night.
    pub fn new(mode: NightMode) -> Self {
        Self { mode, night: mode == NightMode::On, doubt_since: None, heard: false }
    }

    /// Whether it is night; `light` is what the sensor says, None if it cannot be read: then all stays as it is.
    /// Also when to ask again at the latest.
    pub fn step(&mut self, light: Option<bool>, now: Instant) -> (bool, Option<Instant>) {
        let (NightMode::Sensor, Some(light)) = (self.mode, light) else { return (self.night, None) };
        if light != self.night {
            self.doubt_since = None;
            self.heard = true;
            return (self.night, None);
        }
        let since = *self.doubt_since.get_or_insert(now);
        if self.heard && now < since + SURE {
            return (self.night, Some(since + SURE));
        }
        self.night = !light;
        self.doubt_since = None;
        self.heard = true;
        (self.night, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_configuration_no_sensor_is_asked() {
        let now = Instant::now();
        assert_eq!(Night::new(NightMode::Off).step(Some(false), now), (false, None));
        assert_eq!(Night::new(NightMode::On).step(Some(true), now), (true, None));
    }

    #[test]
    fn the_sensors_first_word_counts_at_once_and_later_ones_after_five_seconds() {
        let (mut night, start) = (Night::new(NightMode::Sensor), Instant::now());
        let mut at = |light, ms| night.step(light, start + Duration::from_millis(ms)).0;
        assert!(at(Some(false), 0), "dark at the start");
        assert!(at(Some(true), 1000), "a car passes");
        assert!(at(Some(false), 3000));
        assert!(at(Some(true), 10_000), "the sun rises");
        assert!(at(Some(true), 14_999));
        assert!(!at(Some(true), 15_000));
        assert!(!at(None, 60_000), "a sensor that is lost changes nothing");
    }

    #[test]
    fn it_says_when_to_ask_again() {
        let (mut night, start) = (Night::new(NightMode::Sensor), Instant::now());
        assert_eq!(night.step(Some(true), start), (false, None));
        assert_eq!(night.step(Some(false), start), (false, Some(start + SURE)));
    }
}
