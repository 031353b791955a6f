//! `[gpio]`: the board's lines by their roles.

use std::fmt;

use serde::{Deserialize, Serialize};

/// `[gpio]`. Lines are given as `CHIP:LINE` or by name, see [`LineSpec`]; a role that is left out is not there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GpioConfig {
    /// Output: an LED that shows how the agent does (docs/gpio.md has the patterns).
    pub status_led: Option<String>,
    /// Output: the infrared filter before the sensor. One line: active while the filter is in place (day). Two
    /// lines, of an H-bridge: a pulse on the first puts the filter in place, one on the second takes it away.
    pub ir_cut: Vec<String>,
    /// Length of these pulses in milliseconds, 10 to 1000.
    pub ir_cut_pulse_ms: u64,
    /// Output: the infrared light, active at night.
    pub ir_light: Option<String>,
    /// Input: active while there is light.
    pub light_sensor: Option<String>,
    /// Whether filter and light are switched for the night.
    pub night: NightMode,
    /// Input: while it is active, and while it cannot be read, camera and microphone are closed.
    pub privacy_switch: Option<String>,
    /// How long an input must be still before it counts, in milliseconds, 0 to 1000.
    pub debounce_ms: u64,
}

/// `gpio.night`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NightMode {
    /// Always day: filter in place, light off.
    #[default]
    Off,
    /// Always night: filter away, light on.
    On,
    /// As `light_sensor` says.
    Sensor,
}

impl Default for GpioConfig {
    fn default() -> Self {
        Self {
            status_led: None,
            ir_cut: Vec::new(),
            // Coils of small IR-cut modules are specified for 50 to 150 ms and overheat when driven for long.
            ir_cut_pulse_ms: 100,
            ir_light: None,
            light_sensor: None,
            night: NightMode::Off,
            privacy_switch: None,
            // Mechanical switches bounce for up to some 10 ms.
            debounce_ms: 30,
        }
    }
}

/// Where a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinePlace {
    /// `CHIP:LINE`: a chip by its node (`gpiochip0`) or label (`pinctrl-bcm2835`), and an offset on it.
    Offset(String, u32),
    /// By the name that the device tree gives it, as in `GPIO17`.
    Name(String),
}

/// The resistor at an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// Towards the supply.
    PullUp,
    /// Towards ground.
    PullDown,
    /// None.
    Disabled,
}

/// One line of the board in the words of agent.toml: `gpiochip0:17 active-low pull-up`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineSpec {
    /// Where it is.
    pub place: LinePlace,
    /// Low voltage is active.
    pub active_low: bool,
    /// None: as the board has it.
    pub bias: Option<Bias>,
}

impl LineSpec {
    /// Reads the text of a key; the error says what to give.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let place = words.next().ok_or("give CHIP:LINE or a line's name, as in gpiochip0:17 or GPIO17")?;
        let place = match place.rsplit_once(':') {
            Some((chip, offset)) if !chip.is_empty() => match offset.parse() {
                Ok(offset) => LinePlace::Offset(chip.trim_start_matches("/dev/").into(), offset),
                Err(_) => return Err(format!("give a number behind {chip}:, as in {chip}:17")),
            },
            Some(_) => return Err("give the chip before the colon, as in gpiochip0:17".into()),
            None => LinePlace::Name(place.into()),
        };
        let mut spec = Self { place, active_low: false, bias: None };
        for word in words {
            match word {
                "active-low" => spec.active_low = true,
                "active-high" => spec.active_low = false,
                "pull-up" => spec.bias = Some(Bias::PullUp),
                "pull-down" => spec.bias = Some(Bias::PullDown),
                "no-pull" => spec.bias = Some(Bias::Disabled),
                _ => {
                    return Err(format!(
                        "`{word}` is not known behind a line: give active-low, pull-up, pull-down or no-pull"
                    ));
                }
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for LineSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            LinePlace::Offset(chip, offset) => write!(f, "{chip}:{offset}"),
            LinePlace::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_given_by_chip_and_number_or_by_name() {
        let spec = LineSpec::parse(" gpiochip0:17  active-low pull-up ").unwrap();
        assert_eq!(spec.place, LinePlace::Offset("gpiochip0".into(), 17));
        assert_eq!((spec.active_low, spec.bias), (true, Some(Bias::PullUp)));
        assert_eq!(spec.to_string(), "gpiochip0:17");
        let spec = LineSpec::parse("GPIO17").unwrap();
        assert_eq!(spec, LineSpec { place: LinePlace::Name("GPIO17".into()), active_low: false, bias: None });
        let by_label = LineSpec::parse("gpio-sim.0-bank:3").unwrap().place;
        assert_eq!(by_label, LinePlace::Offset("gpio-sim.0-bank".into(), 3));
    }

    #[test]
    fn what_is_no_line_is_refused_with_an_example() {
        for (text, advice) in [
            ("", "gpiochip0:17"),
            (":17", "gpiochip0:17"),
            ("gpiochip0:led", "gpiochip0:17"),
            ("gpiochip0:17 inverted", "active-low"),
        ] {
            let error = LineSpec::parse(text).unwrap_err();
            assert!(error.contains(advice), "{text}: {error}");
        }
    }
}
