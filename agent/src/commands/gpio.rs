//! GPIO chips, their lines and the roles of agent.toml, as `devices` and `check` name them.

use p2pcam_agent::{
    board::gpio::{self, ChipInfo},
    config::{GpioConfig, LineSpec},
};
use serde::Serialize;

/// A GPIO chip.
#[derive(Debug, Serialize)]
pub struct GpioChipRow {
    /// As in `gpiochip0`.
    pub name: String,
    /// As the driver calls it; stands for the chip in agent.toml too.
    pub label: String,
    /// How many it has.
    pub lines: usize,
    /// Those with a name or a user, as in `17  GPIO17, in use by "spi0 CS0"`.
    pub named: Vec<String>,
}

/// A role of `[gpio]` with its line.
#[derive(Debug, Serialize)]
pub struct GpioRoleRow {
    /// As in `status_led`.
    pub role: &'static str,
    /// As written in agent.toml.
    pub line: String,
    /// Where it is.
    pub found: Option<String>,
    /// Or why it cannot be taken.
    pub problem: Option<String>,
}

/// All chips that can be opened.
pub fn chips() -> Vec<GpioChipRow> {
    gpio::list_chips().0.into_iter().map(chip_row).collect()
}

fn chip_row(chip: ChipInfo) -> GpioChipRow {
    let lines = chip.lines.len();
    let named = chip.lines.into_iter().filter_map(|line| {
        let used = line.used_by.map(|by| format!("in use by {by}"));
        let name = (!line.name.is_empty()).then_some(line.name);
        let words: Vec<String> = name.into_iter().chain(used).collect();
        (!words.is_empty()).then(|| format!("{}  {}", line.offset, words.join(", ")))
    });
    GpioChipRow { name: chip.name, label: chip.label, lines, named: named.collect() }
}

/// The roles that agent.toml gives lines to.
pub fn roles(config: &GpioConfig) -> Vec<GpioRoleRow> {
    let roles = [
        ("status_led", &config.status_led),
        ("ir_light", &config.ir_light),
        ("light_sensor", &config.light_sensor),
        ("privacy_switch", &config.privacy_switch),
    ];
    let roles = roles.into_iter().filter_map(|(role, line)| Some((role, line.as_ref()?)));
    let filter = config.ir_cut.iter().map(|line| ("ir_cut", line));
    roles
        .chain(filter)
        .map(|(role, line)| {
            let found = LineSpec::parse(line).map_err(anyhow::Error::msg).and_then(|spec| gpio::find(&spec));
            let (found, problem) = match found {
                Ok(found) => (Some(found.to_string()), None),
                Err(error) => (None, Some(format!("{error:#}"))),
            };
            GpioRoleRow { role, line: line.clone(), found, problem }
        })
        .collect()
}

/// The part of the table for people.
pub fn table(chips: &[GpioChipRow], roles: &[GpioRoleRow]) -> String {
    let mut text = String::from("\nGPIO\n");
    for chip in chips {
        text += &format!("  {} ({})  {} lines\n", chip.name, chip.label, chip.lines);
        for line in &chip.named {
            text += &format!("      {line}\n");
        }
    }
    if chips.is_empty() {
        text += "  none that this user may open\n";
    }
    for role in roles {
        let words = role.found.as_ref().or(role.problem.as_ref());
        text += &format!("  gpio.{} = {:?}: {}\n", role.role, role.line, words.map_or("", String::as_str));
    }
    text
}

#[cfg(test)]
mod tests {
    use p2pcam_agent::board::gpio::LineInfo;

    use super::*;

    #[test]
    fn lines_are_listed_with_their_names_and_users_and_others_are_only_counted() {
        let line = |offset, name: &str, used_by: Option<&str>| LineInfo {
            offset,
            name: name.into(),
            used_by: used_by.map(Into::into),
        };
        let lines = vec![line(0, "", None), line(1, "GPIO1", None), line(2, "", Some("\"led\""))];
        let chip = ChipInfo { name: "gpiochip0".into(), label: "bank".into(), lines };
        let text = table(&[chip_row(chip)], &[]);
        assert_eq!(text, "\nGPIO\n  gpiochip0 (bank)  3 lines\n      1  GPIO1\n      2  in use by \"led\"\n");
    }

    #[test]
    fn a_role_whose_line_is_not_there_says_why() {
        let config = GpioConfig { status_led: Some("no-such-chip:1".into()), ..GpioConfig::default() };
        let rows = roles(&config);
        let problem = rows[0].problem.as_deref().unwrap_or_default();
        assert!(problem.contains("chip"), "{problem}");
        assert!(table(&[], &rows).contains("gpio.status_led = \"no-such-chip:1\": "));
    }
}
