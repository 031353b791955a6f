//! `p2pcam-hil hold`: a scenario's network, held for programs of somebody else's until standard input ends.
//!
//! Prints one line of JSON when it stands: namespaces and IPv4 addresses of device and viewer. Each line of standard input
//! then sets the device's line: `{"up": LINE, "down": LINE}`, where a LINE is `{"delay_ms": 20, "loss": 0.01, "rate_kbps":
//! 3000, "queue_ms": 200}` and what is left out is as on a perfect line.

use std::{
    io::{self, BufRead},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, ensure};
use p2pcam_hil::{
    lab::{
        DeviceHost, Lab,
        wire::{Faults, Loss},
    },
    scenario::plan::SideName,
};
use serde::Deserialize;
use serde_json::json;

use super::{files, stop::end_when_asked};

/// Longest delay or queue that is taken: more is a mistake in the unit.
const LONGEST_MS: u64 = 10_000;

/// `hold`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scenario; its events and viewers are left out.
    scenario: PathBuf,
}

/// Both directions of the device's line.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Lines {
    up: Line,
    down: Line,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Line {
    delay_ms: u64,
    loss: f64,
    rate_kbps: Option<u64>,
    queue_ms: Option<u64>,
}

impl Line {
    fn faults(&self) -> anyhow::Result<Faults> {
        ensure!((0.0..=1.0).contains(&self.loss), "loss is a part of the packets, 0 to 1, not {}", self.loss);
        let longest = self.delay_ms.max(self.queue_ms.unwrap_or(0));
        ensure!(longest <= LONGEST_MS, "{longest} ms: at most {LONGEST_MS}");
        ensure!(self.rate_kbps != Some(0), "rate_kbps is 1 or more; leave it out for any");
        let standard = Faults::default();
        Ok(Faults {
            delay: Duration::from_millis(self.delay_ms),
            loss: Loss::Random(self.loss),
            rate: self.rate_kbps.map(|kbps| kbps.saturating_mul(1000)),
            queue: self.queue_ms.map_or(standard.queue, Duration::from_millis),
            ..standard
        })
    }
}

/// Builds the network and changes its line as it is told.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    end_when_asked()?;
    let plan = files::read(&args.scenario)?;
    let lab = Lab::build(&format!("{}-hold", std::process::id()), &plan, DeviceHost::Process)?;
    let addresses = lab.addresses();
    println!(
        "{}",
        json!({
            "device": { "namespace": lab.device().name(), "address": addresses.device.v4 },
            "viewer": { "namespace": lab.viewer().name(), "address": addresses.viewer.v4 },
        })
    );
    for line in io::stdin().lock().lines() {
        let line = line?;
        let lines: Lines = serde_json::from_str(&line).with_context(|| format!("standard input: {line}"))?;
        lab.set_line(SideName::Device, lines.up.faults()?, lines.down.faults()?);
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_as_on_a_perfect_line() {
        let lines: Lines = serde_json::from_str(r#"{"up": {"rate_kbps": 500, "loss": 0.01}}"#).unwrap();
        let up = lines.up.faults().unwrap();
        assert_eq!((up.rate, up.loss, up.delay), (Some(500_000), Loss::Random(0.01), Duration::ZERO));
        assert_eq!(lines.down.faults().unwrap(), Faults { loss: Loss::Random(0.0), ..Faults::default() });
    }

    #[test]
    fn impossible_lines_are_refused() {
        for bad in
            [r#"{"up": {"loss": 5}}"#, r#"{"up": {"rate_kbps": 0}}"#, r#"{"down": {"delay_ms": 20000}}"#]
        {
            let lines: Lines = serde_json::from_str(bad).unwrap();
            assert!(lines.up.faults().and(lines.down.faults()).is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Lines>(r#"{"up": {"speed": 5}}"#).is_err());
    }
}
