//! A line of the board: where it is, and what can be done with it, whichever library does it.

use std::{fmt, fs, os::fd::BorrowedFd, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use gpiocdev::{chip::Chip, line::Info};

use super::{cdev, list, pi};
use crate::config::{LinePlace, LineSpec};

/// An output. Released when it is dropped.
pub trait Output: Send {
    /// Makes it active or inactive.
    fn set(&mut self, active: bool) -> anyhow::Result<()>;
}

/// An input. Released when it is dropped.
pub trait Input: Send {
    /// Readable, or in error, when the line may have changed.
    fn fd(&self) -> BorrowedFd<'_>;
    /// Whether it is active now; takes what made [`Self::fd`] readable.
    fn active(&mut self) -> anyhow::Result<bool>;
}

/// A line that was found, and is nobody else's.
#[derive(Clone, Debug)]
pub struct Found {
    /// As in `/dev/gpiochip0`.
    pub chip: PathBuf,
    /// As the driver calls the chip.
    pub label: String,
    /// On the chip.
    pub offset: u32,
    /// What agent.toml says of it.
    pub spec: LineSpec,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (chip, Self { label, offset, .. }) = (self.chip.display(), self);
        write!(f, "line {offset} of {chip} ({label})")
    }
}

/// Looks for a line. The error says what there is instead, or what to do.
pub fn find(spec: &LineSpec) -> anyhow::Result<Found> {
    let chips = list::chip_paths()?;
    let (mut known, mut refused) = (Vec::new(), None);
    for path in chips {
        let chip = match open(&path) {
            Ok(chip) => chip,
            Err(error) => {
                refused.get_or_insert(error);
                continue;
            }
        };
        let info =
            chip.info().with_context(|| format!("{} cannot be asked for its lines", path.display()))?;
        let offset = match &spec.place {
            LinePlace::Offset(name, offset) if *name == chip.name() || *name == info.label => {
                if *offset >= info.num_lines {
                    let last = info.num_lines.saturating_sub(1);
                    bail!("{spec}: {name} has the lines 0 to {last}");
                }
                Some(*offset)
            }
            LinePlace::Offset(..) => None,
            LinePlace::Name(name) => chip.find_line_info(name).map(|line| line.offset),
        };
        let Some(offset) = offset else {
            known.push(format!("{} ({})", chip.name(), info.label));
            continue;
        };
        let line = chip.line_info(offset).with_context(|| format!("{spec} cannot be looked at"))?;
        if let Some(by) = used_by(&line) {
            bail!("{spec} is in use by {by}: choose another line, or end what uses it");
        }
        return Ok(Found { chip: path, label: info.label, offset, spec: spec.clone() });
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    bail!(
        "{spec} is not there: this board has {}; `p2pcam-agent devices` lists their lines",
        known.join(", ")
    );
}

/// Who uses a line, if anybody does.
pub fn used_by(line: &Info) -> Option<String> {
    line.used
        .then(|| if line.consumer.is_empty() { "the kernel".into() } else { format!("{:?}", line.consumer) })
}

/// Opens a chip; a refusal names the group.
pub fn open(path: &PathBuf) -> anyhow::Result<Chip> {
    // The library would hide the kind of error.
    if let Err(error) = fs::File::open(path)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        bail!(
            "{} may not be opened by this user: add it to the group gpio, then start again",
            path.display()
        );
    }
    Chip::from_path(path).with_context(|| format!("{} cannot be opened", path.display()))
}

/// Takes a line as an output.
pub fn output(spec: &LineSpec, active: bool) -> anyhow::Result<Box<dyn Output>> {
    let found = find(spec)?;
    if let Some(gpio) = pi::gpio(&found) {
        return Ok(Box::new(pi::PiOutput::take(&gpio, &found, active)?));
    }
    Ok(Box::new(cdev::CdevOutput::take(&found, active)?))
}

/// Takes a line as an input that is heard when it has been still for `debounce`.
pub fn input(spec: &LineSpec, debounce: Duration) -> anyhow::Result<Box<dyn Input>> {
    let found = find(spec)?;
    if let Some(gpio) = pi::gpio(&found) {
        return Ok(Box::new(pi::PiInput::take(&gpio, &found, debounce)?));
    }
    Ok(Box::new(cdev::CdevInput::take(&found, debounce)?))
}
