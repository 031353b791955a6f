//! Files that only their owner may read: made whole or not at all, refused when others can read them.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use anyhow::{Context, bail, ensure};

/// Longest secret or key file read, in bytes: an RSA key of 16384 bits in PEM has 13 KiB.
const MAX_BYTES: u64 = 64 * 1024;

/// Reads a secret. `None`: it is not there.
///
/// # Errors
/// It is no regular file, others may read it, it is too long or not UTF-8.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<String>> {
    read_with(path, 0o077)
}

/// As [`read`], but its group may read it too, as Debian's `ssl-cert` group does with keys.
pub(super) fn read_shared_with_group(path: &Path) -> anyhow::Result<Option<String>> {
    read_with(path, 0o027)
}

fn read_with(path: &Path, forbidden: u32) -> anyhow::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e).with_context(|| format!("{}: cannot be opened", path.display())),
    };
    // Of the open file and not of the path, which could meanwhile name another.
    let meta = file.metadata().with_context(|| format!("{}: cannot be examined", path.display()))?;
    ensure!(meta.is_file(), "{}: is not a regular file", path.display());
    let mode = meta.mode() & 0o777;
    if mode & forbidden != 0 {
        bail!(
            "{0}: holds a secret, but its mode {mode:04o} lets others read or change it. If nobody else was \
             on this machine: chmod 600 {0}. Else replace it, for it may be known",
            path.display()
        );
    }
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("{}: cannot be read as text", path.display()))?;
    ensure!(text.len() as u64 <= MAX_BYTES, "{}: is longer than {MAX_BYTES} bytes", path.display());
    Ok(Some(text))
}

/// Writes a file of mode 0600 that is not there yet; the name appears only with the whole content. False: it
/// is there already, made by another process meanwhile, and was left alone.
pub(super) fn create(path: &Path, content: &str) -> anyhow::Result<bool> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = path.with_file_name(format!(".{name}.{}", std::process::id()));
    // A draft of our own process id can only be left over from a process that is gone.
    let _ = fs::remove_file(&draft);
    let written = write_draft(&draft, content).and_then(|()| match fs::hard_link(&draft, path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        // File systems without hard links (FAT); the check is then not atomic, the content still is.
        Err(_) if !path.exists() => fs::rename(&draft, path).map(|()| true),
        Err(e) => Err(e),
    });
    let _ = fs::remove_file(&draft);
    let created = written.with_context(|| {
        format!("{}: cannot be written; is the disk full or mounted read-only?", path.display())
    })?;
    // Or the name may be gone after a power cut.
    if let Some(Ok(dir)) = path.parent().map(File::open) {
        let _ = dir.sync_all();
    }
    Ok(created)
}

fn write_draft(draft: &Path, content: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()
}

/// Makes a directory of mode 0700, or takes an existing one whose files others cannot replace.
pub(super) fn ensure_dir(dir: &Path) -> anyhow::Result<()> {
    if !dir.exists() {
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).with_context(|| format!("{}: cannot be made", parent.display()))?;
        }
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(e) if e.kind() != ErrorKind::AlreadyExists => {
                return Err(e).with_context(|| format!("{}: cannot be made", dir.display()));
            }
            _ => {}
        }
    }
    let meta = fs::metadata(dir).with_context(|| format!("{}: cannot be examined", dir.display()))?;
    ensure!(meta.is_dir(), "{}: is not a directory", dir.display());
    let mode = meta.permissions().mode() & 0o777;
    ensure!(
        mode & 0o022 == 0,
        "{0}: secrets are kept here, but its mode {mode:04o} lets others put files into it: chmod 700 {0}",
        dir.display()
    );
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_created_file_is_for_its_owner_alone_and_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert_eq!(read(&path).unwrap(), None);
        assert!(create(&path, "one").unwrap());
        assert!(!create(&path, "two").unwrap());
        assert_eq!(read(&path).unwrap().as_deref(), Some("one"));
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left over");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_command_that_helps() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("0640") && error.contains(&format!("chmod 600 {}", path.display())),
            "{error}"
        );
    }

    #[test]
    fn a_directory_is_made_private_and_one_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        ensure_dir(&state).unwrap();
        assert_eq!(mode(&state), 0o700);
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(ensure_dir(&state).unwrap_err().to_string().contains("chmod 700"));
    }

    #[test]
    fn an_endless_file_is_not_read_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        create(&path, &"x".repeat(100_000)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("longer than"));
    }
}
