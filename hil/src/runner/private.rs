//! A folder for what runs need and nobody is to keep: settings, tokens, keys, state. What is kept of a run is copied out of
//! it, with its secrets struck out: reports are attached to tickets.

use std::{
    env, fs,
    fs::Permissions,
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process,
};

use tempfile::TempDir;

use crate::record::Artefact;

/// What the folders' names begin with; the rig's process id follows.
const PREFIX: &str = "p2phil-";

/// A folder that only its owner can look into; gone when dropped.
///
/// # Errors
/// It cannot be made.
pub fn folder() -> io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(&format!("{PREFIX}{}-", process::id()))
        .permissions(Permissions::from_mode(0o700))
        .tempdir()
}

/// Removes folders whose rig is dead; which those were.
pub fn clean() -> Vec<PathBuf> {
    let entries = fs::read_dir(env::temp_dir()).into_iter().flatten().flatten();
    let own = fs::metadata("/proc/self").map(|this| this.uid()).ok();
    entries
        .filter(|entry| entry.file_name().to_str().and_then(rig_of).is_some_and(|rig| !is_alive(rig)))
        .map(|entry| entry.path())
        // Anybody can make a folder or a link of that name there.
        .filter(|path| path.symlink_metadata().is_ok_and(|data| data.is_dir() && Some(data.uid()) == own))
        .filter(|path| fs::remove_dir_all(path).is_ok())
        .collect()
}

fn rig_of(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split_once('-')?.0.parse().ok()
}

fn is_alive(rig: u32) -> bool {
    Path::new("/proc").join(rig.to_string()).exists()
}

/// Copies files out of a folder into another, unless they are there already, and strikes secrets out; the files with
/// their new paths. What cannot be copied is left out.
pub fn keep(files: Vec<Artefact>, from: &Path, to: &Path, secrets: &[&str]) -> Vec<Artefact> {
    let keep = |file: Artefact| {
        let (source, path) = (from.join(&file.path), to.join(&file.path));
        let kept = fs::create_dir_all(to).and_then(|()| fs::read(&source)).and_then(|mut bytes| {
            match (strike(&mut bytes, secrets), source == path) {
                (false, true) => Ok(()),
                _ => fs::write(&path, bytes),
            }
        });
        match kept {
            Ok(()) => Some(Artefact { path, ..file }),
            Err(error) => {
                eprintln!("{} could not be kept as {}: {error}", file.what, path.display());
                None
            }
        }
    };
    files.into_iter().filter_map(keep).collect()
}

/// Puts `x` in the place of each byte of a secret, so that captures and core dumps stay what they are; whether there was
/// one.
fn strike(bytes: &mut [u8], secrets: &[&str]) -> bool {
    let mut found = false;
    for secret in secrets.iter().map(|secret| secret.as_bytes()) {
        let Some(first) = secret.first() else { continue };
        let mut at = 0;
        while let Some(next) = bytes[at..].iter().position(|byte| byte == first) {
            at += next;
            if bytes[at..].starts_with(secret) {
                bytes[at..at + secret.len()].fill(b'x');
                found = true;
            }
            at += 1;
        }
    }
    if found {
        // What says it in words says it as a QR code too.
        for at in 0..bytes.len().saturating_sub(2) {
            if let [0xe2, 0x96, 0x80 | 0x84 | 0x88] = bytes[at..at + 3] {
                bytes[at..at + 3].fill(b'x');
            }
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_no_secrets_and_its_length() {
        let (from, to) = (folder().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(from.path().metadata().unwrap().mode() & 0o777, 0o700);
        fs::write(from.path().join("hub.log"), "\u{2588}\u{2580} http://h/#token=abcabd, ababcabd").unwrap();
        let file = |name: &str| Artefact { what: "a log".into(), path: name.into() };
        let kept = keep(vec![file("hub.log"), file("missing")], from.path(), to.path(), &["abcabd", ""]);
        assert_eq!(kept, [Artefact { path: to.path().join("hub.log"), ..file("") }]);
        assert_eq!(fs::read_to_string(&kept[0].path).unwrap(), "xxxxxx http://h/#token=xxxxxx, abxxxxxx");
    }

    #[test]
    fn only_folders_of_dead_rigs_are_removed() {
        let alive = folder().unwrap();
        // No process has number 0.
        let dead = tempfile::Builder::new().prefix("p2phil-0-").tempdir().unwrap();
        let other = tempfile::Builder::new().prefix("p2phil-").tempdir().unwrap();
        let removed = clean();
        assert!(removed.contains(&dead.path().to_owned()), "{removed:?}");
        assert!(alive.path().exists() && other.path().exists() && !dead.path().exists());
    }
}
