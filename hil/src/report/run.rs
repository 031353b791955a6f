//! What ran, on which machine, and how to run it again.

use std::{path::Path, process::Command};

use serde::{Deserialize, Serialize};

/// What ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Version of p2pcam-hil.
    pub version: String,
    /// The source tree's `git describe`, if known.
    pub describe: Option<String>,
    /// Version that the agent told, if it could be asked.
    pub agent: Option<String>,
    /// Where it ran.
    pub machine: Machine,
    /// The command line, program first.
    pub command: Vec<String>,
    /// The seed that all others follow from.
    pub seed: u64,
    /// When it began, seconds since 1970.
    pub began: u64,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that the run might use.
    pub cores: usize,
    /// Model, as the kernel tells it (`/proc/cpuinfo`).
    pub cpu: String,
    /// As `Linux 6.1.0 x86_64`.
    pub kernel: String,
}

impl Machine {
    /// The one this runs on. What cannot be read is `unknown`.
    pub fn this() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let release = read("/proc/sys/kernel/osrelease");
        let release = if release.trim().is_empty() { "of unknown release" } else { release.trim() };
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: cpu_model(&read("/proc/cpuinfo")).unwrap_or("unknown").to_owned(),
            kernel: format!("Linux {release} {}", std::env::consts::ARCH),
        }
    }
}

/// The model in `/proc/cpuinfo`: x86 has `model name`, many arm boards `Model` or `Hardware`.
fn cpu_model(cpuinfo: &str) -> Option<&str> {
    ["model name", "Model", "Hardware"].into_iter().find_map(|key| {
        cpuinfo
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim() == key)
            .map(|(_, value)| value.trim())
            .filter(|value| !value.is_empty())
    })
}

impl RunInfo {
    /// The command that does the same again, for a shell: the command line, with the seed if it does not name one.
    pub fn repeat(&self) -> String {
        let mut words: Vec<String> = self.command.iter().map(|word| quoted(word)).collect();
        let seeded = self.command.iter().any(|word| word == "--seed" || word.starts_with("--seed="));
        if !seeded {
            words.push(format!("--seed {}", self.seed));
        }
        words.join(" ")
    }
}

/// A word as a POSIX shell takes it for itself.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,@+%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What git calls the state of a source tree (`git describe --always --dirty`), if it is one and there is git.
pub fn git_describe(tree: &Path) -> Option<String> {
    let output =
        Command::new("git").arg("-C").arg(tree).args(["describe", "--always", "--dirty"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processors_model_is_found_on_x86_and_arm() {
        assert_eq!(cpu_model("processor\t: 0\nmodel name\t: Fast 9\n"), Some("Fast 9"));
        assert_eq!(cpu_model("processor: 0\nCPU part : 0xd08\n\nModel : Board 4\n"), Some("Board 4"));
        assert_eq!(cpu_model("model name\t:\n"), None);
        assert_eq!(cpu_model(""), None);
    }

    #[test]
    fn the_command_can_be_pasted_into_a_shell_and_names_the_seed_once() {
        let mut run = RunInfo {
            version: "1".into(),
            describe: None,
            agent: None,
            machine: Machine::this(),
            command: ["p2pcam-hil", "run", "it's a file.toml"].map(String::from).into(),
            seed: 7,
            began: 0,
            took_ms: 0.0,
        };
        assert_eq!(run.repeat(), r"p2pcam-hil run 'it'\''s a file.toml' --seed 7");
        run.command.push("--seed=9".into());
        assert!(run.repeat().ends_with("--seed=9"));
    }
}
