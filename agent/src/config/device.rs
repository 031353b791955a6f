//! `[device]`: who the device is and where it keeps what it must not forget.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Longest device id, in characters: it stands in URLs and, for some links, in topics.
pub const MAX_DEVICE_ID: usize = 64;

/// `[device]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceConfig {
    /// Name of the device on the hub; 1 to 64 characters of `A-Z a-z 0-9 - _ . ~`. Default: the host name.
    pub id: Option<String>,
    /// Where secrets and certificates are kept. Default: `$STATE_DIRECTORY` (systemd), else
    /// `$XDG_STATE_HOME/p2pcam` or `~/.local/state/p2pcam`.
    pub state_dir: Option<PathBuf>,
}

impl DeviceConfig {
    /// The configured id, else the host name with what an id may not hold replaced by `-`, else `camera`.
    pub fn resolved_id(&self) -> String {
        match &self.id {
            Some(id) => id.clone(),
            None => {
                id_from_host_name(&std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default())
            }
        }
    }

    /// The configured state directory, else the first that the environment names; relative to the current
    /// directory (`p2pcam-state`) where it names none, as for a bare `init` without `HOME`.
    pub fn resolved_state_dir(&self) -> PathBuf {
        match &self.state_dir {
            Some(dir) => dir.clone(),
            None => state_dir_from(|name| std::env::var(name).ok()),
        }
    }
}

/// Whether `id` may name a device: unreserved URL characters (RFC 3986 section 2.3), 1 to 64 of them, and not
/// `.` or `..`, which URL parsers take away.
pub fn is_device_id(id: &str) -> bool {
    (1..=MAX_DEVICE_ID).contains(&id.len()) && id.chars().all(is_unreserved) && !matches!(id, "." | "..")
}

fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~')
}

fn id_from_host_name(name: &str) -> String {
    let id: String =
        name.trim().chars().map(|c| if is_unreserved(c) { c } else { '-' }).take(MAX_DEVICE_ID).collect();
    if is_device_id(&id) && id != "(none)" { id } else { "camera".into() }
}

fn state_dir_from(env: impl Fn(&str) -> Option<String>) -> PathBuf {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(dirs) = set("STATE_DIRECTORY") {
        // systemd.exec(5): several directories are joined by colons; the first is the agent's.
        return PathBuf::from(dirs.split(':').next().unwrap_or(&dirs));
    }
    if let Some(dir) = set("XDG_STATE_HOME").filter(|dir| Path::new(dir).is_absolute()) {
        return Path::new(&dir).join("p2pcam");
    }
    match set("HOME") {
        Some(home) => Path::new(&home).join(".local/state/p2pcam"),
        None => PathBuf::from("p2pcam-state"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_is_what_a_url_can_carry_unescaped() {
        for good in ["a", "front-door_2.local~x", &"x".repeat(64)] {
            assert!(is_device_id(good), "{good}");
        }
        for bad in ["", "front door", "tür", "a/b", ".", "..", &"x".repeat(65)] {
            assert!(!is_device_id(bad), "{bad}");
        }
    }

    #[test]
    fn a_host_name_becomes_a_valid_id() {
        assert_eq!(id_from_host_name("raspberrypi\n"), "raspberrypi");
        assert_eq!(id_from_host_name("küche 1"), "k-che-1");
        assert_eq!(id_from_host_name("\n"), "camera");
        assert!(is_device_id(&id_from_host_name(&"h".repeat(300))));
    }

    #[test]
    fn the_state_directory_is_systemd_s_then_the_user_s() {
        let dir = |vars: &[(&str, &str)]| {
            state_dir_from(|name| {
                vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let all = [("STATE_DIRECTORY", "/var/lib/p2pcam:/x"), ("XDG_STATE_HOME", "/s"), ("HOME", "/home/u")];
        assert_eq!(dir(&all), Path::new("/var/lib/p2pcam"));
        assert_eq!(dir(&all[1..]), Path::new("/s/p2pcam"));
        assert_eq!(dir(&all[2..]), Path::new("/home/u/.local/state/p2pcam"));
        assert_eq!(
            dir(&[("XDG_STATE_HOME", "relative"), ("HOME", "/h")]),
            Path::new("/h/.local/state/p2pcam")
        );
        assert_eq!(dir(&[]), Path::new("p2pcam-state"));
    }
}
