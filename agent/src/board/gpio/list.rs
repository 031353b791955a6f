//! What lines the board has, for `p2pcam-agent devices` and for words about a line that is not there.

use std::path::PathBuf;

use anyhow::{Context, ensure};

use super::line;

/// A chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChipInfo {
    /// As in `gpiochip0`.
    pub name: String,
    /// As the driver calls it.
    pub label: String,
    /// Its lines in the order of their offsets.
    pub lines: Vec<LineInfo>,
}

/// A line of a chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineInfo {
    /// On the chip.
    pub offset: u32,
    /// As the device tree calls it; may be empty.
    pub name: String,
    /// Who uses it.
    pub used_by: Option<String>,
}

/// The nodes of all chips, in the order of their numbers; an error if there are none.
pub fn chip_paths() -> anyhow::Result<Vec<PathBuf>> {
    let chips = gpiocdev::chip::chips().context("/dev cannot be searched for GPIO chips")?;
    ensure!(
        !chips.is_empty(),
        "this board has no GPIO chip: is its driver loaded (/dev/gpiochip0 is missing)?"
    );
    Ok(chips)
}

/// All chips that this user may open, and why others were left out.
pub fn list_chips() -> (Vec<ChipInfo>, Vec<String>) {
    let (mut chips, mut refused) = (Vec::new(), Vec::new());
    for path in chip_paths().unwrap_or_default() {
        let asked = line::open(&path).and_then(|chip| {
            let info = chip.info()?;
            let lines = chip.line_info_iter()?.map(|line| {
                line.map(|line| LineInfo {
                    offset: line.offset,
                    used_by: line::used_by(&line),
                    name: line.name,
                })
            });
            Ok(ChipInfo { name: chip.name(), label: info.label, lines: lines.collect::<Result<_, _>>()? })
        });
        match asked {
            Ok(chip) => chips.push(chip),
            Err(error) => refused.push(format!("{error:#}")),
        }
    }
    (chips, refused)
}
