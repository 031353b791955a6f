//! The machine's clock, the state directory, and the files that the configuration names.

use std::{
    fs::{self, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use p2pcam_agent::config::Config;

use super::finding::Finding;

/// 2026-01-01T00:00:00Z: older than any build of this agent.
const PAST: Duration = Duration::from_secs(1_767_225_600);

/// Boards without a battery start in 1970, or at the time of their image.
pub fn clock(now: SystemTime) -> Finding {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    if since >= PAST {
        return Finding::ok("clock", "plausible");
    }
    Finding::fail(
        "clock",
        format!("it shows a day in {}", 1970 + since.as_secs() / 31_556_952),
        "certificates and TURN credentials are refused: switch time synchronisation on \
         (timedatectl set-ntp true) and check that the NTP server is reachable",
    )
}

/// Secrets lie there.
pub fn directory(dir: &Path) -> Finding {
    let (what, shown) = ("state directory", dir.display());
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Finding::ok(what, format!("{shown} is not there yet: it is made at the first start"));
        }
        Err(error) => {
            return Finding::fail(
                what,
                format!("{shown}: {error}"),
                "run this as the user that the agent runs as, or set device.state_dir to a folder of that user's",
            );
        }
    };
    if !metadata.is_dir() {
        return Finding::fail(what, format!("{shown} is no directory"), "remove it, or set device.state_dir");
    }
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Finding::fail(
            what,
            format!("{shown} is open to other users (mode {mode:03o}); it holds secrets"),
            format!("chmod 700 {shown}"),
        );
    }
    // Trying is the only answer that counts read-only mounts and quotas in.
    let probe = dir.join(".check");
    let tried = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe);
    match tried.and_then(|_| fs::remove_file(&probe)) {
        Ok(()) => Finding::ok(what, format!("{shown}, for its owner alone")),
        Err(error) => Finding::fail(
            what,
            format!("{shown} cannot be written to: {error}"),
            "run this as the user that the agent runs as; if it is that user, chown the folder, \
             or check for a full disk or a read-only mount",
        ),
    }
}

/// The files that keys name: there, readable, and secret ones for their owner alone.
pub fn files(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let secret = true;
    for (key, path, secret) in [
        ("hub.certificate", &config.hub.certificate, !secret),
        ("hub.private_key", &config.hub.private_key, secret),
        ("hub.turn_secret_file", &config.hub.turn_secret_file, secret),
        ("signaling.token_file", &config.signaling.token_file, secret),
        ("signaling.ca_file", &config.signaling.ca_file, !secret),
        ("ice.ca_file", &config.ice.ca_file, !secret),
    ] {
        if let Some(path) = path {
            findings.push(file(key, path, secret));
        }
    }
    findings
}

/// One file that a key names.
pub fn file(key: &str, path: &Path, secret: bool) -> Finding {
    let shown = path.display();
    let mode = match fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => {
            return Finding::fail(key, format!("{shown} is a directory"), format!("name a file in {key}"));
        }
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) => {
            return Finding::fail(
                key,
                format!("{shown}: {error}"),
                format!("check {key}, and that the agent's user may read the file"),
            );
        }
    };
    // A group of the agent's own is a usual way to share a private key.
    if secret && mode & 0o007 != 0 {
        return Finding::fail(
            key,
            format!("{shown} is open to all users (mode {mode:03o}); it is secret"),
            format!("chmod 600 {shown}"),
        );
    }
    Finding::ok(key, shown.to_string())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::commands::check::finding::Level;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_clock_without_battery_is_noticed() {
        let finding = clock(UNIX_EPOCH + Duration::from_secs(100));
        assert_eq!(finding.level, Level::Fail);
        assert!(finding.detail.contains("1970") && finding.advice.contains("set-ntp"), "{finding}");
        assert_eq!(clock(UNIX_EPOCH + PAST).level, Level::Ok);
    }

    #[test]
    fn a_state_directory_is_its_owner_s_alone() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(directory(&dir.path().join("not-yet")).level, Level::Ok);
        set_mode(dir.path(), 0o700);
        assert_eq!(directory(dir.path()).level, Level::Ok);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the probe is taken away");
        set_mode(dir.path(), 0o755);
        let finding = directory(dir.path());
        assert_eq!(finding.level, Level::Fail);
        assert_eq!(finding.advice, format!("chmod 700 {}", dir.path().display()));
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(directory(&file).detail.contains("is no directory"));
    }

    #[test]
    fn a_secret_file_that_all_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        assert!(file("signaling.token_file", &path, true).advice.contains("check signaling.token_file"));
        fs::write(&path, "x").unwrap();
        set_mode(&path, 0o644);
        assert_eq!(file("signaling.token_file", &path, true).level, Level::Fail);
        assert_eq!(file("signaling.ca_file", &path, false).level, Level::Ok);
        set_mode(&path, 0o640);
        assert_eq!(file("signaling.token_file", &path, true).level, Level::Ok);
        assert_eq!(file("signaling.token_file", dir.path(), true).level, Level::Fail);
    }
}
