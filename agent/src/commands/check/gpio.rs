//! Whether the lines of `[gpio]` are there, and may be taken by this user.

use p2pcam_agent::config::GpioConfig;

use super::finding::Finding;
use crate::commands::gpio::roles;

/// A finding for each role. A running agent holds its own lines, which is as it should be.
pub fn all(config: &GpioConfig) -> Vec<Finding> {
    roles(config)
        .into_iter()
        .map(|row| {
            let what = format!("gpio.{}", row.role);
            let Some(problem) = row.problem else {
                return Finding::ok(what, row.found.unwrap_or_default());
            };
            if problem.contains("in use by \"p2pcam-agent\"") {
                return Finding::ok(what, format!("{}: a running agent holds it", row.line));
            }
            let advice = "`p2pcam-agent devices` lists chips and lines";
            if row.role == "privacy_switch" {
                let problem = format!("{problem}; camera and microphone stay closed without it");
                return Finding::fail(what, problem, advice);
            }
            Finding::warn(what, problem, advice)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    #[test]
    fn a_missing_privacy_switch_keeps_viewers_from_a_picture_and_a_missing_led_does_not() {
        assert_eq!(all(&GpioConfig::default()), []);
        let config = GpioConfig {
            status_led: Some("none:1".into()),
            privacy_switch: Some("none:2".into()),
            ..GpioConfig::default()
        };
        let levels: Vec<_> = all(&config).iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Warn, Level::Fail]);
    }
}
