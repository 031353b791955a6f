//! The two tokens of a hub: one for viewers, one for devices. Made on first start; there is no default.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;

use super::private_file;

/// Random bytes in a token that the hub makes: 192 bits, which base64url writes without padding.
const TOKEN_BYTES: usize = 24;
/// Characters that a token must have at least: 128 bits in base64url.
const MIN_CHARS: usize = 22;
/// And at most; it travels in headers and QR codes.
const MAX_CHARS: usize = 128;

/// File of the viewer token in the state directory.
pub const VIEWER_FILE: &str = "viewer-token";
/// File of the device token in the state directory.
pub const DEVICE_FILE: &str = "device-token";

/// A secret word. Not shown by `Debug`.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes a word that an operator chose: 22 to 128 characters of `A-Z a-z 0-9 - _ . ~`.
    ///
    /// # Errors
    /// Says what is wrong without repeating the word.
    pub fn new(word: &str) -> anyhow::Result<Self> {
        ensure!(
            (MIN_CHARS..=MAX_CHARS).contains(&word.len()),
            "a token of {} characters; it must have {MIN_CHARS} to {MAX_CHARS}, so that nobody guesses it",
            word.len()
        );
        ensure!(
            word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~".contains(&b)),
            "a token with characters other than A-Z a-z 0-9 - _ . ~, which URLs and headers would change"
        );
        Ok(Self(word.to_owned()))
    }

    fn random() -> anyhow::Result<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes).context("the kernel gives no random numbers for a token")?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The word itself, for a printed address or a client of one's own.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token; takes as long for a wrong one as for the right one.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Both tokens, and where they are kept.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Lets somebody watch and talk.
    pub viewer: Token,
    /// Lets a camera connect to the hub.
    pub device: Token,
    dir: PathBuf,
}

impl Secrets {
    /// The state directory, which also holds the hub's own certificate.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Reads both tokens from `state_dir`, making what is missing. True: at least one was made just now.
///
/// # Errors
/// A file that others can read or that holds no token; a directory that others can write to; no random
/// source.
pub fn load_or_create(state_dir: &Path) -> anyhow::Result<(Secrets, bool)> {
    private_file::ensure_dir(state_dir)?;
    let (viewer, viewer_new) = load_or_create_token(&state_dir.join(VIEWER_FILE))?;
    let (device, device_new) = load_or_create_token(&state_dir.join(DEVICE_FILE))?;
    Ok((Secrets { viewer, device, dir: state_dir.to_owned() }, viewer_new || device_new))
}

fn load_or_create_token(path: &Path) -> anyhow::Result<(Token, bool)> {
    let mut created = false;
    let text = match private_file::read(path)? {
        Some(text) => text,
        None => {
            created = private_file::create(path, &format!("{}\n", Token::random()?.reveal()))?;
            private_file::read(path)?.with_context(|| format!("{}: was deleted again", path.display()))?
        }
    };
    let token = Token::new(text.trim())
        .with_context(|| format!("{}: delete it, and a new one is made at the next start", path.display()))?;
    Ok((token, created))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn secrets_are_made_once_each_with_128_bits_or_more_and_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let (first, created) = load_or_create(&state).unwrap();
        assert!(created);
        assert_ne!(first.viewer.reveal(), first.device.reveal());
        assert_eq!(URL_SAFE_NO_PAD.decode(first.viewer.reveal()).unwrap().len(), TOKEN_BYTES);
        for file in [VIEWER_FILE, DEVICE_FILE] {
            assert_eq!(fs::metadata(state.join(file)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);

        let (again, created) = load_or_create(&state).unwrap();
        assert!(!created);
        assert_eq!(again.viewer.reveal(), first.viewer.reveal());
    }

    #[test]
    fn two_hubs_have_different_secrets() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let a = load_or_create(a.path()).unwrap().0;
        let b = load_or_create(b.path()).unwrap().0;
        assert_ne!(a.viewer.reveal(), b.viewer.reveal());
    }

    #[test]
    fn a_short_or_empty_token_file_is_refused() {
        for text in ["", "password\n", "with blanks in the middle of it"] {
            let dir = tempfile::tempdir().unwrap();
            private_file::create(&dir.path().join(VIEWER_FILE), text).unwrap();
            let error = format!("{:#}", load_or_create(dir.path()).unwrap_err());
            assert!(error.contains(VIEWER_FILE), "{error}");
            assert!(
                text.trim().is_empty() || !error.contains(text.trim()),
                "the word is not repeated: {error}"
            );
        }
    }

    #[test]
    fn tokens_are_hidden_from_debug_output() {
        let token = Token::new("abcdefghijklmnopqrstuvwxyz").unwrap();
        assert_eq!(format!("{token:?}"), "Token(hidden)");
    }

    #[test]
    fn only_the_whole_token_matches() {
        let token = Token::new("abcdefghijklmnopqrstuvwxyz").unwrap();
        assert!(token.matches("abcdefghijklmnopqrstuvwxyz"));
        for wrong in ["", "abc", "abcdefghijklmnopqrstuvwxyZ", "abcdefghijklmnopqrstuvwxyz "] {
            assert!(!token.matches(wrong), "{wrong}");
        }
    }
}
