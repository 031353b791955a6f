//! The device token: a secret that a remote hub knows the device by.

use std::{fmt, fs::File, io::Read, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, bail, ensure};

/// Longest token file in bytes; tokens of the hub have about 50.
const MAX_FILE: u64 = 4096;

/// A device token. Never shown in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Takes a text of visible ASCII characters, which is what an HTTP header carries. `None` for any other.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())).then_some(Self(text))
    }

    /// The secret itself.
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Reads a token file: one line. The file must belong to its reader: one that others can read, or that group or others
/// can change, is refused. The group may read it, so that root can give it to the service's group.
pub fn read(path: &Path) -> anyhow::Result<Token> {
    let shown = path.display();
    let file = File::open(path).with_context(|| {
        format!("token file {shown}: cannot be opened; write the device token of the hub into it")
    })?;
    let metadata = file.metadata().with_context(|| format!("token file {shown}"))?;
    ensure!(metadata.is_file(), "token file {shown}: is not a file; name the file itself");
    let mode = metadata.permissions().mode();
    if mode & 0o027 != 0 {
        bail!(
            "token file {shown}: has mode {:03o}, so that others can use the secret; run `chmod 600 {shown}`, and \
             make a new token on the hub if others have an account here",
            mode & 0o777
        );
    }
    let mut text = String::new();
    file.take(MAX_FILE + 1).read_to_string(&mut text).with_context(|| format!("token file {shown}"))?;
    ensure!(
        text.len() as u64 <= MAX_FILE,
        "token file {shown}: is longer than {MAX_FILE} bytes; is it the right file?"
    );
    Token::new(text.trim()).with_context(|| {
        format!("token file {shown}: holds no token; write the one line that the hub printed into it, nothing else")
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, fs::Permissions};

    use super::*;

    fn file(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_private_file_is_read_without_its_line_end() {
        for mode in [0o600, 0o400, 0o640] {
            let (_dir, path) = file("abc-123\r\n", mode);
            assert_eq!(read(&path).unwrap().secret(), "abc-123");
        }
    }

    #[test]
    fn a_file_open_to_others_is_refused_with_the_command_that_helps() {
        for mode in [0o644, 0o604, 0o660, 0o601] {
            let (_dir, path) = file("abc", mode);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        }
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in ["", "\n", "two words", "tök", &"x".repeat(5000)] {
            let (dir, path) = file(text, 0o600);
            assert!(read(&path).is_err(), "{text}");
            assert!(read(dir.path()).is_err());
        }
    }

    #[test]
    fn a_token_is_not_shown_in_logs() {
        assert!(!format!("{:?}", Token::new("secret")).contains("secret"));
    }
}
